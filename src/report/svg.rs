//! SVG elements. Style sheets colour their classes; coordinates to a tenth of a unit, y downwards.

use super::text::escape;

/// A straight line between two points.
pub(super) fn line(class: &str, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2]) -> String {
    format!(r#"<line class="{class}" x1="{x1:.1}" x2="{x2:.1}" y1="{y1:.1}" y2="{y2:.1}"/>"#)
}

/// A text at a point on its baseline; the classes `end` and `middle` set the anchor.
pub(super) fn text(class: &str, [x, y]: [f64; 2], content: &str) -> String {
    let content = escape(content);
    let class = match class {
        "" => String::new(),
        class => format!(r#" class="{class}""#),
    };
    format!(r#"<text{class} x="{x:.1}" y="{y:.1}">{content}</text>"#)
}

pub(super) fn circle(class: &str, [x, y]: [f64; 2], r: f64) -> String {
    format!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="{r}"/>"#)
}

/// A path from a point, with the commands after `M`.
pub(super) fn shape(class: &str, [x, y]: [f64; 2], steps: &str) -> String {
    format!(r#"<path class="{class}" d="M{x:.1} {y:.1}{steps}"/>"#)
}

/// A line through points.
pub(super) fn polyline(class: &str, places: impl Iterator<Item = [f64; 2]>) -> String {
    let points: Vec<String> = places.map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
    format!(
        r#"<polyline class="{class}" points="{}"/>"#,
        points.join(" ")
    )
}

/// Straight lines through points, for the `d` of a path.
pub(super) fn through(places: impl IntoIterator<Item = [f64; 2]>) -> String {
    let step = |(i, [x, y]): (usize, [f64; 2])| {
        let command = if i == 0 { 'M' } else { 'L' };
        format!("{command}{x:.1} {y:.1}")
    };
    places.into_iter().enumerate().map(step).collect()
}

/// The mark of a group, identified by both colour and shape.
pub(super) fn mark(group: usize, [x, y]: [f64; 2]) -> String {
    let class = format!("mark s{}", group % 8);
    match group % 4 {
        0 => circle(&class, [x, y], 3.4),
        1 => shape(&class, [x - 3.0, y - 3.0], "h6v6h-6z"),
        2 => shape(&class, [x, y - 4.5], "l4 7h-8z"),
        _ => shape(&class, [x, y - 4.2], "l4.2 4.2l-4.2 4.2l-4.2 -4.2z"),
    }
}

/// Dash pattern of a series: distinguishes series beyond the eight colours.
pub(super) fn dashes(style: usize) -> &'static str {
    match style / 8 {
        0 => "",
        1 => r#" stroke-dasharray="7 3""#,
        _ => r#" stroke-dasharray="2 3""#,
    }
}
