//! The linear-quadratic regulator of the simulator itself.
//!
//! The simulator is linearised about an equilibrium by central differences, the true cost expanded
//! to second order there, and the discrete Riccati equation solved: nothing about the physics is
//! written down twice, and changed parameters give the gains that fit them.

use std::f64::consts::{PI, TAU};

use costate_envs::riccati::{Lqr, lqr};
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::{DMatrix, SymmetricEigen};
use serde_json::{Value, json};

use super::{Expert, ExpertError};

/// Half width of every central difference, in the coordinate's unit: in f32 the best compromise
/// between rounding and curvature.
pub(super) const EPSILON: f32 = 1e-2;

/// Minimum curvature of the expanded cost relative to its maximum: costs that ignore a coordinate
/// would leave the Riccati equation without a stabilising solution.
const LEAST_CURVATURE: f64 = 1e-5;

/// An equilibrium of an environment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Equilibrium {
    /// Which generalised coordinates are angles, to be compared modulo 2π.
    pub angles: &'static [usize],
    /// The generalised coordinates, positions then velocities; all zero where empty.
    pub coordinates: &'static [f32],
}

/// The goal equilibrium of the task of `env`, if it has one. The action there is zero.
pub fn equilibrium(env: &str) -> Option<Equilibrium> {
    let upright = |angles| Equilibrium {
        angles,
        coordinates: &[],
    };
    match env {
        // cart position, pole angle from upright, and their rates
        "cart_pole" | "cart_pole_swing_up" => Some(upright(&[1])),
        // angle from upright and its rate
        "pendulum" => Some(upright(&[0])),
        // angle of the upper link from upright, angle of the elbow, and their rates
        "acrobot" => Some(upright(&[0, 1])),
        "lq" => Some(upright(&[])),
        _ => None,
    }
}

/// A discrete-time model s' = A s + B a near an equilibrium, one control period per step, with the
/// cost ½ sᵀQs + ½ aᵀRa.
#[derive(Debug, Clone)]
pub struct LinearModel {
    /// Dynamics, `[n, n]`.
    pub a: DMatrix<f64>,
    /// Input matrix, `[n, m]`.
    pub b: DMatrix<f64>,
    /// State cost, `[n, n]`, positive definite.
    pub q: DMatrix<f64>,
    /// Action cost, `[m, m]`, positive definite.
    pub r: DMatrix<f64>,
}

impl LinearModel {
    /// Central differences of the simulator and of its true cost about `equilibrium` (f32
    /// coordinates `[n]`) under the zero action.
    pub fn of(env: &mut dyn Env, equilibrium: &[f32]) -> Result<Self, EnvError> {
        let (n, m) = (equilibrium.len(), env.spec().action.dim());
        let point = |changes: &[(usize, f32)]| {
            let mut point = equilibrium.to_vec();
            point.resize(n + m, 0.0);
            changes.iter().for_each(|&(i, by)| point[i] += by);
            point
        };
        let next = |env: &mut dyn Env, point: Vec<f32>| -> Result<Vec<f32>, EnvError> {
            env.reset_to(&point[..n])?;
            env.step(&point[n..])?;
            Ok(env.coordinates())
        };
        let mut jacobian = DMatrix::zeros(n, n + m);
        for j in 0..n + m {
            let above = next(env, point(&[(j, EPSILON)]))?;
            let below = next(env, point(&[(j, -EPSILON)]))?;
            for i in 0..n {
                let difference = f64::from(above[i]) - f64::from(below[i]);
                jacobian[(i, j)] = difference / f64::from(2.0 * EPSILON);
            }
        }
        let cost = |env: &mut dyn Env, point: Vec<f32>| -> Result<f64, EnvError> {
            env.reset_to(&point[..n])?;
            Ok(env.cost(&point[n..]))
        };
        let e = EPSILON;
        let mut curvature = DMatrix::zeros(n + m, n + m);
        for i in 0..n + m {
            for j in 0..=i {
                let sum = cost(env, point(&[(i, e), (j, e)]))?
                    + cost(env, point(&[(i, -e), (j, -e)]))?
                    - cost(env, point(&[(i, e), (j, -e)]))?
                    - cost(env, point(&[(i, -e), (j, e)]))?;
                curvature[(i, j)] = sum / (4.0 * f64::from(e) * f64::from(e));
                curvature[(j, i)] = curvature[(i, j)];
            }
        }
        let greatest = curvature.amax();
        let block = |start, size| {
            positive_definite(
                curvature.view((start, start), (size, size)).into(),
                greatest,
            )
        };
        Ok(Self {
            a: jacobian.columns(0, n).into(),
            b: jacobian.columns(n, m).into(),
            q: block(0, n),
            r: block(n, m),
        })
    }
}

