//! Gaussian action noise, and the density it gives an expert.

use std::f64::consts::TAU;

use costate_envs::Space;
use costate_envs::rng::Stream;
use nalgebra::{Cholesky, DMatrix, DVector};
use rand_distr::{Distribution, StandardNormal};

/// Noise added to an expert's mean action: none, or a Gaussian N(0, Σ).
#[derive(Debug, Clone, PartialEq)]
pub struct ActionNoise {
    /// Lower Cholesky factor L of Σ = LLᵀ, `[m, m]`; `None` for no noise.
    factor: Option<DMatrix<f64>>,
    dim: usize,
}

impl ActionNoise {
    /// Independent noise whose standard deviation is `fraction` of each channel's range (high −
    /// low). `None` for a negative or non-finite fraction.
    pub fn fraction_of_range(fraction: f64, action: &Space) -> Option<Self> {
        if !(fraction.is_finite() && fraction >= 0.0) {
            return None;
        }
        let range = |i: usize| f64::from(action.0[i].high) - f64::from(action.0[i].low);
        let dim = action.dim();
        let std = DVector::from_fn(dim, |i, _| fraction * range(i));
        let factor = (fraction > 0.0).then(|| DMatrix::from_diagonal(&std));
        Some(Self { factor, dim })
    }

    /// Independent noise of these standard deviations, one per channel, in its unit.
    pub fn independent(std: &[f64]) -> Self {
        let std = DVector::from_column_slice(std);
        let factor = (std.amax() > 0.0).then(|| DMatrix::from_diagonal(&std));
        Self {
            factor,
            dim: std.len(),
        }
    }

    /// Noise of covariance `covariance`, `[m, m]`; `None` unless it is positive definite.
    pub fn with_covariance(covariance: DMatrix<f64>) -> Option<Self> {
        let dim = covariance.nrows();
        let factor = Some(Cholesky::new(covariance)?.unpack());
        Some(Self { factor, dim })
    }

    /// Standard deviation of each channel, in its unit.
    pub fn std(&self) -> Vec<f64> {
        match &self.factor {
            None => vec![0.0; self.dim],
            Some(factor) => factor.row_iter().map(|row| row.norm()).collect(),
        }
    }

    /// Draws the command for `mean` and returns it with its log-density, where there is one.
    ///
    /// The density is that of the command as recorded, i.e. rounded to f32.
    pub fn command(&self, mean: &[f64], rng: &mut Stream, out: &mut [f32]) -> Option<f64> {
        let Some(factor) = &self.factor else {
            out.iter_mut().zip(mean).for_each(|(o, m)| *o = *m as f32);
            return None;
        };
        let mean = DVector::from_column_slice(mean);
        let z = DVector::from_fn(self.dim, |_, _| StandardNormal.sample(rng));
        let command = &mean + factor * z;
        out.iter_mut()
            .zip(&command)
            .for_each(|(o, c)| *o = *c as f32);
        self.log_density(mean.as_slice(), out)
    }

    /// log N(action; mean, Σ); `None` without noise.
    pub fn log_density(&self, mean: &[f64], action: &[f32]) -> Option<f64> {
        let factor = self.factor.as_ref()?;
        let deviation = DVector::from_fn(self.dim, |i, _| f64::from(action[i]) - mean[i]);
        let z = factor.solve_lower_triangular(&deviation)?;
        let log_det: f64 = factor.diagonal().iter().map(|d| d.ln()).sum();
        Some(-0.5 * z.norm_squared() - log_det - 0.5 * self.dim as f64 * TAU.ln())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::Channel;
    use costate_envs::rng::stream;

    #[test]
    fn density_integrates_to_one_and_matches_the_samples() {
        let covariance = DMatrix::from_row_slice(2, 2, &[0.5, 0.3, 0.3, 0.4]);
        let noise = ActionNoise::with_covariance(covariance.clone()).unwrap();
        let mean = [1.0, -2.0];
        // Midpoint rule over ± 6 standard deviations.
        let (n, half) = (400_i32, 4.5);
        let h = 2.0 * half / f64::from(n);
        let at = |i: i32, m: f64| (m - half + (f64::from(i) + 0.5) * h) as f32;
        let total: f64 = (0..n * n)
            .map(|k| [at(k / n, mean[0]), at(k % n, mean[1])])
            .map(|a| noise.log_density(&mean, &a).unwrap().exp() * h * h)
            .sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");

        let mut rng = stream(1, "test", 0);
        let mut sums = DMatrix::zeros(2, 2);
        let mut command = [0.0; 2];
        for _ in 0..20_000 {
            let density = noise.command(&mean, &mut rng, &mut command);
            assert_eq!(density, noise.log_density(&mean, &command));
            let d = DVector::from_fn(2, |i, _| f64::from(command[i]) - mean[i]);
            sums += &d * d.transpose();
        }
        assert!((sums / 20_000.0 - &covariance).amax() < 0.02);
        assert!((noise.std()[1] - 0.4_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn diagonal_density_is_the_textbook_formula() {
        let space = Space(vec![Channel::new("a", "N", -10.0, 10.0)]);
        let noise = ActionNoise::fraction_of_range(0.05, &space).unwrap();
        assert_eq!(noise.std(), [1.0]);
        let expected = -0.5 * 0.25 - 0.5 * TAU.ln();
        assert!((noise.log_density(&[2.0], &[2.5]).unwrap() - expected).abs() < 1e-12);
        let none = ActionNoise::fraction_of_range(0.0, &space).unwrap();
        let mut command = [0.0];
        assert_eq!(
            none.command(&[2.5], &mut stream(1, "test", 0), &mut command),
            None
        );
        assert_eq!(command, [2.5]);
        assert_eq!(ActionNoise::fraction_of_range(-0.1, &space), None);
        assert_eq!(ActionNoise::fraction_of_range(f64::NAN, &space), None);
    }
}
