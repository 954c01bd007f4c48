//! `meta.json`: the description of a dataset.

use std::path::Path;

use costate_base::disk;
use costate_base::provenance::{self, Provenance};
use costate_envs::physics::RAPIER_VERSION;
use costate_envs::{EnvConfig, EnvSpec};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::{DatasetError, one_line};
use super::{META_FILE, episode_file};

/// The format's name in `meta.json`.
pub const FORMAT: &str = "costate-demonstrations";

/// The newest format version this build reads. Version 2 adds `planned_episodes` of an unfinished recording and
/// appended recordings under another seed, expert or build; version 3 the recording build; version 4 imports; version 5
/// tags, and datasets made of others; version 6 imports without actions. A dataset has the lowest version that supports
/// its contents.
pub const FORMAT_VERSION: u32 = 6;

/// Whether recording is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Still being written, or interrupted; the episodes on disk are complete nonetheless.
    Recording,
    /// Finished: `meta.json` lists every episode.
    Complete,
}

/// The demonstrator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpertInfo {
    /// Registered name, or e.g. `human`.
    pub name: String,
    /// The expert's own parameters (gains, weights, planner settings), units in field names.
    pub parameters: Value,
    /// Standard deviation of the Gaussian action noise, one per action channel in its unit.
    pub action_noise_std: Vec<f64>,
    /// Whether log π(a_t | s_t) is recorded with every step.
    pub log_density_known: bool,
}

/// Returns over a set of episodes; the return of an episode is −Σ_t c(s_t, a_t).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReturnStatistics {
    /// Mean return.
    pub mean: f64,
    /// Sample standard deviation; 0 for one episode.
    pub std: f64,
    /// Number of episodes.
    pub episodes: usize,
}

impl ReturnStatistics {
    /// Statistics of `returns`; zeros without any.
    pub fn of(returns: &[f64]) -> Self {
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = returns.iter().map(|r| (r - mean).powi(2)).sum();
        Self {
            mean,
            std: (squares / (n - 1.0).max(1.0)).sqrt(),
            episodes: returns.len(),
        }
    }
}

/// One recorded episode: its line in `meta.json`, and its own `metadata.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpisodeEntry {
    /// Number in the dataset, from 0.
    pub id: usize,
    /// Number of steps T.
    pub total_steps: usize,
    /// Seed of the start state.
    pub seed: u64,
    /// −Σ true cost.
    pub true_return: f64,
    /// Whether the task was solved in the last tenth of the episode; absent if it does not define success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// Words that a person gave it, in order, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Data file, relative to the dataset folder.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// A recording appended to a dataset under another seed, expert, noise or build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Number of its first episode; it extends to the next session's.
    pub first_episode: usize,
    /// Seed of its start states and noise.
    pub seed: u64,
    /// The demonstrator.
    pub expert: ExpertInfo,
    /// Release of Costate that recorded.
    pub costate_version: String,
    /// Physics engine and its release.
    pub rapier_version: String,
    /// Build that recorded it, where the program knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

impl Session {
    /// A recording by this build from `first_episode` on.
    pub(crate) fn new(first_episode: usize, seed: u64, expert: ExpertInfo) -> Self {
        Self {
            first_episode,
            seed,
            expert,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            rapier_version: RAPIER_VERSION.into(),
            provenance: provenance::current(),
        }
    }
}

/// Where an imported dataset comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// `csv`, `parquet`, `imitation`, `lerobot` or `minari`.
    pub format: String,
    /// Every file that was read, in the order of the episodes.
    pub sources: Vec<SourceFile>,
    /// Which column became what.
    pub mapping: Value,
    /// Whether costs are known: as imported rewards, or by the attached world. Unknown ones stand as 0.
    pub rewards: bool,
    /// Whether the costs are those of the attached world, in states fitted to the observations.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub costs_of_world: bool,
    /// Whether no actions were recorded. Zeros stand in their place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observations_only: bool,
}

/// A file that was imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Its path as given.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal.
    pub sha256: String,
}

/// A step by which a dataset was made of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Derivation {
    /// `merge`, `split`, `filter` or `edit`.
    pub command: String,
    /// What was asked for.
    pub arguments: Value,
    /// The datasets that were read, in the order of the episodes.
    pub sources: Vec<SourceDataset>,
}

/// A dataset that others were made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceDataset {
    /// Its path as given.
    pub path: String,
    /// Numbers, in it, of the episodes that were taken, e.g. `0..3,7`.
    pub episodes: String,
    /// SHA-256 of its `meta.json`, which contains the checksums of its files.
    pub sha256: String,
}

