//! Recording: an episode is on disk before it is acknowledged.

use std::fs;
use std::path::{Path, PathBuf};

use costate_envs::Episode;

use super::error::DatasetError;
use super::meta::{EpisodeEntry, Header, Meta, ReturnStatistics, Status};
use super::{DATA_FOLDER, META_FILE, columns, disk, episode_file, minari};

/// Writes a dataset folder episode by episode.
///
/// Dropping the writer without [`DatasetWriter::finish`], or killing the process, leaves a dataset
/// with `"status": "recording"` that opens with every acknowledged episode.
#[derive(Debug)]
pub struct DatasetWriter {
    folder: PathBuf,
    meta: Meta,
    entries: Vec<EpisodeEntry>,
}

impl DatasetWriter {
    /// Starts a dataset in `folder`, which must be absent or empty.
    pub fn create(folder: &Path, header: Header) -> Result<Self, DatasetError> {
        let meta = Meta::new(header)?;
        if let Ok(mut inside) = fs::read_dir(folder) {
            if inside.next().is_some() {
                return Err(DatasetError::OutputExists(folder.to_owned()));
            }
        } else if folder.symlink_metadata().is_ok() {
            return Err(DatasetError::OutputExists(folder.to_owned()));
        }
        fs::create_dir_all(folder).map_err(DatasetError::io("create folder", folder))?;
        // Not `create_dir_all`: of two writers that both saw the folder empty, one must fail.
        let data = folder.join(DATA_FOLDER);
        fs::create_dir(&data).map_err(DatasetError::io("create folder", &data))?;
        disk::replace(&folder.join(META_FILE), &meta.to_json())?;
        Ok(Self {
            folder: folder.to_owned(),
            meta,
            entries: Vec::new(),
        })
    }

    /// Stores an episode; when this returns, it is synced under its final name.
    ///
    /// Refuses episodes that do not fit the header: widths, length over the horizon, costs that are
    /// missing or not finite, log-densities that are absent although promised (or the reverse). A
    /// failed append leaves the dataset as it was; it can be tried again.
    pub fn append(&mut self, episode: &Episode) -> Result<&EpisodeEntry, DatasetError> {
        let id = self.entries.len();
        self.fits(episode)
            .map_err(|reason| DatasetError::BadEpisode {
                episode: id,
                reason,
            })?;
        let file = episode_file(id);
        let target = self.folder.join(DATA_FOLDER).join(id.to_string());
        let bytes = columns::encode(id, episode).map_err(|reason| DatasetError::BadEpisode {
            episode: id,
            reason,
        })?;
        let entry = EpisodeEntry {
            id,
            total_steps: episode.trajectory.len(),
            seed: episode.seed,
            true_return: episode.true_return(),
            success: episode.success,
            file,
            bytes: bytes.len() as u64,
            sha256: disk::sha256(&bytes),
        };
        let beside = self.folder.join(DATA_FOLDER).join(format!(".{id}.tmp"));
        self.write_beside(&beside, &bytes, &entry)
            .and_then(|()| disk::rename(&beside, &target))
            .inspect_err(|_| {
                let _ = fs::remove_dir_all(&beside);
            })?;
        Ok(self.entries.push_mut(entry))
    }

    /// Notes the returns of random actions.
    pub fn set_random_return(&mut self, returns: ReturnStatistics) -> Result<(), DatasetError> {
        self.meta.random_return = Some(returns);
        disk::replace(&self.folder.join(META_FILE), &self.meta.to_json())
    }

    /// The episodes acknowledged so far.
    pub fn entries(&self) -> &[EpisodeEntry] {
        &self.entries
    }

    /// Completes the dataset: statistics and the list of episodes go to `meta.json`.
    pub fn finish(mut self) -> Result<Meta, DatasetError> {
        self.meta.set_episodes(self.entries);
        self.meta.status = Status::Complete;
        let name = self.folder.canonicalize();
        let minari = minari::metadata(&self.meta, name.as_deref().unwrap_or(&self.folder));
        let minari = format!("{minari:#}\n");
        disk::replace(
            &self.folder.join(DATA_FOLDER).join("metadata.json"),
            minari.as_bytes(),
        )?;
        disk::replace(&self.folder.join(META_FILE), &self.meta.to_json())?;
        Ok(self.meta)
    }

    fn write_beside(
        &self,
        folder: &Path,
        parquet: &[u8],
        entry: &EpisodeEntry,
    ) -> Result<(), DatasetError> {
        if folder.exists() {
            fs::remove_dir_all(folder).map_err(DatasetError::io("remove", folder))?;
        }
        fs::create_dir(folder).map_err(DatasetError::io("create folder", folder))?;
        disk::write_synced(&folder.join("part-0.parquet"), parquet)?;
        let json = serde_json::to_vec_pretty(entry).expect("string keys only");
        disk::write_synced(&folder.join("metadata.json"), &json)?;
        disk::sync_folder(folder)
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
            .find(|(_, c)| !c.is_finite())
        {
            return Err(format!(
                "the cost of step {t} is {cost}, expected a finite number"
            ));
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
