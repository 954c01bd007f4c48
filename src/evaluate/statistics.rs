//! Intervals and rank correlation.

use costate_envs::rng::stream;
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
                .map(|g| {
                    (0..g.len())
                        .map(|_| g[rng.random_range(0..g.len())])
                        .sum::<f64>()
                        / g.len() as f64
                })
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
        .map(|_| {
            let mut all = Vec::new();
            for stratum in strata {
                all.extend((0..stratum.len()).map(|_| stratum[rng.random_range(0..stratum.len())]));
            }
            interquartile_mean(&all)
        })
        .collect();
    Estimate {
        mean: interquartile_mean(&strata.concat()),
        ci95: percentiles(&mut draws),
    }
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
