//! Maximum likelihood from weighted chains: how energy matching ends.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use tch::{Kind, Tensor};

use super::ais::{AisSettings, Annealed, anneal};
use super::energy::Energy;
use super::hmc::{Leap, transition};
use super::learn::{
    Average, Best, Check, Data, Stage, Watch, adam, check_finite, indices, left, size_of_correction,
};
use super::settings::{MatchingSettings, Settings};
use crate::density::{effective_sample_size, log_sum_exp};
use crate::error::Error;
use crate::nn;

/// Chains with weights, which stand for the model as it changes.
///
/// A change of the energy from c to c′ multiplies the weight of a chain at x by exp(c(x) − c′(x)), moves leave the model
/// invariant and weights as they are: weighted means remain means over the model, also over modes between which no chain
/// moves (Carbone, Hua, Coste and Vanden-Eijnden 2023, arXiv 2305.19414; Neal 2001, whose path ends where this begins).
struct Chains {
    /// `[chains, d]`.
    points: Tensor,
    log_weights: Vec<f64>,
    /// ε of a Langevin move.
    step: f64,
}

/// Share of accepted moves that their step size is tuned to (Roberts and Rosenthal 1998: 0.574 is best in many dimensions; a
/// little more is safer where the energy still changes), and the rate of that.
const ACCEPTANCE: f64 = 0.7;
const TUNING: f64 = 0.1;

/// Chains are drawn anew once fewer than this share of them carries the weight.
const LEAST_ESS_SHARE: f64 = 0.5;

impl Chains {
    /// From noise to the model while its temperature falls from ∞ to 1, p_t ∝ p_0 exp(−t f).
    fn anneal(energy: &Energy, settings: &MatchingSettings, round: usize, seed: u64) -> Self {
        let path = AisSettings {
            chains: settings.chains,
            temperatures: settings.temperatures,
            leapfrog: 1,
        };
        let Annealed {
            points,
            log_weights,
            step,
            ..
        } = anneal(energy, &path, &format!("ebm contrast {round}"), seed);
        Self {
            points,
            log_weights,
            step,
        }
    }

    /// Weights that sum to 1, `[chains]`.
    fn shares(&self) -> Tensor {
        let total = log_sum_exp(&self.log_weights);
        let shares: Vec<f64> = (self.log_weights.iter())
            .map(|w| (w - total).exp())
            .collect();
        Tensor::from_slice(&shares)
    }

    /// After a change of the energy, whose correction of the points was `before`.
    fn reweigh(&mut self, energy: &Energy, before: &[f64]) {
        let now = nn::no_grad(|| nn::to_f64(&energy.correction(&self.points)));
        for ((w, before), now) in self.log_weights.iter_mut().zip(before).zip(now) {
            *w += before - now;
        }
    }

    /// Draws equally weighted chains in proportion to the weights once these are too uneven.
    fn resample(&mut self, rng: &mut Stream) {
        let count = self.log_weights.len();
        if effective_sample_size(&self.log_weights) >= LEAST_ESS_SHARE * count as f64 {
            return;
        }
        let chosen = systematic(&self.log_weights, rng);
        self.points = self.points.index_select(0, &Tensor::from_slice(&chosen));
        self.log_weights = vec![0.0; count];
    }

    /// `moves` Langevin moves x + ½ε² ∇log p + ε ξ, each accepted or rejected.
    fn walk(&mut self, energy: &Energy, moves: usize, rng: &mut Stream) {
        let log_density = |x: &Tensor| -energy.of(x);
        for _ in 0..moves {
            let leap = Leap {
                step: self.step,
                count: 1,
            };
            let share = transition(&mut self.points, &log_density, leap, rng);
            self.step = (self.step * (TUNING * (share - ACCEPTANCE)).exp()).clamp(1e-4, 1.5);
        }
    }
}

/// As many indices as there are weights, each about in proportion to its own, by one random offset on a comb (systematic
/// resampling: Kitagawa 1996).
fn systematic(log_weights: &[f64], rng: &mut Stream) -> Vec<i64> {
    let count = log_weights.len();
    let total = log_sum_exp(log_weights);
    let offset: f64 = rng.random();
    let (mut at, mut below) = (0, (log_weights[0] - total).exp());
    let mut chosen = Vec::with_capacity(count);
    for i in 0..count {
        let tooth = (i as f64 + offset) / count as f64;
        while below < tooth && at + 1 < count {
            at += 1;
            below += (log_weights[at] - total).exp();
        }
        chosen.push(at as i64);
    }
    chosen
}

