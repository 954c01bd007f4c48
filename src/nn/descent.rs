//! Adam on plain numbers.

use costate_networks::Moments;
use tch::Tensor;

use super::adam::{Adam, AdamSettings, load_moments, save_moments};
use super::state::{StateDict, StateError};
use super::to_f32;

/// [`Adam`] for weights in plain numbers, with the same state.
#[derive(Debug)]
pub struct Descent {
    settings: AdamSettings,
    moments: Moments,
}

impl Descent {
    /// An optimiser for this number of weights.
    pub fn new(settings: AdamSettings, weights: usize) -> Self {
        Self {
            settings,
            moments: Moments::zeros(weights),
        }
    }

    /// Goes on where `adam`, of weights in single precision, is.
    pub fn of(adam: &Adam) -> Self {
        let (first, second) = adam.moments();
        Self {
            settings: adam.settings(),
            moments: Moments {
                first: to_f32(first),
                second: to_f32(second),
                steps: adam.steps(),
            },
        }
    }

    /// Hands the state back.
    pub fn store(&self, adam: &mut Adam) {
        adam.restore(
            &self.moments.first,
            &self.moments.second,
            self.moments.steps,
        );
    }

    /// Changes the step size.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.settings.learning_rate = learning_rate;
    }

    /// Adds the state to `state` under `prefix`, as [`Adam::save`] does.
    pub fn save(&self, prefix: &str, state: &mut StateDict) {
        let [first, second] = self.tensors();
        save_moments([&first, &second], self.moments.steps, prefix, state);
    }

    /// Restores what [`Descent::save`] or [`Adam::save`] wrote.
    pub fn load(&mut self, prefix: &str, state: &StateDict) -> Result<(), StateError> {
        let [mut first, mut second] = self.tensors();
        self.moments.steps = load_moments([&mut first, &mut second], prefix, state)?;
        self.moments.first = to_f32(&first);
        self.moments.second = to_f32(&second);
        Ok(())
    }

    fn tensors(&self) -> [Tensor; 2] {
        [&self.moments.first, &self.moments.second].map(|m| Tensor::from_slice(m))
    }

    /// One descent step of `weights` along their gradient, in the same order. Returns its norm before clipping.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32]) -> f64 {
        let AdamSettings {
            learning_rate,
            max_gradient_norm,
        } = self.settings;
        self.moments
            .step(weights, gradient, learning_rate, max_gradient_norm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_libtorchs_steps_and_hands_the_state_back() {
        for max_gradient_norm in [None, Some(0.5)] {
            let settings = AdamSettings {
                learning_rate: 0.01,
                max_gradient_norm,
            };
            let start = [0.3_f32, -2.0, 1e-3, 0.0, 5.0];
            let gradient = |k: usize| -> Vec<f32> {
                (0..start.len())
                    .map(|i| ((k * 7 + i * 3) as f32).sin())
                    .collect()
            };
            let library = Tensor::from_slice(&start);
            let mut adam = Adam::new(settings, vec![library.shallow_clone()]);
            let plain = Tensor::from_slice(&start);
            let mut other = Adam::new(settings, vec![plain.shallow_clone()]);
            let mut weights = start.to_vec();
            for round in 0..3 {
                let mut descent = Descent::of(&other);
                for k in 3 * round..3 * round + 3 {
                    let norm = adam.apply(&[Tensor::from_slice(&gradient(k))]);
                    let own = descent.step(&mut weights, &gradient(k));
                    assert!((norm - own).abs() < 1e-6);
                }
                descent.store(&mut other);
            }
            for (a, b) in to_f32(&library).iter().zip(&weights) {
                assert!((a - b).abs() < 1e-6, "{a} {b}");
            }
        }
    }
}
