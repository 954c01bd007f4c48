//! `costate train`.

use std::path::PathBuf;

use costate_base::schema;
use serde_json::json;

use super::common::{Output, RolloutArgs, is_of_env, parse_override, workers};
use super::diagnose;
use super::terminal::Terminal;
use super::ui::number;
use super::validate::describe;
use crate::app::train::{GivenCosts, Shown, Source, Trained};
use crate::app::{self, Changes, Demonstrations, Existing, Request, Target, WorldChanges};
use crate::error::Error;
use crate::learners::algorithm;
use crate::run::settings::{self, Explained, Override};
use crate::shell;

/// Arguments of `costate train`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate train datasets/pendulum-energy --algo gan-gcl
  costate train swing --algo airl --print-config
  costate train swing --algo gan-gcl --set iterations=40 --set ppo.clip=0.1 --seed 2 -o swing-run
  costate train --algo rl --env cart_pole --variant long_pole --cost runs/upright:1.0,runs/centred:0.5
  costate train swing --algo gan-gcl --rollouts 'ssh host costate worker'
  costate train --resume -o swing-run
  costate train --resume -o swing-run --set iterations=200")]
pub struct Args {
    /// Dataset folder; with --resume the run's own by default.
    #[arg(required_unless_present_any = ["resume", "print_config", "print_schema", "cost"])]
    demos: Option<PathBuf>,
    /// Algorithm: gan-gcl, gcl, gcl-lqg, airl, gail, gail-alone, density-ratio, preferences, sfm, iq-learn, ls-iq, sqil,
    /// dagger, bc, ibc or flow-bc; or rl, which minimises the cost given with --cost.
    #[arg(long, value_name = "NAME")]
    algo: Option<String>,
    /// What rl minimises: runs with learned costs, cost.safetensors files, formulas in braces, as
    /// {cart_position^2}, and `true`, each with its weight; may be repeated. Quote a path that contains a comma or a
    /// colon: '"a,b":0.5'.
    #[arg(long, value_name = "WHAT:WEIGHT,…", allow_hyphen_values = true)]
    cost: Vec<String>,
    /// World for rl without demonstrations.
    #[arg(long, value_name = "ENV", requires = "cost")]
    env: Option<String>,
    /// Apply a named set of parameters of that world. May be repeated, applied in order.
    #[arg(long, value_name = "NAME", requires = "env")]
    variant: Vec<String>,
    /// JSON model file to use instead of that world's default.
    #[arg(long, value_name = "FILE", requires = "env")]
    model: Option<PathBuf>,
    /// Learn from the first N demonstrations only [default: all].
    #[arg(short = 'n', long, value_name = "N")]
    demonstrations: Option<usize>,
    /// Learn from the observations of the demonstrations alone, as if their actions had not been recorded: gail, gail-alone,
    /// density-ratio and sfm can. Implied where none were recorded.
    #[arg(long)]
    observations_only: bool,
    /// Run folder to create [default: runs/ENV-ALGO-SEED].
    #[arg(short = 'o', long, value_name = "RUN")]
    output: Option<PathBuf>,
    /// JSON file of settings that differ from the defaults; with --resume from the run's own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change one setting; with --resume from the next iteration on, where the checkpoint allows it.
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
    /// Print every setting with its value and its meaning, and exit. With demonstrations these are
    /// the settings for their environment.
    #[arg(long, requires = "algo", conflicts_with = "resume")]
    print_config: bool,
    /// Print the JSON Schema of files for --config, for completion and checks in an editor, and exit.
    #[arg(long, requires = "algo", conflicts_with_all = ["resume", "print_config"])]
    print_schema: bool,
    /// Resume from the last checkpoint of the run given with -o; a finished one with more --set iterations=N.
    #[arg(long, requires = "output")]
    resume: bool,
}