/// The description known before the first episode.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The environment with all its parameters.
    pub env: EnvConfig,
    /// Its spaces, units and bounds.
    pub spec: EnvSpec,
    /// The demonstrator.
    pub expert: ExpertInfo,
    /// Seed of the whole recording.
    pub seed: u64,
}

/// The contents of `meta.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Always [`FORMAT`].
    pub format: String,
    /// At most [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Whether recording is complete.
    pub status: Status,
    /// While recording: planned number of episodes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_episodes: Option<usize>,
    /// Release of Costate that recorded.
    pub costate_version: String,
    /// Physics engine and its release, which determine its bits.
    pub rapier_version: String,
    /// Build that began the recording, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The environment with all its parameters.
    pub env: EnvConfig,
    /// Its spaces, units and bounds.
    pub spec: EnvSpec,
    /// The demonstrator.
    pub expert: ExpertInfo,
    /// Seed of the whole recording.
    pub seed: u64,
    /// Number of steps in all episodes together.
    pub total_steps: usize,
    /// True returns of the demonstrations.
    pub demonstration_return: ReturnStatistics,
    /// True returns of a policy that draws actions uniformly within their bounds, if measured:
    /// the zero of normalised scores.
    pub random_return: Option<ReturnStatistics>,
    /// Recordings appended under another seed, expert or build than those above, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub appended: Vec<Session>,
    /// Where it comes from, if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
    /// The steps by which it was made of other datasets, the last one last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<Derivation>,
    /// The episodes, in order.
    pub episodes: Vec<EpisodeEntry>,
}

impl Meta {
    /// The description of a recording without episodes yet.
    pub(crate) fn new(header: Header) -> Result<Self, DatasetError> {
        let mut meta = Self {
            format: FORMAT.into(),
            format_version: 1,
            status: Status::Recording,
            planned_episodes: None,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            rapier_version: RAPIER_VERSION.into(),
            provenance: provenance::current(),
            env: header.env,
            spec: header.spec,
            expert: header.expert,
            seed: header.seed,
            total_steps: 0,
            demonstration_return: ReturnStatistics::of(&[]),
            random_return: None,
            appended: Vec::new(),
            import: None,
            derived: Vec::new(),
            episodes: Vec::new(),
        };
        meta.validate().map_err(DatasetError::BadHeader)?;
        // JSON has no NaN or infinity: values that cannot be read back must not be written.
        if serde_json::from_slice(&meta.to_json()).ok() != Some(meta.clone()) {
            let reason = "the spec, noise or parameters contain a non-finite number";
            return Err(DatasetError::BadHeader(reason.into()));
        }
        meta.set_episodes(Vec::new());
        Ok(meta)
    }

    /// The description of an import without episodes yet.
    pub(crate) fn imported(header: Header, import: Import) -> Result<Self, DatasetError> {
        Ok(Self {
            import: Some(import),
            ..Self::new(header)?
        })
    }

    /// Whether the episodes' true costs, and so their returns, are known: of all but imports without rewards.
    pub fn returns_known(&self) -> bool {
        self.import.as_ref().is_none_or(|i| i.rewards)
    }

    /// Whether the actions are known: of all but imports of observations alone, in which zeros stand for them.
    pub fn actions_known(&self) -> bool {
        self.import.as_ref().is_none_or(|i| !i.observations_only)
    }

    /// Reads the description of the dataset in `folder`; for an unfinished one with the episodes on disk.
    pub fn open(folder: &Path) -> Result<Self, DatasetError> {
        super::read_meta(folder)
    }

    /// Replaces the episodes and the statistics derived from them.
    pub(crate) fn set_episodes(&mut self, episodes: Vec<EpisodeEntry>) {
        let returns: Vec<f64> = episodes.iter().map(|e| e.true_return).collect();
        self.demonstration_return = ReturnStatistics::of(&returns);
        // A damaged episode of an interrupted recording may claim any number.
        self.total_steps = episodes
            .iter()
            .fold(0, |steps, e| e.total_steps.saturating_add(steps));
        self.episodes = episodes;
    }

