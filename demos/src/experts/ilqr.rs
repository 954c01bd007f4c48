//! Trajectory optimisation by the iterative linear-quadratic regulator.
//!
//! Tassa, Erez and Todorov, "Synthesis and stabilization of complex behaviors through online
//! trajectory optimization", IROS 2012: about the current trajectory the simulator and the true cost
//! are expanded by finite differences, a Riccati recursion with regularised state curvature gives
//! a step and a feedback, and a backtracking line search on the simulator keeps what lowers the
//! cost. Bounds on actions are respected within the recursion (Tassa, Mansard and Todorov,
//! "Control-limited differential dynamic programming", ICRA 2014). For environments that are
//! smooth, i.e. free of contacts.
//!
//! The plan is made once, from the first state of the episode and, in tasks with poor local optima,
//! from what a feedback expert would do there. It is executed as time-varying feedback
//! a = ā_t + K_t (s − s̄_t); it is recomputed when the state has left it.

use costate_envs::{End, Env, EnvError, EnvFactory, SavedState};
use nalgebra::{DMatrix, DVector};
use serde::Serialize;

use super::backward::{Proposal, Regularisation};
use super::expansion::{Expansion, place};
use super::{Expert, Margins};

/// Settings of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct IlqrParameters {
    /// Maximum number of expansions per plan.
    pub iterations: usize,
    /// A plan is final when an iteration lowers its cost by less than this share.
    pub tolerance: f64,
    /// Distance from the plan, the maximum over all coordinates, at which it is recomputed.
    pub replan_distance: f64,
}

impl IlqrParameters {
    /// Settings chosen for a registered environment, or those for any other.
    pub fn for_env(env: &str) -> Self {
        let base = Self {
            iterations: 40,
            tolerance: 1e-3,
            replan_distance: 1.0,
        };
        match env {
            // Long plans in an expensive simulation: most of the gain comes early.
            "acrobot" => Self {
                iterations: 5,
                ..base
            },
            _ => base,
        }
    }
}

/// Backtracking: the shares of a full step that are tried.
const STEP_SHARES: [f64; 8] = [1.0, 0.6, 0.36, 0.2, 0.1, 0.05, 0.02, 0.005];
/// Minimum share of the predicted improvement that a step must achieve.
const LEAST_GAIN: f64 = 1e-4;
/// A trajectory with its feedback.
#[derive(Debug, Clone)]
pub struct IlqrPlan {
    /// Control step of the episode at which it begins.
    first: usize,
    /// Coordinates s̄_t, one more than actions.
    states: Vec<Vec<f32>>,
    /// Mean actions ā_t.
    actions: Vec<DVector<f64>>,
    /// Gains K_t, `[m, n]`.
    gains: Vec<DMatrix<f64>>,
    /// True cost of the rest of the episode.
    cost: f64,
}

impl IlqrPlan {
    /// True cost of the plan, Σ c(s̄_t, ā_t).
    pub fn cost(&self) -> f64 {
        self.cost
    }

    /// Mean actions, `[steps][m]`.
    pub fn actions(&self) -> &[DVector<f64>] {
        &self.actions
    }

    /// ā_t + K_t (s − s̄_t) at control step `step` of the episode, if the plan covers it.
    fn action(&self, step: usize, coordinates: &[f32]) -> Option<DVector<f64>> {
        let t = step.checked_sub(self.first)?;
        let off = difference(coordinates, self.states.get(t)?);
        Some(self.actions.get(t)? + self.gains.get(t)? * off)
    }
}

/// The optimiser; it holds its own copy of the environment.
pub struct IlqrExpert {
    parameters: IlqrParameters,
    margins: Margins,
    /// The expert whose episode the optimisation starts from; zero actions if `None`.
    guide: Option<Box<dyn Expert>>,
    copy: Box<dyn Env>,
    plan: Option<IlqrPlan>,
}

impl IlqrExpert {
    /// An optimiser for the environment of `factory` whose mean actions stay within `margins`,
    /// starting from what `guide` would do.
    pub fn new(
        factory: &EnvFactory,
        parameters: IlqrParameters,
        margins: Margins,
        guide: Option<Box<dyn Expert>>,
    ) -> Self {
        Self {
            guide,
            copy: factory.build(),
            plan: None,
            parameters,
            margins,
        }
    }

    /// Optimises the rest of an episode from `state`, starting from `guess` (zero beyond its end).
    pub fn optimise(
        &mut self,
        state: &SavedState,
        guess: &[DVector<f64>],
    ) -> Result<IlqrPlan, EnvError> {
        // Takes over the episode's state beyond its coordinates.
        self.copy.load(state)?;
        let start = self.copy.coordinates();
        let length = self.copy.spec().horizon.saturating_sub(state.step).max(1);
        let (n, m) = (start.len(), self.margins.low.len());
        let zero = DVector::zeros(m);
        let mut plan = IlqrPlan {
            first: state.step,
            states: Vec::new(),
            actions: (0..length)
                .map(|t| guess.get(t).unwrap_or(&zero).clone())
                .collect(),
            gains: vec![DMatrix::zeros(m, n); length],
            cost: f64::INFINITY,
        };
        plan.states = vec![start; length + 1];
        plan = self.follow(&plan, None)?;
        let mut regularisation = Regularisation::new();
        for _ in 0..self.parameters.iterations {
            let expansions = self.expand(&plan)?;
            let Some((better, final_)) = self.improve(&plan, &expansions, &mut regularisation)?
            else {
                break;
            };
            plan = better;
            if final_ {
                break;
            }
        }
        Ok(plan)
    }

