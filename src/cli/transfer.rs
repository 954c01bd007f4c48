//! `costate evaluate --transfer`: a run's cost and policy in variants of its world.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use costate_demos::experts::ExpertDesign;
use costate_demos::record::{Plan, play_episodes};
use costate_envs::rollout::ActionChoice;
use costate_envs::{EnvConfig, EnvFactory, Episode};

use super::common::{Demonstrations, Output};
use super::evaluate::Plan as EvaluationPlan;
use super::fresh::{OnFrozenCost, Origin, Place, Title, Watch, train_missing};
use super::results::Results;
use super::ui::{interval, number, score_interval, table};
use super::validate::{OF, learned};
use crate::audit::Sealer;
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::transfer::{Played, Standard, Transfer, on_true_cost, rows};
use crate::evaluate::validation::Against;
use crate::evaluate::{Options, episodes};
use crate::improve::{Improvement, SacSettings};
use crate::learners::Task;
use crate::learners::frozen::FrozenCostSettings;
use crate::learners::rl::RlSettings;
use crate::learners::sides::Shared;
use crate::policy::Policy;
use crate::run::settings::Override;
use crate::run::{Algo, RunFolder, settings, weights};
use crate::shell;

/// Where a run keeps what it found in variants.
const FOLDER: &str = "transfer";

/// Fresh policies on each cost: the best of them counts, by the cost it was trained on.
const POLICIES: u64 = 3;
/// What keeps them from diverging.
const STEP_SIZE: &str = "ppo.learning_rate with --set";

/// What was found in variants before, by name.
pub fn read(results: Results) -> Result<Vec<Transfer>, Error> {
    let run = results.run();
    let variants = EnvConfig::variants(&run.config().env.name)?;
    let present = learned(run)?;
    let mut found = Vec::new();
    for variant in variants {
        let name = format!("{FOLDER}/{}.json", variant.name);
        if let Some(mut value) = results.read_json(&name)? {
            let of = value.as_object_mut().and_then(|v| v.remove(OF));
            if of.is_some_and(|of| of != present) {
                tracing::warn!(
                    "{}: of other weights than the run has now; `costate evaluate {} --transfer {}` makes it again",
                    results.found(&name).display(),
                    shell::path(run.path()),
                    variant.name
                );
                continue;
            }
            let transfer = serde_json::from_value(value).map_err(|e| {
                Error::Failure(format!(
                    "{}: {e}; remove it to have the variant evaluated again",
                    results.found(&name).display()
                ))
            })?;
            found.push(transfer);
        }
    }
    Ok(found)
}

/// A variant of the run's world.
fn variant_of(run: &RunFolder, name: &str) -> Result<(EnvFactory, String), Error> {
    let mut config = run.config().env.clone();
    config.apply_variant(name)?;
    let variants = EnvConfig::variants(&config.name)?;
    let summary = variants.into_iter().find(|v| v.name == name);
    Ok((
        config.factory()?,
        summary.map(|v| v.summary).unwrap_or_default(),
    ))
}

/// What is asked for in variants.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// How everybody is evaluated there.
    pub plan: EvaluationPlan<'a>,
    /// How policies are trained there, as experts are.
    pub recipe: &'a RlSettings,
    /// Stops between iterations.
    pub interrupt: &'a AtomicBool,
    /// Where progress goes.
    pub output: Output,
}

/// How policies in variants are trained: as experts are. Checks that there are such variants before hours are spent
/// on the first.
pub fn recipe(run: &RunFolder, names: &[String], set: &[Override]) -> Result<RlSettings, Error> {
    names
        .iter()
        .try_for_each(|name| variant_of(run, name).map(|_| ()))?;
    match settings::resolve("ppo", &run.config().env.name, None, set)? {
        Algo::Ppo(recipe) => Ok(recipe),
        _ => Err(Error::Failure("the settings of ppo are not its own".into())),
    }
}

