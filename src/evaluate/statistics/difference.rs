//! Differences of two estimates, with p-values.

use super::Estimate;
use super::interval::{Draws, Spread, TAIL, phi, student};
use super::resample::{Found, Plan, RESAMPLES, means_with, resample_strata};
use super::strata::{interquartile_mean, left_out};

/// A difference with its interval and p-value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The difference, with its 95 % interval.
    pub estimate: Estimate,
    /// Two-sided p-value of no difference: below 0.05 exactly if the interval excludes 0.
    pub p_value: f64,
}

impl Difference {
    fn of(found: &Found) -> Self {
        Self {
            estimate: found.estimate(),
            p_value: found.draws.p_value(0.0),
        }
    }
}

/// Difference of the interquartile means of two independent samples (runs of two methods), `x` minus `y`, each
/// resampled separately. Both need at least two values.
pub fn difference_of_interquartile_means(x: &[f64], y: &[f64], seed: u64) -> Difference {
    let mut rng = Plan::new(seed).stream();
    let (own, other) = ([x.to_vec()], [y.to_vec()]);
    let draws = (0..RESAMPLES)
        .map(|_| {
            let own = interquartile_mean(&resample_strata(&own, &mut rng));
            own - interquartile_mean(&resample_strata(&other, &mut rng))
        })
        .collect();
    let point = interquartile_mean(x) - interquartile_mean(y);
    let spread = Spread::jackknife(&[left_out(&own).concat(), left_out(&other).concat()]);
    let draws = Draws::new(point, draws, spread);
    Difference::of(&Found { point, draws })
}

/// Mean of paired differences (of two policies from the same starts). Needs at least one pair.
pub fn difference_of_pairs(differences: &[f64], seed: u64) -> Difference {
    Difference::of(&means_with(&[differences], Plan::new(seed), |m| m[0]))
}

/// Difference of two independent estimates given only their intervals (Zou and Donner 2008, Statistics in
/// Medicine 27, equation 7).
pub fn difference_of_estimates(x: Estimate, y: Estimate) -> Difference {
    let mean = x.mean - y.mean;
    let down = (x.mean - x.ci95[0]).hypot(y.ci95[1] - y.mean);
    let up = (x.ci95[1] - x.mean).hypot(y.mean - y.ci95[0]);
    // The arm towards 0, in normal standard errors.
    let arm = if mean > 0.0 { down } else { up };
    let p_value = match (mean == 0.0, arm > 0.0) {
        (true, _) => 1.0,
        (_, true) => 2.0 * phi(-mean.abs() / arm * student(f64::INFINITY, TAIL)),
        (_, false) => 0.0,
    };
    Difference {
        estimate: Estimate {
            mean,
            ci95: [mean - down, mean + up],
        },
        p_value,
    }
}

/// Share of pairs whose first is above, ties counting half, with Wilson's 95 % interval (1927).
pub fn share_of_pairs(pairs: impl Iterator<Item = [f64; 2]>) -> Estimate {
    let (mut n, mut wins) = (0.0, 0.0);
    for [x, y] in pairs {
        n += 1.0;
        wins += f64::from(x > y) + 0.5 * f64::from(x == y);
    }
    let (mean, z) = (wins / n, student(f64::INFINITY, TAIL));
    let scale = 1.0 + z * z / n;
    let centre = (mean + z * z / (2.0 * n)) / scale;
    let arm = z * (mean * (1.0 - mean) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Estimate {
        mean,
        ci95: [centre - arm, centre + arm].map(|v| v.clamp(0.0, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_know_same_from_different() {
        let x = [0.8, 0.9, 1.0];
        let same = difference_of_interquartile_means(&x, &x, 0);
        assert!(same.estimate.mean == 0.0 && same.p_value > 0.9, "{same:?}");
        let apart = difference_of_interquartile_means(&x, &[0.1, 0.15, 0.2], 0);
        assert!(
            apart.p_value < 0.05 && apart.estimate.ci95[0] > 0.0,
            "{apart:?}"
        );
        let paired = difference_of_pairs(&[0.1, 0.2, 0.1, 0.3, 0.2, 0.1], 0);
        assert!(paired.p_value < 0.01 && paired.estimate.ci95[0] > 0.0);
        assert_eq!(difference_of_pairs(&[0.0; 9], 0).p_value, 1.0);
    }

    #[test]
    fn intervals_combine_like_standard_errors() {
        let estimate = |mean, arm| Estimate {
            mean,
            ci95: [mean - arm, mean + arm],
        };
        let d = difference_of_estimates(estimate(1.0, 0.3), estimate(0.5, 0.4));
        assert!(
            (d.estimate.ci95[0] - 0.0).abs() < 1e-12 && (d.estimate.ci95[1] - 1.0).abs() < 1e-12
        );
        assert!((d.p_value - 0.05).abs() < 1e-6, "{d:?}");
        let same = difference_of_estimates(estimate(1.0, 0.0), estimate(1.0, 0.0));
        assert_eq!((same.estimate.ci95, same.p_value), ([0.0; 2], 1.0));
    }

    #[test]
    fn wilsons_interval_of_ten_of_ten() {
        // z² / (n + z²) = 3.8415 / 13.8415.
        let all = share_of_pairs((0..10).map(|_| [1.0, 0.0]));
        assert!((all.ci95[0] - (1.0 - 3.8415 / 13.8415)).abs() < 1e-4 && all.ci95[1] == 1.0);
        assert_eq!(share_of_pairs([[1.0, 1.0]].into_iter()).mean, 0.5);
    }
}
