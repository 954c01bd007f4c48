//! An algorithm's settings, resolved from defaults, a file and overrides.
//!
//! Defaults are data: `assets/settings/ALGO.json` holds a complete `default` and, by environment, what
//! differs from it.

use std::path::Path;

use costate_base::names::{nearest, suggestion};
use costate_base::parameters::{self, SetError};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::learners::Algorithm;
use crate::learners::algorithm::{self, Algo, Entry, in_words, renamed};
use crate::learners::frozen_cost::ValidationSettings;
use crate::learners::gan_gcl::GanGclSettings;
use costate_base::schema;

/// One `--set KEY=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Dotted path of the setting, or an unambiguous suffix.
    pub key: String,
    /// Its value, as JSON or plain text.
    pub value: String,
}

/// Resolves the settings of `algo` in `env`: defaults, then the environment's own, then a JSON file
/// of settings, then single overrides.
pub fn resolve(
    algo: &str,
    env: &str,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    let algo = with_changes(&shipped(algo, env)?, file, overrides)?;
    algo.check()?;
    Ok(algo)
}

/// The same with a file's name and text.
pub fn resolve_text(
    algo: &str,
    env: &str,
    file: Option<(&str, &str)>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    let algo = with_text(&shipped(algo, env)?, file, overrides)?;
    algo.check()?;
    Ok(algo)
}

/// The same for learning from observations alone: between the defaults and what the caller changes come the algorithm's
/// own settings for that.
pub fn resolve_for_observations(
    algo: &str,
    env: &str,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    let shipped = without_actions(&shipped(algo, env)?)?;
    let algo = with_changes(&shipped, file, overrides)?;
    algo.check()?;
    Ok(algo)
}

/// The settings of `algo` with those that it needs to do without actions.
fn without_actions(algo: &Algo) -> Result<Algo, Error> {
    let own = algo.without_actions().iter();
    let own: Vec<Override> = own
        .map(|(key, value)| Override {
            key: (*key).into(),
            value: (*value).into(),
        })
        .collect();
    with_changes(algo, None, &own)
}

/// Names of the algorithms that can learn from observations alone.
pub fn able_without_actions() -> Vec<&'static str> {
    let able = |name: &&str| {
        let algo = shipped(name, "").and_then(|algo| without_actions(&algo));
        algo.is_ok_and(|algo| algo.reads_actions().is_none())
    };
    algorithm::names().into_iter().filter(able).collect()
}

/// Refuses what is wrong in any environment: unknown settings, values out of range.
pub fn check(algo: &str, file: Option<&Path>, overrides: &[Override]) -> Result<(), Error> {
    with_changes(&shipped(algo, "")?, file, overrides).map(|_| ())
}

/// Resolves the settings of `algo` in `env` with an object of changes, as in benchmarks.
pub fn resolve_with(algo: &str, env: &str, differing: &Value) -> Result<Algo, Error> {
    let shipped = shipped(algo, env)?;
    let mut settings = shipped.values()?;
    if !differing.is_null() {
        merge(&mut settings, differing, "").map_err(Error::Failure)?;
    }
    let algo = parsed(shipped.entry(), settings)?;
    algo.check()?;
    Ok(algo)
}

/// The same for the algorithm with settings `A`.
pub fn resolve_typed<A: Algorithm>(env: &str, overrides: &[Override]) -> Result<A, Error> {
    let algo = resolve(A::NAME, env, None, overrides)?;
    let own = algo.settings::<A>().cloned();
    own.ok_or_else(|| Error::Failure(format!("{} has settings of another algorithm", A::NAME)))
}

/// How fresh policies validate a cost of `algo` in `env`: as its own settings say, or as GAN-GCL's do where these train none.
pub fn validation(algo: &Algo, env: &str) -> Result<ValidationSettings, Error> {
    match algo.validation().filter(|own| !own.plan().is_empty()) {
        Some(own) => Ok(own.clone()),
        None => Ok(resolve_typed::<GanGclSettings>(env, &[])?.validation),
    }
}

