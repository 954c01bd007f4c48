//! A cost against the true one: learned, imported or written by hand.

mod base_share;
mod correlation;
mod discriminator;
mod distances;

use costate_envs::{EnvFactory, Episode};
use serde::{Deserialize, Serialize};

use super::episodes::replays;
use super::statistics::Estimate;
use super::{Group, Groups, Options};
use crate::cost::{Dims, StepCost};
use crate::error::Error;
use base_share::base_share;
pub use correlation::Correlation;
use correlation::{correlation, ranking_accuracy};
pub use discriminator::{Discriminator, DiscriminatorFigures};
use distances::distances;

/// A trajectory's learned and true cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostPoint {
    /// The group.
    pub group: String,
    /// Σ_t c(s_t, a_t), nats where it was learned.
    pub learned: f64,
    /// Σ_t true cost.
    #[serde(rename = "true")]
    pub truth: f64,
}

/// Metrics of a cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostReport {
    /// Spearman's rank correlation of learned and true cost over the trajectories of
    /// `cost_scatter`.
    pub spearman: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub spearman_ci95: Option<[f64; 2]>,
    /// EPIC distance to the true cost, on their transitions: 0 equal up to shaping and scale, 1
    /// opposite.
    pub epic: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub epic_ci95: Option<[f64; 2]>,
    /// DARD distance to the true cost: the same, restricted to states reachable in one step.
    #[serde(default)]
    pub dard: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub dard_ci95: Option<[f64; 2]>,
    /// Share of pairs of trajectories of different grade (expert, clone, degraded, random) in the true order.
    #[serde(default)]
    pub ranking_accuracy: Option<f64>,
    /// Its 95 % interval.
    #[serde(default)]
    pub ranking_accuracy_ci95: Option<[f64; 2]>,
    /// Share of the cost's variation over the ladder's trajectories that is its base policy's: cov(B, C) / var(C), B = Σ_t
    /// −log π_0(a_t | s_t) and C = Σ_t c(s_t, a_t); `None` without a base policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_share: Option<f64>,
    /// Its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_share_ci95: Option<[f64; 2]>,
    /// Correlations over stated distributions.
    #[serde(default)]
    pub correlations: Vec<Correlation>,
    /// Discriminator statistics, for a cost that is an energy with a policy's density.
    #[serde(flatten)]
    pub discriminator: Option<DiscriminatorFigures>,
    /// The trajectories.
    pub cost_scatter: Vec<CostPoint>,
}

/// Episodes of one group with the cost of every step.
pub struct Judged<'a> {
    group: &'a Group,
    costs: Vec<Vec<f64>>,
    /// Σ_t −log π_0 of every episode, if the cost is relative to a base policy.
    base: Option<Vec<f64>>,
}

impl Judged<'_> {
    /// [Σ_t c, true Σ_t c] of every episode.
    fn sums(&self) -> Vec<[f64; 2]> {
        let episodes = self.group.episodes.iter().zip(&self.costs);
        episodes
            .map(|(e, costs)| [costs.iter().sum(), -e.true_return()])
            .collect()
    }

    /// [Σ_t −log π_0, Σ_t c] of every episode, if the cost is relative to a base policy.
    fn base_sums(&self) -> Option<Vec<[f64; 2]>> {
        let sums = self.base.as_ref()?.iter().zip(&self.costs);
        Some(
            sums.map(|(base, costs)| [*base, costs.iter().sum()])
                .collect(),
        )
    }

    /// [c, true c] of at most `count` evenly spread steps of every episode.
    fn steps(&self, count: usize) -> Vec<Vec<[f64; 2]>> {
        let episodes = self.group.episodes.iter().zip(&self.costs);
        episodes
            .map(|(e, costs)| {
                let (len, count) = (costs.len(), costs.len().min(count));
                (0..count)
                    .map(|i| i * len / count)
                    .map(|t| [costs[t], e.costs[t]])
                    .collect()
            })
            .collect()
    }
}

/// Results, with remarks.
pub(super) struct Found {
    pub report: CostReport,
    pub statements: Vec<String>,
}

/// The episodes whose states can be replayed; adds a remark if the expert's are not among them.
fn simulated<'a>(
    factory: &EnvFactory,
    groups: &'a Groups,
    statements: &mut Vec<String>,
) -> Result<Vec<&'a Episode>, Error> {
    let replayable = match groups.expert.episodes.first() {
        Some(first) => replays(factory, first)?,
        None => false,
    };
    if !replayable {
        statements.push(
            "the demonstrations do not replay here from their seeds (they were recorded elsewhere): EPIC and DARD use \
             the transitions of simulated episodes only"
                .into(),
        );
    }
    Ok(groups
        .all()
        .filter(|g| replayable || g.name != "expert")
        .flat_map(|g| &g.episodes)
        .collect())
}

