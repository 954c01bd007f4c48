//! Generators by maximum likelihood, sizes selected on the validation rows.

use costate_envs::rng::{Stream, stream};
use tch::{Kind, Tensor};

use super::fit::Request;
use super::flow::Flow;
use super::generator::{Generator, GeneratorKind};
use super::learn::{Stage, Watch, adam, check_finite, indices};
use super::mean_in_chunks;
use super::mixture::Mixture;
use super::settings::Settings;
use crate::error::Error;
use crate::nn::StateDict;

/// Fits the generator by maximum likelihood.
pub fn fit_generator(
    training: &Tensor,
    validation: &Tensor,
    request: &Request,
    watch: &mut Watch,
) -> Result<Generator, Error> {
    let settings = request.settings;
    let mut rng = stream(request.seed, "ebm generator", 0);
    if request.generator == GeneratorKind::Mixture {
        let components = settings.mixture.components;
        return best_mixture(training, validation, components, &mut rng, watch)
            .map(Generator::Mixture);
    }
    let dim = training.size()[1] as usize;
    let plain = || Mixture::blank(dim, 1);
    let latents = match settings.flow.components {
        Some(1) => vec![plain()],
        components => {
            let mixture = best_mixture(training, validation, components, &mut rng, watch)?;
            match (components, mixture.components()) {
                (None, 1) => vec![plain()],
                (None, _) => vec![plain(), mixture],
                (Some(_), _) => vec![mixture],
            }
        }
    };
    let mut best: Option<Reached> = None;
    for latent in latents {
        let flow = Flow::new(
            latent,
            settings.flow.layers,
            &settings.flow.hidden,
            &mut rng,
        );
        let reached = fit_flow(flow, training, validation, settings, &mut rng, watch)?;
        if best
            .as_ref()
            .is_none_or(|b| reached.validation > b.validation)
        {
            best = Some(reached);
        }
    }
    let flow = best
        .ok_or_else(|| Error::Failure("no flow was fitted".into()))?
        .flow;
    Ok(Generator::Flow(flow))
}

/// Numbers of components tried, starts per number, and the number of tries without gain that ends the search.
const COMPONENTS: [usize; 10] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32];
const STARTS: usize = 3;
const PATIENCE: usize = 3;

/// The mixture with the highest validation likelihood.
fn best_mixture(
    training: &Tensor,
    validation: &Tensor,
    components: Option<usize>,
    rng: &mut Stream,
    watch: &mut Watch,
) -> Result<Mixture, Error> {
    let candidates = components.map_or(COMPONENTS.to_vec(), |k| vec![k]);
    let rows = training.size()[0] as usize;
    let (mut best, mut reached) = (None, f64::NEG_INFINITY);
    let mut without_gain = 0;
    for (i, &k) in candidates.iter().enumerate() {
        let before = reached;
        for start in 0..STARTS {
            let mixture = Mixture::fit(training, k.min(rows), rng);
            let value = mean_in_chunks(validation, &|x| mixture.log_density(x));
            if value > reached {
                (best, reached) = (Some(mixture), value);
            }
            watch.at(
                Stage::Generator,
                i * STARTS + start + 1,
                candidates.len() * STARTS,
                &format!("validation {reached:.3} nats"),
            )?;
        }
        without_gain = if reached > before {
            0
        } else {
            without_gain + 1
        };
        if without_gain == PATIENCE {
            break;
        }
    }
    best.ok_or_else(|| Error::Failure("no mixture was fitted: no likelihood was finite".into()))
}

/// Checks of a flow on the validation rows.
const FLOW_CHECKS: usize = 20;

/// A flow and the mean log-likelihood of the validation rows under it.
struct Reached {
    flow: Flow,
    validation: f64,
}

/// The flow with the highest validation likelihood among the checks of the fit.
fn fit_flow(
    flow: Flow,
    training: &Tensor,
    validation: &Tensor,
    settings: &Settings,
    rng: &mut Stream,
    watch: &mut Watch,
) -> Result<Reached, Error> {
    let settings = &settings.flow;
    let parameters = |flow: &Flow| -> Vec<Tensor> {
        let named = flow.named("").into_iter();
        named.map(|(_, t)| t).collect()
    };
    let mut optimizer = adam(settings.learning_rate, parameters(&flow));
    let of = |flow: &Flow| mean_in_chunks(validation, &|x| flow.log_density(x));
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
        let penalty = flow.squared_weights() * settings.weight_penalty;
        optimizer.step(&(penalty - flow.log_density(&rows).mean(Kind::Double)));
        if (k + 1) % every == 0 || k + 1 == settings.steps {
            let rate = ("flow.learning_rate", settings.learning_rate);
            check_finite("the flow", &parameters(&flow), &[rate])?;
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
    Ok(Reached {
        flow,
        validation: reached,
    })
}
