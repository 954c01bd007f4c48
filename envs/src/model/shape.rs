//! Outlines, and points on them by name, so that a length is a single parameter.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The outline of a body or of scenery, centred on its frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// An axis-aligned rectangle.
    Box {
        /// Extent along x.
        width_m: f64,
        /// Extent along y.
        height_m: f64,
    },
    /// A thin uniform rod along y: inertia m·length²/12. It touches and is drawn as a capsule.
    Rod {
        /// Distance between its ends.
        length_m: f64,
        /// Half its thickness in contacts and pictures.
        radius_m: f64,
    },
    /// A capsule along y, its mass spread over its area.
    Capsule {
        /// Distance between the centres of its round ends.
        length_m: f64,
        /// Radius of its ends.
        radius_m: f64,
    },
    /// A disc.
    Circle {
        /// Its radius.
        radius_m: f64,
    },
    /// Several shapes that move as one; the frame is the file's own, not the centre of mass.
    Compound {
        /// The shapes; not compounds themselves.
        parts: Vec<Part>,
    },
    /// Solid ground under straight pieces between heights, the first at the frame's origin, the
    /// others to the right of it. For scenery.
    Terrain {
        /// Horizontal distance of neighbouring heights.
        spacing_m: f64,
        /// Height of the surface over the frame.
        heights_m: Vec<f64>,
        /// Depth of the ground below the frame.
        depth_m: f64,
    },
    /// A convex polygon.
    Polygon {
        /// Its corners, counter-clockwise.
        points_m: Vec<[f64; 2]>,
    },
}

/// A shape within a [`Shape::Compound`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Outline.
    pub shape: Shape,
    /// Position of its centre in the compound's frame.
    pub position_m: [f64; 2],
    /// Its orientation, counter-clockwise.
    #[serde(default)]
    pub angle_rad: f64,
}

impl Shape {
    /// Greatest distance of its points from the frame's origin, metres.
    pub fn reach(&self) -> f64 {
        match self {
            Shape::Box { width_m, height_m } => 0.5 * width_m.hypot(*height_m),
            Shape::Rod { length_m, radius_m } | Shape::Capsule { length_m, radius_m } => {
                0.5 * length_m + radius_m
            }
            Shape::Circle { radius_m } => *radius_m,
            Shape::Compound { parts } => parts.iter().fold(0.0, |most, part| {
                let [x, y] = part.position_m;
                f64::max(most, x.hypot(y) + part.shape.reach())
            }),
            Shape::Terrain {
                spacing_m,
                heights_m,
                depth_m,
            } => {
                let width = spacing_m * heights_m.len().saturating_sub(1) as f64;
                let height = heights_m.iter().fold(*depth_m, |all, h| all.max(h.abs()));
                width.hypot(height)
            }
            Shape::Polygon { points_m } => points_m
                .iter()
                .fold(0.0, |most, [x, y]| most.max(x.hypot(*y))),
        }
    }

    /// Position of a point in the shape's frame, metres; `None` if the shape has no such point.
    pub fn locate(&self, point: &Point) -> Option<[f64; 2]> {
        let name = match point {
            Point::At(at) => return Some(*at),
            Point::Named(name) => name,
        };
        match (name, self) {
            (PointName::Centre, _) => Some([0.0, 0.0]),
            (PointName::Start, Shape::Rod { length_m, .. } | Shape::Capsule { length_m, .. }) => {
                Some([0.0, -length_m / 2.0])
            }
            (PointName::End, Shape::Rod { length_m, .. } | Shape::Capsule { length_m, .. }) => {
                Some([0.0, length_m / 2.0])
            }
            (PointName::Left, Shape::Box { width_m, .. }) => Some([-width_m / 2.0, 0.0]),
            (PointName::Right, Shape::Box { width_m, .. }) => Some([width_m / 2.0, 0.0]),
            (PointName::Bottom, Shape::Box { height_m, .. }) => Some([0.0, -height_m / 2.0]),
            (PointName::Top, Shape::Box { height_m, .. }) => Some([0.0, height_m / 2.0]),
            _ => None,
        }
    }
}

/// A point on a body: by name, or by coordinates in the body's frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Point {
    /// By name.
    Named(PointName),
    /// By coordinates, metres.
    At([f64; 2]),
}

impl Default for Point {
    fn default() -> Self {
        Point::Named(PointName::Centre)
    }
}

/// Points that shapes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PointName {
    /// Origin of the frame; of the world as well.
    Centre,
    /// Lower end of a rod or capsule.
    Start,
    /// Upper end of a rod or capsule.
    End,
    /// Middle of a box's left side.
    Left,
    /// Middle of a box's right side.
    Right,
    /// Middle of a box's bottom.
    Bottom,
    /// Middle of a box's top.
    Top,
}

impl TryFrom<Value> for Point {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let point = match &value {
            Value::String(_) => serde_json::from_value(value.clone()).ok().map(Point::Named),
            _ => serde_json::from_value(value.clone()).ok().map(Point::At),
        };
        point.ok_or_else(|| {
            format!(
                "{value} is not a point, expected [x, y] in metres or one of \"centre\", \"start\", \"end\", \"left\", \"right\", \"bottom\", \"top\""
            )
        })
    }
}

impl From<Point> for Value {
    fn from(point: Point) -> Value {
        match point {
            Point::Named(name) => serde_json::json!(name),
            Point::At(at) => serde_json::json!(at),
        }
    }
}
