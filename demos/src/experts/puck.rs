//! A round, non-rotating body pushed across a table by two thrusts: parameters for its controllers.

use costate_envs::model::{Actuator, Joint, Model, Shape};
use costate_envs::worlds::walls::corners;
use nalgebra::Vector2;

/// The body, its drives and its free space.
#[derive(Debug, Clone)]
pub(super) struct Puck {
    pub radius_m: f64,
    /// Lower-left and upper-right corner of the space between the outer walls.
    pub arena: [Vector2<f64>; 2],
    mass_kg: f64,
    damping_n_s_m: f64,
    gears_n: [f64; 2],
}

impl Puck {
    /// The body `name` of a model.
    pub fn of(model: &Model, name: &str) -> Result<Self, String> {
        let float = model.joints.iter().find_map(|j| match j {
            Joint::Free(float) if float.child == name && !float.rotates => Some(float),
            _ => None,
        });
        let body = model.bodies.iter().find(|b| b.name == name);
        let (Some(float), Some(body)) = (float, body) else {
            return Err(format!("it needs a floating `{name}` that does not turn"));
        };
        let (Shape::Circle { radius_m }, Some(mass_kg)) = (&body.shape, body.mass_kg) else {
            return Err(format!("it needs a round `{name}` with a mass_kg"));
        };
        let gear = |i: usize, axis: [f64; 2]| match model.actuators.get(i) {
            Some(Actuator::Thrust(a)) if a.body == name && a.direction == axis => {
                Some(a.gear_n.unwrap_or(1.0))
            }
            _ => None,
        };
        let (Some(along_x), Some(along_y)) = (gear(0, [1.0, 0.0]), gear(1, [0.0, 1.0])) else {
            return Err("it needs two thrusts, the first along x, the second along y".into());
        };
        let wall = |name: &str| {
            let item = model.scenery.iter().find(|s| s.name == name);
            corners(item.ok_or_else(|| format!("scenery: there is no `{name}`"))?)
        };
        let low = [wall("left_wall")?[1][0], wall("bottom_wall")?[1][1]];
        let high = [wall("right_wall")?[0][0], wall("top_wall")?[0][1]];
        Ok(Self {
            radius_m: *radius_m,
            arena: [low.into(), high.into()],
            mass_kg,
            damping_n_s_m: float.damping_n_s_m,
            gears_n: [along_x, along_y],
        })
    }

    /// Writes the action that brings the velocity from `now` to `wanted` within `response_s`.
    pub fn servo(&self, wanted: Vector2<f64>, now: Vector2<f64>, response_s: f64, out: &mut [f64]) {
        let force = wanted * self.damping_n_s_m + (wanted - now) * (self.mass_kg / response_s);
        for (i, o) in out.iter_mut().enumerate() {
            *o = force[i] / self.gears_n[i];
        }
    }
}
