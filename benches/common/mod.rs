//! What the benchmarks of learning start from.

use std::path::Path;

use costate::learners::Task;
use costate::learners::gan_gcl::GanGclSettings;
use costate::run::Algo;
use costate::run::settings::resolve;
use costate_demos::Dataset;
use costate_envs::{EnvConfig, EnvFactory, Trajectory};

pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The dataset that the repository holds of a world.
pub fn dataset(env: &str) -> Outcome<Dataset> {
    Ok(Dataset::open(&Path::new("demos/data").join(env))?)
}

/// A world and the dataset that the repository holds of it.
pub struct Shipped {
    pub settings: GanGclSettings,
    pub factory: EnvFactory,
    demonstrations: Vec<Trajectory>,
}

impl Shipped {
    pub fn of(env: &str) -> Outcome<Self> {
        let Algo::GanGcl(settings) = resolve("gan-gcl", env, None, &[])? else {
            return Err("gan-gcl has settings of another learner".into());
        };
        Ok(Self {
            settings,
            factory: EnvConfig::named(env)?.factory()?,
            demonstrations: dataset(env)?
                .episodes()
                .iter()
                .map(|e| e.trajectory.clone())
                .collect(),
        })
    }

    pub fn task(&self) -> Task<'_> {
        Task {
            factory: &self.factory,
            demonstrations: &self.demonstrations,
            starts: &[],
            expert: "",
            seed: 0,
            workers: 1,
        }
    }
}
