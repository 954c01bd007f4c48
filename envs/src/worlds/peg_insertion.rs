//! `peg_insertion`: put a peg into a tight slot with a three-link arm.
//!
//! A task of the guided cost learning paper (Finn, Levine and Abbeel 2016). The peg is the arm's last
//! link; the slot lies between two blocks on a floor and is 3 mm wider than the peg on each side.
//! The links before the peg pass over the blocks. No gravity: the arm lies in a horizontal plane or is
//! balanced.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `JOINT_angle` of shoulder, elbow, wrist | rad | joint limits | | `shoulder_torque` | 1 (times the gear, 3 N m) | ±1 |
//! | `JOINT_angular_velocity` | rad/s | speed limit | | `elbow_torque` | 1 (times the gear, 2 N m) | ±1 |
//! | `tip_x`, `tip_y`: peg tip − goal | m | ± (reach + distance of the goal) | | `wrist_torque` | 1 (times the gear, 0.5 N m) | ±1 |
//! | `tilt_sin`, `tilt_cos` of the peg against the slot | 1 | ±1 | | | | |
//!
//! First come all angles, then all angular velocities. The goal is the middle of the slot's bottom.
//!
//! Cost of a step: w_d d² + w_p ln(1 + d²/p²) + w_q̇ |q̇|² + w_u |u|², with d² the mean of the squared
//! distances of the peg's two ends from their fully inserted positions, so that orientation
//! counts, and p the precision that the second term demands. Start: joint angles uniform round
//! `start_angle_rad`, redrawn while the peg is less than 3 cm above the blocks; at rest. End: after
//! `horizon` steps (truncated). Solved: peg tip within 1 cm of the goal.

use std::f64::consts::PI;

use nalgebra::ComplexField;
use serde::{Deserialize, Serialize};

use super::arm::{Arm, norm};
use super::spread;
use super::walls::corners;
use crate::model::{Checks, Model, Shape as Outline};
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<PegInsertion>(
    "peg_insertion",
    "put a peg into a tight slot with a three-link arm",
    include_str!("../../../assets/models/peg_insertion.json"),
)
.with_variants(include_str!("../../../assets/variants/peg_insertion.json"));

/// Distance of peg tip and goal within which the task is solved, metres.
const SOLVED_M: f64 = 0.01;

/// Minimum height of the peg above the blocks at the start, metres.
const START_HEIGHT_M: f64 = 0.03;

/// Draws of a start before falling back to the mean start angles.
const DRAWS: usize = 1000;

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Mean start angles.
    pub start_angle_rad: [f64; 3],
    /// Half widths of the uniform start angles.
    pub start_angle_spread_rad: [f64; 3],
    /// Cost of the mean squared distance of the peg's ends.
    pub distance_weight_1_m2: f64,
    /// Distance at which the logarithmic cost starts to level off.
    pub precision_m: f64,
    /// Weight of the logarithmic cost.
    pub precision_weight: f64,
    /// Cost of |q̇|².
    pub angular_velocity_weight_s2: f64,
    /// Cost of |u|².
    pub action_weight: f64,
}

/// The task of `peg_insertion`.
#[derive(Clone)]
pub struct PegInsertion {
    parameters: Parameters,
    arm: Arm,
    joints: Vec<(String, JointId, [f32; 2])>,
    slot: Slot,
    peg: [f64; 2],
}

/// Where the peg goes: a slot that opens upwards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slot {
    /// Middle of its bottom, metres.
    pub bottom: [f64; 2],
    /// Height of its mouth: the upper faces of the blocks, metres.
    pub mouth: f64,
    /// Distance between the blocks, metres.
    pub width: f64,
}

