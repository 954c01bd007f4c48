//! Policies and costs that were not learned by a run.

use std::path::Path;
use std::sync::Arc;

use costate_demos::experts::{ExpertDesign, experts_for};
use costate_envs::EnvSpec;

use super::baseline::clone_of;
use super::protocol::{Request, read_cost, read_policy, success_formula};
use super::results::{Results, keep_in, open_folder};
use super::{Demonstrations, Progress, doubts, open_demonstrations};
use crate::cost::{EnergyModel, StepCost};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::{Evaluation, Subject, check_finite};
use crate::expression::Formula;
use crate::policy::Learned;
use crate::policy::imported::{OnnxPolicy, ScriptedPolicy, onnx_named};
use crate::run::{RunFolder, weights};

/// Whether a folder holds demonstrations rather than a run.
pub fn is_dataset(place: &Path) -> bool {
    !place.join("config.json").exists() && place.join("meta.json").exists()
}

/// The policy, and its name.
struct Acting {
    controller: Controller,
    name: String,
}

/// Evaluates an imported policy or cost against demonstrations.
pub fn evaluate(request: &Request, progress: &dyn Progress) -> Result<Evaluation, Error> {
    tch::set_num_threads(1);
    let (place, protocol) = (&request.place, request.protocol);
    let run = match is_dataset(place) {
        true => None,
        false => Some(RunFolder::open(place)?),
    };
    let demonstrations = match &run {
        None => Demonstrations::open(place)?,
        Some(run) => {
            let own = run.config().imitated()?.path.clone();
            open_demonstrations(run, request.demos.as_deref().unwrap_or(&own))?
        }
    };
    if run.is_none() && request.policy.is_none() && request.cost.is_none() {
        return Err(Error::Misuse(format!(
            "{}: these are demonstrations; say which policy or cost to evaluate with --policy or --cost, or give a \
             run's folder",
            place.display()
        )));
    }
    let judged = Judged::find(request, run.as_ref(), &demonstrations)?;
    let success = success_formula(request.success.as_deref(), &demonstrations)?;
    let odd = judged.doubts(request, &demonstrations)?;
    odd.iter().for_each(|doubt| progress.remark(doubt));
    if let Some(folder) = &request.output {
        match &run {
            Some(run) => drop(Results::within(run, Some(folder))?),
            None => open_folder(folder, place, demonstrations.fingerprint())?,
        }
    }
    let episodes = demonstrations.dataset.episodes();
    let clone = clone_of(&demonstrations, episodes.len(), protocol.seed, progress)?;
    let cloned = Controller::of(Learned::Gaussian(&clone), protocol.choice);
    // A cost alone is evaluated on the clone and its ladder.
    let acting = judged.acting.unwrap_or_else(|| Acting {
        controller: cloned.clone(),
        name: "bc".into(),
    });
    let subject = Subject {
        factory: &demonstrations.factory,
        algo: &acting.name,
        run_seed: run.as_ref().map_or(0, |r| r.config().seed),
        controller: acting.controller,
        cost: judged.cost.as_deref(),
        // Neither a foreign policy nor a foreign cost has the other's density.
        discriminator: None,
        demonstrations: episodes,
        acted: true,
        clone: (acting.name != "bc").then_some(cloned),
        fresh: None,
        success: success.as_ref(),
        // The soft value belongs to a cost together with the policy learned for it.
        certified: None,
    };
    let mut evaluation = protocol.evaluate(&subject, progress)?;
    evaluation.statements.extend(odd);
    if let Some(folder) = &request.output {
        keep_in(folder, &evaluation)?;
    }
    Ok(evaluation)
}

/// The policy and the cost to evaluate: the given ones, or else the run's own.
struct Judged {
    acting: Option<Acting>,
    cost: Option<Box<dyn StepCost>>,
}

impl Judged {
    /// Reads both, so that unusable files are refused before a clone is trained.
    fn find(
        request: &Request,
        run: Option<&RunFolder>,
        demonstrations: &Demonstrations,
    ) -> Result<Self, Error> {
        let acting = match (&request.policy, run) {
            (Some(who), _) => Some(acting(who, request, demonstrations)?),
            (None, Some(run)) => Some(Acting {
                controller: actor(&run.policy()?, request, demonstrations)?,
                name: run.config().algo.name().into(),
            }),
            (None, None) => None,
        };
        let cost: Option<Box<dyn StepCost>> = match &request.cost {
            Some(what) => Some(cost(what, demonstrations)?),
            None => {
                let own = run.map(|r| r.weights(weights::COST)).transpose()?;
                match own.flatten() {
                    Some(file) => Some(Box::new(EnergyModel::read(&file)?)),
                    None => None,
                }
            }
        };
        Ok(Self { acting, cost })
    }

