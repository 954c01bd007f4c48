//! `costate evaluate --transfer`: a run's cost and policy in variants of its world.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use costate_demos::experts::ExpertDesign;
use costate_demos::record::{Plan, play_episodes};
use costate_envs::rollout::ActionChoice;
use costate_envs::{EnvConfig, EnvFactory, Episode};

use super::common::{Demonstrations, Output};
use super::evaluate::Plan as EvaluationPlan;
use super::fresh::{Place, Title, Watch, train_missing};
use super::ui::{interval, number, table};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::frozen::Judged;
use crate::evaluate::transfer::{self, Played, Reference, Transfer, on_true_cost, rows};
use crate::evaluate::{Frozen, Options, episodes};
use crate::improve::{Improvement, SacSettings};
use crate::learners::Task;
use crate::learners::frozen::FrozenCostSettings;
use crate::learners::ppo::PpoExpertSettings;
use crate::policy::GaussianPolicy;
use crate::run::settings::Override;
use crate::run::{Algo, RunFolder, settings};

/// Where a run keeps what it found in variants.
const FOLDER: &str = "transfer";

/// Fresh policies on each cost: the best of them counts, by the cost it was trained on.
const POLICIES: u64 = 3;

/// What was found in variants before, by name.
pub fn read(run: &RunFolder) -> Result<Vec<Transfer>, Error> {
    let variants = EnvConfig::variants(&run.config().env.name)?;
    let mut found = Vec::new();
    for variant in variants {
        let name = format!("{FOLDER}/{}.json", variant.name);
        if let Some(value) = run.read_json(&name)? {
            let transfer = serde_json::from_value(value).map_err(|e| {
                Error::Failure(format!(
                    "{}: {e}; remove it to have the variant evaluated again",
                    run.file(&name).display()
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

/// Checks that there are such variants before hours are spent on the first.
pub fn check(run: &RunFolder, names: &[String], set: &[Override]) -> Result<(), Error> {
    recipe(run, set)?;
    names
        .iter()
        .try_for_each(|name| variant_of(run, name).map(|_| ()))
}

/// Trains what is missing in one variant, plays everybody there and keeps the table; `None` if interrupted.
pub fn transfer(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    name: &str,
    (plan, set): (EvaluationPlan, &[Override]),
    interrupt: &AtomicBool,
    output: Output,
) -> Result<Option<Transfer>, Error> {
    let (factory, summary) = variant_of(run, name)?;
    let choice = plan.choice;
    let Options {
        episodes: count,
        seed,
        pool,
        ..
    } = plan.options;
    let folder = run.file(FOLDER).join(name);
    let imitated = run.config().imitated()?;
    let (trajectories, _) = demonstrations.first(imitated.episodes);
    let task = Task {
        factory: &factory,
        demonstrations: &trajectories,
        // Seeds of starts in another world.
        starts: &[],
        expert: "",
        seed: run.config().seed,
        workers: 1,
    };
    tch::set_num_threads(1);
    let policy = run.file("policy.safetensors");
    let actor = Arc::new(GaussianPolicy::read(&policy)?.freeze());
    let of_policy = |policy: &GaussianPolicy, choice| {
        let actor = Arc::new(policy.freeze());
        episodes::of_actor(&factory, pool, &actor, choice, count, seed)
    };
    let random = episodes::degraded(&factory, pool, &actor, 1.0, count, seed)?;

    // A policy trained on the true cost there.
    let recipe = recipe(run, set)?;
    let true_places: Vec<Place<PpoExpertSettings>> =
        places(&folder, "true-cost", recipe.iterations, &recipe);
    let title = Title {
        name,
        message: "fresh policies on the true cost there",
    };
    let train = |i: usize, settings: &PpoExpertSettings, watch: &Watch| {
        on_true_cost(settings, &task, i as u64, &|| watch.interrupted(), &|| {
            watch.advance(1)
        })
    };
    let Some(on_truth) = train_missing(&true_places, pool, interrupt, title, output, train)? else {
        return Ok(None);
    };
    let best = (0..on_truth.len())
        .max_by(|&i, &j| {
            let of = |i: usize| on_truth[i].report.mean_return;
            of(i).total_cmp(&of(j))
        })
        .map(|i| GaussianPolicy::read(&true_places[i].policy()))
        .transpose()?;

    let mut played = Vec::new();
    let mut add = |policy: &str, episodes: Vec<Episode>| {
        played.push(Played {
            policy: policy.into(),
            episodes,
        });
    };
    match expert(demonstrations, &factory, count, seed, pool.workers()) {
        Ok(episodes) => add(rows::EXPERT, episodes),
        Err(e) => output.remark(&format!("{name}: no expert to compare with: {e}")),
    }
    add(rows::RANDOM, random.clone());
    if let Some(policy) = &best {
        add(rows::TRUE_COST, of_policy(policy, ActionChoice::Sample)?);
    }
    let own = episodes::of_actor(&factory, pool, &actor, choice, count, seed)?;
    add(&rows::transferred(run.config().algo.name()), own);

    let mut found = transfer::table(name, &summary, &played, seed)?;
    if let Some(shared) = run.config().algo.shared() {
        let reference = match found.reference {
            Reference::Expert => rows::EXPERT,
            Reference::TrueCost => rows::TRUE_COST,
        };
        let reference: Vec<_> = played
            .iter()
            .filter(|p| p.policy == reference)
            .flat_map(|p| p.episodes.iter().map(|e| e.trajectory.clone()))
            .collect();
        let cost =
            || Ok::<_, Error>(EnergyModel::read(&run.file("cost.safetensors"))?.without_value());
        let judged = Judged {
            cost: &cost()?,
            policy: &GaussianPolicy::read(&policy)?,
            task,
            reference: &reference,
            expert_return: found.reference_return,
            random: &random,
            entropy_weight: shared.entropy_weight,
        };
        let yardsticks = judged.yardsticks()?;
        // As the policies on the true cost, so that only the cost differs.
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
        let places: Vec<Place<FrozenCostSettings>> =
            places(&folder, "frozen-cost", recipe.iterations, &own);
        let train = |i: usize, own: &FrozenCostSettings, watch: &Watch| {
            let judged = Judged {
                cost: &cost()?,
                policy: &GaussianPolicy::read(&policy)?,
                ..judged
            };
            judged.fresh(yardsticks, own, i as u64, &|| watch.interrupted(), &|| {
                watch.advance(1)
            })
        };
        let title = Title {
            name,
            message: "fresh policies on the frozen cost there",
        };
        let Some(all) = train_missing(&places, pool, interrupt, title, output, train)? else {
            return Ok(None);
        };
        let seconds = all.iter().map(|d| d.seconds).sum();
        let steps = all.iter().map(|d| d.steps).sum();
        let policies = all.iter().map(|d| d.report).collect();
        found.frozen = Frozen::of(policies, yardsticks.expert.soft_value, seconds, steps);
        if let Some(frozen) = &found.frozen {
            let kept = GaussianPolicy::read(&places[frozen.kept].policy())?;
            played.push(Played {
                policy: rows::FROZEN.into(),
                episodes: of_policy(&kept, choice)?,
            });
            let frozen = found.frozen.take();
            found = Transfer {
                frozen,
                ..transfer::table(name, &summary, &played, seed)?
            };
        }
    }
    run.write_json(&format!("{FOLDER}/{name}.json"), &found)?;
    Ok(Some(found))
}

/// How policies in variants are trained: as experts are.
fn recipe(run: &RunFolder, set: &[Override]) -> Result<PpoExpertSettings, Error> {
    match settings::resolve("ppo", &run.config().env.name, None, set)? {
        Algo::Ppo(recipe) => Ok(recipe),
        _ => Err(Error::Failure("the settings of ppo are not its own".into())),
    }
}

/// Where fresh policies go that differ in their seeds only.
fn places<S: Clone>(folder: &Path, name: &str, iterations: usize, settings: &S) -> Vec<Place<S>> {
    let place = |seed| Place {
        stem: folder.join(format!("{name}-{seed}")),
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
                    format!(
                        "{:.3} … {:.3}",
                        r.normalized_score_ci95[0], r.normalized_score_ci95[1]
                    ),
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
