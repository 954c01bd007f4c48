//! The only construction of a rapier world from a model.
//!
//! What needs care in rapier 0.36, and is handled here: multibody joints get a damping of their own
//! and change their layout at the first forward kinematics; scenery on a multibody's root collides
//! wrongly; masses are zero until recomputed; continuous collision detection moves multibodies;
//! sleeping bodies ignore torques.

use std::collections::HashMap;

use rapier2d::prelude::*;

use super::blueprint::{Blueprint, Coordinate, Drive, Hinge, JointId, Motor, Part};
use super::joints::Resistance;
use super::shape::{collision_shape, mass_properties, surface, vector};
use super::snapshot::Parts;
use crate::model::{Actuator, Frame, Free, FrictionRule, Joint, Model, Point, Softness, WORLD};

impl Blueprint {
    /// Checks a model and builds it.
    pub fn new(model: &Model) -> Result<Self, String> {
        model.check()?;
        let mut builder = Builder {
            model,
            parts: Parts::new(),
            handles: HashMap::new(),
            resistances: Vec::new(),
            bodies: Vec::new(),
            joints: Vec::new(),
            coordinates: Vec::new(),
            hinges: Vec::new(),
            surroundings: Vec::new(),
        };
        builder.add_scenery()?;
        builder.add_bodies()?;
        for joint in &model.joints {
            builder.add_joint(joint)?;
        }
        let (mechanisms, stops) = builder.settle();
        let actuators: Vec<Motor> = model.actuators.iter().map(|a| builder.motor(a)).collect();
        let mut driven: Vec<RigidBodyHandle> = Vec::new();
        for motor in &actuators {
            let (child, parent) = match motor.drive {
                Drive::Torque { child, parent } | Drive::Force { child, parent, .. } => {
                    (child, parent)
                }
                Drive::Thrust { body, .. } => (body, None),
            };
            for body in [Some(child), parent].into_iter().flatten() {
                if !driven.contains(&body) {
                    driven.push(body);
                }
            }
        }
        let text = serde_json::to_string(model).map_err(|e| e.to_string())?;
        Ok(Self {
            digest: crate::hash::words(text.bytes().map(u64::from)),
            parts: builder.parts,
            gravity: vector(model.gravity_m_s2),
            parameters: parameters(model),
            steps_per_control: model.steps_per_control,
            bodies: builder.bodies,
            joints: builder.joints,
            coordinates: builder.coordinates,
            mechanisms,
            stops,
            actuators,
            turning: turning(model),
            driven,
            hinges: builder.hinges,
            surroundings: builder.surroundings,
            model: model.clone(),
        })
    }
}

/// Whether an actuator's force turns with a body.
fn turning(model: &Model) -> bool {
    model.actuators.iter().any(|actuator| match actuator {
        Actuator::Torque(_) => false,
        Actuator::Force(a) => model
            .joints
            .iter()
            .any(|j| j.name() == a.joint && j.parent() != WORLD),
        // Off the centre of mass, the torque turns even if the force does not.
        Actuator::Thrust(a) => a.frame == Frame::Body || a.point != Point::default(),
    })
}

fn parameters(model: &Model) -> IntegrationParameters {
    let spring =
        |s: &Softness| SpringCoefficients::new(s.frequency_hz as f32, s.damping_ratio as f32);
    IntegrationParameters {
        dt: model.dt_s as f32,
        num_solver_iterations: model.solver_iterations,
        contact_softness: spring(&model.contact.between_bodies),
        static_contact_softness: spring(&model.contact.with_scenery),
        max_ccd_substeps: 0,
        contact_recycling: model.contact.reuse_m > 0.0,
        normalized_contact_recycle_distance: model.contact.reuse_m as f32,
        ..IntegrationParameters::default()
    }
}

pub(super) struct Builder<'a> {
    pub model: &'a Model,
    pub parts: Parts,
    pub handles: HashMap<&'a str, RigidBodyHandle>,
    pub bodies: Vec<Part>,
    pub joints: Vec<(String, JointId)>,
    pub coordinates: Vec<Coordinate>,
    /// Per coordinate; given to rapier once the layout is final.
    pub resistances: Vec<Resistance>,
    pub hinges: Vec<Hinge>,
    pub surroundings: Vec<(Pose, SharedShape)>,
}

impl<'a> Builder<'a> {
    fn collider(&self, shape: SharedShape, friction: f64, restitution: f64) -> ColliderBuilder {
        let rule = match self.model.contact.friction_rule {
            FrictionRule::Average => CoefficientCombineRule::Average,
            FrictionRule::Min => CoefficientCombineRule::Min,
            FrictionRule::Max => CoefficientCombineRule::Max,
            FrictionRule::Multiply => CoefficientCombineRule::Multiply,
        };
        ColliderBuilder::new(shape)
            .friction(friction as f32)
            .friction_combine_rule(rule)
            .restitution(restitution as f32)
            // Masses are set on the bodies.
            .density(0.0)
    }

