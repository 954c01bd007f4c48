//! Adam on plain numbers.

use tch::Tensor;

use super::super::adam::{Adam, AdamSettings, BETA_1, BETA_2, EPSILON};
use super::super::state::{StateDict, StateError};
use super::super::to_f32;

/// [`Adam`] for weights in plain numbers, with the same state.
#[derive(Debug)]
pub struct Descent {
    settings: AdamSettings,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    steps: i64,
}

impl Descent {
    /// An optimiser for this number of weights.
    pub fn new(settings: AdamSettings, weights: usize) -> Self {
        Self {
            settings,
            first_moment: vec![0.0; weights],
            second_moment: vec![0.0; weights],
            steps: 0,
        }
    }

    /// Goes on where `adam`, of weights in single precision, is.
    pub fn of(adam: &Adam) -> Self {
        let (first, second) = adam.moments();
        Self {
            settings: adam.settings(),
            first_moment: to_f32(first),
            second_moment: to_f32(second),
            steps: adam.steps(),
        }
    }

    /// Hands the state back.
    pub fn store(&self, adam: &mut Adam) {
        adam.restore(&self.first_moment, &self.second_moment, self.steps);
    }

    /// Changes the step size.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.settings.learning_rate = learning_rate;
    }

    /// Adds the state to `state` under `prefix`, as [`Adam::save`] does.
    pub fn save(&self, prefix: &str, state: &mut StateDict) {
        for (name, moment) in [("first", &self.first_moment), ("second", &self.second_moment)] {
            state.insert(&format!("{prefix}{name}_moment"), &Tensor::from_slice(moment));
        }
        state.insert_numbers(&format!("{prefix}steps"), &[self.steps as f64]);
    }

    /// Restores what [`Descent::save`] or [`Adam::save`] wrote.
    pub fn load(&mut self, prefix: &str, state: &StateDict) -> Result<(), StateError> {
        for (name, moment) in [
            ("first", &mut self.first_moment),
            ("second", &mut self.second_moment),
        ] {
            let mut tensor = Tensor::from_slice(moment);
            state.copy_to(&format!("{prefix}{name}_moment"), &mut tensor)?;
            *moment = to_f32(&tensor);
        }
        self.steps = state.scalar(&format!("{prefix}steps"))? as i64;
        Ok(())
    }

    /// One descent step of `weights` along their gradient, in the same order. Returns its norm before clipping.
    pub fn step(&mut self, weights: &mut [f32], gradient: &[f32]) -> f64 {
        assert!(weights.len() == gradient.len() && weights.len() == self.first_moment.len());
        let squares = gradient.iter().map(|&g| f64::from(g) * f64::from(g));
        let norm = squares.sum::<f64>().sqrt();
        let clip = match self.settings.max_gradient_norm {
            Some(max) if norm > max => (max / norm) as f32,
            _ => 1.0,
        };
        self.steps += 1;
        let correction_1 = 1.0 - BETA_1.powi(self.steps as i32);
        let correction_2 = 1.0 - BETA_2.powi(self.steps as i32);
        let rate = (self.settings.learning_rate / correction_1) as f32;
        let unbias = (1.0 / correction_2) as f32;
        let (keep_1, new_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
        let (keep_2, new_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
        let moments = self.first_moment.iter_mut().zip(&mut self.second_moment);
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradient).zip(moments) {
            let g = gradient * clip;
            *first = keep_1 * *first + new_1 * g;
            *second = keep_2 * *second + new_2 * (g * g);
            *weight -= *first / ((*second * unbias).sqrt() + EPSILON as f32) * rate;
        }
        norm
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
