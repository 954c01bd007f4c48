//! Time-varying linear-Gaussian controllers: a_t ~ N(K_t s_t + k_t, Σ_t).
//!
//! The controllers of guided cost learning as first published (Finn, Levine and Abbeel 2016, arXiv 1603.00448). All in
//! f64; only the drawn action is rounded to f32, and its density is that of the rounded one.

use std::f64::consts::TAU;

use nalgebra::{DMatrix, DVector};
use rand_distr::{Distribution, StandardNormal};

use crate::actor::{ActionDistribution, ActorError, Behaviour};
use crate::rng::Stream;
use crate::trajectory::Trajectory;

/// One step of a [`LinearController`]: a ~ N(K s + k, L Lᵀ).
#[derive(Debug, Clone, PartialEq)]
pub struct LinearStep {
    /// K, `[action_dim, observation_dim]`.
    pub gain: DMatrix<f64>,
    /// k, `[action_dim]`.
    pub offset: DVector<f64>,
    /// L, `[action_dim, action_dim]`, lower triangular with a positive diagonal.
    pub factor: DMatrix<f64>,
}

/// A linear-Gaussian controller for each step of an episode.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearController {
    steps: Vec<LinearStep>,
}

/// Work space of a [`LinearController`], and the distribution of its last step.
#[derive(Debug, Clone)]
pub struct LinearScratch {
    mean: DVector<f64>,
    mean_f32: Vec<f32>,
    factor: DMatrix<f64>,
    /// Standard normal z, of which an action is mean + L z.
    noise: Vec<f64>,
}

impl LinearController {
    /// Checks that the steps fit together.
    pub fn new(steps: Vec<LinearStep>) -> Result<Self, ActorError> {
        let Some(first) = steps.first() else {
            return Err(ActorError("a controller needs at least one step".into()));
        };
        let (m, n) = first.gain.shape();
        for (t, step) in steps.iter().enumerate() {
            let LinearStep {
                gain,
                offset,
                factor,
            } = step;
            let err = |what: &str| Err(ActorError(format!("step {t}: {what}")));
            if m == 0 || n == 0 || gain.shape() != (m, n) {
                return err("the gain is empty or its shape differs from that of step 0");
            }
            if offset.len() != m || factor.shape() != (m, m) {
                return err("the offset or the factor does not fit the gain");
            }
            let mut all = gain.iter().chain(offset.iter()).chain(factor.iter());
            if all.any(|v| !v.is_finite()) {
                return err("a number is not finite");
            }
            if factor.diagonal().iter().any(|d| *d <= 0.0) || factor.lower_triangle() != *factor {
                return err("the factor is not lower triangular with a positive diagonal");
            }
        }
        Ok(Self { steps })
    }

    /// The steps.
    pub fn steps(&self) -> &[LinearStep] {
        &self.steps
    }

    /// The step that acts at time t; in longer episodes the last one continues to act.
    fn at(&self, t: usize) -> &LinearStep {
        &self.steps[t.min(self.steps.len() - 1)]
    }

    /// log q(τ) = Σ_t log N(a_t; K_t s_t + k_t, Σ_t).
    pub fn log_density(&self, trajectory: &Trajectory) -> f64 {
        let mut scratch = self.scratch();
        (0..trajectory.len())
            .map(|t| {
                self.act(t, trajectory.observation(t), &mut scratch);
                scratch.log_density(trajectory.action(t))
            })
            .sum()
    }
}

impl Behaviour for LinearController {
    type Scratch = LinearScratch;

    fn observation_dim(&self) -> usize {
        self.steps[0].gain.ncols()
    }

    fn action_dim(&self) -> usize {
        self.steps[0].gain.nrows()
    }

    fn scratch(&self) -> LinearScratch {
        let m = self.action_dim();
        LinearScratch {
            mean: DVector::zeros(m),
            mean_f32: vec![0.0; m],
            factor: DMatrix::identity(m, m),
            noise: vec![0.0; m],
        }
    }

    fn act(&self, step: usize, observation: &[f32], scratch: &mut LinearScratch) {
        let LinearStep {
            gain,
            offset,
            factor,
        } = self.at(step);
        scratch.mean.copy_from(offset);
        for (column, s) in gain.column_iter().zip(observation) {
            scratch.mean.axpy(f64::from(*s), &column, 1.0);
        }
        scratch.factor.copy_from(factor);
        for (rounded, mean) in scratch.mean_f32.iter_mut().zip(scratch.mean.iter()) {
            *rounded = *mean as f32;
        }
    }
}

