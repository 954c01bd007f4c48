//! A simulated world: rapier2d behind generalised coordinates and actuator commands.
//!
//! [`Blueprint::new`] is the only place where a model becomes rapier objects. A [`Physics`] is one
//! running copy of a blueprint; it starts every episode from a clone of the blueprint's untouched
//! world, because setting body states after contacts is not exact to the bit.

mod blueprint;
mod build;
mod draw;
mod joints;
mod sense;
mod shape;
mod snapshot;

use std::sync::Arc;

use rapier2d::prelude::*;

pub use blueprint::{Blueprint, BodyId, JointId};
pub use snapshot::{RAPIER_VERSION, Snapshot, SnapshotError};

use blueprint::{Drive, Source};
use snapshot::{Parts, State};

use crate::model::Frame;

/// Coordinates beyond this (m, rad) mean that the simulation has diverged.
const FAR: f32 = 1e6;

/// The simulation left the range of finite numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the simulation diverged")]
pub struct Diverged;

/// A running world.
pub struct Physics {
    blueprint: Arc<Blueprint>,
    parts: Parts,
    // Workspaces of rapier without state of their own.
    pipeline: PhysicsPipeline,
    ccd: CCDSolver,
    /// Positions, then velocities: `[2 · dofs]`.
    coordinates: Vec<f32>,
    /// Whether a step was taken since the coordinates were set.
    stepped: bool,
}

impl Physics {
    /// A world at coordinates zero.
    pub fn new(blueprint: Arc<Blueprint>) -> Self {
        let mut physics = Self {
            parts: blueprint.parts.clone(),
            pipeline: PhysicsPipeline::new(),
            ccd: CCDSolver::new(),
            coordinates: vec![0.0; 2 * blueprint.dofs()],
            stepped: false,
            blueprint,
        };
        physics.read();
        physics
    }

    /// What it was built from.
    pub fn blueprint(&self) -> &Blueprint {
        &self.blueprint
    }

    /// Generalised positions, then velocities, `[2 · dofs]`.
    pub fn coordinates(&self) -> &[f32] {
        &self.coordinates
    }

    /// Generalised positions, `[dofs]`.
    pub fn positions(&self) -> &[f32] {
        &self.coordinates[..self.blueprint.dofs()]
    }

    /// Generalised velocities, `[dofs]`.
    pub fn velocities(&self) -> &[f32] {
        &self.coordinates[self.blueprint.dofs()..]
    }

    /// Pose of a body's frame in the world.
    pub fn pose(&self, body: BodyId) -> Pose {
        *self.parts.bodies[self.blueprint.bodies[body.0].handle].position()
    }

    /// Restarts at the given coordinates (positions, then velocities, `[2 · dofs]`).
    /// Speeds beyond a joint's limit are cut to it.
    ///
    /// # Panics
    /// If `coordinates` has another length.
    pub fn reset(&mut self, coordinates: &[f32]) {
        let n = self.blueprint.dofs();
        assert_eq!(coordinates.len(), 2 * n);
        self.parts = self.blueprint.parts.clone();
        self.pipeline = PhysicsPipeline::new();
        self.ccd = CCDSolver::new();
        self.stepped = false;
        let (positions, velocities) = coordinates.split_at(n);
        let speed = |i: usize| {
            let limit = self.blueprint.coordinates[i].speed_limit;
            velocities[i].clamp(-limit, limit)
        };
        for mechanism in &self.blueprint.mechanisms {
            let multibody = self
                .parts
                .multibody_joints
                .get_multibody_mut(mechanism.index)
                .expect("built with the blueprint");
            let mut displacement = vec![0.0; multibody.ndofs()];
            for &(coordinate, assembly) in &mechanism.dofs {
                displacement[assembly] = positions[coordinate];
                multibody.generalized_velocity_mut()[assembly] = speed(coordinate);
            }
            multibody.apply_displacements(&displacement);
            multibody.forward_kinematics(&self.parts.bodies, false);
            // Through the bodies' own setter, so that colliders and broad phase follow.
            for link in multibody.links() {
                let body = &mut self.parts.bodies[link.rigid_body_handle()];
                if body.is_dynamic() {
                    body.set_position(*link.local_to_world(), false);
                }
            }
        }
        for (i, coordinate) in self.blueprint.coordinates.iter().enumerate() {
            let Source::Plain { body, axis } = coordinate.source else {
                continue;
            };
            let body = &mut self.parts.bodies[body];
            let mut pose = *body.position();
            let mut velocity = body.linvel();
            match axis {
                0 => (pose.translation.x, velocity.x) = (positions[i], speed(i)),
                1 => (pose.translation.y, velocity.y) = (positions[i], speed(i)),
                _ => {
                    pose.rotation = Rotation::new(positions[i]);
                    body.set_angvel(speed(i), false);
                }
            }
            body.set_position(pose, false);
            body.set_linvel(velocity, false);
        }
        self.read();
    }

