//! `costate expert`.

use std::path::PathBuf;

use serde_json::json;

use super::common::{Output, RolloutArgs, is_of_env, parse_override, workers};
use super::terminal::Terminal;
use super::ui::number;
use crate::app::expert::TrueCost;
use crate::app::{self, Changes, Existing, Request, Target, WorldChanges};
use crate::error::Error;
use crate::run::settings::Override;
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
    /// JSON model file to use instead of the environment's default.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Apply a named set of parameters; `costate envs ENV` lists them. May be repeated, applied in order.
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
    /// Worker threads; results do not depend on their number [default: one per core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    rollouts: RolloutArgs,
    /// Iterations between checkpoints [default: 10; with --resume as before].
    #[arg(long, value_name = "N")]
    checkpoint_every: Option<usize>,
    /// Resume from the last checkpoint of the run given with -o.
    #[arg(long, requires = "output")]
    resume: bool,
}

impl Args {
    fn request(self) -> Result<Request<TrueCost>, Error> {
        let (of_env, set) = self.set.into_iter().partition(is_of_env);
        let changes = WorldChanges {
            model: self.model,
            variants: self.variant,
            set: of_env,
        };
        let target = match self.env {
            Some(env) => Target::New {
                source: TrueCost { env, changes },
                folder: self.output,
                seed: self.seed.unwrap_or(0),
            },
            None if changes == WorldChanges::default() => Target::Existing(Existing {
                folder: self.output.unwrap_or_default(),
                seed: self.seed,
                ..Existing::default()
            }),
            None => {
                return Err(Error::Misuse(
                    "a resumed run keeps its world; leave out --variant, --model and --set env.KEY"
                        .into(),
                ));
            }
        };
        Ok(Request {
            target,
            changes: Changes {
                file: self.config,
                set,
                checkpoint_every: self.checkpoint_every,
            },
            workers: workers(self.workers)?,
            elsewhere: self.rollouts.elsewhere()?,
        })
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let worked = app::expert(&args.request()?, &Terminal::new(output)?)?;
    let done = worked.done;
    let path = worked.run.path();
    output.result(&json!(worked), || {
        format!(
            "{} iterations in {} s, {} environment steps\nrun:  {}\nnext: costate record {} --expert {}",
            done.iterations,
            number(done.seconds),
            done.env_steps,
            path.display(),
            worked.env,
            shell::path(path)
        )
    })?;
    if worked.finished {
        return Ok(());
    }
    Err(Error::Failure(format!(
        "interrupted after {} iterations; resume with `{}`",
        done.iterations,
        worked.run.resume_command()
    )))
}
