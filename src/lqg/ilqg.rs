//! The maximum-entropy LQG step under a bound on the KL divergence to the last controller.
//!
//! min_q E_q[c(τ)] − H(q) subject to KL(q ‖ q̂) ≤ ε (Levine and Abbeel 2014, section 3.1; Finn, Levine and Abbeel
//! 2016, section 4.2). With the multiplier η of the bound the Lagrangian is
//!
//!     (1 + η) ( E_q[ (c − η log q̂) / (1 + η) ] − H(q) ) − η ε,
//!
//! so its minimiser is the maximum-entropy controller of the cost c̃ = (c − η log q̂)/(1 + η), which dynamic programming
//! finds: u ~ N(−Q_uu⁻¹(Q_ux x + q_u), Q_uu⁻¹). η is where the divergence meets the bound, or 0 where the bound is not
//! reached.

use nalgebra::{Cholesky, DMatrix, DVector};

use super::controller::Controller;
use super::dynamics::{Dynamics, Marginals};
use super::gaussian::{Conditional, Joint, factor, symmetric};

/// ½ zᵀHz + hᵀz + c.
#[derive(Debug, Clone, PartialEq)]
pub struct Quadratic {
    /// H, `[d, d]`, symmetric.
    pub curvature: DMatrix<f64>,
    /// h, `[d]`.
    pub slope: DVector<f64>,
    /// c.
    pub constant: f64,
}

impl Quadratic {
    /// Zero in d dimensions.
    pub fn zero(d: usize) -> Self {
        Self {
            curvature: DMatrix::zeros(d, d),
            slope: DVector::zeros(d),
            constant: 0.0,
        }
    }

    /// The Taylor expansion about `at` of a function with this value, gradient and curvature there.
    pub fn about(
        at: &DVector<f64>,
        value: f64,
        gradient: &DVector<f64>,
        curvature: DMatrix<f64>,
    ) -> Self {
        let bent = &curvature * at;
        Self {
            constant: value - gradient.dot(at) + 0.5 * at.dot(&bent),
            slope: gradient - bent,
            curvature,
        }
    }

    /// Adds `weight` times another.
    pub fn add(&mut self, other: &Self, weight: f64) {
        self.curvature += &other.curvature * weight;
        self.slope += &other.slope * weight;
        self.constant += other.constant * weight;
    }

    /// Its mean under a Gaussian.
    pub fn expected(&self, z: &Joint) -> f64 {
        let at_mean = 0.5 * z.mean.dot(&(&self.curvature * &z.mean)) + self.slope.dot(&z.mean);
        at_mean + self.constant + 0.5 * (&self.curvature * &z.covariance).trace()
    }
}

/// What a step improves on.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Local dynamics.
    pub dynamics: &'a Dynamics,
    /// Expansions of the cost in (x_t, u_t), `[T]`.
    pub costs: &'a [Quadratic],
    /// Expansion of the cost of x_T.
    pub terminal: &'a Quadratic,
    /// Where episodes start.
    pub start: &'a Joint,
    /// q̂, the last controller.
    pub last: &'a Controller,
}

/// A step and how it was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Improved {
    /// The controller.
    pub controller: Controller,
    /// The multiplier of the bound; 0 where it is not reached.
    pub eta: f64,
    /// KL(q ‖ q̂), nats a trajectory, under the local dynamics.
    pub kl: f64,
    /// Fall of E[c(τ)] − H from the last controller to this one, as the local models foretell it.
    pub gain: f64,
}

/// How near the divergence comes to the bound, as a share of it.
const NEAR: f64 = 1e-3;

/// Multipliers beyond this leave the last controller as it is.
const MOST: f64 = 1e16;

