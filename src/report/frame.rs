//! The frame of a plot: margins, grid, ticks and labels, in SVG classes that style sheets colour.

use super::axis::Axis;
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
    /// Whether levels are named within the plot: then plots side by side line up.
    pub(super) labels_inside: bool,
}

/// For screens and paper.
pub(super) const WIDE: Size = Size {
    width: 960.0,
    height: 330.0,
    class: "wide",
    ticks: [8, 5],
    points: 400,
    labels_inside: false,
};
/// For phones.
pub(super) const NARROW: Size = Size {
    width: 380.0,
    height: 280.0,
    class: "narrow",
    ticks: [4, 5],
    points: 200,
    labels_inside: false,
};
/// One of many.
pub(super) const SMALL: Size = Size {
    width: 340.0,
    height: 160.0,
    class: "small",
    ticks: [4, 3],
    points: 160,
    labels_inside: true,
};
/// A scatter plot.
pub(super) const SQUARE: Size = Size {
    width: 440.0,
    height: 380.0,
    class: "square",
    ticks: [4, 5],
    points: 1500,
    labels_inside: false,
};

/// One of two side by side.
pub(super) const MEDIUM: Size = Size {
    width: 440.0,
    height: 290.0,
    class: "medium",
    ticks: [6, 5],
    points: 200,
    labels_inside: false,
};
/// A map with its scale.
pub(super) const LAND: Size = Size {
    width: 520.0,
    height: 420.0,
    class: "land",
    ticks: [5, 5],
    points: 120,
    labels_inside: false,
};

/// One scatter plot of many.
pub(super) const SMALL_SQUARE: Size = Size {
    width: 340.0,
    height: 290.0,
    class: "small",
    ticks: [3, 4],
    points: 300,
    labels_inside: false,
};

/// A plot's axes placed on its area.
#[derive(Debug, Clone)]
pub(super) struct Frame {
    pub(super) size: Size,
    pub(super) x: Axis,
    pub(super) y: Axis,
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Frame {
    /// Places axes, keeping `right` units free for labels beside the plot.
    pub(super) fn new(size: Size, x: Axis, y: Axis, right: f64) -> Self {
        let longest = y
            .ticks
            .iter()
            .map(|&t| y.label(t).chars().count())
            .max()
            .unwrap_or(1);
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

    /// Horizontal place of a value.
    pub(super) fn px(&self, v: f64) -> f64 {
        self.left + self.x.position(v) * (self.right - self.left)
    }

    /// Vertical place of a value.
    pub(super) fn py(&self, v: f64) -> f64 {
        self.bottom - self.y.position(v) * (self.bottom - self.top)
    }

    /// Left, right, top and bottom of the plot's area.
    pub(super) fn area(&self) -> [f64; 4] {
        [self.left, self.right, self.top, self.bottom]
    }

    /// Right end of the plot's area.
    pub(super) fn right(&self) -> f64 {
        self.right
    }

    /// Left end of the plot's area.
    pub(super) fn left(&self) -> f64 {
        self.left
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
            let y = self.py(tick);
            out += &format!(
                r#"<line class="grid" x1="{left:.1}" x2="{right:.1}" y1="{y:.1}" y2="{y:.1}"/><text class="tick end" x="{:.1}" y="{:.1}">{}</text>"#,
                left - 7.0,
                y + 4.0,
                self.y.label(tick),
            );
        }
        for &tick in &self.x.ticks {
            let x = self.px(tick);
            let mark = if vertical_grid {
                ("grid", top)
            } else {
                ("axis", bottom + 4.0)
            };
            out += &format!(
                r#"<line class="{}" x1="{x:.1}" x2="{x:.1}" y1="{bottom:.1}" y2="{:.1}"/><text class="tick middle" x="{x:.1}" y="{:.1}">{}</text>"#,
                mark.0,
                mark.1,
                bottom + 17.0,
                self.x.label(tick),
            );
        }
        let log = |axis: &Axis| if axis.is_log() { ", log scale" } else { "" };
        out += &format!(
            r#"<line class="axis" x1="{left:.1}" x2="{right:.1}" y1="{bottom:.1}" y2="{bottom:.1}"/><text class="name" x="0" y="12">{}{}</text><text class="name end" x="{right:.1}" y="{:.1}">{}{}</text>"#,
            escape(y_label),
            log(&self.y),
            self.size.height - 4.0,
            escape(x_label),
            log(&self.x),
        );
        out
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

/// Colours and text of standalone pictures, which have no page around them: light, on white.
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
