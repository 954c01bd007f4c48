//! Discrete-time linear-quadratic regulation.

use nalgebra::{Cholesky, DMatrix};

/// The stationary solution of min Σ ½ sᵀQs + ½ aᵀRa subject to s' = A s + B a.
#[derive(Debug, Clone)]
pub struct Lqr {
    /// Cost-to-go matrix P, `[n, n]`: the value is ½ sᵀPs.
    pub cost_to_go: DMatrix<f64>,
    /// Feedback gain K, `[m, n]`: a = −K s.
    pub gain: DMatrix<f64>,
    /// S = R + BᵀPB, `[m, m]`: the curvature of the action-value in a. Its inverse is the
    /// covariance of the maximum-entropy policy at temperature 1.
    pub action_curvature: DMatrix<f64>,
}

/// Why no stationary regulator exists.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RiccatiError {
    /// R + BᵀPB is not positive definite.
    #[error("the action cost is not positive definite: R + BᵀPB has no Cholesky factor")]
    ActionCost,
    /// No convergence: (A, B) is not stabilisable, or (A, Q) not detectable.
    #[error(
        "the Riccati iteration did not converge in {0} steps: the linearised system cannot be stabilised by its actions"
    )]
    Diverged(usize),
}

/// Solves the discrete algebraic Riccati equation
/// P = Q + AᵀPA − AᵀPB (R + BᵀPB)⁻¹ BᵀPA by iteration from P = Q.
///
/// Shapes: a `[n, n]`, b `[n, m]`, q `[n, n]`, r `[m, m]`.
pub fn lqr(
    a: &DMatrix<f64>,
    b: &DMatrix<f64>,
    q: &DMatrix<f64>,
    r: &DMatrix<f64>,
) -> Result<Lqr, RiccatiError> {
    const STEPS: usize = 100_000;
    let mut p = q.clone();
    for _ in 0..STEPS {
        let (gain, action_curvature) = greedy(a, b, r, &p)?;
        let next = q + a.transpose() * &p * (a - b * &gain);
        let next = (&next + next.transpose()) * 0.5;
        let change = (&next - &p).amax();
        let size = next.amax();
        p = next;
        if !size.is_finite() {
            break;
        }
        if change <= 1e-13 * size.max(1.0) {
            return Ok(Lqr {
                cost_to_go: p,
                gain,
                action_curvature,
            });
        }
    }
    Err(RiccatiError::Diverged(STEPS))
}

/// The minimiser of ½ aᵀRa + ½ (As+Ba)ᵀP(As+Ba): K = S⁻¹BᵀPA and S = R + BᵀPB.
fn greedy(
    a: &DMatrix<f64>,
    b: &DMatrix<f64>,
    r: &DMatrix<f64>,
    p: &DMatrix<f64>,
) -> Result<(DMatrix<f64>, DMatrix<f64>), RiccatiError> {
    let s = r + b.transpose() * p * b;
    let factor = Cholesky::new(s.clone()).ok_or(RiccatiError::ActionCost)?;
    Ok((factor.solve(&(b.transpose() * p * a)), s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_system_matches_the_quadratic_formula() {
        // p = q + a²p − a²p²b²/(r + b²p) is a quadratic in p.
        let (a, b, q, r) = (1.1_f64, 0.5, 2.0, 0.3);
        let m = |v| DMatrix::from_element(1, 1, v);
        let lqr = lqr(&m(a), &m(b), &m(q), &m(r)).unwrap();
        let (b2, lin) = (b * b, r - a * a * r - b * b * q);
        let p = (-lin + (lin * lin + 4.0 * b2 * q * r).sqrt()) / (2.0 * b2);
        assert!((lqr.cost_to_go[(0, 0)] - p).abs() < 1e-10 * p);
        assert!((lqr.gain[(0, 0)] - a * b * p / (r + b2 * p)).abs() < 1e-10);
    }

    #[test]
    fn uncontrollable_unstable_system_is_refused() {
        let m = |v| DMatrix::from_element(1, 1, v);
        assert!(matches!(
            lqr(&m(2.0), &m(0.0), &m(1.0), &m(1.0)),
            Err(RiccatiError::Diverged(_))
        ));
    }
}