    /// Advances one control period under `command` (`[actuators]`, saturated to the bounds).
    pub fn step(&mut self, command: &[f32]) -> Result<(), Diverged> {
        for i in 0..self.blueprint.steps_per_control {
            if i == 0 || self.blueprint.turning {
                self.push(command);
            }
            self.arm_stops();
            self.bare_step();
            self.read_and_limit()?;
        }
        Ok(())
    }

    /// Switches on the joint limits that a coordinate may reach in the next step, and no others.
    fn arm_stops(&mut self) {
        for stop in &self.blueprint.stops {
            let [low, high] = stop.clear;
            let position = self.coordinates[stop.coordinate];
            let link = self
                .parts
                .multibody_joints
                .get_multibody_mut(stop.multibody)
                .and_then(|multibody| multibody.link_mut(stop.link))
                .expect("built with the blueprint");
            link.joint.data.limit_axes = if low < position && position < high {
                JointAxesMask::empty()
            } else {
                stop.axis
            };
        }
    }

    /// One rapier step and nothing else, as a baseline for benchmarks.
    #[doc(hidden)]
    pub fn bare_step(&mut self) {
        let parts = &mut self.parts;
        self.stepped = true;
        self.pipeline.step(
            self.blueprint.gravity,
            &self.blueprint.parameters,
            &mut parts.islands,
            &mut parts.broad_phase,
            &mut parts.narrow_phase,
            &mut parts.bodies,
            &mut parts.colliders,
            &mut parts.impulse_joints,
            &mut parts.multibody_joints,
            &mut parts.soft_bodies,
            &mut self.ccd,
            &(),
            &(),
        );
    }

    /// Turns commands into forces and torques on bodies; they last until the next call.
    #[doc(hidden)]
    pub fn push(&mut self, command: &[f32]) {
        let bodies = &mut self.parts.bodies;
        // Forces persist in rapier until they are reset.
        for &body in &self.blueprint.driven {
            let body = &mut bodies[body];
            body.reset_forces(false);
            body.reset_torques(false);
        }
        for (actuator, &value) in self.blueprint.actuators.iter().zip(command) {
            let effort = value.clamp(actuator.low, actuator.high) * actuator.gear;
            match actuator.drive {
                Drive::Torque { child, parent } => {
                    bodies[child].add_torque(effort, false);
                    if let Some(parent) = parent {
                        bodies[parent].add_torque(-effort, false);
                    }
                }
                Drive::Force {
                    child,
                    parent,
                    axis,
                } => match parent {
                    None => bodies[child].add_force(axis * effort, false),
                    Some(parent) => {
                        let force = bodies[parent].rotation().transform_vector(axis) * effort;
                        let point = bodies[child].center_of_mass();
                        bodies[child].add_force(force, false);
                        bodies[parent].add_force_at_point(-force, point, false);
                    }
                },
                Drive::Thrust {
                    body,
                    direction,
                    frame,
                    point,
                } => {
                    let body = &mut bodies[body];
                    let pose = *body.position();
                    let force = match frame {
                        Frame::World => direction,
                        Frame::Body => pose.transform_vector(direction),
                    } * effort;
                    body.add_force_at_point(force, pose.transform_point(point), false);
                }
            }
        }
    }

    /// Reads coordinates from rapier.
    fn read(&mut self) {
        let n = self.blueprint.dofs();
        let (positions, velocities) = self.coordinates.split_at_mut(n);
        for (i, coordinate) in self.blueprint.coordinates.iter().enumerate() {
            (positions[i], velocities[i]) = match coordinate.source {
                Source::Link {
                    multibody,
                    link,
                    axis,
                    assembly,
                } => {
                    let multibody = &self.parts.multibody_joints[multibody];
                    let link = multibody.link(link).expect("built with the blueprint");
                    (
                        link.joint.coords()[axis],
                        multibody.generalized_velocity()[assembly],
                    )
                }
                Source::Plain { body, axis } => {
                    let body = &self.parts.bodies[body];
                    match axis {
                        0 => (body.translation().x, body.linvel().x),
                        1 => (body.translation().y, body.linvel().y),
                        _ => (body.rotation().angle(), body.angvel()),
                    }
                }
            };
        }
    }

