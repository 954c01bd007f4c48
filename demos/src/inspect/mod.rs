//! Summary and validation of a dataset: the contents of `costate demos info` and
//! `costate demos check`.

mod lengths;
mod remarks;
mod stats;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use costate_base::disk::{self, DiskError};
use costate_base::provenance::Provenance;
use costate_envs::{End, Env, EnvError, EnvFactory, EnvSpec, Episode, Space};
use serde::Serialize;

use crate::dataset::{
    DATA_FOLDER, DatasetError, DatasetReader, Derivation, ExpertInfo, Import, Meta,
    ReturnStatistics, Status, load_episode, read_meta,
};
use crate::dataset::{Session, minari};
use crate::record::doubts;
pub use lengths::Lengths;
use remarks::Plausibility;
pub use stats::{ChannelStats, Distribution, Stats, stats};

/// A summary of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The folder.
    pub path: PathBuf,
    /// Whether recording is complete.
    pub status: Status,
    /// Planned episodes of an unfinished recording, if known.
    pub planned_episodes: Option<usize>,
    /// Environment.
    pub env: String,
    /// Its task in one line.
    pub summary: String,
    /// The demonstrator.
    pub expert: ExpertInfo,
    /// Seed of the recording.
    pub seed: u64,
    /// Recordings appended under another seed, expert or build.
    pub appended: Vec<Session>,
    /// Release of Costate that recorded.
    pub costate_version: String,
    /// Physics engine and its release.
    pub rapier_version: String,
    /// Build that began the recording; unknown for older datasets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// Number of episodes.
    pub episodes: usize,
    /// Episodes that ended in a final state, before or at the horizon.
    pub terminated: usize,
    /// Total steps.
    pub total_steps: usize,
    /// Total simulated seconds.
    pub simulated_s: f64,
    /// Total bytes of the data files.
    pub bytes: u64,
    /// Steps of an episode.
    pub length: Range,
    /// How episodes ended, and whether the environment ended them.
    pub lengths: Lengths,
    /// True returns of the demonstrations.
    pub demonstration_return: ReturnStatistics,
    /// Minimum and maximum true return.
    pub return_range: Range,
    /// True returns of random actions, where measured.
    pub random_return: Option<ReturnStatistics>,
    /// Share of episodes that solved the task, if it defines success.
    pub success_rate: Option<f64>,
    /// Where it comes from, if it was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<Import>,
    /// The steps by which it was made of other datasets, the last one last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<Derivation>,
    /// Observations, by channel.
    pub observations: Vec<ChannelInfo>,
    /// Commanded actions, by channel; none where they are not known.
    pub actions: Vec<ChannelInfo>,
}

/// Minimum, mean and maximum of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// Minimum.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Maximum.
    pub max: f64,
}

/// An accumulator for a [`Range`].
#[derive(Clone)]
struct Tally {
    range: Range,
    count: usize,
}

impl Tally {
    const EMPTY: Self = Self {
        range: Range {
            min: f64::INFINITY,
            mean: 0.0,
            max: f64::NEG_INFINITY,
        },
        count: 0,
    };

    /// `mean` holds the sum until the end.
    fn add(&mut self, value: f64) {
        let Range { min, mean, max } = &mut self.range;
        (*min, *max) = (min.min(value), max.max(value));
        *mean += value;
        self.count += 1;
    }

    fn range(&self) -> Range {
        Range {
            mean: self.range.mean / self.count as f64,
            ..self.range
        }
    }
}

/// An accumulator for the [`ChannelInfo`] of all channels of a space.
struct Channels<'a> {
    space: &'a Space,
    values: Vec<Tally>,
    beyond: Vec<usize>,
}

impl<'a> Channels<'a> {
    fn of(space: &'a Space) -> Self {
        Self {
            space,
            values: vec![Tally::EMPTY; space.dim()],
            beyond: vec![0; space.dim()],
        }
    }

