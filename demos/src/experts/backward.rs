//! The backward pass of [`ilqr`](super::ilqr): a Riccati recursion over the expansions of a trajectory,
//! with bounds on the actions and regularised state curvature.

use nalgebra::{DMatrix, DVector, SymmetricEigen};

use super::Margins;
use super::box_quadratic::minimise;
use super::expansion::Expansion;

/// Regularisation: minimum non-zero value, maximum value, and factor of change.
const REGULARISATION: (f64, f64, f64) = (1e-6, 1e8, 2.0);

/// The step and the feedback that a backward pass proposes.
pub(super) struct Proposal {
    /// Changes of the actions at a full step.
    pub steps: Vec<DVector<f64>>,
    /// Feedback K_t, `[m, n]`.
    pub gains: Vec<DMatrix<f64>>,
    /// Predicted change of cost: linear and quadratic in the share of the step.
    pub change: [f64; 2],
}

impl Proposal {
    /// The recursion about `actions`, which stay within `margins`; `None` where the curvature in an
    /// action is not positive.
    pub fn of(
        actions: &[DVector<f64>],
        expansions: &[Expansion],
        margins: &Margins,
        regularisation: f64,
    ) -> Option<Self> {
        let m = margins.low.len();
        let n = expansions.first()?.dynamics.nrows();
        // The cost of an episode's end is part of its last step's.
        let mut slope = DVector::zeros(n);
        let mut curvature = DMatrix::zeros(n, n);
        let mut steps = Vec::with_capacity(expansions.len());
        let mut gains = Vec::with_capacity(expansions.len());
        let mut change = [0.0; 2];
        for (expansion, action) in expansions.iter().zip(actions).rev() {
            let f = &expansion.dynamics;
            let q = &expansion.gradient + f.transpose() * &slope;
            let cost = convex(&expansion.curvature);
            let qq = &cost + f.transpose() * &curvature * f;
            // Penalises deviations of states, not of actions (Tassa et al. 2012, eq. 10).
            let held = &curvature + DMatrix::identity(n, n) * regularisation;
            let rq = &cost + f.transpose() * &held * f;
            let (qa, qs) = (q.rows(n, m).into_owned(), q.rows(0, n).into_owned());
            let qaa: DMatrix<f64> = qq.view((n, n), (m, m)).into();
            let qas: DMatrix<f64> = qq.view((n, 0), (m, n)).into();
            let qss: DMatrix<f64> = qq.view((0, 0), (n, n)).into();
            let room = |bounds: &[f64]| DVector::from_fn(m, |i, _| bounds[i] - action[i]);
            let least = minimise(
                &rq.view((n, n), (m, m)).into(),
                &qa,
                &room(&margins.low),
                &room(&margins.high),
            )?;
            let step = least.point.clone();
            let gain = -least.solve(&rq.view((n, 0), (m, n)).into());
            change[0] += step.dot(&qa);
            change[1] += 0.5 * step.dot(&(&qaa * &step));
            slope = qs + gain.transpose() * (&qaa * &step + &qa) + qas.transpose() * &step;
            curvature = qss
                + gain.transpose() * &qaa * &gain
                + gain.transpose() * &qas
                + qas.transpose() * &gain;
            curvature = (&curvature + curvature.transpose()) * 0.5;
            steps.push(step);
            gains.push(gain);
        }
        steps.reverse();
        gains.reverse();
        Some(Self {
            steps,
            gains,
            change,
        })
    }
}

/// Regularisation schedule: accelerating growth over successive failures, accelerating decay over successes.
pub(super) struct Regularisation {
    value: f64,
    factor: f64,
}

impl Regularisation {
    pub fn new() -> Self {
        Self {
            value: 0.0,
            factor: 1.0,
        }
    }

    /// The value added to the state's curvature.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Call after a failure; `false` once the maximum is exceeded.
    pub fn grow(&mut self) -> bool {
        let (least, most, base) = REGULARISATION;
        self.factor = base.max(self.factor * base);
        self.value = least.max(self.value * self.factor);
        self.value <= most
    }

    /// Call after a success.
    pub fn shrink(&mut self) {
        let (least, _, base) = REGULARISATION;
        self.factor = (1.0 / base).min(self.factor / base);
        self.value *= self.factor;
        if self.value < least {
            self.value = 0.0;
        }
    }
}

/// The nearest positive semidefinite matrix: costs may be concave far from their minimum.
fn convex(matrix: &DMatrix<f64>) -> DMatrix<f64> {
    let mut eigen = SymmetricEigen::new(matrix.clone());
    if eigen.eigenvalues.min() >= 0.0 {
        return matrix.clone();
    }
    eigen.eigenvalues.apply(|v| *v = v.max(0.0));
    eigen.recompose()
}
