//! Trajectories as tensors: steps of all trajectories in one matrix, sums over each in f64.

use costate_envs::{End, Trajectory};
use tch::{Kind, Tensor};

use crate::nn;

/// N trajectories with S steps in all, flattened.
#[derive(Debug)]
pub struct TrajectoryBatch {
    /// s_t for t < T of every trajectory, `[S, observation_dim]`.
    pub observations: Tensor,
    /// a_t, as commanded, `[S, action_dim]`.
    pub actions: Tensor,
    /// s_0 of every trajectory, `[N, observation_dim]`.
    pub starts: Tensor,
    /// s_T of every trajectory, `[N, observation_dim]`.
    pub finals: Tensor,
    /// Number of steps of each trajectory, `[N]`.
    pub lengths: Vec<usize>,
    /// How each ended, `[N]`.
    pub ends: Vec<End>,
    /// log π(a_t | s_t) of the behaviour, `[S]`, if every trajectory carries it.
    pub behaviour: Option<Vec<f64>>,
    /// Trajectory of each step, `[S]`.
    owner: Tensor,
}

impl TrajectoryBatch {
    /// Flattens trajectories of equal observation and action dimensions; `None` if there are none.
    pub fn new<'a>(trajectories: impl IntoIterator<Item = &'a Trajectory>) -> Option<Self> {
        let trajectories: Vec<&Trajectory> = trajectories.into_iter().collect();
        let first = trajectories.first()?;
        let (o, a) = (first.observation_dim(), first.action_dim());
        let steps: usize = trajectories.iter().map(|t| t.len()).sum();
        let mut observations = Vec::with_capacity(steps * o);
        let mut actions = Vec::with_capacity(steps * a);
        let (mut starts, mut finals, mut owner) = (Vec::new(), Vec::new(), Vec::new());
        for (i, t) in trajectories.iter().enumerate() {
            observations.extend_from_slice(&t.observations()[..t.len() * o]);
            actions.extend_from_slice(t.actions());
            starts.extend_from_slice(t.observation(0));
            finals.extend_from_slice(t.observation(t.len()));
            owner.extend(std::iter::repeat_n(i as i64, t.len()));
        }
        let behaviour: Option<Vec<&[f64]>> =
            trajectories.iter().map(|t| t.log_densities()).collect();
        Some(Self {
            observations: nn::matrix(&observations, o),
            actions: nn::matrix(&actions, a),
            starts: nn::matrix(&starts, o),
            finals: nn::matrix(&finals, o),
            lengths: trajectories.iter().map(|t| t.len()).collect(),
            ends: trajectories.iter().map(|t| t.end()).collect(),
            behaviour: behaviour.map(|b| b.concat()),
            owner: Tensor::from_slice(&owner),
        })
    }

    /// Number of trajectories N.
    #[allow(clippy::len_without_is_empty)] // a batch has at least one trajectory
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Number of steps S.
    pub fn steps(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Σ_t of a per-step quantity, `[S] → [N]`, in f64.
    pub fn sum_over_time(&self, per_step: &Tensor) -> Tensor {
        let zeros = Tensor::zeros([self.len() as i64], (Kind::Double, tch::Device::Cpu));
        zeros.index_add(0, &self.owner, &per_step.to_kind(Kind::Double))
    }

    /// s_{t+1} for every step, `[S, observation_dim]`.
    pub fn next_observations(&self) -> Tensor {
        let mut parts = Vec::with_capacity(2 * self.len());
        let mut from = 0;
        for (i, &len) in self.lengths.iter().enumerate() {
            parts.push(self.observations.narrow(0, from + 1, len as i64 - 1));
            parts.push(self.finals.narrow(0, i as i64, 1));
            from += len as i64;
        }
        Tensor::cat(&parts, 0)
    }

    /// Σ_t log π(a_t | s_t) of the behaviour, `[N]`, if known.
    pub fn behaviour_log_density(&self) -> Option<Tensor> {
        self.behaviour
            .as_ref()
            .map(|b| self.sum_over_time(&Tensor::from_slice(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trajectory(len: usize, first: f32) -> Trajectory {
        let observations = (0..=len).map(|t| first + t as f32).collect();
        let actions = (0..len).map(|t| -(t as f32)).collect();
        Trajectory::new(
            1,
            1,
            observations,
            actions,
            Some(vec![0.5; len]),
            End::Truncated,
        )
        .unwrap()
    }

    #[test]
    fn ragged_trajectories_are_summed_apart_and_shifted_rightly() {
        let pair = [trajectory(3, 0.0), trajectory(2, 10.0)];
        let batch = TrajectoryBatch::new(&pair).unwrap();
        assert_eq!((batch.len(), batch.steps()), (2, 5));
        let sums = batch.sum_over_time(&batch.observations.squeeze_dim(1));
        assert_eq!(nn::to_f64(&sums), [3.0, 21.0]);
        assert_eq!(
            nn::to_f64(&batch.next_observations()),
            [1.0, 2.0, 3.0, 11.0, 12.0]
        );
        assert_eq!(nn::to_f64(&batch.finals), [3.0, 12.0]);
        assert_eq!(
            nn::to_f64(&batch.behaviour_log_density().unwrap()),
            [1.5, 1.0]
        );
        assert!(TrajectoryBatch::new([]).is_none());
    }
}
