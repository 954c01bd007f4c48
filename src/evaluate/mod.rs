//! Evaluation: does the policy do the task, and is the cost the right one?

pub mod compare;
mod cost;
pub mod dard;
pub mod epic;
pub mod episodes;
pub mod frozen;
pub mod occupancy;
pub mod statistics;
pub mod transfer;

use std::sync::Arc;

use costate_envs::rollout::{ActionChoice, RolloutPool};
use costate_envs::{EnvFactory, Episode, Trajectory};
use serde::{Deserialize, Serialize};

use crate::cost::EnergyModel;
use crate::error::Error;
use crate::policy::GaussianPolicy;
pub use cost::{CostPoint, CostReport, DiscriminatorFigures};
pub use frozen::Frozen;
use occupancy::{OccupancyDistance, Reference};
use statistics::{Estimate, bootstrap, mean_interval};
pub use transfer::Transfer;

/// Name of the kept fresh policy's row.
pub const FRESH: &str = "fresh, on the frozen cost";

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `expert`, `random`, `bc`, the algorithm's name or [`FRESH`].
    pub policy: String,
    /// Episodes behind it.
    pub episodes: usize,
    /// Mean true return.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// (return − random) / (expert − random).
    pub normalized_score: f64,
    /// Its 95 % interval; all three returns are resampled.
    pub normalized_score_ci95: [f64; 2],
    /// How far its states and actions are from the demonstrations'; none for these themselves, or with fewer than two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupancy: Option<OccupancyDistance>,
    /// True return of every episode, in the order of the starts, which policies evaluated with the same seed share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<f64>,
}

/// The scale of normalised scores: returns that mean 1 and 0.
#[derive(Debug, Clone)]
pub struct Scale {
    one: Vec<f64>,
    zero: Vec<f64>,
}

impl Scale {
    /// Of the reference's returns and of random actions'; `None` where their means do not differ.
    pub fn new(one: Vec<f64>, zero: Vec<f64>) -> Option<Self> {
        let (high, low) = (mean(&one), mean(&zero));
        ((high - low).abs() >= 1e-9 * high.abs().max(1.0)).then_some(Self { one, zero })
    }

    /// A line of the table.
    pub fn row(
        &self,
        policy: &str,
        episodes: &[Episode],
        occupancy: Option<OccupancyDistance>,
        seed: u64,
    ) -> Row {
        let own = returns(episodes);
        let e = mean_interval(&own, seed);
        let score = bootstrap(&[&own, &self.one, &self.zero], seed, |m| {
            (m[0] - m[2]) / (m[1] - m[2])
        });
        Row {
            policy: policy.into(),
            episodes: own.len(),
            mean_return: e.mean,
            ci95: e.ci95,
            normalized_score: score.mean,
            normalized_score_ci95: score.ci95,
            occupancy,
            returns: own,
        }
    }
}

/// What `costate evaluate` finds: `evaluation.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Version of this file.
    pub format: u32,
    /// Environment.
    pub env: String,
    /// Algorithm of the run.
    pub algo: String,
    /// Seed of the run.
    pub seed: u64,
    /// Seed of the evaluation's episodes.
    pub evaluation_seed: u64,
    /// Whether actions were sampled from the policy (`sample`) or its mean (`mean`).
    pub actions: String,
    /// Episodes of each simulated policy.
    pub episodes: usize,
    /// True return of the learned policy.
    #[serde(rename = "return")]
    pub policy_return: Estimate,
    /// Mean true return of the demonstrations.
    pub expert_return: f64,
    /// Mean true return of uniformly random actions.
    pub random_return: f64,
    /// (return − random) / (expert − random) of the learned policy.
    pub normalized_score: f64,
    /// Its 95 % bootstrap interval.
    pub normalized_score_ci95: [f64; 2],
    /// The table.
    pub rows: Vec<Row>,
    /// Fresh policies on the frozen cost, where they were trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// What was found in variants of the world, where that was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer: Vec<Transfer>,
    /// About the learned cost, where there is one.
    #[serde(flatten)]
    pub cost: Option<CostReport>,
}