    fn add_scenery(&mut self) -> Result<(), String> {
        for item in &self.model.scenery {
            if !item.collides {
                continue;
            }
            let shape = collision_shape(&item.shape)
                .map_err(|e| format!("scenery.{}.shape.{e}", item.name))?;
            let pose = Pose::new(vector(item.position_m), item.angle_rad as f32);
            self.surroundings.push(match surface(&item.shape) {
                Some((shift, surface)) => (pose * shift, surface),
                None => (pose, shape.clone()),
            });
            let collider = self.collider(shape, item.friction, item.restitution);
            let body = self
                .parts
                .bodies
                .insert(RigidBodyBuilder::fixed().pose(pose));
            self.parts
                .colliders
                .insert_with_parent(collider, body, &mut self.parts.bodies);
        }
        Ok(())
    }

    fn add_bodies(&mut self) -> Result<(), String> {
        for body in &self.model.bodies {
            let place = |e| format!("bodies.{}.shape.{e}", body.name);
            let mass = mass_properties(body).map_err(place)?;
            if !(mass.mass() > 0.0 && mass.principal_inertia() > 0.0) {
                return Err(format!(
                    "bodies.{}: mass or inertia vanishes in single precision",
                    body.name
                ));
            }
            let mut builder = RigidBodyBuilder::dynamic()
                .can_sleep(false)
                .additional_mass_properties(mass);
            if let Some(free) = self.plain(&body.name) {
                builder = builder
                    .linear_damping(free.damping_n_s_m as f32 / mass.mass())
                    .angular_damping(free.angular_damping_n_m_s as f32 / mass.principal_inertia());
                if !free.rotates {
                    builder = builder.lock_rotations();
                }
                if body.collides {
                    // Contacts foreseen over a whole step, so that walls stop fast bodies in time.
                    let reach = free.speed_limit_m_s * self.model.dt_s;
                    builder = builder.soft_ccd_prediction(reach as f32);
                }
            }
            let handle = self.parts.bodies.insert(builder);
            let mut collider = None;
            if body.collides {
                let shape = collision_shape(&body.shape).map_err(place)?;
                let built = self.collider(shape, body.friction, body.restitution);
                let (colliders, bodies) = (&mut self.parts.colliders, &mut self.parts.bodies);
                collider = Some(colliders.insert_with_parent(built, handle, bodies));
            }
            self.parts.bodies[handle]
                .recompute_mass_properties_from_colliders(&self.parts.colliders);
            self.handles.insert(&body.name, handle);
            self.bodies.push(Part {
                name: body.name.clone(),
                handle,
                shape: body.shape.clone(),
                role: body.role,
                collider,
            });
        }
        Ok(())
    }

    /// The free joint of a body without further joints: it needs no multibody.
    pub fn plain(&self, body: &str) -> Option<&'a Free> {
        let alone = self.model.joints.iter().all(|j| j.parent() != body);
        self.model.joints.iter().find_map(|j| match j {
            Joint::Free(free) if alone && free.child == body => Some(free),
            _ => None,
        })
    }

    /// Where a point that the check has found lies in its owner's frame.
    pub fn point(&self, owner: &str, point: &Point) -> Vector {
        vector(self.model.locate(owner, point).expect("checked"))
    }

    fn motor(&self, actuator: &Actuator) -> Motor {
        let ends = |name: &str| {
            let joint = self
                .model
                .joints
                .iter()
                .find(|j| j.name() == name)
                .expect("checked");
            (
                self.handles[joint.child()],
                self.handles.get(joint.parent()).copied(),
                joint,
            )
        };
        let drive = match actuator {
            Actuator::Torque(a) => {
                let (child, parent, _) = ends(&a.joint);
                Drive::Torque { child, parent }
            }
            Actuator::Force(a) => {
                let (child, parent, joint) = ends(&a.joint);
                let axis = match joint {
                    Joint::Prismatic(j) => vector(j.axis).normalize(),
                    _ => Vector::X,
                };
                Drive::Force {
                    child,
                    parent,
                    axis,
                }
            }
            Actuator::Thrust(a) => Drive::Thrust {
                body: self.handles[&*a.body],
                direction: vector(a.direction).normalize(),
                frame: a.frame,
                point: self.point(&a.body, &a.point),
            },
        };
        let [low, high] = actuator.bounds().map(|v| v as f32);
        Motor {
            low,
            high,
            gear: actuator.gear().unwrap_or(1.0) as f32,
            drive,
        }
    }
}
