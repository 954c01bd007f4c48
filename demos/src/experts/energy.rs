//! Swing-up by energy, handed over to the regulator near the top.
//!
//! Åström and Furuta, "Swinging up a pendulum by energy control", Automatica 36(2), 2000. With
//! ω₀² and κ identified from the linear model of the simulator, the energy per inertia relative to
//! rest at the top is E = ½θ̇² + ω₀²(cos θ − 1). A torque u changes it by κuθ̇, an acceleration ẍ of
//! the cart by κẍθ̇ cos θ; both push along that sign until E reaches its target. The cart is kept near
//! the middle by a spring and a damper, and its acceleration is converted into a force with the simulator
//! itself (two steps of a copy), so changed masses need no new formulas.

use costate_envs::{Env, EnvError, EnvFactory};
use serde::Serialize;
use serde_json::{Value, json};

use super::pace::at_tuned_rate;
use super::{Expert, ExpertError, LqrExpert, Margins};

/// Settings of the swing-up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EnergyParameters {
    /// Push per energy error, relative to full push per ω₀².
    pub energy_gain: f64,
    /// Energy to reach, as a share of ω₀².
    pub energy_target: f64,
    /// Speed, as a share of ω₀, over which the push changes sign.
    pub softness: f64,
    /// Spring towards the middle of the track, 1/s²; 0 without a cart.
    pub cart_stiffness_1_s2: f64,
    /// Damping of the cart, 1/s.
    pub cart_damping_1_s: f64,
    /// The regulator takes over where its action, at the control rate of the shipped model, is at most this share of the
    /// usable range …
    pub handover_share: f64,
    /// … and cos θ is at least this.
    pub handover_cos: f64,
}

impl EnergyParameters {
    /// Settings chosen for a registered environment.
    pub fn for_env(env: &str) -> Option<Self> {
        match env {
            "pendulum" => Some(Self {
                energy_gain: 15.0,
                energy_target: 0.08,
                softness: 0.07,
                cart_stiffness_1_s2: 0.0,
                cart_damping_1_s: 0.0,
                handover_share: 5.3,
                handover_cos: 0.4,
            }),
            "cart_pole_swing_up" => Some(Self {
                energy_gain: 11.5,
                energy_target: -0.065,
                softness: 0.13,
                cart_stiffness_1_s2: 2.05,
                cart_damping_1_s: 2.2,
                handover_share: 3.95,
                handover_cos: 0.68,
            }),
            _ => None,
        }
    }
}

/// The parameters of the linear model at the top that the pump needs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pump {
    /// Square of the natural frequency ω₀, 1/s².
    stiffness: f64,
    /// Index of the angle among the positions.
    hinge: usize,
    /// Index of the cart among the positions, if there is one.
    cart: Option<usize>,
    /// Acceleration of what is driven (cart, or hinge without one) per action.
    acceleration_per_action: f64,
}

/// The swing-up for one environment, without a copy of it to try forces on.
#[derive(Debug, Clone)]
pub struct EnergyDesign {
    parameters: EnergyParameters,
    lqr: LqrExpert,
    /// The regulator at the control rate that the hand-over was tuned at: its gains fall with the control period, so
    /// the same share of the action corresponds to different states at another rate.
    judge: LqrExpert,
    pump: Pump,
    margins: Margins,
}

impl EnergyDesign {
    /// Identifies the pendulum from the simulator, whose coordinates are either the angle and its
    /// speed or cart, angle and their speeds.
    pub fn new(
        factory: &EnvFactory,
        parameters: EnergyParameters,
        margins: Margins,
    ) -> Result<Self, ExpertError> {
        let spec = factory.spec();
        let lqr = LqrExpert::new(factory)?;
        let (a, b, dt) = (&lqr.model().a, &lqr.model().b, spec.control_period_s);
        let pump = match a.nrows() {
            2 => Pump {
                stiffness: a[(1, 0)] / dt,
                hinge: 0,
                cart: None,
                acceleration_per_action: b[(1, 0)] / dt,
            },
            _ => {
                // θ̈ = ω₀² sin θ + κ cos θ ẍ, where the linear model mixes the two terms.
                let coupling = b[(3, 0)] / b[(2, 0)];
                Pump {
                    stiffness: (a[(3, 1)] - coupling * a[(2, 1)]) / dt,
                    hinge: 1,
                    cart: Some(0),
                    acceleration_per_action: b[(2, 0)] / dt,
                }
            }
        };
        // A fast world may have no regulator at a slow rate.
        let judge = at_tuned_rate(factory).and_then(|tuned| LqrExpert::new(&tuned).ok());
        Ok(Self {
            parameters,
            judge: judge.unwrap_or_else(|| lqr.clone()),
            lqr,
            pump,
            margins,
        })
    }

