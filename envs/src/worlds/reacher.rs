//! `reacher`: move the tip of a two-link arm to a target.
//!
//! The arm lies in a horizontal plane, so nothing pulls it down; its motors are torques. The target
//! is drawn with the start state and stays for the episode. `reacher3` is the same task for three
//! links. Angles are counter-clockwise, zero along +y for the first link, along the preceding link for
//! the others.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `JOINT_cos`, `JOINT_sin` of each joint's angle | 1 | ±1 | | one torque for each joint | 1 (times its gear) | ±1 |
//! | `JOINT_angular_velocity` | rad/s | speed limit | | | | |
//! | `target_x`, `target_y` | m | ± outer target radius | | | | |
//! | `to_target_x`, `to_target_y`: target − tip | m | ± (reach + outer target radius) | | | | |
//!
//! First come all cosines and sines, joint by joint, then all angular velocities. Coordinates are
//! relative to the first joint. With `observed_from` `first_link` (variant `own_frame`) target and
//! `to_target` are seen from the first link, and the first joint's angle is not observed.
//!
//! Cost of a step: w_d (√(d² + s²) − s) + w_p ln(1 + d²/p²) + w_q̇ |q̇|² + w_u |u|², with d the distance
//! of the tip to the target, s the softness and p the precision that the second term demands. Start: joint
//! angles and speeds uniform within their spreads; target uniform over the ring `target_radius_m`.
//! End: after `horizon` steps (truncated). Solved: tip within 3 cm of the target.

use std::f64::consts::TAU;
use std::ops::Range;

use nalgebra::ComplexField;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::arm::{Arm, norm};
use super::spread;
use crate::model::Checks;
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::symmetry::{Change, Symmetry};
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Reacher>(
    "reacher",
    "move the tip of a two-link arm to a target",
    include_str!("../../../assets/models/reacher.json"),
)
.with_variants(include_str!("../../../assets/variants/reacher.json"));

pub(crate) const WORLD_3: World = World::of::<Reacher>(
    "reacher3",
    "move the tip of a three-link arm to a target",
    include_str!("../../../assets/models/reacher3.json"),
)
.with_variants(include_str!("../../../assets/variants/reacher3.json"));

/// Distance of tip and target within which the task is solved, metres.
const SOLVED_M: f64 = 0.03;

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Half width of each joint's uniform start angle.
    pub start_angle_spread_rad: Vec<f64>,
    /// Half width of each joint's uniform start speed.
    pub start_angular_velocity_spread_rad_s: f64,
    /// Inner and outer radius of the ring of targets.
    pub target_radius_m: [f64; 2],
    /// Distance below which the cost of distance turns from linear to quadratic.
    pub distance_softness_m: f64,
    /// Cost of the distance.
    pub distance_weight_1_m: f64,
    /// Distance at which the logarithmic cost starts to level off.
    pub precision_m: f64,
    /// Weight of the logarithmic cost.
    pub precision_weight: f64,
    /// Cost of |q̇|².
    pub angular_velocity_weight_s2: f64,
    /// Cost of |u|².
    pub action_weight: f64,
    /// Where the target is seen from.
    #[serde(default)]
    pub observed_from: Frame,
}

/// Where the target and the way to it are seen from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Frame {
    /// The axes of the world.
    #[default]
    World,
    /// The first link, which lies along +y there. Turning the whole arm with its target changes nothing then, so the first
    /// joint's angle is not observed.
    FirstLink,
}

/// The task of `reacher` and `reacher3`.
#[derive(Clone)]
pub struct Reacher {
    parameters: Parameters,
    arm: Arm,
    joints: Vec<(String, JointId)>,
    target: [f64; 2],
}

impl Reacher {
    /// A vector of the world as it is observed.
    fn seen(&self, physics: &Physics, [x, y]: [f64; 2]) -> [f64; 2] {
        match self.parameters.observed_from {
            Frame::World => [x, y],
            Frame::FirstLink => {
                let (sin, cos) = ComplexField::sin_cos(f64::from(physics.positions()[0]));
                [cos * x + sin * y, cos * y - sin * x]
            }
        }
    }

    /// The joints whose angles are observed.
    fn observed_joints(&self) -> Range<usize> {
        let first = match self.parameters.observed_from {
            Frame::World => 0,
            Frame::FirstLink => 1,
        };
        first..self.joints.len()
    }

    /// From tip to target.
    fn to_target(&self, physics: &Physics) -> [f64; 2] {
        let (tip, base) = (self.arm.last_link(physics.positions()).tip, self.arm.base());
        [0, 1].map(|i| base[i] + self.target[i] - tip[i])
    }
}

