//! A network in plain numbers as leaves of libtorch's graph.

use costate_networks::{Gradient, Network, Recorded, Rows};
use tch::Tensor;

use super::to_f32;

/// A network and what it was asked while a loss was computed: leaves of libtorch's graph, whose gradients go on through
/// the network in plain numbers.
#[derive(Debug)]
pub struct Recording {
    network: Network,
    rows: Vec<(Tensor, Recorded)>,
    /// Mean squared slopes with their gradients.
    slopes: Vec<(Tensor, Gradient)>,
}

impl Recording {
    /// Nothing asked yet.
    pub fn new(network: Network) -> Self {
        Self {
            network,
            rows: Vec::new(),
            slopes: Vec::new(),
        }
    }

    /// Outputs of rows, `[N, inputs] → [N, outputs]`, a leaf.
    pub fn outputs(&mut self, input: &Rows) -> Tensor {
        let (values, recorded) = self.network.record(input);
        let rows = input.len() as i64;
        let leaf = Tensor::from_slice(&values)
            .view([rows, -1])
            .set_requires_grad(true);
        self.rows.push((leaf.shallow_clone(), recorded));
        leaf
    }

    /// E‖∂f/∂x‖² over rows, a leaf, in f64.
    pub fn squared_slope(&mut self, input: &Rows) -> Tensor {
        let (value, gradient) = self.network.squared_slope(input);
        let leaf = Tensor::from(value).set_requires_grad(true);
        self.slopes.push((leaf.shallow_clone(), gradient));
        leaf
    }

    /// The leaves, in the order that [`Recording::gradient`] expects their gradients in.
    pub fn leaves(&self) -> impl Iterator<Item = &Tensor> {
        let rows = self.rows.iter().map(|(leaf, _)| leaf);
        rows.chain(self.slopes.iter().map(|(leaf, _)| leaf))
    }

    /// The loss's gradient by the weights, in their order, from its gradients by the leaves; those that it does not depend
    /// on are undefined.
    pub fn gradient(self, leaves: &[Tensor]) -> Vec<f32> {
        let mut sum = Gradient::zeros(&self.network);
        let (rows, slopes) = leaves.split_at(self.rows.len());
        for ((_, recorded), slope) in self.rows.iter().zip(rows).filter(|(_, g)| g.defined()) {
            sum = sum.plus(self.network.gradient(recorded, &to_f32(slope)));
        }
        for ((_, gradient), by_leaf) in self
            .slopes
            .into_iter()
            .zip(slopes)
            .filter(|(_, g)| g.defined())
        {
            sum = sum.plus(gradient.times(by_leaf.double_value(&[]) as f32));
        }
        sum.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::{Mlp, no_grad, rows, to_f64};
    use costate_envs::rng::stream;
    use rand::RngExt;
    use tch::Kind;

    /// Networks of odd and even sizes, with and without hidden layers, the same in double precision for libtorch, and rows
    /// for them.
    fn cases() -> Vec<(Mlp, Mlp, Tensor)> {
        let sizes: [&[usize]; 5] = [
            &[5, 19, 33, 1],
            &[3, 1],
            &[17, 8, 1],
            &[12, 64, 64, 1],
            &[40, 256, 16, 1],
        ];
        let mut rng = stream(0, "test", 0);
        let case = |sizes: &&[usize]| {
            let network = Mlp::new(sizes, 1.0, Kind::Float, &mut rng);
            let count = 601 * sizes[0];
            let values: Vec<f32> = (0..count).map(|_| rng.random_range(-2.0..2.0)).collect();
            let exact = Mlp::new(sizes, 1.0, Kind::Double, &mut rng);
            for (mut to, from) in exact.parameters().into_iter().zip(network.parameters()) {
                tch::no_grad(|| to.copy_(&from));
            }
            (network, exact, crate::nn::matrix(&values, sizes[0]))
        };
        sizes.iter().map(case).collect()
    }

    /// The largest difference relative to the largest value; NaN where there is one.
    fn off(found: &[f64], exact: &[f64]) -> f64 {
        assert_eq!(found.len(), exact.len());
        let scale = exact.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
        let differences = found.iter().zip(exact).map(|(a, b)| (a - b).abs());
        let worse = |most: f64, d| if most.is_nan() || d <= most { most } else { d };
        differences.fold(0.0, worse) / scale
    }

    fn assert_near(found: &[f64], exact: &[f64], within: f64) {
        let off = off(found, exact);
        assert!(off <= within, "{off}");
    }

    #[test]
    fn outputs_and_gradients_are_libtorchs() {
        for (network, reference, x) in cases() {
            let exact = reference.forward(&x.to_kind(Kind::Double));
            let plain = no_grad(|| network.forward(&x));
            assert!(!plain.requires_grad());
            assert_near(&to_f64(&plain), &to_f64(&exact), 1e-6);

            let loss = |y: &Tensor| (y.sin() * 0.01).sum(Kind::Double);
            let weights = reference.parameters();
            let expected = Tensor::run_backward(&[loss(&exact)], &weights, false, false);
            network.record();
            // Twice, so that gradients must add up.
            let leaf = network.forward(&x);
            let half = network.forward(&x.narrow(0, 0, 300));
            let total = loss(&leaf) + loss(&half) - loss(&half);
            let recording = network.recorded().unwrap();
            let leaves: Vec<&Tensor> = recording.leaves().collect();
            let by = Tensor::run_backward(&[total], &leaves, false, false);
            let found: Vec<f64> = recording.gradient(&by).into_iter().map(f64::from).collect();
            let expected: Vec<f64> = expected.iter().flat_map(to_f64).collect();
            assert_near(&found, &expected, 1e-6);
            assert!(network.recorded().is_none());
        }
    }

    /// 3 E‖∂f/∂x‖² by libtorch, and its gradient by the weights.
    fn by_libtorch(network: &Mlp, x: &Tensor) -> Vec<f64> {
        let input = x.set_requires_grad(true);
        let total = network.forward(&input).sum(Kind::Double);
        let slope = &Tensor::run_backward(&[total], &[&input], true, true)[0];
        let squares = slope
            .square()
            .sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
        let loss = squares.mean(Kind::Double) * 3.0;
        let weights = network.parameters();
        let by = Tensor::run_backward(&[&loss], &weights, false, false);
        let parts = by
            .iter()
            .zip(&weights)
            .flat_map(|(g, of)| match g.defined() {
                true => to_f64(g),
                false => vec![0.0; of.numel()],
            });
        std::iter::once(loss.double_value(&[]))
            .chain(parts)
            .collect()
    }

    #[test]
    fn squared_slopes_and_their_gradients_are_libtorchs() {
        for (network, reference, x) in cases() {
            let exact = by_libtorch(&reference, &x.to_kind(Kind::Double));
            let mut recording = Recording::new(network.network());
            let leaf = recording.squared_slope(&rows(&x));
            let gradient = recording.gradient(&[Tensor::from(3.0)]);
            let found: Vec<f64> = std::iter::once(3.0 * leaf.double_value(&[]))
                .chain(gradient.into_iter().map(f64::from))
                .collect();
            // Terms of both signs cancel: libtorch in single precision is off by some 1e-6, too.
            let (ours, theirs) = (off(&found, &exact), off(&by_libtorch(&network, &x), &exact));
            assert!(ours <= f64::max(1e-6, 2.0 * theirs), "{ours} {theirs}");
            println!("{ours:.1e}, libtorch in single precision {theirs:.1e}");
        }
    }
}
