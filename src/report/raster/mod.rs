//! Our own SVG as PNG: the elements, attributes and selectors that this report writes, no others.
//!
//! A general renderer would take minutes to compile; what our pictures need is a few shapes, paths of
//! straight lines, text in one font, and nested pictures.

mod path;
mod style;
mod text;

use roxmltree::Node;
use tiny_skia::{
    FillRule, FilterQuality, LineCap, LineJoin, Mask, Paint, Path, PathBuilder, Pixmap,
    PixmapPaint, Rect, Stroke, StrokeDash, Transform,
};

use self::style::{Sheet, Style};
use self::text::Font;
use super::heat;
use crate::picture::PictureError;

/// Pixels a unit of the SVG: sharp on paper and on dense screens.
const SCALE: f32 = 2.0;
/// Pixels along a side at most.
const LARGEST: f32 = 16_000.0;

/// A standalone picture of this report as PNG, two pixels a unit.
///
/// Errors: text that is no SVG of this report, and a picture too large.
pub fn png(svg: &str) -> Result<Vec<u8>, PictureError> {
    let refused = |e: String| PictureError::Encoding(e);
    let document = roxmltree::Document::parse(svg).map_err(|e| refused(e.to_string()))?;
    let root = document.root_element();
    let side = |name| number(root, name).map(|v| (v * SCALE).ceil());
    let (width, height) = side("width")
        .zip(side("height"))
        .filter(|(w, h)| [w, h].iter().all(|v| (1.0..LARGEST).contains(*v)))
        .ok_or_else(|| refused("an SVG without a width and height that fit".into()))?;
    let pixels = Pixmap::new(width as u32, height as u32)
        .ok_or_else(|| refused(format!("no memory for {width} × {height} pixels")))?;
    let font = Font::new().ok_or_else(|| refused("the built-in font cannot be read".into()))?;
    let mut painter = Painter {
        pixels,
        sheet: Sheet::of(&document),
        font,
    };
    let clip = Mask::new(width as u32, height as u32).map(|mut mask| {
        mask.invert();
        mask
    });
    let at = Place {
        transform: Transform::from_scale(SCALE, SCALE),
        clip,
    };
    painter.children(root, &Style::default(), &at);
    painter
        .pixels
        .encode_png()
        .map_err(|e| refused(e.to_string()))
}

/// Where drawing goes.
#[derive(Clone)]
struct Place {
    transform: Transform,
    /// What lies outside is not drawn.
    clip: Option<Mask>,
}

struct Painter {
    pixels: Pixmap,
    sheet: Sheet,
    font: Font,
}

impl Painter {
    fn children(&mut self, node: Node, style: &Style, at: &Place) {
        for child in node.children().filter(Node::is_element) {
            self.element(child, style, at);
        }
    }

    fn element(&mut self, node: Node, inherited: &Style, at: &Place) {
        let style = self.sheet.style(node, inherited);
        match node.tag_name().name() {
            "g" => self.children(node, &style, at),
            "svg" => {
                if let Some(inner) = nested(node, at) {
                    self.children(node, &style, &inner);
                }
            }
            "text" => self.text(node, &style, at),
            "image" => {
                self.image(node, at);
            }
            _ => {
                if let Some(shape) = path::of(node) {
                    self.shape(&shape, &style, at);
                }
            }
        }
    }

    fn shape(&mut self, shape: &Path, style: &Style, at: &Place) {
        if let Some(paint) = style.fill_paint() {
            let (rule, clip) = (FillRule::Winding, at.clip.as_ref());
            self.pixels
                .fill_path(shape, &paint, rule, at.transform, clip);
        }
        self.stroke(shape, style, at);
    }

    fn stroke(&mut self, shape: &Path, style: &Style, at: &Place) {
        let Some(paint) = style.stroke_paint() else {
            return;
        };
        let zoom = match style.unscaled_stroke && at.transform.sx > 0.0 {
            true => SCALE / at.transform.sx,
            false => 1.0,
        };
        let stroke = Stroke {
            width: style.stroke_width * zoom,
            line_cap: if style.round_cap {
                LineCap::Round
            } else {
                LineCap::Butt
            },
            line_join: if style.round_join {
                LineJoin::Round
            } else {
                LineJoin::Miter
            },
            dash: StrokeDash::new(style.dashes.clone(), 0.0),
            ..Stroke::default()
        };
        let clip = at.clip.as_ref();
        self.pixels
            .stroke_path(shape, &paint, &stroke, at.transform, clip);
    }

