//! How fast the worlds are: environment steps (with observation and cost), rollout steps (with a
//! 64-64 tanh actor, on one and on all cores) and resets beside the bare rapier steps of the same
//! control period. Ends with a table of rates and of ratios to the bare step.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use costate_envs::actor::{Actor, ActorParts, Dense, LogStd};
use costate_envs::model::{Model, parse};
use costate_envs::physics::{Blueprint, Physics};
use costate_envs::registry::names;
use costate_envs::rng::stream;
use costate_envs::rollout::{ActionChoice, GROUP, Job, RolloutPool};
use costate_envs::{End, EnvConfig, EnvFactory};
use criterion::Criterion;
use nalgebra::{DMatrix, DVector};
use rand::RngExt;

/// Steps that are timed together.
const BLOCK: u64 = 10;

/// Least time seen of each block of an episode's steps, seconds. Episodes repeat exactly, so the sum
/// of the least times is an episode undisturbed, also on a busy machine.
#[derive(Clone, Default)]
struct Best(Vec<f64>);

impl Best {
    /// Times `count` calls of `step`, leaving out `restart`, which runs before every `episode` of
    /// them.
    fn timed(
        &mut self,
        count: u64,
        episode: u64,
        mut restart: impl FnMut(),
        mut step: impl FnMut(),
    ) -> Duration {
        let blocks = episode.div_ceil(BLOCK);
        self.0.resize(blocks as usize, f64::MAX);
        let mut total = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            restart();
            for (i, best) in self.0.iter_mut().enumerate() {
                let whole = BLOCK.min(episode - i as u64 * BLOCK);
                let steps = left.min(whole);
                if steps == 0 {
                    break;
                }
                let start = Instant::now();
                for _ in 0..steps {
                    step();
                }
                let elapsed = start.elapsed();
                if steps == whole {
                    *best = best.min(elapsed.as_secs_f64() / steps as f64);
                }
                total += elapsed;
                left -= steps;
            }
        }
        total
    }

    /// Takes a time of its own, seconds a step.
    fn saw(&mut self, step: f64) {
        self.0.resize(1, f64::MAX);
        self.0[0] = self.0[0].min(step);
    }

    /// Seconds a step; `None` before every block was timed.
    fn step(&self) -> Option<f64> {
        let mean = self.0.iter().sum::<f64>() / self.0.len() as f64;
        (mean < f64::MAX / self.0.len().max(1) as f64).then_some(mean)
    }
}

struct Row {
    name: &'static str,
    bare: Best,
    env: Best,
    rollout_one: Best,
    rollout_all: Best,
    reset: Best,
}

/// Periods that a command lasts.
const HOLD: usize = 10;

fn held(commands: &[Vec<f32>], period: usize) -> &[f32] {
    &commands[period / HOLD % commands.len()]
}

fn commands(factory: &EnvFactory) -> Vec<Vec<f32>> {
    let mut rng = stream(0, "bench", 0);
    (0..1024)
        .map(|_| {
            let channels = &factory.spec().action.0;
            channels
                .iter()
                .map(|c| c.low + (c.high - c.low) * rng.random::<f32>())
                .collect()
        })
        .collect()
}

