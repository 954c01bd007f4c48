//! Shared by all training methods: rows, progress, model selection.

use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rng::Stream;
use rand::RngExt;
use tch::{Kind, Tensor};

use super::ais::AisEstimate;
use super::energy::Energy;
use super::generator::Generator;
use super::mean_in_chunks;
use super::settings::Settings;
use crate::error::Error;
use crate::nn::{self, Adam, AdamSettings, StateDict};

/// Stage of a fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The generator is fitted by maximum likelihood.
    Generator,
    /// The energy is trained as a potential that transports.
    Transport,
    /// The energy is trained.
    Energy,
}

/// Observer of a fit, who may stop it.
pub struct Watch<'a> {
    /// Set it to stop.
    pub interrupt: &'a AtomicBool,
    /// Called with stage, steps done, total steps, and a status text.
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

/// Rows as tensors in whitened units.
pub struct Data {
    /// `[N, d]`.
    pub training: Tensor,
    /// log p_0 of them, `[N]`.
    pub log_base: Tensor,
    /// `[M, d]`.
    pub validation: Tensor,
}

/// Validation of an energy.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// Mean log-likelihood, nats in whitened units.
    log_likelihood: f64,
    /// Effective share of the draws behind log Z.
    ess_share: f64,
}

/// Below this share a check's log Z is too uncertain for selection.
const LEAST_ESS_SHARE: f64 = 0.02;

impl Check {
    /// With the estimated log Z.
    pub fn of(energy: &Energy, data: &Data, log_z: &AisEstimate) -> Self {
        let c = mean_in_chunks(&data.validation, &|x| energy.of(x));
        Self {
            log_likelihood: -c - log_z.log_z,
            ess_share: log_z.ess / log_z.chains as f64,
        }
    }
}

/// The best checked candidate.
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

    /// Keeps this candidate if it is better.
    pub fn offer(&mut self, check: Check, energy: &Energy, generator: Option<&Generator>) {
        self.checks += 1;
        self.last = check;
        if check.log_likelihood > self.check.log_likelihood && check.ess_share >= LEAST_ESS_SHARE {
            self.check = check;
            self.kept = self.checks;
            self.state = snapshot(energy, generator);
        }
    }

    /// Restores the best.
    pub fn restore(&self, energy: &Energy, generator: Option<&Generator>) -> Result<(), Error> {
        self.state.copy_all(energy.correction.named("energy."))?;
        if let Some(generator) = generator {
            self.state.copy_all(generator.named("generator."))?;
        }
        Ok(())
    }

    /// Index of the kept check; 0 is the start.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Whether the last check was the best: more rounds might help.
    pub fn is_last(&self) -> bool {
        self.kept > 0 && self.kept == self.checks
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

/// A running average of a network's weights (Polyak and Juditsky 1992), which is steadier than the weights themselves.
pub struct Average {
    weights: Vec<Tensor>,
    /// The network's tensors, sharing its storage.
    live: Vec<Tensor>,
    kept: f64,
    rounds: f64,
}

impl Average {
    /// An average that keeps the share `kept` per round.
    pub fn new(live: Vec<Tensor>, kept: f64) -> Self {
        Self {
            weights: live.iter().map(|t| t.detach().copy()).collect(),
            live,
            kept,
            rounds: 0.0,
        }
    }

    /// Adds the weights of a round. Early rounds have a larger weight, so that the start is forgotten soon.
    pub fn update(&mut self) {
        self.rounds += 1.0;
        let share = 1.0 - self.kept.min(self.rounds / (self.rounds + 9.0));
        nn::no_grad(|| {
            for (average, live) in self.weights.iter_mut().zip(&self.live) {
                let step = (live - &*average) * share;
                let _ = average.g_add_(&step);
            }
        });
    }

    /// Runs a function with the average in place of the weights.
    pub fn with<T>(&mut self, f: impl FnOnce() -> T) -> T {
        self.swap();
        let out = f();
        self.swap();
        out
    }

    fn swap(&mut self) {
        nn::no_grad(|| {
            for (average, live) in self.weights.iter_mut().zip(&mut self.live) {
                let before = live.detach().copy();
                live.copy_(average);
                average.copy_(&before);
            }
        });
    }
}

/// Gradients are clipped to this norm.
const LARGEST_GRADIENT: f64 = 10.0;

/// Adam with a clipped gradient.
pub(super) fn adam(learning_rate: f64, parameters: Vec<Tensor>) -> Adam {
    let settings = AdamSettings {
        learning_rate,
        max_gradient_norm: Some(LARGEST_GRADIENT),
    };
    Adam::new(settings, parameters)
}

/// Refuses non-finite weights: no later step recovers, and an earlier kept model would hide it. `rates` are the
/// step sizes to blame, with their values.
pub(super) fn check_finite(
    what: &str,
    weights: &[Tensor],
    rates: &[(&str, f64)],
) -> Result<(), Error> {
    if nn::all_finite(weights) {
        return Ok(());
    }
    let rates: Vec<String> = rates
        .iter()
        .map(|(name, now)| format!("{name} (now {now:?})"))
        .collect();
    Err(Error::Failure(format!(
        "{what} diverged: some weights are not finite; lower {} with --set",
        rates.join(" or ")
    )))
}

/// `count` indices of rows, with replacement.
pub(super) fn indices(rows: i64, count: usize, rng: &mut Stream) -> Tensor {
    let chosen: Vec<i64> = (0..count).map(|_| rng.random_range(0..rows)).collect();
    Tensor::from_slice(&chosen)
}

/// Factor of the step sizes in round `k`, which decays linearly to `learning_rate_end_factor`.
pub(super) fn left(settings: &Settings, k: usize) -> f64 {
    1.0 - (1.0 - settings.learning_rate_end_factor) * k as f64 / settings.rounds as f64
}

/// E[f²] over both groups, with equal weight each.
pub(super) fn size_of_correction(rows: &Tensor, negatives: &Tensor) -> Tensor {
    (rows.square().mean(Kind::Double) + negatives.square().mean(Kind::Double)) * 0.5
}
