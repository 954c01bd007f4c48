//! Recording demonstrations of an expert with noise, reproducible from one seed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use costate_base::workers::in_order;
use costate_envs::rng::{Stream, derive_seed, stream};
use costate_envs::rollout::{self, PlayError};
use costate_envs::{Broken, Env, EnvError, EnvFactory, Episode, Space, TrajectoryError};
use rand::RngExt;

use crate::dataset::minari;
use crate::dataset::{
    DatasetError, DatasetWriter, EpisodeEntry, Header, Meta, ReturnStatistics, Status,
};
use crate::experts::{ExpertDesign, Margins, experts_for, tuned_period};

/// Episodes of random actions that define the zero of normalised scores.
pub const RANDOM_EPISODES: usize = 100;

/// Why a recording stopped.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The simulation failed.
    #[error("episode {episode}, step {step}: {source}")]
    Env {
        /// Number of the episode.
        episode: usize,
        /// Step within it.
        step: usize,
        /// The failure.
        source: EnvError,
        /// The episode until then.
        broken: Box<Broken>,
    },
    /// The simulation gave values that do not form a trajectory.
    #[error("episode {episode}: {source}")]
    Trajectory {
        /// Number of the episode.
        episode: usize,
        /// What is wrong.
        source: TrajectoryError,
    },
    /// The dataset could not be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Nothing to record.
    #[error("0 episodes requested, expected at least 1")]
    NoEpisodes,
}

/// What to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Number of episodes, at least 1.
    pub episodes: usize,
    /// Seed of everything: start states, noise, planners.
    pub seed: u64,
    /// Threads; any number gives the same bits.
    pub workers: usize,
}

/// Plays episodes with an expert and hands them to `sink` in order, on this thread.
///
/// Episode i starts from `derive_seed(seed, "demonstration", i)`, its noise is the stream
/// ("action-noise", i): the same seed gives the same bits, whatever the number of workers, and the
/// first n episodes of a longer recording. Setting `cancel` ends the recording after the episodes
/// under way. Returns the number of episodes handed over.
pub fn record(
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    mut sink: impl FnMut(Episode) -> Result<(), DatasetError>,
) -> Result<usize, RecordError> {
    let start = |episode| start_seed(plan.seed, episode);
    play_expert(factory, expert, plan, 0, start, cancel, |episode| {
        sink(episode).map_err(RecordError::from)
    })
}

/// Returns of an expert with its noise in episodes of given seeds: compared with a policy in the same
/// episodes, luck with the starts cancels out. `plan` says how many, the noise's seed and the threads.
pub fn expert_return(
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    start: impl Fn(usize) -> u64 + Sync,
) -> Result<ReturnStatistics, RecordError> {
    let episodes = play_episodes(factory, expert, plan, start)?;
    let returns: Vec<f64> = episodes.iter().map(Episode::true_return).collect();
    Ok(ReturnStatistics::of(&returns))
}

/// The episodes of an expert with its noise from given seeds, in memory.
pub fn play_episodes(
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    start: impl Fn(usize) -> u64 + Sync,
) -> Result<Vec<Episode>, RecordError> {
    let mut episodes = Vec::with_capacity(plan.episodes);
    let cancel = AtomicBool::new(false);
    play_expert(factory, expert, plan, 0, start, &cancel, |episode| {
        episodes.push(episode);
        Ok(())
    })?;
    Ok(episodes)
}

