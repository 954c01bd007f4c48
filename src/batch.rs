//! Trajectories as tensors: steps of all trajectories in one matrix, sums over each in f64.

use costate_envs::{End, Trajectory, TrajectoryError};
use tch::{Kind, Tensor};

use crate::nn::{self, StateDict, StateError};

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
    /// What the world charged for every step, `[S]`, where the learner may know it.
    pub true_cost: Option<Vec<f64>>,
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
            true_cost: None,
            owner: Tensor::from_slice(&owner),
        })
    }

    /// The same batch, sharing its tensors.
    pub fn shallow_clone(&self) -> Self {
        Self {
            observations: self.observations.shallow_clone(),
            actions: self.actions.shallow_clone(),
            starts: self.starts.shallow_clone(),
            finals: self.finals.shallow_clone(),
            lengths: self.lengths.clone(),
            ends: self.ends.clone(),
            behaviour: self.behaviour.clone(),
            true_cost: self.true_cost.clone(),
            owner: self.owner.shallow_clone(),
        }
    }

    /// Adds everything to `state`.
    pub fn save(&self, state: &mut StateDict) {
        for (name, tensor) in [
            ("observations", &self.observations),
            ("actions", &self.actions),
            ("starts", &self.starts),
            ("finals", &self.finals),
        ] {
            state.insert(name, tensor);
        }
        let lengths: Vec<f64> = self.lengths.iter().map(|&n| n as f64).collect();
        let terminated = |e: &End| f64::from(u8::from(*e == End::Terminated));
        let ends: Vec<f64> = self.ends.iter().map(terminated).collect();
        state.insert_numbers("lengths", &lengths);
        state.insert_numbers("terminated", &ends);
        if let Some(behaviour) = &self.behaviour {
            state.insert_numbers("behaviour", behaviour);
        }
        if let Some(cost) = &self.true_cost {
            state.insert_numbers("true_cost", cost);
        }
    }

    /// Restores what [`TrajectoryBatch::save`] wrote.
    pub fn load(state: &StateDict) -> Result<Self, StateError> {
        let count = state.get("lengths")?.numel();
        let lengths = state.counts("lengths", count)?;
        let steps: usize = lengths.iter().sum();
        // [S, d] or [N, d].
        let matrix = |name: &str, rows: usize| match state.get(name)? {
            matrix if matrix.dim() == 2 && matrix.size()[0] == rows as i64 => {
                Ok(matrix.shallow_clone())
            }
            other => Err(StateError::Mismatch {
                name: name.into(),
                got: format!("{:?}", other.size()),
                expected: format!("{rows} rows, as many as `lengths` says"),
            }),
        };
        let optional = |name: &str| match state.get(name) {
            Ok(_) => state.numbers(name, steps).map(Some),
            Err(_) => Ok(None),
        };
        let ends = state.numbers("terminated", lengths.len())?;
        let owner: Vec<i64> = lengths
            .iter()
            .enumerate()
            .flat_map(|(i, &len)| std::iter::repeat_n(i as i64, len))
            .collect();
        Ok(Self {
            observations: matrix("observations", steps)?,
            actions: matrix("actions", steps)?,
            starts: matrix("starts", lengths.len())?,
            finals: matrix("finals", lengths.len())?,
            ends: ends
                .iter()
                .map(|&t| match t > 0.5 {
                    true => End::Terminated,
                    false => End::Truncated,
                })
                .collect(),
            behaviour: optional("behaviour")?,
            true_cost: optional("true_cost")?,
            owner: Tensor::from_slice(&owner),
            lengths,
        })
    }

    /// The trajectories again.
    pub fn trajectories(&self) -> Result<Vec<Trajectory>, TrajectoryError> {
        let (o, a) = (
            self.starts.size()[1] as usize,
            self.actions.size()[1] as usize,
        );
        let [observations, actions, finals] =
            [&self.observations, &self.actions, &self.finals].map(nn::to_f32);
        let mut from = 0;
        let each = self
            .lengths
            .iter()
            .zip(&self.ends)
            .zip(finals.chunks_exact(o));
        each.map(|((&len, &end), last)| {
            let steps = from..from + len;
            from += len;
            let mut states = observations[steps.start * o..steps.end * o].to_vec();
            states.extend_from_slice(last);
            let behaviour = self.behaviour.as_ref();
            Trajectory::new(
                o,
                a,
                states,
                actions[steps.start * a..steps.end * a].to_vec(),
                behaviour.map(|b| b[steps].to_vec()),
                end,
            )
        })
        .collect()
    }

    /// The same steps cut into windows of at most `steps`, each a trajectory of its own: what the
    /// discriminator compares. `None` leaves whole trajectories; 1 gives single transitions.
    pub fn windows(&self, steps: Option<usize>) -> Self {
        let Some(steps) = steps else {
            return self.shallow_clone();
        };
        let steps = steps.max(1);
        let (mut lengths, mut ends, mut owner) = (Vec::new(), Vec::new(), Vec::new());
        let (mut first, mut last) = (Vec::new(), Vec::new());
        let mut from = 0;
        for (&len, &end) in self.lengths.iter().zip(&self.ends) {
            for begin in (0..len).step_by(steps) {
                let count = steps.min(len - begin);
                owner.extend(std::iter::repeat_n(lengths.len() as i64, count));
                first.push((from + begin) as i64);
                last.push((from + begin + count - 1) as i64);
                lengths.push(count);
                ends.push(match begin + count == len {
                    true => end,
                    // It goes on in the next window.
                    false => End::Truncated,
                });
            }
            from += len;
        }
        let pick = |t: &Tensor, rows: &[i64]| t.index_select(0, &Tensor::from_slice(rows));
        Self {
            observations: self.observations.shallow_clone(),
            actions: self.actions.shallow_clone(),
            starts: pick(&self.observations, &first),
            finals: pick(&self.next_observations(), &last),
            lengths,
            ends,
            behaviour: self.behaviour.clone(),
            true_cost: self.true_cost.clone(),
            owner: Tensor::from_slice(&owner),
        }
    }

    /// The first steps of every trajectory, `[N]` numbers of them; one that has no more stays as it is.
    pub fn prefixes(&self, steps: &[usize]) -> Self {
        let (mut rows, mut lengths, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let (mut owner, mut last) = (Vec::new(), Vec::new());
        let mut from = 0;
        for (i, (&len, &end)) in self.lengths.iter().zip(&self.ends).enumerate() {
            let count = steps[i].clamp(1, len);
            rows.extend(from as i64..(from + count) as i64);
            owner.extend(std::iter::repeat_n(i as i64, count));
            last.push((from + count - 1) as i64);
            lengths.push(count);
            ends.push(if count == len { end } else { End::Truncated });
            from += len;
        }
        let of_rows = |all: &Vec<f64>| rows.iter().map(|&row| all[row as usize]).collect();
        let pick = |t: &Tensor, rows: &[i64]| t.index_select(0, &Tensor::from_slice(rows));
        Self {
            observations: pick(&self.observations, &rows),
            actions: pick(&self.actions, &rows),
            starts: self.starts.shallow_clone(),
            finals: pick(&self.next_observations(), &last),
            lengths,
            ends,
            behaviour: self.behaviour.as_ref().map(of_rows),
            true_cost: self.true_cost.as_ref().map(of_rows),
            owner: Tensor::from_slice(&owner),
        }
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

    /// 1 where s_{t+1} has a future, 0 where it is terminal, `[S]`.
    pub fn alive(&self) -> Tensor {
        let mut alive = vec![1.0_f32; self.steps()];
        let mut from = 0;
        for (len, end) in self.lengths.iter().zip(&self.ends) {
            from += len;
            if *end == End::Terminated {
                alive[from - 1] = 0.0;
            }
        }
        Tensor::from_slice(&alive)
    }

    /// s_{t+1} for every step, `[S, observation_dim]`.
    pub fn next_observations(&self) -> Tensor {
        self.shifted(&self.observations, &self.finals)
    }

    /// What follows every step, `[S, …]`, of what states have before it, `[S, …]`, and at the end, `[N, …]`.
    pub fn shifted(&self, before: &Tensor, last: &Tensor) -> Tensor {
        let mut parts = Vec::with_capacity(2 * self.len());
        let mut from = 0;
        for (i, &len) in self.lengths.iter().enumerate() {
            parts.push(before.narrow(0, from + 1, len as i64 - 1));
            parts.push(last.narrow(0, i as i64, 1));
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
    fn ragged_trajectories_are_summed_apart_and_shifted() {
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
        assert_eq!(batch.trajectories().unwrap(), pair);
        assert!(TrajectoryBatch::new([]).is_none());
    }

    #[test]
    fn a_saved_batch_whose_rows_are_not_those_of_its_lengths_is_refused() {
        let pair = [trajectory(3, 0.0), trajectory(2, 10.0)];
        let batch = TrajectoryBatch::new(&pair).unwrap();
        let saved = || {
            let mut state = StateDict::default();
            batch.save(&mut state);
            state
        };
        let again = TrajectoryBatch::load(&saved()).unwrap();
        assert_eq!(again.trajectories().unwrap(), pair);
        for name in ["observations", "actions", "starts", "finals"] {
            let mut state = saved();
            let more = Tensor::cat(
                &[
                    state.get(name).unwrap(),
                    &Tensor::zeros([1, 1], (tch::Kind::Float, tch::Device::Cpu)),
                ],
                0,
            );
            state.insert(name, &more);
            let error = TrajectoryBatch::load(&state)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(name) && error.contains("rows"), "{error}");
        }
        for name in ["behaviour", "terminated"] {
            let mut state = saved();
            state.insert_numbers(name, &[0.0]);
            assert!(TrajectoryBatch::load(&state).is_err(), "{name}");
        }
        let mut state = saved();
        state.insert_numbers("lengths", &[3.0, 2.0e12]);
        assert!(TrajectoryBatch::load(&state).is_err());
    }

    #[test]
    fn prefixes_keep_first_steps_and_where_they_lead() {
        let mut pair = [trajectory(5, 0.0), trajectory(2, 10.0)];
        pair[1] = Trajectory::new(
            1,
            1,
            vec![10.0, 11.0, 12.0],
            vec![0.0, -1.0],
            Some(vec![0.25, 0.75]),
            End::Terminated,
        )
        .unwrap();
        let batch = TrajectoryBatch::new(&pair).unwrap();
        let cut = batch.prefixes(&[3, 1]);
        assert_eq!(cut.lengths, [3, 1]);
        assert_eq!(cut.ends, [End::Truncated, End::Truncated]);
        assert_eq!(nn::to_f64(&cut.finals), [3.0, 11.0]);
        assert_eq!(nn::to_f64(&cut.observations), [0.0, 1.0, 2.0, 10.0]);
        assert_eq!(
            nn::to_f64(&cut.behaviour_log_density().unwrap()),
            [1.5, 0.25]
        );
        let whole = batch.prefixes(&[9, 2]);
        assert_eq!(whole.trajectories().unwrap(), pair);
    }

    #[test]
    fn windows_keep_the_steps_and_know_their_ends() {
        let mut pair = [trajectory(5, 0.0), trajectory(2, 10.0)];
        pair[1] = Trajectory::new(
            1,
            1,
            vec![10.0, 11.0, 12.0],
            vec![0.0, -1.0],
            None,
            End::Terminated,
        )
        .unwrap();
        let batch = TrajectoryBatch::new(&pair).unwrap();
        let windows = batch.windows(Some(2));
        assert_eq!(windows.lengths, [2, 2, 1, 2]);
        assert_eq!(nn::to_f64(&windows.starts), [0.0, 2.0, 4.0, 10.0]);
        assert_eq!(nn::to_f64(&windows.finals), [2.0, 4.0, 5.0, 12.0]);
        assert_eq!(
            windows.ends,
            [
                End::Truncated,
                End::Truncated,
                End::Truncated,
                End::Terminated
            ]
        );
        let sums = windows.sum_over_time(&windows.observations.squeeze_dim(1));
        assert_eq!(nn::to_f64(&sums), [1.0, 5.0, 4.0, 21.0]);
        let next = nn::to_f64(&batch.next_observations());
        assert_eq!(nn::to_f64(&windows.next_observations()), next);
        assert_eq!(nn::to_f64(&batch.windows(Some(1)).finals), next);
        assert_eq!(batch.windows(None).lengths, batch.lengths);
    }
}
