//! Recording an expert's demonstrations: new, appended or resumed.

use std::path::{Path, PathBuf};

use costate_base::{disk, number, provenance};
use costate_demos::DatasetError;
use costate_demos::dataset::{EpisodeEntry, Meta, Session, Status};
use costate_demos::experts::ExpertDesign;
use costate_demos::record::{
    Plan, RecordError, append_dataset, check_world, doubts, record_dataset, resume_dataset,
};
use costate_envs::registry::file_name;
use costate_envs::{EnvError, EnvFactory};
use serde::Serialize;

use super::{Progress, WorldChanges, failed};
use crate::error::Error;
use crate::number::plain;
use crate::policy::imported;
use crate::shell;

/// Folder of all datasets, unless they are put elsewhere.
pub const DATASETS: &str = "datasets";
/// Default number of episodes.
const EPISODES: usize = 25;

/// What to record.
#[derive(Debug, Clone)]
pub struct Request {
    /// The dataset.
    pub target: Target,
    /// Changes to the environment; for an existing dataset none, or its own.
    pub world: WorldChanges,
    /// An expert's name, a run of `costate expert`, a policy file, an ONNX file or formulas. By default the best expert, or an existing
    /// dataset's own.
    pub expert: Option<String>,
    /// Standard deviation of the action noise, as a share of each action's range.
    pub noise: Option<f64>,
    /// Episodes: how many, how many more, or how many in all.
    pub episodes: Option<usize>,
    /// Seed of start states and noise; 0 by default, or the dataset's own.
    pub seed: Option<u64>,
    /// Worker threads.
    pub workers: usize,
}

/// The dataset to record into.
#[derive(Debug, Clone)]
pub enum Target {
    /// A new dataset.
    New {
        /// Its environment.
        env: String,
        /// `datasets/ENV-EXPERT` by default.
        folder: Option<PathBuf>,
    },
    /// An existing dataset.
    Existing {
        /// Dataset folder.
        folder: PathBuf,
        /// Its environment, if the caller names it.
        env: Option<String>,
        /// How to continue it.
        how: How,
    },
}

/// How to continue an existing dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Append episodes.
    Append,
    /// Finish an interrupted recording.
    Resume,
}

impl Request {
    /// A new dataset of an environment as shipped, by its best expert.
    pub fn new(env: &str, folder: &Path, episodes: usize, seed: u64, workers: usize) -> Self {
        Self {
            target: Target::New {
                env: env.into(),
                folder: Some(folder.into()),
            },
            world: WorldChanges::default(),
            expert: None,
            noise: None,
            episodes: Some(episodes),
            seed: Some(seed),
            workers,
        }
    }

    fn recording(&self) -> Result<Recording, Error> {
        match &self.target {
            Target::New { env, folder } => self.anew(env, folder.as_deref()),
            Target::Existing { folder, env, how } => self.go_on(folder, env.as_deref(), *how),
        }
    }

    fn anew(&self, env: &str, folder: Option<&Path>) -> Result<Recording, Error> {
        let factory = self.world.config(env)?.factory()?;
        let expert = imported::expert(&factory, self.expert.as_deref(), self.noise)?;
        let folder = match folder {
            Some(folder) => folder.into(),
            None => Path::new(DATASETS).join(file_name(&format!("{env}-{}", expert.name()))),
        };
        Ok(Recording {
            folder,
            factory,
            expert,
            plan: Plan {
                episodes: self.episodes.unwrap_or(EPISODES),
                seed: self.seed.unwrap_or(0),
                workers: self.workers,
            },
            there: 0,
            how: None,
        })
    }

