//! Implicit behaviour cloning: an energy of state and action, learned by discriminating demonstrated actions from others.
//!
//! Florence, Lynch, Zeng, Ramirez, Wahid, Downs, Wong, Lee, Mordatch and Tompson 2021 (arXiv 2109.00137),
//! equation 2: minimise InfoNCE, −log [ e^−E(s, a) / (e^−E(s, a) + Σ_j e^−E(s, ã_j)) ], with counter-examples ã_j
//! drawn uniformly from a box around all demonstrated actions. At the optimum E(s, a) = −log p(a | s) + const(s), so
//! the policy exp(−E) has as many modes as the demonstrator, whereas the mean of a Gaussian clone lies between them.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::algorithm::{Algorithm, Behaviour, Cloning};
use super::best_so_far::BestSoFar;
use super::{Learner, Report, Setup, held_out_count, learning_rate_factor};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::discriminator::info_nce;
use crate::error::Error;
use crate::metric::Metric;
use crate::nn::{StateDict, StateError};
use crate::policy::{ActionScale, ImplicitPolicy, ImplicitSettings, Learned, Normalizer};
use costate_base::schema::{fraction, positive, proper_fraction, resumable};

/// Settings of [`Ibc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IbcSettings {
    /// Passes over the demonstrations.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Steps in a minibatch.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Counter-examples for each demonstrated action, uniform in the box of all actions.
    #[schemars(range(min = 1))]
    pub negatives: usize,
    /// Adam's step size.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Factor of the step size in the last pass; it falls linearly from 1.
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// Share of the episodes held out to choose the weights; 0 keeps the last ones.
    #[schemars(transform = proper_fraction)]
    pub held_out: f64,
    /// Room between the demonstrated actions and the box, as a share of their range.
    #[schemars(range(min = 0.0))]
    pub margin: f64,
    /// Images of every demonstration under the world's symmetries that are learned from, too: `costate envs ENV` names them.
    /// A mirror makes one, a rotation any number.
    #[serde(default)]
    pub symmetric_copies: usize,
    /// The policy.
    pub policy: ImplicitSettings,
}

impl Algorithm for IbcSettings {
    const NAME: &'static str = "ibc";
    const ABOUT: &'static str =
        "implicit cloning: an energy of state and action, as multimodal as the demonstrator";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/ibc.json");
}

impl Behaviour for IbcSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(Ibc::new(self, setup)?))
    }

    fn symmetric_copies(&self) -> usize {
        self.symmetric_copies
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![("learning_rate", self.learning_rate)]
    }

    fn cloning(&self) -> Option<Cloning> {
        Some(Cloning::Contrast(self.negatives))
    }

    fn needs_simulator(&self) -> bool {
        false
    }

    fn held_out(&self, demonstrations: usize) -> usize {
        held_out_count(demonstrations, self.held_out)
    }
}

/// Demonstrated state-action pairs.
struct Pairs {
    /// `[N, observation_dim]`.
    observations: Tensor,
    /// In units of the box, `[N, action_dim]`.
    actions: Tensor,
}

/// The result of contrasting demonstrated actions with others.
struct Contrast {
    /// InfoNCE, a scalar.
    loss: Tensor,
    /// Share of the steps whose demonstrated action has the lowest energy.
    accuracy: f64,
}

/// The learner.
pub struct Ibc {
    settings: IbcSettings,
    seed: u64,
    train: Pairs,
    held_out: Option<Pairs>,
    policy: BestSoFar<ImplicitPolicy>,
}

