//! Outlines as rapier shapes, mass properties, and pictures.

use rapier2d::prelude::*;

use crate::model::{Body, Shape};
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
        Shape::Polygon { points_m } => {
            let points = points_m.iter().map(|p| vector(*p)).collect();
            SharedShape::convex_polyline(points)
                .ok_or("points_m: the corners are too close to a line")?
        }
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
pub(super) fn drawn(shape: &Shape, pose: &Pose) -> scene::Shape {
    let at = |x: f32, y: f32| {
        let p = pose.transform_point(Vector::new(x, y));
        [p.x, p.y]
    };
    match shape {
        Shape::Box { width_m, height_m } => {
            let (x, y) = (*width_m as f32 / 2.0, *height_m as f32 / 2.0);
            scene::Shape::Polygon {
                points: vec![at(-x, -y), at(x, -y), at(x, y), at(-x, y)],
            }
        }
        Shape::Rod { length_m, radius_m } | Shape::Capsule { length_m, radius_m } => {
            let y = *length_m as f32 / 2.0;
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
        Shape::Polygon { points_m } => scene::Shape::Polygon {
            points: points_m
                .iter()
                .map(|p| at(p[0] as f32, p[1] as f32))
                .collect(),
        },
    }
}
