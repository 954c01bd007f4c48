//! `costate train`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use costate_envs::EnvFactory;
use serde_json::json;

use super::common::{Demonstrations, Output, interrupt_flag, parse_override, shown, workers};
use super::ui::{Counter, describe_metrics, number, table};
use super::validate::{describe, validate};
use super::{diagnose, rl};
use crate::audit;
use crate::diagnose::{remark_on_ess, remark_on_lengths};
use crate::error::Error;
use crate::learners::Task;
use crate::lengths::Lengths;
use crate::run::change::changed;
use crate::run::settings::{self, Override};
use crate::run::train::{Outcome, train};
use crate::run::{Algo, DemonstrationsRef, Progress, RunConfig, RunFolder, config};
use crate::shell;

/// Arguments of `costate train`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate train datasets/pendulum-energy --algo gan-gcl
  costate train swing --algo airl --print-config
  costate train swing --algo gan-gcl --set iterations=40 --set ppo.clip=0.1 --seed 2 -o swing-run
  costate train --algo rl --env cart_pole --variant long_pole --cost runs/upright:1.0,runs/centred:0.5
  costate train --resume -o swing-run
  costate train --resume -o swing-run --set iterations=200")]
pub struct Args {
    /// Dataset folder; with --resume the run's own by default.
    #[arg(required_unless_present_any = ["resume", "print_config", "cost"])]
    pub(super) demos: Option<PathBuf>,
    /// Algorithm: gan-gcl, gcl, gcl-lqg, airl, gail, dagger, bc or ibc; or rl, which minimises the cost given with --cost.
    #[arg(long, value_name = "NAME")]
    algo: Option<String>,
    /// What rl minimises: runs with learned costs, cost.safetensors files, formulas between braces, as
    /// {cart_position^2}, and `true`, each with its weight; may be repeated. A path that holds a comma or a colon goes
    /// between quotes: '"a,b":0.5'.
    #[arg(long, value_name = "WHAT:WEIGHT,…", allow_hyphen_values = true)]
    pub(super) cost: Vec<String>,
    /// World for rl where there are no demonstrations.
    #[arg(long, value_name = "ENV", requires = "cost")]
    pub(super) env: Option<String>,
    /// A named set of parameters of that world; several apply in order.
    #[arg(long, value_name = "NAME", requires = "env")]
    pub(super) variant: Vec<String>,
    /// A JSON model file instead of that world's own.
    #[arg(long, value_name = "FILE", requires = "env")]
    pub(super) model: Option<PathBuf>,
    /// Learn from the first N demonstrations only [default: all].
    #[arg(short = 'n', long, value_name = "N")]
    pub(super) demonstrations: Option<usize>,
    /// Run folder to create [default: runs/ENV-ALGO-SEED].
    #[arg(short = 'o', long, value_name = "RUN")]
    pub(super) output: Option<PathBuf>,
    /// JSON file of settings that differ from the defaults; with --resume from the run's own.
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Change one setting; with --resume from the next iteration on, where the checkpoint allows it.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    pub(super) set: Vec<Override>,
    /// Seed of every random stream [default: 0].
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Iterations between checkpoints [default: 10; with --resume as before].
    #[arg(long, value_name = "N")]
    pub(super) checkpoint_every: Option<usize>,
    /// Print every setting with its value and its meaning, and stop. With demonstrations these are
    /// the settings for their environment.
    #[arg(long, requires = "algo", conflicts_with = "resume")]
    print_config: bool,
    /// Go on from the last checkpoint of the run given with -o; a finished one with more --set iterations=N.
    #[arg(long, requires = "output")]
    resume: bool,
}

