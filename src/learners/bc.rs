//! Behaviour cloning: maximum likelihood of the demonstrated actions.
//!
//! Pomerleau 1991: minimise −E_P[log π_φ(a | s)], by the recipe of `cloning`: with shipped settings the policy is
//! the base policy π_0 that GAN-GCL starts from.

use costate_envs::rng::stream;
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::algorithm::{Algorithm, Behaviour, Cloning};
use super::cloning::{Cloner, LOOK_EVERY, Recipe, ascend, clone_by, set_aside};
use super::generator::{SCALE_ROLLOUTS, scaled_policy};
use super::{Learner, Report, Setup, diverged};
use crate::batch::TrajectoryBatch;
use crate::collect::Collector;
use crate::cost::{ComposedCost, EnergyModel};
use crate::error::Error;
use crate::metric::Metric;
use crate::nn::{self, Adam, AdamSettings, Descent, StateDict, StateError};
use crate::policy::{GaussianPolicy, Learned, Likelihood, PolicySettings};
use costate_base::schema::{fraction, positive, resumable};

/// Settings of [`Bc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BcSettings {
    /// Blocks of 50 gradient steps; after each the held-out likelihood is looked at.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// State-action pairs in a minibatch.
    #[schemars(range(min = 1))]
    pub minibatch: usize,
    /// Adam's step size.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// The step size falls linearly towards 0, but not below this factor of it.
    #[serde(default = "super::one")]
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// Folds of the cross-validation that chooses the step to stop at where there are fewer than ten demonstrations; of
    /// more, a fifth is held out. 1 always holds out a fifth.
    #[serde(default = "super::single")]
    #[schemars(range(min = 1))]
    pub folds: usize,
    /// Images of every demonstration under the world's symmetries that are learned from, too: `costate envs ENV` names them.
    /// A mirror makes one, a rotation any number.
    #[serde(default)]
    pub symmetric_copies: usize,
    /// The policy.
    pub policy: PolicySettings,
}

impl BcSettings {
    fn recipe(&self) -> Recipe {
        Recipe {
            steps: self.iterations * LOOK_EVERY,
            minibatch: self.minibatch,
            learning_rate: self.learning_rate,
            learning_rate_end_factor: self.learning_rate_end_factor,
            folds: self.folds,
        }
    }

    /// The policy before the first step.
    fn start(&self, setup: &Setup) -> Result<GaussianPolicy, Error> {
        let collector = Collector::new(setup.factory, setup.player(), setup.seed, setup.sealer);
        scaled_policy(&self.policy, setup, &collector, SCALE_ROLLOUTS)
    }
}

impl Algorithm for BcSettings {
    const NAME: &'static str = "bc";
    const ABOUT: &'static str = "behaviour cloning: the likelihood of the demonstrated actions";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/bc.json");
}

impl Behaviour for BcSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(Bc::new(self, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.policy.check_initial()
    }

    fn symmetric_copies(&self) -> usize {
        self.symmetric_copies
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![("learning_rate", self.learning_rate)]
    }

    fn cloning(&self) -> Option<Cloning> {
        Some(Cloning::Likelihood)
    }

    fn needs_simulator(&self) -> bool {
        false
    }

    fn held_out(&self, demonstrations: usize) -> usize {
        set_aside(demonstrations, self.folds).unwrap_or(0)
    }
}

/// The learner.
pub struct Bc {
    iterations: usize,
    cloner: Cloner,
    demonstrations: TrajectoryBatch,
}

impl Learner for Bc {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let losses = self.cloner.advance();
        let current = self.cloner.current();
        if !current.is_finite() {
            return Err(diverged(k));
        }
        Ok(Report {
            diagnostics: vec![
                (Metric::Loss, losses.train),
                (Metric::HeldOutLoss, losses.held_out),
                (
                    Metric::PolicyStd,
                    current.mean_std(&self.demonstrations.starts),
                ),
            ],
            env_steps: 0,
            audit: None,
            ..Report::default()
        })
    }

    fn iterations(&self) -> usize {
        self.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(self.cloner.best())
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        self.cloner.save()
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.cloner.load(state)
    }
}

impl Bc {
    /// A learner in its initial state.
    ///
    /// Errors: no demonstrations.
    pub fn new(settings: &BcSettings, setup: &Setup) -> Result<Self, Error> {
        let policy = settings.start(setup)?;
        Ok(Self {
            iterations: settings.iterations,
            cloner: Cloner::new(&policy, setup, settings.recipe())?,
            demonstrations: TrajectoryBatch::new(setup.demonstrations)
                .ok_or_else(|| Error::Misuse("no demonstrations to clone".into()))?,
        })
    }
}

/// The policy that `settings` clone, without a learner that could be saved on the way; `go_on` is told how many iterations
/// were done. `None` where it did not let the cloning end.
///
/// Errors: no demonstrations.
pub fn clone(
    settings: &BcSettings,
    setup: &Setup,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<GaussianPolicy>, Error> {
    let mut policy = settings.start(setup)?;
    let done = clone_by(&mut policy, setup, settings.recipe(), &mut |steps| {
        go_on(steps / LOOK_EVERY)
    })?;
    Ok(done.then_some(policy))
}

/// `passes` of maximum likelihood with typical settings: how other learners warm-start a policy or fit the
/// demonstrations' density.
pub fn fit(policy: &mut GaussianPolicy, batch: &TrajectoryBatch, passes: usize, seed: u64) {
    let adam = AdamSettings {
        learning_rate: 1e-3,
        max_gradient_norm: None,
    };
    let mut optimizer = Adam::new(adam, policy.parameters());
    for pass in 0..passes {
        fit_pass(policy, &mut optimizer, batch, 256, seed, pass);
    }
}

/// One pass of maximum likelihood over the steps of a batch, in an order of its own for every `k`.
/// Returns the mean −log π(a | s) seen.
pub(super) fn fit_pass(
    policy: &mut GaussianPolicy,
    optimizer: &mut Adam,
    batch: &TrajectoryBatch,
    minibatch: usize,
    seed: u64,
    k: usize,
) -> f64 {
    let mut order: Vec<usize> = (0..batch.steps()).collect();
    order.shuffle(&mut stream(seed, "bc_order", k as u64));
    let (states, actions) = (policy.inputs(&batch.observations), nn::rows(&batch.actions));
    let (mut likelihood, mut descent) = (Likelihood::of(policy), Descent::of(optimizer));
    let (mut total, mut count) = (0.0, 0);
    for rows in order.chunks(minibatch.max(1)) {
        total += ascend(&mut likelihood, &mut descent, &states, &actions, rows);
        count += 1;
    }
    policy.set_weights(likelihood.weights());
    descent.store(optimizer);
    total / f64::from(count.max(1))
}
