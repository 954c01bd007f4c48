//! What the pushing expert knows about a model of `push_t`: the block's outline, the possible pushes, the
//! paths round the block, and the velocities that follow them.

use std::f64::consts::TAU;

use costate_envs::model::Model;
use costate_envs::worlds::push_t::Parameters;
use costate_envs::{Env, EnvFactory};
use nalgebra::{Rotation2, Vector2};
use serde::Serialize;
use serde_json::{Value, json};

use super::outline::Outline;
use super::pace::Pace;
use super::puck::Puck;
use super::{ExpertError, Margins, wrap};

/// Settings of the planner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PushParameters {
    /// Spacing of contact points on the outline.
    pub spacing_m: f64,
    /// Angle of the outermost push directions to the outline's normal.
    pub slant_rad: f64,
    /// Longest push, control steps.
    pub longest_steps: usize,
    /// Pose error that is worth one second.
    pub price_m_s: f64,
    /// Commanded speeds of the pusher in a push, fast and slow.
    pub push_speed_m_s: [f64; 2],
    /// Commanded speed of the pusher on its way.
    pub travel_speed_m_s: f64,
    /// Clearance between pusher and block on the way.
    pub clearance_m: f64,
    /// Improvement of the pose error below which the pusher rests.
    pub least_gain_m: f64,
}

impl PushParameters {
    /// Settings chosen for a registered environment.
    pub fn for_env(env: &str) -> Option<Self> {
        (env == "push_t").then_some(Self {
            spacing_m: 0.05,
            slant_rad: 0.4,
            longest_steps: 10,
            price_m_s: 0.012,
            push_speed_m_s: [0.8, 0.3],
            travel_speed_m_s: 1.3,
            clearance_m: 0.03,
            least_gain_m: 0.006,
        })
    }
}

/// Time in which the pusher's velocity errors decay, seconds.
const RESPONSE_S: f64 = 0.1;

/// Clearance between pusher and block at rest, metres.
const REST_CLEARANCE_M: f64 = 0.08;

/// What the planner knows about a model of `push_t`.
#[derive(Debug, Clone)]
pub struct PushDesign {
    pub(super) parameters: PushParameters,
    task: Parameters,
    outline: Outline,
    pub(super) pusher: Puck,
    margins: Margins,
}

/// A push in the block's frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Push {
    /// Where the pusher's centre starts.
    pub(super) from: Vector2<f64>,
    /// Unit vector.
    pub(super) direction: Vector2<f64>,
    /// Commanded speed of the pusher.
    pub(super) speed: f64,
    pub(super) steps: usize,
}

/// Pusher and block in the world.
#[derive(Debug, Clone, Copy)]
pub(super) struct State {
    pub(super) pusher: Vector2<f64>,
    pub(super) velocity: Vector2<f64>,
    pub(super) block: Vector2<f64>,
    pub(super) angle: f64,
}

impl State {
    /// The coordinates of `push_t`: pusher x, y, block x, y, angle, then their rates.
    pub(super) fn of(env: &dyn Env) -> Self {
        let c = env.coordinates();
        let at = |i: usize| Vector2::new(f64::from(c[i]), f64::from(c[i + 1]));
        Self {
            pusher: at(0),
            block: at(2),
            angle: f64::from(c[4]),
            velocity: at(5),
        }
    }

    pub(super) fn to_block(self, place: Vector2<f64>) -> Vector2<f64> {
        Rotation2::new(-self.angle) * (place - self.block)
    }

    pub(super) fn to_world(self, place: Vector2<f64>) -> Vector2<f64> {
        self.block + Rotation2::new(self.angle) * place
    }
}

impl PushDesign {
    /// Reads what the planner needs from the model.
    pub fn new(
        factory: &EnvFactory,
        parameters: PushParameters,
        margins: Margins,
    ) -> Result<Self, ExpertError> {
        let parameters = PushParameters {
            longest_steps: Pace::of(factory).steps(parameters.longest_steps),
            ..parameters
        };
        Self::of_model(&factory.config().model, parameters, margins)
            .map_err(ExpertError::no_formula(factory))
    }

    fn of_model(
        model: &Value,
        parameters: PushParameters,
        margins: Margins,
    ) -> Result<Self, String> {
        let model: Model = serde_json::from_value(model.clone()).map_err(|e| e.to_string())?;
        let task = serde_json::from_value(model.task.clone()).map_err(|e| e.to_string())?;
        let block = model.bodies.iter().find(|b| b.name == "block");
        let block = block.ok_or("there is no body `block`")?;
        Ok(Self {
            parameters,
            task,
            outline: Outline::of(&block.shape)?,
            pusher: Puck::of(&model, "pusher")?,
            margins,
        })
    }
}

