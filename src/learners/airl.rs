//! AIRL: adversarial inverse reinforcement learning.
//!
//! Fu, Luo and Levine 2018 (arXiv 1710.11248), section 4. The discriminator of single transitions is
//! D(s, a, s') = exp f / (exp f + π(a | s)) with f = −c_θ(s, a) + γ V(s') − V(s); the policy maximises
//! log D − log(1 − D) = f − log π. With a cost of the state alone (`cost.state_only`) the shaping γV(s') −
//! V(s) takes up what depends on the dynamics, and −c_θ is the disentangled reward of section 5.

use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour, SampleShare};
use super::discriminator_report::{self, DiscriminatorReport};
use super::generator::Sampled;
use super::transitions::{Pair, Transitions};
use super::{Learner, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel, Shaping};
use crate::discriminator;
use crate::error::Error;
use crate::metric::{Diagnostics, Spreads};
use costate_base::schema::resumable;

/// Settings of AIRL; the discount of whatever improves the policy is the shaping's γ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AirlSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Transitions of each group in a step on the cost.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
}

impl Algorithm for AirlSettings {
    const NAME: &'static str = "airl";
    const ABOUT: &'static str = "a cost of transitions with discounted shaping";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/airl.json");
}

impl Behaviour for AirlSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let mut sides = Sides::new(&self.adversarial, 0, setup)?;
        sides.model.set_shaping(Shaping::Discounted {
            discount: self.adversarial.generator.discount(),
        });
        let airl = Airl {
            minibatch: self.minibatch,
            demonstrations: sides.demonstrations.shallow_clone(),
        };
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings,
            sides,
            airl,
            Vec::new(),
            setup,
        )?))
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn effective_samples(&self) -> Option<SampleShare> {
        Some(SampleShare::Batch)
    }
}

/// The adversary.
pub struct Airl {
    minibatch: usize,
    demonstrations: TrajectoryBatch,
}

impl Adversary for Airl {
    const STREAM: &'static str = "transitions";
    type Evidence = Pair;

    fn evidence(&self, _: &EnergyModel, samples: &Sampled, _: usize) -> Pair {
        Pair::of(&self.demonstrations, samples)
    }

    /// The logistic loss on logit = f − log π.
    fn loss(&mut self, model: &mut EnergyModel, pair: &Pair, rng: &mut Stream) -> Tensor {
        let (expert, policy) = pair.draw(self.minibatch, rng);
        discriminator::loss(&logit(model, &expert), &logit(model, &policy))
    }

    fn found(&mut self, model: &mut EnergyModel, pair: &Pair) -> (Diagnostics, Spreads) {
        let (p, q) = (logit(model, &pair.expert), logit(model, &pair.policy));
        let found = DiscriminatorReport::of(&p, &q).diagnostics();
        (found, discriminator_report::logits(&p, &q))
    }
}

/// f(s, a, s') − log π(a | s), `[N]`.
fn logit(model: &EnergyModel, t: &Transitions) -> Tensor {
    // −f(s, a, s') = c_θ(s, a) − γ V(s') + V(s); nothing follows a terminal s'.
    let energy = model.shaped_steps(&t.observations, &t.actions, &t.next_observations, &t.alive);
    discriminator::logit(&energy, &energy.zeros_like(), &t.log_density, 1.0)
}
