//! Reading a dataset: everything is validated before it is returned.

use std::path::{Path, PathBuf};

use costate_base::disk::{self, DiskError};
use costate_envs::{EnvSpec, Episode, Space};

use super::error::DatasetError;
use super::meta::{EpisodeEntry, Meta, Status};
use super::{DATA_FOLDER, META_FILE, columns};

/// A dataset on disk, read one episode at a time: memory holds only its description and one episode.
#[derive(Debug, Clone)]
pub struct DatasetReader {
    path: PathBuf,
    meta: Meta,
}

impl DatasetReader {
    /// Reads the description of the dataset in the folder `path`.
    ///
    /// An interrupted recording opens with the episodes that were acknowledged. At least one
    /// episode is guaranteed; the episodes themselves are not read yet.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let meta = read_meta(path)?;
        match meta.episodes.is_empty() {
            true => Err(DatasetError::NoEpisodes(path.to_owned())),
            false => Ok(Self {
                path: path.to_owned(),
                meta,
            }),
        }
    }

    /// The folder it is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dataset's description; for an interrupted recording with the episodes found.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Errors: an interrupted recording.
    pub(crate) fn finished(&self) -> Result<(), DatasetError> {
        match self.meta.status {
            Status::Recording => Err(DatasetError::Unfinished {
                path: self.path.clone(),
                recorded: self.meta.episodes.len(),
                planned: self.meta.planned_episodes,
            }),
            Status::Complete => Ok(()),
        }
    }

    /// The episodes in their order, each validated when its turn comes: its file is parsed, every value checked against
    /// the spec, the checksum recomputed.
    pub fn episodes(&self) -> impl Iterator<Item = Result<Episode, DatasetError>> {
        let load = |entry| load_episode(&self.path, entry, &self.meta);
        self.meta.episodes.iter().map(load)
    }
}

/// A dataset in memory, validated.
#[derive(Debug, Clone)]
pub struct Dataset {
    path: PathBuf,
    meta: Meta,
    episodes: Vec<Episode>,
}

impl Dataset {
    /// Reads and validates the dataset in the folder `path`.
    ///
    /// Every file is parsed, every value checked against the spec, every checksum recomputed. An
    /// interrupted recording opens with the episodes that were acknowledged. At least one episode
    /// is guaranteed.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        Self::read(DatasetReader::open(path)?)
    }

    /// Reads and validates all episodes of `reader`.
    pub fn read(reader: DatasetReader) -> Result<Self, DatasetError> {
        let episodes = reader.episodes().collect::<Result<_, _>>()?;
        let DatasetReader { path, meta } = reader;
        Ok(Self {
            path,
            meta,
            episodes,
        })
    }

    /// The folder it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The dataset's description; for an interrupted recording with the episodes found.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// The episodes, at least one.
    pub fn episodes(&self) -> &[Episode] {
        &self.episodes
    }

    /// The episodes, at least one.
    pub fn into_episodes(self) -> Vec<Episode> {
        self.episodes
    }

    /// Leaves out all but the first `count` episodes, as if recording had ended there; at least one stays.
    pub fn keep_first(&mut self, count: usize) {
        let count = count.clamp(1, self.episodes.len());
        self.episodes.truncate(count);
        let mut entries = std::mem::take(&mut self.meta.episodes);
        entries.truncate(count);
        self.meta.set_episodes(entries);
        self.meta.appended.retain(|s| s.first_episode < count);
    }

    /// Refuses an environment these demonstrations do not fit: another name, other channels,
    /// another control period or another horizon. Different physical parameters are allowed.
    pub fn check_env(&self, spec: &EnvSpec) -> Result<(), DatasetError> {
        let own = &self.meta.spec;
        let wrong = |found: String, expected: String, hint| {
            Err(DatasetError::WrongEnv {
                path: self.path.clone(),
                found,
                expected,
                hint,
            })
        };
        if own.name != spec.name {
            return wrong(
                format!("`{}`", own.name),
                format!("`{}`", spec.name),
                "choose the matching environment or record demonstrations of it",
            );
        }
        let names =
            |space: &Space| -> Vec<String> { space.0.iter().map(|c| c.name.clone()).collect() };
        let describe = |what: &str, value: &dyn std::fmt::Debug| {
            format!("`{}` with {what} {value:?}", own.name)
        };
        let hint = "use the environment model stored with the demonstrations or record them again";
        for (what, a, b) in [
            ("observations", &own.observation, &spec.observation),
            ("actions", &own.action, &spec.action),
        ] {
            let (a, b) = (names(a), names(b));
            if a != b {
                return wrong(describe(what, &a), describe(what, &b), hint);
            }
        }
        if own.horizon != spec.horizon {
            let of = |h| describe("horizon", h);
            return wrong(of(&own.horizon), of(&spec.horizon), hint);
        }
        if own.control_period_s != spec.control_period_s {
            let of = |p| describe("control period (s)", p);
            return wrong(of(&own.control_period_s), of(&spec.control_period_s), hint);
        }
        Ok(())
    }
}

