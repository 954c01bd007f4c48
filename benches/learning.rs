//! What GAN-GCL with shipped settings spends its time on, on one worker and on all: rollouts, steps of the discriminator,
//! improvement of the policy; and what comes before: the dataset, the base policy. Arguments: names of worlds.

use std::path::Path;

use costate::bench::measure_parts;
use costate_envs::timing::Spread;

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
    costate::memory::keep_freed_memory();
    println!("milliseconds, medians of {TURNS} turns with their quartiles; seconds for the start");
    println!(
        "{:<20} {:>7} {:>20} {:>20} {:>8} {:>26} {:>22} {:>22} {:>22}",
        "world",
        "workers",
        "dataset write",
        "dataset read",
        "start, s",
        "iteration",
        "rollouts",
        "discriminator step",
        "policy"
    );
    for name in names {
        for workers in [1, costate_base::workers::default_workers()] {
            if let Err(error) = row(name, workers) {
                eprintln!("{name}: {error}");
                std::process::exit(1);
            }
        }
    }
}

fn row(name: &str, workers: usize) -> Result<(), Box<dyn std::error::Error>> {
    let folder = Path::new("demos/data").join(name);
    let beside = tempfile::tempdir()?;
    let row = measure_parts(&folder, &beside.path().join("copy"), workers, TURNS)?;
    let show = |s: Spread| format!("{:.1} [{:.1}, {:.1}]", s.median, s.low, s.high);
    println!(
        "{name:<20} {workers:>7} {:>20} {:>20} {:>8.2} {:>26} {:>22} {:>22} {:>22}",
        show(row.dataset_write_ms),
        show(row.dataset_read_ms),
        row.start_s,
        show(row.iteration_ms),
        show(row.rollouts_ms),
        show(row.discriminator_step_ms),
        show(row.policy_ms),
    );
    Ok(())
}
