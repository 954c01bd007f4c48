//! Densities with exact sampling and known entropy, as references for estimates.

use costate_base::names::{nearest, suggestion};
use costate_envs::rng::{Stream, stream};
use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

use super::{Table, gaussian_constant};
use crate::density::log_sum_exp;
use crate::error::Error;

/// Draws for the entropy of a mixture.
const ENTROPY_DRAWS: usize = 100_000;

/// A mixture of bent Gaussians. A part is x = m + R g(diag(σ) ε) with ε ~ N(0, I), R orthogonal and g the shear
/// y_{2i+1} ← y_{2i+1} + b σ_{2i+1} (ε_{2i}² − 1), which preserves volume: log p(x) and, for one part, the entropy
/// Σ ½ log(2πe σ²) have closed forms.
#[derive(Debug, Clone)]
pub struct Known {
    name: &'static str,
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    mean: DVector<f64>,
    deviations: Vec<f64>,
    bend: f64,
    rotation: DMatrix<f64>,
}

/// An entropy with the standard error of its estimate, nats; 0 for a closed form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropy {
    /// −E[log p].
    pub nats: f64,
    /// Standard error.
    pub standard_error: f64,
}

impl Known {
    /// All names, by dimension.
    pub const NAMES: [&'static str; 7] = [
        "ring",
        "banana",
        "moons",
        "mixture_8d",
        "warped_8d",
        "mixture_32d",
        "warped_32d",
    ];

    /// The density called `name`.
    ///
    /// Errors: an unknown name.
    pub fn named(name: &str) -> Result<Self, Error> {
        let Some(name) = Self::NAMES.into_iter().find(|n| *n == name) else {
            return Err(Error::Misuse(format!(
                "--known {name}: unknown density{}; expected one of {}",
                suggestion(nearest(name, Self::NAMES)),
                Self::NAMES.join(", ")
            )));
        };
        let parts = match name {
            "ring" => (0..8)
                .map(|i| {
                    let angle = std::f64::consts::TAU * f64::from(i) / 8.0;
                    Part::upright([2.0 * angle.cos(), 2.0 * angle.sin()], [0.25; 2], 0.0)
                })
                .collect(),
            "banana" => vec![Part::upright([0.0, 0.0], [1.0, 0.5], 1.5)],
            "moons" => vec![
                Part::upright([-0.6, 0.1], [0.6, 0.15], -2.5),
                Part::upright([0.6, -0.1], [0.6, 0.15], 2.5),
            ],
            "mixture_8d" => (0..4).map(|i| Part::random(8, 2.0, 0.0, name, i)).collect(),
            "warped_8d" => vec![Part::random(8, 0.0, 1.0, name, 0)],
            "mixture_32d" => (0..4)
                .map(|i| Part::random(32, 1.0, 0.0, name, i))
                .collect(),
            _ => vec![Part::random(32, 0.0, 0.5, name, 0)],
        };
        Ok(Self { name, parts })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Dimensions.
    pub fn dim(&self) -> usize {
        self.parts[0].mean.len()
    }

    /// `rows` independent draws, columns `x1`, `x2`, ….
    pub fn sample(&self, rows: usize, seed: u64) -> Table {
        let mut rng = stream(seed, "ebm known density", 0);
        let values = (0..rows).flat_map(|_| self.draw(&mut rng).point).collect();
        let columns = (1..=self.dim()).map(|i| format!("x{i}")).collect();
        Table::new(columns, values)
    }

    /// log p(x), nats.
    pub fn log_density(&self, x: &[f64]) -> f64 {
        let each: Vec<f64> = self.parts.iter().map(|p| p.log_density(x)).collect();
        log_sum_exp(&each) - (each.len() as f64).ln()
    }

    /// The entropy: closed for one part. For several by Monte Carlo, with ½|ε|² of the drawn part as control variate,
    /// whose mean d/2 is known: without overlap of the parts there is no error.
    pub fn entropy(&self) -> Entropy {
        let d = self.dim() as f64;
        if let [part] = &self.parts[..] {
            let one = |s: &f64| 0.5 * (2.0 * std::f64::consts::PI * s * s).ln() + 0.5;
            return Entropy {
                nats: part.deviations.iter().map(one).sum(),
                standard_error: 0.0,
            };
        }
        let mut rng = stream(0, "ebm known entropy", 0);
        let n = ENTROPY_DRAWS as f64;
        let terms: Vec<f64> = (0..ENTROPY_DRAWS)
            .map(|_| {
                let drawn = self.draw(&mut rng);
                -self.log_density(&drawn.point) - 0.5 * drawn.noise_squared + 0.5 * d
            })
            .collect();
        let mean = terms.iter().sum::<f64>() / n;
        let variance = terms.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / (n - 1.0);
        Entropy {
            nats: mean,
            standard_error: (variance / n).sqrt(),
        }
    }

    fn draw(&self, rng: &mut Stream) -> Drawn {
        let part = &self.parts[rng.random_range(0..self.parts.len())];
        let noise: Vec<f64> = (0..self.dim())
            .map(|_| StandardNormal.sample(&mut *rng))
            .collect();
        Drawn {
            point: part.place(&noise),
            noise_squared: noise.iter().map(|e| e * e).sum(),
        }
    }
}

/// A point and |ε|² of its noise.
struct Drawn {
    point: Vec<f64>,
    noise_squared: f64,
}

impl Part {
    fn upright(mean: [f64; 2], deviations: [f64; 2], bend: f64) -> Self {
        Self {
            mean: DVector::from_row_slice(&mean),
            deviations: deviations.to_vec(),
            bend,
            rotation: DMatrix::identity(2, 2),
        }
    }

