//! Recording demonstrations: an expert, its noise, and everything from one seed.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use costate_envs::rng::{Stream, derive_seed, stream};
use costate_envs::{
    End, Env, EnvError, EnvFactory, Episode, Space, Success, Trajectory, TrajectoryError,
};
use rand::RngExt;

use crate::dataset::{DatasetError, DatasetWriter, EpisodeEntry, Header, Meta, ReturnStatistics};
use crate::experts::{ExpertDesign, Margins};
use crate::parallel::in_order;

/// Episodes of random actions behind the zero of normalised scores.
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
    },
    /// The simulation gave values that make no trajectory.
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
    #[error("0 episodes are asked for, expected at least 1")]
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
    let start = |episode: usize| derive_seed(plan.seed, "demonstration", episode as u64);
    play_expert(factory, expert, plan, start, cancel, |episode| {
        sink(episode).map_err(RecordError::from)
    })
}

/// Returns of an expert with its noise in episodes of given seeds: held against a policy in the same
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
    play_expert(factory, expert, plan, start, &cancel, |episode| {
        episodes.push(episode);
        Ok(())
    })?;
    Ok(episodes)
}

fn play_expert(
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
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
        |(env, controller), episode| {
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
/// `progress` is told of each episode once it is on disk. After a cancellation the dataset is
/// complete with the episodes recorded by then.
pub fn record_dataset(
    folder: &Path,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    cancel: &AtomicBool,
    mut progress: impl FnMut(&EpisodeEntry),
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
    let mut writer = DatasetWriter::create(folder, header)?;
    writer.set_random_return(random_return(
        factory,
        Plan {
            episodes: RANDOM_EPISODES,
            ..plan
        },
    )?)?;
    record(factory, expert, plan, cancel, |episode| {
        writer.append(&episode).map(&mut progress)
    })?;
    Ok(writer.finish()?)
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
    let (n, m) = (env.spec().observation.dim(), env.spec().action.dim());
    let (mut observation, mut action) = (vec![0.0; n], vec![0.0; m]);
    let (mut observations, mut actions) = (Vec::new(), Vec::new());
    let (mut costs, mut log_densities) = (Vec::new(), Vec::new());
    env.reset(seed);
    env.observe(&mut observation);
    observations.extend_from_slice(&observation);
    let mut success = Success::default();
    success.see(env.solved());
    let end = loop {
        let failed = |source| RecordError::Env {
            episode,
            step: costs.len(),
            source,
        };
        let log_density = act(env, &mut action).map_err(failed)?;
        let step = env.step(&action).map_err(failed)?;
        env.observe(&mut observation);
        observations.extend_from_slice(&observation);
        actions.extend_from_slice(&action);
        success.see(env.solved());
        costs.push(step.cost);
        log_densities.extend(log_density);
        if step.end != End::Running {
            break step.end;
        }
    };
    let log_densities = (!log_densities.is_empty()).then_some(log_densities);
    let trajectory = Trajectory::new(n, m, observations, actions, log_densities, end)
        .map_err(|source| RecordError::Trajectory { episode, source })?;
    Ok(Episode {
        seed,
        trajectory,
        costs,
        success: success.verdict(),
    })
}
