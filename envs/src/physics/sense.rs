//! What tasks sense beyond coordinates: contacts and distances.

use rapier2d::parry::query::Ray;
use rapier2d::prelude::*;

use super::Physics;
use super::blueprint::BodyId;

impl Physics {
    /// Magnitude of the contact forces on a body, summed over its contacts in the last simulator
    /// step, newtons; 0 before the first step and for bodies that do not collide.
    pub fn contact_force(&self, body: BodyId) -> f32 {
        let Some(collider) = self.blueprint.bodies[body.0].collider else {
            return 0.0;
        };
        let pairs = self.parts.narrow_phase.contact_pairs_with(collider);
        let impulse: f32 = pairs.map(|pair| pair.total_impulse_magnitude()).sum();
        impulse / self.blueprint.parameters.dt
    }

    /// Whether a body pressed against anything in the last simulator step.
    pub fn touches(&self, body: BodyId) -> bool {
        self.contact_force(body) > 0.0
    }

    /// Depth of the deepest contact in the last simulator step, metres; 0 without contacts.
    pub fn penetration(&self) -> f32 {
        let pairs = self.parts.narrow_phase.contact_pairs();
        pairs
            .filter_map(|pair| pair.find_deepest_contact())
            .map(|(_, contact)| -contact.dist)
            .fold(0.0, f32::max)
    }

    /// Distance from `origin` along the unit vector `direction` to the nearest solid scenery,
    /// metres; `reach` where there is none nearer.
    pub fn distance_to_scenery(&self, origin: [f32; 2], direction: [f32; 2], reach: f32) -> f32 {
        let ray = Ray::new(Vector::from_array(origin), Vector::from_array(direction));
        self.blueprint
            .surroundings
            .iter()
            .filter_map(|(pose, shape)| shape.cast_ray(pose, &ray, reach, true))
            .fold(reach, f32::min)
    }
}
