//! Scores of fresh policies against metrics of the costs they were trained on, as small multiples.

use super::axis::Axis;
use super::frame::{Frame, SMALL_SQUARE as SMALL};
use super::{small, svg};

/// One small plot.
pub struct Multiple {
    /// Its heading.
    pub title: String,
    /// Marks: group, x, score.
    pub points: Vec<(usize, f64, f64)>,
}

/// Lowest score shown; lower ones are drawn at the edge.
const FLOOR: f64 = -1.0;

/// Scores of fresh policies against metrics of their costs as a standalone SVG with its own background; `groups` names
/// the marks.
pub fn trust_svg(title: &str, groups: &[String], multiples: &[Multiple]) -> String {
    let plots = multiples.iter().map(|m| (m.title.clone(), plot(m)));
    small::arranged(title, groups, svg::mark, plots)
}

fn plot(multiple: &Multiple) -> String {
    let Some(x) = Axis::around(multiple.points.iter().map(|p| p.1), SMALL.ticks[0]) else {
        return String::new();
    };
    let y = Axis::linear(FLOOR - 0.1, 1.15, SMALL.ticks[1]);
    let frame = Frame::new(SMALL, x, y, 8.0);
    let mark =
        |(group, x, score): &(usize, f64, f64)| svg::mark(*group, frame.at([*x, score.max(FLOOR)]));
    let marks: String = multiple.points.iter().map(mark).collect();
    frame.axes("", "Fresh policy’s score", true) + &marks
}
