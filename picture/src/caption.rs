//! The caption below the scene: progress bar; time, step and cost so far.

use costate_base::number::plain_beside;

use super::Film;
use super::canvas::{Canvas, TextSize};
use super::colours;

/// The caption of a film's pictures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caption {
    text: TextSize,
    /// Height of the progress bar, pixels.
    bar: u32,
    /// Characters of the longest time, step and cost.
    widest: [usize; 3],
}

impl Caption {
    /// A caption for pictures whose longer side has `size` pixels.
    pub(super) fn new(film: &Film, size: u32) -> Self {
        let end = film.steps();
        let costs = (0..=end).map(|t| cost_text(film, t).len());
        Self {
            text: TextSize::of(size),
            bar: (size / 150).clamp(2, 8),
            widest: [
                time_text(film, end).len(),
                steps_text(end).len(),
                costs.max().unwrap_or(0),
            ],
        }
    }

    /// Its height, pixels.
    pub(super) fn height(&self) -> u32 {
        self.text.height() + 2 * self.bar
    }

    /// Draws it at the foot of a picture of `width` × `height` pixels.
    pub(super) fn draw(&self, canvas: &mut Canvas, film: &Film, step: usize, size: [u32; 2]) {
        let [width, height] = size;
        let top = height - self.height();
        let mut fill = |width: u32, height: u32, colour| {
            let [top, width, height] = [top, width, height].map(i64::from);
            canvas.rectangle(0, top, width, height, colour);
        };
        fill(width, self.height(), colours::PAPER);
        fill(width, self.bar, colours::RULE);
        let passed = step as f64 / film.steps().max(1) as f64;
        fill((f64::from(width) * passed) as u32, self.bar, colours::INK);

        let character = self.text.char_width();
        let room = (width / character).saturating_sub(2) as usize;
        // Only what fits at its widest, so that nothing appears and disappears midway.
        let [time, steps, cost] = self.widest;
        let mut left = String::new();
        let mut right = String::new();
        if time <= room {
            left = time_text(film, step);
        }
        if time + 2 + cost <= room {
            right = cost_text(film, step);
        }
        if time + 2 + steps + 2 + cost <= room {
            left = format!("{left}  {}", steps_text(step));
        }
        let y = top + self.bar + self.bar / 2;
        canvas.text(character, y, &left, self.text, colours::INK);
        let x = width.saturating_sub(character * (1 + right.len() as u32));
        canvas.text(x, y, &right, self.text, colours::INK);
    }
}

fn time_text(film: &Film, step: usize) -> String {
    format!("{:.2} s", film.time(step))
}

fn steps_text(step: usize) -> String {
    format!("step {step}")
}

/// The cost so far, with decimals that suit the film's largest: usually the last, as costs add up.
fn cost_text(film: &Film, step: usize) -> String {
    let greatest = film.total_cost(film.steps());
    format!("cost {}", plain_beside(film.total_cost(step), greatest))
}
