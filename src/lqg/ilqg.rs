//! The maximum-entropy LQG step under a bound on the KL divergence to the last controller.
//!
//! min_q E_q[c(τ)] − H(q) subject to KL(q ‖ q̂) ≤ ε (Levine and Abbeel 2014, section 3.1; Finn, Levine and Abbeel
//! 2016, section 4.2). With the multiplier η of the bound the Lagrangian is
//!
//! ```text
//! (1 + η) ( E_q[ (c − η log q̂) / (1 + η) ] − H(q) ) − η ε,
//! ```
//!
//! so its minimiser is the maximum-entropy controller of the cost c̃ = (c − η log q̂)/(1 + η), which dynamic programming
//! finds: u ~ N(−Q_uu⁻¹(Q_ux x + q_u), Q_uu⁻¹). η is such that the divergence equals the bound, or 0 if the bound is
//! not reached.

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

    /// The Taylor expansion about `at` of a function with this value, gradient and curvature.
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

/// The problem of a step.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Local dynamics.
    pub dynamics: &'a Dynamics,
    /// Expansions of the cost in (x_t, u_t), `[T]`.
    pub costs: &'a [Quadratic],
    /// Expansion of the cost of x_T.
    pub terminal: &'a Quadratic,
    /// Distribution of start states.
    pub start: &'a Joint,
    /// q̂, the last controller.
    pub last: &'a Controller,
}

/// Result of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Improved {
    /// The controller.
    pub controller: Controller,
    /// The multiplier of the bound; 0 if it is not reached.
    pub eta: f64,
    /// KL(q ‖ q̂), nats per trajectory, under the local dynamics.
    pub kl: f64,
    /// Decrease of E[c(τ)] − H from the last controller to this one, predicted by the local models.
    pub gain: f64,
}

/// Tolerance of the divergence about the bound, as a share of it.
const NEAR: f64 = 1e-3;

/// Multipliers beyond this leave the last controller unchanged.
const MOST: f64 = 1e16;

/// The controller within `bound` nats of the last one that minimises expected cost − entropy. `None` if no
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
        // The divergence decreases with η: bracket the bound, then bisect in log η.
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
    /// E[c(τ)] under the given distributions of (x_t, u_t).
    pub fn expected(&self, marginals: &Marginals) -> f64 {
        let steps = self.costs.iter().zip(&marginals.steps);
        steps.map(|(c, z)| c.expected(z)).sum::<f64>() + self.terminal.expected(&marginals.last)
    }
}

