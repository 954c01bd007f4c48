//! Gaussian mixtures with full covariances: fitted by expectation-maximisation, then trained by gradients.

use costate_envs::rng::Stream;
use rand::RngExt;
use rand::seq::index::sample;
use tch::{Device, Kind, Tensor};

use super::generator::Drawn;
use super::{gaussian_constant, normals, row_sums};
use crate::nn;

/// q(x) = Σ_k w_k N(x; μ_k, L_k L_kᵀ), with w = softmax(logits) and L_k lower triangular.
#[derive(Debug)]
pub struct Mixture {
    /// `[K]`.
    logits: Tensor,
    /// μ, `[K, d]`.
    means: Tensor,
    /// Strict lower triangles of the L_k, `[K, d, d]`; other entries are ignored.
    lower: Tensor,
    /// Logarithms of the diagonals of the L_k, `[K, d]`.
    log_diagonals: Tensor,
}

/// Maximum passes of expectation-maximisation, and the gain in nats per row below which they end.
const PASSES: usize = 200;
const LEAST_GAIN: f64 = 1e-5;
/// Maximum rows that a mixture is fitted to: every pass stores a number per column and component of each.
const MOST_ROWS: usize = 20_000;

impl Mixture {
    /// `components` equal standard Gaussians in `dim` dimensions, to be overwritten.
    pub fn blank(dim: usize, components: usize) -> Self {
        let (k, d) = (components as i64, dim as i64);
        let zeros = |shape: &[i64]| {
            Tensor::zeros(shape, (Kind::Double, Device::Cpu)).set_requires_grad(true)
        };
        Self {
            logits: zeros(&[k]),
            means: zeros(&[k, d]),
            lower: zeros(&[k, d, d]),
            log_diagonals: zeros(&[k, d]),
        }
    }

    /// Fits `components` Gaussians to rows `[N, d]` of unit covariance, from centres chosen by k-means++ (Arthur and
    /// Vassilvitskii 2007). Covariances are posterior modes under an inverse-Wishart prior worth d + 2 rows of covariance
    /// I/K^(2/d) (Fraley and Raftery 2007, section 3): no component can collapse onto a point. At most 20 000 rows
    /// are used, drawn at random.
    pub fn fit(rows: &Tensor, components: usize, rng: &mut Stream) -> Self {
        nn::no_grad(|| {
            let rows = &at_most(MOST_ROWS, rows, rng);
            let mut shares = nearest_centre(rows, &centres(rows, components, rng));
            let mut mixture = Self::maximise(rows, &shares);
            let mut reached = f64::NEG_INFINITY;
            for _ in 0..PASSES {
                let joint = mixture.joint(rows);
                let total = joint.logsumexp([0_i64].as_slice(), true);
                let now = total.mean(Kind::Double).double_value(&[]);
                if now - reached < LEAST_GAIN {
                    break;
                }
                reached = now;
                shares = (joint - total).exp();
                mixture = Self::maximise(rows, &shares);
            }
            mixture
        })
        .trainable()
    }

    /// The most probable mixture given component k's responsibility `shares[k, i]` for row i.
    fn maximise(rows: &Tensor, shares: &Tensor) -> Self {
        let (k, d) = (shares.size()[0], rows.size()[1]);
        let counts = row_sums(shares).unsqueeze(1) + 1e-9;
        let means = shares.matmul(rows) / &counts;
        let centred = rows.unsqueeze(0) - means.unsqueeze(1);
        let scatter = (&centred * shares.unsqueeze(2))
            .transpose(1, 2)
            .matmul(&centred);
        let prior = (d + 2) as f64;
        let spread = (k as f64).powf(-2.0 / d as f64);
        let identity = Tensor::eye(d, (Kind::Double, Device::Cpu));
        let covariances = (scatter + identity * (prior * spread)) / (counts.unsqueeze(2) + prior);
        let factors = covariances.linalg_cholesky(false);
        Self {
            logits: (counts / rows.size()[0] as f64).log().squeeze_dim(1),
            means,
            log_diagonals: factors.diagonal(0, 1, 2).log().contiguous(),
            lower: factors,
        }
    }

    fn trainable(self) -> Self {
        let leaf = |t: Tensor| t.detach().set_requires_grad(true);
        Self {
            logits: leaf(self.logits),
            means: leaf(self.means),
            lower: leaf(self.lower.tril(-1)),
            log_diagonals: leaf(self.log_diagonals),
        }
    }

    /// Dimensions.
    pub fn dim(&self) -> usize {
        self.means.size()[1] as usize
    }

    /// Components.
    pub fn components(&self) -> usize {
        self.logits.size()[0] as usize
    }

    /// L_k, `[K, d, d]`.
    fn factors(&self) -> Tensor {
        self.lower.tril(-1) + self.log_diagonals.exp().diag_embed(0, 1, 2)
    }

