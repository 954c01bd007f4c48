//! Named findings about a run: what goes wrong, the evidence, and what to change.
//!
//! Each looks at the demonstrations or at logged metrics; none needs the true cost. The thresholds were
//! calibrated on good and failed runs: benches/findings, docs/experiments.md.

mod advice;
mod course;
mod kind;

use costate_envs::EnvFactory;
use serde::Serialize;
use serde_json::{Map, Value};

pub use advice::{Advice, Change};
use advice::{Settings, in_words};
use course::Course;
pub use kind::Kind;

use crate::learners::Algo;
use crate::learners::algorithm::{Cloning, SampleShare};
use crate::learners::flow_bc;
use crate::metric::Metric;
use crate::run::RunConfig;

/// Something that keeps a run from succeeding.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Its name.
    pub name: &'static str,
    /// The evidence, with figures.
    pub seen: String,
    /// What it means.
    pub means: &'static str,
    /// What to change, in words.
    pub change: String,
    /// The same as structured advice, with settings of the algorithm only.
    pub advice: Vec<Advice>,
}

impl Finding {
    fn new(kind: Kind, seen: String, situation: &Situation) -> Self {
        let advice = kind.advice(situation);
        Self {
            name: kind.name(),
            seen,
            means: kind.means(situation),
            change: in_words(&advice),
            advice,
        }
    }
}

/// Minimum effective sample size of the cost's gradient, as a share of the batch, in the last quarter.
const LEAST_ESS: f64 = 0.2;
/// The same for GCL, whose weights run over demonstrations and samples together.
const LEAST_POOL_ESS: f64 = 0.1;
/// Share of that threshold below which a single iteration deserves a remark.
const LIVE_ESS: f64 = 0.5;
/// Multiple of a clone's σ above which its noise has grown.
const MOST_GROWTH: f64 = 1.5;
/// Minimum distance that Adam can move a weight of the cost over the whole run.
const LEAST_REACH: f64 = 0.02;
/// Discriminator loss in the last quarter below which the policy has not matched the expert.
const LEAST_MATCHED_LOSS: f64 = 0.5;
/// Share of its first σ that a policy should have lost by the end.
const LEAST_SHRINKAGE: f64 = 0.2;
/// Minimum accuracy of a discriminator against an untrained policy.
const LEAST_EARLY_ACCURACY: f64 = 0.6;
/// Discriminator loss below which it gives no training signal; chance level is 1.39.
const LEAST_LOSS: f64 = 0.02;
/// Share of solved demonstrations below which they are not worth imitating.
const LEAST_SUCCESS: f64 = 0.5;
/// Share of the variance of the cost to go that a critic may leave unexplained.
const MOST_VALUE_ERROR: f64 = 0.9;
/// Nats by which a cloning loss may end above its value after the first pass.
const MOST_LOSS_GAINED: f64 = 0.5;
/// Multiple of its initial σ that no successful clone reaches.
const MOST_CLONE_GROWTH: f64 = 1.5;
/// σ of a clone, in half action ranges, above which its mean explains little.
const MOST_CLONE_STD: f64 = 0.5;
/// Above chance level by this, a loss has diverged.
const MOST_ABOVE_GUESSING: f64 = 1.0;
/// σ, in half action ranges, up to which a policy trained from scratch is not random.
const MOST_LEARNED_STD: f64 = 0.4;
/// Minimum policy change, nats per step, in the median iteration of the first half.
const LEAST_KL: f64 = 1e-4;
/// Share of the shortest demonstration's steps that rollouts should have in the end.
const LEAST_LENGTH: f64 = 0.5;
/// Metrics that are finite in every sound iteration.
const FINITE: [Metric; 8] = [
    Metric::Loss,
    Metric::HeldOutLoss,
    Metric::DiscriminatorLoss,
    Metric::IocLoss,
    Metric::CostGradientNorm,
    Metric::PolicyGradientNorm,
    Metric::Entropy,
    Metric::PolicyStd,
];

