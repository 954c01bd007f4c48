//! Evaluations: of a run, or of policies and costs from elsewhere.

use std::path::{Path, PathBuf};

use costate_envs::rollout::{ActionChoice, RolloutPool};

use super::imported;
use super::results::{Results, unwritable};
use super::{Demonstrations, Progress, open_demonstrations, transfer, validate};
use crate::audit::Sealer;
use crate::cost::{ComposedCost, EnergyModel, StepCost};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::workers::interrupted;
use crate::evaluate::{
    self, Certified, Comparison, Discriminator, Evaluation, Options, STAGES, Subject, Workers,
};
use crate::expression::Formula;
use crate::learners::{Learner, Task, bc::Bc};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, Policy};
use crate::run::settings::Override;
use crate::run::{Algo, RunFolder, files, settings, weights};

/// What to evaluate.
#[derive(Debug, Clone)]
pub struct Request {
    /// A run's folder; or one of demonstrations, with a policy or a cost.
    pub place: PathBuf,
    /// The demonstrations of a run, if they moved or it has none.
    pub demos: Option<PathBuf>,
    /// Who acts in place of the run's policy: a file, an expert, `random`, `constant=V,…`, or formulas.
    pub policy: Option<String>,
    /// A cost in place of the run's: a file or a formula.
    pub cost: Option<String>,
    /// What success is, in place of what the task says: a formula.
    pub success: Option<String>,
    /// How.
    pub protocol: Protocol,
    /// Whether fresh policies are trained on the frozen cost first.
    pub reoptimize: bool,
    /// Variants of the world to train and play in first.
    pub transfer: Vec<String>,
    /// Settings of `ppo` that policies in variants are trained with.
    pub set: Vec<Override>,
    /// A folder for the results, in place of the run's own; those of demonstrations are kept nowhere without it.
    pub output: Option<PathBuf>,
}

/// How policies are played and judged.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// Episodes of each policy, at least 2.
    pub episodes: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// How learned policies act.
    pub choice: ActionChoice,
    /// Whether scores under noise and in variants are measured too.
    pub robustness: bool,
    /// Worker threads.
    pub workers: usize,
}

impl Protocol {
    /// The published one, 100 episodes of seed 1000, without robustness.
    pub fn published(workers: usize) -> Self {
        Self {
            episodes: 100,
            seed: 1000,
            choice: ActionChoice::Sample,
            robustness: false,
            workers,
        }
    }

    /// Refuses what tells no spread.
    pub fn check(&self) -> Result<(), Error> {
        match self.episodes {
            0 | 1 => Err(Error::Misuse(format!(
                "--episodes is {}, expected at least 2",
                self.episodes
            ))),
            _ => Ok(()),
        }
    }

    fn workers<'a>(&self, progress: &'a dyn Progress) -> Workers<'a> {
        Workers::new(RolloutPool::new(self.workers), progress.interrupt())
    }

    /// Evaluates, stage by stage.
    pub(super) fn evaluate(
        &self,
        subject: &Subject,
        progress: &dyn Progress,
    ) -> Result<Evaluation, Error> {
        let options = Options {
            episodes: self.episodes,
            seed: self.seed,
            robustness: self.robustness,
            workers: self.workers(progress),
        };
        progress.begin("evaluation", STAGES);
        let found = evaluate::evaluate(subject, options, &mut |stage, what| {
            progress.advance(stage, what);
        });
        progress.end();
        found
    }
}

/// Evaluates a run, or what is given in its place, and keeps the results.
///
/// Errors: what does not fit the demonstrations, and an interruption.
pub fn evaluate(request: &Request, progress: &dyn Progress) -> Result<Evaluation, Error> {
    request.protocol.check()?;
    let place = &request.place;
    if request.policy.is_none() && request.cost.is_none() && !imported::is_dataset(place) {
        return evaluate_learned(&RunFolder::open(place)?, request, progress);
    }
    if request.reoptimize || !request.transfer.is_empty() {
        return Err(Error::Misuse(
            "--reoptimize and --transfer train on a run's own cost; leave --policy and --cost out"
                .into(),
        ));
    }
    imported::evaluate(request, progress)
}

