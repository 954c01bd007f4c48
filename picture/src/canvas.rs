//! Anti-aliased shapes, lines and text on pixels.

use costate_envs::scene::{Item, Role, Shape};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use tiny_skia::{
    Color, ColorU8, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, PixmapPaint,
    Rect, Stroke, Transform,
};

use super::colours::{self, Rgb};

/// From metres (y upwards) to pixels (y downwards).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Projection {
    /// Pixels per metre.
    pub(super) scale: f64,
    /// Canvas pixels per pixel of the final picture.
    pub(super) factor: u32,
    /// Pixel of the world's origin: whole, so that stationary items keep their pixels under a
    /// moving camera.
    pub(super) origin: [i64; 2],
}

impl Projection {
    /// Pixel position of a point of the world.
    pub(super) fn pixel(&self, p: [f32; 2]) -> [f32; 2] {
        let [x, y] = p.map(|v| f64::from(v) * self.scale);
        [
            (self.origin[0] as f64 + x) as f32,
            (self.origin[1] as f64 - y) as f32,
        ]
    }
}

/// A picture being drawn.
pub(super) struct Canvas {
    pixels: Pixmap,
}

impl Canvas {
    /// A canvas of one colour; `None` if it has no area or cannot be allocated.
    pub(super) fn new(width: u32, height: u32, colour: Option<Rgb>) -> Option<Self> {
        let mut pixels = Pixmap::new(width, height)?;
        if let Some([r, g, b]) = colour {
            pixels.fill(Color::from_rgba8(r, g, b, 255));
        }
        Some(Self { pixels })
    }

    /// Its pixels, row by row from the top.
    pub(super) fn rgb(&self) -> impl Iterator<Item = Rgb> {
        self.pixels
            .pixels()
            .iter()
            .map(|p| [p.red(), p.green(), p.blue()])
    }

    /// The picture as PNG.
    pub(super) fn png(&self) -> Result<Vec<u8>, String> {
        self.pixels.encode_png().map_err(|e| e.to_string())
    }

    /// Fills whole pixels.
    pub(super) fn rectangle(&mut self, x: i64, y: i64, width: i64, height: i64, colour: Rgb) {
        if let Some(rect) = Rect::from_xywh(x as f32, y as f32, width as f32, height as f32) {
            self.pixels
                .fill_rect(rect, &paint(colour, 1.0), Transform::identity(), None);
        }
    }

    /// The upper left `width` × `height` pixels of the same picture at a `factor`-th of its size:
    /// edges come out smoother than drawn at that size.
    pub(super) fn shrunk(&self, factor: u32, width: u32, height: u32) -> Option<Self> {
        let mut small = Pixmap::new(width, height)?;
        let wide = self.pixels.width();
        let large = self.pixels.pixels();
        let n = factor * factor;
        for (i, pixel) in small.pixels_mut().iter_mut().enumerate() {
            let (x, y) = (i as u32 % width * factor, i as u32 / width * factor);
            let mut sum = [n / 2; 3];
            for dy in 0..factor {
                let row = ((y + dy) * wide + x) as usize;
                for p in large.iter().skip(row).take(factor as usize) {
                    sum[0] += u32::from(p.red());
                    sum[1] += u32::from(p.green());
                    sum[2] += u32::from(p.blue());
                }
            }
            let [r, g, b] = sum.map(|v| (v / n) as u8);
            *pixel = ColorU8::from_rgba(r, g, b, 255).premultiply();
        }
        Some(Self { pixels: small })
    }

    /// Draws another canvas of the same size on top.
    pub(super) fn lay(&mut self, layer: &Self, opacity: f32) {
        let how = PixmapPaint {
            opacity,
            ..PixmapPaint::default()
        };
        let layer = layer.pixels.as_ref();
        self.pixels
            .draw_pixmap(0, 0, layer, &how, Transform::identity(), None);
    }

    /// Draws an item, if visible. Bodies and limbs have an edge, which separates them where they
    /// overlap.
    pub(super) fn item(&mut self, item: &Item, projection: &Projection) {
        let Some((points, radius)) = super::camera::outline(&item.shape) else {
            return;
        };
        let points: Vec<[f32; 2]> = points.into_iter().map(|p| projection.pixel(p)).collect();
        let radius = radius * projection.scale as f32;
        let pixel = projection.factor as f32;
        let colour = colours::of(item.role);
        let edge = colours::mix(colour, [0; 3], 0.7);
        let moves = matches!(item.role, Role::Body | Role::Limb);
        let path = match &item.shape {
            Shape::Circle { .. } => disc(points[0], radius.max(pixel)),
            Shape::Polygon { .. } => polygon(&points),
            Shape::Capsule { .. } => {
                let radius = radius.max(0.75 * pixel);
                if moves && radius > 2.0 * pixel {
                    self.capsule(points[0], points[1], radius + 0.5 * pixel, edge);
                    self.capsule(points[0], points[1], radius - 0.5 * pixel, colour);
                } else {
                    self.capsule(points[0], points[1], radius, colour);
                }
                return;
            }
        };
        let Some(path) = path else { return };
        if item.role == Role::Target {
            self.fill(&path, colour, 0.3);
            self.line(&path, 1.5 * pixel, colour);
        } else {
            self.fill(&path, colour, 1.0);
            if moves {
                self.line(&path, pixel, edge);
            }
        }
    }

