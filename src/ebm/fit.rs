//! From a table to a model.

use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rng::{Stream, stream};
use tch::{Kind, Tensor};

use super::ais::{AisEstimate, anneal, model_samples};
use super::energy::{Base, Energy};
use super::flow::Flow;
use super::gan::{self, adam, indices};
use super::generator::{Generator, GeneratorKind};
use super::langevin;
use super::mixture::Mixture;
use super::model::Model;
use super::settings::{BaseKind, Method, Settings};
use super::table::{Split, Table};
use super::whitening::Whitening;
use crate::error::Error;
use crate::nn::StateDict;

/// What to fit to what.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The rows.
    pub table: &'a Table,
    /// What they are called in errors.
    pub source: &'a str,
    /// Where negatives come from.
    pub method: Method,
    /// The generator's family.
    pub generator: GeneratorKind,
    /// Share of the rows that only the final figures see.
    pub held_out: f64,
    /// Model draws to return.
    pub samples: usize,
    /// Everything else.
    pub settings: &'a Settings,
    /// Seed of every random stream.
    pub seed: u64,
}

/// A fitted model with what was found on the way.
pub struct Fit {
    /// The model.
    pub model: Model,
    /// Which rows were what.
    pub split: Split,
    /// log Z by annealed importance sampling.
    pub log_z: AisEstimate,
    /// log Z by importance sampling from the generator, where there is one.
    pub importance: Option<AisEstimate>,
    /// Draws from the model in the data's units, `[samples, d]`.
    pub samples: Tensor,
    /// The round whose model was kept; 0 is the base.
    pub kept_round: usize,
    /// Whether the largest validation log-likelihood was that of the last check: more rounds might gain.
    pub still_rising: bool,
}

/// What a fit is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The generator is fitted by maximum likelihood.
    Generator,
    /// The energy is trained.
    Energy,
}

/// Whoever watches a fit, and may stop it.
pub struct Watch<'a> {
    /// Set from elsewhere to stop.
    pub interrupt: &'a AtomicBool,
    /// Told the stage, steps done, steps in all, and how it goes.
    pub report: &'a mut dyn FnMut(Stage, usize, usize, &str),
}

impl Watch<'_> {
    pub(super) fn at(
        &mut self,
        stage: Stage,
        done: usize,
        total: usize,
        how: &str,
    ) -> Result<(), Error> {
        (self.report)(stage, done, total, how);
        match self.interrupt.load(Ordering::SeqCst) {
            true => Err(Error::Failure("interrupted; nothing was written".into())),
            false => Ok(()),
        }
    }
}

/// Rows as tensors in white units.
pub struct Data {
    /// `[N, d]`.
    pub training: Tensor,
    /// log p_0 of them, `[N]`.
    pub log_base: Tensor,
    /// `[M, d]`.
    pub validation: Tensor,
}

/// What the validation rows say of an energy.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Mean log-likelihood, nats in white units.
    log_likelihood: f64,
    /// Share of the draws behind log Z that are in effect.
    ess_share: f64,
}

/// Below this share a check's log Z is too uncertain to prefer anything by it.
const LEAST_ESS_SHARE: f64 = 0.02;

impl Check {
    /// With log Z as estimated.
    pub fn of(energy: &Energy, data: &Data, log_z: &AisEstimate) -> Self {
        let c = tch::no_grad(|| {
            energy
                .of(&data.validation)
                .mean(Kind::Double)
                .double_value(&[])
        });
        Self {
            log_likelihood: -c - log_z.log_z,
            ess_share: log_z.ess / log_z.chains as f64,
        }
    }
}

/// The best of what was checked.
pub struct Best {
    check: Check,
    state: StateDict,
    checks: usize,
    kept: usize,
    last: Check,
}

impl Best {
    /// The first candidate, from before any round.
    pub fn start(check: Check, energy: &Energy, generator: Option<&Generator>) -> Self {
        Self {
            check,
            state: snapshot(energy, generator),
            checks: 0,
            kept: 0,
            last: check,
        }
    }

