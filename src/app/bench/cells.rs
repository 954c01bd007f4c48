//! Benchmarks of training runs: a cell is one run with its evaluation.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use costate_base::disk;
use costate_demos::derive::set_aside;
use costate_demos::experts::ExpertDesign;
use costate_demos::record::Plan;
use costate_demos::{DatasetError, DatasetReader};
use costate_envs::EnvConfig;
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::evaluate::evaluate_run;
use super::super::protocol::Protocol;
use super::super::runs::{Imitation, Worked, work};
use super::super::train::Shown;
use super::super::{Demonstrations, Progress, record, validate};
use super::turns::alone;
use super::{Measured, Request, Tables};
use crate::bench::{
    Cell, CellResult, ControllersResult, CostMetrics, FreshResult, Milestone, PartResult,
    PartsResult, Suite, env_digest, few, longest_first, machine, markdown, trust,
};
use crate::error::Error;
use crate::evaluate::{Controls, Evaluation, FRESH, Frozen, Validation, episodes};
use crate::learners::frozen_cost::ValidationSettings;
use crate::learners::gcl_lqg::GclLqgSettings;
use crate::metric::Metric;
use crate::run::{RunConfig, RunFolder, files};

/// The tables of a suite.
pub fn tables(request: &Request, progress: &dyn Progress) -> Result<Tables, Error> {
    let whole = Suite::named(&request.suite)?;
    let folder = request.folder();
    let asked = asked(&whole, request)?;
    if !request.show {
        disk::create_folders(&folder)?;
        run_cells(&asked, &folder, request, progress)?;
    }
    let results = whole
        .cells()?
        .into_iter()
        .map(|cell| Ok((cell.clone(), CellResult::current(&whole, &cell, &folder)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let there: Vec<CellResult> = results.iter().filter_map(|(_, r)| r.clone()).collect();
    let trusted = trust(&there);
    let few = few::picture(&whole, &results);
    let mut markdown = markdown(&whole, &results) + &trusted.markdown();
    if few.is_some() {
        markdown += &format!(
            "\n![Normalised score against the number of demonstrations, a line per method with 95 % intervals]({})\n",
            few::PICTURE
        );
    }
    if !request.show {
        files::write_atomic(&folder.join("README.md"), markdown.as_bytes())?;
        if let Some(picture) = trusted.picture() {
            files::write_atomic(&folder.join("trust.svg"), picture.as_bytes())?;
        }
        if let Some(picture) = few {
            files::write_atomic(&folder.join(few::PICTURE), picture.as_bytes())?;
        }
    }
    Ok(Tables {
        measured: Measured::Cells(there),
        markdown,
    })
}

/// A cell that has no complete result yet.
#[derive(Debug, Serialize)]
pub struct Missing {
    env: String,
    method: String,
    demonstrations: usize,
    seed: u64,
}

/// What [`tables`] would measure.
pub fn list(request: &Request) -> Result<Vec<Missing>, Error> {
    let asked = asked(&Suite::named(&request.suite)?, request)?;
    let cells = missing(&asked, &request.folder())?.into_iter();
    let described = cells.map(|cell| Missing {
        env: cell.env.into(),
        method: cell.method.name.clone(),
        demonstrations: cell.demonstrations,
        seed: cell.seed,
    });
    Ok(described.collect())
}

/// The part of a suite that is asked for.
pub(super) fn asked(whole: &Suite, request: &Request) -> Result<Suite, Error> {
    whole
        .clone()
        .restricted(&request.envs, &request.methods, &request.seeds)?
        .with_demonstrations(&request.demonstrations)
}

/// The cells without a complete result of the suite's settings.
fn missing<'a>(suite: &'a Suite, folder: &Path) -> Result<Vec<Cell<'a>>, Error> {
    let mut cells = Vec::new();
    for cell in suite.cells()? {
        let wanted = match CellResult::current(suite, &cell, folder)? {
            None => true,
            Some(result) => result.is_incomplete(suite, &cell)?,
        };
        if wanted {
            cells.push(cell);
        }
    }
    Ok(cells)
}

fn run_cells(
    suite: &Suite,
    folder: &Path,
    request: &Request,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut cells = missing(suite, folder)?;
    longest_first(suite, &mut cells, folder)?;
    let workers = request.workers();
    demonstrate_all(suite, &cells, &request.work, progress)?;
    progress.remark(&format!("{} cells to run", cells.len()));
    let done = Mutex::new(0);
    let began = Instant::now();
    let measured = request.each(&cells, progress, |cell| {
        let found = run_cell(suite, cell, &request.work, workers, progress.interrupt())?;
        let Some(mut result) = found else {
            return Ok(());
        };
        result.jobs = request.jobs();
        result.write(&cell.file(folder))?;
        if let Ok(mut done) = done.lock() {
            *done += 1;
            progress.remark(&format!(
                "{done} of {} in {:.0} s: {} score {:.3}, learned in {:.0} s",
                cells.len(),
                began.elapsed().as_secs_f64(),
                cell.name(),
                result.normalized_score,
                result.seconds
            ));
        }
        Ok(())
    });
    measured.map(drop)
}

/// Records what some of a suite's cells learn from.
pub(super) fn demonstrate_all<'a>(
    suite: &Suite,
    cells: impl IntoIterator<Item = &'a Cell<'a>>,
    work: &Path,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let most = suite.groups().map(|(count, _)| count).max().unwrap_or(0);
    let envs: BTreeSet<&str> = cells.into_iter().map(|c| c.env).collect();
    for env in envs {
        demonstrate(env, most, work, progress)?;
    }
    Ok(())
}