/// Trains what is missing in one variant, plays everybody there and keeps the table; `None` if interrupted.
pub fn transfer(
    results: Results,
    demonstrations: &Demonstrations,
    name: &str,
    asked: Asked,
) -> Result<Option<Transfer>, Error> {
    let run = results.run();
    let (factory, summary) = variant_of(run, name)?;
    let Options {
        episodes: count,
        seed,
        workers,
        ..
    } = asked.plan.options;
    results.lock()?;
    let pool = workers.pool();
    let folder = results.file(FOLDER).join(name);
    let imitated = run.config().imitated()?;
    let (trajectories, _) = demonstrations.first(imitated.episodes);
    let task = Task {
        sealer: Sealer::unwatched(),
        factory: &factory,
        demonstrations: &trajectories,
        // Seeds of starts in another world.
        starts: &[],
        expert: "",
        seed: run.config().seed,
        workers: 1,
    };
    tch::set_num_threads(1);
    let Some(on_truth) = best_on_true_cost(&folder, name, &task, asked)? else {
        return Ok(None);
    };
    let mut played = Vec::new();
    let mut add = |policy: &str, episodes: Vec<Episode>| {
        played.push(Played {
            policy: policy.into(),
            episodes,
        });
    };
    let act = |policy: &Path, choice| {
        let policy = Policy::read(policy)?;
        Controller::of(policy.learned(), choice).play(&factory, workers, count, seed)
    };
    workers.check()?;
    match expert(demonstrations, &factory, count, seed, pool.workers()) {
        Ok(episodes) => add(rows::EXPERT, episodes),
        Err(e) => asked
            .output
            .remark(&format!("{name}: no expert to compare with: {e}")),
    }
    let random = Controller::Random.play(&factory, workers, count, seed)?;
    add(rows::RANDOM, random.clone());
    add(rows::TRUE_COST, act(&on_truth, ActionChoice::Sample)?);
    let policy = run.policy()?;
    let own = act(&policy, asked.plan.choice)?;
    add(&rows::transferred(run.config().algo.name()), own);
    let standard = Standard::of(name, &played)?;
    let mut frozen = None;
    if let Some(shared) = run.config().algo.shared() {
        let reference: Vec<_> = played
            .iter()
            .filter(|p| p.policy == standard.reference.row())
            .flat_map(|p| p.episodes.iter().map(|e| e.trajectory.clone()))
            .collect();
        let places = frozen_places(&folder, &shared, asked.recipe);
        let cost = run.weights(weights::COST)?;
        let cost = cost.unwrap_or_else(|| run.file(weights::COST));
        let fresh = OnFrozenCost {
            file: &cost,
            // What V learned belongs to the old world.
            cost: &|| Ok(EnergyModel::read(&cost)?.without_value()),
            policy: &policy,
            against: Against {
                task,
                reference: &reference,
                expert_return: standard.reference_return,
                random: &random,
                entropy_weight: shared.entropy_weight,
            },
        };
        let title = Title {
            name,
            message: "fresh policies on the frozen cost there",
            step_size: STEP_SIZE,
        };
        frozen = fresh.train(&places, pool, asked.interrupt, title, asked.output)?;
        let Some(found) = &frozen else {
            return Ok(None);
        };
        let kept = act(&places[found.kept].policy(), asked.plan.choice)?;
        played.push(Played {
            policy: rows::FROZEN.into(),
            episodes: kept,
        });
    }
    let found = Transfer {
        format: 1,
        variant: name.into(),
        summary,
        reference: standard.reference,
        reference_return: standard.reference_return,
        random_return: standard.random_return,
        rows: standard.rows(&played, seed),
        frozen,
    };
    let file = format!("{FOLDER}/{name}.json");
    let mut kept = serde_json::to_value(&found)
        .map_err(|e| Error::Failure(format!("{}: {e}", results.file(&file).display())))?;
    kept[OF] = learned(run)?;
    results.write_json(&file, &kept)?;
    Ok(Some(found))
}

