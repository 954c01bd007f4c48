//! A mixture of Gaussians fitted by expectation maximisation: the prior of local fits.

use costate_envs::rng::Stream;
use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use std::f64::consts::TAU;

use super::gaussian::{Joint, factor};
use crate::density::log_sum_exp;

/// Σ_k w_k N(μ_k, Σ_k).
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianMixture {
    weights: Vec<f64>,
    components: Vec<Joint>,
}

/// Prior variance of every component, weighted like its share of the rows.
const RIDGE: f64 = 1e-5;

/// Gain of the objective per row below which a fit ends.
const ENOUGH: f64 = 1e-3;

impl GaussianMixture {
    /// A start for [`GaussianMixture::improve`]: at most `clusters` components about columns of `rows`, `[d, N]`, which are drawn with
    /// the squared distance to the nearest one drawn before (Arthur and Vassilvitskii 2007).
    pub fn seeded(rows: &DMatrix<f64>, clusters: usize, rng: &mut Stream) -> Self {
        let count = rows.ncols();
        let mut centres = vec![rng.random_range(0..count)];
        let distance = |i: usize, c: usize| (rows.column(i) - rows.column(c)).norm_squared();
        let mut nearest: Vec<(f64, usize)> =
            (0..count).map(|i| (distance(i, centres[0]), 0)).collect();
        while centres.len() < clusters.min(count) {
            let total: f64 = nearest.iter().map(|(d, _)| d).sum();
            let mut left = total * rng.random::<f64>();
            let drawn = nearest.iter().position(|(d, _)| {
                left -= d;
                left < 0.0
            });
            let Some(drawn) = drawn else { break };
            for (i, near) in nearest.iter_mut().enumerate() {
                let d = distance(i, drawn);
                if d < near.0 {
                    *near = (d, centres.len());
                }
            }
            centres.push(drawn);
        }
        let mut shares = DMatrix::zeros(centres.len(), count);
        for (i, (_, cluster)) in nearest.iter().enumerate() {
            shares[(*cluster, i)] = 1.0;
        }
        Self::maximised(rows, &shares)
    }

    /// At most `rounds` rounds of expectation maximisation on the columns of `rows`, `[d, N]`. Returns the objective after
    /// each, which never decreases: log-likelihood − ½ λ Σ_k tr Σ_k⁻¹ with λ = 1e-5 N/K, the log-density of an
    /// inverse-Wishart prior that keeps every covariance definite.
    pub fn improve(&mut self, rows: &DMatrix<f64>, rounds: usize) -> Vec<f64> {
        let mut objectives: Vec<f64> = Vec::new();
        for _ in 0..rounds {
            let (shares, objective) = self.expected(rows);
            let gain = objectives
                .last()
                .map_or(f64::INFINITY, |before| objective - before);
            objectives.push(objective);
            if gain < ENOUGH * rows.ncols() as f64 {
                break;
            }
            *self = Self::maximised(rows, &shares);
        }
        objectives
    }

    /// The prior of a local fit to `samples`, `[d, N]`: mean and covariance of the mixture with its components weighted by
    /// their mean share of the samples (Levine and Abbeel 2014, section 3.2).
    pub fn near(&self, samples: &DMatrix<f64>) -> Joint {
        let (shares, _) = self.expected(samples);
        let weights = shares.column_mean();
        let d = self.components[0].mean.len();
        let mut mean = DVector::zeros(d);
        for (w, c) in weights.iter().zip(&self.components) {
            mean += &c.mean * *w;
        }
        let mut covariance = DMatrix::zeros(d, d);
        for (w, c) in weights.iter().zip(&self.components) {
            let apart = &c.mean - &mean;
            covariance += (&c.covariance + &apart * apart.transpose()) * *w;
        }
        Joint { mean, covariance }
    }

    /// All numbers, component by component: weight, mean, covariance by columns.
    pub fn numbers(&self) -> Vec<f64> {
        let one = |(w, c): (&f64, &Joint)| {
            let all = std::iter::once(w).chain(c.mean.iter());
            all.chain(c.covariance.iter()).copied().collect::<Vec<_>>()
        };
        self.weights
            .iter()
            .zip(&self.components)
            .flat_map(one)
            .collect()
    }

    /// A mixture over d entries from its [`GaussianMixture::numbers`].
    pub fn of_numbers(numbers: &[f64], d: usize) -> Self {
        let parts = numbers.chunks_exact(1 + d + d * d);
        let component = |part: &[f64]| Joint {
            mean: DVector::from_column_slice(&part[1..=d]),
            covariance: DMatrix::from_column_slice(d, d, &part[1 + d..]),
        };
        Self {
            weights: parts.clone().map(|p| p[0]).collect(),
            components: parts.map(component).collect(),
        }
    }

