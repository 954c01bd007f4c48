//! Leak check: memory in use along a million episodes of `lq`, ten thousand of `cart_pole`, and two
//! thousand iterations of GAN-GCL on `lq`. Exits with 1 if the last half of a loop grew by more than 2 MiB.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use costate::bench::trajectories;
use costate::learners::gan_gcl::GanGclSettings;
use costate::learners::{Behaviour, Setup};
use costate::memory::resident_mib;
use costate::run::settings::resolve_typed;
use costate_demos::Dataset;
use costate_envs::rollout::{ActionChoice, Job, Runner};
use costate_envs::{EnvConfig, timing};

/// Growth of the last half that is taken for a leak, MiB.
const ALLOWED_MIB: f64 = 2.0;

/// Iterations of learning.
const LEARNED: usize = 2000;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() {
    if let Err(error) = run() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run() -> Outcome {
    tch::set_num_threads(1);
    println!("resident memory after each tenth, MiB");
    for (env, episodes) in [("lq", 1_000_000), ("cart_pole", 10_000)] {
        let factory = EnvConfig::named(env)?.factory()?;
        let actor = Arc::new(timing::actor(&factory));
        let mut runner = Runner::new(&factory, &actor);
        watch(&format!("{episodes} episodes of {env}"), episodes, |i| {
            black_box(runner.run(ActionChoice::Sample, Job::new(i as u64))?);
            Ok(())
        })?;
    }
    let mut settings: GanGclSettings = resolve_typed("lq", &[])?;
    settings.adversarial.generator.iterations = LEARNED;
    settings.adversarial.generator.trajectories = 8;
    settings.adversarial.cost_steps = 2;
    let factory = EnvConfig::named("lq")?.factory()?;
    let demonstrations = trajectories(Dataset::open(Path::new("demos/data/lq"))?);
    let mut learner = settings.build(&Setup::new(&factory, &demonstrations), None)?;
    watch("2000 iterations of GAN-GCL", LEARNED, |i| {
        learner.iterate(i)?;
        Ok(())
    })
}

fn watch(what: &str, count: usize, mut step: impl FnMut(usize) -> Outcome) -> Outcome {
    let mut seen = Vec::new();
    for i in 0..count {
        step(i)?;
        if (i + 1) % (count / 10) == 0 {
            seen.push(resident_mib().ok_or("the system does not tell the memory in use")?);
        }
    }
    let shown: Vec<String> = seen.iter().map(|m| format!("{m:.1}")).collect();
    println!("{what:<30} {}", shown.join(" "));
    let growth = seen[seen.len() - 1] - seen[seen.len() / 2 - 1];
    match growth > ALLOWED_MIB {
        true => Err(format!("{what}: {growth:.1} MiB more in the last half").into()),
        false => Ok(()),
    }
}
