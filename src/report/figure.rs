//! A figure: heading, key and plot, on the page or as a file of its own.

use super::frame::{self, Size};
use super::landscape::Walker;
use super::scatter;
use super::text::escape;
use super::ways;

/// A plot with what is needed to understand it.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Names its file; letters, digits and hyphens.
    pub(super) name: String,
    pub(super) heading: String,
    pub(super) key: Vec<Key>,
    pub(super) size: Size,
    pub(super) plot: String,
    /// What to know when reading it, as HTML.
    pub(super) caption: String,
}

/// What a line or a mark stands for.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) label: String,
    pub(super) sign: Sign,
}

/// How something is drawn in a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    /// A line of a series.
    Line(usize),
    /// A mark of a group.
    Mark(usize),
    /// The expert's way over a landscape.
    ExpertPath,
    /// The policy's way over a landscape.
    PolicyPath,
    /// States that the expert visited.
    ExpertSpots,
    /// States that the policy visited.
    PolicySpots,
}

impl Sign {
    /// In a box of 28 × 12 with its upper left corner at `x`, `y`.
    fn draw(self, x: f64, y: f64) -> String {
        let (middle, end) = (y + 6.0, x + 28.0);
        let line = |class: &str| {
            format!(r#"<path class="{class}" d="M{x:.1} {middle:.1}L{end:.1} {middle:.1}"/>"#)
        };
        match self {
            Self::Line(style) => line(&format!("curve s{}", style % 8)),
            Self::Mark(group) => scatter::mark(group, x + 14.0, middle),
            Self::ExpertPath => line("casing expert") + &line("way expert"),
            Self::PolicyPath => line("casing learned") + &line("way learned"),
            Self::ExpertSpots => spots(Walker::Expert, "expert", x, y),
            Self::PolicySpots => spots(Walker::Policy, "learned", x, y),
        }
    }
}

fn spots(walker: Walker, class: &str, x: f64, y: f64) -> String {
    let at = |dx: f64, dy: f64| [x + dx, y + dy].map(|v| (10.0 * v).round() as i64);
    let places = [at(8.0, 7.0), at(14.0, 4.0), at(20.0, 8.0)];
    let path: String = places
        .iter()
        .map(|[x, y]| ways::spot(walker, *x, *y))
        .collect();
    format!(r#"<path class="spot {class}" d="{path}"/>"#)
}

/// The key of a figure as a list; nothing for a single entry, which needs none.
pub(super) fn legend(key: &[Key]) -> String {
    if key.len() < 2 {
        return String::new();
    }
    let items: String = key
        .iter()
        .map(|k| {
            format!(
                r#"<li><svg class="sign" viewBox="0 0 28 12" aria-hidden="true">{}</svg><span class="label">{}</span></li>"#,
                k.sign.draw(0.0, 0.0),
                escape(&k.label)
            )
        })
        .collect();
    format!(r#"<ul class="legend">{items}</ul>"#)
}

impl Figure {
    /// As a part of the page.
    pub(super) fn html(&self, attributes: &str) -> String {
        let caption = match self.caption.as_str() {
            "" => String::new(),
            text => format!("<figcaption>{text}</figcaption>"),
        };
        format!(
            "<figure{attributes}><h3><span class=\"label\">{}</span></h3>{}{}{caption}</figure>",
            escape(&self.heading),
            legend(&self.key),
            self.plot
        )
    }

    /// As a file of its own, light on white.
    pub(super) fn standalone(&self) -> String {
        let Size { width, height, .. } = self.size;
        let (key, below) = self.rows_of_keys(20.0, 46.0, width);
        let top = 46.0 + below;
        let content = format!(
            r#"{key}<svg x="20" y="{top}" width="{width}" height="{height}">{}</svg>"#,
            self.plot
        );
        frame::standalone(width + 40.0, height + 18.0 + top, &self.heading, &content)
    }

    /// The key in rows below the heading, and their height.
    fn rows_of_keys(&self, left: f64, top: f64, width: f64) -> (String, f64) {
        if self.key.len() < 2 {
            return (String::new(), 0.0);
        }
        let (mut x, mut y) = (left, top);
        let mut out = String::new();
        for k in &self.key {
            let wide = 36.0 + 6.6 * k.label.chars().count() as f64;
            if x > left && x + wide > left + width {
                (x, y) = (left, y + 20.0);
            }
            out += &k.sign.draw(x, y - 4.0);
            out += &format!(
                r#"<text class="level-name" x="{:.1}" y="{:.1}">{}</text>"#,
                x + 34.0,
                y + 6.0,
                escape(&k.label)
            );
            x += wide + 18.0;
        }
        (out, y - top + 24.0)
    }
}

/// Letters, digits and hyphens of a text, for the name of a file.
pub(super) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else if !out.ends_with('-') && !out.is_empty() {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-');
    let end = out.char_indices().nth(80).map_or(out.len(), |(i, _)| i);
    match &out[..end] {
        "" => "figure".into(),
        name => name.into(),
    }
}
