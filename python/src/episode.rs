//! An environment with the episode that it is in, as single environments and vectors step it.

use costate_envs::rng::derive_seed;
use costate_envs::{End, Env, EnvError, EnvFactory, Success};
use numpy::PyArray1;
use pyo3::prelude::{Bound, Python, pyfunction};

/// Seeds of sub-experiments: `derive_seed(seed, name, i)` for i from 0 to `count` − 1, `[count]`.
#[pyfunction]
pub fn derive_seeds<'py>(
    py: Python<'py>,
    seed: u64,
    name: &str,
    count: usize,
) -> Bound<'py, PyArray1<u64>> {
    let seeds = (0..count as u64).map(|i| derive_seed(seed, name, i));
    PyArray1::from_vec(py, seeds.collect())
}

/// How an episode goes on after a step.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    /// −c(s_t, a_t).
    pub reward: f64,
    pub end: End,
}

/// An environment and its episode. The seeds of its episodes follow from that of its first one.
pub struct Episode {
    env: Box<dyn Env>,
    /// Steps after which an episode is cut off, if before the world's own horizon.
    limit: usize,
    first_seed: u64,
    /// Number of this episode from the first one on.
    number: u64,
    seed: u64,
    steps: usize,
    over: bool,
    success: Success,
}

impl Episode {
    /// An environment that has yet to be started.
    pub fn new(factory: &EnvFactory, limit: Option<usize>) -> Self {
        Self {
            env: factory.build(),
            limit: limit.unwrap_or(usize::MAX),
            first_seed: 0,
            number: 0,
            seed: 0,
            steps: 0,
            over: true,
            success: Success::default(),
        }
    }

    /// The first of the episodes of `seed`: a start state drawn from `seed` itself.
    pub fn start(&mut self, seed: u64) {
        (self.first_seed, self.number) = (seed, 0);
        self.begin(seed);
    }

    /// The next one.
    pub fn next(&mut self) {
        self.number += 1;
        self.begin(derive_seed(self.first_seed, "episode", self.number));
    }

    fn begin(&mut self, seed: u64) {
        self.env.reset(seed);
        self.seed = seed;
        self.begun();
    }

    /// The next one, from given coordinates.
    pub fn start_at(&mut self, coordinates: &[f32]) -> Result<(), EnvError> {
        self.env.reset_to(coordinates)?;
        self.begun();
        Ok(())
    }

    fn begun(&mut self) {
        (self.steps, self.over) = (0, false);
        self.success = Success::default();
        self.success.see(self.env.solved());
    }

    /// One step. An error other than an unfit action ends the episode.
    pub fn step(&mut self, action: &[f32]) -> Result<Outcome, EnvError> {
        if self.over {
            let env = self.env.spec().name.clone();
            return Err(EnvError::Ended { env });
        }
        let step = self.env.step(action).inspect_err(|error| {
            self.over = matches!(error, EnvError::Diverged { .. });
        })?;
        self.steps += 1;
        self.success.see(self.env.solved());
        let end = match step.end {
            End::Running if self.steps >= self.limit => End::Truncated,
            end => end,
        };
        self.over = end != End::Running;
        Ok(Outcome {
            reward: 0.0 - step.cost,
            end,
        })
    }

    /// Whether it has ended, or not begun.
    pub fn over(&self) -> bool {
        self.over
    }

    /// Whether the episode up to here counts as a success; `None` if the task does not define it.
    pub fn success(&self) -> Option<bool> {
        self.success.verdict()
    }

    /// Seed of the start state.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub fn env(&self) -> &dyn Env {
        self.env.as_ref()
    }
}
