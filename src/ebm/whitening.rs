//! Whitening: from the data's units to mean 0 and covariance I, and back.

use nalgebra::{DMatrix, DVector};
use tch::Tensor;

use super::table::Table;
use crate::error::Error;
use crate::nn::{StateDict, StateError};

/// Below this share of its variance a column is, up to rounding, a linear function of those before it.
const REDUNDANT: f64 = 1e-10;

/// x = m + A z with A = diag(s) L, where L Lᵀ is the correlation of the columns, shrunk towards I depending on the
/// number of rows (Ledoit and Wolf 2004, "A well-conditioned estimator for large-dimensional covariance matrices",
/// lemma 3.4).
#[derive(Debug, Clone)]
pub struct Whitening {
    mean: DVector<f64>,
    /// A, lower triangular.
    factor: DMatrix<f64>,
}

impl Whitening {
    /// From the rows `of` a table.
    ///
    /// Errors: a column that is constant in these rows, or a linear function of others.
    pub fn of(table: &Table, of: &[usize], source: &str) -> Result<Self, Error> {
        let (n, d) = (of.len(), table.columns().len());
        let mut x = DMatrix::from_fn(n, d, |i, j| table.row(of[i])[j]);
        let mean = x.row_mean().transpose();
        let mut scale = DVector::zeros(d);
        for j in 0..d {
            let mut column = x.column_mut(j);
            column.add_scalar_mut(-mean[j]);
            let deviation = column.norm() / (n as f64).sqrt();
            scale[j] = deviation;
            if !(deviation.is_normal() && mean[j].abs() < 1e12 * deviation) {
                return Err(Error::Misuse(format!(
                    "{source}: column `{}` has mean {} and standard deviation {deviation} in the rows to learn from, which \
                     cannot be standardised; rescale it, or leave it out with --columns",
                    table.columns()[j],
                    mean[j]
                )));
            }
            column /= deviation;
        }
        let correlation = x.tr_mul(&x) / n as f64;
        redundant(&correlation).map_or(Ok(()), |j| {
            Err(Error::Misuse(format!(
                "{source}: column `{}` is a linear function of columns before it, and both together have no density; leave \
                 one out with --columns",
                table.columns()[j]
            )))
        })?;
        let shrunk = shrink(&x, correlation);
        let lower = shrunk.cholesky().ok_or_else(|| {
            Error::Failure(format!(
                "{source}: the columns' correlation cannot be factorised"
            ))
        })?;
        let factor = DMatrix::from_diagonal(&scale) * lower.l();
        Ok(Self { mean, factor })
    }

    /// Columns.
    pub fn dim(&self) -> usize {
        self.mean.len()
    }

    /// z = A⁻¹ (x − m) of some rows, `[N, d]`.
    pub fn whiten(&self, table: &Table, rows: impl ExactSizeIterator<Item = usize>) -> Tensor {
        let d = self.dim() as i64;
        let values: Vec<f64> = rows.flat_map(|i| table.row(i).iter().copied()).collect();
        self.whiten_tensor(&Tensor::from_slice(&values).view([-1, d]))
    }

    /// The same of a tensor, `[N, d]`.
    pub fn whiten_tensor(&self, x: &Tensor) -> Tensor {
        let centred = (x - self.mean_tensor()).tr();
        self.factor_tensor()
            .linalg_solve_triangular(&centred, false, true, false)
            .tr()
            .contiguous()
    }

    /// x = m + A z, `[N, d]`.
    pub fn unwhiten(&self, z: &Tensor) -> Tensor {
        z.matmul(&self.factor_tensor().tr()) + self.mean_tensor()
    }

    /// log |det A|: log p(x) = log p(z) − this.
    pub fn log_volume(&self) -> f64 {
        self.factor.diagonal().iter().map(|a| a.ln()).sum()
    }

    /// m, `[d]`.
    pub fn mean(&self) -> &DVector<f64> {
        &self.mean
    }

    /// A, `[d, d]`.
    pub fn factor(&self) -> &DMatrix<f64> {
        &self.factor
    }

    fn mean_tensor(&self) -> Tensor {
        Tensor::from_slice(self.mean.as_slice())
    }

