//! Writing a dataset and reading it back as a stream: transitions a second and the memory in use. Arguments: how many
//! transitions (a million without), and a folder for them (a temporary one without). The episodes are `cart_pole`'s, of
//! 500 steps, twenty over and over; every one is synced before the next is written.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use costate::memory::{peak_mib, resident_mib};
use costate_demos::dataset::{ExpertInfo, Header};
use costate_demos::{DatasetReader, DatasetWriter, info};
use costate_envs::rollout::{ActionChoice, Job, Runner};
use costate_envs::{EnvConfig, timing};

const ENV: &str = "cart_pole";

/// Episodes that the dataset repeats.
const DIFFERENT: u64 = 20;

fn main() {
    if let Err(error) = run() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let transitions = match arguments.next() {
        None => 1e6,
        Some(text) => text.parse::<f64>()?,
    };
    match arguments.next() {
        Some(folder) => measure(transitions, Path::new(&folder)),
        None => measure(transitions, tempfile::tempdir()?.path()),
    }
}

fn measure(transitions: f64, parent: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let config = EnvConfig::named(ENV)?;
    let factory = config.factory()?;
    let actor = Arc::new(timing::actor(&factory));
    let mut runner = Runner::new(&factory, &actor);
    let run = |i: u64| runner.run(ActionChoice::Sample, Job::new(i));
    let episodes = (0..DIFFERENT).map(run).collect::<Result<Vec<_>, _>>()?;
    let header = Header {
        env: config,
        spec: factory.spec().clone(),
        expert: ExpertInfo {
            name: "random weights".into(),
            parameters: serde_json::Value::Null,
            action_noise_std: vec![0.0; factory.spec().action.dim()],
            log_density_known: true,
        },
        seed: 0,
    };
    let folder = parent.join("dataset");
    let mut writer = DatasetWriter::create(&folder, header)?;
    let mut written = 0.0;
    let began = Instant::now();
    for episode in episodes.iter().cycle() {
        if written >= transitions {
            break;
        }
        writer.append(episode)?;
        written += episode.trajectory.len() as f64;
    }
    let bytes: u64 = writer.finish()?.episodes.iter().map(|e| e.bytes).sum();
    report("written", written, began.elapsed().as_secs_f64());
    println!("{:.1} bytes a transition", bytes as f64 / written);

    let began = Instant::now();
    let reader = DatasetReader::open(&folder)?;
    println!("description read in {:.1} s", began.elapsed().as_secs_f64());
    let (began, mut read) = (Instant::now(), 0.0);
    let (mut seen, share) = (Vec::new(), (reader.meta().episodes.len() / 10).max(1));
    for (i, episode) in reader.episodes().enumerate() {
        read += episode?.trajectory.len() as f64;
        if (i + 1) % share == 0 {
            seen.push(resident_mib().map_or("?".into(), |m| format!("{m:.0}")));
        }
    }
    report("read", read, began.elapsed().as_secs_f64());
    println!("resident memory after each tenth, MiB: {}", seen.join(" "));
    let began = Instant::now();
    let summary = info(&reader)?;
    let steps = summary.total_steps as f64;
    report("summarised", steps, began.elapsed().as_secs_f64());
    let peak = peak_mib().map_or("?".into(), |m| format!("{m:.0}"));
    println!("peak memory, MiB: {peak}");
    Ok(())
}

fn report(what: &str, transitions: f64, seconds: f64) {
    println!(
        "{what}: {transitions:.0} transitions in {seconds:.1} s, {:.0} a second",
        transitions / seconds
    );
}