/// Trains `energy` by the gradient of the log-likelihood, E_P[∂c] − E_Q[∂c] with Q the weighted chains; it ends at its best
/// check on the validation rows.
pub fn train(
    energy: &Energy,
    data: &Data,
    settings: &Settings,
    matching: &MatchingSettings,
    seed: u64,
    watch: &mut Watch,
) -> Result<Best, Error> {
    let mut optimizer = adam(settings.learning_rate, energy.correction.parameters());
    let mut best = Best::start(check(energy, data, matching, seed), energy, None);
    let mut average = Average::new(energy.correction.parameters(), settings.averaging);
    let mut chains = Chains::anneal(energy, matching, 0, seed);
    let every = settings.rounds.div_ceil(settings.checks);
    for k in 0..settings.rounds {
        optimizer.set_learning_rate(settings.learning_rate * left(settings, k));
        let mut rng = stream(seed, "ebm contrast", k as u64);
        if k > 0 && k % matching.restart_every == 0 {
            chains = Chains::anneal(energy, matching, k, seed);
        }
        let chosen = indices(data.training.size()[0], settings.batch, &mut rng);
        let rows = data.training.index_select(0, &chosen);
        let (f_p, f_q) = (energy.correction(&rows), energy.correction(&chains.points));
        let penalty = size_of_correction(&f_p, &f_q) * settings.correction_penalty
            + energy.squared_weights() * matching.weight_penalty;
        let before = nn::to_f64(&f_q);
        // The base has no weights: ∂c = ∂f.
        let contrast = f_p.mean(Kind::Double) - (f_q * chains.shares()).sum(Kind::Double);
        optimizer.step(&(contrast + penalty));
        average.update();
        chains.reweigh(energy, &before);
        chains.resample(&mut rng);
        chains.walk(energy, matching.moves, &mut rng);
        if (k + 1) % every == 0 || k + 1 == settings.rounds {
            let rate = ("learning_rate", settings.learning_rate);
            check_finite("the energy", &energy.correction.parameters(), &[rate])?;
            average.with(|| best.offer(check(energy, data, matching, seed), energy, None));
        }
        watch.at(Stage::Energy, k + 1, settings.rounds, &best.describe())?;
    }
    best.restore(energy, None)?;
    Ok(best)
}

fn check(energy: &Energy, data: &Data, matching: &MatchingSettings, seed: u64) -> Check {
    let path = AisSettings {
        chains: matching.chains,
        temperatures: matching.temperatures,
        leapfrog: 1,
    };
    Check::of(
        energy,
        data,
        &anneal(energy, &path, "ebm ais check", seed).estimate,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::density::log_mean_exp;
    use crate::ebm::energy::{Base, Form};
    use crate::ebm::hmc::slope;
    use crate::ebm::{Method, log_standard_normal, normals};

    fn energy() -> Energy {
        let mut rng = stream(0, "energy", 0);
        Energy::new(Base::Gaussian, 2, Form::Residual, &[8], &mut rng)
    }

    /// h = (1, −0.5) everywhere: c is that of N(−h, I), and log Z = 0.
    fn shift(energy: &Energy) {
        nn::no_grad(|| {
            for (name, mut t) in energy.correction.named("") {
                if name == "1.bias" {
                    t.copy_(&Tensor::from_slice(&[1.0, -0.5, 0.0]));
                }
            }
        });
    }

    /// E_Q[x] by the weights.
    fn mean(chains: &Chains) -> Vec<f64> {
        let weighted = &chains.points * chains.shares().unsqueeze(1);
        nn::to_f64(&weighted.sum_dim_intlist([0_i64].as_slice(), false, Kind::Double))
    }

    fn near_the_shift(chains: &Chains) {
        let mean = mean(chains);
        assert!(
            (mean[0] + 1.0).abs() < 0.06 && (mean[1] - 0.5).abs() < 0.06,
            "{mean:?}"
        );
    }

    #[test]
    fn weights_follow_the_energy_and_carry_its_log_z() {
        let energy = energy();
        let mut rng = stream(1, "chains", 0);
        let mut chains = Chains {
            points: normals(20_000, 2, &mut rng),
            log_weights: vec![0.0; 20_000],
            step: 0.8,
        };
        let before = nn::to_f64(&energy.correction(&chains.points));
        shift(&energy);
        chains.reweigh(&energy, &before);
        near_the_shift(&chains);
        assert!(log_mean_exp(&chains.log_weights).abs() < 0.05);
        // Var w = e^|h|² − 1 leaves 29 % in effect.
        chains.resample(&mut rng);
        assert!(chains.log_weights.iter().all(|w| *w == 0.0));
        near_the_shift(&chains);
        chains.walk(&energy, 10, &mut rng);
        near_the_shift(&chains);
    }

    #[test]
    fn even_weights_keep_every_chain() {
        let all: Vec<i64> = (0..50).collect();
        assert_eq!(systematic(&[0.0; 50], &mut stream(0, "comb", 0)), all);
        let mut one = [f64::NEG_INFINITY; 50];
        one[17] = -3.0;
        assert_eq!(systematic(&one, &mut stream(0, "comb", 0)), [17; 50]);
    }

    #[test]
    fn a_shifted_gaussians_energy_is_found() {
        // Rows of N(m, I): ∇c = x − m.
        let centre = Tensor::from_slice(&[0.8, -0.3]);
        let training = normals(4000, 2, &mut stream(2, "rows", 0)) + &centre;
        let data = Data {
            log_base: log_standard_normal(&training),
            validation: training.narrow(0, 0, 1000),
            training,
        };
        let mut settings = Settings::of(Method::EnergyMatching).unwrap();
        (settings.rounds, settings.checks, settings.batch) = (150, 3, 1000);
        settings.learning_rate = 0.01;
        let mut matching = settings.energy_matching.clone().unwrap();
        (
            matching.chains,
            matching.temperatures,
            matching.restart_every,
        ) = (500, 10, 50);
        let interrupt = AtomicBool::new(false);
        let mut watch = Watch {
            interrupt: &interrupt,
            report: &mut |_, _, _, _| {},
        };
        let energy = energy();
        let best = train(&energy, &data, &settings, &matching, 3, &mut watch).unwrap();
        assert!(best.kept() > 0);
        let probe = data.validation.narrow(0, 0, 300);
        let gradient = slope(&|x: &Tensor| energy.of(x), &probe).gradient;
        let off = (gradient - (probe - centre)).square().mean(Kind::Double);
        assert!(off.double_value(&[]) < 0.04, "{off}");
    }
}
