//! Runs: created, resumed, trained.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use costate_envs::EnvConfig;
use costate_envs::remote::Remote;
use serde::Serialize;
use serde_json::Value;

use super::demonstrations::Shown;
use super::failed;
use super::{Demonstrations, Progress};
use crate::audit;
use crate::diagnose::remark_on_ess;
use crate::error::Error;
use crate::learners::{Learner, Setup};
use crate::memory;
use crate::policy::Policy;
use crate::run::change::changed;
use crate::run::settings::Override;
use crate::run::train::{Outcome, train};
use crate::run::{self, Algo, RunConfig, RunFolder, config, weights};

/// Default number of iterations between checkpoints.
const CHECKPOINT_EVERY: usize = 10;

/// What to train: a run that learns from `S`.
#[derive(Debug, Clone)]
pub struct Request<S> {
    /// A new run, or one to resume.
    pub target: Target<S>,
    /// Its settings.
    pub changes: Changes,
    /// Worker threads.
    pub workers: usize,
    /// Workers elsewhere that play the learner's rollouts instead. Results do not depend on them, so runs do not record them.
    pub elsewhere: Option<Arc<Remote>>,
}

/// A new run, or one to resume.
#[derive(Debug, Clone)]
pub enum Target<S> {
    /// A new run.
    New {
        /// What it learns from.
        source: S,
        /// Run folder; one below `runs/` by default.
        folder: Option<PathBuf>,
        /// Seed of every random stream.
        seed: u64,
    },
    /// Resume a run from its last checkpoint.
    Existing(Existing),
}

/// A run to resume.
#[derive(Debug, Clone, Default)]
pub struct Existing {
    /// Its folder.
    pub folder: PathBuf,
    /// Folder of its demonstrations, if it has any; as recorded in the run by default.
    pub demos: Option<PathBuf>,
    /// Its algorithm, if the caller names it.
    pub algo: Option<String>,
    /// Its seed, if the caller names it.
    pub seed: Option<u64>,
}

/// Settings that differ: from the defaults in a new run, from its own in a resumed one.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// A JSON file of settings.
    pub file: Option<PathBuf>,
    /// Single settings, applied after those of the file.
    pub set: Vec<Override>,
    /// Iterations between checkpoints; 10 in a new run.
    pub checkpoint_every: Option<usize>,
}

impl Changes {
    /// Refuses invalid values.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.checkpoint_every {
            Some(0) => Err(Error::Misuse(
                "--checkpoint-every is 0, expected at least 1".into(),
            )),
            _ => Ok(()),
        }
    }

    /// The configuration of a new run.
    ///
    /// Errors: settings that need more memory than there is.
    pub(super) fn config(&self, env: EnvConfig, algo: Algo, seed: u64) -> Result<RunConfig, Error> {
        enough_memory(&env, &algo)?;
        Ok(RunConfig {
            format: config::FORMAT,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            provenance: costate_base::provenance::current(),
            env,
            demonstrations: None,
            cost: None,
            algo,
            seed,
            checkpoint_every: self.checkpoint_every.unwrap_or(CHECKPOINT_EVERY),
            changes: Vec::new(),
            resumed: Vec::new(),
        })
    }

    /// A resumed run with these settings, recorded in its `config.json`.
    pub(super) fn of(&self, run: RunFolder) -> Result<RunFolder, Error> {
        let own = run.config();
        let file = self.file.as_deref();
        let done = run.iterations_done()?;
        let (algo, changes) = changed(own, done, file, &self.set)?;
        enough_memory(&own.env, &algo)?;
        let mut config = own.clone();
        let iterations = algo.values()?["iterations"].as_u64();
        if iterations.is_none_or(|n| done < n as usize) {
            config.resume(done, costate_base::provenance::current());
        }
        config.algo = algo;
        config.changes.extend(changes);
        config.checkpoint_every = self.checkpoint_every.unwrap_or(config.checkpoint_every);
        match config == *own {
            true => Ok(run),
            false => {
                // Its settings are written under their current names.
                config.format = config::FORMAT;
                run.reconfigured(config)
            }
        }
    }
}

/// Errors: settings that need more memory than there is.
fn enough_memory(env: &EnvConfig, algo: &Algo) -> Result<(), Error> {
    let needed = memory::of_training(&algo.values()?, env.factory()?.spec());
    memory::check(
        needed,
        "training with these settings",
        "lower `hidden`, `trajectories` or `replay_iterations`",
    )
}

/// What an imitation run is created from, with its settings known.
pub struct Imitation<'a> {
    /// The demonstrations.
    pub demos: &'a Shown,
    /// Algorithm with its settings.
    pub algo: Algo,
    /// Run folder to create.
    pub folder: &'a Path,
    /// Seed.
    pub seed: u64,
    /// Iterations between checkpoints.
    pub checkpoint_every: Option<usize>,
}

impl Imitation<'_> {
    /// Creates the folder of the run.
    pub fn create(self, demonstrations: &Demonstrations) -> Result<RunFolder, Error> {
        let changes = Changes {
            checkpoint_every: self.checkpoint_every,
            ..Changes::default()
        };
        demonstrations.check_symmetries(&self.algo)?;
        let env = demonstrations.dataset.meta().env.clone();
        let config = RunConfig {
            demonstrations: Some(demonstrations.reference(self.demos)?),
            ..changes.config(env, self.algo, self.seed)?
        };
        RunFolder::create(self.folder, config)
    }
}

