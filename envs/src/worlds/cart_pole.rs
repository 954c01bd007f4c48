//! `cart_pole`: keep a pole upright on a cart that is pushed along a track with stops.
//!
//! A uniform rod swings freely on a cart; nothing ends the episode but the horizon, so the pole may
//! fall and swing and the cart may hit a stop. Angles are counter-clockwise from upright.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `cart_position` x | m | track | | `push` u | 1 (times the gear, 10 N) | ±1 |
//! | `pole_sin` sin θ | 1 | ±1 | | | | |
//! | `pole_cos` cos θ | 1 | ±1 | | | | |
//! | `cart_velocity` ẋ | m/s | speed limit | | | | |
//! | `pole_angular_velocity` θ̇ | rad/s | speed limit | | | | |
//!
//! Cost of a step: w_θ (1 − cos θ) + w_x x² + w_ẋ ẋ² + w_θ̇ θ̇² + w_u u², with the weights of the
//! model's `task`. Start: uniform round `start_angle_rad`, at rest but for the stated spreads.
//! End: after `horizon` steps (truncated). Solved: pole within 20° of upright.

use nalgebra::ComplexField;
use serde::{Deserialize, Serialize};

use super::{UPRIGHT_COS, spread};
use crate::model::Checks;
use crate::physics::{Blueprint, JointId, Physics};
use crate::rng::Stream;
use crate::scene::{Item, Role, Shape};
use crate::spec::{Channel, Space};
use crate::symmetry::Symmetry;
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<CartPole>(
    "cart_pole",
    "keep a pole upright on a cart pushed along a track",
    include_str!("../../../assets/models/cart_pole.json"),
)
.with_variants(include_str!("../../../assets/variants/cart_pole.json"));

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Mean start angle: 0 is upright, π hanging.
    pub start_angle_rad: f64,
    /// Half width of the uniform start angle.
    pub start_angle_spread_rad: f64,
    /// Half width of the uniform start position.
    pub start_position_spread_m: f64,
    /// Half width of the uniform start velocity.
    pub start_velocity_spread_m_s: f64,
    /// Half width of the uniform start angular velocity.
    pub start_angular_velocity_spread_rad_s: f64,
    /// Cost of 1 − cos θ.
    pub angle_weight: f64,
    /// Cost of x².
    pub position_weight_1_m2: f64,
    /// Cost of ẋ².
    pub velocity_weight_s2_m2: f64,
    /// Cost of θ̇².
    pub angular_velocity_weight_s2: f64,
    /// Cost of u².
    pub action_weight: f64,
}

/// The task of `cart_pole` and `cart_pole_swing_up`.
#[derive(Clone)]
pub struct CartPole {
    parameters: Parameters,
    slider: JointId,
    track: [f32; 2],
    hinge: JointId,
}

impl Task for CartPole {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        Checks::horizon(p.horizon)?;
        Checks::finite("task.start_angle_rad", p.start_angle_rad)?;
        for (name, value) in [
            ("start_angle_spread_rad", p.start_angle_spread_rad),
            ("start_position_spread_m", p.start_position_spread_m),
            ("start_velocity_spread_m_s", p.start_velocity_spread_m_s),
            (
                "start_angular_velocity_spread_rad_s",
                p.start_angular_velocity_spread_rad_s,
            ),
            ("angle_weight", p.angle_weight),
            ("position_weight_1_m2", p.position_weight_1_m2),
            ("velocity_weight_s2_m2", p.velocity_weight_s2_m2),
            ("angular_velocity_weight_s2", p.angular_velocity_weight_s2),
            ("action_weight", p.action_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        let slider = blueprint.joint("slider")?;
        let track = slider
            .limits
            .ok_or("joints.slider.limits_m is null, the track needs two ends")?;
        let reach = p.start_position_spread_m as f32;
        if -reach < track[0] || reach > track[1] {
            return Err(format!(
                "task.start_position_spread_m is {reach}, beyond the track of joints.slider.limits_m"
            ));
        }
        Ok(Self {
            slider,
            track,
            hinge: blueprint.joint("hinge")?,
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let (v, w) = (self.slider.speed_limit, self.hinge.speed_limit);
        Space(vec![
            Channel::new("cart_position", "m", self.track[0], self.track[1]),
            Channel::new("pole_sin", "1", -1.0, 1.0),
            Channel::new("pole_cos", "1", -1.0, 1.0),
            Channel::new("cart_velocity", "m/s", -v, v),
            Channel::new("pole_angular_velocity", "rad/s", -w, w),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let (positions, velocities) = coordinates.split_at_mut(2);
        let (x, theta) = (self.slider.index, self.hinge.index);
        positions[x] = spread(rng, p.start_position_spread_m) as f32;
        positions[theta] = (p.start_angle_rad + spread(rng, p.start_angle_spread_rad)) as f32;
        velocities[x] = spread(rng, p.start_velocity_spread_m_s) as f32;
        velocities[theta] = spread(rng, p.start_angular_velocity_spread_rad_s) as f32;
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let (q, v) = (physics.positions(), physics.velocities());
        let (sin, cos) = ComplexField::sin_cos(q[self.hinge.index]);
        // The stops give way by a fraction of a millimetre.
        out[0] = q[self.slider.index].clamp(self.track[0], self.track[1]);
        out[1] = sin;
        out[2] = cos;
        out[3] = v[self.slider.index];
        out[4] = v[self.hinge.index];
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let (q, v) = (physics.positions(), physics.velocities());
        let square = |x: f32| f64::from(x) * f64::from(x);
        let theta = f64::from(q[self.hinge.index]);
        p.angle_weight * (1.0 - ComplexField::cos(theta))
            + p.position_weight_1_m2 * square(q[self.slider.index])
            + p.velocity_weight_s2_m2 * square(v[self.slider.index])
            + p.angular_velocity_weight_s2 * square(v[self.hinge.index])
            + p.action_weight * square(action[0])
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let theta = physics.positions()[self.hinge.index];
        Some(ComplexField::cos(theta) > UPRIGHT_COS)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        vec![Symmetry::mirror(0..4, [0, 1, 3, 4], [0])]
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let [left, right] = self.track;
        let half = 0.24 * (right - left);
        [[left - 0.3, -half], [right + 0.3, half]]
    }

    fn backdrop(&self, items: &mut Vec<Item>) {
        let [left, right] = self.track;
        items.push(Item {
            role: Role::Ground,
            shape: Shape::Capsule {
                from: [left - 0.2, 0.0],
                to: [right + 0.2, 0.0],
                radius: 0.015,
            },
        });
        for x in [left - 0.2, right + 0.2] {
            items.push(Item {
                role: Role::Ground,
                shape: Shape::Capsule {
                    from: [x, -0.1],
                    to: [x, 0.1],
                    radius: 0.025,
                },
            });
        }
    }
}