impl PushDesign {
    /// For the dataset.
    pub fn parameters(&self) -> Value {
        json!(self.parameters)
    }

    /// Every candidate push, in the block's frame.
    pub(super) fn pushes(&self) -> Vec<Push> {
        let p = &self.parameters;
        let room = self.pusher.radius_m + 0.5 * p.clearance_m;
        let contacts = self.outline.contacts(p.spacing_m, room);
        let pushes = contacts.iter().flat_map(|contact| {
            let push = |slant, speed| Push {
                from: contact.point + contact.normal * room,
                direction: Rotation2::new(slant) * -contact.normal,
                speed,
                steps: p.longest_steps,
            };
            [-p.slant_rad, 0.0, p.slant_rad]
                .into_iter()
                .flat_map(move |slant| p.push_speed_m_s.map(|speed| push(slant, speed)))
        });
        pushes.collect()
    }

    /// Commanded velocity of the pusher in a push: ahead, and back to the push's line.
    pub(super) fn pushing(&self, state: State, push: &Push) -> Vector2<f64> {
        let offset = state.to_block(state.pusher) - push.from;
        let aside = offset - push.direction * offset.dot(&push.direction);
        let velocity = push.direction * push.speed - aside / (2.0 * RESPONSE_S);
        Rotation2::new(state.angle) * velocity
    }

    /// The next waypoint on the way to the start of a push, and the length of the whole path.
    pub(super) fn way(&self, state: State, push: &Push) -> (Vector2<f64>, f64) {
        let p = &self.parameters;
        let (at, to) = (state.to_block(state.pusher), push.from);
        let room = self.pusher.radius_m + 0.3 * p.clearance_m;
        let straight = (to - at).norm();
        if self.outline.distance_of_way(at, to) > room {
            return (state.to_world(to), straight);
        }
        let around = self.outline.radius() + self.pusher.radius_m + p.clearance_m;
        let (angle, goal) = (at.y.atan2(at.x), to.y.atan2(to.x));
        let mut turn = wrap(goal - angle);
        // The other way round if a wall is in the way.
        if self.blocked(state, angle, turn, around) {
            let other = turn - turn.signum() * TAU;
            if !self.blocked(state, angle, other, around) {
                turn = other;
            }
        }
        let length = (around - at.norm()).abs() + around * turn.abs() + (around - to.norm());
        let on_circle = |angle: f64| Vector2::new(angle.cos(), angle.sin()) * around;
        let next = if at.norm() < 0.93 * around && self.outline.distance(at) < 2.0 * room {
            // First away from the block.
            on_circle(angle)
        } else if turn.abs() < 0.1 {
            to
        } else {
            on_circle(angle + turn.clamp(-0.5, 0.5))
        };
        (state.to_world(next), length)
    }

    /// Whether the path round the block leads beyond a wall.
    fn blocked(&self, state: State, from: f64, turn: f64, around: f64) -> bool {
        let [low, high] = self.pusher.arena;
        let room = self.pusher.radius_m;
        (0..=8).any(|i| {
            let angle = from + turn * f64::from(i) / 8.0;
            let place = state.to_world(Vector2::new(angle.cos(), angle.sin()) * around);
            (0..2).any(|k| place[k] < low[k] + room || place[k] > high[k] - room)
        })
    }

    /// Commanded velocity of the pusher on its way to `place`.
    pub(super) fn travelling(&self, state: State, place: Vector2<f64>) -> Vector2<f64> {
        let velocity = (place - state.pusher) / (1.5 * RESPONSE_S);
        velocity.cap_magnitude(self.parameters.travel_speed_m_s)
    }

    /// A position near the pusher from which noise does not carry it into the block.
    pub(super) fn resting_place(&self, state: State) -> Vector2<f64> {
        let at = state.to_block(state.pusher);
        let missing = self.pusher.radius_m + REST_CLEARANCE_M - self.outline.distance(at);
        let out = at.try_normalize(0.0).unwrap_or_else(Vector2::x);
        state.to_world(at + out * missing.max(0.0))
    }

    pub(super) fn action(&self, state: State, velocity: Vector2<f64>, out: &mut [f64]) {
        self.pusher.servo(velocity, state.velocity, RESPONSE_S, out);
        self.margins.clamp(out);
    }

    pub(super) fn error(&self, state: State) -> f64 {
        self.task
            .pose_error([state.block.x, state.block.y, state.angle])
    }
}
