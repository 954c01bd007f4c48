//! tanh networks in plain numbers: outputs, gradients, and the gradient of a mean squared slope.
//!
//! Small networks spend most of a step on what a general library does for each operation. Here a layer's product, bias
//! and tanh are one sweep, and so are a product and tanh's slope on the way back.

use super::kernel::{After, Rows, add_transposed_product, padded, product};

/// A tanh network, `[N, inputs] → [N, outputs]`; no tanh after the last layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Inputs, hidden units, outputs.
    sizes: Vec<usize>,
    layers: Vec<Layer>,
}

/// A layer's weights as the products need them.
#[derive(Debug, Clone, PartialEq)]
struct Layer {
    /// Wᵀ, `[in, out]`: outputs of inputs.
    forward: Rows,
    /// b, padded.
    bias: Vec<f32>,
    /// W, `[out, in]`: gradients of inputs.
    backward: Rows,
}

/// What a network computed of some rows, kept for its gradient.
#[derive(Debug)]
pub struct Pass {
    /// Input, outputs of the hidden layers, output.
    values: Vec<Rows>,
}

impl Pass {
    /// The network's outputs, `[N, outputs]`.
    pub fn output(&self) -> &Rows {
        &self.values[self.values.len() - 1]
    }

    fn rows(&self) -> usize {
        self.values[0].len()
    }
}

impl Network {
    /// A network of the given layer sizes and weights: W `[out, in]` and b `[out]` of each layer in turn.
    pub fn new(sizes: &[usize], weights: &[f32]) -> Self {
        let layer = |pair: &[usize]| Layer {
            forward: Rows::zeros(pair[0], pair[1]),
            bias: vec![0.0; padded(pair[1])],
            backward: Rows::zeros(pair[1], pair[0]),
        };
        let mut network = Self {
            sizes: sizes.to_vec(),
            layers: sizes.windows(2).map(layer).collect(),
        };
        network.set(weights);
        network
    }

    /// Number of weights.
    pub fn weights(&self) -> usize {
        self.sizes.windows(2).map(|pair| (pair[0] + 1) * pair[1]).sum()
    }

    /// Replaces the weights: W `[out, in]` and b `[out]` of each layer in turn, as files and optimisers order them.
    pub fn set(&mut self, weights: &[f32]) {
        assert_eq!(weights.len(), self.weights());
        let mut rest = weights;
        for layer in &mut self.layers {
            let (inputs, outputs) = (layer.backward.columns(), layer.forward.columns());
            let (weight, bias) = rest[..(inputs + 1) * outputs].split_at(inputs * outputs);
            for (o, row) in weight.chunks_exact(inputs).enumerate() {
                layer.backward.row_mut(o).copy_from_slice(row);
            }
            for i in 0..inputs {
                let to = layer.forward.row_mut(i).iter_mut();
                to.zip(weight[i..].iter().step_by(inputs)).for_each(|(to, w)| *to = *w);
            }
            layer.bias[..outputs].copy_from_slice(bias);
            rest = &rest[(inputs + 1) * outputs..];
        }
    }

    /// Outputs of rows, `[N, inputs]`, with what their gradient needs.
    pub fn forward(&self, input: Rows) -> Pass {
        let mut values = Vec::with_capacity(self.layers.len() + 1);
        values.push(input);
        for (l, layer) in self.layers.iter().enumerate() {
            let last = l + 1 == self.layers.len();
            let after = if last { After::Nothing } else { After::Tanh };
            let mut out = Rows::zeros(values[l].len(), self.sizes[l + 1]);
            product(&values[l], &layer.forward, &layer.bias, after, &mut out);
            values.push(out);
        }
        Pass { values }
    }

    /// Adds Σ ∂output/∂weights · `slope` to `gradient`; `slope` is the loss's gradient by the outputs, `[N, outputs]`.
    pub fn backward(&self, pass: &Pass, slope: Rows, gradient: &mut Gradient) {
        let mut slope = slope;
        for l in (0..self.layers.len()).rev() {
            gradient.add(l, &slope, &pass.values[l]);
            if l > 0 {
                slope = self.back(l, &slope, After::Slope(&pass.values[l]), pass.rows());
            }
        }
    }

    /// after(slope · W) of layer `l`, `[N, out] → [N, in]`.
    fn back(&self, l: usize, slope: &Rows, after: After, rows: usize) -> Rows {
        let mut out = Rows::zeros(rows, self.sizes[l]);
        let nothing = vec![0.0; out.stride()];
        product(slope, &self.layers[l].backward, &nothing, after, &mut out);
        out
    }

