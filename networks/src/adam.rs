//! Adam (Kingma and Ba 2015, algorithm 1).

use crate::kernel::ARCH;

/// β_1 of the first moment.
pub const BETA_1: f64 = 0.9;
/// β_2 of the second moment.
pub const BETA_2: f64 = 0.999;
/// ε, which the root of the second moment is kept away from 0 by.
pub const EPSILON: f64 = 1e-8;

/// The moments of a network's weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// m, `[weights]`.
    pub first: Vec<f32>,
    /// v, `[weights]`.
    pub second: Vec<f32>,
    /// t.
    pub steps: i64,
}

impl Moments {
    /// Those before the first step.
    pub fn zeros(weights: usize) -> Self {
        Self {
            first: vec![0.0; weights],
            second: vec![0.0; weights],
            steps: 0,
        }
    }

    /// One descent step of `weights` along their gradient, in the same order, which is clipped to the norm `most`. Returns
    /// its norm before clipping.
    ///
    /// m ← β_1 m + (1 − β_1) g, v ← β_2 v + (1 − β_2) g², θ ← θ − α/(1 − β_1ᵗ) · m / (√(v/(1 − β_2ᵗ)) + ε).
    pub fn step(
        &mut self,
        weights: &mut [f32],
        gradient: &[f32],
        learning_rate: f64,
        most: Option<f64>,
    ) -> f64 {
        assert!(weights.len() == gradient.len() && weights.len() == self.first.len());
        let squares = gradient.iter().map(|&g| f64::from(g) * f64::from(g));
        let norm = squares.sum::<f64>().sqrt();
        let clip = match most {
            Some(most) if norm > most => (most / norm) as f32,
            _ => 1.0,
        };
        self.steps += 1;
        let rate = (learning_rate / (1.0 - BETA_1.powi(self.steps as i32))) as f32;
        let unbias = (1.0 / (1.0 - BETA_2.powi(self.steps as i32))) as f32;
        let (keep_1, new_1) = (BETA_1 as f32, (1.0 - BETA_1) as f32);
        let (keep_2, new_2) = (BETA_2 as f32, (1.0 - BETA_2) as f32);
        let (first, second) = (&mut self.first, &mut self.second);
        // In wide registers: the same bits, as nothing is added up.
        ARCH.dispatch(|| {
            let moments = first.iter_mut().zip(second.iter_mut());
            for ((weight, gradient), (first, second)) in
                weights.iter_mut().zip(gradient).zip(moments)
            {
                let g = gradient * clip;
                *first = keep_1 * *first + new_1 * g;
                *second = keep_2 * *second + new_2 * (g * g);
                *weight -= *first / ((*second * unbias).sqrt() + EPSILON as f32) * rate;
            }
        });
        norm
    }
}
