//! Inserting a peg with impedance control along a funnel.
//!
//! Hogan, "Impedance control: an approach to manipulation", Journal of Dynamic Systems, Measurement,
//! and Control 107, 1985, with the arm's inertia compensated (Khatib 1987): away from contacts the tip
//! moves, and the peg turns, as unit masses on critically damped springs, τ = M J⁺ a + D q̇; contacts are
//! soft. Without the compensation, pressing down would push the tip aside. The springs' reference is over
//! the slot while the peg is askew or to the side, and sinks below the bottom as it lines up. The mean
//! action is a continuous function of the state; lengths, masses, gears and the slot come from the model.

use costate_envs::model::{Actuator, Joint, Model, Shape};
use costate_envs::worlds::arm::{Arm, Pose};
use costate_envs::worlds::peg_insertion::Slot;
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::{DMatrix, DVector, Matrix3xX, Vector2, Vector3};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Expert, ExpertError, Margins};

/// Depth of the tip in the slot at which misalignment no longer counts, metres.
const ENTRY_M: f64 = 0.01;

/// Settings of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ImpedanceParameters {
    /// Natural frequency of the springs.
    pub frequency_rad_s: f64,
    /// Distance of the tip from its reference beyond which the spring's pull stops growing.
    pub limit_m: f64,
    /// λ: damping of the joints near singular poses.
    pub damping: f64,
    /// Height of the reference over the slot's mouth while the peg is just out of line …
    pub hover_m: f64,
    /// … and how much higher it is per misalignment.
    pub slope: f64,
    /// Misalignment up to which the reference is at its lowest.
    pub free_m: f64,
    /// Further misalignment over which it rises to the mouth.
    pub funnel_m: f64,
    /// Misalignment per sine of tilt.
    pub tilt_arm_m: f64,
    /// Depth of the reference under the slot's bottom while the peg is in line: it presses.
    pub press_m: f64,
}

impl ImpedanceParameters {
    /// Settings chosen for a registered environment.
    pub fn for_env(env: &str) -> Option<Self> {
        (env == "peg_insertion").then_some(Self {
            frequency_rad_s: 10.5,
            limit_m: 0.27,
            damping: 0.2,
            hover_m: 0.002,
            slope: 0.35,
            free_m: 0.0012,
            funnel_m: 0.0021,
            tilt_arm_m: 0.02,
            press_m: 0.04,
        })
    }
}

/// The controller.
#[derive(Debug, Clone)]
pub struct ImpedanceExpert {
    parameters: ImpedanceParameters,
    arm: Arm,
    slot: Slot,
    links: Vec<Link>,
    margins: Margins,
}

/// A link, its joint and its motor.
#[derive(Debug, Clone, Copy)]
struct Link {
    mass_kg: f64,
    /// About its middle, kg m².
    inertia: f64,
    /// Of the joint, kg m².
    armature: f64,
    /// Of the joint, N m s/rad.
    damping: f64,
    /// Torque per unit of command, N m.
    gear: f64,
}

impl Link {
    /// Link number `i` of an arm of rods and boxes.
    fn of(model: &Model, i: usize) -> Result<Self, String> {
        let Joint::Revolute(joint) = &model.joints[i] else {
            return Err("it needs revolute joints".into());
        };
        let gear = match &model.actuators[i] {
            Actuator::Torque(a) if a.joint == joint.name => a.gear_n_m.unwrap_or(1.0),
            _ => return Err("it needs one torque for each joint, in the joints' order".into()),
        };
        let body = model.bodies.iter().find(|b| b.name == joint.child);
        let shape = body.and_then(|b| b.mass_kg.map(|mass| (mass, &b.shape)));
        let (mass_kg, squared) = match shape {
            Some((mass, Shape::Rod { length_m, .. })) => (mass, length_m * length_m),
            Some((mass, Shape::Box { width_m, height_m })) => {
                (mass, width_m * width_m + height_m * height_m)
            }
            _ => return Err("it needs rods and boxes with a mass_kg".into()),
        };
        Ok(Self {
            mass_kg,
            inertia: mass_kg * squared / 12.0,
            armature: joint.armature_kg_m2,
            damping: joint.damping_n_m_s,
            gear,
        })
    }
}

