//! Speed of the worlds: rapier's bare step, the environment and rollouts with an actor, interleaved on the same
//! episodes, so that other load on the machine affects all alike.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use serde::Serialize;

use crate::actor::{Actor, ActorParts, Dense, LogStd, Scales};
use crate::env::{Env, EnvError};
use crate::model::{Model, parse};
use crate::physics::{Blueprint, Physics};
use crate::registry::{EnvConfig, EnvFactory, ModelError};
use crate::rng::stream;
use crate::rollout::{ActionChoice, Job, RolloutPool, Runner};
use crate::trajectory::Episode;

/// Minimum steps per turn: a few episodes.
const TURN_STEPS: usize = 1000;
/// Approximate total steps of a batch on all workers.
const BATCH_STEPS: usize = 8000;
/// Units of the two hidden layers of the actor.
const HIDDEN: usize = 64;

/// A measured figure over the turns; times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// First quartile.
    pub low: f64,
    /// Median.
    pub median: f64,
    /// Third quartile.
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
        Self {
            low: at(0.25),
            median: at(0.5),
            high: at(0.75),
        }
    }

    /// In another unit.
    pub fn times(self, factor: f64) -> Self {
        Self {
            low: factor * self.low,
            median: factor * self.median,
            high: factor * self.high,
        }
    }
}

/// A time compared with rapier's bare step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paced {
    /// Seconds per control step.
    pub step: Spread,
    /// Share of the bare rate; none without rigid-body physics.
    pub of_bare: Option<Spread>,
}

/// Speed of a world.
#[derive(Debug, Clone, PartialEq)]
pub struct WorldSpeed {
    /// Name of the environment.
    pub name: String,
    /// rapier's step alone, as often as a control step holds, under the episodes' commands; none without rigid-body
    /// physics.
    pub bare: Option<Spread>,
    /// Observation, command, physics, cost and success.
    pub env: Paced,
    /// An episode by [`Runner`] with a 64-64 tanh actor: the environment, actor, noise, log-density, recording and
    /// reset.
    pub rollout: Paced,
    /// Seconds per step of batches on all workers.
    pub all: Spread,
    /// Speed-up on all workers over one, in batches.
    pub speedup: Spread,
    /// Seconds per reset.
    pub reset: Spread,
}

/// Why a world could not be timed.
#[derive(Debug, thiserror::Error)]
pub enum TimingError {
    /// Not a world, or an invalid one.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A step failed.
    #[error(transparent)]
    Env(#[from] EnvError),
}

/// Times a world in `turns ≥ 1` turns.
pub fn measure(name: &str, workers: usize, turns: usize) -> Result<WorldSpeed, TimingError> {
    let config = EnvConfig::named(name)?;
    let factory = config.factory()?;
    let actor = Arc::new(actor(&factory));
    let mut subjects = Subjects::new(&config, &factory, &actor)?;
    let turns = turns.max(1);
    let (mut bare, mut env, mut rollout) = (vec![], vec![], vec![]);
    let (mut one, mut all, mut reset) = (vec![], vec![], vec![]);
    let batch = subjects.batch();
    // The first turn warms up.
    for turn in 0..=turns {
        let time = subjects.turn()?;
        let on = |workers: usize| -> Result<f64, EnvError> {
            let time = BatchTime::measure(&factory, &actor, &batch, workers)?;
            Ok(time.seconds / time.steps as f64)
        };
        let (single, whole) = (on(1)?, on(workers)?);
        if turn > 0 {
            bare.extend(time.bare);
            env.push(time.env);
            rollout.push(time.rollout);
            reset.push(time.reset);
            one.push(single);
            all.push(whole);
        }
    }
    let ratios = |of: &[f64], to: &[f64]| of.iter().zip(to).map(|(a, b)| a / b).collect();
    let paced = |times: &[f64]| Paced {
        step: Spread::of(times.to_vec()),
        of_bare: (!bare.is_empty()).then(|| Spread::of(ratios(&bare, times))),
    };
    Ok(WorldSpeed {
        name: name.to_owned(),
        env: paced(&env),
        rollout: paced(&rollout),
        bare: (!bare.is_empty()).then(|| Spread::of(bare.clone())),
        speedup: Spread::of(ratios(&one, &all)),
        all: Spread::of(all),
        reset: Spread::of(reset),
    })
}

/// A batch of episodes, rolled out once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchTime {
    /// Total steps.
    pub steps: usize,
    /// Seconds.
    pub seconds: f64,
}

impl BatchTime {
    /// Rolls out the jobs on so many workers.
    pub fn measure(
        factory: &EnvFactory,
        actor: &Arc<Actor>,
        jobs: &[Job],
        workers: usize,
    ) -> Result<Self, EnvError> {
        let began = Instant::now();
        let pool = RolloutPool::new(workers);
        let episodes = pool.collect(factory, actor, ActionChoice::Sample, jobs)?;
        Ok(Self {
            seconds: began.elapsed().as_secs_f64(),
            steps: episodes.iter().map(|e| e.trajectory.len()).sum(),
        })
    }
}

/// Speed-up of `workers` over one on a batch of `episodes`, measured in `turns ≥ 1` turns.
pub fn speedup(
    name: &str,
    episodes: usize,
    workers: usize,
    turns: usize,
) -> Result<Spread, TimingError> {
    let factory = EnvConfig::named(name)?.factory()?;
    let actor = Arc::new(actor(&factory));
    let jobs: Vec<Job> = (0..episodes as u64).map(Job::new).collect();
    let timed = |workers: usize| -> Result<f64, EnvError> {
        Ok(BatchTime::measure(&factory, &actor, &jobs, workers)?.seconds)
    };
    timed(workers)?;
    let ratio = |_| Ok(timed(1)? / timed(workers)?);
    let ratios = (0..turns.max(1)).map(ratio);
    Ok(Spread::of(ratios.collect::<Result<_, EnvError>>()?))
}

