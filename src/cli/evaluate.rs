//! `costate evaluate`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::{ActionChoice, RolloutPool};

use super::common::{Demonstrations, Output, interrupt_flag, parse_override, workers};
use super::evaluated::describe;
use super::imported::{self, Imported};
use super::ui::Counter;
use super::{compare, compared, transfer, validate};
use crate::cost::{EnergyModel, StepCost};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::{Comparison, Discriminator, Evaluation, Options, STAGES, Subject, evaluate};
use crate::learners::{Learner, Task, bc::Bc};
use crate::policy::GaussianPolicy;
use crate::run::settings::Override;
use crate::run::{Algo, RunFolder, files, settings};

/// Arguments of `costate evaluate`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate evaluate runs/pendulum-gan-gcl-0
  costate evaluate runs/pendulum-gan-gcl-0 --episodes 500 --deterministic --json
  costate evaluate runs/point_maze-airl-0 --transfer wall_right
  costate evaluate runs/pendulum-bc-0 runs/pendulum-gan-gcl-0
  costate evaluate demos/pendulum --policy swing.onnx
  costate evaluate demos/cart_pole --policy 'push = -9*pole_sin - 2*pole_angular_velocity + 0.5*cart_position + cart_velocity'
  costate evaluate demos/point_maze --cost 'position_x^2 + (position_y - 1)^2'")]
pub struct Args {
    /// Run folders, several of which are compared at the end; or a folder of demonstrations, with --policy or --cost.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Somebody else's policy instead of the run's: a .safetensors or .onnx file, an expert's name, `random`,
    /// `constant=V,…`, or a formula for every action, `CHANNEL = FORMULA; …`.
    #[arg(long, value_name = "WHO")]
    policy: Option<String>,
    /// Another cost instead of the run's: a cost.safetensors file, or a formula of observations and actions.
    #[arg(long, value_name = "FILE|FORMULA", allow_hyphen_values = true)]
    cost: Option<String>,
    /// The demonstrations, if they are not where the run found them.
    #[arg(long, value_name = "DIR")]
    demos: Option<PathBuf>,
    /// Episodes of each policy.
    #[arg(short = 'n', long, default_value_t = 100)]
    episodes: usize,
    /// Seed of the start states.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Act by the policy's mean instead of sampling.
    #[arg(long)]
    deterministic: bool,
    /// Leave out the scores under noise and in variants of the world.
    #[arg(long)]
    no_robustness: bool,
    /// Train fresh policies on the frozen cost first, where that has not been done (minutes).
    #[arg(long)]
    reoptimize: bool,
    /// Variants of the world, with commas between them: train fresh policies there on the frozen cost and on the
    /// true cost, where that has not been done, and set them beside the run's own policy (minutes each).
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    transfer: Vec<String>,
    /// Change how policies in variants are trained, on either cost: a setting of `costate expert`.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override, requires = "transfer")]
    set: Vec<Override>,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// How a run is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Episodes, seed, workers.
    pub options: Options,
    /// How Gaussian policies act.
    pub choice: ActionChoice,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    if args.episodes < 2 {
        return Err(Error::Misuse(format!(
            "--episodes is {}, expected at least 2",
            args.episodes
        )));
    }
    let plan = Plan {
        options: Options {
            episodes: args.episodes,
            seed: args.seed,
            robustness: !args.no_robustness,
            pool: RolloutPool::new(workers(args.workers)?),
        },
        choice: match args.deterministic {
            true => ActionChoice::Mean,
            false => ActionChoice::Sample,
        },
    };
    if let [place] = args.runs.as_slice()
        && (args.policy.is_some() || args.cost.is_some() || imported::is_dataset(place))
    {
        if args.reoptimize || !args.transfer.is_empty() {
            return Err(Error::Misuse(
                "--reoptimize and --transfer train on a run's own cost; leave --policy and --cost out".into(),
            ));
        }
        let imported = Imported {
            place,
            demos: args.demos.as_deref(),
            policy: args.policy.as_deref(),
            cost: args.cost.as_deref(),
        };
        let evaluation = imported::evaluate_imported(&imported, plan, output)?;
        return output.result(&evaluation, || describe(&evaluation));
    }
    if args.policy.is_some() || args.cost.is_some() {
        return Err(Error::Misuse(
            "--policy and --cost take one run or one folder of demonstrations".into(),
        ));
    }
    let interrupt = interrupt_flag()?;
    if let [path] = args.runs.as_slice() {
        let evaluation = evaluate_one(&RunFolder::open(path)?, &args, plan, &interrupt, output)?;
        return output.result(&evaluation, || describe(&evaluation));
    }
    // What cannot be compared is refused before minutes are spent on it.
    let runs = compared::open(&args.runs)?;
    for run in &runs {
        output.remark(&format!("{}:", run.path().display()));
        evaluate_one(run, &args, plan, &interrupt, output)?;
        if interrupt.load(Ordering::SeqCst) {
            return Err(Error::Failure(
                "interrupted; the runs named so far are evaluated".into(),
            ));
        }
    }
    compare::compare_runs(&runs, output)
}

