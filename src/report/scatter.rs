//! Learned against true cost, one mark a trajectory, coloured and shaped by group.

use super::axis::Axis;
use super::facts::CostPoint;
use super::frame::{Frame, Size};
use super::text::escape;

/// The groups in order of appearance.
pub(super) fn groups(points: &[CostPoint]) -> Vec<&str> {
    let mut groups: Vec<&str> = Vec::new();
    for p in points {
        if !groups.contains(&p.group.as_str()) {
            groups.push(&p.group);
        }
    }
    groups
}

/// A mark: colour and shape both tell the group.
pub(super) fn mark(group: usize, x: f64, y: f64) -> String {
    let class = format!("mark s{}", group % 8);
    match group % 4 {
        0 => format!(r#"<circle class="{class}" cx="{x:.1}" cy="{y:.1}" r="3.4"/>"#),
        1 => format!(
            r#"<path class="{class}" d="M{:.1} {:.1}h6v6h-6z"/>"#,
            x - 3.0,
            y - 3.0
        ),
        2 => format!(
            r#"<path class="{class}" d="M{x:.1} {:.1}l4 7h-8z"/>"#,
            y - 4.5
        ),
        _ => format!(
            r#"<path class="{class}" d="M{x:.1} {:.1}l4.2 4.2l-4.2 4.2l-4.2 -4.2z"/>"#,
            y - 4.2
        ),
    }
}

/// The plot; `None` without points.
pub(super) fn svg(points: &[CostPoint], groups: &[&str], name: &str, size: Size) -> Option<String> {
    let x = Axis::fitting(points.iter().map(|p| p.truth), size.ticks[0])?;
    let y = Axis::fitting(points.iter().map(|p| p.learned), size.ticks[1])?;
    let frame = Frame::new(size, x, y, 12.0);
    let mut content = frame.axes(
        "True cost of a trajectory",
        "Learned cost of a trajectory, nats",
        true,
    );
    let every = points.len().div_ceil(size.points.max(1)).max(1);
    // The first group, the demonstrations, ends on top.
    for (i, group) in groups.iter().enumerate().rev() {
        let own = points.iter().filter(|p| p.group == *group).step_by(every);
        let marks: String = own
            .map(|p| mark(i, frame.px(p.truth), frame.py(p.learned)))
            .collect();
        content += &format!("<g><title>{}</title>{marks}</g>", escape(group));
    }
    Some(frame.svg(name, &content))
}
