//! Maximum causal entropy inverse reinforcement learning, exactly (Ziebart, Bagnell and Dey 2010).
//!
//! The dual of the maximum-entropy problem is convex in the cost,
//!
//! ```text
//! L(c) = E_D[Σ_t c(s_t, a_t)] + E_D[V_0(s_0)],  ∂L/∂c(s, a) = n_D(s, a) − n_π(s, a)
//! ```
//!
//! with n the expected visits and π the soft policy of c. Where the process is deterministic, V_0(s_0) = log Z(s_0) and L is the
//! demonstrations' negative log-likelihood.

use serde::{Deserialize, Serialize};

use super::process::{Process, ProcessError, Walk};
use super::soft::{Soft, check, visits};

/// Statistics of demonstrations: their starts and visits.
#[derive(Debug, Clone, PartialEq)]
pub struct Demonstrated {
    start: Vec<f64>,
    visits: Vec<f64>,
}

impl Demonstrated {
    /// Of walks, which must have the process's length.
    pub fn by(process: &Process, walks: &[Walk]) -> Result<Self, ProcessError> {
        let mut found = Self {
            start: vec![0.0; process.states()],
            visits: vec![0.0; process.states() * process.actions()],
        };
        let share = 1.0 / walks.len() as f64;
        for walk in walks {
            if walk.steps.len() != process.horizon() {
                return Err(ProcessError::Shape {
                    what: "a walk",
                    found: walk.steps.len(),
                    expected: process.horizon(),
                });
            }
            found.start[walk.steps[0].0] += share;
            for (s, a) in &walk.steps {
                found.visits[process.at(*s, *a)] += share;
            }
        }
        Ok(found)
    }

    /// The limit of infinitely many demonstrations of a policy log π_t.
    pub fn exactly(process: &Process, log_policy: &[Vec<f64>]) -> Self {
        Self {
            start: process.start().to_vec(),
            visits: visits(process, log_policy),
        }
    }
}

/// Settings of the optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxEntSettings {
    /// Maximum steps of gradient descent.
    pub iterations: usize,
    /// Largest entry of the gradient, in visits, at which it stops.
    pub tolerance: f64,
}

/// The result of the descent.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// c(s, a), `[S · A]`.
    pub cost: Vec<f64>,
    /// Largest remaining entry of the gradient, in visits.
    pub residual: f64,
}

/// The learner: a process with the demonstrations' starts, and their visits.
pub struct MaxEnt {
    process: Process,
    shown: Demonstrated,
}

/// The objective and its gradient.
#[derive(Debug, Clone, PartialEq)]
pub struct Likelihood {
    /// L(c), nats.
    pub loss: f64,
    /// ∂L/∂c(s, a), `[S · A]`.
    pub gradient: Vec<f64>,
}

impl Likelihood {
    /// Largest entry of the gradient.
    fn residual(&self) -> f64 {
        self.gradient.iter().fold(0.0, |most, g| g.abs().max(most))
    }
}

impl MaxEnt {
    /// A learner on `process`.
    pub fn new(process: &Process, shown: Demonstrated) -> Result<Self, ProcessError> {
        let process = process.starting_by(shown.start.clone())?;
        Ok(Self { process, shown })
    }

    /// L(c) and ∂L/∂c of a cost, `[S · A]`.
    pub fn likelihood(&self, cost: &[f64]) -> Result<Likelihood, ProcessError> {
        check(&self.process, "the cost", cost)?;
        let soft = Soft::of(&self.process, cost)?;
        let shown: f64 = self.shown.visits.iter().zip(cost).map(|(n, c)| n * c).sum();
        let own = visits(&self.process, &soft.log_policy);
        Ok(Likelihood {
            loss: shown + soft.log_z(&self.process),
            gradient: self
                .shown
                .visits
                .iter()
                .zip(own)
                .map(|(d, q)| d - q)
                .collect(),
        })
    }

