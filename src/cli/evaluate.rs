//! `costate evaluate`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::{ActionChoice, RolloutPool};

use super::common::{Demonstrations, Output, parse_override, workers};
use super::evaluation_text::describe;
use super::imported::{self, Imported};
use super::results::{Results, unwritable};
use super::stoppable::stoppable;
use super::ui::Counter;
use super::{compare, methods, transfer, validate};
use crate::audit::Sealer;
use crate::cost::{EnergyModel, StepCost};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::{
    Certified, Comparison, Discriminator, Evaluation, Options, STAGES, Subject, Workers, evaluate,
};
use crate::expression::Formula;
use crate::learners::{Learner, Task, bc::Bc};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, Policy};
use crate::run::settings::Override;
use crate::run::{Algo, RunFolder, files, settings, weights};

/// Arguments of `costate evaluate`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate evaluate runs/pendulum-gan-gcl-0
  costate evaluate runs/pendulum-gan-gcl-0 --episodes 500 --deterministic --json
  costate evaluate runs/point_maze-airl-0 --transfer wall_right
  costate evaluate runs/pendulum-bc-0 runs/pendulum-gan-gcl-0
  costate evaluate runs/cart_pole-rl-0 --demos demos/cart_pole --success 'min(0.3 - abs(cart_position), pole_cos - 0.94)'
  costate evaluate demos/pendulum --policy swing.onnx
  costate evaluate /shared/runs/pendulum-airl-0 --output here
  costate evaluate demos/cart_pole --policy 'push = -9*pole_sin - 2*pole_angular_velocity + 0.5*cart_position + cart_velocity'
  costate evaluate demos/point_maze --cost 'position_x^2 + (position_y - 1)^2'")]
pub struct Args {
    /// Run folders, several of which are compared at the end; or a folder of demonstrations, with --policy or --cost.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Somebody else's policy instead of the run's: a .safetensors or .onnx file (FILE.onnx:OUTPUT where it has several), an expert's name, `random`,
    /// `constant=V,…`, or a formula for every action, `CHANNEL = FORMULA; …`.
    #[arg(long, value_name = "WHO")]
    policy: Option<String>,
    /// Another cost instead of the run's: a cost.safetensors file, or a formula of observations and actions.
    #[arg(long, value_name = "FILE|FORMULA", allow_hyphen_values = true)]
    cost: Option<String>,
    /// What success is, in place of what the task says: a formula of observations that is positive in the last tenth of
    /// an episode.
    #[arg(long, value_name = "FORMULA", allow_hyphen_values = true)]
    success: Option<String>,
    /// The demonstrations, if they are not where the run found them, or of the world of a run that had none.
    #[arg(long, value_name = "DIR")]
    demos: Option<PathBuf>,
    /// Episodes of each policy.
    #[arg(short = 'n', long, default_value_t = 100)]
    episodes: usize,
    /// Seed of the start states.
    #[arg(long, default_value_t = 1000)]
    seed: u64,
    /// Act by the policy's mean (ibc: by the action of least energy) instead of sampling.
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
    /// Keep the results of one run in this folder and not in the run's, which may then be one that can only be read; those of
    /// demonstrations, which are kept nowhere without it.
    #[arg(short = 'o', long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// How a run is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'a> {
    /// Episodes, seed, workers.
    pub options: Options<'a>,
    /// How learned policies act.
    pub choice: ActionChoice,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    stoppable(move |interrupt| evaluate_asked(&args, interrupt, output))
}

