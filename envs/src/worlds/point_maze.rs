//! `point_maze`: push a puck to a goal behind a solid wall that leaves a gap on one side; `point_fork`: the same
//! behind a block that can be passed on both sides.
//!
//! The task that distinguishes a cost from a habit (Fu, Luo and Levine, "Learning robust rewards with
//! adversarial inverse reinforcement learning", 2018): a cost is learned with the wall on one side and
//! optimised again with the wall on the other (variant `wall_right`). The true cost ignores
//! the wall, so it is right on both sides: the way round has to be planned. It is therefore the plain
//! distance to the goal and not the length of the path.
//!
//! `point_fork` is the task that distinguishes multimodal from unimodal policies: both ways round are equally good, the
//! expert takes either, and the mean of the two runs into the block, whose mouth traps a puck that keeps pushing.
//! An episode's mode is the side on which it passed.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `position_x` | m | outer walls | | `push_x` | 1 (times the gear, 4 N) | ±1 |
//! | `position_y` | m | outer walls | | `push_y` | 1 (times the gear, 4 N) | ±1 |
//! | `velocity_x` | m/s | speed limit | | | | |
//! | `velocity_y` | m/s | speed limit | | | | |
//!
//! Cost of a step: w_g (√(d² + s²) − s) + w_u |u|², with d the distance to the goal and s its softness.
//! Start: position uniform round `start_m` where the wall is not, at rest. End: after `horizon` steps (truncated). Solved:
//! within 0.25 m of the goal.

use serde::{Deserialize, Serialize};

use super::spread;
use super::walls::{arena, corners, inside};
use crate::model::{Checks, Joint, Model};
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::symmetry::Symmetry;
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<PointMaze>(
    "point_maze",
    "push a puck to a goal behind a wall with a gap on one side",
    include_str!("../../../assets/models/point_maze.json"),
)
.with_variants(include_str!("../../../assets/variants/point_maze.json"));

pub(crate) const FORK: World = World::of::<PointMaze>(
    "point_fork",
    "push a puck to a goal behind a block, on either side",
    include_str!("../../../assets/models/point_fork.json"),
)
.with_variants(include_str!("../../../assets/variants/point_fork.json"));

/// Distance of puck and goal within which the task is solved, metres.
const SOLVED_M: f64 = 0.25;

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
    /// Cost of |u|².
    pub action_weight: f64,
}

/// The task of `point_maze`.
#[derive(Clone)]
pub struct PointMaze {
    parameters: Parameters,
    float: JointId,
    arena: [[f32; 2]; 2],
    /// Lower-left and upper-right corner of the wall.
    wall: [[f64; 2]; 2],
    /// The same with the puck's reach round it: where its centre never starts.
    no_start: [[f64; 2]; 2],
    modes: &'static [&'static str],
}

/// A gap narrower than this counts as closed, metres.
const NO_GAP_M: f64 = 1e-6;
/// The greatest share of the start positions' rectangle that the wall may cover.
const MOST_COVERED: f64 = 0.9;

/// The share of the rectangle `of` that `by` covers.
fn covered(of: [[f64; 2]; 2], by: [[f64; 2]; 2]) -> f64 {
    let along = |i: usize| {
        let width = of[1][i] - of[0][i];
        let common = of[1][i].min(by[1][i]) - of[0][i].max(by[0][i]);
        match width > 0.0 {
            true => (common / width).max(0.0),
            false => f64::from(u8::from(common >= 0.0)),
        }
    };
    along(0) * along(1)
}

/// How far the body that `float` moves reaches from its centre, metres.
fn puck_reach(model: &Model) -> Result<f64, String> {
    let child = model.joints.iter().find_map(|joint| match joint {
        Joint::Free(free) if free.name == "float" => Some(&free.child),
        _ => None,
    });
    let puck = model.bodies.iter().find(|body| Some(&body.name) == child);
    puck.map(|body| body.shape.reach())
        .ok_or_else(|| "joints.float: the task needs it to be free and to move a body".into())
}

