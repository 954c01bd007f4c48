//! What adversarial learners share: settings, the training loop, and the policy and cost that it updates.
//!
//! An iteration draws τ ~ q (the generator's rollouts), takes some gradient steps on the cost θ, then updates the policy φ to
//! minimise that cost minus its entropy. Algorithms differ in the loss of the cost and in the cost that the policy
//! minimises: see [`Adversary`].

use costate_envs::rng::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::cost_side::CostSide;
use super::frozen_cost::FrozenCostSettings;
use super::generator::{Generator, GeneratorSettings, Sampled, Start, check_entropy_weight};
use super::handover::Handover;
use super::{Learner, Report, Setup, diverged, learning_rate_factor};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::error::Error;
use crate::improve::Objective;
use crate::metric::{Diagnostics, Metric, Spreads};
use crate::nn::{StateDict, StateError};
use crate::policy::Learned;
use costate_base::schema::{positive, resumable};

/// The settings that all adversarial learners have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdversarialSettings {
    /// The policy's side.
    #[serde(flatten)]
    pub generator: GeneratorSettings,
    /// Passes of behaviour cloning that the policy starts with; 0 starts from nothing.
    pub warm_start: usize,
    /// Steps of behaviour cloning, judged by held-out demonstrations, that the policy starts with, the cost not being
    /// relative to it: the start that GAN-GCL's base policy gives. 0 starts from nothing.
    #[serde(default)]
    pub clone_steps: usize,
    /// Rounds of equal length: at the start of each but the first the policy and its critic start from nothing again,
    /// and the cost goes on. A cost that is exploited by a policy trained afresh meets that policy while it can still learn.
    #[serde(default = "super::single")]
    #[schemars(range(min = 1))]
    pub rounds: usize,
    /// Share of the sampled episodes that start where a demonstration did.
    #[serde(default)]
    #[schemars(range(min = 0.0, max = 1.0), transform = resumable)]
    pub demonstrated_starts: f64,
    /// Images of every demonstration under the world's symmetries that are learned from, too: `costate envs ENV` names them.
    /// A mirror makes one, a rotation any number.
    #[serde(default)]
    pub symmetric_copies: usize,
    /// Whether the next iteration's episodes are drawn while this one's are learned from: their policy is then one
    /// iteration old, and q is its density.
    #[serde(default)]
    pub overlap: bool,
    /// Steps on the cost an iteration.
    #[schemars(range(min = 1), transform = resumable)]
    pub cost_steps: usize,
    /// Adam's step size for the cost.
    #[schemars(transform = positive, transform = resumable)]
    pub cost_learning_rate: f64,
    /// Weight α of the policy's entropy: 1 is the objective whose fixed point is the demonstrations' density. A cost of
    /// the state alone does not bound an action beyond its limits, where entropy is free: it needs less.
    #[serde(default = "super::one")]
    #[schemars(range(min = 0.0))]
    pub entropy_weight: f64,
    /// The cost and the soft value.
    pub cost: CostSettings,
    /// Penalties on the cost.
    #[serde(default)]
    pub regularizers: Regularizers,
}

impl AdversarialSettings {
    /// Checks the settings against each other. Errors: what contradicts what.
    pub fn check(&self) -> Result<(), String> {
        let g = &self.generator;
        g.check()?;
        self.cost.check()?;
        if g.trajectories < 2 {
            return Err(format!(
                "setting `trajectories` is {}, expected a whole number of at least 2",
                g.trajectories
            ));
        }
        if self.rounds > g.iterations {
            return Err(format!(
                "setting `rounds` is {}, expected at most `iterations`, which is {}",
                self.rounds, g.iterations
            ));
        }
        if self.symmetric_copies > 0 && self.demonstrated_starts > 0.0 {
            return Err(
                "setting `demonstrated_starts` is not 0, but images of demonstrations (`symmetric_copies`) have starts that \
                 no seed gives; set one of them to 0"
                    .into(),
            );
        }
        check_entropy_weight(self.entropy_weight, g.holds_entropy())
    }

