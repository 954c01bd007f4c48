//! The soft value along trajectories: does the cost-to-go decrease while the policy acts?
//!
//! J(s) = E_π[Σ_{k<H} c(s_k, a_k) + α log π(a_k | s_k) | s_0 = s], the negative soft value over a receding horizon H,
//! as in model predictive control. A Lyapunov function decreases from every state but the goal's; the share of states
//! from which J decreases is an empirical certificate in that spirit.

use std::sync::Arc;

use costate_envs::actor::Actor;
use costate_envs::rng::{derive_seed, stream};
use costate_envs::{End, Env, EnvError, EnvFactory, Episode, SavedState};
use serde::{Deserialize, Serialize};

use super::episodes::replay;
use super::statistics::{Estimate, bootstrap_clusters};
use super::workers::Workers;
use crate::cost::{Dims, StepCost};
use crate::error::Error;

/// Trajectories, states per trajectory and rollouts per state.
const TRAJECTORIES: usize = 10;
const STATES: usize = 17;
const ROLLOUTS: usize = 8;
/// Steps of a rollout, unless episodes are shorter.
const HORIZON: usize = 200;

/// A cost with the policy learned for it.
#[derive(Clone, Copy)]
pub struct Certified<'a> {
    /// c.
    pub cost: &'a dyn StepCost,
    /// π.
    pub actor: &'a Arc<Actor>,
    /// α.
    pub entropy_weight: f64,
}

/// J along one trajectory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descent {
    /// Steps t at which it was measured.
    pub steps: Vec<usize>,
    /// J(s_t), nats.
    pub cost_to_go: Vec<f64>,
}

/// Share of states from which J decreases.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Number of states.
    pub states: usize,
    /// The share; `None` without states.
    pub falling: Option<Estimate>,
}

/// J along the policy's trajectories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// H, steps.
    pub horizon: usize,
    /// Rollouts per J.
    pub rollouts: usize,
    /// Level that J settles at: the upper quartile over trajectories of the maximum in their last tenth.
    pub arrived: f64,
    /// Measured states before the last tenth, and the share of them from which J decreases to the next one.
    pub all: Share,
    /// The same for states whose J is above the settled level: only there must J decrease.
    pub above: Share,
    /// The trajectories.
    pub descents: Vec<Descent>,
}

/// Measures J along the first of `episodes`, which must replay in this simulator; `None` without episodes.
///
/// All states of a trajectory are rolled out with the same noise, which reduces the variance of differences. A rollout
/// ended by the world counts as if it stayed there: a crash must not lower the cost.
pub fn certificate(
    factory: &EnvFactory,
    certified: Certified,
    episodes: &[Episode],
    workers: Workers,
    seed: u64,
) -> Result<Option<Certificate>, Error> {
    let horizon = factory.spec().horizon.min(HORIZON);
    let count = episodes.len().min(TRAJECTORIES);
    let actor = certified.actor;
    let one = |env: &mut Box<dyn Env>, i: usize| -> Result<(Vec<usize>, Vec<Rollout>), Error> {
        let length = episodes[i].trajectory.len();
        let mut steps: Vec<usize> = (0..STATES)
            .map(|j| j * (length - 1) / (STATES - 1))
            .collect();
        steps.dedup();
        let mut states = Vec::with_capacity(steps.len());
        replay(factory, &episodes[i], |t, env| {
            if steps.contains(&t) {
                states.push(env.save());
            }
        })?;
        let mut rollouts = Vec::with_capacity(states.len() * ROLLOUTS);
        for state in &states {
            workers.check()?;
            for k in 0..ROLLOUTS {
                let noise = derive_seed(seed, "certificate", (i * ROLLOUTS + k) as u64);
                rollouts.push(roll_out(env.as_mut(), actor, state, horizon, noise)?);
            }
        }
        Ok((steps, rollouts))
    };
    let found = workers.map(count, || factory.build(), one)?;
    let spec = factory.spec();
    let dims = Dims {
        observation: spec.observation.dim(),
        action: spec.action.dim(),
    };
    let soft_cost = |r: &Rollout| {
        let costs = certified.cost.costs(&r.observations, &r.actions, dims);
        let soft = costs.iter().zip(&r.log_densities);
        let soft: Vec<f64> = soft
            .map(|(c, l)| c + certified.entropy_weight * l)
            .collect();
        let left = (horizon - soft.len()) as f64;
        soft.iter().sum::<f64>() + left * soft.last().copied().unwrap_or(0.0)
    };
    let descents: Vec<Descent> = found
        .into_iter()
        .map(|(steps, rollouts)| Descent {
            steps,
            cost_to_go: rollouts
                .chunks(ROLLOUTS)
                .map(|of_state| of_state.iter().map(soft_cost).sum::<f64>() / ROLLOUTS as f64)
                .collect(),
        })
        .collect();
    Ok(judge(descents, horizon, seed))
}

fn judge(descents: Vec<Descent>, horizon: usize, seed: u64) -> Option<Certificate> {
    let before = |d: &Descent| d.cost_to_go.len() - d.cost_to_go.len().div_ceil(10);
    let ends = descents.iter().filter_map(|d| {
        let late = d.cost_to_go[before(d)..].iter().copied();
        late.reduce(f64::max)
    });
    let mut ends: Vec<f64> = ends.collect();
    ends.sort_by(f64::total_cmp);
    // Not the maximum: a failing trajectory would set the level above everything.
    let arrived = *ends.get(3 * ends.len().checked_sub(1)? / 4)?;
    let share = |counts: &dyn Fn(f64) -> bool| {
        let falls = |d: &Descent| -> Vec<f64> {
            let steps = d.cost_to_go.windows(2).take(before(d));
            steps
                .filter(|w| counts(w[0]))
                .map(|w| f64::from(u8::from(w[1] < w[0])))
                .collect()
        };
        let falls: Vec<Vec<f64>> = descents.iter().map(falls).collect();
        let mean =
            |all: &[f64]| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
        Share {
            states: falls.iter().map(Vec::len).sum(),
            falling: bootstrap_clusters(&[falls], seed, mean),
        }
    };
    Some(Certificate {
        horizon,
        rollouts: ROLLOUTS,
        arrived,
        all: share(&|_| true),
        above: share(&|j| j > arrived),
        descents,
    })
}