    /// What is implausible about the given policy and cost.
    fn doubts(
        &self,
        request: &Request,
        demonstrations: &Demonstrations,
    ) -> Result<Vec<String>, Error> {
        let episodes = demonstrations.dataset.episodes();
        let spec = demonstrations.factory.spec();
        let mut odd = Vec::new();
        if let (Some(acting), Some(_)) = (&self.acting, &request.policy) {
            odd.extend(doubts::of_policy(&acting.controller, spec, episodes));
        }
        if let (Some(cost), Some(_)) = (&self.cost, &request.cost) {
            check_finite(cost.as_ref(), "expert", episodes)?;
            odd.extend(doubts::of_cost(cost.as_ref(), episodes));
        }
        Ok(odd)
    }
}

fn actor(
    file: &Path,
    request: &Request,
    demonstrations: &Demonstrations,
) -> Result<Controller, Error> {
    let policy = read_policy(file, demonstrations)?;
    Ok(Controller::of(policy.learned(), request.protocol.choice))
}

/// Refuses a file that does not exist.
fn there(path: &Path) -> Result<(), Error> {
    match path.exists() {
        true => Ok(()),
        false => Err(Error::Misuse(format!("{}: no such file", path.display()))),
    }
}

/// Resolves a policy's name.
fn acting(who: &str, request: &Request, demonstrations: &Demonstrations) -> Result<Acting, Error> {
    let factory = &demonstrations.factory;
    let spec = factory.spec();
    let path = Path::new(who);
    let name = path
        .file_stem()
        .map_or(who.into(), |s| s.to_string_lossy().into_owned());
    if let Some((file, output)) = onnx_named(who) {
        let policy = OnnxPolicy::read(&file, output, spec)?;
        return Ok(Acting {
            controller: Controller::Onnx(Arc::new(policy)),
            name: file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into(),
        });
    }
    let kind = path.extension().and_then(|e| e.to_str());
    let (controller, name) = match kind {
        Some("safetensors") => {
            there(path)?;
            (actor(path, request, demonstrations)?, name)
        }
        _ if who == "random" => (Controller::Random, "random actions".into()),
        _ if who == "constant" || who.starts_with("constant=") => {
            let action = constant(who, spec)?;
            (Controller::Constant(action), "constant action".into())
        }
        _ if experts_for(&spec.name).contains(&who) => {
            let design = ExpertDesign::new(factory, Some(who), None)?;
            (Controller::Expert(design), format!("expert {who}"))
        }
        _ if who.contains('=') => {
            let policy = ScriptedPolicy::parse(who, spec)?;
            let controller = Controller::Scripted(Arc::new(policy));
            (controller, "scripted policy".into())
        }
        _ => {
            return Err(Error::Misuse(format!(
                "--policy {who}: expected a .safetensors or .onnx file, `random`, `constant=V,…`, an expert ({}) or \
                 a formula for every action (`{} = …`)",
                experts_for(&spec.name).join(", "),
                spec.action.0.first().map_or("ACTION", |c| &c.name)
            )));
        }
    };
    Ok(Acting { controller, name })
}

/// The action of `constant=V,…`; the centre of its range for `constant`.
fn constant(who: &str, spec: &EnvSpec) -> Result<Vec<f32>, Error> {
    let channels = &spec.action.0;
    let Some((_, values)) = who.split_once('=') else {
        return Ok(channels.iter().map(|c| 0.5 * (c.low + c.high)).collect());
    };
    let parsed: Option<Vec<f32>> = values
        .split(',')
        .map(|v| v.trim().parse().ok().filter(|v: &f32| v.is_finite()))
        .collect();
    parsed.filter(|v| v.len() == channels.len()).ok_or_else(|| {
        Error::Misuse(format!(
            "--policy {who}: expected {} finite numbers with commas between them ({})",
            channels.len(),
            spec.action.listed()
        ))
    })
}

/// Resolves a cost.
fn cost(what: &str, demonstrations: &Demonstrations) -> Result<Box<dyn StepCost>, Error> {
    let path = Path::new(what);
    if path.extension().is_some_and(|e| e == "safetensors") {
        there(path)?;
        return Ok(Box::new(read_cost(path, demonstrations)?));
    }
    let spec = demonstrations.factory.spec();
    Ok(Box::new(Formula::parse(what, spec, true)?))
}
