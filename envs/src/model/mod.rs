//! The JSON model of a simulated world: bodies, joints, actuators, scenery, and the task's own
//! parameters. Units stand in the field names; unknown fields are refused.
//!
//! Every body hangs on exactly one joint. The generalised coordinates are the joints' positions in
//! the order of the file, then their velocities; all positions are zero in the drawing pose that
//! the anchors and `zero_angle_rad` describe.

mod check;
mod parse;
mod shape;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scene::Role;

pub use check::Checks;
pub(crate) use parse::nearest;
pub use parse::parse;
pub use shape::{Point, PointName, Shape};

/// Name that joints use for the immovable parent.
pub const WORLD: &str = "world";

/// A complete world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Gravitational acceleration.
    #[serde(default = "default_gravity")]
    pub gravity_m_s2: [f64; 2],
    /// Length of a simulator step.
    pub dt_s: f64,
    /// Substeps within a simulator step; the integration error follows dt_s / solver_iterations.
    pub solver_iterations: usize,
    /// Simulator steps in a control period.
    #[serde(default = "one")]
    pub steps_per_control: usize,
    /// How contacts behave.
    #[serde(default)]
    pub contact: Contact,
    /// Moving parts.
    pub bodies: Vec<Body>,
    /// What connects them.
    pub joints: Vec<Joint>,
    /// What drives them: one action channel each, in this order.
    pub actuators: Vec<Actuator>,
    /// Immovable surroundings.
    #[serde(default)]
    pub scenery: Vec<Scenery>,
    /// The task's own parameters: horizon, start spread, cost weights, …
    pub task: Value,
}

impl Model {
    /// Seconds of simulated time a control step.
    pub fn control_period_s(&self) -> f64 {
        self.dt_s * self.steps_per_control as f64
    }
}

/// Contact behaviour of the whole world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contact {
    /// Softness of contacts with scenery.
    pub with_scenery: Softness,
    /// Softness of contacts between moving bodies.
    pub between_bodies: Softness,
    /// How the friction coefficients of two surfaces combine.
    pub friction_rule: FrictionRule,
}

impl Default for Contact {
    /// Rapier's own defaults.
    fn default() -> Self {
        let softness = |frequency_hz| Softness {
            frequency_hz,
            damping_ratio: 10.0,
        };
        Self {
            with_scenery: softness(60.0),
            between_bodies: softness(30.0),
            friction_rule: FrictionRule::Average,
        }
    }
}

/// A contact as a damped spring. Keep frequency_hz · dt_s / solver_iterations ≤ 0.3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Softness {
    /// Natural frequency.
    pub frequency_hz: f64,
    /// Damping ratio.
    pub damping_ratio: f64,
}

/// How two friction coefficients become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrictionRule {
    /// Their mean.
    Average,
    /// The smaller.
    Min,
    /// The larger.
    Max,
    /// Their product.
    Multiply,
}

/// A moving part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Unique name.
    pub name: String,
    /// Outline; also says how the mass is distributed.
    pub shape: Shape,
    /// Mass; give this or `density_kg_m2`.
    #[serde(default)]
    pub mass_kg: Option<f64>,
    /// Mass an area.
    #[serde(default)]
    pub density_kg_m2: Option<f64>,
    /// Friction coefficient in contacts.
    #[serde(default = "default_friction")]
    pub friction: f64,
    /// Restitution coefficient in contacts.
    #[serde(default)]
    pub restitution: f64,
    /// Whether it touches scenery and bodies of other mechanisms; links of one mechanism never
    /// touch each other.
    #[serde(default = "yes")]
    pub collides: bool,
    /// How pictures colour it.
    #[serde(default = "role_body")]
    pub role: Role,
}

/// An immovable shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenery {
    /// Unique name.
    pub name: String,
    /// Outline.
    pub shape: Shape,
    /// Where its centre is.
    pub position_m: [f64; 2],
    /// Its orientation, counter-clockwise.
    #[serde(default)]
    pub angle_rad: f64,
    /// Friction coefficient in contacts.
    #[serde(default = "default_friction")]
    pub friction: f64,
    /// Restitution coefficient in contacts.
    #[serde(default)]
    pub restitution: f64,
    /// Whether bodies touch it; if not, it is a mark for costs and pictures.
    #[serde(default = "yes")]
    pub collides: bool,
    /// How pictures colour it.
    #[serde(default = "role_ground")]
    pub role: Role,
}

/// A connection between a parent (a body, or the world) and a child body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Joint {
    /// One rotation; coordinate in rad, counter-clockwise.
    Revolute(Revolute),
    /// One translation; coordinate in m.
    Prismatic(Prismatic),
    /// A body that floats: coordinates x, y in m and, if it rotates, its angle in rad.
    Free(Free),
}

impl Joint {
    /// Its unique name.
    pub fn name(&self) -> &str {
        match self {
            Joint::Revolute(j) => &j.name,
            Joint::Prismatic(j) => &j.name,
            Joint::Free(j) => &j.name,
        }
    }

