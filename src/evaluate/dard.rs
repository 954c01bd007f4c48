//! DARD: distance of two costs on reachable transitions, up to shaping and scale.
//!
//! Wulfe, Ellis, Mercat, McAllister and Gaidon 2022 (arXiv 2201.10081): EPIC's canonical form also evaluates a cost on
//! infeasible transitions; here every mean is over states that the simulator reaches in one step.

use super::epic;
use super::statistics::pearson_distance;

/// A cost evaluated for the canonical form on N transitions (s, a, s'); S' ~ T(s, A') and S'' ~ T(s', A).
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// As for EPIC: c(s, a, s'), E[c(s, A', S')] and E[c(s', A, S'')].
    pub epic: epic::Coverage,
    /// E[c(S', A, S'')], `[N]`.
    pub reached_mean: Vec<f64>,
}

/// The cost under the dynamics-aware transformation of the paper, at γ = 1:
/// c(s, a, s') + E[c(s', A, S'') − c(s, A', S') − c(S', A, S'')].
pub fn canonical(c: &Coverage) -> Vec<f64> {
    let epic::Coverage {
        at,
        state_mean,
        next_mean,
    } = &c.epic;
    (0..at.len())
        .map(|i| at[i] + next_mean[i] - state_mean[i] - c.reached_mean[i])
        .collect()
}

/// The distance √((1 − ρ)/2) in `[0, 1]`; `None` if a cost is constant after shaping.
pub fn distance(a: &Coverage, b: &Coverage) -> Option<f64> {
    pearson_distance(&canonical(a), &canonical(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::rng::stream;
    use rand::RngExt;

    /// s' = 0.9 s + 0.3 a.
    fn step(s: f64, a: f64) -> f64 {
        0.9 * s + 0.3 * a
    }

    fn cover(cost: impl Fn(f64, f64, f64) -> f64) -> Coverage {
        let mut rng = stream(3, "test", 0);
        let mut draw = || rng.random_range(-1.0..1.0_f64);
        let actions: Vec<f64> = (0..32).map(|_| draw()).collect();
        let mean = |of: &dyn Fn(f64) -> f64| actions.iter().map(|&a| of(a)).sum::<f64>() / 32.0;
        let mut c = Coverage::default();
        for _ in 0..300 {
            let (s, a) = (draw(), draw());
            let next = step(s, a);
            c.epic.at.push(cost(s, a, next));
            c.epic
                .next_mean
                .push(mean(&|a| cost(next, a, step(next, a))));
            c.epic.state_mean.push(mean(&|a| cost(s, a, step(s, a))));
            c.reached_mean.push(mean(&|first| {
                mean(&|a| cost(step(s, first), a, step(next, a)))
            }));
        }
        c
    }

    fn quadratic(s: f64, a: f64, _: f64) -> f64 {
        (s - 0.3).powi(2) + a * s
    }

    /// Regression: without the mean over reached states the distance is 0.30 instead of 0.
    #[test]
    fn potentials_and_scale_are_ignored_and_opposites_are_far() {
        let base = cover(quadratic);
        let potential = |s: f64| 3.0 * s.powi(3) - s.sin();
        let shaped = cover(|s, a, next| quadratic(s, a, next) + potential(next) - potential(s));
        assert!(distance(&base, &shaped).unwrap() < 1e-6);
        let scaled = cover(|s, a, next| 7.0 * quadratic(s, a, next) - 2.0);
        assert!(distance(&base, &scaled).unwrap() < 1e-6);
        let negated = cover(|s, a, next| -quadratic(s, a, next));
        assert!((distance(&base, &negated).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(distance(&base, &cover(|_, _, _| 1.0)), None);
        let other = cover(|s, a, _| (s + 0.3).powi(2) - a * s);
        assert!(distance(&base, &other).unwrap() > 0.3);
    }
}
