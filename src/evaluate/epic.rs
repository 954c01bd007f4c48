//! EPIC: distance of two costs, up to shaping and scale.
//!
//! Gleave, Dennis, Legg, Russell and Leike 2021 (arXiv 2006.13900): canonically shape both costs,
//! then the Pearson distance √((1 − ρ)/2): 0 for equal up to potential shaping and positive scale, 1 for
//! opposite.

use super::statistics::pearson_distance;

/// A cost evaluated for the canonical form, on N transitions and M sampled actions.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// c(s_i, a_i), `[N]`.
    pub at: Vec<f64>,
    /// E_A[c(s_i, A)], `[N]`.
    pub state_mean: Vec<f64>,
    /// E_A[c(s'_i, A)], `[N]`.
    pub next_mean: Vec<f64>,
}

/// The canonically shaped cost (equation 1 of the paper, for a cost of state and action and γ = 1):
/// c(s, a) + E_A[c(s', A)] − E_A[c(s, A)] − E_{S,A}[c(S, A)].
pub fn canonical(c: &Coverage) -> Vec<f64> {
    let overall = c.state_mean.iter().sum::<f64>() / c.state_mean.len() as f64;
    (0..c.at.len())
        .map(|i| c.at[i] + c.next_mean[i] - c.state_mean[i] - overall)
        .collect()
}

/// The EPIC distance in `[0, 1]`; `None` if a cost is constant after shaping.
pub fn distance(a: &Coverage, b: &Coverage) -> Option<f64> {
    pearson_distance(&canonical(a), &canonical(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::rng::stream;
    use rand::RngExt;

    /// Coverage of c(s, a) = w·(s − 0.3)² + a·s and of its shaped copy on random transitions.
    fn cover(cost: impl Fn(f64, f64) -> f64, shaping: impl Fn(f64) -> f64) -> Coverage {
        let mut rng = stream(3, "test", 0);
        let mut draw = || rng.random_range(-1.0..1.0_f64);
        let actions: Vec<f64> = (0..64).map(|_| draw()).collect();
        // Deterministic dynamics s' = 0.9 s, so that a potential is again a cost of the state alone.
        let shaped = |s: f64, a: f64| cost(s, a) + shaping(0.9 * s) - shaping(s);
        let mean = |s: f64| actions.iter().map(|&a| shaped(s, a)).sum::<f64>() / 64.0;
        let (mut at, mut state_mean, mut next_mean) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..300 {
            let (s, a) = (draw(), draw());
            at.push(shaped(s, a));
            state_mean.push(mean(s));
            next_mean.push(mean(0.9 * s));
        }
        Coverage {
            at,
            state_mean,
            next_mean,
        }
    }

    #[test]
    fn scale_is_ignored_and_opposites_are_far() {
        let c = |s: f64, a: f64| (s - 0.3).powi(2) + a * s;
        let base = cover(c, |_| 0.0);
        assert!(distance(&base, &base).unwrap() < 1e-6);
        assert!(distance(&base, &cover(|s, a| 7.0 * c(s, a) - 2.0, |_| 0.0)).unwrap() < 1e-6);
        assert!((distance(&base, &cover(|s, a| -c(s, a), |_| 0.0)).unwrap() - 1.0).abs() < 1e-9);
        assert_eq!(distance(&base, &cover(|_, _| 1.0, |_| 0.0)), None);
    }
}
