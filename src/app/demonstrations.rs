//! Datasets prepared for learners and evaluations.

use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_base::number::counted;
use costate_demos::inspect::unfinished;
use costate_demos::{Dataset, DatasetReader};
use costate_envs::rng::stream;
use costate_envs::{EnvFactory, Trajectory, images};

use crate::error::Error;
use crate::learners::Algo;
use crate::lengths::Lengths;
use crate::memory;
use crate::run::{DemonstrationsRef, RunFolder};

/// Demonstrations to learn from.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Dataset folder.
    pub folder: PathBuf,
    /// Use only the first N; all by default.
    pub count: Option<usize>,
    /// Hide their actions from the learner.
    pub observations_only: bool,
}

impl Shown {
    /// All of a dataset as it is.
    pub fn all(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..Self::default()
        }
    }
}

/// A dataset and the environment that it was recorded in.
pub struct Demonstrations {
    /// The dataset.
    pub dataset: Dataset,
    /// Its environment.
    pub factory: EnvFactory,
}

impl Demonstrations {
    /// Name of the environment that a dataset was recorded in; reads `meta.json` only.
    pub fn env_name(path: &Path) -> Result<String, Error> {
        Ok(DatasetReader::open(path)?.meta().env.name.clone())
    }

    /// Opens and checks a dataset.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let reader = DatasetReader::open(path)?;
        if let Some(text) = memory::announcement(reader.meta(), memory::available_mib()) {
            tracing::warn!("{}: {text}", path.display());
        }
        let meta = reader.meta();
        let count = meta.episodes.len();
        if let Some(text) = unfinished(path, meta.status, count, meta.planned_episodes) {
            tracing::warn!("{}: {text}", path.display());
        }
        let dataset = Dataset::read(reader)?;
        let factory = dataset.meta().env.factory().map_err(|e| {
            Error::Failure(format!(
                "{}: the environment in its meta.json: {e}",
                path.display()
            ))
        })?;
        dataset.check_env(factory.spec())?;
        tracing::debug!("{}: {} episodes", path.display(), dataset.episodes().len());
        Ok(Self { dataset, factory })
    }

    /// The demonstrations of a run as its learner may see them, and the seeds of their starts.
    pub fn seen(&self, own: &DemonstrationsRef) -> (Vec<Trajectory>, Vec<u64>) {
        let (trajectories, starts) = self.first(own.episodes);
        let seen = match own.observations_only {
            true => (trajectories.into_iter())
                .map(Trajectory::without_actions)
                .collect(),
            false => trajectories,
        };
        (seen, starts)
    }

    /// The first `count` trajectories, and the seeds of their starts.
    pub fn first(&self, count: usize) -> (Vec<Trajectory>, Vec<u64>) {
        let episodes = self.dataset.episodes().iter().take(count);
        episodes.map(|e| (e.trajectory.clone(), e.seed)).unzip()
    }

    /// What a learner sees of the demonstrations of a run: each followed by `images` under the world's symmetries, and the
    /// seeds of the starts.
    pub fn to_learn(
        &self,
        own: &DemonstrationsRef,
        images: usize,
        seed: u64,
    ) -> (Vec<Trajectory>, Vec<u64>) {
        let (originals, starts) = self.seen(own);
        (self.with_images(originals, images, seed), starts)
    }

    /// Trajectories, each followed by `images` under the world's symmetries.
    pub(super) fn with_images(
        &self,
        originals: Vec<Trajectory>,
        images: usize,
        seed: u64,
    ) -> Vec<Trajectory> {
        if images == 0 {
            return originals;
        }
        let symmetries = self.factory.build().symmetries();
        let followed = |(i, original): (usize, Trajectory)| {
            let mut rng = stream(seed, "symmetric_copies", i as u64);
            let its = images::of(&symmetries, &original, images, &mut rng);
            std::iter::once(original).chain(its)
        };
        originals
            .into_iter()
            .enumerate()
            .flat_map(followed)
            .collect()
    }

    /// Checks that the world, as the demonstrations were recorded in it, has the symmetries that `algo` asks for.
    pub(super) fn check_symmetries(&self, algo: &Algo) -> Result<(), Error> {
        let images = algo.symmetric_copies();
        if images == 0 {
            return Ok(());
        }
        let symmetries = self.factory.build().symmetries();
        let refused = |reason: String| {
            Error::Misuse(format!(
                "setting `symmetric_copies` is {images}, but {reason}"
            ))
        };
        let env = &self.factory.spec().name;
        match images::most(&symmetries) {
            Some(0) => Err(refused(format!(
                "no symmetry of {env} is known; set it to 0"
            ))),
            Some(most) if images > most => Err(refused(format!(
                "{env} has a {} alone, expected 0 or {most}",
                symmetries[0].name
            ))),
            _ => images::verify(&self.factory, &symmetries).map_err(|e| refused(e.to_string())),
        }
    }

    /// A digest of the data files: equal data, equal fingerprint.
    pub fn fingerprint(&self) -> String {
        let episodes = self.dataset.meta().episodes.iter();
        let digests: String = episodes.map(|e| e.sha256.as_str()).collect();
        disk::sha256(digests.as_bytes())
    }

    /// The demonstrations that a run learned from, without what was recorded since; `None` if these are others.
    pub fn as_learned_from(mut self, own: &DemonstrationsRef) -> Option<Self> {
        let episodes = &self.dataset.meta().episodes;
        let there = episodes.len();
        let digests = episodes.iter().map(|e| e.sha256.as_bytes());
        let mut fingerprints = disk::sha256_of_beginnings(digests);
        let count = 1 + fingerprints.position(|f| f == own.fingerprint)?;
        drop(fingerprints);
        if count < own.episodes {
            return None;
        }
        if count < there {
            tracing::warn!(
                "{}: the last {} came after this run began, which does without",
                self.dataset.path().display(),
                counted((there - count) as f64, "episode", "episodes")
            );
            self.dataset.keep_first(count);
        }
        Some(self)
    }

    /// A run's reference to demonstrations of this dataset.
    pub(super) fn reference(&self, shown: &Shown) -> Result<DemonstrationsRef, Error> {
        let (path, count) = (shown.folder.as_path(), shown.count);
        let meta = self.dataset.meta();
        let there = self.dataset.episodes().len();
        if let Some(asked) = count
            && !(1..=there).contains(&asked)
        {
            return Err(Error::Misuse(format!(
                "--demonstrations is {asked}, expected 1 to {there}, as many as {} holds",
                path.display()
            )));
        }
        let absolute = std::path::absolute(path).map_err(Error::io(path))?;
        if absolute.to_str().is_none() {
            return Err(Error::Misuse(format!(
                "{}: the path is not UTF-8, and a run's config.json holds text only; rename the folder",
                path.display()
            )));
        }
        let episodes = count.unwrap_or(meta.episodes.len());
        let steps = meta.episodes.iter().take(episodes).map(|e| e.total_steps);
        Ok(DemonstrationsRef {
            path: absolute,
            fingerprint: self.fingerprint(),
            episodes,
            expert_return: meta.demonstration_return.mean,
            expert: meta.expert.name.clone(),
            noise_known: Some(meta.expert.log_density_known),
            success_rate: meta.success_rate(),
            lengths: Lengths::of(steps, self.factory.spec().horizon),
            observations_only: shown.observations_only,
        })
    }
}

