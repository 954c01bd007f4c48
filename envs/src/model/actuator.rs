//! Actuators: what actions drive.

use serde::{Deserialize, Serialize};

use super::Point;

/// A drive: one action channel. Commands are saturated to `[low, high]`. Without a gear the command
/// is the force or torque itself; with one it is a pure number which the gear multiplies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actuator {
    /// Torque on a revolute joint: + on the child, − on the parent.
    Torque(Torque),
    /// Force along a prismatic joint: + on the child, − on the parent.
    Force(Force),
    /// Force on a body from outside.
    Thrust(Thrust),
}

impl Actuator {
    /// Its unique name, which is also the action channel's.
    pub fn name(&self) -> &str {
        match self {
            Actuator::Torque(a) => &a.name,
            Actuator::Force(a) => &a.name,
            Actuator::Thrust(a) => &a.name,
        }
    }

    /// Minimum and maximum realised command.
    pub fn bounds(&self) -> [f64; 2] {
        match self {
            Actuator::Torque(a) => [a.low, a.high],
            Actuator::Force(a) => [a.low, a.high],
            Actuator::Thrust(a) => [a.low, a.high],
        }
    }

    /// Force or torque per unit of command; `None` if the command is in N or N m.
    pub fn gear(&self) -> Option<f64> {
        match self {
            Actuator::Torque(a) => a.gear_n_m,
            Actuator::Force(a) => a.gear_n,
            Actuator::Thrust(a) => a.gear_n,
        }
    }

    /// Unit of the command.
    pub fn unit(&self) -> &'static str {
        match (self.gear(), self) {
            (Some(_), _) => "1",
            (None, Actuator::Torque(_)) => "N m",
            (None, _) => "N",
        }
    }
}

/// See [`Actuator::Torque`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Torque {
    /// Unique name.
    pub name: String,
    /// The revolute joint it turns.
    pub joint: String,
    /// Minimum command.
    pub low: f64,
    /// Maximum command.
    pub high: f64,
    /// Torque per unit of command.
    #[serde(default)]
    pub gear_n_m: Option<f64>,
}

/// See [`Actuator::Force`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Force {
    /// Unique name.
    pub name: String,
    /// The prismatic joint it pushes.
    pub joint: String,
    /// Minimum command.
    pub low: f64,
    /// Maximum command.
    pub high: f64,
    /// Force per unit of command.
    #[serde(default)]
    pub gear_n: Option<f64>,
}

/// See [`Actuator::Thrust`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Thrust {
    /// Unique name.
    pub name: String,
    /// The body it pushes.
    pub body: String,
    /// Point of application, in the body's frame.
    #[serde(default)]
    pub point: Point,
    /// Direction of the force; any length but zero.
    pub direction: [f64; 2],
    /// Whose axes `direction` uses.
    #[serde(default)]
    pub frame: Frame,
    /// Minimum command.
    pub low: f64,
    /// Maximum command.
    pub high: f64,
    /// Force per unit of command.
    #[serde(default)]
    pub gear_n: Option<f64>,
}

/// A set of axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// The world's.
    #[default]
    World,
    /// The body's own, turning with it.
    Body,
}
