//! Builds an environment from a name, a model file and overrides.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use costate_base::names::{nearest, suggestion};
use costate_base::parameters::{self, SetError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::env::Env;
use crate::gym;
use crate::spec::EnvSpec;
use crate::variant::{self, Variant};
use crate::vary::{self, Range, Varied};
use crate::world::{World, to_value};
use crate::worlds::{self, table};

/// Errors in a request for an environment.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ModelError {
    /// No environment of that name.
    #[error("unknown environment `{name}`{}; `costate envs` lists them", suggestion(.nearest.as_deref()))]
    UnknownEnv {
        name: String,
        nearest: Option<String>,
    },
    /// No parameter of that name.
    #[error("unknown parameter `env.{key}` of {env}{}; `costate envs {env}` lists them", suggestion(.nearest.as_deref()))]
    UnknownKey {
        env: String,
        key: String,
        nearest: Option<String>,
    },
    /// An ambiguous parameter key.
    #[error(
        "parameter `env.{key}` of {env} is ambiguous, it could be `{}`; write more of the path",
        .candidates.join("`, `")
    )]
    AmbiguousKey {
        env: String,
        key: String,
        candidates: Vec<String>,
    },
    /// No variant of that name.
    #[error("{env} has no variant `{name}`{}; {}", suggestion(.nearest.as_deref()), offer(.known))]
    UnknownVariant {
        env: String,
        name: String,
        nearest: Option<String>,
        known: Vec<String>,
    },
    /// The world of demonstrations without a simulator, where a simulator is needed.
    #[error(
        "`table` is the world of demonstrations without a simulator: nothing can be played in it; `costate envs` lists the others"
    )]
    NoSimulator,
    /// An environment of Gymnasium that cannot be had.
    #[error("{name}: {reason}")]
    Gym { name: String, reason: String },
    /// A second world of the same name.
    #[error("an environment named `{name}` is already registered; choose another name")]
    Taken { name: String },
    /// A model that cannot be read or is invalid.
    #[error("{source_name}: {reason}")]
    Invalid { source_name: String, reason: String },
}

fn offer(known: &[String]) -> String {
    match known {
        [] => "it has none".into(),
        _ => format!("it has {}", known.join(", ")),
    }
}

/// Worlds registered at run time.
static ADDED: RwLock<Vec<World>> = RwLock::new(Vec::new());

fn worlds() -> Vec<World> {
    // A panic while holding the lock cannot leave a `Vec` half pushed.
    let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
    worlds::ALL.iter().chain(added.iter()).copied().collect()
}

/// Registers a custom world for the rest of the process. Its shipped model is checked first.
pub fn register(world: World) -> Result<(), ModelError> {
    EnvConfig::read(
        &world,
        world.model,
        &format!("shipped model of {}", world.name),
    )?;
    variant::read(world.variants).map_err(|reason| ModelError::Invalid {
        source_name: format!("variants of {}", world.name),
        reason,
    })?;
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    let taken = worlds::ALL
        .iter()
        .chain(added.iter())
        .chain([&table::WORLD]);
    if taken.into_iter().any(|w| w.name == world.name) {
        return Err(ModelError::Taken {
            name: world.name.into(),
        });
    }
    added.push(world);
    Ok(())
}

/// Names of all registered environments.
pub fn names() -> Vec<&'static str> {
    worlds().into_iter().map(|w| w.name).collect()
}

fn find(name: &str) -> Result<World, ModelError> {
    if gym::is_gym(name) {
        return Ok(gym::WORLD);
    }
    worlds()
        .into_iter()
        .chain([table::WORLD])
        .find(|w| w.name == name)
        .ok_or_else(|| ModelError::UnknownEnv {
            name: name.into(),
            nearest: gym::like_an_id(name).or_else(|| nearest(name, names()).map(str::to_owned)),
        })
}

/// The name of an environment as part of a file's name.
pub fn file_name(env: &str) -> String {
    env.replace([':', '/'], "-")
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
    /// Ranges of the parameters that are sampled for every episode, by full path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub vary: BTreeMap<String, Range>,
}

impl EnvConfig {
    /// The registered environment `name` with its shipped model; for one of Gymnasium see [`EnvConfig::gym`].
    pub fn named(name: &str) -> Result<Self, ModelError> {
        if gym::is_gym(name) {
            return Self::gym(name, Map::new());
        }
        if name == table::NAME {
            return Err(ModelError::NoSimulator);
        }
        let world = find(name)?;
        Self::read(&world, world.model, &format!("shipped model of {name}"))
    }

