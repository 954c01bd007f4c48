//! Where episodes of a session are kept: each is a complete change of the dataset on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use costate_demos::dataset::{
    DatasetError, DatasetWriter, EpisodeEntry, ExpertInfo, Header, Meta, ReturnStatistics, Status,
};
use costate_demos::record::{Plan, RANDOM_EPISODES, RecordError, check_world, random_return};
use costate_envs::rng::derive_seed;
use costate_envs::{EnvFactory, Episode};
use serde_json::Value;

use crate::learning::Refusal;
use crate::name::Name;
use crate::shelf::Shelf;

/// Name of people among experts.
pub const HUMAN: &str = "human";

/// The dataset of a session. Others may change it in between: every change reads it anew.
pub struct Keeper {
    name: Name,
    shelf: Arc<Shelf>,
    factory: EnvFactory,
    seed: u64,
    /// Number of the next start in the seed's stream.
    next: u64,
    /// Returns of random actions, measured while the person plays.
    random: Option<JoinHandle<Result<ReturnStatistics, RecordError>>>,
    /// Episodes that were kept in this session and not undone.
    kept: Vec<Mark>,
}

/// What an episode is found by when others before it may have gone.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    seed: u64,
    steps: usize,
    true_return: f64,
}

impl Mark {
    fn of(entry: &EpisodeEntry) -> Self {
        Self {
            seed: entry.seed,
            steps: entry.total_steps,
            true_return: entry.true_return,
        }
    }
}

/// A dataset after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The episode that was kept.
    pub entry: EpisodeEntry,
    /// Episodes in the dataset now.
    pub episodes: usize,
}

impl Keeper {
    /// A keeper of a dataset, which others cannot record into until it is dropped: absent, or without log-densities and
    /// of the same world.
    pub fn new(
        shelf: Arc<Shelf>,
        name: Name,
        factory: EnvFactory,
        seed: u64,
    ) -> Result<Self, Refusal> {
        if !shelf.hold(&name) {
            return Err(Refusal::conflict(format!(
                "somebody else is recording into `{name}`: watch, take over, or choose another name"
            )));
        }
        let mut keeper = Self {
            name,
            shelf,
            factory,
            seed,
            next: 0,
            random: None,
            kept: Vec::new(),
        };
        let meta = keeper.meta()?;
        if let Some(meta) = &meta {
            fits(keeper.name.as_str(), meta, &keeper.factory)?;
        }
        if meta.is_none_or(|meta| meta.random_return.is_none()) {
            let factory = keeper.factory.clone();
            let plan = Plan {
                episodes: RANDOM_EPISODES,
                seed,
                workers: 1,
            };
            keeper.random = Some(thread::spawn(move || random_return(&factory, plan)));
        }
        Ok(keeper)
    }

    /// A keeper of a new dataset that does not measure the return of random actions, which takes its time.
    #[cfg(fuzzing)]
    pub fn unmeasured(shelf: Arc<Shelf>, name: Name, factory: EnvFactory, seed: u64) -> Self {
        Self {
            name,
            shelf,
            factory,
            seed,
            next: 0,
            random: None,
            kept: Vec::new(),
        }
    }

    fn folder(&self) -> PathBuf {
        self.shelf.path(&self.name)
    }

    /// The dataset as it is on disk, if it is there yet.
    fn meta(&self) -> Result<Option<Meta>, Refusal> {
        let folder = self.folder();
        match folder.symlink_metadata() {
            Ok(_) => Ok(Some(Meta::open(&folder).map_err(Refusal::failure)?)),
            Err(_) => Ok(None),
        }
    }

    /// Number of episodes in the dataset.
    pub fn episodes(&self) -> usize {
        let meta = self.meta().ok().flatten();
        meta.map_or(0, |meta| meta.episodes.len())
    }

    /// The next start of the stream ("human-demonstration", i) that no episode of the dataset and of this session had.
    pub fn next_start(&mut self) -> u64 {
        let meta = self.meta().ok().flatten();
        let taken = |seed| {
            meta.iter()
                .flat_map(|m| &m.episodes)
                .any(|e| e.seed == seed)
        };
        loop {
            let seed = derive_seed(self.seed, "human-demonstration", self.next);
            self.next += 1;
            if !taken(seed) {
                return seed;
            }
        }
    }