impl LinearScratch {
    /// Variance of each action: the diagonal of Σ.
    pub fn variances(&self) -> impl Iterator<Item = f64> {
        self.factor.row_iter().map(|row| row.norm_squared())
    }
}

impl ActionDistribution for LinearScratch {
    fn mean(&self) -> &[f32] {
        &self.mean_f32
    }

    fn sample(&mut self, noise: &mut Stream, action: &mut [f32]) {
        for z in &mut self.noise {
            *z = StandardNormal.sample(&mut *noise);
        }
        for (i, out) in action.iter_mut().enumerate() {
            let row = self.factor.row(i);
            let pushed: f64 = row.iter().zip(&self.noise).map(|(l, z)| l * z).sum();
            *out = (self.mean[i] + pushed) as f32;
        }
    }

    /// −½ |L⁻¹(a − mean)|² − Σ log L_ii − (d/2) log 2π.
    fn log_density(&mut self, action: &[f32]) -> f64 {
        let mut total = 0.0;
        let z = &mut self.noise;
        for (i, a) in action.iter().enumerate() {
            let before: f64 = (0..i).map(|j| self.factor[(i, j)] * z[j]).sum();
            let diagonal = self.factor[(i, i)];
            z[i] = (f64::from(*a) - self.mean[i] - before) / diagonal;
            total -= 0.5 * z[i] * z[i] + diagonal.ln() + 0.5 * TAU.ln();
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    fn controller() -> LinearController {
        LinearController::new(vec![LinearStep {
            gain: DMatrix::from_row_slice(2, 1, &[0.5, -1.0]),
            offset: DVector::from_vec(vec![0.1, 0.2]),
            factor: DMatrix::from_row_slice(2, 2, &[0.8, 0.0, 0.6, 0.3]),
        }])
        .unwrap()
    }

    #[test]
    fn the_density_integrates_to_one_and_has_the_covariance_of_the_samples() {
        let controller = controller();
        let mut scratch = controller.scratch();
        controller.act(0, &[2.0], &mut scratch);
        assert_eq!(scratch.mean(), [1.1, -1.8]);
        // Trapezium rule over ±10 in both actions.
        let (n, half) = (800, 10.0_f32);
        let cell = f64::from(2.0 * half / n as f32);
        let at = |k: usize| 2.0 * half * k as f32 / n as f32 - half;
        let total: f64 = (0..=n)
            .flat_map(|i| (0..=n).map(move |j| [at(i), at(j)]))
            .map(|a| scratch.log_density(&a).exp() * cell * cell)
            .sum();
        assert!((total - 1.0).abs() < 1e-6, "{total}");
        // Σ = L Lᵀ = [[0.64, 0.48], [0.48, 0.45]].
        let mut rng = stream(0, "test", 0);
        let (count, mut sums) = (40_000, [0.0; 3]);
        for _ in 0..count {
            let mut a = [0.0; 2];
            scratch.sample(&mut rng, &mut a);
            let d = [f64::from(a[0]) - 1.1, f64::from(a[1]) + 1.8];
            for (sum, product) in sums.iter_mut().zip([d[0] * d[0], d[0] * d[1], d[1] * d[1]]) {
                *sum += product / f64::from(count);
            }
        }
        for (found, expected) in sums.iter().zip([0.64, 0.48, 0.45]) {
            assert!((found - expected).abs() < 0.02, "{found}, not {expected}");
        }
    }

    #[test]
    fn parts_that_make_no_controller_are_refused() {
        let with = |change: fn(&mut LinearStep)| {
            let mut step = controller().steps()[0].clone();
            change(&mut step);
            let steps = vec![controller().steps()[0].clone(), step];
            LinearController::new(steps).unwrap_err().to_string()
        };
        assert!(with(|s| s.offset[0] = f64::NAN).contains("step 1: a number is not finite"));
        assert!(with(|s| s.factor[(0, 0)] = 0.0).contains("positive diagonal"));
        assert!(with(|s| s.factor[(0, 1)] = 0.1).contains("lower triangular"));
        assert!(with(|s| s.gain = DMatrix::zeros(2, 3)).contains("shape differs"));
        assert!(with(|s| s.offset = DVector::zeros(1)).contains("does not fit"));
        assert!(LinearController::new(Vec::new()).is_err());
    }
}
