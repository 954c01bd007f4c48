//! Behaviour cloning: maximum likelihood of the demonstrated actions.
//!
//! Pomerleau 1991: minimise −E_P[log π_φ(a | s)]. Some episodes are held out, and the weights with
//! the best held-out likelihood are kept.

use costate_envs::Trajectory;
use costate_envs::rng::stream;
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::algorithm::{Algorithm, Behaviour, Cloning};
use super::best_so_far::BestSoFar;
use super::{Learner, Report, Setup, learning_rate_factor, split_held_out};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::error::Error;
use crate::metric::Metric;
use crate::nn::{Adam, AdamSettings, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, PolicySettings};
use costate_base::schema::{fraction, positive, proper_fraction, resumable};

/// Settings of [`Bc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BcSettings {
    /// Passes over the demonstrations.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Steps in a minibatch.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Adam's step size.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Factor of the step size in the last pass; it falls linearly from 1.
    #[serde(default = "super::one")]
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// Share of the episodes held out to choose the weights; 0 keeps the last ones.
    #[schemars(transform = proper_fraction)]
    pub held_out: f64,
    /// The policy.
    pub policy: PolicySettings,
}

impl Algorithm for BcSettings {
    const NAME: &'static str = "bc";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/bc.json");
}

impl Behaviour for BcSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(Bc::new(self, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.policy.check_initial()
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![("learning_rate", self.learning_rate)]
    }

    fn cloning(&self) -> Option<Cloning> {
        Some(Cloning::Likelihood)
    }
}

/// The learner.
pub struct Bc {
    settings: BcSettings,
    seed: u64,
    train: TrajectoryBatch,
    held_out: Option<TrajectoryBatch>,
    policy: BestSoFar<GaussianPolicy>,
}

impl Learner for Bc {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let factor = learning_rate_factor(s.learning_rate_end_factor, k, s.iterations);
        let policy = &mut self.policy;
        policy.optimizer.set_learning_rate(s.learning_rate * factor);
        let train_loss = fit_pass(
            &policy.current,
            &mut policy.optimizer,
            &self.train,
            s.minibatch,
            self.seed,
            k,
        );
        let held_out = self.held_out.as_ref();
        let held_out_loss = held_out.map(|b| negative_log_likelihood(&policy.current, b));
        policy.offer(held_out_loss, k)?;
        let mut diagnostics = vec![(Metric::Loss, train_loss)];
        diagnostics.extend(held_out_loss.map(|loss| (Metric::HeldOutLoss, loss)));
        diagnostics.push((
            Metric::PolicyStd,
            policy.current.mean_std(&self.train.starts),
        ));
        Ok(Report {
            diagnostics,
            env_steps: 0,
            audit: None,
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.policy.best)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        self.policy.save()
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)
    }
}

impl Bc {
    /// A learner at its start.
    pub fn new(settings: &BcSettings, setup: &Setup) -> Result<Self, Error> {
        let spec = setup.factory.spec();
        let (held_out, train) = split_held_out(setup.demonstrations, settings.held_out);
        let normalizer = Normalizer::fit(spec.observation.dim(), &[setup.demonstrations]);
        let policy = || {
            let mut rng = stream(setup.seed, "policy_weights", 0);
            let scale = ActionScale::of(spec);
            GaussianPolicy::new(
                &spec.name,
                &settings.policy,
                normalizer.clone(),
                scale,
                &mut rng,
            )
        };
        Ok(Self {
            settings: settings.clone(),
            seed: setup.seed,
            train: TrajectoryBatch::new(train)
                .ok_or_else(|| Error::Misuse("no demonstrations to clone".into()))?,
            held_out: TrajectoryBatch::new(held_out),
            policy: BestSoFar::new([policy(), policy()], settings.learning_rate),
        })
    }
}

