//! `costate evaluate`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::{ActionChoice, RolloutPool};

use super::common::{Demonstrations, Output, interrupt_flag, workers};
use super::ui::{Counter, interval, number, table};
use super::{compare, compared, transfer, validate};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::{Comparison, Evaluation, Options, Subject, evaluate};
use crate::learners::{Learner, Task, bc::Bc};
use crate::policy::GaussianPolicy;
use crate::run::{Algo, RunFolder, files, settings};

/// Arguments of `costate evaluate`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate evaluate runs/pendulum-gan-gcl-0
  costate evaluate runs/pendulum-gan-gcl-0 --episodes 500 --deterministic --json
  costate evaluate runs/point_maze-airl-0 --transfer wall_right
  costate evaluate runs/pendulum-bc-0 runs/pendulum-gan-gcl-0")]
pub struct Args {
    /// Run folders; several are compared at the end.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
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
    /// Train fresh policies on the frozen cost first, where that has not been done (minutes).
    #[arg(long)]
    reoptimize: bool,
    /// Variants of the world, with commas between them: train fresh policies there on the frozen cost and on the
    /// true cost, where that has not been done, and set them beside the run's own policy (minutes each).
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    transfer: Vec<String>,
    /// Worker threads; results do not depend on it [default: one a core].
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    if args.episodes < 2 {
        return Err(Error::Misuse(format!(
            "--episodes is {}, expected at least 2",
            args.episodes
        )));
    }
    let interrupt = interrupt_flag()?;
    if let [path] = args.runs.as_slice() {
        let evaluation = evaluate_one(&RunFolder::open(path)?, &args, &interrupt, output)?;
        return output.result(&evaluation, || describe(&evaluation));
    }
    // What cannot be compared is refused before minutes are spent on it.
    let runs = compared::open(&args.runs)?;
    for run in &runs {
        output.remark(&format!("{}:", run.path().display()));
        evaluate_one(run, &args, &interrupt, output)?;
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
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Evaluation, Error> {
    let imitated = run.config().imitated()?;
    let demos = args.demos.clone().unwrap_or(imitated.path.clone());
    let demonstrations = open_demonstrations(run, &demos)?;
    let options = Options {
        episodes: args.episodes,
        seed: args.seed,
        choice: if args.deterministic {
            ActionChoice::Mean
        } else {
            ActionChoice::Sample
        },
        pool: RolloutPool::new(workers(args.workers)?),
    };
    transfer::check(run, &args.transfer)?;
    let interrupted = || {
        Error::Failure(
            "interrupted; the same command goes on with the fresh policies that are missing".into(),
        )
    };
    if args.reoptimize {
        let settings = settings::validation(&run.config().env.name)?;
        let workers = options.pool.workers();
        let found =
            validate::validate(run, &demonstrations, &settings, workers, interrupt, output)?;
        if found.is_none() {
            return Err(interrupted());
        }
    }
    for name in &args.transfer {
        let found = transfer::transfer(run, &demonstrations, name, options, interrupt, output)?;
        found.ok_or_else(interrupted)?;
    }
    evaluate_run(run, &demonstrations, options, output)
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
    options: Options,
    output: Output,
) -> Result<Evaluation, Error> {
    tch::set_num_threads(1);
    let policy = GaussianPolicy::read(&run.file("policy.safetensors"))?;
    let model = match run.file("cost.safetensors") {
        file if file.exists() => Some(EnergyModel::read(&file)?),
        _ => None,
    };
    let clone = match run.config().algo {
        Algo::Bc(_) | Algo::Ppo(_) => None,
        _ => Some(cloned_baseline(run, demonstrations, output)?),
    };
    let fresh = match run.file(validate::FRESH_POLICY) {
        file if file.exists() => Some(GaussianPolicy::read(&file)?),
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
        // AIRL's shaping is discounted, GAIL's c_θ is no energy.
        Algo::Airl(_) | Algo::Gail(_) | Algo::Dagger(_) | Algo::Bc(_) | Algo::Ppo(_) => None,
    };
    output.remark("evaluating …");
    let subject = Subject {
        factory: &demonstrations.factory,
        algo: run.config().algo.name(),
        run_seed: run.config().seed,
        policy: &policy,
        model: model.as_ref(),
        comparison,
        demonstrations: demonstrations.dataset.episodes(),
        clone: clone.as_ref(),
        fresh: fresh.as_ref(),
    };
    let mut evaluation = evaluate(&subject, options)?;
    evaluation.frozen = validate::read(run)?;
    evaluation.transfer = transfer::read(run)?;
    run.write_json("evaluation.json", &evaluation)?;
    Ok(evaluation)
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
    let Algo::Bc(settings) = settings::resolve("bc", &run.config().env.name, None, &[])? else {
        return Err(Error::Failure(
            "the settings of bc are not those of bc".into(),
        ));
    };
    let (trajectories, starts) = demonstrations.first(run.config().imitated()?.episodes);
    let task = Task {
        starts: &starts,
        factory: &demonstrations.factory,
        demonstrations: &trajectories,
        expert: "",
        seed: run.config().seed,
        workers: 1,
    };
    let mut learner = Bc::new(&settings, &task)?;
    let mut counter = Counter::new(output, "bc", learner.iterations());
    for k in 0..learner.iterations() {
        learner.iterate(k)?;
        counter.at(k + 1, "baseline: behaviour cloning");
    }
    counter.finish();
    keep_baseline(run, learner.policy())?;
    // Read back: what is evaluated now is what a later evaluation will find.
    Ok(GaussianPolicy::read(&file)?)
}

/// The evaluation as a table with its explanations.
pub fn describe(e: &Evaluation) -> String {
    let rows: Vec<Vec<String>> = e
        .rows
        .iter()
        .map(|r| {
            vec![
                r.policy.clone(),
                r.episodes.to_string(),
                number(r.mean_return),
                interval(r.ci95),
                format!("{:.3}", r.normalized_score),
                format!(
                    "{:.3} … {:.3}",
                    r.normalized_score_ci95[0], r.normalized_score_ci95[1]
                ),
                r.occupancy
                    .map_or("–".into(), |o| format!("{:.3}", o.sliced_wasserstein)),
                r.occupancy
                    .map_or("–".into(), |o| format!("{:.3}", o.p_value)),
            ]
        })
        .collect();
    let mut text = format!(
        "{}, {} seed {}; {} episodes a policy, actions: {}\n\n{}",
        e.env,
        e.algo,
        e.seed,
        e.episodes,
        e.actions,
        table(
            &[
                "policy", "episodes", "return", "95 %", "score", "95 %", "distance", "p",
            ],
            &rows
        )
    );
    text +=
        "\nscore = (return − random) / (expert − random); 95 % bootstrap intervals over episodes\n";
    if let Some(found) = e.rows.iter().find_map(|r| r.occupancy) {
        let chance = found.within_reference.map_or(String::new(), |w| {
            format!("; the demonstrations' two halves are {w:.3} apart")
        });
        text += &format!(
            "distance = of visited states and actions from the demonstrations' (sliced Wasserstein, in their standard deviations){chance}\n\
             p = of a permutation test (MMD, whole episodes): below 0.05 the episodes are told from the demonstrations\n"
        );
    }
    if let Some(c) = &e.cost {
        let figure = |v: Option<f64>| v.map_or("– (constant)".into(), |v| format!("{v:.3}"));
        text += &format!(
            "\nlearned cost: Spearman {} with the true cost over {} trajectories (1 is best); EPIC distance \
             {}, DARD distance {} (0 is best)\n",
            figure(c.spearman),
            c.cost_scatter.len(),
            figure(c.epic),
            figure(c.dard),
        );
        if let Some(d) = &c.discriminator {
            text += &format!(
                "discriminator: accuracy {:.3} (0.5 when demonstrations and policy cannot be told apart), \
                 ESS {:.2} of the batch, log Z {}\n",
                d.discriminator_accuracy,
                d.ess,
                number(d.log_z)
            );
        }
    }
    if let Some(frozen) = &e.frozen {
        text += &format!("\n{}", validate::describe(frozen));
    }
    text += &transfer::describe(&e.transfer);
    text
}
