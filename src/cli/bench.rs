//! `costate bench`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use costate_base::disk;
use costate_demos::experts::ExpertDesign;
use costate_demos::record::Plan;
use costate_envs::EnvConfig;
use costate_envs::rollout::{ActionChoice, RolloutPool};

use super::common::{Demonstrations, Output, interrupt_flag};
use super::evaluate::{Plan as EvaluationPlan, evaluate_run};
use super::record::record;
use super::rows;
use super::speed;
use super::train::{Request, new_run, work};
use super::validate::validate;
use crate::bench::rows::RowSuite;
use crate::bench::{
    Cell, CellResult, ControllersResult, CostMetrics, DensitySuite, ExactSuite, FreshResult,
    Milestone, Suite, Trust, markdown, trust,
};
use crate::error::Error;
use crate::evaluate::{FRESH, Options, episodes};
use crate::report::{Multiple, trust_svg};
use crate::run::{Algo, RunConfig, RunFolder, files};

/// Episodes that a learned policy is evaluated in.
const EPISODES: usize = 100;
/// Their seed.
const EVALUATION_SEED: u64 = 1000;

/// Arguments of `costate bench`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate bench results
  costate bench results --envs pendulum,point_maze --methods bc,gan-gcl --seeds 0
  costate bench ablation --jobs 2
  costate bench exact --envs pendulum --jobs 2
  costate bench results --show
  costate bench speed --turns 5 --envs hopper,cart_pole")]
pub struct Args {
    /// results: every learner on twelve worlds; ablation: what each ingredient of GAN-GCL buys; controllers: guided cost
    /// learning as first published beside its heirs; exact: sampled learners where the answer is known; ebm: energies over
    /// vectors beside known densities; speed: steps and rollouts beside the bare physics, and time to expert level.
    pub(super) suite: String,
    /// Environments (exact: processes; ebm: densities), with commas between them [default: the suite's].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(super) envs: Vec<String>,
    /// Methods, with commas between them [default: the suite's].
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    pub(super) methods: Vec<String>,
    /// Seeds, with commas between them [default: the suite's].
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub(super) seeds: Vec<u64>,
    /// Folder of results, a JSON file a cell, with the table beside them [default: benches/SUITE].
    #[arg(short = 'o', long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,
    /// Folder of demonstrations and runs, kept to go on from.
    #[arg(long, value_name = "DIR", default_value = "runs/bench")]
    pub(super) work: PathBuf,
    /// Cells at a time, each on an equal share of the cores; seconds then say less.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: u16,
    /// Show what is there and run nothing.
    #[arg(long)]
    pub(super) show: bool,
    /// Turns behind every median of `speed` [default: 15].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) turns: Option<u16>,
}

impl Args {
    /// Cells at a time.
    pub(super) fn jobs(&self) -> usize {
        self.jobs.into()
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let misplaced = |option: &str| {
        Err(Error::Misuse(format!(
            "{option} has no meaning for `costate bench {}`; leave it out",
            args.suite
        )))
    };
    if args.suite == "speed" {
        if !args.methods.is_empty() {
            return misplaced("--methods");
        }
        if args.jobs != 1 {
            return misplaced("--jobs");
        }
        return speed::run(&args, output);
    }
    if args.turns.is_some() {
        return misplaced("--turns");
    }
    match args.suite.as_str() {
        ExactSuite::NAME => return rows::run(&ExactSuite::shipped()?, &args, output),
        DensitySuite::NAME => return rows::run(&DensitySuite::shipped()?, &args, output),
        _ => {}
    }
    let whole = Suite::named(&args.suite)?;
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("benches").join(&args.suite));
    let asked = whole
        .clone()
        .restricted(&args.envs, &args.methods, &args.seeds)?;
    if !args.show {
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        run_cells(&asked, &folder, &args, output)?;
    }
    let results = whole
        .cells()?
        .into_iter()
        .map(|cell| Ok((cell.clone(), current(&whole, &cell, &folder)?)))
        .collect::<Result<Vec<_>, Error>>()?;
    let there: Vec<CellResult> = results.iter().filter_map(|(_, r)| r.clone()).collect();
    let all = trust::trust(&there);
    let table = markdown(&whole, &results) + &trust::markdown(&all);
    if !args.show {
        files::write_atomic(&folder.join("README.md"), table.as_bytes())?;
        if let Some(picture) = trust_picture(&all) {
            files::write_atomic(&folder.join("trust.svg"), picture.as_bytes())?;
        }
    }
    output.result(&there, || table)
}

