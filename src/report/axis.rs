//! Axes: a range of values, round ticks and their labels.

use crate::number::{fixed, scientific};

/// Beyond this, differences overflow: such values are treated like NaN.
const LARGEST: f64 = 1e300;

/// Whether a value can be drawn.
pub(super) fn drawable(v: f64) -> bool {
    v.is_finite() && v.abs() < LARGEST
}

/// A range with ticks; logarithmic ranges are positive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    log: bool,
    /// Tick positions, ascending, all within the range.
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// Covers `values` with a small margin, about `target` ticks; `None` without a drawable value.
    pub(super) fn around(values: impl IntoIterator<Item = f64>, target: usize) -> Option<Self> {
        let (low, high) = extent(values)?;
        let air = if high > low {
            0.05 * (high - low)
        } else if low == 0.0 {
            1.0
        } else {
            0.1 * low.abs()
        };
        Some(Self::linear(low - air, high + air, target))
    }

    /// Like [`Axis::around`], but logarithmic where all values are positive and span two decades.
    pub(super) fn fitting(
        values: impl IntoIterator<Item = f64> + Clone,
        target: usize,
    ) -> Option<Self> {
        let (low, high) = extent(values.clone())?;
        if low > 0.0 && high / low > 100.0 {
            Some(Self::logarithmic(low / 1.2, high * 1.2, target))
        } else {
            Self::around(values, target)
        }
    }

    /// Covers positive `values` logarithmically; `None` without one.
    pub(super) fn decades(values: impl IntoIterator<Item = f64>, target: usize) -> Option<Self> {
        let (low, high) = extent(values.into_iter().filter(|v| *v > 0.0))?;
        Some(Self::logarithmic(low / 1.2, high * 1.2, target))
    }

    /// Exactly the values' range, e.g. iterations.
    pub(super) fn exactly(values: impl IntoIterator<Item = f64>, target: usize) -> Option<Self> {
        let (low, high) = extent(values)?;
        if high > low {
            Some(Self::linear(low, high, target))
        } else {
            Some(Self::linear(low - 1.0, high + 1.0, target))
        }
    }

    /// From `low` to `high`, `low < high`.
    pub(super) fn linear(low: f64, high: f64, target: usize) -> Self {
        let step = round_step((high - low) / target.max(1) as f64);
        let first = (low / step - 1e-9).ceil();
        let last = (high / step + 1e-9).floor();
        let ticks = if step > 0.0 && (last - first) < 100.0 {
            (0..=(last - first).max(-1.0) as i64)
                .take_while(|_| last >= first)
                .map(|i| (first + i as f64) * step)
                .collect()
        } else {
            Vec::new()
        };
        Self {
            low,
            high,
            log: false,
            ticks,
        }
    }

    /// The same with a logarithmic scale, `0 < low`.
    pub(super) fn logarithmic(low: f64, high: f64, target: usize) -> Self {
        let decades = (low.log10().ceil() as i32..=high.log10().floor() as i32).collect::<Vec<_>>();
        let every = decades.len().div_ceil(target.max(1)).max(1);
        let ticks = decades
            .iter()
            .step_by(every)
            .map(|&d| 10f64.powi(d))
            .collect();
        Self {
            low,
            high,
            log: true,
            ticks,
        }
    }

    /// Covers positive counts logarithmically, with a tick at each; `None` without one.
    pub(super) fn counts(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut ticks: Vec<f64> = values.into_iter().filter(|v| *v > 0.0).collect();
        ticks.sort_by(f64::total_cmp);
        ticks.dedup();
        let (low, high) = extent(ticks.iter().copied())?;
        Some(Self {
            ticks,
            ..Self::logarithmic(low / 1.3, high * 1.3, 1)
        })
    }

    /// Where `v` lies: 0 at the lower end, 1 at the upper.
    pub(super) fn position(&self, v: f64) -> f64 {
        if self.log {
            (v / self.low).ln() / (self.high / self.low).ln()
        } else {
            (v - self.low) / (self.high - self.low)
        }
    }

    /// Whether the axis is logarithmic.
    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// `low high kind`, for scripts that turn positions back into values.
    pub(super) fn code(&self) -> String {
        let kind = if self.log { "log" } else { "linear" };
        format!("{} {} {kind}", self.low, self.high)
    }

    /// The label of a tick, with just enough digits to distinguish ticks.
    pub(super) fn label(&self, tick: f64) -> String {
        if self.log {
            return match tick {
                t if (1e-3..=1e4).contains(&t) => fixed(t, (-t.log10().round()).max(0.0) as usize),
                t => scientific(t),
            };
        }
        let step = match self.ticks[..] {
            [a, b, ..] => b - a,
            _ => tick.abs().max(f64::MIN_POSITIVE),
        };
        let largest = self.ticks.iter().fold(0.0_f64, |m, t| m.max(t.abs()));
        let decimals = |step: f64| {
            (0..12)
                .find(|&d| is_whole(step * 10f64.powi(d)))
                .unwrap_or(12)
        };
        if tick == 0.0 {
            "0".into()
        } else if largest >= 1e9 || step < 1e-5 {
            scientific(tick)
        } else if largest >= 1e6 {
            fixed(tick / 1e6, decimals(step / 1e6) as usize) + "M"
        } else if largest >= 1e4 {
            fixed(tick / 1e3, decimals(step / 1e3) as usize) + "k"
        } else {
            fixed(tick, decimals(step) as usize)
        }
    }
}

