//! Generators: densities that can be evaluated, sampled, and trained by gradients.

use costate_envs::rng::Stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::flow::Flow;
use super::in_chunks;
use super::mixture::Mixture;
use super::settings::{FlowSettings, Settings};
use crate::nn::{StateDict, StateError};

/// Family of a generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum GeneratorKind {
    /// An affine-coupling flow.
    Flow,
    /// A Gaussian mixture.
    Mixture,
}

/// q(x).
#[derive(Debug)]
pub enum Generator {
    /// An affine-coupling flow.
    Flow(Flow),
    /// A Gaussian mixture.
    Mixture(Mixture),
}

/// Architecture of a generator, needed before its weights are read; part of a model's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// Components of the latent density, layers and their conditioners' hidden layers.
    Flow {
        /// Components.
        components: usize,
        /// Coupling layers.
        layers: usize,
        /// Units of the conditioners' hidden layers.
        hidden: Vec<usize>,
    },
    /// Components of a mixture.
    Mixture {
        /// Number of components.
        components: usize,
    },
}

impl Shape {
    /// Checks the tensors below `prefix`, before a generator of this shape is created: a header can claim any size.
    pub fn check(&self, dim: usize, state: &StateDict, prefix: &str) -> Result<(), StateError> {
        let mixture = |prefix: &str, k: usize| {
            let shapes = [
                ("logits", vec![k]),
                ("means", vec![k, dim]),
                ("lower", vec![k, dim, dim]),
                ("log_diagonals", vec![k, dim]),
            ];
            shapes
                .iter()
                .try_for_each(|(name, shape)| state.check_shape(&format!("{prefix}{name}"), shape))
        };
        match self {
            Self::Mixture { components } => mixture(prefix, *components),
            Self::Flow {
                components,
                layers,
                hidden,
            } => {
                mixture(&format!("{prefix}latent."), *components)?;
                let sizes = Flow::conditioner(dim, hidden);
                // Ends at the first layer that is not there.
                (0..*layers).try_for_each(|i| {
                    state.check_shape(&format!("{prefix}{i}.lower"), &[dim, dim])?;
                    state.check_shape(&format!("{prefix}{i}.upper"), &[dim, dim])?;
                    state.check_shape(&format!("{prefix}{i}.log_diagonal"), &[dim])?;
                    state.check_layers(&format!("{prefix}{i}.conditioner."), &sizes)
                })
            }
        }
    }

    /// Whether it is what [`Generator::shape`] says of a generator built according to `settings`.
    pub fn is_of(&self, settings: &Settings) -> bool {
        let FlowSettings { layers, hidden, .. } = &settings.flow;
        match self {
            Self::Flow {
                layers: own_layers,
                hidden: own_hidden,
                ..
            } => own_layers == layers && own_hidden == hidden,
            Self::Mixture { .. } => true,
        }
    }
}

/// Points with their log-densities.
#[derive(Debug)]
pub struct Drawn {
    /// `[N, d]`.
    pub points: Tensor,
    /// log q, `[N]`.
    pub log_density: Tensor,
}

impl Generator {
    /// With this architecture and placeholder weights.
    pub fn blank(shape: &Shape, dim: usize, rng: &mut Stream) -> Self {
        match shape {
            Shape::Flow {
                components,
                layers,
                hidden,
            } => {
                let latent = Mixture::blank(dim, *components);
                Self::Flow(Flow::new(latent, *layers, hidden, rng))
            }
            Shape::Mixture { components } => Self::Mixture(Mixture::blank(dim, *components)),
        }
    }

    /// Its architecture, with flows built according to `settings`.
    pub fn shape(&self, settings: &Settings) -> Shape {
        let FlowSettings { layers, hidden, .. } = &settings.flow;
        match self {
            Self::Flow(flow) => Shape::Flow {
                components: flow.components(),
                layers: *layers,
                hidden: hidden.clone(),
            },
            Self::Mixture(mixture) => Shape::Mixture {
                components: mixture.components(),
            },
        }
    }

