//! An episode as it is made, step by step.

use costate_envs::{End, Env, EnvError, Episode, Success, Trajectory, TrajectoryError};

/// An episode under way.
pub struct Take {
    seed: u64,
    observations: Vec<f32>,
    actions: Vec<f32>,
    costs: Vec<f64>,
    solved: Vec<Option<bool>>,
    end: End,
}

impl Take {
    /// Begins in the start state of `seed`.
    pub fn begin(env: &mut dyn Env, seed: u64) -> Self {
        env.reset(seed);
        let mut take = Self {
            seed,
            observations: Vec::new(),
            actions: Vec::new(),
            costs: Vec::new(),
            solved: Vec::new(),
            end: End::Running,
        };
        take.see(env);
        take
    }

    fn see(&mut self, env: &dyn Env) {
        let from = self.observations.len();
        let width = env.spec().observation.dim();
        self.observations.resize(from + width, 0.0);
        env.observe(&mut self.observations[from..]);
        self.solved.push(env.solved());
    }

    /// Takes a step; a failed one changes nothing here.
    pub fn step(&mut self, env: &mut dyn Env, action: &[f32]) -> Result<(), EnvError> {
        let step = env.step(action)?;
        self.actions.extend_from_slice(action);
        self.costs.push(step.cost);
        self.end = step.end;
        self.see(env);
        Ok(())
    }

    /// Seed of its start.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Steps so far.
    pub fn steps(&self) -> usize {
        self.costs.len()
    }

    /// Whether the world ended it.
    pub fn ended(&self) -> bool {
        self.end != End::Running
    }

    /// The latest observation.
    pub fn observation(&self, width: usize) -> &[f32] {
        &self.observations[self.observations.len() - width..]
    }

    /// The latest action, if there was one.
    pub fn action(&self, width: usize) -> Option<&[f32]> {
        self.actions
            .len()
            .checked_sub(width)
            .map(|from| &self.actions[from..])
    }

    /// Σ true cost so far.
    pub fn total_cost(&self) -> f64 {
        self.costs.iter().sum()
    }

    /// The episode from step `from` on; one that the world did not end is cut off here.
    ///
    /// Errors: it has no steps.
    pub fn episode(&self, env: &dyn Env, from: usize) -> Result<Episode, TrajectoryError> {
        let (o, a) = (env.spec().observation.dim(), env.spec().action.dim());
        let from = from.min(self.steps());
        let end = match self.end {
            End::Running => End::Truncated,
            end => end,
        };
        let mut success = Success::default();
        self.solved[from..].iter().for_each(|s| success.see(*s));
        let trajectory = Trajectory::new(
            o,
            a,
            self.observations[from * o..].to_vec(),
            self.actions[from * a..].to_vec(),
            None,
            end,
        )?;
        Ok(Episode {
            seed: self.seed,
            trajectory,
            costs: self.costs[from..].to_vec(),
            success: success.verdict(),
        })
    }
}
