//! The weight α of log π: the learner's own, or a multiple of it that holds an entropy (Haarnoja et al. 2018, arXiv
//! 1812.05905, section 5).

use crate::policy::ActionScale;

/// The weight α as a multiple of the learner's own.
#[derive(Debug)]
pub struct EntropyWeight {
    /// Nats per action dimension, in units of half the range.
    target: Option<f64>,
    /// Stays 0 without a target.
    log_multiple: f64,
    /// log of the volume that half ranges span.
    log_volume: f64,
    dimensions: f64,
}

impl EntropyWeight {
    /// A multiple of 1, which will move if there is a target.
    pub fn new(target: Option<f64>, scale: &ActionScale) -> Self {
        let half_range = &scale.half_range;
        Self {
            target,
            log_multiple: 0.0,
            log_volume: half_range.iter().map(|h| f64::from(*h).ln()).sum(),
            dimensions: half_range.len() as f64,
        }
    }

    /// Whether an entropy is held.
    pub fn adapts(&self) -> bool {
        self.target.is_some()
    }

    /// Dimensions of the action.
    pub fn dimensions(&self) -> f64 {
        self.dimensions
    }

    /// The weight in use, `own` being the learner's.
    pub fn of(&self, own: f64) -> f64 {
        self.log_multiple.exp() * own
    }

    /// log α ← log α + step · (H̄ − H), where H = −`log_density` is the policy's entropy in nats and H̄ the target; nothing
    /// without a target.
    pub fn adapt(&mut self, log_density: f64, step: f64) {
        if let Some(target) = self.target {
            let missing = log_density + self.log_volume + target * self.dimensions;
            self.log_multiple += step * missing;
        }
    }

    /// What [`EntropyWeight::load`] restores.
    pub fn state(&self) -> f64 {
        self.log_multiple
    }

    /// Goes on where [`EntropyWeight::state`] was.
    pub fn load(&mut self, state: f64) {
        self.log_multiple = state;
    }
}
