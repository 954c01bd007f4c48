//! Heat maps: values over two dimensions as colours, with a colour bar.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tiny_skia::{Pixmap, PremultipliedColorU8};

use super::axis::{Axis, drawable};
use super::frame::{Frame, LAND};
use super::svg;

/// Number of colour bands.
const BANDS: usize = 24;
/// Pixels of a map per side.
const PIXELS: u32 = 144;
/// Space right of a map for its colour bar.
const SCALE: f64 = 84.0;

/// Viridis: perceptually uniform, readable without colour vision, in print and on any background.
const VIRIDIS: [[u8; 3]; 9] = [
    [0x44, 0x01, 0x54],
    [0x47, 0x2d, 0x7b],
    [0x3b, 0x52, 0x8b],
    [0x2c, 0x72, 0x8e],
    [0x21, 0x91, 0x8c],
    [0x28, 0xae, 0x80],
    [0x5e, 0xc9, 0x62],
    [0xad, 0xdc, 0x30],
    [0xfd, 0xe7, 0x25],
];

/// A square grid of values to be drawn.
pub(super) struct Map<'a> {
    /// Names of the horizontal and the vertical dimension.
    pub(super) names: [&'a str; 2],
    /// Their ends.
    pub(super) ranges: [[f64; 2]; 2],
    /// Points per side.
    pub(super) size: usize,
    /// Row by row from the bottom, `[size × size]`.
    pub(super) values: &'a [f32],
    /// Ends of the colours.
    pub(super) colours: [f64; 2],
    /// What the values are, with their unit.
    pub(super) meaning: &'a str,
}

impl Map<'_> {
    /// Its frame; `None` for a map that cannot be drawn.
    pub(super) fn frame(&self) -> Option<Frame> {
        let sane = |[low, high]: &[f64; 2]| drawable(*low) && drawable(*high) && low < high;
        let whole = self.size >= 2 && self.values.len() == self.size * self.size;
        (whole && self.ranges.iter().all(sane)).then(|| Frame::linear(LAND, self.ranges, SCALE))
    }

    /// The plot, with `over` drawn on top of the colours.
    pub(super) fn plot(&self, frame: &Frame, title: &str, over: &str) -> Option<String> {
        let Frame {
            left,
            right,
            top,
            bottom,
            ..
        } = *frame;
        let content = format!(
            r#"{}<image x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" preserveAspectRatio="none" href="{}"/>{over}{}"#,
            frame.axes(self.names[0], self.names[1], false),
            right - left,
            bottom - top,
            self.image()?,
            self.scale(frame),
        );
        let [x, y] = self.names;
        Some(frame.svg(&format!("{title} over {x} and {y}"), &content))
    }

    /// A PNG as a data URL; values are interpolated between grid points.
    fn image(&self) -> Option<String> {
        let mut pixels = Pixmap::new(PIXELS, PIXELS)?;
        let value = |column: usize, row: usize| f64::from(self.values[row * self.size + column]);
        // From a pixel's centre to grid points.
        let place = |p: f64| {
            let at = (p + 0.5) / f64::from(PIXELS) * (self.size - 1) as f64;
            let i = (at as usize).min(self.size - 2);
            (i, at - i as f64)
        };
        let [low, high] = self.colours;
        for (k, pixel) in pixels.pixels_mut().iter_mut().enumerate() {
            let (x, y) = (k as u32 % PIXELS, PIXELS - 1 - k as u32 / PIXELS);
            let ((i, u), (j, v)) = (place(f64::from(x)), place(f64::from(y)));
            let below = value(i, j) * (1.0 - u) + value(i + 1, j) * u;
            let above = value(i, j + 1) * (1.0 - u) + value(i + 1, j + 1) * u;
            let share = (below * (1.0 - v) + above * v - low) / (high - low);
            if share.is_nan() {
                continue;
            }
            let [r, g, b] = colour((share.clamp(0.0, 1.0) * BANDS as f64) as usize);
            *pixel = PremultipliedColorU8::from_rgba(r, g, b, 255)?;
        }
        let png = BASE64_STANDARD.encode(pixels.encode_png().ok()?);
        Some(format!("data:image/png;base64,{png}"))
    }

    /// The colour bar with its labels.
    fn scale(&self, frame: &Frame) -> String {
        let Frame {
            right, top, bottom, ..
        } = *frame;
        let axis = Axis::linear(self.colours[0], self.colours[1], 6);
        let (x, wide) = (right + 16.0, 14.0);
        let step = (bottom - top) / BANDS as f64;
        let mut out = String::new();
        for band in 0..BANDS {
            let [r, g, b] = colour(band);
            // Slight overlap, so that no background shows between bands.
            out += &format!(
                r##"<rect x="{x:.1}" y="{:.2}" width="{wide}" height="{:.2}" fill="#{r:02x}{g:02x}{b:02x}"/>"##,
                bottom - step * (band + 1) as f64,
                step + if band == 0 { 0.0 } else { 0.4 },
            );
        }
        let x = x + wide;
        for &tick in &axis.ticks {
            let y = bottom - axis.position(tick) * (bottom - top);
            out += &svg::line("axis", [x, y], [x + 4.0, y]);
            out += &svg::text("tick", [x + 7.0, y + 4.0], &axis.label(tick));
        }
        out + &svg::text("name end", [frame.size.width, 12.0], self.meaning)
    }
}

/// The colour of a band.
fn colour(band: usize) -> [u8; 3] {
    let at = band.min(BANDS - 1) as f64 / (BANDS - 1) as f64 * (VIRIDIS.len() - 1) as f64;
    let i = (at as usize).min(VIRIDIS.len() - 2);
    let t = at - i as f64;
    std::array::from_fn(|c| {
        let [a, b] = [VIRIDIS[i][c], VIRIDIS[i + 1][c]].map(f64::from);
        (a + t * (b - a)).round() as u8
    })
}
