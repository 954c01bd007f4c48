//! The published tables: missing entries are measured, existing ones are shown.

mod cells;
mod rows;
mod shifts;
mod speed;
mod turns;

use std::path::{Path, PathBuf};

pub use cells::Missing;
use costate_base::workers::default_workers;
use costate_envs::rollout::RolloutPool;
use serde::Serialize;
use serde_json::Value;

use super::Progress;
use crate::bench::{
    CellResult, DensityFigures, DensitySuite, ExactFigures, ExactSuite, MeasuredRow, ROW_SUITES,
    RowSuite, ShiftFigures, ShiftSuite, Speed,
};
use crate::error::Error;

/// Which benchmark, and how much of it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub suite: String,
    /// Environments, processes or densities; all without any.
    pub envs: Vec<String>,
    /// Methods; all without any.
    pub methods: Vec<String>,
    /// Numbers of demonstrations; all without any.
    pub demonstrations: Vec<usize>,
    /// Seeds; all without any.
    pub seeds: Vec<u64>,
    /// Folder of results; `benches/SUITE` by default.
    pub output: Option<PathBuf>,
    /// Folder of demonstrations and runs, kept for resuming.
    pub work: PathBuf,
    /// Cells or rows at a time, each on an equal share of the cores; by default as many as there are cores.
    pub jobs: Option<usize>,
    /// Whether to show existing results without measuring anything.
    pub show: bool,
    /// Repetitions per median of `speed`.
    pub turns: Option<usize>,
}

impl Request {
    fn folder(&self) -> PathBuf {
        match &self.output {
            Some(folder) => folder.clone(),
            None => Path::new("benches").join(&self.suite),
        }
    }

    /// Worker threads of each cell or row.
    fn workers(&self) -> usize {
        (default_workers() / self.jobs()).max(1)
    }

    /// Cells or rows at a time.
    fn jobs(&self) -> usize {
        self.jobs.unwrap_or_else(default_workers)
    }

    /// Runs all of `todo`, `jobs` at a time, until interrupted; finished items are kept.
    fn each<K: Sync>(
        &self,
        todo: &[K],
        progress: &dyn Progress,
        one: impl Fn(&K) -> Result<(), Error> + Sync,
    ) -> Result<(), Error> {
        let job = |_: &mut (), i: usize| match progress.interrupted() {
            true => Ok(()),
            false => one(&todo[i]),
        };
        let results = RolloutPool::new(self.jobs()).map(todo.len(), || (), job);
        results.into_iter().collect::<Result<Vec<()>, Error>>()?;
        match progress.interrupted() {
            false => Ok(()),
            true => Err(Error::Failure(format!(
                "interrupted; `costate bench {}` resumes where it stopped",
                self.suite
            ))),
        }
    }
}

/// Results of a benchmark.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Measured {
    /// Training runs with their evaluations.
    Cells(Vec<CellResult>),
    /// Sampled learners compared with exact ones.
    Exact(Vec<MeasuredRow<ExactFigures>>),
    /// Energies over vectors compared with known densities.
    Densities(Vec<MeasuredRow<DensityFigures>>),
    /// Runs in changed worlds.
    Shifts(Vec<MeasuredRow<ShiftFigures>>),
    /// Speed as measured now.
    Speed(Box<Speed>),
    /// Speed as measured earlier, by any version.
    EarlierSpeed(Value),
}

/// A benchmark's results, and its tables as Markdown.
#[derive(Debug)]
pub struct Tables {
    /// The results.
    pub measured: Measured,
    /// The tables.
    pub markdown: String,
}

/// The cells that [`bench()`] would measure.
///
/// Errors: an unknown suite of cells, environment, method, number of demonstrations or seed.
pub fn missing_cells(request: &Request) -> Result<Vec<Missing>, Error> {
    cells::list(request)
}

/// Measures what a benchmark lacks, unless only showing, and writes its tables.
///
/// Errors: an unknown suite, environment, method, number of demonstrations or seed; an interruption, which keeps what was measured.
pub fn bench(request: &Request, progress: &dyn Progress) -> Result<Tables, Error> {
    let is_speed = request.suite == "speed";
    let has_rows = ROW_SUITES.contains(&request.suite.as_str());
    let misplaced = [
        (
            "--demonstrations",
            (has_rows || is_speed) && !request.demonstrations.is_empty(),
        ),
        ("--methods", is_speed && !request.methods.is_empty()),
        ("--jobs", is_speed && request.jobs.is_some()),
        ("--turns", !is_speed && request.turns.is_some()),
    ];
    if let Some((option, _)) = misplaced.iter().find(|(_, given)| *given) {
        return Err(Error::Misuse(format!(
            "{option} has no meaning for `costate bench {}`; leave it out",
            request.suite
        )));
    }
    match request.suite.as_str() {
        "speed" => speed::tables(request, progress),
        ExactSuite::NAME => {
            let suite = ExactSuite::shipped()?;
            rows::tables(&suite, request, Measured::Exact, progress)
        }
        DensitySuite::NAME => {
            let suite = DensitySuite::shipped()?;
            rows::tables(&suite, request, Measured::Densities, progress)
        }
        ShiftSuite::NAME => {
            let suite = shifts::Shifts {
                suite: ShiftSuite::shipped()?,
                work: request.work.clone(),
                workers: request.workers(),
            };
            rows::tables(&suite, request, Measured::Shifts, progress)
        }
        _ => cells::tables(request, progress),
    }
}
