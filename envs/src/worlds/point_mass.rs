//! `point_mass`: push a puck across a table to a goal, round an obstacle.
//!
//! The obstacle is soft: crossing it costs, but does not stop the puck (it is scenery that does not
//! collide; `--set obstacle.collides=true` makes it solid as well). So the dynamics stay smooth and
//! the obstacle can only be learned through the cost. The walls are solid.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `position_x` | m | walls | | `push_x` | 1 (times the gear, 4 N) | ±1 |
//! | `position_y` | m | walls | | `push_y` | 1 (times the gear, 4 N) | ±1 |
//! | `velocity_x` | m/s | speed limit | | | | |
//! | `velocity_y` | m/s | speed limit | | | | |
//!
//! Cost of a step: w_g (√(d² + s²) − s) + w_o exp(−2 e²/r²) + w_u |u|², with d the distance to the goal,
//! s the goal's softness, e the distance to the obstacle's centre and r its radius. Start: position
//! uniform round `start_m`, at rest. End: after `horizon` steps (truncated).

use serde::{Deserialize, Serialize};

use super::spread;
use super::walls::arena;
use crate::model::{Checks, Scenery, Shape as Outline};
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<PointMass>(
    "point_mass",
    "push a puck to a goal, round a soft obstacle",
    include_str!("../../../assets/models/point_mass.json"),
)
.with_variants(include_str!("../../../assets/variants/point_mass.json"));

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Centre of the start positions.
    pub start_m: [f64; 2],
    /// Half widths of the uniform start position.
    pub start_spread_m: [f64; 2],
    /// Where the puck should go.
    pub goal_m: [f64; 2],
    /// Distance below which the cost of distance turns from linear to quadratic.
    pub goal_softness_m: f64,
    /// Cost of the distance to the goal.
    pub goal_weight_1_m: f64,
    /// Cost at the obstacle's centre.
    pub obstacle_weight: f64,
    /// Cost of |u|².
    pub action_weight: f64,
}

/// The task of `point_mass`.
#[derive(Clone)]
pub struct PointMass {
    parameters: Parameters,
    float: JointId,
    obstacle: Disc,
    /// Lower-left and upper-right corner of the space between the walls.
    arena: [[f32; 2]; 2],
}

#[derive(Clone, Copy)]
struct Disc {
    centre: [f64; 2],
    radius: f64,
}

impl Task for PointMass {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        Checks::horizon(p.horizon)?;
        Checks::positive("task.goal_softness_m", p.goal_softness_m)?;
        for (name, value) in [
            ("start_spread_m", p.start_spread_m[0]),
            ("start_spread_m", p.start_spread_m[1]),
            ("goal_weight_1_m", p.goal_weight_1_m),
            ("obstacle_weight", p.obstacle_weight),
            ("action_weight", p.action_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        if blueprint.model().actuators.len() != 2 {
            return Err("actuators: the task needs two, along x and y".into());
        }
        let obstacle = match blueprint.scenery("obstacle")? {
            Scenery {
                shape: Outline::Circle { radius_m },
                position_m,
                ..
            } => Disc {
                centre: *position_m,
                radius: *radius_m,
            },
            _ => return Err("scenery.obstacle.shape: the task needs a circle".into()),
        };
        let arena = arena(blueprint)?.map(|corner| corner.map(|x| x as f32));
        for (axis, (low, high)) in std::iter::zip(arena[0], arena[1]).enumerate() {
            let (low, high) = (f64::from(low), f64::from(high));
            let ends = [-1.0, 1.0].map(|s| p.start_m[axis] + s * p.start_spread_m[axis]);
            if !(low < ends[0] && ends[1] < high) {
                return Err("task.start_m and task.start_spread_m reach beyond the walls".into());
            }
            if !(low..=high).contains(&p.goal_m[axis]) {
                return Err("task.goal_m is beyond the walls".into());
            }
        }
        Ok(Self {
            float: blueprint.joint("float")?,
            obstacle,
            arena,
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let [low, high] = self.arena;
        let v = self.float.speed_limit;
        Space(vec![
            Channel::new("position_x", "m", low[0], high[0]),
            Channel::new("position_y", "m", low[1], high[1]),
            Channel::new("velocity_x", "m/s", -v, v),
            Channel::new("velocity_y", "m/s", -v, v),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        for axis in 0..2 {
            coordinates[self.float.index + axis] =
                (p.start_m[axis] + spread(rng, p.start_spread_m[axis])) as f32;
        }
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let [low, high] = self.arena;
        for axis in 0..2 {
            let at = self.float.index + axis;
            out[axis] = physics.positions()[at].clamp(low[axis], high[axis]);
            out[2 + axis] = physics.velocities()[at];
        }
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let at = self.float.index;
        let place = [at, at + 1].map(|i| f64::from(physics.positions()[i]));
        let squared = |to: [f64; 2]| (place[0] - to[0]).powi(2) + (place[1] - to[1]).powi(2);
        let softness = p.goal_softness_m;
        let distance = (squared(p.goal_m) + softness * softness).sqrt() - softness;
        let depth = squared(self.obstacle.centre) / self.obstacle.radius.powi(2);
        let effort: f64 = action.iter().map(|&u| f64::from(u) * f64::from(u)).sum();
        p.goal_weight_1_m * distance
            + p.obstacle_weight * (-2.0 * depth).exp()
            + p.action_weight * effort
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let [x, y] = [0, 1].map(|i| f64::from(physics.positions()[self.float.index + i]));
        let [goal_x, goal_y] = self.parameters.goal_m;
        Some((x - goal_x).hypot(y - goal_y) < 0.3)
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let [low, high] = self.arena;
        let margin = 0.1;
        [low.map(|v| v - margin), high.map(|v| v + margin)]
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        items.push(Item {
            role: Role::Target,
            shape: Shape::Circle {
                centre: self.parameters.goal_m.map(|v| v as f32),
                radius: 0.15,
            },
        });
    }
}
