//! Learning from preferences: a rater says which of two segments of rollouts is better, the cost is fitted to the answers
//! (`comparisons.rs`), and the policy minimises it (Christiano, Leike, Brown, Martic, Legg and Amodei 2017, arXiv
//! 1706.03741).
//!
//! The rater stands in for a person: it knows the true cost, and the learner hears nothing but its answers. Demonstrations are
//! no answers unless `demonstrated` makes them: then a demonstrated segment is better than a sampled one, unasked (Ibarz et
//! al. 2018, arXiv 1811.06521).

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour};
use super::comparisons::{Comparisons, Segment, agreement, surprise};
use super::frozen_cost::ValidationSettings;
use super::generator::{Generator, Sampled};
use super::{Learner, Setup};
use crate::audit::{self, Auditor, Sealer};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::density::sigmoid;
use crate::error::Error;
use crate::metric::{Diagnostics, Metric, Spreads};
use crate::nn::{StateDict, StateError};
use costate_base::schema::{positive, proper_fraction, resumable};

/// Settings of learning from preferences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PreferencesSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Questions an iteration, each about two segments of its rollouts.
    #[schemars(range(min = 1), transform = resumable)]
    pub questions: usize,
    /// Steps of a segment; fewer where an episode has fewer.
    #[schemars(range(min = 1), transform = resumable)]
    pub segment: usize,
    /// How sure the rater is, per unit of true cost: it prefers A with probability σ(rationality · (C(B) − C(A))). Null never
    /// errs.
    #[schemars(transform = positive, transform = resumable)]
    pub rationality: Option<f64>,
    /// Share ε of the answers that are taken to be random.
    #[schemars(transform = proper_fraction, transform = resumable)]
    pub random: f64,
    /// Comparisons an iteration of a demonstrated with a sampled segment, in which the demonstrated one is better, unasked.
    #[schemars(transform = resumable)]
    pub demonstrated: usize,
    /// Comparisons in a step of the fit of c_θ, drawn from all so far.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

impl Algorithm for PreferencesSettings {
    const NAME: &'static str = "preferences";
    const ABOUT: &'static str = "a cost from a rater's answers to which of two segments is better";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/preferences.json");
}

impl Behaviour for PreferencesSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let (sealer, auditor) = audit::pair();
        let own = Setup {
            sealer: &sealer,
            ..*setup
        };
        let sides = Sides::new(&self.adversarial, 0, &own)?;
        let preferences = Preferences {
            settings: self.clone(),
            seed: setup.seed,
            rater: Rater {
                auditor,
                sealer: setup.sealer.clone(),
                rationality: self.rationality,
            },
            comparisons: Comparisons::default(),
            newest: 0,
            demonstrations: sides.demonstrations.shallow_clone(),
        };
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings,
            sides,
            preferences,
            Vec::new(),
            setup,
        )?))
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn validation(&self) -> Option<&ValidationSettings> {
        Some(&self.validation)
    }

    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        Some(&mut self.validation)
    }
}

/// Knows the true cost and says which of two segments is better.
struct Rater {
    auditor: Auditor,
    /// Of whoever watches the learner.
    sealer: Sealer,
    rationality: Option<f64>,
}

impl Rater {
    /// True costs of every step of the rollouts, `[S]`; the audit is then the watcher's.
    fn watch(&self, samples: &mut Sampled) -> Result<Vec<f64>, Error> {
        let truth = self.auditor.open(&samples.audit)?.clone();
        samples.audit = self.sealer.reseal(&truth);
        Ok(truth.costs)
    }

    /// Whether the first of two segments with these true costs is better; `None` if they are equal.
    fn prefers_first(&self, [first, second]: [f64; 2], rng: &mut Stream) -> Option<bool> {
        let margin = second - first;
        if margin == 0.0 {
            return None;
        }
        Some(match self.rationality {
            None => margin > 0.0,
            Some(rationality) => rng.random_bool(sigmoid(rationality * margin)),
        })
    }
}

/// The adversary.
pub struct Preferences {
    settings: PreferencesSettings,
    seed: u64,
    rater: Rater,
    comparisons: Comparisons,
    /// How many of them are answers about the newest rollouts.
    newest: usize,
    demonstrations: TrajectoryBatch,
}

