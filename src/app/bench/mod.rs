//! The published tables: missing entries are measured, existing ones are shown.

mod cells;
mod check;
mod rows;
mod shifts;
mod speed;
mod turns;

use std::path::{Path, PathBuf};

pub use cells::Missing;
pub use check::{Checked, Difference, Sample};
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
    fn each<K: Sync, T: Send>(
        &self,
        todo: &[K],
        progress: &dyn Progress,
        one: impl Fn(&K) -> Result<T, Error> + Sync,
    ) -> Result<Vec<T>, Error> {
        let job = |_: &mut (), i: usize| match progress.interrupted() {
            true => Ok(None),
            false => one(&todo[i]).map(Some),
        };
        let results = RolloutPool::new(self.jobs()).map(todo.len(), || (), job);
        let results = results.into_iter().collect::<Result<Vec<_>, Error>>()?;
        match progress.interrupted() {
            false => Ok(results.into_iter().flatten().collect()),
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
/// Errors: an unknown suite, environment, method, number of demonstrations or seed; a suite without cells.
pub fn missing_cells(request: &Request) -> Result<Vec<Missing>, Error> {
    match request.suite == "all" {
        true => Err(without_cells(&request.suite)),
        false => request.visit(Listing(request)),
    }
}

/// All benchmarks, in the order of `costate bench all`.
pub const ALL: [&str; 9] = [
    "results",
    "starts",
    "controls",
    "ablation",
    "controllers",
    "shifts",
    "exact",
    "ebm",
    "speed",
];

/// The benchmarks that a request asks for: its own, or every one if its suite is `all`, each with a folder of its own
/// within the request's `output`.
///
/// Errors: a selection that would have to mean something in every benchmark.
pub fn each_of(request: &Request) -> Result<Vec<Request>, Error> {
    if request.suite != "all" {
        return Ok(vec![request.clone()]);
    }
    let selected = [
        ("--envs", !request.envs.is_empty()),
        ("--methods", !request.methods.is_empty()),
        ("--demonstrations", !request.demonstrations.is_empty()),
        ("--seeds", !request.seeds.is_empty()),
    ];
    if let Some((option, _)) = selected.iter().find(|(_, given)| *given) {
        return Err(Error::Misuse(format!(
            "{option} selects within one benchmark; name it instead of `all`: {}",
            ALL.join(", ")
        )));
    }
    let one = |suite: &str| Request {
        suite: suite.into(),
        output: request.output.as_ref().map(|folder| folder.join(suite)),
        jobs: request.jobs.filter(|_| suite != "speed"),
        turns: request.turns.filter(|_| suite == "speed"),
        ..request.clone()
    };
    Ok(ALL.into_iter().map(one).collect())
}

/// Something that is done with a benchmark, whatever its kind.
trait Visitor {
    /// What comes of it.
    type Found;

    /// With cells, each a training run with its evaluation.
    fn cells(self) -> Result<Self::Found, Error>;

    /// With rows, of which `kind` makes what was measured.
    fn rows<S: RowSuite>(
        self,
        suite: &S,
        kind: fn(Vec<MeasuredRow<S::Figures>>) -> Measured,
    ) -> Result<Self::Found, Error>;

    /// With times.
    fn speed(self) -> Result<Self::Found, Error>;
}

impl Request {
    /// Errors: an option that the benchmark has no use for.
    fn check_options(&self) -> Result<(), Error> {
        let is_speed = self.suite == "speed";
        let has_rows = ROW_SUITES.contains(&self.suite.as_str());
        let misplaced = [
            (
                "--demonstrations",
                (has_rows || is_speed) && !self.demonstrations.is_empty(),
            ),
            ("--methods", is_speed && !self.methods.is_empty()),
            ("--jobs", is_speed && self.jobs.is_some()),
            ("--turns", !is_speed && self.turns.is_some()),
        ];
        match misplaced.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Error::Misuse(format!(
                "{option} has no meaning for `costate bench {}`; leave it out",
                self.suite
            ))),
        }
    }

    fn visit<V: Visitor>(&self, visitor: V) -> Result<V::Found, Error> {
        self.check_options()?;
        match self.suite.as_str() {
            "speed" => visitor.speed(),
            ExactSuite::NAME => visitor.rows(&ExactSuite::shipped()?, Measured::Exact),
            DensitySuite::NAME => visitor.rows(&DensitySuite::shipped()?, Measured::Densities),
            ShiftSuite::NAME => {
                let suite = shifts::Shifts {
                    suite: ShiftSuite::shipped()?,
                    work: self.work.clone(),
                    workers: self.workers(),
                };
                visitor.rows(&suite, Measured::Shifts)
            }
            _ => visitor.cells(),
        }
    }
}

/// Measures what is missing, and makes the tables.
struct Measuring<'a> {
    request: &'a Request,
    progress: &'a dyn Progress,
}

impl Visitor for Measuring<'_> {
    type Found = Tables;

    fn cells(self) -> Result<Tables, Error> {
        cells::tables(self.request, self.progress)
    }

    fn rows<S: RowSuite>(
        self,
        suite: &S,
        kind: fn(Vec<MeasuredRow<S::Figures>>) -> Measured,
    ) -> Result<Tables, Error> {
        rows::tables(suite, self.request, kind, self.progress)
    }

    fn speed(self) -> Result<Tables, Error> {
        speed::tables(self.request, self.progress)
    }
}

/// Names the cells that are missing.
struct Listing<'a>(&'a Request);

impl Visitor for Listing<'_> {
    type Found = Vec<Missing>;

    fn cells(self) -> Result<Vec<Missing>, Error> {
        cells::list(self.0)
    }

    fn rows<S: RowSuite>(
        self,
        _: &S,
        _: fn(Vec<MeasuredRow<S::Figures>>) -> Measured,
    ) -> Result<Vec<Missing>, Error> {
        Err(without_cells(&self.0.suite))
    }

    fn speed(self) -> Result<Vec<Missing>, Error> {
        Err(without_cells(&self.0.suite))
    }
}

fn without_cells(suite: &str) -> Error {
    let others = |name: &&str| *name != "speed" && !ROW_SUITES.contains(name);
    let with: Vec<&str> = ALL.into_iter().filter(others).collect();
    Error::Misuse(format!(
        "--list names missing cells, and `costate bench {suite}` has no list of them; of one of these it gives one: {}",
        with.join(", ")
    ))
}

/// Measures what a benchmark lacks, unless only showing, and writes its tables.
///
/// Errors: an unknown suite, environment, method, number of demonstrations or seed; an interruption, which keeps what was measured.
pub fn bench(request: &Request, progress: &dyn Progress) -> Result<Tables, Error> {
    request.visit(Measuring { request, progress })
}

/// Measures some of what a benchmark has kept once more, and compares bit for bit. Nothing that is kept changes.
///
/// Errors: those of [`bench()`]; a benchmark of times.
pub fn check(
    request: &Request,
    sample: Sample,
    progress: &dyn Progress,
) -> Result<Vec<Checked>, Error> {
    check::check(request, sample, progress)
}