    fn capsule(&mut self, from: [f32; 2], to: [f32; 2], radius: f32, colour: Rgb) {
        // A line of no length has no direction, and would not be drawn.
        if (from[0] - to[0]).hypot(from[1] - to[1]) < 1e-3 {
            if let Some(path) = disc(from, radius) {
                self.fill(&path, colour, 1.0);
            }
            return;
        }
        let mut path = PathBuilder::new();
        path.move_to(from[0], from[1]);
        path.line_to(to[0], to[1]);
        if let Some(path) = path.finish() {
            self.line(&path, 2.0 * radius, colour);
        }
    }

    /// A smooth line through points `range` of a path, pixels (Catmull-Rom segments).
    pub(super) fn curve(
        &mut self,
        way: &[[f32; 2]],
        range: std::ops::RangeInclusive<usize>,
        width: f32,
        (colour, opacity): (Rgb, f32),
    ) {
        let (first, last) = range.into_inner();
        let at = |i: usize| way[i.min(way.len() - 1)];
        let control =
            |at: [f32; 2], a: [f32; 2], b: [f32; 2]| [0, 1].map(|i| at[i] + (b[i] - a[i]) / 6.0);
        let mut path = PathBuilder::new();
        path.move_to(at(first)[0], at(first)[1]);
        for i in first..last {
            let [before, from, to, after] = [i.saturating_sub(1), i, i + 1, i + 2].map(at);
            let (a, b) = (control(from, before, to), control(to, after, from));
            path.cubic_to(a[0], a[1], b[0], b[1], to[0], to[1]);
        }
        if let Some(path) = path.finish() {
            self.stroke(&path, width, LineCap::Butt, paint(colour, opacity));
        }
    }

    fn fill(&mut self, path: &Path, colour: Rgb, opacity: f32) {
        let paint = paint(colour, opacity);
        self.pixels
            .fill_path(path, &paint, FillRule::Winding, Transform::identity(), None);
    }

    fn line(&mut self, path: &Path, width: f32, colour: Rgb) {
        self.stroke(path, width, LineCap::Round, paint(colour, 1.0));
    }

    fn stroke(&mut self, path: &Path, width: f32, line_cap: LineCap, paint: Paint) {
        let stroke = Stroke {
            width,
            line_cap,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        let still = Transform::identity();
        self.pixels.stroke_path(path, &paint, &stroke, still, None);
    }

    /// Writes printable ASCII with its upper left corner at a pixel.
    pub(super) fn text(&mut self, x: u32, y: u32, text: &str, size: TextSize, colour: Rgb) {
        let canvas_width = self.pixels.width() as usize;
        let canvas_height = self.pixels.height() as usize;
        for (i, c) in text.chars().enumerate() {
            let Some(glyph) = get_raster(c, FontWeight::Regular, size.0) else {
                continue;
            };
            let left = x as usize + i * size.char_width() as usize;
            for (row, line) in glyph.raster().iter().enumerate() {
                for (column, &cover) in line.iter().enumerate() {
                    let (px, py) = (left + column, y as usize + row);
                    if cover == 0 || px >= canvas_width || py >= canvas_height {
                        continue;
                    }
                    let pixel = &mut self.pixels.pixels_mut()[py * canvas_width + px];
                    let below = [pixel.red(), pixel.green(), pixel.blue()];
                    let [r, g, b] = colours::mix(colour, below, f32::from(cover) / 255.0);
                    *pixel = ColorU8::from_rgba(r, g, b, 255).premultiply();
                }
            }
        }
    }
}

/// A size of the built-in typeface.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextSize(RasterHeight);

impl TextSize {
    /// A legible size for a picture whose longer side has `pixels`.
    pub(super) fn of(pixels: u32) -> Self {
        Self(match pixels {
            ..480 => RasterHeight::Size16,
            480..720 => RasterHeight::Size20,
            720..1100 => RasterHeight::Size24,
            _ => RasterHeight::Size32,
        })
    }

    /// Height of a line, pixels.
    pub(super) fn height(self) -> u32 {
        self.0.val() as u32
    }

    /// Width of every character, pixels.
    pub(super) fn char_width(self) -> u32 {
        get_raster_width(FontWeight::Regular, self.0) as u32
    }
}

fn paint([r, g, b]: Rgb, opacity: f32) -> Paint<'static> {
    let mut colour = Color::from_rgba8(r, g, b, 255);
    colour.apply_opacity(opacity);
    Paint {
        shader: tiny_skia::Shader::SolidColor(colour),
        ..Paint::default()
    }
}

fn disc([x, y]: [f32; 2], radius: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, radius)
}

fn polygon(points: &[[f32; 2]]) -> Option<Path> {
    let mut path = PathBuilder::new();
    let (first, rest) = points.split_first()?;
    path.move_to(first[0], first[1]);
    rest.iter().for_each(|p| path.line_to(p[0], p[1]));
    path.close();
    path.finish()
}
