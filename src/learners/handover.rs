//! Which policy is handed over: the learned one, or the clone that it started from.
//!
//! A cost learned from few demonstrations can lead a good clone astray. After the last iteration both are compared
//! without the true cost: by the likelihood of held-out demonstrations, and by their soft value under the learned cost on
//! rollouts from the same starts. A policy that is worse by both is not handed over; its start is.

use super::Setup;
use super::cloning::held_out;
use super::generator::{Generator, Sampled, batch};
use crate::batch::TrajectoryBatch;
use crate::error::Error;
use crate::improve::Objective;
use crate::metric::{Diagnostics, Metric};
use crate::nn::{StateDict, StateError};
use crate::policy::GaussianPolicy;

/// Name of the random stream for the rollouts of both.
const STREAM: &str = "handover";

/// The choice between a cloned start and what became of it.
pub struct Handover {
    start: GaussianPolicy,
    held_out: TrajectoryBatch,
    /// Whether the start is handed over.
    keeps_start: bool,
}

impl Handover {
    /// Before the first iteration: `start` is the clone.
    ///
    /// Errors: no demonstrations.
    pub fn new(start: &GaussianPolicy, setup: &Setup) -> Result<Self, Error> {
        Ok(Self {
            start: start.copy(),
            held_out: batch(held_out(setup))?,
            keeps_start: false,
        })
    }

    /// Before an iteration: what is learned is handed over until [`Handover::decide`] says otherwise.
    pub fn reopen(&mut self) {
        self.keeps_start = false;
    }

    /// Chooses after the last iteration, `k`; `objective` is what the policy minimised. Returns by how much the learned policy
    /// is better than its start.
    pub fn decide(
        &mut self,
        generator: &Generator,
        objective: &Objective,
        k: usize,
    ) -> Result<Diagnostics, Error> {
        let soft_value = |policy: &GaussianPolicy| -> Result<f64, Error> {
            let drawn = generator.sample_from(STREAM, policy, k)?;
            Ok(soft_value(&drawn, objective))
        };
        let value = soft_value(&generator.policy)? - soft_value(&self.start)?;
        let likelihood = self.log_likelihood(&generator.policy) - self.log_likelihood(&self.start);
        self.keeps_start = likelihood < 0.0 && value < 0.0;
        Ok(vec![
            (Metric::LikelihoodGain, likelihood),
            (Metric::SoftValueGain, value),
            (Metric::KeptStart, f64::from(u8::from(self.keeps_start))),
        ])
    }

    /// E_P[log π(a | s)] over held-out steps.
    fn log_likelihood(&self, policy: &GaussianPolicy) -> f64 {
        let rows = &self.held_out;
        policy.mean_log_density(&rows.observations, &rows.actions)
    }

    /// The policy to hand over, `current` being the learned one.
    pub fn policy<'a>(&'a self, current: &'a GaussianPolicy) -> &'a GaussianPolicy {
        match self.keeps_start {
            true => &self.start,
            false => current,
        }
    }

    /// Adds the choice to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.insert_numbers("handover", &[f64::from(u8::from(self.keeps_start))]);
    }

    /// Restores it; checkpoints of earlier versions hold none.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.keeps_start = match state.scalar("handover") {
            Err(StateError::Missing(_)) => false,
            found => found? != 0.0,
        };
        Ok(())
    }
}

/// −E_q[Σ c + α log π] of an episode.
fn soft_value(drawn: &Sampled, objective: &Objective) -> f64 {
    let soft_cost = objective.soft_cost(&drawn.batch, &drawn.log_density);
    -soft_cost.iter().sum::<f64>() / drawn.batch.len() as f64
}
