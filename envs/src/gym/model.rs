//! What is known of an environment without asking it: the model of a `gym:` world.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::spec::{Channel, EnvSpec, Space};

/// What precedes an environment's id in the name of its world.
pub const PREFIX: &str = "gym:";

/// Seconds per step of an environment that states none.
const UNSTATED_PERIOD_S: f64 = 1.0;

/// An environment of Gymnasium, as it described itself when its name was first used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GymModel {
    /// Its registered id, e.g. `Hopper-v5`.
    pub id: String,
    /// The Python module that registers it, if Gymnasium itself does not.
    pub module: Option<String>,
    /// Keyword arguments of `gymnasium.make`.
    pub kwargs: Map<String, Value>,
    /// Steps after which an episode is truncated, at least 1; `None` where the environment states no limit and none was
    /// set, which is not enough to play.
    pub horizon: Option<usize>,
    /// Seconds per step: the environment's `dt`, or 1/`render_fps`; `None` if it states neither.
    pub control_period_s: Option<f64>,
    /// Observation channels; an infinite bound is the largest finite number.
    pub observation: Vec<Channel>,
    /// Number type of the observations, which Costate reads as float32.
    pub observation_dtype: String,
    /// Action channels, with finite bounds.
    pub action: Vec<Channel>,
    /// Of Python, numpy, Gymnasium and, where it is used, MuJoCo.
    pub versions: BTreeMap<String, String>,
}

/// What the Python side says of an environment.
#[derive(Debug, Deserialize)]
pub(super) struct Description {
    pub horizon: Option<usize>,
    pub control_period_s: Option<f64>,
    pub observation: Bounds,
    pub action: Bounds,
    pub versions: BTreeMap<String, String>,
}

/// A `Box`, flattened.
#[derive(Debug, Deserialize)]
pub(super) struct Bounds {
    pub low: Vec<f64>,
    pub high: Vec<f64>,
    pub dtype: String,
}

impl Bounds {
    fn channels(&self, what: &str) -> Vec<Channel> {
        let ends = self.low.iter().zip(&self.high).enumerate();
        ends.map(|(i, (low, high))| Channel {
            name: format!("{what}_{i}"),
            unit: "1".into(),
            low: *low as f32,
            high: *high as f32,
        })
        .collect()
    }
}

/// Id and module of the world `name`: `gym:ID` or `gym:MODULE:ID`; `None` for other names.
pub(super) fn split(name: &str) -> Option<(Option<&str>, &str)> {
    let rest = name.strip_prefix(PREFIX)?;
    Some(match rest.split_once(':') {
        Some((module, id)) => (Some(module), id),
        None => (None, rest),
    })
}

impl GymModel {
    pub(super) fn new(
        id: &str,
        module: Option<&str>,
        kwargs: Map<String, Value>,
        found: Description,
    ) -> Self {
        Self {
            id: id.into(),
            module: module.map(str::to_owned),
            kwargs,
            horizon: found.horizon,
            control_period_s: found.control_period_s,
            observation: found.observation.channels("observation"),
            observation_dtype: found.observation.dtype,
            action: found.action.channels("action"),
            versions: found.versions,
        }
    }

    /// The world's name.
    pub(super) fn name(&self) -> String {
        match &self.module {
            Some(module) => format!("{PREFIX}{module}:{}", self.id),
            None => format!("{PREFIX}{}", self.id),
        }
    }

    /// Errors: no horizon, no channels, names twice, bounds that are no bounds.
    pub(super) fn spec(&self) -> Result<EnvSpec, String> {
        let Some(horizon) = self.horizon else {
            return Err(
                "the environment states no time limit (max_episode_steps), and episodes have to end: set one, \
                 `--set env.horizon=STEPS`"
                    .into(),
            );
        };
        if horizon == 0 {
            return Err("horizon is 0, expected at least 1".into());
        }
        let period = self.control_period_s.unwrap_or(UNSTATED_PERIOD_S);
        if !(period.is_finite() && period > 0.0) {
            return Err(format!(
                "control_period_s is {period}, expected more than 0"
            ));
        }
        for (what, channels) in [("observation", &self.observation), ("action", &self.action)] {
            check(what, channels)?;
        }
        // A sample within infinite bounds cannot be drawn, nor a command be saturated.
        let endless = |c: &&Channel| !(c.high - c.low).is_finite();
        if let Some(channel) = self.action.iter().find(endless) {
            let name = &channel.name;
            return Err(format!(
                "action `{name}` has no bounds, and random actions are drawn within them: set them, \
                 `--set env.{name}.low=… --set env.{name}.high=…`"
            ));
        }
        let version = |name: &str| {
            let version = self.versions.get(name)?;
            Some(format!("{name} {version}"))
        };
        let versions = [version("gymnasium"), version("mujoco")];
        let versions: Vec<String> = versions.into_iter().flatten().collect();
        let period_unknown = match self.control_period_s {
            Some(_) => "",
            None => {
                "; it states no control period, which stands as 1 s (`--set env.control_period_s=…`)"
            }
        };
        Ok(EnvSpec {
            name: self.name(),
            summary: format!(
                "{} of Gymnasium ({}){period_unknown}",
                self.id,
                versions.join(", ")
            ),
            horizon,
            control_period_s: period,
            observation: Space(self.observation.clone()),
            action: Space(self.action.clone()),
        })
    }
}

fn check(what: &str, channels: &[Channel]) -> Result<(), String> {
    if channels.is_empty() {
        return Err(format!("{what} has no channels, expected at least one"));
    }
    for (i, channel) in channels.iter().enumerate() {
        let Channel {
            name, low, high, ..
        } = channel;
        if channels[..i].iter().any(|c| c.name == *name) {
            return Err(format!("{what} has two channels named `{name}`"));
        }
        if !(low.is_finite() && high.is_finite() && low <= high)
            || (what == "action" && low == high)
        {
            return Err(format!(
                "{what} `{name}`: bounds {low} … {high}, expected two finite numbers, the lower first"
            ));
        }
    }
    Ok(())
}
