//! The discriminator: do its probabilities mean what they say, and who carries the cost's gradient?

use super::axis::{Axis, drawable};
use super::facts::{Facts, array, number};
use super::figure::{Figure, slug};
use super::frame::{Frame, SMALL_SQUARE};
use super::text;
use crate::density::effective_sample_size;

/// Bars of the histogram.
const BARS: usize = 24;
/// Decades of weights around their mean that are told apart.
const DECADES: [f64; 2] = [-6.0, 3.0];

/// Both figures of every run.
pub(super) fn figures(runs: &[Facts], labels: &[String]) -> Vec<Figure> {
    let several = runs.len() > 1;
    runs.iter()
        .zip(labels)
        .flat_map(|(run, label)| {
            let of = if several {
                format!(", {label}")
            } else {
                String::new()
            };
            [calibration(run, &of), weights(run, &of)]
        })
        .flatten()
        .collect()
}

/// Share of demonstrations by predicted probability.
fn calibration(run: &Facts, of: &str) -> Option<Figure> {
    let share = |v: &f64| (0.0..=1.0).contains(v);
    let bins: Vec<[f64; 3]> = array(run.evaluation(), "calibration")
        .filter_map(|b| {
            Some([
                number(b, "/predicted").filter(share)?,
                number(b, "/observed").filter(share)?,
                number(b, "/count").filter(|n| *n > 0.0)?,
            ])
        })
        .take(200)
        .collect();
    let most = bins.iter().map(|b| b[2]).reduce(f64::max)?;
    let axis = |ticks| Axis::linear(-0.03, 1.03, ticks);
    let size = SMALL_SQUARE;
    let frame = Frame::new(size, axis(size.ticks[0]), axis(size.ticks[1]), 12.0);
    let mut content = frame.axes("Mean D of a bin", "Share of demonstrations in it", true);
    content += &format!(
        r#"<line class="level" x1="{:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/>"#,
        frame.px(0.0),
        frame.py(0.0),
        frame.px(1.0),
        frame.py(1.0)
    );
    // Large ones first, so that they hide none.
    let mut ordered = bins.clone();
    ordered.sort_by(|a, b| b[2].total_cmp(&a[2]));
    for [predicted, observed, count] in &ordered {
        let radius = 2.5 + 8.5 * (count / most).sqrt();
        content += &format!(
            r#"<circle class="mark s0" cx="{:.1}" cy="{:.1}" r="{radius:.1}"><title>{}</title></circle>"#,
            frame.px(*predicted),
            frame.py(*observed),
            text::counted(*count, "row", "rows")
        );
    }
    let error = run
        .evaluated("calibration_error")
        .map_or(String::new(), |e| {
            format!(" Calibration error {}.", text::fixed(e, 3))
        });
    let least = bins.iter().map(|b| b[2]).fold(most, f64::min);
    let sizes = match least < most {
        true => format!(
            "from {} to {}",
            text::count(least),
            text::counted(most, "row", "rows")
        ),
        false => format!("{} each", text::counted(most, "row", "rows")),
    };
    Some(Figure {
        name: slug(&format!("calibration{of}")),
        heading: format!("Calibration of the discriminator{of}"),
        key: Vec::new(),
        plot: frame.svg("Share of demonstrations by predicted probability", &content),
        size,
        caption: format!(
            "On the dashed diagonal its probabilities are honest; below it they promise too much. Larger marks stand for \
             more rows ({sizes}).{error}"
        ),
    })
}

/// (Σ w)² / Σ w² of weights given by their decades, as a share of their number.
fn effective_share(decades: &[f64]) -> f64 {
    let log_weights: Vec<f64> = decades
        .iter()
        .map(|d| d * std::f64::consts::LN_10)
        .collect();
    effective_sample_size(&log_weights) / decades.len() as f64
}

