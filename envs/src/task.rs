//! Tasks in a simulated world. [`PhysicsEnv`] turns any of them into an [`Env`].

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::env::{End, Env, EnvError, SavedState, Step, check_action};
use crate::physics::{Blueprint, Physics};
use crate::rng::{Stream, stream};
use crate::scene::{Item, Scene};
use crate::spec::{Channel, EnvSpec, Space};
use crate::symmetry::Symmetry;

/// A task in a simulated world: start states, observations, costs.
pub trait Task: Clone + Send + Sync + 'static {
    /// The `task` object of the model: numbers with units in their names, unknown fields refused.
    type Parameters: Serialize + DeserializeOwned;

    /// Checks the parameters and finds the joints and bodies it needs. Errors start with a path
    /// (`task.horizon is 0, …`).
    fn new(parameters: Self::Parameters, blueprint: &Blueprint) -> Result<Self, String>;

    /// Control steps in an episode.
    fn horizon(&self) -> usize;

    /// What is observed; every entry stays within its channel's bounds.
    fn observation(&self) -> Space;

    /// Draws a start state: fills `coordinates` (zeros on entry; positions, then velocities).
    fn start(&mut self, rng: &mut Stream, coordinates: &mut [f32]);

    /// Writes the observation of the current state.
    fn observe(&self, physics: &Physics, out: &mut [f32]);

    /// True cost of commanding `action` in the current state.
    fn cost(&self, physics: &Physics, action: &[f32]) -> f64;

    /// Whether the current state is final.
    fn terminated(&self, _physics: &Physics) -> bool {
        false
    }

    /// Whether the current state satisfies the task's goal; `None` if the task defines none.
    fn solved(&self, _physics: &Physics) -> Option<bool> {
        None
    }

    /// Names of the distinct ways to solve the task, if of interest: see [`Env::modes`].
    fn modes(&self) -> &[&'static str] {
        &[]
    }

    /// Which of [`Task::modes`] an episode with these observations, row-major `[T+1, observation dim]`, took.
    fn mode(&self, _observations: &[f32]) -> Option<usize> {
        None
    }

    /// What the world may be changed by without a difference: see [`Env::symmetries`].
    fn symmetries(&self) -> Vec<Symmetry> {
        Vec::new()
    }

    /// Lower-left and upper-right corner of the picture, metres.
    fn view(&self, physics: &Physics) -> [[f32; 2]; 2];

    /// Draws what lies behind the bodies: targets, rails.
    fn backdrop(&self, _items: &mut Vec<Item>) {}

    /// Sampled episode state beyond coordinates (a goal, for example), saved with them.
    fn memory(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Restores a result of [`Task::memory`]; `false` if it does not fit.
    fn recall(&mut self, memory: &[f64]) -> bool {
        memory.is_empty()
    }
}

/// A task running in its world.
pub struct PhysicsEnv<T> {
    spec: Arc<EnvSpec>,
    task: T,
    physics: Physics,
    step: usize,
    end: End,
    /// Workspace for start states.
    start: Vec<f32>,
}

/// The spec of a task in the world of `blueprint`.
pub(crate) fn spec_of<T: Task>(
    name: &str,
    summary: &str,
    task: &T,
    blueprint: &Blueprint,
) -> EnvSpec {
    let model = blueprint.model();
    let action = model
        .actuators
        .iter()
        .map(|a| {
            let [low, high] = a.bounds().map(|v| v as f32);
            Channel::new(a.name(), a.unit(), low, high)
        })
        .collect();
    EnvSpec {
        name: name.into(),
        summary: summary.into(),
        horizon: task.horizon(),
        control_period_s: model.control_period_s(),
        observation: task.observation(),
        action: Space(action),
    }
}

impl<T: Task> PhysicsEnv<T> {
    /// A world of `blueprint` at the start state of seed 0.
    pub fn new(spec: Arc<EnvSpec>, task: T, blueprint: Arc<Blueprint>) -> Self {
        let start = vec![0.0; 2 * blueprint.dofs()];
        let mut env = Self {
            spec,
            task,
            physics: Physics::new(blueprint),
            step: 0,
            end: End::Running,
            start,
        };
        env.reset(0);
        env
    }

