//! Swing-up of the acrobot by energy through its elbow, handed over to the regulator near the top.
//!
//! Spong, "The swing up control problem for the acrobot", IEEE Control Systems 15(1), 1995: partial
//! feedback linearisation makes the elbow follow a bend θ₂* that pumps energy into
//! the arm; here its sign is that of the angular momentum about the shoulder, which, unlike θ̇₁ there, the
//! elbow's own motion does not change. As in
//! energy shaping, α shrinks with the missing energy, so that the arm arrives at the top
//! straight and slow. The regulator takes over where a simulated copy under it reaches the top with
//! the available torque, so the command is a function of the state alone.

use costate_envs::model::{Joint, Model, Shape};
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::DVector;
use serde::Serialize;
use serde_json::{Value, json};

use super::pace::Pace;
use super::{Expert, ExpertError, LqrExpert, Margins};

/// Settings of the swing-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AcrobotParameters {
    /// Greatest bend α of the elbow, rad.
    pub bend_rad: f64,
    /// Bend per missing energy, relative to the full bend per energy between hanging and upright.
    pub energy_gain: f64,
    /// Energy to reach beyond that of rest at the top, as a share of that between hanging and upright.
    pub energy_surplus: f64,
    /// Angular momentum over which the bend changes sign, kg m²/s.
    pub softness_kg_m2_s: f64,
    /// Natural frequency of the elbow's tracking, rad/s.
    pub tracking_rad_s: f64,
    /// Damping ratio of the elbow's tracking.
    pub tracking_damping: f64,
    /// Share of the usable torque with which the simulated copy must reach the top.
    pub capture_share: f64,
}

impl Default for AcrobotParameters {
    fn default() -> Self {
        Self {
            bend_rad: 3.05,
            energy_gain: 3.74,
            energy_surplus: 0.0022,
            softness_kg_m2_s: 1.39,
            tracking_rad_s: 9.14,
            tracking_damping: 0.843,
            capture_share: 0.96,
        }
    }
}

/// Maximum cost-to-go, as a share of that of hanging straight, at which a capture is tried.
const CAPTURE_REACH: f64 = 0.03;
/// Simulated steps of the shipped model within which the regulator must bring the arm to rest.
const CAPTURE_STEPS: usize = 100;
/// Both links within this angle of upright and both speeds within this of zero count as captured.
const CAPTURED: f64 = 0.05;

/// Two uniform rods: the constants of the equations of motion.
///
/// With c₂ = cos θ₂, s₂ = sin θ₂ the mass matrix is [[a₁ + a₂ + 2a₃c₂, a₂ + a₃c₂], [·, a₂]], the
/// potential energy g₁ cos θ₁ + g₂ cos(θ₁+θ₂).
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rods {
    a1: f64,
    a2: f64,
    a3: f64,
    g1: f64,
    g2: f64,
    /// Viscous friction of shoulder and elbow, N m s.
    friction: [f64; 2],
}

impl Rods {
    fn of(factory: &EnvFactory) -> Result<Self, ExpertError> {
        let refused = ExpertError::no_formula(factory);
        let model: Model = serde_json::from_value(factory.config().model.clone())
            .map_err(|e| refused(e.to_string()))?;
        let rod = |name: &str| {
            let body = model.bodies.iter().find(|b| b.name == name);
            match body.map(|b| (&b.shape, b.mass_kg)) {
                Some((Shape::Rod { length_m, .. }, Some(mass))) => Ok((mass, *length_m)),
                _ => Err(refused(format!(
                    "bodies.{name} is not a rod with a mass_kg"
                ))),
            }
        };
        let ((m1, l1), (m2, l2)) = (rod("upper")?, rod("lower")?);
        let g = -model.gravity_m_s2[1];
        let friction = |name: &str| match model.joints.iter().find(|j| j.name() == name) {
            Some(Joint::Revolute(joint)) => Ok(joint.damping_n_m_s),
            _ => Err(refused(format!("joints.{name} is not a revolute joint"))),
        };
        Ok(Self {
            a1: m1 * l1 * l1 / 3.0 + m2 * l1 * l1,
            a2: m2 * l2 * l2 / 3.0,
            a3: m2 * l1 * l2 / 2.0,
            g1: (m1 / 2.0 + m2) * l1 * g,
            g2: m2 * l2 / 2.0 * g,
            friction: [friction("shoulder")?, friction("elbow")?],
        })
    }

    /// Energy relative to rest at the top, joules; `state` is θ₁, θ₂, θ̇₁, θ̇₂.
    fn energy(&self, state: &[f64]) -> f64 {
        let (w1, w2, c2) = (state[2], state[3], state[1].cos());
        let kinetic = 0.5 * (self.a1 + self.a2 + 2.0 * self.a3 * c2) * w1 * w1
            + (self.a2 + self.a3 * c2) * w1 * w2
            + 0.5 * self.a2 * w2 * w2;
        kinetic + self.g1 * (state[0].cos() - 1.0) + self.g2 * ((state[0] + state[1]).cos() - 1.0)
    }

    /// Angular momentum about the shoulder, kg m²/s: gravity alone changes it.
    fn momentum(&self, state: &[f64]) -> f64 {
        let c2 = state[1].cos();
        (self.a1 + self.a2 + 2.0 * self.a3 * c2) * state[2] + (self.a2 + self.a3 * c2) * state[3]
    }

