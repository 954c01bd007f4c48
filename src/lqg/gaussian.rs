//! Gaussians: joint, conditional, and fitted to few samples with a prior.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// N(mean, covariance) over d numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// `[d]`.
    pub mean: DVector<f64>,
    /// `[d, d]`, symmetric.
    pub covariance: DMatrix<f64>,
}

/// y given x ~ N(G x + g, C): dynamics, or a controller's step.
#[derive(Debug, Clone, PartialEq)]
pub struct Conditional {
    /// G, `[dim y, dim x]`.
    pub gain: DMatrix<f64>,
    /// g, `[dim y]`.
    pub offset: DVector<f64>,
    /// C, `[dim y, dim y]`, symmetric.
    pub covariance: DMatrix<f64>,
}

impl Joint {
    /// Mean and covariance of the columns of `samples`, `[d, N]`.
    pub fn of(samples: &DMatrix<f64>) -> Self {
        let count = samples.ncols().max(1) as f64;
        let mean = samples.column_mean();
        let mut centred = samples.clone();
        for mut column in centred.column_iter_mut() {
            column -= &mean;
        }
        Self {
            covariance: &centred * centred.transpose() / count,
            mean,
        }
    }

    /// The posterior of this prior given `samples`, `[d, N]`: the mode of the normal-inverse-Wishart posterior
    /// with m = n_0 = `strength`,
    /// Σ = (n_0 Σ_0 + N Σ̂ + N m/(N + m) (μ̂ − μ_0)(μ̂ − μ_0)ᵀ) / (N + n_0)
    /// (Levine and Abbeel 2014, section 3.2). The mean is that of the samples: a local linear model should pass
    /// through it, wherever the prior's mean is.
    pub fn updated(&self, samples: &DMatrix<f64>, strength: f64) -> Self {
        let count = samples.ncols() as f64;
        let own = Self::of(samples);
        let apart = &own.mean - &self.mean;
        let between = &apart * apart.transpose() * (count * strength / (count + strength));
        let sum = &self.covariance * strength + own.covariance * count + between;
        Self {
            mean: own.mean,
            covariance: sum / (count + strength),
        }
    }

    /// The last entries given the first `inputs`: G = Σ_yx (Σ_xx + r I)⁻¹, C = Σ_yy − G Σ_xy. The ridge r keeps gains small in
    /// directions of less variance.
    pub fn conditional(&self, inputs: usize, ridge: f64) -> Conditional {
        let outputs = self.mean.len() - inputs;
        let s = &self.covariance;
        let mut xx = s.view((0, 0), (inputs, inputs)).into_owned();
        for i in 0..inputs {
            xx[(i, i)] += ridge;
        }
        let xy = s.view((0, inputs), (inputs, outputs)).into_owned();
        let yy = s.view((inputs, inputs), (outputs, outputs)).into_owned();
        let gain = factor(xx).solve(&xy).transpose();
        Conditional {
            offset: self.mean.rows(inputs, outputs) - &gain * self.mean.rows(0, inputs),
            covariance: symmetric(yy - &gain * xy),
            gain,
        }
    }
}

/// (M + Mᵀ) / 2.
pub fn symmetric(m: DMatrix<f64>) -> DMatrix<f64> {
    (&m + m.transpose()) * 0.5
}

/// Cholesky's factor of a covariance; if rounding left it indefinite, of the matrix with the smallest
/// sufficient ridge added.
pub fn factor(covariance: DMatrix<f64>) -> Cholesky<f64, Dyn> {
    let size = covariance.diagonal().amax().max(1.0);
    let mut ridge = 0.0;
    loop {
        let mut moved = covariance.clone();
        for i in 0..moved.nrows() {
            moved[(i, i)] += ridge;
        }
        if let Some(factor) = Cholesky::new(moved) {
            return factor;
        }
        ridge = if ridge == 0.0 {
            1e-12 * size
        } else {
            10.0 * ridge
        };
        // A matrix of NaN has no factor at any ridge; the identity keeps the loop finite, and its numbers are refused
        // where a controller is made.
        if ridge > 1e12 * size || !size.is_finite() {
            let n = covariance.nrows();
            return Cholesky::new(DMatrix::identity(n, n)).expect("the identity is definite");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditioning_a_known_joint_gives_its_line() {
        // y = 2 x − 1 + e, x ~ N(3, 4), e ~ N(0, 0.25).
        let joint = Joint {
            mean: DVector::from_vec(vec![3.0, 5.0]),
            covariance: DMatrix::from_row_slice(2, 2, &[4.0, 8.0, 8.0, 16.25]),
        };
        let line = joint.conditional(1, 1e-6);
        assert!((line.gain[0] - 2.0).abs() < 1e-5);
        assert!((line.offset[0] + 1.0).abs() < 1e-5);
        assert!((line.covariance[0] - 0.25).abs() < 1e-4);
    }

    #[test]
    fn the_prior_weighs_as_much_as_its_strength_says() {
        let prior = Joint {
            mean: DVector::from_vec(vec![1.0]),
            covariance: DMatrix::from_element(1, 1, 6.0),
        };
        let samples = DMatrix::from_row_slice(1, 2, &[2.0, 4.0]);
        // (3·6 + 2·1 + (2·3/5)·(3 − 1)²) / 5.
        let found = prior.updated(&samples, 3.0);
        assert_eq!(found.mean[0], 3.0);
        assert!((found.covariance[0] - (18.0 + 2.0 + 4.8) / 5.0).abs() < 1e-12);
    }
}
