//! Scripted policies.

use costate_base::names::{nearest, suggestion};
use costate_envs::EnvSpec;

use crate::error::Error;
use crate::expression::Formula;

/// A scripted policy: a formula of the observation for each action channel.
#[derive(Debug, Clone)]
pub struct ScriptedPolicy {
    formulas: Vec<Formula>,
}

impl ScriptedPolicy {
    /// Parses `CHANNEL = FORMULA; …`, one for every action channel.
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