/// The shipped settings of `algo`, with the overrides of `env`.
fn shipped(algo: &str, env: &str) -> Result<Algo, Error> {
    let entry = algorithm::find(algo)?;
    let defaults: Value = serde_json::from_str(entry.defaults())
        .map_err(|e| Error::Failure(format!("invalid shipped settings of {algo}: {e}")))?;
    let complete = parsed(entry, defaults["default"].clone())?;
    let Some(own) = defaults.get(env) else {
        return Ok(complete);
    };
    let mut settings = complete.values()?;
    merge(&mut settings, own, "").map_err(Error::Failure)?;
    parsed(entry, settings)
}

/// The settings of `own` with changes from a file and single overrides; their consistency is left to
/// [`Algo::check`].
pub(crate) fn with_changes(
    own: &Algo,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    let Some(file) = file else {
        return with_text(own, None, overrides);
    };
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(|e| {
        Error::Misuse(format!(
            "{name}: {e}; --config takes a JSON file of settings"
        ))
    })?;
    with_text(own, Some((&name, &text)), overrides)
}

/// The same with a file's name and text.
fn with_text(
    own: &Algo,
    file: Option<(&str, &str)>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    let mut settings = own.values()?;
    if let Some((name, text)) = file {
        let mut value: Value =
            serde_json::from_str(text).map_err(|e| Error::Misuse(format!("{name}: {e}")))?;
        // For editors.
        value.as_object_mut().and_then(|o| o.remove("$schema"));
        merge(&mut settings, &value, "").map_err(|e| Error::Misuse(format!("{name}: {e}")))?;
    }
    for Override { key, value } in overrides {
        parameters::set(&mut settings, key, value)
            .map_err(|e| Error::Misuse(explain(own.name(), key, value, e)))?;
    }
    parsed(own.entry(), settings)
}

fn parsed(entry: Entry, settings: Value) -> Result<Algo, Error> {
    let refused = |fault| Error::Misuse(in_words(entry.name(), &fault));
    entry.parse(settings).map_err(refused)
}

/// A setting with its value and meaning.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Dotted path, as `--set` takes it.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Allowed values.
    pub expected: String,
    /// Meaning.
    pub meaning: String,
}

/// Every setting of an algorithm.
pub fn explained(algo: &Algo) -> Result<Vec<Explained>, Error> {
    let described = schema::describe(&algo.entry().schema());
    let explain = |(key, value): (String, Value)| {
        let (expected, meaning) = described
            .iter()
            .find(|d| d.path == key)
            .map(|d| (d.expected.clone(), d.meaning.clone()))
            .unwrap_or_default();
        Explained {
            key,
            value,
            expected,
            meaning,
        }
    };
    let all = parameters::list(&algo.values()?);
    Ok(all.into_iter().map(explain).collect())
}

/// Wraps words into lines of at most `width` characters.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        match line.chars().count() + 1 + word.chars().count() > width && !line.is_empty() {
            true => lines.push(word.into()),
            false if line.is_empty() => *line += word,
            false => *line += &format!(" {word}"),
        }
    }
    lines
}

/// Overwrites `target` with the entries of `source`, object by object; unknown keys are errors.
fn merge(target: &mut Value, source: &Value, path: &str) -> Result<(), String> {
    let (Value::Object(target), Value::Object(source)) = (target, source) else {
        return Err(format!("{path}: expected a JSON object of settings"));
    };
    for (key, value) in source {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let known: Vec<String> = target.keys().cloned().collect();
        let Some(slot) = target.get_mut(key) else {
            let hint = suggestion(nearest(key, known.iter().map(String::as_str)));
            return Err(unknown(&path, "", &hint));
        };
        match slot {
            Value::Object(_) => merge(slot, value, &path)?,
            _ => *slot = value.clone(),
        }
    }
    Ok(())
}

/// Error for an unknown or renamed setting; `of` names the algorithm.
fn unknown(key: &str, of: &str, hint: &str) -> String {
    match renamed(key) {
        Some(new) => format!("setting `{key}`{of} is now called `{new}`"),
        None => format!("unknown setting `{key}`{of}{hint}"),
    }
}