impl Preferences {
    /// Two segments of equal length of trajectories drawn from each.
    fn pair(&self, [first, second]: [&TrajectoryBatch; 2], rng: &mut Stream) -> (Segment, Segment) {
        let [a, b] = [first, second].map(|batch| rng.random_range(0..batch.len()));
        let len = (self.settings.segment)
            .min(first.lengths[a])
            .min(second.lengths[b]);
        (
            Segment::within(first, a, len, rng),
            Segment::within(second, b, len, rng),
        )
    }
}

impl Adversary for Preferences {
    const STREAM: &'static str = "preferences";
    /// The share of the newest answers that the cost foretold.
    type Evidence = f64;

    fn attend(&mut self, samples: &mut Sampled, k: usize) -> Result<(), Error> {
        let costs = self.rater.watch(samples)?;
        let batch = &samples.batch;
        let mut rng = stream(self.seed, "preference questions", k as u64);
        let mut answers = Vec::new();
        for _ in 0..self.settings.questions {
            let (a, b) = self.pair([batch, batch], &mut rng);
            let prefers_first =
                (self.rater).prefers_first([a.sum(&costs), b.sum(&costs)], &mut rng);
            answers.extend(prefers_first.map(|first| if first { (a, b) } else { (b, a) }));
        }
        let shown: Vec<(Segment, Segment)> = (0..self.settings.demonstrated)
            .map(|_| self.pair([&self.demonstrations, batch], &mut rng))
            .collect();
        self.comparisons.add(&self.demonstrations, batch, &shown);
        self.comparisons.add(batch, batch, &answers);
        self.newest = answers.len();
        Ok(())
    }

    fn evidence(&self, model: &EnergyModel, _: &Sampled, _: usize) -> f64 {
        let all = self.comparisons.count();
        let newest: Vec<usize> = (all - self.newest..all).collect();
        let cost = |o: &Tensor, a: &Tensor| model.cost(o, a);
        let margins = crate::nn::no_grad(|| self.comparisons.margins(&newest, cost));
        margins.as_ref().map_or(0.0, agreement)
    }

    /// −E[log P(A ≻ B)] over comparisons of all iterations.
    fn loss(&mut self, model: &mut EnergyModel, _: &f64, rng: &mut Stream) -> Tensor {
        let chosen = self.comparisons.draw(self.settings.minibatch, rng);
        let margins = (self.comparisons).margins(&chosen, |o, a| model.cost(o, a));
        match margins {
            Some(margins) => surprise(&margins, self.settings.random).mean(Kind::Double),
            // The rater could not tell anything apart yet.
            None => {
                model
                    .cost(
                        &self.demonstrations.observations,
                        &self.demonstrations.actions,
                    )
                    .sum(Kind::Double)
                    * 0.0
            }
        }
    }

    fn found(&mut self, _: &mut EnergyModel, foretold: &f64) -> (Diagnostics, Spreads) {
        let diagnostics = vec![
            (Metric::ForetoldAnswers, *foretold),
            (Metric::Comparisons, self.comparisons.count() as f64),
        ];
        (diagnostics, Spreads::new())
    }

    fn save(&self, state: &mut StateDict) {
        self.comparisons.save(state);
    }

    fn load(&mut self, state: &StateDict, _: &Generator) -> Result<(), StateError> {
        self.comparisons = Comparisons::load(state)?;
        Ok(())
    }

    /// c_θ.
    fn step_cost(&self, model: &EnergyModel, batch: &TrajectoryBatch) -> Vec<f64> {
        model.step_cost(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rater(rationality: Option<f64>) -> Rater {
        let (sealer, auditor) = audit::pair();
        Rater {
            auditor,
            sealer,
            rationality,
        }
    }

    #[test]
    fn the_rater_prefers_what_costs_less_as_often_as_asked() {
        let mut rng = stream(0, "rater", 0);
        let sure = rater(None);
        assert_eq!(sure.prefers_first([1.0, 2.0], &mut rng), Some(true));
        assert_eq!(sure.prefers_first([2.0, 1.0], &mut rng), Some(false));
        assert_eq!(sure.prefers_first([1.0, 1.0], &mut rng), None);
        let human = rater(Some(0.5));
        let answers = (0..20_000).filter_map(|_| human.prefers_first([1.0, 4.0], &mut rng));
        let first = answers.filter(|first| *first).count() as f64 / 20_000.0;
        assert!((first - sigmoid(1.5)).abs() < 0.01, "{first}");
    }
}
