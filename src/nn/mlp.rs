//! Fully connected tanh networks.

use std::cell::RefCell;

use costate_envs::actor::Dense;
use costate_envs::rng::Stream;
use nalgebra::{DMatrix, DVector};
use rand_distr::{Distribution, StandardNormal};
use tch::{Kind, Tensor};

use super::recording::Recording;
use super::{Inputs, Network, gradients_wanted, rows, to_f32};

/// Dense layers with tanh between them and none after the last.
///
/// Where no gradient is wanted ([`super::no_grad`]), and where the loss is recorded ([`Mlp::record`]), networks in single
/// precision compute in plain numbers; otherwise by libtorch, whose graph can be differentiated any number of times.
#[derive(Debug)]
pub struct Mlp {
    /// W of each layer, `[out, in]`.
    weights: Vec<Tensor>,
    /// b of each layer, `[out]`.
    biases: Vec<Tensor>,
    recording: RefCell<Option<Recording>>,
}

/// tanh x = 2 σ(2x) − 1. libtorch's own tanh is exact, from a vendor's library, and four times slower than
/// its logistic function; the two differ by less than 1e-6.
fn tanh(x: &Tensor) -> Tensor {
    let doubled = x.g_mul_scalar(2.0).sigmoid().g_mul_scalar(2.0);
    doubled.g_sub_scalar(1.0)
}

impl Mlp {
    /// Layers of the given sizes: Gaussian weights of standard deviation 1/√in (the last layer's
    /// times `last_scale`), zero biases.
    pub fn new(sizes: &[usize], last_scale: f64, kind: Kind, rng: &mut Stream) -> Self {
        assert!(
            sizes.len() >= 2,
            "a network needs an input and an output size"
        );
        let last = sizes.len() - 2;
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for (i, pair) in sizes.windows(2).enumerate() {
            let (fan_in, fan_out) = (pair[0], pair[1]);
            let std = (fan_in as f64).sqrt().recip() * if i == last { last_scale } else { 1.0 };
            let values: Vec<f64> = (0..fan_in * fan_out)
                .map(|_| {
                    let z: f64 = StandardNormal.sample(&mut *rng);
                    std * z
                })
                .collect();
            let weight = Tensor::from_slice(&values).view([fan_out as i64, fan_in as i64]);
            weights.push(weight.to_kind(kind).set_requires_grad(true));
            let bias = Tensor::zeros([fan_out as i64], (kind, tch::Device::Cpu));
            biases.push(bias.set_requires_grad(true));
        }
        Self {
            weights,
            biases,
            recording: RefCell::default(),
        }
    }

    /// The network's outputs, `[N, in] → [N, out]`.
    pub fn forward(&self, input: &Tensor) -> Tensor {
        self.forward_again(&Inputs::from(input.shallow_clone()))
    }

    /// The same of rows that are kept for the next time.
    pub fn forward_again(&self, inputs: &Inputs) -> Tensor {
        let input = inputs.matrix();
        let single = self.weights[0].kind() == Kind::Float && input.kind() == Kind::Float;
        if single && !gradients_wanted() {
            let outputs = self.network().outputs(inputs.plain());
            return Tensor::from_slice(&outputs).view([input.size()[0], -1]);
        }
        if let Some(recording) = &mut *self.recording.borrow_mut()
            && !input.requires_grad()
        {
            return recording.outputs(inputs.plain());
        }
        let last = self.weights.len() - 1;
        self.hidden(input)
            .linear(&self.weights[last], Some(&self.biases[last]))
    }

    /// What the last layer is linear in, `[N, in] → [N, units]`: the last hidden layer's outputs, or the input without one.
    pub fn hidden(&self, input: &Tensor) -> Tensor {
        let last = self.weights.len() - 1;
        let mut x = input.shallow_clone();
        for (w, b) in self.weights.iter().zip(&self.biases).take(last) {
            x = tanh(&x.linear(w, Some(b)));
        }
        x
    }

    /// From now on outputs are leaves of libtorch's graph, until [`Mlp::recorded`]. Only in single precision.
    pub fn record(&self) {
        *self.recording.borrow_mut() = Some(Recording::new(self.network()));
    }

    /// Ends [`Mlp::record`]: what was asked since.
    pub fn recorded(&self) -> Option<Recording> {
        self.recording.take()
    }