fn explain(algo: &str, key: &str, value: &str, error: SetError) -> String {
    match error {
        SetError::Unknown(near) => {
            unknown(key, &format!(" of {algo}"), &suggestion(near.as_deref()))
        }
        SetError::Ambiguous(paths) => {
            format!(
                "setting `{key}` of {algo} is ambiguous: {}",
                paths.join(", ")
            )
        }
        SetError::Type { path, expected } => {
            format!("setting `{path}` of {algo}: `{value}` is not {expected}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> Vec<Override> {
        vec![Override {
            key: key.into(),
            value: value.into(),
        }]
    }

    #[test]
    fn every_shipped_setting_is_valid() {
        for entry in algorithm::all() {
            for env in costate_envs::registry::names() {
                resolve(entry.name(), env, None, &[]).unwrap();
            }
        }
    }

    /// Every setting has a meaning, and docs/settings.md is up to date; `UPDATE=1` regenerates it.
    #[test]
    fn settings_page_is_up_to_date() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
        let written = settings_page();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&page, &written).unwrap();
        }
        let there = std::fs::read_to_string(&page).unwrap_or_default();
        assert!(
            there == written,
            "docs/settings.md is out of date: regenerate it with UPDATE=1 cargo test settings_page"
        );
    }

    /// docs/learners.md says of every algorithm what the program says.
    #[test]
    fn algorithms_are_the_same_in_the_book() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/learners.md");
        let page = std::fs::read_to_string(page).unwrap();
        // Without the places that links lead to.
        let pieces = page.split("](").enumerate();
        let plain: String = pieces
            .map(|(i, piece)| match i {
                0 => piece,
                _ => piece.split_once(')').map_or(piece, |(_, rest)| rest),
            })
            .collect();
        let plain = plain.replace('[', "");
        for entry in algorithm::all().iter().filter(|e| e.imitates()) {
            let row = format!("| `{}` | {} |", entry.name(), entry.about());
            assert!(plain.contains(&row), "{row}");
        }
    }

    fn settings_page() -> String {
        let mut page = String::from(
            "# Settings\n\nWritten from the settings' own documentation (`src/learners/`, `src/improve/`); the same \
             as\n`costate train --algo NAME --print-config`. `--set KEY=VALUE` changes one: its path or any\n\
             unambiguous end of it. A resumed run may change those marked `↻`.\n",
        );
        for entry in algorithm::all() {
            let algo = resolve(entry.name(), "", None, &[]).unwrap();
            let described = schema::describe(&entry.schema());
            page += &format!("\n## {}\n", entry.name());
            for setting in explained(&algo).unwrap() {
                let (key, value) = (&setting.key, &setting.value);
                assert!(!setting.meaning.is_empty(), "{}: {key}", entry.name());
                let resumable = described.iter().any(|d| d.path == *key && d.resumable);
                let mark = if resumable { " ↻" } else { "" };
                page += &format!("\n- `{key}` = `{value}`{mark}: {}.\n", setting.expected);
                for line in wrapped(&format!("{}.", setting.meaning), 98) {
                    page += &format!("  {line}\n");
                }
            }
        }
        page
    }

    #[test]
    fn overrides_reach_their_setting() {
        let with = |key, value| {
            let algo = resolve("gan-gcl", "pendulum", None, &set(key, value)).unwrap();
            algo.settings::<GanGclSettings>().unwrap().clone()
        };
        assert_eq!(with("ppo.clip", "0.3").adversarial.generator.ppo.clip, 0.3);
        assert_eq!(with("beta", "1").beta, Some(1.0));
    }

    #[test]
    fn bad_overrides_say_what_is_wrong() {
        let message = |algo, key, value| {
            let error = resolve(algo, "pendulum", None, &set(key, value)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(message("gan-gcl", "itterations", "3").contains("did you mean `iterations`?"));
        assert!(
            message("gan-gcl", "iterations", "0")
                .contains("is 0, expected a whole number of at least 1")
        );
        assert!(message("gan-gcl", "iterations", "many").contains("not a number"));
        assert!(message("gan-gcl", "hidden", "[8]").contains("ambiguous"));
        assert!(message("gan-gcl", "ppo.discount", "1.5").contains("in (0, 1]"));
        assert!(message("bc", "policy.std_initial", "0.001").contains("above policy.std_floor"));
        assert!(message("gan-gc", "seed", "3").contains("did you mean `gan-gcl`?"));
        assert!(message("gan-gcl", "kl_stop", "1").contains("now called `ppo.target_kl`"));
    }
}
