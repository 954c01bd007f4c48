//! `costate expert`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::common::{EnvArgs, Output, interrupt_flag, parse_override, workers};
use super::train::{Worked, work};
use super::ui::number;
use crate::error::Error;
use crate::run::settings::{self, Override};
use crate::run::{Algo, RunConfig, RunFolder, config};

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
    /// JSON file of settings that differ from the defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting, or one parameter of the environment as env.KEY=VALUE.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    set: Vec<Override>,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Iterations between checkpoints.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    checkpoint_every: u32,
    /// Go on from the last checkpoint of the run given with -o.
    #[arg(long, requires = "output")]
    resume: bool,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let workers = workers(args.workers)?;
    let interrupt = interrupt_flag()?;
    let run = match &args.env {
        Some(env) => create(&args, env)?,
        None => RunFolder::open(args.output.as_deref().unwrap_or(Path::new("")))?,
    };
    if !matches!(run.config().algo, Algo::Ppo(_)) {
        return Err(Error::Misuse(format!(
            "{}: a run of `costate train`; go on with `costate train --resume -o {0}`",
            run.path().display()
        )));
    }
    let factory = run.config().env.factory()?;
    let Worked { finished, done } = work(&run, &factory, None, workers, &interrupt, output)?;
    let (path, env) = (run.path().display(), &run.config().env.name);
    let summary = json!({
        "run": run.path(),
        "env": env,
        "seed": run.config().seed,
        "finished": finished,
        "iterations": done.iterations,
        "env_steps": done.env_steps,
        "seconds": done.seconds,
    });
    output.result(&summary, || {
        format!(
            "{} iterations in {} s, {} environment steps\nrun:  {path}\nnext: costate record {env} --expert {path}",
            done.iterations,
            number(done.seconds),
            done.env_steps
        )
    })?;
    if finished {
        Ok(())
    } else {
        Err(Error::Failure(format!(
            "interrupted after {} iterations; go on with `costate expert --resume -o {path}`",
            done.iterations
        )))
    }
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
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{env}-expert-{}", args.seed)));
    RunFolder::create(
        &folder,
        RunConfig {
            format: config::FORMAT,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            env: config,
            demonstrations: None,
            cost: None,
            algo,
            seed: args.seed,
            checkpoint_every: args.checkpoint_every as usize,
        },
    )
}
