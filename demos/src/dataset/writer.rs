//! Recording: an episode is on disk before it is acknowledged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use costate_base::disk::{self, Claim, DiskError};
use costate_envs::Episode;

use super::error::DatasetError;
use super::meta::{EpisodeEntry, ExpertInfo, Header, Import, Meta, ReturnStatistics, Status};
use super::{DATA_FOLDER, META_FILE, columns, episode_file, minari};

/// Minimum time between updates of an ongoing recording's description to Minari.
const DESCRIBED_EVERY: Duration = Duration::from_secs(1);

/// Writes a dataset folder episode by episode.
///
/// Dropping the writer without [`DatasetWriter::finish`], or killing the process, leaves a dataset
/// with `"status": "recording"` that opens with every acknowledged episode and that [`DatasetWriter::reopen`] takes up
/// again. One process at a time writes a dataset.
#[derive(Debug)]
pub struct DatasetWriter {
    folder: PathBuf,
    meta: Meta,
    entries: Vec<EpisodeEntry>,
    described: Instant,
    _claim: Claim,
}

/// Whether a dataset may begin in a folder: one that is absent or empty, or holds nothing but what a start leaves that was
/// killed before its first `meta.json`.
fn is_vacant(folder: &Path) -> bool {
    let Ok(inside) = fs::read_dir(folder) else {
        return folder.symlink_metadata().is_err();
    };
    let left = |entry: fs::DirEntry| {
        let name = entry.file_name();
        let begun = Path::new(META_FILE).with_added_extension("tmp");
        let empty = |data: PathBuf| data.read_dir().is_ok_and(|mut d| d.next().is_none());
        name == begun.as_os_str() || name == DATA_FOLDER && empty(entry.path())
    };
    inside.flatten().all(left)
}

impl DatasetWriter {
    /// Starts a dataset in `folder`, which must be absent or empty.
    pub fn create(folder: &Path, header: Header) -> Result<Self, DatasetError> {
        Self::create_planned(folder, header, None)
    }

    /// Starts a dataset with this many planned episodes.
    pub fn create_planned(
        folder: &Path,
        header: Header,
        planned_episodes: Option<usize>,
    ) -> Result<Self, DatasetError> {
        Self::start(folder, Meta::new(header)?, planned_episodes)
    }

    /// Starts a dataset of this many episodes that come from files of another kind.
    pub fn create_imported(
        folder: &Path,
        header: Header,
        import: Import,
        episodes: usize,
    ) -> Result<Self, DatasetError> {
        let meta = Meta::imported(header, import)?;
        Self::start(folder, meta, Some(episodes))
    }

    /// Starts a dataset of this many episodes of other datasets: `meta` describes it, without episodes.
    pub(crate) fn create_derived(
        folder: &Path,
        meta: Meta,
        episodes: usize,
    ) -> Result<Self, DatasetError> {
        Self::start(folder, meta, Some(episodes))
    }

