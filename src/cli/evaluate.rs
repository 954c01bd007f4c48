//! `costate evaluate`.

use std::path::PathBuf;

use costate_envs::rollout::ActionChoice;

use super::common::{Output, parse_override, workers};
use super::evaluation_text::{describe, held_out};
use super::stoppable::stoppable;
use super::terminal::Terminal;
use super::{compare, methods};
use crate::app::evaluate::{Protocol, Request};
use crate::app::{self, Progress};
use crate::error::Error;
use crate::run::settings::Override;

/// Arguments of `costate evaluate`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate evaluate runs/pendulum-gan-gcl-0
  costate evaluate runs/pendulum-gan-gcl-0 --episodes 500 --deterministic --json
  costate evaluate runs/pendulum-gan-gcl-0 --precision 0.02 --episodes 1000
  costate evaluate runs/point_maze-airl-0 --transfer wall_right
  costate evaluate runs/pendulum-bc-0 runs/pendulum-gan-gcl-0
  costate evaluate runs/cart_pole-rl-0 --demos demos/cart_pole --success 'min(0.3 - abs(cart_position), pole_cos - 0.94)'
  costate evaluate demos/pendulum --policy swing.onnx
  costate evaluate parts/validation --policy runs/table-bc-0
  costate evaluate /shared/runs/pendulum-airl-0 --output here
  costate evaluate demos/cart_pole --policy 'push = -9*pole_sin - 2*pole_angular_velocity + 0.5*cart_position + cart_velocity'
  costate evaluate demos/point_maze --cost 'position_x^2 + (position_y - 1)^2'")]
pub struct Args {
    /// Run folders, compared at the end if several; or a folder of demonstrations, with --policy or --cost.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Another policy instead of the run's: a .safetensors or .onnx file (FILE.onnx:OUTPUT if it has several outputs),
    /// an expert's name, `random`, `constant=V,…`, or a formula for every action, `CHANNEL = FORMULA; …`. For a dataset
    /// without a simulator: a run's folder.
    #[arg(long, value_name = "WHO")]
    policy: Option<String>,
    /// Another cost instead of the run's: a cost.safetensors file, or a formula of observations and actions.
    #[arg(long, value_name = "FILE|FORMULA", allow_hyphen_values = true)]
    cost: Option<String>,
    /// Another definition of success instead of the task's: a formula of observations, positive in the last tenth of
    /// an episode.
    #[arg(long, value_name = "FORMULA", allow_hyphen_values = true)]
    success: Option<String>,
    /// Dataset folder, if the run's has moved; for a run without demonstrations, any of its world.
    #[arg(long, value_name = "DIR")]
    demos: Option<PathBuf>,
    /// Episodes of each policy.
    #[arg(short = 'n', long, default_value_t = 100)]
    episodes: usize,
    /// Play no further episodes once the 95 % interval of the score is at most this wide; -n is then the most. For one
    /// run: several are compared over the same episodes.
    #[arg(long, value_name = "WIDTH")]
    precision: Option<f64>,
    /// Seed of the start states.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Act by the policy's mean (ibc: the action of lowest energy; flow-bc: plans without noise) instead of sampling.
    #[arg(long)]
    deterministic: bool,
    /// Skip the scores under noise and in variants of the world.
    #[arg(long)]
    no_robustness: bool,
    /// Train fresh policies on the frozen cost first, unless they exist (minutes).
    #[arg(long)]
    reoptimize: bool,
    /// Variants of the world, separated by commas: train fresh policies there on the frozen cost and on the true
    /// cost, unless they exist, and compare them with the run's own policy (minutes each).
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    transfer: Vec<String>,
    /// Change a setting of `costate expert` with which policies in variants are trained, on either cost.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override, requires = "transfer")]
    set: Vec<Override>,
    /// Save the results of one run in this folder instead of the run's, which may then be read-only; without it,
    /// results on demonstrations are not saved.
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Worker threads; results do not depend on their number [default: one per core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

impl Args {
    /// One request per run.
    fn requests(&self) -> Result<Vec<Request>, Error> {
        let choice = match self.deterministic {
            true => ActionChoice::Mean,
            false => ActionChoice::Sample,
        };
        let protocol = Protocol {
            episodes: self.episodes,
            precision: self.precision,
            seed: self.seed,
            choice,
            robustness: !self.no_robustness,
            workers: workers(self.workers)?,
        };
        protocol.check()?;
        let request = |place: &PathBuf| Request {
            place: place.clone(),
            demos: self.demos.clone(),
            policy: self.policy.clone(),
            cost: self.cost.clone(),
            success: self.success.clone(),
            protocol,
            reoptimize: self.reoptimize,
            transfer: self.transfer.clone(),
            set: self.set.clone(),
            output: self.output.clone(),
        };
        Ok(self.runs.iter().map(request).collect())
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    stoppable(output, move |terminal| {
        evaluate_asked(&args, terminal, output)
    })
}

fn evaluate_asked(args: &Args, terminal: &Terminal, output: Output) -> Result<(), Error> {
    let requests = args.requests()?;
    if let [request] = requests.as_slice() {
        if app::held_out::applies(&request.place) {
            let found = app::held_out::evaluate(request, terminal)?;
            return output.result(&found, || held_out(&found));
        }
        let evaluation = app::evaluate(request, terminal)?;
        return output.result(&evaluation, || describe(&evaluation));
    }
    if args.policy.is_some() || args.cost.is_some() {
        return Err(Error::Misuse(
            "--policy and --cost take one run or one folder of demonstrations".into(),
        ));
    }
    if args.precision.is_some() {
        return Err(Error::Misuse(
            "--precision takes one run: several are compared over the same episodes; name their number with -n"
                .into(),
        ));
    }
    if args.output.is_some() {
        return Err(Error::Misuse(
            "--output takes the results of one run; evaluate the runs one by one, each with a folder of its own".into(),
        ));
    }
    // Runs that cannot be compared are refused before minutes are spent on them.
    let runs = methods::open(&args.runs)?;
    for request in &requests {
        terminal.remark(&format!("{}:", request.place.display()));
        app::evaluate(request, terminal)?;
        if terminal.interrupted() {
            return Err(Error::Failure(
                "interrupted; the runs listed so far are evaluated".into(),
            ));
        }
    }
    compare::compare_runs(&runs, output)
}