/// The joint-space inertia M `[n, n]` of links whose masses lie midway between joints.
fn inertia(links: &[Link], pose: &Pose) -> DMatrix<f64> {
    let n = links.len();
    let joints: Vec<Vector2<f64>> = pose.joints.iter().map(|j| Vector2::from(*j)).collect();
    let tip = Vector2::from(pose.tip);
    DMatrix::from_fn(n, n, |i, j| {
        let moved = i.max(j)..n;
        let sum: f64 = moved
            .map(|k| {
                let end = joints.get(k + 1).copied().unwrap_or(tip);
                let middle = 0.5 * (joints[k] + end);
                let lever = (middle - joints[i]).dot(&(middle - joints[j]));
                links[k].mass_kg * lever + links[k].inertia
            })
            .sum();
        sum + if i == j { links[i].armature } else { 0.0 }
    })
}

impl ImpedanceExpert {
    /// The controller for a model of `peg_insertion`.
    pub fn new(
        factory: &EnvFactory,
        parameters: ImpedanceParameters,
        margins: Margins,
    ) -> Result<Self, ExpertError> {
        Self::of_model(&factory.config().model, parameters, margins)
            .map_err(ExpertError::no_formula(factory))
    }

    fn of_model(
        model: &Value,
        parameters: ImpedanceParameters,
        margins: Margins,
    ) -> Result<Self, String> {
        let model: Model = serde_json::from_value(model.clone()).map_err(|e| e.to_string())?;
        if model.actuators.len() != model.joints.len() {
            return Err("it needs one torque for each joint".into());
        }
        let links = (0..model.joints.len()).map(|i| Link::of(&model, i));
        let links = links.collect::<Result<_, String>>()?;
        Ok(Self {
            parameters,
            arm: Arm::new(&model)?,
            slot: Slot::of(&model)?,
            links,
            margins,
        })
    }

    /// For the dataset.
    pub fn parameters(&self) -> Value {
        json!(self.parameters)
    }
}

impl Expert for ImpedanceExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let p = &self.parameters;
        let coordinates = env.coordinates();
        let (positions, velocities) = coordinates.split_at(self.arm.joints());
        let pose = self.arm.pose(positions);
        let [x, y] = self.slot.tip_error(pose.tip);
        let (tilt_sin, tilt_cos) = self.slot.tilt(pose.angle).sin_cos();
        // Beyond a quarter turn the torque stays at its maximum.
        let tilt = if tilt_cos < 0.0 {
            tilt_sin.signum()
        } else {
            tilt_sin
        };
        let misalignment = x.abs() + p.tilt_arm_m * tilt.abs();
        let depth = self.slot.mouth - self.slot.bottom[1];
        let over = ((misalignment - p.free_m) / p.funnel_m).clamp(0.0, 1.0);
        let mouth = depth + p.hover_m + p.slope * misalignment;
        let above = mouth * over - p.press_m * (1.0 - over);
        // Once in the slot, its sides keep the peg in line.
        let inside = ((depth - y) / ENTRY_M).clamp(0.0, 1.0);
        let height = above * (1.0 - inside) - p.press_m * inside;
        let pull = Vector2::new(-x, height - y).cap_magnitude(p.limit_m);
        let speeds =
            DVector::from_iterator(velocities.len(), velocities.iter().map(|v| f64::from(*v)));
        let columns: Vec<_> = pose
            .jacobian()
            .map(|[x, y]| Vector3::new(x, y, 1.0))
            .collect();
        let jacobian = Matrix3xX::from_columns(&columns);
        let w = p.frequency_rad_s;
        let wanted =
            Vector3::new(pull.x, pull.y, -tilt) * (w * w) - &jacobian * &speeds * (2.0 * w);
        let mut square = &jacobian * jacobian.transpose();
        for i in 0..3 {
            square[(i, i)] += p.damping * p.damping;
        }
        let accelerations = jacobian.transpose()
            * square
                .try_inverse()
                .map_or(Vector3::zeros(), |i| i * wanted);
        let torques = inertia(&self.links, &pose) * accelerations;
        for (i, link) in self.links.iter().enumerate() {
            out[i] = (torques[i] + link.damping * speeds[i]) / link.gear;
        }
        self.margins.clamp(out);
        Ok(())
    }
}
