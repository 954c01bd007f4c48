//! LS-IQ: least-squares inverse soft-Q learning.
//!
//! Al-Hafez, Tateo, Arenz, Zhao and Peters 2023 (arXiv 2303.00599), sections 3.2 to 3.4. With the regulariser over the
//! mixture of demonstrations and rollouts, IQ-Learn's objective is a squared Bellman error whose rewards are +1/β for what
//! was demonstrated and −1/β for what was not. Then costs-to-go lie within ±B, B = 1/(β(1 − γ)), so
//!
//! ```text
//! E_P[(C + B)²] + E[(V(s) − 1/β − γ V̄(s'))²],   V̄ within ±B
//! ```
//!
//! with a fixed target for the demonstrations in place of one that is bootstrapped, and the value of an absorbing state
//! known: ∓B after a terminal state of a demonstration or a rollout.

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

/// What the cost-to-go of demonstrated transitions is regressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DemonstratedTarget {
    /// −B: the demonstrator stays where rewards are largest, for ever.
    Fixed,
    /// −1/β + γ V̄(s').
    Bootstrap,
}

/// What is told not to be demonstrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Other {
    /// What the current policy would do in the states of demonstrations and rollouts: V(s).
    Policy,
    /// What past policies did: C(s, a) of rollouts.
    Rollouts,
}

/// Settings of LS-IQ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LsIqSettings {
    /// What all soft-Q learners have.
    #[serde(flatten)]
    pub soft_q: SoftQSettings,
    /// Target for the demonstrations.
    pub target: DemonstratedTarget,
    /// What the demonstrations are contrasted with.
    pub against: Other,
    /// Weight β of the regulariser: rewards are ±1/β.
    #[schemars(transform = positive)]
    pub penalty: f64,
}

impl Algorithm for LsIqSettings {
    const NAME: &'static str = "ls-iq";
    const ABOUT: &'static str =
        "inverse soft-Q learning by least squares, with bounded costs-to-go";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/ls-iq.json");
}