    /// The cost that gradient descent from zero finds. A step that does not lower L by half of the decrease predicted by its
    /// gradient (Armijo 1966) is halved: the curvature, a covariance of visits, grows with the square of T.
    pub fn fit(&self, settings: MaxEntSettings) -> Result<Fitted, ProcessError> {
        let mut cost = vec![0.0; self.shown.visits.len()];
        let mut here = self.likelihood(&cost)?;
        let mut step = 1.0;
        for _ in 0..settings.iterations {
            if here.residual() <= settings.tolerance {
                break;
            }
            let promised: f64 = here.gradient.iter().map(|g| g * g).sum();
            let moved = cost.iter().zip(&here.gradient);
            let candidate: Vec<f64> = moved.map(|(c, g)| c - step * g).collect();
            let there = self.likelihood(&candidate)?;
            if there.loss <= here.loss - 0.5 * step * promised {
                (cost, here) = (candidate, there);
                step *= 1.5;
            } else {
                step *= 0.5;
            }
        }
        Ok(Fitted {
            residual: here.residual(),
            cost,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::soft::total_variation;
    use super::*;
    use costate_envs::rng::stream;
    use rand::RngExt;

    const SETTINGS: MaxEntSettings = MaxEntSettings {
        iterations: 20_000,
        tolerance: 1e-6,
    };

    fn world(branches: usize) -> (Process, Vec<f64>) {
        let mut rng = stream(7, "process", branches as u64);
        let process = Process::random(6, 3, 5, branches, &mut rng).unwrap();
        let cost = (0..18).map(|_| 3.0 * rng.random::<f64>()).collect();
        (process, cost)
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        for branches in [1, 3] {
            let (process, truth) = world(branches);
            let expert = Soft::of(&process, &truth).unwrap();
            let mut rng = stream(1, "demonstrations", 0);
            let walks: Vec<Walk> = (0..40)
                .map(|_| process.walk(&expert.log_policy, &mut rng))
                .collect();
            let shown = Demonstrated::by(&process, &walks).unwrap();
            let learner = MaxEnt::new(&process, shown).unwrap();
            let at: Vec<f64> = (0..18).map(|i| (i as f64 * 0.7).sin()).collect();
            let exact = learner.likelihood(&at).unwrap().gradient;
            for (i, exact) in exact.iter().enumerate() {
                let moved = |by: f64| {
                    let mut c = at.clone();
                    c[i] += by;
                    learner.likelihood(&c).unwrap().loss
                };
                let h = 1e-4;
                let found = (moved(h) - moved(-h)) / (2.0 * h);
                assert!((found - exact).abs() < 1e-6, "{found}, {exact}");
            }
        }
    }

    #[test]
    fn infinitely_many_demonstrations_recover_the_policy() {
        for branches in [1, 3] {
            let (process, truth) = world(branches);
            let expert = Soft::of(&process, &truth).unwrap();
            let shown = Demonstrated::exactly(&process, &expert.log_policy);
            let learner = MaxEnt::new(&process, shown).unwrap();
            let found = learner.fit(SETTINGS).unwrap();
            assert!(found.residual <= SETTINGS.tolerance, "{}", found.residual);
            let own = Soft::of(&process, &found.cost).unwrap();
            let apart = total_variation(&process, &expert.log_policy, &own.log_policy);
            assert!(apart < 1e-3, "{apart}");
            // The truth is optimal.
            let best = learner.likelihood(&truth).unwrap();
            assert!(best.gradient.iter().all(|g| g.abs() < 1e-12));
        }
    }

    #[test]
    fn absorbing_states_do_not_make_it_oscillate() {
        // One choice, then T − 1 steps where it led: the curvature is (T − 1)²/4.
        for horizon in [5, 12, 40] {
            let next = [1, 2, 1, 1, 2, 2].map(|s| vec![(s, 1.0)]).to_vec();
            let process = Process::new(2, horizon, vec![1.0, 0.0, 0.0], next).unwrap();
            let truth = [0.0, 0.0, 0.1, 0.1, 0.0, 0.0];
            let expert = Soft::of(&process, &truth).unwrap();
            let shown = Demonstrated::exactly(&process, &expert.log_policy);
            let learner = MaxEnt::new(&process, shown).unwrap();
            let found = learner.fit(SETTINGS).unwrap();
            assert!(found.residual < 1e-5, "{horizon}: {}", found.residual);
        }
    }

    #[test]
    fn walks_of_another_length_are_rejected() {
        let (process, _) = world(1);
        let walk = Walk {
            steps: vec![(0, 0)],
        };
        let error = Demonstrated::by(&process, &[walk]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("a walk has 1 entries, expected 5")
        );
    }
}
