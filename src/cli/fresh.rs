//! Fresh policies, each trained on a thread of its own and kept in two files of its own, so that interrupted work
//! goes on with those that are missing.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::RolloutPool;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::common::Output;
use super::ui::Counter;
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::Frozen;
use crate::evaluate::frozen::{Against, Judged, Trained};
use crate::learners::frozen::FrozenCostSettings;
use crate::policy::GaussianPolicy;
use crate::run::files;

/// What is kept of a fresh policy beside its weights.
#[derive(Serialize, Deserialize)]
pub struct Done<S, R> {
    settings: S,
    /// How it did.
    pub report: R,
    /// Seconds of learning.
    pub seconds: f64,
    /// Environment steps of learning.
    pub steps: u64,
}

/// Where a fresh policy is kept, and how it is trained.
pub struct Place<S> {
    /// The file's path without its extension.
    pub stem: PathBuf,
    /// Number of its streams.
    pub seed: u64,
    /// The settings.
    pub settings: S,
    /// Their number of iterations.
    pub iterations: usize,
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

/// How a training is told to stop and tells of its progress.
pub struct Watch<'a> {
    interrupt: &'a AtomicBool,
    counter: Mutex<(Counter, usize)>,
    message: &'a str,
}

impl Watch<'_> {
    /// Whether to stop.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// So many iterations more.
    pub fn advance(&self, by: usize) {
        if let Ok(mut counter) = self.counter.lock() {
            counter.1 += by;
            let done = counter.1;
            counter.0.at(done, self.message);
        }
    }
}

/// What is going on, for the progress bar.
pub struct Title<'a> {
    /// The bar's name.
    pub name: &'a str,
    /// What is made.
    pub message: &'a str,
}

/// Trains those of the fresh policies that are not there yet; `None` if interrupted.
pub fn train_missing<S, R>(
    places: &[Place<S>],
    pool: RolloutPool,
    interrupt: &AtomicBool,
    title: Title,
    output: Output,
    train: impl Fn(&Place<S>, &Watch) -> Result<Option<Trained<R>>, Error> + Sync,
) -> Result<Option<Vec<Done<S, R>>>, Error>
where
    S: Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync,
    R: Serialize + DeserializeOwned + Send,
{
    if let Some(folder) = places.first().and_then(|p| p.stem.parent()) {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    let total = places.iter().map(|p| p.iterations).sum();
    let watch = Watch {
        interrupt,
        counter: Mutex::new((Counter::new(output, title.name, total), 0)),
        message: title.message,
    };
    let one = |_: &mut (), i: usize| -> Result<Option<Done<S, R>>, Error> {
        tch::set_num_threads(1);
        let place = &places[i];
        if let Some(done) = read(place) {
            watch.advance(place.iterations);
            return Ok(Some(done));
        }
        let Some(trained) = train(place, &watch)? else {
            return Ok(None);
        };
        let done = Done {
            settings: place.settings.clone(),
            report: trained.report,
            seconds: trained.seconds,
            steps: trained.steps,
        };
        files::write_atomic(&place.policy(), &trained.policy.to_bytes()?)?;
        files::write_json(&place.file("json"), &done)?;
        Ok(Some(done))
    };
    let results: Vec<Option<Done<S, R>>> = pool
        .map(places.len(), || (), one)
        .into_iter()
        .collect::<Result<_, _>>()?;
    if let Ok((counter, _)) = watch.counter.into_inner() {
        counter.finish();
    }
    Ok(results.into_iter().collect())
}

/// What was kept, if it was trained with the same settings.
fn read<S: PartialEq + DeserializeOwned, R: DeserializeOwned>(
    place: &Place<S>,
) -> Option<Done<S, R>> {
    let text = std::fs::read_to_string(place.file("json")).ok()?;
    let done: Done<S, R> = serde_json::from_str(&text).ok()?;
    (done.settings == place.settings && place.policy().exists()).then_some(done)
}

/// A frozen cost on which fresh policies are trained.
pub struct OnFrozenCost<'a> {
    /// Reads the cost: tensors are not shared between threads.
    pub cost: &'a (dyn Fn() -> Result<EnergyModel, Error> + Sync),
    /// File of the policy that was learned with it.
    pub policy: &'a Path,
    /// What the fresh policies are held against.
    pub against: Against<'a>,
}

impl OnFrozenCost<'_> {
    /// Trains the fresh policies that are not there yet and chooses among all; `None` if interrupted.
    pub fn train(
        &self,
        places: &[Place<FrozenCostSettings>],
        pool: RolloutPool,
        interrupt: &AtomicBool,
        title: Title,
        output: Output,
    ) -> Result<Option<Frozen>, Error> {
        let yardsticks = self.judged(|judged| judged.yardsticks())?;
        let one = |place: &Place<FrozenCostSettings>, watch: &Watch| {
            self.judged(|judged| {
                let (interrupted, advance) = (|| watch.interrupted(), || watch.advance(1));
                judged.fresh(
                    yardsticks,
                    &place.settings,
                    place.seed,
                    &interrupted,
                    &advance,
                )
            })
        };
        let Some(all) = train_missing(places, pool, interrupt, title, output, one)? else {
            return Ok(None);
        };
        let seconds = all.iter().map(|d| d.seconds).sum();
        let steps = all.iter().map(|d| d.steps).sum();
        let policies = all.iter().map(|d| d.report).collect();
        let expert = yardsticks.expert.soft_value;
        Ok(Frozen::of(policies, expert, seconds, steps))
    }

    fn judged<R>(&self, look: impl FnOnce(&Judged) -> Result<R, Error>) -> Result<R, Error> {
        look(&Judged {
            cost: &(self.cost)()?,
            policy: &GaussianPolicy::read(self.policy)?,
            against: self.against,
        })
    }
}
