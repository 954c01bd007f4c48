//! Fits a model to a table.

use costate_envs::rng::stream;
use tch::Tensor;

use super::ais::{AisEstimate, Annealed, anneal, model_samples};
use super::clone::fit_generator;
use super::contrast;
use super::descent;
use super::energy::{Base, Energy};
use super::gan;
use super::generator::{Generator, GeneratorKind};
use super::in_chunks;
use super::langevin;
use super::learn::{Best, Data, Watch};
use super::model::Model;
use super::settings::{BaseKind, Method, Settings};
use super::table::{Split, Table};
use super::transport;
use super::whitening::Whitening;
use crate::error::Error;

/// What to fit.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The rows.
    pub table: &'a Table,
    /// Their name in errors.
    pub source: &'a str,
    /// Where negatives come from.
    pub method: Method,
    /// The generator's family.
    pub generator: GeneratorKind,
    /// Share of the rows held out for the final figures.
    pub held_out: f64,
    /// Number of model samples to return.
    pub samples: usize,
    /// All other settings.
    pub settings: &'a Settings,
    /// Seed of every random stream.
    pub seed: u64,
}

/// A fitted model with its estimates.
pub struct Fit {
    /// The model.
    pub model: Model,
    /// The split of the rows.
    pub split: Split,
    /// log Z by annealed importance sampling.
    pub log_z: AisEstimate,
    /// log Z by importance sampling from the generator, if there is one.
    pub importance: Option<AisEstimate>,
    /// Draws from the model in the data's units, `[samples, d]`.
    pub samples: Tensor,
    /// The round of the kept model; 0 is the base, or what the transport made of it.
    pub kept_round: usize,
    /// Whether the last check had the highest validation log-likelihood: more rounds might help.
    pub still_rising: bool,
}

/// Fits a model.
///
/// Errors: a table without a density (too few rows, constant or redundant columns), an interruption.
pub fn fit(request: &Request, watch: &mut Watch) -> Result<Fit, Error> {
    let Request {
        table,
        source,
        settings,
        seed,
        ..
    } = *request;
    table.check_fittable(source)?;
    let dim = table.columns().len();
    let split = table.split(request.held_out, seed);
    let needed = LEAST_TRAINING_ROWS.max(2 * dim);
    if split.training.len() < needed {
        return Err(Error::Misuse(format!(
            "{source}: {} rows to learn from after holding out, expected at least {needed}; hold out fewer",
            split.training.len()
        )));
    }
    let whitening = Whitening::of(table, &split.training, source)?;
    let part = |rows: &[usize]| whitening.whiten(table, rows.iter().copied());
    let (training, validation) = (part(&split.training), part(&split.validation));
    let has_generator = request.method == Method::Gan || settings.base == BaseKind::Clone;
    let clone = match has_generator {
        true => Some(fit_generator(&training, &validation, request, watch)?),
        false => None,
    };
    let base = match (settings.base, &clone) {
        (BaseKind::Clone, Some(clone)) => Base::Clone(copy(clone, settings, dim)?),
        _ => Base::Gaussian,
    };
    let log_base = in_chunks(&training, &|x| base.log_density(x));
    let data = Data {
        training,
        log_base,
        validation,
    };
    let mut rng = stream(seed, "ebm energy", 0);
    let energy = Energy::new(base, dim, settings.form(), &settings.hidden, &mut rng);
    let best = train(&energy, clone.as_ref(), &data, request, watch)?;
    let annealed = anneal(&energy, &settings.ais, "ebm ais", seed);
    let points = samples(&energy, &annealed, request);
    let mut rng = stream(seed, "ebm importance", 0);
    let importance = clone
        .as_ref()
        .map(|generator| gan::importance(&energy, generator, FINAL_DRAWS, &mut rng));
    let every = settings.rounds.div_ceil(settings.checks);
    Ok(Fit {
        samples: whitening.unwhiten(&points),
        split,
        log_z: annealed.estimate.clone(),
        importance,
        kept_round: (best.kept() * every).min(settings.rounds),
        still_rising: best.is_last(),
        model: Model {
            columns: table.columns().to_vec(),
            whitening,
            energy,
            generator: clone,
            log_z: annealed.estimate,
            settings: settings.clone(),
        },
    })
}