    /// The simulated world.
    pub fn physics(&self) -> &Physics {
        &self.physics
    }

    fn bad_state(&self, reason: impl std::fmt::Display) -> EnvError {
        EnvError::BadState {
            env: self.spec.name.clone(),
            reason: reason.to_string(),
        }
    }
}

impl<T: Task> Env for PhysicsEnv<T> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64) {
        let mut rng = stream(seed, "start", 0);
        self.start.fill(0.0);
        self.task.start(&mut rng, &mut self.start);
        self.physics.reset(&self.start);
        self.step = 0;
        self.end = End::Running;
    }

    fn observe(&self, out: &mut [f32]) {
        self.task.observe(&self.physics, out);
    }

    fn step(&mut self, action: &[f32]) -> Result<Step, EnvError> {
        check_action(&self.spec, action)?;
        if self.end != End::Running {
            return Err(EnvError::Ended {
                env: self.spec.name.clone(),
            });
        }
        let cost = self.task.cost(&self.physics, action);
        if self.physics.step(action).is_err() {
            self.end = End::Terminated;
            return Err(EnvError::Diverged {
                env: self.spec.name.clone(),
                step: self.step,
            });
        }
        self.step += 1;
        self.end = if self.task.terminated(&self.physics) {
            End::Terminated
        } else if self.step >= self.spec.horizon {
            End::Truncated
        } else {
            End::Running
        };
        Ok(Step {
            cost,
            end: self.end,
        })
    }

    fn cost(&self, action: &[f32]) -> f64 {
        self.task.cost(&self.physics, action)
    }

    fn solved(&self) -> Option<bool> {
        self.task.solved(&self.physics)
    }

    fn modes(&self) -> &[&'static str] {
        self.task.modes()
    }

    fn mode(&self, observations: &[f32]) -> Option<usize> {
        self.task.mode(observations)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        self.task.symmetries()
    }

    fn coordinates(&self) -> Vec<f32> {
        self.physics.coordinates().to_vec()
    }

    fn reset_to(&mut self, coordinates: &[f32]) -> Result<(), EnvError> {
        let n = self.physics.coordinates().len();
        if coordinates.len() != n || coordinates.iter().any(|c| !c.is_finite()) {
            return Err(self.bad_state(format_args!("expected {n} finite coordinates")));
        }
        self.physics.reset(coordinates);
        self.step = 0;
        self.end = End::Running;
        Ok(())
    }

    fn save(&self) -> SavedState {
        SavedState {
            env: self.spec.name.clone(),
            step: self.step,
            end: self.end,
            task: self.task.memory(),
            physics: Some(self.physics.save()),
            drawn: Vec::new(),
        }
    }

    fn load(&mut self, state: &SavedState) -> Result<(), EnvError> {
        if state.env != self.spec.name {
            return Err(self.bad_state(format_args!("it was saved by {}", state.env)));
        }
        let Some(snapshot) = &state.physics else {
            return Err(self.bad_state("it holds no physics"));
        };
        let mut task = self.task.clone();
        if !task.recall(&state.task) {
            return Err(self.bad_state("its task memory does not fit"));
        }
        self.physics.load(snapshot).map_err(|e| self.bad_state(e))?;
        self.task = task;
        self.step = state.step;
        self.end = state.end;
        Ok(())
    }

    fn state_hash(&self) -> u64 {
        let end = match self.end {
            End::Running => 0,
            End::Terminated => 1,
            End::Truncated => 2,
        };
        let memory = self.task.memory();
        crate::hash::words(
            self.physics
                .state_words()
                .chain(memory.iter().map(|m| m.to_bits()))
                .chain([self.step as u64, end]),
        )
    }

    fn scene(&self) -> Scene {
        let [view_low, view_high] = self.task.view(&self.physics);
        let mut items = Vec::new();
        self.task.backdrop(&mut items);
        self.physics.draw(&mut items);
        Scene {
            view_low,
            view_high,
            items,
        }
    }
}
