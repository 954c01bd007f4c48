//! A map of an energy over two dimensions, overlaid with data.

use super::axis::drawable;
use super::figure::Figure;
use super::frame::LAND;
use super::heat::Map;
use super::landscape::Walker;
use super::ways;

/// Energies this far above the lowest get the last colour: practically no data lies there.
const DEPTH: f64 = 10.0;
/// Maximum number of rows drawn.
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
    /// Points per side.
    pub size: usize,
    /// Nats, row by row from the lowest vertical value, `[size × size]`.
    pub energy: Vec<f64>,
    /// Data to draw on it.
    pub points: Vec<[f64; 2]>,
}

/// An energy over two dimensions as a standalone SVG with its own background; `None` for a map that cannot be drawn.
pub fn energy_map_svg(map: &EnergyMap) -> Option<String> {
    let energies = || map.energy.iter().copied().filter(|e| drawable(*e));
    let lowest = energies().reduce(f64::min)?;
    let highest = energies().reduce(f64::max)?;
    let high = highest.min(lowest + DEPTH).max(lowest + 1e-6);
    let values: Vec<f32> = map.energy.iter().map(|e| *e as f32).collect();
    let names = map.names.clone();
    let names = names.map(|n| n.chars().take(40).collect::<String>());
    let drawn = Map {
        names: [&names[0], &names[1]],
        ranges: map.ranges,
        size: map.size,
        values: &values,
        colours: [lowest, high],
        meaning: "−log p, nats",
    };
    let frame = drawn.frame()?;
    let every = map.points.len().div_ceil(SPOTS).max(1);
    let places = map.points.iter().step_by(every).map(|p| frame.at(*p));
    let spots: String = places
        .filter(|p| frame.holds(*p))
        .map(|p| ways::spot(Walker::Expert, p.map(|v| (10.0 * v) as i64)))
        .collect();
    let spots = format!(r#"<path class="spot expert" d="{spots}"/>"#);
    let plot = drawn.plot(&frame, "Energy", &spots)?;
    Some(Figure::new("landscape", &map.heading, LAND, plot).standalone())
}