/// The maximum-entropy controller of c̃ = (c − η log q̂)/(1 + η); `None` if some Q_uu is not positive definite.
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

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::riccati::lqr;
    use costate_envs::rng::{Stream, stream};
    use rand_distr::{Distribution, StandardNormal};

    const STEPS: usize = 12;

    fn normal(rng: &mut Stream, rows: usize, columns: usize, scale: f64) -> DMatrix<f64> {
        DMatrix::from_fn(rows, columns, |_, _| {
            let z: f64 = StandardNormal.sample(&mut *rng);
            scale * z
        })
    }

    /// A random system x' = A x + B u with the cost ½ xᵀQx + ½ uᵀRu and its stationary cost to go at the end.
    struct System {
        a: DMatrix<f64>,
        b: DMatrix<f64>,
        q: DMatrix<f64>,
        r: DMatrix<f64>,
        dynamics: Dynamics,
        costs: Vec<Quadratic>,
        terminal: Quadratic,
        start: Joint,
        last: Controller,
    }

    impl System {
        fn new(seed: u64) -> Self {
            let rng = &mut stream(seed, "test", 0);
            let (n, m) = (3, 2);
            let a = DMatrix::identity(n, n) + normal(rng, n, n, 0.2);
            let b = normal(rng, n, m, 0.7);
            let root = normal(rng, n, n, 1.0);
            let q = &root * root.transpose() + DMatrix::identity(n, n) * 0.1;
            let r = DMatrix::identity(m, m) * 0.8;
            let mut gain = DMatrix::zeros(n, n + m);
            gain.columns_mut(0, n).copy_from(&a);
            gain.columns_mut(n, m).copy_from(&b);
            let step = Conditional {
                gain,
                offset: DVector::zeros(n),
                covariance: DMatrix::identity(n, n) * 1e-3,
            };
            let mut cost = Quadratic::zero(n + m);
            cost.curvature.view_mut((0, 0), (n, n)).copy_from(&q);
            cost.curvature.view_mut((n, n), (m, m)).copy_from(&r);
            let mut terminal = Quadratic::zero(n);
            terminal.curvature = lqr(&a, &b, &q, &r).unwrap().cost_to_go;
            let last = (0..STEPS).map(|_| Conditional {
                gain: normal(rng, m, n, 0.3),
                offset: DVector::from_column_slice(normal(rng, m, 1, 0.3).as_slice()),
                covariance: DMatrix::from_row_slice(2, 2, &[0.5, 0.1, 0.1, 0.3]),
            });
            Self {
                last: Controller::new(last.collect()),
                start: Joint {
                    mean: DVector::from_column_slice(normal(rng, n, 1, 1.0).as_slice()),
                    covariance: DMatrix::identity(n, n) * 0.01,
                },
                dynamics: Dynamics::new(vec![step; STEPS]),
                costs: vec![cost; STEPS],
                terminal,
                a,
                b,
                q,
                r,
            }
        }

        /// The same with all asymmetric terms: drift, slopes, and state-action cross terms in the cost.
        fn lopsided(seed: u64) -> Self {
            let mut system = Self::new(seed);
            let rng = &mut stream(seed, "lopsided", 0);
            let mut steps = system.dynamics.steps().to_vec();
            for step in &mut steps {
                step.offset += normal(rng, 3, 1, 0.3).column(0);
            }
            system.dynamics = Dynamics::new(steps);
            for cost in &mut system.costs {
                cost.slope += normal(rng, 5, 1, 0.5).column(0);
                let cross = normal(rng, 2, 3, 0.1);
                cost.curvature.view_mut((3, 0), (2, 3)).copy_from(&cross);
                let cross = cross.transpose();
                cost.curvature.view_mut((0, 3), (3, 2)).copy_from(&cross);
            }
            system.terminal.slope += normal(rng, 3, 1, 0.5).column(0);
            system
        }

        fn problem(&self) -> Problem<'_> {
            Problem {
                dynamics: &self.dynamics,
                costs: &self.costs,
                terminal: &self.terminal,
                start: &self.start,
                last: &self.last,
            }
        }

        /// E[c] − H + η KL(q ‖ q̂) of a controller.
        fn lagrangian(&self, controller: &Controller, eta: f64) -> f64 {
            let marginals = self.dynamics.marginals(controller, &self.start);
            let kl = controller.divergence(&self.last, &marginals.states());
            self.problem().expected(&marginals) - controller.entropy() + eta * kl
        }
    }

    #[test]
    fn without_a_bound_it_is_the_maximum_entropy_regulator() {
        for seed in 0..5 {
            let system = System::new(seed);
            let exact = lqr(&system.a, &system.b, &system.q, &system.r).unwrap();
            let found = improve(&system.problem(), 1e9).unwrap();
            assert_eq!(found.eta, 0.0);
            let covariance = exact.action_curvature.try_inverse().unwrap();
            for step in found.controller.steps() {
                assert!((&step.gain + &exact.gain).amax() < 1e-8);
                assert!(step.offset.amax() < 1e-8);
                assert!((&step.covariance - &covariance).amax() < 1e-8);
            }
        }
    }

    #[test]
    fn an_active_bound_is_met_and_nothing_within_it_is_better() {
        let systems = (0..5).flat_map(|s| [(s, System::new(s)), (s, System::lopsided(s))]);
        for (seed, system) in systems {
            let free = improve(&system.problem(), 1e9).unwrap();
            for bound in [0.1 * free.kl, 0.7 * free.kl] {
                let found = improve(&system.problem(), bound).unwrap();
                assert!(found.eta > 0.0 && found.gain > 0.0 && found.gain < free.gain);
                assert!(
                    found.kl <= bound && found.kl > 0.998 * bound,
                    "{} {bound}",
                    found.kl
                );
                // A stationary point of the Lagrangian: any perturbation increases it.
                let least = system.lagrangian(&found.controller, found.eta);
                let rng = &mut stream(seed, "moves", 0);
                for _ in 0..30 {
                    let mut steps = found.controller.steps().to_vec();
                    for step in &mut steps {
                        step.gain += normal(rng, 2, 3, 0.02);
                        step.offset += normal(rng, 2, 1, 0.02).column(0);
                        let bent = DMatrix::identity(2, 2) + normal(rng, 2, 2, 0.02);
                        step.covariance = &bent * &step.covariance * bent.transpose();
                    }
                    assert!(system.lagrangian(&Controller::new(steps), found.eta) > least);
                }
            }
            // A bound beyond the unconstrained step is inactive.
            let loose = improve(&system.problem(), 1.01 * free.kl).unwrap();
            assert_eq!((loose.eta, loose.kl), (0.0, free.kl));
        }
    }

    #[test]
    fn the_divergence_is_that_of_sampled_trajectories() {
        let system = System::new(3);
        let found = improve(&system.problem(), 4.0).unwrap();
        let rng = &mut stream(0, "rollouts", 0);
        let mut draw = |g: &Conditional, x: &DVector<f64>| {
            let z = DVector::from_column_slice(normal(rng, g.offset.len(), 1, 1.0).as_slice());
            &g.gain * x + &g.offset + factor(g.covariance.clone()).l() * z
        };
        let log = |g: &Conditional, x: &DVector<f64>, u: &DVector<f64>| {
            let factor = factor(g.covariance.clone());
            let apart = u - &g.gain * x - &g.offset;
            -0.5 * apart.dot(&factor.solve(&apart)) - 0.5 * factor.determinant().ln()
        };
        let start = Conditional {
            gain: DMatrix::zeros(3, 3),
            offset: system.start.mean.clone(),
            covariance: system.start.covariance.clone(),
        };
        let count = 4000;
        let ratios: Vec<f64> = (0..count)
            .map(|_| {
                let mut x = draw(&start, &DVector::zeros(3));
                let mut ratio = 0.0;
                for t in 0..STEPS {
                    let (new, old) = (&found.controller.steps()[t], &system.last.steps()[t]);
                    let u = draw(new, &x);
                    ratio += log(new, &x, &u) - log(old, &x, &u);
                    let mut z = x.clone().resize_vertically(5, 0.0);
                    z.rows_mut(3, 2).copy_from(&u);
                    x = draw(&system.dynamics.steps()[t], &z);
                }
                ratio
            })
            .collect();
        let mean = ratios.iter().sum::<f64>() / f64::from(count);
        let variance = ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / f64::from(count);
        let error = (variance / f64::from(count)).sqrt();
        assert!(
            (mean - found.kl).abs() < 4.0 * error,
            "{mean} ± {error}, not {}",
            found.kl
        );
        assert!(
            found.kl > 20.0 * error,
            "the sample is large enough to tell"
        );
    }

    #[test]
    fn a_problem_that_no_multiplier_makes_convex_is_given_up() {
        let mut system = System::new(0);
        for cost in &mut system.costs {
            cost.curvature.fill(f64::NAN);
        }
        assert_eq!(improve(&system.problem(), 1.0), None);
        // A cost that rewards large actions is: far enough towards the last controller.
        let mut system = System::new(0);
        for cost in &mut system.costs {
            cost.curvature.view_mut((3, 3), (2, 2)).fill_with_identity();
            cost.curvature.view_mut((3, 3), (2, 2)).neg_mut();
        }
        system.terminal.curvature.fill(0.0);
        let found = improve(&system.problem(), 1.0).unwrap();
        assert!(found.eta > 0.0 && found.kl <= 1.0);
    }
}
