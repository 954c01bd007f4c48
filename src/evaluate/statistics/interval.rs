//! From resampled values to an interval.
//!
//! The plain percentile interval is too short for small samples, twice: resampling n values underrates their
//! variance by (n − 1)/n, and the normal quantile ignores that the variance itself is estimated. Both are corrected
//! with the jackknife: the first by the ratio of the unbiased to the resampled variance, the second by Student's
//! quantile with Welch's degrees of freedom.

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// Spread of a statistic, estimated by the jackknife.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// √(unbiased variance / variance under resampling), at least 1.
    inflation: f64,
    /// Degrees of freedom of the variance (Welch 1947; Satterthwaite 1946).
    degrees: f64,
    /// Acceleration a of the stratified BCa interval (Efron 1987; Davison and Hinkley 1997, section 5.4).
    acceleration: f64,
}

impl Spread {
    /// From the statistic's leave-one-out values, by group. Groups of one unit contribute no spread.
    pub fn jackknife(groups: &[Vec<f64>]) -> Self {
        let (mut unbiased, mut resampled, mut squares, mut cubes) = (0.0, 0.0, 0.0, 0.0);
        for values in groups.iter().filter(|g| g.len() > 1) {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let influence = |v: &f64| (mean - v) * (n - 1.0) / n;
            let variance = values.iter().map(|v| influence(v).powi(2)).sum::<f64>();
            resampled += variance;
            unbiased += variance * n / (n - 1.0);
            squares += (variance * n / (n - 1.0)).powi(2) / (n - 1.0);
            cubes += values.iter().map(|v| influence(v).powi(3)).sum::<f64>();
        }
        if !(resampled > 0.0 && squares > 0.0) {
            return Self::NONE;
        }
        Self {
            inflation: (unbiased / resampled).sqrt(),
            degrees: unbiased.powi(2) / squares,
            acceleration: cubes / (6.0 * resampled.powf(1.5)),
        }
    }

    /// Nothing to correct.
    pub const NONE: Self = Self {
        inflation: 1.0,
        degrees: f64::INFINITY,
        acceleration: 0.0,
    };

    /// The quantile that replaces the normal one with tail `tail`.
    fn quantile(self, tail: f64) -> f64 {
        self.inflation * student(self.degrees, tail)
    }
}

/// A statistic's value and its values on resamples.
#[derive(Debug, Clone)]
pub struct Draws {
    point: f64,
    sorted: Vec<f64>,
    spread: Spread,
}

impl Draws {
    /// Needs at least one draw.
    pub fn new(point: f64, mut draws: Vec<f64>, spread: Spread) -> Self {
        draws.sort_by(f64::total_cmp);
        Self {
            point,
            sorted: draws,
            spread,
        }
    }

    /// The percentile interval with its arms stretched by the ratio of [`Spread::quantile`] to the normal one:
    /// Student's interval for the mean of a normal sample, from two values on, with the skewness of the draws.
    /// It may exceed a bounded statistic's range.
    pub fn stretched(&self, tail: f64) -> [f64; 2] {
        let longer = self.spread.quantile(tail) / student(f64::INFINITY, tail);
        [tail, 1.0 - tail]
            .map(|level| self.point + longer * (percentile(&self.sorted, level) - self.point))
    }

    /// The percentile interval with expanded levels α' = Φ(−√(n/(n−1)) t_α) (Hesterberg 2015, section 5.3). It stays
    /// within the range of the draws, so it needs at least a dozen units.
    pub fn expanded(&self, tail: f64) -> [f64; 2] {
        let z = self.spread.quantile(tail);
        [-z, z].map(|z| percentile(&self.sorted, phi(z)))
    }

    /// The same after correction for bias and for acceleration (BCa, Efron 1987).
    pub fn corrected(&self, tail: f64) -> [f64; 2] {
        let share = |of: &dyn Fn(f64) -> bool| {
            self.sorted.iter().filter(|d| of(**d)).count() as f64 / self.sorted.len() as f64
        };
        let below = share(&|d| d < self.point) + 0.5 * share(&|d| d == self.point);
        let margin = 0.5 / self.sorted.len() as f64;
        let bias = normal().inverse_cdf(below.clamp(margin, 1.0 - margin));
        let z = self.spread.quantile(tail);
        [-z, z].map(|z| {
            let moved = bias + z;
            let scale = 1.0 - self.spread.acceleration * moved;
            // Beyond the pole of the correction only the extreme draw is left.
            let level = match scale > 0.0 {
                true => phi(bias + moved / scale),
                false => phi(f64::INFINITY * moved),
            };
            percentile(&self.sorted, level)
        })
    }

