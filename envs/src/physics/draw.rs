//! What a world looks like.

use rapier2d::prelude::*;

use super::Physics;
use super::shape::{drawn, vector};
use crate::scene::{Item, Role, Shape};

impl Physics {
    /// Scenery, then bodies in the model's order, then hinges.
    pub fn draw(&self, items: &mut Vec<Item>) {
        let blueprint = self.blueprint();
        for item in &blueprint.model.scenery {
            let pose = Pose::new(vector(item.position_m), item.angle_rad as f32);
            push(items, item.role, drawn(&item.shape, &pose));
        }
        for body in &blueprint.bodies {
            let pose = self.parts.bodies[body.handle].position();
            push(items, body.role, drawn(&body.shape, pose));
        }
        for hinge in &blueprint.hinges {
            let centre = self.pose(hinge.child).transform_point(hinge.point);
            items.push(Item {
                role: Role::Joint,
                shape: Shape::Circle {
                    centre: [centre.x, centre.y],
                    radius: hinge.radius,
                },
            });
        }
    }
}

fn push(items: &mut Vec<Item>, role: Role, shapes: Vec<Shape>) {
    items.extend(shapes.into_iter().map(|shape| Item { role, shape }));
}
