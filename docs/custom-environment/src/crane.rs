//! `crane`: bring a hanging load to the middle of the rail and let it hang still.

use costate_envs::physics::{Blueprint, JointId, Physics};
use costate_envs::rng::Stream;
use costate_envs::{Channel, Space, Task, World};
use rand::RngExt;
use serde::{Deserialize, Serialize};

pub const WORLD: World = World::of::<Crane>(
    "crane",
    "bring a hanging load to the middle of the rail",
    include_str!("../crane.json"),
);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    horizon: usize,
    start_spread_m: f32,
    action_weight: f64,
}

#[derive(Clone)]
pub struct Crane {
    horizon: usize,
    start_spread: f32,
    action_weight: f64,
    rail: JointId,
    hook: JointId,
}

impl Task for Crane {
    type Parameters = Parameters;

    fn new(p: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        if p.horizon == 0 {
            return Err("task.horizon is 0, expected at least 1".into());
        }
        if !(0.0..3.0).contains(&p.start_spread_m) {
            return Err("task.start_spread_m: expected a place on the rail, 0 to 3".into());
        }
        Ok(Self {
            horizon: p.horizon,
            start_spread: p.start_spread_m,
            action_weight: p.action_weight,
            rail: blueprint.joint("rail")?,
            hook: blueprint.joint("hook")?,
        })
    }

    fn horizon(&self) -> usize {
        self.horizon
    }

    fn observation(&self) -> Space {
        let (v, w) = (self.rail.speed_limit, self.hook.speed_limit);
        Space(vec![
            Channel::new("position", "m", -3.0, 3.0),
            Channel::new("sin", "1", -1.0, 1.0),
            Channel::new("cos", "1", -1.0, 1.0),
            Channel::new("velocity", "m/s", -v, v),
            Channel::new("angular_velocity", "rad/s", -w, w),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        coordinates[self.rail.index] = self.start_spread * rng.random_range(-1.0..=1.0);
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let (q, v) = (physics.positions(), physics.velocities());
        out[0] = q[self.rail.index].clamp(-3.0, 3.0);
        (out[1], out[2]) = q[self.hook.index].sin_cos();
        (out[3], out[4]) = (v[self.rail.index], v[self.hook.index]);
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let (q, v) = (physics.positions(), physics.velocities());
        let square = |x: f32| f64::from(x) * f64::from(x);
        square(q[self.rail.index])
            + square(q[self.hook.index])
            + 0.1 * square(v[self.hook.index])
            + self.action_weight * square(action[0])
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let q = physics.positions();
        Some(q[self.rail.index].abs() < 0.2 && q[self.hook.index].abs() < 0.2)
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        [[-3.5, -2.0], [3.5, 0.5]]
    }
}