/// File of the best policy trained on the true cost there; `None` if interrupted.
fn best_on_true_cost(
    folder: &Path,
    name: &str,
    task: &Task,
    asked: Asked,
) -> Result<Option<PathBuf>, Error> {
    let places = places(
        folder,
        "true-cost",
        asked.recipe.iterations,
        asked.recipe.clone(),
    );
    let title = Title {
        name,
        message: "fresh policies on the true cost there",
        step_size: STEP_SIZE,
    };
    let train = |place: &Place<RlSettings>, watch: &Watch| {
        let (interrupted, advance) = (|| watch.interrupted(), || watch.advance(1));
        on_true_cost(&place.settings, task, place.seed, &interrupted, &advance)
    };
    let pool = asked.plan.options.workers.pool();
    let origin = Origin::of(task)?;
    let trained = train_missing(
        &places,
        &origin,
        pool,
        asked.interrupt,
        title,
        asked.output,
        train,
    )?;
    Ok(trained.and_then(|all| {
        let best = places.iter().zip(&all).max_by(|(_, a), (_, b)| {
            let (a, b) = (a.report.mean_return, b.report.mean_return);
            a.total_cmp(&b)
        });
        best.map(|(place, _)| place.policy())
    }))
}

/// Where fresh policies on the frozen cost go; trained as those on the true cost, so that only the cost differs.
fn frozen_places(
    folder: &Path,
    shared: &Shared,
    recipe: &RlSettings,
) -> Vec<Place<FrozenCostSettings>> {
    let own = FrozenCostSettings {
        iterations: recipe.iterations,
        trajectories: recipe.trajectories,
        learning_rate_left: recipe.learning_rate_left,
        entropy_weight: shared.entropy_weight,
        excess_weight: shared.excess_weight(),
        policy: recipe.policy.clone(),
        improvement: Improvement::Ppo,
        ppo: recipe.ppo.clone(),
        sac: SacSettings::default(),
    };
    places(folder, "frozen-cost", recipe.iterations, own)
}

/// Where fresh policies go that differ in their seeds only.
fn places<S: Clone>(folder: &Path, name: &str, iterations: usize, settings: S) -> Vec<Place<S>> {
    let place = |seed| Place {
        stem: folder.join(format!("{name}-{seed}")),
        seed,
        iterations,
        settings: settings.clone(),
    };
    (0..POLICIES).map(place).collect()
}

/// The demonstrations' expert, designed anew for another world, with their noise.
fn expert(
    demonstrations: &Demonstrations,
    factory: &EnvFactory,
    count: usize,
    seed: u64,
    workers: usize,
) -> Result<Vec<Episode>, Error> {
    let info = &demonstrations.dataset.meta().expert;
    let design = ExpertDesign::like(info, factory)?;
    let plan = Plan {
        episodes: count,
        seed,
        workers,
    };
    Ok(play_episodes(factory, &design, plan, |i| {
        episodes::start(seed, i)
    })?)
}

/// What was found in variants, in words.
pub fn describe(found: &[Transfer]) -> String {
    let mut text = String::new();
    for t in found {
        let lines: Vec<Vec<String>> = t
            .rows
            .iter()
            .map(|r| {
                vec![
                    r.policy.clone(),
                    number(r.mean_return),
                    interval(r.ci95),
                    format!("{:.3}", r.normalized_score),
                    score_interval(r.normalized_score_ci95),
                ]
            })
            .collect();
        text += &format!(
            "\n{}: {}\n{}1 is {}\n",
            t.variant,
            t.summary,
            table(&["policy", "return", "95 %", "score", "95 %"], &lines),
            t.reference.words()
        );
        if let Some(frozen) = &t.frozen {
            text += &format!(
                "δ {:+.3}: the cost is {}\n",
                frozen.best().delta,
                frozen.verdict.words()
            );
        }
    }
    text
}
