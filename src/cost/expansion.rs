//! Second-order expansions of costs: what linear-quadratic control is given of them.

use nalgebra::{DMatrix, DVector};
use tch::{Kind, Tensor};

use crate::nn;

/// Value, gradient and positive semidefinite curvature of a function of d numbers, for N rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    /// `[N]`.
    pub values: Vec<f64>,
    /// `[d]` each.
    pub gradients: Vec<DVector<f64>>,
    /// `[d, d]` each.
    pub curvatures: Vec<DMatrix<f64>>,
}

impl Expansion {
    /// Of ‖y(z)‖² by Gauss and Newton: gradient 2 Jᵀy and curvature 2 JᵀJ, J = ∂y/∂z. Shapes: features `[N, F]`, a function of
    /// z `[N, d]` row by row.
    pub fn of_squares(features: &Tensor, z: &Tensor) -> Self {
        let (rows, d) = (z.size()[0] as usize, z.size()[1] as usize);
        let count = features.size()[1];
        let y = nn::to_f64(features);
        // Rows do not meet, so the gradient of a sum over rows is that of every row.
        let jacobian: Vec<Vec<f64>> = (0..count)
            .map(|f| nn::to_f64(&gradient(&features.select(1, f), z, false)))
            .collect();
        let row = |i: usize| {
            let j = DMatrix::from_fn(jacobian.len(), d, |f, k| jacobian[f][i * d + k]);
            let y = DVector::from_row_slice(&y[i * jacobian.len()..(i + 1) * jacobian.len()]);
            (y.norm_squared(), j.tr_mul(&y) * 2.0, j.tr_mul(&j) * 2.0)
        };
        Self::collect((0..rows).map(row))
    }

    /// Of any function, `[N]`, of z, `[N, d]`, row by row; of its curvature the positive part is kept.
    pub fn of_function(function: &Tensor, z: &Tensor) -> Self {
        let (rows, d) = (z.size()[0] as usize, z.size()[1] as usize);
        let values = nn::to_f64(function);
        let slope = gradient(function, z, true);
        let gradients = nn::to_f64(&slope);
        let bent = |k| match slope.requires_grad() {
            true => nn::to_f64(&gradient(&slope.select(1, k), z, false)),
            // A linear function.
            false => vec![0.0; rows * d],
        };
        let second: Vec<Vec<f64>> = (0..d as i64).map(bent).collect();
        let row = |i: usize| {
            let curvature = DMatrix::from_fn(d, d, |a, b| {
                0.5 * (second[a][i * d + b] + second[b][i * d + a])
            });
            let mut eigen = curvature.symmetric_eigen();
            eigen.eigenvalues.apply(|v| *v = v.max(0.0));
            let gradient = DVector::from_row_slice(&gradients[i * d..(i + 1) * d]);
            (values[i], gradient, eigen.recompose())
        };
        Self::collect((0..rows).map(row))
    }

    /// Adds w ‖u‖² for u, `[N, m]`, the entries of z from `first` on.
    pub fn add_squares(&mut self, u: &Tensor, first: usize, weight: f64) {
        let m = u.size()[1] as usize;
        let rows = self.values.iter_mut().zip(&mut self.gradients);
        let values = nn::to_f64(u);
        for (((value, gradient), curvature), u) in
            rows.zip(&mut self.curvatures).zip(values.chunks_exact(m))
        {
            for (i, u) in u.iter().enumerate() {
                *value += weight * u * u;
                gradient[first + i] += 2.0 * weight * u;
                curvature[(first + i, first + i)] += 2.0 * weight;
            }
        }
    }

    fn collect(rows: impl Iterator<Item = (f64, DVector<f64>, DMatrix<f64>)>) -> Self {
        let mut all = Self {
            values: Vec::new(),
            gradients: Vec::new(),
            curvatures: Vec::new(),
        };
        for (value, gradient, curvature) in rows {
            all.values.push(value);
            all.gradients.push(gradient);
            all.curvatures.push(curvature);
        }
        all
    }
}

/// ∂ Σ_i f_i / ∂z, which can itself be differentiated with `graph`. The function's own graph stays.
fn gradient(function: &Tensor, z: &Tensor, graph: bool) -> Tensor {
    let total = function.sum(Kind::Float);
    Tensor::run_backward(&[total], &[z], true, graph)
        .pop()
        .expect("a gradient for each input")
}
