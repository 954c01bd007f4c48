//! IQ-Learn: inverse soft-Q learning.
//!
//! Garg, Chakraborty, Cundy, Song and Ermon 2021 (arXiv 2106.12142), equation 9 and section 5: with C = −Q, V its soft
//! value and c = C − γ V(s') the cost that C implies, minimise
//!
//! ```text
//! E_P[c] − (1 − γ) E[V(s_0)] + β E[c²]
//! ```
//!
//! and keep the policy optimal for C by soft actor-critic. β = 1/(4α_χ²) makes the last term the χ² divergence's. For any
//! distribution μ of states that a policy visits for ever, (1 − γ) E[V(s_0)] = E_μ[V(s) − γ V(s')], which has a gradient
//! in every state instead of in the first alone.

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

/// States that the value term is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ValueTerm {
    /// (1 − γ) E[V(s_0)] over the demonstrations' first states.
    Start,
    /// E[V(s) − γ V(s')] over demonstrations.
    Demonstrations,
    /// The same over demonstrations and rollouts in equal shares.
    Mixture,
}

/// Transitions whose implied costs are regularised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Regularized {
    /// Demonstrated ones: the paper's χ² divergence, as good as no bound elsewhere.
    Demonstrations,
    /// Demonstrated and sampled ones in equal shares, which bounds the divergence (Al-Hafez et al. 2023, arXiv 2303.00599).
    Mixture,
}

/// Settings of IQ-Learn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IqLearnSettings {
    /// What all soft-Q learners have.
    #[serde(flatten)]
    pub soft_q: SoftQSettings,
    /// States of the value term, which raises the cost-to-go of what the policy does; without rollouts a mixture is the
    /// demonstrations alone.
    pub value: ValueTerm,
    /// Transitions of the regulariser `β E[c²]`; without rollouts a mixture is the demonstrations alone.
    pub regularizer: Regularized,
    /// Its weight β: implied costs are of the order of 1/β.
    #[schemars(transform = positive)]
    pub penalty: f64,
    /// Critics that V(s') is taken from: the current ones, through which the loss has its whole gradient, or their
    /// exponential averages, without a gradient.
    pub bootstrap: Critics,
}

impl Algorithm for IqLearnSettings {
    const NAME: &'static str = "iq-learn";
    const ABOUT: &'static str = "inverse soft-Q learning: critics that imply a cost, no adversary";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/iq-learn.json");
}

impl Behaviour for IqLearnSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let loss = IqLoss {
            value: self.value,
            regularizer: self.regularizer,
            penalty: self.penalty,
            bootstrap: self.bootstrap,
            discount: self.soft_q.sac.discount,
        };
        Ok(Box::new(SoftQ::new(&self.soft_q, loss, setup)?))
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
struct IqLoss {
    value: ValueTerm,
    regularizer: Regularized,
    /// β.
    penalty: f64,
    bootstrap: Critics,
    discount: f64,
}

impl CriticLoss for IqLoss {
    fn needs(&self) -> Needs {
        Needs {
            values: self.value != ValueTerm::Start,
            starts: self.value == ValueTerm::Start,
            bootstrap: self.bootstrap,
            bound: None,
        }
    }

    fn reward(&self) -> f64 {
        1.0 / self.penalty
    }

    fn loss(
        &self,
        demonstrated: &Group,
        sampled: Option<&Group>,
        starts: Option<&Tensor>,
    ) -> Tensor {
        let (gamma, mean) = (self.discount, |t: Tensor| t.mean(Kind::Double));
        // Half of each group, or the one that there is.
        let mixed = |of: &dyn Fn(&Group) -> Tensor| match sampled {
            Some(sampled) => (of(demonstrated) + of(sampled)) * 0.5,
            None => of(demonstrated),
        };
        let difference = |group: &Group| mean(group.value_difference(gamma));
        let value = match self.value {
            ValueTerm::Start => {
                starts.expect("it was asked for").mean(Kind::Double) * (1.0 - gamma)
            }
            ValueTerm::Demonstrations => difference(demonstrated),
            ValueTerm::Mixture => mixed(&difference),
        };
        let square = |group: &Group| mean(group.implied_cost(gamma).square());
        let squares = match self.regularizer {
            Regularized::Demonstrations => square(demonstrated),
            Regularized::Mixture => mixed(&square),
        };
        mean(demonstrated.implied_cost(gamma)) - value + squares * self.penalty
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Adam, AdamSettings, to_f64};

    const ALPHA: f64 = 0.3;
    const GAMMA: f64 = 0.9;
    /// Demonstrated (s, a, s') in a world of two states where action a leads to state a: in state 0 action 1 has a share of
    /// ¾, in state 1 action 0 one of ⅔.
    const SHOWN: [[i64; 3]; 7] = [
        [0, 1, 1],
        [1, 0, 0],
        [0, 1, 1],
        [1, 1, 1],
        [1, 0, 0],
        [0, 0, 0],
        [0, 1, 1],
    ];