/// Plays `plan.episodes` episodes, whose numbers in the seed's streams go from `first` on.
fn play_expert(
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    first: usize,
    start: impl Fn(usize) -> u64 + Sync,
    cancel: &AtomicBool,
    mut sink: impl FnMut(Episode) -> Result<(), RecordError>,
) -> Result<usize, RecordError> {
    if plan.episodes == 0 {
        return Err(RecordError::NoEpisodes);
    }
    let margins = Margins::new(factory, expert.noise());
    in_order(
        plan.episodes,
        plan.workers,
        cancel,
        || (factory.build(), expert.build()),
        |(env, controller), job| {
            let episode = first + job;
            let seed = start(episode);
            controller.begin(seed);
            let mut noise = stream(plan.seed, "action-noise", episode as u64);
            let mut mean = vec![0.0; env.spec().action.dim()];
            play(env.as_mut(), episode, seed, |env, action| {
                controller.mean(env, &mut mean)?;
                margins.clamp(&mut mean);
                Ok(expert.noise().command(&mean, &mut noise, action))
            })
        },
        |_, episode| sink(episode),
    )
}

/// Records into a new dataset folder, with the return of random actions.
///
/// `progress` is called for each episode once it is on disk. After a cancellation the dataset is
/// complete with the episodes recorded by then.
pub fn record_dataset(
    folder: &Path,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    progress: impl FnMut(&EpisodeEntry),
) -> Result<Meta, RecordError> {
    if plan.episodes == 0 {
        return Err(RecordError::NoEpisodes);
    }
    let header = Header {
        env: factory.config().clone(),
        spec: factory.spec().clone(),
        expert: expert.info(),
        seed: plan.seed,
    };
    let writer = DatasetWriter::create_planned(folder, header, Some(plan.episodes))?;
    fill(writer, factory, expert, plan, cancel, progress)
}

/// Records `plan.episodes` more episodes into the finished dataset in `folder`.
///
/// Under the seed, expert and noise of the dataset, the result is that of one longer recording, bit for bit. Another
/// seed or expert is recorded in `meta.json`. Episodes continue the random streams of their seed.
pub fn append_dataset(
    folder: &Path,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    progress: impl FnMut(&EpisodeEntry),
) -> Result<Meta, RecordError> {
    if plan.episodes == 0 {
        return Err(RecordError::NoEpisodes);
    }
    let writer = DatasetWriter::reopen(folder)?;
    if writer.meta().status == Status::Recording {
        let (recorded, planned) = (writer.entries().len(), writer.meta().planned_episodes);
        return Err(DatasetError::Unfinished {
            path: folder.to_owned(),
            recorded,
            planned,
        }
        .into());
    }
    let plan = Plan {
        episodes: writer.entries().len() + plan.episodes,
        ..plan
    };
    go_on(folder, writer, factory, expert, plan, cancel, progress)
}

/// Finishes the interrupted recording in `folder`, so that it holds `plan.episodes` in all: with the expert and seed it
/// was begun with, those of the uninterrupted one, bit for bit. One that is complete stays as it is.
pub fn resume_dataset(
    folder: &Path,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    progress: impl FnMut(&EpisodeEntry),
) -> Result<Meta, RecordError> {
    let writer = DatasetWriter::reopen(folder)?;
    let there = writer.entries().len();
    if plan.episodes < there {
        let reason = format!(
            "it already holds {there} episodes, but {} were requested; leave out `-n`",
            plan.episodes
        );
        return Err(mismatch(folder, reason));
    }
    if writer.meta().status == Status::Complete {
        if plan.episodes > there {
            let reason = format!(
                "it is complete with {there} episodes; `--append -n {}` records more",
                plan.episodes - there
            );
            return Err(mismatch(folder, reason));
        }
        return Ok(Meta::open(folder)?);
    }
    go_on(folder, writer, factory, expert, plan, cancel, progress)
}

fn mismatch(folder: &Path, reason: String) -> RecordError {
    RecordError::Dataset(DatasetError::Mismatch {
        path: folder.to_owned(),
        reason,
    })
}

