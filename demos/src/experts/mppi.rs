//! Model predictive path integral control on the simulator itself.
//!
//! Williams, Aldrich and Theodorou, "Model predictive path integral control: from theory to
//! parallel computation", Journal of Guidance, Control, and Dynamics 40(2), 2017: from the current
//! state, K perturbed copies of the last plan are simulated over H steps; the new plan is their
//! mean, weighted by exp(−cost/λ). The true cost contains the action's, so the paper's extra control
//! term is left out. The temperature λ is a share of the spread of the sampled costs, so that it
//! is scale-free. Perturbations are correlated in time (AR(1)): independent ones average out.
//!
//! The mean action depends on the plan carried over from earlier steps and on the sampled
//! perturbations, not on the state alone; the recorded log-density is that of the command given
//! this mean.

use costate_envs::rng::stream;
use costate_envs::{End, Env, EnvError, EnvFactory, SavedState};
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use serde_json::{Value, json};

use super::pace::Pace;
use super::{Expert, Margins};

/// Settings of the planner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MppiParameters {
    /// Sampled plans K per iteration.
    pub samples: usize,
    /// Control steps H planned ahead.
    pub horizon_steps: usize,
    /// Iterations at each step from the shifted plan.
    pub iterations: usize,
    /// Iterations at the first step of an episode, from the zero plan.
    pub first_iterations: usize,
    /// λ as a share of the standard deviation of the sampled costs.
    pub relative_temperature: f64,
    /// Standard deviation of the perturbations as a share of the usable action range.
    pub noise_share: f64,
    /// Correlation of successive perturbations.
    pub noise_correlation: f64,
}

impl MppiParameters {
    /// Settings chosen for a registered environment, or those for any other.
    pub fn for_env(env: &str) -> Self {
        let base = Self {
            samples: 48,
            horizon_steps: 35,
            iterations: 1,
            first_iterations: 8,
            relative_temperature: 0.1,
            noise_share: 0.2,
            noise_correlation: 0.9,
        };
        match env {
            // 1.2 s ahead is enough to see round the obstacle.
            "point_mass" => Self {
                samples: 32,
                horizon_steps: 12,
                noise_share: 0.15,
                noise_correlation: 0.8,
                ..base
            },
            _ => base,
        }
    }

    /// The same planner at another control rate, with the same durations in seconds.
    pub(super) fn at(self, pace: Pace) -> Self {
        Self {
            horizon_steps: pace.steps(self.horizon_steps),
            noise_correlation: pace.decay(self.noise_correlation),
            ..self
        }
    }

    /// For the dataset.
    pub fn describe(&self) -> Value {
        json!(self)
    }
}

/// The planner; its plan is kept from step to step.
pub struct MppiExpert {
    parameters: MppiParameters,
    margins: Margins,
    planner: Box<dyn Env>,
    /// Mean plan, row-major `[H, m]`.
    plan: Vec<f64>,
    seed: u64,
    /// Mean calls since the start of the episode.
    calls: u64,
    /// Workspace: sampled plans `[K, H, m]` and their costs `[K]`.
    samples: Vec<f64>,
    costs: Vec<f64>,
}

impl MppiExpert {
    /// A planner for the environment of `factory` whose plans stay within `margins`.
    pub fn new(factory: &EnvFactory, parameters: MppiParameters, margins: Margins) -> Self {
        let size = parameters.horizon_steps * margins.low.len();
        Self {
            planner: factory.build(),
            plan: vec![0.0; size],
            seed: 0,
            calls: 0,
            samples: vec![0.0; parameters.samples * size],
            costs: vec![0.0; parameters.samples],
            parameters,
            margins,
        }
    }

    /// One iteration of the paper's algorithm from `state`.
    fn improve(&mut self, state: &SavedState, iteration: u64) -> Result<(), EnvError> {
        let p = self.parameters;
        let (size, m) = (self.plan.len(), self.margins.low.len());
        let mut rng = stream(self.seed, "mppi", self.calls << 8 | iteration);
        for (k, sample) in self.samples.chunks_exact_mut(size).enumerate() {
            sample.copy_from_slice(&self.plan);
            // The first sample is the plan itself, so that an iteration cannot lose it.
            if k > 0 {
                perturb(sample, &p, &self.margins, &mut rng);
            }
            self.planner.load(state)?;
            let mut cost = 0.0;
            let mut action = vec![0.0; m];
            for planned in sample.chunks_exact(m) {
                action
                    .iter_mut()
                    .zip(planned)
                    .for_each(|(a, p)| *a = *p as f32);
                let step = self.planner.step(&action)?;
                cost += step.cost;
                if step.end != End::Running {
                    break;
                }
            }
            self.costs[k] = cost;
        }
        let best = self.costs.iter().copied().fold(f64::INFINITY, f64::min);
        let n = self.costs.len() as f64;
        let mean = self.costs.iter().sum::<f64>() / n;
        let variance = self.costs.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / n;
        let temperature = (p.relative_temperature * variance.sqrt()).max(f64::MIN_POSITIVE);
        let weight = |cost: f64| (-(cost - best) / temperature).exp();
        let total: f64 = self.costs.iter().map(|&c| weight(c)).sum();
        self.plan.fill(0.0);
        for (sample, &cost) in self.samples.chunks_exact(size).zip(&self.costs) {
            let weight = weight(cost) / total;
            self.plan
                .iter_mut()
                .zip(sample)
                .for_each(|(p, s)| *p += weight * s);
        }
        Ok(())
    }
}

/// Adds correlated Gaussian noise to a plan and moves it within the margins.
fn perturb(
    plan: &mut [f64],
    parameters: &MppiParameters,
    margins: &Margins,
    rng: &mut costate_envs::rng::Stream,
) {
    let (m, rho) = (margins.low.len(), parameters.noise_correlation);
    let fresh = (1.0 - rho * rho).sqrt();
    let mut noise: Vec<f64> = (0..m).map(|_| StandardNormal.sample(rng)).collect();
    for step in plan.chunks_exact_mut(m) {
        for (i, a) in step.iter_mut().enumerate() {
            let range = margins.high[i] - margins.low[i];
            *a += parameters.noise_share * range * noise[i];
            let z: f64 = StandardNormal.sample(rng);
            noise[i] = rho * noise[i] + fresh * z;
        }
        margins.clamp(step);
    }
}

impl Expert for MppiExpert {
    fn begin(&mut self, seed: u64) {
        self.seed = seed;
        self.calls = 0;
        self.plan.fill(0.0);
    }

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let (state, m) = (env.save(), out.len());
        let iterations = if self.calls == 0 {
            self.parameters.first_iterations
        } else {
            self.plan.rotate_left(m);
            let last = self.plan.len() - m;
            self.plan.copy_within(last - m..last, last);
            self.parameters.iterations
        };
        for iteration in 0..iterations {
            self.improve(&state, iteration as u64)?;
        }
        self.calls += 1;
        out.copy_from_slice(&self.plan[..m]);
        Ok(())
    }
}
