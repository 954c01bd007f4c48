//! `lunar_lander`: bring a lander down on a pad, slowly and upright, with two engines.
//!
//! After Gymnasium's continuous `LunarLander`, in metres: a hull of 1.14 m × 0.9 m on two legs, 5 kg,
//! g = 10 m/s², a start 10 m over a pad of 4 m, a main engine of 1.8 times the weight and a side
//! engine of 12 N high on the hull, which turns it. Unlike there, thrust is proportional to the
//! command (no dead zone), the legs are rigid and the episode has a fixed horizon; with
//! `ends_on_crash` it terminates where the hull touches anything or the lander tips over on the
//! ground. Positive angles and a positive `side` command turn counter-clockwise.
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `position_x` x from the pad's middle | m | walls | | `main` thrust along the hull's axis | 1 (times the gear, 90 N) | 0, 1 |
//! | `height` h of the feet over the pad when upright | m | ground, ceiling | | `side` thrust to the left, at the top | 1 (times the gear, 12 N) | ±1 |
//! | `velocity_x` | m/s | speed limit, 12 | | | | |
//! | `velocity_y` | m/s | speed limit, 12 | | | | |
//! | `sin` sin θ | 1 | ±1 | | | | |
//! | `cos` cos θ | 1 | ±1 | | | | |
//! | `angular_velocity` ω | rad/s | speed limit, 8 | | | | |
//! | `left_leg` foot on the ground | 1 | 0, 1 | | | | |
//! | `right_leg` foot on the ground | 1 | 0, 1 | | | | |
//!
//! Cost of a step: w_d (√(x² + h² + s²) − s) + w_v |v|² + w_θ (1 − cos θ) + w_ω ω² + w_m main² +
//! w_s side², with the weights and the softness s of the model's `task`. Start: uniform round
//! `start_m` in position, velocity, angle and angular velocity. End: after `horizon` steps
//! (truncated), or at a crash (terminated) if `ends_on_crash`. Solved: both feet on the ground,
//! |x| below half the pad's width, tilt below 0.2 rad, speeds below 0.3 m/s in x and y and 0.3 rad/s.

use nalgebra::ComplexField;
use serde::{Deserialize, Serialize};

use super::spread;
use super::walls::corners;
use crate::model::{Checks, Part, Scenery, Shape as Outline};
use crate::physics::{Blueprint, BodyId, JointId, Physics};
use crate::rng::Stream;
use crate::spec::{Channel, Space};
use crate::symmetry::{Change, Symmetry};
use crate::task::Task;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<LunarLander>(
    "lunar_lander",
    "land on a pad, slowly and upright, with a main and a side engine",
    include_str!("../../../assets/models/lunar_lander.json"),
)
.with_variants(include_str!("../../../assets/variants/lunar_lander.json"));

/// Gap under a foot that still counts as contact, metres.
const CONTACT_GAP: f32 = 0.02;
/// Tilt beyond which a lander on the ground counts as crashed: cos 45°.
const TIPPED_COS: f32 = 0.707_106_77;
/// Greatest speed in each direction (m/s) and angular speed (rad/s) of a lander at rest.
const RESTING: f32 = 0.3;
/// Cosine of the greatest tilt that counts as upright, 0.2 rad.
const LEVEL_COS: f32 = 0.980_066_6;

/// The `task` object of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Control steps in an episode.
    pub horizon: usize,
    /// Middle of the start positions.
    pub start_m: [f64; 2],
    /// Half widths of the uniform start position.
    pub start_spread_m: [f64; 2],
    /// Half widths of the uniform start velocity.
    pub start_velocity_spread_m_s: [f64; 2],
    /// Half width of the uniform start angle.
    pub start_angle_spread_rad: f64,
    /// Half width of the uniform start angular velocity.
    pub start_angular_velocity_spread_rad_s: f64,
    /// Whether a crash ends the episode.
    pub ends_on_crash: bool,
    /// Cost of the distance to the pad.
    pub distance_weight_1_m: f64,
    /// Distance below which its cost turns from linear to quadratic.
    pub distance_softness_m: f64,
    /// Cost of |v|².
    pub velocity_weight_s2_m2: f64,
    /// Cost of 1 − cos θ.
    pub tilt_weight: f64,
    /// Cost of ω².
    pub angular_velocity_weight_s2: f64,
    /// Cost of main².
    pub main_weight: f64,
    /// Cost of side².
    pub side_weight: f64,
}