fn is_whole(v: f64) -> bool {
    (v - v.round()).abs() < 1e-6 * v.abs().max(1.0) && v.abs() > 0.5
}

/// Smallest and largest drawable value.
fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|v| drawable(*v))
        .fold(None, |range, v| {
            let (low, high) = range.unwrap_or((v, v));
            Some((v.min(low), v.max(high)))
        })
}

/// The value of the form 1, 2 or 5 × 10ⁿ closest to `raw` in ratio.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let step = match raw / power {
        r if r < 2f64.sqrt() => 1.0,
        r if r < 10f64.sqrt() => 2.0,
        r if r < 50f64.sqrt() => 5.0,
        _ => 10.0,
    };
    step * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            Axis::linear(-1250.0, -520.0, 3).ticks,
            [-1200.0, -1000.0, -800.0, -600.0]
        );
        assert_eq!(Axis::linear(0.0, 1.0, 5).ticks.len(), 6);
        let axis = Axis::linear(0.0, 0.3, 3);
        let labels: Vec<_> = axis.ticks.iter().map(|&t| axis.label(t)).collect();
        assert_eq!(labels, ["0", "0.1", "0.2", "0.3"]);
        let axis = Axis::linear(0.0, 40_000.0, 4);
        assert_eq!(axis.label(axis.ticks[1]), "10k");
    }

    #[test]
    fn degenerate_values_still_give_an_axis() {
        assert_eq!(Axis::around([], 5), None);
        assert_eq!(Axis::around([f64::NAN, f64::INFINITY, f64::MAX], 5), None);
        for v in [0.0, 3.0, -1e-12, 1e200] {
            let axis = Axis::around([v], 5).unwrap();
            assert!((axis.position(v) - 0.5).abs() < 1e-6, "{v}");
        }
    }

    proptest! {
        #[test]
        fn ticks_lie_within_and_labels_differ(
            a in -1e7..1e7f64, span in 1e-4..1e7f64, log in any::<bool>(), target in 2..8usize,
        ) {
            let values = if log { [span, span * 1e5] } else { [a, a + span] };
            let axis = Axis::fitting(values, target).unwrap();
            prop_assert_eq!(axis.is_log(), log || (a > 0.0 && span / a > 99.0));
            for v in values {
                prop_assert!((0.0..=1.0).contains(&axis.position(v)));
            }
            prop_assert!(axis.ticks.len() <= 2 * target + 2);
            for tick in &axis.ticks {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&axis.position(*tick)));
            }
            // Ticks far finer than their distance from zero would need more digits than fit in a label.
            if log || span > 1e-3 * a.abs() {
                let mut labels: Vec<_> = axis.ticks.iter().map(|&t| axis.label(t)).collect();
                labels.dedup();
                prop_assert_eq!(labels.len(), axis.ticks.len());
            }
        }
    }
}
