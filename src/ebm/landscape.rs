//! Free energy over two columns: −log p(x_a, x_b), the others integrated out.

use costate_envs::rng::stream;
use nalgebra::{DMatrix, DVector};
use tch::Tensor;

use super::model::Model;
use super::table::Table;
use super::{gaussian_constant, normals};
use crate::density::{effective_sample_size, log_mean_exp};
use crate::nn;

/// Points per side of the grid.
const SIZE: usize = 49;
/// Draws of the other columns at every point.
const DRAWS: usize = 100;

/// −log p(x_a, x_b) on a grid, nats in the data's units.
#[derive(Debug, Clone)]
pub struct FreeEnergy {
    /// First dimension's value in the first and last column.
    pub x_range: [f64; 2],
    /// Second dimension's value in the first and last row.
    pub y_range: [f64; 2],
    /// Points per side.
    pub size: usize,
    /// Row by row from the lowest second dimension, `[size × size]`.
    pub values: Vec<f64>,
    /// Median over the grid of the effective share of the draws of the other columns; 1 with two columns.
    pub ess_share: f64,
}

/// The map over the columns `of`, over the range of the table's rows.
///
/// p(x_a, x_b) = E_g[p(x_a, x_b, r) / g(r | x_a, x_b)]: importance sampling of the other columns r from the conditional g of the
/// Gaussian with the data's mean and covariance. All points share the draws, which makes the map smooth.
pub fn free_energy(model: &Model, table: &Table, of: [usize; 2], seed: u64) -> FreeEnergy {
    let [x_range, y_range] = of.map(|column| range(table, column));
    let rest: Vec<usize> = (0..model.columns.len())
        .filter(|i| !of.contains(i))
        .collect();
    let conditional = Conditional::new(model, of, &rest);
    let noise = normals(DRAWS, rest.len(), &mut stream(seed, "ebm landscape", 0));
    let noise = DMatrix::from_row_slice(DRAWS, rest.len(), &nn::to_f64(&noise));
    let at = |[low, high]: [f64; 2], i: usize| low + (high - low) * i as f64 / (SIZE - 1) as f64;
    let (mut values, mut shares) = (Vec::new(), Vec::new());
    for row in 0..SIZE {
        for column in 0..SIZE {
            let place = [at(x_range, column), at(y_range, row)];
            let log_weights = conditional.log_weights(model, place, &noise);
            values.push(-log_mean_exp(&log_weights));
            shares.push(effective_sample_size(&log_weights) / log_weights.len() as f64);
        }
    }
    shares.sort_by(f64::total_cmp);
    FreeEnergy {
        x_range,
        y_range,
        size: SIZE,
        values,
        ess_share: shares[shares.len() / 2],
    }
}

/// The inner 98 % of a column's values and a fifth of their range on either side.
fn range(table: &Table, column: usize) -> [f64; 2] {
    let mut values: Vec<f64> = table.rows().map(|r| r[column]).collect();
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    let (low, high) = (at(0.01), at(0.99));
    // A column that is constant up to a few rows still has a range.
    let air = match high > low {
        true => 0.2 * (high - low),
        false => values[values.len() - 1] - values[0],
    };
    [low - air, high + air]
}

/// g(r | x_a, x_b) = N(r; m_r + G (x − m), F Fᵀ).
struct Conditional {
    of: [usize; 2],
    rest: Vec<usize>,
    gain: DMatrix<f64>,
    factor: DMatrix<f64>,
}

impl Conditional {
    fn new(model: &Model, of: [usize; 2], rest: &[usize]) -> Self {
        let factor = model.whitening.factor();
        let covariance = factor * factor.transpose();
        let block = |rows: &[usize], columns: &[usize]| {
            DMatrix::from_fn(rows.len(), columns.len(), |i, j| {
                covariance[(rows[i], columns[j])]
            })
        };
        let own = block(&of, &of);
        let across = block(rest, &of);
        // Whitening covariances are positive definite, and so are their blocks and Schur complements.
        let gain = match own.clone().cholesky() {
            Some(own) => own.solve(&across.transpose()).transpose(),
            None => DMatrix::zeros(rest.len(), 2),
        };
        let left = block(rest, rest) - &gain * across.transpose();
        let factor = left.clone().cholesky().map_or_else(
            || DMatrix::from_diagonal(&left.diagonal().map(f64::sqrt)),
            |c| c.l(),
        );
        Self {
            of,
            rest: rest.to_vec(),
            gain,
            factor,
        }
    }

    /// log p(x) − log g(r | x_a, x_b) for every row of noise; a single weight if there is nothing to integrate out.
    fn log_weights(&self, model: &Model, place: [f64; 2], noise: &DMatrix<f64>) -> Vec<f64> {
        let mean = model.whitening.mean();
        let offset = DVector::from_iterator(2, (0..2).map(|i| place[i] - mean[self.of[i]]));
        let shift = &self.gain * offset;
        let draws = if self.rest.is_empty() {
            1
        } else {
            noise.nrows()
        };
        let spread = noise * self.factor.transpose();
        let mut x = vec![0.0; draws * mean.len()];
        for k in 0..draws {
            let row = &mut x[k * mean.len()..(k + 1) * mean.len()];
            for i in 0..2 {
                row[self.of[i]] = place[i];
            }
            for (j, &column) in self.rest.iter().enumerate() {
                row[column] = mean[column] + shift[j] + spread[(k, j)];
            }
        }
        let x = Tensor::from_slice(&x).view([draws as i64, mean.len() as i64]);
        let energies = model.white_energies(&model.whitening.whiten_tensor(&x));
        let constant = gaussian_constant(self.rest.len());
        let volume: f64 = self.factor.diagonal().iter().map(|f| f.ln()).sum();
        let log_g = |k: usize| -0.5 * noise.row(k).norm_squared() - volume - constant;
        let one = |(k, e): (usize, f64)| {
            let log_p = -e - model.log_z.log_z;
            log_p - if self.rest.is_empty() { 0.0 } else { log_g(k) }
        };
        energies.into_iter().enumerate().map(one).collect()
    }
}
