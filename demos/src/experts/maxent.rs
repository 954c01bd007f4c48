//! The exact maximum-entropy policy of `lq`.
//!
//! At temperature 1 the policy that minimises E[c] − H is N(−Ks, S⁻¹), with K and S = R + BᵀPB of the
//! Riccati equation; the noise belongs to the policy and cannot be chosen.

use costate_envs::worlds::lq::{Lq, LqModel};
use costate_envs::{Env, EnvError, EnvFactory};
use nalgebra::DMatrix;
use serde_json::{Value, json};

use super::{ActionNoise, Expert, ExpertError};

/// The mean −Ks of the maximum-entropy policy.
#[derive(Debug, Clone)]
pub struct MaxEntExpert {
    gain: DMatrix<f64>,
    covariance: DMatrix<f64>,
}

impl MaxEntExpert {
    /// Solves the Riccati equation of the model in `factory`, which must be that of `lq`.
    pub fn new(factory: &EnvFactory) -> Result<Self, ExpertError> {
        let refused = |reason: String| ExpertError::NoClosedForm {
            env: factory.spec().name.clone(),
            reason,
        };
        let model: LqModel = serde_json::from_value(factory.config().model.clone())
            .map_err(|e| refused(e.to_string()))?;
        let lq = Lq::new(&model).map_err(refused)?;
        let solution = lq.solution();
        let covariance = solution.action_curvature.clone().try_inverse();
        Ok(Self {
            gain: solution.gain.clone(),
            covariance: covariance.ok_or_else(|| refused("S is singular".into()))?,
        })
    }

    /// Its own noise, covariance S⁻¹.
    pub fn noise(&self) -> Option<ActionNoise> {
        ActionNoise::with_covariance(self.covariance.clone())
    }

    /// For the dataset: gains and noise covariance, row by row.
    pub fn parameters(&self) -> Value {
        let rows = |matrix: &DMatrix<f64>| -> Vec<Vec<f64>> {
            let rows = matrix.row_iter();
            rows.map(|row| row.iter().copied().collect()).collect()
        };
        json!({ "gain": rows(&self.gain), "noise_covariance": rows(&self.covariance) })
    }
}

impl Expert for MaxEntExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        // Policies are learned from the observation, so the expert acts on it too.
        let mut state = vec![0.0; self.gain.ncols()];
        env.observe(&mut state);
        for (o, row) in out.iter_mut().zip(self.gain.row_iter()) {
            *o = -row
                .iter()
                .zip(&state)
                .map(|(k, s)| k * f64::from(*s))
                .sum::<f64>();
        }
        Ok(())
    }
}
