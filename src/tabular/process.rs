//! A finite decision process with a fixed horizon.

use costate_envs::rng::Stream;
use rand::RngExt;

/// Why a process is invalid.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ProcessError {
    /// No states, actions or steps.
    #[error("a process needs states, actions and steps, found {states}, {actions} and {horizon}")]
    Empty {
        /// States.
        states: usize,
        /// Actions.
        actions: usize,
        /// Steps.
        horizon: usize,
    },
    /// An invalid distribution.
    #[error("{what} sums to {sum}, expected 1 with no negative entry")]
    Distribution {
        /// Which one.
        what: String,
        /// Its sum.
        sum: f64,
    },
    /// A successor that does not exist.
    #[error("state {state}, action {action} leads to state {next}, there are {states}")]
    Successor {
        /// State.
        state: usize,
        /// Action.
        action: usize,
        /// Successor.
        next: usize,
        /// States.
        states: usize,
    },
    /// A table of the wrong shape.
    #[error("{what} has {found} entries, expected {expected}")]
    Shape {
        /// Which one.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The expected length.
        expected: usize,
    },
}

/// Possible successors with their probabilities.
pub type Successors = Vec<(usize, f64)>;

/// S states, A actions, T steps: ρ(s_0), P(s' | s, a). Tables over (s, a) are row by row, `[S · A]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Process {
    states: usize,
    actions: usize,
    horizon: usize,
    start: Vec<f64>,
    next: Vec<Successors>,
}

/// An episode: T states and the actions taken there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// (s_t, a_t).
    pub steps: Vec<(usize, usize)>,
}

const TOLERANCE: f64 = 1e-9;

impl Process {
    /// From ρ, `[S]`, and the successors of every (s, a), `[S · A]`.
    pub fn new(
        actions: usize,
        horizon: usize,
        start: Vec<f64>,
        next: Vec<Successors>,
    ) -> Result<Self, ProcessError> {
        let states = start.len();
        if states * actions * horizon == 0 {
            return Err(ProcessError::Empty {
                states,
                actions,
                horizon,
            });
        }
        if next.len() != states * actions {
            return Err(ProcessError::Shape {
                what: "the table of successors",
                found: next.len(),
                expected: states * actions,
            });
        }
        distribution("the start", start.iter().copied())?;
        for (i, successors) in next.iter().enumerate() {
            let (state, action) = (i / actions, i % actions);
            if let Some((next, _)) = successors.iter().find(|(s, _)| *s >= states) {
                return Err(ProcessError::Successor {
                    state,
                    action,
                    next: *next,
                    states,
                });
            }
            let what = || format!("P(· | {state}, {action})");
            distribution(&what(), successors.iter().map(|(_, p)| *p))?;
        }
        Ok(Self {
            states,
            actions,
            horizon,
            start,
            next,
        })
    }

    /// A random process: every (s, a) leads to `branches` states with random probabilities; with 1 it is deterministic.
    pub fn random(
        states: usize,
        actions: usize,
        horizon: usize,
        branches: usize,
        rng: &mut Stream,
    ) -> Result<Self, ProcessError> {
        let mut shares = |n: usize| {
            let raw: Vec<f64> = (0..n).map(|_| 0.1 + rng.random::<f64>()).collect();
            let sum: f64 = raw.iter().sum();
            let picks: Vec<usize> = (0..n).map(|_| rng.random_range(0..states)).collect();
            (picks, raw.iter().map(|p| p / sum).collect::<Vec<f64>>())
        };
        let (_, start) = shares(states);
        let next = (0..states * actions)
            .map(|_| {
                let (picks, p) = shares(branches);
                picks.into_iter().zip(p).collect()
            })
            .collect();
        Self::new(actions, horizon, start, next)
    }

    /// The same with another ρ, `[S]`.
    pub fn starting_by(&self, start: Vec<f64>) -> Result<Self, ProcessError> {
        Self::new(self.actions, self.horizon, start, self.next.clone())
    }

