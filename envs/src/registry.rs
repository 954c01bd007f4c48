//! From a name, a model file and overrides to a ready environment.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::Env;
use crate::spec::EnvSpec;
use crate::worlds::lq::Lq;

/// What can be wrong with a request for an environment.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No environment of that name.
    #[error("unknown environment `{name}`{}; `costate envs` lists them", suggest(.nearest))]
    UnknownEnv {
        name: String,
        nearest: Option<String>,
    },
    /// No parameter of that name.
    #[error("unknown parameter `env.{key}` of {env}{}; `costate envs {env}` lists them", suggest(.nearest))]
    UnknownKey {
        env: String,
        key: String,
        nearest: Option<String>,
    },
    /// A model that cannot be read or makes no sense.
    #[error("{source_name}: {reason}")]
    Invalid { source_name: String, reason: String },
}

fn suggest(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!(", did you mean `{n}`?"))
        .unwrap_or_default()
}

/// An environment's complete description: its name and every physical and task parameter.
/// This is what datasets and run folders store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvConfig {
    /// Registered name.
    pub name: String,
    /// The full model, as JSON with units in field names.
    pub model: Value,
}

/// Names of all registered environments.
pub fn names() -> Vec<&'static str> {
    vec!["lq"]
}

impl EnvConfig {
    /// The registered environment `name` with its shipped model.
    pub fn named(name: &str) -> Result<Self, ModelError> {
        let _ = name;
        todo!("registry")
    }

    /// Replaces the model by the contents of a JSON file.
    pub fn with_model_file(self, path: &Path) -> Result<Self, ModelError> {
        let _ = path;
        todo!("registry")
    }

    /// Sets one parameter, as in `--set env.KEY=VALUE` (`key` without the `env.`).
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ModelError> {
        let _ = (key, value);
        todo!("registry")
    }

    /// Checks everything and makes a factory whose builds cannot fail.
    pub fn factory(&self) -> Result<EnvFactory, ModelError> {
        todo!("registry")
    }
}

/// Builds identical environments; cheap to clone and to send to workers.
#[derive(Clone)]
pub struct EnvFactory {
    config: Arc<EnvConfig>,
    spec: Arc<EnvSpec>,
    build: Arc<dyn Fn() -> Box<dyn Env> + Send + Sync>,
}

impl EnvFactory {
    /// The environment's description.
    pub fn config(&self) -> &EnvConfig {
        &self.config
    }

    /// The environment's spec.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// A fresh environment.
    pub fn build(&self) -> Box<dyn Env> {
        (self.build)()
    }
}

#[allow(unused)]
fn _uses(_: Lq) {}
