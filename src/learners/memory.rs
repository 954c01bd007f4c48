//! State-action pairs of all earlier iterations, never discarded.

use costate_envs::rng::{Stream, stream};
use rand::seq::index;
use tch::Tensor;

use super::transitions::with_replacement;
use crate::batch::TrajectoryBatch;
use crate::nn::{StateDict, StateError};

/// Maximum number of pairs kept per iteration.
const EACH: usize = 1024;

/// Rows (s, a), equally many from every iteration that has enough.
pub struct Memory {
    /// Of the run.
    seed: u64,
    /// `[N, observation_dim]` and `[N, action_dim]`; nothing before the first iteration.
    rows: Option<(Tensor, Tensor)>,
}

impl Memory {
    /// An empty one for a run of that seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, rows: None }
    }

    /// Adds pairs from iteration `k`, drawn without replacement.
    pub fn keep(&mut self, batch: &TrajectoryBatch, k: usize) {
        let steps = batch.steps();
        let mut rng = stream(self.seed, "memory", k as u64);
        let drawn = index::sample(&mut rng, steps, EACH.min(steps));
        let drawn: Vec<i64> = drawn.into_iter().map(|i| i as i64).collect();
        let pick = |t: &Tensor| t.index_select(0, &Tensor::from_slice(&drawn));
        let new = (pick(&batch.observations), pick(&batch.actions));
        self.rows = Some(match self.rows.take() {
            None => new,
            Some((observations, actions)) => (
                Tensor::cat(&[observations, new.0], 0),
                Tensor::cat(&[actions, new.1], 0),
            ),
        });
    }

    /// All pairs, `[N, observation_dim]` and `[N, action_dim]`; `None` if the memory is empty.
    pub fn all(&self) -> Option<(&Tensor, &Tensor)> {
        self.rows
            .as_ref()
            .map(|(observations, actions)| (observations, actions))
    }

    /// `count` pairs drawn with replacement; `None` if the memory is empty.
    pub fn draw(&self, count: usize, rng: &mut Stream) -> Option<(Tensor, Tensor)> {
        let (observations, actions) = self.rows.as_ref()?;
        let drawn = with_replacement(observations.size()[0], count, rng);
        let pick = |t: &Tensor| t.index_select(0, &drawn);
        Some((pick(observations), pick(actions)))
    }

    /// Adds it to `state`.
    pub fn save(&self, state: &mut StateDict) {
        let kept = self.rows.as_ref().map_or(0, |(rows, _)| rows.size()[0]);
        state.insert_numbers("memory.count", &[kept as f64]);
        if let Some((observations, actions)) = &self.rows {
            state.insert("memory.observations", observations);
            state.insert("memory.actions", actions);
        }
    }

    /// Restores what [`Memory::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.rows = match state.scalar("memory.count")? {
            0.0 => None,
            _ => Some((
                state.get("memory.observations")?.copy(),
                state.get("memory.actions")?.copy(),
            )),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use costate_envs::{End, Trajectory};

    use super::*;
    use crate::nn::to_f64;

    /// A trajectory whose every observation and action is `value`.
    fn batch(value: f32, len: usize) -> TrajectoryBatch {
        let (o, a) = (vec![value; 2 * (len + 1)], vec![value; len]);
        let trajectory = Trajectory::new(2, 1, o, a, None, End::Truncated).unwrap();
        TrajectoryBatch::new(&[trajectory]).unwrap()
    }

    #[test]
    fn every_iteration_stays_and_pairs_stay_pairs() {
        let mut memory = Memory::new(7);
        let mut rng = stream(0, "test", 0);
        assert!(memory.draw(4, &mut rng).is_none());
        memory.keep(&batch(1.0, 5000), 0);
        memory.keep(&batch(2.0, 3000), 1);
        memory.keep(&batch(3.0, 10), 2);
        let mut state = StateDict::default();
        memory.save(&mut state);
        let mut again = Memory::new(7);
        again.load(&state).unwrap();
        let (observations, actions) = again.rows.as_ref().unwrap();
        assert_eq!(observations.size(), [2 * EACH as i64 + 10, 2]);
        let count = |value: f64| to_f64(actions).iter().filter(|a| **a == value).count();
        assert_eq!([1.0, 2.0, 3.0].map(count), [EACH, EACH, 10]);
        let (o, a) = again.draw(500, &mut rng).unwrap();
        let rows = to_f64(&o);
        assert!(
            to_f64(&a)
                .iter()
                .enumerate()
                .all(|(i, a)| rows[2 * i] == *a)
        );
        assert!(to_f64(&a).contains(&1.0) && to_f64(&a).contains(&2.0));
    }
}