/// Importance weights over their mean, on a log scale.
fn weights(run: &Facts, of: &str) -> Option<Figure> {
    let decades: Vec<f64> = array(run.evaluation(), "log_weights")
        .filter_map(serde_json::Value::as_f64)
        .filter(|v| drawable(*v))
        .map(|v| v / std::f64::consts::LN_10)
        .collect();
    if decades.is_empty() {
        return None;
    }
    let extreme = |pick: fn(f64, f64) -> f64, with: f64| decades.iter().copied().fold(with, pick);
    // A decade on either side of the mean at least, so that the axis has names.
    let low = extreme(f64::min, -1.0).max(DECADES[0]) - 0.05;
    let high = extreme(f64::max, 1.0).min(DECADES[1]) + 0.05;
    let mut bars = [0.0; BARS];
    for d in &decades {
        let at = (d.clamp(low, high) - low) / (high - low) * BARS as f64;
        bars[(at as usize).min(BARS - 1)] += 1.0 / decades.len() as f64;
    }
    let tallest = bars.iter().copied().fold(0.0, f64::max);
    let size = SMALL_SQUARE;
    let frame = Frame::new(
        size,
        Axis::logarithmic(10f64.powf(low), 10f64.powf(high), size.ticks[0] + 1),
        Axis::linear(0.0, 1.12 * tallest, size.ticks[1]),
        12.0,
    );
    let mut content = frame.axes("Weight over the mean weight", "Share of samples", false);
    let x = |bar: usize| frame.px(10f64.powf(low + (high - low) * bar as f64 / BARS as f64));
    for (i, share) in bars.iter().enumerate().filter(|(_, s)| **s > 0.0) {
        let (from, to, y) = (x(i), x(i + 1), frame.py(*share));
        content += &format!(
            r#"<rect class="bar" x="{:.1}" y="{y:.1}" width="{:.1}" height="{:.1}"/>"#,
            from + 0.5,
            to - from - 1.0,
            frame.py(0.0) - y,
        );
    }
    let ess = effective_share(&decades);
    if -ess.log10() < high {
        let e = &ess;
        let (at, top, bottom) = (frame.px(1.0 / *e), frame.py(1.12 * tallest), frame.py(0.0));
        // The name goes where there is more room.
        let (anchor, beside) = match at > 0.5 * (frame.left() + frame.right()) {
            true => (" end", at - 5.0),
            false => ("", at + 5.0),
        };
        content += &format!(
            r#"<line class="level" x1="{at:.1}" x2="{at:.1}" y1="{top:.1}" y2="{bottom:.1}"/><text class="level-name inside{anchor}" x="{beside:.1}" y="{:.1}">ESS {}</text>"#,
            top + 10.0,
            text::fixed(*e, 2)
        );
    }
    let gradient = run.evaluated("ess").map_or(String::new(), |e| {
        format!(
            " The discriminator’s gradient, whose logit is divided by β, has {}.",
            text::fixed(e, 2)
        )
    });
    let mark = format!(
        " Effective sample size {}: as if {} carried everything, each with {} times the mean weight (dashed).{gradient}",
        text::fixed(ess, 2),
        text::counted(
            (ess * decades.len() as f64).round().max(1.0),
            "sample",
            "samples"
        ),
        text::fixed(1.0 / ess, 1)
    );
    let cut = decades.iter().any(|d| !(low..=high).contains(d));
    let cut = match cut {
        true => " The outermost bars hold what lies beyond the axis.",
        false => "",
    };
    Some(Figure {
        name: slug(&format!("importance-weights{of}")),
        heading: format!("Importance weights{of}"),
        key: Vec::new(),
        plot: frame.svg("Histogram of importance weights", &content),
        size,
        caption: format!(
            "exp(−E) ∕ q of {}: how much each weighs in an estimate by importance sampling, β = 1. A narrow heap around 1 is \
             healthy.{mark}{cut}",
            text::counted(decades.len() as f64, "sample", "samples")
        ),
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