/// Seconds per step of one turn.
struct Turn {
    bare: Option<f64>,
    env: f64,
    rollout: f64,
    reset: f64,
}

/// What is timed, and the episodes that all of them go through.
struct Subjects {
    bare: Option<Bare>,
    env: Box<dyn Env>,
    runner: Runner,
    script: Vec<Episode>,
}

struct Bare {
    physics: Physics,
    steps_per_control: usize,
    /// Coordinates that each episode starts from.
    starts: Vec<Vec<f32>>,
}

impl Subjects {
    fn new(
        config: &EnvConfig,
        factory: &EnvFactory,
        actor: &Arc<Actor>,
    ) -> Result<Self, TimingError> {
        let mut runner = Runner::new(factory, actor);
        let mut script = Vec::new();
        let mut steps = 0;
        while steps < TURN_STEPS {
            let episode = runner.run(ActionChoice::Sample, Job::new(script.len() as u64))?;
            steps += episode.trajectory.len();
            script.push(episode);
        }
        let mut env = factory.build();
        // A world without rigid bodies has another form of model.
        let bare = match parse::<Model>(&config.model, "") {
            Err(_) => None,
            Ok(model) => {
                let blueprint = Blueprint::new(&model).expect("the factory has accepted it");
                let start = |episode: &Episode| {
                    env.reset(episode.seed);
                    env.coordinates()
                };
                Some(Bare {
                    starts: script.iter().map(start).collect(),
                    physics: Physics::new(Arc::new(blueprint)),
                    steps_per_control: model.steps_per_control,
                })
            }
        };
        Ok(Self {
            bare,
            env,
            runner,
            script,
        })
    }

    /// The script's episodes over and over.
    fn batch(&self) -> Vec<Job> {
        let steps: usize = self.script.iter().map(|e| e.trajectory.len()).sum();
        let passes = BATCH_STEPS.div_ceil(steps) as u64;
        let episodes = self.script.len() as u64;
        (0..passes * episodes)
            .map(|i| Job::new(i % episodes))
            .collect()
    }

    fn turn(&mut self) -> Result<Turn, EnvError> {
        let mut observation = vec![0.0; self.env.spec().observation.dim()];
        let (mut bare, mut env, mut rollout, mut reset) = (0.0, 0.0, 0.0, 0.0);
        let mut steps = 0.0;
        for (i, episode) in self.script.iter().enumerate() {
            let t = &episode.trajectory;
            steps += t.len() as f64;
            if let Some(subject) = &mut self.bare {
                subject.physics.reset(&subject.starts[i]);
                let began = Instant::now();
                for k in 0..t.len() {
                    subject.physics.push(t.action(k));
                    for _ in 0..subject.steps_per_control {
                        subject.physics.bare_step();
                    }
                }
                bare += began.elapsed().as_secs_f64();
            }

            let began = Instant::now();
            self.env.reset(episode.seed);
            reset += began.elapsed().as_secs_f64();
            let began = Instant::now();
            for k in 0..t.len() {
                self.env.observe(black_box(&mut observation));
                black_box(self.env.step(t.action(k))?);
            }
            env += began.elapsed().as_secs_f64();

            let began = Instant::now();
            black_box(self.runner.run(ActionChoice::Sample, Job::new(i as u64))?);
            rollout += began.elapsed().as_secs_f64();
        }
        Ok(Turn {
            bare: self.bare.is_some().then_some(bare / steps),
            env: env / steps,
            rollout: rollout / steps,
            reset: reset / self.script.len() as f64,
        })
    }
}

/// A 64-64 tanh actor with small weights.
pub fn actor(factory: &EnvFactory) -> Actor {
    let spec = factory.spec();
    let (o, a) = (spec.observation.dim(), spec.action.dim());
    let mut rng = stream(1, "timing", 0);
    let layers = [(HIDDEN, o), (HIDDEN, HIDDEN), (a, HIDDEN)]
        .map(|(rows, columns)| Dense {
            weight: DMatrix::from_fn(rows, columns, |_, _| rng.random_range(-0.2..0.2)),
            bias: DVector::zeros(rows),
        })
        .to_vec();
    Actor::new(ActorParts {
        scales: Scales {
            observation_mean: vec![0.0; o],
            observation_std: vec![1.0; o],
            observation_clip: 10.0,
            action_centre: vec![0.0; a],
            action_scale: vec![1.0; a],
        },
        layers,
        log_std: LogStd::Constant(vec![-1.0; a]),
    })
    .expect("the parts fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_few_values() {
        let one = Spread::of(vec![3.0]);
        assert_eq!((one.low, one.median, one.high), (3.0, 3.0, 3.0));
        let five = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((five.low, five.median, five.high), (2.0, 3.0, 4.0));
    }

    #[test]
    fn worlds_with_and_without_bodies_are_timed() {
        let speed = measure("cart_pole", 2, 1).unwrap();
        assert!(speed.bare.is_some_and(|s| s.median > 0.0));
        assert!(speed.rollout.of_bare.is_some_and(|s| s.median > 0.0));
        let speed = measure("lq", 1, 1).unwrap();
        assert!(speed.bare.is_none() && speed.env.of_bare.is_none());
        assert!(speed.rollout.step.median > speed.env.step.median);
        assert!(measure("no such world", 1, 1).is_err());
    }
}
