//! `costate bench speed`.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::EnvConfig;
use costate_envs::registry::names;
use costate_envs::rollout::Job;
use costate_envs::schedule::BatchTimes;
use costate_envs::timing::{self, BatchTime};

use super::bench::{Args, demonstrate, demonstrations_folder, machine, run_cell};
use super::common::{Output, interrupt_flag};
use crate::bench::parts::{self, PartsRow};
use crate::bench::{BatchRow, ScheduleRow, ScoreRow, Speed, Suite, WorldRow};
use crate::error::Error;
use crate::memory;
use crate::report::{Speedup, speedup_svg};
use crate::run::files;

/// Turns behind every median.
const TURNS: usize = 15;
/// Sizes of the batches of many worlds.
const BATCHES: [usize; 3] = [64, 1024, 10_000];
/// The world they are made of: the physics of the smallest with contacts.
const BATCH_ENV: &str = "point_mass";
/// Batches whose division among workers is looked at: episodes of one length and of many, as many as a learner asks for in
/// an iteration and more.
const SCHEDULES: [(&str, usize); 4] = [
    ("cart_pole", 64),
    ("cart_pole", 1024),
    ("lunar_lander", 64),
    ("lunar_lander", 1024),
];
/// Workers that the schedule goes up to.
const MOST_WORKERS: usize = 64;
/// Turns behind a median of what takes seconds.
const LONG_TURNS: usize = 5;

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
    for name in &args.envs {
        // For its error.
        EnvConfig::named(name)?;
    }
    let session = Session {
        args,
        suite,
        workers: costate_base::workers::default_workers(),
        turns: args.turns.map_or(TURNS, usize::from),
        interrupt: interrupt_flag()?,
        output,
    };
    let (worlds, batches) = (session.worlds()?, session.batches()?);
    let (schedules, parts) = (session.schedules()?, session.parts()?);
    let time_to_score = session.time_to_score()?;
    let (workers, turns) = (session.workers, session.turns);
    let speed = Speed {
        format: Speed::FORMAT,
        date: time::OffsetDateTime::now_utc().date().to_string(),
        costate_version: env!("CARGO_PKG_VERSION").into(),
        machine: machine(),
        workers,
        turns,
        worlds,
        batches,
        schedules,
        parts,
        time_to_score,
    };
    fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let table = speed.markdown();
    files::write_json(&folder.join(format!("{}.json", speed.date)), &speed)?;
    if !speed.schedules.is_empty() {
        let picture = picture(&speed.schedules);
        files::write_atomic(&folder.join(Speed::PICTURE), picture.as_bytes())?;
    }
    files::write_atomic(&folder.join("README.md"), table.as_bytes())?;
    output.result(&speed, || table)
}

/// What the measurements are made with.
struct Session<'a> {
    args: &'a Args,
    suite: Suite,
    workers: usize,
    turns: usize,
    interrupt: Arc<AtomicBool>,
    output: Output,
}

