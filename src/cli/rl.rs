//! `costate train --algo rl`: a policy for a cost that is given, in whatever world has what the cost looks at.

use std::path::Path;

use costate_envs::EnvConfig;

use super::common::{Demonstrations, EnvArgs};
use super::train::{Args, CHECKPOINT_EVERY, imitated};
use crate::error::Error;
use crate::run::settings::{self, Override};
use crate::run::{Algo, Composition, RunConfig, RunFolder, config};

/// Creates the folder of a new run.
pub fn create(args: &Args) -> Result<(RunFolder, Option<Demonstrations>), Error> {
    if args.cost.is_empty() {
        return Err(Error::Misuse(
            "--algo rl minimises a cost that is given: --cost RUN:1.0,RUN:0.5 adds up learned ones"
                .into(),
        ));
    }
    let cost = Composition::parse(&args.cost)?;
    let (of_env, of_learner): (Vec<Override>, Vec<Override>) = args
        .set
        .iter()
        .cloned()
        .partition(|o| o.key.starts_with("env."));
    let demonstrations = args
        .demos
        .as_deref()
        .map(Demonstrations::open)
        .transpose()?;
    let env = world(args, demonstrations.as_ref(), of_env)?;
    // Whether the costs fit the world is said before a folder is there.
    let loaded = cost.load(&env, Path::new(""))?;
    let algo = settings::resolve("rl", &env.name, args.config.as_deref(), &of_learner)?;
    let Algo::Rl(mut rl) = algo else {
        return Err(Error::Failure("the settings of rl are not its own".into()));
    };
    rl.temperature.get_or_insert(cost.temperature());
    rl.excess_weight
        .get_or_insert(f64::from(u8::from(loaded.overlooks_actions())));
    let seed = args.seed.unwrap_or(0);
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("runs").join(format!("{}-rl-{seed}", env.name)));
    let reference = match (&demonstrations, &args.demos) {
        (Some(demonstrations), Some(path)) => {
            Some(imitated(demonstrations, path, args.demonstrations)?)
        }
        _ => None,
    };
    let run = RunFolder::create(
        &folder,
        RunConfig {
            format: config::FORMAT,
            costate_version: env!("CARGO_PKG_VERSION").into(),
            provenance: costate_base::provenance::current(),
            env,
            demonstrations: reference,
            cost: Some(cost),
            algo: Algo::Rl(rl),
            seed,
            checkpoint_every: args.checkpoint_every.unwrap_or(CHECKPOINT_EVERY),
            changes: Vec::new(),
        },
    )?;
    Ok((run, demonstrations))
}

/// The world: that of the demonstrations, or the one that is named.
fn world(
    args: &Args,
    demonstrations: Option<&Demonstrations>,
    set: Vec<Override>,
) -> Result<EnvConfig, Error> {
    let changes = EnvArgs {
        model: args.model.clone(),
        variant: args.variant.clone(),
        set,
    };
    let config = match (demonstrations, &args.env) {
        (Some(_), Some(env)) => {
            return Err(Error::Misuse(format!(
                "--env {env}: the demonstrations name the world already; leave one of them out"
            )));
        }
        (Some(demonstrations), None) if changes == EnvArgs::default() => {
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
                "--algo rl needs a world: --env NAME, or a folder of demonstrations to be evaluated against"
                    .into(),
            ));
        }
    };
    config.factory()?;
    Ok(config)
}