/// What a cost needs of a rollout.
struct Rollout {
    observations: Vec<f32>,
    actions: Vec<f32>,
    /// log π(a_k | s_k) of every step.
    log_densities: Vec<f64>,
}

fn roll_out(
    env: &mut dyn Env,
    actor: &Actor,
    from: &SavedState,
    horizon: usize,
    seed: u64,
) -> Result<Rollout, EnvError> {
    // The clock restarts: every state gets the same time.
    let state = SavedState {
        step: 0,
        end: End::Running,
        ..from.clone()
    };
    env.load(&state)?;
    let mut noise = stream(seed, "action", 0);
    let mut scratch = actor.scratch();
    let mut observation = vec![0.0; actor.observation_dim()];
    let mut action = vec![0.0; actor.action_dim()];
    let mut rollout = Rollout {
        observations: Vec::with_capacity(horizon * observation.len()),
        actions: Vec::with_capacity(horizon * action.len()),
        log_densities: Vec::with_capacity(horizon),
    };
    for _ in 0..horizon {
        env.observe(&mut observation);
        actor.forward(&observation, &mut scratch);
        scratch.sample(&mut noise, &mut action);
        rollout.log_densities.push(scratch.log_density(&action));
        rollout.observations.extend(&observation);
        rollout.actions.extend(&action);
        if env.step(&action)?.end != End::Running {
            break;
        }
    }
    Ok(rollout)
}

#[cfg(test)]
mod tests {
    use super::super::controller::Controller;
    use super::*;
    use crate::expression::Formula;
    use costate_envs::EnvConfig;
    use costate_envs::actor::{ActorParts, Dense, LogStd, Scales};
    use costate_envs::rollout::ActionChoice;
    use nalgebra::{DMatrix, DVector};

    /// a = gain · s with a little noise.
    fn linear(gain: [f32; 2]) -> Arc<Actor> {
        let parts = ActorParts {
            scales: Scales {
                observation_mean: vec![0.0; 2],
                observation_std: vec![1.0; 2],
                observation_clip: 1e6,
                action_centre: vec![0.0],
                action_scale: vec![1.0],
            },
            layers: vec![Dense {
                weight: DMatrix::from_row_slice(1, 2, &gain),
                bias: DVector::zeros(1),
            }],
            log_std: LogStd::Constant(vec![-4.0]),
        };
        Arc::new(Actor::new(parts).unwrap())
    }

    fn found(gain: [f32; 2]) -> Certificate {
        let factory = EnvConfig::named("lq").unwrap().factory().unwrap();
        let actor = linear(gain);
        let pool = Workers::from(costate_envs::rollout::RolloutPool::new(1));
        let acting = Controller::Actor(actor.clone(), ActionChoice::Sample);
        let episodes = acting.play(&factory, pool, 0..12, 3).unwrap();
        let cost = Formula::parse("s0^2 + s1^2", factory.spec(), true).unwrap();
        let certified = Certified {
            cost: &cost,
            actor: &actor,
            entropy_weight: 0.0,
        };
        certificate(&factory, certified, &episodes, pool, 0)
            .unwrap()
            .unwrap()
    }

    #[test]
    fn a_stable_loop_descends_and_an_unstable_one_does_not() {
        let stable = found([-0.5, -1.0]);
        let share = stable.above.falling.unwrap();
        assert!(share.mean > 0.9 && stable.above.states > 20, "{stable:?}");
        let unstable = found([0.0, 0.8]).all;
        assert!(unstable.falling.unwrap().mean < 0.5, "{unstable:?}");
    }

    #[test]
    fn what_has_arrived_is_not_asked_to_descend() {
        let descent = |values: &[f64]| Descent {
            steps: (0..STATES).collect(),
            cost_to_go: values.to_vec(),
        };
        let falling: Vec<f64> = (0..STATES).map(|i| (10.0 - i as f64).max(0.0)).collect();
        let mut bumpy = falling.clone();
        bumpy[3] = 9.5;
        let c = judge(vec![descent(&falling), descent(&bumpy)], 5, 0).unwrap();
        assert_eq!((c.arrived, c.above.states, c.all.states), (0.0, 20, 30));
        // Of the bumpy one's ten states the third rises; both rest from the tenth on.
        assert!((c.above.falling.unwrap().mean - 0.95).abs() < 1e-12);
        assert!((c.all.falling.unwrap().mean - 19.0 / 30.0).abs() < 1e-12);
        assert_eq!(judge(Vec::new(), 5, 0), None);
        // One failing trajectory does not raise the level for itself.
        let failing = vec![20.0; STATES];
        let all = [&falling, &falling, &failing].map(|v| descent(v));
        let c = judge(all.into(), 5, 0).unwrap();
        assert_eq!((c.arrived, c.above.states), (0.0, 35));
        // Short episodes have fewer states.
        let short = Descent {
            steps: vec![0, 1, 2],
            cost_to_go: vec![2.0, 1.0, 0.0],
        };
        assert_eq!(judge(vec![short], 5, 0).unwrap().all.states, 2);
    }
}
