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
        let mut config = match gym::is_gym(name) {
            // Keyword arguments come first: its spaces may depend on them.
            true => EnvConfig::gym(name, self.kwargs())?,
            false => EnvConfig::named(name)?,
        };
        if let Some(file) = &self.model {
            config = config.with_model_file(file)?;
        }
        for variant in &self.variants {
            config.apply_variant(variant)?;
        }
        for Override { key, value } in &self.set {
            if gym::is_gym(name) && kwarg(key, value).is_some() {
                continue;
            }
            let Some(key) = key.strip_prefix("env.") else {
                return Err(Error::Misuse(format!(
                    "--set {key}: expected a parameter of the environment, as `env.{key}`"
                )));
            };
            config.set(key, value)?;
        }
        Ok(config)
    }

    /// Keyword arguments of an environment of Gymnasium.
    fn kwargs(&self) -> Map<String, Value> {
        let named = |o: &Override| kwarg(&o.key, &o.value);
        self.set.iter().filter_map(named).collect()
    }
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