fn bench(criterion: &mut Criterion, name: &'static str) -> Row {
    let config = EnvConfig::named(name).expect("registered");
    let factory = config.factory().expect("shipped models are valid");
    let horizon = factory.spec().horizon as u64;
    let commands = commands(&factory);
    let row = RefCell::new(Row {
        name,
        bare: Best::default(),
        env: Best::default(),
        rollout_one: Best::default(),
        rollout_all: Best::default(),
        reset: Best::default(),
    });
    let mut group = criterion.benchmark_group(name);

    // `lq` has no physics to compare with.
    if let Ok(model) = parse::<Model>(&config.model, "") {
        let blueprint = Arc::new(Blueprint::new(&model).expect("shipped models are valid"));
        let mut env = factory.build();
        env.reset(0);
        let start = env.coordinates();
        group.bench_function("bare", |b| {
            b.iter_custom(|count| {
                let physics = RefCell::new(Physics::new(blueprint.clone()));
                let period = Cell::new(0_usize);
                let mut best = row.borrow().bare.clone();
                let elapsed = best.timed(
                    count,
                    horizon,
                    || {
                        physics.borrow_mut().reset(&start);
                        period.set(0);
                    },
                    || {
                        let mut physics = physics.borrow_mut();
                        // The same forces as below, set once for as long as they last.
                        if period.get().is_multiple_of(HOLD) {
                            physics.push(held(&commands, period.get()));
                        }
                        period.set(period.get() + 1);
                        for _ in 0..model.steps_per_control {
                            physics.bare_step();
                        }
                    },
                );
                row.borrow_mut().bare = best;
                elapsed
            });
        });
    }

    group.bench_function("env", |b| {
        b.iter_custom(|count| {
            let env = RefCell::new(factory.build());
            let mut observation = vec![0.0; factory.spec().observation.dim()];
            let period = Cell::new(0_usize);
            let mut best = row.borrow().env.clone();
            let elapsed = best.timed(
                count,
                horizon,
                || {
                    env.borrow_mut().reset(0);
                    period.set(0);
                },
                || {
                    let mut env = env.borrow_mut();
                    env.observe(black_box(&mut observation));
                    let step = env.step(held(&commands, period.get())).expect("valid");
                    period.set(period.get() + 1);
                    assert!(step.cost.is_finite() && step.end != End::Terminated);
                },
            );
            row.borrow_mut().env = best;
            elapsed
        });
    });

    let actor = Arc::new(actor(&factory));
    let jobs: Vec<Job> = (0..4 * GROUP as u64).map(Job::new).collect();
    let steps = jobs.len() as u64 * horizon;
    for (label, pool) in [
        ("rollout_one", RolloutPool::new(1)),
        ("rollout_all", RolloutPool::all_cores()),
    ] {
        group.bench_function(label, |b| {
            b.iter_custom(|count| {
                let start = Instant::now();
                for _ in 0..count {
                    let began = Instant::now();
                    let episodes = pool
                        .collect(&factory, &actor, ActionChoice::Sample, &jobs)
                        .expect("a random actor's actions are finite");
                    black_box(episodes);
                    let step = began.elapsed().as_secs_f64() / steps as f64;
                    let mut row = row.borrow_mut();
                    let best = if pool.workers() == 1 {
                        &mut row.rollout_one
                    } else {
                        &mut row.rollout_all
                    };
                    best.saw(step);
                }
                // Criterion's figure is a step, too, not a batch of episodes.
                start.elapsed() / steps as u32
            });
        });
    }

    group.bench_function("reset", |b| {
        let mut env = factory.build();
        b.iter_custom(|count| {
            row.borrow_mut()
                .reset
                .timed(count, 100, || (), || env.reset(black_box(7)))
        });
    });
    group.finish();
    row.into_inner()
}

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(10)
        .without_plots()
        .configure_from_args();
    let rows: Vec<Row> = names()
        .into_iter()
        .map(|name| bench(&mut criterion, name))
        .collect();

    println!(
        "\nsteps a second (least times of all samples), and as a share of the bare rapier rate on one core"
    );
    println!(
        "a step is one control period; rollouts run a 64-64 tanh actor, {} cores",
        cores()
    );
    println!(
        "{:<20} {:>10} {:>16} {:>16} {:>16} {:>11}",
        "world", "bare", "environment", "rollout, 1 core", "rollout, all", "reset (µs)"
    );
    for row in rows {
        let bare = row.bare.step();
        let rate = |best: &Best| match (best.step(), bare) {
            (None, _) => "-".into(),
            (Some(step), None) => format!("{:.0}", 1.0 / step),
            (Some(step), Some(bare)) => format!("{:.0} ({:.2})", 1.0 / step, bare / step),
        };
        println!(
            "{:<20} {:>10} {:>16} {:>16} {:>16} {:>11}",
            row.name,
            bare.map_or("-".into(), |step| format!("{:.0}", 1.0 / step)),
            rate(&row.env),
            rate(&row.rollout_one),
            rate(&row.rollout_all),
            row.reset
                .step()
                .map_or("-".into(), |step| format!("{:.2}", step * 1e6)),
        );
    }
}

fn cores() -> usize {
    RolloutPool::all_cores().workers()
}

/// A 64-64 tanh actor with small weights.
fn actor(factory: &EnvFactory) -> Actor {
    let spec = factory.spec();
    let (o, a) = (spec.observation.dim(), spec.action.dim());
    let mut rng = stream(1, "bench", 0);
    let layers = [(64, o), (64, 64), (a, 64)]
        .map(|(rows, columns)| Dense {
            weight: DMatrix::from_fn(rows, columns, |_, _| rng.random_range(-0.2..0.2)),
            bias: DVector::zeros(rows),
        })
        .to_vec();
    Actor::new(ActorParts {
        observation_mean: vec![0.0; o],
        observation_std: vec![1.0; o],
        observation_clip: 10.0,
        layers,
        action_centre: vec![0.0; a],
        action_scale: vec![1.0; a],
        log_std: LogStd::Constant(vec![-1.0; a]),
    })
    .expect("the parts fit")
}