/// Folder of an environment's demonstrations.
pub fn demonstrations_folder(work: &Path, env: &str) -> PathBuf {
    work.join("demonstrations").join(env)
}

/// Records what all cells of an environment learn from: the first episodes of its best expert, seed 0.
pub fn demonstrate(
    env: &str,
    count: usize,
    work: &Path,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let workers = costate_base::workers::default_workers();
    let folder = demonstrations_folder(work, env);
    let request = record::Request::new(env, &folder, count, 0, workers);
    recorded(&request, progress).map(|_| ())
}

/// The folder of a new dataset's request: recorded now, unless it holds as many episodes of the same world.
pub(super) fn recorded(
    request: &record::Request,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let record::Target::New {
        env,
        folder: Some(folder),
    } = &request.target
    else {
        return Err(Error::Failure("not a new dataset with a folder".into()));
    };
    alone(folder, || {
        record_unless_there(request, env, folder, progress)
    })
}

fn record_unless_there(
    request: &record::Request,
    env: &str,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let count = request.episodes.unwrap_or(0);
    if folder.join("meta.json").exists() {
        let enough = match DatasetReader::open(folder) {
            Ok(there) => {
                let asked = request.world.config(env)?.factory()?;
                there.meta().env == *asked.config() && there.meta().episodes.len() >= count
            }
            // Interrupted within the first.
            Err(DatasetError::NoEpisodes(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if enough {
            return Ok(folder.to_owned());
        }
        disk::remove_folder(&set_aside(folder)?)?;
    }
    progress.remark(&format!("recording {count} demonstrations of {env}"));
    match record::record(request, progress)?.missing {
        0 => Ok(folder.to_owned()),
        _ => Err(Error::Failure("interrupted while recording".into())),
    }
}

/// Mean true return of the demonstrations' expert in the evaluation episodes. The demonstrations' own
/// mean would add the luck of 25 starts to every score. Measured once, stored beside them.
fn expert_return(env: &str, work: &Path, protocol: Protocol) -> Result<f64, Error> {
    let file = demonstrations_folder(work, env).join("expert_return.json");
    alone(&file, || match read_number(&file) {
        Some(mean) => Ok(mean),
        None => measure_expert(env, &file, protocol),
    })
}

fn read_number(file: &Path) -> Option<f64> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn measure_expert(env: &str, file: &Path, protocol: Protocol) -> Result<f64, Error> {
    let factory = EnvConfig::named(env)?.factory()?;
    let expert = ExpertDesign::new(&factory, None, None)?;
    let plan = Plan {
        episodes: protocol.episodes,
        seed: protocol.seed,
        workers: costate_base::workers::default_workers(),
    };
    let start = |i| episodes::start(protocol.seed, i);
    let mean = costate_demos::expert_return(&factory, &expert, plan, start)?.mean;
    let text = serde_json::to_vec(&mean).map_err(|e| Error::Failure(e.to_string()))?;
    files::write_atomic(file, &text)?;
    Ok(mean)
}

/// Trains (or resumes), validates and evaluates without output; `None` if interrupted.
pub fn run_cell(
    suite: &Suite,
    cell: &Cell,
    work_folder: &Path,
    workers: usize,
    interrupt: &AtomicBool,
) -> Result<Option<CellResult>, Error> {
    let demos = demonstrations_folder(work_folder, cell.env);
    let demonstrations = Demonstrations::open(&demos)?;
    let path = work_folder.join("runs").join(cell.name());
    let run = run_of(cell, &demos, &demonstrations, &path)?;
    let worked = work(&run, Some(&demonstrations), workers, None, interrupt)?;
    if !worked.finished {
        return Ok(None);
    }
    let settings = suite.validation(cell)?;
    let mut validation = None;
    if let Some(settings) = settings {
        let request = validate::Request::of(&run, &demonstrations, &settings, workers);
        let Some(found) = validate::validate(&request, interrupt)? else {
            return Ok(None);
        };
        validation = Some((settings, found));
    }
    let protocol = Protocol::published(workers);
    // Takes seconds, not worth losing the cell for: not interruptible.
    let never = AtomicBool::new(false);
    let evaluation = evaluate_run(&run, &demonstrations, protocol, &never)?;
    let scale = Scale {
        one: expert_return(cell.env, work_folder, protocol)?,
        zero: evaluation.random_return,
    };
    // The run may be older than the suite's settings of the validation.
    let algo = cell.algo()?;
    let metrics = run.metrics()?;
    let own = evaluation.rows.iter().rfind(|r| r.policy == algo.name());
    let cost = evaluation.cost.as_ref();
    Ok(Some(CellResult {
        format: CellResult::FORMAT,
        env: cell.env.into(),
        env_digest: env_digest(cell.env)?,
        method: cell.method.name.clone(),
        algo: algo.name().into(),
        demonstrations: cell.demonstrations,
        seed: cell.seed,
        normalized_score: scale.score(evaluation.policy_return.mean),
        mean_return: evaluation.policy_return.mean,
        demonstrations_return: evaluation.expert_return,
        expert_return: scale.one,
        random_return: scale.zero,
        seconds: worked.done.seconds,
        steps: worked.done.env_steps,
        to_95: expert_level(&worked, &metrics, &evaluation, scale),
        solved: own.and_then(|r| r.success_rate),
        kept_start: last(&metrics, Metric::KeptStart.key()).is_some_and(|kept| kept != 0.0),
        controllers: controllers(&run, &metrics, &demonstrations, scale.zero),
        fresh: validation.and_then(|v| fresh(v, &evaluation, scale)),
        spearman: cost.and_then(|c| c.spearman),
        epic: cost.and_then(|c| c.epic),
        metrics: cost.map(CostMetrics::of),
        workers,
        jobs: 1,
        machine: machine(),
        costate_version: env!("CARGO_PKG_VERSION").into(),
        provenance: costate_base::provenance::current(),
        settings: algo,
    }))
}

/// The run of a cell in `path`: the existing one, or a new one if it learned with other settings.
pub(super) fn run_of(
    cell: &Cell,
    demos: &Path,
    demonstrations: &Demonstrations,
    path: &Path,
) -> Result<RunFolder, Error> {
    let algo = cell.algo()?;
    if let Ok(old) = RunConfig::read(path)
        && old.algo.without_validation() == algo.without_validation()
        && old.env == demonstrations.dataset.meta().env
    {
        return RunFolder::open(path);
    }
    if path.exists() {
        disk::remove_folder(path)?;
    }
    let shown = Shown {
        folder: demos.to_owned(),
        count: Some(cell.demonstrations),
        ..Shown::default()
    };
    let imitation = Imitation {
        demos: &shown,
        algo,
        folder: path,
        seed: cell.seed,
        checkpoint_every: Some(20),
    };
    imitation.create(demonstrations)
}

/// Mean returns that define scores of 1 and 0.
#[derive(Clone, Copy)]
struct Scale {
    one: f64,
    zero: f64,
}

impl Scale {
    fn score(self, mean_return: f64) -> f64 {
        (mean_return - self.zero) / (self.one - self.zero)
    }
}

/// A quantity of the last iteration.
fn last(metrics: &[Map<String, Value>], name: &str) -> Option<f64> {
    metrics.last()?.get(name)?.as_f64()
}

/// When the training rollouts first reached a score of 0.95.
fn expert_level(
    worked: &Worked,
    metrics: &[Map<String, Value>],
    evaluation: &Evaluation,
    scale: Scale,
) -> Option<Milestone> {
    let reached = |mean_return| scale.score(mean_return) >= 0.95;
    // Cloning acts only once it is done.
    if worked.done.env_steps == 0 {
        let seconds = worked.done.seconds;
        let done = Milestone { steps: 0, seconds };
        return reached(evaluation.policy_return.mean).then_some(done);
    }
    metrics.iter().find_map(|line| {
        let get = |name: &str| line.get(name).and_then(Value::as_f64);
        reached(get("true_return")?).then_some(Milestone {
            steps: get("env_steps")? as u64,
            seconds: get("seconds")?,
        })
    })
}

/// Score of the kept fresh policy in the evaluation episodes.
fn fresh(
    (settings, validation): (ValidationSettings, Validation),
    evaluation: &Evaluation,
    scale: Scale,
) -> Option<FreshResult> {
    let row = evaluation.rows.iter().find(|r| r.policy == FRESH)?;
    let Validation { frozen, controls } = validation;
    Some(FreshResult {
        settings,
        normalized_score: scale.score(row.mean_return),
        mean_return: row.mean_return,
        relative_return: (row.mean_return - scale.one) / scale.one.abs().max(1e-9),
        delta: frozen.best().delta,
        verdict: frozen.verdict,
        seconds: frozen.seconds,
        steps: frozen.steps,
        controls: of_parts(&controls, scale),
    })
}

/// Scores of the kept fresh policies on a cost's parts; `None` if there are none.
fn of_parts(controls: &Controls, scale: Scale) -> Option<PartsResult> {
    let part = |frozen: &Frozen| {
        let best = frozen.best();
        PartResult {
            normalized_score: scale.score(best.mean_return),
            mean_return: best.mean_return,
            delta: best.delta,
        }
    };
    Some(PartsResult {
        base_alone: part(controls.base_alone.as_ref()?),
        without_base: part(controls.without_base.as_ref()?),
        standing: controls.standing,
    })
}

/// Score of a run's controllers in its last rollouts; `None` for a run without any.
fn controllers(
    run: &RunFolder,
    metrics: &[Map<String, Value>],
    demonstrations: &Demonstrations,
    random_return: f64,
) -> Option<ControllersResult> {
    let settings = run.config().algo.settings::<GclLqgSettings>()?;
    let mean_return = last(metrics, "true_return")?;
    let returns: Vec<f64> = (demonstrations.dataset.episodes().iter())
        .take(settings.conditions)
        .map(|e| e.true_return())
        .collect();
    let demonstrated_return = returns.iter().sum::<f64>() / returns.len() as f64;
    Some(ControllersResult {
        normalized_score: (mean_return - random_return) / (demonstrated_return - random_return),
        mean_return,
        demonstrated_return,
        solved: last(metrics, "solved"),
    })
}
