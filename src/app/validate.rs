//! Validation of a cost: fresh policies, trained on it alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use costate_base::disk;
use costate_envs::remote::Remote;
use costate_envs::rollout::RolloutPool;
use serde_json::{Map, Value, json};

use super::fresh::{OnFrozenCost, Place, Title};
use super::results::Results;
use super::{Demonstrations, Progress};
use crate::audit::Sealer;
use crate::cost::{CostPart, EnergyModel};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::validation::Against;
use crate::evaluate::{Controls, Validation};
use crate::improve::Improvement;
use crate::learners::Algorithm;
use crate::learners::Setup;
use crate::learners::frozen_cost::{FrozenCostSettings, ValidationSettings};
use crate::learners::ibc::IbcSettings;
use crate::run::{RunFolder, files, weights};
use crate::shell;

/// The file of a validation.
pub const FILE: &str = "validation.json";
/// The kept policy.
pub const FRESH_POLICY: &str = "fresh_policy.safetensors";
/// Episodes of random actions that scale δ.
const RANDOM_EPISODES: usize = 32;
/// Key of the checksums of the weights that a result is for; absent in earlier versions.
pub(super) const OF: &str = "of";
/// Key of the kept policy's checksum in the validation.
const KEPT: &str = "fresh_policy_sha256";

/// The validation of a run's current cost, if it exists.
pub fn read(results: Results) -> Result<Option<Validation>, Error> {
    let Some((value, current)) = stored(results)? else {
        return Ok(None);
    };
    if !current {
        tracing::warn!(
            "{}: of other weights than the run's current ones; `costate evaluate --reoptimize {}` regenerates it",
            results.found(FILE).display(),
            shell::path(results.run().path())
        );
        return Ok(None);
    }
    serde_json::from_value(value)
        .map(Some)
        .map_err(|e| Error::Failure(format!("{}: {e}", results.found(FILE).display())))
}

/// Contents of [`FILE`], and whether it is of the run's current weights.
fn stored(results: Results) -> Result<Option<(Value, bool)>, Error> {
    let Some(value) = results.read_json(FILE)? else {
        return Ok(None);
    };
    let current = match value.get(OF) {
        Some(of) => *of == learned(results.run())?,
        None => true,
    };
    Ok(Some((value, current)))
}

/// The kept fresh policy of a run's current cost.
///
/// Errors: a file that differs from the policy kept by the validation.
pub fn fresh_policy(results: Results) -> Result<Option<PathBuf>, Error> {
    let file = results.found(FRESH_POLICY);
    let Some((stored, true)) = stored(results)?.filter(|_| file.exists()) else {
        return Ok(None);
    };
    match stored[KEPT].as_str() {
        Some(kept) if kept != weights::digest(&file)? => Err(Error::Failure(format!(
            "{}: its SHA-256 is not the one in {FILE}: it was damaged or is another run's; \
             `costate evaluate --reoptimize {}` regenerates it",
            file.display(),
            shell::path(results.run().path())
        ))),
        _ => Ok(Some(file)),
    }
}

/// Digests of the weights that a run has learned, by file.
pub(super) fn learned(run: &RunFolder) -> Result<Value, Error> {
    let mut found = Map::new();
    for name in [weights::POLICY, weights::COST] {
        if let Some(file) = run.weights(name)? {
            found.insert(name.into(), weights::digest(&file)?.into());
        }
    }
    Ok(found.into())
}

/// What to validate.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The run, and where its results go.
    pub results: Results<'a>,
    /// Its demonstrations.
    pub demonstrations: &'a Demonstrations,
    /// Number of fresh policies, and how they are trained.
    pub settings: &'a ValidationSettings,
    /// Worker threads.
    pub workers: usize,
    /// Workers elsewhere that play the fresh policies' rollouts instead.
    pub elsewhere: Option<&'a Arc<Remote>>,
}

impl<'a> Request<'a> {
    /// With results in the run's own folder.
    pub fn of(
        run: &'a RunFolder,
        demonstrations: &'a Demonstrations,
        settings: &'a ValidationSettings,
        workers: usize,
    ) -> Self {
        Self {
            results: Results::of(run),
            demonstrations,
            settings,
            workers,
            elsewhere: None,
        }
    }
}

