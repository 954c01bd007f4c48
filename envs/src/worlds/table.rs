//! Demonstrations without a simulator: channels and a control period, but no dynamics.
//!
//! Datasets imported from tables belong to this world. It says what their numbers mean; it cannot be stepped.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::{End, Env, EnvError, SavedState, Step};
use crate::model::parse;
use crate::scene::Scene;
use crate::spec::{Channel, EnvSpec, Space};
use crate::world::{Prepared, World, to_value};

/// Its name. [`crate::registry::names`] does not list it: nothing can be recorded in it.
pub const NAME: &str = "table";

pub(crate) const WORLD: World =
    World::without_physics(NAME, "demonstrations without a simulator", "", prepare);

/// What is known of the demonstrations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableModel {
    /// One line: what was demonstrated.
    pub summary: String,
    /// Steps of the longest episode, at least 1.
    pub horizon: usize,
    /// Seconds per step; 1 if time has no unit.
    pub control_period_s: f64,
    /// Observation channels.
    pub observation: Vec<Channel>,
    /// Action channels.
    pub action: Vec<Channel>,
}

impl TableModel {
    /// Errors: no channels, a name twice, bounds that are not ordered, no horizon, no period.
    fn check(&self) -> Result<(), String> {
        let period = self.control_period_s;
        if !(period.is_finite() && period > 0.0) {
            return Err(format!(
                "control_period_s is {period}, expected more than 0"
            ));
        }
        if self.horizon == 0 {
            return Err("horizon is 0, expected at least 1".into());
        }
        for (what, channels) in [("observation", &self.observation), ("action", &self.action)] {
            if channels.is_empty() {
                return Err(format!("{what} has no channels, expected at least one"));
            }
            for (i, channel) in channels.iter().enumerate() {
                let name = &channel.name;
                if channels[..i].iter().any(|c| c.name == *name) {
                    return Err(format!("{what} has two channels named `{name}`"));
                }
                let (low, high) = (channel.low, channel.high);
                if !(low.is_finite() && high.is_finite() && low < high) {
                    return Err(format!(
                        "{what} `{name}`: bounds {low} … {high}, expected two finite numbers, the lower first"
                    ));
                }
            }
        }
        Ok(())
    }
}

fn prepare(_: &World, model: &Value) -> Result<Prepared, String> {
    let model: TableModel = parse(model, "")?;
    model.check()?;
    let value = to_value(&model)?;
    let spec = Arc::new(EnvSpec {
        name: NAME.into(),
        summary: model.summary,
        horizon: model.horizon,
        control_period_s: model.control_period_s,
        observation: Space(model.observation),
        action: Space(model.action),
    });
    let own = spec.clone();
    Ok(Prepared {
        model: value,
        spec,
        build: Arc::new(move || Box::new(Table { spec: own.clone() })),
    })
}

/// The world: it has a spec and refuses everything else.
struct Table {
    spec: Arc<EnvSpec>,
}

impl Env for Table {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _seed: u64) {}

    fn observe(&self, out: &mut [f32]) {
        out.fill(0.0);
    }

    fn step(&mut self, _action: &[f32]) -> Result<Step, EnvError> {
        Err(EnvError::NoSimulator)
    }

    fn cost(&self, _action: &[f32]) -> f64 {
        f64::NAN
    }

    fn coordinates(&self) -> Vec<f32> {
        Vec::new()
    }

    fn reset_to(&mut self, _coordinates: &[f32]) -> Result<(), EnvError> {
        Err(EnvError::NoSimulator)
    }

    fn save(&self) -> SavedState {
        SavedState {
            env: NAME.into(),
            step: 0,
            end: End::Truncated,
            task: Vec::new(),
            physics: None,
            drawn: Vec::new(),
        }
    }

    fn load(&mut self, _state: &SavedState) -> Result<(), EnvError> {
        Err(EnvError::NoSimulator)
    }

    fn state_hash(&self) -> u64 {
        0
    }

    fn scene(&self) -> Scene {
        Scene {
            view_low: [0.0; 2],
            view_high: [1.0; 2],
            items: Vec::new(),
        }
    }
}
