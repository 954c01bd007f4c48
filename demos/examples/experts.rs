//! The table of experts: `cargo run --release -p costate-demos --example experts [ENV [EXPERT [NOISE [EPISODES]]]]`.
//!
//! Each line: 100 episodes (or as many as asked for) of the noisy expert and of random actions; the
//! share of the expert's episodes that solve the task; seconds for 25 recorded episodes on this
//! machine. A NOISE of `default` is the environment's own.

use std::error::Error;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use costate_base::workers::default_workers;
use costate_demos::dataset::ReturnStatistics;
use costate_demos::{ExpertDesign, Plan, experts_for, random_return, record};
use costate_envs::{EnvConfig, Episode, registry};

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let envs = match asked.first() {
        Some(env) => vec![env.as_str()],
        None => registry::names(),
    };
    let episodes = asked.get(3).map_or(Ok(100), |n| n.parse())?;
    println!("env expert noise | mean std min | success | random mean std | s for 25");
    for env in envs {
        let factory = EnvConfig::named(env)?.factory()?;
        let plan = Plan {
            episodes,
            seed: 0,
            workers: default_workers(),
        };
        let random = random_return(&factory, plan)?;
        let known = experts_for(env);
        let experts = asked.get(1).map_or(known.to_vec(), |e| vec![e.as_str()]);
        for expert in experts {
            let noise = asked.get(2).filter(|n| *n != "default");
            let noise = noise.map(|n| n.parse()).transpose()?;
            let design = ExpertDesign::new(&factory, Some(expert), noise)?;
            let mut recorded = Vec::new();
            let start = Instant::now();
            record(&factory, &design, plan, &AtomicBool::new(false), |e| {
                recorded.push(e);
                Ok(())
            })?;
            let seconds = start.elapsed().as_secs_f64() * 25.0 / episodes as f64;
            let returns: Vec<f64> = recorded.iter().map(Episode::true_return).collect();
            let expert_return = ReturnStatistics::of(&returns);
            let worst = returns.iter().copied().fold(f64::INFINITY, f64::min);
            let solved = recorded.iter().filter(|e| e.success == Some(true)).count();
            let success = match recorded[0].success {
                Some(_) => format!("{:.0} %", 100.0 * solved as f64 / recorded.len() as f64),
                None => "-".into(),
            };
            println!(
                "{env} {expert} {:.3?} | {:.2} {:.2} {worst:.2} | {success} | {:.1} {:.1} | {seconds:.2}",
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
