//! An energy over two dimensions with the data on it.

use super::axis::{Axis, drawable};
use super::figure::Figure;
use super::frame::{Frame, LAND};
use super::landscape::{SCALE, Walker, scale};
use super::text::escape;
use super::{heat, ways};

/// Energies this far above the lowest get the last colour: nothing is ever seen there.
const DEPTH: f64 = 10.0;
/// Rows that are drawn at most.
const SPOTS: usize = 500;

/// An energy on a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct EnergyMap {
    /// Heading of the picture.
    pub heading: String,
    /// Names of the horizontal and the vertical dimension.
    pub names: [String; 2],
    /// Ends of the horizontal and the vertical dimension.
    pub ranges: [[f64; 2]; 2],
    /// Points along either side.
    pub size: usize,
    /// Nats, row by row from the lowest vertical value, `[size × size]`.
    pub energy: Vec<f64>,
    /// Data to draw on it.
    pub points: Vec<[f64; 2]>,
}

/// The picture, light on white; `None` for a map that cannot be drawn.
pub(super) fn standalone(map: &EnergyMap) -> Option<String> {
    let sane = |[low, high]: [f64; 2]| drawable(low) && drawable(high) && low < high;
    let EnergyMap {
        size,
        energy,
        ranges,
        ..
    } = map;
    if *size < 2 || energy.len() != size * size || !ranges.iter().all(|r| sane(*r)) {
        return None;
    }
    let lowest = energy
        .iter()
        .copied()
        .filter(|e| drawable(*e))
        .fold(f64::INFINITY, f64::min);
    let highest = energy
        .iter()
        .copied()
        .filter(|e| drawable(*e))
        .fold(f64::NEG_INFINITY, f64::max);
    if lowest > highest {
        return None;
    }
    let high = highest.min(lowest + DEPTH).max(lowest + 1e-6);
    let axis = |[low, high]: [f64; 2], ticks| Axis::linear(low, high, ticks);
    let frame = Frame::new(
        LAND,
        axis(ranges[0], LAND.ticks[0]),
        axis(ranges[1], LAND.ticks[1]),
        SCALE,
    );
    let [left, right, top, bottom] = frame.area();
    let values: Vec<f32> = energy.iter().map(|e| *e as f32).collect();
    let image = heat::map(&values, *size, lowest, high)?;
    let every = map.points.len().div_ceil(SPOTS).max(1);
    let mut spots = String::new();
    for [x, y] in map.points.iter().step_by(every) {
        let [x, y] = [frame.px(*x), frame.py(*y)];
        if (left..right).contains(&x) && (top..bottom).contains(&y) {
            spots += &ways::spot(Walker::Expert, (10.0 * x) as i64, (10.0 * y) as i64);
        }
    }
    let [x_name, y_name] = map
        .names
        .clone()
        .map(|n| n.chars().take(40).collect::<String>());
    let content = format!(
        r#"{}<image x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}" preserveAspectRatio="none" href="{image}"/><path class="spot expert" d="{spots}"/>{}"#,
        frame.axes(&x_name, &y_name, false),
        right - left,
        bottom - top,
        scale(&frame, lowest, high, "−log p, nats"),
    );
    let figure = Figure {
        name: "landscape".into(),
        heading: map.heading.clone(),
        key: Vec::new(),
        size: LAND,
        plot: frame.svg(
            &format!("Energy over {} and {}", escape(&x_name), escape(&y_name)),
            &content,
        ),
        caption: String::new(),
    };
    Some(figure.standalone())
}
