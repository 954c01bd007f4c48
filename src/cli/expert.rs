//! `costate expert`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::common::{EnvArgs, Output, interrupt_flag, parse_override, shown, workers};
use super::train::{Asked, CHECKPOINT_EVERY, Worked, check_interval, work};
use super::ui::number;
use crate::error::Error;
use crate::run::settings::{self, Override};
use crate::run::{Algo, RunConfig, RunFolder, config};
use crate::shell;

/// Arguments of `costate expert`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate expert hopper
  costate expert walker --variant heavy_torso --set iterations=400 --seed 2 -o strong-walker
  costate expert --resume -o strong-walker
  costate record walker --expert strong-walker -n 25")]
pub struct Args {
    /// Environment; `costate envs` lists them.
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    env: Option<String>,
    /// Run folder to create [default: runs/ENV-expert-SEED].
    #[arg(short = 'o', long, value_name = "RUN")]
    output: Option<PathBuf>,
    /// A JSON model file instead of the environment's own.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// A named set of parameters; `costate envs ENV` lists them. Several apply in order.
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// JSON file of settings that differ from the defaults; with --resume from the run's own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, or one parameter of the environment as env.KEY=VALUE; with --resume settings only, where the
    /// checkpoint allows it.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    set: Vec<Override>,
    /// Seed of every random stream [default: 0].
    #[arg(long)]
    seed: Option<u64>,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Iterations between checkpoints [default: 10; with --resume as before].
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<usize>,
    /// Go on from the last checkpoint of the run given with -o.
    #[arg(long, requires = "output")]
    resume: bool,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    check_interval(args.checkpoint_every)?;
    let workers = workers(args.workers)?;
    let interrupt = interrupt_flag()?;
    let run = match &args.env {
        Some(env) => create(&args, env)?,
        None => reopen(&args)?,
    };
    let factory = run.config().env.factory()?;
    let Worked { finished, done } = work(&run, &factory, None, workers, &interrupt, output)?;
    let (path, env) = (run.path().display(), &run.config().env.name);
    let place = shell::path(run.path());
    let summary = json!({
        "run": shown(run.path()),
        "env": env,
        "seed": run.config().seed,
        "finished": finished,
        "iterations": done.iterations,
        "env_steps": done.env_steps,
        "seconds": done.seconds,
    });
    output.result(&summary, || {
        format!(
            "{} iterations in {} s, {} environment steps\nrun:  {path}\nnext: costate record {env} --expert {place}",
            done.iterations,
            number(done.seconds),
            done.env_steps
        )
    })?;
    if finished {
        Ok(())
    } else {
        Err(Error::Failure(format!(
            "interrupted after {} iterations; go on with `{}`",
            done.iterations,
            run.resume_command()
        )))
    }
}

fn reopen(args: &Args) -> Result<RunFolder, Error> {
    let run = RunFolder::resume(args.output.as_deref().unwrap_or(Path::new("")))?;
    let own = run.config();
    if !matches!(own.algo, Algo::Ppo(_)) {
        return Err(Error::Misuse(format!(
            "{}: a run of `costate train`; go on with `{}`",
            run.path().display(),
            run.resume_command()
        )));
    }
    let of_env = |o: &Override| o.key.starts_with("env.");
    if args.model.is_some() || !args.variant.is_empty() || args.set.iter().any(of_env) {
        return Err(Error::Misuse(
            "a resumed run keeps its world; leave out --variant, --model and --set env.KEY".into(),
        ));
    }
    if args.seed.is_some_and(|s| s != own.seed) {
        return Err(Error::Misuse(format!(
            "{} was started with --seed {}; a resumed run keeps it",
            run.path().display(),
            own.seed
        )));
    }
    let asked = Asked {
        config: args.config.as_deref(),
        set: &args.set,
        checkpoint_every: args.checkpoint_every,
    };
    asked.of(run)
}

fn create(args: &Args, env: &str) -> Result<RunFolder, Error> {
    let (of_env, of_learner) = args
        .set
        .iter()
        .cloned()
        .partition(|o| o.key.starts_with("env."));
    let env_args = EnvArgs {
        model: args.model.clone(),
        variant: args.variant.clone(),
        set: of_env,
    };
    let config = env_args.config(env)?;
    config.factory()?;
    let algo = settings::resolve("ppo", env, args.config.as_deref(), &of_learner)?;
    let seed = args.seed.unwrap_or(0);
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{env}-expert-{seed}")));
    RunFolder::create(
        &folder,
        RunConfig {
            format: config::FORMAT,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            provenance: costate_base::provenance::current(),
            env: config,
            demonstrations: None,
            cost: None,
            algo,
            seed,
            checkpoint_every: args.checkpoint_every.unwrap_or(CHECKPOINT_EVERY),
            changes: Vec::new(),
        },
    )
}
