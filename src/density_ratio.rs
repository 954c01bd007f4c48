//! How much likelier a row is under one density than under another, from samples of both, in closed form.
//!
//! Relative unconstrained least-squares importance fitting (Yamada, Suzuki, Kanamori, Hachiya and Sugiyama 2011, arXiv
//! 1106.4729) at α = ½: r(x) = p / (½p + ½q) is Σ_l w_l k(x, x_l) with Gaussian kernels k at rows x_l of p, and
//!
//! ```text
//! w = argmin ½ wᵀHw − hᵀw + ½λ|w|²  =  (H + λI)⁻¹ h
//! H = ½ E_p[φφᵀ] + ½ E_q[φφᵀ],  h = E_p[φ],  φ_l(x) = k(x, x_l).
//! ```
//!
//! r is bounded by 2, where p / q is not, and r / 2 = p / (p + q) is what a discriminator says.

use nalgebra::{DMatrix, DVector};
use tch::{Kind, Tensor};

use crate::nn;

/// Widths that are tried, as multiples of the median distance between centres.
const WIDTHS: [f64; 5] = [0.125, 0.25, 0.5, 1.0, 2.0];
/// Penalties λ that are tried.
const PENALTIES: [f64; 4] = [1e-4, 1e-3, 1e-2, 1e-1];

/// Rows with the share of a density that they stand for.
#[derive(Debug)]
pub struct Weighted {
    /// `[N, d]` in f64.
    pub rows: Tensor,
    /// Of the density, in (0, 1].
    pub share: f64,
}

/// D(x) = p(x) / (p(x) + q(x)) by kernels.
#[derive(Debug)]
pub struct KernelRatio {
    /// `[L, d]`.
    centres: Tensor,
    /// Standard deviation of a kernel.
    pub width: f64,
    /// λ.
    pub penalty: f64,
    /// w, `[L]`.
    weights: Tensor,
}

/// H and h of one width.
struct Moments {
    h_matrix: DMatrix<f64>,
    h: DVector<f64>,
}

impl KernelRatio {
    /// p is what `demonstrated` is drawn from, `[N, d]` in f64, q the mixture of `others`. At most `centres` kernels, at rows
    /// of p in equal distances; width and penalty are those of the least ½ wᵀHw − hᵀw on the second halves when fitted to
    /// the first: halves, not rows at random, as the steps of an episode say much of each other.
    ///
    /// `demonstrated` has at least two rows, and so does each of `others`, of which there is at least one.
    pub fn fit(demonstrated: &Tensor, others: &[Weighted], centres: usize) -> Self {
        let rows = demonstrated.size()[0];
        let count = rows.min(centres.max(1) as i64);
        let at: Vec<i64> = (0..count).map(|i| i * rows / count).collect();
        let centres = demonstrated.index_select(0, &Tensor::from_slice(&at));
        let unit = median_distance(&centres);
        let mut best = (f64::INFINITY, WIDTHS[0] * unit, PENALTIES[0]);
        let half = |t: &Tensor, second: bool| {
            let rows = t.size()[0];
            match second {
                false => t.narrow(0, 0, rows / 2),
                true => t.narrow(0, rows / 2, rows - rows / 2),
            }
        };
        for width in WIDTHS.map(|w| w * unit) {
            let [fitted, held_out] = [false, true].map(|second| {
                let others: Vec<Weighted> = (others.iter())
                    .map(|o| Weighted {
                        rows: half(&o.rows, second),
                        share: o.share,
                    })
                    .collect();
                Moments::of(&centres, width, &half(demonstrated, second), &others)
            });
            for penalty in PENALTIES {
                let score = fitted
                    .solve(penalty)
                    .map_or(f64::INFINITY, |w| held_out.loss(&w));
                if score < best.0 {
                    best = (score, width, penalty);
                }
            }
        }
        let (_, width, penalty) = best;
        Self::with(demonstrated, others, centres, width, penalty)
    }

