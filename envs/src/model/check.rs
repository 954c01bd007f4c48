//! What a model must satisfy beyond its types.

use std::collections::HashSet;

use super::{Actuator, Body, Joint, Model, Point, Shape, Softness, WORLD};

/// Larger numbers are implausible in a planar robot and overflow in f32.
const LARGEST: f64 = 1e6;
/// The smallest length, mass or time that f32 arithmetic resolves.
const SMALLEST: f64 = 1e-6;

/// Checks on single numbers; the error starts with the number's path.
pub struct Checks;

impl Checks {
    /// Finite and of plausible size.
    pub fn finite(path: &str, value: f64) -> Result<(), String> {
        if value.is_finite() && value.abs() <= LARGEST {
            return Ok(());
        }
        Err(format!(
            "{path} is {value}, expected a number between -{LARGEST:e} and {LARGEST:e}"
        ))
    }

    /// Finite and above zero.
    pub fn positive(path: &str, value: f64) -> Result<(), String> {
        if (SMALLEST..=LARGEST).contains(&value) {
            return Ok(());
        }
        Err(format!(
            "{path} is {value}, expected a positive number between {SMALLEST:e} and {LARGEST:e}"
        ))
    }

    /// Finite and not below zero.
    pub fn not_negative(path: &str, value: f64) -> Result<(), String> {
        if (0.0..=LARGEST).contains(&value) {
            return Ok(());
        }
        Err(format!(
            "{path} is {value}, expected a number between 0 and {LARGEST:e}"
        ))
    }

    /// A count between 1 and `most`.
    pub fn count(path: &str, value: usize, most: usize) -> Result<(), String> {
        if (1..=most).contains(&value) {
            return Ok(());
        }
        Err(format!(
            "{path} is {value}, expected a whole number between 1 and {most}"
        ))
    }

    /// An episode's length in control steps.
    pub fn horizon(value: usize) -> Result<(), String> {
        Self::count("task.horizon", value, 1_000_000)
    }

    /// Two finite numbers, the first below the second.
    pub fn ordered(path: &str, [low, high]: [f64; 2]) -> Result<(), String> {
        Self::finite(path, low)?;
        Self::finite(path, high)?;
        // Worlds compute in single precision, in which two close numbers are one.
        if (low as f32) < high as f32 {
            return Ok(());
        }
        Err(format!(
            "{path}: the lower bound {low} is not below the upper bound {high} in single precision"
        ))
    }

    /// A direction: finite and not zero.
    fn direction(path: &str, [x, y]: [f64; 2]) -> Result<(), String> {
        Self::finite(path, x)?;
        Self::finite(path, y)?;
        if x.hypot(y) > SMALLEST {
            return Ok(());
        }
        Err(format!(
            "{path} is [{x}, {y}], expected a direction of positive length"
        ))
    }
}

impl Model {
    /// Checks everything but the task; the error starts with a path.
    pub fn check(&self) -> Result<(), String> {
        for value in self.gravity_m_s2 {
            Checks::finite("gravity_m_s2", value)?;
        }
        Checks::positive("dt_s", self.dt_s)?;
        if self.dt_s > 1.0 {
            return Err(format!("dt_s is {}, expected at most 1", self.dt_s));
        }
        Checks::count("solver_iterations", self.solver_iterations, 1000)?;
        Checks::count("steps_per_control", self.steps_per_control, 1000)?;
        self.contact.with_scenery.check("contact.with_scenery")?;
        self.contact
            .between_bodies
            .check("contact.between_bodies")?;
        Checks::not_negative("contact.reuse_m", self.contact.reuse_m)?;
        unique("bodies", self.bodies.iter().map(|b| b.name.as_str()))?;
        unique("joints", self.joints.iter().map(Joint::name))?;
        unique("actuators", self.actuators.iter().map(Actuator::name))?;
        unique("scenery", self.scenery.iter().map(|s| s.name.as_str()))?;
        for body in &self.bodies {
            body.check(&format!("bodies.{}", body.name))?;
        }
        for item in &self.scenery {
            let path = format!("scenery.{}", item.name);
            item.shape.check(&format!("{path}.shape"))?;
            for value in [item.position_m[0], item.position_m[1]] {
                Checks::finite(&format!("{path}.position_m"), value)?;
            }
            Checks::finite(&format!("{path}.angle_rad"), item.angle_rad)?;
            Checks::not_negative(&format!("{path}.friction"), item.friction)?;
            Checks::not_negative(&format!("{path}.restitution"), item.restitution)?;
        }
        self.check_tree()?;
        for joint in &self.joints {
            self.check_joint(joint)?;
        }
        if self.actuators.is_empty() {
            return Err("actuators is empty, expected at least one".into());
        }
        self.actuators
            .iter()
            .try_for_each(|a| self.check_actuator(a))
    }

