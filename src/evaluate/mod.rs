//! Evaluation: does the policy solve the task, and is the cost correct?

pub mod certificate;
pub mod compare;
pub mod controller;
pub mod controls;
mod cost;
pub mod dard;
pub mod epic;
pub mod episodes;
mod groups;
pub mod held_out;
pub mod occupancy;
mod read;
pub mod robustness;
mod shared;
pub mod statistics;
pub mod transfer;
pub mod validation;
pub mod workers;

use std::collections::BTreeMap;
use std::ops::Range;

use costate_envs::{EnvFactory, Episode, Success, Trajectory};
use serde::{Deserialize, Serialize};

use crate::cost::StepCost;
use crate::error::Error;
use crate::expression::Formula;
pub use certificate::{Certificate, Certified};
use controller::{Controller, Disturbance};
pub use controls::{Controls, Standing, Validation};
pub use cost::{
    Correlation, CostPoint, CostReport, Discriminator, DiscriminatorFigures, check_finite,
};
pub use groups::{Group, Groups};
use occupancy::{OccupancyDistance, Reference};
pub use robustness::Curve;
use statistics::{Estimate, bootstrap, mean_interval};
pub use transfer::Transfer;
pub use validation::Frozen;
pub use workers::Workers;

/// Name of the row of the clone to compare with.
pub const CLONE: &str = "bc";

/// Name of the kept fresh policy's row.
pub const FRESH: &str = "fresh, on the frozen cost";

/// A row of the table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `expert`, `random`, `bc`, the algorithm's name or [`FRESH`].
    pub policy: String,
    /// Number of episodes.
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
    /// Share of episodes that end solved, if the task defines success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
    /// Its 95 % interval (Wilson 1927).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate_ci95: Option<[f64; 2]>,
    /// Share of each mode among the solved episodes, if the task defines modes and any episode is solved.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modes: BTreeMap<String, f64>,
    /// True return of every episode, in order of the starts, which all simulated policies share.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<f64>,
    /// Distance of its states and actions from the demonstrations'; `None` for these themselves, or with fewer than
    /// two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupancy: Option<OccupancyDistance>,
}

impl Row {
    /// Mean true return with its interval.
    pub fn returned(&self) -> Estimate {
        Estimate {
            mean: self.mean_return,
            ci95: self.ci95,
        }
    }

    /// Normalised score with its interval.
    pub fn score(&self) -> Estimate {
        Estimate {
            mean: self.normalized_score,
            ci95: self.normalized_score_ci95,
        }
    }

    /// Width of the score's interval.
    fn score_width(&self) -> f64 {
        let [low, high] = self.normalized_score_ci95;
        (high - low).abs()
    }
}

/// The scale of normalised scores: the returns that map to 1 and 0.
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

    /// Return with score 1.
    fn expert_return(&self) -> f64 {
        mean(&self.one)
    }

    /// Return with score 0.
    fn random_return(&self) -> f64 {
        mean(&self.zero)
    }

    /// A row of the table.
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
        let verdicts: Option<Vec<bool>> = episodes.iter().map(|e| e.success).collect();
        let solved = verdicts.map(|v| share(v.iter().filter(|s| **s).count(), v.len()));
        Row {
            policy: policy.into(),
            episodes: own.len(),
            mean_return: e.mean,
            ci95: e.ci95,
            normalized_score: score.mean,
            normalized_score_ci95: score.ci95,
            success_rate: solved.map(|s| s.mean),
            success_rate_ci95: solved.map(|s| s.ci95),
            modes: BTreeMap::new(),
            returns: own,
            occupancy,
        }
    }
}

/// Share of each mode among the solved episodes; those without a mode count in the total.
fn modes(factory: &EnvFactory, episodes: &[Episode]) -> BTreeMap<String, f64> {
    let env = factory.build();
    let solved = episodes.iter().filter(|e| e.success == Some(true));
    let found: Vec<_> = solved
        .map(|e| env.mode(e.trajectory.observations()))
        .collect();
    if found.is_empty() {
        return BTreeMap::new();
    }
    let share = |i| found.iter().filter(|m| **m == Some(i)).count() as f64 / found.len() as f64;
    let names = env.modes().iter().enumerate();
    names.map(|(i, name)| ((*name).into(), share(i))).collect()
}