/// The controller within `bound` nats of the last one that minimises expected cost − entropy. `None` where no
/// multiplier makes the problem convex.
pub fn improve(problem: &Problem, bound: f64) -> Option<Improved> {
    let at = |eta: f64| {
        let controller = backward(problem, eta)?;
        let marginals = problem.dynamics.marginals(&controller, problem.start);
        let kl = controller.divergence(problem.last, &marginals.states());
        kl.is_finite().then_some((controller, marginals, kl))
    };
    let within = |found: &Option<(Controller, Marginals, f64)>| {
        found.as_ref().is_some_and(|(_, _, kl)| *kl <= bound)
    };
    let mut eta = 0.0;
    let mut best = at(0.0);
    if !within(&best) {
        // The divergence falls with η: bracket the bound, then halve the bracket in log η.
        let (mut low, mut high) = (0.0, 1.0);
        best = at(high);
        while !within(&best) {
            (low, high) = (high, 10.0 * high);
            if high > MOST {
                return None;
            }
            best = at(high);
        }
        eta = high;
        for _ in 0..100 {
            let kl = best.as_ref().map_or(0.0, |(_, _, kl)| *kl);
            if kl >= (1.0 - NEAR) * bound {
                break;
            }
            let middle = match low {
                0.0 if high > 1e-6 => 0.1 * high,
                0.0 => 0.5 * high,
                _ => (low * high).sqrt(),
            };
            let found = at(middle);
            match within(&found) {
                true => (best, eta, high) = (found, middle, middle),
                false => low = middle,
            }
        }
    }
    let (controller, marginals, kl) = best?;
    let before = problem.dynamics.marginals(problem.last, problem.start);
    let entropy = controller.entropy() - problem.last.entropy();
    Some(Improved {
        gain: problem.expected(&before) - problem.expected(&marginals) + entropy,
        controller,
        eta,
        kl,
    })
}

impl Problem<'_> {
    /// E[c(τ)] where (x_t, u_t) are distributed as said.
    pub fn expected(&self, marginals: &Marginals) -> f64 {
        let steps = self.costs.iter().zip(&marginals.steps);
        steps.map(|(c, z)| c.expected(z)).sum::<f64>() + self.terminal.expected(&marginals.last)
    }
}

/// The maximum-entropy controller of c̃ = (c − η log q̂)/(1 + η); `None` where some Q_uu is not positive definite.
pub fn backward(problem: &Problem, eta: f64) -> Option<Controller> {
    let (keep, pull) = (1.0 / (1.0 + eta), eta / (1.0 + eta));
    let n = problem.start.mean.len();
    // V(x) = ½ xᵀVx + vᵀx, the soft cost to go.
    let mut value = problem.terminal.curvature.clone() * keep;
    let mut slope = problem.terminal.slope.clone() * keep;
    let mut steps = Vec::with_capacity(problem.costs.len());
    let stages = problem.costs.iter().zip(problem.dynamics.steps());
    for ((cost, dynamics), last) in stages.zip(problem.last.steps()).rev() {
        let (f, m) = (&dynamics.gain, last.offset.len());
        let mut q = &cost.curvature * keep + f.transpose() * &value * f;
        let mut q_slope = &cost.slope * keep + f.transpose() * (&value * &dynamics.offset + &slope);
        // −log q̂(u | x) = ½ |u − K̂x − k̂|² in Σ̂⁻¹ + const.
        let precision = factor(last.covariance.clone()).inverse();
        let mut residual = DMatrix::zeros(m, n + m);
        residual.columns_mut(0, n).copy_from(&-&last.gain);
        residual.columns_mut(n, m).fill_with_identity();
        let pulled = residual.transpose() * &precision;
        q += &pulled * &residual * pull;
        q_slope -= &pulled * &last.offset * pull;
        let uu = symmetric(q.view((n, n), (m, m)).into_owned());
        let ux = q.view((n, 0), (m, n));
        let factor = Cholesky::new(uu)?;
        let gain = -factor.solve(&ux.into_owned());
        let offset = -factor.solve(&q_slope.rows(n, m).into_owned());
        value = symmetric(q.view((0, 0), (n, n)) + ux.transpose() * &gain);
        slope = q_slope.rows(0, n) + ux.transpose() * &offset;
        steps.push(Conditional {
            covariance: symmetric(factor.inverse()),
            gain,
            offset,
        });
    }
    steps.reverse();
    Some(Controller::new(steps))
}
