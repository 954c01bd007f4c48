//! What a dataset holds, and whether it is sound: the contents of `costate demos info` and
//! `costate demos check`.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use costate_envs::{End, EnvError, EnvSpec, Episode, Space};
use serde::Serialize;

use crate::dataset::{
    DATA_FOLDER, Dataset, DatasetError, ExpertInfo, Meta, ReturnStatistics, Status, load_episode,
    read_meta,
};

/// A summary of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Info {
    /// The folder.
    pub path: PathBuf,
    /// Whether recording came to its end.
    pub status: Status,
    /// Environment.
    pub env: String,
    /// Its task in one line.
    pub summary: String,
    /// Who demonstrated.
    pub expert: ExpertInfo,
    /// Seed of the recording.
    pub seed: u64,
    /// Release of Costate that recorded.
    pub costate_version: String,
    /// Physics engine and its release.
    pub rapier_version: String,
    /// Number of episodes.
    pub episodes: usize,
    /// Episodes that ended in a final state, before or at the horizon.
    pub terminated: usize,
    /// Steps in all episodes together.
    pub total_steps: usize,
    /// Simulated seconds in all episodes together.
    pub simulated_s: f64,
    /// Bytes of all data files together.
    pub bytes: u64,
    /// Steps of an episode.
    pub length: Range,
    /// True returns of the demonstrations.
    pub demonstration_return: ReturnStatistics,
    /// Least and greatest true return.
    pub return_range: Range,
    /// True returns of random actions, where measured.
    pub random_return: Option<ReturnStatistics>,
    /// Share of episodes that solved the task, where it says.
    pub success_rate: Option<f64>,
    /// What was seen, channel by channel.
    pub observations: Vec<ChannelInfo>,
    /// What was commanded, channel by channel.
    pub actions: Vec<ChannelInfo>,
}

/// Least, mean and greatest of some values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Range {
    /// Least value.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Greatest value.
    pub max: f64,
}

impl Range {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut sum, mut n) = (0.0, 0_usize);
        for value in values {
            (min, max) = (min.min(value), max.max(value));
            sum += value;
            n += 1;
        }
        let mean = sum / n as f64;
        Self { min, mean, max }
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
    /// Share of values beyond the bounds: for actions, commands that the environment cut off.
    pub beyond_bounds: f64,
}

/// Summarises a dataset.
pub fn info(dataset: &Dataset) -> Info {
    let (meta, episodes) = (dataset.meta(), dataset.episodes());
    let channels = |space: &Space, rows: fn(&Episode) -> &[f32]| -> Vec<ChannelInfo> {
        let dim = space.dim();
        let info = |(i, channel): (usize, &costate_envs::Channel)| {
            let values = || {
                episodes
                    .iter()
                    .flat_map(|e| rows(e).iter().skip(i).step_by(dim))
            };
            let beyond = values().filter(|v| !(channel.low..=channel.high).contains(*v));
            ChannelInfo {
                name: channel.name.clone(),
                unit: channel.unit.clone(),
                range: Range::of(values().map(|v| f64::from(*v))),
                bounds: [channel.low, channel.high],
                beyond_bounds: beyond.count() as f64 / values().count() as f64,
            }
        };
        space.0.iter().enumerate().map(info).collect()
    };
    let terminated = |e: &&Episode| e.trajectory.end() == End::Terminated;
    Info {
        path: dataset.path().to_owned(),
        status: meta.status,
        env: meta.env.name.clone(),
        summary: meta.spec.summary.clone(),
        expert: meta.expert.clone(),
        seed: meta.seed,
        costate_version: meta.costate_version.clone(),
        rapier_version: meta.rapier_version.clone(),
        episodes: episodes.len(),
        terminated: episodes.iter().filter(terminated).count(),
        total_steps: meta.total_steps,
        simulated_s: meta.total_steps as f64 * meta.spec.control_period_s,
        bytes: meta.episodes.iter().map(|e| e.bytes).sum(),
        length: Range::of(episodes.iter().map(|e| e.trajectory.len() as f64)),
        demonstration_return: meta.demonstration_return,
        return_range: Range::of(episodes.iter().map(Episode::true_return)),
        random_return: meta.random_return,
        success_rate: meta.success_rate(),
        observations: channels(&meta.spec.observation, |e| e.trajectory.observations()),
        actions: channels(&meta.spec.action, |e| e.trajectory.actions()),
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckReport {
    /// The folder.
    pub path: PathBuf,
    /// Whether recording came to its end.
    pub status: Status,
    /// Episodes that should be there.
    pub episodes: usize,
    /// Episodes that are there and sound.
    pub sound: usize,
    /// One line for each fault.
    pub problems: Vec<String>,
    /// Whether the simulator of this build reproduces the first sound episode.
    pub replay: Option<Replay>,
}

impl CheckReport {
    /// Whether nothing is wrong with the files. A replay that differs is no fault of theirs.
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }
}

/// An episode simulated again from its seed under its recorded actions.
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
        /// Step at which they part: 0 is the start state.
        step: usize,
        /// What differs.
        field: String,
        /// Its recorded value.
        recorded: String,
        /// The simulator's value.
        replayed: String,
    },
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
    for entry in &meta.episodes {
        match load_episode(path, entry, &meta) {
            Ok(episode) => {
                sound += 1;
                first.get_or_insert((entry.id, episode));
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    problems.extend(strays(path, &meta)?);
    Ok(CheckReport {
        path: path.to_owned(),
        status: meta.status,
        episodes: meta.episodes.len(),
        sound,
        problems,
        replay: first.map(|(id, episode)| replay(&meta, id, &episode)),
    })
}

/// Episode folders on disk that `meta.json` does not know.
fn strays(path: &Path, meta: &Meta) -> Result<Vec<String>, DatasetError> {
    let data = path.join(DATA_FOLDER);
    let mut strays = Vec::new();
    for entry in fs::read_dir(&data).map_err(DatasetError::io("read", &data))? {
        let name = entry.map_err(DatasetError::io("read", &data))?.file_name();
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

/// Simulates an episode again and compares it bit for bit.
pub fn replay(meta: &Meta, id: usize, episode: &Episode) -> Replay {
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

fn same_shape(a: &EnvSpec, b: &EnvSpec) -> bool {
    a.observation.dim() == b.observation.dim() && a.action.dim() == b.action.dim()
}

/// Step, field, recorded and replayed value of the first difference.
type Difference = (usize, String, String, String);

fn compare(
    env: &mut dyn costate_envs::Env,
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