    /// The estimate of this width and penalty, with kernels at `centres`, `[L, d]`.
    pub fn with(
        demonstrated: &Tensor,
        others: &[Weighted],
        centres: Tensor,
        width: f64,
        penalty: f64,
    ) -> Self {
        let moments = Moments::of(&centres, width, demonstrated, others);
        let mut penalty = penalty;
        // H is positive semi-definite: rounding can make it indefinite, a penalty large enough cannot leave it so.
        let weights = loop {
            match moments.solve(penalty) {
                Some(weights) => break weights,
                None => penalty = (penalty * 10.0).max(1e-12),
            }
        };
        Self {
            weights: Tensor::from_slice(weights.as_slice()),
            centres,
            width,
            penalty,
        }
    }

    /// D(x) = ½ r(x) of every row, `[N]`: least squares do not keep it within [0, 1].
    pub fn discriminate(&self, rows: &Tensor) -> Tensor {
        kernels(rows, &self.centres, self.width).matmul(&self.weights) * 0.5
    }

    /// The cost log(q / p) = log((1 − D) / D) of every row, `[N]`, within ±`bound`.
    pub fn cost(&self, rows: &Tensor, bound: f64) -> Tensor {
        // σ(±bound) are the D whose cost is at the bound.
        let least = 1.0 / (1.0 + bound.exp());
        let d = self.discriminate(rows).clamp(least, 1.0 - least);
        (-&d).log1p() - d.log()
    }
}

impl Moments {
    fn of(centres: &Tensor, width: f64, demonstrated: &Tensor, others: &[Weighted]) -> Self {
        let phi = kernels(demonstrated, centres, width);
        let second = |phi: &Tensor| phi.tr().matmul(phi) / phi.size()[0] as f64;
        let mut matrix = second(&phi) * 0.5;
        for other in others {
            matrix += second(&kernels(&other.rows, centres, width)) * (0.5 * other.share);
        }
        let count = centres.size()[0] as usize;
        let h = phi.mean_dim([0i64].as_slice(), false, Kind::Double);
        Self {
            h_matrix: DMatrix::from_row_slice(count, count, &nn::to_f64(&matrix)),
            h: DVector::from_vec(nn::to_f64(&h)),
        }
    }

    /// (H + λI)⁻¹ h; `None` if that is not positive definite.
    fn solve(&self, penalty: f64) -> Option<DVector<f64>> {
        let mut matrix = self.h_matrix.clone();
        for i in 0..self.h.len() {
            matrix[(i, i)] += penalty;
        }
        matrix.cholesky().map(|factor| factor.solve(&self.h))
    }

    /// ½ wᵀHw − hᵀw.
    fn loss(&self, weights: &DVector<f64>) -> f64 {
        0.5 * (&self.h_matrix * weights).dot(weights) - self.h.dot(weights)
    }
}

/// exp(−|x − x_l|² / 2σ²), `[N, L]`.
fn kernels(rows: &Tensor, centres: &Tensor, width: f64) -> Tensor {
    let squared = rows.square().sum_dim_intlist(1, true, Kind::Double)
        + centres.square().sum_dim_intlist(1, false, Kind::Double)
        - rows.matmul(&centres.tr()) * 2.0;
    (squared.clamp_min(0.0) * (-0.5 / (width * width))).exp()
}

