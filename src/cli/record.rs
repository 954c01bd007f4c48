//! `costate record`.

use std::path::PathBuf;

use costate_demos::dataset::Meta;
use serde_json::json;

use super::common::{EnvArgs, Output, workers};
use super::terminal::Terminal;
use super::ui::number;
use crate::app;
use crate::app::record::{How, Recorded, Request, Target};
use crate::error::Error;
use crate::shell;

/// Arguments of `costate record`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate record cart_pole
  costate record pendulum --expert mppi -n 50 --noise 0.1 --seed 3 -o swing
  costate record cart_pole --set env.pole.length_m=1.5 -o long-pole
  costate record gym:Hopper-v5 --expert hopper.onnx
  costate record --append -o swing -n 10    # ten more, as if 60 had been recorded at once
  costate record --resume -o swing          # finish a recording that was killed")]
pub struct Args {
    /// Environment; `costate envs` lists them. gym:ID and gym:MODULE:ID are environments of Gymnasium. With --append and --resume the dataset's.
    #[arg(required_unless_present_any = ["append", "resume"])]
    env: Option<String>,
    /// Expert: a name, a run of `costate expert`, a policy.safetensors, an ONNX file (FILE.onnx:OUTPUT if it has several
    /// outputs) or a formula for every action, `CHANNEL = FORMULA; …`; the best one by default, with --append and
    /// --resume the dataset's.
    #[arg(long, value_name = "NAME|RUN|FILE")]
    expert: Option<String>,
    /// Episodes to record, with --append how many more, with --resume how many in all [default: 25, with --resume as
    /// many as the recording was started with].
    #[arg(short = 'n', long)]
    episodes: Option<usize>,
    /// Standard deviation of the Gaussian action noise, as a share of each action's range.
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    noise: Option<f64>,
    /// Seed of start states and noise [default: 0, with --append and --resume the dataset's].
    #[arg(long)]
    seed: Option<u64>,
    /// Dataset folder to create [default: datasets/ENV-EXPERT].
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Record more episodes into the dataset given with -o, in its environment; start states do not repeat. Another
    /// expert, noise or seed is noted in its meta.json.
    #[arg(long, requires = "output", conflicts_with = "resume")]
    append: bool,
    /// Finish the interrupted recording given with -o.
    #[arg(long, requires = "output")]
    resume: bool,
    /// Worker threads; results do not depend on their number [default: one per core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    #[command(flatten)]
    env_args: EnvArgs,
}

impl Args {
    fn request(self) -> Result<Request, Error> {
        let how = match self.append {
            true => How::Append,
            false => How::Resume,
        };
        let target = match (self.output, self.append || self.resume) {
            (Some(folder), true) => Target::Existing {
                folder,
                env: self.env,
                how,
            },
            (folder, _) => Target::New {
                env: self.env.unwrap_or_default(),
                folder,
            },
        };
        Ok(Request {
            target,
            world: self.env_args.changes(),
            expert: self.expert,
            noise: self.noise,
            episodes: self.episodes,
            seed: self.seed,
            workers: workers(self.workers)?,
        })
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    let anew = !(args.append || args.resume);
    let recorded = app::record(&args.request()?, &Terminal::new(output)?)?;
    if recorded.episodes == 0 {
        return Err(Error::Failure(format!(
            "stopped before the first episode was complete; `costate record --resume -o {}` records all {}",
            shell::path(&recorded.dataset),
            recorded.missing
        )));
    }
    output.result(&json!(recorded), || describe(&recorded, anew))?;
    recorded
        .doubts
        .iter()
        .for_each(|doubt| output.remark(doubt));
    let Recorded {
        missing, episodes, ..
    } = recorded;
    if missing == 0 {
        return Ok(());
    }
    Err(Error::Failure(format!(
        "stopped after {episodes} of {} episodes; the dataset holds those and is complete; `costate record --append -n \
         {missing} -o {}` records the others",
        episodes + missing,
        shell::path(&recorded.dataset)
    )))
}

fn describe(r: &Recorded, anew: bool) -> String {
    let returns = r.meta.demonstration_return;
    let now = match anew {
        true => String::new(),
        false => format!("{} recorded now; in all ", r.recorded),
    };
    format!(
        "{now}{} episodes of {} by `{}`, {} steps: return {} ± {} (random actions: {}){}\n\
         dataset: {}\nnext:    costate train {} --algo gan-gcl",
        r.episodes,
        r.env,
        names(&r.meta),
        r.steps,
        number(returns.mean),
        number(returns.std),
        r.random_return.map_or("–".into(), number),
        r.success_rate
            .map(|s| format!(", {} % solved", number(100.0 * s)))
            .unwrap_or_default(),
        r.dataset.display(),
        shell::path(&r.dataset),
    )
}

/// The experts, in order.
fn names(meta: &Meta) -> String {
    let mut names: Vec<String> = meta.sessions().into_iter().map(|s| s.expert.name).collect();
    names.dedup();
    names.join("`, then `")
}