/// The task of `lunar_lander`.
#[derive(Clone)]
pub struct LunarLander {
    parameters: Parameters,
    lander: BodyId,
    float: JointId,
    angular_speed_limit: f32,
    /// Left and right foot.
    feet: [Foot; 2],
    /// Height of the lander's frame when it stands on level ground.
    standing: f32,
    /// Middle of the pad's surface.
    pad: [f32; 2],
    pad_half_width: f32,
    /// Highest point of the ground: no foot above it touches.
    summit: f32,
    /// Lower-left and upper-right corner of the space between pad, walls and ceiling.
    arena: [[f32; 2]; 2],
}

/// The round lower end of a leg, in the lander's frame.
#[derive(Clone, Copy)]
struct Foot {
    centre: [f32; 2],
    radius: f32,
}

impl Foot {
    /// The foot of a leg, if the part is one.
    fn of(part: &Part) -> Option<Self> {
        let Outline::Capsule { length_m, radius_m } = part.shape else {
            return None;
        };
        let (sin, cos) = ComplexField::sin_cos(part.angle_rad);
        let lower = if cos > 0.0 {
            -length_m / 2.0
        } else {
            length_m / 2.0
        };
        let [x, y] = part.position_m;
        Some(Self {
            centre: [(x - sin * lower) as f32, (y + cos * lower) as f32],
            radius: radius_m as f32,
        })
    }
}

/// Where the lander is.
struct Pose {
    at: [f32; 2],
    sin: f32,
    cos: f32,
}

impl LunarLander {
    fn pose(&self, physics: &Physics) -> Pose {
        let q = &physics.positions()[self.float.index..];
        let (sin, cos) = ComplexField::sin_cos(q[2]);
        Pose {
            at: [q[0], q[1]],
            sin,
            cos,
        }
    }

    /// x and height of the feet when upright, from the middle of the pad.
    fn relative_to_pad(&self, pose: &Pose) -> [f32; 2] {
        [
            pose.at[0] - self.pad[0],
            pose.at[1] - self.standing - self.pad[1],
        ]
    }

    /// Whether a foot stands on something.
    fn touches(&self, physics: &Physics, pose: &Pose, foot: Foot) -> bool {
        let [x, y] = foot.centre;
        let centre = [
            pose.at[0] + pose.cos * x - pose.sin * y,
            pose.at[1] + pose.sin * x + pose.cos * y,
        ];
        let reach = foot.radius + CONTACT_GAP;
        centre[1] < self.summit + reach
            && physics.distance_to_scenery(centre, [0.0, -1.0], reach) < reach
    }
}

impl Task for LunarLander {
    type Parameters = Parameters;

    fn new(parameters: Parameters, blueprint: &Blueprint) -> Result<Self, String> {
        let p = &parameters;
        p.check()?;
        let model = blueprint.model();
        if model.actuators.len() != 2 {
            return Err("actuators: the task needs two, the main and the side engine".into());
        }
        let lander = blueprint.body("lander")?;
        let feet = feet(blueprint)?;
        let standing = feet
            .iter()
            .map(|f| f.radius - f.centre[1])
            .fold(f32::NEG_INFINITY, f32::max);
        let (pad, pad_half_width) = match blueprint.scenery("pad")? {
            Scenery {
                shape: Outline::Box { width_m, height_m },
                position_m: [x, y],
                ..
            } => (
                [*x as f32, (y + height_m / 2.0) as f32],
                *width_m as f32 / 2.0,
            ),
            _ => return Err("scenery.pad.shape: the task needs a box".into()),
        };
        let arena = arena(blueprint, p, pad)?;
        let float = blueprint.joint("float")?;
        if float.dofs != 3 {
            return Err("joints.float.rotates is false, the task needs a lander that turns".into());
        }
        let angular_speed_limit = model.joints.iter().find_map(|j| match j {
            crate::model::Joint::Free(j) if j.name == "float" => {
                Some(j.angular_speed_limit_rad_s as f32)
            }
            _ => None,
        });
        Ok(Self {
            lander,
            float,
            angular_speed_limit: angular_speed_limit
                .ok_or("joints.float: the task needs a free joint")?,
            feet,
            standing,
            pad,
            pad_half_width,
            summit: ground(blueprint)?.max(pad[1]),
            arena,
            parameters,
        })
    }

