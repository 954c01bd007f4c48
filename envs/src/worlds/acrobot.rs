//! `acrobot`: swing a two-link pendulum up with a torque at the elbow only, and balance it.
//!
//! Spong, "The swing up control problem for the acrobot", IEEE Control Systems 15(1), 1995. Two
//! uniform rods of 1 m and 1 kg on joints without friction, g = 9.81 m/s²: lengths and masses as in
//! the DeepMind control suite and the classic task. The torque reaches ±20 N m instead of the suite's
//! ±2, so that balancing tolerates noise; lifting both rods takes 39 J. Angles are counter-clockwise:
//! the upper link's from upright, the elbow's from the straight arm (relative to the upper link).
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `upper_cos` cos θ₁ | 1 | ±1 | | `torque` u | N m | ±20 |
//! | `upper_sin` sin θ₁ | 1 | ±1 | | | | |
//! | `elbow_cos` cos θ₂ | 1 | ±1 | | | | |
//! | `elbow_sin` sin θ₂ | 1 | ±1 | | | | |
//! | `upper_angular_velocity` θ̇₁ | rad/s | speed limit, 4π | | | | |
//! | `elbow_angular_velocity` θ̇₂ | rad/s | speed limit, 9π | | | | |
//!
//! Cost of a step: w₁ (1 − cos θ₁) + w₂ (1 − cos(θ₁+θ₂)) + w_θ̇ (θ̇₁² + θ̇₂²) + w_u u², with the
//! weights of the model's `task`. Start: hanging, angles and speeds uniform. End: after `horizon`
//! steps (truncated). Solved: both links within 20° of upright, so that the tip is within 6 % of
//! its greatest height.

use std::f64::consts::PI;

use nalgebra::ComplexField;
use serde::{Deserialize, Serialize};

use super::{UPRIGHT_COS, spread};
use crate::model::{Checks, Shape as Outline};
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::symmetry::Symmetry;
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Acrobot>(
    "acrobot",
    "swing two links up with a motor at the elbow and balance them",
    include_str!("../../../assets/models/acrobot.json"),
)
.with_variants(include_str!("../../../assets/variants/acrobot.json"));

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Half width of the uniform start angles round hanging.
    pub start_angle_spread_rad: f64,
    /// Half width of the uniform start angular velocities.
    pub start_angular_velocity_spread_rad_s: f64,
    /// Cost of 1 − cos θ₁.
    pub upper_angle_weight: f64,
    /// Cost of 1 − cos(θ₁+θ₂).
    pub lower_angle_weight: f64,
    /// Cost of θ̇₁² + θ̇₂².
    pub angular_velocity_weight_s2: f64,
    /// Cost of u².
    pub action_weight_1_n2_m2: f64,
}

/// The task of `acrobot`.
#[derive(Clone)]
pub struct Acrobot {
    parameters: Parameters,
    shoulder: JointId,
    elbow: JointId,
    /// Length of both links together, metres.
    reach: f32,
}

impl Acrobot {
    /// Angles from upright of the upper and the lower link.
    fn angles(&self, physics: &Physics) -> [f32; 2] {
        let q = physics.positions();
        let upper = q[self.shoulder.index];
        [upper, upper + q[self.elbow.index]]
    }
}

impl Task for Acrobot {
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
            ("upper_angle_weight", p.upper_angle_weight),
            ("lower_angle_weight", p.lower_angle_weight),
            ("angular_velocity_weight_s2", p.angular_velocity_weight_s2),
            ("action_weight_1_n2_m2", p.action_weight_1_n2_m2),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        let mut reach = 0.0;
        for name in ["upper", "lower"] {
            blueprint.body(name)?;
            let bodies = &blueprint.model().bodies;
            reach += match bodies.iter().find(|b| b.name == name).map(|b| &b.shape) {
                Some(Outline::Rod { length_m, .. } | Outline::Capsule { length_m, .. }) => {
                    *length_m as f32
                }
                _ => {
                    return Err(format!(
                        "bodies.{name}.shape: the task needs a rod or a capsule"
                    ));
                }
            };
        }
        Ok(Self {
            shoulder: blueprint.joint("shoulder")?,
            elbow: blueprint.joint("elbow")?,
            reach,
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let (v, w) = (self.shoulder.speed_limit, self.elbow.speed_limit);
        Space(vec![
            Channel::new("upper_cos", "1", -1.0, 1.0),
            Channel::new("upper_sin", "1", -1.0, 1.0),
            Channel::new("elbow_cos", "1", -1.0, 1.0),
            Channel::new("elbow_sin", "1", -1.0, 1.0),
            Channel::new("upper_angular_velocity", "rad/s", -v, v),
            Channel::new("elbow_angular_velocity", "rad/s", -w, w),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let (positions, velocities) = coordinates.split_at_mut(2);
        for (joint, rest) in [(self.shoulder, PI), (self.elbow, 0.0)] {
            positions[joint.index] = (rest + spread(rng, p.start_angle_spread_rad)) as f32;
            velocities[joint.index] = spread(rng, p.start_angular_velocity_spread_rad_s) as f32;
        }
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let (q, v) = (physics.positions(), physics.velocities());
        for (i, joint) in [self.shoulder, self.elbow].into_iter().enumerate() {
            let (sin, cos) = ComplexField::sin_cos(q[joint.index]);
            out[2 * i] = cos;
            out[2 * i + 1] = sin;
            out[4 + i] = v[joint.index];
        }
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let v = physics.velocities();
        let [upper, lower] = self.angles(physics).map(f64::from);
        let square = |x: f32| f64::from(x) * f64::from(x);
        p.upper_angle_weight * (1.0 - ComplexField::cos(upper))
            + p.lower_angle_weight * (1.0 - ComplexField::cos(lower))
            + p.angular_velocity_weight_s2
                * (square(v[self.shoulder.index]) + square(v[self.elbow.index]))
            + p.action_weight_1_n2_m2 * square(action[0])
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let upright = |angle| ComplexField::cos(angle) > UPRIGHT_COS;
        Some(self.angles(physics).into_iter().all(upright))
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        vec![Symmetry::mirror(0..4, [1, 3, 4, 5], [0])]
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let half = 1.15 * self.reach;
        [[-half, -half], [half, half]]
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        // Where the tip should come to rest.
        items.push(Item {
            role: Role::Target,
            shape: Shape::Circle {
                centre: [0.0, self.reach],
                radius: 0.06 * self.reach,
            },
        });
    }
}
