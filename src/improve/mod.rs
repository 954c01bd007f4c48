//! Policy improvement against a given cost: minimising E_q[Σ c + α log π].

mod actor_critic;
mod entropy_weight;
mod gae;
mod ppo;
mod replay;
mod sac;

use costate_envs::rng::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::batch::TrajectoryBatch;
use crate::nn::{StateDict, StateError};
use crate::policy::GaussianPolicy;
pub use actor_critic::{ActorCritic, Critics, Scale};
pub use gae::{Advantages, advantages};
pub use ppo::{Ppo, PpoSettings};
pub use replay::{Replay, Rows};
pub use sac::{Sac, SacSettings};

/// Which algorithm improves the policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Improvement {
    /// Proximal policy optimisation, on the newest rollouts.
    #[default]
    Ppo,
    /// Soft actor-critic, on replayed rollouts.
    Sac,
}

impl Improvement {
    /// Discount γ of the chosen algorithm.
    pub fn discount(self, ppo: &PpoSettings, sac: &SacSettings) -> f64 {
        match self {
            Self::Ppo => ppo.discount,
            Self::Sac => sac.discount,
        }
    }
}

/// What is minimised.
pub struct Objective<'a> {
    /// c(s_t, a_t) of every step of a batch, `[S]`, without the entropy term.
    pub cost: &'a dyn Fn(&TrajectoryBatch) -> Vec<f64>,
    /// Weight α of log π.
    pub entropy_weight: f64,
}

impl Objective<'_> {
    /// c(s_t, a_t) + α log π(a_t | s_t) of every step, `[S]`.
    pub fn soft_cost(&self, batch: &TrajectoryBatch, log_density: &Tensor) -> Vec<f64> {
        let log_density = crate::nn::to_f64(log_density);
        let cost = (self.cost)(batch);
        let soft = |(cost, log_density): (&f64, &f64)| cost + self.entropy_weight * log_density;
        cost.iter().zip(&log_density).map(soft).collect()
    }
}

/// Statistics of an improvement step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImproveReport {
    /// Mean KL divergence from the old to the new policy, nats.
    pub kl: f64,
    /// Mean entropy of the new policy, nats.
    pub entropy: f64,
    /// Share of the variance of the cost-to-go that the critic did not explain before the step.
    pub value_error: f64,
    /// Passes over the data.
    pub passes: f64,
    /// Mean norm of the policy gradient before clipping.
    pub gradient_norm: f64,
    /// Weight of log π that was used.
    pub entropy_weight: f64,
}

/// A policy's improver.
#[derive(Debug)]
pub enum Improver {
    /// See [`Ppo`].
    Ppo(Box<Ppo>),
    /// See [`Sac`].
    Sac(Box<Sac>),
}

impl Improver {
    /// The configured improver, with critics initialised from the seed.
    pub fn new(
        improvement: Improvement,
        ppo: &PpoSettings,
        sac: &SacSettings,
        policy: &GaussianPolicy,
        seed: u64,
    ) -> Self {
        let mut rng = stream(seed, "critic_weights", 0);
        match improvement {
            Improvement::Ppo => Self::Ppo(Box::new(Ppo::new(ppo, policy, &mut rng))),
            Improvement::Sac => Self::Sac(Box::new(Sac::new(sac, policy, &mut rng))),
        }
    }

    /// One improvement step after `policy` collected `batch`; `behaviour` is log π(a_t | s_t) of the policy
    /// before the step, `[S]`.
    pub fn improve(
        &mut self,
        policy: &mut GaussianPolicy,
        batch: &TrajectoryBatch,
        objective: &Objective,
        behaviour: &Tensor,
        seed: u64,
        iteration: usize,
    ) -> ImproveReport {
        match self {
            Self::Ppo(ppo) => {
                let objective = Objective {
                    entropy_weight: ppo.entropy_weight(objective.entropy_weight),
                    ..*objective
                };
                let soft_cost = objective.soft_cost(batch, behaviour);
                let report = ppo.improve(policy, batch, &soft_cost, behaviour, seed, iteration);
                ImproveReport {
                    entropy_weight: objective.entropy_weight,
                    ..report
                }
            }
            Self::Sac(sac) => sac.improve(policy, batch, objective, behaviour, seed, iteration),
        }
    }

    /// Sets the factor of the step size for the next steps.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        match self {
            Self::Ppo(ppo) => ppo.scale_learning_rate(factor),
            Self::Sac(sac) => sac.scale_learning_rate(factor),
        }
    }

    /// Adds critics and optimisers to `state`.
    pub fn save(&self, state: &mut StateDict) {
        match self {
            Self::Ppo(ppo) => ppo.save(state),
            Self::Sac(sac) => sac.save(state),
        }
    }

    /// Restores what [`Improver::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        match self {
            Self::Ppo(ppo) => ppo.load(state),
            Self::Sac(sac) => sac.load(state),
        }
    }
}

/// KL(old ‖ new) from log-densities of the old policy's samples, `[N]` each: E[ρ − 1 − log ρ], which is never negative.
fn kl_divergence(new: &[f64], old: &[f64]) -> f64 {
    let log_ratios = new.iter().zip(old).map(|(new, old)| new - old);
    log_ratios.map(|r| r.exp() - 1.0 - r).sum::<f64>() / new.len() as f64
}
