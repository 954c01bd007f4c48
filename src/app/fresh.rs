//! Fresh policies, each trained on its own thread and saved in its own two files, so that interrupted work
//! resumes with the missing ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use costate_base::disk;
use costate_envs::rollout::RolloutPool;
use costate_envs::{End, Trajectory};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Progress;
use crate::cost::{CostPart, EnergyModel};
use crate::error::Error;
use crate::evaluate::Frozen;
use crate::evaluate::validation::{Against, Judged, Trained, Yardsticks};
use crate::learners::Setup;
use crate::learners::frozen_cost::FrozenCostSettings;
use crate::policy::GaussianPolicy;
use crate::run::{files, weights};

/// Everything but its settings that a fresh policy and its results depend on, as digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Version of Costate and the code that determines the numbers.
    build: String,
    /// The environment: its whole model and all parameters.
    world: String,
    /// Seed of the run.
    seed: u64,
    /// Trajectories that set the observation scales, and the seeds of their starts.
    demonstrations: String,
    /// What it was evaluated against; none for the true cost.
    judged: Option<Judgement>,
}

/// What a fresh policy on a frozen cost is evaluated against, as digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Judgement {
    /// Of the cost's file; before it the name of the part of the cost, unless it is the whole.
    cost: String,
    /// The policy learned with the cost, where its density replaces the reference's.
    policy: Option<String>,
    /// Trajectories and returns of the reference and of random actions.
    reference: String,
}

impl Origin {
    /// Of a policy trained on the true cost of `task`.
    pub fn of(setup: &Setup) -> Result<Self, Error> {
        let config = serde_json::to_vec(setup.factory.config())
            .map_err(|e| Error::Failure(format!("cannot describe the environment: {e}")))?;
        let mut starts = setup.starts.iter().flat_map(|s| s.to_le_bytes()).collect();
        let mut demonstrations = bytes_of(setup.demonstrations);
        demonstrations.append(&mut starts);
        Ok(Self {
            build: format!("{} {}", env!("CARGO_PKG_VERSION"), env!("COSTATE_NUMERICS")),
            world: disk::sha256(&config),
            seed: setup.seed,
            demonstrations: disk::sha256(&demonstrations),
            judged: None,
        })
    }

    /// The same on one part of the cost.
    fn on(&self, part: CostPart) -> Self {
        let mut origin = self.clone();
        if let (Some(judged), CostPart::BaseAlone | CostPart::WithoutBase) =
            (&mut origin.judged, part)
        {
            judged.cost = format!("{} of {}", part.name(), judged.cost);
        }
        origin
    }

    /// Of a policy trained on a frozen cost.
    fn judged(against: Against, cost: &Path, policy: &Path) -> Result<Self, Error> {
        let known = |t: &Trajectory| t.log_densities().is_some();
        let mut reference = bytes_of(against.reference);
        reference.extend(against.expert_return.to_le_bytes());
        reference.extend(against.entropy_weight.to_le_bytes());
        for episode in against.random {
            reference.extend(bytes_of(std::slice::from_ref(&episode.trajectory)));
            reference.extend(episode.true_return().to_le_bytes());
        }
        Ok(Self {
            judged: Some(Judgement {
                cost: weights::digest(cost)?,
                policy: match against.reference.iter().all(known) {
                    true => None,
                    false => Some(weights::digest(policy)?),
                },
                reference: disk::sha256(&reference),
            }),
            ..Self::of(&against.setup)?
        })
    }
}

/// Everything that a learner sees of the trajectories.
fn bytes_of(trajectories: &[Trajectory]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for t in trajectories {
        bytes.extend((t.len() as u64).to_le_bytes());
        bytes.push(u8::from(t.end() == End::Terminated));
        let numbers = t.observations().iter().chain(t.actions());
        bytes.extend(numbers.flat_map(|x| x.to_le_bytes()));
        let densities = t.log_densities().unwrap_or_default();
        bytes.extend(densities.iter().flat_map(|x| x.to_le_bytes()));
    }
    bytes
}

/// What is saved of a fresh policy besides its weights.
#[derive(Serialize, Deserialize)]
pub struct Done<S, R> {
    settings: S,
    /// Absent in files of earlier versions.
    origin: Option<Origin>,
    /// SHA-256 of its weights.
    policy: Option<String>,
    /// Its results.
    pub report: R,
    /// Seconds of learning.
    pub seconds: f64,
    /// Environment steps of learning.
    pub steps: u64,
}

/// Where a fresh policy is saved, and how it is trained.
pub struct Place<S> {
    /// The file's path without its extension.
    pub stem: PathBuf,
    /// Index of its random streams.
    pub seed: u64,
    /// The settings.
    pub settings: S,
    /// Their number of iterations.
    pub iterations: usize,
    /// The part of a frozen cost that it is trained on.
    pub part: CostPart,
}

impl<S> Place<S> {
    fn file(&self, kind: &str) -> PathBuf {
        let mut name = self.stem.clone().into_os_string();
        name.push(format!(".{kind}"));
        name.into()
    }

    /// The weights.
    pub fn policy(&self) -> PathBuf {
        self.file("safetensors")
    }
}

/// How training is stopped and reports its progress.
pub struct Watch<'a> {
    progress: &'a dyn Progress,
    done: Mutex<usize>,
    message: &'a str,
}

impl Watch<'_> {
    /// Whether to stop.
    pub fn interrupted(&self) -> bool {
        self.progress.interrupted()
    }

    /// This many more iterations are done.
    pub fn advance(&self, by: usize) {
        if let Ok(mut done) = self.done.lock() {
            *done += by;
            self.progress.advance(*done, self.message);
        }
    }
}