/// The parts of a run that findings look at.
pub struct Situation<'a> {
    config: &'a RunConfig,
    settings: Settings,
    /// The environment; `None` if it cannot be built here.
    factory: Option<EnvFactory>,
}

impl<'a> Situation<'a> {
    /// Of a run.
    pub fn of(config: &'a RunConfig) -> Self {
        Self {
            config,
            settings: Settings::of(&config.algo),
            factory: config.env.factory().ok(),
        }
    }

    /// Steps of an episode.
    fn horizon(&self) -> Option<usize> {
        self.factory.as_ref().map(|f| f.spec().horizon)
    }

    /// Whether the policy starts as a clone of the demonstrations.
    fn starts_cloned(&self) -> bool {
        ["base_steps", "clone_steps", "warm_start"]
            .iter()
            .any(|key| self.settings.number(key).is_some_and(|n| n > 0.0))
    }

    /// Sum of Adam's step sizes on the cost, an upper bound on the movement of any weight.
    fn reach(&self) -> Option<f64> {
        let s = self.config.algo.adversarial()?;
        let steps = (s.generator.iterations * s.cost_steps) as f64;
        Some(s.cost_learning_rate * steps * 0.5 * (1.0 + s.generator.learning_rate_end_factor))
    }

    /// Whether the algorithm discriminates between policy and expert.
    fn is_adversarial(&self) -> bool {
        self.config.algo.adversarial().is_some()
    }
}

/// All findings about a run, worst first.
pub fn diagnose(config: &RunConfig, metrics: &[Map<String, Value>]) -> Vec<Finding> {
    found(config, metrics, |_| true)
}

/// The findings about a run that goes on: while less than half of its `planned` iterations are done, without those that
/// judge by how a run ends.
pub fn diagnose_so_far(
    config: &RunConfig,
    metrics: &[Map<String, Value>],
    planned: usize,
) -> Vec<Finding> {
    let early = 2 * metrics.len() < planned;
    found(config, metrics, |kind| !early || kind.shows_early())
}

fn found(
    config: &RunConfig,
    metrics: &[Map<String, Value>],
    wanted: impl Fn(Kind) -> bool,
) -> Vec<Finding> {
    let course = Course(metrics);
    let situation = Situation::of(config);
    let mut seen = demonstrations(&situation);
    seen.extend(clone(&situation, &course));
    if situation.is_adversarial() {
        seen.extend(discriminator(&situation, &course));
        seen.extend(policy(&situation, &course));
    }
    seen.into_iter()
        .filter(|(kind, _)| kind.concerns(&config.algo) && wanted(*kind))
        .map(|(kind, seen)| Finding::new(kind, seen, &situation))
        .collect()
}

type Seen = (Kind, String);

fn demonstrations(situation: &Situation) -> Vec<Seen> {
    let Some(imitated) = &situation.config.demonstrations else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if imitated.noise_known == Some(false) {
        let seen = match kind::Demonstrator::of(situation) {
            Some(kind::Demonstrator::Unknown) => format!(
                "the density of the demonstrated actions, by `{}`, is unknown",
                imitated.expert
            ),
            _ => format!(
                "the demonstrations by `{}` were recorded without action noise",
                imitated.expert
            ),
        };
        findings.push((Kind::DeterministicExpert, seen));
    }
    if imitated.episodes == 1 {
        let seen = "there is 1 demonstration".into();
        findings.push((Kind::SingleDemonstration, seen));
    }
    if let Some(solved) = imitated.success_rate.filter(|s| *s < LEAST_SUCCESS) {
        findings.push((
            Kind::UnsolvedDemonstrations,
            format!(
                "{:.0} % of the demonstrations end at the task's goal",
                100.0 * solved
            ),
        ));
    }
    findings.extend(short(situation).map(|seen| (Kind::ShortDemonstrations, seen)));
    findings
}