/// Trains the energy by the method that is asked for.
fn train(
    energy: &Energy,
    clone: Option<&Generator>,
    data: &Data,
    request: &Request,
    watch: &mut Watch,
) -> Result<Best, Error> {
    let Request { settings, seed, .. } = *request;
    match (request.method, clone, &settings.energy_matching) {
        (Method::Gan, Some(generator), _) => {
            gan::train(energy, generator, data, settings, seed, watch)
        }
        (Method::EnergyMatching, _, Some(matching)) => {
            transport::train(energy, data, matching, seed, watch)?;
            contrast::train(energy, data, settings, matching, seed, watch)
        }
        (Method::EnergyMatching, _, None) => Err(Error::Misuse(
            "the settings have no `energy_matching`, which this method needs".into(),
        )),
        _ => langevin::train(energy, data, settings, seed, watch),
    }
}

/// Draws from the model in whitened units, `[samples, d]`: what transports noise is sampled from noise.
fn samples(energy: &Energy, annealed: &Annealed, request: &Request) -> Tensor {
    let Request {
        settings,
        seed,
        samples: count,
        ..
    } = *request;
    match &settings.energy_matching {
        Some(matching) => descent::samples(
            energy,
            matching.noise,
            count,
            annealed.step,
            &settings.langevin,
            seed,
        ),
        None => model_samples(energy, annealed, count, settings.ais.leapfrog, seed),
    }
}

/// Minimum number of rows to learn from.
const LEAST_TRAINING_ROWS: usize = 20;

/// Draws for the final importance-sampled log Z.
const FINAL_DRAWS: usize = 20_000;

/// A copy of a generator with its own weights.
fn copy(generator: &Generator, settings: &Settings, dim: usize) -> Result<Generator, Error> {
    let mut unused = stream(0, "ebm copy", 0);
    let copy = Generator::blank(&generator.shape(settings), dim, &mut unused);
    copy.load(&generator.save())?;
    for t in copy.parameters() {
        let _ = t.set_requires_grad(false);
    }
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::ebm::Known;

    /// A fit of a few rounds to 200 rows of `banana`, after `change`.
    fn short(method: Method, change: impl FnOnce(&mut Settings)) -> Result<Fit, Error> {
        let table = Known::named("banana").unwrap().sample(200, 1);
        let mut settings = Settings::of(method).unwrap();
        (settings.rounds, settings.checks) = (4, 2);
        (settings.ais.chains, settings.ais.temperatures) = (100, 4);
        if let Some(matching) = &mut settings.energy_matching {
            (matching.transport_steps, matching.transport_batch) = (3, 16);
            (matching.chains, matching.temperatures) = (100, 4);
        }
        change(&mut settings);
        let request = Request {
            table: &table,
            source: "t",
            method,
            generator: GeneratorKind::Mixture,
            held_out: 0.2,
            samples: 0,
            settings: &settings,
            seed: 1,
        };
        let interrupt = AtomicBool::new(false);
        let mut watch = Watch {
            interrupt: &interrupt,
            report: &mut |_, _, _, _| {},
        };
        fit(&request, &mut watch)
    }

    #[test]
    fn no_samples_are_an_empty_tensor() {
        for method in [Method::Gan, Method::Langevin, Method::EnergyMatching] {
            assert_eq!(short(method, |_| {}).unwrap().samples.size(), [0, 2]);
        }
    }

    #[test]
    fn a_diverged_fit_says_what_to_lower() {
        for (method, part) in [
            (Method::Gan, "gan.generator_learning_rate (now"),
            (Method::Langevin, "the energy diverged"),
            (Method::EnergyMatching, "the energy diverged"),
        ] {
            let fast = |settings: &mut Settings| settings.learning_rate = 1e308;
            let error = short(method, fast).err().expect("diverged");
            assert_eq!(error.exit_code(), 1);
            let message = error.to_string();
            assert!(
                message.contains(part) && message.contains("lower learning_rate (now "),
                "{message}"
            );
        }
    }
}
