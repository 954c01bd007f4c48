//! Densities over trajectories in log space, in f64: mixtures, log Z, importance weights.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852), section 3.

use serde::{Deserialize, Serialize};

/// log Σ exp(x), without overflow.
pub fn log_sum_exp(x: &[f64]) -> f64 {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if max == f64::NEG_INFINITY {
        return max;
    }
    max + x.iter().map(|v| (v - max).exp()).sum::<f64>().ln()
}

/// log of the mean of exp(x).
pub fn log_mean_exp(x: &[f64]) -> f64 {
    log_sum_exp(x) - (x.len() as f64).ln()
}

/// log(eᵃ + eᵇ).
pub fn log_add_exp(a: f64, b: f64) -> f64 {
    a.max(b) + (-(a - b).abs()).exp().ln_1p()
}

/// softplus(x) = log(1 + eˣ).
pub fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// σ(x) = 1 / (1 + e⁻ˣ).
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    }
}

/// Effective sample size (Σw)² / Σw² of weights given by their logarithms.
pub fn effective_sample_size(log_weights: &[f64]) -> f64 {
    let doubled: Vec<f64> = log_weights.iter().map(|l| 2.0 * l).collect();
    (2.0 * log_sum_exp(log_weights) - log_sum_exp(&doubled)).exp()
}

/// log of the mixture μ(τ) = (1/K) Σ_k q_k(τ): `components[k][i]` is log q_k(τ_i), already summed over
/// time.
pub fn log_mixture(components: &[Vec<f64>]) -> Vec<f64> {
    let count = components.first().map_or(0, Vec::len);
    (0..count)
        .map(|i| log_mean_exp(&components.iter().map(|c| c[i]).collect::<Vec<_>>()))
        .collect()
}

/// log μ̃(τ) = log(½ exp(−c(τ))/Z + ½ q(τ)), the demonstrations' density replaced by the model's own
/// (theory: the estimator of Z that the discriminator's optimum implies).
pub fn log_half_mixture(energy: f64, log_z: f64, log_q: f64) -> f64 {
    log_add_exp(-energy - log_z, log_q) - 2.0_f64.ln()
}

/// A group of trajectories in the discriminator: s(τ) = −c(τ) − log q(τ), its logit up to
/// log Z.
#[derive(Debug, Clone, Copy)]
pub struct Scores<'a> {
    /// Scores of demonstrations.
    pub expert: &'a [f64],
    /// Scores of policy samples.
    pub policy: &'a [f64],
}

/// Solves ∂L_disc/∂b = 0 for b = log Z, where
/// L_disc(b) = E_P[softplus(−(s − b)/β)] + E_Q[softplus((s − b)/β)].
///
/// At the solution `E_P[1 − D] = E_Q[D]`, and at β = 1 `Z = E_μ[exp(−c)/μ̃]` is the importance-sampling
/// estimate of the partition function. L_disc is convex in b, so Newton's method inside a shrinking
/// bracket finds its one minimiser. Both groups must be non-empty.
pub fn solve_log_z(scores: Scores, beta: f64) -> f64 {
    let mean =
        |x: &[f64], f: &dyn Fn(f64) -> f64| x.iter().map(|&s| f(s)).sum::<f64>() / x.len() as f64;
    // g(b) = E_P[1 − D] − E_Q[D] rises with b, from −1 to 1.
    let g = |b: f64| {
        mean(scores.expert, &|s| sigmoid((b - s) / beta))
            - mean(scores.policy, &|s| sigmoid((s - b) / beta))
    };
    let slope = |b: f64| {
        let d = |s: f64| sigmoid((s - b) / beta) * sigmoid((b - s) / beta) / beta;
        mean(scores.expert, &d) + mean(scores.policy, &d)
    };
    let all = || scores.expert.iter().chain(scores.policy).copied();
    let mut low = all().fold(f64::INFINITY, f64::min) - 40.0 * beta;
    let mut high = all().fold(f64::NEG_INFINITY, f64::max) + 40.0 * beta;
    let mut b = 0.5 * (low + high);
    for _ in 0..200 {
        let value = g(b);
        if value == 0.0 {
            break;
        }
        if value < 0.0 {
            low = b;
        } else {
            high = b;
        }
        let newton = b - value / slope(b);
        let next = if newton > low && newton < high {
            newton
        } else {
            0.5 * (low + high)
        };
        let moved = (next - b).abs();
        b = next;
        if moved <= 1e-14 * b.abs().max(beta) {
            break;
        }
    }
    b
}