    /// Fills in what is not given from the dataset in `folder`.
    fn go_on(&self, folder: &Path, env: Option<&str>, how: How) -> Result<Recording, Error> {
        let meta = Meta::open(folder)?;
        let name = &meta.env.name;
        let misuse = |text: String| Error::Misuse(format!("{}: {text}", folder.display()));
        if let Some(asked) = env.filter(|asked| asked != name) {
            return Err(misuse(format!(
                "it holds demonstrations of `{name}`, not of `{asked}`; record those into another folder"
            )));
        }
        let factory = match self.world == WorldChanges::default() {
            true => meta.env.factory(),
            false => self.world.config(name)?.factory(),
        }?;
        if !factory.has_simulator() {
            return Err(misuse(
                "it was imported without a simulator, so nothing can be recorded in it; import the new files together with \
                 the old ones"
                    .into(),
            ));
        }
        check_world(folder, &meta, &factory)?;
        let first = &meta.sessions()[0];
        let last = meta.sessions().pop().unwrap_or_else(|| first.clone());
        // An interrupted recording is finished by the expert that began it, a finished one continues as it started.
        let session = match how {
            How::Resume => &last,
            How::Append => first,
        };
        let expert = self.expert_like(session, &factory, &misuse)?;
        let seed = self.seed.unwrap_or(session.seed);
        if how == How::Resume && (seed != session.seed || expert.info() != session.expert) {
            return Err(misuse(format!(
                "its recording was begun by expert `{}` with noise σ {:?} and seed {}, and can only be finished so; leave \
                 out --expert, --noise and --seed (`--append` records more by others afterwards)",
                session.expert.name, session.expert.action_noise_std, session.seed
            )));
        }
        let episodes = match (self.episodes, how) {
            (Some(asked), _) => asked,
            (None, How::Append) => EPISODES,
            (None, How::Resume) if meta.status == Status::Complete && !meta.episodes.is_empty() => {
                meta.episodes.len()
            }
            (None, How::Resume) => meta.planned_episodes.ok_or_else(|| {
                misuse("its intended number of episodes is unknown; set it with -n".into())
            })?,
        };
        Ok(Recording {
            factory,
            expert,
            plan: Plan {
                episodes,
                seed,
                workers: self.workers,
            },
            there: meta.episodes.len(),
            how: Some(how),
            folder: folder.into(),
        })
    }

    /// The expert of a session, or the one given in its place.
    fn expert_like(
        &self,
        session: &Session,
        factory: &EnvFactory,
        misuse: &dyn Fn(String) -> Error,
    ) -> Result<ExpertDesign, Error> {
        if let (None, None) = (&self.expert, self.noise) {
            let again = ExpertDesign::again(&session.expert, factory).ok();
            return again.filter(|again| again.info() == session.expert).ok_or_else(|| {
                misuse(format!(
                    "its expert `{}` cannot be restored; give it with --expert, and --noise if it was set",
                    session.expert.name
                ))
            });
        }
        let name = self.expert.as_deref().unwrap_or(&session.expert.name);
        imported::expert(factory, Some(name), self.noise)
    }
}

/// A recording that is fully specified.
struct Recording {
    folder: PathBuf,
    factory: EnvFactory,
    expert: ExpertDesign,
    plan: Plan,
    /// Existing episodes.
    there: usize,
    /// `None` for a folder that must be new.
    how: Option<How>,
}

impl Recording {
    /// Episodes that the dataset is to have.
    fn total(&self) -> usize {
        match self.how {
            Some(How::Append) => self.there.saturating_add(self.plan.episodes),
            None | Some(How::Resume) => self.plan.episodes,
        }
    }

    fn work(&self, progress: &dyn Progress) -> Result<Meta, Error> {
        progress.begin("record", self.total());
        let mut done = self.there;
        let before = disk::size(&self.folder);
        let each = |entry: &EpisodeEntry| {
            done += 1;
            if done == self.there + 1 {
                let episode = disk::size(&self.folder).saturating_sub(before);
                let free = disk::free_bytes(&self.folder);
                if let Some(remark) =
                    remark_on_space(self.total().saturating_sub(done), episode, free)
                {
                    progress.remark(&format!("{}: {remark}", shell::path(&self.folder)));
                }
            }
            progress.advance(done, &format!("return {}", plain(entry.true_return)));
        };
        let (folder, factory, expert) = (&self.folder, &self.factory, &self.expert);
        let (plan, interrupt) = (self.plan, progress.interrupt());
        let meta = match self.how {
            None => record_dataset(folder, factory, expert, plan, interrupt, each),
            Some(How::Append) => append_dataset(folder, factory, expert, plan, interrupt, each),
            Some(How::Resume) => resume_dataset(folder, factory, expert, plan, interrupt, each),
        };
        let meta = meta.map_err(|e| match e {
            RecordError::Env {
                episode,
                source,
                broken,
                ..
            } if !matches!(source, EnvError::NoSimulator) => {
                let cause = source.into();
                let error = EnvError::Broken { broken, cause };
                match failed::keep(folder, factory.config(), error.into()) {
                    Error::Failure(text) => Error::Failure(format!("episode {episode}: {text}")),
                    other => other,
                }
            }
            RecordError::Dataset(DatasetError::OutputExists(_))
                if self.how.is_none() && Meta::open(folder).is_ok() =>
            {
                Error::Misuse(format!(
                    "output folder `{}` exists and is not empty: it holds a dataset; record more into it with --append, \
                     finish it with --resume if it was interrupted, or choose another with `-o`",
                    folder.display()
                ))
            }
            other => other.into(),
        })?;
        progress.end();
        if let (Some(began), Some(now)) = (&meta.provenance, provenance::current())
            && *began != now
            && meta.episodes.len() > self.there
        {
            progress.remark(&format!(
                "{}: begun by {began}, continued by {now}; `costate demos check` replays an episode",
                shell::path(folder)
            ));
        }
        Ok(meta)
    }
}

