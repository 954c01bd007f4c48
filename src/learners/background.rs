//! The background distribution μ(τ) that a cost is contrasted with: the policy, or the mixture of
//! recent policies, each density evaluated on every trajectory.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852), section 3.2: μ = Σ_k (n_k/N) q_k.

use std::collections::VecDeque;

use tch::Tensor;

use super::generator::Generator;
use super::rows::Rows;
use crate::batch::TrajectoryBatch;
use crate::density::log_sum_exp;
use crate::nn::{self, StateDict, StateError};
use crate::policy::GaussianPolicy;

/// Recent policies with their samples.
pub struct Background {
    keep: usize,
    rows: Rows,
    members: VecDeque<Member>,
}

struct Member {
    iteration: usize,
    policy: GaussianPolicy,
    samples: TrajectoryBatch,
}

impl Background {
    /// Keeps the last `keep` policies besides the current one; their samples become `rows`.
    pub fn new(keep: usize, rows: impl Into<Rows>) -> Self {
        Self {
            keep,
            rows: rows.into(),
            members: VecDeque::new(),
        }
    }

    /// Adds the policy of iteration `k` and its samples, dropping the oldest.
    pub fn push(&mut self, k: usize, policy: &GaussianPolicy, samples: &TrajectoryBatch) {
        if self.keep == 0 {
            return;
        }
        if self.members.len() == self.keep {
            self.members.pop_front();
        }
        self.members.push_back(Member {
            iteration: k,
            policy: policy.copy(),
            samples: self.rows.of_rollouts(samples, k),
        });
    }

    /// Samples of past policies, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &TrajectoryBatch> {
        self.members.iter().map(|m| &m.samples)
    }

    /// log μ(τ) = log Σ_k (n_k/N) q_k(τ) of every trajectory of `batch`, `[N]`; `current` is log q(τ) of
    /// the policy that `current_count` trajectories were drawn from.
    ///
    /// Each q_k(τ) = exp Σ_t log π_k(a_t | s_t) is formed before the mixture: mixing step by step would give
    /// a different distribution.
    pub fn log_density(
        &self,
        batch: &TrajectoryBatch,
        current: &Tensor,
        current_count: usize,
    ) -> Tensor {
        if self.members.is_empty() {
            return current.shallow_clone();
        }
        let past: usize = self.members.iter().map(|m| m.samples.len()).sum();
        let total = (past + current_count) as f64;
        let weighted = |log_q: &Tensor, count: usize| -> Vec<f64> {
            let log_share = (count as f64 / total).ln();
            nn::to_f64(log_q).iter().map(|q| log_share + q).collect()
        };
        let mut components = vec![weighted(current, current_count)];
        components.extend(self.members.iter().map(|m| {
            let log_q = log_policy(&m.policy, batch);
            weighted(&log_q, m.samples.len())
        }));
        let mixture: Vec<f64> = (0..batch.len())
            .map(|i| log_sum_exp(&components.iter().map(|c| c[i]).collect::<Vec<_>>()))
            .collect();
        Tensor::from_slice(&mixture)
    }

    /// Adds the stored policies to `state`; their samples are redrawn on restoring.
    pub fn save(&self, state: &mut StateDict) {
        let iterations: Vec<f64> = self.members.iter().map(|m| m.iteration as f64).collect();
        state.insert_numbers("past.count", &[iterations.len() as f64]);
        if !iterations.is_empty() {
            state.insert_numbers("past.iterations", &iterations);
        }
        for (i, member) in self.members.iter().enumerate() {
            let mut policy = StateDict::default();
            member.policy.save(&mut policy);
            state.nest(&format!("past.{i}."), policy);
        }
    }

    /// Restores what [`Background::save`] wrote.
    pub fn load(&mut self, state: &StateDict, generator: &Generator) -> Result<(), StateError> {
        self.members.clear();
        let count = state.count("past.count")?;
        if count == 0 {
            return Ok(());
        }
        for (i, iteration) in state.numbers("past.iterations", count)?.iter().enumerate() {
            let mut policy = generator.policy.copy();
            policy.load(&state.below(&format!("past.{i}.")))?;
            let iteration = *iteration as usize;
            let sampled = generator
                .sample(&policy, iteration)
                .map_err(|e| StateError::Replay(e.to_string()))?;
            self.members.push_back(Member {
                iteration,
                policy,
                samples: self.rows.of_rollouts(&sampled.batch, iteration),
            });
        }
        Ok(())
    }
}

/// log π(a_t | s_t) of a policy at every step, `[S]` in f64, without gradients.
pub fn log_policy_steps(policy: &GaussianPolicy, batch: &TrajectoryBatch) -> Tensor {
    nn::no_grad(|| policy.log_density(&batch.observations, &batch.actions))
}

/// log q(τ) = Σ_t log π(a_t | s_t) of a policy, `[N]` in f64, without gradients.
pub fn log_policy(policy: &GaussianPolicy, batch: &TrajectoryBatch) -> Tensor {
    batch.sum_over_time(&log_policy_steps(policy, batch))
}