impl Args {
    fn request(self) -> Result<Request<Source>, Error> {
        let (of_env, set) = self.set.into_iter().partition(is_of_env);
        let changes = Changes {
            file: self.config,
            set,
            checkpoint_every: self.checkpoint_every,
        };
        let world = WorldChanges {
            model: self.model,
            variants: self.variant,
            set: of_env,
        };
        let target = match self.resume {
            true => {
                let own_world = self.env.is_none() && world == WorldChanges::default();
                let shown_anew = self.demonstrations.is_some() || self.observations_only;
                if !own_world || shown_anew || !self.cost.is_empty() {
                    return Err(Error::Misuse(
                        "a resumed run keeps its world, its costs and its demonstrations; leave out --env, --variant, --model, \
                         --set env.KEY, --cost, --demonstrations and --observations-only"
                            .into(),
                    ));
                }
                Target::Existing(Existing {
                    folder: self.output.unwrap_or_default(),
                    demos: self.demos,
                    algo: self.algo,
                    seed: self.seed,
                })
            }
            false => {
                let count = self.demonstrations;
                let observations_only = self.observations_only;
                let demos = self.demos.map(|folder| Shown {
                    folder,
                    count,
                    observations_only,
                });
                let given = GivenCosts {
                    costs: self.cost,
                    env: self.env,
                    changes: world,
                    demos,
                };
                Target::New {
                    source: source(self.algo, given)?,
                    folder: self.output,
                    seed: self.seed.unwrap_or(0),
                }
            }
        };
        Ok(Request {
            target,
            changes,
            workers: workers(self.workers)?,
            elsewhere: self.rollouts.elsewhere()?,
        })
    }
}

/// What an algorithm learns from: the costs, or the demonstrations alone.
fn source(algo: Option<String>, given: GivenCosts) -> Result<Source, Error> {
    let misuse = |text: String| Err(Error::Misuse(text));
    let Some(algo) = algo else {
        let known = algorithm::names().join(", ");
        return misuse(format!("--algo is missing; expected one of {known}"));
    };
    let demos = || given.demos.clone().unwrap_or_default();
    // `app::train` refuses unknown names and reinforcement learning without a cost.
    let imitates = algorithm::find(&algo).map_or(true, |entry| entry.imitates());
    let (cost, set) = (given.costs.first(), given.changes.set.first());
    match (imitates, cost, set) {
        (false, Some(_), _) if algo == app::train::GIVEN_COST => Ok(Source::Costs(given)),
        (false, ..) => Ok(Source::Demonstrations(algo, demos())),
        (_, Some(cost), _) => misuse(format!(
            "--cost {cost}: {algo} learns its cost; --algo rl minimises a given one"
        )),
        (_, None, Some(o)) => misuse(format!(
            "--set {}: training uses the environment of the demonstrations; set it with `costate record`",
            o.key
        )),
        (_, None, None) => Ok(Source::Demonstrations(algo, demos())),
    }
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    if args.print_config {
        return print_config(&args, output);
    }
    if args.print_schema {
        return print_schema(&args, output);
    }
    let trained = app::train(&args.request()?, &Terminal::new(output)?)?;
    output.result(&json!(trained), || in_words(&trained))?;
    let worked = &trained.worked;
    if worked.finished {
        return Ok(());
    }
    Err(Error::Failure(format!(
        "interrupted after {} iterations{}; resume with `{}`",
        worked.done.iterations,
        match trained.learned {
            true => ", while fresh policies were trained on the cost",
            false => "",
        },
        worked.run.resume_command()
    )))
}

fn in_words(trained: &Trained) -> String {
    let (done, path) = (trained.worked.done, trained.worked.run.path());
    let found = match trained.findings.is_empty() {
        true => String::new(),
        false => diagnose::describe(&trained.findings),
    };
    let frozen = trained.frozen.as_ref();
    let validation = frozen.map_or_else(String::new, |f| describe(f, &trained.controls));
    format!(
        "{} iterations in {} s, {} environment steps\n{found}{validation}run:  {}\nnext: costate evaluate {}",
        done.iterations,
        number(done.seconds),
        done.env_steps,
        path.display(),
        shell::path(path)
    )
}

fn print_config(args: &Args, output: Output) -> Result<(), Error> {
    let env = match &args.demos {
        Some(demos) => Demonstrations::env_name(demos)?,
        None => String::new(),
    };
    let name = args.algo.as_deref().unwrap_or_default();
    let resolve = match args.observations_only {
        true => settings::resolve_for_observations,
        false => settings::resolve,
    };
    let algo = resolve(name, &env, args.config.as_deref(), &args.set)?;
    let all = settings::explained(&algo)?;
    output.result(&all, || {
        let explain = |s: &Explained| {
            let meaning = settings::wrapped(&format!("{}.", s.meaning), 96).join("\n    ");
            format!("{} = {}   [{}]\n    {meaning}", s.key, s.value, s.expected)
        };
        let all: Vec<String> = all.iter().map(explain).collect();
        all.join("\n")
    })
}

fn print_schema(args: &Args, output: Output) -> Result<(), Error> {
    let entry = algorithm::find(args.algo.as_deref().unwrap_or_default())?;
    let schema = schema::of_partial(&entry.schema());
    output.result(&schema, || format!("{schema:#}"))
}