    /// Keeps this one if it is better.
    pub fn offer(&mut self, check: Check, energy: &Energy, generator: Option<&Generator>) {
        self.checks += 1;
        self.last = check;
        if check.log_likelihood > self.check.log_likelihood && check.ess_share >= LEAST_ESS_SHARE {
            self.check = check;
            self.kept = self.checks;
            self.state = snapshot(energy, generator);
        }
    }

    /// Goes back to the best.
    pub fn restore(&self, energy: &Energy, generator: Option<&Generator>) -> Result<(), Error> {
        self.state.copy_all(energy.correction.named("energy."))?;
        if let Some(generator) = generator {
            self.state.copy_all(generator.named("generator."))?;
        }
        Ok(())
    }

    /// For progress lines.
    pub fn describe(&self) -> String {
        format!(
            "validation {:.3} nats, ESS {:.0} %",
            self.last.log_likelihood,
            100.0 * self.last.ess_share
        )
    }
}

fn snapshot(energy: &Energy, generator: Option<&Generator>) -> StateDict {
    let mut state = StateDict::default();
    state.extend(energy.correction.named("energy."));
    if let Some(generator) = generator {
        state.extend(generator.named("generator."));
    }
    state
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
            "{source}: {} rows to learn from beside those held out, expected at least {needed}; hold out fewer",
            split.training.len()
        )));
    }
    let whitening = Whitening::of(table, &split.training, source)?;
    let part = |rows: &[usize]| whitening.whiten(table, rows.iter().copied());
    let (training, validation) = (part(&split.training), part(&split.validation));
    let has_generator = request.method == Method::Gan || settings.base == BaseKind::Clone;
    let clone = match has_generator {
        true => Some(clone_data(&training, &validation, request, watch)?),
        false => None,
    };
    let base = match (settings.base, &clone) {
        (BaseKind::Clone, Some(clone)) => Base::Clone(copy(clone, settings, dim)?),
        _ => Base::Gaussian,
    };
    let log_base = tch::no_grad(|| base.log_density(&training));
    let data = Data {
        training,
        log_base,
        validation,
    };
    let mut rng = stream(seed, "ebm energy", 0);
    let energy = Energy::new(base, dim, &settings.hidden, &mut rng);
    let best = match (request.method, &clone) {
        (Method::Gan, Some(generator)) => {
            gan::train(&energy, generator, &data, settings, seed, watch)?
        }
        _ => langevin::train(&energy, &data, settings, seed, watch)?,
    };
    let annealed = anneal(&energy, &settings.ais, seed);
    let points = model_samples(
        &energy,
        &annealed,
        request.samples,
        settings.ais.leapfrog,
        seed,
    );
    let importance = clone
        .as_ref()
        .map(|generator| gan::importance(&energy, generator, FINAL_DRAWS, seed));
    let every = settings.rounds.div_ceil(settings.checks);
    Ok(Fit {
        samples: whitening.unwhiten(&points),
        split,
        log_z: annealed.estimate.clone(),
        importance,
        kept_round: (best.kept * every).min(settings.rounds),
        still_rising: best.kept > 0 && best.kept == best.checks,
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

/// Fewest rows to learn from.
const LEAST_TRAINING_ROWS: usize = 20;

/// Draws behind the final importance-sampled log Z.
const FINAL_DRAWS: usize = 20_000;

/// A generator with weights of its own that are equal to another's.
fn copy(generator: &Generator, settings: &Settings, dim: usize) -> Result<Generator, Error> {
    let mut unused = stream(0, "ebm copy", 0);
    let copy = Generator::blank(&generator.shape(settings), dim, &mut unused);
    copy.load(&generator.save())?;
    for t in copy.parameters() {
        let _ = t.set_requires_grad(false);
    }
    Ok(copy)
}

/// Fits the generator by maximum likelihood.
fn clone_data(
    training: &Tensor,
    validation: &Tensor,
    request: &Request,
    watch: &mut Watch,
) -> Result<Generator, Error> {
    let mut rng = stream(request.seed, "ebm generator", 0);
    match request.generator {
        GeneratorKind::Mixture => {
            let components = request.settings.mixture.components;
            best_mixture(training, validation, components, &mut rng, watch).map(Generator::Mixture)
        }
        GeneratorKind::Flow => {
            best_flow(training, validation, request, &mut rng, watch).map(Generator::Flow)
        }
    }
}

/// Numbers of components that are tried, from how many starts each, and after how many in a row without gain the search ends.
const COMPONENTS: [usize; 10] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const STARTS: usize = 3;
const PATIENCE: usize = 3;

/// The mixture that the validation rows are most likely under.
fn best_mixture(
    training: &Tensor,
    validation: &Tensor,
    components: Option<usize>,
    rng: &mut Stream,
    watch: &mut Watch,
) -> Result<Mixture, Error> {
    let candidates = components.map_or(COMPONENTS.to_vec(), |k| vec![k]);
    let mut best = Mixture::fit(
        training,
        candidates[0].min(training.size()[0] as usize),
        rng,
    );
    let of = |m: &Mixture| {
        tch::no_grad(|| {
            m.log_density(validation)
                .mean(Kind::Double)
                .double_value(&[])
        })
    };
    let mut reached = of(&best);
    let mut without_gain = 0;
    for (i, &k) in candidates.iter().enumerate() {
        let before = reached;
        for _ in 0..STARTS {
            let mixture = Mixture::fit(training, k.min(training.size()[0] as usize), rng);
            let value = of(&mixture);
            if value > reached {
                (best, reached) = (mixture, value);
            }
        }
        without_gain = if reached > before {
            0
        } else {
            without_gain + 1
        };
        watch.at(
            Stage::Generator,
            i + 1,
            candidates.len(),
            &format!("validation {reached:.3} nats"),
        )?;
        if without_gain == PATIENCE {
            break;
        }
    }
    Ok(best)
}

/// Checks of a flow on the validation rows.
const FLOW_CHECKS: usize = 20;

/// The flow of those met along maximum likelihood that the validation rows are most likely under.
fn best_flow(
    training: &Tensor,
    validation: &Tensor,
    request: &Request,
    rng: &mut Stream,
    watch: &mut Watch,
) -> Result<Flow, Error> {
    let settings = &request.settings.flow;
    let dim = training.size()[1] as usize;
    let flow = Flow::new(dim, settings.layers, &settings.hidden, rng);
    let mut optimizer = adam(
        settings.learning_rate,
        flow.named("").into_iter().map(|(_, t)| t).collect(),
    );
    let of = |flow: &Flow| {
        tch::no_grad(|| {
            flow.log_density(validation)
                .mean(Kind::Double)
                .double_value(&[])
        })
    };
    let weights = |flow: &Flow| {
        let mut state = StateDict::default();
        state.extend(flow.named(""));
        state
    };
    let (mut reached, mut kept) = (of(&flow), weights(&flow));
    let every = settings.steps.div_ceil(FLOW_CHECKS);
    for k in 0..settings.steps {
        let left = 1.0 - 0.99 * k as f64 / settings.steps as f64;
        optimizer.set_learning_rate(settings.learning_rate * left);
        let rows = training.index_select(0, &indices(training.size()[0], settings.batch, rng));
        optimizer.step(&-flow.log_density(&rows).mean(Kind::Double));
        if (k + 1) % every == 0 || k + 1 == settings.steps {
            let value = of(&flow);
            if value > reached {
                (reached, kept) = (value, weights(&flow));
            }
        }
        watch.at(
            Stage::Generator,
            k + 1,
            settings.steps,
            &format!("validation {reached:.3} nats"),
        )?;
    }
    kept.copy_all(flow.named(""))?;
    Ok(flow)
}
