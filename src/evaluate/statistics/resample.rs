//! Bootstrap intervals of means, of functions of means, and of statistics of whole samples.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;

use super::Estimate;
use super::interval::{Draws, Spread, TAIL, percentile, student};

/// Number of bootstrap resamples.
pub const RESAMPLES: usize = 4000;

/// Random stream and number of resamples of a bootstrap.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Seed of the stream.
    pub seed: u64,
    /// Resamples.
    pub count: usize,
}

impl Plan {
    /// With the number of resamples of published figures.
    pub fn new(seed: u64) -> Self {
        let count = RESAMPLES;
        Self { seed, count }
    }

    /// Its stream.
    pub fn stream(self) -> Stream {
        stream(self.seed, "bootstrap", 0)
    }
}

/// The mean of a sample, which must not be empty, with a 95 % bootstrap-t interval (Efron 1982; Hesterberg 2015, section
/// 5.5): skewed returns push it to the side on which their mean errs. Where resamples without spread are frequent (fewer
/// than five values, or nearly all of them equal) it is Student's interval with the skewness of the resamples.
///
/// Measured: 94–96 % for 10, 25 and 100 normal, exponential and gamma values. Failures so rare that a sample may hold
/// none of them are beyond any interval of that sample.
pub fn mean_interval(values: &[f64], seed: u64) -> Estimate {
    mean_with(values, Plan::new(seed))
}

/// Longest arm of a bootstrap-t interval, in Student's: a few nearly constant resamples could make it any length.
const LONGEST_ARM: f64 = 3.0;

pub(super) fn mean_with(values: &[f64], plan: Plan) -> Estimate {
    let n = values.len() as f64;
    let centre = values.iter().sum::<f64>() / n;
    let own = Moments::of(values.iter().copied(), centre);
    let mut rng = plan.stream();
    let mut studentised: Vec<f64> = (0..plan.count)
        .map(|_| Moments::of(resample(values, &mut rng), centre))
        .filter(|m| m.error > 0.0)
        .map(|m| (m.mean - own.mean) / m.error)
        .collect();
    let constant = plan.count - studentised.len();
    if constant * 200 > plan.count || own.error == 0.0 {
        return means_with(&[values], plan, |m| m[0]).estimate();
    }
    studentised.sort_by(f64::total_cmp);
    let longest = LONGEST_ARM * student(n - 1.0, TAIL);
    let end = |level: f64| {
        own.mean - own.error * percentile(&studentised, level).clamp(-longest, longest)
    };
    Estimate {
        mean: own.mean,
        ci95: [end(1.0 - TAIL), end(TAIL)],
    }
}

struct Moments {
    mean: f64,
    /// Standard error of the mean.
    error: f64,
}

impl Moments {
    /// Of values that lie around `centre`; sums of deviations from it do not cancel.
    fn of(values: impl Iterator<Item = f64>, centre: f64) -> Self {
        let (mut n, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for v in values {
            let deviation = v - centre;
            n += 1.0;
            sum += deviation;
            squares += deviation * deviation;
        }
        let spread = squares - sum * sum / n;
        let error = match n > 1.0 && spread > 1e-12 * squares {
            true => (spread / (n - 1.0) / n).sqrt(),
            false => 0.0,
        };
        Self {
            mean: centre + sum / n,
            error,
        }
    }
}

/// The statistic of the groups' means, with a 95 % interval: each group is resampled separately, and the percentile
/// interval's arms (Efron 1979) are stretched to correct for small groups. Groups must not be empty.
///
/// Measured: 94–95 % for the normalised score with 100, 25 and 100 returns.
pub fn bootstrap(groups: &[&[f64]], seed: u64, statistic: impl Fn(&[f64]) -> f64) -> Estimate {
    means_with(groups, Plan::new(seed), statistic).estimate()
}

/// Result of a bootstrap, before a level is chosen.
#[derive(Debug, Clone)]
pub struct Found {
    /// The statistic of the sample.
    pub point: f64,
    /// The statistic of its resamples.
    pub draws: Draws,
}

impl Found {
    /// With the stretched interval.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            mean: self.point,
            ci95: self.draws.stretched(TAIL),
        }
    }
}

pub(super) fn means_with(
    groups: &[&[f64]],
    plan: Plan,
    statistic: impl Fn(&[f64]) -> f64,
) -> Found {
    let sums: Vec<f64> = groups.iter().map(|g| g.iter().sum()).collect();
    let means: Vec<f64> = (0..groups.len())
        .map(|i| sums[i] / groups[i].len() as f64)
        .collect();
    let without = |(i, group): (usize, &&[f64])| -> Vec<f64> {
        let value = |v: &f64| {
            let mut means = means.clone();
            means[i] = (sums[i] - v) / (group.len() as f64 - 1.0);
            statistic(&means)
        };
        match group.len() {
            1 => Vec::new(),
            _ => group.iter().map(value).collect(),
        }
    };
    let left_out: Vec<Vec<f64>> = groups.iter().enumerate().map(without).collect();
    let mut rng = plan.stream();
    let draws = (0..plan.count)
        .map(|_| {
            let means: Vec<f64> = groups
                .iter()
                .map(|g| resample(g, &mut rng).sum::<f64>() / g.len() as f64)
                .collect();
            statistic(&means)
        })
        .collect();
    let point = statistic(&means);
    Found {
        point,
        draws: Draws::new(point, draws, Spread::jackknife(&left_out)),
    }
}

/// A statistic of all values of all groups together, each group resampled separately. `None` if the statistic is
/// undefined on the sample or on all resamples; other undefined resamples are skipped.
pub(super) fn samples_with<T: Clone>(
    groups: &[Vec<T>],
    plan: Plan,
    statistic: impl Fn(&[T]) -> Option<f64>,
) -> Option<Found> {
    let mut all = groups.concat();
    let point = statistic(&all)?;
    let mut before = 0;
    let mut left_out = Vec::with_capacity(groups.len());
    for group in groups {
        let places = before..before + group.len();
        before = places.end;
        let mut without = |i: usize| {
            let unit = all.remove(i);
            let value = statistic(&all);
            all.insert(i, unit);
            value
        };
        left_out.push(match group.len() {
            0 | 1 => Vec::new(),
            _ => places.filter_map(&mut without).collect(),
        });
    }
    let mut rng = plan.stream();
    let draws: Vec<f64> = (0..plan.count)
        .filter_map(|_| statistic(&resample_strata(groups, &mut rng)))
        .collect();
    (!draws.is_empty()).then(|| Found {
        point,
        draws: Draws::new(point, draws, Spread::jackknife(&left_out)),
    })
}

/// The same number of values, drawn with replacement.
pub(super) fn resample<'a, T: Clone>(
    values: &'a [T],
    rng: &'a mut Stream,
) -> impl Iterator<Item = T> + 'a {
    (0..values.len()).map(|_| values[rng.random_range(0..values.len())].clone())
}

/// Every stratum resampled separately, in order.
pub(super) fn resample_strata<T: Clone>(strata: &[Vec<T>], rng: &mut Stream) -> Vec<T> {
    let mut all = Vec::with_capacity(strata.iter().map(Vec::len).sum());
    for stratum in strata {
        all.extend(resample(stratum, rng));
    }
    all
}
