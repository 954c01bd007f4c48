//! The learning side of the local web page: runs that are watched, started and steered, and what they have learned.
//!
//! | file | contents |
//! | --- | --- |
//! | `process` | one process that trains, and the signals that steer it |
//! | `started` | the processes that this page started |
//! | `standing` | what a run is doing and how far it is |
//! | `view` | a run with curves, findings and settings |
//! | `words` | the commands that train, as started and as shown |
//! | `forms` | what can be trained, with every setting |
//! | `learned` | the latest policy and cost, put to use |

mod forms;
mod learned;
mod process;
mod standing;
mod started;
mod view;
mod words;

use std::path::{Path, PathBuf};

use costate_envs::{EnvConfig, Episode};
use costate_page::learning::{
    Driver, Form, Landscape, Learning, Order, Refusal, RunLine, RunView, Training,
};

use super::train::{Shown, plan};
use super::{Changes, Demonstrations, run_name};
use crate::error::Error;
use crate::run::{RunFolder, lock};
use started::{Now, Started};

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.exit_code() {
            2 => Self::misuse(error),
            _ => Self::failure(error),
        }
    }
}

/// Trains in processes of its own, one a run, and reads what runs have become.
pub struct Trainer {
    started: Started,
}

impl Trainer {
    /// One whose processes are this program's.
    ///
    /// Errors: the system does not say where it is.
    pub fn new() -> Result<Self, Error> {
        let program = std::env::current_exe()
            .map_err(|e| Error::Failure(format!("cannot tell where this program is: {e}")))?;
        Ok(Self::with(program))
    }

    /// One whose processes are of another `costate` program.
    pub fn with(program: PathBuf) -> Self {
        Self {
            started: Started::new(program),
        }
    }
}

impl Learning for Trainer {
    fn runs(&self, folder: &Path) -> Vec<RunLine> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let paths = entries.flatten().map(|entry| entry.path());
        let mut found: Vec<_> = paths
            .filter(|path| !run_name(path).starts_with('.'))
            .filter_map(|path| {
                let run = RunFolder::open(&path).ok()?;
                let line = standing::of(&run, self.started.now(&path)).ok()?;
                Some((standing::begun(&path), line.line))
            })
            .collect();
        // By their names where they began at once, so that the order holds still.
        found.sort_by(|(a, x), (b, y)| b.cmp(a).then_with(|| x.name.cmp(&y.name)));
        found.into_iter().map(|(_, line)| line).collect()
    }

    fn run(&self, run: &Path, after: Option<usize>) -> Result<RunView, Refusal> {
        let folder = RunFolder::open(run)?;
        Ok(view::of(&folder, self.started.now(run), after)?)
    }

    fn policy(&self, run: &Path) -> Result<Driver, Refusal> {
        Ok(learned::policy(&RunFolder::open(run)?)?)
    }

    fn costs(&self, run: &Path, episode: &Episode) -> Result<Vec<f64>, Refusal> {
        Ok(learned::costs(&RunFolder::open(run)?, episode)?)
    }

    fn landscapes(&self, run: &Path) -> Result<Vec<Landscape>, Refusal> {
        Ok(learned::landscapes(&RunFolder::open(run)?)?)
    }

    fn forms(&self, env: &EnvConfig) -> Result<Vec<Form>, Refusal> {
        Ok(forms::of(env)?)
    }

    fn train(&self, dataset: &Path, run: &Path, training: &Training) -> Result<(), Refusal> {
        let changes = Changes {
            set: words::overrides(&training.settings),
            ..Changes::default()
        };
        forms::check_experts(&Demonstrations::env_name(dataset)?, &training.settings)?;
        let planned = plan(&training.algo, &Shown::all(dataset), &changes)?;
        let free = !run.exists()
            || run
                .read_dir()
                .is_ok_and(|mut inside| inside.next().is_none());
        if !free {
            return Err(Refusal::conflict(format!(
                "there is a run `{}` already; choose another name, or resume that one",
                run_name(run)
            )));
        }
        let words = words::Train {
            dataset,
            count: None,
            algo: &training.algo,
            seed: training.seed,
            run,
            set: changes.set,
            checkpoint_every: words::checkpoints(&planned.algo),
        };
        Ok(self.started.train(run, words.for_process())?)
    }

    fn order(&self, run: &Path, order: Order) -> Result<(), Refusal> {
        match order {
            Order::Pause => Ok(self.started.pause(run)?),
            Order::Stop => Ok(self.started.stop(run)?),
            Order::Resume => match self.started.now(run) {
                Now::Works(_) => Ok(self.started.go_on(run)?),
                Now::Unknown | Now::Ended(_) => self.resume(run),
            },
        }
    }

    fn close(&self) {
        self.started.close();
    }
}

impl Trainer {
    /// Resumes a run that nobody works on.
    fn resume(&self, run: &Path) -> Result<(), Refusal> {
        let folder = RunFolder::open(run)?;
        if lock::held(run) {
            return Err(Refusal::conflict(format!(
                "another process works on `{}`; it resumes it itself, or once that one has ended",
                run_name(run)
            )));
        }
        let standing = standing::of(&folder, Now::Unknown)?;
        if standing.complete {
            let planned = standing.line.planned;
            return Err(Refusal::misuse(format!(
                "all {planned} iterations of `{}` are done; `{} --set iterations={}` goes on",
                standing.line.name,
                folder.resume_command(),
                2 * planned
            )));
        }
        Ok(self.started.resume(run, words::resume(&folder))?)
    }
}