    /// E‖∂f/∂x‖² of a network with one output over rows, `[N, inputs]`, a scalar in f64; `None` where nothing is recorded.
    pub fn squared_slope(&self, input: &Tensor) -> Option<Tensor> {
        let mut recording = self.recording.borrow_mut();
        Some(recording.as_mut()?.squared_slope(&rows(input)))
    }

    /// The same network in plain numbers.
    pub fn network(&self) -> Network {
        let inputs = |w: &Tensor| w.size()[1] as usize;
        let outputs = self.biases.iter().map(Tensor::numel);
        let sizes: Vec<usize> = [inputs(&self.weights[0])]
            .into_iter()
            .chain(outputs)
            .collect();
        Network::new(&sizes, &self.weights())
    }

    /// All weights: W `[out, in]` and b `[out]` of each layer in turn.
    pub fn weights(&self) -> Vec<f32> {
        self.parameters().iter().flat_map(to_f32).collect()
    }

    /// Replaces them.
    pub fn set_weights(&mut self, weights: &[f32]) {
        super::set_values(&mut self.parameters(), weights);
    }

    /// Replaces the last layer of a network with one output by (w, b), `[units]`.
    pub fn set_output(&mut self, weight: &Tensor, bias: f64) {
        tch::no_grad(|| {
            if let (Some(w), Some(b)) = (self.weights.last_mut(), self.biases.last_mut()) {
                w.copy_(&weight.view_as(w));
                let _ = b.fill_(bias);
            }
        });
    }

    /// Layers as (weight `[out, in]`, bias `[out]`).
    pub fn layers(&self) -> impl Iterator<Item = (&Tensor, &Tensor)> {
        self.weights.iter().zip(&self.biases)
    }

    /// The layers as plain matrices, for workers.
    pub fn freeze(&self) -> Vec<Dense> {
        self.layers()
            .map(|(w, b)| {
                let (rows, columns) = w.size2().expect("a weight is a matrix");
                let values = super::to_f32(w);
                Dense {
                    weight: DMatrix::from_row_slice(rows as usize, columns as usize, &values),
                    bias: DVector::from_vec(super::to_f32(b)),
                }
            })
            .collect()
    }

    /// Trainable tensors, sharing storage with the network.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.named("").into_iter().map(|(_, t)| t).collect()
    }

    /// Trainable tensors with names `{prefix}{layer}.weight` and `{prefix}{layer}.bias`.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        self.layers()
            .enumerate()
            .flat_map(|(i, (w, b))| {
                [
                    (format!("{prefix}{i}.weight"), w.shallow_clone()),
                    (format!("{prefix}{i}.bias"), b.shallow_clone()),
                ]
            })
            .collect()
    }

    /// Replaces the last layer (W, b) by (s W, s b + t): rescales the output without a new graph.
    pub fn rescale_output(&mut self, scale: f64, shift: f64) {
        tch::no_grad(|| {
            if let (Some(w), Some(b)) = (self.weights.last_mut(), self.biases.last_mut()) {
                let _ = w.g_mul_scalar_(scale);
                let _ = b.g_mul_scalar_(scale).g_add_scalar_(shift);
            }
        });
    }

    /// Sets the last layer's bias of the last `count` outputs.
    pub fn shift_output_tail(&mut self, count: usize, value: f64) {
        tch::no_grad(|| {
            if let Some(b) = self.biases.last() {
                let outputs = b.size1().expect("a bias is a vector");
                let mut tail = b.narrow(0, outputs - count as i64, count as i64);
                let _ = tail.fill_(value);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_and_its_gradient_are_libtorchs() {
        let points: Vec<f32> = (-3000..=3000).map(|i| i as f32 * 5e-3).collect();
        let x = Tensor::from_slice(&points).set_requires_grad(true);
        let difference = |a: &Tensor, b: &Tensor| (a - b).abs().max().double_value(&[]);
        let slope = |y: &Tensor| Tensor::run_backward(&[y.sum(Kind::Float)], &[&x], true, false);
        let (own, exact) = (tanh(&x), x.tanh());
        assert!(difference(&own, &exact) < 1e-6);
        assert!(difference(&slope(&own)[0], &slope(&exact)[0]) < 1e-6);
    }
}
