//! GAIL: generative adversarial imitation learning.
//!
//! Ho and Ermon 2016 (arXiv 1606.03476), algorithm 1. A free classifier D(s, a) = σ(−c_θ(s, a)) tells
//! demonstrated pairs from the policy's; the policy is paid by what D thinks of it, plus λ times its
//! entropy. c_θ is no cost in the sense of the other learners: at the optimum D = ½ it is constant.

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::background::log_policy_steps;
use super::cost_side::CostSide;
use super::generator::Generator;
use super::report::DiscriminatorReport;
use super::sides::{Shared, Sides, shared};
use super::transitions::Transitions;
use super::{Learner, Report, Task, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::density::softplus;
use crate::discriminator;
use crate::error::Error;
use crate::improve::{Improvement, Objective, PpoSettings, SacSettings};
use crate::nn::{self, StateDict, StateError};
use crate::policy::{Learned, PolicySettings};

/// What the policy is paid for a step that D gives `logit`. Where episodes end early, all but the first
/// favour one answer by their sign alone (Kostrikov et al. 2019, arXiv 1809.02925, section 4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RewardForm {
    /// log D − log(1 − D): both signs, so that neither staying nor ending pays by itself.
    #[default]
    Logit,
    /// −log(1 − D), never negative: rewards staying alive.
    Positive,
    /// log D, never positive: rewards an early end. The paper's own.
    Negative,
}

impl RewardForm {
    /// The reward for D = σ(logit).
    pub fn reward(self, logit: f64) -> f64 {
        match self {
            Self::Logit => logit,
            Self::Positive => softplus(logit),
            Self::Negative => -softplus(-logit),
        }
    }
}

/// Settings of [`Gail`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GailSettings {
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
    /// Adam's step size for the discriminator.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration; they fall linearly.
    pub learning_rate_left: f64,
    /// What D pays.
    pub reward: RewardForm,
    /// Weight λ of the policy's entropy.
    pub entropy_weight: f64,
    /// The classifier −c_θ.
    pub cost: CostSettings,
    /// Penalties on it.
    pub regularizers: Regularizers,
    /// The policy.
    pub policy: PolicySettings,
    /// What improves the policy.
    #[serde(default)]
    pub improvement: Improvement,
    /// Policy improvement.
    pub ppo: PpoSettings,
    /// Policy improvement by SAC.
    #[serde(default)]
    pub sac: SacSettings,
}

impl GailSettings {
    /// What all adversarial learners have.
    pub fn shared(&self) -> Shared<'_> {
        Shared {
            entropy_weight: self.entropy_weight,
            ..shared!(self, discriminator_steps)
        }
    }
}

/// The learner.
pub struct Gail {
    settings: GailSettings,
    seed: u64,
    demonstrations: TrajectoryBatch,
    generator: Generator,
    cost: CostSide,
}

impl Learner for Gail {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = self.settings.clone();
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.cost.slow_down(left);

        let samples = self.generator.rollouts(k)?;
        let log_density = log_policy_steps(&samples.policy, &self.demonstrations);
        let expert = Transitions::of(&self.demonstrations, &log_density);
        let policy = Transitions::of(&samples.batch, &samples.log_density);

        // θ: ascend E_P[log D] + E_Q[log(1 − D)].
        let mut rng = stream(self.seed, "transitions", k as u64);
        let mut gradient_norm = 0.0;
        for _ in 0..s.discriminator_steps {
            let p = self.logit(&expert.draw(s.minibatch, &mut rng));
            let q = self.logit(&policy.draw(s.minibatch, &mut rng));
            let loss = discriminator::loss(&p, &q);
            gradient_norm = self.cost.descend(loss, &samples.batch, &mut rng);
        }

        // φ: maximise E_q[r(D) − λ log π].
        let found =
            tch::no_grad(|| DiscriminatorReport::of(&self.logit(&expert), &self.logit(&policy)));
        let mut diagnostics = found.diagnostics().to_vec();
        diagnostics.push(("cost_gradient_norm", gradient_norm));
        let model = &self.cost.model;
        let objective = Objective {
            cost: &|batch| {
                let cost = tch::no_grad(|| model.cost(&batch.observations, &batch.actions));
                nn::to_f64(&cost)
                    .iter()
                    .map(|c| -s.reward.reward(-c))
                    .collect()
            },
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

impl Gail {
    /// A learner at its start.
    pub fn new(settings: &GailSettings, task: &Task) -> Result<Self, Error> {
        let Sides {
            generator,
            cost,
            demonstrations,
        } = Sides::new(settings.shared(), task, Vec::new())?;
        Ok(Self {
            settings: settings.clone(),
            seed: task.seed,
            cost,
            demonstrations,
            generator,
        })
    }

    /// −c_θ(s, a), `[N]` in f64: the log-odds of D.
    fn logit(&self, t: &Transitions) -> Tensor {
        -self
            .cost
            .model
            .cost(&t.observations, &t.actions)
            .to_kind(Kind::Double)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_the_logs_of_d() {
        for logit in [-30.0_f64, -0.4, 0.0, 2.5] {
            let d: f64 = 1.0 / (1.0 + (-logit).exp());
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9 * b.abs().max(1.0);
            assert!(close(RewardForm::Negative.reward(logit), d.ln()));
            assert!(close(RewardForm::Positive.reward(logit), -(-d).ln_1p()));
            let both = RewardForm::Positive.reward(logit) + RewardForm::Negative.reward(logit);
            assert!(close(RewardForm::Logit.reward(logit), both));
        }
    }
}