    fn horizon(&self) -> usize {
        self.parameters.horizon
    }

    fn observation(&self) -> Space {
        let ([left, floor], [right, ceiling]) = (self.arena[0], self.arena[1]);
        let (v, w) = (self.float.speed_limit, self.angular_speed_limit);
        let [x, y] = self.pad;
        Space(vec![
            Channel::new("position_x", "m", left - x, right - x),
            Channel::new(
                "height",
                "m",
                floor - y - self.standing,
                ceiling - y - self.standing,
            ),
            Channel::new("velocity_x", "m/s", -v, v),
            Channel::new("velocity_y", "m/s", -v, v),
            Channel::new("sin", "1", -1.0, 1.0),
            Channel::new("cos", "1", -1.0, 1.0),
            Channel::new("angular_velocity", "rad/s", -w, w),
            Channel::new("left_leg", "1", 0.0, 1.0),
            Channel::new("right_leg", "1", 0.0, 1.0),
        ])
    }

    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]) {
        let p = &self.parameters;
        let i = self.float.index;
        let n = coordinates.len() / 2;
        for axis in 0..2 {
            coordinates[i + axis] = (p.start_m[axis] + spread(rng, p.start_spread_m[axis])) as f32;
            coordinates[n + i + axis] = spread(rng, p.start_velocity_spread_m_s[axis]) as f32;
        }
        coordinates[i + 2] = spread(rng, p.start_angle_spread_rad) as f32;
        coordinates[n + i + 2] = spread(rng, p.start_angular_velocity_spread_rad_s) as f32;
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        let pose = self.pose(physics);
        let v = &physics.velocities()[self.float.index..];
        let inside = |axis: usize| pose.at[axis].clamp(self.arena[0][axis], self.arena[1][axis]);
        // Contacts give way by a fraction of a millimetre.
        out[0] = inside(0) - self.pad[0];
        out[1] = inside(1) - self.pad[1] - self.standing;
        out[2] = v[0];
        out[3] = v[1];
        out[4] = pose.sin;
        out[5] = pose.cos;
        out[6] = v[2];
        for (value, foot) in out[7..].iter_mut().zip(self.feet) {
            *value = f32::from(self.touches(physics, &pose, foot));
        }
    }

    fn cost(&self, physics: &Physics, action: &[f32]) -> f64 {
        let p = &self.parameters;
        let pose = self.pose(physics);
        let square = |x: f32| f64::from(x) * f64::from(x);
        let v = &physics.velocities()[self.float.index..];
        let [x, h] = self.relative_to_pad(&pose);
        let softness = p.distance_softness_m;
        let distance = (square(x) + square(h) + softness * softness).sqrt() - softness;
        p.distance_weight_1_m * distance
            + p.velocity_weight_s2_m2 * (square(v[0]) + square(v[1]))
            + p.tilt_weight * (1.0 - f64::from(pose.cos))
            + p.angular_velocity_weight_s2 * square(v[2])
            + p.main_weight * square(action[0])
            + p.side_weight * square(action[1])
    }

    fn terminated(&self, physics: &Physics) -> bool {
        if !self.parameters.ends_on_crash || !physics.touches(self.lander) {
            return false;
        }
        let pose = self.pose(physics);
        let stands = self
            .feet
            .iter()
            .any(|&foot| self.touches(physics, &pose, foot));
        !stands || pose.cos < TIPPED_COS
    }

    fn solved(&self, physics: &Physics) -> Option<bool> {
        let pose = self.pose(physics);
        let v = &physics.velocities()[self.float.index..];
        Some(
            self.relative_to_pad(&pose)[0].abs() < self.pad_half_width
                && pose.cos > LEVEL_COS
                && v[..3].iter().all(|v| v.abs() < RESTING)
                && self
                    .feet
                    .iter()
                    .all(|&foot| self.touches(physics, &pose, foot)),
        )
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        let at = self.float.index;
        let mut mirror = Symmetry::mirror([at, at + 2, at + 3, at + 5], [0, 2, 4, 6], [1]);
        // The legs.
        mirror.observation.push(Change::Swap(7, 8));
        vec![mirror]
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        let [low, high] = self.arena;
        let margin = 0.3;
        [[low[0] - margin, low[1] - 1.0], high.map(|v| v + margin)]
    }
}
impl Parameters {
    fn check(&self) -> Result<(), String> {
        Checks::horizon(self.horizon)?;
        Checks::positive("task.distance_softness_m", self.distance_softness_m)?;
        let [vx, vy] = self.start_velocity_spread_m_s;
        for (name, value) in [
            ("start_spread_m", self.start_spread_m[0]),
            ("start_spread_m", self.start_spread_m[1]),
            ("start_velocity_spread_m_s", vx),
            ("start_velocity_spread_m_s", vy),
            ("start_angle_spread_rad", self.start_angle_spread_rad),
            (
                "start_angular_velocity_spread_rad_s",
                self.start_angular_velocity_spread_rad_s,
            ),
            ("distance_weight_1_m", self.distance_weight_1_m),
            ("velocity_weight_s2_m2", self.velocity_weight_s2_m2),
            ("tilt_weight", self.tilt_weight),
            (
                "angular_velocity_weight_s2",
                self.angular_velocity_weight_s2,
            ),
            ("main_weight", self.main_weight),
            ("side_weight", self.side_weight),
        ] {
            Checks::not_negative(&format!("task.{name}"), value)?;
        }
        Ok(())
    }
}

