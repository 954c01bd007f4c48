//! An environment as a constant: name, shipped model, and constructor.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::env::Env;
use crate::model::{Model, parse};
use crate::physics::Blueprint;
use crate::spec::EnvSpec;
use crate::task::{PhysicsEnv, Task, spec_of};

/// An environment that can be requested by name.
#[derive(Clone, Copy)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// One line: the task.
    pub summary: &'static str,
    /// Its shipped model, as JSON.
    pub model: &'static str,
    /// Its variants, as JSON.
    pub(crate) variants: &'static str,
    pub(crate) prepare: Prepare,
}

/// Reads a model, checks it and returns it with all defaults filled in.
pub(crate) type Prepare = fn(world: &World, model: &Value) -> Result<Prepared, String>;

/// A checked model.
pub(crate) struct Prepared {
    /// With all defaults filled in.
    pub model: Value,
    pub spec: Arc<EnvSpec>,
    pub build: Arc<dyn Fn() -> Box<dyn Env> + Send + Sync>,
}

impl World {
    /// A world whose task is `T`.
    pub const fn of<T: Task>(
        name: &'static str,
        summary: &'static str,
        model: &'static str,
    ) -> Self {
        Self {
            name,
            summary,
            model,
            variants: "{}",
            prepare: prepare_task::<T>,
        }
    }

    /// Adds named parameter sets: `{ "NAME": { "summary": "…", "set": { "KEY": VALUE } } }`.
    pub const fn with_variants(self, variants: &'static str) -> Self {
        Self { variants, ..self }
    }

    /// A world that needs no physics.
    pub(crate) const fn without_physics(
        name: &'static str,
        summary: &'static str,
        model: &'static str,
        prepare: Prepare,
    ) -> Self {
        Self {
            name,
            summary,
            model,
            variants: "{}",
            prepare,
        }
    }
}

fn prepare_task<T: Task>(world: &World, model: &Value) -> Result<Prepared, String> {
    let mut model: Model = parse(model, "")?;
    let parameters: T::Parameters = parse(&model.task, "task")?;
    model.task = to_value(&parameters)?;
    let blueprint = Arc::new(Blueprint::new(&model)?);
    let task = T::new(parameters, &blueprint)?;
    let spec = Arc::new(spec_of(world.name, world.summary, &task, &blueprint));
    Ok(Prepared {
        model: to_value(&model)?,
        spec: spec.clone(),
        build: Arc::new(move || {
            Box::new(PhysicsEnv::new(
                spec.clone(),
                task.clone(),
                blueprint.clone(),
            ))
        }),
    })
}

/// A model as JSON.
pub(crate) fn to_value(model: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(model).map_err(|e| e.to_string())
}