/// Refuses to continue the dataset in `folder` in an environment or with parameters other than those it was
/// recorded in.
pub fn check_world(folder: &Path, meta: &Meta, factory: &EnvFactory) -> Result<(), RecordError> {
    let (own, spec) = (&meta.spec, factory.spec());
    let stored = meta.env.factory().ok();
    let stored = stored.as_ref().map(EnvFactory::config);
    let same_spec = own.name == spec.name
        && own.observation == spec.observation
        && own.action == spec.action
        && own.horizon == spec.horizon
        && own.control_period_s == spec.control_period_s;
    if same_spec && stored == Some(factory.config()) {
        return Ok(());
    }
    let asked = factory.config().parameters();
    let first = stored.and_then(|stored| {
        let parameters = stored.parameters();
        let mut pairs = parameters.into_iter().zip(asked);
        pairs.find(|(a, b)| a != b)
    });
    let differs = first.map_or(String::new(), |((key, was), (_, is))| {
        format!(" (env.{key} was {was}, now {is})")
    });
    Err(mismatch(
        folder,
        format!(
            "it was recorded on another `{}`{differs}, but its episodes must come from one environment; leave out --model, \
             --variant and --set to use the stored one, or record another dataset",
            own.name
        ),
    ))
}

/// Continues a dataset until it holds `plan.episodes`.
fn go_on(
    folder: &Path,
    mut writer: DatasetWriter,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    progress: impl FnMut(&EpisodeEntry),
) -> Result<Meta, RecordError> {
    check_world(folder, writer.meta(), factory)?;
    let there: BTreeMap<u64, usize> = writer.entries().iter().map(|e| (e.seed, e.id)).collect();
    let count = writer.entries().len();
    let first = writer.meta().recorded_under(plan.seed, count);
    for i in 0..plan.episodes.saturating_sub(count) {
        if let Some(before) = there.get(&start_seed(plan.seed, first + i)) {
            let reason = format!(
                "episode {} would repeat the start of episode {before}; choose another --seed",
                count + i
            );
            return Err(mismatch(folder, reason));
        }
    }
    writer.go_on(plan.seed, expert.info(), plan.episodes)?;
    fill(writer, factory, expert, plan, cancel, progress)
}

/// Seed of the start state of a recording's episode.
fn start_seed(seed: u64, episode: usize) -> u64 {
    derive_seed(seed, "demonstration", episode as u64)
}

/// Records until the dataset holds `plan.episodes`, or until it is stopped, and completes it with what there is.
fn fill(
    mut writer: DatasetWriter,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    mut progress: impl FnMut(&EpisodeEntry),
) -> Result<Meta, RecordError> {
    let count = writer.entries().len();
    if writer.meta().random_return.is_none() {
        let seed = writer.meta().seed;
        writer.set_random_return(random_return(
            factory,
            Plan {
                episodes: RANDOM_EPISODES,
                seed,
                ..plan
            },
        )?)?;
    }
    if count < plan.episodes {
        let rest = Plan {
            episodes: plan.episodes - count,
            ..plan
        };
        let first = writer.meta().recorded_under(plan.seed, count);
        let start = |episode| start_seed(plan.seed, episode);
        play_expert(factory, expert, rest, first, start, cancel, |episode| {
            writer.append(&episode).map(&mut progress)?;
            Ok(())
        })?;
    }
    match writer.entries().is_empty() {
        // Stopped before the first one: nobody could read it as a dataset, but it can go on.
        true => Ok(writer.meta().clone()),
        false => Ok(writer.finish()?),
    }
}

/// Share of solved episodes below which demonstrations are hardly worth imitating.
const LEAST_SOLVED: f64 = 0.5;
/// The same for a control rate that the expert was not tuned at.
const LEAST_SOLVED_ELSEWHERE: f64 = 0.9;