/// Fresh policies' scores over every figure of their costs; `None` with too few cells.
fn trust_picture(all: &[Trust]) -> Option<String> {
    let mut groups: Vec<String> = Vec::new();
    for point in all.iter().flat_map(|t| &t.points) {
        if !groups.contains(&point.algo) {
            groups.push(point.algo.clone());
        }
    }
    let multiple = |t: &Trust| Multiple {
        title: t.metric.into(),
        points: t
            .points
            .iter()
            .map(|p| {
                let group = groups.iter().position(|g| *g == p.algo).unwrap_or(0);
                (group, p.metric, p.score)
            })
            .collect(),
    };
    let multiples: Vec<Multiple> = all.iter().map(multiple).collect();
    let enough = multiples.iter().any(|m| m.points.len() >= 3);
    let title = "Score of a fresh policy on the frozen cost";
    enough.then(|| trust_svg(title, &groups, &multiples))
}

/// The result of a cell, if it is there and was made with today's settings and model.
fn current(suite: &Suite, cell: &Cell, folder: &Path) -> Result<Option<CellResult>, Error> {
    let Some(result) = CellResult::read(&cell.file(folder))? else {
        return Ok(None);
    };
    let fresh = result.fresh.as_ref().map(|f| &f.settings);
    let validation = suite.validation(cell)?;
    let same = result.settings == cell.algo()?
        && result.env_digest == env_digest(cell.env)?
        && (fresh.is_none() || fresh == validation.as_ref());
    Ok(same.then_some(result))
}

/// Whether a result lacks what its run can still give: fresh policies, or figures of its cost.
fn incomplete(suite: &Suite, cell: &Cell, result: &CellResult) -> Result<bool, Error> {
    let unjudged = result.spearman.is_some() && result.metrics.is_none();
    Ok(unjudged || (result.fresh.is_none() && suite.validation(cell)?.is_some()))
}

/// A digest of an environment's whole shipped model.
fn env_digest(env: &str) -> Result<String, Error> {
    let config = EnvConfig::named(env)?;
    let text = serde_json::to_string(&config).map_err(|e| Error::Failure(e.to_string()))?;
    Ok(disk::sha256(text.as_bytes()))
}

fn run_cells(suite: &Suite, folder: &Path, args: &Args, output: Output) -> Result<(), Error> {
    let interrupt = interrupt_flag()?;
    let mut cells = Vec::new();
    for cell in suite.cells()? {
        let wanted = match current(suite, &cell, folder)? {
            None => true,
            Some(result) => incomplete(suite, &cell, &result)?,
        };
        if wanted {
            cells.push(cell);
        }
    }
    let workers = (costate_base::workers::default_workers() / args.jobs()).max(1);
    let most = suite.groups().map(|(count, _)| count).max().unwrap_or(0);
    let envs: BTreeSet<&str> = cells.iter().map(|c| c.env).collect();
    for env in envs {
        demonstrate(env, most, &args.work, &interrupt, output)?;
    }
    output.remark(&format!("{} cells to run", cells.len()));
    let done = Mutex::new(0);
    let began = Instant::now();
    let one = |_: &mut (), i: usize| -> Result<(), Error> {
        if interrupt.load(Ordering::Relaxed) {
            return Ok(());
        }
        let cell = &cells[i];
        let Some(result) = run_cell(suite, cell, &args.work, workers, &interrupt)? else {
            return Ok(());
        };
        result.write(&cell.file(folder))?;
        if let Ok(mut done) = done.lock() {
            *done += 1;
            output.remark(&format!(
                "{done} of {} in {:.0} s: {} score {:.3}, learned in {:.0} s",
                cells.len(),
                began.elapsed().as_secs_f64(),
                cell.name(),
                result.normalized_score,
                result.seconds
            ));
        }
        Ok(())
    };
    let results = RolloutPool::new(args.jobs()).map(cells.len(), || (), one);
    results.into_iter().collect::<Result<Vec<()>, Error>>()?;
    match interrupt.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::Failure(format!(
            "interrupted; `costate bench {}` goes on where it stopped",
            args.suite
        ))),
    }
}