    /// What the policy's start and the cost do with the demonstrated actions, if anything.
    pub fn reads_actions(&self) -> Option<String> {
        let clones = |name: &str| Some(format!("clones the demonstrated actions; set {name}=0"));
        match (self.warm_start, self.clone_steps) {
            (0, 0) if !self.cost.sees_actions() => None,
            (0, 0) => Some(
                "has a cost of actions; set cost.state_only=true and cost.action_penalty=0".into(),
            ),
            (0, _) => clones("clone_steps"),
            _ => clones("warm_start"),
        }
    }

    /// Iterations per round.
    fn round_length(&self) -> usize {
        self.generator.iterations.div_ceil(self.rounds.max(1))
    }

    /// Step sizes by setting name.
    pub fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("cost_learning_rate", self.cost_learning_rate),
            self.generator.step_size(),
        ]
    }

    /// Penalty for commands beyond their limits in training a fresh policy: one nat per squared half range if the cost
    /// does not see actions, otherwise 0.
    pub fn excess_weight(&self) -> f64 {
        f64::from(u8::from(!self.cost.sees_actions()))
    }

    /// Settings for training a fresh policy on the learned cost, the same as for the learner's own.
    pub fn fresh(&self) -> FrozenCostSettings {
        FrozenCostSettings {
            generator: self.generator.clone(),
            entropy_weight: self.entropy_weight,
            excess_weight: self.excess_weight(),
        }
    }
}

/// What distinguishes one adversarial learner from another.
pub trait Adversary {
    /// Name of the random stream for the cost steps.
    const STREAM: &'static str;

    /// The data for one iteration's cost steps.
    type Evidence;

    /// Looks at the rollouts of iteration `k` before anything is learned from them.
    ///
    /// Errors: their truth is sealed for somebody else.
    fn attend(&mut self, samples: &mut Sampled, k: usize) -> Result<(), Error> {
        let _ = (samples, k);
        Ok(())
    }

    /// Gathers it from the rollouts of iteration `k`.
    fn evidence(&self, model: &EnergyModel, samples: &Sampled, k: usize) -> Self::Evidence;

    /// The loss of the cost, a scalar.
    fn loss(
        &mut self,
        model: &mut EnergyModel,
        evidence: &Self::Evidence,
        rng: &mut Stream,
    ) -> Tensor;

    /// Diagnostics after the steps, and values whose distribution is worth a look; sets the log Z of `model`.
    fn found(
        &mut self,
        model: &mut EnergyModel,
        evidence: &Self::Evidence,
    ) -> (Diagnostics, Spreads);

    /// The cost of every step of a batch to the policy, `[S]`, without the entropy term: the cost shaped by V, which
    /// preserves the ranking of trajectories.
    fn step_cost(&self, model: &EnergyModel, batch: &TrajectoryBatch) -> Vec<f64> {
        model.shaped_cost(batch)
    }

    /// Keeps what later iterations need from the rollouts of iteration `k`.
    fn remember(&mut self, k: usize, samples: &Sampled) {
        let _ = (k, samples);
    }

    /// Adds to `state` what the next iteration depends on besides policy and cost.
    fn save(&self, state: &mut StateDict) {
        let _ = state;
    }

    /// Restores what [`Adversary::save`] wrote.
    fn load(&mut self, state: &StateDict, generator: &Generator) -> Result<(), StateError> {
        let _ = (state, generator);
        Ok(())
    }
}

/// Initial policy and cost, and the demonstrations that they learn from.
pub struct Sides {
    /// The policy.
    pub generator: Generator,
    /// The cost.
    pub model: EnergyModel,
    /// The demonstrations.
    pub demonstrations: TrajectoryBatch,
}

impl Sides {
    /// Initial weights from the seed; `base_steps` of behaviour cloning produce the base policy of the cost.
    pub fn new(
        settings: &AdversarialSettings,
        base_steps: usize,
        setup: &Setup,
    ) -> Result<Self, Error> {
        let start = Start {
            warm_start: settings.warm_start,
            clone_steps: settings.clone_steps,
            base_steps,
            demonstrated_starts: settings.demonstrated_starts,
            overlap: settings.overlap,
        };
        let (generator, demonstrations) = Generator::imitating(&settings.generator, start, setup)?;
        Ok(Self {
            model: generator.energy_model(&settings.cost)?,
            generator,
            demonstrations,
        })
    }
}

