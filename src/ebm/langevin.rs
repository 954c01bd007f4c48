//! Langevin dynamics as the source of negatives: maximum likelihood with persistent chains.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::ais::{AisSettings, anneal};
use super::energy::Energy;
use super::hmc::{Leap, slope, transition};
use super::learn::{
    Average, Best, Check, Data, Stage, Watch, adam, check_finite, indices, left, size_of_correction,
};
use super::normals;
use super::settings::Settings;
use crate::error::Error;
use costate_base::schema::{positive, proper_fraction};

/// How chains move and when they stop.
///
/// Step sizes: all steps of a round use the round's ε, which decays geometrically from `step` to `step · step_left`
/// over the training. Noise: ε · N(0, I) in every step, temperature 1 for a drift of (ε²/2) ∇E.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LangevinSettings {
    /// Persistent chains.
    #[schemars(range(min = 2))]
    pub chains: usize,
    /// ε of the first round, in standard deviations of the data.
    #[schemars(transform = positive)]
    pub step: f64,
    /// Share of it left in the last round.
    #[schemars(transform = positive)]
    pub step_left: f64,
    /// Minimum steps per round; the stopping rule checks the energy at this interval.
    #[schemars(range(min = 1))]
    pub least_steps: usize,
    /// Maximum steps per round.
    pub most_steps: usize,
    /// Whether to accept or reject steps so that the model is exactly invariant (Metropolis).
    pub adjusted: bool,
    /// Share of the chains restarted from the base in every round.
    #[schemars(transform = proper_fraction)]
    pub restarts: f64,
}

/// Annealing of a check: short, as only differences matter.
const CHECK: AisSettings = AisSettings {
    chains: 1024,
    temperatures: 40,
    leapfrog: 1,
};

/// Chains that persist across rounds.
pub struct Chains {
    /// Positions, `[chains, d]`.
    pub points: Tensor,
    /// Steps of the last round.
    pub steps: usize,
}

impl Chains {
    /// Moves the chains until their energy no longer decreases.
    ///
    /// x ← x − (ε²/2) ∇E(x) + ε ξ, ξ ~ N(0, I). Every `least_steps` steps the mean energy is compared with that before them: once
    /// it has decreased by less than its standard error √(Var(E)/chains), the chains have converged for this energy and
    /// further steps only mix. They stop then, or after `most_steps`.
    pub fn run(
        &mut self,
        energy: &dyn Fn(&Tensor) -> Tensor,
        step: f64,
        settings: &LangevinSettings,
        rng: &mut Stream,
    ) {
        let mean = |points: &Tensor| {
            let e = crate::nn::no_grad(|| energy(points));
            let error = (e.var(true) / e.size()[0] as f64).sqrt();
            (
                e.mean(Kind::Double).double_value(&[]),
                error.double_value(&[]),
            )
        };
        let (mut before, _) = mean(&self.points);
        self.steps = 0;
        while self.steps < settings.most_steps {
            for _ in 0..settings.least_steps.min(settings.most_steps - self.steps) {
                self.step(energy, step, settings.adjusted, rng);
                self.steps += 1;
            }
            let (now, error) = mean(&self.points);
            if before - now < error {
                break;
            }
            before = now;
        }
    }

    fn step(
        &mut self,
        energy: &dyn Fn(&Tensor) -> Tensor,
        step: f64,
        adjusted: bool,
        rng: &mut Stream,
    ) {
        let log_density = |x: &Tensor| -energy(x);
        if adjusted {
            // One leapfrog step from fresh momentum is this step with its acceptance.
            transition(&mut self.points, &log_density, Leap { step, count: 1 }, rng);
            return;
        }
        let drift = slope(&log_density, &self.points).gradient * (0.5 * step * step);
        let size = self.points.size();
        self.points =
            &self.points + drift + normals(size[0] as usize, size[1] as usize, rng) * step;
    }
}

