//! c_θ(x): a network's correction of a base density.

use costate_envs::rng::Stream;
use tch::{Kind, Tensor};

use super::generator::{Drawn, Generator};
use super::{log_standard_normal, normals, row_sums};
use crate::nn::Mlp;

/// A normalised density that the energy is relative to.
#[derive(Debug)]
pub enum Base {
    /// N(0, I).
    Gaussian,
    /// A generator fitted to the data, whose weights no longer change.
    Clone(Generator),
}

impl Base {
    /// log of the density of every row, `[N, d] → [N]`.
    pub fn log_density(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Gaussian => log_standard_normal(x),
            Self::Clone(generator) => generator.log_density(x),
        }
    }

    /// Independent draws.
    pub fn draw(&self, count: usize, dim: usize, rng: &mut Stream) -> Drawn {
        match self {
            Self::Gaussian => {
                let points = normals(count, dim, rng);
                let log_density = log_standard_normal(&points);
                Drawn {
                    points,
                    log_density,
                }
            }
            Self::Clone(generator) => generator.draw(count, rng),
        }
    }
}

/// How f_θ is made of a tanh network's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// f_θ(x) is the output.
    Scalar,
    /// f_θ(x) = x·h(x) + ½|h(x)|² + s(x) with outputs h, one per column, and s: over the Gaussian N(0, I) the energy is
    /// c_θ(x) = ½|x + h(x)|² + s(x) + const, half a squared distance as in Salimans and Ho 2021, "Should EBMs model the
    /// energy or the score?", section 3. What is learned of one column thus is a vector's entry, not a share of a number.
    Residual,
}

impl Form {
    fn outputs(self, dim: usize) -> usize {
        match self {
            Self::Scalar => 1,
            Self::Residual => dim + 1,
        }
    }
}

/// c_θ(x) = f_θ(x) − log p_0(x), with f_θ of a tanh network that starts at 0. A tanh network is bounded, so
/// Z = E_{p_0}[exp(−f_θ)] is finite ([`Form::Residual`]: over the Gaussian), and 1 at the start.
#[derive(Debug)]
pub struct Energy {
    /// p_0.
    pub base: Base,
    /// The network of f_θ.
    pub correction: Mlp,
    form: Form,
    dim: usize,
}

impl Energy {
    /// The energy of the base itself.
    pub fn new(base: Base, dim: usize, form: Form, hidden: &[usize], rng: &mut Stream) -> Self {
        let sizes = Self::sizes(dim, form, hidden);
        Self {
            base,
            correction: Mlp::new(&sizes, 0.0, Kind::Double, rng),
            form,
            dim,
        }
    }

    /// Sizes of the network's layers.
    pub fn sizes(dim: usize, form: Form, hidden: &[usize]) -> Vec<usize> {
        std::iter::once(dim)
            .chain(hidden.iter().copied())
            .chain([form.outputs(dim)])
            .collect()
    }

    /// Dimensions of x.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// f_θ of every row, `[N, d] → [N]`.
    pub fn correction(&self, x: &Tensor) -> Tensor {
        let out = self.correction.forward(x);
        match self.form {
            Form::Scalar => out.squeeze_dim(1),
            Form::Residual => {
                let dim = self.dim as i64;
                let h = out.narrow(1, 0, dim);
                row_sums(&(&h * (x + &h * 0.5))) + out.select(1, dim)
            }
        }
    }

    /// Σ w² over the network's weights and biases.
    pub fn squared_weights(&self) -> Tensor {
        let squares =
            (self.correction.parameters().into_iter()).map(|w| w.square().sum(Kind::Double));
        squares.fold(Tensor::from(0.0), |sum, s| sum + s)
    }

    /// c_θ of every row, nats, `[N, d] → [N]`.
    pub fn of(&self, x: &Tensor) -> Tensor {
        self.correction(x) - self.base.log_density(x)
    }
}