    fn factor_tensor(&self) -> Tensor {
        let d = self.dim() as i64;
        // nalgebra is column-major, libtorch row-major.
        Tensor::from_slice(self.factor.as_slice()).view([d, d]).tr()
    }

    /// Adds m and A to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.insert("whitening.mean", &self.mean_tensor());
        state.insert("whitening.factor", &self.factor_tensor());
    }

    /// Restores what [`Whitening::save`] wrote, for `dim` columns.
    pub fn load(dim: usize, state: &StateDict) -> Result<Self, StateError> {
        let mean = state.numbers("whitening.mean", dim)?;
        let factor = state.numbers("whitening.factor", dim * dim)?;
        let factor = DMatrix::from_row_slice(dim, dim, &factor);
        if factor.diagonal().iter().any(|a| *a <= 0.0) {
            return Err(StateError::Mismatch {
                name: "whitening.factor".into(),
                got: "a diagonal with an entry of at most 0".into(),
                expected: "a positive one".into(),
            });
        }
        Ok(Self {
            mean: DVector::from_vec(mean),
            factor,
        })
    }
}

/// The first column whose variance, given those before it, vanishes.
fn redundant(correlation: &DMatrix<f64>) -> Option<usize> {
    let d = correlation.nrows();
    let mut l = DMatrix::<f64>::zeros(d, d);
    for j in 0..d {
        for i in 0..j {
            let inner = l.row(i).dot(&l.row(j));
            l[(j, i)] = (correlation[(j, i)] - inner) / l[(i, i)];
        }
        let left = correlation[(j, j)] - l.row(j).norm_squared();
        if left < REDUNDANT {
            return Some(j);
        }
        l[(j, j)] = left.sqrt();
    }
    None
}

/// (1 − λ) S + λ I, with λ the minimum-squared-error estimate from standardised rows.
fn shrink(x: &DMatrix<f64>, correlation: DMatrix<f64>) -> DMatrix<f64> {
    let (n, d) = x.shape();
    let identity = DMatrix::identity(d, d);
    let distance = (&correlation - &identity).norm_squared();
    // Σ_i |x_i x_iᵀ − S|² / n² = (Σ_i |x_i|⁴ / n − |S|²) / n
    let fourth = x.row_iter().map(|r| r.norm_squared().powi(2)).sum::<f64>() / n as f64;
    let error = (fourth - correlation.norm_squared()) / n as f64;
    let share = if distance > 0.0 {
        (error / distance).clamp(0.0, 1.0)
    } else {
        0.0
    };
    correlation * (1.0 - share) + identity * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebm::Known;
    use crate::nn;

    #[test]
    fn white_rows_have_unit_covariance_and_come_back() {
        let table = Known::named("warped_8d").unwrap().sample(5000, 1);
        let rows: Vec<usize> = (0..5000).collect();
        let whitening = Whitening::of(&table, &rows, "t").unwrap();
        let z = whitening.whiten(&table, 0..5000);
        let covariance = nn::to_f64(&(z.tr().matmul(&z) / 5000.0));
        for (i, c) in covariance.iter().enumerate() {
            let expected = if i % 9 == 0 { 1.0 } else { 0.0 };
            // The shrinkage leaves a few hundredths where columns are correlated.
            assert!((c - expected).abs() < 0.04, "{i}: {c}");
        }
        let back = nn::to_f64(&whitening.unwhiten(&z));
        assert!(
            back.iter()
                .zip(table.values())
                .all(|(a, b)| (a - b).abs() < 1e-9)
        );
    }

    #[test]
    fn copies_and_sums_of_columns_are_named() {
        let base = Known::named("banana").unwrap().sample(200, 1);
        let values = base
            .rows()
            .flat_map(|r| [r[0], r[1], 3.0 * r[0] - r[1] + 7.0]);
        let table = Table::new(vec!["a".into(), "b".into(), "c".into()], values.collect());
        let rows: Vec<usize> = (0..200).collect();
        let error = Whitening::of(&table, &rows, "t.csv").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error
                .to_string()
                .contains("t.csv: column `c` is a linear function"),
            "{error}"
        );
    }
}