fn evaluate_learned(
    run: &RunFolder,
    request: &Request,
    progress: &dyn Progress,
) -> Result<Evaluation, Error> {
    let demos = match &request.demos {
        Some(demos) => demos,
        None => &run.config().imitated()?.path,
    };
    let demonstrations = &open_demonstrations(run, demos)?;
    let recipe = &transfer::recipe(run, &request.transfer, &request.set)?;
    let results = Results::within(run, request.output.as_deref())?;
    if request.reoptimize || !request.transfer.is_empty() {
        results.require_writable()?;
    }
    let interrupted = || {
        Error::Failure(
            "interrupted; the same command goes on with the fresh policies that are missing".into(),
        )
    };
    let protocol = request.protocol;
    if request.reoptimize {
        let validation = validate::Request {
            results,
            demonstrations,
            settings: &settings::validation(&run.config().env.name)?,
            workers: protocol.workers,
        };
        validate::validate(&validation, progress)?.ok_or_else(interrupted)?;
    }
    for variant in &request.transfer {
        let request = transfer::Request {
            results,
            demonstrations,
            variant,
            recipe,
            protocol,
        };
        transfer::transfer(&request, progress)?.ok_or_else(interrupted)?;
    }
    let success = request.success.as_deref();
    evaluate_into(results, demonstrations, success, protocol, progress)
}

/// Evaluates a run on its demonstrations, opened already, and writes `evaluation.json`.
pub fn evaluate_run(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    protocol: Protocol,
    progress: &dyn Progress,
) -> Result<Evaluation, Error> {
    let results = Results::of(run);
    evaluate_into(results, demonstrations, None, protocol, progress)
}

fn evaluate_into(
    results: Results,
    demonstrations: &Demonstrations,
    success: Option<&str>,
    protocol: Protocol,
    progress: &dyn Progress,
) -> Result<Evaluation, Error> {
    tch::set_num_threads(1);
    let run = results.run();
    let config = run.config();
    let success = success_formula(success, demonstrations)?;
    let policy = read_policy(&run.policy()?, demonstrations)?;
    let model = run.weights(weights::COST)?;
    let model = model.map(|file| read_cost(&file, demonstrations));
    let cost = LearnedCost {
        model: model.transpose()?,
        composed: composed(run)?,
    };
    let acting =
        |policy: &GaussianPolicy| Controller::of(Learned::Gaussian(policy), protocol.choice);
    let clone = match is_compared_with_a_clone(&config.algo) {
        true => Some(cloned_baseline(results, demonstrations, progress)?),
        false => None,
    };
    let fresh = validate::fresh_policy(results)?;
    let fresh = fresh.map(|file| GaussianPolicy::read(&file)).transpose()?;
    let horizon = demonstrations.factory.spec().horizon;
    let discriminator = match (comparison(&config.algo, horizon), &cost.model) {
        (Some(comparison), Some(model)) => Some(Discriminator {
            model,
            policy: policy.learned().gaussian()?,
            comparison,
        }),
        _ => None,
    };
    let controller = Controller::of(policy.learned(), protocol.choice);
    let certified = match (cost.step_cost(), &controller) {
        (Some(cost), Controller::Actor(actor, _)) => Some(Certified {
            cost,
            actor,
            entropy_weight: config.algo.entropy_weight(),
        }),
        _ => None,
    };
    let subject = Subject {
        factory: &demonstrations.factory,
        algo: config.algo.name(),
        run_seed: config.seed,
        controller: controller.clone(),
        cost: cost.step_cost(),
        discriminator,
        demonstrations: demonstrations.dataset.episodes(),
        clone: clone.as_ref().map(acting),
        fresh: fresh.as_ref().map(acting),
        success: success.as_ref(),
        certified,
    };
    let mut evaluation = protocol.evaluate(&subject, progress)?;
    evaluation.frozen = validate::read(results)?;
    evaluation.transfer = transfer::read(results)?;
    results.keep(&evaluation, progress)?;
    Ok(evaluation)
}

/// The cost of a run: learned, or added up of given ones.
struct LearnedCost {
    model: Option<EnergyModel>,
    composed: Option<ComposedCost>,
}

impl LearnedCost {
    fn step_cost(&self) -> Option<&dyn StepCost> {
        match (&self.model, &self.composed) {
            (Some(model), _) => Some(model),
            (None, Some(composed)) => Some(composed),
            (None, None) => None,
        }
    }
}

/// What a run of `rl` minimised, unless the true cost is a part of it.
fn composed(run: &RunFolder) -> Result<Option<ComposedCost>, Error> {
    let config = run.config();
    let given = config.cost.as_ref();
    let loaded = given.map(|c| c.load(&config.env, run.path())).transpose()?;
    Ok(loaded.filter(|c| !c.knows_truth()))
}