/// Results of `costate evaluate`: `evaluation.json`.
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
    /// Width of the score's 95 % interval at which no further ones were played, if asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
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
    /// Scores under noise and in variants of the world.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub robustness: Vec<Curve>,
    /// Caveats on the figures, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statements: Vec<String>,
    /// Fresh policies on the frozen cost, if trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// Fresh policies on the parts of a cost relative to a base policy, if trained.
    #[serde(flatten)]
    pub controls: Controls,
    /// Results in variants of the world, if requested.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transfer: Vec<Transfer>,
    /// The soft value along the policy's trajectories, if a cost was learned with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Metrics of the learned cost, if there is one.
    #[serde(flatten)]
    pub cost: Option<CostReport>,
}

/// What to evaluate, and its baselines.
pub struct Subject<'a> {
    /// The environment.
    pub factory: &'a EnvFactory,
    /// Name of the algorithm, or of an imported policy.
    pub algo: &'a str,
    /// Seed of the run.
    pub run_seed: u64,
    /// The controller under evaluation.
    pub controller: Controller,
    /// The cost.
    pub cost: Option<&'a dyn StepCost>,
    /// The cost as an energy with the policy's density; `None` for a cost that is not an energy.
    pub discriminator: Option<Discriminator<'a>>,
    /// The demonstrations.
    pub demonstrations: &'a [Episode],
    /// Whether their actions are known.
    pub acted: bool,
    /// A cloned policy for comparison, unless the run's own is one.
    pub clone: Option<Controller>,
    /// The kept fresh policy on the frozen cost.
    pub fresh: Option<Controller>,
    /// A definition of success in place of the task's.
    pub success: Option<&'a Formula>,
    /// The cost with a policy of known density, to measure the soft value along trajectories.
    pub certified: Option<Certified<'a>>,
}

impl Subject<'_> {
    /// The same episodes with success by the formula, if given: a success if it is positive in every state of the
    /// last tenth, as with a task's own definition.
    fn judged(&self, mut episodes: Vec<Episode>) -> Vec<Episode> {
        let Some(formula) = self.success else {
            return episodes;
        };
        for episode in &mut episodes {
            let trajectory = &episode.trajectory;
            let mut success = Success::default();
            for t in 0..=trajectory.len() {
                success.see(Some(formula.value(trajectory.observation(t), &[]) > 0.0));
            }
            episode.success = success.verdict();
        }
        episodes
    }
}

/// How to evaluate.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Episodes of each policy; with `precision`, at most.
    pub episodes: usize,
    /// Width of the score's 95 % interval that is narrow enough: then no further episodes are played.
    pub precision: Option<f64>,
    /// Seed of the starts.
    pub seed: u64,
    /// Whether scores under noise and in variants are measured too.
    pub robustness: bool,
    /// Worker threads.
    pub workers: Workers<'a>,
}

/// Stages of an evaluation, for a progress bar.
pub const STAGES: usize = 7;

/// All policies' episodes, from the same starts.
struct Played {
    learned: Vec<Episode>,
    random: Vec<Episode>,
    cloned: Option<Vec<Episode>>,
    fresh: Option<Vec<Episode>>,
    demonstrations: Vec<Episode>,
}

type Told<'a> = dyn FnMut(usize, &str) -> Result<(), Error> + 'a;