fn evaluate_one(
    run: &RunFolder,
    args: &Args,
    plan: Plan,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Evaluation, Error> {
    let imitated = run.config().imitated()?;
    let demos = args.demos.clone().unwrap_or(imitated.path.clone());
    let demonstrations = open_demonstrations(run, &demos)?;
    let recipe = transfer::recipe(run, &args.transfer, &args.set)?;
    let interrupted = || {
        Error::Failure(
            "interrupted; the same command goes on with the fresh policies that are missing".into(),
        )
    };
    if args.reoptimize {
        let settings = settings::validation(&run.config().env.name)?;
        let workers = plan.options.pool.workers();
        let found =
            validate::validate(run, &demonstrations, &settings, workers, interrupt, output)?;
        if found.is_none() {
            return Err(interrupted());
        }
    }
    let asked = transfer::Asked {
        plan,
        recipe: &recipe,
        interrupt,
        output,
    };
    for name in &args.transfer {
        let found = transfer::transfer(run, &demonstrations, name, asked)?;
        found.ok_or_else(interrupted)?;
    }
    evaluate_run(run, &demonstrations, plan, output)
}

/// The demonstrations of a run, recognised by their fingerprint.
pub fn open_demonstrations(run: &RunFolder, path: &Path) -> Result<Demonstrations, Error> {
    let own = run.config().imitated()?;
    if !path.exists() {
        return Err(Error::Misuse(format!(
            "{}: the demonstrations of this run are not there; say where they are with --demos DIR",
            path.display()
        )));
    }
    let demonstrations = Demonstrations::open(path)?;
    let env = &run.config().env;
    if demonstrations.dataset.meta().env.name != env.name {
        return Err(Error::Misuse(format!(
            "{}: demonstrations of {}, but the run was trained on {}",
            path.display(),
            demonstrations.dataset.meta().env.name,
            env.name
        )));
    }
    if demonstrations.fingerprint() != own.fingerprint {
        return Err(Error::Misuse(format!(
            "{}: not the demonstrations that this run learned from (their checksums differ)",
            path.display()
        )));
    }
    Ok(demonstrations)
}

/// Evaluates a run and writes `evaluation.json`; `demo` uses it too.
pub fn evaluate_run(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    plan: Plan,
    output: Output,
) -> Result<Evaluation, Error> {
    tch::set_num_threads(1);
    let policy = read_policy(&run.file("policy.safetensors"), demonstrations)?;
    let model = match run.file("cost.safetensors") {
        file if file.exists() => Some(EnergyModel::read(&file)?),
        _ => None,
    };
    let acting =
        |policy: &GaussianPolicy| Controller::Actor(Arc::new(policy.freeze()), plan.choice);
    let clone = match run.config().algo {
        Algo::Bc(_) | Algo::Ppo(_) => None,
        _ => Some(acting(&cloned_baseline(run, demonstrations, output)?)),
    };
    let fresh = match run.file(validate::FRESH_POLICY) {
        file if file.exists() => Some(acting(&GaussianPolicy::read(&file)?)),
        _ => None,
    };
    let horizon = demonstrations.factory.spec().horizon;
    let comparison = match &run.config().algo {
        Algo::GanGcl(s) => Some(Comparison {
            window: s.window,
            beta: s.beta_for(horizon),
        }),
        Algo::Gcl(s) => Some(Comparison {
            window: None,
            beta: s.beta_for(horizon),
        }),
        Algo::GclLqg(s) => Some(Comparison {
            window: None,
            beta: s.beta_for(horizon),
        }),
        // AIRL's shaping is discounted, GAIL's c_θ is no energy.
        Algo::Airl(_) | Algo::Gail(_) | Algo::Dagger(_) | Algo::Bc(_) | Algo::Ppo(_) => None,
    };
    let discriminator = comparison.zip(model.as_ref());
    let discriminator = discriminator.map(|(comparison, model)| Discriminator {
        model,
        policy: &policy,
        comparison,
    });
    let subject = Subject {
        factory: &demonstrations.factory,
        algo: run.config().algo.name(),
        run_seed: run.config().seed,
        controller: acting(&policy),
        cost: model.as_ref().map(|m| m as &dyn StepCost),
        discriminator,
        demonstrations: demonstrations.dataset.episodes(),
        clone,
        fresh,
    };
    let mut evaluation = watched(&subject, plan.options, output)?;
    evaluation.frozen = validate::read(run)?;
    evaluation.transfer = transfer::read(run)?;
    run.write_json("evaluation.json", &evaluation)?;
    Ok(evaluation)
}

/// Evaluates with a progress bar.
pub fn watched(subject: &Subject, options: Options, output: Output) -> Result<Evaluation, Error> {
    let mut counter = Counter::new(output, "evaluation", STAGES);
    let found = evaluate(subject, options, &mut |stage, what| counter.at(stage, what));
    counter.finish();
    found
}

/// A policy that fits the demonstrations' world.
pub fn read_policy(file: &Path, demonstrations: &Demonstrations) -> Result<GaussianPolicy, Error> {
    let policy = GaussianPolicy::read(file)?;
    same_env("policy", file, policy.env(), demonstrations)?;
    Ok(policy)
}

/// Refuses what belongs to another world.
pub fn same_env(
    what: &str,
    file: &Path,
    env: &str,
    demonstrations: &Demonstrations,
) -> Result<(), Error> {
    let here = &demonstrations.factory.spec().name;
    if env == here {
        return Ok(());
    }
    Err(Error::Misuse(format!(
        "{}: a {what} of {env}, but the demonstrations are of {here}; take demonstrations of {env}",
        file.display()
    )))
}

/// Where a run keeps its cloned yardstick.
const BASELINE: &str = "baseline/bc.safetensors";

/// Makes the policy of `clone`, a default `bc` run on the same demonstrations with the same seed, the
/// cloned yardstick of `run`, which would otherwise train the same again.
pub fn adopt_baseline(run: &RunFolder, clone: &RunFolder) -> Result<(), Error> {
    let policy = GaussianPolicy::read(&clone.file("policy.safetensors"))?;
    keep_baseline(run, &policy)
}

fn keep_baseline(run: &RunFolder, policy: &GaussianPolicy) -> Result<(), Error> {
    let folder = run.file("baseline");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    files::write_atomic(&run.file(BASELINE), &policy.to_bytes()?)
}

/// Behaviour cloning on the same demonstrations with default settings: the yardstick in every table.
/// Trained once a run and kept in `baseline/bc.safetensors`.
fn cloned_baseline(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    output: Output,
) -> Result<GaussianPolicy, Error> {
    let file = run.file(BASELINE);
    if file.exists() {
        return Ok(GaussianPolicy::read(&file)?);
    }
    let count = run.config().imitated()?.episodes;
    let policy = clone_of(demonstrations, count, run.config().seed, output)?;
    keep_baseline(run, &policy)?;
    // Read back: what is evaluated now is what a later evaluation will find.
    Ok(GaussianPolicy::read(&file)?)
}

/// Behaviour cloning of the first `count` demonstrations with default settings.
pub fn clone_of(
    demonstrations: &Demonstrations,
    count: usize,
    seed: u64,
    output: Output,
) -> Result<GaussianPolicy, Error> {
    let env = &demonstrations.factory.spec().name;
    let Algo::Bc(settings) = settings::resolve("bc", env, None, &[])? else {
        return Err(Error::Failure(
            "the settings of bc are not those of bc".into(),
        ));
    };
    let (trajectories, starts) = demonstrations.first(count);
    let task = Task {
        starts: &starts,
        factory: &demonstrations.factory,
        demonstrations: &trajectories,
        expert: "",
        seed,
        workers: 1,
    };
    let mut learner = Bc::new(&settings, &task)?;
    let mut counter = Counter::new(output, "bc", learner.iterations());
    for k in 0..learner.iterations() {
        learner.iterate(k)?;
        counter.at(k + 1, "baseline: behaviour cloning");
    }
    counter.finish();
    Ok(learner.policy().copy())
}
