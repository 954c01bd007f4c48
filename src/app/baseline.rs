//! The baseline of every evaluation: behaviour cloning on the same demonstrations.

use super::results::{Results, unwritable};
use super::{Demonstrations, Progress};
use crate::audit::Sealer;
use crate::error::Error;
use crate::evaluate::workers::interrupted;
use crate::learners::bc::{self, BcSettings};
use crate::learners::{Algorithm, Setup};
use crate::policy::GaussianPolicy;
use crate::run::{RunFolder, files, settings};
use costate_base::disk;

/// Where a run keeps its cloned baseline.
const BASELINE: &str = "baseline/clone.safetensors";

/// Reuses the policy of `clone`, a default `bc` run on the same demonstrations with the same seed, as the
/// cloned baseline of `run`, which would otherwise be trained again.
pub fn adopt_baseline(run: &RunFolder, clone: &RunFolder) -> Result<(), Error> {
    let policy = GaussianPolicy::read(&clone.file("policy.safetensors"))?;
    keep_baseline(Results::of(run), &policy)
}

fn keep_baseline(results: Results, policy: &GaussianPolicy) -> Result<(), Error> {
    let folder = results.file("baseline");
    disk::create_folders(&folder)?;
    files::write_atomic(&results.file(BASELINE), &policy.to_bytes()?)
}

/// Behaviour cloning on the same demonstrations with default settings: the baseline in every table.
/// Trained once per run and kept in `baseline/clone.safetensors`.
pub fn cloned_baseline(
    results: Results,
    demonstrations: &Demonstrations,
    progress: &dyn Progress,
) -> Result<GaussianPolicy, Error> {
    let run = results.run();
    let file = results.found(BASELINE);
    if file.exists() {
        return Ok(GaussianPolicy::read(&file)?);
    }
    let count = run.config().imitated()?.episodes;
    let policy = clone_of(demonstrations, count, run.config().seed, progress)?;
    match keep_baseline(results, &policy) {
        // A read-only run: the next evaluation trains the clone again.
        Err(e) if unwritable(&e) => Ok(policy),
        // Read back, so that this evaluation uses exactly what later ones will read.
        kept => kept.and_then(|()| Ok(GaussianPolicy::read(&results.file(BASELINE))?)),
    }
}

/// Behaviour cloning of the first `count` demonstrations with default settings.
///
/// Errors: demonstrations without actions; an interruption.
pub fn clone_of(
    demonstrations: &Demonstrations,
    count: usize,
    seed: u64,
    progress: &dyn Progress,
) -> Result<GaussianPolicy, Error> {
    if !demonstrations.dataset.meta().actions_known() {
        return Err(Error::Misuse(format!(
            "{}: no actions were recorded, so that there is no clone to compare with; name demonstrations with actions",
            demonstrations.dataset.path().display()
        )));
    }
    let env = &demonstrations.factory.spec().name;
    let algo = settings::resolve(BcSettings::NAME, env, None, &[])?;
    let settings: &BcSettings =
        (algo.settings()).ok_or_else(|| Error::Failure("settings of another algorithm".into()))?;
    // A changed world may have lost the symmetries that the shipped settings use.
    let images = match demonstrations.check_symmetries(&algo) {
        Ok(()) => algo.symmetric_copies(),
        Err(_) => 0,
    };
    let (originals, starts) = demonstrations.first(count);
    let trajectories = demonstrations.with_images(originals, images, seed);
    let setup = Setup {
        sealer: Sealer::unwatched(),
        starts: &starts,
        factory: &demonstrations.factory,
        demonstrations: &trajectories,
        images,
        expert: "",
        seed,
        workers: 1,
        elsewhere: None,
    };
    progress.begin("bc", settings.iterations);
    let clone = bc::clone(settings, &setup, &mut |done| {
        progress.advance(done, "baseline: behaviour cloning");
        !progress.interrupted()
    })?;
    progress.end();
    clone.ok_or_else(interrupted)
}