/// Iterations between checkpoints where nobody says.
pub(super) const CHECKPOINT_EVERY: usize = 10;

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    if args.print_config {
        return print_config(&args, output);
    }
    check_interval(args.checkpoint_every)?;
    let workers = workers(args.workers)?;
    let interrupt = interrupt_flag()?;
    let (run, demonstrations) = if args.resume {
        reopen(&args)?
    } else {
        create(&args)?
    };
    let factory = run.config().env.factory()?;
    if let Some(remark) = remark_on_lengths(run.config()) {
        output.remark(&remark);
    }
    let demonstrations = demonstrations.as_ref();
    let mut progress = work(&run, &factory, demonstrations, workers, &interrupt, output)?;
    let (path, place) = (run.path().display(), shell::path(run.path()));
    let findings = match progress.finished {
        true => diagnose::of(&run)?,
        false => Vec::new(),
    };
    let learned = progress.finished;
    let mut frozen = None;
    if let Algo::GanGcl(s) = &run.config().algo
        && let Some(demonstrations) = demonstrations
        && progress.finished
    {
        frozen = validate(
            &run,
            demonstrations,
            &s.validation,
            workers,
            &interrupt,
            output,
        )?;
        progress.finished = frozen.is_some() || s.validation.plan().is_empty();
    }
    let summary = json!({
        "run": shown(run.path()),
        "env": run.config().env.name,
        "algo": run.config().algo.name(),
        "seed": run.config().seed,
        "finished": progress.finished,
        "iterations": progress.done.iterations,
        "env_steps": progress.done.env_steps,
        "seconds": progress.done.seconds,
        "findings": findings,
        "frozen": frozen,
    });
    output.result(&summary, || {
        let found = match findings.is_empty() {
            true => String::new(),
            false => diagnose::describe(&findings),
        };
        let validation = frozen.as_ref().map_or_else(String::new, describe);
        format!(
            "{} iterations in {} s, {} environment steps\n{found}{validation}run:  {path}\nnext: costate evaluate {place}",
            progress.done.iterations,
            number(progress.done.seconds),
            progress.done.env_steps
        )
    })?;
    if progress.finished {
        Ok(())
    } else {
        Err(Error::Failure(format!(
            "interrupted after {} iterations{}; go on with `{}`",
            progress.done.iterations,
            match learned {
                true => ", while fresh policies were trained on the cost",
                false => "",
            },
            run.resume_command()
        )))
    }
}

fn print_config(args: &Args, output: Output) -> Result<(), Error> {
    let env = match &args.demos {
        Some(demos) => Demonstrations::env_name(demos)?,
        None => String::new(),
    };
    let name = args.algo.as_deref().unwrap_or_default();
    let algo = settings::resolve(name, &env, args.config.as_deref(), &args.set)?;
    let all = settings::explained(&algo)?;
    output.result(&all, || {
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|s| vec![s.key.clone(), s.value.to_string(), s.meaning.clone()])
            .collect();
        table(&["setting", "value", "meaning"], &rows)
    })
}

/// What a new run is made from.
pub struct Request<'a> {
    /// Where the demonstrations are.
    pub demos: &'a Path,
    /// How many of them to learn from, the first ones; all by default.
    pub demonstrations: Option<usize>,
    /// Algorithm with its settings.
    pub algo: Algo,
    /// Run folder to create.
    pub folder: &'a Path,
    /// Seed.
    pub seed: u64,
    /// Iterations between checkpoints.
    pub checkpoint_every: usize,
}

/// Creates the folder of a new run.
pub fn new_run(request: Request, demonstrations: &Demonstrations) -> Result<RunFolder, Error> {
    let meta = demonstrations.dataset.meta();
    RunFolder::create(
        request.folder,
        RunConfig {
            format: config::FORMAT,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            provenance: costate_base::provenance::current(),
            env: meta.env.clone(),
            demonstrations: Some(imitated(
                demonstrations,
                request.demos,
                request.demonstrations,
            )?),
            cost: None,
            algo: request.algo,
            seed: request.seed,
            checkpoint_every: request.checkpoint_every,
            changes: Vec::new(),
        },
    )
}

