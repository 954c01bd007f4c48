//! A policy that is fitted in passes, and the weights of the pass with the lowest held-out loss.

use super::diverged;
use crate::error::Error;
use crate::nn::{Adam, AdamSettings, StateDict, StateError};
use crate::policy::{FlowPolicy, ImplicitPolicy};
use tch::Tensor;

/// A policy whose weights are fitted by gradients.
pub trait Fitted {
    /// Trainable tensors, sharing storage with the policy.
    fn parameters(&self) -> Vec<Tensor>;

    /// Whether every weight is finite.
    fn is_finite(&self) -> bool;

    /// Adds the weights to `state`.
    fn save(&self, state: &mut StateDict);

    /// Restores weights of the same architecture.
    fn load(&mut self, state: &StateDict) -> Result<(), StateError>;
}

macro_rules! fitted {
    ($($policy:ty),*) => {$(
        impl Fitted for $policy {
            fn parameters(&self) -> Vec<Tensor> {
                self.parameters()
            }
            fn is_finite(&self) -> bool {
                self.is_finite()
            }
            fn save(&self, state: &mut StateDict) {
                self.save(state);
            }
            fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
                self.load(state)
            }
        }
    )*};
}

fitted!(ImplicitPolicy, FlowPolicy);

/// The current policy, and the best so far.
pub struct BestSoFar<P> {
    /// The current policy.
    pub current: P,
    /// The best policy so far.
    pub best: P,
    best_loss: f64,
    /// Updates the current policy.
    pub optimizer: Adam,
}

impl<P: Fitted> BestSoFar<P> {
    /// Two equal initial policies.
    pub fn new([current, best]: [P; 2], learning_rate: f64) -> Self {
        let adam = AdamSettings {
            learning_rate,
            max_gradient_norm: None,
        };
        Self {
            optimizer: Adam::new(adam, current.parameters()),
            current,
            best,
            best_loss: f64::MAX,
        }
    }

    /// Keeps the weights of pass `k` if their held-out loss is at most the lowest so far; without a loss, always.
    ///
    /// Errors: weights that are not finite.
    pub fn offer(&mut self, held_out_loss: Option<f64>, k: usize) -> Result<(), Error> {
        if !self.current.is_finite() {
            return Err(diverged(k));
        }
        let loss = held_out_loss.unwrap_or(f64::NEG_INFINITY);
        if loss <= self.best_loss {
            self.best_loss = loss;
            let mut state = StateDict::default();
            self.current.save(&mut state);
            self.best.load(&state)?;
        }
        Ok(())
    }

    /// Everything that the next pass depends on.
    pub fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.current.save(&mut state);
        let mut best = StateDict::default();
        self.best.save(&mut best);
        state.nest("best.", best);
        // f64::MAX stands for "none yet": files hold finite numbers only.
        state.insert_numbers("best_loss", &[self.best_loss.clamp(f64::MIN, f64::MAX)]);
        self.optimizer.save("adam.", &mut state);
        state
    }

    /// Restores what [`BestSoFar::save`] returned.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.current.load(state)?;
        self.best.load(&state.below("best."))?;
        self.best_loss = state.scalar("best_loss")?;
        self.optimizer.load("adam.", state)
    }
}
