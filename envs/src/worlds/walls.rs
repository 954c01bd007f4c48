//! Walls that are boxes: the space between them.

use crate::model::{Checks, Scenery, Shape};
use crate::physics::Blueprint;

/// Lower-left and upper-right corner of a box of scenery.
pub fn corners(item: &Scenery) -> Result<[[f64; 2]; 2], String> {
    match item.shape {
        Shape::Box { width_m, height_m } if item.angle_rad == 0.0 => {
            let half = [width_m / 2.0, height_m / 2.0];
            let corner = |sign: f64| [0, 1].map(|i| item.position_m[i] + sign * half[i]);
            Ok([corner(-1.0), corner(1.0)])
        }
        _ => Err(format!(
            "scenery.{}: the task needs a box that is not turned",
            item.name
        )),
    }
}

/// Lower-left and upper-right corner of the space between `left_wall`, `right_wall`, `bottom_wall` and
/// `top_wall`.
pub(super) fn arena(blueprint: &Blueprint) -> Result<[[f64; 2]; 2], String> {
    let wall = |name| corners(blueprint.scenery(name)?);
    let low = [wall("left_wall")?[1][0], wall("bottom_wall")?[1][1]];
    let high = [wall("right_wall")?[0][0], wall("top_wall")?[0][1]];
    for axis in 0..2 {
        Checks::ordered(
            "scenery: the space between the walls",
            [low[axis], high[axis]],
        )?;
    }
    Ok([low, high])
}

/// Whether a point lies in the space between `low` and `high`.
pub(super) fn inside([low, high]: [[f64; 2]; 2], place: [f64; 2]) -> bool {
    (0..2).all(|i| low[i] < place[i] && place[i] < high[i])
}