    fn text(&mut self, node: Node, style: &Style, at: &Place) {
        let text = node.text().unwrap_or_default();
        let width = self.font.width(text, style.font_size);
        let x = number(node, "x").unwrap_or(0.0) - style.anchor.share() * width;
        let y = number(node, "y").unwrap_or(0.0);
        let Some(outline) = self.font.outline(text, style.font_size, [x, y]) else {
            return;
        };
        // A halo goes below its letters.
        self.stroke(&outline, style, at);
        if let Some(paint) = style.fill_paint() {
            let clip = at.clip.as_ref();
            self.pixels
                .fill_path(&outline, &paint, FillRule::Winding, at.transform, clip);
            if style.bold {
                let stroke = Stroke {
                    width: 0.045 * style.font_size,
                    ..Stroke::default()
                };
                self.pixels
                    .stroke_path(&outline, &paint, &stroke, at.transform, clip);
            }
        }
    }

    fn image(&mut self, node: Node, at: &Place) -> Option<()> {
        let data = node
            .attribute("href")?
            .strip_prefix("data:image/png;base64,")?;
        let image = Pixmap::decode_png(&heat::from_base64(data)?).ok()?;
        let [x, y, width, height] = ["x", "y", "width", "height"].map(|name| number(node, name));
        let (sx, sy) = (
            width? / image.width() as f32,
            height? / image.height() as f32,
        );
        let place = at
            .transform
            .pre_translate(x.unwrap_or(0.0), y.unwrap_or(0.0))
            .pre_scale(sx, sy);
        let paint = PixmapPaint {
            quality: FilterQuality::Bilinear,
            ..PixmapPaint::default()
        };
        self.pixels
            .draw_pixmap(0, 0, image.as_ref(), &paint, place, at.clip.as_ref());
        Some(())
    }
}

/// Where a nested picture draws: its view box fitted into its place, which clips it.
fn nested(node: Node, at: &Place) -> Option<Place> {
    let view = node.attribute("viewBox").and_then(|v| {
        let numbers: Vec<f32> = v
            .split_whitespace()
            .filter_map(|v| v.parse().ok())
            .collect();
        <[f32; 4]>::try_from(numbers).ok()
    });
    let place = |name| number(node, name);
    let (x, y) = (place("x").unwrap_or(0.0), place("y").unwrap_or(0.0));
    // Without a size of its own a picture fills the one around it, which is made for it.
    let size = place("width").zip(place("height"));
    let (width, height) = size.or(view.map(|[.., w, h]| (w, h)))?;
    let mut transform = at.transform.pre_translate(x, y);
    let mut clip = at.clip.clone();
    if let (Some(mask), Some(rect)) = (&mut clip, Rect::from_xywh(0.0, 0.0, width, height)) {
        mask.intersect_path(
            &PathBuilder::from_rect(rect),
            FillRule::Winding,
            true,
            transform,
        );
    }
    if let Some([left, top, wide, high]) = view.filter(|v| v[2] > 0.0 && v[3] > 0.0) {
        let scale = (width / wide).min(height / high);
        transform = transform
            .pre_translate(0.5 * (width - scale * wide), 0.5 * (height - scale * high))
            .pre_scale(scale, scale)
            .pre_translate(-left, -top);
    }
    Some(Place { transform, clip })
}

/// A number without a unit.
fn number(node: Node, name: &str) -> Option<f32> {
    let v: f32 = node.attribute(name)?.parse().ok()?;
    (v.is_finite() && v.abs() < 1e6).then_some(v)
}

fn solid(rgb: [u8; 3], opacity: f32) -> Paint<'static> {
    let mut paint = Paint::default();
    let [r, g, b] = rgb;
    let alpha = (opacity.clamp(0.0, 1.0) * 255.0).round() as u8;
    paint.set_color_rgba8(r, g, b, alpha);
    paint.anti_alias = true;
    paint
}
