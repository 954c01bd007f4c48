//! The validation stage: fresh policies on a run's frozen cost. Part of `costate train`, and of
//! `costate evaluate --reoptimize` for any run with a cost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::RolloutPool;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::common::{Demonstrations, Output};
use super::ui::{Counter, number, table};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::frozen::{Fresh, FreshPolicy, Judged};
use crate::evaluate::{Frozen, episodes};
use crate::learners::Task;
use crate::learners::frozen::{FrozenCostSettings, ValidationSettings};
use crate::policy::GaussianPolicy;
use crate::run::{RunFolder, files};

/// What `validation.json` holds.
const FILE: &str = "validation.json";
/// The kept policy.
pub const FRESH_POLICY: &str = "fresh_policy.safetensors";
/// Episodes of random actions that δ is scaled by.
const RANDOM_EPISODES: usize = 32;

#[derive(Serialize, Deserialize)]
struct Done {
    settings: FrozenCostSettings,
    report: FreshPolicy,
    seconds: f64,
    steps: u64,
}

/// The validation of a run, if it has been made.
pub fn read(run: &RunFolder) -> Result<Option<Frozen>, Error> {
    let Some(mut value) = run.read_json(FILE)? else {
        return Ok(None);
    };
    serde_json::from_value(value["frozen"].take())
        .map(Some)
        .map_err(|e| Error::Failure(format!("{}: {e}", run.file(FILE).display())))
}

/// Trains fresh policies on the frozen cost of a run, those that are not there yet, and keeps the best.
pub fn validate(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    settings: &ValidationSettings,
    workers: usize,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Option<Frozen>, Error> {
    let plan = settings.plan();
    let Some(shared) = run.config().algo.shared() else {
        return Err(Error::Misuse(format!(
            "{}: {} learns no cost, there is nothing to optimise a fresh policy on",
            run.path().display(),
            run.config().algo.name()
        )));
    };
    if plan.is_empty() {
        return Ok(None);
    }
    let folder = run.file("validation");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let file = |i: usize, kind: &str| {
        let (seed, discount) = plan[i];
        folder.join(format!("fresh-{seed}-{discount}.{kind}"))
    };
    let cost = run.file("cost.safetensors");
    let policy = run.file("policy.safetensors");
    let pool = RolloutPool::new(workers);
    let actor = std::sync::Arc::new(GaussianPolicy::read(&policy)?.freeze());
    let factory = &demonstrations.factory;
    let random = episodes::degraded(factory, pool, &actor, 1.0, RANDOM_EPISODES, 0)?;
    let imitated = run.config().imitated()?;
    let (trajectories, starts) = demonstrations.first(imitated.episodes);

    let total = plan.len() * settings.iterations;
    let counter = Mutex::new((Counter::new(output, "validation", total), 0));
    let advance = |by: usize| {
        if let Ok(mut counter) = counter.lock() {
            counter.1 += by;
            let done = counter.1;
            counter.0.at(done, "fresh policies on the frozen cost");
        }
    };
    tch::set_num_threads(1);
    let judged = Judged {
        cost: &EnergyModel::read(&cost)?,
        policy: &GaussianPolicy::read(&policy)?,
        task: Task {
            factory,
            demonstrations: &trajectories,
            starts: &starts,
            expert: "",
            seed: run.config().seed,
            workers: 1,
        },
        expert_return: demonstrations.dataset.meta().demonstration_return.mean,
        random: &random,
    };
    let yardsticks = judged.yardsticks()?;
    // Each on a thread of its own, with models of its own: tensors are not shared between threads.
    let one = |_: &mut (), i: usize| -> Result<Option<Done>, Error> {
        tch::set_num_threads(1);
        let (seed, discount) = plan[i];
        let mut own = shared.fresh();
        own.iterations = settings.iterations;
        own.trajectories = settings.trajectories;
        own.ppo.discount = discount;
        own.ppo.learning_rate = settings.learning_rate;
        own.sac.learning_rate = settings.learning_rate;
        if let Ok(text) = std::fs::read_to_string(file(i, "json"))
            && let Ok(done) = serde_json::from_str::<Done>(&text)
            && done.settings == own
            && file(i, "safetensors").exists()
        {
            advance(settings.iterations);
            return Ok(Some(done));
        }
        let judged = Judged {
            cost: &EnergyModel::read(&cost)?,
            policy: &GaussianPolicy::read(&policy)?,
            ..judged
        };
        let stop = || interrupt.load(Ordering::Relaxed);
        let Some(Fresh {
            report,
            policy,
            seconds,
            steps,
        }) = judged.fresh(yardsticks, &own, seed, &stop, &|| advance(1))?
        else {
            return Ok(None);
        };
        let done = Done {
            settings: own,
            report,
            seconds,
            steps,
        };
        files::write_atomic(&file(i, "safetensors"), &policy.to_bytes()?)?;
        let text =
            serde_json::to_string_pretty(&done).map_err(|e| Error::Failure(e.to_string()))?;
        files::write_atomic(&file(i, "json"), text.as_bytes())?;
        Ok(Some(done))
    };
    let results: Vec<Option<Done>> = pool
        .map(plan.len(), || (), one)
        .into_iter()
        .collect::<Result<_, _>>()?;
    if let Ok((counter, _)) = counter.into_inner() {
        counter.finish();
    }
    let Some(all) = results.into_iter().collect::<Option<Vec<Done>>>() else {
        return Ok(None);
    };
    let seconds = all.iter().map(|d| d.seconds).sum();
    let steps = all.iter().map(|d| d.steps).sum();
    let policies = all.iter().map(|d| d.report).collect();
    let frozen = Frozen::of(policies, yardsticks.expert.soft_value, seconds, steps);
    if let Some(frozen) = &frozen {
        let best = std::fs::read(file(frozen.kept, "safetensors"))
            .map_err(Error::io(&file(frozen.kept, "safetensors")))?;
        files::write_atomic(&run.file(FRESH_POLICY), &best)?;
        run.write_json(
            FILE,
            &json!({
                "format": 1,
                "frozen": frozen,
                "files": {
                    "policy.safetensors": "the policy that was learned together with the cost",
                    FRESH_POLICY: "the fresh policy with the highest learned soft value, trained on the frozen cost alone",
                    "validation/": "all fresh policies, by seed and discount",
                },
            }),
        )?;
    }
    Ok(frozen)
}

/// The validation in words.
pub fn describe(frozen: &Frozen) -> String {
    let rows: Vec<Vec<String>> = frozen
        .policies
        .iter()
        .enumerate()
        .map(|(i, p)| {
            vec![
                p.seed.to_string(),
                number(p.discount),
                number(p.soft_value),
                format!("{:+.3}", p.delta),
                number(p.normalized_score),
                if i == frozen.kept {
                    "kept".into()
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    let best = frozen.best();
    let header = [
        "fresh policy",
        "discount",
        "soft value",
        "δ",
        "[truth: score]",
        "",
    ];
    format!(
        "fresh policies on the frozen cost:\n{}δ {:+.3}: the cost is {}\n",
        table(&header, &rows),
        best.delta,
        frozen.verdict.words()
    )
}
