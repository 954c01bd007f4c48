//! `rl`: a policy for given costs, in any world that has the channels they use.

use std::path::Path;

use costate_envs::EnvConfig;

use super::demonstrations::Shown;
use super::{Changes, Demonstrations, WorldChanges, run_folder};
use crate::error::Error;
use crate::learners::Algorithm;
use crate::learners::rl::RlSettings;
use crate::run::settings;
use crate::run::{Composition, RunConfig, RunFolder};

/// Costs to minimise, and the world.
#[derive(Debug, Clone)]
pub struct GivenCosts {
    /// As [`crate::run::Composition::parse`] reads them.
    pub costs: Vec<String>,
    /// The world, if no demonstrations name it.
    pub env: Option<String>,
    /// Changes to it.
    pub changes: WorldChanges,
    /// Demonstrations to evaluate against.
    pub demos: Option<Shown>,
}

/// Creates the folder of a new run.
pub fn create(
    given: &GivenCosts,
    folder: Option<&Path>,
    seed: u64,
    changes: &Changes,
) -> Result<(RunFolder, Option<Demonstrations>), Error> {
    let cost = Composition::parse(&given.costs)?;
    let demos = given.demos.as_ref();
    let demonstrations = demos.map(|d| Demonstrations::open(&d.folder)).transpose()?;
    let env = world(given, demonstrations.as_ref())?;
    // Costs that do not fit the world are refused before a folder is created.
    let loaded = cost.load(&env, Path::new(""))?;
    let file = changes.file.as_deref();
    let mut algo = settings::resolve(RlSettings::NAME, &env.name, file, &changes.set)?;
    let Some(rl) = algo.settings_mut::<RlSettings>() else {
        return Err(Error::Failure("not settings of rl".into()));
    };
    rl.entropy_weight.get_or_insert(cost.entropy_weight());
    rl.excess_weight
        .get_or_insert(f64::from(u8::from(loaded.overlooks_actions())));
    let folder = run_folder(folder, || format!("{}-rl-{seed}", env.name));
    let reference = demonstrations.as_ref().zip(demos);
    let reference = reference.map(|(there, d)| there.reference(d));
    let config = RunConfig {
        demonstrations: reference.transpose()?,
        cost: Some(cost),
        ..changes.config(env, algo, seed)?
    };
    Ok((RunFolder::create(&folder, config)?, demonstrations))
}

/// The world: that of the demonstrations, or the named one.
fn world(given: &GivenCosts, demonstrations: Option<&Demonstrations>) -> Result<EnvConfig, Error> {
    let changes = &given.changes;
    let config = match (demonstrations, &given.env) {
        (Some(_), Some(env)) => {
            return Err(Error::Misuse(format!(
                "--env {env}: the demonstrations name the world already; leave one of them out"
            )));
        }
        (Some(demonstrations), None) if *changes == WorldChanges::default() => {
            demonstrations.dataset.meta().env.clone()
        }
        (Some(_), None) => {
            return Err(Error::Misuse(
                "the demonstrations' world is taken as it is; change another one with --env NAME and --variant, --model \
                 or --set env.KEY=VALUE"
                    .into(),
            ));
        }
        (None, Some(env)) => changes.config(env)?,
        (None, None) => {
            return Err(Error::Misuse(
                "--algo rl needs a world: --env NAME, or a folder of demonstrations to evaluate against"
                    .into(),
            ));
        }
    };
    // As the world fills it in: 0 and 0.0 are one value to it, and two to a comparison of files.
    Ok(config.factory()?.config().clone())
}
