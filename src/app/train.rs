//! Training: policies and costs from demonstrations; policies for given costs.

use std::path::Path;

use costate_demos::DatasetReader;
use costate_envs::worlds::table;
use serde::Serialize;

pub use super::demonstrations::Shown;
pub use super::rl::GivenCosts;
use super::runs::{Changes, Existing, Imitation, Request, Target, Worked, work};
use super::{Demonstrations, Progress, rl, run_folder, validate};
use crate::diagnose::{Finding, diagnose, remark_on_lengths};
use crate::error::Error;
use crate::evaluate::{Controls, Frozen};
use crate::learners::rl::{EXPERT, RlSettings};
use crate::learners::{Algo, Algorithm, dagger};
use crate::run::{RunFolder, settings};

/// Name of the algorithm that minimises given costs.
pub const GIVEN_COST: &str = RlSettings::NAME;

/// What a new run learns from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Demonstrations, with the algorithm of this name.
    Demonstrations(String, Shown),
    /// Costs that `rl` minimises.
    Costs(GivenCosts),
}

impl Request<Source> {
    /// A new run in `folder` that imitates all demonstrations in `demos`, with the defaults of the algorithm.
    pub fn imitation(algo: &str, demos: &Path, folder: &Path) -> Self {
        let demos = Shown::all(demos);
        Self {
            target: Target::New {
                source: Source::Demonstrations(algo.into(), demos),
                folder: Some(folder.into()),
                seed: 0,
            },
            changes: Changes::default(),
            workers: costate_base::workers::default_workers(),
            elsewhere: None,
        }
    }
}

/// Result of training.
#[derive(Debug, Clone, Serialize)]
pub struct Trained {
    /// Its progress.
    #[serde(flatten)]
    pub worked: Worked,
    /// Name of the algorithm.
    pub algo: String,
    /// What may keep the run from succeeding, after training.
    pub findings: Vec<Finding>,
    /// Fresh policies on its frozen cost, if part of training.
    pub frozen: Option<Frozen>,
    /// Fresh policies on the parts of a cost relative to a base policy.
    #[serde(flatten)]
    pub controls: Controls,
    /// Whether all iterations are done, though perhaps not the validation.
    #[serde(skip)]
    pub learned: bool,
}

/// Trains, and validates the cost if that is part of training.
///
/// Errors: settings, demonstrations or costs that do not fit; a divergence. An interruption is not an error.
pub fn train(request: &Request<Source>, progress: &dyn Progress) -> Result<Trained, Error> {
    let changes = &request.changes;
    changes.check()?;
    let (run, demonstrations) = match &request.target {
        Target::Existing(existing) => reopen(existing, changes)?,
        Target::New {
            source,
            folder,
            seed,
        } => match source {
            Source::Demonstrations(algo, demos) => {
                imitate(algo, demos, folder.as_deref(), *seed, changes)?
            }
            Source::Costs(given) => rl::create(given, folder.as_deref(), *seed, changes)?,
        },
    };
    if let Some(remark) = remark_on_lengths(run.config()) {
        progress.remark(&remark);
    }
    let demonstrations = demonstrations.as_ref();
    let elsewhere = request.elsewhere.as_ref();
    if elsewhere.is_some() && run.config().algo.plays_here() {
        progress.remark(&format!(
            "{} plays its episodes in this process: --rollouts has no effect",
            run.config().algo.name()
        ));
    }
    let mut worked = work(&run, demonstrations, request.workers, elsewhere, progress)?;
    let learned = worked.finished;
    let findings = match learned {
        true => findings(&run)?,
        false => Vec::new(),
    };
    let (mut frozen, mut controls) = (None, Controls::default());
    if let Some(settings) = run.config().algo.validation()
        && let Some(demonstrations) = demonstrations
        && learned
    {
        let request = validate::Request {
            elsewhere,
            ..validate::Request::of(&run, demonstrations, settings, request.workers)
        };
        if let Some(validation) = validate::validate(&request, progress)? {
            (frozen, controls) = (Some(validation.frozen), validation.controls);
        }
        worked.finished = frozen.is_some() || settings.plan().is_empty();
    }
    Ok(Trained {
        worked,
        algo: run.config().algo.name().into(),
        findings,
        frozen,
        controls,
        learned,
    })
}

/// Diagnoses a run.
///
/// Errors: a run without iterations.
pub fn findings(run: &RunFolder) -> Result<Vec<Finding>, Error> {
    let metrics = run.metrics()?;
    if metrics.is_empty() {
        return Err(Error::Failure(format!(
            "{}: the run has no iterations yet; train it first",
            run.path().display()
        )));
    }
    Ok(diagnose(run.config(), &metrics))
}