impl Slot {
    /// The slot between `left_block`, `right_block` and `floor` of a model.
    pub fn of(model: &Model) -> Result<Self, String> {
        let find = |name: &str| {
            let item = model.scenery.iter().find(|s| s.name == name);
            let item =
                item.ok_or_else(|| format!("scenery: the task needs an entry named `{name}`"))?;
            corners(item)
        };
        let (left, right, floor) = (find("left_block")?, find("right_block")?, find("floor")?);
        let (sides, mouth) = ([left[1][0], right[0][0]], left[1][1].min(right[1][1]));
        Checks::ordered(
            "scenery: the space between left_block and right_block",
            sides,
        )?;
        Checks::ordered("scenery: the depth of the slot", [floor[1][1], mouth])?;
        Ok(Self {
            bottom: [0.5 * (sides[0] + sides[1]), floor[1][1]],
            mouth,
            width: sides[1] - sides[0],
        })
    }

    /// From the goal to the tip of the peg, metres.
    pub fn tip_error(&self, tip: [f64; 2]) -> [f64; 2] {
        [0, 1].map(|i| tip[i] - self.bottom[i])
    }

    /// Angle of the peg against the slot, rad, not wrapped: the peg's frame looks downwards in it.
    pub fn tilt(&self, angle: f64) -> f64 {
        angle + PI
    }
}

impl PegInsertion {
    /// Mean squared distance of the peg's ends from their target positions, m².
    fn squared_distance(&self, physics: &Physics) -> f64 {
        let peg = self.arm.last_link(physics.positions());
        let tip = self.slot.tip_error(peg.tip);
        // The other end: the last joint, a peg's length above the goal.
        let [x, y] = self.slot.tip_error(peg.joint);
        let other = [x, y - self.peg[1]];
        0.5 * [tip, other].iter().flatten().map(|v| v * v).sum::<f64>()
    }

    /// Height of the peg's lowest corner over the blocks, metres.
    fn height(&self, positions: &[f32]) -> f64 {
        let peg = self.arm.last_link(positions);
        let side = 0.5 * self.peg[0] * ComplexField::sin(peg.angle).abs();
        peg.joint[1].min(peg.tip[1]) - side - self.slot.mouth
    }
}

