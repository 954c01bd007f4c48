//! Scenes as shapes, for pictures and the web page.

use serde::{Deserialize, Serialize};

/// The role of a shape; renderers choose colours by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Moving part of the agent.
    Body,
    /// Second moving part, drawn in contrast (pole on a cart, shin on a thigh).
    Limb,
    /// Immovable ground, rail or wall.
    Ground,
    /// An obstacle.
    Obstacle,
    /// The agent's goal.
    Target,
    /// A joint or hinge mark.
    Joint,
}

/// A shape in world coordinates, metres.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// A disc.
    Circle {
        /// Its middle.
        centre: [f32; 2],
        /// Its radius.
        radius: f32,
    },
    /// A closed polygon.
    Polygon {
        /// Its corners, in order.
        points: Vec<[f32; 2]>,
    },
    /// A thick line with round ends.
    Capsule {
        /// Centre of one end.
        from: [f32; 2],
        /// Centre of the other end.
        to: [f32; 2],
        /// Half the thickness.
        radius: f32,
    },
}

/// A shape with its role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its role.
    pub role: Role,
    /// Its outline.
    pub shape: Shape,
}

/// A picture of a state: shapes in drawing order within a view.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Lower-left corner of the view, metres.
    pub view_low: [f32; 2],
    /// Upper-right corner of the view, metres.
    pub view_high: [f32; 2],
    /// Shapes, drawn in order.
    pub items: Vec<Item>,
}