impl Learner for Ibc {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let factor = learning_rate_factor(s.learning_rate_end_factor, k, s.iterations);
        let policy = &mut self.policy;
        policy.optimizer.set_learning_rate(s.learning_rate * factor);
        let mut order: Vec<i64> = (0..self.train.len()).collect();
        order.shuffle(&mut stream(self.seed, "ibc_order", k as u64));
        let mut others = stream(self.seed, "counter_examples", k as u64);
        let (mut loss, mut accuracy) = (0.0, 0.0);
        for rows in order.chunks(s.minibatch) {
            let batch = self.train.pick(rows);
            let found = batch.contrast(&policy.current, s.negatives, &mut others);
            let share = rows.len() as f64 / order.len() as f64;
            loss += share * found.loss.double_value(&[]);
            accuracy += share * found.accuracy;
            policy.optimizer.step(&found.loss);
        }
        let mut diagnostics = vec![(Metric::Loss, loss), (Metric::Accuracy, accuracy)];
        let mut judged = None;
        if let Some(held_out) = &self.held_out {
            // The same counter-examples in every pass, so that passes can be compared.
            let mut others = stream(self.seed, "held_out_counter_examples", 0);
            let found =
                crate::nn::no_grad(|| held_out.contrast(&policy.current, s.negatives, &mut others));
            let loss = found.loss.double_value(&[]);
            judged = Some(loss);
            diagnostics.push((Metric::HeldOutLoss, loss));
            diagnostics.push((Metric::HeldOutAccuracy, found.accuracy));
        }
        policy.offer(judged, k)?;
        Ok(Report {
            diagnostics,
            env_steps: 0,
            audit: None,
            ..Report::default()
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Implicit(&self.policy.best)
    }

    /// None: the energy describes how the demonstrator acts, not what it optimises.
    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        self.policy.save()
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)
    }
}

impl Ibc {
    /// A learner in its initial state.
    pub fn new(settings: &IbcSettings, setup: &Setup) -> Result<Self, Error> {
        let spec = setup.factory.spec();
        let (held_out, train) = setup.split(|n| held_out_count(n, settings.held_out));
        let normalizer = Normalizer::fit(spec.observation.dim(), &[setup.demonstrations]);
        let scale = ActionScale::around(spec.action.dim(), setup.demonstrations, settings.margin);
        let pairs = |batch: TrajectoryBatch| Pairs {
            actions: scale.apply(&batch.actions),
            observations: batch.observations,
        };
        let train = TrajectoryBatch::new(train).map(pairs);
        let held_out = TrajectoryBatch::new(held_out).map(pairs);
        let policy = || {
            let mut rng = stream(setup.seed, "policy_weights", 0);
            let (normalizer, scale) = (normalizer.clone(), scale.clone());
            ImplicitPolicy::new(&spec.name, &settings.policy, normalizer, scale, &mut rng)
        };
        Ok(Self {
            settings: settings.clone(),
            seed: setup.seed,
            train: train.ok_or_else(|| Error::Misuse("no demonstrations to clone".into()))?,
            held_out,
            policy: BestSoFar::new([policy(), policy()], settings.learning_rate),
        })
    }
}

impl Pairs {
    fn len(&self) -> i64 {
        self.actions.size()[0]
    }

    fn pick(&self, rows: &[i64]) -> Self {
        let rows = Tensor::from_slice(rows);
        Self {
            observations: self.observations.index_select(0, &rows),
            actions: self.actions.index_select(0, &rows),
        }
    }

    /// Every demonstrated action against `count` uniform ones in the same state.
    fn contrast(&self, policy: &ImplicitPolicy, count: usize, rng: &mut Stream) -> Contrast {
        let (n, dim) = self.actions.size2().expect("actions are a matrix");
        let drawn: Vec<f32> = (0..n as usize * count * dim as usize)
            .map(|_| rng.random_range(-1.0..=1.0))
            .collect();
        let others = Tensor::from_slice(&drawn).view([n, count as i64, dim]);
        let actions = Tensor::cat(&[&self.actions.unsqueeze(1), &others], 1);
        let energy = policy.energy(&self.observations, &actions);
        let least = energy.argmin(1, false).eq(0);
        Contrast {
            accuracy: least
                .to_kind(Kind::Double)
                .mean(Kind::Double)
                .double_value(&[]),
            loss: info_nce(&energy),
        }
    }
}
