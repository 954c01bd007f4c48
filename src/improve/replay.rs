//! The rollouts of the last iterations, replayed as single transitions.

use std::collections::VecDeque;

use tch::Tensor;

use super::actor_critic::ActorCritic;
use crate::batch::TrajectoryBatch;
use crate::nn::{StateDict, StateError};

/// The batches of the last iterations, oldest first.
#[derive(Debug)]
pub struct Replay {
    capacity: usize,
    batches: VecDeque<TrajectoryBatch>,
}

/// Transitions (s, a, s') as the critics see them.
#[derive(Debug)]
pub struct Rows {
    /// s, `[N, observation_dim]`.
    pub observations: Tensor,
    /// a, as commanded, `[N, action_dim]`.
    pub actions: Tensor,
    /// A critic's inputs (s, a), both normalised, `[N, observation_dim + action_dim]`.
    pub inputs: Tensor,
    /// s', `[N, observation_dim]`.
    pub next_observations: Tensor,
    /// 1 where s' has a future, 0 where it is terminal, `[N]`.
    pub alive: Tensor,
}

impl Replay {
    /// An empty one for the rollouts of at most `capacity` iterations, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            batches: VecDeque::new(),
        }
    }

    /// Adds an iteration's rollouts and forgets the oldest if there are too many.
    pub fn push(&mut self, batch: &TrajectoryBatch) {
        if self.batches.len() == self.capacity {
            self.batches.pop_front();
        }
        self.batches.push_back(batch.shallow_clone());
    }

    /// The batches, oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &TrajectoryBatch> + Clone {
        self.batches.iter()
    }

    /// The newest batch, if there is one.
    pub fn newest(&self) -> Option<&TrajectoryBatch> {
        self.batches.back()
    }

    /// All transitions; `None` before the first rollouts.
    pub fn rows(&self, critics: &ActorCritic) -> Option<Rows> {
        (!self.batches.is_empty()).then(|| Rows::of(self.batches(), critics))
    }

    /// Adds everything to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.insert_numbers("replay.count", &[self.batches.len() as f64]);
        for (i, batch) in self.batches.iter().enumerate() {
            let mut rollouts = StateDict::default();
            batch.save(&mut rollouts);
            state.nest(&format!("replay.{i}."), rollouts);
        }
    }

    /// Restores what [`Replay::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        let count = state.count("replay.count")?;
        self.batches = (0..count)
            .map(|i| TrajectoryBatch::load(&state.below(&format!("replay.{i}."))))
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

impl Rows {
    /// The steps of some batches, at least one.
    pub fn of<'a>(
        batches: impl Iterator<Item = &'a TrajectoryBatch> + Clone,
        critics: &ActorCritic,
    ) -> Self {
        let all = |f: &dyn Fn(&TrajectoryBatch) -> Tensor| {
            Tensor::cat(&batches.clone().map(f).collect::<Vec<_>>(), 0)
        };
        let observations = all(&|b| b.observations.shallow_clone());
        let actions = all(&|b| b.actions.shallow_clone());
        Self {
            inputs: critics.inputs(&observations, &actions),
            observations,
            actions,
            next_observations: all(&TrajectoryBatch::next_observations),
            alive: all(&TrajectoryBatch::alive),
        }
    }

    /// Number of rows N.
    pub fn count(&self) -> i64 {
        self.alive.size()[0]
    }

    /// Some of the rows, by their indices.
    pub fn pick(&self, rows: &Tensor) -> Self {
        self.map(|t| t.index_select(0, rows))
    }

    /// The rows of both, this one's first.
    pub fn and(&self, other: &Self) -> Self {
        let cat = |a: &Tensor, b: &Tensor| Tensor::cat(&[a, b], 0);
        Self {
            observations: cat(&self.observations, &other.observations),
            actions: cat(&self.actions, &other.actions),
            inputs: cat(&self.inputs, &other.inputs),
            next_observations: cat(&self.next_observations, &other.next_observations),
            alive: cat(&self.alive, &other.alive),
        }
    }

    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        Self {
            observations: f(&self.observations),
            actions: f(&self.actions),
            inputs: f(&self.inputs),
            next_observations: f(&self.next_observations),
            alive: f(&self.alive),
        }
    }
}
