//! Small convex quadratics with bounds, by projected Newton steps (Bertsekas 1982).

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

/// Newton steps; with a handful of variables two or three suffice.
const STEPS: usize = 50;

/// The minimiser of ½ xᵀHx + gᵀx within bounds.
pub(super) struct Minimum {
    /// x, `[m]`.
    pub point: DVector<f64>,
    /// Variables that are not held at a bound.
    free: Vec<usize>,
    /// Factor of H over the free variables.
    factor: Option<Cholesky<f64, Dyn>>,
}

impl Minimum {
    /// H⁻¹ R over the free variables, zero rows for the others; `right` is `[m, k]`.
    pub fn solve(&self, right: &DMatrix<f64>) -> DMatrix<f64> {
        let mut out = DMatrix::zeros(right.nrows(), right.ncols());
        if let Some(factor) = &self.factor {
            let solved = factor.solve(&right.select_rows(&self.free));
            for (k, &i) in self.free.iter().enumerate() {
                out.set_row(i, &solved.row(k));
            }
        }
        out
    }
}

/// Minimises ½ xᵀHx + gᵀx over `low` ≤ x ≤ `high`; `None` unless H is positive definite.
pub(super) fn minimise(
    curvature: &DMatrix<f64>,
    gradient: &DVector<f64>,
    low: &DVector<f64>,
    high: &DVector<f64>,
) -> Option<Minimum> {
    Cholesky::new(curvature.clone())?;
    let within = |x: DVector<f64>| x.zip_zip_map(low, high, |x, low, high| x.max(low).min(high));
    let value = |x: &DVector<f64>| 0.5 * x.dot(&(curvature * x)) + gradient.dot(x);
    let mut point = within(DVector::zeros(gradient.len()));
    let mut found = None;
    for _ in 0..STEPS {
        let slope = curvature * &point + gradient;
        let free: Vec<usize> = (0..point.len())
            .filter(|&i| {
                let held = (point[i] <= low[i] && slope[i] > 0.0)
                    || (point[i] >= high[i] && slope[i] < 0.0);
                !held
            })
            .collect();
        if free.is_empty() {
            return Some(Minimum {
                point,
                free,
                factor: None,
            });
        }
        let factor = Cholesky::new(curvature.select_rows(&free).select_columns(&free))?;
        let newton = factor.solve(&slope.select_rows(&free));
        let mut next = point.clone();
        let mut share = 1.0;
        // Halved until it does not raise the value; a full step is exact unless a bound is met.
        while share > 1e-6 {
            next = point.clone();
            for (k, &i) in free.iter().enumerate() {
                next[i] -= share * newton[k];
            }
            next = within(next);
            if value(&next) <= value(&point) {
                break;
            }
            share *= 0.5;
        }
        let moved = (&next - &point).amax();
        point = next;
        found = Some((free, factor));
        if moved <= 1e-12 * (1.0 + point.amax()) {
            break;
        }
    }
    let (free, factor) = found?;
    Some(Minimum {
        point,
        free,
        factor: Some(factor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{dmatrix, dvector};

    #[test]
    fn the_minimum_satisfies_the_conditions_of_optimality() {
        let h = dmatrix![2.0, 0.9, -0.3; 0.9, 1.0, 0.2; -0.3, 0.2, 0.5];
        for g in [
            dvector![1.0, -2.0, 0.1],
            dvector![-3.0, 0.5, 4.0],
            dvector![0.1, 0.1, -0.1],
        ] {
            let (low, high) = (dvector![-0.5, -1.0, -0.7], dvector![0.5, 1.0, 2.0]);
            let minimum = minimise(&h, &g, &low, &high).unwrap();
            let slope = &h * &minimum.point + &g;
            for i in 0..3 {
                let (x, s) = (minimum.point[i], slope[i]);
                assert!(low[i] <= x && x <= high[i]);
                let held = (x == low[i] && s > 0.0) || (x == high[i] && s < 0.0);
                assert!(held || s.abs() < 1e-9, "{i}: {x} {s}");
                assert_eq!(held, !minimum.free.contains(&i));
            }
        }
        let flat = dmatrix![1.0, 0.0; 0.0, -1.0];
        let (zero, one) = (dvector![0.0, 0.0], dvector![1.0, 1.0]);
        assert!(minimise(&flat, &zero, &(-&one), &one).is_none());
    }
}