/// Half the width of a 95 % interval for the solved b = log Z, by the delta method: b is the root of
/// g(b) = `E_P[1 − D] − E_Q[D]`, so Var b = (Var_P(D)/N_P + Var_Q(D)/N_Q) / g'(b)², where g' = E_P[D(1 −
/// D)]/β + E_Q[D(1 − D)]/β. The logits are those at the solution.
pub fn log_z_half_width(expert_logits: &[f64], policy_logits: &[f64], beta: f64) -> f64 {
    let (mut variance, mut slope) = (0.0, 0.0);
    for logits in [expert_logits, policy_logits] {
        let n = logits.len() as f64;
        let d: Vec<f64> = logits.iter().map(|&x| sigmoid(x)).collect();
        let mean = d.iter().sum::<f64>() / n;
        variance += d.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / (n * n);
        slope += d.iter().map(|d| d * (1.0 - d)).sum::<f64>() / (n * beta);
    }
    1.96 * variance.sqrt() / slope
}

/// Predicted D = σ(logit) of some rows against their labels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CalibrationBin {
    /// Mean D of its rows, with equal weight per group.
    pub predicted: f64,
    /// Share of demonstrations among them.
    pub observed: f64,
    /// Share of all rows.
    pub weight: f64,
    /// Number of rows.
    pub count: usize,
}

/// D as the probability of being a demonstration, in ten equal bins (a reliability diagram), with equal weight per
/// group; empty bins are omitted.
pub fn calibration(expert_logits: &[f64], policy_logits: &[f64]) -> Vec<CalibrationBin> {
    const BINS: usize = 10;
    // Per bin: weight of demonstrations, weight of all, weighted sum of D, rows.
    let mut bins = [([0.0; 3], 0); BINS];
    for (logits, is_expert) in [(expert_logits, 1.0), (policy_logits, 0.0)] {
        let weight = 0.5 / logits.len() as f64;
        for &logit in logits {
            let d = sigmoid(logit);
            let (sums, count) = &mut bins[((d * BINS as f64) as usize).min(BINS - 1)];
            sums[0] += weight * is_expert;
            sums[1] += weight;
            sums[2] += weight * d;
            *count += 1;
        }
    }
    let filled = bins.iter().filter(|(_, count)| *count > 0);
    filled
        .map(|([expert, all, d], count)| CalibrationBin {
            predicted: d / all,
            observed: expert / all,
            weight: *all,
            count: *count,
        })
        .collect()
}

/// Expected calibration error: the mean over the rows of [`calibration`]'s bins of |mean D − share of
/// demonstrations| (Guo et al. 2017, arXiv 1706.04599, equation 3). 0 is calibrated.
pub fn calibration_error(expert_logits: &[f64], policy_logits: &[f64]) -> f64 {
    let off = |b: &CalibrationBin| b.weight * (b.predicted - b.observed).abs();
    calibration(expert_logits, policy_logits)
        .iter()
        .map(off)
        .sum()
}