/// `passes` of maximum likelihood with usual settings: how other learners warm a policy up, or fit the
/// demonstrations' density.
pub fn fit(policy: &GaussianPolicy, batch: &TrajectoryBatch, passes: usize, seed: u64) {
    let adam = AdamSettings {
        learning_rate: 1e-3,
        max_gradient_norm: None,
    };
    let mut optimizer = Adam::new(adam, policy.parameters());
    for pass in 0..passes {
        fit_pass(policy, &mut optimizer, batch, 256, seed, pass);
    }
}

/// Maximum likelihood with a fifth of the demonstrations held out, for `steps` steps whose size falls to a
/// thirtieth; `policy` ends with the weights that were the most likely on the held-out ones, so that its σ is
/// honest where the demonstrations are few.
pub fn fit_held_out(
    policy: &mut GaussianPolicy,
    demonstrations: &[Trajectory],
    steps: usize,
    seed: u64,
) -> Result<(), StateError> {
    const MINIBATCH: usize = 256;
    const LOOK_EVERY: usize = 50;
    let held = (demonstrations.len() / 5).max(1);
    let (held_out, train) = match demonstrations.len() {
        // One demonstration: it has to do for both.
        1 => (demonstrations, demonstrations),
        _ => demonstrations.split_at(held),
    };
    let (Some(held_out), Some(train)) =
        (TrajectoryBatch::new(held_out), TrajectoryBatch::new(train))
    else {
        return Ok(());
    };
    let adam = AdamSettings {
        learning_rate: 3e-3,
        max_gradient_norm: None,
    };
    let mut optimizer = Adam::new(adam, policy.parameters());
    let mut best = StateDict::default();
    policy.save(&mut best);
    let mut least = negative_log_likelihood(policy, &held_out);
    let mut order = Vec::new();
    for step in 0..steps {
        if order.len() < MINIBATCH {
            let mut pass: Vec<i64> = (0..train.steps() as i64).collect();
            pass.shuffle(&mut stream(seed, "base_order", step as u64));
            order.extend(pass);
        }
        let rows: Vec<i64> = order.drain(..MINIBATCH.min(order.len())).collect();
        let share = 1.0 - step as f64 / steps as f64;
        optimizer.set_learning_rate(adam.learning_rate * share.max(1.0 / 30.0));
        let pick = |t: &Tensor| t.index_select(0, &Tensor::from_slice(&rows));
        let log_density = policy.log_density(&pick(&train.observations), &pick(&train.actions));
        optimizer.step(&-log_density.mean(Kind::Double));
        if (step + 1) % LOOK_EVERY == 0 || step + 1 == steps {
            let loss = negative_log_likelihood(policy, &held_out);
            if loss < least {
                least = loss;
                best = StateDict::default();
                policy.save(&mut best);
            }
        }
    }
    policy.load(&best)
}

/// One pass of maximum likelihood over the steps of a batch, in an order of its own for every `k`.
/// Returns the mean −log π(a | s) seen.
pub(super) fn fit_pass(
    policy: &GaussianPolicy,
    optimizer: &mut Adam,
    batch: &TrajectoryBatch,
    minibatch: usize,
    seed: u64,
    k: usize,
) -> f64 {
    let mut order: Vec<i64> = (0..batch.steps() as i64).collect();
    order.shuffle(&mut stream(seed, "bc_order", k as u64));
    let (mut total, mut count) = (0.0, 0);
    for indices in order.chunks(minibatch.max(1)) {
        let pick = |t: &Tensor| t.index_select(0, &Tensor::from_slice(indices));
        let log_density = policy.log_density(&pick(&batch.observations), &pick(&batch.actions));
        let loss = -log_density.mean(Kind::Double);
        total += loss.double_value(&[]);
        count += 1;
        optimizer.step(&loss);
    }
    total / f64::from(count.max(1))
}

/// −E[log π(a | s)] over all steps.
fn negative_log_likelihood(policy: &GaussianPolicy, batch: &TrajectoryBatch) -> f64 {
    let mean = tch::no_grad(|| policy.log_density(&batch.observations, &batch.actions))
        .mean(Kind::Double)
        .double_value(&[]);
    -mean
}
