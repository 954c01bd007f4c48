//! tanh networks in plain numbers: outputs, gradients, and the gradient of a mean squared slope.
//!
//! A layer's product, bias and tanh are one sweep, and so are a product and tanh's slope on the way back.

use crate::kernel::{ARCH, After, Rows, TERMS, add_transposed_product, padded, product};

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
#[derive(Debug, Default)]
pub struct Pass {
    /// Input, outputs of the hidden layers, output.
    values: Vec<Rows>,
}

impl Pass {
    /// The network's outputs, `[N, outputs]`.
    pub fn output(&self) -> &Rows {
        &self.values[self.values.len() - 1]
    }

    /// The input, to be set before [`Network::run`].
    pub fn input(&mut self) -> &mut Rows {
        if self.values.is_empty() {
            self.values.push(Rows::default());
        }
        &mut self.values[0]
    }

    pub(crate) fn rows(&self) -> usize {
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
        self.sizes
            .windows(2)
            .map(|pair| (pair[0] + 1) * pair[1])
            .sum()
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
                to.zip(weight[i..].iter().step_by(inputs))
                    .for_each(|(to, w)| *to = *w);
            }
            layer.bias[..outputs].copy_from_slice(bias);
            rest = &rest[(inputs + 1) * outputs..];
        }
    }

    /// Outputs of rows, `[N, inputs]`, with what their gradient needs.
    pub fn forward(&self, input: Rows) -> Pass {
        let mut pass = Pass {
            values: vec![input],
        };
        self.run(&mut pass);
        pass
    }

    /// The same of the input that `pass` holds, in the memory that it has.
    pub fn run(&self, pass: &mut Pass) {
        let layers = self.layers.len();
        pass.values.resize_with(layers + 1, Rows::default);
        for (l, layer) in self.layers.iter().enumerate() {
            let after = match l + 1 == layers {
                true => After::Nothing,
                false => After::Tanh,
            };
            let (from, to) = pass.values.split_at_mut(l + 1);
            let (from, out) = (&from[l], &mut to[0]);
            out.reshape(from.len(), self.sizes[l + 1]);
            product(from, &layer.forward, &layer.bias, after, out);
        }
    }

    /// Adds Σ ∂output/∂weights · slope to `gradient`; slope is the loss's gradient by the outputs, `[N, outputs]`, the first
    /// of `slopes`, whose memory is used on the way back.
    pub fn backward(&self, pass: &Pass, slopes: &mut [Rows; 2], gradient: &mut Gradient) {
        for l in (0..self.layers.len()).rev() {
            gradient.add(l, &slopes[0], &pass.values[l]);
            if l > 0 {
                let [slope, next] = slopes;
                let after = After::Slope(&pass.values[l]);
                unbiased_into(slope, &self.layers[l].backward, after, next);
                slopes.swap(0, 1);
            }
        }
    }

    /// after(slope · W) of layer `l`, `[N, out] → [N, in]`.
    fn back(&self, l: usize, slope: &Rows, after: After) -> Rows {
        unbiased(slope, &self.layers[l].backward, after)
    }

    /// Σ ‖∂f/∂x‖² of a network f with one output at rows x, `[N, inputs]`; adds the gradient of P, `share` times it, to
    /// `gradient`.
    ///
    /// With v = 2 share ∂f/∂x held fixed, ∂P/∂θ = ∂/∂θ Σ ∂f/∂x · v: the gradient of derivatives along v. δ_l = ∂f/∂z_l is
    /// what [`Network::backward`] computes, t_l = (1 − h_l²) W_l t_{l−1} carries v forward, and
    /// ζ_l = −2 h_l t_l (W_{l+1}ᵀ δ_{l+1}) + (1 − h_l²) W_{l+1}ᵀ ζ_{l+1} is how the derivative changes with z_l. Then
    /// ∂P/∂W_l = δ_l t_{l−1}ᵀ + ζ_l h_{l−1}ᵀ and ∂P/∂b_l = ζ_l.
    pub(crate) fn squared_slopes(&self, input: Rows, share: f64, gradient: &mut Gradient) -> f64 {
        let last = self.layers.len() - 1;
        assert_eq!(self.sizes[last + 1], 1, "a slope is that of one output");
        let pass = self.forward(input);
        let (h, rows) = (&pass.values, pass.rows());
        // δ_last = 1, and W_lᵀ δ_l before it meets the slope of tanh.
        let mut delta = vec![Rows::of(&vec![1.0; rows], 1)];
        let mut pulled = Vec::with_capacity(last);
        for l in (1..=last).rev() {
            let back = self.back(l, &delta[last - l], After::Nothing);
            let mut sloped = back.clone();
            multiply_by_slope(&mut sloped, &h[l]);
            pulled.push(back);
            delta.push(sloped);
        }
        delta.reverse();
        pulled.reverse();
        let mut slope = self.back(0, &delta[0], After::Nothing);
        let squares = slope
            .padded_values()
            .iter()
            .map(|&g| f64::from(g) * f64::from(g));
        let sum = squares.sum::<f64>();

        // t_{l−1} of every layer, t_0 = v.
        let scale = (2.0 * share) as f32;
        slope
            .padded_values_mut()
            .iter_mut()
            .for_each(|v| *v *= scale);
        let mut along = vec![slope];
        for l in 0..last {
            let after = After::Slope(&h[l + 1]);
            along.push(unbiased(&along[l], &self.layers[l].forward, after));
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
                    Some(zeta) => self.back(l, zeta, After::Slope(&h[l])),
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
        sum
    }
}

/// after(a · b), `[N, k] · [k, n] → [N, n]`.
fn unbiased(a: &Rows, b: &Rows, after: After) -> Rows {
    let mut out = Rows::default();
    unbiased_into(a, b, after, &mut out);
    out
}

