//! log Z by annealed importance sampling.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::NORMAL_95;
use super::energy::Energy;
use super::hmc::{Leap, transition};
use crate::density::{effective_sample_size, log_mean_exp};
use crate::nn;

/// Settings of the annealing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AisSettings {
    /// Independent chains.
    #[schemars(range(min = 100))]
    pub chains: usize,
    /// Number of distributions from the base (excluded) to the model (included).
    #[schemars(range(min = 1))]
    pub temperatures: usize,
    /// Leapfrog steps per transition.
    #[schemars(range(min = 1))]
    pub leapfrog: usize,
}

/// An estimate of log Z with its reliability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AisEstimate {
    /// log Z, nats. Biased low, by about half its variance.
    pub log_z: f64,
    /// Its standard error by the delta method: √(1/ESS − 1/N) of the weights.
    pub standard_error: f64,
    /// 95 % interval, from the standard error.
    pub ci95: [f64; 2],
    /// Effective sample size of the weights, in chains.
    pub ess: f64,
    /// Chains.
    pub chains: usize,
    /// Mean share of accepted transitions.
    pub acceptance: f64,
}

impl AisEstimate {
    /// From log-weights whose weights have mean Z.
    pub fn of_weights(log_weights: &[f64], acceptance: f64) -> Self {
        let log_z = log_mean_exp(log_weights);
        let ess = effective_sample_size(log_weights);
        let n = log_weights.len() as f64;
        // Var(w̄)/w̄² = (N/ESS − 1)/N
        let standard_error = (1.0 / ess - 1.0 / n).max(0.0).sqrt();
        let half = NORMAL_95 * standard_error;
        Self {
            log_z,
            standard_error,
            ci95: [log_z - half, log_z + half],
            ess,
            chains: log_weights.len(),
            acceptance,
        }
    }

    /// Whether the interval is reliable: with an effective sample size below a tenth of the chains, or below 30, the
    /// weights may have missed their largest values.
    pub fn is_sound(&self) -> bool {
        self.ess >= 30.0_f64.max(0.1 * self.chains as f64)
    }
}

/// Result of annealing.
pub struct Annealed {
    /// The estimate.
    pub estimate: AisEstimate,
    /// The chains' ends, `[chains, d]`.
    pub points: Tensor,
    /// Logarithms of their weights, `[chains]`.
    pub log_weights: Vec<f64>,
    /// Step size tuned for the model.
    pub step: f64,
}

/// Share of pilot chains that tune the step sizes, and their target acceptance.
const PILOTS: usize = 8;
const ACCEPTANCE: f64 = 0.8;

/// Anneals from the energy's base to the model through p_t(x) ∝ p_0(x) exp(−t f(x)), t = (i/T)² (Neal 2001, "Annealed
/// importance sampling", equations 3 and 11): log w = −Σ_t (t_{i+1} − t_i) f(x_i), E[w] = Z. Step sizes come from
/// separate pilot chains, so that the weights stay unbiased. `name` names the random stream: estimates that select a
/// model and the one that evaluates it must be independent.
pub fn anneal(energy: &Energy, settings: &AisSettings, name: &str, seed: u64) -> Annealed {
    let times: Vec<f64> = (1..=settings.temperatures)
        .map(|i| (i as f64 / settings.temperatures as f64).powi(2))
        .collect();
    let pilots = (settings.chains / PILOTS).max(16);
    let mut rng = stream(seed, &format!("{name} pilot"), 0);
    let mut step = (energy.dim() as f64).powf(-0.25);
    let mut steps = Vec::with_capacity(times.len());
    let mut pilot = energy.base.draw(pilots, energy.dim(), &mut rng).points;
    for &t in &times {
        let share = move_at(energy, &mut pilot, t, step, settings.leapfrog, &mut rng);
        steps.push(step);
        step = (step * (0.5 * (share - ACCEPTANCE)).exp()).clamp(1e-4, 1.5);
    }
    let mut rng = stream(seed, name, 0);
    let mut points = energy
        .base
        .draw(settings.chains, energy.dim(), &mut rng)
        .points;
    let mut log_weights = vec![0.0; settings.chains];
    let (mut before, mut accepted) = (0.0, 0.0);
    for (&t, &step) in times.iter().zip(&steps) {
        let f = nn::no_grad(|| nn::to_f64(&energy.correction(&points)));
        for (w, f) in log_weights.iter_mut().zip(f) {
            *w -= (t - before) * f;
        }
        before = t;
        accepted += move_at(energy, &mut points, t, step, settings.leapfrog, &mut rng);
    }
    Annealed {
        estimate: AisEstimate::of_weights(&log_weights, accepted / times.len() as f64),
        points,
        log_weights,
        step,
    }
}

/// A transition that leaves p_t invariant.
fn move_at(
    energy: &Energy,
    points: &mut Tensor,
    t: f64,
    step: f64,
    count: usize,
    rng: &mut Stream,
) -> f64 {
    let density = |x: &Tensor| energy.base.log_density(x) - energy.correction(x) * t;
    transition(points, &density, Leap { step, count }, rng)
}

/// Transitions after resampling, which decorrelate copies.
const SETTLING: usize = 20;

