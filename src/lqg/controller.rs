//! Time-varying linear-Gaussian controllers in scaled units.

use std::f64::consts::{E, TAU};

use nalgebra::{DMatrix, DVector};

use super::gaussian::{Conditional, Joint, factor, symmetric};
use super::mixture::GaussianMixture;
use super::path::Path;

/// Variance of a state, (3 % of its scale)², below which demonstrations do not determine the feedback to a deviation:
/// where they all coincide, as in a slot, it would be noise.
const RIDGE: f64 = 1e-3;

/// u_t ~ N(K_t x_t + k_t, Σ_t).
#[derive(Debug, Clone, PartialEq)]
pub struct Controller {
    steps: Vec<Conditional>,
}

impl Controller {
    /// From its steps, which must have matching shapes.
    pub fn new(steps: Vec<Conditional>) -> Self {
        Self { steps }
    }

    /// The same noise of standard deviation `std` in every state and at each of `steps` times.
    pub fn noise(states: usize, actions: usize, steps: usize, std: f64) -> Self {
        let step = Conditional {
            gain: DMatrix::zeros(actions, states),
            offset: DVector::zeros(actions),
            covariance: DMatrix::identity(actions, actions) * (std * std),
        };
        Self::new(vec![step; steps])
    }

    /// A linear Gaussian per step of `paths`, of equal lengths, with a mixture over (x, u) as the prior of weight
    /// `strength`: the density of demonstrations. Σ is at least `least_std`² in every direction.
    pub fn fitted(paths: &[Path], prior: &GaussianMixture, strength: f64, least_std: f64) -> Self {
        let states = paths[0].states.nrows();
        let step = |t| {
            let rows: Vec<_> = paths.iter().map(|p| p.step(t)).collect();
            let samples = DMatrix::from_columns(&rows);
            let mut step = prior
                .near(&samples)
                .updated(&samples, strength)
                .conditional(states, RIDGE);
            step.covariance = at_least(step.covariance, least_std * least_std);
            step
        };
        Self::new((0..paths[0].len()).map(step).collect())
    }

    /// The steps.
    pub fn steps(&self) -> &[Conditional] {
        &self.steps
    }

    /// Differential entropy of all actions given the states, nats in scaled units.
    pub fn entropy(&self) -> f64 {
        let of = |step: &Conditional| {
            let l = factor(step.covariance.clone()).l();
            let d = l.nrows() as f64;
            l.diagonal().iter().map(|v| v.ln()).sum::<f64>() + 0.5 * d * (TAU * E).ln()
        };
        self.steps.iter().map(of).sum()
    }

    /// All numbers, step by step: K by columns, k, Σ by columns.
    pub fn numbers(&self) -> Vec<f64> {
        let step = |s: &Conditional| {
            let all = s.gain.iter().chain(s.offset.iter());
            all.chain(s.covariance.iter()).copied().collect::<Vec<_>>()
        };
        self.steps.iter().flat_map(step).collect()
    }

    /// A controller from its [`Controller::numbers`] for n states and m actions; a remainder is ignored.
    pub fn of_numbers(numbers: &[f64], n: usize, m: usize) -> Self {
        let step = |s: &[f64]| {
            let (gain, rest) = s.split_at(m * n);
            let (offset, covariance) = rest.split_at(m);
            Conditional {
                gain: DMatrix::from_column_slice(m, n, gain),
                offset: DVector::from_column_slice(offset),
                covariance: DMatrix::from_column_slice(m, m, covariance),
            }
        };
        Self::new(numbers.chunks_exact(m * (n + 1 + m)).map(step).collect())
    }

    /// KL(self ‖ other) of trajectories whose states x_t are distributed as `states`, `[T]`: the dynamics cancel, so
    /// it is Σ_t E[KL(N(K x + k, Σ) ‖ N(K' x + k', Σ'))]
    /// = ½ Σ_t tr(Σ'⁻¹Σ) − m + log det Σ'/Σ + E[|ΔK x + Δk|²_Σ'⁻¹].
    pub fn divergence(&self, other: &Self, states: &[Joint]) -> f64 {
        let step = |((own, other), x): ((&Conditional, &Conditional), &Joint)| {
            let m = own.offset.len() as f64;
            let (new, old) = (
                factor(own.covariance.clone()),
                factor(other.covariance.clone()),
            );
            let log_det = |l: &DMatrix<f64>| 2.0 * l.diagonal().iter().map(|v| v.ln()).sum::<f64>();
            let gain = &own.gain - &other.gain;
            let apart = &gain * &x.mean + &own.offset - &other.offset;
            let spread = &gain * &x.covariance * gain.transpose() + &own.covariance;
            0.5 * (old.solve(&spread).trace() - m + log_det(&old.l()) - log_det(&new.l())
                + apart.dot(&old.solve(&apart)))
        };
        let pairs = self.steps.iter().zip(&other.steps);
        pairs.zip(states).map(step).sum()
    }
}

/// The covariance with its eigenvalues raised to `least`.
fn at_least(covariance: DMatrix<f64>, least: f64) -> DMatrix<f64> {
    let mut eigen = symmetric(covariance).symmetric_eigen();
    eigen.eigenvalues.apply(|v| *v = v.max(least));
    symmetric(eigen.recompose())
}
