//! From model to rapier world: the only place where this happens.
//!
//! What needs care in rapier 0.36, and is handled here: multibody joints get a damping of their own
//! and change their layout at the first forward kinematics; scenery on a multibody's root collides
//! wrongly; masses are zero until recomputed; continuous collision detection moves multibodies;
//! sleeping bodies ignore torques.

use std::collections::HashMap;

use rapier2d::prelude::*;

use super::blueprint::{
    Blueprint, BodyId, Coordinate, Drive, Hinge, JointId, Mechanism, Motor, Part, Source,
};
use super::shape::{collision_shape, mass_properties, vector};
use super::snapshot::Parts;
use crate::model::{
    Actuator, Body, Frame, Free, FrictionRule, Joint, Model, Point, Shape, Softness, WORLD,
};

/// Axes of rapier's joints in two dimensions.
const LINEAR_X: usize = 0;
const ANGLE: usize = 2;

impl Blueprint {
    /// Checks a model and builds it.
    pub fn new(model: &Model) -> Result<Self, String> {
        model.check()?;
        let mut builder = Builder {
            model,
            parts: Parts::new(),
            handles: HashMap::new(),
            damping: Vec::new(),
            bodies: Vec::new(),
            joints: Vec::new(),
            coordinates: Vec::new(),
            hinges: Vec::new(),
        };
        builder.add_scenery()?;
        builder.add_bodies()?;
        for joint in &model.joints {
            builder.add_joint(joint)?;
        }
        let mechanisms = builder.settle();
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
            actuators,
            turning: turning(model),
            driven,
            hinges: builder.hinges,
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
        ..IntegrationParameters::default()
    }
}

