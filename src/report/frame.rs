//! The frame of a plot: margins, grid, ticks and labels, in SVG classes that style sheets colour.

use super::axis::Axis;
use super::svg;
use super::text::escape;

/// How large a plot is drawn, in user units of about a CSS pixel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) width: f64,
    pub(super) height: f64,
    /// CSS class that shows it at the right screen widths.
    pub(super) class: &'static str,
    /// Horizontal and vertical ticks, about.
    pub(super) ticks: [usize; 2],
    /// Points that a curve is thinned to.
    pub(super) points: usize,
    /// Whether levels are named inside the plot, so that plots side by side line up.
    pub(super) labels_inside: bool,
}

impl Size {
    /// One with level names to the right of the plot.
    const fn new(class: &'static str, size: [f64; 2], ticks: [usize; 2], points: usize) -> Self {
        Self {
            width: size[0],
            height: size[1],
            class,
            ticks,
            points,
            labels_inside: false,
        }
    }
}

/// For screens and paper.
pub(super) const WIDE: Size = Size::new("wide", [960.0, 330.0], [8, 5], 400);
/// Beside a text of about the same width.
pub(super) const OPENING: Size = Size::new("wide", [540.0, 330.0], [6, 5], 300);
/// For phones.
pub(super) const NARROW: Size = Size::new("narrow", [380.0, 280.0], [4, 5], 200);
/// One of many.
pub(super) const SMALL: Size = Size {
    labels_inside: true,
    ..Size::new("small", [340.0, 160.0], [4, 3], 160)
};
/// A scatter plot.
pub(super) const SQUARE: Size = Size::new("square", [440.0, 380.0], [4, 5], 1500);
/// One of two side by side.
pub(super) const MEDIUM: Size = Size::new("medium", [440.0, 290.0], [6, 5], 200);
/// A map with its scale.
pub(super) const LAND: Size = Size::new("land", [520.0, 420.0], [5, 5], 120);
/// One scatter plot of many.
pub(super) const SMALL_SQUARE: Size = Size::new("small", [340.0, 290.0], [3, 4], 300);

/// A plot's axes placed on its area.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Edges of the plot area.
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// Lays out axes, reserving `right` units for labels beside the plot.
    pub(super) fn new(size: Size, x: Axis, y: Axis, right: f64) -> Self {
        let lengths = y.ticks.iter().map(|&t| y.label(t).chars().count());
        let longest = lengths.max().unwrap_or(1);
        Self {
            left: (14.0 + 6.8 * longest as f64).max(if size.labels_inside { 46.0 } else { 0.0 }),
            right: size.width - right,
            top: 26.0,
            bottom: size.height - if size.labels_inside { 24.0 } else { 38.0 },
            size,
            x,
            y,
        }
    }

    /// The same over two ranges with linear axes.
    pub(super) fn linear(size: Size, [x, y]: [[f64; 2]; 2], right: f64) -> Self {
        let axis = |[low, high]: [f64; 2], ticks| Axis::linear(low, high, ticks);
        Self::new(size, axis(x, size.ticks[0]), axis(y, size.ticks[1]), right)
    }

    /// The position of a pair of values.
    pub(super) fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.left + self.x.position(x) * (self.right - self.left),
            self.bottom - self.y.position(y) * (self.bottom - self.top),
        ]
    }

    /// Whether a position is within the plot area.
    pub(super) fn holds(&self, [x, y]: [f64; 2]) -> bool {
        (self.left..self.right).contains(&x) && (self.top..self.bottom).contains(&y)
    }

    /// Grid, ticks and labels: the vertical axis is named above it, the horizontal one below.
    pub(super) fn axes(&self, x_label: &str, y_label: &str, vertical_grid: bool) -> String {
        let Self {
            left,
            right,
            top,
            bottom,
            ..
        } = *self;
        let mut out = String::new();
        for &tick in &self.y.ticks {
            let [_, y] = self.at([0.0, tick]);
            out += &svg::line("grid", [left, y], [right, y]);
            out += &svg::text("tick end", [left - 7.0, y + 4.0], &self.y.label(tick));
        }
        let (class, end) = match vertical_grid {
            true => ("grid", top),
            false => ("axis", bottom + 4.0),
        };
        for &tick in &self.x.ticks {
            let [x, _] = self.at([tick, 0.0]);
            out += &svg::line(class, [x, bottom], [x, end]);
            out += &svg::text("tick middle", [x, bottom + 17.0], &self.x.label(tick));
        }
        let named = |label: &str, axis: &Axis| match axis.is_log() {
            true => format!("{label}, log scale"),
            false => label.into(),
        };
        out += &svg::line("axis", [left, bottom], [right, bottom]);
        out += &svg::text("name", [0.0, 12.0], &named(y_label, &self.y));
        let below = [right, self.size.height - 4.0];
        out + &svg::text("name end", below, &named(x_label, &self.x))
    }

    /// An SVG element around `content`, with what scripts need to read values off it.
    pub(super) fn svg(&self, name: &str, content: &str) -> String {
        let Size {
            width,
            height,
            class,
            ..
        } = self.size;
        format!(
            r#"<svg class="plot {class}" viewBox="0 0 {width} {height}" role="img" aria-label="{}" data-x="{}" data-y="{}" data-area="{:.1} {:.1} {:.1} {:.1}">{content}</svg>"#,
            escape(name),
            self.x.code(),
            self.y.code(),
            self.left,
            self.right,
            self.top,
            self.bottom,
        )
    }
}

/// Style sheet of standalone pictures: light, on white.
pub(super) const STANDALONE_STYLE: &str = include_str!("../../assets/report/standalone.css");

/// A plot of this size as a standalone SVG.
pub(super) fn standalone_plot(size: Size, heading: &str, plot: &str) -> String {
    let Size { width, height, .. } = size;
    let content = format!(r#"<svg x="20" y="46" width="{width}" height="{height}">{plot}</svg>"#);
    standalone(width + 40.0, height + 64.0, heading, &content)
}

/// A standalone SVG with a white background and a heading above `content`.
pub(super) fn standalone(width: f64, height: f64, heading: &str, content: &str) -> String {
    // Names of runs can be longer than a small plot is wide.
    let width = width.max(40.0 + 8.2 * heading.chars().take(200).count() as f64);
    let heading = escape(heading);
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{heading}"><style>{STANDALONE_STYLE}</style><rect width="{width:.0}" height="{height:.0}" rx="6" fill="#ffffff"/><text class="heading" x="20" y="30">{heading}</text>{content}</svg>
"##
    )
}
