//! The share of a cost's variation that its base policy accounts for.

use super::Judged;
use crate::evaluate::statistics::{Estimate, bootstrap_pairs};

/// cov(B, C) / var(C) over the pooled episodes, B = Σ_t −log π_0(a_t | s_t) and C = Σ_t c(s_t, a_t).
///
/// As C = B + Σ_t c_θ, it and the same share of c_θ add up to 1; it is below 0 or above 1 where the two counteract. `None`
/// without a base policy, or if the cost is constant.
pub fn base_share(groups: &[&Judged], seed: u64) -> Option<Estimate> {
    let sums = groups.iter().map(|g| g.base_sums());
    bootstrap_pairs(&sums.collect::<Option<Vec<_>>>()?, seed, share)
}

fn share(sums: &[[f64; 2]]) -> Option<f64> {
    let mean = |i: usize| sums.iter().map(|s| s[i]).sum::<f64>() / sums.len() as f64;
    let (base, total) = (mean(0), mean(1));
    let (mut covariance, mut variance) = (0.0, 0.0);
    for [b, c] in sums {
        covariance += (b - base) * (c - total);
        variance += (c - total).powi(2);
    }
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_by_hand() {
        // B = 1, 2, 3 and C = B + 3, 2, 7 = 4, 4, 10: cov = 6, var = 24, each times n.
        let sums = [[1.0, 4.0], [2.0, 4.0], [3.0, 10.0]];
        assert_eq!(share(&sums), Some(0.25));
        let rest = sums.map(|[b, c]| [c - b, c]);
        assert_eq!(share(&rest), Some(0.75));
        assert_eq!(share(&[[1.0, 2.0], [2.0, 2.0]]), None);
        // c_θ = −2 B: they counteract.
        assert_eq!(share(&[[1.0, -1.0], [2.0, -2.0]]), Some(-1.0));
    }
}