    /// The environment of Gymnasium `gym:ID` or `gym:MODULE:ID`, made with keyword arguments, as it describes itself to a
    /// Python process. [`EnvConfig::factory`] checks it, as a horizon may have to be set first.
    pub fn gym(name: &str, kwargs: Map<String, Value>) -> Result<Self, ModelError> {
        let gym = |reason| ModelError::Gym {
            name: name.into(),
            reason,
        };
        let model = gym::describe(name, kwargs).map_err(gym)?;
        Ok(Self {
            name: name.into(),
            model: to_value(&model).map_err(gym)?,
            vary: BTreeMap::new(),
        })
    }

    /// The world of demonstrations without a simulator, with these channels. [`EnvConfig::factory`] checks them.
    pub fn table(model: &table::TableModel) -> Result<Self, ModelError> {
        let model = serde_json::to_value(model).map_err(|e| ModelError::Invalid {
            source_name: "channels".into(),
            reason: e.to_string(),
        })?;
        Ok(Self {
            name: table::NAME.into(),
            model,
            vary: BTreeMap::new(),
        })
    }

    /// Whether there is a simulator: everything but the world of [`EnvConfig::table`] has one.
    pub fn has_simulator(&self) -> bool {
        self.name != table::NAME
    }

    /// Whether its states can be drawn: see [`Env::scene`].
    pub fn has_picture(&self) -> bool {
        self.has_simulator() && !self.is_gym()
    }

    /// Whether it is an environment of Gymnasium.
    pub fn is_gym(&self) -> bool {
        gym::is_gym(&self.name)
    }

