//! GAIL: generative adversarial imitation learning.
//!
//! Ho and Ermon 2016 (arXiv 1606.03476), algorithm 1. An unconstrained classifier D(s, a) = σ(−c_θ(s, a)) tells
//! demonstrated pairs from the policy's; the policy's reward is a function of D, plus λ times its
//! entropy. c_θ is not a cost in the sense of the other learners: at the optimum D = ½ it is constant.
//!
//! `gail-alone` is the same algorithm with settings that make it one: negatives from all iterations (`memory`), policies
//! that start anew (`rounds`), and a classifier that is accurate far from the expert (`expert_weight`). c_θ = log(q / p)
//! of demonstrated pairs p and all that was tried, q.

use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour};
use super::discriminator_report::{self, DiscriminatorReport};
use super::frozen_cost::ValidationSettings;
use super::generator::{Generator, Sampled};
use super::memory::Memory;
use super::transitions::{Pair, Transitions};
use super::{Learner, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::density::softplus;
use crate::discriminator;
use crate::error::Error;
use crate::metric::{Diagnostics, Spreads};
use crate::nn::{StateDict, StateError};
use costate_base::schema::{positive, proper_fraction, resumable};

/// What the policy is paid for a step that D gives `logit`. Where episodes end early, all but the first
/// favour one answer by their sign alone (Kostrikov et al. 2019, arXiv 1809.02925, section 4.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// Settings of GAIL; `entropy_weight` is λ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GailSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Transitions of each group in a step on the discriminator.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Share of the negatives' loss that is over rollouts of all earlier iterations, kept for good: a cost that forgets
    /// what it once refused can be exploited by it (Shrivastava et al. 2017, arXiv 1612.07828, section 2.3).
    #[serde(default)]
    #[schemars(transform = proper_fraction)]
    pub memory: f64,
    /// Weight κ of the demonstrations in the discriminator's loss, whose D then is κp / (κp + q) = σ(log κ − c_θ), p and q the
    /// densities of demonstrated and other pairs: c_θ = log(q / p) for every κ, most accurate where q is about κp. A larger
    /// one tells the cost less of how to be an expert and more of how far one is from being one.
    #[serde(default = "super::one")]
    #[schemars(transform = positive)]
    pub expert_weight: f64,
    /// What the discriminator pays: logit has both signs, positive rewards staying alive, negative an early end.
    pub reward: RewardForm,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

/// Name of GAIL with the settings whose cost stands alone.
pub const ALONE: &str = "gail-alone";
/// What it is.
pub const ALONE_ABOUT: &str = "GAIL, set to leave a cost that needs no clone";
/// Its settings.
pub const ALONE_DEFAULTS: &str = include_str!("../../assets/settings/gail-alone.json");

impl Algorithm for GailSettings {
    const NAME: &'static str = "gail";
    const ABOUT: &'static str =
        "a classifier of transitions and a policy that deceives it; no cost";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/gail.json");
}

impl Behaviour for GailSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let sides = Sides::new(&self.adversarial, 0, setup)?;
        let gail = Gail {
            minibatch: self.minibatch,
            reward: self.reward,
            expert_weight: self.expert_weight,
            share: self.memory,
            memory: Memory::new(setup.seed),
            demonstrations: sides.demonstrations.shallow_clone(),
        };
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings,
            sides,
            gail,
            Vec::new(),
            setup,
        )?))
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn reads_actions(&self) -> Option<String> {
        self.adversarial.reads_actions()
    }

    fn without_actions(&self) -> &'static [(&'static str, &'static str)] {
        &[("cost.state_only", "true")]
    }

    fn validation(&self) -> Option<&ValidationSettings> {
        Some(&self.validation)
    }

    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        Some(&mut self.validation)
    }
}

/// The adversary.
pub struct Gail {
    minibatch: usize,
    reward: RewardForm,
    /// κ.
    expert_weight: f64,
    /// The memory's share of the negatives' loss.
    share: f64,
    memory: Memory,
    demonstrations: TrajectoryBatch,
}

impl Adversary for Gail {
    const STREAM: &'static str = "transitions";
    type Evidence = Pair;

    fn evidence(&self, _: &EnergyModel, samples: &Sampled, _: usize) -> Pair {
        Pair::of(&self.demonstrations, samples)
    }

    /// −κ E_P[log D] − (1 − m) E_Q[log(1 − D)] − m E_memory[log(1 − D)], D = σ(log κ − c_θ).
    fn loss(&mut self, model: &mut EnergyModel, pair: &Pair, rng: &mut Stream) -> Tensor {
        let (expert, policy) = pair.draw(self.minibatch, rng);
        let weight = self.expert_weight;
        let of_expert = discriminator::positive_loss(&logit(model, &expert), weight);
        let now = discriminator::negative_loss(&logit(model, &policy), weight);
        match self.memory.draw(self.minibatch, rng) {
            Some((observations, actions)) => {
                let logit = log_odds(model, &observations, &actions);
                let before = discriminator::negative_loss(&logit, weight);
                of_expert + now * (1.0 - self.share) + before * self.share
            }
            None => of_expert + now,
        }
    }

    fn found(&mut self, model: &mut EnergyModel, pair: &Pair) -> (Diagnostics, Spreads) {
        let (p, q) = (logit(model, &pair.expert), logit(model, &pair.policy));
        let found = DiscriminatorReport::of(&p, &q).diagnostics();
        (found, discriminator_report::logits(&p, &q))
    }

    fn remember(&mut self, k: usize, samples: &Sampled) {
        if self.share > 0.0 {
            self.memory.keep(&samples.batch, k);
        }
    }

    fn save(&self, state: &mut StateDict) {
        if self.share > 0.0 {
            self.memory.save(state);
        }
    }

    fn load(&mut self, state: &StateDict, _: &Generator) -> Result<(), StateError> {
        match self.share > 0.0 {
            true => self.memory.load(state),
            false => Ok(()),
        }
    }

    /// −r(D).
    fn step_cost(&self, model: &EnergyModel, batch: &TrajectoryBatch) -> Vec<f64> {
        let pay = |c: f64| -self.reward.reward(-c);
        model.step_cost(batch).into_iter().map(pay).collect()
    }
}

/// The log-odds of D at κ = 1 in every row, `[N]` in f64.
fn logit(model: &EnergyModel, t: &Transitions) -> Tensor {
    log_odds(model, &t.observations, &t.actions)
}

/// −c_θ(s, a), `[N]` in f64.
fn log_odds(model: &EnergyModel, observations: &Tensor, actions: &Tensor) -> Tensor {
    -model.cost(observations, actions).to_kind(Kind::Double)
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
