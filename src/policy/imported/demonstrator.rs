//! Imported policies as experts that demonstrate.

use std::path::Path;
use std::sync::Arc;

use costate_base::disk;
use costate_demos::experts::{
    ActionNoise, Expert, ExpertDesign, ExpertError, default_noise, experts_for,
};
use costate_envs::{Env, EnvError, EnvFactory};
use serde_json::json;

use super::{OnnxPolicy, ScriptedPolicy, onnx_named};
use crate::error::Error;

/// The expert that a user names: one of the environment's by name (the best if `None`), a run of `costate expert` or a
/// policy file as in [`ExpertDesign::new`]; or an ONNX file or a formula for every action, whose action is the mean.
/// `noise` is the standard deviation of the action noise as a share of the action range.
///
/// Errors, all misuse: unknown, or unusable in this environment.
pub fn expert(
    factory: &EnvFactory,
    who: Option<&str>,
    noise: Option<f64>,
) -> Result<ExpertDesign, Error> {
    let spec = factory.spec();
    let Some(who) = who.filter(|who| !experts_for(&spec.name).contains(who)) else {
        return Ok(ExpertDesign::new(factory, who, noise)?);
    };
    let (name, parameters, acts) = if let Some((file, output)) = onnx_named(who) {
        let policy = OnnxPolicy::read(&file, output, spec)?;
        let bytes = std::fs::read(&file).map_err(Error::io(&file))?;
        let parameters = json!({ "sha256": disk::sha256(&bytes), "output": output });
        ("onnx", parameters, Acts::Onnx(Arc::new(policy)))
    } else if who.contains('=') && !Path::new(who).exists() {
        let policy = ScriptedPolicy::parse(who, spec)?;
        let parameters = json!({ "formulas": who });
        ("scripted", parameters, Acts::Scripted(Arc::new(policy)))
    } else {
        return Ok(ExpertDesign::new(factory, Some(who), noise)?);
    };
    let level = noise.unwrap_or_else(|| default_noise(&spec.name));
    let noise =
        ActionNoise::fraction_of_range(level, &spec.action).ok_or(ExpertError::Noise(level))?;
    let observed = vec![0.0; spec.observation.dim()];
    let action = vec![0.0; spec.action.dim()];
    Ok(ExpertDesign::of(name, parameters, noise, move || {
        Demonstrator {
            acts: acts.clone(),
            observed: observed.clone(),
            action: action.clone(),
        }
    }))
}

#[derive(Clone)]
enum Acts {
    Onnx(Arc<OnnxPolicy>),
    Scripted(Arc<ScriptedPolicy>),
}

/// A policy that acts on what it observes.
struct Demonstrator {
    acts: Acts,
    observed: Vec<f32>,
    action: Vec<f32>,
}

impl Expert for Demonstrator {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        env.observe(&mut self.observed);
        match &self.acts {
            Acts::Onnx(policy) => policy.act(&self.observed, &mut self.action),
            Acts::Scripted(policy) => policy.act(&self.observed, &mut self.action),
        }
        for (out, a) in out.iter_mut().zip(&self.action) {
            *out = f64::from(*a);
        }
        Ok(())
    }
}
