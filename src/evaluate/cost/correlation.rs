//! Agreement of a cost with the true one over stated distributions of trajectories and steps.

use serde::{Deserialize, Serialize};

use super::Judged;
use crate::evaluate::statistics::{
    Estimate, bootstrap_clusters, bootstrap_pairs, pearson, ranks, sides, spearman,
};

/// Agreement over the episodes of one distribution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Correlation {
    /// Whose episodes.
    pub distribution: String,
    /// Their number.
    pub trajectories: usize,
    /// Pearson's correlation of Σ_t c with the true Σ_t c; `None` if either is constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pearson: Option<Estimate>,
    /// Spearman's rank correlation of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spearman: Option<Estimate>,
    /// Pearson's correlation of single steps' costs; whole episodes are resampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_pearson: Option<Estimate>,
    /// Spearman's rank correlation of the same, ranked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_spearman: Option<Estimate>,
}

/// Steps per episode used for a correlation over steps.
const STEPS: usize = 6;

/// Episodes per group whose pairs are ranked.
const RANKED: usize = 25;

/// The correlation of learned and true costs over the pooled groups.
pub fn correlation(distribution: &str, groups: &[&Judged], seed: u64) -> Correlation {
    let sums: Vec<Vec<[f64; 2]>> = groups.iter().map(|g| g.sums()).collect();
    let steps: Vec<Vec<Vec<[f64; 2]>>> = groups.iter().map(|g| g.steps(STEPS)).collect();
    Correlation {
        distribution: distribution.into(),
        trajectories: sums.iter().map(Vec::len).sum(),
        pearson: bootstrap_pairs(&sums, seed, |p| over(p, pearson)),
        spearman: bootstrap_pairs(&sums, seed, |p| over(p, spearman)),
        step_pearson: bootstrap_clusters(&steps, seed, |p| over(p, pearson)),
        step_spearman: bootstrap_clusters(&ranked(&steps), seed, |p| over(p, pearson)),
    }
}

/// Both costs replaced by their ranks among all steps.
fn ranked(steps: &[Vec<Vec<[f64; 2]>>]) -> Vec<Vec<Vec<[f64; 2]>>> {
    let flat: Vec<[f64; 2]> = steps.iter().flatten().flatten().copied().collect();
    let [learned, truth] = sides(&flat).map(|side| ranks(&side));
    let mut both = learned.into_iter().zip(truth);
    let mut next = |_: &[f64; 2]| both.next().map_or([0.0; 2], |(a, b)| [a, b]);
    let group = |g: &Vec<Vec<[f64; 2]>>| {
        g.iter()
            .map(|cluster| cluster.iter().map(&mut next).collect())
            .collect()
    };
    steps.iter().map(group).collect()
}

fn over(pairs: &[[f64; 2]], of: fn(&[f64], &[f64]) -> Option<f64>) -> Option<f64> {
    let [learned, truth] = sides(pairs);
    of(&learned, &truth)
}

/// Share of pairs of trajectories from different groups whose costs are in the true order, ties counting half.
pub fn ranking_accuracy(groups: &[&Judged], seed: u64) -> Option<Estimate> {
    let graded: Vec<Vec<[f64; 3]>> = groups
        .iter()
        .enumerate()
        .map(|(i, g)| {
            let sums = g.sums().into_iter().take(RANKED);
            sums.map(|[learned, truth]| [learned, truth, i as f64])
                .collect()
        })
        .collect();
    let clusters: Vec<Vec<Vec<[f64; 3]>>> = graded
        .into_iter()
        .map(|g| g.into_iter().map(|one| vec![one]).collect())
        .collect();
    bootstrap_clusters(&clusters, seed, right_order)
}

fn right_order(graded: &[[f64; 3]]) -> Option<f64> {
    let (mut right, mut pairs) = (0.0, 0.0);
    for (i, a) in graded.iter().enumerate() {
        for b in &graded[..i] {
            let truth = a[1] - b[1];
            if a[2] == b[2] || truth == 0.0 {
                continue;
            }
            pairs += 1.0;
            right += match (a[0] - b[0]) * truth.signum() {
                d if d > 0.0 => 1.0,
                0.0 => 0.5,
                _ => 0.0,
            };
        }
    }
    (pairs > 0.0).then(|| right / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_order_counts_pairs_of_different_groups() {
        // learned, true, group
        let rows = [
            [1.0, 10.0, 0.0],
            [2.0, 5.0, 0.0],
            [3.0, 20.0, 1.0],
            [1.0, 30.0, 1.0],
        ];
        // Pairs: (0,2) right, (0,3) tied, (1,2) right, (1,3) wrong.
        assert_eq!(right_order(&rows), Some(2.5 / 4.0));
        assert_eq!(right_order(&rows[..2]), None);
    }
}