/// How a run refers to the first `count` demonstrations at `path`; to all by default.
pub fn imitated(
    demonstrations: &Demonstrations,
    path: &Path,
    count: Option<usize>,
) -> Result<DemonstrationsRef, Error> {
    let meta = demonstrations.dataset.meta();
    let there = demonstrations.dataset.episodes().len();
    if let Some(asked) = count
        && !(1..=there).contains(&asked)
    {
        return Err(Error::Misuse(format!(
            "--demonstrations is {asked}, expected 1 to {there}, as many as {} holds",
            path.display()
        )));
    }
    let absolute = std::path::absolute(path).map_err(Error::io(path))?;
    if absolute.to_str().is_none() {
        return Err(Error::Misuse(format!(
            "{}: the path is not UTF-8, and a run's config.json holds text only; rename the folder",
            path.display()
        )));
    }
    let episodes = count.unwrap_or(meta.episodes.len());
    let steps = meta.episodes.iter().take(episodes).map(|e| e.total_steps);
    Ok(DemonstrationsRef {
        path: absolute,
        fingerprint: demonstrations.fingerprint(),
        episodes,
        expert_return: meta.demonstration_return.mean,
        expert: meta.expert.name.clone(),
        noise_known: Some(meta.expert.log_density_known),
        success_rate: meta.success_rate(),
        lengths: Lengths::of(steps, demonstrations.factory.spec().horizon),
    })
}

fn create(args: &Args) -> Result<(RunFolder, Option<Demonstrations>), Error> {
    let Some(algo) = &args.algo else {
        return Err(Error::Misuse(format!(
            "--algo is missing; there are {}",
            Algo::NAMES.join(", ")
        )));
    };
    if algo == "ppo" {
        return Err(Error::Misuse(
            "--algo ppo learns from the true cost, not from demonstrations; use `costate expert ENV`"
                .into(),
        ));
    }
    if algo == "rl" {
        return rl::create(args);
    }
    if let Some(cost) = args.cost.first() {
        return Err(Error::Misuse(format!(
            "--cost {cost}: {algo} learns its cost; --algo rl minimises one that is given"
        )));
    }
    if let Some(o) = args.set.iter().find(|o| o.key.starts_with("env.")) {
        return Err(Error::Misuse(format!(
            "--set {}: training uses the environment of the demonstrations; set it with `costate record`",
            o.key
        )));
    }
    let demos = args.demos.as_deref().unwrap_or(Path::new(""));
    // Settings first: a misspelt name should not wait for a large dataset.
    let config = args.config.as_deref();
    let env = Demonstrations::env_name(demos).or_else(|e| {
        settings::check(algo, config, &args.set)?;
        Err(e)
    })?;
    let algo = settings::resolve(algo, &env, config, &args.set)?;
    let demonstrations = Demonstrations::open(demos)?;
    let seed = args.seed.unwrap_or(0);
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{env}-{}-{seed}", algo.name())));
    let request = Request {
        demos,
        demonstrations: args.demonstrations,
        algo,
        folder: &folder,
        seed,
        checkpoint_every: args.checkpoint_every.unwrap_or(CHECKPOINT_EVERY),
    };
    Ok((new_run(request, &demonstrations)?, Some(demonstrations)))
}

fn reopen(args: &Args) -> Result<(RunFolder, Option<Demonstrations>), Error> {
    let folder = args.output.as_deref().unwrap_or(Path::new(""));
    let run = RunFolder::resume(folder)?;
    let own = run.config();
    let worlds = args.env.is_some() || args.model.is_some() || !args.variant.is_empty();
    let of_env = |o: &Override| o.key.starts_with("env.");
    if worlds
        || args.demonstrations.is_some()
        || !args.cost.is_empty()
        || args.set.iter().any(of_env)
    {
        return Err(Error::Misuse(
            "a resumed run keeps its world, its costs and its demonstrations; leave out --env, --variant, --model, \
             --set env.KEY, --cost and --demonstrations"
                .into(),
        ));
    }
    if args.algo.as_deref().is_some_and(|a| a != own.algo.name())
        || args.seed.is_some_and(|s| s != own.seed)
    {
        return Err(Error::Misuse(format!(
            "{} was started with --algo {} --seed {}; a resumed run keeps them",
            folder.display(),
            own.algo.name(),
            own.seed
        )));
    }
    let Some(imitated) = &own.demonstrations else {
        return match own.algo {
            Algo::Rl(_) => Ok((gone_on(run, args)?, None)),
            _ => Err(own.no_demonstrations()),
        };
    };
    let demos = args.demos.as_deref().unwrap_or(&imitated.path);
    let demonstrations = Demonstrations::open(demos)?;
    if demonstrations.fingerprint() != imitated.fingerprint {
        return Err(Error::Failure(format!(
            "{}: not the demonstrations that {} was started with; name their folder, or start a new run",
            demos.display(),
            folder.display()
        )));
    }
    Ok((gone_on(run, args)?, Some(demonstrations)))
}