fn evaluate_asked(args: &Args, interrupt: &AtomicBool, output: Output) -> Result<(), Error> {
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
            workers: Workers::new(RolloutPool::new(workers(args.workers)?), interrupt),
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
            success: args.success.as_deref(),
            output: args.output.as_deref(),
        };
        let evaluation = imported::evaluate_imported(&imported, plan, output)?;
        return output.result(&evaluation, || describe(&evaluation));
    }
    if args.policy.is_some() || args.cost.is_some() {
        return Err(Error::Misuse(
            "--policy and --cost take one run or one folder of demonstrations".into(),
        ));
    }
    if let [path] = args.runs.as_slice() {
        let evaluation = evaluate_one(&RunFolder::open(path)?, args, plan, interrupt, output)?;
        return output.result(&evaluation, || describe(&evaluation));
    }
    if args.output.is_some() {
        return Err(Error::Misuse(
            "--output takes the results of one run; evaluate the runs one by one, each with a folder of its own".into(),
        ));
    }
    // What cannot be compared is refused before minutes are spent on it.
    let runs = methods::open(&args.runs)?;
    for run in &runs {
        output.remark(&format!("{}:", run.path().display()));
        evaluate_one(run, args, plan, interrupt, output)?;
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
    let demos = match &args.demos {
        Some(demos) => demos.clone(),
        None => run.config().imitated()?.path.clone(),
    };
    let demonstrations = open_demonstrations(run, &demos)?;
    let recipe = transfer::recipe(run, &args.transfer, &args.set)?;
    let results = Results::within(run, args.output.as_deref())?;
    if args.reoptimize || !args.transfer.is_empty() {
        results.require_writable()?;
    }
    let interrupted = || {
        Error::Failure(
            "interrupted; the same command goes on with the fresh policies that are missing".into(),
        )
    };
    if args.reoptimize {
        let settings = settings::validation(&run.config().env.name)?;
        let workers = plan.options.workers.pool().workers();
        let found = validate::validate_into(
            results,
            &demonstrations,
            &settings,
            workers,
            interrupt,
            output,
        )?;
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
        let found = transfer::transfer(results, &demonstrations, name, asked)?;
        found.ok_or_else(interrupted)?;
    }
    evaluate_into(
        results,
        &demonstrations,
        args.success.as_deref(),
        plan,
        output,
    )
}

/// The demonstrations of a run, recognised by their fingerprint; for a run that imitates nobody, any of its world.
pub fn open_demonstrations(run: &RunFolder, path: &Path) -> Result<Demonstrations, Error> {
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
    let Some(own) = &run.config().demonstrations else {
        return match demonstrations.dataset.meta().env == *env {
            true => Ok(demonstrations),
            false => Err(Error::Misuse(format!(
                "{}: demonstrations of {} with other parameters than the run's; record some with the same --variant and \
                 --set",
                path.display(),
                env.name
            ))),
        };
    };
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
    success: Option<&str>,
    plan: Plan,
    output: Output,
) -> Result<Evaluation, Error> {
    evaluate_into(Results::of(run), demonstrations, success, plan, output)
}

fn evaluate_into(
    results: Results,
    demonstrations: &Demonstrations,
    success: Option<&str>,
    plan: Plan,
    output: Output,
) -> Result<Evaluation, Error> {
    tch::set_num_threads(1);
    let run = results.run();
    let success = success_formula(success, demonstrations)?;
    let policy = read_policy(&run.policy()?, demonstrations)?;
    let model = match run.weights(weights::COST)? {
        Some(file) => {
            let model = EnergyModel::read(&file)?;
            same_env("cost", &file, model.env(), demonstrations)?;
            same_widths(
                "cost",
                &file,
                model.normalizer(),
                model.action_scale(),
                demonstrations,
            )?;
            Some(model)
        }
        None => None,
    };
    let config = run.config();
    let composed = config.cost.as_ref();
    let composed = composed
        .map(|c| c.load(&config.env, run.path()))
        .transpose()?
        .filter(|c| !c.knows_truth());
    let acting = |policy: &GaussianPolicy| Controller::of(Learned::Gaussian(policy), plan.choice);
    let clone = match run.config().algo {
        Algo::Bc(_) | Algo::Ppo(_) | Algo::Rl(_) => None,
        _ => Some(acting(&cloned_baseline(
            results,
            demonstrations,
            plan.options.workers,
            output,
        )?)),
    };
    let fresh = match validate::fresh_policy(results)? {
        Some(file) => Some(acting(&GaussianPolicy::read(&file)?)),
        None => None,
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
        Algo::Airl(_)
        | Algo::Gail(_)
        | Algo::Dagger(_)
        | Algo::Bc(_)
        | Algo::Ibc(_)
        | Algo::Ppo(_)
        | Algo::Rl(_) => None,
    };
    let discriminator = match (comparison, &model) {
        (Some(comparison), Some(model)) => Some(Discriminator {
            model,
            policy: policy.learned().gaussian()?,
            comparison,
        }),
        _ => None,
    };
    let cost: Option<&dyn StepCost> = match (&model, &composed) {
        (Some(model), _) => Some(model),
        (None, Some(composed)) => Some(composed),
        (None, None) => None,
    };
    let controller = Controller::of(policy.learned(), plan.choice);
    let certified = match (cost, &controller) {
        (Some(cost), Controller::Actor(actor, _)) => Some(Certified {
            cost,
            actor,
            entropy_weight: config.algo.entropy_weight(),
        }),
        _ => None,
    };
    let subject = Subject {
        factory: &demonstrations.factory,
        algo: run.config().algo.name(),
        run_seed: run.config().seed,
        controller: controller.clone(),
        cost,
        discriminator,
        demonstrations: demonstrations.dataset.episodes(),
        clone,
        fresh,
        success: success.as_ref(),
        certified,
    };
    let mut evaluation = watched(&subject, plan.options, output)?;
    evaluation.frozen = validate::read(results)?;
    evaluation.transfer = transfer::read(results)?;
    results.keep(&evaluation, output)?;
    Ok(evaluation)
}

