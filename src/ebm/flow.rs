//! Affine-coupling flows: exact density, exact inverse.

use costate_envs::rng::Stream;
use tch::{Device, Kind, Tensor};

use super::generator::Drawn;
use super::mixture::Mixture;
use super::{in_chunks, row_sums};
use crate::nn::Mlp;

/// x ↔ u through layers that each apply a linear map, then rescale and shift one half by the other (Dinh,
/// Sohl-Dickstein and Bengio 2017, arXiv 1605.08803, equations 7 and 8; the linear part as in Kingma and Dhariwal 2018,
/// arXiv 1807.03039, section 3.2). u is drawn from a Gaussian mixture, of one component in a plain flow: no continuous map
/// splits one Gaussian into separate clusters (Izmailov et al. 2020, arXiv 1912.13025).
#[derive(Debug)]
pub struct Flow {
    latent: Mixture,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    /// Below the diagonal of the unit lower factor, `[d, d]`; the rest is not read.
    lower: Tensor,
    /// Above the diagonal of the upper factor, `[d, d]`; the rest is not read.
    upper: Tensor,
    /// Logarithm of the upper factor's diagonal, `[d]`.
    log_diagonal: Tensor,
    /// From the first half to (log scales, shifts) of the second.
    conditioner: Mlp,
}

/// Bound on the log scales of a coupling: a layer stretches by at most e².
const LARGEST_LOG_SCALE: f64 = 2.0;

/// Points and the log-determinant of the map to them.
struct Mapped {
    points: Tensor,
    log_volume: Tensor,
}

impl Flow {
    /// The latent density itself, with `layers` identity layers whose conditioners have the hidden layers
    /// `hidden`.
    pub fn new(latent: Mixture, layers: usize, hidden: &[usize], rng: &mut Stream) -> Self {
        let dim = latent.dim();
        let d = dim as i64;
        let zeros = |shape: &[i64]| {
            Tensor::zeros(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true)
        };
        let sizes = Self::conditioner(dim, hidden);
        let layer = |_| Layer {
            lower: zeros(&[d, d]),
            upper: zeros(&[d, d]),
            log_diagonal: zeros(&[d]),
            conditioner: Mlp::new(&sizes, 0.0, Kind::Double, rng),
        };
        Self {
            layers: (0..layers).map(layer).collect(),
            latent,
        }
    }

    /// Sizes of a conditioner's layers: from the kept entries to scale and shift of the others.
    pub fn conditioner(dim: usize, hidden: &[usize]) -> Vec<usize> {
        let kept = dim / 2;
        std::iter::once(kept.max(1))
            .chain(hidden.iter().copied())
            .chain([2 * (dim - kept)])
            .collect()
    }

    /// log q of every row, `[N, d] → [N]`.
    pub fn log_density(&self, x: &Tensor) -> Tensor {
        let Mapped { points, log_volume } = self.to_noise(x);
        self.latent.log_density(&points) + log_volume
    }

    /// Independent draws; call without gradients.
    pub fn draw(&self, count: usize, rng: &mut Stream) -> Drawn {
        let points = self.latent.draw(count, rng);
        let log_density = in_chunks(&points, &|u| self.latent.log_density(u));
        self.carry(&Drawn {
            points,
            log_density,
        })
    }

    /// E_q[g], differentiable, as [`Mixture::expectation`].
    pub fn expectation(
        &self,
        g: &dyn Fn(&Drawn) -> Tensor,
        count: usize,
        rng: &mut Stream,
    ) -> Tensor {
        self.latent.expectation(&|u| g(&self.carry(u)), count, rng)
    }

    /// Maps latent points to data space.
    fn carry(&self, latent: &Drawn) -> Drawn {
        let Mapped { points, log_volume } = self.to_data(&latent.points);
        Drawn {
            log_density: &latent.log_density - log_volume,
            points,
        }
    }

    /// Components of the latent density.
    pub fn components(&self) -> usize {
        self.latent.components()
    }

    /// Σ w² over the conditioners, penalised in maximum likelihood.
    pub fn squared_weights(&self) -> Tensor {
        let weights = self.layers.iter().flat_map(|l| l.conditioner.parameters());
        let squares = weights.map(|w| w.square().sum(Kind::Double));
        squares.fold(Tensor::from(0.0), |sum, s| sum + s)
    }