    /// Replaces the model by the contents of a JSON file.
    pub fn with_model_file(self, path: &Path) -> Result<Self, ModelError> {
        let world = find(&self.name)?;
        let source_name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| ModelError::Invalid {
            source_name: source_name.clone(),
            reason: format!("cannot read the model: {e}"),
        })?;
        let read = Self::read(&world, &text, &source_name)?;
        match read.name == self.name {
            true => Ok(read),
            false => Err(ModelError::Invalid {
                reason: format!("a model of {}, expected one of {}", read.name, self.name),
                source_name,
            }),
        }
    }

    /// This environment with changes, in the order in which every front end applies them: a model file, then variants,
    /// then single parameters, as [`EnvConfig::set`] takes them.
    pub fn changed<'a>(
        mut self,
        model: Option<&Path>,
        variants: impl IntoIterator<Item = &'a str>,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ModelError> {
        if let Some(file) = model {
            self = self.with_model_file(file)?;
        }
        for variant in variants {
            self.apply_variant(variant)?;
        }
        for (key, value) in parameters {
            self.set(key, value)?;
        }
        Ok(self)
    }

    fn read(world: &World, text: &str, source_name: &str) -> Result<Self, ModelError> {
        let invalid = |reason| ModelError::Invalid {
            source_name: source_name.into(),
            reason,
        };
        let value: Value =
            serde_json::from_str(text).map_err(|e| invalid(format!("not valid JSON: {e}")))?;
        let prepared = (world.prepare)(world, &value).map_err(invalid)?;
        Ok(Self {
            name: prepared.spec.name.clone(),
            model: prepared.model,
            vary: BTreeMap::new(),
        })
    }

    /// The variants of the registered environment `name`.
    pub fn variants(name: &str) -> Result<Vec<Variant>, ModelError> {
        let world = find(name)?;
        variant::read(world.variants).map_err(|reason| ModelError::Invalid {
            source_name: format!("variants of {name}"),
            reason,
        })
    }

    /// Applies the variant `name`.
    pub fn apply_variant(&mut self, name: &str) -> Result<(), ModelError> {
        let variants = Self::variants(&self.name)?;
        let names = || variants.iter().map(|v| v.name.as_str());
        let Some(variant) = variants.iter().find(|v| v.name == name) else {
            return Err(ModelError::UnknownVariant {
                env: self.name.clone(),
                name: name.into(),
                nearest: nearest(name, names()).map(str::to_owned),
                known: names().map(str::to_owned).collect(),
            });
        };
        for (key, value) in &variant.set {
            self.set(key, &value.to_string())?;
        }
        for (key, range) in &variant.vary {
            self.vary(key, range.clone())?;
        }
        Ok(())
    }

    /// Every parameter with its path, as [`EnvConfig::set`] takes it.
    pub fn parameters(&self) -> Vec<(String, Value)> {
        parameters::list(&self.model)
    }

    /// Sets one parameter, as in `--set env.KEY=VALUE` (`key` without the `env.`). The key is a path
    /// of [`EnvConfig::parameters`] or any unambiguous subsequence of one that keeps its last name.
    /// Types are checked here, values by [`EnvConfig::factory`], when all are set. A parameter that
    /// varied no longer does. `LOW..HIGH` with two numbers makes it vary: see [`EnvConfig::vary`].
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), ModelError> {
        find(&self.name)?;
        if let Some(range) = Range::parse(value) {
            return self.vary(key, range);
        }
        let set = parameters::set(&mut self.model, key, value);
        let path = set.map_err(|error| self.explain(key, &format!("={value}"), error))?;
        self.vary.remove(&path);
        Ok(())
    }

    /// Samples a parameter uniformly from a range for every episode. Spaces, horizon and
    /// control period must not depend on it.
    pub fn vary(&mut self, key: &str, range: Range) -> Result<(), ModelError> {
        find(&self.name)?;
        let found = parameters::find(&mut self.model, key);
        let path = found.map_err(|error| self.explain(key, "", error))?;
        let nominal = parameters::entry_by_path(&mut self.model, &path);
        range
            .fits(nominal.as_deref().unwrap_or(&Value::Null))
            .map_err(|expected| {
                let path = path.clone();
                self.explain(key, "", SetError::Type { path, expected })
            })?;
        self.vary.insert(path, range);
        Ok(())
    }

    fn explain(&self, key: &str, value: &str, error: SetError) -> ModelError {
        match error {
            SetError::Unknown(nearest) => ModelError::UnknownKey {
                env: self.name.clone(),
                key: key.into(),
                nearest,
            },
            SetError::Ambiguous(candidates) => ModelError::AmbiguousKey {
                env: self.name.clone(),
                key: key.into(),
                candidates,
            },
            SetError::Type { path, expected } => ModelError::Invalid {
                source_name: format!("env.{key}{value}"),
                reason: format!("expected {expected} for {path}"),
            },
        }
    }

    /// Checks everything and returns a factory whose builds cannot fail.
    pub fn factory(&self) -> Result<EnvFactory, ModelError> {
        let world = find(&self.name)?;
        let invalid = |reason| ModelError::Invalid {
            source_name: format!("model of {}", self.name),
            reason,
        };
        let prepared = (world.prepare)(&world, &self.model).map_err(invalid)?;
        if prepared.spec.name != self.name {
            return Err(invalid(format!("it is one of {}", prepared.spec.name)));
        }
        let (spec, mut build) = (prepared.spec, prepared.build);
        if !self.vary.is_empty() {
            let build_one: vary::Build =
                Arc::new(move |model| Ok(((world.prepare)(&world, model)?.build)()));
            vary::check(&prepared.model, &self.vary, &spec, &build_one).map_err(invalid)?;
            let (model, ranges) = (prepared.model.clone().into(), Arc::new(self.vary.clone()));
            build = Arc::new(move || {
                Box::new(Varied::new(
                    Arc::clone(&model),
                    ranges.clone(),
                    build_one.clone(),
                ))
            });
        }
        Ok(EnvFactory {
            config: Arc::new(Self {
                name: self.name.clone(),
                model: prepared.model,
                vary: self.vary.clone(),
            }),
            spec,
            build,
        })
    }
}

/// Builds identical environments; cheap to clone and to send to workers.
#[derive(Clone)]
pub struct EnvFactory {
    config: Arc<EnvConfig>,
    spec: Arc<EnvSpec>,
    build: Arc<dyn Fn() -> Box<dyn Env> + Send + Sync>,
}

impl std::fmt::Debug for EnvFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvFactory")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
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

    /// Whether there is a simulator: see [`EnvConfig::has_simulator`].
    pub fn has_simulator(&self) -> bool {
        self.config.has_simulator()
    }

    /// A new environment.
    pub fn build(&self) -> Box<dyn Env> {
        (self.build)()
    }
}
