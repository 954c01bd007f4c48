//! `push_t`: push a T-shaped block to a pose with a round pusher.
//!
//! After the task of Chi et al., "Diffusion policy: visuomotor policy learning via action diffusion",
//! 2023: contact comes and goes, and the block has to be pushed from several sides. The world is seen
//! from above; the table resists the motion of block and pusher in proportion to their speed. The pusher
//! does not turn.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `pusher_x`, `pusher_y` | m | walls | | `push_x` | 1 (times the gear, 6 N) | ±1 |
//! | `block_x`, `block_y`: the block's frame | m | walls | | `push_y` | 1 (times the gear, 6 N) | ±1 |
//! | `block_sin`, `block_cos` of its angle | 1 | ±1 | | | | |
//! | `pusher_velocity_x`, `pusher_velocity_y` | m/s | speed limit | | | | |
//! | `block_velocity_x`, `block_velocity_y` | m/s | speed limit | | | | |
//! | `block_angular_velocity` | rad/s | speed limit | | | | |
//!
//! Cost of a step: w_e (√(e² + s²) − s) + w_p ln(1 + e²/p²) + w_n r + w_u |u|². The pose error e is
//! about the root mean square distance of the block's points from their goal positions, e² = d² + 2 ρ² (1 −
//! cos Δ), with d the distance and Δ the angle to the goal and ρ the `rotation_arm_m`; r is the distance of
//! pusher and block. Start: block uniform in a square round the middle of the table and turned, pusher at a
//! uniform distance and direction from it, at rest. End: after `horizon` steps (truncated). Solved: block
//! within 5 cm and 0.2 rad of the goal.

use std::f64::consts::TAU;

use nalgebra::ComplexField;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::walls::{arena, inside};
use super::{spread, wrap};
use crate::model::{Checks, Joint, Part, Shape as Outline};
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::symmetry::Symmetry;
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<PushT>(
    "push_t",
    "push a T-shaped block to a pose",
    include_str!("../../../assets/models/push_t.json"),
)
.with_variants(include_str!("../../../assets/variants/push_t.json"));

/// Distance and angle to the goal within which the task is solved, metres and radians.
const SOLVED: (f64, f64) = (0.05, 0.2);

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Goal position of the block's frame.
    pub goal_m: [f64; 2],
    /// Goal angle of the block.
    pub goal_angle_rad: f64,
    /// Half width of the block's uniform start position, along x and along y.
    pub start_spread_m: f64,
    /// Half width of its uniform start angle.
    pub start_angle_spread_rad: f64,
    /// Least and greatest distance of the pusher from the block's frame at the start.
    pub start_distance_m: [f64; 2],
    /// Pose error per angle: about the block's radius of gyration.
    pub rotation_arm_m: f64,
    /// Pose error below which its cost turns from linear to quadratic.
    pub error_softness_m: f64,
    /// Cost of the pose error.
    pub error_weight_1_m: f64,
    /// Pose error at which the logarithmic cost starts to level off.
    pub precision_m: f64,
    /// Weight of the logarithmic cost.
    pub precision_weight: f64,
    /// Cost of the distance between pusher and block.
    pub nearness_weight_1_m: f64,
    /// Cost of |u|².
    pub action_weight: f64,
}

impl Parameters {
    /// The pose error e of a block at `place` (x, y in metres, angle in rad), metres.
    pub fn pose_error(&self, [x, y, angle]: [f64; 3]) -> f64 {
        let turned = 2.0 * (1.0 - ComplexField::cos(angle - self.goal_angle_rad));
        let moved = (x - self.goal_m[0]).powi(2) + (y - self.goal_m[1]).powi(2);
        (moved + self.rotation_arm_m.powi(2) * turned).sqrt()
    }
}

/// The task of `push_t`.
#[derive(Clone)]
pub struct PushT {
    parameters: Parameters,
    pusher: JointId,
    block: JointId,
    turn_limit: f32,
    parts: Vec<Part>,
    arena: [[f32; 2]; 2],
}

