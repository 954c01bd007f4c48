//! Optimal pairs of two equally large sets of points.

use tch::Tensor;

use crate::nn;

/// For every row of `from` the row of `to` that it belongs to, so that Σ|from − to|² over the pairs is least, `[N]`.
pub fn nearest_pairs(from: &Tensor, to: &Tensor) -> Tensor {
    // |a − b|² = |a|² + |b|² − 2a·b, whose first two terms are the same in every assignment.
    let costs = nn::to_f64(&-from.matmul(&to.tr()));
    let partners = assignment(&costs, from.size()[0] as usize);
    let partners: Vec<i64> = partners.into_iter().map(|j| j as i64).collect();
    Tensor::from_slice(&partners)
}

/// The column of every row of an n × n matrix of finite costs, each column once, with the least sum: shortest augmenting paths,
/// O(n³) (Jonker and Volgenant 1987, "A shortest augmenting path algorithm for dense and sparse linear assignment problems",
/// section 2, without the initialisation).
fn assignment(costs: &[f64], n: usize) -> Vec<usize> {
    let (mut row_prices, mut column_prices) = (vec![0.0; n], vec![0.0; n + 1]);
    // Column n is where the path of a new row begins.
    let mut row_of: Vec<Option<usize>> = vec![None; n + 1];
    for row in 0..n {
        row_of[n] = Some(row);
        let mut slack = vec![f64::INFINITY; n];
        let mut before = vec![n; n];
        let mut reached = vec![false; n + 1];
        let mut at = n;
        while let Some(i) = row_of[at] {
            reached[at] = true;
            let (mut least, mut next) = (f64::INFINITY, n);
            for j in (0..n).filter(|j| !reached[*j]) {
                let reduced = costs[i * n + j] - row_prices[i] - column_prices[j];
                if reduced < slack[j] {
                    (slack[j], before[j]) = (reduced, at);
                }
                if slack[j] < least {
                    (least, next) = (slack[j], j);
                }
            }
            for j in 0..=n {
                match row_of[j].filter(|_| reached[j]) {
                    Some(i) => {
                        row_prices[i] += least;
                        column_prices[j] -= least;
                    }
                    None => slack[j] -= least,
                }
            }
            at = next;
        }
        // Along the path every column takes the row of the one before it.
        while at != n {
            row_of[at] = row_of[before[at]];
            at = before[at];
        }
    }
    let mut columns = vec![0; n];
    for (j, row) in row_of[..n].iter().enumerate() {
        if let Some(i) = row {
            columns[*i] = j;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use costate_envs::rng::stream;
    use rand::RngExt;
    use tch::Kind;

    use super::*;
    use crate::ebm::normals;

    fn cost(costs: &[f64], columns: &[usize]) -> f64 {
        let n = columns.len();
        columns
            .iter()
            .enumerate()
            .map(|(i, j)| costs[i * n + j])
            .sum()
    }

    /// The least cost over all permutations.
    fn exhaustive(costs: &[f64], n: usize, columns: &mut Vec<usize>) -> f64 {
        if columns.len() == n {
            return cost(costs, columns);
        }
        let mut best = f64::INFINITY;
        for j in 0..n {
            if !columns.contains(&j) {
                columns.push(j);
                best = best.min(exhaustive(costs, n, columns));
                columns.pop();
            }
        }
        best
    }

    #[test]
    fn no_permutation_costs_less() {
        let mut rng = stream(0, "costs", 0);
        for n in 1..7 {
            for _ in 0..20 {
                let costs: Vec<f64> = (0..n * n).map(|_| rng.random_range(-1.0..1.0)).collect();
                let found = cost(&costs, &assignment(&costs, n));
                let least = exhaustive(&costs, n, &mut Vec::new());
                assert!((found - least).abs() < 1e-12, "{n}: {found} {least}");
            }
        }
    }

    #[test]
    fn moved_points_find_themselves() {
        let from = normals(60, 3, &mut stream(1, "points", 0));
        let order: Vec<i64> = (0..60).map(|i| (i * 7) % 60).collect();
        let to = (&from + 0.001).index_select(0, &Tensor::from_slice(&order));
        let again = to.index_select(0, &nearest_pairs(&from, &to));
        let off = (again - from - 0.001).abs().max().double_value(&[]);
        assert!(off < 1e-12 && to.kind() == Kind::Double, "{off}");
    }
}