struct Builder<'a> {
    model: &'a Model,
    parts: Parts,
    handles: HashMap<&'a str, RigidBodyHandle>,
    /// Per coordinate: damping, armature, dry friction; set once the layout is final.
    damping: Vec<[f32; 3]>,
    bodies: Vec<Part>,
    joints: Vec<(String, JointId)>,
    coordinates: Vec<Coordinate>,
    hinges: Vec<Hinge>,
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
            if let Some(free) = self.plain(body) {
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
            if body.collides {
                let shape = collision_shape(&body.shape).map_err(place)?;
                let collider = self.collider(shape, body.friction, body.restitution);
                self.parts
                    .colliders
                    .insert_with_parent(collider, handle, &mut self.parts.bodies);
            }
            self.parts.bodies[handle]
                .recompute_mass_properties_from_colliders(&self.parts.colliders);
            self.handles.insert(&body.name, handle);
            self.bodies.push(Part {
                name: body.name.clone(),
                handle,
                shape: body.shape.clone(),
                role: body.role,
            });
        }
        Ok(())
    }

    /// The free joint of a body without further joints: it needs no multibody.
    fn plain(&self, body: &Body) -> Option<&'a Free> {
        let alone = self.model.joints.iter().all(|j| j.parent() != body.name);
        self.model.joints.iter().find_map(|j| match j {
            Joint::Free(free) if alone && free.child == body.name => Some(free),
            _ => None,
        })
    }

    fn point(&self, owner: &str, point: &Point) -> Vector {
        vector(self.model.locate(owner, point).expect("checked"))
    }

    fn add_joint(&mut self, joint: &'a Joint) -> Result<(), String> {
        let child = self.handles[joint.child()];
        let index = self.coordinates.len();
        let (data, axes): (GenericJoint, Vec<Axis>) = match joint {
            Joint::Revolute(j) => {
                let mut data = GenericJointBuilder::new(JointAxesMask::LOCKED_REVOLUTE_AXES)
                    .local_frame1(Pose::new(
                        self.point(&j.parent, &j.parent_point),
                        j.zero_angle_rad as f32,
                    ))
                    .local_frame2(Pose::from_translation(self.point(&j.child, &j.child_point)));
                if let Some(limits) = j.limits_rad {
                    data = data.limits(JointAxis::AngX, limits.map(|v| v as f32));
                }
                self.mark_hinge(joint);
                let axis = Axis {
                    axis: ANGLE,
                    speed_limit: j.speed_limit_rad_s,
                    resistance: [j.damping_n_m_s, j.armature_kg_m2, j.friction_n_m],
                };
                (data.build(), vec![axis])
            }
            Joint::Prismatic(j) => {
                let slope = (j.axis[1]).atan2(j.axis[0]);
                let mut data = GenericJointBuilder::new(JointAxesMask::LOCKED_PRISMATIC_AXES)
                    .local_frame1(Pose::new(
                        self.point(&j.parent, &j.parent_point),
                        slope as f32,
                    ))
                    .local_frame2(Pose::new(
                        self.point(&j.child, &j.child_point),
                        (slope - j.zero_angle_rad) as f32,
                    ));
                if let Some(limits) = j.limits_m {
                    data = data.limits(JointAxis::LinX, limits.map(|v| v as f32));
                }
                let axis = Axis {
                    axis: LINEAR_X,
                    speed_limit: j.speed_limit_m_s,
                    resistance: [j.damping_n_s_m, j.armature_kg, j.friction_n],
                };
                (data.build(), vec![axis])
            }
            Joint::Free(j) => {
                let axis = |axis| Axis {
                    axis,
                    speed_limit: if axis == ANGLE {
                        j.angular_speed_limit_rad_s
                    } else {
                        j.speed_limit_m_s
                    },
                    resistance: if axis == ANGLE {
                        [j.angular_damping_n_m_s, 0.0, 0.0]
                    } else {
                        [j.damping_n_s_m, 0.0, 0.0]
                    },
                };
                let axes: Vec<Axis> = (0..if j.rotates { 3 } else { 2 }).map(axis).collect();
                let locked = if j.rotates {
                    JointAxesMask::empty()
                } else {
                    JointAxesMask::ANG_X
                };
                (GenericJoint::new(locked), axes)
            }
        };
        let limits = match joint {
            Joint::Revolute(j) => j.limits_rad,
            Joint::Prismatic(j) => j.limits_m,
            Joint::Free(_) => None,
        };
        self.joints.push((
            joint.name().into(),
            JointId {
                index,
                dofs: axes.len(),
                limits: limits.map(|l| l.map(|v| v as f32)),
                speed_limit: axes[0].speed_limit as f32,
            },
        ));
        let body = self
            .model
            .bodies
            .iter()
            .find(|b| b.name == joint.child())
            .expect("checked");
        let plain = self.plain(body).is_some();
        if !plain {
            let mut data = data;
            data.set_contacts_enabled(false);
            let parent = match joint.parent() {
                // Each mechanism has a root of its own, without colliders.
                WORLD => self.parts.bodies.insert(RigidBodyBuilder::fixed()),
                name => self.handles[name],
            };
            self.parts
                .multibody_joints
                .insert(parent, child, data, true)
                .ok_or_else(|| format!("joints.{}: it closes a loop", joint.name()))?;
        }
        for axis in axes {
            // Places within a multibody are only known once all joints are in: see `settle`.
            self.coordinates.push(Coordinate {
                source: Source::Plain {
                    body: child,
                    axis: axis.axis,
                },
                speed_limit: axis.speed_limit as f32,
            });
            self.damping.push(axis.resistance.map(|v| v as f32));
        }
        Ok(())
    }

    fn mark_hinge(&mut self, joint: &Joint) {
        let Joint::Revolute(j) = joint else { return };
        let child = self
            .bodies
            .iter()
            .position(|b| b.name == j.child)
            .expect("checked");
        let radius = match &self.bodies[child].shape {
            Shape::Rod { radius_m, .. } | Shape::Capsule { radius_m, .. } => *radius_m,
            Shape::Circle { radius_m } => radius_m / 4.0,
            Shape::Box { width_m, height_m } => width_m.min(*height_m) / 4.0,
            Shape::Polygon { .. } => 0.02,
        };
        self.hinges.push(Hinge {
            child: BodyId(child),
            point: self.point(&j.child, &j.child_point),
            radius: 0.6 * radius as f32,
        });
    }

    /// Fixes the multibodies' layout, finds every coordinate's place in it and sets damping,
    /// armature and dry friction.
    fn settle(&mut self) -> Vec<Mechanism> {
        let mut mechanisms: Vec<Mechanism> = Vec::new();
        let parts = &mut self.parts;
        for (_, joint) in &self.joints {
            let Source::Plain { body, .. } = self.coordinates[joint.index].source else {
                continue;
            };
            let Some(id) = parts.multibody_joints.rigid_body_link(body).copied() else {
                continue;
            };
            let multibody = parts
                .multibody_joints
                .get_multibody_mut(id.multibody)
                .expect("just inserted");
            let at = match mechanisms.iter().position(|m| m.index == id.multibody) {
                Some(at) => at,
                None => {
                    multibody.forward_kinematics(&parts.bodies, true);
                    multibody.update_rigid_bodies(&mut parts.bodies, true);
                    multibody.damping_mut().fill(0.0);
                    multibody.set_self_contacts_enabled(false);
                    mechanisms.push(Mechanism {
                        index: id.multibody,
                        dofs: Vec::new(),
                    });
                    mechanisms.len() - 1
                }
            };
            let first = multibody.link(id.id).expect("just inserted").assembly_id();
            for offset in 0..joint.dofs {
                let (place, assembly) = (joint.index + offset, first + offset);
                let coordinate = &mut self.coordinates[place];
                let Source::Plain { axis, .. } = coordinate.source else {
                    continue;
                };
                coordinate.source = Source::Link {
                    multibody: id.multibody,
                    link: id.id,
                    axis,
                    assembly,
                };
                let [damping, armature, friction] = self.damping[place];
                multibody.damping_mut()[assembly] = damping;
                multibody.armature_mut()[assembly] = armature;
                multibody.frictions_mut()[assembly] = friction;
                mechanisms[at].dofs.push((place, assembly));
            }
        }
        mechanisms
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

/// One free axis of a joint.
struct Axis {
    axis: usize,
    speed_limit: f64,
    /// Damping, armature, dry friction.
    resistance: [f64; 3],
}