    /// Marks it as complete, or as being recorded with this many planned episodes.
    pub(crate) fn set_status(&mut self, status: Status, planned_episodes: Option<usize>) {
        self.status = status;
        self.planned_episodes = planned_episodes;
        let plain = self.appended.is_empty() && planned_episodes.is_none();
        let built = self.sessions().iter().any(|s| s.provenance.is_some());
        let tagged = self.episodes.iter().any(|e| !e.tags.is_empty());
        self.format_version = match (&self.import, built, plain) {
            _ if !self.actions_known() => 6,
            _ if tagged || !self.derived.is_empty() => 5,
            (Some(_), ..) => 4,
            (None, true, _) => 3,
            (None, false, false) => 2,
            (None, false, true) => 1,
        };
    }

    /// The recordings that this dataset is made of, in order: the first, and the appended ones.
    pub fn sessions(&self) -> Vec<Session> {
        let first = Session {
            first_episode: 0,
            seed: self.seed,
            expert: self.expert.clone(),
            costate_version: self.costate_version.clone(),
            rapier_version: self.rapier_version.clone(),
            provenance: self.provenance.clone(),
        };
        std::iter::once(first)
            .chain(self.appended.iter().cloned())
            .collect()
    }

    /// The session of an episode, by its number.
    pub fn session_of(&self, episode: usize) -> Session {
        let mut sessions = self.sessions();
        let after = sessions.partition_point(|s| s.first_episode <= episode);
        sessions.swap_remove(after.saturating_sub(1))
    }

    /// Continues recording from the next episode with `seed` and `expert`: within the last session if nothing
    /// differs, as a new one otherwise.
    pub(crate) fn go_on(&mut self, seed: u64, expert: ExpertInfo) {
        let next = self.episodes.len();
        // An empty session is dropped.
        self.appended.retain(|s| s.first_episode < next);
        let session = Session::new(next, seed, expert);
        let last = self.sessions().pop();
        let same = last.is_some_and(|last| {
            session
                == Session {
                    first_episode: next,
                    ..last
                }
        });
        if !same {
            self.appended.push(session);
        }
    }

    /// How many of the first `count` episodes were recorded under `seed`: the next one's number in its streams.
    pub fn recorded_under(&self, seed: u64, count: usize) -> usize {
        let sessions = self.sessions();
        let ends = sessions[1..].iter().map(|s| s.first_episode).chain([count]);
        sessions
            .iter()
            .zip(ends)
            .filter(|(session, _)| session.seed == seed)
            .map(|(session, end)| end.min(count).saturating_sub(session.first_episode))
            .sum()
    }

    /// Share of episodes that solved the task; `None` if unknown.
    pub fn success_rate(&self) -> Option<f64> {
        let known: Vec<bool> = self.episodes.iter().filter_map(|e| e.success).collect();
        let solved = known.iter().filter(|s| **s).count();
        (!known.is_empty()).then(|| solved as f64 / known.len() as f64)
    }

