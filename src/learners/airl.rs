//! AIRL: adversarial inverse reinforcement learning.
//!
//! Fu, Luo and Levine 2018 (arXiv 1710.11248), section 4. The discriminator of single transitions is
//! D(s, a, s') = exp f / (exp f + π(a | s)) with f = −c_θ(s, a) + γ V(s') − V(s); the policy maximises
//! log D − log(1 − D) = f − log π. With a cost of the state alone (`cost.state_only`) the shaping γV(s') −
//! V(s) takes up what depends on the dynamics, and −c_θ is the disentangled reward of section 5.

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::background::log_policy_steps;
use super::cost_side::CostSide;
use super::generator::Generator;
use super::report::DiscriminatorReport;
use super::sides::{Shared, Sides, shared};
use super::transitions::Transitions;
use super::{Learner, Report, Task, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers, Shaping};
use crate::discriminator;
use crate::error::Error;
use crate::improve::{Improvement, Objective, PpoSettings, SacSettings};
use crate::nn::{StateDict, StateError};
use crate::policy::{Learned, PolicySettings};

/// Settings of [`Airl`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AirlSettings {
    /// Iterations: each samples, updates the discriminator, improves the policy.
    pub iterations: usize,
    /// Passes of behaviour cloning that the policy starts with; 0 starts from nothing.
    pub warm_start: usize,
    /// Steps of behaviour cloning, judged by held-out demonstrations, that the policy starts with: the start that
    /// GAN-GCL's base policy gives. 0 starts from nothing.
    #[serde(default)]
    pub clone_steps: usize,
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Discriminator steps an iteration.
    pub discriminator_steps: usize,
    /// Transitions of each group in a discriminator step.
    pub minibatch: usize,
    /// Adam's step size for the cost and the shaping.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration; they fall linearly.
    pub learning_rate_left: f64,
    /// Weight of the policy's entropy: 1 is the paper's objective. A cost of the state alone does not bound an action
    /// beyond its limits, where entropy is free; the authors' own experiments weigh it less.
    #[serde(default = "super::one")]
    pub entropy_weight: f64,
    /// The cost c_θ and the shaping V (`start_value`).
    pub cost: CostSettings,
    /// Penalties on the cost.
    pub regularizers: Regularizers,
    /// The policy.
    pub policy: PolicySettings,
    /// What improves the policy.
    #[serde(default)]
    pub improvement: Improvement,
    /// Policy improvement; its discount is the shaping's γ where PPO improves.
    pub ppo: PpoSettings,
    /// Policy improvement by SAC; its discount is the shaping's γ where SAC improves.
    #[serde(default)]
    pub sac: SacSettings,
}

impl AirlSettings {
    /// What all adversarial learners have.
    pub fn shared(&self) -> Shared<'_> {
        Shared {
            entropy_weight: self.entropy_weight,
            ..shared!(self, discriminator_steps)
        }
    }
}

/// The learner.
pub struct Airl {
    settings: AirlSettings,
    seed: u64,
    demonstrations: TrajectoryBatch,
    generator: Generator,
    cost: CostSide,
}

impl Learner for Airl {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = self.settings.clone();
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.cost.slow_down(left);

        let samples = self.generator.rollouts(k)?;
        let log_density = log_policy_steps(&samples.policy, &self.demonstrations);
        let expert = Transitions::of(&self.demonstrations, &log_density);
        let policy = Transitions::of(&samples.batch, &samples.log_density);

        // θ: descend the logistic loss on logit = f − log π.
        let mut rng = stream(self.seed, "transitions", k as u64);
        let mut gradient_norm = 0.0;
        for _ in 0..s.discriminator_steps {
            let p = self.logit(&expert.draw(s.minibatch, &mut rng));
            let q = self.logit(&policy.draw(s.minibatch, &mut rng));
            let loss = discriminator::loss(&p, &q);
            gradient_norm = self.cost.descend(loss, &samples.batch, &mut rng);
        }

        // φ: maximise E_q[f − log π].
        let found =
            tch::no_grad(|| DiscriminatorReport::of(&self.logit(&expert), &self.logit(&policy)));
        let mut diagnostics = found.diagnostics().to_vec();
        diagnostics.push(("cost_gradient_norm", gradient_norm));
        let model = &self.cost.model;
        let objective = Objective {
            cost: &|batch| model.shaped_cost(batch),
            entropy_weight: s.entropy_weight,
        };
        self.generator
            .improve(model, samples, &objective, left, k, diagnostics)
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.generator.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.cost.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.generator.save(&mut state);
        self.cost.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)?;
        self.cost.load(state)
    }
}

impl Airl {
    /// A learner at its start.
    pub fn new(settings: &AirlSettings, task: &Task) -> Result<Self, Error> {
        let Sides {
            generator,
            mut cost,
            demonstrations,
        } = Sides::new(settings.shared(), task, Vec::new())?;
        cost.model.set_shaping(Shaping::Discounted {
            discount: settings.shared().discount(),
        });
        Ok(Self {
            settings: settings.clone(),
            seed: task.seed,
            cost,
            demonstrations,
            generator,
        })
    }

    /// f(s, a, s') − log π(a | s), `[N]`.
    fn logit(&self, t: &Transitions) -> Tensor {
        // −f(s, a, s') = c_θ(s, a) − γ V(s') + V(s); nothing follows a terminal s'.
        let energy = self.cost.model.shaped_steps(
            &t.observations,
            &t.actions,
            &t.next_observations,
            &t.alive,
        );
        discriminator::logit(&energy, &energy.zeros_like(), &t.log_density, 1.0)
    }
}
