//! Time breakdown of a GAN-GCL iteration and of its setup.

use std::path::Path;
use std::time::Instant;

use costate_base::disk;
use costate_demos::dataset::Header;
use costate_demos::{Dataset, DatasetWriter};
use costate_envs::Trajectory;
use costate_envs::timing::Spread;
use serde::Serialize;

use crate::error::Error;
use crate::learners::gan_gcl::GanGclSettings;
use crate::learners::{Behaviour, Setup};
use crate::run::settings::resolve_typed;

/// Times of the parts, milliseconds except for the base policy, with shipped settings. Discriminator and policy are
/// differences between iterations with and without them, measured alternately; rollouts are the rest, including the batch's
/// tensors and the report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartsRow {
    /// Environment.
    pub env: String,
    /// Worker threads.
    pub workers: usize,
    /// Transitions of the dataset.
    pub dataset_steps: usize,
    /// Writing the dataset, with a sync per episode.
    pub dataset_write_ms: Spread,
    /// Reading and checking it.
    pub dataset_read_ms: Spread,
    /// Everything before the first iteration, mainly cloning the base policy, seconds.
    pub start_s: f64,
    /// Steps per iteration.
    pub iteration_steps: u64,
    /// An iteration.
    pub iteration_ms: Spread,
    /// Its rollouts.
    pub rollouts_ms: Spread,
    /// One step on the cost.
    pub discriminator_step_ms: Spread,
    /// The improvement of policy and critic.
    pub policy_ms: Spread,
}

/// The part of a dataset that a learner may see.
pub fn trajectories(dataset: Dataset) -> Vec<Trajectory> {
    let episodes = dataset.into_episodes().into_iter();
    episodes.map(|e| e.trajectory).collect()
}

/// Measures the parts in `turns ≥ 1` turns on the demonstrations in `folder`. `beside` is a temporary folder, created and removed.
pub fn measure_parts(
    folder: &Path,
    beside: &Path,
    workers: usize,
    turns: usize,
) -> Result<PartsRow, Error> {
    tch::set_num_threads(1);
    let dataset = Dataset::open(folder)?;
    let env = dataset.meta().env.name.clone();
    let dataset_steps = dataset.meta().total_steps;
    let settings = resolve_typed::<GanGclSettings>(&env, &[])?;
    let factory = (dataset.meta().env.factory()).map_err(|e| Error::Failure(e.to_string()))?;
    let (mut read, mut write) = (Vec::new(), Vec::new());
    for _ in 0..turns {
        let began = Instant::now();
        Dataset::open(folder)?;
        read.push(milliseconds(began));
        write.push(written(&dataset, beside)?);
    }
    let demonstrations = trajectories(dataset);
    let setup = Setup {
        workers,
        ..Setup::new(&factory, &demonstrations)
    };
    let began = Instant::now();
    let whole = settings.build(&setup, None)?;
    let start_s = began.elapsed().as_secs_f64();

    // The parts do not need a good policy.
    let quick = GanGclSettings {
        base_steps: settings.base_steps.min(20),
        ..settings.clone()
    };
    let mut no_policy = quick.clone();
    no_policy.adversarial.generator.ppo.epochs = 0;
    let mut no_discriminator = quick;
    no_discriminator.adversarial.cost_steps = 0;
    let mut neither = no_discriminator.clone();
    neither.adversarial.generator.ppo.epochs = 0;
    let mut learners = vec![whole];
    for settings in [no_policy, no_discriminator, neither] {
        learners.push(settings.build(&setup, None)?);
    }
    let (mut times, mut iteration_steps) = (vec![Vec::new(); 4], 0);
    // The first turn warms up.
    for turn in 0..=turns {
        for (learner, times) in learners.iter_mut().zip(&mut times) {
            let began = Instant::now();
            iteration_steps = learner.iterate(turn)?.env_steps;
            if turn > 0 {
                times.push(milliseconds(began));
            }
        }
    }
    let difference = |a: &[f64], b: &[f64], share: usize| {
        Spread::of(
            a.iter()
                .zip(b)
                .map(|(a, b)| (a - b) / share as f64)
                .collect(),
        )
    };
    Ok(PartsRow {
        env,
        workers,
        dataset_steps,
        dataset_write_ms: Spread::of(write),
        dataset_read_ms: Spread::of(read),
        start_s,
        iteration_steps,
        iteration_ms: Spread::of(times[0].clone()),
        rollouts_ms: Spread::of(times[3].clone()),
        discriminator_step_ms: difference(
            &times[1],
            &times[3],
            settings.adversarial.cost_steps.max(1),
        ),
        policy_ms: difference(&times[2], &times[3], 1),
    })
}

fn milliseconds(began: Instant) -> f64 {
    1e3 * began.elapsed().as_secs_f64()
}

/// Milliseconds to write the dataset again.
fn written(dataset: &Dataset, beside: &Path) -> Result<f64, Error> {
    let meta = dataset.meta();
    let header = Header {
        env: meta.env.clone(),
        spec: meta.spec.clone(),
        expert: meta.expert.clone(),
        seed: meta.seed,
    };
    let began = Instant::now();
    let mut writer = DatasetWriter::create(beside, header)?;
    for episode in dataset.episodes() {
        writer.append(episode)?;
    }
    writer.finish()?;
    let time = milliseconds(began);
    disk::remove_folder(beside)?;
    Ok(time)
}