/// Runs all policies.
fn play(subject: &Subject, options: Options, progress: &mut Told) -> Result<Played, Error> {
    let Options { seed, workers, .. } = options;
    let play = |controller: &Controller, which: Range<usize>| -> Result<Vec<Episode>, Error> {
        let undisturbed = Disturbance::default();
        let played = shared::play(
            controller,
            subject.factory,
            workers,
            undisturbed,
            which,
            seed,
        );
        Ok(subject.judged(played?))
    };
    let mut played = Played {
        learned: Vec::new(),
        random: Vec::new(),
        cloned: None,
        fresh: None,
        demonstrations: subject.judged(subject.demonstrations.to_vec()),
    };
    loop {
        progress(0, "episodes of the policy and of random actions")?;
        let there = played.learned.len();
        let next = match options.precision {
            None => there..options.episodes,
            Some(_) => there..looked_at(there, options.episodes),
        };
        played
            .learned
            .extend(play(&subject.controller, next.clone())?);
        played.random.extend(play(&Controller::Random, next)?);
        if played.learned.len() == options.episodes || played.is_enough(subject, options)? {
            break;
        }
    }
    progress(1, "episodes of the policies to compare with")?;
    let count = played.learned.len();
    let of_other = |other: &Option<Controller>| {
        let other = other.as_ref();
        other.map(|c| play(c, 0..count)).transpose()
    };
    played.cloned = of_other(&subject.clone)?;
    played.fresh = of_other(&subject.fresh)?;
    Ok(played)
}

/// Episodes before the first look at an interval's width.
const FIRST_LOOK: usize = 40;

/// How many of at most `most` episodes there are at the next look: few looks, as each is another chance to stop on luck.
fn looked_at(played: usize, most: usize) -> usize {
    (2 * played).max(FIRST_LOOK).min(most)
}

impl Played {
    /// Whether the score's interval is as narrow as asked.
    fn is_enough(&self, subject: &Subject, options: Options) -> Result<bool, Error> {
        let scale = self.scale(subject.factory)?;
        let row = scale.row(subject.algo, &self.learned, None, options.seed);
        Ok(options.precision.is_some_and(|p| row.score_width() <= p))
    }

    /// Inputs of the scores.
    fn scale(&self, factory: &EnvFactory) -> Result<Scale, Error> {
        let expert = returns(&self.demonstrations);
        let expert_return = mean(&expert);
        Scale::new(expert, returns(&self.random)).ok_or_else(|| {
            Error::Failure(format!(
                "{}: demonstrations and random actions have the same mean return, {expert_return}: a \
                 normalised score has no meaning; record better demonstrations",
                factory.spec().name
            ))
        })
    }

    /// A row per policy, and that of the evaluated policy.
    fn rows(
        &self,
        subject: &Subject,
        scale: &Scale,
        options: Options,
    ) -> Result<(Vec<Row>, Row), Error> {
        let (seed, factory) = (options.seed, subject.factory);
        let reference = Reference::of(&trajectories(&self.demonstrations), subject.acted, seed);
        let compared = |policy: &str, episodes: &[Episode]| -> Result<Row, Error> {
            let occupancy = match &reference {
                Some(reference) => reference.distance(&trajectories(episodes), options.workers)?,
                None => None,
            };
            Ok(Row {
                modes: modes(factory, episodes),
                ..scale.row(policy, episodes, occupancy, seed)
            })
        };
        let of = |name: &str, episodes: &Option<Vec<Episode>>| {
            episodes.as_deref().map(|e| compared(name, e)).transpose()
        };
        let mut rows = vec![
            Row {
                modes: modes(factory, &self.demonstrations),
                ..scale.row("expert", &self.demonstrations, None, seed)
            },
            compared("random", &self.random)?,
        ];
        rows.extend(of(CLONE, &self.cloned)?);
        let own = compared(subject.algo, &self.learned)?;
        rows.push(own.clone());
        rows.extend(of(FRESH, &self.fresh)?);
        Ok((rows, own))
    }
}

