//! SQIL: soft Q imitation learning.
//!
//! Reddy, Dragan and Levine 2020 (arXiv 1905.11108), algorithm 1: soft actor-critic with a reward of 1 for demonstrated
//! transitions and 0 for the policy's own, half of every minibatch each. With costs instead of rewards and λ the weight of
//! rollouts, the critics minimise
//!
//! ```text
//! E_P[(C + 1 − γ V̄(s'))²] + λ E_rollouts[(C − γ V̄(s'))²]
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::algorithm::{Algorithm, Behaviour};
use super::frozen_cost::ValidationSettings;
use super::soft_q::{CriticLoss, Group, Needs, SoftQ, SoftQSettings};
use super::{Learner, Setup};
use crate::cost::ComposedCost;
use crate::error::Error;
use crate::improve::Critics;
use costate_base::schema::positive;

/// Settings of SQIL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SqilSettings {
    /// What all soft-Q learners have.
    #[serde(flatten)]
    pub soft_q: SoftQSettings,
    /// Weight λ of the rollouts in the critics' loss.
    #[schemars(transform = positive)]
    pub rollout_weight: f64,
}

impl Algorithm for SqilSettings {
    const NAME: &'static str = "sqil";
    const ABOUT: &'static str =
        "soft Q imitation: a reward of 1 for demonstrations, 0 for rollouts";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/sqil.json");
}

impl Behaviour for SqilSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let loss = SqilLoss {
            rollout_weight: self.rollout_weight,
            discount: self.soft_q.sac.discount,
        };
        Ok(Box::new(SoftQ::new(&self.soft_q, loss, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.soft_q.check()?;
        match self.soft_q.trajectories {
            0 => Err(
                "setting `trajectories` is 0, expected at least 1: without rollouts every reward is 1".into(),
            ),
            _ => Ok(()),
        }
    }

    fn soft_q(&self) -> Option<&SoftQSettings> {
        Some(&self.soft_q)
    }

    fn validation(&self) -> Option<&ValidationSettings> {
        Some(&self.soft_q.validation)
    }

    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        Some(&mut self.soft_q.validation)
    }
}

/// The critics' loss.
struct SqilLoss {
    /// λ.
    rollout_weight: f64,
    discount: f64,
}

impl CriticLoss for SqilLoss {
    fn needs(&self) -> Needs {
        Needs {
            values: false,
            starts: false,
            bootstrap: Critics::Target,
            bound: None,
        }
    }

    fn reward(&self) -> f64 {
        1.0
    }

    fn loss(&self, demonstrated: &Group, sampled: Option<&Group>, _: Option<&Tensor>) -> Tensor {
        // (C − (−r + γ V̄(s')))².
        let square = |group: &Group, reward: f64| {
            let miss: Tensor = group.implied_cost(self.discount) + reward;
            miss.square().mean(Kind::Double)
        };
        let sampled = sampled.expect("settings without rollouts are refused");
        square(demonstrated, 1.0) + square(sampled, 0.0) * self.rollout_weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::to_f64;

    /// A pair that is demonstrated n times as often as λ weighs a rollout is worth −n/(n + λ), plus γ V(s') unless it ends.
    #[test]
    fn the_reward_is_one_for_demonstrations_and_zero_for_rollouts() {
        let (discount, next) = (0.8, 2.5);
        for (weight, alive) in [(1.0, 1.0), (3.0, 1.0), (1.0, 0.0)] {
            let loss = SqilLoss {
                rollout_weight: weight,
                discount,
            };
            let best = -1.0 / (1.0 + weight) + discount * next * alive;
            for (at, stationary) in [(best, true), (best + 0.1, false)] {
                let c = Tensor::from_slice(&[at]).set_requires_grad(true);
                let group = || Group {
                    cost_to_go: c.shallow_clone(),
                    value: None,
                    next_value: Tensor::from_slice(&[next]),
                    alive: Tensor::from_slice(&[alive]),
                };
                let found = loss.loss(&group(), Some(&group()), None);
                let slope = Tensor::run_backward(&[found], &[&c], false, false);
                let slope = to_f64(&slope[0])[0];
                assert_eq!(slope.abs() < 1e-12, stationary, "{slope}");
            }
        }
    }
}
