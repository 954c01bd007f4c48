//! Small multiples: plots of equal size in rows of three, under one key.

use super::frame::{SMALL_SQUARE as SMALL, standalone};
use super::svg;

const COLUMNS: usize = 3;

/// A standalone picture of all plots, each with its heading; `sign` draws the key's sign of group i.
pub(super) fn arranged(
    title: &str,
    groups: &[String],
    sign: impl Fn(usize, [f64; 2]) -> String,
    plots: impl Iterator<Item = (String, String)>,
) -> String {
    let mut content = String::new();
    let mut x = 20.0;
    for (i, group) in groups.iter().enumerate() {
        content += &sign(i, [x + 5.0, 56.0]);
        content += &svg::text("tick", [x + 14.0, 60.0], group);
        x += 40.0 + 8.0 * group.chars().count() as f64;
    }
    let mut count = 0;
    for (i, (heading, plot)) in plots.enumerate() {
        let left = 10.0 + (i % COLUMNS) as f64 * (SMALL.width + 14.0);
        let top = 78.0 + (i / COLUMNS) as f64 * (SMALL.height + 34.0);
        content += &format!(
            r#"<g transform="translate({left:.0} {top:.0})">{}<g transform="translate(0 18)">{plot}</g></g>"#,
            svg::text("tick", [46.0, 12.0], &heading),
        );
        count = i + 1;
    }
    let width = 20.0 + count.clamp(1, COLUMNS) as f64 * (SMALL.width + 14.0);
    let height = 90.0 + count.div_ceil(COLUMNS) as f64 * (SMALL.height + 34.0);
    standalone(width, height, title, &content)
}
