//! `lq`: a linear-quadratic system whose maximum-entropy cost, policy and log Z have closed forms.
//!
//! s' = A s + B a with c(s, a) = ½ sᵀQs + ½ aᵀRa. The last step also costs ½ s_TᵀPs_T with P the
//! stationary Riccati matrix, so that the optimal policy is stationary on the finite horizon.
//! At temperature 1 the maximum-entropy policy is N(−Ks, S⁻¹) and, with T steps and m actions,
//! log Z(s_0) = −½ s_0ᵀPs_0 + (T/2) log((2π)^m / det S), because the dynamics are deterministic.
//!
//! | observation | unit | | action | unit |
//! | --- | --- | --- | --- | --- |
//! | `s0`, `s1`, … | 1 | | `a0`, … | 1 |

use std::f64::consts::TAU;
use std::sync::Arc;

use nalgebra::{DMatrix, DVector, DVectorView, DVectorViewMut};
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::env::{End, Env, EnvError, SavedState, Step, check_action};
use crate::model::parse;
use crate::riccati::{Lqr, lqr};
use crate::rng::stream;
use crate::scene::{Item, Role, Scene, Shape};
use crate::spec::{Channel, EnvSpec, Space};
use crate::symmetry::Symmetry;
use crate::world::{Prepared, World, to_value};

pub(crate) const WORLD: World = World::without_physics(
    "lq",
    SUMMARY,
    include_str!("../../../assets/models/lq.json"),
    prepare,
);

fn prepare(_: &World, model: &Value) -> Result<Prepared, String> {
    let model: LqModel = parse(model, "")?;
    let env = Lq::new(&model)?;
    Ok(Prepared {
        model: to_value(&model)?,
        spec: Arc::new(env.spec().clone()),
        build: Arc::new(move || Box::new(env.clone())),
    })
}

const SUMMARY: &str = "linear-quadratic system with closed-form maximum-entropy solution";

/// Nominal bound for states and actions: far beyond what any sensible policy reaches.
const BOUND: f32 = 1e3;

/// Bound of actions: ten standard deviations of the optimal policy in the shipped model.
const ACTION_BOUND: f32 = 10.0;

/// Maximum number of states and of actions: a step's vectors are on the stack.
const MAX: usize = 64;

/// Parameters; every number is dimensionless.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LqModel {
    /// Dynamics A, rows `[n][n]`.
    pub a: Vec<Vec<f64>>,
    /// Input matrix B, rows `[n][m]`.
    pub b: Vec<Vec<f64>>,
    /// State cost Q, rows `[n][n]`, positive semidefinite.
    pub q: Vec<Vec<f64>>,
    /// Action cost R, rows `[m][m]`, positive definite.
    pub r: Vec<Vec<f64>>,
    /// Standard deviations of the Gaussian start state, `[n]`.
    pub start_std: Vec<f64>,
    /// Steps in an episode.
    pub horizon: usize,
}

/// The `lq` environment.
#[derive(Clone)]
pub struct Lq {
    spec: EnvSpec,
    a: DMatrix<f64>,
    b: DMatrix<f64>,
    q: DMatrix<f64>,
    r: DMatrix<f64>,
    start_std: Vec<f64>,
    solution: Lqr,
    state: DVector<f64>,
    step: usize,
    end: End,
}

