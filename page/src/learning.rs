//! What the page asks of the side that learns. Without it (`costate-page`), pages record, replay and compare datasets.
//!
//! Everything here is called on a thread of its own and may take its time.

use std::path::Path;

use costate_envs::{EnvConfig, Episode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose fault a refusal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request was wrong.
    Misuse,
    /// It names something that does not exist.
    Missing,
    /// Someone else is at it.
    Conflict,
    /// The work failed.
    Failure,
}

/// Why something asked for cannot be done: for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Whose fault it is.
    pub fault: Fault,
    /// What is wrong and what to do.
    pub message: String,
}

impl Refusal {
    fn new(fault: Fault, message: impl ToString) -> Self {
        Self {
            fault,
            message: message.to_string(),
        }
    }

    /// A wrong request.
    pub fn misuse(message: impl ToString) -> Self {
        Self::new(Fault::Misuse, message)
    }

    /// A request for something that does not exist.
    pub fn missing(message: impl ToString) -> Self {
        Self::new(Fault::Missing, message)
    }

    /// A request for something that someone else is at.
    pub fn conflict(message: impl ToString) -> Self {
        Self::new(Fault::Conflict, message)
    }

    /// Work that failed.
    pub fn failure(message: impl ToString) -> Self {
        Self::new(Fault::Failure, message)
    }
}

/// Writes a policy's action for an observation.
pub type Act = Box<dyn FnMut(&[f32], &mut [f32]) + Send>;

/// A learned policy that acts by its mean.
pub struct Driver {
    /// The world that it was learned in.
    pub env: EnvConfig,
    /// The policy.
    pub act: Act,
}

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// A process works on it.
    Running,
    /// The process that this page started is stopped for a while.
    Paused,
    /// All its iterations are done.
    Done,
    /// It stopped before its end, and can be resumed.
    Stopped,
    /// It failed.
    Failed,
}

/// A run in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunLine {
    /// Name of its folder.
    pub name: String,
    /// The environment's name.
    pub env: String,
    /// The algorithm's name.
    pub algo: String,
    /// The name or path of its demonstrations.
    pub demonstrations: Option<String>,
    /// Its seed.
    pub seed: u64,
    /// What it is doing.
    pub state: State,
    /// Iterations done.
    pub iterations: usize,
    /// Iterations in all.
    pub planned: usize,
    /// Whether this page may pause and stop it.
    pub ours: bool,
    /// Whether there is a policy to play.
    pub policy: bool,
    /// Whether there is a learned cost.
    pub cost: bool,
    /// Its last evaluation's normalised score: 0 random actions, 1 the expert.
    pub score: Option<f64>,
    /// Unix time of its last change, seconds.
    pub changed_s: u64,
}

/// A curve that a run has.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Curve {
    /// The metric's key, e.g. `true_return`.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Its unit; empty for pure numbers.
    pub unit: String,
    /// What it means and how it should look, in a sentence.
    pub about: String,
    /// Values to compare it with, by their names: `chance`, `demonstrations`.
    pub levels: Vec<(String, f64)>,
    /// Its range, if that is fixed: shares lie in [0, 1].
    pub range: Option<[f64; 2]>,
    /// `[iteration, value]`, where it is known.
    pub points: Vec<[f64; 2]>,
}

/// A named problem of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// What it means here.
    pub means: String,
    /// What to change.
    pub advice: String,
}

/// A run, watched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunView {
    /// As in the list.
    #[serde(flatten)]
    pub line: RunLine,
    /// What it is doing or why it failed, in a line.
    pub said: String,
    /// Curves, with points after the iteration asked for.
    pub curves: Vec<Curve>,
    /// What `costate diagnose` finds.
    pub findings: Vec<Finding>,
    /// The settings it was started with.
    pub settings: Vec<(String, Value)>,
    /// The command that does the same in a shell; empty of runs that learned from no demonstrations.
    pub command: String,
}

/// A setting of an algorithm, for a form.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Its key, as `--set` takes it.
    pub key: String,
    /// What it means.
    pub about: String,
    /// Its default in this environment.
    pub default: Value,
    /// The only values that it may have, if there are few.
    pub choices: Vec<Value>,
    /// Its bounds, if it is a number with bounds.
    pub low: Option<f64>,
    /// As `low`.
    pub high: Option<f64>,
    /// Whether most people want to see it.
    pub common: bool,
}

/// An algorithm with its settings in an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Form {
    /// Its name, as `--algo` takes it.
    pub algo: String,
    /// What it is, in a line.
    pub about: String,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// A training to start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Name of the dataset.
    pub dataset: String,
    /// Name of the run to make.
    pub name: String,
    /// The algorithm.
    pub algo: String,
    /// Seed of everything.
    #[serde(default)]
    pub seed: u64,
    /// Settings that differ from the defaults.
    #[serde(default)]
    pub settings: Vec<(String, Value)>,
}

/// What to do with a run that this page started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Stands still, and keeps its memory.
    Pause,
    /// Goes on, also after a stop.
    Resume,
    /// Ends after the current iteration's work is safe; can be resumed.
    Stop,
}

/// A learned cost over two observation channels, others as demonstrated.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Landscape {
    /// Index of the horizontal channel in the observation.
    pub x: usize,
    /// Index of the vertical one.
    pub y: usize,
    /// Their names with units.
    pub names: [String; 2],
    /// Bounds of the map: left, right, bottom, top.
    pub area: [f64; 4],
    /// Mean cost of a step, `[rows, columns]`, bottom row first.
    pub cost: Vec<Vec<f64>>,
}

/// The side that learns.
pub trait Learning: Send + Sync + 'static {
    /// The runs in a folder, newest first.
    fn runs(&self, folder: &Path) -> Vec<RunLine>;

    /// A run, with the points of its curves after iteration `after`.
    fn run(&self, run: &Path, after: Option<usize>) -> Result<RunView, Refusal>;

    /// Its latest policy.
    fn policy(&self, run: &Path) -> Result<Driver, Refusal>;

    /// Its learned cost of every step of an episode, `[T]`.
    fn costs(&self, run: &Path, episode: &Episode) -> Result<Vec<f64>, Refusal>;

    /// Its learned cost over pairs of channels, the most telling pair first.
    fn landscapes(&self, run: &Path) -> Result<Vec<Landscape>, Refusal>;

    /// What can be trained on demonstrations of an environment.
    fn forms(&self, env: &EnvConfig) -> Result<Vec<Form>, Refusal>;

    /// Starts a training as a process of its own: demonstrations in the folder `dataset`, run in `run`.
    fn train(&self, dataset: &Path, run: &Path, training: &Training) -> Result<(), Refusal>;

    /// Steers a run that this page started, or resumes any that stopped.
    fn order(&self, run: &Path, order: Order) -> Result<(), Refusal>;

    /// Stops what it started and waits for its last checkpoints.
    fn close(&self);
}