/// The demonstrations of a run, verified by their fingerprint; for a run without demonstrations, any of its world.
pub fn open_demonstrations(run: &RunFolder, path: &Path) -> Result<Demonstrations, Error> {
    if !path.exists() {
        return Err(Error::Misuse(format!(
            "{}: the demonstrations of this run are missing; give their folder with --demos DIR",
            path.display()
        )));
    }
    let demonstrations = Demonstrations::open(path)?;
    let env = &run.config().env;
    if demonstrations.dataset.meta().env.name != env.name {
        return Err(Error::Misuse(format!(
            "{}: demonstrations of {}, but the run was trained on {}",
            path.display(),
            demonstrations.dataset.meta().env.name,
            env.name
        )));
    }
    let Some(own) = &run.config().demonstrations else {
        return match demonstrations.dataset.meta().env == *env {
            true => Ok(demonstrations),
            false => Err(Error::Misuse(format!(
                "{}: demonstrations of {} with other parameters than the run's; record some with the same --variant and \
                 --set",
                path.display(),
                env.name
            ))),
        };
    };
    demonstrations.as_learned_from(own).ok_or_else(|| {
        Error::Misuse(format!(
            "{}: not the demonstrations that this run learned from (their checksums differ)",
            path.display()
        ))
    })
}
