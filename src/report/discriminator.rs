//! The discriminator: is it calibrated, and which samples carry the cost's gradient?

use super::axis::{Axis, drawable};
use super::figure::Figure;
use super::frame::{Frame, SMALL_SQUARE, Size};
use super::run::Run;
use super::svg;
use crate::density::{CalibrationBin, effective_sample_size};
use crate::evaluate::DiscriminatorFigures;
use crate::number::{count, counted, fixed};

/// Bars of the histogram.
const BARS: usize = 24;
/// Range of the histogram, decades around the mean weight.
const DECADES: [f64; 2] = [-6.0, 3.0];

/// Both figures of every run.
pub(super) fn figures(runs: &[Run]) -> Vec<Figure> {
    let both = |run: &Run| {
        let (found, of) = (run.discriminator()?, run.suffix());
        Some([calibration(found, &of), weights(found, &of)])
    };
    runs.iter().filter_map(both).flatten().flatten().collect()
}

/// Share of demonstrations by predicted probability.
fn calibration(found: &DiscriminatorFigures, of: &str) -> Option<Figure> {
    let count_of = |b: &CalibrationBin| b.count as f64;
    let most = found.calibration.iter().map(count_of).reduce(f64::max)?;
    let least = found.calibration.iter().map(count_of).fold(most, f64::min);
    let size = SMALL_SQUARE;
    let frame = Frame::linear(size, [[-0.03, 1.03]; 2], 12.0);
    let mut content = frame.axes("Mean D of a bin", "Share of demonstrations in it", true);
    content += &svg::line("level", frame.at([0.0; 2]), frame.at([1.0; 2]));
    // Large ones first, so that they hide no others.
    let mut ordered: Vec<&CalibrationBin> = found.calibration.iter().collect();
    ordered.sort_by_key(|b| std::cmp::Reverse(b.count));
    for bin in ordered {
        let radius = 2.5 + 8.5 * (count_of(bin) / most).sqrt();
        let [x, y] = frame.at([bin.predicted, bin.observed]);
        content += &format!(
            r#"<circle class="mark s0" cx="{x:.1}" cy="{y:.1}" r="{radius:.1}"><title>{}</title></circle>"#,
            counted(count_of(bin), "row", "rows")
        );
    }
    let sizes = match least < most {
        true => format!("from {} to {}", count(least), counted(most, "row", "rows")),
        false => format!("{} each", counted(most, "row", "rows")),
    };
    let error = fixed(found.calibration_error, 3);
    Some(Figure {
        caption: format!(
            "On the dashed diagonal its probabilities are calibrated; below it they are too high. Larger marks stand for \
             more rows ({sizes}). Calibration error {error}."
        ),
        ..Figure::new(
            &format!("calibration{of}"),
            &format!("Calibration of the discriminator{of}"),
            size,
            frame.svg("Share of demonstrations by predicted probability", &content),
        )
    })
}

/// (Σ w)² / Σ w² of weights given as log₁₀ w, as a share of their number.
fn effective_share(decades: &[f64]) -> f64 {
    let log_weights: Vec<f64> = decades
        .iter()
        .map(|d| d * std::f64::consts::LN_10)
        .collect();
    effective_sample_size(&log_weights) / decades.len() as f64
}

/// Shares of weights in bars of equal width on a log scale.
struct Histogram {
    ends: [f64; 2],
    bars: [f64; BARS],
    /// Whether the outermost bars include values beyond the axis.
    cut: bool,
}

impl Histogram {
    fn of(decades: &[f64]) -> Self {
        let extreme = |pick: fn(f64, f64) -> f64, with| decades.iter().copied().fold(with, pick);
        // At least a decade on either side of the mean, so that the axis has tick labels.
        let low = extreme(f64::min, -1.0).max(DECADES[0]) - 0.05;
        let high = extreme(f64::max, 1.0).min(DECADES[1]) + 0.05;
        let mut bars = [0.0; BARS];
        for d in decades {
            let at = (d.clamp(low, high) - low) / (high - low) * BARS as f64;
            bars[(at as usize).min(BARS - 1)] += 1.0 / decades.len() as f64;
        }
        Self {
            ends: [low, high],
            bars,
            cut: decades.iter().any(|d| !(low..=high).contains(d)),
        }
    }

