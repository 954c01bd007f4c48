//! An environment with changed parameters.

use std::path::PathBuf;

use costate_envs::{EnvConfig, Range, gym};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::run::settings::Override;

/// Changes to an environment as shipped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WorldChanges {
    /// JSON model file to use instead of the environment's default.
    pub model: Option<PathBuf>,
    /// Named sets of parameters, in order.
    pub variants: Vec<String>,
    /// Single parameters, as `env.KEY`.
    pub set: Vec<Override>,
}

impl WorldChanges {
    /// The environment of this name with these changes.
    pub fn config(&self, name: &str) -> Result<EnvConfig, Error> {
        let config = match gym::is_gym(name) {
            // Keyword arguments come first: its spaces may depend on them.
            true => EnvConfig::gym(name, self.kwargs())?,
            false => EnvConfig::named(name)?,
        };
        let own = |o: &&Override| !gym::is_gym(name) || kwarg(&o.key, &o.value).is_none();
        let parameters = self.set.iter().filter(own).map(parameter);
        let parameters: Vec<_> = parameters.collect::<Result<_, _>>()?;
        let variants = self.variants.iter().map(String::as_str);
        Ok(config.changed(self.model.as_deref(), variants, parameters)?)
    }

    /// Keyword arguments of an environment of Gymnasium.
    fn kwargs(&self) -> Map<String, Value> {
        let named = |o: &Override| kwarg(&o.key, &o.value);
        self.set.iter().filter_map(named).collect()
    }
}

/// A parameter's key, without the `env.`, and its value.
fn parameter(Override { key, value }: &Override) -> Result<(&str, &str), Error> {
    let own = key.strip_prefix("env.").ok_or_else(|| {
        Error::Misuse(format!(
            "--set {key}: expected a parameter of the environment, as `env.{key}`"
        ))
    })?;
    Ok((own, value))
}

/// A keyword argument, `env.kwargs.NAME=VALUE`: JSON, or else text. A range is none; it varies one that is set.
fn kwarg(key: &str, value: &str) -> Option<(String, Value)> {
    let name = key.strip_prefix("env.kwargs.")?;
    if Range::parse(value).is_some() {
        return None;
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Some((name.into(), value))
}