impl Behaviour for LsIqSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let loss = LeastSquares {
            target: self.target,
            against: self.against,
            penalty: self.penalty,
            discount: self.soft_q.sac.discount,
        };
        Ok(Box::new(SoftQ::new(&self.soft_q, loss, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.soft_q.check()?;
        if self.soft_q.trajectories == 0 && self.against == Other::Rollouts {
            return Err(
                "against=rollouts contrasts demonstrations with rollouts, but trajectories=0 has none; take against=policy"
                    .into(),
            );
        }
        Ok(())
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
struct LeastSquares {
    target: DemonstratedTarget,
    against: Other,
    /// β.
    penalty: f64,
    discount: f64,
}

impl LeastSquares {
    /// B, the largest cost-to-go.
    fn bound(&self) -> f64 {
        1.0 / (self.penalty * (1.0 - self.discount))
    }

    /// cost + γ V̄(s'), every step after a terminal s' costing the same, `[N]`.
    fn bellman(&self, group: &Group, cost: f64) -> Tensor {
        let after = cost * self.discount / (1.0 - self.discount);
        let ended: Tensor = 1.0 - &group.alive;
        group.future(self.discount) + ended * after + cost
    }
}

impl CriticLoss for LeastSquares {
    fn needs(&self) -> Needs {
        Needs {
            values: self.against == Other::Policy,
            starts: false,
            bootstrap: Critics::Target,
            bound: Some(self.bound()),
        }
    }

    fn reward(&self) -> f64 {
        1.0 / self.penalty
    }

    fn loss(&self, demonstrated: &Group, sampled: Option<&Group>, _: Option<&Tensor>) -> Tensor {
        let reward = 1.0 / self.penalty;
        let square = |t: Tensor| t.square().mean(Kind::Double);
        let shown = match self.target {
            DemonstratedTarget::Fixed => square(&demonstrated.cost_to_go + self.bound()),
            DemonstratedTarget::Bootstrap => {
                square(&demonstrated.cost_to_go - self.bellman(demonstrated, -reward))
            }
        };
        let by_policy = |group: &Group| {
            let value = group.value.as_ref().expect("it was asked for");
            square(value - self.bellman(group, reward))
        };
        let other = match (self.against, sampled) {
            (Other::Policy, None) => by_policy(demonstrated),
            (Other::Policy, Some(sampled)) => (by_policy(demonstrated) + by_policy(sampled)) * 0.5,
            (Other::Rollouts, sampled) => {
                let sampled = sampled.expect("settings without rollouts are refused");
                square(&sampled.cost_to_go - self.bellman(sampled, reward))
            }
        };
        shown + other
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::to_f64;

    const GAMMA: f64 = 0.8;
    const BETA: f64 = 0.5;

    fn loss(target: DemonstratedTarget, against: Other) -> LeastSquares {
        LeastSquares {
            target,
            against,
            penalty: BETA,
            discount: GAMMA,
        }
    }

    /// Rows that all say C(s, a) = `cost_to_go`, V(s) = `value` and V(s') = `next`.
    fn group(cost_to_go: &Tensor, value: &Tensor, next: f64, alive: f64, rows: i64) -> Group {
        let all = |v: f64| Tensor::full([rows], v, (Kind::Double, tch::Device::Cpu));
        Group {
            cost_to_go: cost_to_go.expand([rows], false),
            value: Some(value.expand([rows], false)),
            next_value: all(next),
            alive: all(alive),
        }
    }

    fn variable(value: f64) -> Tensor {
        Tensor::from_slice(&[value]).set_requires_grad(true)
    }

    /// dL/dx at x, where the loss is made of x.
    fn slope(x: &Tensor, loss: &Tensor) -> f64 {
        let gradient = Tensor::run_backward(&[loss], &[x], false, true);
        to_f64(&gradient[0])[0]
    }

    /// Of a pair (s, a) that demonstrations and rollouts share the cost-to-go is the mean of both targets: −1/β and 1/β, each
    /// plus γ V(s').
    #[test]
    fn shared_pairs_get_the_mean_of_both_rewards() {
        let least = loss(DemonstratedTarget::Bootstrap, Other::Rollouts);
        let value = Tensor::from_slice(&[0.0]);
        for (at, stationary) in [(GAMMA * 1.5, true), (GAMMA * 1.5 + 0.3, false)] {
            let c = variable(at);
            let shown = group(&c, &value, 1.5, 1.0, 3);
            let tried = group(&c, &value, 1.5, 1.0, 5);
            let slope = slope(&c, &least.loss(&shown, Some(&tried), None));
            assert_eq!(slope.abs() < 1e-12, stationary, "{slope}");
        }
    }

    /// B = 1/(β(1 − γ)) is what its own recursion gives, and the value after a terminal state: −B of demonstrations, +B of
    /// rollouts.
    #[test]
    fn terminal_states_are_worth_the_bound() {
        let bootstrap = loss(DemonstratedTarget::Bootstrap, Other::Rollouts);
        let bound = bootstrap.bound();
        assert!((bound - 10.0).abs() < 1e-12);
        let any = Tensor::from_slice(&[0.0]);
        for (reward, end) in [(-1.0 / BETA, -bound), (1.0 / BETA, bound)] {
            let ended = bootstrap.bellman(&group(&any, &any, 77.0, 0.0, 1), reward);
            let goes_on = bootstrap.bellman(&group(&any, &any, end, 1.0, 1), reward);
            assert!((to_f64(&ended)[0] - end).abs() < 1e-12);
            assert!((to_f64(&goes_on)[0] - end).abs() < 1e-12);
        }
    }

    /// A fixed target is −B whatever follows; what the policy would do is pushed to 1/β + γ V(s').
    #[test]
    fn fixed_targets_do_not_bootstrap() {
        let least = loss(DemonstratedTarget::Fixed, Other::Policy);
        let (c, v) = (variable(-least.bound()), variable(1.0 / BETA + GAMMA * 0.5));
        let found = least.loss(&group(&c, &v, 0.5, 1.0, 4), None, None);
        assert!(found.double_value(&[]) < 1e-20);
        let (c, v) = (variable(0.0), variable(0.0));
        let found = least.loss(&group(&c, &v, 0.5, 1.0, 4), None, None);
        assert!((slope(&c, &found) - 2.0 * least.bound()).abs() < 1e-12);
        assert!((slope(&v, &found) + 2.0 * (1.0 / BETA + GAMMA * 0.5)).abs() < 1e-12);
    }
}
