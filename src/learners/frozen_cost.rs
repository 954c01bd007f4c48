//! Reinforcement learning on a frozen learned cost: can a fresh policy be trained on it?
//!
//! Minimises E_q[Σ c(s_t, a_t) + α log π(a_t | s_t)] with c fixed, from an untrained policy: maximum
//! entropy reinforcement learning (Ziebart 2010) by soft PPO, with the α that the cost was learned with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::generator::{Generator, GeneratorSettings, Sampled, Start};
use super::{Learner, Report, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::improve::Objective;
use crate::metric::Metric;
use crate::nn::{self, StateDict, StateError};
use crate::policy::{ActionScale, Learned};
use costate_base::schema::{fractions, positive, resumable};

/// How a cost is validated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValidationSettings {
    /// Fresh policies for each discount; 0 skips the validation.
    #[schemars(transform = resumable)]
    pub policies: usize,
    /// Discounts γ that they are trained with.
    #[schemars(transform = fractions, transform = resumable)]
    pub discounts: Vec<f64>,
    /// Iterations of each.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Trajectories of each in an iteration.
    #[schemars(range(min = 1), transform = resumable)]
    pub trajectories: usize,
    /// Adam's step size for each: a policy that knows nothing may take larger steps than one that starts as a
    /// clone.
    #[serde(default = "usual_learning_rate")]
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Passes of PPO over an iteration's rollouts for each; null takes the learner's own `ppo.epochs`.
    #[serde(default)]
    #[schemars(range(min = 1), transform = resumable)]
    pub epochs: Option<usize>,
    /// Steps in a minibatch of PPO for each; null takes the learner's own `ppo.minibatch`. Smaller ones give more gradient
    /// steps and a fresh policy closer to the cost's optimum from the same rollouts.
    #[serde(default)]
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: Option<usize>,
    /// Policy change, nats, that ends PPO's passes for each; null takes the learner's own `ppo.target_kl`. A frozen cost does
    /// not move, so larger steps than the learner's own are safe.
    #[serde(default)]
    #[schemars(transform = positive, transform = resumable)]
    pub target_kl: Option<f64>,
    /// Whether fresh policies are also trained on the two parts of a cost relative to a base policy, −log π_0 alone
    /// and c_θ alone, to tell what the cost adds to the clone; takes three times as long.
    #[serde(default)]
    #[schemars(transform = resumable)]
    pub controls: bool,
}

fn usual_learning_rate() -> f64 {
    3e-3
}

/// No fresh policies, as in runs of versions that did not validate; the other values are valid where a resumed run asks
/// for some.
impl Default for ValidationSettings {
    fn default() -> Self {
        Self {
            policies: 0,
            discounts: vec![0.97],
            iterations: 60,
            trajectories: 32,
            learning_rate: usual_learning_rate(),
            epochs: None,
            minibatch: None,
            target_kl: None,
            controls: false,
        }
    }
}

impl ValidationSettings {
    /// Seed and discount of every fresh policy.
    pub fn plan(&self) -> Vec<(u64, f64)> {
        let seeds = 0..self.policies as u64;
        seeds
            .flat_map(|seed| self.discounts.iter().map(move |&discount| (seed, discount)))
            .collect()
    }

    /// How each fresh policy is trained under `discount`, `own` being how the learner trains its own.
    pub fn apply(&self, own: &mut GeneratorSettings, discount: f64) {
        own.ppo.discount = discount;
        own.sac.discount = discount;
        own.iterations = self.iterations;
        own.trajectories = self.trajectories;
        own.ppo.learning_rate = self.learning_rate;
        own.sac.learning_rate = self.learning_rate;
        own.sac.policy_learning_rate = None;
        own.ppo.epochs = self.epochs.unwrap_or(own.ppo.epochs);
        own.ppo.minibatch = self.minibatch.unwrap_or(own.ppo.minibatch);
        own.ppo.target_kl = self.target_kl.unwrap_or(own.ppo.target_kl);
    }

    /// Whether fresh policies on the whole cost are trained alike; controls do not change them.
    pub fn trains_like(&self, other: &Self) -> bool {
        let alike = Self {
            controls: other.controls,
            ..self.clone()
        };
        alike == *other
    }
}

/// Settings of [`FrozenCost`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrozenCostSettings {
    /// How the policy acts and improves.
    #[serde(flatten)]
    pub generator: GeneratorSettings,
    /// Weight α of the policy's entropy.
    pub entropy_weight: f64,
    /// Weight of Σ_i max(0, |a_i| − 1)², a in half ranges: a cost of the state alone cannot see what a command beyond
    /// its limits is, for it changes nothing.
    pub excess_weight: f64,
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
        let factor = s.generator.learning_rate_factor(k);
        let samples = self.generator.sample(&self.generator.policy, k)?;
        let soft_cost = self
            .cost
            .soft_cost(&samples.batch, &samples.log_density, s.entropy_weight);
        let mean = soft_cost.iter().sum::<f64>() / soft_cost.len() as f64;
        let diagnostics = vec![(Metric::SoftCost, mean)];
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
            .improve(samples, &objective, factor, k, diagnostics)
    }

    fn iterations(&self) -> usize {
        self.settings.generator.iterations
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
    /// Trajectories of the current policy, as drawn in iteration `k`.
    pub fn sample(&self, k: usize) -> Result<Sampled, Error> {
        self.generator.sample(&self.generator.policy, k)
    }

    /// A learner in its initial state. The demonstrations only set the scales of observations.
    pub fn new(
        settings: &FrozenCostSettings,
        cost: &'a EnergyModel,
        setup: &Setup,
    ) -> Result<Self, Error> {
        let own = &settings.generator;
        let rollouts = own.trajectories.min(32);
        Ok(Self {
            generator: Generator::untrained(own, Start::default(), setup, rollouts)?,
            settings: settings.clone(),
            cost,
        })
    }
}