impl Lq {
    /// Checks the model and solves its Riccati equation.
    pub fn new(model: &LqModel) -> Result<Self, String> {
        let n = model.a.len();
        let m = model.b.first().map_or(0, Vec::len);
        if n == 0 || m == 0 {
            return Err("a and b need at least one row and column".into());
        }
        if n > MAX || m > MAX {
            return Err(format!(
                "a and b have {n} states and {m} actions; {MAX} is the most"
            ));
        }
        let a = matrix("a", &model.a, n, n)?;
        let b = matrix("b", &model.b, n, m)?;
        let q = matrix("q", &model.q, n, n)?;
        let r = matrix("r", &model.r, m, m)?;
        if q.clone().symmetric_eigenvalues().min() < -1e-12 || q != q.transpose() {
            return Err("q must be symmetric and positive semidefinite".into());
        }
        if r.clone().cholesky().is_none() || r != r.transpose() {
            return Err("r must be symmetric and positive definite".into());
        }
        if model.start_std.len() != n
            || model
                .start_std
                .iter()
                .any(|s| !(s.is_finite() && *s >= 0.0))
        {
            return Err(format!(
                "start_std must hold {n} finite, non-negative numbers"
            ));
        }
        if model.horizon == 0 {
            return Err("horizon must be at least 1".into());
        }
        let solution = lqr(&a, &b, &q, &r).map_err(|e| e.to_string())?;
        let channels = |prefix: &str, k: usize, bound: f32| {
            Space(
                (0..k)
                    .map(|i| Channel::new(&format!("{prefix}{i}"), "1", -bound, bound))
                    .collect(),
            )
        };
        let spec = EnvSpec {
            name: "lq".into(),
            summary: SUMMARY.into(),
            horizon: model.horizon,
            control_period_s: 1.0,
            observation: channels("s", n, BOUND),
            action: channels("a", m, ACTION_BOUND),
        };
        let start_std = model.start_std.clone();
        let state = DVector::zeros(n);
        Ok(Self {
            spec,
            a,
            b,
            q,
            r,
            start_std,
            solution,
            state,
            step: 0,
            end: End::Running,
        })
    }

    /// The closed-form solution: gain K, cost-to-go P and action curvature S.
    pub fn solution(&self) -> &Lqr {
        &self.solution
    }

    /// log Z(s_0) of the maximum-entropy model exp(−c(τ))/Z(s_0) over the horizon.
    pub fn log_z(&self, start: &[f64]) -> f64 {
        let s = DVector::from_column_slice(start);
        let m = self.b.ncols() as f64;
        let log_det = self.solution.action_curvature.determinant().ln();
        let per_step = 0.5 * (m * TAU.ln() - log_det);
        -0.5 * s.dot(&(&self.solution.cost_to_go * &s)) + self.spec.horizon as f64 * per_step
    }
}

/// xᵀ M x without allocation, for at most [`MAX`] entries.
fn quadratic(matrix: &DMatrix<f64>, x: &DVectorView<f64>) -> f64 {
    let mut product = [0.0; MAX];
    let mut product = DVectorViewMut::from_slice(&mut product, x.len());
    product.gemv(1.0, matrix, x, 0.0);
    x.dot(&product)
}

fn matrix(name: &str, rows: &[Vec<f64>], n: usize, m: usize) -> Result<DMatrix<f64>, String> {
    if rows.len() != n || rows.iter().any(|r| r.len() != m) {
        return Err(format!("{name} must be {n} rows of {m} numbers"));
    }
    if rows.iter().flatten().any(|v| !v.is_finite()) {
        return Err(format!("{name} holds a number that is not finite"));
    }
    Ok(DMatrix::from_fn(n, m, |i, j| rows[i][j]))
}

