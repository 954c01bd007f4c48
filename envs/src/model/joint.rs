//! Joints: connections of bodies, and their coordinates.

use serde::{Deserialize, Serialize};

use super::{Point, WORLD};

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

    /// Its parent.
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
    /// Parent body, or `world`.
    #[serde(default = "world")]
    pub parent: String,
    /// Position in the parent's frame.
    #[serde(default)]
    pub parent_point: Point,
    /// Body it carries.
    pub child: String,
    /// Position in the child's frame.
    #[serde(default)]
    pub child_point: Point,
    /// Angle of the child against the parent at coordinate zero.
    #[serde(default)]
    pub zero_angle_rad: f64,
    /// Minimum and maximum coordinate.
    #[serde(default)]
    pub limits_rad: Option<[f64; 2]>,
    /// Spring towards coordinate zero (N m/rad).
    #[serde(default)]
    pub stiffness_n_m: f64,
    /// Viscous torque per speed (N m s/rad).
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
    /// Position in the parent's frame.
    #[serde(default)]
    pub parent_point: Point,
    /// Body it carries.
    pub child: String,
    /// Position in the child's frame.
    #[serde(default)]
    pub child_point: Point,
    /// Direction of motion in the parent's frame; any length but zero.
    pub axis: [f64; 2],
    /// Angle of the child against the parent.
    #[serde(default)]
    pub zero_angle_rad: f64,
    /// Minimum and maximum coordinate.
    #[serde(default)]
    pub limits_m: Option<[f64; 2]>,
    /// Viscous force per speed (N s/m).
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
    #[serde(default = "super::yes")]
    pub rotates: bool,
    /// Viscous force per speed (N s/m).
    #[serde(default)]
    pub damping_n_s_m: f64,
    /// Viscous torque per angular speed (N m s/rad).
    #[serde(default)]
    pub angular_damping_n_m_s: f64,
    /// Speed in each direction at which it is cut off after a simulator step.
    #[serde(default = "default_speed_limit")]
    pub speed_limit_m_s: f64,
    /// Angular speed at which it is cut off after a simulator step.
    #[serde(default = "default_speed_limit")]
    pub angular_speed_limit_rad_s: f64,
}

fn world() -> String {
    WORLD.into()
}

/// Far beyond any sensible motion: only prevents divergence.
fn default_speed_limit() -> f64 {
    100.0
}
