//! Intervals and rank correlation.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use serde::{Deserialize, Serialize};

/// A mean with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Ends of the 95 % interval.
    pub ci95: [f64; 2],
}

/// Resamples of a bootstrap interval.
const RESAMPLES: usize = 4000;

/// The statistic of the groups' means, with a percentile bootstrap interval (Efron 1979): each group
/// is resampled by itself. Groups must not be empty.
pub fn bootstrap(groups: &[&[f64]], seed: u64, statistic: impl Fn(&[f64]) -> f64) -> Estimate {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let mut rng = stream(seed, "bootstrap", 0);
    let mut draws: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let means: Vec<f64> = groups
                .iter()
                .map(|g| resample(g, &mut rng).sum::<f64>() / g.len() as f64)
                .collect();
            statistic(&means)
        })
        .collect();
    let means: Vec<f64> = groups.iter().map(|g| mean(g)).collect();
    Estimate {
        mean: statistic(&means),
        ci95: percentiles(&mut draws),
    }
}

/// Mean of the middle half: a quarter of the values, rounded down, is cut off at either end (Agarwal et al.
/// 2021, arXiv 2108.13264). NaN without values.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    let middle = &sorted[cut..sorted.len() - cut];
    middle.iter().sum::<f64>() / middle.len() as f64
}

/// The interquartile mean over all strata together, with a percentile interval of the stratified bootstrap:
/// each stratum (an environment's seeds) is resampled by itself (the same). No stratum may be empty.
pub fn stratified_interquartile_mean(strata: &[Vec<f64>], seed: u64) -> Estimate {
    let mut rng = stream(seed, "bootstrap", 0);
    let mut draws: Vec<f64> = (0..RESAMPLES)
        .map(|_| interquartile_mean(&resample_strata(strata, &mut rng)))
        .collect();
    Estimate {
        mean: interquartile_mean(&strata.concat()),
        ci95: percentiles(&mut draws),
    }
}

/// Probability that a run of `x` scores above a run of `y`, ties counting half, mean over the strata (environments), with
/// a percentile interval of the stratified bootstrap (Agarwal et al. 2021, section 4.3). Pairs of strata correspond; none
/// may be empty.
pub fn probability_of_improvement(x: &[Vec<f64>], y: &[Vec<f64>], seed: u64) -> Estimate {
    assert_eq!(x.len(), y.len(), "strata correspond");
    let mut rng = stream(seed, "bootstrap", 0);
    let mut redrawn = |values: &[f64]| -> Vec<f64> { resample(values, &mut rng).collect() };
    let mean = |of: &mut dyn FnMut(&[f64], &[f64]) -> f64| {
        x.iter().zip(y).map(|(a, b)| of(a, b)).sum::<f64>() / x.len() as f64
    };
    let mut draws: Vec<f64> = (0..RESAMPLES)
        .map(|_| mean(&mut |a, b| share_above(&redrawn(a), &redrawn(b))))
        .collect();
    Estimate {
        mean: mean(&mut |a, b| share_above(a, b)),
        ci95: percentiles(&mut draws),
    }
}

/// P(X > Y) + ½ P(X = Y) of two samples (the Mann-Whitney statistic).
fn share_above(x: &[f64], y: &[f64]) -> f64 {
    let wins = |a: f64| {
        let win = |b: &f64| match a.total_cmp(b) {
            std::cmp::Ordering::Greater => 1.0,
            std::cmp::Ordering::Equal => 0.5,
            std::cmp::Ordering::Less => 0.0,
        };
        y.iter().map(win).sum::<f64>()
    };
    x.iter().map(|&a| wins(a)).sum::<f64>() / (x.len() * y.len()) as f64
}

/// A point of a performance profile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ProfilePoint {
    /// Threshold τ.
    pub score: f64,
    /// Share of runs with a score above it.
    pub share: f64,
    /// Its 95 % interval, point by point.
    pub ci95: [f64; 2],
}

/// The performance profile: the share of runs that score above each threshold, over all strata together, with
/// percentile intervals of the stratified bootstrap (Agarwal et al. 2021, section 4.2). No stratum may be empty.
pub fn performance_profile(
    strata: &[Vec<f64>],
    thresholds: &[f64],
    seed: u64,
) -> Vec<ProfilePoint> {
    let mut rng = stream(seed, "bootstrap", 0);
    let share = |all: &[f64], score: f64| {
        all.iter().filter(|v| **v > score).count() as f64 / all.len() as f64
    };
    let mut draws = vec![Vec::with_capacity(RESAMPLES); thresholds.len()];
    for _ in 0..RESAMPLES {
        let all = resample_strata(strata, &mut rng);
        for (draws, &score) in draws.iter_mut().zip(thresholds) {
            draws.push(share(&all, score));
        }
    }
    let all = strata.concat();
    let point = |(mut draws, &score): (Vec<f64>, &f64)| ProfilePoint {
        score,
        share: share(&all, score),
        ci95: percentiles(&mut draws),
    };
    draws.into_iter().zip(thresholds).map(point).collect()
}