/// Describes demonstrations that end before the horizon, for algorithms that compare them with rollouts.
fn short(situation: &Situation) -> Option<String> {
    let imitated = situation.config.demonstrations.as_ref()?;
    let (lengths, horizon) = (imitated.lengths?, situation.horizon()?);
    let rollouts = Kind::ShortDemonstrations.concerns(&situation.config.algo);
    let factory = situation.factory.as_ref()?;
    (rollouts && lengths.cut_short(factory)).then(|| {
        let steps = match lengths.shortest == lengths.longest {
            true => format!("{}", lengths.shortest),
            false => format!("{} to {}", lengths.shortest, lengths.longest),
        };
        format!(
            "{} of {} demonstrations end early: {steps} steps against a horizon of {horizon}",
            lengths.early, imitated.episodes
        )
    })
}

/// A remark at the start of training on demonstrations that end before the horizon.
pub fn remark_on_lengths(config: &RunConfig) -> Option<String> {
    let situation = Situation::of(config);
    let seen = short(&situation)?;
    let what = match in_words(&Kind::ShortDemonstrations.advice(&situation)) {
        words if words.is_empty() => String::new(),
        words => format!("; {words}"),
    };
    Some(format!(
        "{seen}. {}{what}",
        Kind::ShortDemonstrations
            .means(&situation)
            .trim_end_matches('.')
    ))
}

fn clone(situation: &Situation, course: &Course) -> Option<Seen> {
    if let Some((metric, k)) = course.not_finite(&FINITE) {
        let name = metric.key().replace('_', " ");
        let seen = format!("{name} is not finite in iteration {k}");
        return Some((Kind::Diverged, seen));
    }
    let losses = course.values(Metric::Loss);
    let guessing = match situation.config.algo.cloning()? {
        Cloning::Likelihood => f64::INFINITY,
        Cloning::Contrast(negatives) => (1.0 + negatives as f64).ln(),
        Cloning::Flow => flow_bc::CHANCE,
    };
    let thrown = |loss: &f64| *loss > guessing + MOST_ABOVE_GUESSING;
    if let Some(k) = losses.iter().position(thrown) {
        let seen = format!(
            "loss {:.2} in iteration {k}, chance level is {guessing:.2}",
            losses[k]
        );
        return Some((Kind::Diverged, seen));
    }
    if let (Some(first), Some(last)) = (losses.first(), course.median(Metric::Loss, -0.1))
        && last > first + MOST_LOSS_GAINED
    {
        let seen = format!("loss {last:.2} at the end, {first:.2} after the first iteration");
        return Some((Kind::Diverged, seen));
    }
    let std = course.median(Metric::PolicyStd, -0.1)?;
    let seen = format!("σ is {std:.2} of half the action range at the end");
    let initial = situation.settings.number("policy.std_initial")?;
    if std > MOST_CLONE_GROWTH * initial {
        return Some((Kind::Diverged, seen));
    }
    (std > MOST_CLONE_STD).then_some((Kind::VagueClone, seen))
}

/// Minimum effective sample size of the cost's gradient, as a share of the batch.
fn least_ess(algo: &Algo) -> Option<f64> {
    // GAIL weights steps, of which there are always enough.
    Some(match algo.effective_samples()? {
        SampleShare::Pool => LEAST_POOL_ESS,
        SampleShare::Batch => LEAST_ESS,
    })
}

/// A remark if the effective sample size `ess` in iteration `k` is alarmingly low.
pub fn remark_on_ess(config: &RunConfig, k: usize, ess: f64) -> Option<String> {
    let least = LIVE_ESS * least_ess(&config.algo)?;
    (ess < least).then(|| {
        let change = in_words(&Kind::FewSamples.advice(&Situation::of(config)));
        format!(
            "iteration {k}: a handful of samples carries the cost's gradient (effective sample size {ess:.3} of \
             the batch, below {least}); if training fails, {change}"
        )
    })
}