    /// Mean squared slope P = 1/N Σ ‖∂f/∂x‖² of a network f with one output at rows x, `[N, inputs]`; adds its gradient to
    /// `gradient`.
    ///
    /// With v = 2/N ∂f/∂x held fixed, ∂P/∂θ = ∂/∂θ Σ ∂f/∂x · v: the gradient of derivatives along v. δ_l = ∂f/∂z_l is
    /// what [`Network::backward`] computes, t_l = (1 − h_l²) W_l t_{l−1} carries v forward, and
    /// ζ_l = −2 h_l t_l (W_{l+1}ᵀ δ_{l+1}) + (1 − h_l²) W_{l+1}ᵀ ζ_{l+1} is how the derivative changes with z_l. Then
    /// ∂P/∂W_l = δ_l t_{l−1}ᵀ + ζ_l h_{l−1}ᵀ and ∂P/∂b_l = ζ_l.
    pub fn squared_slope(&self, input: Rows, gradient: &mut Gradient) -> f64 {
        let last = self.layers.len() - 1;
        assert_eq!(self.sizes[last + 1], 1, "a slope is that of one output");
        let pass = self.forward(input);
        let (h, rows) = (&pass.values, pass.rows());
        // δ_last = 1, and W_lᵀ δ_l before it meets the slope of tanh.
        let mut delta = vec![Rows::of(&vec![1.0; rows], 1)];
        let mut pulled = Vec::with_capacity(last);
        for l in (1..=last).rev() {
            let back = self.back(l, &delta[last - l], After::Nothing, rows);
            let mut sloped = back.clone();
            multiply_by_slope(&mut sloped, &h[l]);
            pulled.push(back);
            delta.push(sloped);
        }
        delta.reverse();
        pulled.reverse();
        let mut slope = self.back(0, &delta[0], After::Nothing, rows);
        let squares = slope.padded_values().iter().map(|&g| f64::from(g) * f64::from(g));
        let mean = squares.sum::<f64>() / rows as f64;

        // t_{l−1} of every layer, t_0 = v.
        let scale = (2.0 / rows as f64) as f32;
        slope.padded_values_mut().iter_mut().for_each(|v| *v *= scale);
        let mut along = vec![slope];
        for l in 0..last {
            let mut out = Rows::zeros(rows, self.sizes[l + 1]);
            let nothing = vec![0.0; out.stride()];
            let after = After::Slope(&h[l + 1]);
            product(&along[l], &self.layers[l].forward, &nothing, after, &mut out);
            along.push(out);
        }

        // ζ_last = 0.
        let mut zeta: Option<Rows> = None;
        for l in (0..=last).rev() {
            gradient.add_weights(l, &delta[l], &along[l]);
            if let Some(zeta) = &zeta {
                gradient.add(l, zeta, &h[l]);
            }
            if l > 0 {
                let mut next = match &zeta {
                    Some(zeta) => self.back(l, zeta, After::Slope(&h[l]), rows),
                    None => Rows::zeros(rows, self.sizes[l]),
                };
                let terms = (h[l].padded_values().iter())
                    .zip(along[l].padded_values())
                    .zip(pulled[l - 1].padded_values());
                for (to, ((h, t), p)) in next.padded_values_mut().iter_mut().zip(terms) {
                    *to -= 2.0 * h * t * p;
                }
                zeta = Some(next);
            }
        }
        mean
    }
}

/// rows ← rows (1 − h²).
fn multiply_by_slope(rows: &mut Rows, h: &Rows) {
    for (to, h) in rows.padded_values_mut().iter_mut().zip(h.padded_values()) {
        *to *= 1.0 - h * h;
    }
}

/// A network's gradient under construction.
#[derive(Debug, Clone, PartialEq)]
pub struct Gradient {
    /// Of W `[out, in]` and b `[out]` of each layer.
    layers: Vec<(Rows, Vec<f32>)>,
}

impl Gradient {
    /// Zeros for a network.
    pub fn zeros(network: &Network) -> Self {
        let layer = |layer: &Layer| {
            let (inputs, outputs) = (layer.backward.columns(), layer.forward.columns());
            (Rows::zeros(outputs, inputs), vec![0.0; padded(outputs)])
        };
        Self {
            layers: network.layers.iter().map(layer).collect(),
        }
    }

