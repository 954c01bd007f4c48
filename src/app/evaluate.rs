//! Evaluations: of a run, or of imported policies and costs.

use super::baseline::cloned_baseline;
pub use super::protocol::{Protocol, Request};
use super::protocol::{read_cost, read_policy, success_formula};
use super::results::Results;
use super::{
    Demonstrations, Progress, held_out, imported, open_demonstrations, transfer, validate,
};
use crate::cost::{ComposedCost, EnergyModel, StepCost};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::{Certified, Discriminator, Evaluation, Subject};
use crate::learners::bc::BcSettings;
use crate::learners::{Algo, Algorithm};
use crate::policy::{GaussianPolicy, Learned};
use crate::run::{RunFolder, settings, weights};

/// Evaluates a run, or what is given in its place, and saves the results.
///
/// Errors: a policy or cost that does not fit the demonstrations; no simulator, for which [`held_out::evaluate`] is; an
/// interruption.
pub fn evaluate(request: &Request, progress: &dyn Progress) -> Result<Evaluation, Error> {
    request.protocol.check()?;
    let place = &request.place;
    if held_out::applies(place) {
        return Err(Error::Misuse(format!(
            "{}: without a simulator there are no returns to compare; evaluate such runs one by one",
            place.display()
        )));
    }
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
            "interrupted; the same command resumes with the remaining fresh policies".into(),
        )
    };
    let protocol = request.protocol;
    if request.reoptimize {
        let validation = validate::Request {
            results,
            demonstrations,
            settings: &settings::validation(&run.config().algo, &run.config().env.name)?,
            workers: protocol.workers,
            elsewhere: None,
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

/// Evaluates a run on its demonstrations, already opened, and writes `evaluation.json`.
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
    let acted = demonstrations.dataset.meta().actions_known();
    if !acted && cost.sees_actions() {
        return Err(Error::Misuse(format!(
            "{}: no actions were recorded, but the cost depends on them; evaluate it on demonstrations with actions: --demos DIR",
            demonstrations.dataset.path().display()
        )));
    }
    // A clone of hidden actions would know more than the run.
    let blind = config.imitated().is_ok_and(|d| d.observations_only);
    let clone = match acted && !blind && is_compared_with_a_clone(&config.algo) {
        true => Some(cloned_baseline(results, demonstrations, progress)?),
        false => None,
    };
    let fresh = validate::fresh_policy(results)?;
    let fresh = fresh.map(|file| GaussianPolicy::read(&file)).transpose()?;
    let horizon = demonstrations.factory.spec().horizon;
    let discriminator = match (config.algo.discrimination(horizon), &cost.model) {
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
        acted,
        clone: clone.as_ref().map(acting),
        fresh: fresh.as_ref().map(acting),
        success: success.as_ref(),
        certified,
    };
    let mut evaluation = protocol.evaluate(&subject, progress)?;
    if let Some(validation) = validate::read(results)? {
        evaluation.frozen = Some(validation.frozen);
        evaluation.controls = validation.controls;
    }
    evaluation.transfer = transfer::read(results)?;
    results.keep(&evaluation, progress)?;
    Ok(evaluation)
}

/// The cost of a run: learned, or a weighted sum of given ones.
struct LearnedCost {
    model: Option<EnergyModel>,
    composed: Option<ComposedCost>,
}

impl LearnedCost {
    fn sees_actions(&self) -> bool {
        let (model, composed) = (self.model.as_ref(), self.composed.as_ref());
        model.is_some_and(EnergyModel::sees_actions)
            || composed.is_some_and(|cost| !cost.overlooks_actions())
    }

    fn step_cost(&self) -> Option<&dyn StepCost> {
        match (&self.model, &self.composed) {
            (Some(model), _) => Some(model),
            (None, Some(composed)) => Some(composed),
            (None, None) => None,
        }
    }
}

/// The cost that a run of `rl` minimised, unless it contains the true cost.
fn composed(run: &RunFolder) -> Result<Option<ComposedCost>, Error> {
    let config = run.config();
    let given = config.cost.as_ref();
    let loaded = given.map(|c| c.load(&config.env, run.path())).transpose()?;
    Ok(loaded.filter(|c| !c.knows_truth()))
}

/// Whether a cloned policy is a baseline: for every imitation algorithm but cloning itself.
fn is_compared_with_a_clone(algo: &Algo) -> bool {
    algo.entry().imitates() && algo.name() != BcSettings::NAME
}