    /// Shares of the components in every column, `[K, N]`, and the objective.
    fn expected(&self, rows: &DMatrix<f64>) -> (DMatrix<f64>, f64) {
        let (d, count) = rows.shape();
        let mut log = DMatrix::zeros(self.weights.len(), count);
        let mut objective = 0.0;
        let ridge = RIDGE * count as f64 / self.weights.len() as f64;
        for (k, (weight, component)) in self.weights.iter().zip(&self.components).enumerate() {
            let factor = factor(component.covariance.clone());
            objective -= 0.5 * ridge * factor.inverse().trace();
            let mut centred = rows.clone();
            for mut column in centred.column_iter_mut() {
                column -= &component.mean;
            }
            let lower = factor.l();
            lower.solve_lower_triangular_mut(&mut centred);
            let log_det: f64 = lower.diagonal().iter().map(|l| l.ln()).sum();
            let constant = weight.ln() - log_det - 0.5 * d as f64 * TAU.ln();
            for (i, z) in centred.column_iter().enumerate() {
                log[(k, i)] = constant - 0.5 * z.norm_squared();
            }
        }
        for mut column in log.column_iter_mut() {
            let total = log_sum_exp(column.as_slice());
            objective += total;
            column.apply(|l| *l = (*l - total).exp());
        }
        (log, objective)
    }

    /// The components that maximise the objective given shares `[K, N]`.
    fn maximised(rows: &DMatrix<f64>, shares: &DMatrix<f64>) -> Self {
        let (d, count) = rows.shape();
        let ridge = RIDGE * count as f64 / shares.nrows() as f64;
        let (mut weights, mut components) = (Vec::new(), Vec::new());
        for share in shares.row_iter() {
            // A component without rows stays, with negligible weight.
            let total = share.sum().max(1e-10);
            let mean = rows * share.transpose() / total;
            let mut centred = rows.clone();
            for (mut column, r) in centred.column_iter_mut().zip(share.iter()) {
                column -= &mean;
                column *= r.sqrt();
            }
            let scatter = &centred * centred.transpose() + DMatrix::identity(d, d) * ridge;
            weights.push(total / count as f64);
            components.push(Joint {
                mean,
                covariance: scatter / total,
            });
        }
        Self {
            weights,
            components,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    /// Two clouds in the plane, a third and two thirds of the rows.
    fn clouds(count: usize) -> DMatrix<f64> {
        let mut rng = stream(1, "test", 0);
        let mut draw = || -> f64 { StandardNormal.sample(&mut rng) };
        DMatrix::from_columns(
            &(0..count)
                .map(|i| match i % 3 {
                    0 => DVector::from_vec(vec![-3.0 + 0.5 * draw(), 2.0 + 0.2 * draw()]),
                    _ => {
                        let x = draw();
                        DVector::from_vec(vec![2.0 + x, -1.0 + 0.8 * x + 0.3 * draw()])
                    }
                })
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_objective_never_falls_and_the_clouds_are_found() {
        let rows = clouds(900);
        for seed in 0..5 {
            let mut mixture = GaussianMixture::seeded(&rows, 2, &mut stream(seed, "mixture", 0));
            // A bad start, so that there is room for improvement.
            for (i, component) in mixture.components.iter_mut().enumerate() {
                component.mean.fill(2.0 * i as f64 - 1.0);
                component.covariance = DMatrix::identity(2, 2) * 9.0;
            }
            let objectives = mixture.improve(&rows, 100);
            assert!(objectives.len() > 3, "{objectives:?}");
            for pair in objectives.windows(2) {
                assert!(pair[1] >= pair[0] - 1e-9 * pair[0].abs(), "{pair:?}");
            }
            let small = usize::from(mixture.weights[0] > mixture.weights[1]);
            assert!((mixture.weights[small] - 1.0 / 3.0).abs() < 0.02);
            let found = &mixture.components[1 - small];
            assert!((found.covariance[(0, 1)] - 0.8).abs() < 0.1, "{found:?}");
        }
    }

    #[test]
    fn a_prior_is_that_of_the_cloud_where_the_samples_are() {
        let rows = clouds(900);
        let mut mixture = GaussianMixture::seeded(&rows, 2, &mut stream(0, "mixture", 0));
        mixture.improve(&rows, 50);
        let samples = DMatrix::from_column_slice(2, 2, &[2.2, -1.0, 1.8, -0.9]);
        let near = mixture.near(&samples);
        assert!((near.mean[0] - 2.0).abs() < 0.1 && (near.covariance[(0, 1)] - 0.8).abs() < 0.1);
        // Half of the samples in either cloud: the prior spans both.
        let both = DMatrix::from_column_slice(2, 2, &[2.0, -1.0, -3.0, 2.0]);
        assert!(mixture.near(&both).covariance[(0, 0)] > 5.0);
    }

    #[test]
    fn rows_that_do_not_move_and_more_clusters_than_rows_do_no_harm() {
        let rows = DMatrix::from_element(3, 4, 0.7);
        let mut mixture = GaussianMixture::seeded(&rows, 9, &mut stream(0, "mixture", 0));
        let objectives = mixture.improve(&rows, 10);
        assert!(objectives.iter().all(|o| o.is_finite()));
        assert_eq!(mixture.components.len(), 1);
    }
}