fn discriminator(situation: &Situation, course: &Course) -> Vec<Seen> {
    let mut findings = Vec::new();
    let early = course.median(Metric::DiscriminatorAccuracy, 0.2);
    if let Some(reach) = situation.reach().filter(|r| *r < LEAST_REACH) {
        findings.push((
            Kind::StarvedDiscriminator,
            format!("Adam can move a weight of the cost by at most {reach:.1e} over the whole run"),
        ));
    } else if let Some(accuracy) =
        early.filter(|a| !situation.starts_cloned() && *a < LEAST_EARLY_ACCURACY)
    {
        findings.push((
            Kind::StarvedDiscriminator,
            format!("accuracy {accuracy:.2} in the first fifth of the run, 0.5 is chance level"),
        ));
    }
    match course.median(Metric::DiscriminatorLoss, -0.25) {
        Some(loss) if loss < LEAST_LOSS => findings.push((
            Kind::DiscriminatorHasWon,
            format!("loss {loss:.3} in the last quarter, chance level is 1.39"),
        )),
        Some(loss) if loss < LEAST_MATCHED_LOSS => findings.push((
            Kind::NotMatched,
            format!("discriminator loss {loss:.2} in the last quarter, 1.39 when policy and expert are indistinguishable"),
        )),
        _ => {}
    }
    if let Some(least) = least_ess(&situation.config.algo)
        && let Some(ess) = course.median(Metric::Ess, -0.25).filter(|ess| *ess < least)
    {
        findings.push((
            Kind::FewSamples,
            format!("effective sample size {ess:.2} of the batch in the last quarter"),
        ));
    }
    findings
}

fn policy(situation: &Situation, course: &Course) -> Vec<Seen> {
    let Some(initial) = situation.settings.number("policy.std_initial") else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if let Some(kl) = course.median(Metric::Kl, 0.5).filter(|kl| *kl < LEAST_KL) {
        findings.push((
            Kind::StillPolicy,
            format!("the policy changes by {kl:.1e} nats per step in the median iteration of the first half"),
        ));
    }
    let (first, most) = match (
        situation.starts_cloned(),
        course.values(Metric::PolicyStd).first(),
    ) {
        (true, Some(&clone)) => (clone, MOST_GROWTH * clone),
        _ => (
            initial,
            // Some start with as little noise as the demonstrations.
            ((1.0 - LEAST_SHRINKAGE) * initial).max(MOST_LEARNED_STD.min(MOST_GROWTH * initial)),
        ),
    };
    if let Some(std) = course.median(Metric::PolicyStd, -0.1).filter(|s| *s > most) {
        findings.push((
            Kind::EntropyRunaway,
            format!("σ is {std:.2} of half the action range at the end, {first:.2} at the start"),
        ));
    }
    if let Some(error) = course
        .median(Metric::ValueError, -0.25)
        .filter(|e| *e > MOST_VALUE_ERROR)
    {
        findings.push((
            Kind::BlindCritic,
            format!(
                "the critic leaves {:.0} % of the cost to go unexplained",
                100.0 * error
            ),
        ));
    }
    findings.extend(early_ends(situation, course).map(|seen| (Kind::EarlyEnds, seen)));
    findings.extend(kept_start(course).map(|seen| (Kind::StartKept, seen)));
    findings
}

/// How long rollouts are in the last quarter, if that is far less than any demonstration.
fn early_ends(situation: &Situation, course: &Course) -> Option<String> {
    let shortest = situation.config.demonstrations.as_ref()?.lengths?.shortest as f64;
    let trajectories = situation.settings.number("trajectories")?;
    let steps = course.late_env_steps(0.25)? / trajectories;
    (steps < LEAST_LENGTH * shortest).then(|| {
        format!("{steps:.0} steps in a rollout of the last quarter, at least {shortest} in a demonstration")
    })
}

/// By how much the learned policy was worse than its start, if that was handed over.
fn kept_start(course: &Course) -> Option<String> {
    let last = |metric| course.values(metric).pop();
    last(Metric::KeptStart).filter(|kept| *kept != 0.0)?;
    let (likelihood, value) = (last(Metric::LikelihoodGain)?, last(Metric::SoftValueGain)?);
    Some(format!(
        "the learned policy was worse by {:.2} nats per step on held-out demonstrations and by {:.0} nats per episode \
         under the learned cost",
        -likelihood, -value
    ))
}

#[cfg(test)]
mod tests;
