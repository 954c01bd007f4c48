//! log Z by annealed importance sampling.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::energy::Energy;
use super::hmc::{Leap, transition};
use crate::density::{effective_sample_size, log_mean_exp};
use crate::nn;

/// How it anneals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AisSettings {
    /// Independent chains.
    pub chains: usize,
    /// Distributions from the base, left out, to the model, counted.
    pub temperatures: usize,
    /// Leapfrog steps of a transition.
    pub leapfrog: usize,
}

/// An estimate of log Z with what tells its worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AisEstimate {
    /// log Z, nats. Its mean lies below the truth, by about half its variance.
    pub log_z: f64,
    /// 95 % interval by the delta method: ± 1.96 √((1/ESS − 1/N) of the weights).
    pub ci95: [f64; 2],
    /// Effective sample size of the weights, in chains.
    pub ess: f64,
    /// Chains.
    pub chains: usize,
    /// Mean share of accepted transitions.
    pub acceptance: f64,
}

impl AisEstimate {
    /// Of logarithms of weights whose mean is Z.
    pub fn of_weights(log_weights: &[f64], acceptance: f64) -> Self {
        let log_z = log_mean_exp(log_weights);
        let ess = effective_sample_size(log_weights);
        let n = log_weights.len() as f64;
        // Var(w̄)/w̄² = (N/ESS − 1)/N
        let half = 1.96 * (1.0 / ess - 1.0 / n).max(0.0).sqrt();
        Self {
            log_z,
            ci95: [log_z - half, log_z + half],
            ess,
            chains: log_weights.len(),
            acceptance,
        }
    }

    /// Whether the interval can be believed: with fewer than a tenth of the chains in effect, or fewer than 30, the weights
    /// may have missed where they are largest.
    pub fn is_sound(&self) -> bool {
        self.ess >= 30.0_f64.max(0.1 * self.chains as f64)
    }
}

/// What annealing leaves behind.
pub struct Annealed {
    /// The estimate.
    pub estimate: AisEstimate,
    /// The chains' ends, `[chains, d]`.
    pub points: Tensor,
    /// Logarithms of their weights, `[chains]`.
    pub log_weights: Vec<f64>,
    /// Step size that suits the model.
    pub step: f64,
}

/// Share of chains that find the step sizes beforehand, and the acceptance that they aim at.
const PILOTS: usize = 8;
const ACCEPTANCE: f64 = 0.8;

/// Anneals from the energy's base to the model through p_t(x) ∝ p_0(x) exp(−t f(x)), t = (i/T)² (Neal 2001, "Annealed
/// importance sampling", equations 3 and 11): log w = −Σ_t (t_{i+1} − t_i) f(x_i), E[w] = Z. Step sizes come from pilot chains of
/// their own, so that the weights stay unbiased.
pub fn anneal(energy: &Energy, settings: &AisSettings, seed: u64) -> Annealed {
    let times: Vec<f64> = (1..=settings.temperatures)
        .map(|i| (i as f64 / settings.temperatures as f64).powi(2))
        .collect();
    let pilots = (settings.chains / PILOTS).max(16);
    let mut rng = stream(seed, "ebm ais pilot", 0);
    let mut step = (energy.dim() as f64).powf(-0.25);
    let mut steps = Vec::with_capacity(times.len());
    let mut pilot = energy.base.draw(pilots, energy.dim(), &mut rng).points;
    for &t in &times {
        let share = move_at(energy, &mut pilot, t, step, settings.leapfrog, &mut rng);
        steps.push(step);
        step = (step * (0.5 * (share - ACCEPTANCE)).exp()).clamp(1e-4, 1.5);
    }
    let mut rng = stream(seed, "ebm ais", 0);
    let mut points = energy
        .base
        .draw(settings.chains, energy.dim(), &mut rng)
        .points;
    let mut log_weights = vec![0.0; settings.chains];
    let (mut before, mut accepted) = (0.0, 0.0);
    for (&t, &step) in times.iter().zip(&steps) {
        let f = tch::no_grad(|| nn::to_f64(&energy.correction(&points)));
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

/// A transition that keeps p_t.
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

/// Transitions after resampling, which split the copies.
const SETTLING: usize = 20;

/// `count` draws from the model, about: chains' ends drawn by their weights, then moved on.
pub fn model_samples(
    energy: &Energy,
    annealed: &Annealed,
    count: usize,
    leapfrog: usize,
    seed: u64,
) -> Tensor {
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
