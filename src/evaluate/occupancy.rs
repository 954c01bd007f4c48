//! Distance of two sets of episodes in the states and actions that they visit.
//!
//! Steps of one episode are dependent, episodes are not: the test permutes whole episodes. Treating steps as
//! independent would call most equal sets different.

use costate_envs::Trajectory;
use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use super::workers::Workers;
use crate::error::Error;

/// Steps taken from an episode, evenly spaced.
const STEPS: usize = 32;
/// Directions of the sliced distance.
const DIRECTIONS: usize = 128;
/// Maximum number of episodes compared per set, the first ones: the test stores a number per pair.
const EPISODES: usize = 1000;
/// Permutations of the test.
const EXCHANGES: usize = 999;

/// Comparison of two sets of episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OccupancyDistance {
    /// Sliced Wasserstein distance of order 1 (Bonneel, Rabin, Peyré and Pfister 2015), in units of the
    /// reference's standard deviation in each dimension of (s, a).
    pub sliced_wasserstein: f64,
    /// The same between the two halves of the reference's episodes: the level expected by chance.
    /// `None` with fewer than four.
    pub within_reference: Option<f64>,
    /// Squared maximum mean discrepancy (Gretton et al. 2012, equation 3, with episodes as units).
    pub mmd_squared: f64,
    /// Share of permutations with an MMD at least as large: small if the sets differ.
    pub p_value: f64,
    /// Whether it is of the states alone, as the reference's actions are not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub states_alone: bool,
}

/// The reference that sets of episodes are compared with.
pub struct Reference {
    scale: Scale,
    bags: Vec<Bag>,
    directions: Vec<Vec<f64>>,
    within: Option<f64>,
    rng: Stream,
}

impl Reference {
    /// From the first 1000 episodes; `None` with fewer than two. `acted`: whether their actions are known, and compared.
    pub fn of(episodes: &[&Trajectory], acted: bool, seed: u64) -> Option<Self> {
        let episodes = first(episodes);
        if episodes.len() < 2 {
            return None;
        }
        let scale = Scale::of(episodes, acted);
        let bags = scale.bags(episodes);
        let mut rng = stream(seed, "occupancy", 0);
        let directions: Vec<Vec<f64>> = (0..DIRECTIONS)
            .map(|_| direction(scale.mean.len(), &mut rng))
            .collect();
        let half = |first: usize| -> Vec<Vec<f64>> {
            bags.iter()
                .skip(first)
                .step_by(2)
                .flatten()
                .cloned()
                .collect()
        };
        Some(Self {
            within: (bags.len() >= 4).then(|| sliced_wasserstein(&half(0), &half(1), &directions)),
            scale,
            bags,
            directions,
            rng,
        })
    }

    /// Distance of the state-action occupancy of the first 1000 `episodes` from it; `None` with fewer than two.
    ///
    /// Errors: interrupted.
    pub fn distance(
        &self,
        episodes: &[&Trajectory],
        workers: Workers,
    ) -> Result<Option<OccupancyDistance>, Error> {
        if episodes.len() < 2 {
            return Ok(None);
        }
        let own = self.scale.bags(first(episodes));
        let (mmd_squared, p_value) =
            permutation_test(&own, &self.bags, &mut self.rng.clone(), workers)?;
        let (all, reference) = (own.concat(), self.bags.concat());
        workers.check()?;
        Ok(Some(OccupancyDistance {
            sliced_wasserstein: sliced_wasserstein(&all, &reference, &self.directions),
            within_reference: self.within,
            mmd_squared,
            p_value,
            states_alone: !self.scale.acted,
        }))
    }
}

fn first<'a, 'b>(episodes: &'a [&'b Trajectory]) -> &'a [&'b Trajectory] {
    &episodes[..episodes.len().min(EPISODES)]
}

/// Points (s, a) of an episode in units of the reference.
type Bag = Vec<Vec<f64>>;