    /// For the dataset: settings and the regulator.
    pub fn parameters(&self) -> Value {
        let mut parameters =
            json!({ "swing_up": self.parameters, "regulator": self.lqr.parameters() });
        if self.judge.parameters() != self.lqr.parameters() {
            parameters["handover_regulator"] = self.judge.parameters();
        }
        parameters
    }

    /// Push between −1 and 1 that brings the energy to its target.
    fn drive(&self, theta: f64, speed: f64) -> f64 {
        let (p, w2) = (&self.parameters, self.pump.stiffness);
        let energy = 0.5 * speed * speed + w2 * (theta.cos() - 1.0);
        let missing = p.energy_gain * (p.energy_target - energy / w2);
        let leverage = if self.pump.cart.is_some() {
            theta.cos()
        } else {
            1.0
        };
        missing.clamp(-1.0, 1.0) * (speed * leverage / (p.softness * w2.sqrt())).tanh()
    }
}

/// Energy swing-up with hand-over to [`LqrExpert`].
pub struct EnergyExpert {
    design: EnergyDesign,
    copy: Box<dyn Env>,
}

impl EnergyExpert {
    /// The controller of `design`, for the environment it was made for.
    pub fn new(design: EnergyDesign, factory: &EnvFactory) -> Self {
        Self {
            design,
            copy: factory.build(),
        }
    }

    /// The action under which the cart accelerates by `wanted` over the next control period.
    fn action_for(&mut self, env: &dyn Env, cart: usize, wanted: f64) -> Result<f64, EnvError> {
        let state = env.save();
        let before = env.coordinates();
        let velocity = before.len() / 2 + cart;
        let dt = env.spec().control_period_s;
        let mut acceleration = |action: f32| -> Result<f64, EnvError> {
            self.copy.load(&state)?;
            self.copy.step(&[action])?;
            Ok(f64::from(self.copy.coordinates()[velocity] - before[velocity]) / dt)
        };
        // Affine in the force; probes of one half stay clear of saturation and rounding.
        let probe = 0.5 * self.design.margins.high[0];
        let (below, above) = (acceleration(-probe as f32)?, acceleration(probe as f32)?);
        let slope = (above - below) / (2.0 * probe);
        let free = 0.5 * (above + below);
        Ok((wanted - free)
            / if slope > 0.0 {
                slope
            } else {
                self.design.pump.acceleration_per_action
            })
    }
}

impl Expert for EnergyExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let deviation = self.design.lqr.deviation(&env.coordinates());
        let n = deviation.len() / 2;
        let (theta, speed) = (
            deviation[self.design.pump.hinge],
            deviation[n + self.design.pump.hinge],
        );
        let (p, limit) = (self.design.parameters, self.design.margins.high[0]);
        self.design.judge.feedback(&deviation, out);
        if theta.cos() >= p.handover_cos && out[0].abs() <= p.handover_share * limit {
            self.design.lqr.feedback(&deviation, out);
            return Ok(());
        }
        let drive = self.design.drive(theta, speed);
        out[0] = match self.design.pump.cart {
            None => drive * limit,
            Some(cart) => {
                let (x, v) = (deviation[cart], deviation[n + cart]);
                let push = drive * limit * self.design.pump.acceleration_per_action;
                let wanted = push - p.cart_stiffness_1_s2 * x - p.cart_damping_1_s * v;
                self.action_for(env, cart, wanted)?
            }
        };
        Ok(())
    }
}