    /// Adds Σ slope inputᵀ to layer `l`'s W and Σ slope to its b.
    fn add(&mut self, l: usize, slope: &Rows, input: &Rows) {
        self.add_weights(l, slope, input);
        let bias = &mut self.layers[l].1;
        for row in slope.padded_values().chunks_exact(slope.stride()) {
            for (to, value) in bias.iter_mut().zip(row) {
                *to += value;
            }
        }
    }

    fn add_weights(&mut self, l: usize, slope: &Rows, input: &Rows) {
        add_transposed_product(slope, input, &mut self.layers[l].0);
    }

    /// The sum of two gradients of the same network.
    pub fn plus(mut self, other: Self) -> Self {
        for ((weight, bias), (w, b)) in self.layers.iter_mut().zip(&other.layers) {
            let both = weight.padded_values_mut().iter_mut().chain(bias);
            for (to, value) in both.zip(w.padded_values().iter().chain(b)) {
                *to += value;
            }
        }
        self
    }

    /// A multiple.
    pub fn times(mut self, factor: f32) -> Self {
        for (weight, bias) in &mut self.layers {
            let both = weight.padded_values_mut().iter_mut().chain(bias);
            both.for_each(|value| *value *= factor);
        }
        self
    }

    /// The gradient in the order of [`Network::set`].
    pub fn values(&self) -> Vec<f32> {
        let mut values = Vec::new();
        for (weight, bias) in &self.layers {
            values.extend(weight.unpadded());
            values.extend_from_slice(&bias[..weight.len()]);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recording;
    use super::*;
    use crate::nn::{Mlp, no_grad, to_f32, to_f64};
    use costate_envs::rng::stream;
    use rand::RngExt;
    use tch::{Kind, Tensor};

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

    fn assert_near(a: &[f64], b: &[f64], within: f64) {
        assert_eq!(a.len(), b.len());
        let scale = b.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() <= within * scale, "{a} {b}");
        }
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

    #[test]
    fn squared_slopes_and_their_gradients_are_libtorchs() {
        for (network, reference, x) in cases() {
            let input = x.to_kind(Kind::Double).set_requires_grad(true);
            let total = reference.forward(&input).sum(Kind::Double);
            let slope = &Tensor::run_backward(&[total], &[&input], true, true)[0];
            let squares = slope.square().sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
            let exact = squares.mean(Kind::Double);
            let expected = Tensor::run_backward(&[&exact * 3.0], &reference.parameters(), false, false);
            let parts: Vec<f64> = (expected.iter().zip(reference.parameters()))
                .flat_map(|(g, p)| match g.defined() {
                    true => to_f64(g),
                    false => vec![0.0; p.numel()],
                })
                .collect();

            let mut recording = Recording::new(network.network());
            let leaf = recording.squared_slope((&x).into());
            assert_near(&to_f64(&leaf), &to_f64(&exact), 1e-6);
            let found = recording.gradient(&[Tensor::from(3.0)]);
            let found: Vec<f64> = found.into_iter().map(f64::from).collect();
            assert_near(&found, &parts, 1e-6);
        }
    }

    #[test]
    fn gradients_are_the_same_bits_however_many_threads_compute_them() {
        // Two groups of rows and a rest.
        let network = Mlp::new(&[7, 40, 2], 1.0, Kind::Float, &mut stream(0, "test", 1)).network();
        let mut rng = stream(0, "test", 2);
        let mut draw = |count: usize| -> Vec<f32> {
            (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
        };
        let (rows, slopes) = (Rows::of(&draw(5000 * 7), 7), draw(5000 * 2));
        let (outputs, recorded) = network.record(&rows);
        assert_eq!(outputs, network.outputs(&rows));
        let together = network.gradient(&recorded, &slopes).values();
        let apart = [0..2048, 2048..4096, 4096..5000].map(|part| {
            let (_, recorded) = network.record(&rows.range(part.clone()));
            network.gradient(&recorded, &slopes[2 * part.start..2 * part.end])
        });
        let zeros = Gradient::zeros(&network);
        let sum = apart.into_iter().fold(zeros, Gradient::plus);
        assert_eq!(together, sum.values());
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        let network = Mlp::new(&[2, 16, 1], 1.0, Kind::Float, &mut stream(0, "test", 3));
        let x = Tensor::from_slice(&[f32::NAN, 0.0, 1.0, 2.0]).view([2, 2]);
        let y = to_f32(&no_grad(|| network.forward(&x)));
        assert!(y[0].is_nan() && y[1].is_finite(), "{y:?}");
    }
}
