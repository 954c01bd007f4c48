//! Datasets made of others: merged, split, filtered, edited; and mended.
//!
//! Episodes keep their seeds, experts, successes and tags; `meta.json` lists the sources with their checksums and what
//! was asked for. The same request gives the same bytes. A folder appears when the dataset in it is complete.

mod edit;
mod merge;
mod numbers;
mod repair;
mod select;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_envs::{EnvConfig, EnvSpec, Episode, ModelError, Trajectory};
use serde::Serialize;
use serde_json::Value;

use crate::dataset::{
    DatasetError, DatasetReader, DatasetWriter, Derivation, Import, META_FILE, Meta,
    ReturnStatistics, Session, SourceDataset, Status, load_episode,
};
use crate::inspect;
pub use edit::{Edit, edit, edit_and_keep, edit_in_place, put_back, set_aside};
pub use merge::merge;
pub use numbers::Span;
pub use repair::{Damage, Repaired, repair};
pub use select::{Filter, Order, Split, Validation, filter, split};

/// Why a dataset cannot be made of others.
#[derive(Debug, thiserror::Error)]
pub enum DeriveError {
    /// A request that has to be changed.
    #[error("{0}")]
    Misuse(String),
    /// Channels that cannot be those of a world.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A dataset that cannot be read or written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

impl From<disk::DiskError> for DeriveError {
    fn from(error: disk::DiskError) -> Self {
        Self::Dataset(error.into())
    }
}

fn misuse<T>(reason: impl fmt::Display) -> Result<T, DeriveError> {
    Err(DeriveError::Misuse(reason.to_string()))
}

/// A dataset that was made of others.
#[derive(Debug, Clone)]
pub struct Derived {
    /// Its folder.
    pub folder: PathBuf,
    /// Its description.
    pub meta: Meta,
    /// What is remarkable about it, one line each.
    pub remarks: Vec<String>,
}

/// A complete dataset to take episodes of.
struct Source {
    reader: DatasetReader,
    sha256: String,
}

impl Source {
    fn open(path: &Path) -> Result<Self, DeriveError> {
        let reader = DatasetReader::open(path)?;
        reader.finished()?;
        let sha256 = disk::sha256(&disk::read(&path.join(META_FILE))?);
        Ok(Self { reader, sha256 })
    }

    fn meta(&self) -> &Meta {
        self.reader.meta()
    }

    fn path(&self) -> String {
        self.reader.path().display().to_string()
    }

    /// All its episodes as they are; number `index` among the sources.
    fn all(&self, index: usize) -> impl Iterator<Item = Pick> {
        let episodes = self.meta().episodes.iter();
        episodes.map(move |e| Pick {
            source: index,
            episode: e.id,
            cut: [0, 0],
            tags: e.tags.clone(),
        })
    }
}

/// An episode of a source, and what becomes of it.
struct Pick {
    source: usize,
    episode: usize,
    /// Steps to leave out at its start and end.
    cut: [usize; 2],
    tags: Vec<String>,
}

/// A dataset to be made.
struct Plan<'a> {
    sources: &'a [Source],
    picks: Vec<Pick>,
    env: EnvConfig,
    spec: EnvSpec,
    command: &'static str,
    arguments: Value,
}

impl<'a> Plan<'a> {
    /// Of some episodes of one source, in its own world.
    fn of(
        source: &'a Source,
        picks: Vec<Pick>,
        command: &'static str,
        asked: &impl Serialize,
    ) -> Self {
        Self {
            sources: std::slice::from_ref(source),
            picks,
            env: source.meta().env.clone(),
            spec: source.meta().spec.clone(),
            command,
            arguments: serde_json::to_value(asked).unwrap_or_default(),
        }
    }

    /// Makes the dataset in `folder`, which appears when it is complete, with a remark on episodes that occur twice.
    fn make(&self, folder: &Path) -> Result<(Meta, Option<String>), DeriveError> {
        let made = disk::new_folder(folder, |beside| {
            let made = self.write(beside)?;
            inspect::describe_as(beside, folder)?;
            Ok::<_, DeriveError>(made)
        })?;
        Ok(made.ok_or_else(|| DatasetError::OutputExists(folder.to_owned()))?)
    }

    fn write(&self, folder: &Path) -> Result<(Meta, Option<String>), DeriveError> {
        let densities = self.densities_known();
        let meta = self.meta(densities);
        let mut writer = DatasetWriter::create_derived(folder, meta, self.picks.len())?;
        let (mut seen, mut twice) = (BTreeMap::new(), Vec::new());
        for (id, pick) in self.picks.iter().enumerate() {
            let reader = &self.sources[pick.source].reader;
            let meta = reader.meta();
            let episode = load_episode(reader.path(), &meta.episodes[pick.episode], meta)?;
            let episode = cut(episode, pick.cut, densities).map_err(|reason| {
                DeriveError::Misuse(format!(
                    "`{}`, episode {}: {reason}",
                    reader.path().display(),
                    pick.episode
                ))
            })?;
            if let Some(before) = seen.insert(content(&episode), id) {
                twice.push([before, id]);
            }
            writer.append_tagged(&episode, pick.tags.clone())?;
        }
        let remark = twice.first().map(|[before, id]| {
            format!(
                "{} episodes occur twice, the first of them as episodes {before} and {id}",
                twice.len()
            )
        });
        Ok((writer.finish()?, remark))
    }

