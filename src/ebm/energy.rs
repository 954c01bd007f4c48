//! c_θ(x): a network's correction of a base density.

use costate_envs::rng::Stream;
use tch::{Kind, Tensor};

use super::generator::{Drawn, Generator};
use super::{log_standard_normal, normals};
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

/// c_θ(x) = f_θ(x) − log p_0(x), with f_θ a tanh network that starts at 0. A tanh network is bounded, so
/// Z = E_{p_0}[exp(−f_θ)] is finite, and 1 at the start.
#[derive(Debug)]
pub struct Energy {
    /// p_0.
    pub base: Base,
    /// f_θ.
    pub correction: Mlp,
    dim: usize,
}

impl Energy {
    /// The energy of the base itself.
    pub fn new(base: Base, dim: usize, hidden: &[usize], rng: &mut Stream) -> Self {
        let sizes: Vec<usize> = std::iter::once(dim)
            .chain(hidden.iter().copied())
            .chain([1])
            .collect();
        Self {
            base,
            correction: Mlp::new(&sizes, 0.0, Kind::Double, rng),
            dim,
        }
    }

    /// Dimensions of x.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// f_θ of every row, `[N, d] → [N]`.
    pub fn correction(&self, x: &Tensor) -> Tensor {
        self.correction.forward(x).squeeze_dim(1)
    }

    /// c_θ of every row, nats, `[N, d] → [N]`.
    pub fn of(&self, x: &Tensor) -> Tensor {
        self.correction(x) - self.base.log_density(x)
    }
}