/// What `--success` says.
pub fn success_formula(
    text: Option<&str>,
    demonstrations: &Demonstrations,
) -> Result<Option<Formula>, Error> {
    let spec = demonstrations.factory.spec();
    text.map(|t| Formula::parse(t, spec, false)).transpose()
}

/// Evaluates with a progress bar.
pub fn watched(subject: &Subject, options: Options, output: Output) -> Result<Evaluation, Error> {
    let mut counter = Counter::new(output, "evaluation", STAGES);
    let found = evaluate(subject, options, &mut |stage, what| counter.at(stage, what));
    counter.finish();
    found
}

/// A policy that fits the demonstrations' world.
pub fn read_policy(file: &Path, demonstrations: &Demonstrations) -> Result<Policy, Error> {
    let policy = Policy::read(file)?;
    let learned = policy.learned();
    same_env("policy", file, learned.env(), demonstrations)?;
    let (normalizer, scale) = learned.scales();
    same_widths("policy", file, normalizer, scale, demonstrations)?;
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

/// Refuses what was made for other channels of a world of the same name.
pub fn same_widths(
    what: &str,
    file: &Path,
    normalizer: &Normalizer,
    scale: &ActionScale,
    demonstrations: &Demonstrations,
) -> Result<(), Error> {
    let spec = demonstrations.factory.spec();
    let own = [normalizer.mean.len(), scale.centre.len()];
    let here = [spec.observation.dim(), spec.action.dim()];
    if own == here {
        return Ok(());
    }
    Err(Error::Misuse(format!(
        "{}: a {what} of {} observed values and {} actions, but {} has {} and {}",
        file.display(),
        own[0],
        own[1],
        spec.name,
        here[0],
        here[1]
    )))
}

/// Where a run keeps its cloned yardstick.
const BASELINE: &str = "baseline/bc.safetensors";

/// Makes the policy of `clone`, a default `bc` run on the same demonstrations with the same seed, the
/// cloned yardstick of `run`, which would otherwise train the same again.
pub fn adopt_baseline(run: &RunFolder, clone: &RunFolder) -> Result<(), Error> {
    let policy = GaussianPolicy::read(&clone.file("policy.safetensors"))?;
    keep_baseline(Results::of(run), &policy)
}

fn keep_baseline(results: Results, policy: &GaussianPolicy) -> Result<(), Error> {
    let folder = results.file("baseline");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    files::write_atomic(&results.file(BASELINE), &policy.to_bytes()?)
}

/// Behaviour cloning on the same demonstrations with default settings: the yardstick in every table.
/// Trained once a run and kept in `baseline/bc.safetensors`.
fn cloned_baseline(
    results: Results,
    demonstrations: &Demonstrations,
    workers: Workers,
    output: Output,
) -> Result<GaussianPolicy, Error> {
    let run = results.run();
    let file = results.found(BASELINE);
    if file.exists() {
        return Ok(GaussianPolicy::read(&file)?);
    }
    let count = run.config().imitated()?.episodes;
    let policy = clone_of(demonstrations, count, run.config().seed, workers, output)?;
    match keep_baseline(results, &policy) {
        // A run that may only be read: the next evaluation clones the same again.
        Err(e) if unwritable(&e) => Ok(policy),
        // Read back: what is evaluated now is what a later evaluation will find.
        kept => kept.and_then(|()| Ok(GaussianPolicy::read(&results.file(BASELINE))?)),
    }
}

/// Behaviour cloning of the first `count` demonstrations with default settings.
pub fn clone_of(
    demonstrations: &Demonstrations,
    count: usize,
    seed: u64,
    workers: Workers,
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
        sealer: Sealer::unwatched(),
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
        workers.check()?;
        learner.iterate(k)?;
        counter.at(k + 1, "baseline: behaviour cloning");
    }
    counter.finish();
    Ok(learner.policy().gaussian()?.copy())
}