impl Session<'_> {
    fn asked(&self, env: &str) -> bool {
        self.args.envs.is_empty() || self.args.envs.iter().any(|e| e == env)
    }

    fn go_on(&self) -> Result<(), Error> {
        match self.interrupt.load(Ordering::Relaxed) {
            true => Err(Error::Failure(
                "interrupted; a measurement is of one run, nothing was written".into(),
            )),
            false => Ok(()),
        }
    }

    fn worlds(&self) -> Result<Vec<WorldRow>, Error> {
        let mut rows = Vec::new();
        for name in names().into_iter().filter(|n| self.asked(n)) {
            self.go_on()?;
            let row = WorldRow::from(timing::measure(name, self.workers, self.turns)?);
            self.output.remark(&format!(
                "{name}: {:.0} steps a second, {}{} workers {:.2} times that",
                row.rollout_steps_per_second_1,
                row.rollout_of_bare
                    .map_or(String::new(), |s| format!("{s:.2} of the bare rate, ")),
                self.workers,
                row.speedup
            ));
            rows.push(row);
        }
        Ok(rows)
    }

    fn batches(&self) -> Result<Vec<BatchRow>, Error> {
        if !self.asked(BATCH_ENV) {
            return Ok(Vec::new());
        }
        let factory = EnvConfig::named(BATCH_ENV)?.factory()?;
        let actor = Arc::new(timing::actor(&factory));
        let row = |worlds: usize| {
            self.go_on()?;
            let jobs: Vec<Job> = (0..worlds as u64).map(Job::new).collect();
            let time = BatchTime::measure(&factory, &actor, &jobs, self.workers)?;
            Ok(BatchRow {
                env: BATCH_ENV.into(),
                worlds,
                steps: time.steps,
                steps_per_second: time.steps as f64 / time.seconds,
                peak_memory_mib: memory::peak_mib(),
            })
        };
        BATCHES.into_iter().map(row).collect()
    }

    fn schedules(&self) -> Result<Vec<ScheduleRow>, Error> {
        let row = |(env, episodes): (&str, usize)| {
            self.go_on()?;
            let times = BatchTimes::measure(env, episodes)?;
            let turns = self.turns.min(LONG_TURNS);
            let all = timing::speedup(env, episodes, self.workers, turns)?;
            let simulated = (1..=MOST_WORKERS)
                .map(|w| [w as f64, times.speedup(w)])
                .collect();
            Ok(ScheduleRow {
                env: env.into(),
                episodes,
                measured: vec![[1.0, 1.0], [self.workers as f64, all.median]],
                simulated,
                start_s: times.start,
            })
        };
        let asked = SCHEDULES.into_iter().filter(|(env, _)| self.asked(env));
        asked.map(row).collect()
    }

    fn parts(&self) -> Result<Vec<PartsRow>, Error> {
        let work = self.args.work.join("speed");
        let mut rows = Vec::new();
        let cells = self.suite.cells()?;
        let first_seed = cells.first().map(|c| c.seed);
        for cell in cells
            .iter()
            .filter(|c| self.asked(c.env) && Some(c.seed) == first_seed)
        {
            self.go_on()?;
            demonstrate(
                cell.env,
                cell.demonstrations,
                &work,
                &self.interrupt,
                self.output,
            )?;
            let folder = demonstrations_folder(&work, cell.env);
            for workers in [1, self.workers] {
                self.go_on()?;
                let turns = self.turns.min(LONG_TURNS);
                rows.push(parts::measure(
                    &folder,
                    &work.join("written"),
                    workers,
                    turns,
                )?);
            }
        }
        Ok(rows)
    }

    fn time_to_score(&self) -> Result<Vec<ScoreRow>, Error> {
        let work = self.args.work.join("speed");
        let seeds = &self.args.seeds;
        let mut rows = Vec::new();
        for cell in self.suite.cells()? {
            if !self.asked(cell.env) || !(seeds.is_empty() || seeds.contains(&cell.seed)) {
                continue;
            }
            self.go_on()?;
            let (interrupt, output) = (&self.interrupt, self.output);
            demonstrate(cell.env, cell.demonstrations, &work, interrupt, output)?;
            // A run that is there already took no time.
            let run = work.join("runs").join(cell.name());
            if run.exists() {
                fs::remove_dir_all(&run).map_err(Error::io(&run))?;
            }
            let Some(result) = run_cell(&self.suite, &cell, &work, self.workers, interrupt)? else {
                self.go_on()?;
                continue;
            };
            let row = ScoreRow::from(&result);
            self.output.remark(&format!(
                "{}: {}, score {:.3}",
                cell.name(),
                row.seconds
                    .map_or("0.95 not reached".into(), |s| format!("0.95 in {s:.1} s")),
                row.score
            ));
            rows.push(row);
        }
        Ok(rows)
    }
}

fn picture(schedules: &[ScheduleRow]) -> String {
    let curves: Vec<Speedup> = schedules
        .iter()
        .map(|s| Speedup {
            label: format!("{}, {} episodes", s.env, s.episodes),
            simulated: s.simulated.clone(),
            measured: s.measured.clone(),
        })
        .collect();
    speedup_svg(
        "Rollouts on more workers: measured (dots) and scheduled (lines)",
        &curves,
    )
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