/// A run with the settings that it goes on with.
fn gone_on(run: RunFolder, args: &Args) -> Result<RunFolder, Error> {
    let asked = Asked {
        config: args.config.as_deref(),
        set: &args.set,
        checkpoint_every: args.checkpoint_every,
    };
    asked.of(run)
}

/// What is asked for when a run goes on; `expert` uses it too.
pub(super) struct Asked<'a> {
    /// File of settings.
    pub config: Option<&'a Path>,
    /// Single settings.
    pub set: &'a [Override],
    /// Iterations between checkpoints.
    pub checkpoint_every: Option<usize>,
}

impl Asked<'_> {
    /// The run with it, written down in its `config.json`.
    pub fn of(&self, run: RunFolder) -> Result<RunFolder, Error> {
        let own = run.config();
        let (algo, changes) = changed(own, run.iterations_done()?, self.config, self.set)?;
        let mut config = own.clone();
        config.algo = algo;
        config.changes.extend(changes);
        config.checkpoint_every = self.checkpoint_every.unwrap_or(config.checkpoint_every);
        match config == *own {
            true => Ok(run),
            false => run.reconfigured(config),
        }
    }
}

/// Refuses what is no number of iterations between checkpoints.
pub(super) fn check_interval(asked: Option<usize>) -> Result<(), Error> {
    match asked {
        Some(0) => Err(Error::Misuse(
            "--checkpoint-every is 0, expected at least 1".into(),
        )),
        _ => Ok(()),
    }
}

/// How far [`work`] came.
pub struct Worked {
    /// All iterations are done.
    pub finished: bool,
    /// Iterations, steps, seconds.
    pub done: Progress,
}

/// Trains from the last checkpoint (or the start) with progress; `demo` and `expert` use it too.
pub fn work(
    run: &RunFolder,
    factory: &EnvFactory,
    demonstrations: Option<&Demonstrations>,
    workers: usize,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Worked, Error> {
    tch::set_num_threads(1);
    run.lock()?;
    let count = run
        .config()
        .demonstrations
        .as_ref()
        .map_or(0, |d| d.episodes);
    let (trajectories, starts) = demonstrations.map(|d| d.first(count)).unwrap_or_default();
    let (sealer, auditor) = audit::pair();
    let task = Task {
        sealer: &sealer,
        factory,
        demonstrations: &trajectories,
        starts: &starts,
        expert: run
            .config()
            .demonstrations
            .as_ref()
            .map_or("", |d| d.expert.as_str()),
        seed: run.config().seed,
        workers,
    };
    let began = Instant::now();
    let config = run.config();
    let cost = config.cost.as_ref();
    let cost = cost.map(|c| c.load(&config.env, run.path())).transpose()?;
    let mut learner = config.algo.learner(&task, cost)?;
    // What a learner does before its first iteration, such as cloning, is learning, too.
    let mut from = Progress {
        seconds: began.elapsed().as_secs_f64(),
        ..Progress::default()
    };
    if let Some((state, progress)) = run.latest_checkpoint()? {
        learner.load(&state)?;
        run.rewind_metrics(progress.iterations)?;
        from = progress;
    }
    let mut counter = Counter::new(output, run.config().algo.name(), learner.iterations());
    let mut warned = false;
    let outcome = train(
        run,
        learner.as_mut(),
        &auditor,
        from,
        interrupt,
        &mut |line| {
            let done = line
                .get("iteration")
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(0)
                + 1;
            counter.at(done as usize, &describe_metrics(line));
            let ess = line.get("ess").and_then(serde_json::Value::as_f64);
            if let Some(ess) = ess
                && !warned
                && let Some(remark) = remark_on_ess(config, done as usize - 1, ess)
            {
                tracing::warn!("{remark}");
                warned = true;
            }
        },
    )?;
    counter.finish();
    Ok(match outcome {
        Outcome::Finished(done) => Worked {
            finished: true,
            done,
        },
        Outcome::Interrupted(done) => Worked {
            finished: false,
            done,
        },
    })
}
