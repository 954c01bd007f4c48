//! `costate bench speed`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use costate_envs::registry::names;
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{EnvConfig, timing};

use super::bench::{Args, demonstrate, machine, run_cell};
use super::common::{Output, interrupt_flag};
use crate::bench::{BatchRow, ScoreRow, Speed, Suite, WorldRow};
use crate::error::Error;
use crate::run::files;

/// Turns behind every median.
const TURNS: usize = 15;
/// Sizes of the batches of many worlds.
const BATCHES: [usize; 3] = [64, 1024, 10_000];
/// The world they are made of: the physics of the smallest with contacts.
const BATCH_ENV: &str = "point_mass";

/// Runs the command.
pub fn run(args: &Args, output: Output) -> Result<(), Error> {
    let suite = Suite::named("speed")?;
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("benches").join("speed"));
    if args.show {
        return show(&folder, output);
    }
    let known = names();
    for name in &args.envs {
        // For its error.
        EnvConfig::named(name)?;
    }
    let asked = |env: &str| args.envs.is_empty() || args.envs.iter().any(|e| e == env);
    let workers = costate_demos::default_workers();
    let turns = args.turns.map_or(TURNS, usize::from);
    let interrupt = interrupt_flag()?;
    let stopped = || match interrupt.load(Ordering::Relaxed) {
        true => Err(Error::Failure(
            "interrupted; a measurement is of one run, nothing was written".into(),
        )),
        false => Ok(()),
    };
    let failure = |e: timing::TimingError| Error::Failure(e.to_string());

    let mut worlds = Vec::new();
    for name in known.into_iter().filter(|n| asked(n)) {
        stopped()?;
        let row = WorldRow::from(timing::measure(name, workers, turns).map_err(failure)?);
        output.remark(&format!(
            "{name}: {:.0} steps a second, {}{workers} workers {:.2} times that",
            row.rollout_steps_per_second_1,
            row.rollout_of_bare
                .map_or(String::new(), |s| format!("{s:.2} of the bare rate, ")),
            row.speedup
        ));
        worlds.push(row);
    }

    let mut batches = Vec::new();
    if asked(BATCH_ENV) {
        let factory = EnvConfig::named(BATCH_ENV)?.factory()?;
        let actor = Arc::new(timing::actor(&factory));
        for count in BATCHES {
            stopped()?;
            let jobs: Vec<Job> = (0..count as u64).map(Job::new).collect();
            let began = Instant::now();
            let episodes = RolloutPool::new(workers)
                .collect(&factory, &actor, ActionChoice::Sample, &jobs)
                .map_err(|e| Error::Failure(e.to_string()))?;
            let seconds = began.elapsed().as_secs_f64();
            let steps = episodes.iter().map(|e| e.trajectory.len()).sum();
            batches.push(BatchRow {
                env: BATCH_ENV.into(),
                worlds: count,
                steps,
                steps_per_second: steps as f64 / seconds,
                peak_memory_mib: peak_memory_mib(),
            });
        }
    }

    let mut time_to_score = Vec::new();
    let work = args.work.join("speed");
    let seeds = |seed: u64| args.seeds.is_empty() || args.seeds.contains(&seed);
    for cell in suite.cells() {
        if !asked(cell.env) || !seeds(cell.seed) {
            continue;
        }
        stopped()?;
        demonstrate(cell.env, cell.demonstrations, &work, &interrupt, output)?;
        // A run that is there already took no time.
        let run = work.join("runs").join(cell.name());
        if run.exists() {
            fs::remove_dir_all(&run).map_err(Error::io(&run))?;
        }
        let Some(result) = run_cell(&suite, &cell, &work, workers, &interrupt)? else {
            stopped()?;
            continue;
        };
        let row = ScoreRow::from(&result);
        output.remark(&format!(
            "{}: {}, score {:.3}",
            cell.name(),
            row.seconds
                .map_or("0.95 not reached".into(), |s| format!("0.95 in {s:.1} s")),
            row.score
        ));
        time_to_score.push(row);
    }

    let speed = Speed {
        format: Speed::FORMAT,
        date: time::OffsetDateTime::now_utc().date().to_string(),
        costate_version: env!("CARGO_PKG_VERSION").into(),
        machine: machine(),
        workers,
        turns,
        worlds,
        batches,
        time_to_score,
    };
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let text = serde_json::to_string_pretty(&speed).map_err(|e| Error::Failure(e.to_string()))?;
    let table = speed.markdown();
    files::write_atomic(
        &folder.join(format!("{}.json", speed.date)),
        text.as_bytes(),
    )?;
    files::write_atomic(&folder.join("README.md"), table.as_bytes())?;
    output.result(&speed, || table)
}

/// The newest measurement.
fn show(folder: &Path, output: Output) -> Result<(), Error> {
    let nothing = || Error::Misuse(format!("no measurement in {}", folder.display()));
    let mut files: Vec<_> = fs::read_dir(folder)
        .map_err(|_| nothing())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let newest = files.last().ok_or_else(nothing)?;
    let text = fs::read_to_string(newest).map_err(Error::io(newest))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| Error::Failure(format!("{}: {e}", newest.display())))?;
    let table = folder.join("README.md");
    let table = fs::read_to_string(&table).map_err(Error::io(&table))?;
    output.result(&value, || table)
}

/// The most memory that the process has held, where the system tells.
fn peak_memory_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024.0)
}
