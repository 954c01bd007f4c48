//! Formulas over named channels, as people write them: hand-written costs and scripted policies.

use costate_envs::EnvSpec;
use costate_envs::model::{nearest, suggestion};
use exmex::prelude::*;

use crate::error::Error;

/// A formula of an environment's observation and action channels, by name.
#[derive(Debug, Clone)]
pub struct Formula {
    parsed: FlatEx<f64>,
    /// Where each variable, in alphabetical order, stands in (s, a).
    columns: Vec<usize>,
    observation_dim: usize,
    text: String,
}

impl Formula {
    /// Parses a formula whose variables are observation channels and, where `actions`, action channels.
    ///
    /// Operators: `+ − * / ^`, `min`, `max`, `atan2` between values, `abs`, `sqrt`, `exp`, `ln`, `sin`, `cos`, `tanh`
    /// and the like before one, `PI`, `E`.
    pub fn parse(text: &str, spec: &EnvSpec, actions: bool) -> Result<Self, Error> {
        let parsed: FlatEx<f64> = exmex::parse(text)
            .map_err(|e| Error::Misuse(format!("formula `{text}`: {}", e.msg())))?;
        let mut known: Vec<&str> = spec.observation.names().collect();
        if actions {
            known.extend(spec.action.names());
        }
        let column = |name: &String| {
            known.iter().position(|k| k == name).ok_or_else(|| {
                let hint = suggestion(nearest(name, known.iter().copied()));
                Error::Misuse(format!(
                    "formula `{text}`: {} has no `{name}`{hint}; there are {}",
                    spec.name,
                    known.join(", ")
                ))
            })
        };
        let columns = parsed.var_names().iter().map(column);
        Ok(Self {
            columns: columns.collect::<Result<_, _>>()?,
            parsed,
            observation_dim: spec.observation.dim(),
            text: text.into(),
        })
    }

    /// Its value for one row (s, a).
    pub fn value(&self, observation: &[f32], action: &[f32]) -> f64 {
        let o = observation.len();
        let at = |&i: &usize| f64::from(if i < o { observation[i] } else { action[i - o] });
        let values: Vec<f64> = self.columns.iter().map(at).collect();
        // The number of variables is right: nothing else is refused.
        self.parsed.eval(&values).unwrap_or(f64::NAN)
    }

    /// Whether an action channel is among its variables.
    pub fn sees_actions(&self) -> bool {
        self.columns.iter().any(|c| *c >= self.observation_dim)
    }

    /// Whether it has no variable.
    pub fn is_constant(&self) -> bool {
        self.columns.is_empty()
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::EnvConfig;

    fn parse(text: &str) -> Result<Formula, Error> {
        let factory = EnvConfig::named("point_maze").unwrap().factory().unwrap();
        Formula::parse(text, factory.spec(), true)
    }

    #[test]
    fn variables_are_channels_by_name() {
        let f = parse("sqrt(position_x^2 + (position_y - 1)^2) + 0.5*push_y").unwrap();
        assert_eq!(f.value(&[3.0, 5.0, 9.0, 9.0], &[7.0, 2.0]), 6.0);
        assert!(f.sees_actions() && !parse("position_y^2").unwrap().sees_actions());
        assert!(parse("2.5").unwrap().is_constant());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let message = |text: &str| {
            let error = parse(text).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(message("positon_x^2").contains("did you mean `position_x`?"));
        assert!(message("position_x +* 2").contains("position_x +* 2"));
        assert!(message("").contains("formula"));
    }
}