/// As many values, drawn with replacement.
fn resample(values: &[f64], rng: &mut Stream) -> impl Iterator<Item = f64> {
    (0..values.len()).map(|_| values[rng.random_range(0..values.len())])
}

/// Every stratum resampled by itself, one after the other.
fn resample_strata(strata: &[Vec<f64>], rng: &mut Stream) -> Vec<f64> {
    let mut all = Vec::new();
    for stratum in strata {
        all.extend(resample(stratum, rng));
    }
    all
}

/// The 2.5th and the 97.5th percentile.
fn percentiles(draws: &mut [f64]) -> [f64; 2] {
    draws.sort_by(f64::total_cmp);
    [0.025, 0.975].map(|q| draws[((draws.len() - 1) as f64 * q).round() as usize])
}

/// Pearson's correlation; `None` where one side is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(a, b)| f(a - mx, b - my)).sum::<f64>();
    let (xy, xx, yy) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// The Pearson distance √((1 − ρ)/2) in `[0, 1]` (Gleave et al. 2021); `None` where one side is constant.
pub fn pearson_distance(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(x, y).map(|rho| ((1.0 - rho).max(0.0) / 2.0).sqrt())
}

/// Spearman's rank correlation, ties given their mean rank; `None` where one side is constant.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&ranks(x), &ranks(y))
}

fn ranks(x: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..x.len()).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let mut ranks = vec![0.0; x.len()];
    let mut from = 0;
    while from < order.len() {
        let tied = order[from..]
            .iter()
            .take_while(|&&i| x[i] == x[order[from]])
            .count();
        let rank = from as f64 + (tied - 1) as f64 / 2.0;
        order[from..from + tied]
            .iter()
            .for_each(|&i| ranks[i] = rank);
        from += tied;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_distr::{Distribution, StandardNormal};

    #[test]
    fn spearman_sees_order_only_and_shares_ranks_of_ties() {
        assert!(
            (spearman(&[1.0, 2.0, 3.0, 9.0], &[1.0, 8.0, 27.0, 28.0]).unwrap() - 1.0).abs() < 1e-12
        );
        assert!((spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }

    #[test]
    fn the_middle_half_ignores_outliers() {
        assert_eq!(interquartile_mean(&[9.0, 1.0, 2.0, -50.0]), 1.5);
        // A quarter of three, rounded down, is none.
        assert_eq!(interquartile_mean(&[0.0, 1.0, 5.0]), 2.0);
        assert!(interquartile_mean(&[]).is_nan());
    }

    #[test]
    fn strata_are_resampled_by_themselves() {
        // Constant strata have no spread, however far apart they lie.
        let strata: Vec<Vec<f64>> = (0..4).map(|i| vec![f64::from(i); 3]).collect();
        let e = stratified_interquartile_mean(&strata, 0);
        assert_eq!((e.mean, e.ci95), (1.5, [1.5, 1.5]));
        let spread = stratified_interquartile_mean(&[vec![0.0, 1.0, 2.0, 3.0]], 0);
        assert!(spread.ci95[0] < 1.0 && spread.ci95[1] > 2.0);
    }

    #[test]
    fn improvement_counts_pairs_and_shares_ties() {
        assert_eq!(share_above(&[1.0, 2.0], &[0.0, 1.0]), 3.5 / 4.0);
        let sure = probability_of_improvement(&[vec![2.0, 3.0]], &[vec![0.0, 1.0]], 0);
        assert_eq!((sure.mean, sure.ci95), (1.0, [1.0, 1.0]));
        // An environment each counts the same, whatever its runs.
        let mixed = probability_of_improvement(
            &[vec![2.0, 3.0, 4.0], vec![0.0]],
            &[vec![1.0], vec![1.0, 2.0]],
            0,
        );
        assert_eq!(mixed.mean, 0.5);
        let open = probability_of_improvement(&[vec![0.0, 2.0, 4.0]], &[vec![1.0, 3.0, 5.0]], 0);
        assert!(open.ci95[0] < open.mean && open.mean < open.ci95[1]);
    }

    #[test]
    fn a_profile_falls_from_all_to_none() {
        let strata = [vec![0.2, 0.9], vec![0.5, 1.0]];
        let profile = performance_profile(&strata, &[0.0, 0.5, 0.95, 1.0], 0);
        let shares: Vec<f64> = profile.iter().map(|p| p.share).collect();
        assert_eq!(shares, [1.0, 0.5, 0.25, 0.0]);
        assert_eq!((profile[0].ci95, profile[3].ci95), ([1.0; 2], [0.0; 2]));
        assert!(profile[1].ci95[0] < 0.5 && profile[1].ci95[1] > 0.5);
    }

    #[test]
    fn intervals_cover_the_mean_about_as_often_as_they_say() {
        let covered = (0..200)
            .filter(|&k| {
                let mut rng = stream(k, "test", 0);
                let x: Vec<f64> = (0..40).map(|_| StandardNormal.sample(&mut rng)).collect();
                let e = bootstrap(&[&x], k, |m| m[0]);
                e.ci95[0] <= 0.0 && 0.0 <= e.ci95[1]
            })
            .count();
        assert!((178..=199).contains(&covered), "{covered} of 200");
    }
}