/// Mean and standard deviation of the reference's points.
struct Scale {
    /// Whether points have actions.
    acted: bool,
    mean: Vec<f64>,
    std: Vec<f64>,
}

impl Scale {
    fn of(reference: &[&Trajectory], acted: bool) -> Self {
        let all = reference.iter().flat_map(|t| points(t, acted));
        let points: Vec<Vec<f64>> = all.collect();
        let n = points.len() as f64;
        let dims = points[0].len();
        let moment = |of: &dyn Fn(&[f64], usize) -> f64| -> Vec<f64> {
            let sum = |d| points.iter().map(|p| of(p, d)).sum::<f64>() / n;
            (0..dims).map(sum).collect()
        };
        let mean = moment(&|p, d| p[d]);
        let std = moment(&|p, d| (p[d] - mean[d]).powi(2));
        Self {
            acted,
            // A constant channel keeps its own unit.
            std: std
                .iter()
                .map(|v| if *v > 1e-12 { v.sqrt() } else { 1.0 })
                .collect(),
            mean,
        }
    }

    fn bags(&self, episodes: &[&Trajectory]) -> Vec<Bag> {
        episodes.iter().map(|t| self.bag(t)).collect()
    }

    fn bag(&self, trajectory: &Trajectory) -> Bag {
        let mut bag: Bag = points(trajectory, self.acted).collect();
        for point in &mut bag {
            for (x, (mean, std)) in point.iter_mut().zip(self.mean.iter().zip(&self.std)) {
                *x = (*x - mean) / std;
            }
        }
        bag
    }
}

/// At most [`STEPS`] points (s_t, a_t), or s_t alone.
fn points(trajectory: &Trajectory, acted: bool) -> impl Iterator<Item = Vec<f64>> {
    let len = trajectory.len();
    let count = len.min(STEPS);
    (0..count).map(move |i| {
        let t = i * len / count;
        let s = trajectory.observation(t);
        let a = if acted { trajectory.action(t) } else { &[] };
        s.iter().chain(a).map(|x| f64::from(*x)).collect()
    })
}

/// A direction, uniform on the sphere.
fn direction(dims: usize, rng: &mut Stream) -> Vec<f64> {
    let z: Vec<f64> = (0..dims).map(|_| StandardNormal.sample(rng)).collect();
    let norm = z.iter().map(|x| x * x).sum::<f64>().sqrt();
    z.iter().map(|x| x / norm).collect()
}

/// Mean over directions of the distance of order 1 between projections.
fn sliced_wasserstein(a: &[Vec<f64>], b: &[Vec<f64>], directions: &[Vec<f64>]) -> f64 {
    let along = |points: &[Vec<f64>], direction: &[f64]| -> Vec<f64> {
        let dot = |p: &Vec<f64>| p.iter().zip(direction).map(|(x, d)| x * d).sum::<f64>();
        let mut projected: Vec<f64> = points.iter().map(dot).collect();
        projected.sort_by(f64::total_cmp);
        projected
    };
    let total: f64 = directions
        .iter()
        .map(|d| wasserstein(&along(a, d), &along(b, d)))
        .sum();
    total / directions.len() as f64
}

