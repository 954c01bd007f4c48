//! An environment with changed parameters.

use std::path::PathBuf;

use costate_envs::EnvConfig;

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
        let mut config = EnvConfig::named(name)?;
        if let Some(file) = &self.model {
            config = config.with_model_file(file)?;
        }
        for variant in &self.variants {
            config.apply_variant(variant)?;
        }
        for Override { key, value } in &self.set {
            let Some(key) = key.strip_prefix("env.") else {
                return Err(Error::Misuse(format!(
                    "--set {key}: expected a parameter of the environment, as `env.{key}`"
                )));
            };
            config.set(key, value)?;
        }
        Ok(config)
    }
}
