//! Episodes, one by one and in parallel: `job(index, seed) → slot[index]`.
//!
//! A worker runs one episode after the other in a world of its own, which stays in its caches, so the arithmetic of an
//! episode depends on its job alone: results are bit-identical for any number of workers. A batch is a fixed set of
//! jobs, never "the first K that finish", which would favour short episodes.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use costate_base::workers::in_order;

use crate::actor::{ActionDistribution, Actor, Behaviour};
use crate::env::{Broken, End, Env, EnvError};
use crate::registry::EnvFactory;
use crate::rng::stream;
use crate::spec::EnvSpec;
use crate::trajectory::{Episode, Success, Trajectory, TrajectoryError};

/// How an actor chooses actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionChoice {
    /// a ~ π(· | s), with its log-density recorded.
    Sample,
    /// a = mean of π(· | s); no density.
    Mean,
}

/// One episode to roll out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Seed of the action noise.
    pub seed: u64,
    /// Seed of the start state.
    pub start: u64,
}

impl Job {
    /// An episode whose start state and action noise come from one seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, start: seed }
    }

    /// The same, from the start state of another seed.
    pub fn starting_at(self, start: u64) -> Self {
        Self { start, ..self }
    }
}

/// A fixed number of worker threads.
#[derive(Debug, Clone, Copy)]
pub struct RolloutPool {
    workers: usize,
}

impl RolloutPool {
    /// A pool of `workers ≥ 1` threads.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers.max(1),
        }
    }

    /// Number of threads.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs one episode per job; `result[i]` belongs to `jobs[i]`.
    ///
    /// Errors: those of the environment; of several, the one with the lowest index.
    pub fn collect<B: Behaviour>(
        &self,
        factory: &EnvFactory,
        actor: &Arc<B>,
        choice: ActionChoice,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, EnvError> {
        self.map(
            jobs.len(),
            || Runner::new(factory, actor),
            |runner, i| runner.run(choice, jobs[i]),
        )
        .into_iter()
        .collect()
    }

    /// Runs `job(state, i)` for `i < count` on the workers, each with its own state, and
    /// returns the results in order of `i`. The state must not carry results from job to job.
    pub fn map<S, R: Send>(
        &self,
        count: usize,
        state: impl Fn() -> S + Sync,
        job: impl Fn(&mut S, usize) -> R + Sync,
    ) -> Vec<R> {
        let mut results = Vec::with_capacity(count);
        let never = AtomicBool::new(false);
        let sure = |state: &mut S, i: usize| Ok::<_, Infallible>(job(state, i));
        let Ok(_) = in_order(count, self.workers, &never, state, sure, |_, result| {
            results.push(result);
            Ok(())
        });
        results
    }
}

/// Steps that an episode's arrays have room for from the start; longer ones grow on the way, as a horizon may be
/// beyond all memory.
const MOST_ROOM: usize = 1 << 16;

/// Why an episode was not completed.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The world or the policy failed.
    #[error("step {step}: {source}")]
    Step {
        /// The step t.
        step: usize,
        /// The error.
        source: EnvError,
        /// The episode until then.
        broken: Box<Broken>,
    },
    /// The numbers do not form a trajectory.
    #[error(transparent)]
    Trajectory(#[from] TrajectoryError),
}

impl PlayError {
    /// As an error of the world `env`.
    pub fn in_world(self, env: &str) -> EnvError {
        match self {
            Self::Step {
                source:
                    source @ (EnvError::NoSimulator
                    | EnvError::Elsewhere(_)
                    | EnvError::ActionLength { .. }),
                ..
            } => source,
            Self::Step { source, broken, .. } => EnvError::Broken {
                broken,
                cause: source.into(),
            },
            Self::Trajectory(cause) => EnvError::NoTrajectory {
                env: env.into(),
                source: cause.into(),
            },
        }
    }
}