/// ∫ |F⁻¹(u) − G⁻¹(u)| du of two sorted samples of any sizes.
fn wasserstein(a: &[f64], b: &[f64]) -> f64 {
    let (mut i, mut j, mut at, mut sum) = (0, 0, 0.0, 0.0);
    while i < a.len() && j < b.len() {
        let (end_a, end_b) = (
            (i + 1) as f64 / a.len() as f64,
            (j + 1) as f64 / b.len() as f64,
        );
        let end = end_a.min(end_b);
        sum += (end - at) * (a[i] - b[j]).abs();
        at = end;
        // Compared as fractions: exact for sizes with a common divisor.
        let order = ((i + 1) * b.len()).cmp(&((j + 1) * a.len()));
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    sum
}

/// MMD² with whole episodes as units, and the share of permutations that reach it.
///
/// The kernel of two episodes is the mean of a Gaussian kernel over their points, its width the median distance
/// of points (Gretton et al. 2012, section 8). Permuting labels of episodes keeps the level exact:
/// p = (1 + #{MMD_b ≥ MMD}) / (1 + B).
fn permutation_test(
    own: &[Bag],
    other: &[Bag],
    rng: &mut Stream,
    workers: Workers,
) -> Result<(f64, f64), Error> {
    let bags: Vec<&Bag> = own.iter().chain(other).collect();
    let width = median_distance(&bags, rng);
    let n = bags.len();
    let mut gram = vec![0.0; n * n];
    for i in 0..n {
        workers.check()?;
        for j in 0..=i {
            let mean = mean_kernel(bags[i], bags[j], width);
            (gram[i * n + j], gram[j * n + i]) = (mean, mean);
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    let found = mmd_squared(&gram, &order, own.len());
    let mut reached = 0;
    for _ in 0..EXCHANGES {
        workers.check()?;
        order.shuffle(rng);
        reached += usize::from(mmd_squared(&gram, &order, own.len()) >= found);
    }
    Ok((found, (1 + reached) as f64 / (1 + EXCHANGES) as f64))
}

fn mean_kernel(a: &Bag, b: &Bag, width: f64) -> f64 {
    let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
    let sum: f64 = pairs
        .map(|(x, y)| (-squared_distance(x, y) / (2.0 * width * width)).exp())
        .sum();
    sum / (a.len() * b.len()) as f64
}

fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Median distance of a thousand pairs of points of different episodes.
fn median_distance(bags: &[&Bag], rng: &mut Stream) -> f64 {
    let mut distances: Vec<f64> = (0..1000)
        .map(|_| {
            let i = rng.random_range(0..bags.len());
            let j = (i + rng.random_range(1..bags.len())) % bags.len();
            let [x, y] = [i, j].map(|k| &bags[k][rng.random_range(0..bags[k].len())]);
            squared_distance(x, y).sqrt()
        })
        .collect();
    distances.sort_by(f64::total_cmp);
    distances[distances.len() / 2].max(1e-9)
}

/// The unbiased estimate for the first `m` of `order` against the rest: means over pairs of different
/// episodes.
fn mmd_squared(gram: &[f64], order: &[usize], m: usize) -> f64 {
    let n = order.len();
    let (first, rest) = order.split_at(m);
    let within = |set: &[usize]| {
        let sum: f64 = set
            .iter()
            .flat_map(|&i| {
                set.iter()
                    .filter(move |&&j| j != i)
                    .map(move |&j| gram[i * n + j])
            })
            .sum();
        sum / (set.len() * (set.len() - 1)) as f64
    };
    let across: f64 = first
        .iter()
        .flat_map(|&i| rest.iter().map(move |&j| gram[i * n + j]))
        .sum();
    within(first) + within(rest) - 2.0 * across / (first.len() * rest.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::End;

    /// Episodes of almost equal steps: a level and a little noise.
    fn episodes(count: usize, shift: f32, rng: &mut Stream) -> Vec<Trajectory> {
        (0..count)
            .map(|_| {
                let level: f32 = StandardNormal.sample(rng);
                let mut noisy = |n: usize| -> Vec<f32> {
                    (0..n)
                        .map(|_| {
                            let z: f32 = StandardNormal.sample(rng);
                            level + shift + 0.1 * z
                        })
                        .collect()
                };
                let (observations, actions) = (noisy(2 * 11), noisy(10));
                Trajectory::new(2, 1, observations, actions, None, End::Truncated).unwrap()
            })
            .collect()
    }

    fn compare(a: &[Trajectory], b: &[Trajectory], seed: u64) -> Option<OccupancyDistance> {
        let reference = Reference::of(&b.iter().collect::<Vec<_>>(), true, seed)?;
        let workers = costate_envs::rollout::RolloutPool::new(1).into();
        let found = reference.distance(&a.iter().collect::<Vec<_>>(), workers);
        found.expect("nobody interrupts")
    }

    /// Regression: permuting single steps instead of episodes rejects four nulls in five.
    #[test]
    fn the_test_keeps_its_level_and_sees_a_shift() {
        const CASES: usize = 400;
        let mut rng = stream(7, "null", 0);
        let rejected = (0..CASES)
            .filter(|case| {
                let (a, b) = (episodes(8, 0.0, &mut rng), episodes(12, 0.0, &mut rng));
                compare(&a, &b, *case as u64).unwrap().p_value <= 0.05
            })
            .count();
        // 20 ± 4.4 of 400 by chance.
        assert!((8..=33).contains(&rejected), "{rejected} of {CASES}");
        let (a, b) = (episodes(20, 2.0, &mut rng), episodes(20, 0.0, &mut rng));
        let found = compare(&a, &b, 0).unwrap();
        assert!(found.p_value < 0.01, "{found:?}");
        assert!(found.sliced_wasserstein > 2.0 * found.within_reference.unwrap());
    }

    /// Actions that are not known do not count. Seen to fail with all points compared.
    #[test]
    fn states_can_be_compared_alone() {
        let mut rng = stream(2, "states", 0);
        let shown = episodes(6, 0.0, &mut rng);
        let blind: Vec<Trajectory> = (shown.iter().cloned())
            .map(Trajectory::without_actions)
            .collect();
        let found = |acted| {
            let reference = Reference::of(&blind.iter().collect::<Vec<_>>(), acted, 0)?;
            let workers = costate_envs::rollout::RolloutPool::new(1).into();
            let own = shown.iter().collect::<Vec<_>>();
            reference
                .distance(&own, workers)
                .expect("nobody interrupts")
        };
        let (states, all) = (found(false).unwrap(), found(true).unwrap());
        assert!(states.states_alone && states.sliced_wasserstein == 0.0);
        assert!(!all.states_alone && all.sliced_wasserstein > 0.1);
    }

    #[test]
    fn wasserstein_by_hand() {
        assert_eq!(wasserstein(&[0.0, 1.0], &[0.0, 1.0]), 0.0);
        // The distance of a shift is the shift.
        assert!((wasserstein(&[0.0, 1.0, 5.0], &[2.0, 3.0, 7.0]) - 2.0).abs() < 1e-12);
        // {0, 1} against {0, 0, 1}: a sixth of the mass moves by 1.
        assert!((wasserstein(&[0.0, 1.0], &[0.0, 0.0, 1.0]) - 1.0 / 6.0).abs() < 1e-12);
        assert!((wasserstein(&[3.0], &[0.0, 1.0, 5.0]) - 7.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn a_set_against_itself_is_at_no_distance() {
        let mut rng = stream(1, "same", 0);
        let a = episodes(6, 0.0, &mut rng);
        let found = compare(&a, &a, 0).unwrap();
        assert_eq!(found.sliced_wasserstein, 0.0);
        assert!(found.p_value > 0.5, "{found:?}");
        assert!(compare(&a[..1], &a, 0).is_none());
    }

    /// Kernel means by hand: two points at distance √2 of the width have kernel e⁻¹.
    #[test]
    fn mmd_by_hand() {
        let e = (-1.0_f64).exp();
        let bag = |x: f64| vec![vec![x]];
        assert!((mean_kernel(&bag(0.0), &bag(2.0_f64.sqrt()), 1.0) - e).abs() < 1e-12);
        // Two and two episodes: within 1, across e⁻¹.
        let same = |i: usize, j: usize| (i < 2) == (j < 2);
        let gram: Vec<f64> = (0..16)
            .map(|k| if same(k / 4, k % 4) { 1.0 } else { e })
            .collect();
        let found = mmd_squared(&gram, &[0, 1, 2, 3], 2);
        assert!((found - (2.0 - 2.0 * e)).abs() < 1e-12);
    }
}