/// `count` approximate draws from the model: resampled chain ends, then moved by further transitions. `[count, d]`.
pub fn model_samples(
    energy: &Energy,
    annealed: &Annealed,
    count: usize,
    leapfrog: usize,
    seed: u64,
) -> Tensor {
    if count == 0 {
        return annealed.points.narrow(0, 0, 0);
    }
    let mut rng = stream(seed, "ebm samples", 0);
    let top = annealed
        .log_weights
        .iter()
        .copied()
        .fold(f64::NEG_INFINITY, f64::max);
    let mut total = 0.0;
    let sums: Vec<f64> = annealed
        .log_weights
        .iter()
        .map(|l| {
            total += (l - top).exp();
            total
        })
        .collect();
    let chosen: Vec<i64> = (0..count)
        .map(|_| {
            let at = rng.random::<f64>() * total;
            sums.partition_point(|s| *s <= at).min(sums.len() - 1) as i64
        })
        .collect();
    let mut points = annealed
        .points
        .index_select(0, &Tensor::from_slice(&chosen));
    for _ in 0..SETTLING {
        move_at(energy, &mut points, 1.0, annealed.step, leapfrog, &mut rng);
    }
    points
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::ebm::energy::{Base, Form};
    use crate::ebm::generator::{Generator, Shape};

    const SETTINGS: AisSettings = AisSettings {
        chains: 2000,
        temperatures: 60,
        leapfrog: 3,
    };

    /// An energy whose correction is w · tanh(s x_0) + b: one hidden unit.
    fn tilted(base: Base, dim: usize, weight: f64) -> Energy {
        let energy = Energy::new(base, dim, Form::Scalar, &[1], &mut stream(0, "tilted", 0));
        nn::no_grad(|| {
            for (name, mut t) in energy.correction.named("") {
                let value = match name.as_str() {
                    "0.weight" => 0.0,
                    "1.weight" => weight,
                    "1.bias" => 0.7,
                    _ => 0.1,
                };
                let _ = t.fill_(value);
                if name == "0.weight" {
                    let _ = t.narrow(1, 0, 1).fill_(2.0);
                }
            }
        });
        energy
    }

    /// Z = E_{p_0}[exp(−f)] by quadrature over x_0, which alone f depends on, with N(0, 1) there.
    fn quadrature(weight: f64) -> f64 {
        let step = 1e-3;
        let z: f64 = (-8000..8000)
            .map(|i| {
                let x = f64::from(i) * step;
                let f = weight * (2.0 * x + 0.1).tanh() + 0.7;
                (-0.5 * x * x - f).exp() * step
            })
            .sum();
        (z / (2.0 * std::f64::consts::PI).sqrt()).ln()
    }

    #[test]
    fn log_z_of_a_tilted_gaussian_lies_in_its_interval() {
        for (dim, weight) in [(1, 3.0), (8, -4.0)] {
            let estimate = anneal(&tilted(Base::Gaussian, dim, weight), &SETTINGS, "a", 1).estimate;
            let truth = quadrature(weight);
            let [low, high] = estimate.ci95;
            // Twice the interval: one in twenty would miss otherwise.
            let slack = 0.5 * (high - low);
            assert!(
                (low - slack..high + slack).contains(&truth),
                "{truth} {estimate:?}"
            );
            assert!(high - low < 0.15 && estimate.is_sound(), "{estimate:?}");
        }
    }

    #[test]
    fn a_wide_or_narrow_start_still_finds_log_z() {
        // Base: a mixture of three equal N(0, I), the Gaussian under another name.
        let mixture =
            Generator::blank(&Shape::Mixture { components: 3 }, 4, &mut stream(0, "m", 0));
        let estimate = anneal(&tilted(Base::Clone(mixture), 4, 2.0), &SETTINGS, "a", 2).estimate;
        let [low, high] = estimate.ci95;
        let truth = quadrature(2.0);
        assert!(
            (low - 0.05..high + 0.05).contains(&truth),
            "{truth} {estimate:?}"
        );
    }

    #[test]
    fn model_samples_have_the_models_moments() {
        let energy = tilted(Base::Gaussian, 2, 3.0);
        let annealed = anneal(&energy, &SETTINGS, "a", 3);
        let none = model_samples(&energy, &annealed, 0, 3, 3);
        assert_eq!(none.size(), [0, 2]);
        let samples = model_samples(&energy, &annealed, 4000, 3, 3);
        let (mut mass, mut moment) = (0.0, 0.0);
        for i in -8000..8000 {
            let x = f64::from(i) * 1e-3;
            let p = (-0.5 * x * x - 3.0 * (2.0 * x + 0.1).tanh()).exp();
            mass += p;
            moment += p * x;
        }
        let mean = samples.narrow(1, 0, 1).mean(Kind::Double).double_value(&[]);
        assert!(
            (mean - moment / mass).abs() < 0.06,
            "{mean} {}",
            moment / mass
        );
    }

    #[test]
    fn few_effective_chains_are_not_sound() {
        let mut weights = vec![0.0; 500];
        let even = AisEstimate::of_weights(&weights, 1.0);
        assert!(even.is_sound() && even.standard_error < 1e-6, "{even:?}");
        weights[0] = 12.0;
        let estimate = AisEstimate::of_weights(&weights, 1.0);
        assert!(!estimate.is_sound() && estimate.ess < 2.0);
        let half = 0.5 * (estimate.ci95[1] - estimate.ci95[0]);
        assert!((half - 1.96 * estimate.standard_error).abs() < 1e-12);
    }
}
