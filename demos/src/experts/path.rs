//! The shortest way round a wall, followed with a velocity controller; where it can be passed on both sides, on a
//! side chosen at random.
//!
//! A string pulled taut between puck and goal touches a disc round the wall's free end, wide enough for
//! the puck to clear the corners. The puck should move along it, at a limited speed that falls in
//! proportion to the distance to the goal, driven by a force in proportion to the velocity error. The
//! mean action is a function of the state, continuous except when leaving the disc; masses and
//! geometry come from the model, so that the wall may stand on either side. The coin is flipped once per episode, from
//! its seed, and applies while the puck is in front of the wall; a puck beside it continues on its own side.

use costate_envs::model::Model;
use costate_envs::rng::stream;
use costate_envs::worlds::point_maze::Parameters;
use costate_envs::worlds::walls::corners;
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::{Rotation2, Vector2};
use rand::RngExt;
use serde::Serialize;
use serde_json::{Value, json};

use super::puck::Puck;
use super::{Expert, ExpertError, Margins};

/// Settings of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PathParameters {
    /// Clearance between puck and corners.
    pub clearance_m: f64,
    /// Speed per distance to the goal.
    pub gain_1_s: f64,
    /// Greatest speed.
    pub speed_limit_m_s: f64,
    /// Time in which velocity errors decay.
    pub response_s: f64,
}

impl PathParameters {
    /// Settings chosen for a registered environment.
    pub fn for_env(env: &str) -> Option<Self> {
        let clearance_m = match env {
            "point_maze" => 0.02,
            // The block's mouth has lips.
            "point_fork" => 0.2,
            _ => return None,
        };
        Some(Self {
            clearance_m,
            gain_1_s: 3.0,
            speed_limit_m_s: 1.65,
            response_s: 0.15,
        })
    }
}

/// The controller.
#[derive(Debug, Clone)]
pub struct PathExpert {
    parameters: PathParameters,
    goal: Vector2<f64>,
    /// The free ends of the wall, left before right; none for a wall that does not collide.
    ends: Vec<Wall>,
    /// The end that the coin chose.
    chosen: usize,
    puck: Puck,
    margins: Margins,
}

/// A free end of a wall along x.
#[derive(Debug, Clone, Copy)]
struct Wall {
    /// Middle of the free end.
    end: Vector2<f64>,
    /// From the wall through the gap: 1 towards +x, −1 towards −x.
    side: f64,
    /// Towards the goal: 1 towards +y, −1 towards −y.
    beyond: f64,
    half_thickness: f64,
    /// Radius of the disc that the puck's centre keeps out of.
    radius: f64,
}

impl PathExpert {
    /// The controller for a model of `point_maze` or `point_fork`.
    pub fn new(
        factory: &EnvFactory,
        parameters: PathParameters,
        margins: Margins,
    ) -> Result<Self, ExpertError> {
        Self::of_model(&factory.config().model, parameters, margins)
            .map_err(ExpertError::no_formula(factory))
    }

    fn of_model(
        model: &Value,
        parameters: PathParameters,
        margins: Margins,
    ) -> Result<Self, String> {
        let model: Model = serde_json::from_value(model.clone()).map_err(|e| e.to_string())?;
        let task: Parameters =
            serde_json::from_value(model.task.clone()).map_err(|e| e.to_string())?;
        let puck = Puck::of(&model, "puck")?;
        let item = model.scenery.iter().find(|s| s.name == "wall");
        let item = item.ok_or("scenery: there is no `wall`")?;
        let [low, high] = puck.arena;
        let [wall_low, wall_high] = corners(item)?;
        let goal = Vector2::from(task.goal_m);
        let gaps = [wall_low[0] - low[0], high[0] - wall_high[0]];
        let needed = 2.0 * (puck.radius_m + parameters.clearance_m);
        let sides: &[f64] = match gaps {
            [left, right] if left.min(right) > needed => &[-1.0, 1.0],
            [left, right] if right > left => &[1.0],
            _ => &[-1.0],
        };
        let middle = 0.5 * (wall_low[1] + wall_high[1]);
        let half_thickness = 0.5 * (wall_high[1] - wall_low[1]);
        let end = |side: f64| Wall {
            end: Vector2::new(
                if side > 0.0 {
                    wall_high[0]
                } else {
                    wall_low[0]
                },
                middle,
            ),
            side,
            beyond: (goal[1] - middle).signum(),
            half_thickness,
            radius: half_thickness + puck.radius_m + parameters.clearance_m,
        };
        let ends = match item.collides {
            true => sides.iter().map(|side| end(*side)).collect(),
            false => Vec::new(),
        };
        Ok(Self {
            parameters,
            goal,
            ends,
            chosen: 0,
            puck,
            margins,
        })
    }

    /// For the dataset.
    pub fn parameters(&self) -> Value {
        json!(self.parameters)
    }

    /// The end to go round from `place`.
    fn end(&self, place: Vector2<f64>) -> Option<&Wall> {
        match self.ends.as_slice() {
            [left, right] if !left.in_front(place) => {
                let middle = 0.5 * (left.end[0] + right.end[0]);
                Some(if place[0] < middle { left } else { right })
            }
            ends => ends.get(self.chosen),
        }
    }

    /// The velocity that the puck should have at `place`.
    fn velocity(&self, place: Vector2<f64>) -> Vector2<f64> {
        let p = &self.parameters;
        if let Some(direction) = self.end(place).and_then(|w| w.detour(place, self.goal)) {
            return direction * p.speed_limit_m_s;
        }
        let velocity = (self.goal - place) * p.gain_1_s;
        velocity.cap_magnitude(p.speed_limit_m_s)
    }
}

impl Wall {
    /// Whether `place` lies on the far side of the wall from the goal.
    fn in_front(&self, place: Vector2<f64>) -> bool {
        (place[1] - self.end[1]) * self.beyond < -self.half_thickness
    }

    /// The direction of the taut string at `place`; `None` where it leads straight to the goal.
    fn detour(&self, place: Vector2<f64>, goal: Vector2<f64>) -> Option<Vector2<f64>> {
        // As seen with the gap on the right and the goal above: the disc stays on the left.
        let flip = Vector2::new(self.side, self.beyond);
        let at = (place - self.end).component_mul(&flip);
        let to_goal = (goal - place).component_mul(&flip).normalize();
        let left = -to_goal.perp(&at);
        let leaving = at.dot(&to_goal) >= 0.0;
        let passed = at[1] > self.half_thickness && (at[0] <= 0.0 || leaving);
        if left >= self.radius || passed {
            return None;
        }
        let distance = at.norm().max(f64::MIN_POSITIVE);
        // Within the disc, turn away from it as well.
        let angle = match self.radius / distance {
            sine if sine < 1.0 => sine.asin(),
            _ => std::f64::consts::FRAC_PI_2 + (1.0 - distance / self.radius),
        };
        let direction = Rotation2::new(-angle) * (-at / distance);
        Some(direction.component_mul(&flip))
    }
}

impl Expert for PathExpert {
    fn begin(&mut self, seed: u64) {
        if self.ends.len() > 1 {
            self.chosen = stream(seed, "side", 0).random_range(0..self.ends.len());
        }
    }

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let coordinates = env.coordinates();
        let [x, y, vx, vy] = [0, 1, 2, 3].map(|i| f64::from(coordinates[i]));
        let wanted = self.velocity(Vector2::new(x, y));
        let response = self.parameters.response_s;
        self.puck.servo(wanted, Vector2::new(vx, vy), response, out);
        self.margins.clamp(out);
        Ok(())
    }
}