    /// Whether all sources have log-densities.
    fn densities_known(&self) -> bool {
        self.sources
            .iter()
            .all(|s| s.meta().expert.log_density_known)
    }

    /// The description, without episodes.
    fn meta(&self, densities: bool) -> Meta {
        let mut sessions: Vec<Session> = Vec::new();
        for (id, pick) in self.picks.iter().enumerate() {
            let mut session = self.sources[pick.source].meta().session_of(pick.episode);
            session.expert.log_density_known = densities;
            session.first_episode = sessions.last().map_or(id, |last| last.first_episode);
            if sessions.last() != Some(&session) {
                session.first_episode = id;
                sessions.push(session);
            }
        }
        let first = sessions.remove(0);
        let metas = || self.sources.iter().map(Source::meta);
        let steps = metas().flat_map(|m| m.derived.iter().cloned());
        let mut derived: Vec<Derivation> = Vec::new();
        for step in steps {
            if !derived.contains(&step) {
                derived.push(step);
            }
        }
        derived.push(self.derivation());
        Meta {
            format: crate::dataset::FORMAT.into(),
            format_version: 1,
            status: Status::Recording,
            planned_episodes: None,
            costate_version: first.costate_version,
            rapier_version: first.rapier_version,
            provenance: first.provenance,
            env: self.env.clone(),
            spec: self.spec.clone(),
            expert: first.expert,
            seed: first.seed,
            total_steps: 0,
            demonstration_return: ReturnStatistics::of(&[]),
            random_return: metas().find_map(|m| m.random_return),
            appended: sessions,
            import: joined(metas().filter_map(|m| m.import.as_ref())),
            derived,
            episodes: Vec::new(),
        }
    }

    /// This step.
    fn derivation(&self) -> Derivation {
        let taken = |index: usize| -> Vec<usize> {
            let own = self.picks.iter().filter(|p| p.source == index);
            own.map(|p| p.episode).collect()
        };
        let source = |(index, source): (usize, &Source)| SourceDataset {
            path: source.path(),
            episodes: numbers::listed(&taken(index)),
            sha256: source.sha256.clone(),
        };
        Derivation {
            command: self.command.into(),
            arguments: self.arguments.clone(),
            sources: self.sources.iter().enumerate().map(source).collect(),
        }
    }
}

/// A digest of what a learner sees of an episode.
fn content(episode: &Episode) -> u64 {
    let mut hasher = DefaultHasher::new();
    let trajectory = &episode.trajectory;
    for values in [trajectory.observations(), trajectory.actions()] {
        values.iter().for_each(|v| v.to_bits().hash(&mut hasher));
    }
    hasher.finish()
}

/// What several imports read; `None` if there are none.
fn joined<'a>(imports: impl Iterator<Item = &'a Import>) -> Option<Import> {
    let mut all: Option<Import> = None;
    let mut mappings: Vec<Value> = Vec::new();
    for import in imports {
        if !mappings.contains(&import.mapping) {
            mappings.push(import.mapping.clone());
        }
        match &mut all {
            None => all = Some(import.clone()),
            Some(all) => {
                if !all.format.split(", ").any(|f| f == import.format) {
                    all.format += &format!(", {}", import.format);
                }
                all.rewards &= import.rewards;
                all.costs_of_world |= import.costs_of_world;
                for file in &import.sources {
                    if !all.sources.contains(file) {
                        all.sources.push(file.clone());
                    }
                }
            }
        }
    }
    let mapping = match mappings.len() {
        0 | 1 => mappings.pop().unwrap_or_default(),
        _ => Value::Array(mappings),
    };
    all.map(|all| Import { mapping, ..all })
}

/// An episode without its first and last steps. What was cut off at its end did not end it, and whether the task was
/// solved is no longer known.
fn cut(episode: Episode, [first, last]: [usize; 2], densities: bool) -> Result<Episode, String> {
    let t = &episode.trajectory;
    if first + last == 0 && t.log_densities().is_some() == densities {
        return Ok(episode);
    }
    let (steps, end) = (t.len(), t.len().saturating_sub(last));
    if first >= end {
        return Err(format!(
            "it has {steps} steps, too few to cut off {first} at its start and {last} at its end"
        ));
    }
    let rows = |all: &[f32], width: usize, to: usize| all[first * width..to * width].to_vec();
    let trajectory = Trajectory::new(
        t.observation_dim(),
        t.action_dim(),
        rows(t.observations(), t.observation_dim(), end + 1),
        rows(t.actions(), t.action_dim(), end),
        t.log_densities()
            .filter(|_| densities)
            .map(|d| d[first..end].to_vec()),
        match last {
            0 => t.end(),
            _ => costate_envs::End::Truncated,
        },
    );
    Ok(Episode {
        seed: episode.seed,
        trajectory: trajectory.map_err(|e| e.to_string())?,
        costs: episode.costs[first..end].to_vec(),
        success: episode.success.filter(|_| last == 0),
    })
}