/// What is evaluated, and against what.
pub struct Subject<'a> {
    /// The environment.
    pub factory: &'a EnvFactory,
    /// Name of the algorithm.
    pub algo: &'a str,
    /// Seed of the run.
    pub run_seed: u64,
    /// The learned policy.
    pub policy: &'a GaussianPolicy,
    /// The learned cost.
    pub model: Option<&'a EnergyModel>,
    /// How the cost's energies compare with log-densities; none for a cost that is no energy.
    pub comparison: Option<Comparison>,
    /// The demonstrations.
    pub demonstrations: &'a [Episode],
    /// A cloned policy for comparison, unless the run's own is one.
    pub clone: Option<&'a GaussianPolicy>,
    /// The kept fresh policy on the frozen cost.
    pub fresh: Option<&'a GaussianPolicy>,
}

/// How energies are told from log-densities: logit = (−E − log Z − log q) / β.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// Steps of a row; none for whole trajectories.
    pub window: Option<usize>,
    /// The divisor β.
    pub beta: f64,
}

/// How to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Episodes of each policy.
    pub episodes: usize,
    /// Seed of the starts.
    pub seed: u64,
    /// Sampled or mean actions.
    pub choice: ActionChoice,
    /// Worker threads.
    pub pool: RolloutPool,
}

/// Evaluates a policy and its cost.
pub fn evaluate(subject: &Subject, options: Options) -> Result<Evaluation, Error> {
    let Options {
        episodes: count,
        seed,
        choice,
        pool,
    } = options;
    let factory = subject.factory;
    let actor = Arc::new(subject.policy.freeze());
    let learned = episodes::of_actor(factory, pool, &actor, choice, count, seed)?;
    let random = episodes::degraded(factory, pool, &actor, 1.0, count, seed)?;
    let of_other = |policy: Option<&GaussianPolicy>| {
        let actor = policy.map(|p| Arc::new(p.freeze()));
        actor
            .map(|actor| episodes::of_actor(factory, pool, &actor, choice, count, seed))
            .transpose()
    };
    let (cloned, fresh) = (of_other(subject.clone)?, of_other(subject.fresh)?);
    let expert = returns(subject.demonstrations);
    let zero = returns(&random);
    let (expert_return, random_return) = (mean(&expert), mean(&zero));
    let scale = Scale::new(expert, zero).ok_or_else(|| {
        Error::Failure(format!(
            "{}: demonstrations and random actions have the same mean return, {expert_return}: a \
             normalised score has no meaning; record better demonstrations",
            factory.spec().name
        ))
    })?;
    let row = |policy: &str, episodes: &[Episode], occupancy: Option<OccupancyDistance>| {
        scale.row(policy, episodes, occupancy, seed)
    };
    let reference = Reference::of(&trajectories(subject.demonstrations), seed);
    let compared = |policy: &str, episodes: &[Episode]| {
        let occupancy = reference
            .as_ref()
            .and_then(|r| r.distance(&trajectories(episodes)));
        row(policy, episodes, occupancy)
    };
    let mut rows = vec![
        row("expert", subject.demonstrations, None),
        compared("random", &random),
    ];
    rows.extend(cloned.as_deref().map(|episodes| compared("bc", episodes)));
    let own = compared(subject.algo, &learned);
    rows.push(own.clone());
    rows.extend(fresh.as_deref().map(|episodes| compared(FRESH, episodes)));
    let cost = match subject.model {
        None => None,
        Some(model) => {
            let mut groups = vec![
                ("expert", subject.demonstrations.to_vec()),
                (subject.algo, learned),
                ("random", random),
            ];
            for (name, share) in [("30 % random", 0.3), ("60 % random", 0.6)] {
                let episodes = episodes::degraded(factory, pool, &actor, share, count / 2, seed)?;
                groups.push((name, episodes));
            }
            groups.extend(cloned.map(|episodes| ("bc", episodes)));
            Some(cost::report(subject, model, &groups, options)?)
        }
    };
    Ok(Evaluation {
        format: 1,
        env: factory.spec().name.clone(),
        algo: subject.algo.into(),
        seed: subject.run_seed,
        evaluation_seed: seed,
        actions: match choice {
            ActionChoice::Sample => "sample".into(),
            ActionChoice::Mean => "mean".into(),
        },
        episodes: count,
        policy_return: Estimate {
            mean: own.mean_return,
            ci95: own.ci95,
        },
        expert_return,
        random_return,
        normalized_score: own.normalized_score,
        normalized_score_ci95: own.normalized_score_ci95,
        rows,
        frozen: None,
        transfer: Vec::new(),
        cost,
    })
}

fn trajectories(episodes: &[Episode]) -> Vec<&Trajectory> {
    episodes.iter().map(|e| &e.trajectory).collect()
}

fn returns(episodes: &[Episode]) -> Vec<f64> {
    episodes.iter().map(Episode::true_return).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