pub(super) fn demonstrations_folder(work: &Path, env: &str) -> PathBuf {
    work.join("demonstrations").join(env)
}

/// Records what all cells of an environment learn from: the first episodes of its best expert, seed 0.
pub(super) fn demonstrate(
    env: &str,
    count: usize,
    work: &Path,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<(), Error> {
    let folder = demonstrations_folder(work, env);
    let factory = EnvConfig::named(env)?.factory()?;
    if folder.join("meta.json").exists() {
        let there = Demonstrations::open(&folder)?;
        let same = there.dataset.meta().env == *factory.config();
        if same && there.dataset.episodes().len() >= count {
            return Ok(());
        }
        fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    let expert = ExpertDesign::new(&factory, None, None)?;
    output.remark(&format!("recording {count} demonstrations of {env}"));
    let plan = Plan {
        episodes: count,
        seed: 0,
        workers: costate_base::workers::default_workers(),
    };
    let meta = record(&folder, &factory, &expert, plan, interrupt, output)?;
    match meta.episodes.len() == count {
        true => Ok(()),
        false => Err(Error::Failure("interrupted while recording".into())),
    }
}

/// Mean true return, in the episodes of the evaluation, of the expert that gave the demonstrations. Their own
/// mean would make the luck of 25 starts part of every score. Measured once, kept beside them.
fn expert_return(env: &str, work: &Path) -> Result<f64, Error> {
    let file = demonstrations_folder(work, env).join("expert_return.json");
    let read = || -> Option<f64> { serde_json::from_slice(&fs::read(&file).ok()?).ok() };
    if let Some(mean) = read() {
        return Ok(mean);
    }
    let factory = EnvConfig::named(env)?.factory()?;
    let expert = ExpertDesign::new(&factory, None, None)?;
    let plan = Plan {
        episodes: EPISODES,
        seed: EVALUATION_SEED,
        workers: costate_base::workers::default_workers(),
    };
    let start = |i| episodes::start(EVALUATION_SEED, i);
    let mean = costate_demos::expert_return(&factory, &expert, plan, start)?.mean;
    let text = serde_json::to_vec(&mean).map_err(|e| Error::Failure(e.to_string()))?;
    files::write_atomic(&file, &text)?;
    Ok(mean)
}

/// Trains (or goes on), validates and evaluates; `None` if interrupted.
pub(super) fn run_cell(
    suite: &Suite,
    cell: &Cell,
    work_folder: &Path,
    workers: usize,
    interrupt: &AtomicBool,
) -> Result<Option<CellResult>, Error> {
    let quiet = Output {
        json: false,
        quiet: true,
    };
    let demos = demonstrations_folder(work_folder, cell.env);
    let demonstrations = Demonstrations::open(&demos)?;
    let path = work_folder.join("runs").join(cell.name());
    let algo = cell.algo()?;
    let request = Request {
        demos: &demos,
        demonstrations: Some(cell.demonstrations),
        algo: algo.clone(),
        folder: &path,
        seed: cell.seed,
        checkpoint_every: 20,
    };
    let run = match RunConfig::read(&path) {
        Ok(old) if old.algo == algo && old.env == demonstrations.dataset.meta().env => {
            RunFolder::open(&path)?
        }
        _ => {
            if path.exists() {
                fs::remove_dir_all(&path).map_err(Error::io(&path))?;
            }
            new_run(request, &demonstrations)?
        }
    };
    let factory = &demonstrations.factory;
    let worked = work(
        &run,
        factory,
        Some(&demonstrations),
        workers,
        interrupt,
        quiet,
    )?;
    if !worked.finished {
        return Ok(None);
    }
    let frozen = match suite.validation(cell)? {
        Some(settings) => {
            match validate(&run, &demonstrations, &settings, workers, interrupt, quiet)? {
                Some(found) => Some((settings, found)),
                None => return Ok(None),
            }
        }
        None => None,
    };
    let plan = EvaluationPlan {
        options: Options {
            episodes: EPISODES,
            seed: EVALUATION_SEED,
            robustness: false,
            workers: RolloutPool::new(workers).into(),
        },
        choice: ActionChoice::Sample,
    };
    let evaluation = evaluate_run(&run, &demonstrations, None, plan, quiet)?;
    let expert_return = expert_return(cell.env, work_folder)?;
    let random_return = evaluation.random_return;
    let score = |x: f64| (x - random_return) / (expert_return - random_return);
    let reached = |x: f64| score(x) >= 0.95;
    let fresh_row = evaluation.rows.iter().find(|r| r.policy == FRESH);
    let fresh = frozen
        .zip(fresh_row)
        .map(|((settings, frozen), row)| FreshResult {
            settings,
            normalized_score: score(row.mean_return),
            mean_return: row.mean_return,
            relative_return: (row.mean_return - expert_return) / expert_return.abs().max(1e-9),
            delta: frozen.best().delta,
            verdict: frozen.verdict,
            seconds: frozen.seconds,
            steps: frozen.steps,
        });
    let row = evaluation.rows.iter().rfind(|r| r.policy == algo.name());
    let solved = row.and_then(|r| r.success_rate);
    let to_95 = match algo {
        // Cloning acts only once it is done.
        Algo::Bc(_) | Algo::Ibc(_) => reached(evaluation.policy_return.mean).then_some(Milestone {
            steps: 0,
            seconds: worked.done.seconds,
        }),
        _ => run.metrics()?.iter().find_map(|line| {
            let get = |name: &str| line.get(name).and_then(serde_json::Value::as_f64);
            reached(get("true_return")?).then_some(Milestone {
                steps: get("env_steps")? as u64,
                seconds: get("seconds")?,
            })
        }),
    };
    Ok(Some(CellResult {
        format: CellResult::FORMAT,
        env: cell.env.into(),
        env_digest: env_digest(cell.env)?,
        method: cell.method.name.clone(),
        algo: algo.name().into(),
        settings: algo,
        demonstrations: cell.demonstrations,
        seed: cell.seed,
        normalized_score: score(evaluation.policy_return.mean),
        mean_return: evaluation.policy_return.mean,
        demonstrations_return: evaluation.expert_return,
        expert_return,
        random_return,
        seconds: worked.done.seconds,
        steps: worked.done.env_steps,
        to_95,
        solved,
        controllers: controllers(&run, &demonstrations, random_return)?,
        fresh,
        spearman: evaluation.cost.as_ref().and_then(|c| c.spearman),
        epic: evaluation.cost.as_ref().and_then(|c| c.epic),
        metrics: evaluation.cost.as_ref().map(CostMetrics::of),
        workers,
        machine: machine(),
        costate_version: env!("CARGO_PKG_VERSION").into(),
        provenance: costate_base::provenance::current(),
    }))
}

/// What the controllers of a run came to in its last rollouts; `None` for a run without any.
fn controllers(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    random_return: f64,
) -> Result<Option<ControllersResult>, Error> {
    let Algo::GclLqg(settings) = &run.config().algo else {
        return Ok(None);
    };
    let metrics = run.metrics()?;
    let get = |name: &str| metrics.last()?.get(name)?.as_f64();
    let Some(mean_return) = get("true_return") else {
        return Ok(None);
    };
    let returns: Vec<f64> = (demonstrations.dataset.episodes().iter())
        .take(settings.conditions)
        .map(|e| e.true_return())
        .collect();
    let demonstrated_return = returns.iter().sum::<f64>() / returns.len() as f64;
    Ok(Some(ControllersResult {
        normalized_score: (mean_return - random_return) / (demonstrated_return - random_return),
        mean_return,
        demonstrated_return,
        solved: get("solved"),
    }))
}

/// The processor's name and the number of cores.
pub(super) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    format!("{name}, {} cores", costate_base::workers::default_workers())
}