/// A run's progress.
#[derive(Debug, Clone, Serialize)]
pub struct Worked {
    /// The run, serialised as its folder; locked until it is dropped.
    #[serde(serialize_with = "super::place")]
    pub run: RunFolder,
    /// Environment.
    pub env: String,
    /// Seed.
    pub seed: u64,
    /// Whether everything is done; otherwise it was interrupted and can be resumed.
    pub finished: bool,
    /// Iterations, steps, seconds of learning.
    #[serde(flatten)]
    pub done: run::Progress,
}

/// Takes up what the newest checkpoint holds, if there is one; returns how far that is.
fn take_up(
    run: &RunFolder,
    learner: &mut dyn Learner,
    progress: &dyn Progress,
) -> Result<Option<run::Progress>, Error> {
    let Some((state, done)) = run.latest_checkpoint()? else {
        return Ok(None);
    };
    learner.load(&state).map_err(|e| {
        let place = run.path().join(format!("checkpoints/{:06}", done.iterations));
        Error::Failure(format!(
            "{}: {e}; expected a checkpoint as this build writes it: resume with the build that did (`config.json` names \
             it), or start a new run",
            place.display()
        ))
    })?;
    run.rewind_metrics(done.iterations)?;
    if let Some(remark) = remark_on_builds(run.config()) {
        progress.remark(&remark);
    }
    Ok(Some(done))
}

/// What to know of a run that is resumed by another build than it was begun by.
fn remark_on_builds(config: &RunConfig) -> Option<String> {
    let (begun, last) = (config.provenance.as_ref()?, config.resumed.last()?);
    Some(format!(
        "begun by {begun}, from iteration {} on the work of {}: it need not end as without a break",
        last.from_iteration, last.provenance
    ))
}

/// The latest policy of a run.
///
/// Errors: a run without one yet, or with another world's; damaged weights.
pub fn latest_policy(run: &RunFolder) -> Result<Policy, Error> {
    let Some(weights) = run.weights(weights::POLICY)? else {
        return Err(Error::Failure(format!(
            "{}: the run has no policy yet; `{}` resumes it",
            run.path().display(),
            run.resume_command()
        )));
    };
    let policy = Policy::read(&weights)?;
    let (acts_in, env) = (policy.learned().env(), &run.config().env.name);
    if acts_in != env {
        return Err(Error::Failure(format!(
            "{}: a policy for {acts_in}, but the run's config.json says {env}",
            weights.display()
        )));
    }
    Ok(policy)
}

/// Trains from the last checkpoint, or the start.
///
/// `demonstrations` are the run's own, if it has any. Errors: a run locked by another process, a divergence.
pub fn work(
    run: &RunFolder,
    demonstrations: Option<&Demonstrations>,
    workers: usize,
    elsewhere: Option<&Arc<Remote>>,
    progress: &dyn Progress,
) -> Result<Worked, Error> {
    tch::set_num_threads(1);
    run.lock()?;
    let config = run.config();
    let factory = config.env.factory()?;
    let imitated = config.demonstrations.as_ref();
    let images = config.algo.symmetric_copies();
    let (trajectories, starts) = (demonstrations.zip(imitated))
        .map(|(there, own)| there.to_learn(own, images, config.seed))
        .unwrap_or_default();
    let (sealer, auditor) = audit::pair();
    let setup = Setup {
        sealer: &sealer,
        factory: &factory,
        demonstrations: &trajectories,
        images,
        starts: &starts,
        expert: imitated.map_or("", |d| d.expert.as_str()),
        seed: config.seed,
        workers,
        elsewhere,
    };
    let began = Instant::now();
    let cost = config.cost.as_ref();
    let cost = cost.map(|c| c.load(&config.env, run.path())).transpose()?;
    let mut learner = config.algo.build(&setup, cost)?;
    // Work before the first iteration, such as cloning, counts as learning, too.
    let mut from = run::Progress {
        seconds: began.elapsed().as_secs_f64(),
        ..run::Progress::default()
    };
    if let Some(done) = take_up(run, learner.as_mut(), progress)? {
        from = done;
    }
    progress.begin(config.algo.name(), learner.iterations());
    let mut warned = false;
    let interrupt = progress.interrupt();
    let outcome = train(
        run,
        learner.as_mut(),
        &auditor,
        from,
        interrupt,
        &mut |line| {
            progress.metrics(line);
            let iteration = line.get("iteration").and_then(Value::as_u64).unwrap_or(0);
            let ess = line.get("ess").and_then(Value::as_f64);
            if let Some(ess) = ess
                && !warned
                && let Some(remark) = remark_on_ess(config, iteration as usize, ess)
            {
                tracing::warn!("{remark}");
                warned = true;
            }
        },
    );
    let outcome = outcome.map_err(|e| failed::keep(run.path(), &config.env, e))?;
    progress.end();
    let (finished, done) = match outcome {
        Outcome::Finished(done) => (true, done),
        Outcome::Interrupted(done) => (false, done),
    };
    Ok(Worked {
        run: run.clone(),
        env: config.env.name.clone(),
        seed: config.seed,
        finished,
        done,
    })
}