impl Task for PegInsertion {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        let model = blueprint.model();
        Checks::horizon(p.horizon)?;
        Checks::positive("task.precision_m", p.precision_m)?;
        for (name, value) in p
            .start_angle_spread_rad
            .map(|v| ("start_angle_spread_rad", v))
            .into_iter()
            .chain([
                ("distance_weight_1_m2", p.distance_weight_1_m2),
                ("precision_weight", p.precision_weight),
                ("angular_velocity_weight_s2", p.angular_velocity_weight_s2),
                ("action_weight", p.action_weight),
            ])
        {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        let arm = Arm::new(model)?;
        if arm.joints() != p.start_angle_rad.len() {
            return Err(format!(
                "joints: there are {}, the task needs {}",
                arm.joints(),
                p.start_angle_rad.len()
            ));
        }
        let mut joints = Vec::new();
        for (i, joint) in model.joints.iter().enumerate() {
            let (name, id) = (joint.name().to_owned(), blueprint.joint(joint.name())?);
            let limits = id.limits.ok_or_else(|| {
                format!("joints.{name}.limits_rad is null, the task needs two ends")
            })?;
            Checks::finite("task.start_angle_rad", p.start_angle_rad[i])?;
            let ends = [-1.0, 1.0]
                .map(|s| (p.start_angle_rad[i] + s * p.start_angle_spread_rad[i]) as f32);
            if ends[0] < limits[0] || ends[1] > limits[1] {
                return Err(format!(
                    "task.start_angle_rad and task.start_angle_spread_rad: {ends:?} is beyond joints.{name}.limits_rad"
                ));
            }
            joints.push((name, id, limits));
        }
        let last = model.joints.last().map_or("", |j| j.child());
        let peg = match model
            .bodies
            .iter()
            .find(|b| b.name == last)
            .map(|b| &b.shape)
        {
            Some(Outline::Box { width_m, height_m }) => [*width_m, *height_m],
            _ => return Err(format!("bodies.{last}.shape: the peg needs to be a box")),
        };
        let slot = Slot::of(model)?;
        if peg[0] >= slot.width {
            return Err(format!(
                "bodies.{last}.shape.width_m is {}, the slot is only {} wide",
                peg[0], slot.width
            ));
        }
        let task = Self {
            arm,
            joints,
            slot,
            peg,
            parameters,
        };
        let mean = task.parameters.start_angle_rad.map(|v| v as f32);
        if task.height(&mean) < START_HEIGHT_M {
            return Err(format!(
                "task.start_angle_rad: the peg is less than {START_HEIGHT_M} m above the blocks"
            ));
        }
        Ok(task)
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let angles = self.joints.iter().map(|(name, _, [low, high])| {
            Channel::new(&format!("{name}_angle"), "rad", *low, *high)
        });
        let speeds = self.joints.iter().map(|(name, id, _)| {
            let name = format!("{name}_angular_velocity");
            Channel::new(&name, "rad/s", -id.speed_limit, id.speed_limit)
        });
        let base = self.arm.base();
        let apart = [0, 1].map(|i| self.slot.bottom[i] - base[i]);
        // Slightly more than the sum, to allow for rounding.
        let far = 1.001 * (self.arm.reach() + norm(apart)) as f32;
        let place = [("tip_x", far), ("tip_y", far)].map(|(n, b)| Channel::new(n, "m", -b, b));
        let tilt = ["tilt_sin", "tilt_cos"].map(|n| Channel::new(n, "1", -1.0, 1.0));
        Space(angles.chain(speeds).chain(place).chain(tilt).collect())
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let positions = &mut coordinates[..self.joints.len()];
        for _ in 0..DRAWS {
            for (i, q) in positions.iter_mut().enumerate() {
                *q = (p.start_angle_rad[i] + spread(rng, p.start_angle_spread_rad[i])) as f32;
            }
            if self.height(positions) >= START_HEIGHT_M {
                return;
            }
        }
        positions.copy_from_slice(&p.start_angle_rad.map(|v| v as f32));
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let n = self.joints.len();
        for (i, (_, _, [low, high])) in self.joints.iter().enumerate() {
            // The stops give way a little.
            out[i] = physics.positions()[i].clamp(*low, *high);
        }
        out[n..2 * n].copy_from_slice(physics.velocities());
        let peg = self.arm.last_link(physics.positions());
        let [x, y] = self.slot.tip_error(peg.tip);
        let (sin, cos) = ComplexField::sin_cos(self.slot.tilt(peg.angle));
        for (o, v) in out[2 * n..].iter_mut().zip([x, y, sin, cos]) {
            *o = v as f32;
        }
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let squares =
            |values: &[f32]| -> f64 { values.iter().map(|&v| f64::from(v).powi(2)).sum() };
        let squared = self.squared_distance(physics);
        p.distance_weight_1_m2 * squared
            + p.precision_weight * (squared / (p.precision_m * p.precision_m)).ln_1p()
            + p.angular_velocity_weight_s2 * squares(physics.velocities())
            + p.action_weight * squares(action)
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let peg = self.arm.last_link(physics.positions());
        Some(norm(self.slot.tip_error(peg.tip)) < SOLVED_M)
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let ([x, y], reach) = (self.arm.base(), self.arm.reach());
        let low = [x - 0.35 * reach, self.slot.bottom[1] - 0.06];
        let high = [x + 1.05 * reach, y + 0.8 * reach];
        [low, high].map(|corner| corner.map(|v| v as f32))
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        // The outline of the inserted peg.
        let ([x, y], [width, length]) = (self.slot.bottom, self.peg);
        let (left, right) = ((x - 0.5 * width) as f32, (x + 0.5 * width) as f32);
        let (low, high) = (y as f32, (y + length) as f32);
        items.push(Item {
            role: Role::Target,
            shape: Shape::Polygon {
                points: vec![[left, low], [right, low], [right, high], [left, high]],
            },
        });
    }
}
