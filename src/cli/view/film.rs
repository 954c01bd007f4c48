//! Episodes as films: of experts, of datasets, of learned policies.

use std::path::Path;

use costate_demos::experts::Margins;
use costate_demos::inspect::{self, Replay};
use costate_demos::record::uniform;
use costate_envs::rng::{derive_seed, stream};
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{End, Env, EnvError, EnvFactory, Episode};

use super::super::common::Output;
use super::super::ui::Counter;
use super::picture::{Args, Subject};
use crate::app::Demonstrations;
use crate::app::failed::FailedEpisode;
use crate::app::runs::latest_policy;
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::episodes::{replay, start};
use crate::picture::Film;
use crate::policy::{Policy, imported};
use crate::run::RunFolder;

/// An animation and what it shows.
pub struct Shot {
    /// The environment's name.
    pub env: String,
    /// The actor.
    pub acts: String,
    /// The episode.
    pub film: Film,
    /// Episodes of which only the path is shown.
    pub others: Vec<Film>,
}

/// Films the subject.
pub fn take(subject: Subject, args: &Args, output: Output) -> Result<Shot, Error> {
    let seed = args.seed.unwrap_or(0);
    match subject {
        Subject::Env(name) => of_env(name, args, seed, output),
        Subject::Dataset(path) => of_dataset(path, args, output),
        Subject::Run(path) => of_run(path, args, seed),
        Subject::Failed(path) => of_failed(path, args, output),
    }
}

/// The first episode that `costate record` records with this seed, or the first random one behind
/// its scores.
fn of_env(name: &str, args: &Args, seed: u64, output: Output) -> Result<Shot, Error> {
    let factory = args.env_args.config(name)?.factory()?;
    drawn(&factory)?;
    let steps = limit(args, &factory);
    let (acts, film) = if args.random {
        let start = derive_seed(seed, "random-policy", 0);
        let mut actions = stream(seed, "random-actions", 0);
        let film = play(&factory, start, steps, output, |env, action| {
            uniform(&env.spec().action, &mut actions, action);
            Ok(())
        })?;
        ("random actions".to_owned(), film)
    } else {
        let design = imported::expert(&factory, args.expert.as_deref(), None)?;
        let margins = Margins::new(&factory, design.noise());
        let start = derive_seed(seed, "demonstration", 0);
        let mut noise = stream(seed, "action-noise", 0);
        let mut controller = design.build();
        controller.begin(start);
        let mut mean = vec![0.0; factory.spec().action.dim()];
        let film = play(&factory, start, steps, output, |env, action| {
            controller.mean(env, &mut mean)?;
            margins.clamp(&mut mean);
            design.noise().command(&mean, &mut noise, action);
            Ok(())
        })?;
        (format!("expert {}", design.name()), film)
    };
    Ok(Shot {
        env: name.into(),
        acts,
        film,
        others: Vec::new(),
    })
}

fn of_dataset(path: &Path, args: &Args, output: Output) -> Result<Shot, Error> {
    let Demonstrations { dataset, factory } = Demonstrations::open(path)?;
    drawn(&factory)?;
    let number = args.episode.unwrap_or(0);
    let episodes = dataset.episodes();
    let Some(episode) = episodes.get(number) else {
        return Err(Error::Misuse(format!(
            "--episode {number}: {} holds {} episodes, numbered 0 to {}",
            path.display(),
            episodes.len(),
            episodes.len() - 1
        )));
    };
    let meta = dataset.meta();
    let check = inspect::replay(meta, meta.episodes[number].id, episode);
    if !matches!(check, Replay::Exact { .. }) {
        output.remark(&format!(
            "{}: the picture shows a replay that differs from the recording: the replay {check}",
            path.display()
        ));
    }
    Ok(Shot {
        env: meta.env.name.clone(),
        acts: format!("{}, episode {number}", meta.expert.name),
        film: of_episode(&factory, episode, limit(args, &factory))?,
        others: ways(
            &factory,
            episodes.get(number + 1..).unwrap_or_default(),
            args,
        )?,
    })
}

