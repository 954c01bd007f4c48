//! Validation of a learned cost: fresh policies trained on it, frozen.
//!
//! A cost is valid if an untrained policy, trained on it alone, solves the task. Several are
//! trained (seeds × discounts); the one with the lowest learned soft cost is kept, which needs no true cost.
//! The distance δ of its soft cost from the expert's tells the kind of failure: far below zero the cost could not
//! be optimised, far above it was exploited.

use std::time::Instant;

use costate_envs::rng::derive_seed;
use costate_envs::{Episode, Trajectory};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{mean, returns};
use crate::audit;
use crate::batch::TrajectoryBatch;
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::learners::background::log_policy_steps;
use crate::learners::frozen_cost::{FrozenCost, FrozenCostSettings};
use crate::learners::{Learner, Setup};
use crate::policy::GaussianPolicy;

/// One fresh policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FreshPolicy {
    /// Index of its random streams.
    pub seed: u64,
    /// Discount γ that it was trained with.
    pub discount: f64,
    /// Mean of −c − α log π per step over its own rollouts, nats: its training objective.
    pub soft_value: f64,
    /// δ = [soft value − the expert's] / (c_random − c_expert), per step.
    pub delta: f64,
    /// Mean true return, for information; not used for selection.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Standard error of that mean, over episodes; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_standard_error: Option<f64>,
    /// (return − random) / (expert − random).
    pub normalized_score: f64,
    /// (return − expert) / |expert|: below 0 is worse than the expert, as a share of the expert's own return.
    pub relative_return: f64,
}

/// Verdict on a cost, by δ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The fresh policy's soft value equals the expert's.
    Sound,
    /// The fresh policy found behaviour that the cost prefers to the expert's.
    Exploited,
    /// The fresh policy could not reach the expert's soft value.
    NotOptimisable,
}

impl Verdict {
    /// Windows of δ per step and of the same difference in nats: if random actions cost very much, a large difference
    /// can be a small δ. The windows were measured (docs/experiments.md).
    pub fn of(delta: f64, nats: f64) -> Self {
        if delta < -0.02 || nats < -1.0 {
            Self::NotOptimisable
        } else if delta > 0.15 {
            Self::Exploited
        } else {
            Self::Sound
        }
    }

    /// As text.
    pub fn words(self) -> &'static str {
        match self {
            Self::Sound => "sound: a fresh policy reaches the expert's soft value",
            Self::Exploited => {
                "exploited: a fresh policy found behaviour that the cost prefers to the expert's"
            }
            Self::NotOptimisable => {
                "not optimisable: a fresh policy stays short of the expert's soft value"
            }
        }
    }
}

/// Fresh policies on a frozen cost, and the one that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frozen {
    /// All of them.
    pub policies: Vec<FreshPolicy>,
    /// Index of the kept one.
    pub kept: usize,
    /// The verdict from its soft value and the expert's.
    pub verdict: Verdict,
    /// The expert's soft value, nats per step; absent in runs of earlier versions.
    #[serde(default)]
    pub expert_soft_value: Option<f64>,
    /// Total seconds.
    pub seconds: f64,
    /// Total environment steps.
    pub steps: u64,
}

impl Frozen {
    /// Keeps the one with the highest learned soft value; `None` if there is none.
    pub fn of(
        policies: Vec<FreshPolicy>,
        expert_soft_value: f64,
        seconds: f64,
        steps: u64,
    ) -> Option<Self> {
        let kept = (0..policies.len())
            .max_by(|&i, &j| policies[i].soft_value.total_cmp(&policies[j].soft_value))?;
        let best = policies[kept];
        Some(Self {
            verdict: Verdict::of(best.delta, best.soft_value - expert_soft_value),
            expert_soft_value: Some(expert_soft_value),
            policies,
            kept,
            seconds,
            steps,
        })
    }

    /// The kept policy.
    pub fn best(&self) -> &FreshPolicy {
        &self.policies[self.kept]
    }

    /// The other policies.
    pub fn others(&self) -> impl Iterator<Item = &FreshPolicy> {
        let all = self.policies.iter().enumerate();
        all.filter(|(i, _)| *i != self.kept).map(|(_, p)| p)
    }
}

/// A cost under test.
pub struct Judged<'a> {
    /// The frozen cost.
    pub cost: &'a EnergyModel,
    /// The policy learned with it; its density replaces the expert's where that is unknown.
    pub policy: &'a GaussianPolicy,
    /// What it is compared with.
    pub against: Against<'a>,
}

/// What fresh policies on a frozen cost are compared with.
#[derive(Clone, Copy)]
pub struct Against<'a> {
    /// Environment, demonstrations (which set the observation scales) and the run's seed.
    pub setup: Setup<'a>,
    /// What δ compares with: the demonstrations, or the reference in a changed world.
    pub reference: &'a [Trajectory],
    /// Mean true return of the reference.
    pub expert_return: f64,
    /// True returns and trajectories of random actions.
    pub random: &'a [Episode],
    /// Weight α of the entropy that the cost was learned with.
    pub entropy_weight: f64,
}

/// A policy's value under the cost, per step.
#[derive(Debug, Clone, Copy)]
pub struct Opinion {
    /// Mean of c (shaped by V).
    pub cost: f64,
    /// Mean of −c − α log π.
    pub soft_value: f64,
}

