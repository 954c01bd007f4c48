//! Pushing a block to a pose: the best single push, found on the simulator, repeatedly.
//!
//! Candidates are points round the block's outline, each with a few directions. Every candidate is
//! simulated with the pusher already in place, tracking the pose error along the push; the push and
//! length with the lowest error win, with a penalty on the time taken (going there, pushing).
//! The pusher then goes there, round the block where it is in the way, pushes, and replans. The
//! step is the "push and replan" of planar pushing (Lynch and Mason, "Stable pushing: mechanics,
//! controllability, and planning", International Journal of Robotics Research 15(6), 1996) with the
//! simulator in place of a model of friction. Where no push is worth its time, the pusher rests beside the
//! block.
//!
//! The mean action depends on the push under way as well as on the state; nothing is drawn at random.

use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::Vector2;

use super::Expert;
use super::pace::Pace;
use super::push_design::{Push, PushDesign, State};

/// Steps of the shipped model in which pusher and block come to rest after a push.
const STOP_STEPS: usize = 3;

/// More than the pose error can fall in these steps, metres.
const STOP_M: f64 = 0.06;

/// Rise of the pose error that ends a rest, metres.
const REST_M: f64 = 0.002;

/// The planner; the push under way is kept from step to step.
pub struct PushExpert {
    design: PushDesign,
    planner: Box<dyn Env>,
    /// Candidates of any length, fixed to the block.
    pushes: Vec<Push>,
    phase: Phase,
    /// Steps in which pusher and block come to rest after a push.
    stop_steps: usize,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    /// Plans in the next step.
    Undecided,
    /// On the way to the start of a push.
    Going(Push),
    /// Pushing, for this many more steps.
    Pushing(Push, usize),
    /// Stopping, for this many more steps.
    Stopping(usize),
    /// Holding a position as long as the pose error stays below a limit.
    Resting { place: Vector2<f64>, limit: f64 },
}

impl PushExpert {
    /// The planner of `design`, for the environment it was made for.
    pub fn new(design: PushDesign, factory: &EnvFactory) -> Self {
        Self {
            planner: factory.build(),
            pushes: design.pushes(),
            phase: Phase::Undecided,
            stop_steps: Pace::of(factory).steps(STOP_STEPS),
            design,
        }
    }

    /// The pose error once the pusher of the planner's state has stopped; leaves the state unchanged.
    fn error_at_rest(&mut self) -> Result<f64, EnvError> {
        let state = self.planner.save();
        let mut action = [0.0; 2];
        for _ in 0..self.stop_steps {
            let now = State::of(self.planner.as_ref());
            self.design.action(now, Vector2::zeros(), &mut action);
            self.planner.step(&action.map(|a| a as f32))?;
        }
        let error = self.design.error(State::of(self.planner.as_ref()));
        self.planner.load(&state)?;
        Ok(error)
    }

    /// The best push from `state`, with its length; `None` if resting is as good.
    fn plan(&mut self, state: State, period: f64) -> Result<Option<Push>, EnvError> {
        let p = self.design.parameters;
        let [low, high] = self.design.pusher.arena;
        let (mut best, mut least) = (None, self.design.error(state) - p.least_gain_m);
        let mut action = [0.0; 2];
        for i in 0..self.pushes.len() {
            let push = &self.pushes[i].clone();
            let from = state.to_world(push.from);
            let room = self.design.pusher.radius_m;
            if (0..2).any(|k| from[k] < low[k] + room || from[k] > high[k] - room) {
                continue;
            }
            let (_, way) = self.design.way(state, push);
            let before = p.price_m_s * way / p.travel_speed_m_s;
            if before >= least {
                continue;
            }
            let block = [state.block.x, state.block.y, state.angle];
            let mut start = [0.0; 10];
            for (c, v) in start.iter_mut().zip(from.iter().chain(&block)) {
                *c = *v as f32;
            }
            self.planner.reset_to(&start)?;
            for step in 1..=p.longest_steps {
                let now = State::of(self.planner.as_ref());
                let velocity = self.design.pushing(now, push);
                self.design.action(now, velocity, &mut action);
                self.planner.step(&action.map(|a| a as f32))?;
                let price = before + p.price_m_s * period * step as f64;
                if price >= least {
                    break;
                }
                // Skip what stopping cannot improve.
                let moving = self.design.error(State::of(self.planner.as_ref()));
                if moving + price > least + STOP_M {
                    continue;
                }
                let total = self.error_at_rest()? + price;
                if total < least {
                    least = total;
                    best = Some(Push {
                        steps: step,
                        ..*push
                    });
                }
            }
        }
        Ok(best)
    }
}

impl Expert for PushExpert {
    fn begin(&mut self, _seed: u64) {
        self.phase = Phase::Undecided;
    }

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let state = State::of(env);
        if matches!(self.phase, Phase::Resting { limit, .. } if self.design.error(state) > limit) {
            self.phase = Phase::Undecided;
        }
        if let Phase::Undecided = self.phase {
            self.phase = match self.plan(state, env.spec().control_period_s)? {
                Some(push) => Phase::Going(push),
                None => Phase::Resting {
                    place: self.design.resting_place(state),
                    limit: self.design.error(state) + REST_M,
                },
            };
        }
        if let Phase::Going(push) = self.phase {
            let left = (state.to_world(push.from) - state.pusher).norm();
            if left < 0.5 * self.design.parameters.clearance_m {
                self.phase = Phase::Pushing(push, push.steps);
            }
        }
        let velocity = match self.phase {
            Phase::Undecided => Vector2::zeros(),
            Phase::Resting { place, .. } => self.design.travelling(state, place),
            Phase::Stopping(left) => {
                self.phase = match left {
                    0 | 1 => Phase::Undecided,
                    _ => Phase::Stopping(left - 1),
                };
                Vector2::zeros()
            }
            Phase::Going(push) => {
                let (place, _) = self.design.way(state, &push);
                self.design.travelling(state, place)
            }
            Phase::Pushing(push, left) => {
                self.phase = match left {
                    0 | 1 => Phase::Stopping(self.stop_steps),
                    _ => Phase::Pushing(push, left - 1),
                };
                self.design.pushing(state, &push)
            }
        };
        self.design.action(state, velocity, out);
        Ok(())
    }
}