/// An adversarial learner.
pub struct Adversarial<A> {
    settings: AdversarialSettings,
    seed: u64,
    generator: Generator,
    cost: CostSide,
    adversary: A,
    /// Where the policy started as a clone.
    handover: Option<Handover>,
}

impl<A: Adversary> Adversarial<A> {
    /// A learner in its initial state; `more` are weights trained together with the cost.
    pub fn new(
        settings: &AdversarialSettings,
        sides: Sides,
        adversary: A,
        more: Vec<Tensor>,
        setup: &Setup,
    ) -> Result<Self, Error> {
        let Sides {
            generator,
            model,
            demonstrations,
        } = sides;
        let cloned = settings.warm_start + settings.clone_steps > 0 || generator.has_base();
        let handover = cloned.then(|| Handover::new(&generator.policy, setup));
        let (rate, regularizers) = (settings.cost_learning_rate, settings.regularizers);
        Ok(Self {
            settings: settings.clone(),
            seed: setup.seed,
            generator,
            cost: CostSide::new(model, rate, regularizers, demonstrations, more),
            adversary,
            handover: handover.transpose()?,
        })
    }
}

impl<A: Adversary> Learner for Adversarial<A> {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let factor = self.settings.generator.learning_rate_factor(k);
        self.cost.scale_learning_rate(factor);
        if let Some(handover) = &mut self.handover {
            handover.reopen();
        }

        // Each round trains its policy from scratch, with a fresh step size schedule.
        let round_length = self.settings.round_length();
        let in_round = k % round_length;
        if k > 0 && in_round == 0 {
            let round = (k / round_length) as u64;
            self.generator.restart(&self.settings.generator, round);
        }
        let end = self.settings.generator.learning_rate_end_factor;
        let policy_factor = learning_rate_factor(end, in_round, round_length);

        // τ ~ q, with log q(τ) recorded by the actor that drew it.
        let mut samples = self.generator.rollouts(k)?;
        self.adversary.attend(&mut samples, k)?;
        let evidence = self.adversary.evidence(&self.cost.model, &samples, k);

        // θ: descend the loss of the cost.
        let mut rng = stream(self.seed, A::STREAM, k as u64);
        let mut gradient_norm = 0.0;
        for _ in 0..self.settings.cost_steps {
            let adversary = &mut self.adversary;
            gradient_norm = (self.cost).descend(&samples.batch, &mut rng, |model, rng| {
                adversary.loss(model, &evidence, rng)
            });
        }
        let (mut diagnostics, spreads) =
            crate::nn::no_grad(|| self.adversary.found(&mut self.cost.model, &evidence));
        diagnostics.push((Metric::CostGradientNorm, gradient_norm));
        self.adversary.remember(k, &samples);

        // φ: minimise E_q[c + α log q].
        let (adversary, model) = (&self.adversary, &self.cost.model);
        let objective = Objective {
            cost: &|batch| adversary.step_cost(model, batch),
            entropy_weight: self.settings.entropy_weight,
        };
        let mut report =
            (self.generator).improve(samples, &objective, policy_factor, k, diagnostics)?;
        report.spreads.extend(spreads);
        if !model.is_finite() {
            return Err(diverged(k));
        }
        if let Some(handover) = &mut self.handover
            && k + 1 == self.settings.generator.iterations
        {
            let chosen = handover.decide(&self.generator, &objective, k)?;
            report.diagnostics.extend(chosen);
        }
        Ok(report)
    }

    fn iterations(&self) -> usize {
        self.settings.generator.iterations
    }

    fn policy(&self) -> Learned<'_> {
        let current = &self.generator.policy;
        let handed_over = self.handover.as_ref().map(|h| h.policy(current));
        Learned::Gaussian(handed_over.unwrap_or(current))
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.cost.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.generator.save(&mut state);
        self.adversary.save(&mut state);
        self.cost.save(&mut state);
        if let Some(handover) = &self.handover {
            handover.save(&mut state);
        }
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)?;
        self.adversary.load(state, &self.generator)?;
        if let Some(handover) = &mut self.handover {
            handover.load(state)?;
        }
        self.cost.load(state)
    }
}
