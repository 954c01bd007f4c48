//! Experts: policies trained on the true cost, to record demonstrations with.

use super::runs::{Existing, Request, Target, Worked, work};
use super::{Progress, WorldChanges, run_folder};
use crate::error::Error;
use crate::learners::rl::EXPERT;
use crate::run::{RunFolder, settings};

/// The environment that an expert learns in.
#[derive(Debug, Clone)]
pub struct TrueCost {
    /// Its name.
    pub env: String,
    /// Changes to it.
    pub changes: WorldChanges,
}

/// Trains an expert.
///
/// Errors: an unknown environment or setting, a divergence. An interruption is not an error.
pub fn expert(request: &Request<TrueCost>, progress: &dyn Progress) -> Result<Worked, Error> {
    let changes = &request.changes;
    changes.check()?;
    let run = match &request.target {
        Target::New {
            source,
            folder,
            seed,
        } => {
            let env = &source.env;
            let config = source.changes.config(env)?;
            config.factory()?;
            let algo = settings::resolve(EXPERT, env, changes.file.as_deref(), &changes.set)?;
            let folder = run_folder(folder.as_deref(), || format!("{env}-expert-{seed}"));
            RunFolder::create(&folder, changes.config(config, algo, *seed)?)?
        }
        Target::Existing(existing) => changes.of(reopen(existing)?)?,
    };
    work(
        &run,
        None,
        request.workers,
        request.elsewhere.as_ref(),
        progress,
    )
}

fn reopen(existing: &Existing) -> Result<RunFolder, Error> {
    let run = RunFolder::resume(&existing.folder)?;
    let own = run.config();
    if own.algo.name() != EXPERT {
        return Err(Error::Misuse(format!(
            "{}: a run of `costate train`; resume with `{}`",
            run.path().display(),
            run.resume_command()
        )));
    }
    if existing.seed.is_some_and(|s| s != own.seed) {
        return Err(Error::Misuse(format!(
            "{} was started with --seed {}; a resumed run keeps it",
            run.path().display(),
            own.seed
        )));
    }
    Ok(run)
}