fn unbiased_into(a: &Rows, b: &Rows, after: After, out: &mut Rows) {
    out.reshape(a.len(), b.columns());
    let nothing = vec![0.0; out.stride()];
    product(a, b, &nothing, after, out);
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
        let mut sums = vec![0.0; slope.stride()];
        ARCH.dispatch(|| {
            for rows in slope.padded_values().chunks(TERMS * slope.stride()) {
                sums.fill(0.0);
                for row in rows.chunks_exact(slope.stride()) {
                    for (to, value) in sums.iter_mut().zip(row) {
                        *to += value;
                    }
                }
                for (to, sum) in bias.iter_mut().zip(&sums) {
                    *to += sum;
                }
            }
        });
    }

    fn add_weights(&mut self, l: usize, slope: &Rows, input: &Rows) {
        add_transposed_product(slope, input, &mut self.layers[l].0);
    }

    /// The sum of two gradients of the same network.
    pub fn plus(mut self, other: Self) -> Self {
        let add = |to: &mut [f32], values: &[f32]| {
            for (to, value) in to.iter_mut().zip(values) {
                *to += value;
            }
        };
        ARCH.dispatch(|| {
            for ((weight, bias), (w, b)) in self.layers.iter_mut().zip(&other.layers) {
                add(weight.padded_values_mut(), w.padded_values());
                add(bias, b);
            }
        });
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
    use super::*;
    use crate::tests::numbers;

    /// A network in double precision, one row at a time.
    struct Reference<'a>(&'a [usize]);

    impl Reference<'_> {
        fn output(&self, weights: &[f64], x: &[f64]) -> f64 {
            let (mut h, mut rest) = (x.to_vec(), weights);
            for (l, pair) in self.0.windows(2).enumerate() {
                let (weight, after) = rest.split_at(pair[0] * pair[1]);
                let (bias, after) = after.split_at(pair[1]);
                let last = l + 2 == self.0.len();
                let unit = |(row, b): (&[f64], &f64)| {
                    let z = b + row.iter().zip(&h).map(|(w, x)| w * x).sum::<f64>();
                    if last { z } else { z.tanh() }
                };
                h = weight.chunks_exact(pair[0]).zip(bias).map(unit).collect();
                rest = after;
            }
            h[0]
        }

        /// Σ (∂f/∂x)².
        fn squared_slope(&self, weights: &[f64], x: &[f64]) -> f64 {
            let by = |j: usize| difference(x, j, 1e-4, |x| self.output(weights, x));
            (0..x.len()).map(|j| by(j).powi(2)).sum()
        }
    }

    /// ∂f/∂x_j by central differences.
    fn difference(x: &[f64], j: usize, step: f64, f: impl Fn(&[f64]) -> f64) -> f64 {
        let at = |by: f64| {
            let mut x = x.to_vec();
            x[j] += by;
            f(&x)
        };
        (at(step) - at(-step)) / (2.0 * step)
    }

    #[test]
    fn outputs_and_gradients_are_those_of_the_definition() {
        let cases: [&[usize]; 4] = [&[5, 19, 33, 1], &[3, 1], &[17, 8, 1], &[2, 40, 1]];
        for sizes in cases {
            let reference = Reference(sizes);
            let count = sizes.windows(2).map(|p| (p[0] + 1) * p[1]).sum();
            let (rows, weights) = (7, numbers(count, 3));
            let x = numbers(rows * sizes[0], 9);
            let network = Network::new(sizes, &weights);
            assert_eq!(network.weights(), count);
            let double = |v: &[f32]| v.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
            let inputs: Vec<Vec<f64>> = x.chunks_exact(sizes[0]).map(double).collect();
            let weights = double(&weights);

            let pass = network.forward(Rows::of(&x, sizes[0]));
            for (r, x) in inputs.iter().enumerate() {
                let error = f64::from(pass.output().row(r)[0]) - reference.output(&weights, x);
                assert!(error.abs() < 1e-5, "{error:e}");
            }
            let by = numbers(rows, 5);
            let mut gradient = Gradient::zeros(&network);
            network.backward(
                &pass,
                &mut [Rows::of(&by, 1), Rows::default()],
                &mut gradient,
            );
            let total = |w: &[f64]| -> f64 {
                let each = inputs.iter().zip(&by);
                each.map(|(x, by)| f64::from(*by) * reference.output(w, x))
                    .sum()
            };
            for (i, found) in gradient.values().into_iter().enumerate() {
                let expected = difference(&weights, i, 1e-5, total);
                assert!((f64::from(found) - expected).abs() < 1e-4 * (1.0 + expected.abs()));
            }

            let (mean, gradient) = network.squared_slope(&Rows::of(&x, sizes[0]));
            let exact = |w: &[f64]| -> f64 {
                let each = inputs.iter().map(|x| reference.squared_slope(w, x));
                each.sum::<f64>() / rows as f64
            };
            assert!((mean - exact(&weights)).abs() < 1e-4);
            for (i, found) in gradient.values().into_iter().enumerate() {
                let expected = difference(&weights, i, 1e-4, exact);
                let error = f64::from(found) - expected;
                assert!(
                    error.abs() < 2e-3 * (1.0 + expected.abs()),
                    "{sizes:?} {i} {error:e}"
                );
            }
        }
    }

    #[test]
    fn a_number_that_is_none_stays_none() {
        let network = Network::new(&[2, 16, 1], &numbers(3 * 16 + 17, 3));
        let pass = network.forward(Rows::of(&[f32::NAN, 0.0, 1.0, 2.0], 2));
        let y = pass.output();
        assert!(y.row(0)[0].is_nan() && y.row(1)[0].is_finite(), "{y:?}");
    }
}