/// What a new run that imitates would be: the world of its demonstrations, the algorithm with its settings.
pub struct Planned {
    /// The environment's name.
    pub env: String,
    /// The algorithm.
    pub algo: Algo,
    /// Whether it learns from observations alone: because that is asked for, or because no actions were recorded.
    pub observations_only: bool,
}

/// Checks whether `algo` can learn from some demonstrations with these settings, of which it reads the description only.
///
/// Errors: unknown names, values out of range, a folder without demonstrations, an algorithm that does not imitate, needs
/// a simulator that there is none of, actions that it is not to see, or an expert that cannot be asked.
pub fn plan(algo: &str, demos: &Shown, changes: &Changes) -> Result<Planned, Error> {
    let refused = match algo {
        EXPERT => {
            "--algo ppo learns from the true cost, not from demonstrations; use `costate expert ENV`"
        }
        GIVEN_COST => {
            "--algo rl minimises a given cost: --cost RUN:1.0,RUN:0.5 adds up learned ones"
        }
        _ => "",
    };
    if !refused.is_empty() {
        return Err(Error::Misuse(refused.into()));
    }
    changes.check()?;
    // Settings first: a misspelt name should not wait for a large dataset.
    let (file, set) = (changes.file.as_deref(), &changes.set);
    let reader = DatasetReader::open(&demos.folder).or_else(|e| {
        settings::check(algo, file, set)?;
        Err(Error::from(e))
    })?;
    let meta = reader.meta();
    let env = meta.env.name.clone();
    let observations_only = demos.observations_only || !meta.actions_known();
    let algo = match observations_only {
        true => settings::resolve_for_observations(algo, &env, file, set)?,
        false => settings::resolve(algo, &env, file, set)?,
    };
    if observations_only && let Some(why) = algo.reads_actions() {
        return Err(Error::Misuse(blind(demos, algo.name(), &why)));
    }
    if env == table::NAME && algo.needs_simulator() {
        return Err(Error::Misuse(format!(
            "{}: these demonstrations came without a simulator, but --algo {} plays episodes in one; --algo bc, ibc and flow-bc do not, nor iq-learn and ls-iq with trajectories=0, or attach a simulator: `costate demos import … --env NAME`, whose channels must be those of the world",
            demos.folder.display(),
            algo.name()
        )));
    }
    if let Some(expert) = algo.asks(&meta.expert.name) {
        dagger::asked(expert, &meta.env.factory()?)?;
    }
    Ok(Planned {
        env,
        algo,
        observations_only,
    })
}

/// Why an algorithm cannot learn from observations alone, and which ones can.
fn blind(demos: &Shown, algo: &str, why: &str) -> String {
    let able = settings::able_without_actions().join(", ");
    let whence = match demos.observations_only {
        true => "--observations-only".into(),
        false => format!("{}: no actions were recorded", demos.folder.display()),
    };
    format!("{whence}, but {algo} {why}; without actions there are --algo {able}")
}

fn imitate(
    algo: &str,
    demos: &Shown,
    folder: Option<&Path>,
    seed: u64,
    changes: &Changes,
) -> Result<(RunFolder, Option<Demonstrations>), Error> {
    let Planned {
        env,
        algo,
        observations_only,
    } = plan(algo, demos, changes)?;
    let demonstrations = Demonstrations::open(&demos.folder)?;
    let demos = Shown {
        observations_only,
        ..demos.clone()
    };
    let imitation = Imitation {
        demos: &demos,
        folder: &run_folder(folder, || format!("{env}-{}-{seed}", algo.name())),
        algo,
        seed,
        checkpoint_every: changes.checkpoint_every,
    };
    let run = imitation.create(&demonstrations)?;
    Ok((run, Some(demonstrations)))
}

fn reopen(
    existing: &Existing,
    changes: &Changes,
) -> Result<(RunFolder, Option<Demonstrations>), Error> {
    let folder = &existing.folder;
    let run = RunFolder::resume(folder)?;
    let own = run.config();
    if existing
        .algo
        .as_deref()
        .is_some_and(|a| a != own.algo.name())
        || existing.seed.is_some_and(|s| s != own.seed)
    {
        return Err(Error::Misuse(format!(
            "{} was started with --algo {} --seed {}; a resumed run keeps them",
            folder.display(),
            own.algo.name(),
            own.seed
        )));
    }
    let Some(imitated) = &own.demonstrations else {
        return match own.cost {
            Some(_) => Ok((changes.of(run)?, None)),
            None => Err(own.no_demonstrations()),
        };
    };
    let demos = existing.demos.as_deref().unwrap_or(&imitated.path);
    let demonstrations = Demonstrations::open(demos)?;
    let Some(demonstrations) = demonstrations.as_learned_from(imitated) else {
        return Err(Error::Failure(format!(
            "{}: not the demonstrations that {} was started with; name their folder, or start a new run",
            demos.display(),
            folder.display()
        )));
    };
    Ok((changes.of(run)?, Some(demonstrations)))
}
