//! The task of the planar walking robots: run to the right at a given speed without falling.
//!
//! Shared by [`hopper`](super::hopper), [`walker`](super::walker),
//! [`half_cheetah`](super::half_cheetah) and [`bipedal_walker`](super::bipedal_walker); their models
//! differ. The trunk floats (joint `root`); every other joint is a hinge. Angles are
//! counter-clockwise, x points where the robot should run.
//!
//! | observation | unit | bounds |
//! | --- | --- | --- |
//! | `clearance`: ground to the trunk's centre, downwards | m | 0 … 5 |
//! | `pitch_sin`, `pitch_cos` of the trunk | 1 | ±1 |
//! | `JOINT` angle, one per hinge | rad | the joint's limits |
//! | `velocity_x`, `velocity_y` of the trunk | m/s | speed limit |
//! | `pitch_rate` of the trunk | rad/s | speed limit |
//! | `JOINT_rate`, one per hinge | rad/s | speed limit |
//! | `BODY_contact`, one per body in `feet`: does it press on the ground? | 1 | 0 or 1 |
//! | `lidar_1` …: distance to the ground along rays ahead, 1.5 rad fanned out from straight down | m | 0 … range |
//!
//! Actions are the hinges' torques in units of their gears, ±1. Cost of a step:
//!
//! w_v clamp(1 − v_x/v*, 0, 2) + w_f 1(fallen) + w_u |u|²
//!
//! with the target speed v*; running faster earns nothing more. Fallen: the trunk is lower than
//! `least_clearance_m` or tilted by more than `most_pitch_rad`. Start: the drawing pose with small
//! uniform deviations. End: after `horizon` steps (truncated); with `end_when_fallen` also on a fall
//! (terminated), as is usual in reinforcement learning. Solved: not fallen.

use nalgebra::ComplexField;
use serde::{Deserialize, Serialize};

use super::spread;
use crate::model::{Checks, Joint};
use crate::physics::{Blueprint, BodyId, JointId, Physics};
use crate::rng::Stream;
use crate::spec::{Channel, Space};
use crate::task::Task;

/// Clearance is not measured beyond this, metres.
const REACH: f32 = 5.0;

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Start height of the trunk's centre.
    pub start_height_m: f64,
    /// Half width of the uniform start height (m), pitch and joint angles (rad).
    pub start_spread: f64,
    /// Half width of all uniform start speeds (m/s, rad/s).
    pub start_speed_spread: f64,
    /// Speed v* from which running costs nothing.
    pub target_speed_m_s: f64,
    /// Trunk's centre lower than this above the ground: fallen.
    pub least_clearance_m: f64,
    /// Trunk tilted by more than this: fallen.
    pub most_pitch_rad: f64,
    /// Cost of standing still.
    pub speed_weight: f64,
    /// Cost of being fallen.
    pub fallen_weight: f64,
    /// Cost of |u|².
    pub action_weight: f64,
    /// Whether a fall ends the episode.
    pub end_when_fallen: bool,
    /// Bodies whose contact with the ground is observed.
    #[serde(default)]
    pub feet: Vec<String>,
    /// Number of lidar rays; 0 for no lidar.
    #[serde(default)]
    pub lidar_rays: usize,
    /// Range of the lidar.
    #[serde(default = "default_range")]
    pub lidar_range_m: f64,
}

fn default_range() -> f64 {
    1.0
}

/// The task of the walking robots.
#[derive(Clone)]
pub struct Runner {
    parameters: Parameters,
    trunk: BodyId,
    root: JointId,
    pitch_rate_limit: f32,
    hinges: Vec<Hinge>,
    feet: Vec<(String, BodyId)>,
    /// Directions of the lidar in the world.
    rays: Vec<[f32; 2]>,
}

#[derive(Clone)]
struct Hinge {
    name: String,
    joint: JointId,
    limits: [f32; 2],
}