/// Median distance between different rows; 1 where all are the same.
fn median_distance(rows: &Tensor) -> f64 {
    let mut apart = nn::to_f64(&rows.pdist(2.0));
    apart.retain(|d| *d > 0.0);
    if apart.is_empty() {
        return 1.0;
    }
    let middle = apart.len() / 2;
    *apart.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use costate_envs::rng::stream;
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// `[N, 1]` from N(mean, std²).
    fn normal(name: &str, count: usize, mean: f64, std: f64) -> Tensor {
        let mut rng = stream(0, name, 0);
        let values: Vec<f64> = (0..count)
            .map(|_| {
                let z: f64 = StandardNormal.sample(&mut rng);
                mean + std * z
            })
            .collect();
        Tensor::from_slice(&values).view([-1, 1])
    }

    fn all(rows: Tensor) -> [Weighted; 1] {
        [Weighted { rows, share: 1.0 }]
    }

    proptest! {
        /// Where rows are states of a table, and kernels see one each, the estimate is p / (p + q) exactly.
        /// Seen to fail with unequal halves of H, without ½ in D, and with shares left out.
        #[test]
        fn on_a_table_it_is_the_ratio_of_the_counts(
            p in prop::collection::vec(1usize..6, 5),
            q in prop::collection::vec(0usize..6, 5),
            tried in prop::collection::vec(0usize..6, 5),
            share in 0.1f64..0.9,
        ) {
            let total = |counts: &[usize]| counts.iter().sum::<usize>();
            prop_assume!(total(&q) > 0 && total(&tried) > 0);
            let rows = |counts: &[usize]| {
                let states = counts.iter().enumerate();
                let listed: Vec<f64> = states.flat_map(|(s, n)| vec![s as f64; *n]).collect();
                Tensor::from_slice(&listed).view([-1, 1])
            };
            let states = Tensor::from_slice(&[0.0, 1.0, 2.0, 3.0, 4.0]).view([-1, 1]);
            let others = [
                Weighted { rows: rows(&q), share },
                Weighted { rows: rows(&tried), share: 1.0 - share },
            ];
            let found = KernelRatio::with(&rows(&p), &others, states.shallow_clone(), 0.05, 0.0);
            let d = nn::to_f64(&found.discriminate(&states));
            for s in 0..5 {
                let of = |counts: &[usize]| counts[s] as f64 / total(counts) as f64;
                let other = share * of(&q) + (1.0 - share) * of(&tried);
                let exact = of(&p) / (of(&p) + other);
                prop_assert!((d[s] - exact).abs() < 1e-9, "{} {exact}", d[s]);
            }
        }
    }

    /// Of two Gaussians the ratio is known: D = σ(log p − log q).
    #[test]
    fn of_two_gaussians_it_is_near_the_exact_one() {
        let (p, q) = (normal("p", 4000, 0.0, 0.5), normal("q", 4000, 0.5, 1.0));
        let found = KernelRatio::fit(&p, &all(q), 100);
        let log_density =
            |x: f64, mean: f64, std: f64| -0.5 * ((x - mean) / std).powi(2) - std.ln();
        for x in [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5] {
            let exact =
                crate::density::sigmoid(log_density(x, 0.0, 0.5) - log_density(x, 0.5, 1.0));
            let row = Tensor::from_slice(&[x]).view([1, 1]);
            let d = found.discriminate(&row).double_value(&[0]);
            assert!((d - exact).abs() < 0.06, "at {x}: {d}, exactly {exact}");
            let cost = found.cost(&row, 5.0).double_value(&[0]);
            assert!((cost - ((1.0 - d) / d).ln()).abs() < 1e-12);
        }
    }

    #[test]
    fn where_nobody_was_the_cost_is_the_bound_and_equal_samples_cost_nothing() {
        let (p, q) = (normal("p", 2000, 0.0, 1.0), normal("q", 2000, 0.0, 1.0));
        let found = KernelRatio::fit(&p, &all(q), 50);
        let costs = nn::to_f64(&found.cost(&Tensor::from_slice(&[0.0, 100.0]).view([2, 1]), 3.0));
        assert!(costs[0].abs() < 0.2, "{costs:?}");
        assert!((costs[1] - 3.0).abs() < 1e-9, "{costs:?}");
        // Rows that are all the same have no distance to measure by.
        let one = Tensor::zeros([10, 1], (Kind::Double, tch::Device::Cpu));
        let found = KernelRatio::fit(&one, &all(one.shallow_clone()), 5);
        assert!((found.discriminate(&one).double_value(&[0]) - 0.5).abs() < 0.1);
    }
}
