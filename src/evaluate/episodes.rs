//! Episodes for evaluation: policies, degraded policies, replays.

use std::sync::Arc;

use costate_envs::actor::Actor;
use costate_envs::rng::{derive_seed, stream};
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{Channel, End, EnvError, EnvFactory, Episode, Trajectory};
use nalgebra::DMatrix;
use rand::RngExt;

/// Episodes of `actor`, sampled or by its mean, from the starts of the stream `evaluation`.
pub fn of_actor(
    factory: &EnvFactory,
    pool: RolloutPool,
    actor: &Arc<Actor>,
    choice: ActionChoice,
    count: usize,
    seed: u64,
) -> Result<Vec<Episode>, EnvError> {
    pool.collect(factory, actor, choice, &jobs(count, seed))
}

/// Starts shared by everything that is compared.
fn jobs(count: usize, seed: u64) -> Vec<Job> {
    (0..count)
        .map(|i| Job {
            seed: derive_seed(seed, "evaluation", i as u64),
        })
        .collect()
}

/// Episodes in which every action is, with probability `random_share`, uniform within the action
/// bounds, and else the mean of `actor`. A share of 1 is the random policy.
pub fn degraded(
    factory: &EnvFactory,
    pool: RolloutPool,
    actor: &Arc<Actor>,
    random_share: f64,
    count: usize,
    seed: u64,
) -> Result<Vec<Episode>, EnvError> {
    let jobs = jobs(count, seed);
    let run = |_: &mut (), i: usize| degraded_episode(factory, actor, random_share, jobs[i].seed);
    pool.map(count, || (), run).into_iter().collect()
}

fn degraded_episode(
    factory: &EnvFactory,
    actor: &Actor,
    random_share: f64,
    seed: u64,
) -> Result<Episode, EnvError> {
    let mut env = factory.build();
    let (o, a) = (actor.observation_dim(), actor.action_dim());
    let bounds: Vec<Channel> = factory.spec().action.0.clone();
    let mut rng = stream(seed, "degraded", random_share.to_bits());
    let mut scratch = actor.scratch(1);
    let mut now = DMatrix::zeros(o, 1);
    let (mut observations, mut actions, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    env.reset(seed);
    let end = loop {
        env.observe(now.as_mut_slice());
        observations.extend_from_slice(now.as_slice());
        if rng.random_bool(random_share) {
            actions.extend(bounds.iter().map(|c| rng.random_range(c.low..=c.high)));
        } else {
            actor.forward(&now, &mut scratch);
            actions.extend(scratch.mean.iter());
        }
        let step = env.step(&actions[actions.len() - a..])?;
        costs.push(step.cost);
        if step.end != End::Running {
            break step.end;
        }
    };
    env.observe(now.as_mut_slice());
    observations.extend_from_slice(now.as_slice());
    let steps = costs.len();
    let trajectory = Trajectory::new(o, a, observations, actions, None, end).map_err(|_| {
        EnvError::Diverged {
            env: factory.spec().name.clone(),
            step: steps,
        }
    })?;
    Ok(Episode {
        seed,
        trajectory,
        costs,
    })
}

/// Replays an episode's actions from its seed and calls `visit` in every state s_0 … s_T.
pub fn replay(
    factory: &EnvFactory,
    episode: &Episode,
    mut visit: impl FnMut(usize, &dyn costate_envs::Env),
) -> Result<(), EnvError> {
    let mut env = factory.build();
    env.reset(episode.seed);
    for t in 0..episode.trajectory.len() {
        visit(t, env.as_ref());
        env.step(episode.trajectory.action(t))?;
    }
    visit(episode.trajectory.len(), env.as_ref());
    Ok(())
}