    /// The two-sided p-value of `null`: the smallest α whose [`Draws::stretched`] interval excludes it. At least
    /// 10⁻⁶.
    pub fn p_value(&self, null: f64) -> f64 {
        let left_out = |log_alpha: f64| {
            let [low, high] = self.stretched(log_alpha.exp() / 2.0);
            null < low || null > high
        };
        let (mut least, mut most) = (1e-6_f64.ln(), 0.999_f64.ln());
        if !left_out(most) {
            return 1.0;
        }
        if left_out(least) {
            return 1e-6;
        }
        for _ in 0..40 {
            let middle = 0.5 * (least + most);
            match left_out(middle) {
                true => most = middle,
                false => least = middle,
            }
        }
        most.exp()
    }
}

/// Tail of a 95 % interval.
pub const TAIL: f64 = 0.025;

/// Upper quantile of Student's distribution; the normal one's for many degrees of freedom.
pub fn student(degrees: f64, tail: f64) -> f64 {
    match StudentsT::new(0.0, 1.0, degrees) {
        Ok(t) if degrees < 1e6 => t.inverse_cdf(1.0 - tail),
        _ => normal().inverse_cdf(1.0 - tail),
    }
}

/// The normal distribution function Φ.
pub fn phi(z: f64) -> f64 {
    normal().cdf(z)
}

fn normal() -> Normal {
    Normal::standard()
}

/// The (B + 1)α-th of B sorted draws, linear between them (Davison and Hinkley 1997, section 2.4): taken among the
/// draws alone, the intervals of few hundred resamples would be too short.
pub fn percentile(sorted: &[f64], level: f64) -> f64 {
    let last = sorted.len() - 1;
    let place = ((sorted.len() + 1) as f64 * level - 1.0).clamp(0.0, last as f64);
    let (low, share) = (place.floor() as usize, place.fract());
    let high = (low + 1).min(last);
    // Equal neighbours stay as they are, to the bit.
    sorted[low] + share * (sorted[high] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_the_tables() {
        for (degrees, t) in [(1.0, 12.7062), (2.0, 4.3027), (9.0, 2.2622)] {
            assert!((student(degrees, TAIL) - t).abs() < 1e-4);
        }
        assert!((student(f64::INFINITY, TAIL) - 1.959_964).abs() < 1e-6);
        assert!((phi(-1.959_964) - 0.025).abs() < 1e-6);
    }

    #[test]
    fn the_jackknife_of_a_mean_knows_its_degrees_of_freedom() {
        // Means of 1, 2, 6 without one of them.
        let one = Spread::jackknife(&[vec![4.0, 3.5, 1.5]]);
        assert!((one.inflation - 1.5_f64.sqrt()).abs() < 1e-12);
        assert!((one.degrees - 2.0).abs() < 1e-12);
        let two = Spread::jackknife(&[vec![4.0, 3.5, 1.5], vec![4.0, 3.5, 1.5]]);
        assert!((two.degrees - 4.0).abs() < 1e-12);
        assert_eq!(Spread::jackknife(&[vec![1.0], vec![2.0; 3]]), Spread::NONE);
    }

    #[test]
    fn p_values_and_intervals_agree() {
        let draws: Vec<f64> = (0..2001).map(|i| f64::from(i) / 1000.0).collect();
        let spread = Spread::jackknife(&[vec![4.0, 3.5, 1.5, 1.0]]);
        let draws = Draws::new(1.0, draws, spread);
        let [low, high] = draws.stretched(TAIL);
        assert!((draws.p_value(low - 1e-6) - 0.05).abs() < 1e-3);
        assert!((draws.p_value(high + 1e-6) - 0.05).abs() < 1e-3);
        assert_eq!(draws.p_value(1.0), 1.0);
        let certain = Draws::new(1.0, vec![1.0; 9], Spread::NONE);
        assert_eq!((certain.p_value(1.0), certain.p_value(0.9)), (1.0, 1e-6));
    }

    #[test]
    fn corrected_levels_stay_within_the_draws() {
        let draws: Vec<f64> = (0..100).map(f64::from).collect();
        let wild = Spread {
            inflation: 2.0,
            degrees: 1.0,
            acceleration: 0.3,
        };
        for point in [-5.0, 50.0, 200.0] {
            let [low, high] = Draws::new(point, draws.clone(), wild).corrected(TAIL);
            assert!((0.0..=99.0).contains(&low) && low <= high && high <= 99.0);
        }
    }
}