    /// Every body is attached to one joint, and parents come before children.
    fn check_tree(&self) -> Result<(), String> {
        let mut placed = HashSet::from([WORLD]);
        for joint in &self.joints {
            let path = format!("joints.{}", joint.name());
            let (parent, child) = (joint.parent(), joint.child());
            let known = |name: &str| self.bodies.iter().any(|b| b.name == name);
            if !known(child) {
                return Err(format!("{path}.child: no body `{child}`"));
            }
            if parent != WORLD && !known(parent) {
                return Err(format!(
                    "{path}.parent: no body `{parent}`, expected a body or \"world\""
                ));
            }
            if !placed.contains(parent) {
                return Err(format!(
                    "{path}.parent: `{parent}` is not attached to an earlier joint; list joints from the root outwards"
                ));
            }
            if !placed.insert(child) {
                return Err(format!(
                    "{path}.child: `{child}` is already attached to another joint"
                ));
            }
        }
        match self.bodies.iter().find(|b| !placed.contains(&*b.name)) {
            Some(body) => Err(format!(
                "bodies.{}: not attached to a joint; add one (kind \"free\" lets it float)",
                body.name
            )),
            None => Ok(()),
        }
    }

    fn check_joint(&self, joint: &Joint) -> Result<(), String> {
        let path = format!("joints.{}", joint.name());
        let at = |field: &str| format!("{path}.{field}");
        match joint {
            Joint::Revolute(j) => {
                self.check_point(&at("parent_point"), &j.parent, &j.parent_point)?;
                self.check_point(&at("child_point"), &j.child, &j.child_point)?;
                Checks::finite(&at("zero_angle_rad"), j.zero_angle_rad)?;
                if let Some(limits) = j.limits_rad {
                    Checks::ordered(&at("limits_rad"), limits)?;
                }
                Checks::not_negative(&at("stiffness_n_m"), j.stiffness_n_m)?;
                Checks::not_negative(&at("damping_n_m_s"), j.damping_n_m_s)?;
                Checks::not_negative(&at("friction_n_m"), j.friction_n_m)?;
                Checks::not_negative(&at("armature_kg_m2"), j.armature_kg_m2)?;
                Checks::positive(&at("speed_limit_rad_s"), j.speed_limit_rad_s)
            }
            Joint::Prismatic(j) => {
                self.check_point(&at("parent_point"), &j.parent, &j.parent_point)?;
                self.check_point(&at("child_point"), &j.child, &j.child_point)?;
                Checks::direction(&at("axis"), j.axis)?;
                Checks::finite(&at("zero_angle_rad"), j.zero_angle_rad)?;
                if let Some(limits) = j.limits_m {
                    Checks::ordered(&at("limits_m"), limits)?;
                }
                Checks::not_negative(&at("damping_n_s_m"), j.damping_n_s_m)?;
                Checks::not_negative(&at("friction_n"), j.friction_n)?;
                Checks::not_negative(&at("armature_kg"), j.armature_kg)?;
                Checks::positive(&at("speed_limit_m_s"), j.speed_limit_m_s)
            }
            Joint::Free(j) => {
                Checks::not_negative(&at("damping_n_s_m"), j.damping_n_s_m)?;
                Checks::not_negative(&at("angular_damping_n_m_s"), j.angular_damping_n_m_s)?;
                Checks::positive(&at("speed_limit_m_s"), j.speed_limit_m_s)?;
                Checks::positive(
                    &at("angular_speed_limit_rad_s"),
                    j.angular_speed_limit_rad_s,
                )
            }
        }
    }

    fn check_actuator(&self, actuator: &Actuator) -> Result<(), String> {
        let path = format!("actuators.{}", actuator.name());
        let [low, high] = actuator.bounds();
        Checks::ordered(&format!("{path}.low, {path}.high"), [low, high])?;
        let joint = |name: &str| self.joints.iter().find(|j| j.name() == name);
        match actuator {
            Actuator::Torque(a) => {
                if let Some(gear) = a.gear_n_m {
                    Checks::positive(&format!("{path}.gear_n_m"), gear)?;
                }
                match joint(&a.joint) {
                    Some(Joint::Revolute(_)) => Ok(()),
                    _ => Err(format!("{path}.joint: no revolute joint `{}`", a.joint)),
                }
            }
            Actuator::Force(a) => {
                if let Some(gear) = a.gear_n {
                    Checks::positive(&format!("{path}.gear_n"), gear)?;
                }
                match joint(&a.joint) {
                    Some(Joint::Prismatic(_)) => Ok(()),
                    _ => Err(format!("{path}.joint: no prismatic joint `{}`", a.joint)),
                }
            }
            Actuator::Thrust(a) => {
                if let Some(gear) = a.gear_n {
                    Checks::positive(&format!("{path}.gear_n"), gear)?;
                }
                Checks::direction(&format!("{path}.direction"), a.direction)?;
                if !self.bodies.iter().any(|b| b.name == a.body) {
                    return Err(format!("{path}.body: no body `{}`", a.body));
                }
                self.check_point(&format!("{path}.point"), &a.body, &a.point)
            }
        }
    }