/// The two feet, from left to right.
fn feet(blueprint: &Blueprint) -> Result<[Foot; 2], String> {
    let mut feet = match blueprint
        .model()
        .bodies
        .iter()
        .find(|b| b.name == "lander")
        .map(|b| &b.shape)
    {
        Some(Outline::Compound { parts }) => parts.iter().filter_map(Foot::of).collect(),
        _ => Vec::new(),
    };
    feet.sort_by(|a, b| a.centre[0].total_cmp(&b.centre[0]));
    <[Foot; 2]>::try_from(feet).map_err(|_| {
        "bodies.lander.shape: the task needs a compound with two capsules, the legs".into()
    })
}

/// Height of the terrain's summit.
fn ground(blueprint: &Blueprint) -> Result<f32, String> {
    match blueprint.scenery("ground")? {
        Scenery {
            shape: Outline::Terrain { heights_m, .. },
            position_m,
            angle_rad,
            ..
        } if *angle_rad == 0.0 => {
            let highest = heights_m.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            Ok((position_m[1] + highest) as f32)
        }
        _ => Err("scenery.ground.shape: the task needs level terrain".into()),
    }
}

/// Lower and upper corner of the space between the walls, the pad and the ceiling.
fn arena(blueprint: &Blueprint, p: &Parameters, pad: [f32; 2]) -> Result<[[f32; 2]; 2], String> {
    let wall = |name| corners(blueprint.scenery(name)?);
    let ceiling = wall("ceiling")?[0][1] as f32;
    let arena = [
        [wall("left_wall")?[1][0] as f32, pad[1]],
        [wall("right_wall")?[0][0] as f32, ceiling],
    ];
    let names = [
        "scenery: the space between the walls",
        "scenery: the space under the ceiling",
    ];
    for (axis, name) in names.into_iter().enumerate() {
        let (low, high) = (f64::from(arena[0][axis]), f64::from(arena[1][axis]));
        Checks::ordered(name, [low, high])?;
        let ends = [-1.0, 1.0].map(|s| p.start_m[axis] + s * p.start_spread_m[axis]);
        if !(low < ends[0] && ends[1] < high) {
            return Err("task.start_m and task.start_spread_m reach beyond the walls".into());
        }
    }
    Ok(arena)
}