    /// u of every row, `[N, d]`.
    #[cfg(test)]
    pub(super) fn noise_of(&self, x: &Tensor) -> Tensor {
        self.to_noise(x).points
    }

    /// log of the latent density, `[N]`.
    #[cfg(test)]
    pub(super) fn latent_density_of(&self, u: &Tensor) -> Tensor {
        self.latent.log_density(u)
    }

    fn to_noise(&self, x: &Tensor) -> Mapped {
        let mut h = x.shallow_clone();
        let mut log_volume = Tensor::zeros([x.size()[0]], (Kind::Double, Device::Cpu));
        for layer in &self.layers {
            // Reversed before each layer, so that the halves alternate.
            let turned = h.flip([1]).matmul(&layer.upper_factor().tr());
            let turned = turned.matmul(&layer.lower_factor().tr());
            let Coupling {
                first,
                second,
                log_scale,
                shift,
            } = layer.couple(&turned);
            h = Tensor::cat(&[first, second * log_scale.exp() + shift], 1);
            log_volume = log_volume + row_sums(&log_scale) + layer.log_diagonal.sum(Kind::Double);
        }
        Mapped {
            points: h,
            log_volume,
        }
    }

    fn to_data(&self, u: &Tensor) -> Mapped {
        let mut h = u.shallow_clone();
        let mut log_volume = Tensor::zeros([u.size()[0]], (Kind::Double, Device::Cpu));
        for layer in self.layers.iter().rev() {
            let Coupling {
                first,
                second,
                log_scale,
                shift,
            } = layer.couple(&h);
            let turned = Tensor::cat(&[first, (second - shift) * (-&log_scale).exp()], 1).tr();
            let back = layer
                .lower_factor()
                .linalg_solve_triangular(&turned, false, true, true);
            let back = layer
                .upper_factor()
                .linalg_solve_triangular(&back, true, true, false);
            h = back.tr().flip([1]);
            log_volume = log_volume - row_sums(&log_scale) - layer.log_diagonal.sum(Kind::Double);
        }
        Mapped {
            points: h,
            log_volume,
        }
    }

    /// Trainable tensors by name.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let mut out = self.latent.named(&format!("{prefix}latent."));
        for (i, layer) in self.layers.iter().enumerate() {
            for (name, t) in [
                ("lower", &layer.lower),
                ("upper", &layer.upper),
                ("log_diagonal", &layer.log_diagonal),
            ] {
                out.push((format!("{prefix}{i}.{name}"), t.shallow_clone()));
            }
            out.extend(
                layer
                    .conditioner
                    .named(&format!("{prefix}{i}.conditioner.")),
            );
        }
        out
    }
}

struct Coupling {
    first: Tensor,
    second: Tensor,
    log_scale: Tensor,
    shift: Tensor,
}

impl Layer {
    /// L: unit lower triangular.
    fn lower_factor(&self) -> Tensor {
        self.lower.tril(-1) + Tensor::eye(self.lower.size()[0], (Kind::Double, Device::Cpu))
    }

    /// U: upper triangular with a positive diagonal.
    fn upper_factor(&self) -> Tensor {
        self.upper.triu(1) + self.log_diagonal.exp().diag_embed(0, 0, 1)
    }

    /// The halves, with log scales and shifts of the second from the first.
    fn couple(&self, h: &Tensor) -> Coupling {
        let d = h.size()[1];
        let kept = d / 2;
        let (first, second) = (h.narrow(1, 0, kept), h.narrow(1, kept, d - kept));
        // One dimension has nothing to condition on.
        let input = match kept {
            0 => Tensor::zeros([h.size()[0], 1], (Kind::Double, Device::Cpu)),
            _ => first.shallow_clone(),
        };
        let out = self.conditioner.forward(&input);
        let raw = out.narrow(1, 0, d - kept);
        Coupling {
            log_scale: (raw / LARGEST_LOG_SCALE).tanh() * LARGEST_LOG_SCALE,
            shift: out.narrow(1, d - kept, d - kept),
            first,
            second,
        }
    }
}
