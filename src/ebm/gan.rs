//! The discriminator trains the energy, the energy trains the generator.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use tch::{Kind, Tensor};

use super::ais::AisEstimate;
use super::energy::Energy;
use super::fit::{Best, Check, Data, Stage, Watch};
use super::generator::{Drawn, Generator};
use super::settings::Settings;
use crate::density::{self, solve_log_z};
use crate::discriminator;
use crate::error::Error;
use crate::nn::{self, Adam, AdamSettings};

/// Draws of the generator that estimate log Z at a check.
const CHECK_DRAWS: usize = 8192;

/// Gradients are scaled down to this norm.
const LARGEST_GRADIENT: f64 = 10.0;

/// Adam with a clipped gradient.
pub(super) fn adam(learning_rate: f64, parameters: Vec<Tensor>) -> Adam {
    let settings = AdamSettings {
        learning_rate,
        max_gradient_norm: Some(LARGEST_GRADIENT),
    };
    Adam::new(settings, parameters)
}

/// `count` indices of rows, with replacement.
pub(super) fn indices(rows: i64, count: usize, rng: &mut Stream) -> Tensor {
    let chosen: Vec<i64> = (0..count).map(|_| rng.random_range(0..rows)).collect();
    Tensor::from_slice(&chosen)
}

/// Share of the step sizes in round `k`, which falls linearly to `learning_rate_left`.
pub(super) fn left(settings: &Settings, k: usize) -> f64 {
    1.0 - (1.0 - settings.learning_rate_left) * k as f64 / settings.rounds as f64
}

/// E[f²] over both groups, each weighing the same.
pub(super) fn size_of_correction(rows: &Tensor, negatives: &Tensor) -> Tensor {
    (rows.square().mean(Kind::Double) + negatives.square().mean(Kind::Double)) * 0.5
}

/// Trains `energy` and `generator` in turns, and leaves both as the validation rows liked them best.
///
/// A round: draw from q; one step down the discriminator's loss at β = 1 with log Z solved; one step down E_q[c + log q].
pub fn train(
    energy: &Energy,
    generator: &Generator,
    data: &Data,
    settings: &Settings,
    seed: u64,
    watch: &mut Watch,
) -> Result<Best, Error> {
    let mut energy_adam = adam(settings.learning_rate, energy.correction.parameters());
    let mut generator_adam = adam(settings.generator_learning_rate, generator.parameters());
    let mut best = Best::start(
        check(energy, generator, data, seed),
        energy,
        Some(generator),
    );
    let every = settings.rounds.div_ceil(settings.checks);
    for k in 0..settings.rounds {
        let share = left(settings, k);
        energy_adam.set_learning_rate(settings.learning_rate * share);
        generator_adam.set_learning_rate(settings.generator_learning_rate * share);
        let mut rng = stream(seed, "ebm gan", k as u64);
        step_energy(
            energy,
            generator,
            data,
            settings,
            &mut energy_adam,
            &mut rng,
        );
        let loss = generator.loss(&|x| energy.of(x), settings.batch / 2, &mut rng);
        generator_adam.step(&loss);
        if (k + 1) % every == 0 || k + 1 == settings.rounds {
            best.offer(
                check(energy, generator, data, seed),
                energy,
                Some(generator),
            );
        }
        watch.at(Stage::Energy, k + 1, settings.rounds, &best.describe())?;
    }
    best.restore(energy, Some(generator))?;
    Ok(best)
}

/// One step on L_disc = E_P[softplus(−logit)] + E_Q[softplus(logit)], logit(x) = −c(x) − log Z − log q(x).
fn step_energy(
    energy: &Energy,
    generator: &Generator,
    data: &Data,
    settings: &Settings,
    adam: &mut Adam,
    rng: &mut Stream,
) {
    let chosen = indices(data.training.size()[0], settings.batch, rng);
    let rows = data.training.index_select(0, &chosen);
    let Drawn {
        points,
        log_density: log_q_q,
    } = generator.draw(settings.batch, rng);
    let log_q_p = tch::no_grad(|| generator.log_density(&rows));
    let log_base_p = data.log_base.index_select(0, &chosen);
    let log_base_q = tch::no_grad(|| energy.base.log_density(&points));
    let (f_p, f_q) = (energy.correction(&rows), energy.correction(&points));
    let penalty = size_of_correction(&f_p, &f_q) * settings.correction_penalty;
    let (c_p, c_q) = (f_p - log_base_p, f_q - log_base_q);
    let log_z = solve_log_z(
        density::Scores {
            expert: &nn::to_f64(&(-&c_p - &log_q_p)),
            policy: &nn::to_f64(&(-&c_q - &log_q_q)),
        },
        1.0,
    );
    let log_z = Tensor::from_slice(&[log_z]);
    let p = discriminator::logit(&c_p, &log_z, &log_q_p, 1.0);
    let q = discriminator::logit(&c_q, &log_z, &log_q_q, 1.0);
    adam.step(&(discriminator::loss(&p, &q) + penalty));
}

/// log Z = log E_q[exp(−c)/q] from fixed draws of the generator.
pub fn importance(energy: &Energy, generator: &Generator, draws: usize, seed: u64) -> AisEstimate {
    let drawn = generator.draw(draws, &mut stream(seed, "ebm importance", 0));
    let c = tch::no_grad(|| energy.of(&drawn.points));
    AisEstimate::of_weights(&nn::to_f64(&(-c - drawn.log_density)), 1.0)
}

/// Log-likelihood of the validation rows, with log Z from the generator's draws.
fn check(energy: &Energy, generator: &Generator, data: &Data, seed: u64) -> Check {
    let estimate = importance(energy, generator, CHECK_DRAWS, seed);
    Check::of(energy, data, &estimate)
}
