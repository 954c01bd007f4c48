//! How fast the worlds are: environment steps (with observation and cost), rollout steps (with a
//! 64-64 tanh actor, on one and on all cores) and resets beside the bare rapier steps of the same
//! control periods: all step through the same episodes. Ends with a table of rates and of ratios to the bare
//! step.

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
use costate_envs::{EnvConfig, EnvFactory};
use criterion::Criterion;
use nalgebra::{DMatrix, DVector};
use rand::RngExt;

/// Steps that are timed together.
const BLOCK: u64 = 10;

/// Least time seen of each block of the script's steps, seconds. Episodes repeat exactly, so the sum
/// of the least times is a script undisturbed, also on a busy machine.
#[derive(Clone, Default)]
struct Best(Vec<f64>);

impl Best {
    /// Times `count` calls of `step` in episodes of `lengths` steps, over and over, leaving out `restart`,
    /// which is told the number of the episode that follows.
    fn timed(
        &mut self,
        count: u64,
        lengths: &[u64],
        mut restart: impl FnMut(usize),
        mut step: impl FnMut(),
    ) -> Duration {
        let blocks = lengths.iter().map(|n| n.div_ceil(BLOCK)).sum::<u64>();
        self.0.resize(blocks as usize, f64::MAX);
        let mut total = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let mut from = 0;
            for (episode, &length) in lengths.iter().enumerate() {
                if left == 0 {
                    break;
                }
                restart(episode);
                for i in 0..length.div_ceil(BLOCK) {
                    let whole = BLOCK.min(length - i * BLOCK);
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
                        let best = &mut self.0[from + i as usize];
                        *best = best.min(elapsed.as_secs_f64() / steps as f64);
                    }
                    total += elapsed;
                    left -= steps;
                }
                from += length.div_ceil(BLOCK) as usize;
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

/// Episodes that all benchmarks of a world step through: what the rollouts do. Few enough for each step
/// to be timed several times.
fn script_length(factory: &EnvFactory) -> u64 {
    (1000 / factory.spec().horizon as u64).clamp(1, 4)
}

fn bench(criterion: &mut Criterion, name: &'static str) -> Row {
    let config = EnvConfig::named(name).expect("registered");
    let factory = config.factory().expect("shipped models are valid");
    let actor = Arc::new(actor(&factory));
    let episodes = script_length(&factory);
    let jobs: Vec<Job> = (0..episodes).map(Job::new).collect();
    let script = RolloutPool::all_cores()
        .collect(&factory, &actor, ActionChoice::Sample, &jobs)
        .expect("a random actor's actions are finite");
    let lengths: Vec<u64> = script.iter().map(|e| e.trajectory.len() as u64).collect();
    // Episode and step that come next.
    let now = Cell::new((0, 0));
    let next_action = || {
        let (episode, t) = now.get();
        now.set((episode, t + 1));
        script[episode].trajectory.action(t)
    };
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
        let starts: Vec<_> = script
            .iter()
            .map(|e| {
                env.reset(e.seed);
                env.coordinates()
            })
            .collect();
        group.bench_function("bare", |b| {
            b.iter_custom(|count| {
                let physics = RefCell::new(Physics::new(blueprint.clone()));
                let mut best = row.borrow().bare.clone();
                let elapsed = best.timed(
                    count,
                    &lengths,
                    |episode| {
                        physics.borrow_mut().reset(&starts[episode]);
                        now.set((episode, 0));
                    },
                    || {
                        let mut physics = physics.borrow_mut();
                        physics.push(next_action());
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
            let mut best = row.borrow().env.clone();
            let elapsed = best.timed(
                count,
                &lengths,
                |episode| {
                    env.borrow_mut().reset(script[episode].seed);
                    now.set((episode, 0));
                },
                || {
                    let mut env = env.borrow_mut();
                    env.observe(black_box(&mut observation));
                    let step = env.step(next_action()).expect("valid");
                    assert!(step.cost.is_finite());
                },
            );
            row.borrow_mut().env = best;
            elapsed
        });
    });

    // The same episodes in every place of the groups.
    let jobs: Vec<Job> = (0..4 * GROUP as u64)
        .map(|i| Job::new(i % episodes))
        .collect();
    let steps = lengths.iter().sum::<u64>() * jobs.len() as u64 / episodes;
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
                .timed(count, &[100], |_| (), || env.reset(black_box(7)))
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