    /// Reads coordinates and cuts speeds to their limits: multibody joints have no cap in rapier.
    fn read_and_limit(&mut self) -> Result<(), Diverged> {
        self.read();
        let quarantine = self.pipeline.quarantine();
        let sound = quarantine.bodies().is_empty()
            && quarantine.colliders().is_empty()
            // A NaN compares as false.
            && self.positions().iter().all(|q| q.abs() < FAR)
            && self.velocities().iter().all(|v| v.is_finite());
        if !sound {
            return Err(Diverged);
        }
        let n = self.blueprint.dofs();
        for (i, coordinate) in self.blueprint.coordinates.iter().enumerate() {
            let limit = coordinate.speed_limit;
            let velocity = &mut self.coordinates[n + i];
            if velocity.abs() <= limit {
                continue;
            }
            *velocity = velocity.clamp(-limit, limit);
            match coordinate.source {
                Source::Link {
                    multibody,
                    assembly,
                    ..
                } => {
                    let multibody = self
                        .parts
                        .multibody_joints
                        .get_multibody_mut(multibody)
                        .expect("built with the blueprint");
                    multibody.generalized_velocity_mut()[assembly] = *velocity;
                }
                Source::Plain { body, axis } => {
                    let body = &mut self.parts.bodies[body];
                    let mut linear = body.linvel();
                    match axis {
                        0 => linear.x = *velocity,
                        1 => linear.y = *velocity,
                        _ => body.set_angvel(*velocity, false),
                    }
                    body.set_linvel(linear, false);
                }
            }
        }
        Ok(())
    }

    /// The complete state.
    pub fn save(&self) -> Snapshot {
        let state = if self.stepped {
            State::Running(Box::new(self.parts.clone()))
        } else {
            State::Start(self.coordinates.clone())
        };
        Snapshot::new(self.blueprint.digest, state)
    }

    /// Restores a state of the same model.
    pub fn load(&mut self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        match snapshot.open(self.blueprint.digest)? {
            State::Start(coordinates) => {
                if coordinates.len() != self.coordinates.len() {
                    return Err(SnapshotError::Damaged);
                }
                self.reset(coordinates);
            }
            State::Running(parts) => {
                if parts.bodies.len() != self.blueprint.parts.bodies.len() {
                    return Err(SnapshotError::Damaged);
                }
                self.parts = (**parts).clone();
                self.pipeline = PhysicsPipeline::new();
                self.ccd = CCDSolver::new();
                self.stepped = true;
                self.read();
            }
        }
        Ok(())
    }

    /// Bit patterns of everything that distinguishes states: coordinates and contact impulses.
    pub fn state_words(&self) -> impl Iterator<Item = u64> + '_ {
        let contacts = self
            .parts
            .narrow_phase
            .contact_pairs()
            .map(|pair| pair.total_impulse_magnitude());
        self.coordinates
            .iter()
            .copied()
            .chain(contacts)
            .map(|v| u64::from(v.to_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Model, Shape, parse};
    use crate::registry::EnvConfig;
    use crate::rng::stream;
    use rand::RngExt;
    use rapier2d::parry::query::Ray;

    /// Coordinates after 2000 steps of random commands, a new one every few steps.
    fn run(blueprint: Blueprint) -> Vec<f32> {
        let mut physics = Physics::new(Arc::new(blueprint));
        let mut rng = stream(3, "test", 0);
        let mut command = vec![0.0; physics.blueprint().model().actuators.len()];
        let mut start = physics.coordinates().to_vec();
        start[1] = 1.3;
        physics.reset(&start);
        for step in 0..2000 {
            if step % 7 == 0 {
                command.fill_with(|| rng.random_range(-1.0..=1.0));
            }
            physics.step(&command).unwrap();
        }
        physics.coordinates().to_vec()
    }

    #[test]
    fn limits_out_of_reach_change_no_bit_by_being_switched_off() {
        for world in ["hopper", "half_cheetah"] {
            let config = EnvConfig::named(world).unwrap();
            let model: Model = parse(&config.model, "").unwrap();
            let armed = Blueprint::new(&model).unwrap();
            assert!(!armed.stops.is_empty());
            let mut always = Blueprint::new(&model).unwrap();
            always.stops.clear();
            let (armed, always) = (run(armed), run(always));
            assert!(armed.iter().any(|q| *q != 0.0));
            assert_eq!(armed, always, "{world}");
        }
    }

    #[test]
    fn rays_meet_a_terrain_where_its_pieces_are() {
        let mut rng = stream(4, "test", 0);
        let terrain = Shape::Terrain {
            spacing_m: 0.7,
            heights_m: (0..30).map(|_| rng.random_range(-0.3..0.3)).collect(),
            depth_m: 2.0,
        };
        let pieces = shape::collision_shape(&terrain).unwrap();
        let (shift, surface) = shape::surface(&terrain).unwrap();
        for _ in 0..1000 {
            let origin = Vector::new(rng.random_range(1.0..19.0), rng.random_range(0.4..2.0));
            let angle: f32 = rng.random_range(-1.5..1.5);
            let ray = Ray::new(origin, Vector::new(angle.sin(), -angle.cos()));
            let reach = rng.random_range(0.5..5.0);
            let near = |hit: Option<f32>| hit.unwrap_or(reach).min(reach);
            let expected = near(pieces.cast_ray(&Pose::IDENTITY, &ray, reach, true));
            let got = near(surface.cast_ray(&shift, &ray, reach, true));
            assert!(
                (expected - got).abs() < 1e-4,
                "{ray:?}: {expected} and {got}"
            );
        }
    }
}