    /// Writes an episode; when this returns, it is synced, and the dataset is complete.
    pub fn keep(
        &mut self,
        episode: &Episode,
        tags: Vec<String>,
        parameters: Value,
    ) -> Result<Kept, Refusal> {
        let kept = self.write(episode, tags, parameters);
        let kept = kept.map_err(Refusal::failure)?;
        self.kept.push(Mark::of(&kept.entry));
        // Undoing an earlier change would now take this episode, too.
        self.shelf.settle(Some(&self.name));
        Ok(kept)
    }

    fn write(
        &mut self,
        episode: &Episode,
        tags: Vec<String>,
        parameters: Value,
    ) -> Result<Kept, RecordError> {
        let folder = self.folder();
        let expert = ExpertInfo {
            name: HUMAN.into(),
            parameters,
            action_noise_std: vec![0.0; self.factory.spec().action.dim()],
            log_density_known: false,
        };
        let mut writer = if folder.exists() {
            let mut writer = DatasetWriter::reopen(&folder)?;
            check_world(&folder, writer.meta(), &self.factory)?;
            let planned = writer.entries().len() + 1;
            writer.go_on(self.seed, expert, planned)?;
            writer
        } else {
            let header = Header {
                env: self.factory.config().clone(),
                spec: self.factory.spec().clone(),
                expert,
                seed: self.seed,
            };
            DatasetWriter::create(&folder, header)?
        };
        if let Some(measured) = self.random.take() {
            match measured.join() {
                Ok(returns) => writer.set_random_return(returns?)?,
                Err(_) => tracing::warn!("the return of random actions could not be measured"),
            }
        }
        let entry = writer.append_tagged(episode, tags)?.clone();
        let meta = writer.finish()?;
        Ok(Kept {
            entry,
            episodes: meta.episodes.len(),
        })
    }

    /// Takes the episode kept last out of the dataset again; returns how many are left.
    ///
    /// Errors: none was kept in this session; it is no longer there.
    pub fn undo(&mut self) -> Result<usize, Refusal> {
        let Some(last) = self.kept.pop() else {
            return Err(Refusal::misuse("no episode was kept yet in this session"));
        };
        let meta = self.meta()?;
        let found = meta.as_ref().and_then(|meta| {
            let mut all = meta.episodes.iter().rev();
            all.find(|e| Mark::of(e) == last)
        });
        let Some(entry) = found else {
            return Err(Refusal::misuse(
                "the episode kept last has been deleted already",
            ));
        };
        if meta
            .as_ref()
            .is_some_and(|m| m.episodes.len() == entry.id + 1)
            && entry.id > 0
        {
            let writer = DatasetWriter::reopen(&self.folder()).map_err(Refusal::failure)?;
            writer.retract().map_err(Refusal::failure)?;
        } else {
            self.shelf.delete(&self.name, &[entry.id])?;
        }
        self.shelf.settle(Some(&self.name));
        Ok(self.episodes())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shelf.release(&self.name);
    }
}

/// Whether people's episodes can go into a dataset.
fn fits(name: &str, meta: &Meta, factory: &EnvFactory) -> Result<(), Refusal> {
    if meta.expert.log_density_known {
        return Err(Refusal::misuse(format!(
            "`{}` holds demonstrations of expert `{}` with their log-densities, which people's episodes do not have; choose \
             another name, `costate demos merge` joins them later",
            name, meta.expert.name
        )));
    }
    if meta.import.is_some() {
        return Err(Refusal::misuse(format!(
            "`{name}` was imported; choose another name, `costate demos merge` joins them later"
        )));
    }
    if meta.status == Status::Recording && meta.expert.name != HUMAN {
        return Err(Refusal::failure(DatasetError::Unfinished {
            path: name.into(),
            recorded: meta.episodes.len(),
            planned: meta.planned_episodes,
        }));
    }
    check_world(Path::new(name), meta, factory).map_err(Refusal::misuse)
}
