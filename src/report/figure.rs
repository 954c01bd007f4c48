//! A figure: heading, key and plot, on the page or as a separate file.

use super::frame::{self, Size};
use super::landscape::Walker;
use super::text::escape;
use super::{svg, ways};

/// A plot with what is needed to understand it.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    /// Its file name: letters, digits and hyphens.
    pub(super) name: String,
    pub(super) heading: String,
    pub(super) key: Vec<Key>,
    pub(super) size: Size,
    pub(super) plot: String,
    /// Caption, as HTML.
    pub(super) caption: String,
}

/// Legend entry of a line or mark.
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
    /// A trajectory over a landscape.
    Path(Walker),
    /// Visited states.
    Spots(Walker),
}

impl Sign {
    /// In a box of 28 × 12 with its upper left corner at `x`, `y`.
    fn draw(self, x: f64, y: f64) -> String {
        let line = |class: &str, dashes: &str| {
            let (middle, end) = (y + 6.0, x + 28.0);
            format!(
                r#"<path class="{class}" d="M{x:.1} {middle:.1}L{end:.1} {middle:.1}"{dashes}/>"#
            )
        };
        match self {
            Self::Line(style) => line(&format!("curve s{}", style % 8), svg::dashes(style)),
            Self::Mark(group) => svg::mark(group, [x + 14.0, y + 6.0]),
            Self::Path(walker) => ["casing", "way"]
                .map(|class| line(&format!("{class} {}", walker.class()), ""))
                .concat(),
            Self::Spots(walker) => {
                let places = [(8.0, 7.0), (14.0, 4.0), (20.0, 8.0)];
                let tenths =
                    places.map(|(dx, dy)| [x + dx, y + dy].map(|v| (10.0 * v).round() as i64));
                let path: String = tenths.map(|p| ways::spot(walker, p)).concat();
                format!(r#"<path class="spot {}" d="{path}"/>"#, walker.class())
            }
        }
    }
}

/// A key as a list.
pub(super) fn legend(key: &[Key]) -> String {
    let item = |k: &Key| {
        format!(
            r#"<li><svg class="sign" viewBox="0 0 28 12" aria-hidden="true">{}</svg><span class="label">{}</span></li>"#,
            k.sign.draw(0.0, 0.0),
            escape(&k.label)
        )
    };
    let items: String = key.iter().map(item).collect();
    format!(r#"<ul class="legend">{items}</ul>"#)
}

impl Figure {
    /// A figure without a key or a caption.
    pub(super) fn new(name: &str, heading: &str, size: Size, plot: String) -> Self {
        Self {
            name: slug(name),
            heading: heading.into(),
            key: Vec::new(),
            size,
            plot,
            caption: String::new(),
        }
    }

    /// As part of the page. A single entry needs no key.
    pub(super) fn html(&self, attributes: &str) -> String {
        let key = match self.key.len() {
            0 | 1 => String::new(),
            _ => legend(&self.key),
        };
        let caption = match self.caption.as_str() {
            "" => String::new(),
            text => format!("<figcaption>{text}</figcaption>"),
        };
        format!(
            "<figure{attributes}><h3><span class=\"label\">{}</span></h3>{key}{}{caption}</figure>",
            escape(&self.heading),
            self.plot
        )
    }

    /// As a separate file, on white.
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
            out += &svg::text("level-name", [x + 34.0, y + 6.0], &k.label);
            x += wide + 18.0;
        }
        (out, y - top + 24.0)
    }
}

/// All figures side by side; `None` without any.
pub(super) fn multiples(class: &str, figures: &[Figure], attributes: &str) -> Option<String> {
    let all: String = figures.iter().map(|f| f.html(attributes)).collect();
    (!all.is_empty()).then(|| format!("<div class=\"{class}\">{all}</div>"))
}

/// Letters, digits and hyphens of a text, for a file name.
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