/// Raises the eigenvalues of a symmetric matrix to a small positive share of `greatest`.
fn positive_definite(matrix: DMatrix<f64>, greatest: f64) -> DMatrix<f64> {
    let floor = LEAST_CURVATURE * greatest.max(f64::MIN_POSITIVE);
    let mut eigen = SymmetricEigen::new(matrix);
    eigen.eigenvalues.apply(|v| *v = v.max(floor));
    let matrix = eigen.recompose();
    (&matrix + matrix.transpose()) * 0.5
}

/// State feedback a = −K (s − s*), the optimum of the linear model.
#[derive(Debug, Clone)]
pub struct LqrExpert {
    equilibrium: Vec<f32>,
    angles: &'static [usize],
    model: LinearModel,
    solution: Lqr,
}

impl LqrExpert {
    /// Linearises the environment about its equilibrium and solves for the gains.
    pub fn new(factory: &EnvFactory) -> Result<Self, ExpertError> {
        let name = &factory.spec().name;
        let Equilibrium {
            angles,
            coordinates,
        } = equilibrium(name).ok_or_else(|| ExpertError::NoEquilibrium(name.clone()))?;
        let mut env = factory.build();
        let mut equilibrium = coordinates.to_vec();
        equilibrium.resize(env.coordinates().len(), 0.0);
        let model = LinearModel::of(env.as_mut(), &equilibrium)?;
        let solution =
            lqr(&model.a, &model.b, &model.q, &model.r).map_err(|source| ExpertError::Riccati {
                env: name.clone(),
                source,
            })?;
        Ok(Self {
            equilibrium,
            angles,
            model,
            solution,
        })
    }

    /// The linear model.
    pub fn model(&self) -> &LinearModel {
        &self.model
    }

    /// Gains K `[m, n]`, cost-to-go P and action curvature S.
    pub fn solution(&self) -> &Lqr {
        &self.solution
    }

    /// s − s*, angles wrapped to ±π.
    pub fn deviation(&self, coordinates: &[f32]) -> Vec<f64> {
        coordinates
            .iter()
            .zip(&self.equilibrium)
            .enumerate()
            .map(|(i, (&s, &rest))| {
                let difference = f64::from(s) - f64::from(rest);
                if self.angles.contains(&i) {
                    (difference + PI).rem_euclid(TAU) - PI
                } else {
                    difference
                }
            })
            .collect()
    }

    /// −K (s − s*), unsaturated.
    pub fn feedback(&self, deviation: &[f64], out: &mut [f64]) {
        for (o, row) in out.iter_mut().zip(self.solution.gain.row_iter()) {
            *o = -row.iter().zip(deviation).map(|(k, d)| k * d).sum::<f64>();
        }
    }

    /// For the dataset: gains, one row per action.
    pub fn parameters(&self) -> Value {
        let rows = self.solution.gain.row_iter();
        let gain: Vec<Vec<f64>> = rows.map(|row| row.iter().copied().collect()).collect();
        json!({ "gain": gain, "equilibrium": self.equilibrium })
    }
}

impl Expert for LqrExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        self.feedback(&self.deviation(&env.coordinates()), out);
        Ok(())
    }
}
