//! `costate record`.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use costate_demos::dataset::Meta;
use costate_demos::experts::ExpertDesign;
use costate_demos::record::{Plan, record_dataset};
use costate_envs::EnvFactory;
use serde_json::json;

use super::common::{EnvArgs, Output, interrupt_flag, shown, workers};
use super::ui::{Counter, number};
use crate::error::Error;
use crate::shell;

/// Arguments of `costate record`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate record cart_pole
  costate record pendulum --expert mppi -n 50 --noise 0.1 --seed 3 -o swing
  costate record cart_pole --set env.pole.length_m=1.5 -o long-pole")]
pub struct Args {
    /// Environment; `costate envs` lists them.
    env: String,
    /// Expert: a name, a run of `costate expert`, or a policy.safetensors; the best one by default.
    #[arg(long, value_name = "NAME|RUN")]
    expert: Option<String>,
    /// Episodes to record.
    #[arg(short = 'n', long, default_value_t = 25)]
    episodes: usize,
    /// Standard deviation of the Gaussian action noise, as a share of each action's range.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    noise: Option<f64>,
    /// Seed of start states and noise.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Dataset folder to create [default: datasets/ENV-EXPERT].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    env_args: EnvArgs,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let factory = args.env_args.config(&args.env)?.factory()?;
    let expert = ExpertDesign::new(&factory, args.expert.as_deref(), args.noise)?;
    let plan = Plan {
        episodes: args.episodes,
        seed: args.seed,
        workers: workers(args.workers)?,
    };
    let folder = args
        .output
        .unwrap_or_else(|| Path::new("datasets").join(format!("{}-{}", args.env, expert.name())));
    let interrupt = interrupt_flag()?;
    let meta = record(&folder, &factory, &expert, plan, &interrupt, output)?;
    let returns = meta.demonstration_return;
    let summary = json!({
        "dataset": shown(&folder),
        "env": args.env,
        "expert": meta.expert.name,
        "noise_std": meta.expert.action_noise_std,
        "seed": meta.seed,
        "episodes": meta.episodes.len(),
        "steps": meta.total_steps,
        "expert_return": returns.mean,
        "random_return": meta.random_return.map(|r| r.mean),
        "success_rate": meta.success_rate(),
    });
    output.result(&summary, || {
        let dataset = folder.display();
        format!(
            "{} episodes of {} by `{}`, {} steps: return {} ± {} (random actions: {}){}\n\
             dataset: {dataset}\nnext:    costate train {} --algo gan-gcl",
            meta.episodes.len(),
            args.env,
            meta.expert.name,
            meta.total_steps,
            number(returns.mean),
            number(returns.std),
            meta.random_return.map_or("–".into(), |r| number(r.mean)),
            meta.success_rate()
                .map(|s| format!(", {} % solved", number(100.0 * s)))
                .unwrap_or_default(),
            shell::path(&folder),
        )
    })?;
    if meta.episodes.len() < args.episodes {
        return Err(Error::Failure(format!(
            "stopped after {} of {} episodes; the dataset holds those and is complete",
            meta.episodes.len(),
            args.episodes
        )));
    }
    Ok(())
}

/// Records with progress; `demo` uses it too.
pub fn record(
    folder: &Path,
    factory: &EnvFactory,
    expert: &ExpertDesign,
    plan: Plan,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Meta, Error> {
    let mut counter = Counter::new(output, "record", plan.episodes);
    let mut done = 0;
    let meta = record_dataset(folder, factory, expert, plan, interrupt, |entry| {
        done += 1;
        counter.at(done, &format!("return {}", number(entry.true_return)));
    })?;
    counter.finish();
    Ok(meta)
}