impl PushT {
    fn block(&self, physics: &Physics) -> [f64; 3] {
        [0, 1, 2].map(|i| f64::from(physics.positions()[self.block.index + i]))
    }
}

impl Task for PushT {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        let model = blueprint.model();
        Checks::horizon(p.horizon)?;
        for (name, value) in [
            ("start_spread_m", p.start_spread_m),
            ("start_angle_spread_rad", p.start_angle_spread_rad),
            ("start_distance_m", p.start_distance_m[0]),
            ("error_weight_1_m", p.error_weight_1_m),
            ("precision_weight", p.precision_weight),
            ("nearness_weight_1_m", p.nearness_weight_1_m),
            ("action_weight", p.action_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        for (name, value) in [
            ("rotation_arm_m", p.rotation_arm_m),
            ("error_softness_m", p.error_softness_m),
            ("precision_m", p.precision_m),
        ] {
            Checks::positive(&format!("task.{name}"), value)?;
        }
        Checks::finite("task.goal_angle_rad", p.goal_angle_rad)?;
        Checks::ordered("task.start_distance_m", p.start_distance_m)?;
        if model.actuators.len() != 2 {
            return Err("actuators: the task needs two, along x and y".into());
        }
        let parts = match model.bodies.iter().find(|b| b.name == "block") {
            Some(body) => match &body.shape {
                Outline::Compound { parts } => parts.clone(),
                shape => vec![Part {
                    shape: shape.clone(),
                    position_m: [0.0; 2],
                    angle_rad: 0.0,
                }],
            },
            None => return Err("bodies: the task needs a body named `block`".into()),
        };
        let floats = (
            blueprint.joint("pusher_float")?,
            blueprint.joint("block_float")?,
        );
        let (pusher, block) = match floats {
            (pusher, block) if pusher.dofs == 2 && block.dofs == 3 => (pusher, block),
            _ => {
                return Err(
                    "joints: the task needs pusher_float and block_float to be free, of which only the block rotates"
                        .into(),
                );
            }
        };
        let turn_limit = model.joints.iter().find_map(|j| match j {
            Joint::Free(j) if j.name == "block_float" => Some(j.angular_speed_limit_rad_s as f32),
            _ => None,
        });
        let arena = arena(blueprint)?;
        if !inside(arena, p.goal_m) {
            return Err("task.goal_m is beyond the walls".into());
        }
        let far = p.start_spread_m + p.start_distance_m[1];
        if !inside(
            arena,
            [0, 1].map(|i| 0.5 * (arena[0][i] + arena[1][i]) + far),
        ) {
            return Err(
                "task.start_spread_m and task.start_distance_m reach beyond the walls".into(),
            );
        }
        Ok(Self {
            pusher,
            block,
            turn_limit: turn_limit.unwrap_or(block.speed_limit),
            parts,
            arena: arena.map(|corner| corner.map(|v| v as f32)),
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let [low, high] = self.arena;
        let mut channels = Vec::new();
        let mut push = |name: String, unit: &str, low, high| {
            channels.push(Channel::new(&name, unit, low, high));
        };
        for body in ["pusher", "block"] {
            for (axis, name) in ["x", "y"].into_iter().enumerate() {
                push(format!("{body}_{name}"), "m", low[axis], high[axis]);
            }
        }
        for function in ["sin", "cos"] {
            push(format!("block_{function}"), "1", -1.0, 1.0);
        }
        for (body, v) in [
            ("pusher", self.pusher.speed_limit),
            ("block", self.block.speed_limit),
        ] {
            for axis in ["x", "y"] {
                push(format!("{body}_velocity_{axis}"), "m/s", -v, v);
            }
        }
        let w = self.turn_limit;
        push("block_angular_velocity".into(), "rad/s", -w, w);
        Space(channels)
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let [near, far] = p.start_distance_m;
        let distance = near + (far - near) * rng.random::<f64>();
        let (sin, cos) = ComplexField::sin_cos(TAU * rng.random::<f64>());
        for (axis, direction) in [cos, sin].into_iter().enumerate() {
            let middle = 0.5 * f64::from(self.arena[0][axis] + self.arena[1][axis]);
            let block = middle + spread(rng, p.start_spread_m);
            coordinates[self.block.index + axis] = block as f32;
            coordinates[self.pusher.index + axis] = (block + distance * direction) as f32;
        }
        coordinates[self.block.index + 2] = spread(rng, p.start_angle_spread_rad) as f32;
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let (q, v) = (physics.positions(), physics.velocities());
        let ([low, high], pusher, block) = (self.arena, self.pusher.index, self.block.index);
        for axis in 0..2 {
            out[axis] = q[pusher + axis].clamp(low[axis], high[axis]);
            out[2 + axis] = q[block + axis].clamp(low[axis], high[axis]);
            out[6 + axis] = v[pusher + axis];
            out[8 + axis] = v[block + axis];
        }
        (out[4], out[5]) = ComplexField::sin_cos(q[block + 2]);
        out[10] = v[block + 2];
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let block = self.block(physics);
        let (e, s) = (p.pose_error(block), p.error_softness_m);
        let [x, y] =
            [0, 1].map(|i| f64::from(physics.positions()[self.pusher.index + i]) - block[i]);
        let effort: f64 = action.iter().map(|&u| f64::from(u).powi(2)).sum();
        p.error_weight_1_m * ((e * e + s * s).sqrt() - s)
            + p.precision_weight * (e / p.precision_m).powi(2).ln_1p()
            + p.nearness_weight_1_m * x.hypot(y)
            + p.action_weight * effort
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let ([x, y, angle], p) = (self.block(physics), &self.parameters);
        let distance = (x - p.goal_m[0]).hypot(y - p.goal_m[1]);
        Some(distance < SOLVED.0 && wrap(angle - p.goal_angle_rad).abs() < SOLVED.1)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        let ([pusher, block], dofs) = ([self.pusher.index, self.block.index], 5);
        let position = [pusher, block, block + 2];
        let coordinates = position.into_iter().chain(position.map(|i| dofs + i));
        vec![Symmetry::mirror(coordinates, [0, 2, 4, 6, 8, 10], [0])]
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let [low, high] = self.arena;
        let margin = 0.06;
        [low.map(|v| v - margin), high.map(|v| v + margin)]
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        let p = &self.parameters;
        let (sin, cos) = ComplexField::sin_cos(p.goal_angle_rad);
        for part in &self.parts {
            let (part_sin, part_cos) = ComplexField::sin_cos(part.angle_rad);
            let at = |x: f64, y: f64| {
                let [dx, dy] = part.position_m;
                let (x, y) = (
                    dx + part_cos * x - part_sin * y,
                    dy + part_sin * x + part_cos * y,
                );
                let (x, y) = (cos * x - sin * y, sin * x + cos * y);
                [(p.goal_m[0] + x) as f32, (p.goal_m[1] + y) as f32]
            };
            let shape = match &part.shape {
                Outline::Box { width_m, height_m } => {
                    let (x, y) = (width_m / 2.0, height_m / 2.0);
                    Shape::Polygon {
                        points: vec![at(-x, -y), at(x, -y), at(x, y), at(-x, y)],
                    }
                }
                Outline::Polygon { points_m } => Shape::Polygon {
                    points: points_m.iter().map(|[x, y]| at(*x, *y)).collect(),
                },
                Outline::Rod { length_m, radius_m } | Outline::Capsule { length_m, radius_m } => {
                    Shape::Capsule {
                        from: at(0.0, -length_m / 2.0),
                        to: at(0.0, length_m / 2.0),
                        radius: *radius_m as f32,
                    }
                }
                Outline::Circle { radius_m } => Shape::Circle {
                    centre: at(0.0, 0.0),
                    radius: *radius_m as f32,
                },
                // Rejected for bodies and for parts.
                Outline::Compound { .. } | Outline::Terrain { .. } => continue,
            };
            items.push(Item {
                role: Role::Target,
                shape,
            });
        }
    }
}
