//! Single transitions, drawn in minibatches: the rows that AIRL and GAIL classify.

use costate_envs::rng::Stream;
use rand::RngExt;
use tch::{Kind, Tensor};

use super::background::log_policy_steps;
use super::generator::Sampled;
use crate::batch::TrajectoryBatch;

/// Rows (s, a, s') with log π(a | s).
pub struct Transitions {
    /// s, `[N, observation_dim]`.
    pub observations: Tensor,
    /// a, `[N, action_dim]`.
    pub actions: Tensor,
    /// s', `[N, observation_dim]`.
    pub next_observations: Tensor,
    /// 1 where s' has a future, 0 where it is terminal, `[N]`.
    pub alive: Tensor,
    /// log π(a | s) of the current policy, `[N]` in f64.
    pub log_density: Tensor,
}

/// The demonstrations' transitions and the policy's.
pub struct Pair {
    /// The demonstrations'.
    pub expert: Transitions,
    /// The policy's.
    pub policy: Transitions,
}

impl Pair {
    /// All steps of both; log π of a demonstration changes with the policy.
    pub fn of(demonstrations: &TrajectoryBatch, samples: &Sampled) -> Self {
        let log_density = log_policy_steps(&samples.policy, demonstrations);
        Self {
            expert: Transitions::of(demonstrations, &log_density),
            policy: Transitions::of(&samples.batch, &samples.log_density),
        }
    }

    /// A minibatch of `count` rows of each.
    pub fn draw(&self, count: usize, rng: &mut Stream) -> (Transitions, Transitions) {
        (self.expert.draw(count, rng), self.policy.draw(count, rng))
    }
}

impl Transitions {
    /// All steps of a batch; `log_density` is log π(a_t | s_t), `[S]` in f64.
    pub fn of(batch: &TrajectoryBatch, log_density: &Tensor) -> Self {
        Self {
            observations: batch.observations.shallow_clone(),
            actions: batch.actions.shallow_clone(),
            next_observations: batch.next_observations(),
            alive: batch.alive(),
            log_density: log_density.to_kind(Kind::Double),
        }
    }

    /// `count` rows drawn with replacement; all rows, in order, if there are at most `count`.
    pub fn draw(&self, count: usize, rng: &mut Stream) -> Self {
        let rows = self.observations.size()[0];
        if rows <= count as i64 {
            return self.map(Tensor::shallow_clone);
        }
        let drawn = with_replacement(rows, count, rng);
        self.map(|t| t.index_select(0, &drawn))
    }

    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        Self {
            observations: f(&self.observations),
            actions: f(&self.actions),
            next_observations: f(&self.next_observations),
            alive: f(&self.alive),
            log_density: f(&self.log_density),
        }
    }
}

/// `count` of so many rows, drawn with replacement.
pub(super) fn with_replacement(rows: i64, count: usize, rng: &mut Stream) -> Tensor {
    let drawn: Vec<i64> = (0..count).map(|_| rng.random_range(0..rows)).collect();
    Tensor::from_slice(&drawn)
}
