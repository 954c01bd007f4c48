//! Requests for an evaluation; its inputs, read and checked.

use std::path::{Path, PathBuf};

use costate_envs::rollout::{ActionChoice, RolloutPool};

use super::{Demonstrations, Progress};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::{self, Evaluation, Options, STAGES, Subject, Workers};
use crate::expression::Formula;
use crate::memory;
use crate::policy::{ActionScale, Normalizer, Policy};
use crate::run::settings::Override;

/// What to evaluate; defaults stand for the run's own.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// A run folder; or a dataset folder, with a policy or a cost.
    pub place: PathBuf,
    /// The demonstrations of a run, if they moved or it has none.
    pub demos: Option<PathBuf>,
    /// A policy in place of the run's: a file, an expert, `random`, `constant=V,…`, or formulas; for a dataset without a
    /// simulator a run's folder.
    pub policy: Option<String>,
    /// A cost in place of the run's: a file or a formula.
    pub cost: Option<String>,
    /// A definition of success in place of the task's: a formula.
    pub success: Option<String>,
    /// How.
    pub protocol: Protocol,
    /// Whether to train fresh policies on the frozen cost first.
    pub reoptimize: bool,
    /// Variants of the world to train and evaluate in first.
    pub transfer: Vec<String>,
    /// Settings of `ppo` for training policies in variants.
    pub set: Vec<Override>,
    /// A folder for the results, in place of the run's own; without it, results on a dataset are not saved.
    pub output: Option<PathBuf>,
}

/// How policies are evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// Episodes of each policy, at least 2; with `precision`, at most.
    pub episodes: usize,
    /// Width of the score's 95 % interval at which no further episodes are played, above 0.
    pub precision: Option<f64>,
    /// Seed of the starts.
    pub seed: u64,
    /// How learned policies act.
    pub choice: ActionChoice,
    /// Whether scores under noise and in variants are measured too.
    pub robustness: bool,
    /// Worker threads.
    pub workers: usize,
}

impl Default for Protocol {
    fn default() -> Self {
        Self::published(costate_base::workers::default_workers())
    }
}

/// Policies whose episodes are held at a time: the learned one, the expert, the clone, random actions.
const POLICIES: f64 = 4.0;

impl Protocol {
    /// The published one, 100 episodes of seed 1000, without robustness.
    pub fn published(workers: usize) -> Self {
        Self {
            episodes: 100,
            precision: None,
            seed: 1000,
            choice: ActionChoice::Sample,
            robustness: false,
            workers,
        }
    }

    /// Refuses fewer episodes than intervals need, and a width that none has.
    pub fn check(&self) -> Result<(), Error> {
        if self.episodes < 2 {
            let found = self.episodes;
            let text = format!("--episodes is {found}, expected at least 2");
            return Err(Error::Misuse(text));
        }
        match self.precision {
            Some(width) if !(width.is_finite() && width > 0.0) => Err(Error::Misuse(format!(
                "--precision is {width}, expected the width of an interval of scores, such as 0.02"
            ))),
            _ => Ok(()),
        }
    }

    /// Workers that stop when `progress` is interrupted.
    pub(super) fn workers<'a>(&self, progress: &'a dyn Progress) -> Workers<'a> {
        Workers::new(RolloutPool::new(self.workers), progress.interrupt())
    }

    /// Evaluates, stage by stage.
    pub(super) fn evaluate(
        &self,
        subject: &Subject,
        progress: &dyn Progress,
    ) -> Result<Evaluation, Error> {
        memory::check(
            POLICIES * memory::of_episodes(self.episodes as f64, subject.factory.spec()),
            &format!("evaluating {} episodes of each policy", self.episodes),
            "ask for fewer with -n",
        )?;
        let options = Options {
            episodes: self.episodes,
            precision: self.precision,
            seed: self.seed,
            robustness: self.robustness,
            workers: self.workers(progress),
        };
        progress.begin("evaluation", STAGES);
        let found = evaluate::evaluate(subject, options, &mut |stage, what| {
            progress.advance(stage, what);
        });
        progress.end();
        found
    }
}

/// The given definition of success, if any.
pub(super) fn success_formula(
    text: Option<&str>,
    demonstrations: &Demonstrations,
) -> Result<Option<Formula>, Error> {
    let spec = demonstrations.factory.spec();
    text.map(|t| Formula::parse(t, spec, false)).transpose()
}

/// A policy that fits the demonstrations' world.
pub(super) fn read_policy(file: &Path, demonstrations: &Demonstrations) -> Result<Policy, Error> {
    let policy = Policy::read(file)?;
    let learned = policy.learned();
    fits(
        "policy",
        file,
        learned.env(),
        learned.scales(),
        demonstrations,
    )?;
    Ok(policy)
}

/// A cost that fits the demonstrations' world.
pub(super) fn read_cost(
    file: &Path,
    demonstrations: &Demonstrations,
) -> Result<EnergyModel, Error> {
    let model = EnergyModel::read(file)?;
    let scales = (model.normalizer(), model.action_scale());
    fits("cost", file, model.env(), scales, demonstrations)?;
    Ok(model)
}

/// Refuses a policy or cost of another world, or of other channels of a world of the same name.
fn fits(
    what: &str,
    file: &Path,
    env: &str,
    (normalizer, scale): (&Normalizer, &ActionScale),
    demonstrations: &Demonstrations,
) -> Result<(), Error> {
    let spec = demonstrations.factory.spec();
    let name = &spec.name;
    if env != name {
        return Err(Error::Misuse(format!(
            "{}: a {what} of {env}, but the demonstrations are of {name}; take demonstrations of {env}",
            file.display()
        )));
    }
    let own = [normalizer.mean.len(), scale.centre.len()];
    let here = [spec.observation.dim(), spec.action.dim()];
    if own == here {
        return Ok(());
    }
    Err(Error::Misuse(format!(
        "{}: a {what} of {} observed values and {} actions, but {name} has {} and {}",
        file.display(),
        own[0],
        own[1],
        here[0],
        here[1]
    )))
}
