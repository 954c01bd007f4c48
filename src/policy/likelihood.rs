//! The density of actions under a Gaussian policy and its gradient in plain numbers: what cloning and policy improvement
//! do thousands of times.

use std::f64::consts::{E, TAU};

use super::gaussian::GaussianPolicy;
use crate::density::softplus;
use crate::nn::{Network, Recorded, Rows};

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

/// log π(a | s) of some rows, kept for its gradient.
#[derive(Debug)]
pub struct LogDensity {
    /// `[N]`.
    pub values: Vec<f64>,
    /// The network's, `[N · outputs]`.
    outputs: Vec<f32>,
    recorded: Recorded,
}

/// σ of an action entry, and ∂σ/∂ρ.
#[derive(Clone, Copy)]
struct Width {
    std: f64,
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

    /// log π(a | s) of normalised states, `[N, observation_dim]`, and actions, `[N, action_dim]`.
    pub fn log_density(&self, states: &Rows, actions: &Rows) -> LogDensity {
        let (outputs, recorded) = self.network.record(states);
        LogDensity {
            values: self.of_outputs(&outputs, actions),
            outputs,
            recorded,
        }
    }

    /// The same without what a gradient needs, `[N]`.
    pub fn log_densities(&self, states: &Rows, actions: &Rows) -> Vec<f64> {
        self.of_outputs(&self.network.outputs(states), actions)
    }

    fn of_outputs(&self, outputs: &[f32], actions: &Rows) -> Vec<f64> {
        let constant = self.constant_widths();
        let rows = outputs.chunks_exact(self.outputs()).enumerate();
        rows.map(|(i, out)| self.of_row(out, actions.row(i), constant.as_deref()))
            .collect()
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
        let of = |width: &Width| width.std.ln() + 0.5 * (TAU * E).ln();
        if let Some(constant) = self.constant_widths() {
            return constant.iter().map(of).sum();
        }
        let outputs = self.network.outputs(states);
        let rows = outputs.chunks_exact(self.outputs());
        let total: f64 = (rows.map(|out| self.widths(out).iter().map(of).sum::<f64>())).sum();
        total / states.len() as f64
    }

    /// Σ ∂log π/∂weights · `by`, in the order of the weights; `by` is the loss's gradient by log π, `[N]`.
    pub fn gradient(&self, density: &LogDensity, actions: &Rows, by: &[f64]) -> Vec<f32> {
        let constant = self.constant_widths();
        let dim = self.half_range.len();
        let mut slopes = vec![0.0; density.outputs.len()];
        let mut by_rho = vec![0.0; dim];
        let rows = slopes.chunks_exact_mut(self.outputs());
        let rows = rows.zip(density.outputs.chunks_exact(self.outputs()));
        for (i, ((slopes, out), by)) in rows.zip(by).enumerate() {
            let own;
            let widths = match &constant {
                Some(widths) => widths,
                None => {
                    own = self.widths(out);
                    &own
                }
            };
            for (j, width) in widths.iter().enumerate() {
                let z = self.deviation(j, out[j], actions.row(i)[j], *width);
                // ∂/∂μ = z/σ and ∂/∂σ = (z² − 1)/σ.
                slopes[j] = (by * z / width.std * self.half_range[j]) as f32;
                let by_rho_j = by * (z * z - 1.0) / width.std * width.slope;
                match constant {
                    Some(_) => by_rho[j] += by_rho_j,
                    None => slopes[dim + j] = by_rho_j as f32,
                }
            }
        }
        let mut values = self.network.gradient(&density.recorded, &slopes).values();
        if constant.is_some() {
            values.extend(by_rho.iter().map(|&v| v as f32));
        }
        values
    }

    /// log N(a; μ, diag σ²) = −½ Σ z² − Σ log σ − (d/2) log 2π.
    fn of_row(&self, out: &[f32], action: &[f32], constant: Option<&[Width]>) -> f64 {
        let term = |(j, width): (usize, &Width)| {
            let z = self.deviation(j, out[j], action[j], *width);
            -0.5 * z * z - width.std.ln() - 0.5 * TAU.ln()
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
            Width {
                std: (self.floor + softplus(rho)) * half,
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
            let density = own.log_density(&s_rows, &a_rows);
            let gradient = own.gradient(&density, &a_rows, &by);
            let near = |a: &[f64], b: &[f64], within: f64| {
                assert_eq!(a.len(), b.len());
                let scale = b.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() < within * scale, "{a} {b}");
                }
            };
            near(&density.values, &to_f64(&library), 1e-6);
            near(&own.log_densities(&s_rows, &a_rows), &density.values, 1e-12);
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
