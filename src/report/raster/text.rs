//! Text as outlines of Noto Sans.

use tiny_skia::{Path, PathBuilder};
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// The built-in font.
pub(super) struct Font {
    face: Face<'static>,
}

impl Font {
    /// Reads it.
    pub(super) fn new() -> Option<Self> {
        let face = Face::parse(notosans::REGULAR_TTF, 0).ok()?;
        Some(Self { face })
    }

    /// The glyph of a character; characters that the font lacks look like what resembles them most.
    pub(super) fn glyph(&self, c: char) -> GlyphId {
        let like = match c {
            '−' | '‑' | '⁻' => '-',
            '∕' => '/',
            '\u{a0}' => ' ',
            '≥' => '>',
            '≤' => '<',
            '⁰' => '0',
            '⁴'..='⁹' => char::from(b'4' + (c as u32 - '⁴' as u32) as u8),
            _ => '?',
        };
        let own = self.face.glyph_index(c);
        own.or_else(|| self.face.glyph_index(like))
            .unwrap_or_default()
    }

    fn scale(&self, size: f32) -> f32 {
        size / f32::from(self.face.units_per_em())
    }

    fn advance(&self, glyph: GlyphId) -> f32 {
        f32::from(self.face.glyph_hor_advance(glyph).unwrap_or(0))
    }

    /// How wide a text is.
    pub(super) fn width(&self, text: &str, size: f32) -> f32 {
        let advances = text.chars().map(|c| self.advance(self.glyph(c)));
        advances.sum::<f32>() * self.scale(size)
    }

    /// The outlines of a text that starts at `origin` on its base line.
    pub(super) fn outline(&self, text: &str, size: f32, origin: [f32; 2]) -> Option<Path> {
        let mut pen = Pen {
            path: PathBuilder::new(),
            scale: self.scale(size),
            origin,
        };
        for c in text.chars() {
            let glyph = self.glyph(c);
            self.face.outline_glyph(glyph, &mut pen);
            pen.origin[0] += self.advance(glyph) * pen.scale;
        }
        pen.path.finish()
    }
}

/// From the font's units, y upwards, to the picture's.
struct Pen {
    path: PathBuilder,
    scale: f32,
    origin: [f32; 2],
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> [f32; 2] {
        [
            self.origin[0] + x * self.scale,
            self.origin[1] - y * self.scale,
        ]
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.at(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let [x, y] = self.at(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ([x1, y1], [x, y]) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ([x1, y1], [x2, y2], [x, y]) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