/// Plays one episode from the start state of `seed`.
///
/// `act(env, t, s_t, a_t)` writes the command a_t, `[action dim]`, and returns its log-density under the policy: in
/// every step, or in none. Nothing but the episode's own arrays is allocated outside of the physics.
pub fn play(
    env: &mut dyn Env,
    seed: u64,
    mut act: impl FnMut(&dyn Env, usize, &[f32], &mut [f32]) -> Result<Option<f64>, EnvError>,
) -> Result<Episode, PlayError> {
    let spec = env.spec();
    let (o, a) = (spec.observation.dim(), spec.action.dim());
    let t = spec.horizon.min(MOST_ROOM);
    let mut observations = Vec::with_capacity((t + 1) * o);
    let mut actions = Vec::with_capacity(t * a);
    let mut log_densities = Vec::with_capacity(t);
    let mut costs = Vec::with_capacity(t);
    let mut success = Success::default();
    let mut observe = |env: &dyn Env, observations: &mut Vec<f32>| {
        let from = observations.len();
        observations.resize(from + o, 0.0);
        env.observe(&mut observations[from..]);
        success.see(env.solved());
        from
    };
    env.reset(seed);
    let mut end = End::Running;
    while end == End::Running {
        let step = costs.len();
        let state = observe(env, &mut observations);
        let from = actions.len();
        actions.resize(from + a, 0.0);
        let action = &mut actions[from..];
        let chosen = caught(|| act(env, step, &observations[state..], action));
        let log_density =
            chosen.map_err(|fault| broken(env.spec(), seed, &actions[..from], step, fault))?;
        log_densities.extend(log_density);
        let stepped = caught(|| env.step(&actions[from..]));
        let outcome = stepped.map_err(|fault| broken(env.spec(), seed, &actions, step, fault))?;
        costs.push(outcome.cost);
        end = outcome.end;
    }
    observe(env, &mut observations);
    let log_densities = (!log_densities.is_empty()).then_some(log_densities);
    let trajectory = Trajectory::new(o, a, observations, actions, log_densities, end)?;
    Ok(Episode {
        seed,
        trajectory,
        costs,
        success: success.verdict(),
    })
}

/// Why a step was not taken: an error, or the words of a panic.
enum Fault {
    Error(EnvError),
    Panic(String),
}

/// Turns a panic into a fault, so that one episode does not take the program with it unheard.
fn caught<T>(work: impl FnOnce() -> Result<T, EnvError>) -> Result<T, Fault> {
    // What was under way is not used again: an episode that failed ends the collection.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(Fault::Error),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(Fault::Panic(text.unwrap_or("a panic").into()))
        }
    }
}

fn broken(spec: &EnvSpec, seed: u64, actions: &[f32], step: usize, fault: Fault) -> PlayError {
    let rows = actions.chunks(spec.action.dim().max(1));
    // An action that is not finite is refused before it is taken, and no file can hold it.
    let actions: Vec<Vec<f32>> = rows
        .take_while(|row| row.iter().all(|value| value.is_finite()))
        .map(<[f32]>::to_vec)
        .collect();
    PlayError::Step {
        step,
        broken: Box::new(Broken {
            seed,
            acted: actions.len() > step,
            actions,
        }),
        source: match fault {
            Fault::Error(error) => error,
            Fault::Panic(message) => EnvError::Panicked {
                env: spec.name.clone(),
                message,
            },
        },
    }
}

