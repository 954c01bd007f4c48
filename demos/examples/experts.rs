//! The table of experts: `cargo run --release -p costate-demos --example experts [ENV [EXPERT [NOISE]]]`.
//!
//! Each line: 100 episodes of the noisy expert and of random actions; seconds for 25 recorded
//! episodes on this machine.

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use costate_demos::dataset::ReturnStatistics;
use costate_demos::{ExpertDesign, Plan, default_workers, experts_for, random_return, record};
use costate_envs::{EnvConfig, Episode, registry};

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let envs = match asked.first() {
        Some(env) => vec![env.as_str()],
        None => registry::names(),
    };
    println!("env expert noise | mean std min | success | random mean std | s for 25");
    for env in envs {
        let factory = EnvConfig::named(env)?.factory()?;
        let plan = Plan {
            episodes: 100,
            seed: 0,
            workers: default_workers(),
        };
        let random = random_return(&factory, plan)?;
        let known = experts_for(env);
        let experts = asked.get(1).map_or(known.to_vec(), |e| vec![e.as_str()]);
        for expert in experts {
            let noise = asked.get(2).map(|n| n.parse()).transpose()?;
            let design = ExpertDesign::new(&factory, Some(expert), noise)?;
            let mut episodes = Vec::new();
            let start = Instant::now();
            record(&factory, &design, plan, &AtomicBool::new(false), |e| {
                episodes.push(e);
                Ok(())
            })?;
            let seconds = start.elapsed().as_secs_f64() / 4.0;
            let returns: Vec<f64> = episodes.iter().map(Episode::true_return).collect();
            let expert_return = ReturnStatistics::of(&returns);
            let worst = returns.iter().copied().fold(f64::INFINITY, f64::min);
            let success = episodes.iter().filter(|e| e.success == Some(true)).count();
            println!(
                "{env} {expert} {:.3?} | {:.2} {:.2} {worst:.2} | {success} % | {:.1} {:.1} | {seconds:.2}",
                design.noise().std(),
                expert_return.mean,
                expert_return.std,
                random.mean,
                random.std,
            );
        }
    }
    Ok(())
}
