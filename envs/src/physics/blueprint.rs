//! A compiled model: rapier's objects at rest, and tables from names to indices.

use rapier2d::prelude::*;

use super::snapshot::Parts;
use crate::model::{Frame, Model, Scenery, Shape};
use crate::scene::Role;

/// Index of a body within its blueprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyId(pub(super) usize);

/// A joint: indices and limits of its coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointId {
    /// Index of its first coordinate in the positions and in the velocities.
    pub index: usize,
    /// Number of its coordinates.
    pub dofs: usize,
    /// Minimum and maximum first coordinate, m or rad.
    pub limits: Option<[f32; 2]>,
    /// Maximum speed of its first coordinate, m/s or rad/s.
    pub speed_limit: f32,
}

/// A compiled model; shared by all copies of a world.
pub struct Blueprint {
    pub(super) model: Model,
    pub(super) digest: u64,
    pub(super) parts: Parts,
    pub(super) gravity: Vector,
    pub(super) parameters: IntegrationParameters,
    pub(super) steps_per_control: usize,
    pub(super) bodies: Vec<Part>,
    pub(super) joints: Vec<(String, JointId)>,
    pub(super) coordinates: Vec<Coordinate>,
    pub(super) mechanisms: Vec<Mechanism>,
    pub(super) stops: Vec<Stop>,
    pub(super) actuators: Vec<Motor>,
    /// Whether forces must follow the bodies' motion within a control period.
    pub(super) turning: bool,
    /// Bodies that actuators push.
    pub(super) driven: Vec<RigidBodyHandle>,
    pub(super) hinges: Vec<Hinge>,
    /// Solid scenery, hit by rays.
    pub(super) surroundings: Vec<(Pose, SharedShape)>,
}

/// A moving body.
pub(super) struct Part {
    pub name: String,
    pub handle: RigidBodyHandle,
    pub shape: Shape,
    pub role: Role,
    /// If it collides.
    pub collider: Option<ColliderHandle>,
}

/// One generalised coordinate.
pub(super) struct Coordinate {
    pub source: Source,
    pub speed_limit: f32,
}

/// Where rapier stores a coordinate.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// In a multibody: the axis of a link's joint, and the place among generalised velocities.
    Link {
        multibody: MultibodyIndex,
        link: usize,
        axis: usize,
        assembly: usize,
    },
    /// In a body of its own: x, y or angle.
    Plain { body: RigidBodyHandle, axis: usize },
}

/// A tree of jointed bodies: one rapier multibody.
pub(super) struct Mechanism {
    pub index: MultibodyIndex,
    /// Pairs (coordinate, place among the multibody's generalised velocities).
    pub dofs: Vec<(usize, usize)>,
}

/// A limited joint of a multibody. Rapier solves for every limit at every substep, in reach or not;
/// a limit is switched on only while its coordinate is outside of `clear`.
pub(super) struct Stop {
    pub multibody: MultibodyIndex,
    pub link: usize,
    pub axis: JointAxesMask,
    pub coordinate: usize,
    /// Coordinates that cannot get to a limit within one step.
    pub clear: [f32; 2],
}

/// An actuator in f32.
pub(super) struct Motor {
    pub low: f32,
    pub high: f32,
    pub gear: f32,
    pub drive: Drive,
}

/// What an actuator pushes; `parent: None` is the world.
#[derive(Clone, Copy)]
pub(super) enum Drive {
    Torque {
        child: RigidBodyHandle,
        parent: Option<RigidBodyHandle>,
    },
    Force {
        child: RigidBodyHandle,
        parent: Option<RigidBodyHandle>,
        axis: Vector,
    },
    Thrust {
        body: RigidBodyHandle,
        direction: Vector,
        frame: Frame,
        point: Vector,
    },
}

/// A revolute joint as pictures mark it.
pub(super) struct Hinge {
    pub child: BodyId,
    /// In the child's frame.
    pub point: Vector,
    pub radius: f32,
}

impl Blueprint {
    /// What it was built from.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Number of generalised positions, and of velocities.
    pub fn dofs(&self) -> usize {
        self.coordinates.len()
    }

    /// The joint called `name`; the error says that the model lacks it.
    pub fn joint(&self, name: &str) -> Result<JointId, String> {
        self.joints
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, joint)| *joint)
            .ok_or_else(|| format!("joints: the task needs a joint named `{name}`"))
    }

    /// The body called `name`; the error says that the model lacks it.
    pub fn body(&self, name: &str) -> Result<BodyId, String> {
        self.bodies
            .iter()
            .position(|b| b.name == name)
            .map(BodyId)
            .ok_or_else(|| format!("bodies: the task needs a body named `{name}`"))
    }

    /// The scenery called `name`; the error says that the model lacks it.
    pub fn scenery(&self, name: &str) -> Result<&Scenery, String> {
        self.model
            .scenery
            .iter()
            .find(|s| s.name == name)
            .ok_or_else(|| format!("scenery: the task needs an entry named `{name}`"))
    }
}
