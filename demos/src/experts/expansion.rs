//! An environment to second order about a state and an action, by central differences of the
//! simulator and of its true cost.

use costate_envs::{Env, EnvError};
use nalgebra::{DMatrix, DVector};

use super::lqr::EPSILON;

/// s' = s̄' + A δs + B δa and c = c̄ + gᵀδ + ½ δᵀHδ with δ = (δs, δa); n coordinates, m actions.
#[derive(Debug, Clone)]
pub(super) struct Expansion {
    /// A and B side by side, `[n, n + m]`.
    pub dynamics: DMatrix<f64>,
    /// g, `[n + m]`.
    pub gradient: DVector<f64>,
    /// H, `[n + m, n + m]`.
    pub curvature: DMatrix<f64>,
}

/// Starts an episode at `coordinates` as if `step` control steps had been taken.
pub(super) fn place(env: &mut dyn Env, coordinates: &[f32], step: usize) -> Result<(), EnvError> {
    env.reset_to(coordinates)?;
    if step > 0 {
        let mut state = env.save();
        state.step = step;
        env.load(&state)?;
    }
    Ok(())
}

impl Expansion {
    /// About `coordinates` and `action` at control step `step`; the last step of an episode includes
    /// the cost of its end.
    pub fn of(
        env: &mut dyn Env,
        coordinates: &[f32],
        action: &[f32],
        step: usize,
    ) -> Result<Self, EnvError> {
        let (n, m) = (coordinates.len(), action.len());
        let last = step + 1 == env.spec().horizon;
        let centre = [coordinates, action].concat();
        let mut point = centre.clone();
        let next = |env: &mut dyn Env, point: &[f32]| -> Result<Vec<f32>, EnvError> {
            place(env, &point[..n], step)?;
            env.step(&point[n..])?;
            Ok(env.coordinates())
        };
        let mut dynamics = DMatrix::zeros(n, n + m);
        for j in 0..n + m {
            point[j] = centre[j] + EPSILON;
            let (above, high) = (next(env, &point)?, point[j]);
            point[j] = centre[j] - EPSILON;
            let (below, low) = (next(env, &point)?, point[j]);
            point[j] = centre[j];
            // Rounded to f32, the two points are not exactly 2ε apart.
            let width = f64::from(high) - f64::from(low);
            for i in 0..n {
                dynamics[(i, j)] = (f64::from(above[i]) - f64::from(below[i])) / width;
            }
        }
        let mut cost = |changes: &[(usize, f32)]| -> Result<f64, EnvError> {
            let mut point = centre.clone();
            changes.iter().for_each(|&(i, by)| point[i] += by);
            if last {
                place(env, &point[..n], step)?;
                return Ok(env.step(&point[n..])?.cost);
            }
            env.reset_to(&point[..n])?;
            Ok(env.cost(&point[n..]))
        };
        let (e, square) = (EPSILON, f64::from(EPSILON).powi(2));
        let here = cost(&[])?;
        let mut gradient = DVector::zeros(n + m);
        let mut curvature = DMatrix::zeros(n + m, n + m);
        let mut sums = vec![0.0; n + m];
        for i in 0..n + m {
            let (above, below) = (cost(&[(i, e)])?, cost(&[(i, -e)])?);
            gradient[i] = (above - below) / f64::from(2.0 * e);
            sums[i] = above + below;
            curvature[(i, i)] = (sums[i] - 2.0 * here) / square;
            for j in 0..i {
                let both = cost(&[(i, e), (j, e)])? + cost(&[(i, -e), (j, -e)])?;
                let mixed = (both - sums[i] - sums[j] + 2.0 * here) / (2.0 * square);
                curvature[(i, j)] = mixed;
                curvature[(j, i)] = mixed;
            }
        }
        Ok(Self {
            dynamics,
            gradient,
            curvature,
        })
    }
}