    fn loss(value: ValueTerm, penalty: f64) -> IqLoss {
        IqLoss {
            value,
            regularizer: Regularized::Demonstrations,
            penalty,
            bootstrap: Critics::Current,
            discount: GAMMA,
        }
    }

    /// V(s) = −α log Σ_a exp(−C(s, a)/α) of a table C, `[2]`: the soft value of its optimal policy.
    fn soft_value(table: &Tensor) -> Tensor {
        (table / -ALPHA).logsumexp([1_i64].as_slice(), false) * -ALPHA
    }

    fn group(table: &Tensor, rows: &[[i64; 3]]) -> Group {
        let column = |i: usize| Tensor::from_slice(&rows.iter().map(|r| r[i]).collect::<Vec<_>>());
        let value = soft_value(table);
        Group {
            cost_to_go: table
                .view([-1])
                .index_select(0, &(column(0) * 2 + column(1))),
            value: Some(value.index_select(0, &column(0))),
            next_value: value.index_select(0, &column(2)),
            alive: Tensor::ones([rows.len() as i64], (Kind::Double, tch::Device::Cpu)),
        }
    }

    fn table(entries: [f64; 4]) -> Tensor {
        Tensor::from_slice(&entries).view([2, 2])
    }

    /// C − V = −α log π: over demonstrations alone the loss is the likelihood's plus the regulariser, whatever the world.
    #[test]
    fn offline_it_is_the_likelihood_and_the_regulariser() {
        let c = table([0.3, -1.1, 0.7, 2.0]);
        let rows = group(&c, &SHOWN);
        let log_policy = (soft_value(&c).unsqueeze(1) - &c) / ALPHA;
        let likelihood: f64 = SHOWN
            .iter()
            .map(|[s, a, _]| log_policy.double_value(&[*s, *a]))
            .sum::<f64>()
            / SHOWN.len() as f64;
        let costs = to_f64(&rows.implied_cost(GAMMA));
        let squares = costs.iter().map(|c| c * c).sum::<f64>() / costs.len() as f64;
        let found = loss(ValueTerm::Demonstrations, 0.5).loss(&rows, None, None);
        let expected = -ALPHA * likelihood + 0.5 * squares;
        assert!((found.double_value(&[]) - expected).abs() < 1e-12);
    }

    /// Along a cycle (1 − γ) E[V(s_0)] = E[V(s) − γ V(s')], every state being a start as often as the others.
    #[test]
    fn the_value_of_the_start_is_the_value_difference_of_all_states() {
        let c = table([0.3, -1.1, 0.7, 2.0]);
        let rows = group(&c, &[[0, 1, 1], [1, 0, 0]]);
        let at_start = loss(ValueTerm::Start, 0.5).loss(&rows, None, Some(&soft_value(&c)));
        let everywhere = loss(ValueTerm::Demonstrations, 0.5).loss(&rows, None, None);
        assert!((at_start - everywhere).abs().double_value(&[]) < 1e-12);
    }

    /// With a weak regulariser the table that minimises the loss has the demonstrator for its soft-optimal policy.
    #[test]
    fn the_minimiser_is_soft_optimal_for_the_demonstrator() {
        let c = table([0.0; 4]).set_requires_grad(true);
        let adam = AdamSettings {
            learning_rate: 0.02,
            max_gradient_norm: None,
        };
        let mut optimizer = Adam::new(adam, vec![c.shallow_clone()]);
        for _ in 0..3000 {
            let loss = loss(ValueTerm::Demonstrations, 1e-3).loss(&group(&c, &SHOWN), None, None);
            optimizer.step(&loss);
        }
        let policy = to_f64(&((soft_value(&c).unsqueeze(1) - &c) / ALPHA).exp());
        for (found, exact) in policy.iter().zip([0.25, 0.75, 2.0 / 3.0, 1.0 / 3.0]) {
            assert!((found - exact).abs() < 0.01, "{policy:?}");
        }
    }

    /// A truncated transition has a future, a terminal one none.
    #[test]
    fn nothing_follows_a_terminal_state() {
        let mut rows = group(&table([0.3, -1.1, 0.7, 2.0]), &SHOWN[..1]);
        let goes_on = rows.implied_cost(GAMMA).double_value(&[0]);
        rows.alive = rows.alive.zeros_like();
        let ends = rows.implied_cost(GAMMA).double_value(&[0]);
        assert_eq!(ends, -1.1);
        assert!((goes_on - ends + GAMMA * rows.next_value.double_value(&[0])).abs() < 1e-12);
    }
}
