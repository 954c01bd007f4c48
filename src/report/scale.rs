//! The scale of normalised scores: dots with whiskers in the cells of a table.

use super::run::Kind;
use crate::evaluate::statistics::Estimate;

/// The scale of normalised scores: includes random at 0, the expert at 1, and outliers up to a
/// limit.
pub(super) struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale for these scores.
    pub(super) fn around(scores: impl Iterator<Item = Estimate> + Clone) -> Self {
        let ends = || scores.clone().flat_map(|e| [e.mean, e.ci95[0], e.ci95[1]]);
        Self {
            low: ends().fold(0.0, f64::min).max(-0.5),
            high: ends().fold(1.0, f64::max).min(1.5),
        }
    }

    /// The position of a score on the scale, 0 to 1.
    pub(super) fn place(&self, v: f64) -> f64 {
        (v.clamp(self.low, self.high) - self.low) / (self.high - self.low)
    }

    /// The position of a score, per cent of the width, so that marks keep their size on any screen.
    fn at(&self, v: f64) -> f64 {
        5.0 + 90.0 * self.place(v)
    }

    /// Labels of its two fixed points.
    pub(super) fn header(&self) -> String {
        let [random, expert] = [self.at(0.0), self.at(1.0)];
        format!(
            r#"<svg class="interval" height="16" aria-hidden="true"><text class="tick" x="{random:.1}%" dx="-3" y="12">0 random</text><text class="tick end" x="{expert:.1}%" dx="3" y="12">expert 1</text></svg>"#,
        )
    }

    /// Whether a score is off the scale.
    pub(super) fn is_off(&self, v: f64) -> bool {
        !(self.low..=self.high).contains(&v)
    }

    /// A dot with its interval; an arrow where the policy is off the scale.
    pub(super) fn mark(&self, e: Estimate, kind: Kind, style: usize) -> String {
        let x = self.at(e.mean);
        let mut out = String::from(r#"<svg class="interval" height="26" aria-hidden="true">"#);
        for v in [0.0, 1.0] {
            let x = self.at(v);
            out += &format!(r#"<line class="grid" x1="{x:.1}%" x2="{x:.1}%" y1="0" y2="26"/>"#);
        }
        let [low, high] = e.ci95.map(|v| self.at(v));
        out +=
            &format!(r#"<line class="whisker" x1="{low:.1}%" x2="{high:.1}%" y1="13" y2="13"/>"#);
        let class = match kind {
            Kind::Learned => format!("point learned s{}", style % 8),
            _ => "point".into(),
        };
        let arrow = |d: &str| {
            format!(r#"<svg x="{x:.1}%" overflow="visible"><path class="{class}" d="{d}"/></svg>"#)
        };
        out += &if e.mean < self.low {
            arrow("M-4 13l7 -5v10z")
        } else if e.mean > self.high {
            arrow("M4 13l-7 -5v10z")
        } else {
            format!(r#"<circle class="{class}" cx="{x:.1}%" cy="13" r="4.5"/>"#)
        };
        out + "</svg>"
    }
}
