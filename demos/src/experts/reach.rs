//! Reaching with an arm: resolved-rate control with torques computed by the simulator.
//!
//! The tip should move straight to the target, at a speed in proportion to the distance but limited.
//! Joint speeds follow by damped least squares, q̇* = Jᵀ (J Jᵀ + λ²)⁻¹ v* (Whitney, "Resolved motion rate
//! control of manipulators and human prostheses", IEEE Transactions on Man-Machine Systems 10(2), 1969;
//! Nakamura and Hanafusa, Journal of Dynamic Systems, Measurement, and Control 108, 1986). The action
//! that brings the joint speeds there is found on a copy of the simulator, where speeds after a control
//! step are affine in the action: n + 1 steps of the copy, and changed masses need no new formulas.
//! The mean action is a function of the state.

use costate_envs::model::Model;
use costate_envs::worlds::arm::Arm;
use costate_envs::worlds::reacher::Frame;
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::{DMatrix, DVector, Matrix2xX, Rotation2, Vector2};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Expert, ExpertError, Margins};

/// Settings of the controller.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ReachParameters {
    /// Speed of the tip per distance to the target.
    pub gain_1_s: f64,
    /// Maximum commanded speed of the tip.
    pub speed_limit_m_s: f64,
    /// λ: damping of the joint speeds near singular poses.
    pub damping_m: f64,
    /// Time in which the joint speeds reach the commanded ones, at least a control period.
    pub response_s: f64,
}

impl ReachParameters {
    /// Settings chosen for a registered environment.
    pub fn for_env(env: &str) -> Option<Self> {
        match env {
            "reacher" => Some(Self {
                gain_1_s: 5.9,
                speed_limit_m_s: 5.0,
                damping_m: 0.24,
                response_s: 0.07,
            }),
            "reacher3" => Some(Self {
                gain_1_s: 7.3,
                speed_limit_m_s: 3.7,
                damping_m: 0.16,
                response_s: 0.06,
            }),
            _ => None,
        }
    }
}

/// The controller.
pub struct ReachExpert {
    parameters: ReachParameters,
    arm: Arm,
    margins: Margins,
    copy: Box<dyn Env>,
    /// Workspace: the observation, whose last two entries lead from the tip to the target.
    observation: Vec<f32>,
    /// Where these are seen from.
    frame: Frame,
}

impl ReachExpert {
    /// The arm of an environment, if its model is an arm.
    pub fn arm(factory: &EnvFactory) -> Result<Arm, ExpertError> {
        let model = serde_json::from_value::<Model>(factory.config().model.clone());
        let arm = model.map_err(|e| e.to_string()).and_then(|m| Arm::new(&m));
        match arm {
            Ok(arm) if factory.spec().action.dim() == arm.joints() => Ok(arm),
            Ok(_) => Err("it needs one actuator for each joint".to_owned()),
            Err(reason) => Err(reason),
        }
        .map_err(ExpertError::no_formula(factory))
    }

    /// The controller for the environment of `factory`, whose arm is `arm`.
    pub fn new(
        factory: &EnvFactory,
        arm: Arm,
        parameters: ReachParameters,
        margins: Margins,
    ) -> Self {
        Self {
            parameters,
            arm,
            margins,
            copy: factory.build(),
            observation: vec![0.0; factory.spec().observation.dim()],
            frame: (factory.config().model.pointer("/task/observed_from"))
                .and_then(|frame| Frame::deserialize(frame).ok())
                .unwrap_or_default(),
        }
    }

    /// For the dataset.
    pub fn describe(parameters: &ReachParameters) -> Value {
        json!(parameters)
    }

    /// Joint speeds that move the tip by `velocity`.
    fn joint_speeds(&self, positions: &[f32], velocity: Vector2<f64>) -> DVector<f64> {
        let pose = self.arm.pose(positions);
        let columns: Vec<_> = pose.jacobian().map(Vector2::from).collect();
        let jacobian = Matrix2xX::from_columns(&columns);
        let mut square = &jacobian * jacobian.transpose();
        for i in 0..2 {
            square[(i, i)] += self.parameters.damping_m.powi(2);
        }
        let solved = square.try_inverse().map(|inverse| inverse * velocity);
        jacobian.transpose() * solved.unwrap_or_default()
    }

    /// The action after which the joint speeds are `wanted`; zero where actions have no effect.
    fn action_for(
        &mut self,
        env: &dyn Env,
        wanted: &DVector<f64>,
    ) -> Result<DVector<f64>, EnvError> {
        let (state, n) = (env.save(), wanted.len());
        let mut after = |action: &[f32]| -> Result<DVector<f64>, EnvError> {
            self.copy.load(&state)?;
            self.copy.step(action)?;
            let coordinates = self.copy.coordinates();
            Ok(DVector::from_fn(n, |i, _| f64::from(coordinates[n + i])))
        };
        let mut action = vec![0.0; n];
        let free = after(&action)?;
        let mut effect = DMatrix::zeros(n, n);
        for i in 0..n {
            let probe = 0.5 * self.margins.high[i];
            action[i] = probe as f32;
            effect.set_column(i, &((after(&action)? - &free) / probe));
            action[i] = 0.0;
        }
        let missing = wanted - free;
        Ok(effect
            .lu()
            .solve(&missing)
            .unwrap_or_else(|| DVector::zeros(n)))
    }
}

impl Expert for ReachExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        let p = self.parameters;
        env.observe(&mut self.observation);
        let [.., x, y] = self.observation[..] else {
            return Ok(());
        };
        let coordinates = env.coordinates();
        let (positions, velocities) = coordinates.split_at(self.arm.joints());
        let seen = Vector2::new(f64::from(x), f64::from(y));
        let to_target = match self.frame {
            Frame::World => seen,
            Frame::FirstLink => Rotation2::new(f64::from(positions[0])) * seen,
        };
        let distance = to_target.norm().max(f64::MIN_POSITIVE);
        let speed = (p.gain_1_s * distance).min(p.speed_limit_m_s);
        let asked = self.joint_speeds(positions, to_target * (speed / distance));
        let now =
            DVector::from_iterator(velocities.len(), velocities.iter().map(|v| f64::from(*v)));
        let share = (env.spec().control_period_s / p.response_s).min(1.0);
        let wanted = &now + (asked - &now) * share;
        out.copy_from_slice(self.action_for(env, &wanted)?.as_slice());
        self.margins.clamp(out);
        Ok(())
    }
}