impl Task for Runner {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        Checks::horizon(p.horizon)?;
        for (name, value) in [
            ("start_height_m", p.start_height_m),
            ("target_speed_m_s", p.target_speed_m_s),
            ("most_pitch_rad", p.most_pitch_rad),
            ("lidar_range_m", p.lidar_range_m),
        ] {
            Checks::positive(&format!("task.{name}"), value)?;
        }
        for (name, value) in [
            ("start_spread", p.start_spread),
            ("start_speed_spread", p.start_speed_spread),
            ("least_clearance_m", p.least_clearance_m),
            ("speed_weight", p.speed_weight),
            ("fallen_weight", p.fallen_weight),
            ("action_weight", p.action_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        if p.lidar_rays > 100 {
            return Err(format!(
                "task.lidar_rays is {}, expected at most 100",
                p.lidar_rays
            ));
        }
        let joints = &blueprint.model().joints;
        let Some(Joint::Free(free)) = joints.first().filter(|j| j.name() == "root") else {
            return Err("joints: the task needs a first joint `root` of kind \"free\"".into());
        };
        let hinge = |joint: &Joint| -> Result<Hinge, String> {
            let joint_id = blueprint.joint(joint.name())?;
            let limits = joint_id
                .limits
                .filter(|_| matches!(joint, Joint::Revolute(_)));
            Ok(Hinge {
                name: joint.name().into(),
                joint: joint_id,
                limits: limits.ok_or_else(|| {
                    format!("joints.{}: the task needs hinges with limits", joint.name())
                })?,
            })
        };
        let rays = p.lidar_rays as f32;
        let ray = |i: usize| {
            let (sin, cos) = ComplexField::sin_cos(1.5 * i as f32 / rays);
            [sin, -cos]
        };
        Ok(Self {
            trunk: blueprint.body(&free.child)?,
            root: blueprint.joint("root")?,
            pitch_rate_limit: free.angular_speed_limit_rad_s as f32,
            hinges: joints[1..].iter().map(hinge).collect::<Result<_, _>>()?,
            feet: p
                .feet
                .iter()
                .map(|name| Ok((name.clone(), blueprint.body(name)?)))
                .collect::<Result<_, String>>()?,
            rays: (0..p.lidar_rays).map(ray).collect(),
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let v = self.root.speed_limit;
        let mut channels = vec![
            Channel::new("clearance", "m", 0.0, REACH),
            Channel::new("pitch_sin", "1", -1.0, 1.0),
            Channel::new("pitch_cos", "1", -1.0, 1.0),
        ];
        channels.extend(self.hinges.iter().map(|h| {
            let [low, high] = h.limits;
            Channel::new(&h.name, "rad", low, high)
        }));
        channels.extend([
            Channel::new("velocity_x", "m/s", -v, v),
            Channel::new("velocity_y", "m/s", -v, v),
            Channel::new(
                "pitch_rate",
                "rad/s",
                -self.pitch_rate_limit,
                self.pitch_rate_limit,
            ),
        ]);
        channels.extend(self.hinges.iter().map(|h| {
            let w = h.joint.speed_limit;
            Channel::new(&format!("{}_rate", h.name), "rad/s", -w, w)
        }));
        channels.extend(
            self.feet
                .iter()
                .map(|(name, _)| Channel::new(&format!("{name}_contact"), "1", 0.0, 1.0)),
        );
        let range = self.parameters.lidar_range_m as f32;
        channels.extend(
            (1..=self.rays.len()).map(|i| Channel::new(&format!("lidar_{i}"), "m", 0.0, range)),
        );
        Space(channels)
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let (positions, velocities) = coordinates.split_at_mut(coordinates.len() / 2);
        for (i, position) in positions.iter_mut().enumerate() {
            if i != self.root.index {
                *position = spread(rng, p.start_spread) as f32;
            }
        }
        positions[self.root.index + 1] += p.start_height_m as f32;
        for hinge in &self.hinges {
            let [low, high] = hinge.limits;
            let position = &mut positions[hinge.joint.index];
            *position = position.clamp(low, high);
        }
        for velocity in velocities {
            *velocity = spread(rng, p.start_speed_spread) as f32;
        }
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let (q, v) = (physics.positions(), physics.velocities());
        let at = self.root.index;
        let hinges = self.hinges.len();
        let (sin, cos) = ComplexField::sin_cos(q[at + 2]);
        out[..3].copy_from_slice(&[self.clearance(physics), sin, cos]);
        out[3 + hinges..6 + hinges].copy_from_slice(&v[at..at + 3]);
        for (i, hinge) in self.hinges.iter().enumerate() {
            let [low, high] = hinge.limits;
            // The stops give way a little.
            out[3 + i] = q[hinge.joint.index].clamp(low, high);
            out[6 + hinges + i] = v[hinge.joint.index];
        }
        let rest = &mut out[6 + 2 * hinges..];
        let (contacts, lidar) = rest.split_at_mut(self.feet.len());
        for (out, (_, foot)) in contacts.iter_mut().zip(&self.feet) {
            *out = f32::from(u8::from(physics.touches(*foot)));
        }
        let range = self.parameters.lidar_range_m as f32;
        for (out, ray) in lidar.iter_mut().zip(&self.rays) {
            *out = physics.distance_to_scenery([q[at], q[at + 1]], *ray, range);
        }
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let speed = f64::from(physics.velocities()[self.root.index]);
        let effort: f64 = action.iter().map(|&u| f64::from(u) * f64::from(u)).sum();
        p.speed_weight * (1.0 - speed / p.target_speed_m_s).clamp(0.0, 2.0)
            + p.fallen_weight * f64::from(u8::from(self.fallen(physics)))
            + p.action_weight * effort
    }

    fn terminated(&self, physics: &Physics) -> bool {
        self.parameters.end_when_fallen && self.fallen(physics)
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        Some(!self.fallen(physics))
    }

    fn view(&self, physics: &Physics) -> [[f32; 2]; 2] {
        let x = physics.pose(self.trunk).translation.x;
        let half = 1.6 * self.parameters.start_height_m as f32;
        [[x - half, -0.3], [x + half, 1.25 * half - 0.3]]
    }
}

impl Runner {
    /// Height of the trunk's centre above the ground below it, metres; at most `REACH`.
    fn clearance(&self, physics: &Physics) -> f32 {
        let pose = physics.pose(self.trunk);
        physics.distance_to_scenery(pose.translation.into(), [0.0, -1.0], REACH)
    }

    fn fallen(&self, physics: &Physics) -> bool {
        let p = &self.parameters;
        let pitch = physics.positions()[self.root.index + 2];
        f64::from(pitch).abs() > p.most_pitch_rad
            || f64::from(self.clearance(physics)) < p.least_clearance_m
    }
}