    fn check_point(&self, path: &str, owner: &str, point: &Point) -> Result<(), String> {
        match self.locate(owner, point) {
            Some([x, y]) => {
                Checks::finite(path, x)?;
                Checks::finite(path, y)
            }
            None => Err(format!("{path}: `{owner}` has no such point")),
        }
    }

    /// Position of a point of a body (or of the world) in its frame.
    pub fn locate(&self, owner: &str, point: &Point) -> Option<[f64; 2]> {
        match self.bodies.iter().find(|b| b.name == owner) {
            Some(body) => body.shape.locate(point),
            // The world has no outline: only its origin has a name.
            None => Shape::Circle { radius_m: 1.0 }.locate(point),
        }
    }
}

impl Softness {
    fn check(&self, path: &str) -> Result<(), String> {
        Checks::positive(&format!("{path}.frequency_hz"), self.frequency_hz)?;
        Checks::positive(&format!("{path}.damping_ratio"), self.damping_ratio)
    }
}

impl Body {
    fn check(&self, path: &str) -> Result<(), String> {
        if self.name == WORLD {
            return Err(format!("{path}.name: \"world\" is taken"));
        }
        self.shape.check(&format!("{path}.shape"))?;
        if matches!(self.shape, Shape::Terrain { .. }) {
            return Err(format!("{path}.shape: terrain is only for scenery"));
        }
        match (self.mass_kg, self.density_kg_m2) {
            (Some(mass), None) => Checks::positive(&format!("{path}.mass_kg"), mass)?,
            (None, Some(density)) => Checks::positive(&format!("{path}.density_kg_m2"), density)?,
            _ => {
                return Err(format!(
                    "{path}: expected exactly one of mass_kg and density_kg_m2"
                ));
            }
        }
        Checks::not_negative(&format!("{path}.friction"), self.friction)?;
        Checks::not_negative(&format!("{path}.restitution"), self.restitution)
    }
}

impl Shape {
    fn check(&self, path: &str) -> Result<(), String> {
        let positive = |field: &str, value| Checks::positive(&format!("{path}.{field}"), value);
        match self {
            Shape::Box { width_m, height_m } => {
                positive("width_m", *width_m)?;
                positive("height_m", *height_m)
            }
            Shape::Rod { length_m, radius_m } | Shape::Capsule { length_m, radius_m } => {
                positive("length_m", *length_m)?;
                positive("radius_m", *radius_m)
            }
            Shape::Circle { radius_m } => positive("radius_m", *radius_m),
            Shape::Compound { parts } => {
                if parts.is_empty() {
                    return Err(format!("{path}.parts is empty, expected at least one"));
                }
                for (i, part) in parts.iter().enumerate() {
                    let path = format!("{path}.parts.{i}");
                    if matches!(part.shape, Shape::Compound { .. } | Shape::Terrain { .. }) {
                        return Err(format!(
                            "{path}.shape: a part cannot be a compound or terrain"
                        ));
                    }
                    part.shape.check(&format!("{path}.shape"))?;
                    Checks::finite(&format!("{path}.position_m"), part.position_m[0])?;
                    Checks::finite(&format!("{path}.position_m"), part.position_m[1])?;
                    Checks::finite(&format!("{path}.angle_rad"), part.angle_rad)?;
                }
                Ok(())
            }
            Shape::Terrain {
                spacing_m,
                heights_m,
                depth_m,
            } => {
                positive("spacing_m", *spacing_m)?;
                positive("depth_m", *depth_m)?;
                if heights_m.len() < 2 {
                    return Err(format!("{path}.heights_m: expected at least 2 heights"));
                }
                for height in heights_m {
                    Checks::finite(&format!("{path}.heights_m"), *height)?;
                    if *height <= -depth_m {
                        return Err(format!(
                            "{path}.heights_m: {height} lies below the terrain's bottom at -{depth_m}"
                        ));
                    }
                }
                Ok(())
            }
            Shape::Polygon { points_m } => {
                for value in points_m.iter().flatten() {
                    Checks::finite(&format!("{path}.points_m"), *value)?;
                }
                let n = points_m.len();
                let convex = (0..n).all(|i| {
                    let [a, b, c] = [i, (i + 1) % n, (i + 2) % n].map(|k| points_m[k]);
                    (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0]) > 0.0
                });
                if n < 3 || !convex {
                    return Err(format!(
                        "{path}.points_m: expected at least 3 corners of a convex polygon, counter-clockwise"
                    ));
                }
                Ok(())
            }
        }
    }
}

fn unique<'a>(list: &str, names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        // Names are path segments: a dot or a number would make paths ambiguous.
        let plain = name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        if name.is_empty() || !plain || name.chars().all(|c| c.is_ascii_digit()) {
            return Err(format!(
                "{list}.{index}.name: `{name}` is not a valid name, expected letters, digits, - and _, not digits alone"
            ));
        }
        if !seen.insert(name) {
            return Err(format!("{list}.{index}.name: `{name}` occurs twice"));
        }
    }
    Ok(())
}
