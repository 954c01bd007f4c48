//! The colour palette of an animation: flat colours exactly, those of blurred edges approximately.

use std::collections::HashMap;

use super::colours::Rgb;

/// Maximum number of colours; one more index means "unchanged".
const COLOURS: usize = 127;
/// Number of most frequent colours kept exactly: areas, lines, text.
const EXACT: usize = 40;

/// Number of pixels of each colour.
#[derive(Debug, Default)]
pub(super) struct Histogram(HashMap<Rgb, u64>);

impl Histogram {
    /// Counts a picture's pixels.
    pub(super) fn add(&mut self, pixels: impl Iterator<Item = Rgb>) {
        // Neighbours are mostly equal: count runs.
        let mut run: Option<(Rgb, u64)> = None;
        for colour in pixels {
            match &mut run {
                Some((same, count)) if *same == colour => *count += 1,
                _ => {
                    self.flush(run);
                    run = Some((colour, 1));
                }
            }
        }
        self.flush(run);
    }

    fn flush(&mut self, run: Option<(Rgb, u64)>) {
        if let Some((colour, count)) = run {
            *self.0.entry(colour).or_default() += count;
        }
    }
}

/// A palette with the index of each colour of the histogram.
#[derive(Debug)]
pub(super) struct Palette {
    colours: Vec<Rgb>,
    index: HashMap<Rgb, u8>,
}

impl Palette {
    /// The most frequent colours exactly, the others by median cut (Heckbert 1982).
    pub(super) fn of(histogram: Histogram) -> Self {
        let mut counted: Vec<(Rgb, u64)> = histogram.0.into_iter().collect();
        counted.sort_by_key(|&(colour, count)| (std::cmp::Reverse(count), colour));
        let exact = if counted.len() <= COLOURS {
            counted.len()
        } else {
            EXACT
        };
        let rest = counted.split_off(exact);
        let mut boxes: Vec<Vec<(Rgb, u64)>> = counted.into_iter().map(|c| vec![c]).collect();
        boxes.extend(median_cut(rest, COLOURS - exact));
        let mut palette = Self {
            colours: Vec::new(),
            index: HashMap::new(),
        };
        for members in boxes {
            for (colour, _) in &members {
                palette.index.insert(*colour, palette.colours.len() as u8);
            }
            palette.colours.push(mean(&members));
        }
        palette
    }

    /// Red, green, blue of every colour, and one unused colour for [`Palette::unchanged`].
    pub(super) fn bytes(&self) -> Vec<u8> {
        self.colours
            .iter()
            .flatten()
            .copied()
            .chain([0; 3])
            .collect()
    }

    /// The index that leaves a pixel unchanged.
    pub(super) fn unchanged(&self) -> u8 {
        self.colours.len() as u8
    }

    /// The index of a colour of the histogram.
    pub(super) fn index(&self, colour: Rgb) -> u8 {
        self.index.get(&colour).copied().unwrap_or(0)
    }
}

/// Groups colours into at most `limit` boxes, repeatedly splitting the box with the largest spread at
/// its median pixel.
fn median_cut(colours: Vec<(Rgb, u64)>, limit: usize) -> Vec<Vec<(Rgb, u64)>> {
    let mut boxes = vec![colours];
    boxes.retain(|b| !b.is_empty());
    while boxes.len() < limit {
        let widest = (0..boxes.len())
            .map(|i| (i, spread(&boxes[i])))
            .max_by_key(|&(i, (_, spread))| (spread, std::cmp::Reverse(i)));
        let Some((i, (channel, 1..))) = widest else {
            break;
        };
        let mut members = boxes.swap_remove(i);
        members.sort_by_key(|&(colour, _)| (colour[channel], colour));
        let half = members.iter().map(|m| m.1).sum::<u64>() / 2;
        let mut below = 0;
        let cut = members.iter().position(|m| {
            below += m.1;
            below > half
        });
        let cut = cut.unwrap_or(0).clamp(1, members.len() - 1);
        let upper = members.split_off(cut);
        boxes.extend([members, upper]);
    }
    boxes
}

/// The channel in which colours differ most, and that difference times the square root of the pixel
/// count (the root, so that rare edges count).
fn spread(members: &[(Rgb, u64)]) -> (usize, u64) {
    let pixels: u64 = members.iter().map(|m| m.1).sum();
    let range = |channel: usize| {
        let values = members.iter().map(|m| u64::from(m.0[channel]));
        values.clone().max().unwrap_or(0) - values.min().unwrap_or(0)
    };
    let channel = (0..3).max_by_key(|&c| range(c)).unwrap_or(0);
    (channel, range(channel) * pixels.isqrt())
}

fn mean(members: &[(Rgb, u64)]) -> Rgb {
    let pixels = members.iter().map(|m| m.1).sum::<u64>().max(1);
    [0, 1, 2].map(|i| {
        let sum: u64 = members.iter().map(|m| u64::from(m.0[i]) * m.1).sum();
        ((sum + pixels / 2) / pixels) as u8
    })
}
