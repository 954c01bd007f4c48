//! Films as GIF, in real time.

use std::borrow::Cow;

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::palette::{Histogram, Palette};
use super::stage::Stage;
use super::{Film, PictureError};

/// Maximum frames per second.
const FRAME_RATE: f64 = 30.0;
/// Duration of the last frame before the film restarts, hundredths of a second.
const HOLD_CS: u64 = 100;

/// A looping animated GIF.
#[derive(Debug, Clone, PartialEq)]
pub struct Animation {
    /// The file.
    pub bytes: Vec<u8>,
    /// Number of frames.
    pub frames: usize,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Seconds from the first frame to the end of the last, which is held for one second.
    pub seconds: f64,
    /// Metres between the lines of the grid.
    pub grid_m: f64,
}

/// Animates a film; the longer side has `size` pixels.
///
/// Frame times are the simulation's divided by `speed`, to a hundredth of a second, without drift;
/// control steps beyond 30 frames a second are left out. `progress` receives (frames done, frames).
pub fn animate(
    film: &Film,
    size: u32,
    speed: f64,
    mut progress: impl FnMut(usize, usize),
) -> Result<Animation, PictureError> {
    if !(speed.is_finite() && speed > 0.0) {
        return Err(PictureError::Speed(speed));
    }
    let stage = Stage::new(film, size)?;
    let schedule = schedule(film, speed);
    // Pictures are drawn twice, once for their colours, to avoid keeping all in memory.
    let total = schedule.len();
    let mut histogram = Histogram::default();
    for (i, &(step, _)) in schedule.iter().enumerate() {
        histogram.add(stage.frame(step)?.rgb());
        progress(i.div_ceil(2), total);
    }
    let palette = Palette::of(histogram);
    let (width, height) = (stage.width as u16, stage.height as u16);
    let refused = |e: gif::EncodingError| PictureError::Encoding(e.to_string());
    let mut encoder = Encoder::new(Vec::new(), width, height, &palette.bytes()).map_err(refused)?;
    encoder.set_repeat(Repeat::Infinite).map_err(refused)?;
    let mut before: Option<Vec<u8>> = None;
    let mut delays = 0;
    for (i, &(step, delay)) in schedule.iter().enumerate() {
        let now: Vec<u8> = stage.frame(step)?.rgb().map(|c| palette.index(c)).collect();
        let mut frame = changes(before.as_deref(), &now, width, palette.unchanged());
        frame.delay = delay;
        encoder.write_frame(&frame).map_err(refused)?;
        delays += u64::from(delay);
        before = Some(now);
        progress((total + i).div_ceil(2), total);
    }
    Ok(Animation {
        bytes: encoder
            .into_inner()
            .map_err(|e| PictureError::Encoding(e.to_string()))?,
        frames: schedule.len(),
        width: stage.width,
        height: stage.height,
        seconds: delays as f64 / 100.0,
        grid_m: stage.grid_m,
    })
}

/// The steps to show with their durations, hundredths of a second.
fn schedule(film: &Film, speed: f64) -> Vec<(usize, u16)> {
    let period = film.control_period_s / speed;
    // Slightly less, so that rounding does not halve a rate of exactly 30.
    let stride = (1.0 / (FRAME_RATE * period) - 1e-9).ceil().max(1.0) as usize;
    let mut steps: Vec<usize> = (0..film.steps()).step_by(stride).collect();
    steps.push(film.steps());
    let tick = |step: usize| (100.0 * step as f64 * period).round() as u64;
    let delay = |i: usize| match steps.get(i + 1) {
        Some(&next) => tick(next) - tick(steps[i]),
        None => HOLD_CS,
    };
    (0..steps.len())
        .map(|i| (steps[i], delay(i).try_into().unwrap_or(u16::MAX)))
        .collect()
}

/// The rectangle of `now` that differs from `before`, with unchanged pixels in it left out.
fn changes(before: Option<&[u8]>, now: &[u8], width: u16, unchanged: u8) -> Frame<'static> {
    let wide = usize::from(width);
    let differs = |i: usize| before.is_none_or(|b| b[i] != now[i]);
    let (mut left, mut right, mut top, mut bottom) = (wide, 0, now.len() / wide, 0);
    for i in (0..now.len()).filter(|&i| differs(i)) {
        let (x, y) = (i % wide, i / wide);
        (left, right) = (left.min(x), right.max(x + 1));
        (top, bottom) = (top.min(y), bottom.max(y + 1));
    }
    if right == 0 {
        // Nothing moved, but a frame needs at least one pixel.
        (left, right, top, bottom) = (0, 1, 0, 1);
    }
    let mut buffer = Vec::with_capacity((right - left) * (bottom - top));
    for y in top..bottom {
        let row = (y * wide + left)..(y * wide + right);
        buffer.extend(row.map(|i| if differs(i) { now[i] } else { unchanged }));
    }
    Frame {
        dispose: DisposalMethod::Keep,
        transparent: Some(unchanged),
        left: left as u16,
        top: top as u16,
        width: (right - left) as u16,
        height: (bottom - top) as u16,
        buffer: Cow::Owned(buffer),
        ..Frame::default()
    }
}