pub(super) fn report(
    factory: &EnvFactory,
    cost: &dyn StepCost,
    discriminator: Option<Discriminator>,
    groups: &Groups,
    options: Options,
) -> Result<Found, Error> {
    let Options { seed, workers, .. } = options;
    let name = cost.describe();
    let mut statements = Vec::new();
    let all: Vec<Judged> = groups
        .all()
        .map(|group| judge(cost, &name, group))
        .collect::<Result<_, _>>()?;
    if let Some(value) = constant(&all) {
        statements.push(format!(
            "the {name} is {value} in every step: it ignores its input, no policy can be told from another by it and \
             correlations have no meaning"
        ));
    }
    let cost_scatter = all.iter().flat_map(|j| {
        let point = |[learned, truth]: [f64; 2]| CostPoint {
            group: j.group.name.clone(),
            learned,
            truth,
        };
        j.sums().into_iter().map(point)
    });

    let mut correlations = Vec::new();
    for (name, of) in distributions(groups, &all) {
        workers.check()?;
        correlations.push(correlation(name, &of, seed));
    }
    let whole = correlations.last().and_then(|c| c.spearman);
    workers.check()?;
    let graded = all.iter().filter(|j| groups.is_graded(j.group));
    let ranking = ranking_accuracy(&graded.collect::<Vec<_>>(), seed);

    let rungs = all.iter().filter(|j| groups.is_rung(j.group));
    let share = base_share(&rungs.collect::<Vec<_>>(), seed);

    let discriminator = discriminator
        .map(|d| d.figures(&groups.expert, &groups.learned))
        .transpose()?;
    let episodes = simulated(factory, groups, &mut statements)?;
    let found = distances(factory, cost, &episodes, options)?;
    let mean = |e: Option<Estimate>| e.map(|e| e.mean);
    let ci95 = |e: Option<Estimate>| e.map(|e| e.ci95);
    Ok(Found {
        report: CostReport {
            spearman: mean(whole),
            spearman_ci95: ci95(whole),
            epic: mean(found.epic),
            epic_ci95: ci95(found.epic),
            dard: mean(found.dard),
            dard_ci95: ci95(found.dard),
            ranking_accuracy: mean(ranking),
            ranking_accuracy_ci95: ci95(ranking),
            base_share: mean(share),
            base_share_ci95: ci95(share),
            correlations,
            discriminator,
            cost_scatter: cost_scatter.collect(),
        },
        statements,
    })
}

/// The distributions that costs are correlated over, by name; the pooled one last.
fn distributions<'a>(
    groups: &'a Groups,
    all: &'a [Judged<'a>],
) -> [(&'a str, Vec<&'a Judged<'a>>); 5] {
    let of = |fits: &dyn Fn(&Group) -> bool| all.iter().filter(|j| fits(j.group)).collect();
    let learned = groups.learned.name.as_str();
    [
        ("expert", of(&|g| g.name == "expert")),
        (learned, of(&|g| g.name == learned)),
        ("random", of(&|g| g.name == "random")),
        ("ladder", of(&|g| groups.is_rung(g))),
        ("all", of(&|_| true)),
    ]
}

/// An error at the first step where a cost is not finite.
pub fn check_finite(cost: &dyn StepCost, of: &str, episodes: &[Episode]) -> Result<(), Error> {
    step_costs(cost, &cost.describe(), of, episodes).map(|_| ())
}

/// The cost of every step of a group.
fn judge<'a>(cost: &dyn StepCost, name: &str, group: &'a Group) -> Result<Judged<'a>, Error> {
    let costs = step_costs(cost, name, &group.name, &group.episodes)?;
    let base = |episode: &Episode| {
        let (states, actions, dims) = rows(episode);
        Some(cost.base_costs(states, actions, dims)?.iter().sum())
    };
    Ok(Judged {
        group,
        costs,
        base: group.episodes.iter().map(base).collect(),
    })
}

/// The observations and actions of an episode's steps, row-major.
fn rows(episode: &Episode) -> (&[f32], &[f32], Dims) {
    let tau = &episode.trajectory;
    let dims = Dims {
        observation: tau.observation_dim(),
        action: tau.action_dim(),
    };
    let states = &tau.observations()[..tau.len() * dims.observation];
    (states, tau.actions(), dims)
}

/// The cost of every step; the first one that is not finite is an error.
fn step_costs(
    cost: &dyn StepCost,
    name: &str,
    of: &str,
    episodes: &[Episode],
) -> Result<Vec<Vec<f64>>, Error> {
    let mut costs = Vec::with_capacity(episodes.len());
    for (i, episode) in episodes.iter().enumerate() {
        let (states, actions, dims) = rows(episode);
        let found = cost.costs(states, actions, dims);
        if let Some(t) = found.iter().position(|c| !c.is_finite()) {
            return Err(Error::Failure(format!(
                "the {name} is {} at step {t} of episode {i} of `{}`, expected a finite number: a cost file is \
                 damaged or its training diverged, a formula divides by zero or leaves a function's domain",
                found[t], of
            )));
        }
        costs.push(found);
    }
    Ok(costs)
}

/// The value of a cost that is constant over all steps.
fn constant(all: &[Judged]) -> Option<f64> {
    let mut steps = all.iter().flat_map(|j| j.costs.iter().flatten());
    let first = *steps.next()?;
    steps
        .all(|c| (c - first).abs() <= 1e-9 * first.abs().max(1e-9))
        .then_some(first)
}