/// Summary of a recording.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// The dataset's folder.
    #[serde(serialize_with = "super::shown")]
    pub dataset: PathBuf,
    /// Environment.
    pub env: String,
    /// The expert of this session.
    pub expert: String,
    /// Standard deviation of each action's noise.
    pub noise_std: Vec<f64>,
    /// Seed of start states and noise.
    pub seed: u64,
    /// Episodes in all.
    pub episodes: usize,
    /// Episodes recorded in this session.
    pub recorded: usize,
    /// Transitions in all.
    pub steps: usize,
    /// Mean true return of all episodes.
    pub expert_return: f64,
    /// Mean true return of random actions.
    pub random_return: Option<f64>,
    /// Share of solved episodes, where the task defines success.
    pub success_rate: Option<f64>,
    /// Episodes missing because of an interruption; the dataset is valid without them.
    #[serde(skip)]
    pub missing: usize,
    /// Remarks on probable mistakes in the dataset.
    #[serde(skip)]
    pub doubts: Vec<String>,
    /// The dataset's own description.
    #[serde(skip)]
    pub meta: Meta,
}

/// Records demonstrations.
///
/// Errors: an unknown environment or expert, an unsuitable folder, a failing simulation. An
/// interruption is not an error.
pub fn record(request: &Request, progress: &dyn Progress) -> Result<Recorded, Error> {
    let recording = request.recording()?;
    let meta = recording.work(progress)?;
    Ok(Recorded {
        env: meta.env.name.clone(),
        expert: recording.expert.name().into(),
        noise_std: recording.expert.info().action_noise_std,
        seed: recording.plan.seed,
        episodes: meta.episodes.len(),
        recorded: meta.episodes.len() - recording.there,
        steps: meta.total_steps,
        expert_return: meta.demonstration_return.mean,
        random_return: meta.random_return.map(|r| r.mean),
        success_rate: meta.success_rate(),
        missing: recording.total().saturating_sub(meta.episodes.len()),
        doubts: doubts(&meta),
        dataset: recording.folder,
        meta,
    })
}

/// What to say where so many more episodes, each as large as the first, will not fit on the disk, bytes.
fn remark_on_space(more: usize, episode: u64, free: Option<u64>) -> Option<String> {
    let needed = episode.saturating_mul(more as u64);
    let free = free.filter(|free| *free < needed)?;
    Some(format!(
        "{more} more episodes will take about {}, of which {} are free on this disk; what is recorded until then stays, and \
         `--resume` goes on once there is space",
        number::bytes(needed),
        number::bytes(free)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_will_be_too_small_is_announced() {
        assert_eq!(remark_on_space(9, 1 << 20, Some(9 << 20)), None);
        assert_eq!(remark_on_space(9, 1 << 20, None), None);
        let text = remark_on_space(10, 1 << 20, Some(9 << 20)).unwrap();
        assert!(
            text.starts_with("10 more episodes will take about"),
            "{text}"
        );
        assert!(remark_on_space(usize::MAX, 2, Some(0)).is_some());
    }
}
