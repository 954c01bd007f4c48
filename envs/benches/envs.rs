//! How fast the worlds are: environment steps (with observation and cost), rollout steps (with a
//! 64-64 tanh actor, on one and on all cores) and resets beside the bare rapier steps of the same
//! control period. Ends with a table of rates and of ratios to the bare step.

use std::cell::RefCell;
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

/// Least time seen of one kind of step, seconds: the least over episodes, which are short enough
/// to run undisturbed now and then on a busy machine.
#[derive(Clone, Copy)]
struct Best(f64);

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
        let mut total = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let steps = left.min(episode);
            restart();
            let start = Instant::now();
            for _ in 0..steps {
                step();
            }
            let elapsed = start.elapsed();
            if steps == episode {
                self.0 = self.0.min(elapsed.as_secs_f64() / steps as f64);
            }
            total += elapsed;
            left -= steps;
        }
        total
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
        bare: Best(f64::MAX),
        env: Best(f64::MAX),
        rollout_one: Best(f64::MAX),
        rollout_all: Best(f64::MAX),
        reset: Best(f64::MAX),
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
                let mut period = 0;
                let mut best = row.borrow().bare;
                let elapsed = best.timed(
                    count,
                    horizon,
                    || physics.borrow_mut().reset(&start),
                    || {
                        let mut physics = physics.borrow_mut();
                        // Forces change now and then, so that the world moves as it does in use.
                        if period % 10 == 0 {
                            physics.push(&commands[period % commands.len()]);
                        }
                        period += 1;
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
            let mut next = commands.iter().cycle();
            let mut best = row.borrow().env;
            let elapsed = best.timed(
                count,
                horizon,
                || env.borrow_mut().reset(0),
                || {
                    let mut env = env.borrow_mut();
                    env.observe(black_box(&mut observation));
                    let step = env.step(next.next().expect("endless")).expect("valid");
                    assert!(step.cost.is_finite() && step.end != End::Terminated);
                },
            );
            row.borrow_mut().env = best;
            elapsed
        });
    });

    let actor = Arc::new(actor(&factory));
    let jobs: Vec<Job> = (0..4 * GROUP as u64).map(|seed| Job { seed }).collect();
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
                    best.0 = best.0.min(step);
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
        "\nsteps a second (best of all samples), and as a share of the bare rapier rate on one core"
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
        let rate = |best: Best| {
            if best.0 == f64::MAX {
                "-".into()
            } else if row.bare.0 == f64::MAX {
                format!("{:.0}", 1.0 / best.0)
            } else {
                format!("{:.0} ({:.2})", 1.0 / best.0, row.bare.0 / best.0)
            }
        };
        println!(
            "{:<20} {:>10} {:>16} {:>16} {:>16} {:>11.2}",
            row.name,
            if row.bare.0 == f64::MAX {
                "-".into()
            } else {
                format!("{:.0}", 1.0 / row.bare.0)
            },
            rate(row.env),
            rate(row.rollout_one),
            rate(row.rollout_all),
            row.reset.0 * 1e6
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
