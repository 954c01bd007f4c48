//! Specification of an environment: names, units, bounds, horizon, control period.

use serde::{Deserialize, Serialize};

/// One dimension of an observation or an action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Name, unique within its space, e.g. `cart_position`.
    pub name: String,
    /// Unit, e.g. `m`, `rad/s`, `1` for a pure number.
    pub unit: String,
    /// Minimum value the environment produces (observation) or realises (action).
    pub low: f32,
    /// Maximum value.
    pub high: f32,
}

impl Channel {
    /// A channel with bounds `[low, high]`.
    pub fn new(name: &str, unit: &str, low: f32, high: f32) -> Self {
        assert!(
            low < high,
            "channel {name}: low {low} is not below high {high}"
        );
        Self {
            name: name.into(),
            unit: unit.into(),
            low,
            high,
        }
    }
}

/// An ordered set of channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Space(pub Vec<Channel>);

impl Space {
    /// Number of dimensions.
    pub fn dim(&self) -> usize {
        self.0.len()
    }

    /// The channels' names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.iter().map(|c| c.name.as_str())
    }

    /// The names on one line.
    pub fn listed(&self) -> String {
        self.names().collect::<Vec<_>>().join(", ")
    }

    /// Index of a channel.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.names().position(|n| n == name)
    }

    /// Whether every entry of `values` lies within its channel's bounds.
    pub fn contains(&self, values: &[f32]) -> bool {
        values.len() == self.dim()
            && self
                .0
                .iter()
                .zip(values)
                .all(|(c, v)| (c.low..=c.high).contains(v))
    }
}

/// Specification of an environment, for users and files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvSpec {
    /// Registered name, e.g. `cart_pole`.
    pub name: String,
    /// One line: the task.
    pub summary: String,
    /// Control steps in an episode; reaching it ends the episode as `Truncated`.
    pub horizon: usize,
    /// Seconds of simulated time per control step; 1 if time has no unit.
    pub control_period_s: f64,
    /// Observation channels.
    pub observation: Space,
    /// Action channels. The bounds say where the environment saturates a command.
    pub action: Space,
}

impl EnvSpec {
    /// Whether policies of one act in the other: the same observed and commanded channels, by name.
    pub fn has_channels_of(&self, other: &Self) -> bool {
        let same = |a: &Space, b: &Space| a.names().eq(b.names());
        same(&self.observation, &other.observation) && same(&self.action, &other.action)
    }
}
