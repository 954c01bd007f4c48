//! The side of an adversarial learner that judges: a learned cost, its penalties and how it descends.

use costate_envs::rng::Stream;
use tch::Tensor;

use crate::batch::TrajectoryBatch;
use crate::cost::{EnergyModel, Regularizers};
use crate::nn::{Adam, AdamSettings, StateDict, StateError};

/// How a [`CostSide`] learns.
#[derive(Debug, Clone, Copy)]
pub struct CostSideSettings<'a> {
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
    /// A side about `model`; `more` are weights that learn with it.
    pub fn new(
        settings: CostSideSettings,
        model: EnergyModel,
        demonstrations: &TrajectoryBatch,
        more: Vec<Tensor>,
    ) -> Self {
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
