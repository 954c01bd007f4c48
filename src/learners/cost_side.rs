//! The cost side of an adversarial learner: a learned cost, its penalties and its optimiser.

use costate_envs::rng::Stream;
use tch::Tensor;

use crate::batch::TrajectoryBatch;
use crate::cost::{EnergyModel, Regularizers};
use crate::nn::{Adam, AdamSettings, StateDict, StateError};

/// A cost in training.
pub struct CostSide {
    /// The cost so far.
    pub model: EnergyModel,
    regularizers: Regularizers,
    learning_rate: f64,
    optimizer: Adam,
    demonstrations: TrajectoryBatch,
    /// Weights trained together with the model.
    more: Vec<Tensor>,
}

impl CostSide {
    /// Trains `model` by Adam with this step size; `more` are weights trained together with it.
    pub fn new(
        model: EnergyModel,
        learning_rate: f64,
        regularizers: Regularizers,
        demonstrations: TrajectoryBatch,
        more: Vec<Tensor>,
    ) -> Self {
        let adam = AdamSettings {
            learning_rate,
            max_gradient_norm: None,
        };
        let mut weights = model.parameters();
        weights.extend(more.iter().map(Tensor::shallow_clone));
        Self {
            optimizer: Adam::new(adam, weights),
            model,
            regularizers,
            learning_rate,
            demonstrations,
            more,
        }
    }

    /// Scales the step size of the next steps.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.optimizer
            .set_learning_rate(self.learning_rate * factor);
    }

    /// One gradient step on a loss plus the penalties. Returns the gradient's norm.
    pub fn descend(
        &mut self,
        samples: &TrajectoryBatch,
        rng: &mut Stream,
        loss: impl FnOnce(&mut EnergyModel, &mut Stream) -> Tensor,
    ) -> f64 {
        let (regularizers, demonstrations) = (&self.regularizers, &self.demonstrations);
        let gradients = self.model.gradients(&self.more, |model| {
            let loss = loss(model, rng);
            match regularizers.penalty(model, demonstrations, samples, rng) {
                Some(penalty) => loss + penalty,
                None => loss,
            }
        });
        self.optimizer.apply(&gradients)
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