/// Remarks on a doubtful recording, and what to do: one line each.
pub fn doubts(meta: &Meta) -> Vec<String> {
    let mut doubts = Vec::new();
    let spec = &meta.spec;
    let period = spec.control_period_s;
    let tuned = tuned_period(&spec.name).filter(|tuned| *tuned != period);
    let expert = &meta.expert.name;
    if let Some(solved) = meta.success_rate() {
        let of = meta.episodes.iter().filter(|e| e.success.is_some()).count();
        let count = meta
            .episodes
            .iter()
            .filter(|e| e.success == Some(true))
            .count();
        let rate = tuned
            .filter(|_| solved < LEAST_SOLVED_ELSEWHERE)
            .map(|tuned| {
                format!(
                    "; the control period is {period} s, but expert `{expert}` was tuned for {tuned} s (`--set env.dt_s=…`)"
                )
            });
        if solved < LEAST_SOLVED || rate.is_some() {
            let others: Vec<&str> = experts_for(&spec.name)
                .iter()
                .copied()
                .filter(|name| name != expert)
                .collect();
            let others = match others[..] {
                [] => String::new(),
                _ => format!(
                    "another expert (`--expert {}`), ",
                    others.join("`, `--expert ")
                ),
            };
            doubts.push(format!(
                "only {count} of {of} episodes are solved, so what they show is hardly the task{}; try longer episodes \
                 (`--set env.task.horizon=N`, now {} steps, {} s), {others}or less noise (`--noise`)",
                rate.unwrap_or_default(),
                spec.horizon,
                (spec.horizon as f64 * period * 1e6).round() / 1e6,
            ));
        }
    }
    let random = meta.random_return.map(|r| r.mean);
    if let Some(random) = random.filter(|random| meta.demonstration_return.mean <= *random) {
        doubts.push(format!(
            "the demonstrations' mean return, {:.4}, is no better than that of random actions, {random:.4}: either they do \
             not show the task, or their true_cost is in other units or has the opposite sign",
            meta.demonstration_return.mean
        ));
    }
    if let Some(entry) = minari::too_long(&meta.episodes) {
        doubts.push(format!(
            "episode {} has {} steps; Minari 0.5 would cut episodes of more than {} in two, in silence, so \
             data/metadata.json is left out and Minari will not open this dataset (every other reader does)",
            entry.id,
            entry.total_steps,
            minari::MOST_ROWS - 1
        ));
    }
    doubts
}

/// Returns of the policy that draws every action uniformly within its bounds.
pub fn random_return(factory: &EnvFactory, plan: Plan) -> Result<ReturnStatistics, RecordError> {
    let mut returns = Vec::with_capacity(plan.episodes);
    in_order(
        plan.episodes,
        plan.workers,
        &AtomicBool::new(false),
        || factory.build(),
        |env, episode| {
            let seed = derive_seed(plan.seed, "random-policy", episode as u64);
            let mut actions = stream(plan.seed, "random-actions", episode as u64);
            play(env.as_mut(), episode, seed, |env, action| {
                uniform(&env.spec().action, &mut actions, action);
                Ok(None)
            })
        },
        |_, episode| {
            returns.push(episode.true_return());
            Ok(())
        },
    )?;
    Ok(ReturnStatistics::of(&returns))
}

/// Draws a command uniformly within the bounds of `space`.
pub fn uniform(space: &Space, rng: &mut Stream, out: &mut [f32]) {
    for (value, channel) in out.iter_mut().zip(&space.0) {
        *value = rng.random_range(channel.low..=channel.high);
    }
}

/// Plays one episode under `act`, which writes the command and returns its log-density.
///
/// `episode` is the number that errors name.
pub fn play(
    env: &mut dyn Env,
    episode: usize,
    seed: u64,
    mut act: impl FnMut(&dyn Env, &mut [f32]) -> Result<Option<f64>, EnvError>,
) -> Result<Episode, RecordError> {
    rollout::play(env, seed, |env, _, _, action| act(env, action)).map_err(|error| match error {
        PlayError::Step {
            step,
            source,
            broken,
        } => RecordError::Env {
            episode,
            step,
            source,
            broken,
        },
        PlayError::Trajectory(source) => RecordError::Trajectory { episode, source },
    })
}
