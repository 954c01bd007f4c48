//! A policy that is fitted in passes, and the weights of the pass that held-out demonstrations liked best.

use super::diverged;
use crate::error::Error;
use crate::nn::{Adam, AdamSettings, StateDict, StateError};
use crate::policy::ImplicitPolicy;
use tch::Tensor;

/// What a policy's weights can do.
pub trait Weights {
    /// Adds them to `state`.
    fn save(&self, state: &mut StateDict);
    /// Restores them.
    fn load(&mut self, state: &StateDict) -> Result<(), StateError>;
    /// Those that are trained, sharing storage.
    fn parameters(&self) -> Vec<Tensor>;
    /// Whether all are finite.
    fn is_finite(&self) -> bool;
}

macro_rules! weights {
    ($policy:ty) => {
        impl Weights for $policy {
            fn save(&self, state: &mut StateDict) {
                self.save(state);
            }
            fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
                self.load(state)
            }
            fn parameters(&self) -> Vec<Tensor> {
                self.parameters()
            }
            fn is_finite(&self) -> bool {
                self.is_finite()
            }
        }
    };
}

weights!(ImplicitPolicy);

/// The policy as it is, and as it was best.
pub struct BestSoFar<P> {
    /// As it is.
    pub current: P,
    /// As it was best.
    pub best: P,
    best_loss: f64,
    /// Moves the current one.
    pub optimizer: Adam,
}

impl<P: Weights> BestSoFar<P> {
    /// Two equal policies at their start.
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

    /// Keeps the weights of pass `k` if their held-out loss is not above the least so far; without one, always.
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

    /// Restores what [`BestSoFar::save`] gave.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.current.load(state)?;
        self.best.load(&state.below("best."))?;
        self.best_loss = state.scalar("best_loss")?;
        self.optimizer.load("adam.", state)
    }
}
