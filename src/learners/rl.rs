//! Reinforcement learning on a given cost: the true one, learned ones, written ones, or their sum.
//!
//! On the true cost it makes demonstrators for worlds without an analytic controller (`costate expert`); on learned
//! costs it puts them to use again (`costate train --algo rl`). The one learner that may see true costs; imitation
//! learners never use it.

use std::sync::Arc;

use costate_envs::rng::{derive_seed, stream};
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{End, EnvFactory, Episode, Trajectory};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::frozen::excess;
use super::{Learner, Report, Task, diverged, learning_rate_share};
use crate::audit::Sealer;
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::error::Error;
use crate::improve::{Ppo, PpoSettings};
use crate::nn::{StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, PolicySettings};

/// Settings of [`Rl`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RlSettings {
    /// Rounds of rollout and improvement.
    pub iterations: usize,
    /// Episodes an iteration.
    pub trajectories: usize,
    /// Variant of the environment to train in, e.g. one that ends when a robot falls.
    pub variant: Option<String>,
    /// Control steps in a training episode; the environment's own horizon if null.
    pub horizon: Option<usize>,
    /// Cost of every step after a terminal state, for ever: γ c/(1 − γ) is added to the last step.
    /// Without it, ending early would be the cheapest thing to do.
    pub terminal_cost: f64,
    /// Temperature α: the policy minimises E[Σ c + α log π]; [`DEFAULT_TEMPERATURE`] if null.
    pub temperature: Option<f64>,
    /// Weight of Σ_i max(0, |a_i| − 1)², a in half ranges: a cost of the state alone cannot see what a command beyond
    /// its limits is, for it changes nothing. None of it if null.
    #[serde(default)]
    pub excess_weight: Option<f64>,
    /// Share of the learning rate left in the last iteration; it falls linearly.
    pub learning_rate_left: f64,
    /// The policy.
    pub policy: PolicySettings,
    /// Policy improvement.
    pub ppo: PpoSettings,
}

/// α where no learned cost says what it needs: enough to keep exploring, too little to matter.
pub const DEFAULT_TEMPERATURE: f64 = 1e-3;

/// The learner.
pub struct Rl {
    settings: RlSettings,
    seed: u64,
    cost: ComposedCost,
    factory: EnvFactory,
    pool: RolloutPool,
    sealer: Sealer,
    policy: GaussianPolicy,
    ppo: Ppo,
}

impl Learner for Rl {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.ppo.slow_down(left);

        let episodes = self.collect("rollout", k, s.trajectories)?;
        let batch = TrajectoryBatch::new(episodes.iter().map(|e| &e.trajectory))
            .ok_or_else(|| Error::Failure("no episodes were collected".into()))?;
        let behaviour = batch.behaviour.clone().unwrap_or_default();
        let truth: Vec<f64> = episodes.iter().flat_map(|e| e.costs.clone()).collect();
        let cost = self.cost.shaped_cost(&batch, &truth);
        let excess_weight = s.excess_weight.unwrap_or(0.0);
        let excess = match excess_weight {
            0.0 => vec![0.0; cost.len()],
            _ => excess(self.policy.action_scale(), &batch),
        };
        let after = s.ppo.discount * s.terminal_cost / (1.0 - s.ppo.discount).max(1e-3);
        let extra = episodes.iter().flat_map(|e| {
            let last = e.costs.len() - 1;
            let fell = e.trajectory.end() == End::Terminated;
            (0..=last).map(move |t| if fell && t == last { after } else { 0.0 })
        });
        let alpha = s.temperature.unwrap_or(DEFAULT_TEMPERATURE);
        // c + α log π, and what no cost of a step holds: an end before the horizon, commands beyond their limits.
        let soft_cost: Vec<f64> = cost
            .iter()
            .zip(&behaviour)
            .zip(excess.iter().zip(extra))
            .map(|((c, log_density), (excess, extra))| {
                c + extra + excess_weight * excess + alpha * log_density
            })
            .collect();
        let behaviour = Tensor::from_slice(&behaviour);
        let report = self
            .ppo
            .improve(&self.policy, &batch, &soft_cost, &behaviour, self.seed, k);
        if !self.policy.is_finite() {
            return Err(diverged(k));
        }
        let successes = episodes.iter().filter(|e| e.success == Some(true)).count();
        let steps = batch.steps() as f64;
        Ok(Report {
            diagnostics: vec![
                ("step_cost", cost.iter().sum::<f64>() / steps),
                ("episode_steps", steps / episodes.len() as f64),
                ("success", successes as f64 / episodes.len() as f64),
                ("entropy", report.entropy),
                ("policy_std", self.policy.mean_std(&batch.starts)),
                ("kl", report.kl),
                ("passes", report.passes),
                ("policy_gradient_norm", report.gradient_norm),
                ("value_error", report.value_error),
            ],
            env_steps: batch.steps() as u64,
            audit: Some(self.sealer.seal(&episodes)),
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.policy.save(&mut state);
        self.ppo.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.ppo.load(state)
    }
}

impl Rl {
    /// A learner at its start: weights from the seed, scales from the untrained policy's rollouts.
    pub fn new(settings: &RlSettings, cost: ComposedCost, task: &Task) -> Result<Self, Error> {
        let seed = task.seed;
        let mut config = task.factory.config().clone();
        if let Some(variant) = &settings.variant {
            config.apply_variant(variant)?;
        }
        if let Some(horizon) = settings.horizon {
            config.set("task.horizon", &horizon.to_string())?;
        }
        let factory = config.factory()?;
        let spec = factory.spec();
        let new_policy = |normalizer: Normalizer| {
            let mut rng = stream(seed, "policy_weights", 0);
            let scale = ActionScale::of(spec);
            GaussianPolicy::new(&spec.name, &settings.policy, normalizer, scale, &mut rng)
        };
        let dim = spec.observation.dim();
        let naive = new_policy(Normalizer::identity(dim));
        let mut learner = Self {
            settings: settings.clone(),
            seed,
            cost,
            pool: RolloutPool::new(task.workers),
            sealer: task.sealer.clone(),
            ppo: Ppo::new(
                &settings.ppo,
                &naive,
                &mut stream(seed, "critic_weights", 0),
            ),
            policy: naive,
            factory: factory.clone(),
        };
        let first: Vec<Trajectory> = learner
            .collect("normalizer", 0, settings.trajectories)?
            .into_iter()
            .map(|e| e.trajectory)
            .collect();
        learner.policy = new_policy(Normalizer::fit(dim, &[&first]));
        learner.ppo = Ppo::new(
            &settings.ppo,
            &learner.policy,
            &mut stream(seed, "critic_weights", 0),
        );
        Ok(learner)
    }

    fn collect(&self, name: &str, batch: usize, count: usize) -> Result<Vec<Episode>, Error> {
        let jobs: Vec<Job> = (0..count)
            .map(|i| Job::new(derive_seed(self.seed, name, (batch * count + i) as u64)))
            .collect();
        let actor = Arc::new(self.policy.freeze());
        Ok(self
            .pool
            .collect(&self.factory, &actor, ActionChoice::Sample, &jobs)?)
    }
}