/// What is being done, for progress and errors.
pub struct Title<'a> {
    /// The stage's name.
    pub name: &'a str,
    /// What is being trained.
    pub message: &'a str,
    /// The step size to lower if it diverges.
    pub step_size: &'a str,
}

/// Trains the fresh policies that do not exist yet; `None` if interrupted.
pub fn train_missing<S, R>(
    places: &[Place<S>],
    origin: &Origin,
    pool: RolloutPool,
    title: Title,
    progress: &dyn Progress,
    train: impl Fn(&Place<S>, &Watch) -> Result<Option<Trained<R>>, Error> + Sync,
) -> Result<Option<Vec<Done<S, R>>>, Error>
where
    S: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync,
    R: Serialize + DeserializeOwned + Send,
{
    if let Some(folder) = places.first().and_then(|p| p.stem.parent()) {
        disk::create_folders(folder)?;
    }
    let total = places.iter().map(|p| p.iterations).sum();
    progress.begin(title.name, total);
    let watch = Watch {
        progress,
        done: Mutex::new(0),
        message: title.message,
    };
    let one = |_: &mut (), i: usize| -> Result<Option<Done<S, R>>, Error> {
        tch::set_num_threads(1);
        let place = &places[i];
        let origin = origin.on(place.part);
        if let Some(done) = read(place, &origin) {
            watch.advance(place.iterations);
            return Ok(Some(done));
        }
        let trained = train(place, &watch).map_err(|e| match e {
            Error::Diverged { .. } => {
                Error::Failure(format!("{}: {e}; lower {}", title.message, title.step_size))
            }
            other => other,
        })?;
        let Some(trained) = trained else {
            return Ok(None);
        };
        let weights = trained.policy.to_bytes()?;
        let done = Done {
            settings: place.settings.clone(),
            origin: Some(origin),
            policy: Some(disk::sha256(&weights)),
            report: trained.report,
            seconds: trained.seconds,
            steps: trained.steps,
        };
        files::write_atomic(&place.policy(), &weights)?;
        files::write_json(&place.file("json"), &done)?;
        Ok(Some(done))
    };
    let results: Vec<Option<Done<S, R>>> = pool
        .map(places.len(), || (), one)
        .into_iter()
        .collect::<Result<_, _>>()?;
    progress.end();
    Ok(results.into_iter().collect())
}

/// The saved policy, if it was trained with the same settings on the same inputs and is unchanged since.
fn read<S: PartialEq + DeserializeOwned, R: DeserializeOwned>(
    place: &Place<S>,
    origin: &Origin,
) -> Option<Done<S, R>> {
    let text = std::fs::read_to_string(place.file("json")).ok()?;
    let done: Done<S, R> = serde_json::from_str(&text).ok()?;
    let same = done.settings == place.settings && done.origin.as_ref() == Some(origin);
    let kept = || weights::digest(&place.policy()).ok() == done.policy;
    (same && kept()).then_some(done)
}

/// A frozen cost to train fresh policies on.
pub struct OnFrozenCost<'a> {
    /// File of the cost.
    pub file: &'a Path,
    /// Reads it: tensors are not shared between threads.
    pub cost: &'a (dyn Fn() -> Result<EnergyModel, Error> + Sync),
    /// File of the policy learned with it.
    pub policy: &'a Path,
    /// What the fresh policies are compared with.
    pub against: Against<'a>,
}

impl OnFrozenCost<'_> {
    /// Trains the fresh policies that do not exist yet and selects among those of each part of the cost; `None` if
    /// interrupted.
    pub fn train(
        &self,
        places: &[Place<FrozenCostSettings>],
        pool: RolloutPool,
        title: Title,
        progress: &dyn Progress,
    ) -> Result<Option<BTreeMap<CostPart, Frozen>>, Error> {
        let origin = Origin::judged(self.against, self.file, self.policy)?;
        let parts: BTreeSet<CostPart> = places.iter().map(|p| p.part).collect();
        let yardsticks = parts
            .into_iter()
            .map(|part| Ok((part, self.judged(part, |judged| judged.yardsticks())?)))
            .collect::<Result<BTreeMap<CostPart, Yardsticks>, Error>>()?;
        let one = |place: &Place<FrozenCostSettings>, watch: &Watch| {
            self.judged(place.part, |judged| {
                let (interrupted, advance) = (|| watch.interrupted(), || watch.advance(1));
                judged.fresh(
                    yardsticks[&place.part],
                    &place.settings,
                    place.seed,
                    &interrupted,
                    &advance,
                )
            })
        };
        let Some(all) = train_missing(places, &origin, pool, title, progress, one)? else {
            return Ok(None);
        };
        let of = |(part, yardsticks): (CostPart, Yardsticks)| {
            let its = places.iter().zip(&all).filter(|(p, _)| p.part == part);
            let its: Vec<_> = its.map(|(_, done)| done).collect();
            let seconds = its.iter().map(|d| d.seconds).sum();
            let steps = its.iter().map(|d| d.steps).sum();
            let policies = its.iter().map(|d| d.report).collect();
            let expert = yardsticks.expert.soft_value;
            Some((part, Frozen::of(policies, expert, seconds, steps)?))
        };
        Ok(Some(yardsticks.into_iter().filter_map(of).collect()))
    }

    fn judged<R>(
        &self,
        part: CostPart,
        look: impl FnOnce(&Judged) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let cost = (self.cost)()?.part(part).ok_or_else(|| {
            Error::Failure(format!(
                "{}: not relative to a base policy, so it has no part {}",
                self.file.display(),
                part.name()
            ))
        })?;
        look(&Judged {
            cost: &cost,
            policy: &GaussianPolicy::read(self.policy)?,
            against: self.against,
        })
    }
}
