//! The environment interface: everything Costate simulates is an [`Env`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scene::Scene;
use crate::spec::EnvSpec;
use crate::symmetry::Symmetry;

/// Status of an episode after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The episode continues.
    Running,
    /// The state is final: it has no future.
    Terminated,
    /// The horizon was reached: the future exists but is cut off.
    Truncated,
}

/// The outcome of one control step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// True cost of the step, c(s_t, a_t); for experts and evaluation only, never for learners.
    pub cost: f64,
    /// Whether the episode continues.
    pub end: End,
}

/// Errors of an environment.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum EnvError {
    /// An action with the wrong number of entries.
    #[error("{env}: the action has {got} entries, expected {expected}")]
    ActionLength {
        env: String,
        expected: usize,
        got: usize,
    },
    /// NaN or infinity in an action.
    #[error(
        "{env}: action {channel} is {value}, expected a finite number; check the policy or expert that produced it"
    )]
    ActionNotFinite {
        env: String,
        channel: String,
        value: f32,
    },
    /// A step in the world of demonstrations without a simulator.
    #[error(
        "these demonstrations came without a simulator: nothing can be played in their world; to attach one, import them again with `costate demos import … --env NAME`"
    )]
    NoSimulator,
    /// An environment that another program simulates failed, or was asked for what it does not offer.
    #[error("{env}: {reason}")]
    Outside { env: String, reason: String },
    /// An episode that workers elsewhere could not play: what they say.
    #[error("{0}")]
    Elsewhere(String),
    /// A step after the end of the episode.
    #[error("{env}: the episode has ended; reset before the next step")]
    Ended { env: String },
    /// A state that does not belong to this environment.
    #[error("{env}: cannot load this state: {reason}")]
    BadState { env: String, reason: String },
    /// The simulation left the range of finite numbers.
    #[error(
        "{env}: the simulation diverged at step {step}; reduce forces, mass ratios or the time step"
    )]
    Diverged { env: String, step: usize },
    /// A world, or what acts in it, that panicked: a fault in the program.
    #[error("{env}: a fault in the program: {message}; please report it")]
    Panicked { env: String, message: String },
    /// An episode that failed on the way.
    #[error("{cause} (seed {}, step {})", broken.seed, broken.step())]
    Broken {
        broken: Box<Broken>,
        cause: Box<EnvError>,
    },
    /// An episode whose numbers do not form a trajectory.
    #[error(
        "{env}: a rollout is not a valid trajectory: {source}; check the weights of the policy, or the model's forces, masses and time step"
    )]
    NoTrajectory {
        env: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// An episode up to a failure, from which it can be played again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broken {
    /// Seed of its start.
    pub seed: u64,
    /// All actions until then, `[steps][action dim]`; the last one failed, unless it was still to be chosen or not finite.
    pub actions: Vec<Vec<f32>>,
    /// Whether the last action was taken, and the step failed.
    pub acted: bool,
}

impl Broken {
    /// The step t that failed.
    pub fn step(&self) -> usize {
        self.actions.len() - usize::from(self.acted)
    }
}

/// The complete state of an environment in the middle of an episode: loading it reproduces the
/// rest of the episode bit for bit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SavedState {
    /// Name of the environment it came from.
    pub env: String,
    /// Steps taken so far.
    pub step: usize,
    /// Whether the episode has ended.
    pub end: End,
    /// Task memory beyond the physics (e.g. a start position), in the world's own order.
    pub task: Vec<f64>,
    /// Physics, if any.
    pub physics: Option<crate::physics::Snapshot>,
    /// Parameters sampled for the episode, if they vary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<Value>,
}

/// A simulated control task over f32 slices.
///
/// Shapes: observation `[spec().observation.dim()]`, action `[spec().action.dim()]`, coordinates
/// `[n]` with `n` fixed per world (generalised positions, then velocities).
///
/// Actions are *commanded* values; the world saturates them to the action bounds before use, while
/// costs see the command. Identical seeds give identical episodes.
pub trait Env: Send {
    /// Names, units, bounds, horizon.
    fn spec(&self) -> &EnvSpec;

    /// Starts an episode from a start state drawn from `seed`.
    fn reset(&mut self, seed: u64);

    /// Writes the current observation.
    fn observe(&self, out: &mut [f32]);

    /// Advances one control period under the commanded `action`.
    fn step(&mut self, action: &[f32]) -> Result<Step, EnvError>;

    /// True cost c(s, a) of commanding `action` in the current state.
    fn cost(&self, action: &[f32]) -> f64;

    /// Whether the current state satisfies the task's goal; `None` if the task defines none.
    fn solved(&self) -> Option<bool> {
        None
    }

    /// Names of the distinct ways to solve the task that can be told from an episode's observations; empty if the
    /// task defines none.
    fn modes(&self) -> &[&'static str] {
        &[]
    }

    /// Which of [`Env::modes`] an episode with these observations, row-major `[T+1, observation dim]`, took; `None`
    /// if none of them.
    fn mode(&self, _observations: &[f32]) -> Option<usize> {
        None
    }

    /// Changes of coordinates under which dynamics and cost stay as they are where its parameters allow; empty if none is
    /// known.
    fn symmetries(&self) -> Vec<Symmetry> {
        Vec::new()
    }

    /// The generalised coordinates: positions, then velocities.
    fn coordinates(&self) -> Vec<f32>;

    /// Starts an episode at the given generalised coordinates (same layout as [`Env::coordinates`]).
    fn reset_to(&mut self, coordinates: &[f32]) -> Result<(), EnvError>;

    /// The full state.
    fn save(&self) -> SavedState;

    /// Restores a full state of the same environment and model.
    fn load(&mut self, state: &SavedState) -> Result<(), EnvError>;

    /// A 64-bit digest of the full state: equal states, equal digests.
    fn state_hash(&self) -> u64;

    /// A picture of the current state.
    fn scene(&self) -> Scene;
}

/// Checks an action against a spec: length and finiteness.
pub fn check_action(spec: &EnvSpec, action: &[f32]) -> Result<(), EnvError> {
    if action.len() != spec.action.dim() {
        return Err(EnvError::ActionLength {
            env: spec.name.clone(),
            expected: spec.action.dim(),
            got: action.len(),
        });
    }
    match spec
        .action
        .0
        .iter()
        .zip(action)
        .find(|(_, v)| !v.is_finite())
    {
        Some((channel, &value)) => Err(EnvError::ActionNotFinite {
            env: spec.name.clone(),
            channel: channel.name.clone(),
            value,
        }),
        None => Ok(()),
    }
}
