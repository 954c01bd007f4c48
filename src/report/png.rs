//! SVG as PNG, by resvg with the built-in Noto Sans: pictures look the same whatever fonts are installed.

use std::sync::{Arc, LazyLock};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::Database;
use resvg::usvg::{Options, Tree};

use crate::picture::PictureError;

/// Pixels per SVG unit: sharp on paper and on high-density screens.
const SCALE: f32 = 2.0;
/// Maximum pixels per side.
const LARGEST: f32 = 16_000.0;
/// Name of the built-in font, also the fallback for missing ones.
const FONT: &str = "Noto Sans";

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(notosans::REGULAR_TTF.to_vec());
    fonts.load_font_data(notosans::BOLD_TTF.to_vec());
    fonts.set_sans_serif_family(FONT);
    Arc::new(fonts)
});

/// A standalone picture of this report as PNG, two pixels per unit.
///
/// Errors: invalid SVG; a picture too large.
pub fn png(svg: &str) -> Result<Vec<u8>, PictureError> {
    let refused = |e: String| PictureError::Encoding(e);
    let options = Options {
        font_family: FONT.into(),
        fontdb: FONTS.clone(),
        ..Options::default()
    };
    let drawn: String = svg.chars().map(in_font).collect();
    let tree = Tree::from_str(&drawn, &options).map_err(|e| refused(e.to_string()))?;
    let size = tree.size();
    let [width, height] = [size.width(), size.height()].map(|v| (v * SCALE).ceil());
    let mut pixels = Some((width, height))
        .filter(|(w, h)| w.max(*h) < LARGEST)
        .and_then(|(w, h)| Pixmap::new(w as u32, h as u32))
        .ok_or_else(|| refused(format!("{width} × {height} pixels are too many")))?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    pixels.encode_png().map_err(|e| refused(e.to_string()))
}

/// Replaces characters that the font lacks by the most similar ones.
fn in_font(c: char) -> char {
    match c {
        '‑' => '-',
        '⁻' => '¯',
        other => other,
    }
}