/// Reads the description of the dataset at `path`; for an interrupted one with the episodes on disk.
pub(crate) fn read_meta(path: &Path) -> Result<Meta, DatasetError> {
    if !path.exists() {
        return Err(DatasetError::Missing(path.to_owned()));
    }
    let foreign = |reason: &str| DatasetError::Foreign {
        path: path.to_owned(),
        reason: reason.into(),
    };
    if !path.is_dir() {
        return Err(foreign("it is a file, expected a folder"));
    }
    if !path.join(META_FILE).exists() {
        let mut inside = path.read_dir().map_err(DiskError::new("read", path))?;
        return Err(if inside.next().is_none() {
            DatasetError::Empty(path.to_owned())
        } else {
            foreign("it has no meta.json")
        });
    }
    let mut meta = Meta::read(path)?;
    if meta.status == Status::Recording {
        let mut episodes = std::mem::take(&mut meta.episodes);
        episodes.extend(acknowledged(path, episodes.len(), &meta.spec)?);
        meta.set_episodes(episodes);
    }
    Ok(meta)
}

/// The episodes of an interrupted recording from number `first` on: each has its final name, so each is complete.
fn acknowledged(
    path: &Path,
    first: usize,
    spec: &EnvSpec,
) -> Result<Vec<EpisodeEntry>, DatasetError> {
    let data = path.join(DATA_FOLDER);
    (first..)
        .map(|id: usize| (id, data.join(id.to_string())))
        .take_while(|(_, folder)| folder.exists())
        .map(|(id, folder)| EpisodeEntry::read(&folder.join("metadata.json"), id, spec))
        .collect()
}

/// Reads one episode and compares it with its entry.
///
/// The contents are checked before the checksum, so that the error for an edited file names the
/// fault, if there is one.
pub fn load_episode(
    folder: &Path,
    entry: &EpisodeEntry,
    meta: &Meta,
) -> Result<Episode, DatasetError> {
    let path = folder.join(&entry.file);
    let bytes = disk::read(&path)?;
    let (length, digest) = (bytes.len() as u64, disk::sha256(&bytes));
    let episode = columns::decode(
        &path,
        bytes,
        entry.id,
        entry.seed,
        &meta.spec,
        meta.returns_known(),
    )
    .map_err(|error| match error {
        DatasetError::Unreadable { path, reason } if length < entry.bytes => {
            DatasetError::Unreadable {
                path,
                reason: format!(
                    "it is truncated ({length} of {} bytes); {reason}",
                    entry.bytes
                ),
            }
        }
        other => other,
    })?;
    let known = episode.trajectory.log_densities().is_some();
    if known != meta.expert.log_density_known {
        return Err(DatasetError::Column {
            path,
            column: "log_density".into(),
            reason: format!(
                "it is {}, but meta.json says `log_density_known: {}`",
                if known { "filled" } else { "empty" },
                meta.expert.log_density_known
            ),
        });
    }
    if episode.trajectory.len() != entry.total_steps {
        return Err(DatasetError::Unreadable {
            path,
            reason: format!(
                "it has {} steps, but meta.json says {}",
                episode.trajectory.len(),
                entry.total_steps
            ),
        });
    }
    if episode.true_return() != entry.true_return {
        return Err(DatasetError::Column {
            path,
            column: "true_cost".into(),
            reason: format!(
                "the return is {}, but meta.json says {}",
                episode.true_return(),
                entry.true_return
            ),
        });
    }
    if digest != entry.sha256 {
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        return Err(DatasetError::Changed {
            path,
            found: short(&digest),
            expected: short(&entry.sha256),
        });
    }
    Ok(Episode {
        success: entry.success,
        ..episode
    })
}