/// Inputs of δ.
#[derive(Debug, Clone, Copy)]
pub struct Yardsticks {
    /// Of the expert.
    pub expert: Opinion,
    /// Cost of random actions, per step.
    pub random_cost: f64,
}

impl Judged<'_> {
    /// Values of the reference and of random actions under the cost.
    pub fn yardsticks(&self) -> Result<Yardsticks, Error> {
        let demonstrations = batch(self.against.reference)?;
        let log_density = match &demonstrations.behaviour {
            Some(recorded) => Tensor::from_slice(recorded),
            None => log_policy_steps(self.policy, &demonstrations),
        };
        let expert = self.opinion(&demonstrations, &log_density);
        let random: Vec<Trajectory> = self
            .against
            .random
            .iter()
            .map(|e| e.trajectory.clone())
            .collect();
        let random = batch(&random)?;
        let nothing = Tensor::zeros([random.steps() as i64], (Kind::Double, tch::Device::Cpu));
        Ok(Yardsticks {
            expert,
            random_cost: self.opinion(&random, &nothing).cost,
        })
    }

    fn opinion(&self, batch: &TrajectoryBatch, log_density: &Tensor) -> Opinion {
        let soft_cost = mean(
            &self
                .cost
                .soft_cost(batch, log_density, self.against.entropy_weight),
        );
        let entropy = -log_density.mean(Kind::Double).double_value(&[]);
        Opinion {
            cost: soft_cost + self.against.entropy_weight * entropy,
            soft_value: -soft_cost,
        }
    }

    /// Trains and evaluates one fresh policy.
    pub fn fresh(
        &self,
        yardsticks: Yardsticks,
        settings: &FrozenCostSettings,
        seed: u64,
        interrupted: &dyn Fn() -> bool,
        progress: &dyn Fn(),
    ) -> Result<Option<Trained<FreshPolicy>>, Error> {
        let Yardsticks {
            expert,
            random_cost,
        } = yardsticks;
        let began = Instant::now();
        let (sealer, auditor) = audit::pair();
        let setup = Setup {
            sealer: &sealer,
            seed: derive_seed(self.against.setup.seed, "validation", seed),
            ..self.against.setup
        };
        let mut learner = FrozenCost::new(settings, self.cost, &setup)?;
        let mut steps = 0;
        for k in 0..settings.generator.iterations {
            if interrupted() {
                return Ok(None);
            }
            steps += learner.iterate(k)?.env_steps;
            progress();
        }
        let seconds = began.elapsed().as_secs_f64();
        let samples = learner.sample(settings.generator.iterations)?;
        let found = self.opinion(&samples.batch, &samples.log_density);
        let random_return = mean(&returns(self.against.random));
        let own_returns = &auditor.open(&samples.audit)?.returns;
        let mean_return = mean(own_returns);
        let expert_return = self.against.expert_return;
        Ok(Some(Trained {
            report: FreshPolicy {
                seed,
                discount: settings.generator.discount(),
                soft_value: found.soft_value,
                delta: (found.soft_value - expert.soft_value)
                    / (random_cost - expert.cost).abs().max(1e-9),
                mean_return,
                return_standard_error: standard_error(own_returns),
                normalized_score: (mean_return - random_return) / (expert_return - random_return),
                relative_return: (mean_return - expert_return) / expert_return.abs().max(1e-9),
            },
            policy: learner.policy().gaussian()?.copy(),
            seconds,
            steps,
        }))
    }
}

/// Standard error of the mean; `None` of fewer than two values.
fn standard_error(values: &[f64]) -> Option<f64> {
    let (n, mean) = (values.len() as f64, mean(values));
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt())
}

/// A fresh policy with its training effort.
pub struct Trained<R> {
    /// Its results.
    pub report: R,
    /// The policy.
    pub policy: GaussianPolicy,
    /// Seconds of learning.
    pub seconds: f64,
    /// Environment steps of learning.
    pub steps: u64,
}

fn batch(trajectories: &[Trajectory]) -> Result<TrajectoryBatch, Error> {
    TrajectoryBatch::new(trajectories)
        .ok_or_else(|| Error::Misuse("no demonstrations to validate the cost with".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of 1, 3, 5, 7: variance 20/3, over four values.
    #[test]
    fn standard_errors_by_hand() {
        let found = standard_error(&[1.0, 3.0, 5.0, 7.0]).unwrap();
        assert!((found - (5.0_f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(standard_error(&[1.0]), None);
    }

    /// Kept fresh policies of the recorded experiments: δ, nats per step, and whether they solved the task.
    #[test]
    fn the_verdict_is_that_of_the_recorded_experiments() {
        for (world, delta, nats, did) in [
            ("point_mass", 0.035, 0.99, true),
            ("point_maze", -0.007, -0.68, true),
            ("lunar_lander", -0.004, -0.45, true),
            ("cart_pole_swing_up, seed 1", -0.029, -0.61, false),
            ("hopper", -0.012, -4.23, false),
        ] {
            assert_eq!(Verdict::of(delta, nats) == Verdict::Sound, did, "{world}");
        }
        assert_eq!(Verdict::of(-0.012, -4.23), Verdict::NotOptimisable);
        assert_eq!(
            Verdict::of(18.6, 6.4),
            Verdict::Exploited,
            "gail, point_maze"
        );
    }
}