    /// The plot, with a line at the weight 1 / `share`: that of the effective samples if only these counted.
    fn draw(&self, size: Size, share: f64) -> String {
        let [low, high] = self.ends;
        let top = 1.12 * self.bars.iter().copied().fold(0.0, f64::max);
        let frame = Frame::new(
            size,
            Axis::logarithmic(10f64.powf(low), 10f64.powf(high), size.ticks[0] + 1),
            Axis::linear(0.0, top, size.ticks[1]),
            12.0,
        );
        let mut content = frame.axes("Weight over the mean weight", "Share of samples", false);
        let edge = |bar: usize| 10f64.powf(low + (high - low) * bar as f64 / BARS as f64);
        for (i, share) in self.bars.iter().enumerate().filter(|(_, s)| **s > 0.0) {
            let [from, y] = frame.at([edge(i), *share]);
            let [to, bottom] = frame.at([edge(i + 1), 0.0]);
            content += &format!(
                r#"<rect class="bar" x="{:.1}" y="{y:.1}" width="{:.1}" height="{:.1}"/>"#,
                from + 0.5,
                to - from - 1.0,
                bottom - y,
            );
        }
        if -share.log10() < high {
            let ends = [0.0, top].map(|y| frame.at([1.0 / share, y]));
            let [x, y] = ends[1];
            content += &svg::line("level", ends[1], ends[0]);
            // The name goes on the side with more room.
            let (anchor, beside) = match x > 0.5 * (frame.left + frame.right) {
                true => (" end", x - 5.0),
                false => ("", x + 5.0),
            };
            let class = format!("level-name inside{anchor}");
            let name = format!("ESS {}", fixed(share, 2));
            content += &svg::text(&class, [beside, y + 10.0], &name);
        }
        frame.svg("Histogram of importance weights", &content)
    }
}

/// Importance weights over their mean, on a log scale.
fn weights(found: &DiscriminatorFigures, of: &str) -> Option<Figure> {
    let logs = found.log_weights.iter().filter(|v| drawable(**v));
    let decades: Vec<f64> = logs.map(|v| v / std::f64::consts::LN_10).collect();
    if decades.is_empty() {
        return None;
    }
    let number = decades.len() as f64;
    let ess = effective_share(&decades);
    let histogram = Histogram::of(&decades);
    let cut = match histogram.cut {
        true => " The outermost bars include values beyond the axis.",
        false => "",
    };
    Some(Figure {
        caption: format!(
            "exp(−E) ∕ q of {}: the weight of each in an importance-sampling estimate, β = 1. A narrow peak around 1 is \
             healthy. Effective sample size {}: as if {} carried everything, each with {} times the mean weight (dashed). The \
             discriminator’s gradient, whose logit is divided by β, has {}.{cut}",
            counted(number, "sample", "samples"),
            fixed(ess, 2),
            counted((ess * number).round().max(1.0), "sample", "samples"),
            fixed(1.0 / ess, 1),
            fixed(found.ess, 2),
        ),
        ..Figure::new(
            &format!("importance-weights{of}"),
            &format!("Importance weights{of}"),
            SMALL_SQUARE,
            histogram.draw(SMALL_SQUARE, ess),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_share_is_that_of_the_weights_shown() {
        assert!((effective_share(&[0.3, 0.3, 0.3, 0.3]) - 1.0).abs() < 1e-12);
        // Weights 1, 10 and 100: 111² / 10101 / 3.
        let three = 111.0_f64.powi(2) / 10_101.0 / 3.0;
        assert!((effective_share(&[-400.0, -399.0, -398.0]) - three).abs() < 1e-9);
    }
}
