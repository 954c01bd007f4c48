//! Colours of a map, and the map as a picture in a data address.

use tiny_skia::{Pixmap, PremultipliedColorU8};

/// Bands of equal colour: what lies between two is read off the scale beside the map.
pub(super) const BANDS: usize = 24;
/// Pixels of a map along either side.
const PIXELS: u32 = 144;

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

/// The colour of a band.
pub(super) fn colour(band: usize) -> [u8; 3] {
    let at = band.min(BANDS - 1) as f64 / (BANDS - 1) as f64 * (VIRIDIS.len() - 1) as f64;
    let i = (at as usize).min(VIRIDIS.len() - 2);
    let t = at - i as f64;
    std::array::from_fn(|c| {
        let [a, b] = [VIRIDIS[i][c], VIRIDIS[i + 1][c]].map(f64::from);
        (a + t * (b - a)).round() as u8
    })
}

/// A square grid of values, the first row at the bottom, as a PNG in a data address. Between the grid's
/// points values are interpolated; `low` and `high` are the ends of the colours.
pub(super) fn map(values: &[f32], size: usize, low: f64, high: f64) -> Option<String> {
    let mut pixels = Pixmap::new(PIXELS, PIXELS)?;
    let value = |column: usize, row: usize| f64::from(values[row * size + column]);
    // From a pixel's centre to the grid's points.
    let place = |p: f64| {
        let at = (p + 0.5) / f64::from(PIXELS) * (size - 1) as f64;
        let i = (at as usize).min(size - 2);
        (i, at - i as f64)
    };
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
    let png = pixels.encode_png().ok()?;
    Some(format!("data:image/png;base64,{}", base64(&png)))
}

/// RFC 4648 with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { digit as char } else { '=' });
        }
    }
    out
}

/// The bytes of [`base64`]; `None` for anything else.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| -> Option<u32> {
        Some(u32::from(match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        }))
    };
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for chunk in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut word = 0;
        for i in 0..4 {
            word = word << 6 | chunk.get(i).map_or(Some(0), |c| digit(*c))?;
        }
        let bytes = [(word >> 16) as u8, (word >> 8) as u8, word as u8];
        out.extend(&bytes[..chunk.len().saturating_sub(1)]);
    }
    Some(out)
}
