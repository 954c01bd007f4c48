//! Advice as data: settings of the algorithm at hand, and commands that can be pasted.

use std::collections::BTreeMap;

use costate_base::parameters;
use serde::Serialize;
use serde_json::Value;

use crate::run::Algo;
use crate::shell;

/// How to change a setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Increase it.
    Raise,
    /// Decrease it.
    Lower,
    /// Set it to a value.
    To(Value),
}

/// One thing to try.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Advice {
    /// A new value of a setting, for `costate train --set KEY=VALUE`.
    Set {
        /// Its key.
        key: String,
        /// How to change it.
        change: Change,
        /// Its current value.
        now: Value,
    },
    /// A command. Names in capitals are placeholders for the user to fill in.
    Run {
        /// Its purpose.
        purpose: String,
        /// Its words, `costate` first.
        command: Vec<String>,
    },
    /// An action that no setting covers.
    Do {
        /// What, in a few words.
        what: String,
    },
}

impl Advice {
    /// A command and what it is for.
    pub fn run<'a>(purpose: &str, command: impl IntoIterator<Item = &'a str>) -> Self {
        Self::Run {
            purpose: purpose.into(),
            command: command.into_iter().map(String::from).collect(),
        }
    }

    /// An action that no setting covers.
    pub fn act(what: &str) -> Self {
        Self::Do { what: what.into() }
    }
}

/// Settings of an algorithm, by key.
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// Those of `algo` that have an effect: only those of the policy optimiser in use.
    pub fn of(algo: &Algo) -> Self {
        let whole = serde_json::to_value(algo).unwrap_or_default();
        let mut all: BTreeMap<String, Value> =
            parameters::list(&whole["settings"]).into_iter().collect();
        let idle = match all.get("improvement").and_then(Value::as_str) {
            Some("sac") => Some("ppo."),
            Some(_) => Some("sac."),
            None => None,
        };
        all.retain(|key, _| !idle.is_some_and(|idle| key.starts_with(idle)));
        Self(all)
    }

    /// The value of a setting, if it exists.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// The same, as a number.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_f64)
    }

    /// Advice to raise those of `keys` that exist.
    pub fn raise(&self, keys: &[&str]) -> Vec<Advice> {
        self.toward(keys, &Change::Raise)
    }

    /// Advice to lower those of `keys` that exist, except counts at 1 and values at 0.
    pub fn lower(&self, keys: &[&str]) -> Vec<Advice> {
        let least = |key: &str| match self.get(key) {
            Some(v) if v.is_u64() => v.as_u64() <= Some(1),
            other => other.and_then(Value::as_f64) == Some(0.0),
        };
        let room: Vec<&str> = keys.iter().copied().filter(|k| !least(k)).collect();
        self.toward(&room, &Change::Lower)
    }

    /// Advice to set a setting to a value, if it exists and has a different one.
    pub fn to(&self, key: &str, value: impl Into<Value>) -> Vec<Advice> {
        let value = value.into();
        match self.get(key) {
            Some(now) if *now != value => self.toward(&[key], &Change::To(value)),
            _ => Vec::new(),
        }
    }

    fn toward(&self, keys: &[&str], change: &Change) -> Vec<Advice> {
        let set = |key: &&str| {
            self.get(key).map(|now| Advice::Set {
                key: (*key).into(),
                change: change.clone(),
                now: now.clone(),
            })
        };
        keys.iter().filter_map(set).collect()
    }
}

/// Advice in words: settings grouped by direction, then commands and other actions.
pub fn in_words(advice: &[Advice]) -> String {
    let setting = |key: &str, now: &Value| match now {
        Value::Null => format!("{key} (now null)"),
        now => format!("{key} (now {now})"),
    };
    let moved = |direction: &Change| -> Vec<String> {
        advice
            .iter()
            .filter_map(|a| match a {
                Advice::Set { key, change, now } if change == direction => Some(setting(key, now)),
                _ => None,
            })
            .collect()
    };
    let mut parts = Vec::new();
    for (verb, direction) in [("raise", Change::Raise), ("lower", Change::Lower)] {
        let settings = moved(&direction);
        if !settings.is_empty() {
            parts.push(format!("{verb} {}", or(&settings)));
        }
    }
    for one in advice {
        match one {
            Advice::Set {
                key,
                change: Change::To(value),
                ..
            } => parts.push(format!("set {key}={value}")),
            Advice::Set { .. } => {}
            Advice::Run { purpose, command } => {
                parts.push(format!("{purpose} (`{}`)", quoted(command)));
            }
            Advice::Do { what } => parts.push(what.clone()),
        }
    }
    parts.join("; ")
}

/// `a`, `a or b`, `a, b or c`.
pub fn or(words: &[impl AsRef<str>]) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        None => String::new(),
        Some((last, [])) => (*last).into(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
    }
}

/// A command, quoted for a shell.
fn quoted(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|w| shell::word(w)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::settings::{Override, resolve};

    fn settings(algo: &str, set: &[(&str, &str)]) -> Settings {
        let set: Vec<Override> = set
            .iter()
            .map(|(key, value)| Override {
                key: (*key).into(),
                value: (*value).into(),
            })
            .collect();
        Settings::of(&resolve(algo, "pendulum", None, &set).unwrap())
    }

    #[test]
    fn advice_names_existing_settings() {
        let gcl = settings("gcl", &[]);
        let all = gcl.raise(&["cost_steps", "iterations"]);
        assert_eq!(
            in_words(&all),
            "raise cost_steps (now 4) or iterations (now 60)"
        );
        assert!(settings("airl", &[]).raise(&["beta"]).is_empty());
        let one = settings("gan-gcl", &[("cost_steps", "1")]);
        assert!(one.lower(&["cost_steps"]).is_empty());
        assert!(gcl.to("cost_steps", 4).is_empty());
    }

    #[test]
    fn commands_can_be_pasted() {
        let command = Advice::run(
            "do it",
            ["costate", "train", "my demos/it's", "--algo", "bc"],
        );
        assert_eq!(
            in_words(&[command]),
            r#"do it (`costate train "my demos/it's" --algo bc`)"#
        );
    }
}
