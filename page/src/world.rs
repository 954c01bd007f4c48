//! Worlds and experts by the names that pages know them by.

use costate_demos::experts::{ExpertDesign, experts_for};
use costate_envs::{EnvConfig, EnvFactory};

use crate::learning::Refusal;

/// The environment `env` with its variants applied in order.
///
/// Errors: names that do not exist.
pub fn named<'a>(
    env: &str,
    variants: impl IntoIterator<Item = &'a str>,
) -> Result<EnvConfig, Refusal> {
    let config = EnvConfig::named(env).map_err(Refusal::missing)?;
    config.changed(None, variants, []).map_err(Refusal::misuse)
}

/// The expert `name` of a world, with its usual noise; the best one if the name is empty.
///
/// Errors: any other name. `ExpertDesign` takes files as well, but whoever opens a page must not read files by it.
pub fn expert(factory: &EnvFactory, name: &str) -> Result<ExpertDesign, Refusal> {
    let env = &factory.spec().name;
    let known = experts_for(env);
    if !name.is_empty() && !known.contains(&name) {
        return Err(Refusal::misuse(format!(
            "{env} has no expert of that name; it has {}",
            known.join(", ")
        )));
    }
    let name = Some(name).filter(|n| !n.is_empty());
    ExpertDesign::new(factory, name, None).map_err(Refusal::failure)
}