    /// Row-major values.
    fn add(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.space.dim()) {
            for (i, (channel, value)) in self.space.0.iter().zip(row).enumerate() {
                self.values[i].add(f64::from(*value));
                self.beyond[i] += usize::from(!(channel.low..=channel.high).contains(value));
            }
        }
    }

    fn info(&self) -> Vec<ChannelInfo> {
        let info = |(i, channel): (usize, &costate_envs::Channel)| ChannelInfo {
            name: channel.name.clone(),
            unit: channel.unit.clone(),
            range: self.values[i].range(),
            bounds: [channel.low, channel.high],
            beyond_bounds: self.beyond[i] as f64 / self.values[i].count as f64,
        };
        self.space.0.iter().enumerate().map(info).collect()
    }
}

/// The values of one channel over all steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelInfo {
    /// Its name in the spec.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Recorded values.
    pub range: Range,
    /// Bounds stated by the spec.
    pub bounds: [f32; 2],
    /// Share of values beyond the bounds: for actions, commands that the environment clipped.
    pub beyond_bounds: f64,
}

/// Summarises a dataset in one pass over its episodes.
pub fn info(dataset: &DatasetReader) -> Result<Info, DatasetError> {
    let meta = dataset.meta();
    let mut observations = Channels::of(&meta.spec.observation);
    let mut actions = Channels::of(&meta.spec.action);
    let (mut length, mut returns, mut terminated) = (Tally::EMPTY, Tally::EMPTY, 0);
    let (mut lengths, mut env) = (Lengths::new(&meta.spec), simulator(meta));
    for episode in dataset.episodes() {
        let episode = episode?;
        let trajectory = &episode.trajectory;
        observations.add(trajectory.observations());
        actions.add(trajectory.actions());
        length.add(trajectory.len() as f64);
        lengths.add(&episode, env.as_deref_mut().map(|env| env as &mut dyn Env));
        returns.add(episode.true_return());
        terminated += usize::from(trajectory.end() == End::Terminated);
    }
    Ok(Info {
        path: dataset.path().to_owned(),
        status: meta.status,
        planned_episodes: meta.planned_episodes,
        env: meta.env.name.clone(),
        summary: meta.spec.summary.clone(),
        expert: meta.expert.clone(),
        seed: meta.seed,
        appended: meta.appended.clone(),
        costate_version: meta.costate_version.clone(),
        rapier_version: meta.rapier_version.clone(),
        provenance: meta.provenance.clone(),
        episodes: meta.episodes.len(),
        terminated,
        total_steps: meta.total_steps,
        simulated_s: meta.total_steps as f64 * meta.spec.control_period_s,
        bytes: meta.episodes.iter().map(|e| e.bytes).sum(),
        length: length.range(),
        lengths,
        demonstration_return: meta.demonstration_return,
        return_range: returns.range(),
        random_return: meta.random_return,
        success_rate: meta.success_rate(),
        import: meta.import.clone(),
        derived: meta.derived.clone(),
        observations: observations.info(),
        actions: match meta.actions_known() {
            true => actions.info(),
            false => Vec::new(),
        },
    })
}

/// A remark that a recording is unfinished and how to finish it; `None` if it is complete.
pub fn unfinished(
    path: &Path,
    status: Status,
    recorded: usize,
    planned: Option<usize>,
) -> Option<String> {
    let of = planned.map(|n| format!(" of {n}")).unwrap_or_default();
    let how_many = planned.map_or(" -n N", |_| "");
    (status == Status::Recording).then(|| {
        format!(
            "unfinished: {recorded}{of} episodes are recorded; `costate record --resume -o {}{how_many}` finishes it, \
             `costate demos repair {}` leaves it at these, unless it is being recorded right now",
            path.display(),
            path.display()
        )
    })
}

/// Result of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The folder.
    pub path: PathBuf,
    /// Whether recording is complete.
    pub status: Status,
    /// Planned episodes of an unfinished recording, if known.
    pub planned_episodes: Option<usize>,
    /// Expected episodes.
    pub episodes: usize,
    /// Valid episodes.
    pub sound: usize,
    /// Lengths of the valid episodes and how they ended.
    pub lengths: Lengths,
    /// One line per fault.
    pub problems: Vec<String>,
    /// One line per probable mistake.
    pub remarks: Vec<String>,
    /// Whether the simulator of this build reproduces the first sound episode; `None` without one, or without actions.
    pub replay: Option<Replay>,
}