impl Env for Lq {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, seed: u64) {
        let mut rng = stream(seed, "start", 0);
        for (s, std) in self.state.iter_mut().zip(&self.start_std) {
            let z: f64 = StandardNormal.sample(&mut rng);
            *s = std * z;
        }
        self.step = 0;
        self.end = End::Running;
    }

    fn observe(&self, out: &mut [f32]) {
        for (o, s) in out.iter_mut().zip(&self.state) {
            *o = (*s as f32).clamp(-BOUND, BOUND);
        }
    }

    fn step(&mut self, action: &[f32]) -> Result<Step, EnvError> {
        check_action(&self.spec, action)?;
        if self.end != End::Running {
            return Err(EnvError::Ended {
                env: self.spec.name.clone(),
            });
        }
        let mut cost = self.cost(action);
        let (mut a, mut next, mut pushed) = ([0.0; MAX], [0.0; MAX], [0.0; MAX]);
        let (n, m) = (self.state.len(), action.len());
        let clamped = action
            .iter()
            .map(|&v| f64::from(v.clamp(-ACTION_BOUND, ACTION_BOUND)));
        a.iter_mut().zip(clamped).for_each(|(a, v)| *a = v);
        // s ← A s + B a, on the stack.
        DVectorViewMut::from_slice(&mut next, n).gemv(1.0, &self.a, &self.state, 0.0);
        let a = DVectorView::from_slice(&a, m);
        DVectorViewMut::from_slice(&mut pushed, n).gemv(1.0, &self.b, &a, 0.0);
        for (s, (next, pushed)) in self.state.iter_mut().zip(next.iter().zip(&pushed)) {
            *s = (next + pushed).clamp(-f64::from(BOUND), f64::from(BOUND));
        }
        self.step += 1;
        if self.step == self.spec.horizon {
            self.end = End::Truncated;
            cost += 0.5 * quadratic(&self.solution.cost_to_go, &self.state.as_view());
        }
        Ok(Step {
            cost,
            end: self.end,
        })
    }

    fn cost(&self, action: &[f32]) -> f64 {
        let mut a = [0.0; MAX];
        a.iter_mut()
            .zip(action)
            .for_each(|(a, &v)| *a = f64::from(v));
        let a = DVectorView::from_slice(&a, action.len());
        0.5 * quadratic(&self.q, &self.state.as_view()) + 0.5 * quadratic(&self.r, &a)
    }

    fn symmetries(&self) -> Vec<Symmetry> {
        let (n, m) = (self.spec.observation.dim(), self.spec.action.dim());
        vec![Symmetry::mirror(0..n, 0..n, 0..m)]
    }

    fn coordinates(&self) -> Vec<f32> {
        self.state.iter().map(|&s| s as f32).collect()
    }

    fn reset_to(&mut self, coordinates: &[f32]) -> Result<(), EnvError> {
        if coordinates.len() != self.state.len() || coordinates.iter().any(|c| !c.is_finite()) {
            return Err(EnvError::BadState {
                env: self.spec.name.clone(),
                reason: format!("expected {} finite coordinates", self.state.len()),
            });
        }
        self.state
            .iter_mut()
            .zip(coordinates)
            .for_each(|(s, &c)| *s = f64::from(c));
        self.step = 0;
        self.end = End::Running;
        Ok(())
    }

    fn save(&self) -> SavedState {
        SavedState {
            env: self.spec.name.clone(),
            step: self.step,
            end: self.end,
            task: self.state.iter().copied().collect(),
            physics: None,
            drawn: Vec::new(),
        }
    }

    fn load(&mut self, state: &SavedState) -> Result<(), EnvError> {
        if state.env != self.spec.name || state.task.len() != self.state.len() {
            return Err(EnvError::BadState {
                env: self.spec.name.clone(),
                reason: format!(
                    "it was saved by {} with {} numbers",
                    state.env,
                    state.task.len()
                ),
            });
        }
        self.state.copy_from_slice(&state.task);
        self.step = state.step;
        self.end = state.end;
        Ok(())
    }

    fn state_hash(&self) -> u64 {
        crate::hash::words(
            self.state
                .iter()
                .map(|s| s.to_bits())
                .chain([self.step as u64]),
        )
    }

    fn scene(&self) -> Scene {
        let view = 4.0;
        let x = self.state[0] as f32;
        let y = self.state.get(1).map_or(0.0, |&v| v as f32);
        let item = |role, centre, radius| Item {
            role,
            shape: Shape::Circle { centre, radius },
        };
        Scene {
            view_low: [-view, -view],
            view_high: [view, view],
            items: vec![
                item(Role::Target, [0.0, 0.0], 0.12),
                item(Role::Body, [x, y], 0.2),
            ],
        }
    }
}
