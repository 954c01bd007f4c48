//! Scores of fresh policies over figures of the costs they were trained on, as small multiples.

use super::axis::Axis;
use super::frame::{Frame, SMALL_SQUARE as SMALL, standalone};
use super::scatter::mark;
use super::text::escape;

/// One small plot.
pub struct Multiple {
    /// Its heading.
    pub title: String,
    /// Marks: group, place along x, score.
    pub points: Vec<(usize, f64, f64)>,
}

/// Lowest score that is shown; what is below lies on the edge.
const FLOOR: f64 = -1.0;

const COLUMNS: usize = 3;

/// All plots in rows of three with one key.
pub(super) fn multiples(title: &str, groups: &[String], multiples: &[Multiple]) -> String {
    let mut content = String::new();
    let key_y = 56.0;
    let mut x = 20.0;
    for (i, group) in groups.iter().enumerate() {
        content += &mark(i, x + 5.0, key_y);
        content += &format!(
            r#"<text class="tick" x="{:.0}" y="{:.0}">{}</text>"#,
            x + 14.0,
            key_y + 4.0,
            escape(group)
        );
        x += 40.0 + 8.0 * group.chars().count() as f64;
    }
    let mut rows = 0;
    for (i, multiple) in multiples.iter().enumerate() {
        let (column, row) = (i % COLUMNS, i / COLUMNS);
        rows = row + 1;
        let (left, top) = (
            10.0 + column as f64 * (SMALL.width + 14.0),
            78.0 + row as f64 * (SMALL.height + 34.0),
        );
        content += &format!(
            r#"<g transform="translate({left:.0} {top:.0})"><text class="tick" x="46" y="12">{}</text><g transform="translate(0 18)">{}</g></g>"#,
            escape(&multiple.title),
            plot(multiple)
        );
    }
    let width = 20.0 + COLUMNS as f64 * (SMALL.width + 14.0);
    let height = 90.0 + rows as f64 * (SMALL.height + 34.0);
    standalone(width, height, title, &content)
}

fn plot(multiple: &Multiple) -> String {
    let shown = |score: f64| score.max(FLOOR);
    let Some(x) = Axis::around(multiple.points.iter().map(|p| p.1), SMALL.ticks[0]) else {
        return String::new();
    };
    let y = Axis::linear(FLOOR - 0.1, 1.15, SMALL.ticks[1]);
    let frame = Frame::new(SMALL, x, y, 8.0);
    let marks: String = multiple
        .points
        .iter()
        .map(|(group, x, score)| mark(*group, frame.px(*x), frame.py(shown(*score))))
        .collect();
    frame.axes("", "Fresh policy’s score", true) + &marks
}