    /// log w_k + log N(x_i; μ_k, L_k L_kᵀ), `[K, N]`.
    fn joint(&self, x: &Tensor) -> Tensor {
        let centred = (x.unsqueeze(0) - self.means.unsqueeze(1)).transpose(1, 2);
        let white = self
            .factors()
            .linalg_solve_triangular(&centred, false, true, false);
        let squared = row_sums(&white.square());
        let log_volume = row_sums(&self.log_diagonals);
        let constant = gaussian_constant(self.dim());
        let log_weight = self.logits.log_softmax(0, Kind::Double) - log_volume - constant;
        squared * -0.5 + log_weight.unsqueeze(1)
    }

    /// log q of every row, `[N, d] → [N]`.
    pub fn log_density(&self, x: &Tensor) -> Tensor {
        self.joint(x).logsumexp([0_i64].as_slice(), false)
    }

    /// Independent draws; no gradient flows through the choice of components.
    pub fn draw(&self, count: usize, rng: &mut Stream) -> Tensor {
        let weights = nn::to_f64(&self.logits.softmax(0, Kind::Double));
        let mut drawn_by: Vec<Vec<i64>> = vec![Vec::new(); weights.len()];
        for i in 0..count {
            drawn_by[pick(&weights, rng) as usize].push(i as i64);
        }
        let noise = normals(count, self.dim(), rng);
        let factors = self.factors();
        let mut points = noise.zeros_like();
        // By component: a factor per draw would take d times the memory of the draws.
        for (k, draws) in (0_i64..).zip(&drawn_by) {
            if draws.is_empty() {
                continue;
            }
            let draws = Tensor::from_slice(draws);
            let spread = noise.index_select(0, &draws).matmul(&factors.get(k).tr());
            let _ = points.index_copy_(0, &draws, &(spread + self.means.get(k)));
        }
        points
    }

    /// E_q[g] = Σ_k w_k E_ε[g(μ_k + L_k ε)] with `count` points in total: the sum over components is exact and the
    /// points are differentiable, so its gradient is that of E_q[g] in every parameter, the weights included.
    pub fn expectation(
        &self,
        g: &dyn Fn(&Drawn) -> Tensor,
        count: usize,
        rng: &mut Stream,
    ) -> Tensor {
        let (k, d) = (self.components(), self.means.size()[1]);
        let each = count.div_ceil(k);
        let noise = normals(k * each, d as usize, rng).view([k as i64, each as i64, d]);
        let points = noise.matmul(&self.factors().transpose(1, 2)) + self.means.unsqueeze(1);
        let points = points.reshape([-1, d]);
        let log_density = self.log_density(&points);
        let values = g(&Drawn {
            points,
            log_density,
        })
        .view([k as i64, each as i64]);
        let means = row_sums(&values) / each as f64;
        (means * self.logits.softmax(0, Kind::Double)).sum(Kind::Double)
    }

    /// Trainable tensors by name.
    pub fn named(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let parts = [
            ("logits", &self.logits),
            ("means", &self.means),
            ("lower", &self.lower),
            ("log_diagonals", &self.log_diagonals),
        ];
        parts
            .map(|(name, t)| (format!("{prefix}{name}"), t.shallow_clone()))
            .into()
    }
}

/// An index with the given probabilities.
fn pick(weights: &[f64], rng: &mut Stream) -> i64 {
    let mut left: f64 = rng.random::<f64>() * weights.iter().sum::<f64>();
    for (i, w) in weights.iter().enumerate() {
        left -= w;
        if left < 0.0 {
            return i as i64;
        }
    }
    weights.len() as i64 - 1
}

/// The rows, or `count` of them drawn without replacement if there are more.
fn at_most(count: usize, rows: &Tensor, rng: &mut Stream) -> Tensor {
    let all = rows.size()[0] as usize;
    if all <= count {
        return rows.shallow_clone();
    }
    let chosen: Vec<i64> = sample(rng, all, count).iter().map(|i| i as i64).collect();
    rows.index_select(0, &Tensor::from_slice(&chosen))
}

/// Squared distances, `[K, N]`.
fn distances(rows: &Tensor, centres: &Tensor) -> Tensor {
    Tensor::cdist(centres, rows, 2.0, None::<i64>).square()
}

/// Spread-out rows: each with a probability proportional to its squared distance from those before.
fn centres(rows: &Tensor, count: usize, rng: &mut Stream) -> Tensor {
    let n = rows.size()[0];
    let first = rng.random_range(0..n);
    let mut chosen = rows.narrow(0, first, 1);
    while (chosen.size()[0] as usize) < count {
        let (least, _) = distances(rows, &chosen).min_dim(0, false);
        let next = pick(&nn::to_f64(&least), rng);
        chosen = Tensor::cat(&[chosen, rows.narrow(0, next, 1)], 0);
    }
    chosen
}

