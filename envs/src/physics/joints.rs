//! From joints of the model to rapier's multibodies and to generalised coordinates.

use rapier2d::prelude::*;

use super::blueprint::{BodyId, Coordinate, Hinge, JointId, Mechanism, Source, Stop};
use super::build::Builder;
use crate::model::{Free, Joint, Prismatic, Revolute, Shape, WORLD};

/// Axes of rapier's joints in two dimensions.
const LINEAR_X: usize = 0;
const LINEAR_Y: usize = 1;
const ANGLE: usize = 2;

/// One free axis of a joint.
pub(super) struct Axis {
    axis: usize,
    speed_limit: f64,
    resistance: Resistance,
}

/// What resists a joint's motion.
#[derive(Clone, Copy)]
pub(super) struct Resistance {
    stiffness: f64,
    damping: f64,
    armature: f64,
    dry_friction: f64,
}

impl<'a> Builder<'a> {
    pub(super) fn add_joint(&mut self, joint: &'a Joint) -> Result<(), String> {
        let (mut data, axes, limits) = match joint {
            Joint::Revolute(j) => self.revolute(j),
            Joint::Prismatic(j) => self.prismatic(j),
            Joint::Free(j) => free(j),
        };
        self.joints.push((
            joint.name().into(),
            JointId {
                index: self.coordinates.len(),
                dofs: axes.len(),
                limits: limits.map(|l| l.map(|v| v as f32)),
                speed_limit: axes[0].speed_limit as f32,
            },
        ));
        let child = self.handles[joint.child()];
        let floating = match joint {
            Joint::Free(j) if self.plain(&j.child).is_none() => self.floating_root(j),
            _ => false,
        };
        if self.plain(joint.child()).is_none() && !floating {
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
            // Places within a multibody are known when all joints are in: see `settle`.
            self.coordinates.push(Coordinate {
                source: Source::Plain {
                    body: child,
                    axis: axis.axis,
                },
                speed_limit: axis.speed_limit as f32,
            });
            self.resistances.push(axis.resistance);
        }
        Ok(())
    }

    /// Whether the joint needs no link of its own: a dynamic body at a multibody's root moves freely.
    /// Rapier reckons a root's motion at its origin, so the centre of mass must lie there.
    fn floating_root(&self, joint: &Free) -> bool {
        let body = &self.parts.bodies[self.handles[&*joint.child]];
        joint.rotates && body.mass_properties().local_mprops.local_com == Vector::ZERO
    }

    fn revolute(&mut self, j: &Revolute) -> (GenericJoint, Vec<Axis>, Option<[f64; 2]>) {
        let parent_point = self.point(&j.parent, &j.parent_point);
        let child_point = self.point(&j.child, &j.child_point);
        let mut data = GenericJoint::new(JointAxesMask::LOCKED_REVOLUTE_AXES);
        data.set_local_frame1(Pose::new(parent_point, j.zero_angle_rad as f32))
            .set_local_frame2(Pose::from_translation(child_point));
        if let Some(limits) = j.limits_rad {
            data.set_limits(JointAxis::AngX, limits.map(|v| v as f32));
        }
        self.mark_hinge(&j.child, child_point);
        let axis = Axis {
            axis: ANGLE,
            speed_limit: j.speed_limit_rad_s,
            resistance: Resistance {
                damping: j.damping_n_m_s,
                stiffness: j.stiffness_n_m,
                armature: j.armature_kg_m2,
                dry_friction: j.friction_n_m,
            },
        };
        (data, vec![axis], j.limits_rad)
    }

