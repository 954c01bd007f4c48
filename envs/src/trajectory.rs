//! Trajectories: what happened in an episode.

use crate::env::End;

/// Why arrays do not form a trajectory.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrajectoryError {
    /// Array lengths that do not fit together.
    #[error("{field} has {got} values, expected {expected} ({why})")]
    Length {
        /// The array.
        field: &'static str,
        /// Its length.
        got: usize,
        /// The length it should have.
        expected: usize,
        /// The reason.
        why: String,
    },
    /// NaN or infinity.
    #[error("{field} at step {step}, entry {entry} is {value}, expected a finite number")]
    NotFinite {
        /// The array.
        field: &'static str,
        /// Step t.
        step: usize,
        /// Entry within the step.
        entry: usize,
        /// The value found.
        value: f64,
    },
    /// No steps, or a zero dimension.
    #[error("{0}")]
    Empty(&'static str),
    /// An episode that is still running.
    #[error("the episode's end is `running`: only ended episodes form a trajectory")]
    Unfinished,
}

/// A trajectory τ = s_0, a_0, …, s_T without its true cost: T actions, T+1 observations.
#[derive(Debug, Clone, PartialEq)]
pub struct Trajectory {
    observation_dim: usize,
    action_dim: usize,
    /// Row-major `[T+1, observation_dim]`.
    observations: Vec<f32>,
    /// Row-major `[T, action_dim]`, as commanded.
    actions: Vec<f32>,
    /// log π(a_t | s_t) under the behaviour that acted, `[T]`, where it is known.
    log_densities: Option<Vec<f64>>,
    end: End,
}

/// Refuses the first of `values`, rows of `width`, that is not finite.
fn finite(
    field: &'static str,
    width: usize,
    values: &mut dyn Iterator<Item = f64>,
) -> Result<(), TrajectoryError> {
    match values.enumerate().find(|(_, v)| !v.is_finite()) {
        Some((i, value)) => Err(TrajectoryError::NotFinite {
            field,
            step: i / width,
            entry: i % width,
            value,
        }),
        None => Ok(()),
    }
}

impl Trajectory {
    /// Validates shapes and finiteness.
    ///
    /// Shapes: observations `[T+1, observation_dim]`, actions `[T, action_dim]`, log-densities `[T]`.
    pub fn new(
        observation_dim: usize,
        action_dim: usize,
        observations: Vec<f32>,
        actions: Vec<f32>,
        log_densities: Option<Vec<f64>>,
        end: End,
    ) -> Result<Self, TrajectoryError> {
        if observation_dim == 0 || action_dim == 0 {
            return Err(TrajectoryError::Empty(
                "observations and actions need at least one dimension",
            ));
        }
        if actions.is_empty() {
            return Err(TrajectoryError::Empty(
                "a trajectory needs at least one step",
            ));
        }
        if end == End::Running {
            return Err(TrajectoryError::Unfinished);
        }
        let len = actions.len() / action_dim;
        let check = |field, got: usize, expected: usize, why: String| {
            if got == expected {
                Ok(())
            } else {
                Err(TrajectoryError::Length {
                    field,
                    got,
                    expected,
                    why,
                })
            }
        };
        check(
            "actions",
            actions.len(),
            len * action_dim,
            format!("rows of {action_dim}"),
        )?;
        check(
            "observations",
            observations.len(),
            (len + 1) * observation_dim,
            format!("{len} steps need {} rows of {observation_dim}", len + 1),
        )?;
        if let Some(log_densities) = &log_densities {
            check(
                "log_densities",
                log_densities.len(),
                len,
                format!("{len} steps"),
            )?;
        }
        finite(
            "observations",
            observation_dim,
            &mut observations.iter().map(|&v| f64::from(v)),
        )?;
        finite(
            "actions",
            action_dim,
            &mut actions.iter().map(|&v| f64::from(v)),
        )?;
        if let Some(log_densities) = &log_densities {
            finite("log_densities", 1, &mut log_densities.iter().copied())?;
        }
        Ok(Self {
            observation_dim,
            action_dim,
            observations,
            actions,
            log_densities,
            end,
        })
    }

