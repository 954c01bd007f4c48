//! The outline of a block made of boxes: positions to push at, and distances.

use costate_envs::model::Shape;
use nalgebra::{Rotation2, Vector2};

/// A point on an outline, in the block's frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contact {
    pub point: Vector2<f64>,
    /// Unit vector outwards.
    pub normal: Vector2<f64>,
}

/// A union of boxes.
#[derive(Debug, Clone)]
pub(super) struct Outline(Vec<Part>);

#[derive(Debug, Clone)]
struct Part {
    centre: Vector2<f64>,
    turn: Rotation2<f64>,
    half: Vector2<f64>,
}

impl Outline {
    /// The outline of a box or a compound of boxes.
    pub fn of(shape: &Shape) -> Result<Self, String> {
        let part = |shape: &Shape, centre: [f64; 2], angle: f64| match shape {
            Shape::Box { width_m, height_m } => Ok(Part {
                centre: centre.into(),
                turn: Rotation2::new(angle),
                half: Vector2::new(width_m / 2.0, height_m / 2.0),
            }),
            _ => Err("it needs a block made of boxes".to_owned()),
        };
        match shape {
            Shape::Compound { parts } => parts
                .iter()
                .map(|p| part(&p.shape, p.position_m, p.angle_rad))
                .collect::<Result<_, _>>()
                .map(Self),
            shape => Ok(Self(vec![part(shape, [0.0; 2], 0.0)?])),
        }
    }

    /// Distance of `place` from the outline; 0 within.
    pub fn distance(&self, place: Vector2<f64>) -> f64 {
        let distances = self.0.iter().map(|part| {
            let local = part.turn.inverse() * (place - part.centre);
            (local.abs() - part.half).sup(&Vector2::zeros()).norm()
        });
        distances.fold(f64::INFINITY, f64::min)
    }

    /// Minimum distance of the straight line from `a` to `b` to the outline, sampled every centimetre.
    pub fn distance_of_way(&self, a: Vector2<f64>, b: Vector2<f64>) -> f64 {
        let pieces = ((b - a).norm() / 0.01).ceil().max(1.0);
        let at = |i: usize| a + (b - a) * (i as f64 / pieces);
        (0..=pieces as usize)
            .map(|i| self.distance(at(i)))
            .fold(f64::INFINITY, f64::min)
    }

    /// Greatest distance of a corner from the frame's origin.
    pub fn radius(&self) -> f64 {
        let corners = self.0.iter().flat_map(|part| {
            [(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)].map(|(x, y)| {
                part.centre + part.turn * part.half.component_mul(&Vector2::new(x, y))
            })
        });
        corners.map(|c| c.norm()).fold(0.0, f64::max)
    }

    /// Points at most `spacing` apart where a disc of `radius` can touch the outline.
    pub fn contacts(&self, spacing: f64, radius: f64) -> Vec<Contact> {
        let mut contacts = Vec::new();
        for part in &self.0 {
            for (axis, sign) in [(0, 1.0), (0, -1.0), (1, 1.0), (1, -1.0)] {
                let (across, half) = (1 - axis, part.half);
                let count = (2.0 * half[across] / spacing).ceil().max(1.0) as usize;
                for i in 0..count {
                    let mut point = Vector2::zeros();
                    point[axis] = sign * half[axis];
                    point[across] = half[across] * ((2 * i + 1) as f64 / count as f64 - 1.0);
                    let mut normal = Vector2::zeros();
                    normal[axis] = sign;
                    let contact = Contact {
                        point: part.centre + part.turn * point,
                        normal: part.turn * normal,
                    };
                    // Another part may be in the way.
                    if self.distance(contact.point + contact.normal * radius) > 0.99 * radius {
                        contacts.push(contact);
                    }
                }
            }
        }
        contacts
    }
}