/// Effective sample sizes of the weights that the discriminator's gradient puts on trajectories, as
/// shares of their group: D on policy samples, 1 − D on demonstrations. The smaller of the two.
/// Below 0.1 training is about to fail: too few trajectories carry the gradient.
pub fn gradient_ess(expert_logits: &[f64], policy_logits: &[f64]) -> f64 {
    let share = |logits: &[f64], sign: f64| {
        let log_d: Vec<f64> = logits.iter().map(|x| -softplus(-sign * x)).collect();
        effective_sample_size(&log_d) / logits.len() as f64
    };
    share(policy_logits, 1.0).min(share(expert_logits, -1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_of_equal_and_single_weights() {
        assert!((effective_sample_size(&[3.0; 8]) - 8.0).abs() < 1e-12);
        assert!((effective_sample_size(&[900.0, 0.0, 0.0]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn mixture_is_taken_after_summing_over_time() {
        let got = log_mixture(&[vec![0.5_f64.ln(), -800.0], vec![0.25_f64.ln(), -801.0]]);
        assert!((got[0] - 0.375_f64.ln()).abs() < 1e-12);
        assert!((got[1] - (-800.0 + ((1.0 + (-1.0_f64).exp()) / 2.0).ln())).abs() < 1e-12);
    }

    #[test]
    fn calibration_counts_bins_by_their_weight() {
        // A guessing discriminator is calibrated; a confident one that is wrong half the time is not.
        assert!(calibration_error(&[0.0; 3], &[0.0; 9]) < 1e-12);
        let sure = calibration_error(&[30.0, -30.0], &[30.0, -30.0]);
        assert!((sure - 0.5).abs() < 1e-9);
        assert!(calibration_error(&[30.0; 2], &[-30.0; 5]) < 1e-9);
    }

    #[test]
    fn the_interval_of_log_z_is_that_of_repeated_samples() {
        let mut rng = costate_envs::rng::stream(0, "log_z", 0);
        let mut draw = |n: usize, mean: f64| -> Vec<f64> {
            use rand_distr::{Distribution, Normal};
            let normal = Normal::new(mean, 2.0).unwrap();
            (0..n).map(|_| normal.sample(&mut rng)).collect()
        };
        let (mut solutions, mut width) = (Vec::new(), 0.0);
        for _ in 0..400 {
            let (expert, policy) = (draw(60, 1.0), draw(90, -1.0));
            let scores = Scores {
                expert: &expert,
                policy: &policy,
            };
            let b = solve_log_z(scores, 1.5);
            let logits = |x: &[f64]| x.iter().map(|s| (s - b) / 1.5).collect::<Vec<_>>();
            solutions.push(b);
            width += log_z_half_width(&logits(&expert), &logits(&policy), 1.5) / 400.0;
        }
        let mean = solutions.iter().sum::<f64>() / 400.0;
        let covered = solutions
            .iter()
            .filter(|b| (*b - mean).abs() <= width)
            .count();
        assert!((370..=390).contains(&covered), "{covered} of 400");
    }

    proptest! {
        #[test]
        fn log_z_zeroes_the_derivative(
            expert in prop::collection::vec(-300.0..300.0_f64, 1..40),
            policy in prop::collection::vec(-300.0..300.0_f64, 1..40),
            beta in prop::sample::select(vec![1.0, 7.0, 200.0]),
        ) {
            let b = solve_log_z(Scores { expert: &expert, policy: &policy }, beta);
            let miss_p = expert.iter().map(|s| sigmoid((b - s) / beta)).sum::<f64>() / expert.len() as f64;
            let miss_q = policy.iter().map(|s| sigmoid((s - b) / beta)).sum::<f64>() / policy.len() as f64;
            prop_assert!((miss_p - miss_q).abs() <= 1e-9 * miss_p.max(1e-3), "{miss_p} {miss_q}");
        }

        #[test]
        fn shifting_scores_shifts_log_z(shift in -1e3..1e3_f64) {
            let (expert, policy) = ([1.0, -2.0, 0.3], [4.0, -7.0]);
            let moved = |x: &[f64]| x.iter().map(|v| v + shift).collect::<Vec<_>>();
            let b = solve_log_z(Scores { expert: &expert, policy: &policy }, 1.0);
            let c = solve_log_z(Scores { expert: &moved(&expert), policy: &moved(&policy) }, 1.0);
            prop_assert!((c - b - shift).abs() < 1e-9);
        }
    }
}