    /// Pretty-printed JSON with a final newline.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("string keys only");
        bytes.push(b'\n');
        bytes
    }

    /// Reads and checks the `meta.json` of a dataset folder.
    pub(crate) fn read(folder: &Path) -> Result<Self, DatasetError> {
        Self::parse(&disk::read(&folder.join(META_FILE))?, folder)
    }

    /// The same of the file's bytes; `folder` is for errors.
    pub fn parse(bytes: &[u8], folder: &Path) -> Result<Self, DatasetError> {
        let path = folder.join(META_FILE);
        let bad = |reason: String| DatasetError::Meta {
            path: path.clone(),
            reason,
        };
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| bad(format!("not JSON: {}", one_line(e))))?;
        let foreign = |reason: String| DatasetError::Foreign {
            path: folder.to_owned(),
            reason,
        };
        match value.get("format").and_then(Value::as_str) {
            Some(FORMAT) => {}
            Some(other) => {
                let reason = format!("meta.json has format `{other}`, expected `{FORMAT}`");
                return Err(foreign(reason));
            }
            None => {
                let reason = format!("meta.json has no field `format`, expected `{FORMAT}`");
                return Err(foreign(reason));
            }
        }
        // Check the version before the fields: a newer format may have others.
        match value.get("format_version").and_then(Value::as_u64) {
            Some(found) if found > u64::from(FORMAT_VERSION) => {
                return Err(DatasetError::Newer {
                    path,
                    found,
                    supported: FORMAT_VERSION,
                });
            }
            Some(1..) => {}
            _ => {
                return Err(bad(
                    "`format_version` is missing or not a positive integer".into()
                ));
            }
        }
        // From the bytes, so that the message has line and column.
        let meta: Self = serde_json::from_slice(bytes).map_err(|e| bad(one_line(e)))?;
        meta.validate().map_err(bad)?;
        Ok(meta)
    }

    /// Checks that the fields are consistent.
    fn validate(&self) -> Result<(), String> {
        let (spec, expert) = (&self.spec, &self.expert);
        if self.env.name != spec.name {
            return Err(format!(
                "`env.name` is `{}` but `spec.name` is `{}`, expected the same",
                self.env.name, spec.name
            ));
        }
        check_spec(spec)?;
        let std = &expert.action_noise_std;
        if std.len() != spec.action.dim() {
            return Err(format!(
                "`expert.action_noise_std` has {} entries, expected {}, one per action",
                std.len(),
                spec.action.dim()
            ));
        }
        if std.iter().any(|s| !(s.is_finite() && *s >= 0.0)) {
            return Err(
                "`expert.action_noise_std` contains a negative or non-finite number".into(),
            );
        }
        let mut from = 0;
        for (i, session) in self.appended.iter().enumerate() {
            if session.first_episode < from {
                return Err(format!(
                    "`appended[{i}].first_episode` is {}, expected at least {from}, the session before it",
                    session.first_episode
                ));
            }
            from = session.first_episode;
            if session.expert.action_noise_std.len() != spec.action.dim() {
                return Err(format!(
                    "`appended[{i}].expert.action_noise_std` has {} entries, expected {}, one per action",
                    session.expert.action_noise_std.len(),
                    spec.action.dim()
                ));
            }
            if session.expert.log_density_known != expert.log_density_known {
                return Err(format!(
                    "`appended[{i}].expert.log_density_known` is {}, expected {} as for the first episodes",
                    session.expert.log_density_known, expert.log_density_known
                ));
            }
        }
        for (i, entry) in self.episodes.iter().enumerate() {
            entry
                .validate(i, spec)
                .map_err(|reason| format!("`episodes[{i}]`: {reason}"))?;
        }
        let mut counts = self.episodes.iter().map(|e| e.total_steps);
        let steps = counts.try_fold(0_usize, usize::checked_add);
        if steps != Some(self.total_steps) {
            let steps = steps.map_or("more than can be counted".into(), |n| n.to_string());
            return Err(format!(
                "`total_steps` is {}, but the episodes have {steps}",
                self.total_steps
            ));
        }
        let returns: Vec<f64> = self.episodes.iter().map(|e| e.true_return).collect();
        if self.demonstration_return != ReturnStatistics::of(&returns) {
            return Err("`demonstration_return` does not match the episodes' returns".into());
        }
        Ok(())
    }
}

/// Refuses a world without channels, with bounds in disorder, or where no time passes.
fn check_spec(spec: &EnvSpec) -> Result<(), String> {
    if spec.observation.dim() == 0 || spec.action.dim() == 0 {
        return Err("`spec` has no observation or no action channels".into());
    }
    if spec.horizon == 0 {
        return Err("`spec.horizon` is 0, expected at least 1".into());
    }
    let period = spec.control_period_s;
    if period <= 0.0 {
        return Err(format!(
            "`spec.control_period_s` is {period}, expected more than 0"
        ));
    }
    for channel in spec.observation.0.iter().chain(&spec.action.0) {
        let (low, high) = (channel.low, channel.high);
        if low >= high {
            return Err(format!(
                "`spec`: bounds of `{}` are {low} … {high}, expected the lower first",
                channel.name
            ));
        }
    }
    Ok(())
}

impl EpisodeEntry {
    /// Reads and checks an episode's own `metadata.json`.
    pub(crate) fn read(path: &Path, id: usize, spec: &EnvSpec) -> Result<Self, DatasetError> {
        let bad = |reason: String| DatasetError::Meta {
            path: path.to_owned(),
            reason,
        };
        let entry: Self =
            serde_json::from_slice(&disk::read(path)?).map_err(|e| bad(one_line(e)))?;
        entry.validate(id, spec).map_err(bad)?;
        Ok(entry)
    }

    fn validate(&self, id: usize, spec: &EnvSpec) -> Result<(), String> {
        if self.id != id {
            return Err(format!("`id` is {}, expected {id}", self.id));
        }
        // Also prevents a crafted file from pointing outside the folder.
        if self.file != episode_file(id) {
            return Err(format!(
                "`file` is `{}`, expected `{}`",
                self.file,
                episode_file(id)
            ));
        }
        if self.total_steps == 0 || self.total_steps > spec.horizon {
            return Err(format!(
                "`total_steps` is {}, expected 1 to {} (the horizon)",
                self.total_steps, spec.horizon
            ));
        }
        Ok(())
    }
}
