//! The density of actions under a Gaussian policy and its gradient in plain numbers: what cloning and policy improvement
//! do thousands of times.

use std::f64::consts::{E, TAU};

use super::gaussian::GaussianPolicy;
use crate::density::softplus;
use crate::nn::{Network, Rows};

/// A Gaussian policy in training, with weights of its own.
#[derive(Debug, Clone)]
pub struct Likelihood {
    /// The network's weights, then ρ where σ is constant.
    weights: Vec<f32>,
    network: Network,
    floor: f64,
    centre: Vec<f64>,
    half_range: Vec<f64>,
}

/// σ of an action entry, and ∂σ/∂ρ.
#[derive(Clone, Copy)]
struct Width {
    std: f64,
    log_std: f64,
    slope: f64,
}

impl Likelihood {
    /// That of a policy.
    pub fn of(policy: &GaussianPolicy) -> Self {
        let scale = policy.action_scale();
        let double = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect();
        Self {
            weights: policy.weights(),
            network: policy.plain(),
            floor: policy.settings().std_floor,
            centre: double(&scale.centre),
            half_range: double(&scale.half_range),
        }
    }

    /// The policy's weights, in the order of [`GaussianPolicy::parameters`].
    pub fn weights(&self) -> &[f32] {
        &self.weights
    }

    /// Changes the weights.
    pub fn update(&mut self, change: impl FnOnce(&mut [f32])) {
        change(&mut self.weights);
        self.network.set(&self.weights[..self.network.weights()]);
    }

    /// log π(a | s) of normalised states, `[N, observation_dim]`, and actions, `[N, action_dim]`: `[N]`.
    pub fn log_densities(&self, states: &Rows, actions: &Rows) -> Vec<f64> {
        let constant = self.constant_widths();
        self.network.of_rows(states, |rows, outputs| {
            let rows = rows.enumerate();
            rows.map(|(k, i)| self.of_row(outputs.row(k), actions.row(i), constant.as_deref()))
                .collect()
        })
    }

    /// Outputs of the network.
    fn outputs(&self) -> usize {
        let dim = self.half_range.len();
        match self.weights.len() == self.network.weights() {
            true => 2 * dim,
            false => dim,
        }
    }

    /// Mean differential entropy Σ log σ + (d/2) log 2πe over states, nats.
    pub fn mean_entropy(&self, states: &Rows) -> f64 {
        let of = |width: &Width| width.log_std + 0.5 * (TAU * E).ln();
        if let Some(constant) = self.constant_widths() {
            return constant.iter().map(of).sum();
        }
        let outputs = self.network.outputs(states);
        let rows = outputs.chunks_exact(self.outputs());
        let total: f64 = (rows.map(|out| self.widths(out).iter().map(of).sum::<f64>())).sum();
        total / states.len() as f64
    }

    /// log π(a | s) of the chosen rows, and Σ ∂log π/∂weights · by over them, in the order of the weights; `by` is told a row
    /// and its log π, and says the loss's gradient by it.
    pub fn descent(
        &self,
        states: &Rows,
        actions: &Rows,
        chosen: &[usize],
        by: impl Fn(usize, f64) -> f64 + Sync,
    ) -> (Vec<f64>, Vec<f32>) {
        let constant = self.constant_widths();
        let dim = self.half_range.len();
        let (blocks, gradient) = self
            .network
            .descent(states, chosen, |rows, outputs, slopes| {
                let (mut values, mut by_rho) = (Vec::new(), Vec::new());
                for (k, &i) in rows.iter().enumerate() {
                    let (out, action, slopes) = (outputs.row(k), actions.row(i), slopes.row_mut(k));
                    let own;
                    let widths = match &constant {
                        Some(widths) => widths,
                        None => {
                            own = self.widths(out);
                            &own
                        }
                    };
                    let value = self.of_row(out, action, Some(widths));
                    let by = by(i, value);
                    values.push(value);
                    for (j, width) in widths.iter().enumerate() {
                        let z = self.deviation(j, out[j], action[j], *width);
                        // ∂/∂μ = z/σ and ∂/∂σ = (z² − 1)/σ.
                        slopes[j] = (by * z / width.std * self.half_range[j]) as f32;
                        let by_rho_j = by * (z * z - 1.0) / width.std * width.slope;
                        match constant {
                            Some(_) => by_rho.push(by_rho_j),
                            None => slopes[dim + j] = by_rho_j as f32,
                        }
                    }
                }
                (values, by_rho)
            });
        let (values, by_rho): (Vec<_>, Vec<_>) = blocks.into_iter().unzip();
        let mut gradient = gradient.values();
        if constant.is_some() {
            let mut sums = vec![0.0; dim];
            for row in by_rho.iter().flat_map(|block| block.chunks_exact(dim)) {
                for (sum, v) in sums.iter_mut().zip(row) {
                    *sum += v;
                }
            }
            gradient.extend(sums.iter().map(|&v| v as f32));
        }
        (values.concat(), gradient)
    }

