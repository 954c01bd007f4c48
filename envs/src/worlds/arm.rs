//! The geometry of a serial arm: where its joints and its tip are.
//!
//! Shared by the worlds that have an arm and by the experts that move one; the lengths come from the
//! model, so changed parameters need no new formulas.

use nalgebra::ComplexField;

use crate::model::{Joint, Model, Point, PointName, Shape, WORLD};

/// A chain of revolute joints attached to the world, made of all joints of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Arm {
    base: [f64; 2],
    links: Vec<Link>,
}

#[derive(Debug, Clone, PartialEq)]
struct Link {
    /// Angle relative to the preceding link at coordinate zero, rad.
    zero_angle: f64,
    /// From the link's joint to the next joint, or to the tip, in the link's frame, metres.
    offset: [f64; 2],
}

/// Where the last link of an arm is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastLink {
    /// Its joint, metres.
    pub joint: [f64; 2],
    /// Its far end, metres.
    pub tip: [f64; 2],
    /// Orientation of its frame, rad, not wrapped.
    pub angle: f64,
}

/// Where an arm is.
#[derive(Debug, Clone, PartialEq)]
pub struct Pose {
    /// The joints from the base outwards, metres.
    pub joints: Vec<[f64; 2]>,
    /// The far end of the last link, metres.
    pub tip: [f64; 2],
    /// Orientation of the last link's frame, rad, not wrapped.
    pub angle: f64,
}

impl Arm {
    /// The arm of a validated model. The error starts with a path.
    pub fn new(model: &Model) -> Result<Self, String> {
        let mut base = [0.0; 2];
        let mut links: Vec<Link> = Vec::new();
        let mut parent = WORLD;
        for (i, joint) in model.joints.iter().enumerate() {
            let Joint::Revolute(j) = joint else {
                return Err(format!(
                    "joints.{}: the task needs revolute joints only",
                    joint.name()
                ));
            };
            if j.parent != parent {
                return Err(format!(
                    "joints.{}.parent is `{}`, the task needs one chain: expected `{parent}`",
                    j.name, j.parent
                ));
            }
            let near = locate(model, &j.child, &j.child_point)?;
            let far = match model.joints.get(i + 1) {
                Some(Joint::Revolute(next)) => locate(model, &j.child, &next.parent_point)?,
                _ => tip(model, &j.child)?,
            };
            if i == 0 {
                base = locate(model, WORLD, &j.parent_point)?;
            }
            links.push(Link {
                zero_angle: j.zero_angle_rad,
                offset: [far[0] - near[0], far[1] - near[1]],
            });
            parent = &j.child;
        }
        if links.is_empty() {
            return Err("joints: the task needs at least one revolute joint".into());
        }
        Ok(Self { base, links })
    }

    /// Number of joints.
    pub fn joints(&self) -> usize {
        self.links.len()
    }

    /// Where the first joint is.
    pub fn base(&self) -> [f64; 2] {
        self.base
    }

    /// Greatest distance of the tip from the base, metres.
    pub fn reach(&self) -> f64 {
        self.links.iter().map(|l| norm(l.offset)).sum()
    }

    /// The arm at joint angles `positions` (rad, at least one for each joint).
    pub fn pose(&self, positions: &[f32]) -> Pose {
        let mut joints = Vec::with_capacity(self.links.len());
        let LastLink { tip, angle, .. } = self.walk(positions, |joint| joints.push(joint));
        Pose { joints, tip, angle }
    }

    /// The same for the last link only, without allocation.
    pub fn last_link(&self, positions: &[f32]) -> LastLink {
        self.walk(positions, |_| ())
    }

    /// From the base outwards.
    fn walk(&self, positions: &[f32], mut visit: impl FnMut([f64; 2])) -> LastLink {
        let base = self.base;
        let mut last = LastLink {
            joint: base,
            tip: base,
            angle: 0.0,
        };
        for (link, &q) in self.links.iter().zip(positions) {
            let joint = last.tip;
            visit(joint);
            let angle = last.angle + (link.zero_angle + f64::from(q));
            let (sin, cos) = ComplexField::sin_cos(angle);
            let [x, y] = link.offset;
            let tip = [joint[0] + cos * x - sin * y, joint[1] + sin * x + cos * y];
            last = LastLink { joint, tip, angle };
        }
        last
    }
}

impl Pose {
    /// Velocity of the tip per angular velocity of each joint, `[joints][x, y]`, metres per radian.
    pub fn jacobian(&self) -> impl Iterator<Item = [f64; 2]> + '_ {
        self.joints
            .iter()
            .map(|joint| [joint[1] - self.tip[1], self.tip[0] - joint[0]])
    }
}

/// Length of a vector.
pub(super) fn norm([x, y]: [f64; 2]) -> f64 {
    x.hypot(y)
}

fn locate(model: &Model, owner: &str, point: &Point) -> Result<[f64; 2], String> {
    model
        .locate(owner, point)
        .ok_or_else(|| format!("`{owner}` has no such point"))
}

/// The end of a rod or capsule, or the middle of a box's top.
fn tip(model: &Model, body: &str) -> Result<[f64; 2], String> {
    let shape = model.bodies.iter().find(|b| b.name == body);
    let name = match shape.map(|b| &b.shape) {
        Some(Shape::Box { .. }) => PointName::Top,
        _ => PointName::End,
    };
    model.locate(body, &Point::Named(name)).ok_or_else(|| {
        format!("bodies.{body}.shape: the last link needs a tip: a rod, a capsule or a box")
    })
}