impl PointMaze {
    /// From puck to goal, metres.
    fn distance(&self, physics: &Physics) -> f64 {
        let [x, y] = [0, 1].map(|i| {
            f64::from(physics.positions()[self.float.index + i]) - self.parameters.goal_m[i]
        });
        x.hypot(y)
    }
}

impl Task for PointMaze {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        Checks::horizon(p.horizon)?;
        Checks::positive("task.goal_softness_m", p.goal_softness_m)?;
        for (name, value) in [
            ("start_spread_m", p.start_spread_m[0]),
            ("start_spread_m", p.start_spread_m[1]),
            ("goal_weight_1_m", p.goal_weight_1_m),
            ("action_weight", p.action_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        if blueprint.model().actuators.len() != 2 {
            return Err("actuators: the task needs two, along x and y".into());
        }
        let wall = corners(blueprint.scenery("wall")?)?;
        let arena = arena(blueprint)?;
        let starts = [-1.0, 1.0].map(|s| [0, 1].map(|i| p.start_m[i] + s * p.start_spread_m[i]));
        if !starts.iter().all(|place| inside(arena, *place)) {
            return Err("task.start_m and task.start_spread_m reach beyond the walls".into());
        }
        if !inside(arena, p.goal_m) {
            return Err("task.goal_m is beyond the walls".into());
        }
        let reach = puck_reach(blueprint.model())?;
        let no_start = [wall[0].map(|v| v - reach), wall[1].map(|v| v + reach)];
        if covered(starts, no_start) > MOST_COVERED {
            return Err("task.start_m and task.start_spread_m lie in scenery.wall".into());
        }
        let forked = (wall[0][0] - arena[0][0]).min(arena[1][0] - wall[1][0]) > NO_GAP_M;
        Ok(Self {
            wall,
            no_start,
            modes: if forked { &["left", "right"] } else { &[] },
            float: blueprint.joint("float")?,
            arena: arena.map(|corner| corner.map(|v| v as f32)),
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let ([low, high], v) = (self.arena, self.float.speed_limit);
        Space(vec![
            Channel::new("position_x", "m", low[0], high[0]),
            Channel::new("position_y", "m", low[1], high[1]),
            Channel::new("velocity_x", "m/s", -v, v),
            Channel::new("velocity_y", "m/s", -v, v),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let place = loop {
            let place = [0, 1].map(|i| p.start_m[i] + spread(rng, p.start_spread_m[i]));
            if !inside(self.no_start, place) {
                break place;
            }
        };
        for (axis, position) in place.into_iter().enumerate() {
            coordinates[self.float.index + axis] = position as f32;
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
        let (d, s) = (self.distance(physics), p.goal_softness_m);
        let effort: f64 = action.iter().map(|&u| f64::from(u).powi(2)).sum();
        p.goal_weight_1_m * ((d * d + s * s).sqrt() - s) + p.action_weight * effort
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        Some(self.distance(physics) < SOLVED_M)
    }

    fn modes(&self) -> &[&'static str] {
        self.modes
    }

    /// The side of the last crossing from the start's half of the table to the goal's.
    fn mode(&self, observations: &[f32]) -> Option<usize> {
        let [low, high] = self.wall;
        let middle = 0.5 * (low[1] + high[1]);
        let beyond = (self.parameters.goal_m[1] - middle).signum();
        let places: Vec<[f64; 2]> = observations
            .as_chunks::<4>()
            .0
            .iter()
            .map(|o| [f64::from(o[0]), beyond * (f64::from(o[1]) - middle)])
            .collect();
        let passage = places
            .windows(2)
            .rfind(|pair| pair[0][1] < 0.0 && pair[1][1] >= 0.0)?;
        let [before, after] = [passage[0], passage[1]];
        let share = before[1] / (before[1] - after[1]);
        let x = before[0] + share * (after[0] - before[0]);
        match self.modes {
            [] => None,
            _ if x < low[0] => Some(0),
            _ if x > high[0] => Some(1),
            _ => None,
        }
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        match self.modes {
            // Its wall leaves a gap on one side only.
            [] => Vec::new(),
            _ => {
                let x = [self.float.index, 2 + self.float.index];
                vec![Symmetry::mirror(x, [0, 2], [0])]
            }
        }
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
