//! Adam (Kingma and Ba 2015, algorithm 1) with a state that can be saved.

use costate_networks::{BETA_1, BETA_2, EPSILON};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::state::{StateDict, StateError};

/// Settings of [`Adam`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamSettings {
    /// Step size α.
    pub learning_rate: f64,
    /// Gradients are clipped to this Euclidean norm; `None` disables clipping.
    pub max_gradient_norm: Option<f64>,
}

/// An Adam optimiser over a fixed list of parameters.
///
/// Moments are kept as one flat vector: an update is a few large operations.
#[derive(Debug)]
pub struct Adam {
    settings: AdamSettings,
    parameters: Vec<Tensor>,
    first_moment: Tensor,
    second_moment: Tensor,
    steps: i64,
}

impl Adam {
    /// An optimiser for `parameters`, which share storage with their network.
    pub fn new(settings: AdamSettings, parameters: Vec<Tensor>) -> Self {
        let count = parameters.iter().map(|p| p.numel() as i64).sum::<i64>();
        let zeros = || Tensor::zeros([count], (parameters[0].kind(), tch::Device::Cpu));
        Self {
            settings,
            first_moment: zeros(),
            second_moment: zeros(),
            steps: 0,
            parameters,
        }
    }

    /// One descent step on `loss`. Returns the gradient's norm before clipping.
    pub fn step(&mut self, loss: &Tensor) -> f64 {
        let gradients = Tensor::run_backward(&[loss], &self.parameters, false, false);
        self.apply(&gradients)
    }

    /// One descent step along given gradients, one per parameter. Returns their norm before clipping.
    pub fn apply(&mut self, gradients: &[Tensor]) -> f64 {
        tch::no_grad(|| {
            let flat: Vec<Tensor> = gradients.iter().map(|g| g.reshape(-1)).collect();
            let mut gradient = Tensor::cat(&flat, 0);
            let norm = gradient.norm().double_value(&[]);
            if let Some(max) = self.settings.max_gradient_norm
                && norm > max
            {
                let _ = gradient.g_mul_scalar_(max / norm);
            }
            self.steps += 1;
            let _ = self
                .first_moment
                .g_mul_scalar_(BETA_1)
                .g_add_(&(&gradient * (1.0 - BETA_1)));
            let _ = self
                .second_moment
                .g_mul_scalar_(BETA_2)
                .g_add_(&(&gradient * &gradient * (1.0 - BETA_2)));
            let correction_1 = 1.0 - BETA_1.powi(self.steps as i32);
            let correction_2 = 1.0 - BETA_2.powi(self.steps as i32);
            let denominator = (&self.second_moment / correction_2).sqrt() + EPSILON;
            let update =
                &self.first_moment / denominator * (self.settings.learning_rate / correction_1);
            let mut from = 0;
            for p in &mut self.parameters {
                let count = p.numel() as i64;
                let delta = update.narrow(0, from, count).view_as(p);
                let _ = p.g_sub_(&delta);
                from += count;
            }
            norm
        })
    }

    /// Its settings.
    pub(super) fn settings(&self) -> AdamSettings {
        self.settings
    }

    /// The moments of all weights, `[count]` each.
    pub(super) fn moments(&self) -> (&Tensor, &Tensor) {
        (&self.first_moment, &self.second_moment)
    }

    /// Steps done.
    pub(super) fn steps(&self) -> i64 {
        self.steps
    }

    /// Replaces moments, `[count]` each, and the number of steps.
    pub(super) fn restore(&mut self, first: &[f32], second: &[f32], steps: i64) {
        self.first_moment.copy_(&Tensor::from_slice(first));
        self.second_moment.copy_(&Tensor::from_slice(second));
        self.steps = steps;
    }

    /// Changes the step size.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.settings.learning_rate = learning_rate;
    }

    /// Adds the optimiser's state to `state` under `prefix`.
    pub fn save(&self, prefix: &str, state: &mut StateDict) {
        let moments = [&self.first_moment, &self.second_moment];
        save_moments(moments, self.steps, prefix, state);
    }

    /// Restores what [`Adam::save`] wrote.
    pub fn load(&mut self, prefix: &str, state: &StateDict) -> Result<(), StateError> {
        let moments = [&mut self.first_moment, &mut self.second_moment];
        self.steps = load_moments(moments, prefix, state)?;
        Ok(())
    }
}

const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];

/// Adds moments and steps to `state` under `prefix`.
pub(super) fn save_moments(moments: [&Tensor; 2], steps: i64, prefix: &str, state: &mut StateDict) {
    for (name, moment) in MOMENTS.iter().zip(moments) {
        state.insert(&format!("{prefix}{name}"), moment);
    }
    state.insert_numbers(&format!("{prefix}steps"), &[steps as f64]);
}

/// Restores what [`save_moments`] wrote; returns the steps.
pub(super) fn load_moments(
    moments: [&mut Tensor; 2],
    prefix: &str,
    state: &StateDict,
) -> Result<i64, StateError> {
    for (name, moment) in MOMENTS.iter().zip(moments) {
        state.copy_to(&format!("{prefix}{name}"), moment)?;
    }
    Ok(state.scalar(&format!("{prefix}steps"))? as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn first_steps_match_the_published_algorithm() {
        // By hand: with a constant gradient the bias-corrected ratio is ±1, so each step moves by
        // the learning rate (up to ε).
        let settings = AdamSettings {
            learning_rate: 0.1,
            max_gradient_norm: None,
        };
        let w = Tensor::from_slice(&[1.0_f64, -2.0]).set_requires_grad(true);
        let mut adam = Adam::new(settings, vec![w.shallow_clone()]);
        for _ in 0..3 {
            let loss = (&w * Tensor::from_slice(&[3.0, -0.01])).sum(Kind::Double);
            adam.step(&loss);
        }
        let w = crate::nn::to_f64(&w);
        assert!(
            (w[0] - 0.7).abs() < 1e-6 && (w[1] + 1.7).abs() < 1e-6,
            "{w:?}"
        );
    }

    #[test]
    fn a_quadratic_is_minimised_and_the_norm_clipped() {
        let settings = AdamSettings {
            learning_rate: 0.05,
            max_gradient_norm: Some(1.0),
        };
        let w = Tensor::from_slice(&[5.0_f64]).set_requires_grad(true);
        let mut adam = Adam::new(settings, vec![w.shallow_clone()]);
        let first = adam.step(&((&w - 2.0).square().sum(Kind::Double) * 100.0));
        assert!(
            (first - 600.0).abs() < 1e-9,
            "the norm before clipping is reported: {first}"
        );
        for _ in 0..500 {
            adam.step(&(&w - 2.0).square().sum(Kind::Double));
        }
        assert!((w.double_value(&[0]) - 2.0).abs() < 1e-3);
    }
}