impl CheckReport {
    /// Whether nothing is wrong with the files. A differing replay is not a fault of the files.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// An episode replayed from its seed under its recorded actions.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Replay {
    /// Every observation, cost and the end agree bit for bit.
    Exact {
        /// Number of the episode.
        episode: usize,
        /// Steps compared.
        steps: usize,
    },
    /// The first difference.
    Differs {
        /// Number of the episode.
        episode: usize,
        /// Step at which they diverge: 0 is the start state.
        step: usize,
        /// What differs.
        field: String,
        /// Its recorded value.
        recorded: String,
        /// The simulator's value.
        replayed: String,
    },
    /// The dataset came without a simulator.
    NoSimulator,
    /// The environment cannot be built or stepped here.
    Failed {
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact { episode, steps } => {
                write!(f, "exact (episode {episode}, {steps} steps)")
            }
            Self::Differs {
                episode,
                step,
                field,
                recorded,
                replayed,
            } => write!(
                f,
                "differs at step {step} of episode {episode}: {field} was {recorded}, is {replayed}"
            ),
            Self::NoSimulator => write!(f, "none, as the dataset came without a simulator"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}

/// Validates every file of the dataset in `path` and replays its first sound episode.
///
/// An error means that there is no dataset to check; faults within one are listed in the report.
pub fn check(path: &Path) -> Result<CheckReport, DatasetError> {
    let meta = read_meta(path)?;
    let mut problems = Vec::new();
    if meta.episodes.is_empty() {
        problems.push(DatasetError::NoEpisodes(path.to_owned()).to_string());
    }
    let (mut sound, mut first) = (0, None);
    let (mut lengths, mut env) = (Lengths::new(&meta.spec), simulator(&meta));
    let mut plausibility = Plausibility::new(&meta, world(&meta));
    for entry in &meta.episodes {
        match load_episode(path, entry, &meta) {
            Ok(episode) => {
                sound += 1;
                lengths.add(&episode, env.as_deref_mut().map(|env| env as &mut dyn Env));
                plausibility.add(entry.id, &episode);
                first.get_or_insert((entry.id, episode));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems.extend(strays(path, &meta)?);
    let remarks = doubts(&meta)
        .into_iter()
        .chain(lengths.remark().filter(|_| meta.env.has_simulator()))
        .chain(plausibility.remarks())
        .chain(minari_remark(path, &meta));
    Ok(CheckReport {
        path: path.to_owned(),
        status: meta.status,
        planned_episodes: meta.planned_episodes,
        episodes: meta.episodes.len(),
        sound,
        remarks: remarks.collect(),
        lengths,
        problems,
        replay: (first.filter(|_| meta.actions_known()))
            .map(|(id, episode)| replay(&meta, id, &episode)),
    })
}

/// Why Minari would not list a complete dataset, or would misread it.
fn minari_remark(path: &Path, meta: &Meta) -> Option<String> {
    let file = minari::file(path);
    let meant = minari::metadata(meta, &meta.episodes, path)?;
    if meta.status != Status::Complete {
        return None;
    }
    let way = format!(
        "`costate demos check --fix {}` regenerates it",
        path.display()
    );
    let Ok(found) = disk::read(&file) else {
        return Some(format!(
            "`{}` is missing, which describes the dataset to Minari; {way}",
            file.display()
        ));
    };
    if found == meant {
        return None;
    }
    let id = |bytes: &[u8]| {
        let value: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
        value?["dataset_id"].as_str().map(str::to_owned)
    };
    let (was, is) = (id(&found), id(&meant));
    Some(match (was, is) {
        (Some(was), Some(is)) if was != is => format!(
            "the dataset was renamed or copied: it calls itself `{was}` in `{}`, but Minari only lists it there as `{is}`; \
             {way}",
            file.display()
        ),
        _ => format!(
            "`{}`, which describes the dataset to Minari, does not fit its meta.json; {way}",
            file.display()
        ),
    })
}

/// Regenerates the description of the complete dataset in `path` for Minari, for example after renaming; the episodes
/// and `meta.json` are unchanged. Returns whether anything had to be done.
pub fn fix(path: &Path) -> Result<bool, DatasetError> {
    let meta = read_meta(path)?;
    let wrong = minari_remark(path, &meta).is_some()
        || minari::too_long(&meta.episodes).is_some() && minari::file(path).exists();
    if wrong {
        minari::describe(&meta, &meta.episodes, path, path)?;
    }
    Ok(wrong)
}

/// Describes the complete dataset in `path` to Minari as that which will be in `place`: Minari knows a dataset by the name
/// of its folder.
pub fn describe_as(path: &Path, place: &Path) -> Result<(), DatasetError> {
    let meta = read_meta(path)?;
    Ok(minari::describe(&meta, &meta.episodes, path, place)?)
}

/// Episode folders on disk that `meta.json` does not list.
fn strays(path: &Path, meta: &Meta) -> Result<Vec<String>, DatasetError> {
    let data = path.join(DATA_FOLDER);
    let mut strays = Vec::new();
    for entry in fs::read_dir(&data).map_err(DiskError::new("read", &data))? {
        let name = entry.map_err(DiskError::new("read", &data))?.file_name();
        let id = name.to_str().and_then(|n| n.parse::<usize>().ok());
        if let Some(id) = id.filter(|id| *id >= meta.episodes.len()) {
            strays.push(format!(
                "`{}` is not listed in meta.json; remove it, or restore the meta.json that lists it",
                data.join(id.to_string()).display()
            ));
        }
    }
    strays.sort();
    Ok(strays)
}

/// Replays an episode and compares it bit for bit.
pub fn replay(meta: &Meta, id: usize, episode: &Episode) -> Replay {
    if !meta.env.has_simulator() {
        return Replay::NoSimulator;
    }
    let failed = |reason: String| Replay::Failed { reason };
    let factory = match meta.env.factory() {
        Ok(factory) if same_shape(factory.spec(), &meta.spec) => factory,
        Ok(_) => return failed("this build's environment has other channels".into()),
        Err(error) => return failed(error.to_string()),
    };
    match compare(factory.build().as_mut(), &meta.spec, episode) {
        Ok(None) => Replay::Exact {
            episode: id,
            steps: episode.trajectory.len(),
        },
        Ok(Some((step, field, recorded, replayed))) => Replay::Differs {
            episode: id,
            step,
            field,
            recorded,
            replayed,
        },
        Err(error) => failed(error.to_string()),
    }
}

/// The environment of a dataset, if this build has it.
fn world(meta: &Meta) -> Option<EnvFactory> {
    let factory = meta.env.factory().ok()?;
    (factory.has_simulator() && same_shape(factory.spec(), &meta.spec)).then_some(factory)
}

/// A simulation of [`world`].
fn simulator(meta: &Meta) -> Option<Box<dyn Env>> {
    world(meta).map(|factory| factory.build())
}

fn same_shape(a: &EnvSpec, b: &EnvSpec) -> bool {
    a.observation.dim() == b.observation.dim() && a.action.dim() == b.action.dim()
}

/// Step, field, recorded and replayed value of the first difference.
type Difference = (usize, String, String, String);

fn compare(
    env: &mut dyn Env,
    spec: &EnvSpec,
    episode: &Episode,
) -> Result<Option<Difference>, EnvError> {
    let trajectory = &episode.trajectory;
    let mut seen = vec![0.0; spec.observation.dim()];
    let differ = |step, field: &str, recorded: &dyn fmt::Debug, replayed: &dyn fmt::Debug| {
        let text = |value: &dyn fmt::Debug| format!("{value:?}");
        Ok(Some((
            step,
            field.to_owned(),
            text(recorded),
            text(replayed),
        )))
    };
    env.reset(episode.seed);
    for t in 0..=trajectory.len() {
        env.observe(&mut seen);
        let rows = trajectory.observation(t).iter().zip(&seen);
        for (channel, (recorded, replayed)) in spec.observation.0.iter().zip(rows) {
            if recorded.to_bits() != replayed.to_bits() {
                return differ(t, &channel.name, recorded, replayed);
            }
        }
        if t == trajectory.len() {
            break;
        }
        let step = env.step(trajectory.action(t))?;
        if step.cost.to_bits() != episode.costs[t].to_bits() {
            return differ(t, "true cost", &episode.costs[t], &step.cost);
        }
        let last = t + 1 == trajectory.len();
        let end = if last { trajectory.end() } else { End::Running };
        // A recording may stop early, as a human does.
        if step.end != end && !(last && step.end == End::Running) {
            return differ(t + 1, "end", &end, &step.end);
        }
    }
    Ok(None)
}
