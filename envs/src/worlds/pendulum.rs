//! `pendulum`: swing a rod up and hold it, with a motor too weak to lift it directly.
//!
//! The physical parameters are those of the classic task: a uniform rod of 1 kg and 1 m, g = 10 m/s²,
//! torque up to 2 N m, speed up to 8 rad/s. Angles are counter-clockwise from upright.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `cos` cos θ | 1 | ±1 | | `torque` u | N m | ±2 |
//! | `sin` sin θ | 1 | ±1 | | | | |
//! | `angular_velocity` θ̇ | rad/s | speed limit | | | | |
//!
//! Cost of a step: w_θ θ² + w_θ̇ θ̇² + w_u u² with θ wrapped to ±π; the weights of the model's `task`
//! are 1, 0.1 and 0.001. Start: θ and θ̇ uniform. End: after `horizon` steps (truncated). Solved: within
//! 20° of upright.

use std::f64::consts::PI;

use nalgebra::ComplexField;
use serde::{Deserialize, Serialize};

use super::{UPRIGHT_COS, spread, wrap};
use crate::model::Checks;
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::symmetry::Symmetry;
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Pendulum>(
    "pendulum",
    "swing a rod up with a weak motor and hold it",
    include_str!("../../../assets/models/pendulum.json"),
)
.with_variants(include_str!("../../../assets/variants/pendulum.json"));

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Half width of the uniform start angle round hanging.
    pub start_angle_spread_rad: f64,
    /// Half width of the uniform start angular velocity.
    pub start_angular_velocity_spread_rad_s: f64,
    /// Cost of θ².
    pub angle_weight_1_rad2: f64,
    /// Cost of θ̇².
    pub angular_velocity_weight_s2_rad2: f64,
    /// Cost of u².
    pub action_weight: f64,
}

/// The task of `pendulum`.
#[derive(Clone)]
pub struct Pendulum {
    parameters: Parameters,
    hinge: JointId,
}

impl Task for Pendulum {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        Checks::horizon(p.horizon)?;
        for (name, value) in [
            ("start_angle_spread_rad", p.start_angle_spread_rad),
            (
                "start_angular_velocity_spread_rad_s",
                p.start_angular_velocity_spread_rad_s,
            ),
            ("angle_weight_1_rad2", p.angle_weight_1_rad2),
            (
                "angular_velocity_weight_s2_rad2",
                p.angular_velocity_weight_s2_rad2,
            ),
            ("action_weight", p.action_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        Ok(Self {
            hinge: blueprint.joint("hinge")?,
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let w = self.hinge.speed_limit;
        Space(vec![
            Channel::new("cos", "1", -1.0, 1.0),
            Channel::new("sin", "1", -1.0, 1.0),
            Channel::new("angular_velocity", "rad/s", -w, w),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        coordinates[0] = (PI + spread(rng, p.start_angle_spread_rad)) as f32;
        coordinates[1] = spread(rng, p.start_angular_velocity_spread_rad_s) as f32;
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let (sin, cos) = ComplexField::sin_cos(physics.positions()[self.hinge.index]);
        out[0] = cos;
        out[1] = sin;
        out[2] = physics.velocities()[self.hinge.index];
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let theta = wrap(f64::from(physics.positions()[self.hinge.index]));
        let speed = f64::from(physics.velocities()[self.hinge.index]);
        let torque = f64::from(action[0]);
        p.angle_weight_1_rad2 * theta * theta
            + p.angular_velocity_weight_s2_rad2 * speed * speed
            + p.action_weight * torque * torque
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let theta = physics.positions()[self.hinge.index];
        Some(ComplexField::cos(theta) > UPRIGHT_COS)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        vec![Symmetry::mirror(0..2, [1, 2], [0])]
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        [[-1.3, -1.3], [1.3, 1.3]]
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        // A ring where the tip should come to rest.
        items.push(Item {
            role: Role::Target,
            shape: Shape::Circle {
                centre: [0.0, 1.0],
                radius: 0.09,
            },
        });
    }
}
