//! How fast the worlds are: environment steps (with observation and cost) and resets beside the
//! bare rapier steps of the same control period. Ends with a table of ratios.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use costate_envs::model::{Model, parse};
use costate_envs::physics::{Blueprint, Physics};
use costate_envs::registry::names;
use costate_envs::rng::stream;
use costate_envs::{End, EnvConfig, EnvFactory};
use criterion::Criterion;
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
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(900))
        .sample_size(20)
        .without_plots()
        .configure_from_args();
    let rows: Vec<Row> = names()
        .into_iter()
        .map(|name| bench(&mut criterion, name))
        .collect();

    println!("\nbest of all samples, one core; a step is one control period");
    println!(
        "{:<20} {:>12} {:>12} {:>16} {:>12}",
        "world", "bare (µs)", "env (µs)", "env / bare", "reset (µs)"
    );
    let shown = |best: Best| {
        if best.0 == f64::MAX {
            "-".into()
        } else {
            format!("{:.2}", best.0 * 1e6)
        }
    };
    for row in rows {
        let ratio = if row.bare.0 < f64::MAX && row.env.0 < f64::MAX {
            format!("{:.2}", row.env.0 / row.bare.0)
        } else {
            "-".into()
        };
        println!(
            "{:<20} {:>12} {:>12} {:>16} {:>12}",
            row.name,
            shown(row.bare),
            shown(row.env),
            ratio,
            shown(row.reset)
        );
    }
}