    /// Standard deviations between 0.3 and 1.5, randomly rotated; the mean is N(0, spread² I).
    fn random(dim: usize, spread: f64, bend: f64, name: &str, index: u64) -> Self {
        let mut rng = stream(0, name, index);
        let mut normal = |_: usize, _: usize| -> f64 { StandardNormal.sample(&mut rng) };
        let rotation = DMatrix::from_fn(dim, dim, &mut normal).qr().q();
        let mean = DVector::from_fn(dim, |i, j| spread * normal(i, j));
        let step = |i: usize| 0.3 * 5_f64.powf(i as f64 / (dim - 1) as f64);
        Self {
            mean,
            deviations: (0..dim).map(step).collect(),
            bend,
            rotation,
        }
    }

    fn place(&self, noise: &[f64]) -> Vec<f64> {
        let bent = |i: usize| {
            let shear = if i % 2 == 1 {
                self.bend * (noise[i - 1].powi(2) - 1.0)
            } else {
                0.0
            };
            self.deviations[i] * (noise[i] + shear)
        };
        let y = DVector::from_fn(noise.len(), |i, _| bent(i));
        (&self.mean + &self.rotation * y).iter().copied().collect()
    }

    fn log_density(&self, x: &[f64]) -> f64 {
        let y = self
            .rotation
            .tr_mul(&(DVector::from_row_slice(x) - &self.mean));
        let u: Vec<f64> = y.iter().zip(&self.deviations).map(|(y, s)| y / s).collect();
        let log_density = |i: usize| {
            let shear = if i % 2 == 1 {
                self.bend * (u[i - 1].powi(2) - 1.0)
            } else {
                0.0
            };
            -0.5 * (u[i] - shear).powi(2) - self.deviations[i].ln() - gaussian_constant(1)
        };
        (0..u.len()).map(log_density).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_integrate_to_one_and_to_their_entropy() {
        for name in ["ring", "banana", "moons"] {
            let known = Known::named(name).unwrap();
            let (step, mut mass, mut entropy) = (0.02, 0.0, 0.0);
            for i in -350..350 {
                for j in -350..1200 {
                    let l = known.log_density(&[f64::from(i) * step, f64::from(j) * step]);
                    mass += l.exp() * step * step;
                    entropy -= if l > -700.0 {
                        l.exp() * l * step * step
                    } else {
                        0.0
                    };
                }
            }
            let own = known.entropy();
            assert!((mass - 1.0).abs() < 1e-3, "{name}: {mass}");
            let error = (entropy - own.nats).abs();
            assert!(error < 4.0 * own.standard_error + 3e-3, "{name}: {error}");
        }
    }

    #[test]
    fn samples_have_the_density_that_is_claimed() {
        // E[log p] over samples is −entropy only where sampler and density agree.
        for name in Known::NAMES {
            let known = Known::named(name).unwrap();
            let table = known.sample(4000, 3);
            let logs: Vec<f64> = table.rows().map(|x| known.log_density(x)).collect();
            let mean = logs.iter().sum::<f64>() / 4000.0;
            let tolerance = 4.5 * (0.5 * known.dim() as f64 / 4000.0).sqrt() + 0.02;
            assert!((mean + known.entropy().nats).abs() < tolerance, "{name}");
        }
    }

    #[test]
    fn unknown_names_are_misuse() {
        let error = Known::named("rings").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(
            error.to_string().contains("did you mean `ring`?"),
            "{error}"
        );
    }
}
