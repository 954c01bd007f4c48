//! Reinforcement learning on a frozen learned cost: is it a cost that a fresh policy can be trained on?
//!
//! Minimises E_q[Σ c(s_t, a_t) + α log π(a_t | s_t)] with c fixed, from a policy that knows nothing: maximum
//! entropy reinforcement learning (Ziebart 2010) by soft PPO, with the α that the cost was learned with.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::generator::{Generator, GeneratorSettings, Sampled};
use super::{Learner, Report, Task, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::improve::{Improvement, Objective, PpoSettings, SacSettings};
use crate::nn::{self, StateDict, StateError};
use crate::policy::{ActionScale, Learned, PolicySettings};

/// How a cost is validated.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationSettings {
    /// Fresh policies for each discount; 0 skips the validation.
    pub policies: usize,
    /// Discounts γ that they are trained with.
    pub discounts: Vec<f64>,
    /// Iterations of each.
    pub iterations: usize,
    /// Trajectories of each in an iteration.
    pub trajectories: usize,
    /// Adam's step size for each: a policy that knows nothing may take larger steps than one that starts as a
    /// clone.
    #[serde(default = "usual_learning_rate")]
    pub learning_rate: f64,
}

fn usual_learning_rate() -> f64 {
    3e-3
}

impl ValidationSettings {
    /// Seed and discount of every fresh policy.
    pub fn plan(&self) -> Vec<(u64, f64)> {
        let seeds = 0..self.policies as u64;
        seeds
            .flat_map(|seed| self.discounts.iter().map(move |&discount| (seed, discount)))
            .collect()
    }
}

/// Settings of [`FrozenCost`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrozenCostSettings {
    /// Iterations: each samples and improves the policy.
    pub iterations: usize,
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Share of the step size that is left in the last iteration; it falls linearly.
    pub learning_rate_left: f64,
    /// Weight α of the policy's entropy.
    #[serde(default = "super::one")]
    pub entropy_weight: f64,
    /// Weight of Σ_i max(0, |a_i| − 1)², a in half ranges: a cost of the state alone cannot see what a command beyond
    /// its limits is, for it changes nothing.
    #[serde(default)]
    pub excess_weight: f64,
    /// The policy.
    pub policy: PolicySettings,
    /// What improves the policy.
    #[serde(default)]
    pub improvement: Improvement,
    /// Policy improvement.
    pub ppo: PpoSettings,
    /// Policy improvement by SAC.
    #[serde(default)]
    pub sac: SacSettings,
}

impl FrozenCostSettings {
    /// The same with discount γ, whatever improves the policy.
    pub fn with_discount(mut self, discount: f64) -> Self {
        self.ppo.discount = discount;
        self.sac.discount = discount;
        self
    }

    /// Discount γ that the policy is trained with.
    pub fn discount(&self) -> f64 {
        self.improvement.discount(&self.ppo, &self.sac)
    }
}

/// The learner.
pub struct FrozenCost<'a> {
    settings: FrozenCostSettings,
    generator: Generator,
    cost: &'a EnergyModel,
}

impl Learner for FrozenCost<'_> {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        let samples = self.generator.sample(&self.generator.policy, k)?;
        let soft_cost = self
            .cost
            .soft_cost(&samples.batch, &samples.log_density, s.entropy_weight);
        let mean = soft_cost.iter().sum::<f64>() / soft_cost.len() as f64;
        let diagnostics = vec![("soft_cost", mean)];
        let scale = &self.generator.policy.action_scale().clone();
        let objective = Objective {
            cost: &|batch| {
                let mut cost = self.cost.shaped_cost(batch);
                if s.excess_weight > 0.0 {
                    let excess = excess(scale, batch);
                    cost.iter_mut()
                        .zip(excess)
                        .for_each(|(c, e)| *c += s.excess_weight * e);
                }
                cost
            },
            entropy_weight: s.entropy_weight,
        };
        self.generator
            .improve(self.cost, samples, &objective, left, k, diagnostics)
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.generator.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(self.cost)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.generator.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)
    }
}

/// Σ_i max(0, |a_i| − 1)² of every step, `[S]`, a in half ranges.
pub(super) fn excess(scale: &ActionScale, batch: &TrajectoryBatch) -> Vec<f64> {
    let beyond: Tensor = (scale.apply(&batch.actions).abs() - 1.0).clamp_min(0.0);
    let squares = beyond.square();
    nn::to_f64(&squares.sum_dim_intlist([1_i64].as_slice(), false, Kind::Double))
}

impl<'a> FrozenCost<'a> {
    /// Trajectories of the policy so far: those of iteration `k`.
    pub fn sample(&self, k: usize) -> Result<Sampled, Error> {
        self.generator.sample(&self.generator.policy, k)
    }

    /// A learner at its start. The demonstrations set the scales of observations, nothing else.
    pub fn new(
        settings: &FrozenCostSettings,
        cost: &'a EnergyModel,
        task: &Task,
    ) -> Result<Self, Error> {
        let generator_settings = GeneratorSettings {
            iterations: settings.iterations,
            overlap: false,
            trajectories: settings.trajectories,
            warm_start: 0,
            clone_steps: 0,
            base_steps: 0,
            demonstrated_starts: 0.0,
            policy: &settings.policy,
            improvement: settings.improvement,
            ppo: &settings.ppo,
            sac: &settings.sac,
        };
        let (generator, _) = Generator::new(generator_settings, task)?;
        Ok(Self {
            settings: settings.clone(),
            generator,
            cost,
        })
    }
}
