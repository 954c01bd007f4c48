//! The JSON model of a simulated world: bodies, joints, actuators, scenery, and the task's own
//! parameters. Field names include units; unknown fields are refused.
//!
//! Every body is attached to exactly one joint. The generalised coordinates are the joints' positions in
//! the order of the file, then their velocities; all positions are zero in the drawing pose that
//! the anchors and `zero_angle_rad` describe.

mod actuator;
mod check;
mod joint;
mod parse;
mod shape;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scene::Role;

pub use actuator::{Actuator, Force, Frame, Thrust, Torque};
pub use check::Checks;
pub use joint::{Free, Joint, Prismatic, Revolute};
pub use parse::parse;
pub use shape::{Part, Point, PointName, Shape};

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
    /// Connections of bodies.
    pub joints: Vec<Joint>,
    /// Drives: one action channel each, in this order.
    pub actuators: Vec<Actuator>,
    /// Immovable surroundings.
    #[serde(default)]
    pub scenery: Vec<Scenery>,
    /// The task's own parameters: horizon, start spread, cost weights, …
    pub task: Value,
}

impl Model {
    /// Seconds of simulated time per control step.
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
    /// Relative motion of two shapes up to which their contacts are reused, not found again; 0 finds
    /// them at every step. Reuse is cheap on level ground, but an edge or the mouth of a slot holds
    /// what has slid off it by less than this.
    pub reuse_m: f64,
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
            reuse_m: 0.05,
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
    /// Mass per area.
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
    /// Colour in pictures.
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
    /// Position of its centre.
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
    /// Colour in pictures.
    #[serde(default = "role_ground")]
    pub role: Role,
}

fn default_gravity() -> [f64; 2] {
    [0.0, -9.81]
}

fn one() -> usize {
    1
}

fn default_friction() -> f64 {
    0.5
}

fn role_body() -> Role {
    Role::Body
}

fn role_ground() -> Role {
    Role::Ground
}

fn yes() -> bool {
    true
}