    /// The body it carries.
    pub fn child(&self) -> &str {
        match self {
            Joint::Revolute(j) => &j.child,
            Joint::Prismatic(j) => &j.child,
            Joint::Free(j) => &j.child,
        }
    }

    /// What it hangs on.
    pub fn parent(&self) -> &str {
        match self {
            Joint::Revolute(j) => &j.parent,
            Joint::Prismatic(j) => &j.parent,
            Joint::Free(_) => WORLD,
        }
    }
}

/// A hinge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revolute {
    /// Unique name.
    pub name: String,
    /// Body it hangs on, or `world`.
    #[serde(default = "world")]
    pub parent: String,
    /// Where, in the parent's frame.
    #[serde(default)]
    pub parent_point: Point,
    /// Body it carries.
    pub child: String,
    /// Where, in the child's frame.
    #[serde(default)]
    pub child_point: Point,
    /// Angle of the child against the parent at coordinate zero.
    #[serde(default)]
    pub zero_angle_rad: f64,
    /// Least and greatest coordinate.
    #[serde(default)]
    pub limits_rad: Option<[f64; 2]>,
    /// Viscous torque a speed (N m s/rad).
    #[serde(default)]
    pub damping_n_m_s: f64,
    /// Dry friction torque.
    #[serde(default)]
    pub friction_n_m: f64,
    /// Rotor inertia added to the joint.
    #[serde(default)]
    pub armature_kg_m2: f64,
    /// Speed at which the joint is cut off after a simulator step.
    #[serde(default = "default_speed_limit")]
    pub speed_limit_rad_s: f64,
}

/// A slider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prismatic {
    /// Unique name.
    pub name: String,
    /// Body it slides on, or `world`.
    #[serde(default = "world")]
    pub parent: String,
    /// Where, in the parent's frame.
    #[serde(default)]
    pub parent_point: Point,
    /// Body it carries.
    pub child: String,
    /// Where, in the child's frame.
    #[serde(default)]
    pub child_point: Point,
    /// Direction of motion in the parent's frame; any length but zero.
    pub axis: [f64; 2],
    /// Angle of the child against the parent.
    #[serde(default)]
    pub zero_angle_rad: f64,
    /// Least and greatest coordinate.
    #[serde(default)]
    pub limits_m: Option<[f64; 2]>,
    /// Viscous force a speed (N s/m).
    #[serde(default)]
    pub damping_n_s_m: f64,
    /// Dry friction force.
    #[serde(default)]
    pub friction_n: f64,
    /// Mass added to the joint.
    #[serde(default)]
    pub armature_kg: f64,
    /// Speed at which the joint is cut off after a simulator step.
    #[serde(default = "default_speed_limit")]
    pub speed_limit_m_s: f64,
}

/// A floating body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Free {
    /// Unique name.
    pub name: String,
    /// Body that floats.
    pub child: String,
    /// Whether it rotates; if not, it has no angle coordinate.
    #[serde(default = "yes")]
    pub rotates: bool,
    /// Viscous force a speed (N s/m).
    #[serde(default)]
    pub damping_n_s_m: f64,
    /// Viscous torque an angular speed (N m s/rad).
    #[serde(default)]
    pub angular_damping_n_m_s: f64,
    /// Speed in each direction at which it is cut off after a simulator step.
    #[serde(default = "default_speed_limit")]
    pub speed_limit_m_s: f64,
    /// Angular speed at which it is cut off after a simulator step.
    #[serde(default = "default_speed_limit")]
    pub angular_speed_limit_rad_s: f64,
}

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

    /// Least and greatest command that is realised.
    pub fn bounds(&self) -> [f64; 2] {
        match self {
            Actuator::Torque(a) => [a.low, a.high],
            Actuator::Force(a) => [a.low, a.high],
            Actuator::Thrust(a) => [a.low, a.high],
        }
    }

    /// Force or torque a unit of command; `None` if the command is in N or N m.
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
    /// Least command.
    pub low: f64,
    /// Greatest command.
    pub high: f64,
    /// Torque a unit of command.
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
    /// Least command.
    pub low: f64,
    /// Greatest command.
    pub high: f64,
    /// Force a unit of command.
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
    /// Where, in the body's frame.
    #[serde(default)]
    pub point: Point,
    /// Direction of the force; any length but zero.
    pub direction: [f64; 2],
    /// Whose axes `direction` uses.
    #[serde(default)]
    pub frame: Frame,
    /// Least command.
    pub low: f64,
    /// Greatest command.
    pub high: f64,
    /// Force a unit of command.
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

fn default_gravity() -> [f64; 2] {
    [0.0, -9.81]
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn world() -> String {
    WORLD.into()
}

fn default_friction() -> f64 {
    0.5
}

/// Far beyond any sensible motion: only stops what would diverge.
fn default_speed_limit() -> f64 {
    100.0
}

fn role_body() -> Role {
    Role::Body
}

fn role_ground() -> Role {
    Role::Ground
}
