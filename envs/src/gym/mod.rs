//! Environments of Gymnasium as worlds: `gym:Hopper-v5`, `gym:MODULE:Name-v0`.
//!
//! Each [`Env`](crate::Env) has a Python process of its own, which its factory lends it for as long as it lives. The
//! process is started when something is first played: descriptions need none.

mod model;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod simulation;

use serde_json::{Map, Value};

pub use model::{GymModel, PREFIX};

/// How Python's tracebacks begin, which errors carry.
pub const TRACEBACK: &str = "Traceback (most recent call last)";

use crate::model::parse;
use crate::world::{Prepared, World, to_value};

/// All of them: what they are is in their models.
pub(crate) const WORLD: World =
    World::without_physics("gym", "environments of Gymnasium", "", prepare);

/// Whether `name` is one of an environment of Gymnasium.
pub fn is_gym(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The name of the world of an environment that was asked for by its id alone, `NAME-vN`.
pub(crate) fn like_an_id(name: &str) -> Option<String> {
    let (_, version) = name.rsplit_once("-v")?;
    let digits = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| format!("{PREFIX}{name}"))
}

/// Asks Python what the environment of the world `name` is, with these keyword arguments.
///
/// Errors say what is missing: Python, Gymnasium, the environment, spaces that are boxes.
#[cfg(unix)]
pub(crate) fn describe(name: &str, kwargs: Map<String, Value>) -> Result<GymModel, String> {
    let (module, id) = model::split(name).unwrap_or((None, name));
    if id.is_empty() || module == Some("") {
        return Err("expected gym:ID, as gym:Hopper-v5, or gym:MODULE:ID".into());
    }
    let asked = process::Asked {
        id: id.into(),
        module: module.map(str::to_owned),
        kwargs: kwargs.clone(),
    };
    let (_, found) = process::Process::start(&asked).map_err(|fault| fault.to_string())?;
    Ok(GymModel::new(id, module, kwargs, found))
}

#[cfg(unix)]
fn prepare(_: &World, model: &Value) -> Result<Prepared, String> {
    let model: GymModel = parse(model, "")?;
    let spec = std::sync::Arc::new(model.spec()?);
    let value = to_value(&model)?;
    let pool = std::sync::Arc::new(simulation::Pool::new(&model));
    Ok(Prepared {
        model: value,
        spec: spec.clone(),
        build: std::sync::Arc::new(move || {
            Box::new(simulation::Simulation::new(spec.clone(), pool.clone()))
        }),
    })
}

/// Waiting for a process that hangs needs sockets.
#[cfg(not(unix))]
const UNIX_ONLY: &str = "environments of Gymnasium need Linux or macOS";

#[cfg(not(unix))]
pub(crate) fn describe(_: &str, _: Map<String, Value>) -> Result<GymModel, String> {
    Err(UNIX_ONLY.into())
}

#[cfg(not(unix))]
fn prepare(_: &World, _: &Value) -> Result<Prepared, String> {
    Err(UNIX_ONLY.into())
}
