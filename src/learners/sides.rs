//! What the adversarial learners share: settings, and the two sides that they start with.

use tch::Tensor;

use super::Task;
use super::cost_side::{CostSide, CostSideSettings};
use super::frozen::FrozenCostSettings;
use super::generator::{Generator, GeneratorSettings};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, Regularizers};
use crate::error::Error;
use crate::improve::{Improvement, PpoSettings, SacSettings};
use crate::policy::PolicySettings;

/// The settings that all adversarial learners have, borrowed from one of them.
#[derive(Debug, Clone, Copy)]
pub struct Shared<'a> {
    /// Iterations.
    pub iterations: usize,
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Passes of behaviour cloning that the policy starts with.
    pub warm_start: usize,
    /// Steps of behaviour cloning that the policy starts with, judged by held-out demonstrations.
    pub clone_steps: usize,
    /// Steps of behaviour cloning behind the base policy.
    pub base_steps: usize,
    /// Share of the rollouts that start where a demonstration did.
    pub demonstrated_starts: f64,
    /// Whether rollouts are drawn while the learner learns.
    pub overlap: bool,
    /// Name of the setting for steps on the cost.
    pub cost_steps_name: &'static str,
    /// Steps on the cost an iteration.
    pub cost_steps: usize,
    /// Adam's step size for the cost.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration.
    pub learning_rate_left: f64,
    /// The cost.
    pub cost: &'a CostSettings,
    /// Weight of the policy's entropy.
    pub entropy_weight: f64,
    /// Penalties on it.
    pub regularizers: &'a Regularizers,
    /// The policy.
    pub policy: &'a PolicySettings,
    /// What improves it.
    pub improvement: Improvement,
    /// PPO.
    pub ppo: &'a PpoSettings,
    /// SAC.
    pub sac: &'a SacSettings,
}

/// [`Shared`] of the settings of one learner, with its name for steps on the cost.
macro_rules! shared {
    ($settings:expr, $steps:ident) => {
        $crate::learners::sides::Shared {
            iterations: $settings.iterations,
            trajectories: $settings.trajectories,
            warm_start: $settings.warm_start,
            clone_steps: $settings.clone_steps,
            base_steps: 0,
            demonstrated_starts: 0.0,
            overlap: false,
            cost_steps_name: stringify!($steps),
            cost_steps: $settings.$steps,
            cost_learning_rate: $settings.cost_learning_rate,
            learning_rate_left: $settings.learning_rate_left,
            cost: &$settings.cost,
            entropy_weight: 1.0,
            regularizers: &$settings.regularizers,
            policy: &$settings.policy,
            improvement: $settings.improvement,
            ppo: &$settings.ppo,
            sac: &$settings.sac,
        }
    };
}
pub(super) use shared;

impl Shared<'_> {
    /// Whether the policy starts as a clone of the demonstrations.
    pub fn starts_cloned(&self) -> bool {
        self.warm_start + self.clone_steps + self.base_steps > 0
    }

    /// Discount γ of whatever improves the policy.
    pub fn discount(&self) -> f64 {
        self.improvement.discount(self.ppo, self.sac)
    }

    /// What a fresh policy pays for commands beyond their limits: a nat for a squared half range, where the cost does
    /// not see them.
    pub fn excess_weight(&self) -> f64 {
        f64::from(u8::from(!self.cost.sees_actions()))
    }

    /// How a fresh policy is trained on the learned cost: as the learner's own.
    pub fn fresh(&self) -> FrozenCostSettings {
        FrozenCostSettings {
            iterations: self.iterations,
            trajectories: self.trajectories,
            learning_rate_left: self.learning_rate_left,
            entropy_weight: self.entropy_weight,
            excess_weight: self.excess_weight(),
            policy: self.policy.clone(),
            improvement: self.improvement,
            ppo: self.ppo.clone(),
            sac: self.sac.clone(),
        }
    }
}

/// The side that acts, the side that judges, and what both learn from.
pub struct Sides {
    /// The policy.
    pub generator: Generator,
    /// The cost.
    pub cost: CostSide,
    /// The demonstrations.
    pub demonstrations: TrajectoryBatch,
}

impl Sides {
    /// Both at their start; `more` are weights that learn with the cost.
    pub fn new(settings: Shared, task: &Task, more: Vec<Tensor>) -> Result<Self, Error> {
        let generator_settings = GeneratorSettings {
            iterations: settings.iterations,
            overlap: settings.overlap,
            trajectories: settings.trajectories,
            warm_start: settings.warm_start,
            clone_steps: settings.clone_steps,
            base_steps: settings.base_steps,
            demonstrated_starts: settings.demonstrated_starts,
            policy: settings.policy,
            improvement: settings.improvement,
            ppo: settings.ppo,
            sac: settings.sac,
        };
        let (generator, demonstrations) = Generator::new(generator_settings, task)?;
        let cost_settings = CostSideSettings {
            regularizers: settings.regularizers,
            learning_rate: settings.cost_learning_rate,
        };
        let model = generator.energy_model(settings.cost)?;
        Ok(Self {
            cost: CostSide::new(cost_settings, model, &demonstrations, more),
            generator,
            demonstrations,
        })
    }
}