    /// Energy that friction in the shoulder takes from the straight arm on its way up from θ₁, where
    /// its speed is 2λ sin(θ₁/2).
    fn loss(&self, state: &[f64]) -> f64 {
        let inertia = self.a1 + self.a2 + 2.0 * self.a3;
        let rate = ((self.g1 + self.g2) / inertia).sqrt();
        self.friction[0] * 4.0 * rate * (1.0 - (state[0] / 2.0).cos())
    }

    /// The torque under which the elbow accelerates by `wanted`, rad/s².
    fn torque(&self, state: &[f64], wanted: f64) -> f64 {
        let (w1, w2) = (state[2], state[3]);
        let (s2, c2) = state[1].sin_cos();
        let (m11, m12) = (
            self.a1 + self.a2 + 2.0 * self.a3 * c2,
            self.a2 + self.a3 * c2,
        );
        let lower = self.g2 * (state[0] + state[1]).sin();
        let [drag1, drag2] = [self.friction[0] * w1, self.friction[1] * w2];
        let rest1 = drag1 - self.a3 * s2 * (2.0 * w1 + w2) * w2 - self.g1 * state[0].sin() - lower;
        let rest2 = drag2 + self.a3 * s2 * w1 * w1 - lower;
        (self.a2 - m12 * m12 / m11) * wanted + rest2 - m12 / m11 * rest1
    }
}

/// The swing-up, without a copy of the environment to try captures on.
#[derive(Debug, Clone)]
pub struct AcrobotDesign {
    parameters: AcrobotParameters,
    lqr: LqrExpert,
    rods: Rods,
    margins: Margins,
    /// Cost-to-go of hanging straight.
    farthest: f64,
    /// Simulated steps within which the regulator must bring the arm to rest.
    capture_steps: usize,
}

impl AcrobotDesign {
    /// Reads the rods from the model and linearises the simulator at the top.
    pub fn new(
        factory: &EnvFactory,
        parameters: AcrobotParameters,
        margins: Margins,
    ) -> Result<Self, ExpertError> {
        let lqr = LqrExpert::new(factory)?;
        let hanging = DVector::from_vec(vec![std::f64::consts::PI, 0.0, 0.0, 0.0]);
        let farthest = hanging.dot(&(&lqr.solution().cost_to_go * &hanging));
        Ok(Self {
            parameters,
            rods: Rods::of(factory)?,
            lqr,
            margins,
            farthest,
            capture_steps: Pace::of(factory).steps(CAPTURE_STEPS),
        })
    }

    /// For the dataset: settings and the regulator.
    pub fn parameters(&self) -> Value {
        json!({ "swing_up": self.parameters, "regulator": self.lqr.parameters() })
    }

    /// The torque that brings the energy to its target.
    fn swing(&self, state: &[f64]) -> f64 {
        let p = &self.parameters;
        let scale = 2.0 * (self.rods.g1 + self.rods.g2);
        let wanted = self.rods.loss(state) - self.rods.energy(state);
        let missing = p.energy_gain * (p.energy_surplus + wanted / scale);
        let bend = p.bend_rad
            * missing.clamp(-1.0, 1.0)
            * (self.rods.momentum(state) / p.softness_kg_m2_s).tanh();
        let (w, z) = (p.tracking_rad_s, p.tracking_damping);
        let wanted = w * w * (bend - state[1]) - 2.0 * z * w * state[3];
        self.rods.torque(state, wanted)
    }

    /// Cost-to-go of the linear model as a share of that of hanging straight.
    fn distance(&self, deviation: &[f64]) -> f64 {
        let s = DVector::from_column_slice(deviation);
        s.dot(&(&self.lqr.solution().cost_to_go * &s)) / self.farthest
    }
}

/// Swing-up of the acrobot with hand-over to [`LqrExpert`].
pub struct AcrobotExpert {
    design: AcrobotDesign,
    copy: Box<dyn Env>,
}

impl AcrobotExpert {
    /// The controller of `design`, for the environment it was made for.
    pub fn new(design: AcrobotDesign, factory: &EnvFactory) -> Self {
        Self {
            design,
            copy: factory.build(),
        }
    }

    /// Whether the regulator brings the arm to rest at the top from these coordinates.
    fn captures(&mut self, coordinates: &[f32]) -> Result<bool, EnvError> {
        let design = &self.design;
        let near = |d: &[f64]| {
            d[0].abs()
                .max((d[0] + d[1]).abs())
                .max(d[2].abs())
                .max(d[3].abs())
                < CAPTURED
        };
        let share = design.parameters.capture_share;
        let mut command = [0.0];
        self.copy.reset_to(coordinates)?;
        for _ in 0..design.capture_steps {
            let deviation = design.lqr.deviation(&self.copy.coordinates());
            if near(&deviation) {
                return Ok(true);
            }
            if design.distance(&deviation) > 2.0 * CAPTURE_REACH {
                return Ok(false);
            }
            design.lqr.feedback(&deviation, &mut command);
            design.margins.clamp(&mut command);
            self.copy.step(&[(share * command[0]) as f32])?;
        }
        Ok(false)
    }
}

impl Expert for AcrobotExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let coordinates = env.coordinates();
        let deviation = self.design.lqr.deviation(&coordinates);
        if self.design.distance(&deviation) < CAPTURE_REACH && self.captures(&coordinates)? {
            self.design.lqr.feedback(&deviation, out);
        } else {
            out[0] = self.design.swing(&deviation);
        }
        Ok(())
    }
}