    /// log N(a; μ, diag σ²) = −½ Σ z² − Σ log σ − (d/2) log 2π.
    fn of_row(&self, out: &[f32], action: &[f32], constant: Option<&[Width]>) -> f64 {
        let term = |(j, width): (usize, &Width)| {
            let z = self.deviation(j, out[j], action[j], *width);
            -0.5 * z * z - width.log_std - 0.5 * TAU.ln()
        };
        match constant {
            Some(widths) => widths.iter().enumerate().map(term).sum(),
            None => self.widths(out).iter().enumerate().map(term).sum(),
        }
    }

    /// z = (a − μ)/σ.
    fn deviation(&self, j: usize, out: f32, action: f32, width: Width) -> f64 {
        let mean = self.centre[j] + self.half_range[j] * f64::from(out);
        (f64::from(action) - mean) / width.std
    }

    /// σ of every action entry where it is the same in all states.
    fn constant_widths(&self) -> Option<Vec<Width>> {
        let rho = &self.weights[self.network.weights()..];
        (!rho.is_empty()).then(|| self.widths_of(rho))
    }

    /// σ of every action entry for a row of the network's outputs.
    fn widths(&self, out: &[f32]) -> Vec<Width> {
        self.widths_of(&out[self.half_range.len()..])
    }

    /// σ = (floor + softplus(ρ)) in half ranges.
    fn widths_of(&self, rho: &[f32]) -> Vec<Width> {
        let width = |(&rho, half): (&f32, &f64)| {
            let rho = f64::from(rho);
            let std = (self.floor + softplus(rho)) * half;
            Width {
                std,
                log_std: std.ln(),
                slope: half / (1.0 + (-rho).exp()),
            }
        };
        rho.iter().zip(&self.half_range).map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{to_f32, to_f64};
    use crate::policy::{ActionScale, Normalizer, PolicySettings, StdForm};
    use costate_envs::rng::stream;
    use rand::RngExt;
    use tch::{Kind, Tensor};

    #[test]
    fn density_entropy_and_gradient_are_libtorchs() {
        for (std_form, hidden) in [
            (StdForm::Constant, vec![64, 64]),
            (StdForm::Network, vec![20]),
            (StdForm::Constant, vec![]),
        ] {
            let settings = PolicySettings {
                hidden,
                std_form,
                std_floor: 0.02,
                std_initial: 0.3,
            };
            let scale = ActionScale {
                centre: vec![0.5, 0.0, -1.0],
                half_range: vec![1.0, 2.0, 0.25],
            };
            let mut rng = stream(0, "test", 0);
            let policy =
                GaussianPolicy::new("x", &settings, Normalizer::identity(5), scale, &mut rng);
            let mut draw = |count: usize| -> Vec<f32> {
                (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
            };
            let (n, states, actions) = (700, draw(700 * 5), draw(700 * 3));
            let by: Vec<f64> = (0..n).map(|i| (i as f64).sin() / n as f64).collect();

            let (s, a) = (Tensor::from_slice(&states), Tensor::from_slice(&actions));
            let (s, a) = (s.view([n as i64, 5]), a.view([n as i64, 3]));
            let library = policy.log_density(&s, &a);
            let loss = (&library * Tensor::from_slice(&by)).sum(Kind::Double);
            let gradients = Tensor::run_backward(&[loss], &policy.parameters(), false, false);

            let own = Likelihood::of(&policy);
            let (s_rows, a_rows) = (Rows::of(&states, 5), Rows::of(&actions, 3));
            let all: Vec<usize> = (0..n).collect();
            let (values, gradient) = own.descent(&s_rows, &a_rows, &all, |i, _| by[i]);
            let near = |a: &[f64], b: &[f64], within: f64| {
                assert_eq!(a.len(), b.len());
                let scale = b.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < within * scale, "{a} {b}");
                }
            };
            near(&values, &to_f64(&library), 1e-6);
            assert_eq!(own.log_densities(&s_rows, &a_rows), values);
            let expected: Vec<f64> = gradients.iter().flat_map(to_f64).collect();
            let gradient: Vec<f64> = gradient.iter().map(|&v| f64::from(v)).collect();
            near(&gradient, &expected, 1e-6);
            let entropy = policy.distribution(&s).entropy().mean(Kind::Double);
            near(&[own.mean_entropy(&s_rows)], &to_f64(&entropy), 1e-6);
            assert_eq!(
                own.weights(),
                policy
                    .parameters()
                    .iter()
                    .flat_map(to_f32)
                    .collect::<Vec<_>>()
            );
        }
    }
}
