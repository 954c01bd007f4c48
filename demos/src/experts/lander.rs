//! Landing by feedback: a tilt that brings the lander over the pad and a speed of descent that
//! shrinks with the height.
//!
//! Everything follows from the current observation. The accelerations of the engines are
//! measured in the simulator (one step of each), so changed masses and engines need no new
//! formulas.

use costate_envs::{Env, EnvError, EnvFactory};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Expert, ExpertError};

/// Settings of the guidance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LanderParameters {
    /// Tilt per metre off the pad's middle.
    pub tilt_rad_m: f64,
    /// Tilt per horizontal speed.
    pub tilt_rad_s_m: f64,
    /// Maximum commanded tilt.
    pub greatest_tilt_rad: f64,
    /// Natural frequency of the tilt's tracking, rad/s.
    pub tracking_rad_s: f64,
    /// Damping ratio of the tilt's tracking.
    pub tracking_damping: f64,
    /// Share of the main engine's spare acceleration that the descent counts on for braking.
    pub braking_share: f64,
    /// Speed of descent at touch-down.
    pub touchdown_m_s: f64,
    /// Height kept per metre that the lander is off the middle half of the pad.
    pub glide_slope: f64,
    /// Acceleration per error of the speed of descent, 1/s.
    pub descent_gain_1_s: f64,
}

impl Default for LanderParameters {
    fn default() -> Self {
        Self {
            tilt_rad_m: 0.118,
            tilt_rad_s_m: 0.178,
            greatest_tilt_rad: 0.63,
            tracking_rad_s: 3.95,
            tracking_damping: 1.08,
            braking_share: 0.58,
            touchdown_m_s: 0.72,
            glide_slope: 0.57,
            descent_gain_1_s: 6.74,
        }
    }
}

/// Landing by feedback on the observation of `lunar_lander`.
#[derive(Debug, Clone)]
pub struct LanderExpert {
    parameters: LanderParameters,
    /// Fall without engines, m/s².
    gravity: f64,
    /// Acceleration at full main engine, m/s².
    main: f64,
    /// Angular acceleration at full side engine, rad/s².
    side: f64,
}

impl LanderExpert {
    /// Measures the engines of the lander of `factory`.
    pub fn new(factory: &EnvFactory, parameters: LanderParameters) -> Result<Self, ExpertError> {
        let mut env = factory.build();
        let dt = factory.spec().control_period_s;
        let mut upright = env.coordinates();
        let n = upright.len() / 2;
        upright[2..].fill(0.0);
        let mut velocity = |action: [f32; 2]| -> Result<Vec<f64>, EnvError> {
            env.reset_to(&upright)?;
            env.step(&action)?;
            Ok(env.coordinates()[n..]
                .iter()
                .map(|v| f64::from(*v))
                .collect())
        };
        let (free, up, turned) = (
            velocity([0.0; 2])?,
            velocity([1.0, 0.0])?,
            velocity([0.0, 1.0])?,
        );
        Ok(Self {
            parameters,
            gravity: -free[1] / dt,
            main: (up[1] - free[1]) / dt,
            side: (turned[2] - free[2]) / dt,
        })
    }

    /// For the dataset: settings and measured accelerations.
    pub fn parameters(&self) -> Value {
        json!({
            "guidance": self.parameters,
            "gravity_m_s2": self.gravity,
            "main_m_s2": self.main,
            "side_rad_s2": self.side,
        })
    }

    /// Main and side command for an observation.
    fn command(&self, [x, h, vx, vy, sin, cos, w, left, right]: [f64; 9]) -> [f64; 2] {
        let p = &self.parameters;
        // Standing: engines off.
        if left > 0.0 && right > 0.0 {
            return [0.0; 2];
        }
        let wanted_tilt = (p.tilt_rad_m * x + p.tilt_rad_s_m * vx)
            .clamp(-p.greatest_tilt_rad, p.greatest_tilt_rad);
        let tilt = sin.atan2(cos);
        let turn = p.tracking_rad_s.powi(2) * (wanted_tilt - tilt)
            - 2.0 * p.tracking_damping * p.tracking_rad_s * w;
        let braking = p.braking_share * (self.main - self.gravity).max(0.0);
        let clear = (h - p.glide_slope * (x.abs() - 1.0).max(0.0)).max(0.0);
        let descent = -(p.touchdown_m_s.powi(2) + 2.0 * braking * clear).sqrt();
        // At a height with room below, following the profile itself takes `braking`.
        let follow = if clear > 0.0 && vy < 0.0 {
            braking * (vy / descent).min(1.0)
        } else {
            0.0
        };
        let lift = self.gravity + follow + p.descent_gain_1_s * (descent - vy);
        [lift / (self.main * cos.max(0.5)), turn / self.side]
    }
}

impl Expert for LanderExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let mut observation = [0.0; 9];
        env.observe(&mut observation);
        out.copy_from_slice(&self.command(observation.map(f64::from)));
        Ok(())
    }
}