/// The first episode of an evaluation with this seed.
fn of_run(path: &Path, args: &Args, seed: u64) -> Result<Shot, Error> {
    let run = RunFolder::open(path)?;
    let factory = run.config().env.factory()?;
    drawn(&factory)?;
    let policy = latest_policy(&run)?;
    let choice = if args.stochastic {
        ActionChoice::Sample
    } else {
        ActionChoice::Mean
    };
    let jobs: Vec<Job> = (0..args.episodes.unwrap_or(1))
        .map(|i| Job::new(start(seed, i)))
        .collect();
    let controller = Controller::of(policy.learned(), choice);
    let episodes = controller.play_jobs(&factory, RolloutPool::new(1), &jobs)?;
    let how = match (args.stochastic, &policy) {
        (true, _) => "sampled",
        (false, Policy::Gaussian(_)) => "mean",
        (false, Policy::Implicit(_)) => "least-energy",
        (false, Policy::Flow(_)) => "noise-free",
    };
    Ok(Shot {
        env: run.config().env.name.clone(),
        acts: format!("{} policy, {how} actions", run.config().algo.name()),
        film: of_episode(&factory, &episodes[0], limit(args, &factory))?,
        others: ways(&factory, &episodes[1..], args)?,
    })
}

/// An episode up to where it failed; whether it fails here, too, is told.
fn of_failed(path: &Path, args: &Args, output: Output) -> Result<Shot, Error> {
    let failed = FailedEpisode::read(path)?;
    let factory = failed.env.factory()?;
    drawn(&factory)?;
    let (mut env, episode) = (factory.build(), &failed.episode);
    env.reset(episode.seed);
    let mut film = Film::new(env.scene(), env.spec().control_period_s);
    let mut stopped = None;
    for action in episode.actions.iter().take(limit(args, &factory)) {
        match env.step(action) {
            Ok(step) => film.push(step.cost, env.scene()),
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
    }
    output.remark(&match stopped {
        Some(error) => format!("step {} fails here, too: {error}", film.steps()),
        None => format!(
            "step {} failed when it was played: {}",
            episode.step(),
            failed.reason
        ),
    });
    Ok(Shot {
        env: failed.env.name.clone(),
        acts: format!("failed at step {}", episode.step()),
        film,
        others: Vec::new(),
    })
}

/// Refuses a world whose states cannot be drawn.
fn drawn(factory: &EnvFactory) -> Result<(), Error> {
    let world = factory.config();
    if world.has_picture() || !world.has_simulator() {
        return Ok(());
    }
    Err(Error::Misuse(format!(
        "{}: there is no picture of an environment of Gymnasium; to see it, play an exported policy there with \
         render_mode=\"human\"",
        world.name
    )))
}

/// The requested number of episodes besides the one shown.
fn ways(factory: &EnvFactory, episodes: &[Episode], args: &Args) -> Result<Vec<Film>, Error> {
    let count = args.episodes.unwrap_or(1) - 1;
    let shown = episodes.iter().take(count);
    shown
        .map(|e| of_episode(factory, e, limit(args, factory)))
        .collect()
}

/// Maximum number of steps.
fn limit(args: &Args, factory: &EnvFactory) -> usize {
    let horizon = factory.spec().horizon;
    args.steps.map_or(horizon, |steps| steps.min(horizon))
}

/// Films an episode's replay.
fn of_episode(factory: &EnvFactory, episode: &Episode, steps: usize) -> Result<Film, Error> {
    let mut film: Option<Film> = None;
    replay(factory, episode, |t, env| match &mut film {
        None => film = Some(Film::new(env.scene(), factory.spec().control_period_s)),
        Some(film) if t <= steps => film.push(episode.costs[t - 1], env.scene()),
        Some(_) => {}
    })?;
    film.ok_or_else(|| Error::Failure("the episode has no states".into()))
}

/// Films an episode as `act` plays it.
fn play(
    factory: &EnvFactory,
    seed: u64,
    steps: usize,
    output: Output,
    mut act: impl FnMut(&dyn Env, &mut [f32]) -> Result<(), EnvError>,
) -> Result<Film, Error> {
    let mut env = factory.build();
    let mut action = vec![0.0; env.spec().action.dim()];
    env.reset(seed);
    let mut film = Film::new(env.scene(), env.spec().control_period_s);
    let mut counter = Counter::new(output, "play", steps);
    while film.steps() < steps {
        act(env.as_ref(), &mut action)?;
        let step = env.step(&action)?;
        film.push(step.cost, env.scene());
        counter.at(film.steps(), "");
        if step.end != End::Running {
            break;
        }
    }
    counter.finish();
    Ok(film)
}