/// Whether a cloned policy is a yardstick: for whatever imitates and is not cloning itself.
fn is_compared_with_a_clone(algo: &Algo) -> bool {
    !matches!(algo, Algo::Bc(_) | Algo::Ppo(_) | Algo::Rl(_))
}

/// How a learner's discriminator compares trajectories; `None` where c_θ is no energy of the undiscounted sum.
fn comparison(algo: &Algo, horizon: usize) -> Option<Comparison> {
    let (window, beta) = match algo {
        Algo::GanGcl(s) => (s.window, s.beta_for(horizon)),
        Algo::Gcl(s) => (None, s.beta_for(horizon)),
        Algo::GclLqg(s) => (None, s.beta_for(horizon)),
        // AIRL's shaping is discounted, GAIL's c_θ is no energy.
        Algo::Airl(_)
        | Algo::Gail(_)
        | Algo::Dagger(_)
        | Algo::Bc(_)
        | Algo::Ibc(_)
        | Algo::Ppo(_)
        | Algo::Rl(_) => return None,
    };
    Some(Comparison { window, beta })
}

/// What success is, where somebody says.
pub(super) fn success_formula(
    text: Option<&str>,
    demonstrations: &Demonstrations,
) -> Result<Option<Formula>, Error> {
    let spec = demonstrations.factory.spec();
    text.map(|t| Formula::parse(t, spec, false)).transpose()
}

/// A policy that fits the demonstrations' world.
pub(super) fn read_policy(file: &Path, demonstrations: &Demonstrations) -> Result<Policy, Error> {
    let policy = Policy::read(file)?;
    let learned = policy.learned();
    fits(
        "policy",
        file,
        learned.env(),
        learned.scales(),
        demonstrations,
    )?;
    Ok(policy)
}

/// A cost that fits the demonstrations' world.
pub(super) fn read_cost(
    file: &Path,
    demonstrations: &Demonstrations,
) -> Result<EnergyModel, Error> {
    let model = EnergyModel::read(file)?;
    let scales = (model.normalizer(), model.action_scale());
    fits("cost", file, model.env(), scales, demonstrations)?;
    Ok(model)
}

/// Refuses what belongs to another world, or to other channels of a world of the same name.
fn fits(
    what: &str,
    file: &Path,
    env: &str,
    (normalizer, scale): (&Normalizer, &ActionScale),
    demonstrations: &Demonstrations,
) -> Result<(), Error> {
    let spec = demonstrations.factory.spec();
    let name = &spec.name;
    if env != name {
        return Err(Error::Misuse(format!(
            "{}: a {what} of {env}, but the demonstrations are of {name}; take demonstrations of {env}",
            file.display()
        )));
    }
    let own = [normalizer.mean.len(), scale.centre.len()];
    let here = [spec.observation.dim(), spec.action.dim()];
    if own == here {
        return Ok(());
    }
    Err(Error::Misuse(format!(
        "{}: a {what} of {} observed values and {} actions, but {name} has {} and {}",
        file.display(),
        own[0],
        own[1],
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
    progress: &dyn Progress,
) -> Result<GaussianPolicy, Error> {
    let run = results.run();
    let file = results.found(BASELINE);
    if file.exists() {
        return Ok(GaussianPolicy::read(&file)?);
    }
    let count = run.config().imitated()?.episodes;
    let policy = clone_of(demonstrations, count, run.config().seed, progress)?;
    match keep_baseline(results, &policy) {
        // A run that may only be read: the next evaluation clones the same again.
        Err(e) if unwritable(&e) => Ok(policy),
        // Read back: what is evaluated now is what a later evaluation will find.
        kept => kept.and_then(|()| Ok(GaussianPolicy::read(&results.file(BASELINE))?)),
    }
}

/// Behaviour cloning of the first `count` demonstrations with default settings.
pub(super) fn clone_of(
    demonstrations: &Demonstrations,
    count: usize,
    seed: u64,
    progress: &dyn Progress,
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
    progress.begin("bc", learner.iterations());
    for k in 0..learner.iterations() {
        if progress.interrupted() {
            return Err(interrupted());
        }
        learner.iterate(k)?;
        progress.advance(k + 1, "baseline: behaviour cloning");
    }
    progress.end();
    Ok(learner.policy().gaussian()?.copy())
}
