//! A potential that transports noise to the data: how energy matching begins.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use tch::{Kind, Tensor};

use super::coupling::nearest_pairs;
use super::energy::Energy;
use super::learn::{Data, Stage, Watch, adam, check_finite, indices};
use super::normals;
use super::settings::MatchingSettings;
use crate::error::Error;

/// Points on the way from noise to rows.
struct Way {
    /// x_t = (1 − t) x_0 + t x_1, `[N, d]`.
    points: Tensor,
    /// x_1 − x_0, `[N, d]`.
    velocity: Tensor,
}

/// Trains the potential V = ε c_θ so that −∇V is the velocity of the optimal transport, by least squares:
/// E|∇V(x_t) + x_1 − x_0|² (Balcerak et al. 2025, arXiv 2504.10612, the loss L_OT).
pub fn train(
    energy: &Energy,
    data: &Data,
    settings: &MatchingSettings,
    seed: u64,
    watch: &mut Watch,
) -> Result<(), Error> {
    let total = settings.transport_steps;
    let rate = settings.transport_learning_rate;
    let mut optimizer = adam(rate, energy.correction.parameters());
    let scale = scale(data, settings, seed);
    for k in 0..total {
        optimizer.set_learning_rate(rate * (1.0 - END_FACTOR * k as f64 / total as f64));
        let way = way(data, settings, &mut stream(seed, "ebm transport", k as u64));
        let x = way.points.set_requires_grad(true);
        let potential = energy.of(&x).sum(Kind::Double) * scale;
        let gradient = Tensor::run_backward(&[potential], &[&x], true, true).remove(0);
        let missed =
            (gradient + &way.velocity).square().sum(Kind::Double) / settings.transport_batch as f64;
        optimizer.step(&(&missed + energy.squared_weights() * settings.weight_penalty));
        if (k + 1) % FINITE_EVERY == 0 || k + 1 == total {
            let name = "energy_matching.transport_learning_rate";
            check_finite(
                "the energy",
                &energy.correction.parameters(),
                &[(name, rate)],
            )?;
        }
        let how = format!("velocity missed by {:.3}", missed.double_value(&[]));
        watch.at(Stage::Transport, k + 1, total, &how)?;
    }
    Ok(())
}

/// The step size decays linearly by this share.
const END_FACTOR: f64 = 0.98;

/// Steps between two looks at the weights.
const FINITE_EVERY: usize = 100;

/// x_0 ~ N(0, σ² I) and x_1 from the rows, paired so that Σ|x_1 − x_0|² is least in the batch (Tong et al. 2024,
/// arXiv 2302.00482, section 3.2), and a uniform t for each pair.
fn way(data: &Data, settings: &MatchingSettings, rng: &mut Stream) -> Way {
    let count = settings.transport_batch;
    let chosen = indices(data.training.size()[0], count, rng);
    let rows = data.training.index_select(0, &chosen);
    let noise = normals(count, rows.size()[1] as usize, rng) * settings.noise;
    let velocity = rows.index_select(0, &nearest_pairs(&noise, &rows)) - &noise;
    let times: Vec<f64> = (0..count).map(|_| rng.random()).collect();
    Way {
        points: noise + &velocity * Tensor::from_slice(&times).unsqueeze(1),
        velocity,
    }
}

/// Batches behind the scale.
const SCALE_BATCHES: u64 = 16;

/// ε with which the untrained energy, ∇c = x, fits the velocity best, −E[x·(x_1 − x_0)] / E|x|²: the network is left with what
/// is not Gaussian.
fn scale(data: &Data, settings: &MatchingSettings, seed: u64) -> f64 {
    let (mut along, mut squares) = (0.0, 0.0);
    for i in 0..SCALE_BATCHES {
        let way = way(data, settings, &mut stream(seed, "ebm transport scale", i));
        along -= (way.velocity * &way.points)
            .sum(Kind::Double)
            .double_value(&[]);
        squares += way.points.square().sum(Kind::Double).double_value(&[]);
    }
    along / squares
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::ebm::energy::{Base, Form};
    use crate::ebm::{Method, Settings};

    fn white(rows: usize, dim: usize, seed: u64) -> Data {
        let training = normals(rows, dim, &mut stream(seed, "rows", 0));
        let log_base = crate::ebm::log_standard_normal(&training);
        Data {
            validation: training.shallow_clone(),
            log_base,
            training,
        }
    }

    fn settings() -> MatchingSettings {
        let settings = Settings::of(Method::EnergyMatching).unwrap();
        settings.energy_matching.unwrap()
    }

    #[test]
    fn a_gaussians_transport_contracts_along_a_quadratic() {
        // Exact pairs would be x_1 = x_0/σ, with −u·x/|x|² between 1 − 1/σ and σ − 1 along the way.
        let (data, mut settings) = (white(4000, 2, 0), settings());
        settings.noise = 2.0;
        let scale = scale(&data, &settings, 1);
        assert!((0.5..1.0).contains(&scale), "{scale}");
        // The untrained potential is that quadratic already: training keeps it.
        settings.transport_steps = 100;
        let energy = Energy::new(
            Base::Gaussian,
            2,
            Form::Residual,
            &[16],
            &mut stream(0, "energy", 0),
        );
        let interrupt = AtomicBool::new(false);
        let mut watch = Watch {
            interrupt: &interrupt,
            report: &mut |_, _, _, _| {},
        };
        train(&energy, &data, &settings, 1, &mut watch).unwrap();
        let probe = normals(500, 2, &mut stream(2, "probe", 0)).set_requires_grad(true);
        let total = energy.of(&probe).sum(Kind::Double);
        let gradient = Tensor::run_backward(&[total], &[&probe], false, false).remove(0);
        let off = (gradient - &probe).square().mean(Kind::Double);
        assert!(off.double_value(&[]) < 0.05, "{off}");
    }
}
