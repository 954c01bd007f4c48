//! Policies that were not learned here: networks in ONNX, formulas.

use std::path::Path;
use std::sync::Arc;

use costate_envs::EnvSpec;
use costate_envs::model::{nearest, suggestion};
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;

use crate::error::Error;
use crate::expression::Formula;

/// A deterministic policy in an ONNX file: one input `[1, observation_dim]` or `[observation_dim]`, f32, one output with
/// `action_dim` values, in the environment's units. A normaliser belongs into the graph.
#[derive(Clone)]
pub struct OnnxPolicy {
    model: Arc<TypedRunnableModel>,
    shape: Vec<usize>,
    actions: usize,
    file: String,
}

impl OnnxPolicy {
    /// Reads a file and tries it on a zero observation.
    pub fn read(file: &Path, spec: &EnvSpec) -> Result<Self, Error> {
        let name = file.display().to_string();
        let bad = |reason: String| Error::Misuse(format!("{name}: {reason}"));
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        let bytes = std::fs::read(file).map_err(|e| bad(e.to_string()))?;
        let inference = tract_onnx::onnx()
            .model_for_read(&mut bytes.as_slice())
            .map_err(|e| bad(format!("not a model in ONNX: {e}")))?;
        if inference.inputs.len() != 1 || inference.outputs.len() != 1 {
            return Err(bad(format!(
                "a policy has one input and one output, this model has {} and {}",
                inference.inputs.len(),
                inference.outputs.len()
            )));
        }
        let rank = inference
            .input_fact(0)
            .ok()
            .and_then(|fact| fact.shape.rank().concretize());
        let shape = if rank == Some(1) { vec![o] } else { vec![1, o] };
        let fit = |e: TractError| {
            format!(
                "cannot act in {}, which observes {o} values: {}",
                spec.name,
                e.root_cause()
            )
        };
        let model = inference
            .with_input_fact(0, f32::fact(&shape).into())
            .and_then(|m| m.into_optimized())
            .and_then(|m| m.into_runnable())
            .map_err(|e| bad(fit(e)))?;
        let policy = Self {
            model,
            shape,
            actions: a,
            file: name.clone(),
        };
        let first = policy.run(&vec![0.0; o]).map_err(|e| bad(fit(e)))?;
        if first.len() != a {
            return Err(bad(format!(
                "gives {} values, {} takes {a} ({})",
                first.len(),
                spec.name,
                spec.action.listed()
            )));
        }
        Ok(policy)
    }

    fn run(&self, observation: &[f32]) -> TractResult<Vec<f32>> {
        let input = Tensor::from_shape(&self.shape, observation)?;
        let output = self.model.run(tvec!(input.into()))?;
        let values = output[0].cast_to::<f32>()?;
        Ok(values
            .to_plain_array_view::<f32>()?
            .iter()
            .copied()
            .collect())
    }

    /// The action for an observation; NaN where the graph fails on it, which the environment refuses.
    pub fn act(&self, observation: &[f32], action: &mut [f32]) {
        match self.run(observation) {
            Ok(values) if values.len() == self.actions => action.copy_from_slice(&values),
            _ => action.fill(f32::NAN),
        }
    }

    /// The file that it came from.
    pub fn file(&self) -> &str {
        &self.file
    }
}

/// A scripted policy: a formula of the observation for each action channel.
#[derive(Debug, Clone)]
pub struct ScriptedPolicy {
    formulas: Vec<Formula>,
}

impl ScriptedPolicy {
    /// Reads `CHANNEL = FORMULA; …`, one for every action channel.
    pub fn parse(text: &str, spec: &EnvSpec) -> Result<Self, Error> {
        let known = &spec.action;
        let mut formulas: Vec<Option<Formula>> = vec![None; known.dim()];
        for part in text.split(';').filter(|p| !p.trim().is_empty()) {
            let Some((name, formula)) = part.split_once('=') else {
                return Err(Error::Misuse(format!(
                    "scripted policy `{}`: expected CHANNEL = FORMULA for each of {}",
                    part.trim(),
                    known.listed()
                )));
            };
            let name = name.trim();
            let Some(i) = known.position(name) else {
                let hint = suggestion(nearest(name, known.names()));
                return Err(Error::Misuse(format!(
                    "scripted policy: {} has no action `{name}`{hint}; it takes {}",
                    spec.name,
                    known.listed()
                )));
            };
            formulas[i] = Some(Formula::parse(formula.trim(), spec, false)?);
        }
        let missing: Vec<&str> = known
            .names()
            .zip(&formulas)
            .filter(|(_, f)| f.is_none())
            .map(|(name, _)| name)
            .collect();
        if !missing.is_empty() {
            return Err(Error::Misuse(format!(
                "scripted policy: no formula for {}",
                missing.join(", ")
            )));
        }
        Ok(Self {
            formulas: formulas.into_iter().flatten().collect(),
        })
    }

    /// The action for an observation.
    pub fn act(&self, observation: &[f32], action: &mut [f32]) {
        for (out, formula) in action.iter_mut().zip(&self.formulas) {
            *out = formula.value(observation, &[]) as f32;
        }
    }
}
