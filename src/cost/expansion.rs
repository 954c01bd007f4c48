//! Second-order expansions of costs, for linear-quadratic control.

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
        // Rows are independent, so the gradient of a sum over rows is that of every row.
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

    /// Of any function, `[N]`, of z, `[N, d]`, row by row; keeps the positive part of its curvature.
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

/// ∂ Σ_i f_i / ∂z, which is itself differentiable with `graph`. Keeps the function's graph.
fn gradient(function: &Tensor, z: &Tensor, graph: bool) -> Tensor {
    let total = function.sum(Kind::Float);
    Tensor::run_backward(&[total], &[z], true, graph)
        .pop()
        .expect("a gradient for each input")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{CostForm, CostSettings, EnergyModel};
    use crate::policy::{ActionScale, Normalizer};
    use costate_envs::rng::stream;

    const ROWS: [f32; 6] = [0.5, -1.0, 2.0, 0.1, 0.7, -0.4];
    const ACTIONS: [f32; 3] = [0.3, -2.0, 1.1];

    fn model(hidden: &[usize], state_only: bool) -> EnergyModel {
        let settings = CostSettings {
            form: CostForm::Features,
            hidden: hidden.to_vec(),
            start_value: true,
            state_only,
            channels: Vec::new(),
            action_penalty: 1.5,
            bound: 0.0,
        };
        let normalizer = Normalizer {
            mean: vec![0.2, -0.5],
            std: vec![2.0, 0.5],
            clip: 10.0,
        };
        let scale = ActionScale {
            centre: vec![0.5],
            half_range: vec![3.0],
        };
        let mut rng = stream(1, "test", 0);
        let model = EnergyModel::new("x", &settings, &[], normalizer, scale, &mut rng);
        // The last layer starts small: scale it up.
        for weight in model.parameters() {
            let _ = nn::no_grad(|| weight.shallow_clone().g_mul_scalar_(4.0));
        }
        model
    }

    /// Scaled units of row `i`.
    fn scaled(i: usize) -> [f32; 3] {
        [
            (ROWS[2 * i] - 0.2) / 2.0,
            (ROWS[2 * i + 1] + 0.5) / 0.5,
            (ACTIONS[i] - 0.5) / 3.0,
        ]
    }

    fn cost(model: &EnergyModel, z: [f32; 3]) -> f64 {
        let s = nn::matrix(&[0.2 + 2.0 * z[0], -0.5 + 0.5 * z[1]], 2);
        let a = nn::matrix(&[0.5 + 3.0 * z[2]], 1);
        model.cost(&s, &a).double_value(&[0])
    }

    #[test]
    fn gradients_are_those_of_finite_differences() {
        for state_only in [true, false] {
            let model = model(&[8, 5], state_only);
            let found = model
                .expand(&nn::matrix(&ROWS, 2), &nn::matrix(&ACTIONS, 1))
                .unwrap();
            for i in 0..3 {
                let z = scaled(i);
                assert!((found.values[i] - cost(&model, z)).abs() < 1e-4);
                for k in 0..3 {
                    let moved = |h: f32| {
                        let mut z = z;
                        z[k] += h;
                        cost(&model, z)
                    };
                    let slope = (moved(5e-3) - moved(-5e-3)) / 1e-2;
                    let error = (found.gradients[i][k] - slope).abs();
                    assert!(error < 2e-2 * slope.abs().max(1.0), "{slope} {error}");
                }
                let least = found.curvatures[i].clone().symmetric_eigenvalues().min();
                assert!(least > -1e-9, "{least}");
                assert!((found.curvatures[i][(2, 2)] > 2.99) || !state_only);
            }
        }
    }

    #[test]
    fn linear_features_are_expanded_exactly() {
        let model = model(&[], false);
        let found = model
            .expand(&nn::matrix(&ROWS, 2), &nn::matrix(&ACTIONS, 1))
            .unwrap();
        for i in 0..3 {
            let (z, d) = (scaled(i), [0.7_f32, -1.2, 0.4]);
            let step = DVector::from_iterator(3, d.iter().map(|v| f64::from(*v)));
            let expected = found.values[i]
                + found.gradients[i].dot(&step)
                + 0.5 * step.dot(&(&found.curvatures[i] * &step));
            let there = cost(&model, [z[0] + d[0], z[1] + d[1], z[2] + d[2]]);
            assert!((expected - there).abs() < 1e-4 * there.abs().max(1.0));
        }
    }

    #[test]
    fn of_a_function_the_positive_part_of_the_curvature_is_kept() {
        let z = Tensor::from_slice(&[0.3_f32, -0.8])
            .view([1, 2])
            .set_requires_grad(true);
        // f = x² − 3 y² + 2 y: gradient (2x, −6y + 2), curvature diag(2, −6).
        let (x, y) = (z.select(1, 0), z.select(1, 1));
        let f: Tensor = &x * &x - 3.0 * &y * &y + 2.0 * &y;
        let found = Expansion::of_function(&f, &z);
        assert!((found.gradients[0][0] - 0.6).abs() < 1e-5);
        assert!((found.gradients[0][1] - 6.8).abs() < 1e-5);
        let expected = DMatrix::from_row_slice(2, 2, &[2.0, 0.0, 0.0, 0.0]);
        assert!((&found.curvatures[0] - expected).amax() < 1e-5);
        // A linear one has none.
        let line = Expansion::of_function(
            &(&z * 2.0).sum_dim_intlist([1_i64].as_slice(), false, Kind::Float),
            &z,
        );
        assert_eq!(line.curvatures[0], DMatrix::zeros(2, 2));
    }
}