    /// S.
    pub fn states(&self) -> usize {
        self.states
    }

    /// A.
    pub fn actions(&self) -> usize {
        self.actions
    }

    /// T.
    pub fn horizon(&self) -> usize {
        self.horizon
    }

    /// ρ(s_0), `[S]`.
    pub fn start(&self) -> &[f64] {
        &self.start
    }

    /// The successors of (s, a).
    pub fn successors(&self, state: usize, action: usize) -> &[(usize, f64)] {
        &self.next[self.at(state, action)]
    }

    /// Whether every (s, a) has a single successor.
    pub fn is_deterministic(&self) -> bool {
        self.next.iter().all(|n| n.len() == 1)
    }

    /// The index of (s, a) in a table.
    pub fn at(&self, state: usize, action: usize) -> usize {
        state * self.actions + action
    }

    /// An episode of log π_t(a | s), `[T][S · A]`.
    pub fn walk(&self, log_policy: &[Vec<f64>], rng: &mut Stream) -> Walk {
        let mut state = draw(self.start.iter().copied().enumerate(), rng);
        let steps = (0..self.horizon).map(|t| {
            let row = &log_policy[t][self.at(state, 0)..self.at(state, 0) + self.actions];
            let action = draw(row.iter().map(|l| l.exp()).enumerate(), rng);
            let step = (state, action);
            state = draw(self.successors(state, action).iter().copied(), rng);
            step
        });
        Walk {
            steps: steps.collect(),
        }
    }
}

fn distribution(what: &str, values: impl Iterator<Item = f64> + Clone) -> Result<(), ProcessError> {
    // An empty sum is −0.
    let sum = 0.0 + values.clone().sum::<f64>();
    if (sum - 1.0).abs() > TOLERANCE || values.clone().any(|p| p < 0.0) || !sum.is_finite() {
        return Err(ProcessError::Distribution {
            what: what.into(),
            sum,
        });
    }
    Ok(())
}

fn draw(weighted: impl Iterator<Item = (usize, f64)>, rng: &mut Stream) -> usize {
    let mut left: f64 = rng.random();
    let mut last = 0;
    for (i, p) in weighted {
        last = i;
        left -= p;
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::rng::stream;

    #[test]
    fn invalid_processes_are_rejected() {
        let ok = vec![vec![(0, 1.0)], vec![(1, 0.25), (0, 0.75)]];
        let new = |start: Vec<f64>, next: Vec<Successors>| Process::new(1, 3, start, next);
        assert!(new(vec![0.5, 0.5], ok.clone()).is_ok());
        let message = |r: Result<Process, ProcessError>| r.unwrap_err().to_string();
        assert!(message(new(vec![0.5, 0.4], ok.clone())).contains("the start sums to 0.9"));
        assert!(message(new(vec![1.0], ok)).contains("2 entries, expected 1"));
        let astray = vec![vec![(0, 1.0)], vec![(2, 1.0)]];
        assert!(message(new(vec![0.5, 0.5], astray)).contains("leads to state 2, there are 2"));
        let short = vec![vec![(0, 1.0)], vec![]];
        assert!(message(new(vec![0.5, 0.5], short)).contains("P(· | 1, 0) sums to 0"));
        assert!(message(Process::new(0, 1, vec![1.0], vec![])).contains("needs states"));
    }

    #[test]
    fn walks_follow_the_policy_and_the_process() {
        let next = vec![
            vec![(1, 1.0)],
            vec![(0, 1.0)],
            vec![(0, 0.5), (1, 0.5)],
            vec![(1, 1.0)],
        ];
        let process = Process::new(2, 2, vec![1.0, 0.0], next).unwrap();
        let certain = vec![vec![0.0, f64::NEG_INFINITY, f64::NEG_INFINITY, 0.0]; 2];
        let walk = process.walk(&certain, &mut stream(1, "walk", 0));
        assert_eq!(walk.steps, [(0, 0), (1, 1)]);
    }
}
