//! Speed: steps, rollouts, parts of an iteration, training to expert level.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use costate_base::disk;
use costate_envs::EnvConfig;
use costate_envs::registry::names;
use costate_envs::rollout::Job;
use costate_envs::schedule::BatchTimes;
use costate_envs::timing::{self, BatchTime};

use super::super::Progress;
use super::cells::{demonstrate, demonstrations_folder, run_cell};
use super::{Measured, Request, Tables};
use crate::bench::{
    BatchRow, Cell, PartsRow, ScheduleRow, ScoreRow, Speed, Suite, WorldRow, machine, measure_parts,
};
use crate::error::Error;
use crate::memory;
use crate::run::files;

/// Repetitions per median.
const TURNS: usize = 15;
/// Batch sizes for many worlds.
const BATCHES: [usize; 3] = [64, 1024, 10_000];
/// Their world: the smallest with contacts.
const BATCH_ENV: &str = "point_mass";
/// Batches whose scheduling among workers is measured: episodes of equal and of varying lengths, as many as a learner
/// uses per iteration, and more.
const SCHEDULES: [(&str, usize); 4] = [
    ("cart_pole", 64),
    ("cart_pole", 1024),
    ("lunar_lander", 64),
    ("lunar_lander", 1024),
];
/// Largest number of workers measured.
const MOST_WORKERS: usize = 64;
/// Repetitions per median of measurements that take seconds.
const LONG_TURNS: usize = 5;

/// The newest tables, measured now unless they are only shown.
pub fn tables(request: &Request, progress: &dyn Progress) -> Result<Tables, Error> {
    let suite = Suite::named("speed")?;
    let folder = request.folder();
    if request.show {
        return newest(&folder);
    }
    for name in &request.envs {
        // Called for its error only.
        EnvConfig::named(name)?;
    }
    let session = Session {
        request,
        suite,
        workers: costate_base::workers::default_workers(),
        turns: request.turns.unwrap_or(TURNS),
        progress,
    };
    let speed = session.speed()?;
    disk::create_folders(&folder)?;
    let markdown = speed.markdown();
    files::write_json(&folder.join(format!("{}.json", speed.date)), &speed)?;
    if let Some(picture) = speed.picture() {
        files::write_atomic(&folder.join(Speed::PICTURE), picture.as_bytes())?;
    }
    files::write_atomic(&folder.join("README.md"), markdown.as_bytes())?;
    Ok(Tables {
        measured: Measured::Speed(Box::new(speed)),
        markdown,
    })
}

/// What the measurements are made with.
struct Session<'a> {
    request: &'a Request,
    suite: Suite,
    workers: usize,
    turns: usize,
    progress: &'a dyn Progress,
}

impl Session<'_> {
    fn speed(&self) -> Result<Speed, Error> {
        Ok(Speed {
            format: Speed::FORMAT,
            worlds: self.worlds()?,
            batches: self.batches()?,
            schedules: self.schedules()?,
            parts: self.parts()?,
            time_to_score: self.time_to_score()?,
            date: time::OffsetDateTime::now_utc().date().to_string(),
            costate_version: env!("CARGO_PKG_VERSION").into(),
            provenance: costate_base::provenance::current(),
            machine: machine(),
            workers: self.workers,
            turns: self.turns,
        })
    }

    fn asked(&self, env: &str) -> bool {
        let envs = &self.request.envs;
        envs.is_empty() || envs.iter().any(|e| e == env)
    }

    fn go_on(&self) -> Result<(), Error> {
        match self.progress.interrupted() {
            true => Err(Error::Failure(
                "interrupted; partial measurements are not kept, nothing was written".into(),
            )),
            false => Ok(()),
        }
    }

    fn worlds(&self) -> Result<Vec<WorldRow>, Error> {
        let mut rows = Vec::new();
        for name in names().into_iter().filter(|n| self.asked(n)) {
            self.go_on()?;
            let row = WorldRow::from(timing::measure(name, self.workers, self.turns)?);
            self.progress.remark(&format!(
                "{name}: {:.0} steps/s, {}{} workers {:.2} times that",
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
        let work = self.work();
        let cells = self.suite.cells()?;
        let first_seed = cells.first().map(|c| c.seed);
        let once = |c: &&Cell| self.asked(c.env) && Some(c.seed) == first_seed;
        let mut rows = Vec::new();
        for cell in cells.iter().filter(once) {
            self.demonstrate(cell)?;
            let folder = demonstrations_folder(&work, cell.env);
            for workers in [1, self.workers] {
                self.go_on()?;
                let turns = self.turns.min(LONG_TURNS);
                rows.push(measure_parts(
                    &folder,
                    &work.join("written"),
                    workers,
                    turns,
                )?);
            }
        }
        Ok(rows)
    }

    fn work(&self) -> PathBuf {
        self.request.work.join("speed")
    }

    fn demonstrate(&self, cell: &Cell) -> Result<(), Error> {
        self.go_on()?;
        demonstrate(cell.env, cell.demonstrations, &self.work(), self.progress)
    }

    fn time_to_score(&self) -> Result<Vec<ScoreRow>, Error> {
        let work = self.work();
        let seeds = &self.request.seeds;
        let mut rows = Vec::new();
        for cell in self.suite.cells()? {
            if !self.asked(cell.env) || !(seeds.is_empty() || seeds.contains(&cell.seed)) {
                continue;
            }
            self.demonstrate(&cell)?;
            // An existing run took no time now.
            let run = work.join("runs").join(cell.name());
            if run.exists() {
                disk::remove_folder(&run)?;
            }
            let interrupt = self.progress.interrupt();
            let Some(result) = run_cell(&self.suite, &cell, &work, self.workers, interrupt)? else {
                self.go_on()?;
                continue;
            };
            let row = ScoreRow::from(&result);
            self.progress.remark(&format!(
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

/// The newest measurement.
fn newest(folder: &Path) -> Result<Tables, Error> {
    let nothing = || Error::Misuse(format!("no measurement in {}", folder.display()));
    let mut files: Vec<_> = fs::read_dir(folder)
        .map_err(|_| nothing())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    let newest = files.last().ok_or_else(nothing)?;
    let text = fs::read_to_string(newest).map_err(Error::io(newest))?;
    let value = serde_json::from_str(&text)
        .map_err(|e| Error::Failure(format!("{}: {e}", newest.display())))?;
    let table = folder.join("README.md");
    Ok(Tables {
        measured: Measured::EarlierSpeed(value),
        markdown: fs::read_to_string(&table).map_err(Error::io(&table))?,
    })
}
