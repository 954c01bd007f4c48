//! Scalar functions of a vector: neural, quadratic in learned features, or quadratic.

use costate_envs::rng::Stream;
use tch::{Kind, Tensor};

use super::{CostForm, PlainFunction};
use crate::nn::{self, Inputs, Mlp, Recording, StateDict, StateError};

/// f(x) for rows x, `[N, dim] → [N]`.
#[derive(Debug)]
pub enum ScalarFunction {
    /// A tanh network with one output.
    Neural(Mlp),
    /// ‖Ay(x) + b‖² with features y of a tanh network: a quadratic in learned features, never negative
    /// (Finn, Levine and Abbeel 2016, arXiv 1603.00448, equation 4).
    Features(Mlp),
    /// ½ xᵀMx + wᵀx with symmetric M; exact for linear-quadratic systems.
    Quadratic {
        /// M is (raw + rawᵀ) / 2, `[dim, dim]`.
        raw: Tensor,
        /// w, `[dim]`.
        linear: Tensor,
    },
}

impl ScalarFunction {
    /// A network with the given hidden layers whose last layer starts small.
    pub fn neural(dim: usize, hidden: &[usize], rng: &mut Stream) -> Self {
        let sizes: Vec<usize> = std::iter::once(dim)
            .chain(hidden.iter().copied())
            .chain([1])
            .collect();
        Self::Neural(Mlp::new(&sizes, 0.1, Kind::Float, rng))
    }

    /// A quadratic in as many learned features as the last hidden layer has units.
    pub fn features(dim: usize, hidden: &[usize], rng: &mut Stream) -> Self {
        let outputs = hidden.last().copied().unwrap_or(dim);
        let sizes: Vec<usize> = std::iter::once(dim)
            .chain(hidden.iter().copied())
            .chain([outputs])
            .collect();
        Self::Features(Mlp::new(&sizes, 0.1, Kind::Float, rng))
    }

    /// Checks that `state` has the weights of a function of this form below `prefix`, before creating one.
    pub fn check(
        state: &StateDict,
        prefix: &str,
        form: CostForm,
        dim: usize,
        hidden: &[usize],
    ) -> Result<(), StateError> {
        let outputs = match form {
            CostForm::Quadratic => {
                state.check_shape(&format!("{prefix}quadratic"), &[dim, dim])?;
                return state.check_shape(&format!("{prefix}linear"), &[dim]);
            }
            CostForm::Neural => 1,
            CostForm::Features => hidden.last().copied().unwrap_or(dim),
        };
        let sizes = [&[dim], hidden, &[outputs]].concat();
        state.check_layers(prefix, &sizes)
    }

    /// The zero quadratic.
    pub fn quadratic(dim: usize) -> Self {
        let zeros = |shape: &[i64]| {
            Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu)).set_requires_grad(true)
        };
        Self::Quadratic {
            raw: zeros(&[dim as i64; 2]),
            linear: zeros(&[dim as i64]),
        }
    }

    /// f for every row, `[N, dim] → [N]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        self.forward_again(&Inputs::from(x.shallow_clone()))
    }

    /// The same of rows that are kept for the next time.
    pub fn forward_again(&self, inputs: &Inputs) -> Tensor {
        let x = inputs.matrix();
        match self {
            Self::Neural(network) => network.forward_again(inputs).squeeze_dim(1),
            Self::Features(network) => {
                let features = network.forward_again(inputs);
                (&features * &features).sum_dim_intlist([1_i64].as_slice(), false, x.kind())
            }
            Self::Quadratic { raw, linear } => {
                let symmetric = (raw + raw.tr()) * 0.5;
                let half: Tensor = x.matmul(&symmetric) * x * 0.5 + x * linear;
                half.sum_dim_intlist([1_i64].as_slice(), false, x.kind())
            }
        }
    }

    fn network(&self) -> Option<&Mlp> {
        match self {
            Self::Neural(network) | Self::Features(network) => Some(network),
            Self::Quadratic { .. } => None,
        }
    }

    /// From now on a network is asked in plain numbers, until [`ScalarFunction::recorded`].
    pub fn record(&self) {
        if let Some(network) = self.network() {
            network.record();
        }
    }

    /// Ends [`ScalarFunction::record`]: what was asked of a network since.
    pub fn recorded(&self) -> Option<Recording> {
        self.network()?.recorded()
    }

    /// E‖∂f/∂x‖² over rows, `[N, dim]`, a scalar in f64; `None` unless a neural function is recorded.
    pub fn squared_slope(&self, x: &Tensor) -> Option<Tensor> {
        match self {
            Self::Neural(network) => network.squared_slope(x),
            _ => None,
        }
    }

    /// φ(x), `[N, units]`, where f = wᵀφ + b; `None` of a function that is not neural.
    pub fn hidden(&self, x: &Tensor) -> Option<Tensor> {
        match self {
            Self::Neural(network) => Some(network.hidden(x)),
            _ => None,
        }
    }

    /// Sets w, `[units]`, and b of a neural function.
    pub fn set_output(&mut self, weight: &Tensor, bias: f64) {
        if let Self::Neural(network) = self {
            network.set_output(weight, bias);
        }
    }

    /// The same as plain numbers.
    pub fn freeze(&self) -> PlainFunction {
        match self {
            Self::Neural(network) => PlainFunction::Neural(network.freeze()),
            Self::Features(network) => PlainFunction::Features(network.freeze()),
            Self::Quadratic { raw, linear } => PlainFunction::Quadratic {
                half: nn::to_f32(&((raw + raw.tr()) * 0.25)),
                linear: nn::to_f32(linear),
            },
        }
    }

    /// Trainable tensors with names beginning with `prefix`.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        match self {
            Self::Neural(network) | Self::Features(network) => network.named(prefix),
            Self::Quadratic { raw, linear } => vec![
                (format!("{prefix}quadratic"), raw.shallow_clone()),
                (format!("{prefix}linear"), linear.shallow_clone()),
            ],
        }
    }
}