impl Task for Reacher {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        let arm = Arm::new(blueprint.model())?;
        Checks::horizon(p.horizon)?;
        Checks::positive("task.distance_softness_m", p.distance_softness_m)?;
        Checks::positive("task.precision_m", p.precision_m)?;
        if p.start_angle_spread_rad.len() != arm.joints() {
            return Err(format!(
                "task.start_angle_spread_rad has {} entries, expected one for each of {} joints",
                p.start_angle_spread_rad.len(),
                arm.joints()
            ));
        }
        let spreads = p.start_angle_spread_rad.iter();
        for (name, &value) in spreads.map(|v| ("start_angle_spread_rad", v)).chain([
            (
                "start_angular_velocity_spread_rad_s",
                &p.start_angular_velocity_spread_rad_s,
            ),
            ("target_radius_m", &p.target_radius_m[0]),
            ("distance_weight_1_m", &p.distance_weight_1_m),
            ("precision_weight", &p.precision_weight),
            ("angular_velocity_weight_s2", &p.angular_velocity_weight_s2),
            ("action_weight", &p.action_weight),
        ]) {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        Checks::ordered("task.target_radius_m", p.target_radius_m)?;
        if p.target_radius_m[1] > arm.reach() {
            return Err(format!(
                "task.target_radius_m: {} is beyond the arm's reach of {}",
                p.target_radius_m[1],
                arm.reach()
            ));
        }
        let mut joints = Vec::new();
        for joint in &blueprint.model().joints {
            let id = blueprint.joint(joint.name())?;
            let spread = p.start_angle_spread_rad[joints.len()] as f32;
            if id
                .limits
                .is_some_and(|[low, high]| -spread < low || spread > high)
            {
                return Err(format!(
                    "task.start_angle_spread_rad: {spread} is beyond joints.{}.limits_rad",
                    joint.name()
                ));
            }
            joints.push((joint.name().to_owned(), id));
        }
        Ok(Self {
            target: [p.target_radius_m[1], 0.0],
            arm,
            joints,
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let mut channels = Vec::new();
        for (name, _) in &self.joints[self.observed_joints()] {
            for function in ["cos", "sin"] {
                channels.push(Channel::new(&format!("{name}_{function}"), "1", -1.0, 1.0));
            }
        }
        for (name, joint) in &self.joints {
            let (name, limit) = (format!("{name}_angular_velocity"), joint.speed_limit);
            channels.push(Channel::new(&name, "rad/s", -limit, limit));
        }
        // Turned into another frame it may be longer by a rounding.
        let target = match self.parameters.observed_from {
            Frame::World => self.parameters.target_radius_m[1] as f32,
            Frame::FirstLink => 1.001 * self.parameters.target_radius_m[1] as f32,
        };
        // Slightly more than the sum, to allow for rounding.
        let far = 1.001 * (self.arm.reach() as f32 + target);
        for (name, bound) in [("target", target), ("to_target", far)] {
            for axis in ["x", "y"] {
                let name = format!("{name}_{axis}");
                channels.push(Channel::new(&name, "m", -bound, bound));
            }
        }
        Space(channels)
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let (positions, velocities) = coordinates.split_at_mut(self.joints.len());
        for (q, &half_width) in positions.iter_mut().zip(&p.start_angle_spread_rad) {
            *q = spread(rng, half_width) as f32;
        }
        for v in velocities {
            *v = spread(rng, p.start_angular_velocity_spread_rad_s) as f32;
        }
        // Uniform over the area.
        let [inner, outer] = p.target_radius_m.map(|r| r * r);
        let radius = (inner + (outer - inner) * rng.random::<f64>()).sqrt();
        let (sin, cos) = ComplexField::sin_cos(TAU * rng.random::<f64>());
        self.target = [radius * cos, radius * sin];
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let joints = self.observed_joints();
        let (angles, rest) = out.split_at_mut(2 * joints.len());
        let (speeds, places) = rest.split_at_mut(self.joints.len());
        let positions = &physics.positions()[joints];
        for (pair, &q) in angles.chunks_exact_mut(2).zip(positions) {
            (pair[1], pair[0]) = ComplexField::sin_cos(q);
        }
        speeds.copy_from_slice(physics.velocities());
        let vectors = [self.target, self.to_target(physics)].map(|v| self.seen(physics, v));
        for (place, value) in places.iter_mut().zip(vectors.as_flattened()) {
            *place = *value as f32;
        }
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let squares =
            |values: &[f32]| -> f64 { values.iter().map(|&v| f64::from(v).powi(2)).sum() };
        let (d, s) = (norm(self.to_target(physics)), p.distance_softness_m);
        p.distance_weight_1_m * ((d * d + s * s).sqrt() - s)
            + p.precision_weight * (d / p.precision_m).powi(2).ln_1p()
            + p.angular_velocity_weight_s2 * squares(physics.velocities())
            + p.action_weight * squares(action)
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        Some(norm(self.to_target(physics)) < SOLVED_M)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        let (n, angles) = (self.joints.len(), self.observed_joints().len());
        let sines = (0..angles).map(|joint| 2 * joint + 1);
        let target = 2 * angles + n;
        let to_target = target + 2;
        let signs = sines.chain(2 * angles..target).chain([target, to_target]);
        let mirror = Symmetry {
            memory: Change::negate([0]),
            ..Symmetry::mirror(0..2 * n, signs, 0..n)
        };
        let rotation = Symmetry {
            name: "rotation",
            coordinates: vec![Change::Add(0)],
            memory: vec![Change::Turn(0, 1)],
            observation: [0, target, to_target]
                .map(|x| Change::Turn(x, x + 1))
                .to_vec(),
            action: Vec::new(),
        };
        match self.parameters.observed_from {
            Frame::World => vec![mirror, rotation],
            // A rotation changes nothing that is observed.
            Frame::FirstLink => vec![mirror],
        }
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let ([x, y], half) = (self.arm.base(), 1.08 * self.arm.reach());
        let corner = |sign: f64| [(x + sign * half) as f32, (y + sign * half) as f32];
        [corner(-1.0), corner(1.0)]
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        let base = self.arm.base();
        items.push(Item {
            role: Role::Target,
            shape: Shape::Circle {
                centre: [0, 1].map(|i| (base[i] + self.target[i]) as f32),
                radius: SOLVED_M as f32,
            },
        });
    }

    fn memory(&self) -> Vec<f64> {
        self.target.to_vec()
    }

    fn recall(&mut self, memory: &[f64]) -> bool {
        match *memory {
            [x, y] if x.hypot(y) <= 1.001 * self.parameters.target_radius_m[1] => {
                self.target = [x, y];
                true
            }
            _ => false,
        }
    }
}