/// Trains `energy` by the gradient of the log-likelihood, E_P[∂c] − E_Q[∂c] with Q the chains; it ends at
/// its best check on the validation rows.
pub fn train(
    energy: &Energy,
    data: &Data,
    settings: &Settings,
    seed: u64,
    watch: &mut Watch,
) -> Result<Best, Error> {
    let langevin = &settings.langevin;
    let mut optimizer = adam(settings.learning_rate, energy.correction.parameters());
    let begin = |count: usize, rng: &mut Stream| energy.base.draw(count, energy.dim(), rng).points;
    let mut chains = Chains {
        points: begin(langevin.chains, &mut stream(seed, "ebm chains", 0)),
        steps: 0,
    };
    let mut best = Best::start(check(energy, data, seed), energy, None);
    let mut average = Average::new(energy.correction.parameters(), settings.averaging);
    let every = settings.rounds.div_ceil(settings.checks);
    for k in 0..settings.rounds {
        optimizer.set_learning_rate(settings.learning_rate * left(settings, k));
        let mut rng = stream(seed, "ebm langevin", k as u64);
        let restarted = (0..langevin.chains).map(|_| rng.random::<f64>() < langevin.restarts);
        let restarted: Vec<bool> = restarted.collect();
        if restarted.contains(&true) {
            let anew = begin(langevin.chains, &mut rng);
            let which = Tensor::from_slice(&restarted).unsqueeze(1);
            chains.points = anew.where_self(&which, &chains.points);
        }
        let progress = k as f64 / settings.rounds as f64;
        let step = langevin.step * langevin.step_left.powf(progress);
        chains.run(&|x| energy.of(x), step, langevin, &mut rng);
        let rows = data.training.index_select(
            0,
            &indices(data.training.size()[0], settings.batch, &mut rng),
        );
        let (f_p, f_q) = (energy.correction(&rows), energy.correction(&chains.points));
        let penalty = size_of_correction(&f_p, &f_q) * settings.correction_penalty;
        // The base has no weights: ∂c = ∂f.
        optimizer.step(&(f_p.mean(Kind::Double) - f_q.mean(Kind::Double) + penalty));
        average.update();
        if (k + 1) % every == 0 || k + 1 == settings.rounds {
            let rate = ("learning_rate", settings.learning_rate);
            check_finite("the energy", &energy.correction.parameters(), &[rate])?;
            average.with(|| best.offer(check(energy, data, seed), energy, None));
        }
        let message = format!("{}, {} Langevin steps", best.describe(), chains.steps);
        watch.at(Stage::Energy, k + 1, settings.rounds, &message)?;
    }
    best.restore(energy, None)?;
    Ok(best)
}

fn check(energy: &Energy, data: &Data, seed: u64) -> Check {
    let annealed = anneal(energy, &CHECK, "ebm ais check", seed);
    Check::of(energy, data, &annealed.estimate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: LangevinSettings = LangevinSettings {
        chains: 4000,
        step: 0.3,
        step_left: 1.0,
        least_steps: 10,
        most_steps: 400,
        adjusted: false,
        restarts: 0.0,
    };

    /// ½ (x/σ)² in two dimensions with σ = (0.5, 1), around (1, −1).
    fn bowl(x: &Tensor) -> Tensor {
        let scaled = (x - Tensor::from_slice(&[1.0, -1.0])) / Tensor::from_slice(&[0.5, 1.0]);
        super::super::row_sums(&scaled.square()) * 0.5
    }

    fn run(adjusted: bool) -> Chains {
        let mut rng = stream(0, "test", 0);
        let points = normals(SETTINGS.chains, 2, &mut rng) + 4.0;
        let mut chains = Chains { points, steps: 0 };
        let settings = LangevinSettings {
            adjusted,
            ..SETTINGS
        };
        chains.run(&bowl, 0.3, &settings, &mut rng);
        // The rule ends the descent; variances take a little longer.
        let mixing = LangevinSettings {
            least_steps: 100,
            most_steps: 100,
            ..settings
        };
        let descent = chains.steps;
        chains.run(&bowl, 0.3, &mixing, &mut rng);
        chains.steps = descent;
        chains
    }

    #[test]
    fn chains_sample_a_gaussian() {
        for adjusted in [false, true] {
            let chains = run(adjusted);
            for (i, (centre, sigma)) in [(1.0, 0.5_f64), (-1.0, 1.0)].into_iter().enumerate() {
                let x = chains.points.narrow(1, i as i64, 1);
                let mean = x.mean(Kind::Double).double_value(&[]);
                let variance = x.var(true).double_value(&[]);
                // Without acceptance the stationary variance is σ² / (1 − ε²/(4σ²)).
                let bias = if adjusted {
                    1.0
                } else {
                    1.0 / (1.0 - 0.09 / (4.0 * sigma * sigma))
                };
                let expected = sigma * sigma * bias;
                assert!(
                    (mean - centre).abs() < 0.07 * sigma,
                    "{adjusted} {i}: {mean}"
                );
                let error = (variance / expected - 1.0).abs();
                assert!(error < 0.08, "{adjusted} {i}: {variance} {expected}");
            }
        }
    }

    #[test]
    fn chains_stop_when_the_energy_no_longer_falls() {
        let far = run(true).steps;
        assert!(far > 10 && far < 400, "{far}");
        // Converged chains stop at the first check.
        let mut rng = stream(1, "test", 0);
        let points = normals(4000, 2, &mut rng) * Tensor::from_slice(&[0.5, 1.0])
            + Tensor::from_slice(&[1.0, -1.0]);
        let mut chains = Chains { points, steps: 0 };
        let settings = LangevinSettings {
            adjusted: true,
            ..SETTINGS
        };
        chains.run(&bowl, 0.3, &settings, &mut rng);
        assert!(chains.steps <= 20, "{}", chains.steps);
    }
}