    fn start(
        folder: &Path,
        mut meta: Meta,
        planned_episodes: Option<usize>,
    ) -> Result<Self, DatasetError> {
        meta.set_status(Status::Recording, planned_episodes);
        let refuse = || DatasetError::OutputExists(folder.to_owned());
        if !is_vacant(folder) {
            return Err(refuse());
        }
        let data = folder.join(DATA_FOLDER);
        disk::create_folders(&data)?;
        let claim = claim(folder)?;
        // Another writer may have been first.
        if !is_vacant(folder) {
            return Err(refuse());
        }
        disk::replace(&folder.join(META_FILE), &meta.to_json())?;
        minari::describe(&meta, &[], folder, folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            meta,
            entries: Vec::new(),
            described: Instant::now(),
            _claim: claim,
        })
    }

    /// Reopens the dataset in `folder`, finished or interrupted. Nothing is changed before
    /// [`DatasetWriter::go_on`].
    pub fn reopen(folder: &Path) -> Result<Self, DatasetError> {
        // Report a folder that is not a dataset before locking anything.
        Meta::open(folder)?;
        let claim = claim(folder)?;
        let mut meta = Meta::open(folder)?;
        let entries = std::mem::take(&mut meta.episodes);
        Ok(Self {
            folder: folder.to_owned(),
            meta,
            entries,
            described: Instant::now(),
            _claim: claim,
        })
    }

    /// Continues with the next episode under `seed` and `expert`, towards `planned_episodes` in total. Changes from the
    /// last recording are noted in `meta.json` first.
    pub fn go_on(
        &mut self,
        seed: u64,
        expert: ExpertInfo,
        planned_episodes: usize,
    ) -> Result<(), DatasetError> {
        let mismatch = |reason| DatasetError::Mismatch {
            path: self.folder.clone(),
            reason,
        };
        let (next, known) = (self.entries.len(), self.meta.expert.log_density_known);
        if known != expert.log_density_known {
            let (has, here) = match known {
                true => ("have log-densities", "has none, as it acts without noise"),
                false => ("have no log-densities", "has them, as it acts with noise"),
            };
            return Err(mismatch(format!(
                "its episodes {has}, but expert `{}` {here}; choose matching noise (`--noise`), or record another dataset",
                expert.name
            )));
        }
        let data = self.folder.join(DATA_FOLDER);
        if data.join(next.to_string()).exists() {
            return Err(mismatch(format!(
                "`{}` exists, but is not listed in meta.json; remove it, or restore the meta.json that lists it",
                data.join(next.to_string()).display()
            )));
        }
        self.meta.set_episodes(self.entries.clone());
        self.meta.go_on(seed, expert);
        self.meta
            .set_status(Status::Recording, Some(planned_episodes));
        // Files left half-written by a kill.
        for entry in fs::read_dir(&data).map_err(DiskError::new("read", &data))? {
            let entry = entry.map_err(DiskError::new("read", &data))?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with('.') && entry.path().is_dir() {
                disk::remove_folder(&entry.path())?;
            }
        }
        let written = disk::replace(&self.folder.join(META_FILE), &self.meta.to_json());
        // The list is complete in `entries` until the end.
        self.meta.episodes.clear();
        Ok(written?)
    }

    /// Stores an episode; when this returns, it is synced under its final name.
    ///
    /// Refuses episodes that do not fit the header: widths, length over the horizon, costs that are
    /// missing or not finite, log-densities that are absent although promised (or the reverse). A
    /// failed append leaves the dataset as it was; it can be tried again.
    pub fn append(&mut self, episode: &Episode) -> Result<&EpisodeEntry, DatasetError> {
        self.append_tagged(episode, Vec::new())
    }

    /// Stores an episode with tags, as [`DatasetWriter::append`] does.
    pub fn append_tagged(
        &mut self,
        episode: &Episode,
        tags: Vec<String>,
    ) -> Result<&EpisodeEntry, DatasetError> {
        let id = self.entries.len();
        self.fits(episode)
            .map_err(|reason| DatasetError::BadEpisode {
                episode: id,
                reason,
            })?;
        let file = episode_file(id);
        let target = self.folder.join(DATA_FOLDER).join(id.to_string());
        let bytes = columns::encode(id, episode, self.meta.returns_known()).map_err(|reason| {
            DatasetError::BadEpisode {
                episode: id,
                reason,
            }
        })?;
        let entry = EpisodeEntry {
            id,
            total_steps: episode.trajectory.len(),
            seed: episode.seed,
            true_return: episode.true_return(),
            success: episode.success,
            tags,
            file,
            bytes: bytes.len() as u64,
            sha256: disk::sha256(&bytes),
        };
        let beside = self.folder.join(DATA_FOLDER).join(format!(".{id}.tmp"));
        self.write_beside(&beside, &bytes, &entry)
            .and_then(|()| Ok(disk::rename(&beside, &target)?))
            .inspect_err(|_| {
                let _ = disk::remove_folder(&beside);
            })?;
        self.entries.push(entry);
        if self.entries.len() == 1 || self.described.elapsed() > DESCRIBED_EVERY {
            // The episode is safe even if this fails.
            let _ = minari::describe(&self.meta, &self.entries, &self.folder, &self.folder);
            self.described = Instant::now();
        }
        Ok(&self.entries[id])
    }

    /// Records the returns of random actions.
    pub fn set_random_return(&mut self, returns: ReturnStatistics) -> Result<(), DatasetError> {
        self.meta.random_return = Some(returns);
        self.meta.set_episodes(self.entries.clone());
        let written = disk::replace(&self.folder.join(META_FILE), &self.meta.to_json());
        self.meta.episodes.clear();
        Ok(written?)
    }

    /// The dataset's description so far, without its episodes.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The episodes acknowledged so far.
    pub fn entries(&self) -> &[EpisodeEntry] {
        &self.entries
    }

    /// Completes the dataset: statistics and the list of episodes go to `meta.json`.
    pub fn finish(mut self) -> Result<Meta, DatasetError> {
        minari::describe(&self.meta, &self.entries, &self.folder, &self.folder)?;
        self.meta.set_episodes(self.entries);
        self.meta.set_status(Status::Complete, None);
        disk::replace(&self.folder.join(META_FILE), &self.meta.to_json())?;
        Ok(self.meta)
    }

    /// Takes the last episode out again and completes the dataset without it; returns its description.
    ///
    /// A crash half-way leaves an unfinished recording with or without that episode. A dataset needs an episode, so the
    /// only one stays.
    pub fn retract(mut self) -> Result<Meta, DatasetError> {
        if self.entries.len() < 2 {
            return self.finish();
        }
        self.entries.pop();
        let id = self.entries.len();
        self.meta.set_episodes(self.entries.clone());
        self.meta.appended.retain(|s| s.first_episode < id);
        // An unfinished recording lists what is on disk, so that nothing is missing in between.
        self.meta.set_status(Status::Recording, Some(id));
        disk::replace(&self.folder.join(META_FILE), &self.meta.to_json())?;
        let data = self.folder.join(DATA_FOLDER);
        let away = data.join(format!(".{id}.tmp"));
        disk::rename(&data.join(id.to_string()), &away)?;
        disk::remove_folder(&away)?;
        self.finish()
    }

    fn write_beside(
        &self,
        folder: &Path,
        parquet: &[u8],
        entry: &EpisodeEntry,
    ) -> Result<(), DatasetError> {
        if folder.exists() {
            disk::remove_folder(folder)?;
        }
        disk::create_folder(folder)?;
        disk::write_synced(&folder.join("part-0.parquet"), parquet)?;
        let json = serde_json::to_vec_pretty(entry).expect("string keys only");
        disk::write_synced(&folder.join("metadata.json"), &json)?;
        Ok(disk::sync_folder(folder)?)
    }

    fn fits(&self, episode: &Episode) -> Result<(), String> {
        let (spec, trajectory) = (&self.meta.spec, &episode.trajectory);
        let same = |what: &str, got: usize, expected: usize| {
            if got == expected {
                Ok(())
            } else {
                Err(format!("{what}: got {got}, expected {expected}"))
            }
        };
        same(
            "entries of an observation",
            trajectory.observation_dim(),
            spec.observation.dim(),
        )?;
        same(
            "entries of an action",
            trajectory.action_dim(),
            spec.action.dim(),
        )?;
        same("number of costs", episode.costs.len(), trajectory.len())?;
        if trajectory.len() > spec.horizon {
            return Err(format!(
                "it has {} steps, more than the horizon {}",
                trajectory.len(),
                spec.horizon
            ));
        }
        if let Some((t, cost)) = episode
            .costs
            .iter()
            .enumerate()
            .find(|(_, c)| !is_cost(**c))
        {
            return Err(format!("the cost of step {t} is {cost}, expected {COSTS}"));
        }
        match (
            self.meta.expert.log_density_known,
            trajectory.log_densities(),
        ) {
            (true, None) => Err("it has no log-densities, but the header promises them".into()),
            (false, Some(_)) => Err("it has log-densities, but the header says unknown".into()),
            _ => Ok(()),
        }
    }
}

/// What [`is_cost`] takes, in words.
pub(crate) const COSTS: &str = "a finite number within ± 1e100";

/// Whether a cost can be summed, and such sums squared, over any number of episodes.
pub(crate) fn is_cost(value: f64) -> bool {
    value.abs() <= 1e100
}

/// Locks a dataset for this process.
fn claim(folder: &Path) -> Result<Claim, DatasetError> {
    disk::claim(&folder.join(DATA_FOLDER))?.ok_or_else(|| DatasetError::Busy(folder.to_owned()))
}