    /// Components of the mixture, or of the flow's latent density.
    pub fn components(&self) -> usize {
        match self {
            Self::Flow(flow) => flow.components(),
            Self::Mixture(mixture) => mixture.components(),
        }
    }

    /// log q of every row, `[N, d] → [N]`.
    pub fn log_density(&self, x: &Tensor) -> Tensor {
        match self {
            Self::Flow(flow) => flow.log_density(x),
            Self::Mixture(mixture) => mixture.log_density(x),
        }
    }

    /// Independent draws, without gradients.
    pub fn draw(&self, count: usize, rng: &mut Stream) -> Drawn {
        crate::nn::no_grad(|| match self {
            Self::Flow(flow) => flow.draw(count, rng),
            Self::Mixture(mixture) => {
                let points = mixture.draw(count, rng);
                let log_density = in_chunks(&points, &|x| mixture.log_density(x));
                Drawn {
                    points,
                    log_density,
                }
            }
        })
    }

    /// E_q[c + log q] from about `count` draws, differentiable in q's parameters: the generator's loss, cost minus
    /// entropy (theory, statement 3). `energy` gives c of points `[N, d] → [N]`.
    pub fn loss(
        &self,
        energy: &dyn Fn(&Tensor) -> Tensor,
        count: usize,
        rng: &mut Stream,
    ) -> Tensor {
        let free_energy = |drawn: &Drawn| energy(&drawn.points) + &drawn.log_density;
        match self {
            Self::Flow(flow) => flow.expectation(&free_energy, count, rng),
            Self::Mixture(mixture) => mixture.expectation(&free_energy, count, rng),
        }
    }

    /// Trainable tensors with names that begin with `prefix`; they share storage with the generator.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        match self {
            Self::Flow(flow) => flow.named(prefix),
            Self::Mixture(mixture) => mixture.named(prefix),
        }
    }

    /// Trainable tensors.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.named("").into_iter().map(|(_, t)| t).collect()
    }

    /// Its weights.
    pub fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        state.extend(self.named(""));
        state
    }

    /// Restores the weights written by [`Generator::save`].
    pub fn load(&self, state: &StateDict) -> Result<(), StateError> {
        state.copy_all(self.named(""))
    }
}

#[cfg(test)]
mod tests {
    use costate_envs::rng::stream;
    use tch::Kind;

    use super::*;
    use crate::ebm::normals;
    use crate::nn;

    /// A generator of some kind with all weights perturbed at random.
    fn moved(shape: &Shape, dim: usize, by: f64) -> Generator {
        let mut rng = stream(4, "moved", dim as u64);
        let generator = Generator::blank(shape, dim, &mut rng);
        crate::nn::no_grad(|| {
            for mut t in generator.parameters() {
                let count = t.numel();
                let noise = normals(count, 1, &mut rng).view_as(&t) * by;
                let _ = t.g_add_(&noise);
            }
        });
        generator
    }

    fn shapes() -> [Shape; 2] {
        [
            Shape::Flow {
                components: 2,
                layers: 4,
                hidden: vec![8],
            },
            Shape::Mixture { components: 3 },
        ]
    }

    #[test]
    fn densities_integrate_to_one() {
        for shape in shapes() {
            let line: Vec<f64> = (-20_000..20_000).map(|i| f64::from(i) * 0.005).collect();
            let one = moved(&shape, 1, 0.4).log_density(&Tensor::from_slice(&line).view([-1, 1]));
            let mass = one.exp().sum(Kind::Double).double_value(&[]) * 0.005;
            assert!((mass - 1.0).abs() < 1e-6, "{shape:?}: {mass}");
            let side: Vec<f64> = (-300..300).map(|i| f64::from(i) * 0.05).collect();
            let grid: Vec<f64> = side
                .iter()
                .flat_map(|x| side.iter().flat_map(move |y| [*x, *y]))
                .collect();
            let two = moved(&shape, 2, 0.2).log_density(&Tensor::from_slice(&grid).view([-1, 2]));
            let mass = two.exp().sum(Kind::Double).double_value(&[]) * 0.0025;
            assert!((mass - 1.0).abs() < 2e-3, "{shape:?}: {mass}");
        }
    }