/// Replays an episode's actions from its seed and calls `visit` in every state s_0 … s_T.
pub fn replay(
    factory: &EnvFactory,
    episode: &Episode,
    mut visit: impl FnMut(usize, &dyn Env),
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

/// A worker's world and buffers: rolls out one episode after the other.
pub struct Runner<B: Behaviour = Actor> {
    actor: Arc<B>,
    env: Box<dyn Env>,
    scratch: B::Scratch,
}

impl<B: Behaviour> Runner<B> {
    /// A runner with its own world.
    pub fn new(factory: &EnvFactory, actor: &Arc<B>) -> Self {
        Self {
            actor: actor.clone(),
            env: factory.build(),
            scratch: actor.scratch(),
        }
    }

    /// Returns one episode: nothing but its own arrays is allocated outside of the physics.
    pub fn run(&mut self, choice: ActionChoice, job: Job) -> Result<Episode, EnvError> {
        let (actor, scratch) = (&self.actor, &mut self.scratch);
        let mut noise = stream(job.seed, "action", 0);
        let played = play(self.env.as_mut(), job.start, |_, t, observation, action| {
            actor.act(t, observation, scratch);
            action.copy_from_slice(scratch.mean());
            Ok((choice == ActionChoice::Sample).then(|| {
                scratch.sample(&mut noise, action);
                scratch.log_density(action)
            }))
        });
        played.map_err(|error| error.in_world(&self.env.spec().name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actor::ActionDistribution;
    use crate::registry::EnvConfig;
    use crate::rng::Stream;

    /// A policy whose σ has vanished by step 2: its density is infinite.
    struct Vanishing;

    struct Still {
        mean: [f32; 1],
        step: usize,
    }

    impl ActionDistribution for Still {
        fn mean(&self) -> &[f32] {
            &self.mean
        }

        fn sample(&mut self, _: &mut Stream, action: &mut [f32]) {
            action.fill(0.0);
        }

        fn log_density(&mut self, _: &[f32]) -> f64 {
            match self.step {
                2 => f64::INFINITY,
                _ => 0.0,
            }
        }
    }

    impl Behaviour for Vanishing {
        type Scratch = Still;

        fn observation_dim(&self) -> usize {
            3
        }

        fn action_dim(&self) -> usize {
            1
        }

        fn scratch(&self) -> Still {
            Still {
                mean: [0.0],
                step: 0,
            }
        }

        fn act(&self, step: usize, _: &[f32], scratch: &mut Still) {
            scratch.step = step;
        }
    }

    #[test]
    fn a_panic_is_an_error_that_says_where_and_can_be_played_again() {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let mut env = factory.build();
        let failed = |step: usize, fault: fn()| {
            let mut env = factory.build();
            let act = |_: &dyn Env, t: usize, _: &[f32], action: &mut [f32]| {
                action[0] = 0.5;
                if t == step {
                    fault();
                    action[0] = f32::NAN;
                }
                Ok(None)
            };
            let error = play(env.as_mut(), 7, act).unwrap_err();
            error.in_world("pendulum")
        };
        let parts = |error: EnvError| match error {
            EnvError::Broken { broken, cause } => (*broken, *cause),
            other => panic!("{other}"),
        };
        let error = failed(3, || panic!("a joint is gone"));
        let said = error.to_string();
        assert!(
            said.contains("a joint is gone") && said.contains("(seed 7, step 3)"),
            "{said}"
        );
        let (broken, cause) = parts(error);
        assert!(matches!(cause, EnvError::Panicked { .. }));
        assert_eq!((broken.step(), broken.acted), (3, false));
        // Up to there it is the same episode.
        env.reset(broken.seed);
        for action in &broken.actions {
            env.step(action).unwrap();
        }
        let (broken, cause) = parts(failed(5, || {}));
        assert!(matches!(cause, EnvError::ActionNotFinite { .. }), "{cause}");
        assert_eq!((broken.step(), broken.actions.len()), (5, 5));
    }

    #[test]
    fn errors_name_the_world_and_the_cause() {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let mut runner = Runner::new(&factory, &Arc::new(Vanishing));
        let error = runner.run(ActionChoice::Sample, Job::new(0)).unwrap_err();
        let message = error.to_string();
        for part in [
            "pendulum: ",
            "log_densities at step 2",
            "inf, expected a finite number",
        ] {
            assert!(message.contains(part), "{message}");
        }
        let cause = std::error::Error::source(&error).expect("the cause is kept");
        assert!(cause.to_string().starts_with("log_densities"), "{cause}");
    }

    #[test]
    fn map_keeps_the_order_for_any_number_of_workers() {
        for workers in [1, 2, 3, 7] {
            let squares = RolloutPool::new(workers).map(50, || (), |(), i| i * i);
            assert_eq!(squares, (0..50).map(|i| i * i).collect::<Vec<_>>());
        }
        assert!(RolloutPool::new(2).map(0, || (), |(), i| i).is_empty());
    }
}