    fn prismatic(&self, j: &Prismatic) -> (GenericJoint, Vec<Axis>, Option<[f64; 2]>) {
        // Rapier slides along the x axis of the joint's frames.
        let slope = j.axis[1].atan2(j.axis[0]);
        let parent_point = self.point(&j.parent, &j.parent_point);
        let child_point = self.point(&j.child, &j.child_point);
        let mut data = GenericJoint::new(JointAxesMask::LOCKED_PRISMATIC_AXES);
        data.set_local_frame1(Pose::new(parent_point, slope as f32))
            .set_local_frame2(Pose::new(child_point, (slope - j.zero_angle_rad) as f32));
        if let Some(limits) = j.limits_m {
            data.set_limits(JointAxis::LinX, limits.map(|v| v as f32));
        }
        let axis = Axis {
            axis: LINEAR_X,
            speed_limit: j.speed_limit_m_s,
            resistance: Resistance {
                stiffness: 0.0,
                damping: j.damping_n_s_m,
                armature: j.armature_kg,
                dry_friction: j.friction_n,
            },
        };
        (data, vec![axis], j.limits_m)
    }

    fn mark_hinge(&mut self, child: &str, point: Vector) {
        let child = self
            .bodies
            .iter()
            .position(|b| b.name == child)
            .expect("checked");
        let size = match &self.bodies[child].shape {
            Shape::Rod { radius_m, .. } | Shape::Capsule { radius_m, .. } => *radius_m,
            Shape::Circle { radius_m } => radius_m / 4.0,
            Shape::Box { width_m, height_m } => width_m.min(*height_m) / 4.0,
            Shape::Polygon { .. } | Shape::Compound { .. } | Shape::Terrain { .. } => 0.02,
        };
        self.hinges.push(Hinge {
            child: BodyId(child),
            point,
            radius: 0.6 * size as f32,
        });
    }

    /// Fixes the multibodies' layout, finds every coordinate's place in it and sets springs, damping,
    /// armature and dry friction.
    pub(super) fn settle(&mut self) -> (Vec<Mechanism>, Vec<Stop>) {
        let mut mechanisms: Vec<Mechanism> = Vec::new();
        let mut stops = Vec::new();
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
            if mechanisms.iter().all(|m| m.index != id.multibody) {
                multibody.forward_kinematics(&parts.bodies, true);
                multibody.update_rigid_bodies(&mut parts.bodies, true);
                multibody.set_self_contacts_enabled(false);
                mechanisms.push(Mechanism {
                    index: id.multibody,
                    dofs: Vec::new(),
                });
            }
            let mechanism = mechanisms
                .iter_mut()
                .find(|m| m.index == id.multibody)
                .expect("just pushed");
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
                // Also replaces the damping of 0.1 that rapier gives every rotation.
                let resistance = self.resistances[place];
                multibody.damping_mut()[assembly] = resistance.damping as f32;
                multibody.armature_mut()[assembly] = resistance.armature as f32;
                multibody.frictions_mut()[assembly] = resistance.dry_friction as f32;
                let link = multibody.link_mut(id.id).expect("just inserted");
                link.joint
                    .set_spring(axis, resistance.stiffness as f32, 0.0);
                mechanism.dofs.push((place, assembly));
                if let (0, Some([low, high])) = (offset, joint.limits) {
                    // Speeds are cut after a step only: half as much again for what they reach in it.
                    let reach = 1.5 * joint.speed_limit * self.model.dt_s as f32;
                    stops.push(Stop {
                        multibody: id.multibody,
                        link: id.id,
                        axis: link.joint.data.limit_axes,
                        coordinate: place,
                        clear: [low + reach, high - reach],
                    });
                }
            }
        }
        (mechanisms, stops)
    }
}

fn free(j: &Free) -> (GenericJoint, Vec<Axis>, Option<[f64; 2]>) {
    let axis = |axis| {
        let (speed_limit, damping) = match axis {
            ANGLE => (j.angular_speed_limit_rad_s, j.angular_damping_n_m_s),
            _ => (j.speed_limit_m_s, j.damping_n_s_m),
        };
        Axis {
            axis,
            speed_limit,
            resistance: Resistance {
                stiffness: 0.0,
                damping,
                armature: 0.0,
                dry_friction: 0.0,
            },
        }
    };
    let mut axes = vec![axis(LINEAR_X), axis(LINEAR_Y)];
    let mut locked = JointAxesMask::ANG_X;
    if j.rotates {
        axes.push(axis(ANGLE));
        locked = JointAxesMask::empty();
    }
    (GenericJoint::new(locked), axes, None)
}