    #[test]
    fn draws_carry_their_density_and_come_from_it() {
        for shape in shapes() {
            let generator = moved(&shape, 3, 0.3);
            let drawn = generator.draw(20_000, &mut stream(1, "draw", 0));
            let again = generator.log_density(&drawn.points);
            let difference = (&again - &drawn.log_density).abs().max().double_value(&[]);
            assert!(difference < 1e-9, "{shape:?}: {difference}");
            // E_q[N(x; 0, 4 I) / q(x)] = 1: detects a wrong volume.
            let wide = crate::ebm::log_standard_normal(&(&drawn.points / 0.7)) - 3.0 * 0.7_f64.ln();
            let ratio = nn::to_f64(&(wide - again).exp());
            let mean = ratio.iter().sum::<f64>() / 2e4;
            let spread = ratio.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / 2e4;
            assert!(
                (mean - 1.0).abs() < 5.0 * (spread / 2e4).sqrt(),
                "{shape:?}: {mean}"
            );
        }
    }

    #[test]
    fn the_flows_volume_is_the_jacobians() {
        let Generator::Flow(flow) = moved(&shapes()[0], 3, 0.5) else {
            panic!("another kind");
        };
        let x = normals(1, 3, &mut stream(2, "x", 0)).set_requires_grad(true);
        let u = flow.noise_of(&x);
        let rows: Vec<Tensor> = (0..3)
            .map(|i| Tensor::run_backward(&[u.get(0).get(i)], &[&x], true, false).remove(0))
            .collect();
        let volume = Tensor::cat(&rows, 0).det().abs().log().double_value(&[]);
        let claimed = flow.log_density(&x) - flow.latent_density_of(&u);
        assert!((volume - claimed.double_value(&[0])).abs() < 1e-10);
    }

    #[test]
    fn the_loss_has_the_gradient_of_finite_differences() {
        // A quadratic energy and common random numbers: the loss is a smooth function of the parameters. For the
        // mixture that covers its weights, which no draw depends on.
        let energy = |x: &Tensor| crate::ebm::row_sums(&((x - 0.3).square() * 0.8));
        for shape in shapes() {
            let generator = moved(&shape, 2, 0.3);
            let loss = || generator.loss(&energy, 60, &mut stream(3, "loss", 0));
            let parameters = generator.parameters();
            let gradients = Tensor::run_backward(&[loss()], &parameters, false, false);
            for (p, g) in parameters.iter().zip(&gradients) {
                let g = nn::to_f64(g);
                for (i, g) in g.iter().enumerate() {
                    let nudge = |by: f64| {
                        crate::nn::no_grad(|| {
                            let mut flat = p.view(-1).narrow(0, i as i64, 1);
                            let _ = flat.g_add_scalar_(by);
                        });
                    };
                    nudge(1e-5);
                    let above = loss().double_value(&[]);
                    nudge(-2e-5);
                    let below = loss().double_value(&[]);
                    nudge(1e-5);
                    let slope = (above - below) / 2e-5;
                    assert!(
                        (slope - g).abs() < 1e-5 * (1.0 + g.abs()),
                        "{shape:?}: {slope} {g}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_mixtures_loss_estimates_the_expectation() {
        // E_q[c + log q] by plain draws from the mixture, with random components.
        let generator = moved(&Shape::Mixture { components: 3 }, 2, 0.8);
        let energy = |x: &Tensor| crate::ebm::row_sums(&x.square());
        let stratified = generator.loss(&energy, 60_000, &mut stream(5, "loss", 0));
        let drawn = generator.draw(60_000, &mut stream(6, "draw", 0));
        let plain = energy(&drawn.points) + drawn.log_density;
        let error = plain.std(true).double_value(&[]) / (60_000.0_f64).sqrt();
        let difference = (stratified - plain.mean(Kind::Double)).double_value(&[]);
        // Stratified draws have less error than plain ones.
        let bound = 4.0 * error * 2.0_f64.sqrt();
        assert!(difference.abs() < bound, "{difference} {bound}");
    }
}
