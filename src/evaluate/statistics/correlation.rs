//! Correlations.

/// Pearson's correlation; `None` if either side is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - mx, b - my);
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// The Pearson distance √((1 − ρ)/2) in `[0, 1]` (Gleave et al. 2021); `None` if either side is constant.
pub fn pearson_distance(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(x, y).map(|rho| ((1.0 - rho).max(0.0) / 2.0).sqrt())
}

/// Spearman's rank correlation, ties given their mean rank; `None` if either side is constant.
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&ranks(x), &ranks(y))
}

/// Both sides of pairs.
pub fn sides(pairs: &[[f64; 2]]) -> [Vec<f64>; 2] {
    [0, 1].map(|i| pairs.iter().map(|p| p[i]).collect())
}

/// Ranks from 0, ties given their mean rank.
pub fn ranks(x: &[f64]) -> Vec<f64> {
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

    #[test]
    fn spearman_sees_order_only_and_shares_ranks_of_ties() {
        assert!(
            (spearman(&[1.0, 2.0, 3.0, 9.0], &[1.0, 8.0, 27.0, 28.0]).unwrap() - 1.0).abs() < 1e-12
        );
        assert!((spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(ranks(&[5.0, 1.0, 5.0, 7.0]), [1.5, 0.0, 1.5, 3.0]);
        assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    }
}
