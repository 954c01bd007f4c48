//! Experts: policies trained on the true cost, to record demonstrations with.

use std::path::{Path, PathBuf};

use super::start::{Changes, Worked, work};
use super::{Progress, WorldChanges, run_folder};
use crate::error::Error;
use crate::run::{Algo, RunFolder, settings};

/// What to train.
#[derive(Debug, Clone)]
pub struct Request {
    /// A new run, or one that goes on.
    pub target: Target,
    /// Its settings; parameters of the environment, as `env.KEY`, may be among those of a new run.
    pub changes: Changes,
    /// Worker threads.
    pub workers: usize,
}

/// A new run, or one that goes on.
#[derive(Debug, Clone)]
pub enum Target {
    /// A new run.
    New {
        /// The environment.
        env: String,
        /// What differs there; single parameters are among the settings.
        world: WorldChanges,
        /// Its folder; `runs/ENV-expert-SEED` by default.
        folder: Option<PathBuf>,
        /// Seed of every random stream.
        seed: u64,
    },
    /// A run that goes on from its last checkpoint.
    Existing {
        /// Its folder.
        folder: PathBuf,
        /// Its seed, if the caller says which.
        seed: Option<u64>,
    },
}

/// Trains an expert.
///
/// Errors: an unknown environment or setting, a divergence. An interruption is none.
pub fn expert(request: &Request, progress: &dyn Progress) -> Result<Worked, Error> {
    let changes = &request.changes;
    changes.check()?;
    let run = match &request.target {
        Target::New {
            env,
            world,
            folder,
            seed,
        } => create(env, world, folder.as_deref(), *seed, changes)?,
        Target::Existing { folder, seed } => reopen(folder, *seed, changes)?,
    };
    work(&run, None, request.workers, progress)
}

fn create(
    env: &str,
    world: &WorldChanges,
    folder: Option<&Path>,
    seed: u64,
    changes: &Changes,
) -> Result<RunFolder, Error> {
    let (of_env, of_learner) = changes.split();
    let world = WorldChanges {
        set: of_env,
        ..world.clone()
    };
    let config = world.config(env)?;
    config.factory()?;
    let algo = settings::resolve("ppo", env, changes.file.as_deref(), &of_learner)?;
    let folder = run_folder(folder, || format!("{env}-expert-{seed}"));
    RunFolder::create(&folder, changes.config(config, algo, seed))
}

fn reopen(folder: &Path, seed: Option<u64>, changes: &Changes) -> Result<RunFolder, Error> {
    let run = RunFolder::resume(folder)?;
    let own = run.config();
    if !matches!(own.algo, Algo::Ppo(_)) {
        return Err(Error::Misuse(format!(
            "{}: a run of `costate train`; go on with `{}`",
            run.path().display(),
            run.resume_command()
        )));
    }
    if seed.is_some_and(|s| s != own.seed) {
        return Err(Error::Misuse(format!(
            "{} was started with --seed {}; a resumed run keeps it",
            run.path().display(),
            own.seed
        )));
    }
    changes.of(run)
}
