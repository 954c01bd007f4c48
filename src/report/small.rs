//! Small multiples: plots of one size in rows of three, under one key.

use super::frame::{SMALL_SQUARE as SMALL, standalone};
use super::text::escape;

/// One of the plots.
pub(super) struct Small<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What is drawn, in a frame of that size.
    pub content: String,
}

const COLUMNS: usize = 3;

/// A standalone picture of all plots; `mark(i, x, y)` draws the key's sign of group i.
pub(super) fn arranged(
    title: &str,
    groups: &[String],
    mark: impl Fn(usize, f64, f64) -> String,
    plots: &[Small],
) -> String {
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
    for (i, plot) in plots.iter().enumerate() {
        let (column, row) = (i % COLUMNS, i / COLUMNS);
        let (left, top) = (
            10.0 + column as f64 * (SMALL.width + 14.0),
            78.0 + row as f64 * (SMALL.height + 34.0),
        );
        content += &format!(
            r#"<g transform="translate({left:.0} {top:.0})"><text class="tick" x="46" y="12">{}</text><g transform="translate(0 18)">{}</g></g>"#,
            escape(plot.title),
            plot.content
        );
    }
    let columns = plots.len().clamp(1, COLUMNS);
    let width = 20.0 + columns as f64 * (SMALL.width + 14.0);
    let height = 90.0 + plots.len().div_ceil(COLUMNS) as f64 * (SMALL.height + 34.0);
    standalone(width, height, title, &content)
}