/// 1 where a centre is a row's nearest, `[K, N]`, after a few passes of Lloyd's algorithm.
fn nearest_centre(rows: &Tensor, centres: &Tensor) -> Tensor {
    let mut centres = centres.shallow_clone();
    let count = centres.size()[0];
    let shares = |centres: &Tensor| {
        let nearest = distances(rows, centres).argmin(0, false);
        nearest.one_hot(count).tr().to_kind(Kind::Double)
    };
    for _ in 0..10 {
        let own = shares(&centres);
        let sizes = row_sums(&own).unsqueeze(1);
        // A centre without rows stays in place.
        let moved = own.matmul(rows) / sizes.clamp_min(1.0);
        centres = moved.where_self(&sizes.gt(0.0), &centres);
    }
    shares(&centres)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use costate_envs::rng::stream;

    use super::*;

    #[test]
    fn few_rows_are_all_used_and_of_many_some_once_each() {
        let rows = Tensor::arange(100_i64, (Kind::Double, Device::Cpu)).view([100, 1]);
        let mut rng = stream(0, "test", 0);
        assert_eq!(
            nn::to_f64(&at_most(100, &rows, &mut rng)),
            nn::to_f64(&rows)
        );
        // No random numbers were used.
        assert!(rng == stream(0, "test", 0));
        let some = nn::to_f64(&at_most(30, &rows, &mut rng));
        let distinct: BTreeSet<u64> = some.iter().map(|v| *v as u64).collect();
        assert!(some.len() == 30 && distinct.len() == 30, "{some:?}");
    }

    #[test]
    fn draws_are_those_of_their_components() {
        // Components far apart: what is drawn near one has its weight, mean and covariance, in no order.
        let mixture = Mixture::blank(2, 3);
        let weights = [0.2, 0.5, 0.3];
        let means = [0.0, 0.0, 100.0, -100.0, -100.0, 100.0];
        let lower = [0.0, 0.0, 1.5, 0.0];
        nn::no_grad(|| {
            let Mixture {
                logits,
                means: centres,
                lower: below,
                ..
            } = &mixture;
            let logs = weights.map(f64::ln);
            logits.shallow_clone().copy_(&Tensor::from_slice(&logs));
            let values = Tensor::from_slice(&means).view([3, 2]);
            centres.shallow_clone().copy_(&values);
            let values = Tensor::from_slice(&lower).view([1, 2, 2]);
            below
                .shallow_clone()
                .copy_(&values.expand([3, 2, 2], false));
        });
        let draw = || nn::no_grad(|| mixture.draw(30_000, &mut stream(1, "draw", 0)));
        let points = nn::to_f64(&draw());
        assert_eq!(points, nn::to_f64(&draw()), "the same stream, other draws");
        for (k, weight) in weights.iter().enumerate() {
            let [a, b] = [means[2 * k], means[2 * k + 1]];
            let own: Vec<(usize, [f64; 2])> = points
                .chunks_exact(2)
                .map(|p| [p[0] - a, p[1] - b])
                .enumerate()
                .filter(|(_, [x, y])| x.abs() < 50.0 && y.abs() < 50.0)
                .collect();
            let n = own.len() as f64;
            assert!((n / 3e4 - weight).abs() < 0.015, "{k}: {n}");
            let mean =
                |f: &dyn Fn([f64; 2]) -> f64| own.iter().map(|(_, p)| f(*p)).sum::<f64>() / n;
            for (found, expected) in [
                (mean(&|[x, _]| x), 0.0),
                (mean(&|[_, y]| y), 0.0),
                (mean(&|[x, _]| x * x), 1.0),
                (mean(&|[x, y]| x * y), 1.5),
                (mean(&|[_, y]| y * y), 3.25),
            ] {
                assert!((found - expected).abs() < 0.25, "{k}: {found} {expected}");
            }
            let early = own.iter().filter(|(i, _)| *i < 15_000).count() as f64;
            assert!(
                (early / n - 0.5).abs() < 0.04,
                "{k}: draws come in order of components"
            );
        }
    }

    #[test]
    fn many_rows_are_fitted_by_some_of_them() {
        // Two halves, N(±1, 0.25): log q at its best is −½ log(2πe · 0.25) − log 2 a row, but for their overlap.
        let mut rng = stream(2, "test", 0);
        let signs: Vec<f64> = (0..25_000).map(|i| f64::from(i % 2) * 2.0 - 1.0).collect();
        let rows = normals(25_000, 1, &mut rng) * 0.5 + Tensor::from_slice(&signs).unsqueeze(1);
        let mixture = Mixture::fit(&rows, 2, &mut rng);
        let found = crate::ebm::mean_in_chunks(&rows, &|x| mixture.log_density(x));
        let apart = -0.5 * (2.0 * std::f64::consts::PI * std::f64::consts::E * 0.25).ln();
        let best = apart - 2.0_f64.ln();
        assert!(found > best - 0.01 && found < best + 0.15, "{found} {best}");
    }
}
