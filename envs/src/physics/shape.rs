//! Outlines as rapier shapes, mass properties, and pictures.

use rapier2d::prelude::*;

use crate::model::{Body, Part, Shape};
use crate::scene;

pub(super) fn vector([x, y]: [f64; 2]) -> Vector {
    Vector::new(x as f32, y as f32)
}

/// The outline as a rapier collision shape.
pub(super) fn collision_shape(shape: &Shape) -> Result<SharedShape, String> {
    Ok(match shape {
        Shape::Box { width_m, height_m } => {
            SharedShape::cuboid(*width_m as f32 / 2.0, *height_m as f32 / 2.0)
        }
        Shape::Rod { length_m, radius_m } | Shape::Capsule { length_m, radius_m } => {
            SharedShape::capsule_y(*length_m as f32 / 2.0, *radius_m as f32)
        }
        Shape::Circle { radius_m } => SharedShape::ball(*radius_m as f32),
        Shape::Polygon { points_m } => convex(points_m)?,
        Shape::Compound { parts } => {
            let part = |part: &Part| Ok((pose(part), collision_shape(&part.shape)?));
            SharedShape::compound(parts.iter().map(part).collect::<Result<_, String>>()?)
        }
        Shape::Terrain { .. } => {
            let piece = |corners: [[f64; 2]; 4]| Ok((Pose::IDENTITY, convex(&corners)?));
            let pieces = terrain_pieces(shape).map(piece);
            SharedShape::compound(pieces.collect::<Result<_, String>>()?)
        }
    })
}

/// A terrain's surface as rays from above meet it, and where it lies in the terrain's frame: rays
/// walk from cell to cell of a height field, much faster than through the pieces that collide.
pub(super) fn surface(shape: &Shape) -> Option<(Pose, SharedShape)> {
    let Shape::Terrain {
        spacing_m,
        heights_m,
        ..
    } = shape
    else {
        return None;
    };
    let width = spacing_m * (heights_m.len() - 1) as f64;
    let heights = heights_m.iter().map(|h| *h as f32).collect();
    Some((
        Pose::from_translation(vector([width / 2.0, 0.0])),
        SharedShape::heightfield(heights, vector([width, 1.0])),
    ))
}

fn convex(corners: &[[f64; 2]]) -> Result<SharedShape, String> {
    let points = corners.iter().map(|p| vector(*p)).collect();
    SharedShape::convex_polyline(points)
        .ok_or_else(|| "points_m: the corners are too close to a line".into())
}

fn pose(part: &Part) -> Pose {
    Pose::new(vector(part.position_m), part.angle_rad as f32)
}

/// The trapezes between the heights of a terrain, counter-clockwise.
fn terrain_pieces(shape: &Shape) -> impl Iterator<Item = [[f64; 2]; 4]> {
    let (spacing, heights, bottom) = match shape {
        Shape::Terrain {
            spacing_m,
            heights_m,
            depth_m,
        } => (*spacing_m, heights_m.as_slice(), -depth_m),
        _ => (1.0, [].as_slice(), 0.0),
    };
    heights.windows(2).enumerate().map(move |(i, pair)| {
        let (left, right) = (i as f64 * spacing, (i + 1) as f64 * spacing);
        [
            [left, bottom],
            [right, bottom],
            [right, pair[1]],
            [left, pair[0]],
        ]
    })
}

/// Mass, centre of mass and inertia of a body.
pub(super) fn mass_properties(body: &Body) -> Result<MassProperties, String> {
    let mass = |area: f64| match (body.mass_kg, body.density_kg_m2) {
        (Some(mass), _) => mass,
        (None, density) => density.unwrap_or(1.0) * area,
    };
    if let Shape::Rod { length_m, radius_m } = body.shape {
        let mass = mass(length_m * 2.0 * radius_m);
        let inertia = mass * length_m * length_m / 12.0;
        return Ok(MassProperties::new(
            Vector::ZERO,
            mass as f32,
            inertia as f32,
        ));
    }
    let mut properties = collision_shape(&body.shape)?.mass_properties(1.0);
    let mass = mass(f64::from(properties.mass()));
    properties.set_mass(mass as f32, true);
    Ok(properties)
}

/// The outline at a pose, for pictures.
pub(super) fn drawn(shape: &Shape, pose: &Pose) -> Vec<scene::Shape> {
    let at = |x: f64, y: f64| {
        let p = pose.transform_point(vector([x, y]));
        [p.x, p.y]
    };
    let polygon = |corners: &[[f64; 2]]| scene::Shape::Polygon {
        points: corners.iter().map(|p| at(p[0], p[1])).collect(),
    };
    vec![match shape {
        Shape::Box { width_m, height_m } => {
            let (x, y) = (width_m / 2.0, height_m / 2.0);
            polygon(&[[-x, -y], [x, -y], [x, y], [-x, y]])
        }
        Shape::Rod { length_m, radius_m } | Shape::Capsule { length_m, radius_m } => {
            let y = length_m / 2.0;
            scene::Shape::Capsule {
                from: at(0.0, -y),
                to: at(0.0, y),
                radius: *radius_m as f32,
            }
        }
        Shape::Circle { radius_m } => scene::Shape::Circle {
            centre: at(0.0, 0.0),
            radius: *radius_m as f32,
        },
        Shape::Polygon { points_m } => polygon(points_m),
        Shape::Compound { parts } => {
            let part = |part: &Part| drawn(&part.shape, &(*pose * self::pose(part)));
            return parts.iter().flat_map(part).collect();
        }
        Shape::Terrain {
            spacing_m,
            heights_m,
            depth_m,
        } => {
            let surface = heights_m.iter().enumerate().rev();
            let mut corners: Vec<[f64; 2]> = surface
                .map(|(i, height)| [i as f64 * spacing_m, *height])
                .collect();
            corners.push([0.0, -depth_m]);
            corners.push([(heights_m.len() - 1) as f64 * spacing_m, -depth_m]);
            polygon(&corners)
        }
    }]
}
