//! GAIL: generative adversarial imitation learning.
//!
//! Ho and Ermon 2016 (arXiv 1606.03476), algorithm 1. A free classifier D(s, a) = σ(−c_θ(s, a)) tells
//! demonstrated pairs from the policy's; the policy is paid by what D thinks of it, plus λ times its
//! entropy. c_θ is no cost in the sense of the other learners: at the optimum D = ½ it is constant.

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::background::log_policy_steps;
use super::generator::{Generator, GeneratorSettings};
use super::report::DiscriminatorReport;
use super::transitions::Transitions;
use super::{Learner, Report, Task, diverged, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::density::softplus;
use crate::discriminator;
use crate::error::Error;
use crate::improve::PpoSettings;
use crate::nn::{self, Adam, AdamSettings, StateDict, StateError};
use crate::policy::{GaussianPolicy, PolicySettings};

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
    /// Policy improvement.
    pub ppo: PpoSettings,
}

/// The learner.
pub struct Gail {
    settings: GailSettings,
    seed: u64,
    demonstrations: TrajectoryBatch,
    generator: Generator,
    model: EnergyModel,
    optimizer: Adam,
}

impl Learner for Gail {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.optimizer
            .set_learning_rate(s.cost_learning_rate * left);

        let samples = self.generator.sample(&self.generator.policy, k)?;
        let log_density = log_policy_steps(&self.generator.policy, &self.demonstrations);
        let expert = Transitions::of(&self.demonstrations, &log_density);
        let policy = Transitions::of(&samples.batch, &samples.log_density);

        // θ: ascend E_P[log D] + E_Q[log(1 − D)].
        let mut rng = stream(self.seed, "transitions", k as u64);
        let mut gradient_norm = 0.0;
        for _ in 0..s.discriminator_steps {
            let p = self.logit(&expert.draw(s.minibatch, &mut rng));
            let q = self.logit(&policy.draw(s.minibatch, &mut rng));
            let mut loss = discriminator::loss(&p, &q);
            let penalty =
                s.regularizers
                    .penalty(&self.model, &self.demonstrations, &samples.batch, &mut rng);
            if let Some(penalty) = penalty {
                loss += penalty;
            }
            gradient_norm = self.optimizer.step(&loss);
        }

        // φ: maximise E_q[r(D) − λ log π].
        let (logits, diagnosis) = tch::no_grad(|| {
            let (p, q) = (self.logit(&expert), self.logit(&policy));
            (nn::to_f64(&q), DiscriminatorReport::of(&p, &q))
        });
        let log_density = nn::to_f64(&samples.log_density);
        let soft_cost: Vec<f64> = logits
            .iter()
            .zip(&log_density)
            .map(|(&logit, log_density)| s.entropy_weight * log_density - s.reward.reward(logit))
            .collect();
        let ppo = self.generator.improve(&samples, &soft_cost, left, k);
        if !(self.generator.policy.is_finite() && self.model.is_finite()) {
            return Err(diverged(k));
        }
        let mut diagnostics = diagnosis.diagnostics().to_vec();
        diagnostics.push(("cost_gradient_norm", gradient_norm));
        diagnostics.extend(self.generator.diagnostics(&samples, &ppo));
        Ok(Report {
            diagnostics,
            env_steps: samples.batch.steps() as u64,
            audit: Some(samples.audit),
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> &GaussianPolicy {
        &self.generator.policy
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.generator.save(&mut state);
        self.model.save(&mut state);
        self.optimizer.save("cost_adam.", &mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)?;
        self.model.load(state)?;
        self.optimizer.load("cost_adam.", state)
    }
}

impl Gail {
    /// A learner at its start.
    pub fn new(settings: &GailSettings, task: &Task) -> Result<Self, Error> {
        let generator_settings = GeneratorSettings {
            trajectories: settings.trajectories,
            warm_start: settings.warm_start,
            policy: &settings.policy,
            ppo: &settings.ppo,
        };
        let (generator, demonstrations) = Generator::new(generator_settings, task)?;
        let model = generator.energy_model(&settings.cost);
        let adam = AdamSettings {
            learning_rate: settings.cost_learning_rate,
            max_gradient_norm: None,
        };
        Ok(Self {
            settings: settings.clone(),
            seed: task.seed,
            demonstrations,
            generator,
            optimizer: Adam::new(adam, model.parameters()),
            model,
        })
    }

    /// −c_θ(s, a), `[N]` in f64: the log-odds of D.
    fn logit(&self, t: &Transitions) -> Tensor {
        -self
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
