//! The discriminator trains the energy, the energy trains the generator.

use costate_envs::rng::{Stream, stream};
use tch::Tensor;

use super::ais::AisEstimate;
use super::energy::Energy;
use super::generator::{Drawn, Generator};
use super::in_chunks;
use super::learn::{
    Average, Best, Check, Data, Stage, Watch, adam, check_finite, indices, left, size_of_correction,
};
use super::settings::Settings;
use crate::density::{self, solve_log_z};
use crate::discriminator;
use crate::error::Error;
use crate::nn::{self, Adam};

/// Generator draws for log Z at a check.
const CHECK_DRAWS: usize = 8192;

/// Trains `energy` and `generator` alternately; both end at their best check on the validation rows.
///
/// A round: draw from q and from the rows; steps down the discriminator's loss at β = 1 with log Z solved in each; one step down
/// E_q[c + log q].
pub fn train(
    energy: &Energy,
    generator: &Generator,
    data: &Data,
    settings: &Settings,
    seed: u64,
    watch: &mut Watch,
) -> Result<Best, Error> {
    let mut energy_adam = adam(settings.learning_rate, energy.correction.parameters());
    let mut generator_adam = adam(settings.gan.generator_learning_rate, generator.parameters());
    let mut best = Best::start(
        check(energy, generator, data, seed),
        energy,
        Some(generator),
    );
    let mut average = Average::new(energy.correction.parameters(), settings.averaging);
    let every = settings.rounds.div_ceil(settings.checks);
    for k in 0..settings.rounds {
        let share = left(settings, k);
        energy_adam.set_learning_rate(settings.learning_rate * share);
        generator_adam.set_learning_rate(settings.gan.generator_learning_rate * share);
        let mut rng = stream(seed, "ebm gan", k as u64);
        step_energy(
            energy,
            generator,
            data,
            settings,
            &mut energy_adam,
            &mut rng,
        );
        average.update();
        let loss = generator.loss(&|x| energy.of(x), settings.batch / 2, &mut rng);
        generator_adam.step(&loss);
        if (k + 1) % every == 0 || k + 1 == settings.rounds {
            check_both(energy, generator, settings)?;
            average.with(|| {
                best.offer(
                    check(energy, generator, data, seed),
                    energy,
                    Some(generator),
                )
            });
        }
        watch.at(Stage::Energy, k + 1, settings.rounds, &best.describe())?;
    }
    best.restore(energy, Some(generator))?;
    Ok(best)
}

/// If either diverges, so does the other: the error names both step sizes.
fn check_both(energy: &Energy, generator: &Generator, settings: &Settings) -> Result<(), Error> {
    let mut weights = energy.correction.parameters();
    weights.extend(generator.parameters());
    let rates = [
        ("learning_rate", settings.learning_rate),
        (
            "gan.generator_learning_rate",
            settings.gan.generator_learning_rate,
        ),
    ];
    check_finite("the energy or its generator", &weights, &rates)
}

/// Steps on L_disc = E_P[softplus(−logit)] + E_Q[softplus(logit)], logit(x) = −c(x) − log Z − log q(x).
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
    let log_q_p = nn::no_grad(|| generator.log_density(&rows));
    let log_base_p = data.log_base.index_select(0, &chosen);
    let log_base_q = nn::no_grad(|| energy.base.log_density(&points));
    for _ in 0..settings.gan.energy_steps {
        let (f_p, f_q) = (energy.correction(&rows), energy.correction(&points));
        let penalty = size_of_correction(&f_p, &f_q) * settings.correction_penalty;
        let (c_p, c_q) = (f_p - &log_base_p, f_q - &log_base_q);
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
}

/// log Z = log E_q[exp(−c)/q] from draws of the generator.
pub fn importance(
    energy: &Energy,
    generator: &Generator,
    draws: usize,
    rng: &mut Stream,
) -> AisEstimate {
    let drawn = generator.draw(draws, rng);
    let c = in_chunks(&drawn.points, &|x| energy.of(x));
    AisEstimate::of_weights(&nn::to_f64(&(-c - drawn.log_density)), 1.0)
}

/// Log-likelihood of the validation rows, with log Z from the generator's draws, which use the same random numbers
/// every time.
fn check(energy: &Energy, generator: &Generator, data: &Data, seed: u64) -> Check {
    let mut rng = stream(seed, "ebm importance check", 0);
    let estimate = importance(energy, generator, CHECK_DRAWS, &mut rng);
    Check::of(energy, data, &estimate)
}