    /// Number of steps T.
    #[allow(clippy::len_without_is_empty)] // a trajectory has at least one step
    pub fn len(&self) -> usize {
        self.actions.len() / self.action_dim
    }

    /// Entries of an observation.
    pub fn observation_dim(&self) -> usize {
        self.observation_dim
    }

    /// Entries of an action.
    pub fn action_dim(&self) -> usize {
        self.action_dim
    }

    /// All observations, row-major `[T+1, observation_dim]`.
    pub fn observations(&self) -> &[f32] {
        &self.observations
    }

    /// All actions, row-major `[T, action_dim]`.
    pub fn actions(&self) -> &[f32] {
        &self.actions
    }

    /// Observation s_t, `t ≤ T`.
    pub fn observation(&self, t: usize) -> &[f32] {
        &self.observations[t * self.observation_dim..(t + 1) * self.observation_dim]
    }

    /// Action a_t, `t < T`.
    pub fn action(&self, t: usize) -> &[f32] {
        &self.actions[t * self.action_dim..(t + 1) * self.action_dim]
    }

    /// log π(a_t | s_t) of the behaviour, `[T]`, where known.
    pub fn log_densities(&self) -> Option<&[f64]> {
        self.log_densities.as_deref()
    }

    /// The same as somebody saw it who was not told the actions: zeros in their place, without log-densities.
    pub fn without_actions(mut self) -> Self {
        self.actions.fill(0.0);
        self.log_densities = None;
        self
    }

    /// How the episode ended; never `Running`.
    pub fn end(&self) -> End {
        self.end
    }
}

/// An episode: a trajectory with its true costs. Learners get only the trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// Seed of the start state.
    pub seed: u64,
    /// What a learner may see.
    pub trajectory: Trajectory,
    /// True cost of each step, `[T]`.
    pub costs: Vec<f64>,
    /// Whether the task was solved, according to [`Success`]; `None` if the task does not define it.
    pub success: Option<bool>,
}

/// Evaluates success during an episode: a success if every state of its last tenth (s_t with
/// t ≥ 0.9 T, the final one included) is solved.
#[derive(Debug, Clone, Copy, Default)]
pub struct Success {
    seen: usize,
    /// Number of states up to the last unsolved one.
    failing: usize,
    known: bool,
}

impl Success {
    /// Takes the next state, s_0 first: what [`Env::solved`](crate::Env::solved) says of it.
    pub fn see(&mut self, solved: Option<bool>) {
        self.seen += 1;
        self.known |= solved.is_some();
        if solved != Some(true) {
            self.failing = self.seen;
        }
    }

    /// The judgement after the final state.
    pub fn verdict(self) -> Option<bool> {
        let steps = self.seen.saturating_sub(1);
        self.known.then_some(10 * self.failing < 9 * steps + 10)
    }
}

impl Episode {
    /// The true return, −Σ_t c(s_t, a_t).
    pub fn true_return(&self) -> f64 {
        -self.costs.iter().sum::<f64>()
    }

    /// The steps as rewards, `[T]`: the negative costs, where a cost of 0 is a reward of 0, not of −0.
    pub fn rewards(&self) -> impl Iterator<Item = f64> + '_ {
        self.costs.iter().map(|c| 0.0 - c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(states: &[bool]) -> Option<bool> {
        let mut success = Success::default();
        states.iter().for_each(|s| success.see(Some(*s)));
        success.verdict()
    }

    #[test]
    fn success_is_the_last_tenth_solved() {
        let mut states = [false; 21];
        states[18..].fill(true);
        assert_eq!(verdict(&states), Some(true));
        states[18] = false;
        assert_eq!(verdict(&states), Some(false));
        assert_eq!(verdict(&[true; 4]), Some(true));
        assert_eq!(verdict(&[true, true, true, false]), Some(false));
        let mut silent = Success::default();
        silent.see(None);
        assert_eq!(silent.verdict(), None);
    }
}
