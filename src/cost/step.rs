//! The interface of a per-step cost of any origin, as used by evaluation.

use super::EnergyModel;
use crate::expression::Formula;
use crate::nn;

/// c(s, a) of single steps.
pub trait StepCost {
    /// c of every row, `[N, observation_dim]` and `[N, action_dim]` row-major → `[N]`.
    fn costs(&self, observations: &[f32], actions: &[f32], dims: Dims) -> Vec<f64>;

    /// −log π_0(a | s) of every row, a term of its cost, if it is relative to a base policy.
    fn base_costs(&self, observations: &[f32], actions: &[f32], dims: Dims) -> Option<Vec<f64>> {
        let _ = (observations, actions, dims);
        None
    }

    /// Its name.
    fn describe(&self) -> String;
}

/// Widths of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Entries of an observation.
    pub observation: usize,
    /// Entries of an action.
    pub action: usize,
}

impl StepCost for EnergyModel {
    fn costs(&self, observations: &[f32], actions: &[f32], dims: Dims) -> Vec<f64> {
        let s = nn::matrix(observations, dims.observation);
        let a = nn::matrix(actions, dims.action);
        nn::no_grad(|| nn::to_f64(&self.cost(&s, &a)))
    }

    fn base_costs(&self, observations: &[f32], actions: &[f32], dims: Dims) -> Option<Vec<f64>> {
        let s = nn::matrix(observations, dims.observation);
        let a = nn::matrix(actions, dims.action);
        Some(nn::to_f64(&-self.base_log_density(&s, &a)?))
    }

    fn describe(&self) -> String {
        "learned cost".into()
    }
}

/// A hand-written cost.
impl StepCost for Formula {
    fn costs(&self, observations: &[f32], actions: &[f32], dims: Dims) -> Vec<f64> {
        let s = observations.chunks_exact(dims.observation);
        let a = actions.chunks_exact(dims.action);
        s.zip(a).map(|(s, a)| self.value(s, a)).collect()
    }

    fn describe(&self) -> String {
        format!("hand-written cost `{}`", self.text())
    }
}