/// Trains those fresh policies on the frozen cost of a run, and on its parts, that do not exist yet and keeps the best
/// one on the whole; `None` if interrupted or if none are requested.
///
/// Errors: a run without a cost, settings that do not fit it, a divergence.
pub fn validate(request: &Request, progress: &dyn Progress) -> Result<Option<Validation>, Error> {
    let Request {
        results,
        demonstrations,
        settings,
        workers,
        elsewhere,
    } = *request;
    let run = results.run();
    let shared = trained_with(run, settings)?;
    if settings.plan().is_empty() {
        return Ok(None);
    }
    results.lock()?;
    let policy = run.policy()?;
    let cost = cost_file(run)?;
    let pool = RolloutPool::new(workers);
    let factory = &demonstrations.factory;
    let random = Controller::Random.play(factory, pool, 0..RANDOM_EPISODES, 0)?;
    let imitated = run.config().imitated()?;
    let (trajectories, starts) = demonstrations.seen(imitated);
    tch::set_num_threads(1);
    let relative = EnergyModel::read(&cost)?.has_base();
    let parts = match relative && settings.controls {
        true => &CostPart::ALL[..],
        false => &[CostPart::Whole],
    };
    let places = places(&results.file("validation"), settings, &shared, parts);
    let title = Title {
        name: "validation",
        message: "fresh policies on the frozen cost",
        step_size: "validation.learning_rate",
    };
    let fresh = OnFrozenCost {
        file: &cost,
        cost: &|| Ok(EnergyModel::read(&cost)?),
        policy: &policy,
        against: Against {
            setup: Setup {
                sealer: Sealer::unwatched(),
                factory,
                demonstrations: &trajectories,
                images: 0,
                starts: &starts,
                expert: "",
                seed: run.config().seed,
                workers: 1,
                elsewhere,
            },
            reference: &trajectories,
            expert_return: demonstrations.dataset.meta().demonstration_return.mean,
            random: &random,
            entropy_weight: shared.entropy_weight,
        },
    };
    let Some(mut found) = fresh.train(&places, pool, title, progress)? else {
        return Ok(None);
    };
    let Some(frozen) = found.remove(&CostPart::Whole) else {
        return Ok(None);
    };
    let parts = [CostPart::BaseAlone, CostPart::WithoutBase].map(|part| found.remove(&part));
    let controls = match parts {
        [Some(base_alone), Some(without_base)] => Controls::of(&frozen, base_alone, without_base),
        _ if relative => Controls::default(),
        _ => Controls::no_clone(),
    };
    // Those on the whole cost come first.
    let kept = places[frozen.kept].policy();
    let validation = Validation { frozen, controls };
    keep(results, &validation, &kept)?;
    Ok(Some(validation))
}

/// Settings of a cost learner that its fresh policies share.
fn trained_with(
    run: &RunFolder,
    settings: &ValidationSettings,
) -> Result<FrozenCostSettings, Error> {
    let Some(shared) = run.config().algo.fresh() else {
        let why = match run.config().algo.name() {
            IbcSettings::NAME => "the energy of ibc is a policy's, not a cost of the task",
            _ => "it learns no cost",
        };
        return Err(Error::Misuse(format!(
            "{}: {}: {why}; there is nothing to optimise a fresh policy on",
            run.path().display(),
            run.config().algo.name()
        )));
    };
    if shared.generator.improvement == Improvement::Sac
        && settings.discounts.iter().any(|&d| d >= 1.0)
    {
        return Err(Error::Misuse(
            "validation.discounts holds 1, but this run's policies are improved by SAC, which needs discounts \
             below 1"
                .into(),
        ));
    }
    Ok(shared)
}

/// Path of a run's cost file, which need not exist.
pub(super) fn cost_file(run: &RunFolder) -> Result<PathBuf, Error> {
    let there = run.weights(weights::COST)?;
    Ok(there.unwrap_or_else(|| run.file(weights::COST)))
}

fn keep(results: Results, validation: &Validation, best: &Path) -> Result<(), Error> {
    let weights = std::fs::read(best).map_err(Error::io(best))?;
    files::write_atomic(&results.file(FRESH_POLICY), &weights)?;
    let mut contents = json!({
        "format": 1,
        OF: learned(results.run())?,
        KEPT: disk::sha256(&weights),
        "files": {
            "policy.safetensors": "the policy that was learned together with the cost",
            FRESH_POLICY: "the fresh policy with the highest learned soft value, trained on the frozen cost alone",
            "validation/": "all fresh policies, by seed and discount: fresh-… on the whole cost, base_alone-… and \
                            without_base-… on its parts",
        },
    });
    let parts = serde_json::to_value(validation)
        .map_err(|e| Error::Failure(format!("{}: {e}", results.file(FILE).display())))?;
    if let (Value::Object(contents), Value::Object(mut parts)) = (&mut contents, parts) {
        contents.append(&mut parts);
    }
    results.write_json(FILE, &contents)
}

/// Where the fresh policies on parts of a frozen cost go, and how each is trained: like the learner's own, with the
/// validation's own settings.
fn places(
    folder: &Path,
    settings: &ValidationSettings,
    shared: &FrozenCostSettings,
    parts: &[CostPart],
) -> Vec<Place<FrozenCostSettings>> {
    let place = |part: CostPart, (seed, discount)| {
        let mut own = shared.clone();
        settings.apply(&mut own.generator, discount);
        let name = match part {
            CostPart::Whole => "fresh",
            part => part.name(),
        };
        Place {
            stem: folder.join(format!("{name}-{seed}-{discount}")),
            seed,
            settings: own,
            iterations: settings.iterations,
            part,
        }
    };
    let plan = settings.plan();
    let of = |&part: &CostPart| plan.iter().map(move |&one| (part, one));
    let planned = parts.iter().flat_map(of);
    planned.map(|(part, one)| place(part, one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::settings::{Override, resolve};

    /// Two discounts give two policies, with either algorithm. Regression: SAC used its own discount.
    #[test]
    fn fresh_policies_learn_under_the_discounts_that_they_are_named_after() {
        for improvement in ["ppo", "sac"] {
            let set = [Override {
                key: "improvement".into(),
                value: improvement.into(),
            }];
            let algo = resolve("airl", "pendulum", None, &set).unwrap();
            let settings = ValidationSettings {
                policies: 1,
                discounts: vec![0.9, 0.95],
                iterations: 1,
                trajectories: 2,
                learning_rate: 1e-3,
                epochs: None,
                minibatch: None,
                target_kl: None,
                controls: true,
            };
            let shared = algo.fresh().unwrap();
            let places = places(Path::new("x"), &settings, &shared, &[CostPart::Whole]);
            for (place, discount) in places.iter().zip(&settings.discounts) {
                let used = place.settings.generator.discount();
                assert_eq!(used, *discount, "{improvement}");
            }
        }
    }
}