/// Evaluates a policy and its cost; `progress` is called at the start of each of the [`STAGES`].
pub fn evaluate(
    subject: &Subject,
    options: Options,
    progress: &mut dyn FnMut(usize, &str),
) -> Result<Evaluation, Error> {
    let factory = subject.factory;
    let Options { seed, workers, .. } = options;
    let mut progress = |stage, what: &str| {
        progress(stage, what);
        workers.check()
    };
    let played = play(subject, options, &mut progress)?;
    // The others follow the policy's number.
    let count = played.learned.len();
    let options = Options {
        episodes: count,
        ..options
    };
    let scale = played.scale(factory)?;
    progress(2, "distances from the demonstrations")?;
    let (rows, own) = played.rows(subject, &scale, options)?;
    let Played {
        learned,
        random,
        cloned,
        demonstrations,
        ..
    } = played;
    let mut statements = said_of(subject, &demonstrations, &own, &scale);
    statements.extend(too_wide(&own, options));

    let mut certificate = None;
    if let Some(certified) = subject.certified {
        progress(3, "the soft value along trajectories")?;
        certificate = certificate::certificate(factory, certified, &learned, workers, seed)?;
    }
    let mut cost = None;
    if let Some(judged) = subject.cost {
        progress(4, "the ladder of degraded policies")?;
        let groups = Groups {
            expert: Group::new("expert", demonstrations),
            learned: Group::new(subject.algo, learned),
            random: Group::new("random", random),
            clone: cloned.map(|episodes| Group::new(CLONE, episodes)),
            rungs: groups::ladder(subject, options)?,
        };
        progress(5, "the cost against the true one")?;
        let found = cost::report(factory, judged, subject.discriminator, &groups, options)?;
        statements.extend(found.statements);
        cost = Some(found.report);
    }
    let mut robustness = Vec::new();
    if options.robustness {
        progress(6, "scores under noise and in variants")?;
        robustness = robustness::curves(subject, &scale, options)?;
    }
    progress(STAGES, "done")?;
    Ok(Evaluation {
        format: Evaluation::FORMAT,
        env: factory.spec().name.clone(),
        algo: subject.algo.into(),
        seed: subject.run_seed,
        evaluation_seed: seed,
        actions: subject.controller.actions().into(),
        episodes: count,
        precision: options.precision,
        policy_return: Estimate {
            mean: own.mean_return,
            ci95: own.ci95,
        },
        expert_return: scale.expert_return(),
        random_return: scale.random_return(),
        normalized_score: own.normalized_score,
        normalized_score_ci95: own.normalized_score_ci95,
        rows,
        robustness,
        statements,
        frozen: None,
        controls: Controls::default(),
        transfer: Vec::new(),
        certificate,
        cost,
    })
}

/// Remarks to read before the table.
fn said_of(subject: &Subject, demonstrations: &[Episode], own: &Row, scale: &Scale) -> Vec<String> {
    let mut said = Vec::new();
    if let (Controller::Implicit(..), None) = (&subject.controller, subject.cost) {
        said.push(format!(
            "the energy of {} is a policy's, π(a | s) ∝ exp(−E), not a cost of the task: it says how the demonstrator \
             acts, not what it optimises, so there is no cost to evaluate and no fresh policy to train on it",
            subject.algo
        ));
    }
    if mean(&scale.one) <= mean(&scale.zero) {
        said.push(format!(
            "the demonstrations (mean return {:.1}) are no better than random actions ({:.1}): scores have the wrong \
             sign; record better demonstrations",
            mean(&scale.one),
            mean(&scale.zero)
        ));
    }
    if own.success_rate == Some(0.0) {
        let shown = demonstrations.iter().filter(|e| e.success == Some(true));
        said.push(format!(
            "{} never finishes the task: none of its {} episodes ends solved ({} of {} demonstrations do)",
            subject.algo,
            own.episodes,
            shown.count(),
            demonstrations.len()
        ));
    }
    said
}

/// That the asked precision is out of reach of the asked episodes.
fn too_wide(own: &Row, options: Options) -> Option<String> {
    let width = own.score_width();
    let asked = options.precision.filter(|&p| width > p)?;
    Some(format!(
        "the interval of the score is {width:.3} wide after {} episodes, not {asked}: allow more of them (--episodes); what \
         the demonstrations' number leaves open, they cannot narrow",
        own.episodes
    ))
}

/// A share of `n` with Wilson's interval, which stays valid near 0 and 1 (Wilson 1927).
fn share(of: usize, n: usize) -> Estimate {
    let (n, z) = (n as f64, 1.959_964);
    let p = of as f64 / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Estimate {
        mean: p,
        ci95: [(centre - half).max(0.0), (centre + half).min(1.0)],
    }
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
