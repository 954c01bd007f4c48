//! Intervals of correlations and of other statistics of pairs.

use super::Estimate;
use super::interval::TAIL;
use super::resample::{Plan, samples_with};

/// A statistic of all pairs together with its 95 % interval: the pairs of each group (a policy's episodes, say) are
/// resampled separately; expanded levels after correction for bias and acceleration (BCa). Resamples on which
/// the statistic is undefined are skipped; `None` where it is undefined on the pairs themselves.
///
/// Measured: 94.5–96 % for Pearson's and Spearman's correlation of 50 and 225 pairs in three to five groups.
pub fn bootstrap_pairs(
    groups: &[Vec<[f64; 2]>],
    seed: u64,
    statistic: impl Fn(&[[f64; 2]]) -> Option<f64>,
) -> Option<Estimate> {
    pairs_with(groups, Plan::new(seed), statistic)
}

pub(super) fn pairs_with(
    groups: &[Vec<[f64; 2]>],
    plan: Plan,
    statistic: impl Fn(&[[f64; 2]]) -> Option<f64>,
) -> Option<Estimate> {
    let found = samples_with(groups, plan, statistic)?;
    Some(Estimate {
        mean: found.point,
        ci95: found.draws.corrected(TAIL),
    })
}

/// A statistic of all values of all clusters together with its 95 % interval: whole clusters (an episode's transitions)
/// are resampled, each group separately, because values within a cluster are correlated; percentiles at
/// expanded levels. Resamples on which the statistic is undefined are skipped; `None` where it is undefined on the
/// values themselves.
///
/// Measured: 94–95 % for a mean and for Pearson's correlation over 10 and 25 episodes of five transitions. With
/// fewer than about eight clusters it is too short: it cannot reach beyond the range of its resamples.
pub fn bootstrap_clusters<T: Clone>(
    groups: &[Vec<Vec<T>>],
    seed: u64,
    statistic: impl Fn(&[T]) -> Option<f64>,
) -> Option<Estimate> {
    clusters_with(groups, Plan::new(seed), statistic)
}

pub(super) fn clusters_with<T: Clone>(
    groups: &[Vec<Vec<T>>],
    plan: Plan,
    statistic: impl Fn(&[T]) -> Option<f64>,
) -> Option<Estimate> {
    let by_reference: Vec<Vec<&[T]>> = groups
        .iter()
        .map(|g| g.iter().map(Vec::as_slice).collect())
        .collect();
    let found = samples_with(&by_reference, plan, |all| statistic(&all.concat()))?;
    Some(Estimate {
        mean: found.point,
        ci95: found.draws.expanded(TAIL),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{pearson, sides};
    use super::*;

    fn correlation(pairs: &[[f64; 2]]) -> Option<f64> {
        let [x, y] = sides(pairs);
        pearson(&x, &y)
    }

    #[test]
    fn undefined_statistics_have_no_interval_and_undefined_resamples_are_skipped() {
        assert_eq!(
            bootstrap_pairs(&[vec![[1.0, 2.0]; 5]], 0, correlation),
            None
        );
        // A resample of three pairs is occasionally constant.
        let few = vec![[0.0, 0.0], [1.0, 0.5], [2.0, 3.0]];
        let e = bootstrap_pairs(&[few], 0, correlation).unwrap();
        assert!(e.ci95.iter().all(|v| (-1.0..=1.0).contains(v)));
        assert!(e.ci95[0] < e.mean);
    }

    #[test]
    fn groups_are_resampled_by_themselves() {
        // Two constant groups have nothing to resample.
        let groups = [vec![[0.0, 0.0]; 4], vec![[1.0, 1.0]; 4]];
        let e = bootstrap_pairs(&groups, 0, correlation).unwrap();
        assert!(e.mean > 1.0 - 1e-12 && e.ci95[0] > 1.0 - 1e-12);
    }

    #[test]
    fn clusters_stay_together() {
        let mean = |all: &[f64]| Some(all.iter().sum::<f64>() / all.len() as f64);
        let alike: Vec<Vec<f64>> = (0..12).map(|i| vec![f64::from(i % 4); 50]).collect();
        let loose: Vec<Vec<f64>> = alike.concat().into_iter().map(|v| vec![v]).collect();
        let width = |groups: &[Vec<f64>]| {
            let [low, high] = bootstrap_clusters(&[groups.to_vec()], 0, mean)
                .unwrap()
                .ci95;
            high - low
        };
        assert!(width(&alike) > 4.0 * width(&loose));
    }
}
