//! What an iteration of GAN-GCL with shipped settings goes into: rollouts, steps of the discriminator, improvement of the
//! policy; and what comes before: reading the dataset, cloning the base policy. One worker. Arguments: names of worlds.
//!
//! The parts are differences between iterations with a part and iterations without, taken in turns.

mod common;

use std::hint::black_box;
use std::time::Instant;

use costate::learners::Learner;
use costate::learners::gan_gcl::{GanGcl, GanGclSettings};
use costate_envs::timing::Spread;

use common::{Outcome, Shipped};

/// Turns behind every median.
const TURNS: usize = 9;

fn main() {
    // Cargo adds `--bench`.
    let asked: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let shipped = ["cart_pole", "pendulum", "point_maze"].map(String::from);
    let names = if asked.is_empty() {
        &shipped[..]
    } else {
        &asked
    };
    tch::set_num_threads(1);
    println!(
        "milliseconds, medians of {TURNS} turns with their quartiles; seconds for the base policy"
    );
    println!(
        "{:<20} {:>22} {:>10} {:>26} {:>20} {:>26} {:>20}",
        "world",
        "dataset read",
        "base, s",
        "iteration",
        "rollouts",
        "a discriminator step",
        "policy"
    );
    for name in names {
        if let Err(error) = row(name) {
            eprintln!("{name}: {error}");
            std::process::exit(1);
        }
    }
}

fn row(name: &str) -> Outcome<()> {
    let shipped = Shipped::of(name)?;
    let (settings, task) = (&shipped.settings, shipped.task());
    let mut reading = Vec::new();
    for _ in 0..TURNS {
        let began = Instant::now();
        black_box(common::dataset(name)?);
        reading.push(began.elapsed().as_secs_f64());
    }
    let began = Instant::now();
    let whole = GanGcl::new(settings, &task)?;
    let base = began.elapsed().as_secs_f64();
    // The parts do not need a good policy.
    let quick = GanGclSettings {
        base_steps: settings.base_steps.min(20),
        ..settings.clone()
    };
    let mut no_policy = quick.clone();
    no_policy.ppo.epochs = 0;
    let no_discriminator = GanGclSettings {
        discriminator_steps: 0,
        ..quick.clone()
    };
    let mut neither = no_discriminator.clone();
    neither.ppo.epochs = 0;
    let mut learners = vec![whole];
    for settings in [no_policy, no_discriminator, neither] {
        learners.push(GanGcl::new(&settings, &task)?);
    }
    let mut times = vec![Vec::new(); 4];
    // The first turn warms up.
    for turn in 0..=TURNS {
        for (learner, times) in learners.iter_mut().zip(&mut times) {
            let began = Instant::now();
            learner.iterate(turn)?;
            if turn > 0 {
                times.push(1e3 * began.elapsed().as_secs_f64());
            }
        }
    }
    let difference = |a: &[f64], b: &[f64], share: f64| -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| (a - b) / share).collect()
    };
    let steps = settings.discriminator_steps as f64;
    let show = |values: Vec<f64>| {
        let s = Spread::of(values);
        format!("{:.1} [{:.1}, {:.1}]", s.median, s.low, s.high)
    };
    println!(
        "{name:<20} {:>22} {base:>10.2} {:>26} {:>20} {:>26} {:>20}",
        show(reading.iter().map(|s| 1e3 * s).collect()),
        show(times[0].clone()),
        show(times[3].clone()),
        show(difference(&times[1], &times[3], steps)),
        show(difference(&times[2], &times[3], 1.0)),
    );
    Ok(())
}