    /// The actions that optimisation starts from: the lower-cost ones of the last plan under its feedback and
    /// the guide.
    fn guess(&mut self, state: &SavedState) -> Result<Vec<DVector<f64>>, EnvError> {
        let mut best = (f64::INFINITY, Vec::new());
        if let Some(plan) = self.plan.take() {
            best = self.play(state, |env, out| {
                if let Some(action) = plan.action(env.save().step, &env.coordinates()) {
                    out.copy_from_slice(action.as_slice());
                }
                Ok(())
            })?;
        }
        if let Some(mut guide) = self.guide.take() {
            guide.begin(0);
            let guided = self.play(state, |env, out| guide.mean(env, out));
            self.guide = Some(guide);
            let guided = guided?;
            if guided.0 < best.0 {
                best = guided;
            }
        }
        Ok(best.1)
    }

    /// Plays the rest of the episode; its cost and actions.
    fn play(
        &mut self,
        state: &SavedState,
        mut act: impl FnMut(&dyn Env, &mut [f64]) -> Result<(), EnvError>,
    ) -> Result<(f64, Vec<DVector<f64>>), EnvError> {
        self.copy.load(state)?;
        let (mut cost, mut actions) = (0.0, Vec::new());
        loop {
            let mut mean = DVector::zeros(self.margins.low.len());
            act(&*self.copy, mean.as_mut_slice())?;
            self.margins.clamp(mean.as_mut_slice());
            let action: Vec<f32> = mean.iter().map(|a| *a as f32).collect();
            actions.push(mean);
            let step = self.copy.step(&action)?;
            cost += step.cost;
            if step.end != End::Running {
                return Ok((cost, actions));
            }
        }
    }

    fn expand(&mut self, plan: &IlqrPlan) -> Result<Vec<Expansion>, EnvError> {
        let point = |(t, action): (usize, &DVector<f64>)| {
            let action: Vec<f32> = action.iter().map(|a| *a as f32).collect();
            Expansion::of(&mut *self.copy, &plan.states[t], &action, plan.first + t)
        };
        plan.actions.iter().enumerate().map(point).collect()
    }

    /// The next plan, and whether it is final; `None` if none is better.
    fn improve(
        &mut self,
        plan: &IlqrPlan,
        expansions: &[Expansion],
        regularisation: &mut Regularisation,
    ) -> Result<Option<(IlqrPlan, bool)>, EnvError> {
        loop {
            let proposal = Proposal::of(
                &plan.actions,
                expansions,
                &self.margins,
                regularisation.value(),
            );
            if let Some(proposal) = &proposal {
                let [linear, quadratic] = proposal.change;
                if -(linear + quadratic) <= self.parameters.tolerance * plan.cost.abs() {
                    let mut plan = plan.clone();
                    plan.gains.clone_from(&proposal.gains);
                    return Ok(Some((plan, true)));
                }
                for share in STEP_SHARES {
                    let expected = -(share * linear + share * share * quadratic);
                    let next = self.follow(plan, Some((proposal, share)))?;
                    let gained = plan.cost - next.cost;
                    if gained.is_finite() && gained >= 0.0 && gained >= LEAST_GAIN * expected {
                        regularisation.shrink();
                        let small = self.parameters.tolerance * plan.cost.abs();
                        return Ok(Some((next, gained <= small)));
                    }
                }
            }
            if !regularisation.grow() {
                return Ok(None);
            }
        }
    }

    /// Simulates the plan with its step and feedback; the result keeps the feedback.
    fn follow(
        &mut self,
        plan: &IlqrPlan,
        proposal: Option<(&Proposal, f64)>,
    ) -> Result<IlqrPlan, EnvError> {
        let mut next = plan.clone();
        next.cost = 0.0;
        place(&mut *self.copy, &plan.states[0], plan.first)?;
        for t in 0..plan.actions.len() {
            next.states[t] = self.copy.coordinates();
            if let Some((proposal, share)) = proposal {
                let off = difference(&next.states[t], &plan.states[t]);
                next.actions[t] += &proposal.steps[t] * share + &proposal.gains[t] * off;
                next.gains[t] = proposal.gains[t].clone();
            }
            self.margins.clamp(next.actions[t].as_mut_slice());
            let action: Vec<f32> = next.actions[t].iter().map(|a| *a as f32).collect();
            match self.copy.step(&action) {
                Ok(step) => next.cost += step.cost,
                // A step too far: the line search takes a smaller one.
                Err(EnvError::Diverged { .. }) => {
                    next.cost = f64::INFINITY;
                    return Ok(next);
                }
                Err(error) => return Err(error),
            }
        }
        let last = self.copy.coordinates();
        if let Some(state) = next.states.last_mut() {
            *state = last;
        }
        Ok(next)
    }
}

/// a − b in f64.
fn difference(a: &[f32], b: &[f32]) -> DVector<f64> {
    DVector::from_iterator(
        a.len(),
        a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)),
    )
}

impl Expert for IlqrExpert {
    fn begin(&mut self, _seed: u64) {
        self.plan = None;
    }

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let state = env.save();
        let coordinates = env.coordinates();
        let far = self.plan.as_ref().and_then(|plan| {
            let planned = plan.states.get(state.step.checked_sub(plan.first)?)?;
            Some(difference(&coordinates, planned).amax())
        });
        if far.is_none_or(|far| far > self.parameters.replan_distance) {
            let guess = self.guess(&state)?;
            self.plan = Some(self.optimise(&state, &guess)?);
        }
        let plan = self.plan.as_ref();
        if let Some(action) = plan.and_then(|plan| plan.action(state.step, &coordinates)) {
            out.copy_from_slice(action.as_slice());
        }
        Ok(())
    }
}
