//! The side of an adversarial learner that judges: a learned cost, its penalties and how it descends.

use costate_envs::rng::Stream;
use tch::{Kind, Tensor};

use super::generator::{Generator, Sampled};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::nn::{self, Adam, AdamSettings, StateDict, StateError};

/// How a [`CostSide`] is made and learns.
#[derive(Debug, Clone, Copy)]
pub struct CostSideSettings<'a> {
    /// The family of the cost.
    pub cost: &'a CostSettings,
    /// Penalties on it.
    pub regularizers: &'a Regularizers,
    /// Adam's step size.
    pub learning_rate: f64,
}

/// A cost in the making.
pub struct CostSide {
    /// The cost so far.
    pub model: EnergyModel,
    regularizers: Regularizers,
    learning_rate: f64,
    optimizer: Adam,
    demonstrations: TrajectoryBatch,
}

impl CostSide {
    /// A model that sees what the generator's policy sees; `more` are weights that learn with it.
    pub fn new(
        settings: CostSideSettings,
        generator: &Generator,
        demonstrations: &TrajectoryBatch,
        more: Vec<Tensor>,
    ) -> Self {
        let model = generator.energy_model(settings.cost);
        let adam = AdamSettings {
            learning_rate: settings.learning_rate,
            max_gradient_norm: None,
        };
        let mut weights = model.parameters();
        weights.extend(more);
        Self {
            optimizer: Adam::new(adam, weights),
            model,
            regularizers: *settings.regularizers,
            learning_rate: settings.learning_rate,
            demonstrations: demonstrations.shallow_clone(),
        }
    }

    /// Sets the share of the learning rate for the next steps.
    pub fn slow_down(&mut self, share: f64) {
        self.optimizer.set_learning_rate(self.learning_rate * share);
    }

    /// One step down `loss` plus the penalties. Returns the gradient's norm.
    pub fn descend(&mut self, loss: Tensor, samples: &TrajectoryBatch, rng: &mut Stream) -> f64 {
        let penalty = self
            .regularizers
            .penalty(&self.model, &self.demonstrations, samples, rng);
        let loss = match penalty {
            Some(penalty) => loss + penalty,
            None => loss,
        };
        self.optimizer.step(&loss)
    }

    /// c(s_t, a_t) − V(s_{t+1}) + V(s_t) + log π(a_t | s_t) of every step, `[S]`: the cost that a policy of
    /// maximum entropy minimises, shaped by the soft value, which changes no trajectory's rank.
    pub fn soft_cost(&self, samples: &Sampled) -> Vec<f64> {
        let batch = &samples.batch;
        tch::no_grad(|| {
            let cost = self.model.cost(&batch.observations, &batch.actions);
            let value = self.model.value(&batch.observations);
            let next_value = self.model.value(&batch.next_observations());
            nn::to_f64(&((cost - next_value + value).to_kind(Kind::Double) + &samples.log_density))
        })
    }

    /// Adds model and optimiser to `state`.
    pub fn save(&self, state: &mut StateDict) {
        self.model.save(state);
        self.optimizer.save("cost_adam.", state);
    }

    /// Restores what [`CostSide::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.model.load(state)?;
        self.optimizer.load("cost_adam.", state)
    }
}
