//! Learned against true cost, one mark per trajectory, coloured and shaped by group.

use super::axis::{Axis, drawable};
use super::figure::{Key, Sign};
use super::frame::{Frame, Size};
use super::run::algo_title;
use super::svg;
use super::text::escape;
use crate::evaluate::CostPoint;

/// The groups in order of appearance.
pub(super) fn groups<'a>(points: impl IntoIterator<Item = &'a CostPoint>) -> Vec<&'a str> {
    let mut groups: Vec<&str> = Vec::new();
    for p in points {
        if !groups.contains(&p.group.as_str()) {
            groups.push(&p.group);
        }
    }
    groups
}

/// Legend of the groups.
pub(super) fn key(groups: &[&str]) -> Vec<Key> {
    let entry = |(i, group): (usize, &&str)| Key {
        label: algo_title(group),
        sign: Sign::Mark(i),
    };
    groups.iter().enumerate().map(entry).collect()
}

/// The plot; `None` without points.
pub(super) fn svg(points: &[CostPoint], groups: &[&str], name: &str, size: Size) -> Option<String> {
    let shown = |p: &&CostPoint| drawable(p.truth) && drawable(p.learned);
    let points: Vec<&CostPoint> = points.iter().filter(shown).collect();
    let x = Axis::fitting(points.iter().map(|p| p.truth), size.ticks[0])?;
    let y = Axis::fitting(points.iter().map(|p| p.learned), size.ticks[1])?;
    let frame = Frame::new(size, x, y, 12.0);
    let names = [
        "True cost of a trajectory",
        "Learned cost of a trajectory, nats",
    ];
    let mut content = frame.axes(names[0], names[1], true);
    let every = points.len().div_ceil(size.points.max(1)).max(1);
    // The first group, the demonstrations, is drawn last, on top.
    for (i, group) in groups.iter().enumerate().rev() {
        let own = points.iter().filter(|p| p.group == *group).step_by(every);
        let mark = |p: &&CostPoint| svg::mark(i, frame.at([p.truth, p.learned]));
        let marks: String = own.map(mark).collect();
        content += &format!("<g><title>{}</title>{marks}</g>", escape(group));
    }
    Some(frame.svg(name, &content))
}
