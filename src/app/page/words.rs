//! The commands that train: as they are started, and as they are shown to be pasted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use costate_base::parameters;
use serde_json::Value;

use crate::error::Error;
use crate::learners::rl::EXPERT;
use crate::run::settings::{self, Override};
use crate::run::{Algo, RunConfig, RunFolder};
use crate::shell;

/// About as many checkpoints are written in a training: every policy on the page is one's.
const CHECKPOINTS: usize = 50;

/// `costate train`.
pub(super) struct Train<'a> {
    pub(super) dataset: &'a Path,
    /// Learn from so many demonstrations only.
    pub(super) count: Option<usize>,
    pub(super) algo: &'a str,
    pub(super) seed: u64,
    pub(super) run: &'a Path,
    pub(super) set: Vec<Override>,
    pub(super) checkpoint_every: Option<usize>,
}

impl Train<'_> {
    /// The arguments of a process.
    pub(super) fn for_process(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["train".into(), plain(self.dataset).into()];
        words.extend(self.options().into_iter().map(OsString::from));
        words.extend(["-o".into(), plain(self.run).into(), "--quiet".into()]);
        words
    }

    /// The command for a shell.
    pub(super) fn for_shell(&self) -> String {
        let mut words = vec!["costate".into(), "train".into(), shell::path(self.dataset)];
        words.extend(self.options().iter().map(|word| shell::word(word)));
        words.extend(["-o".into(), shell::path(self.run)]);
        words.join(" ")
    }

    fn options(&self) -> Vec<String> {
        let mut words = vec!["--algo".into(), self.algo.into()];
        let mut option = |name: &str, value: String| words.extend([name.into(), value]);
        if let Some(count) = self.count {
            option("-n", count.to_string());
        }
        option("--seed", self.seed.to_string());
        if let Some(every) = self.checkpoint_every {
            option("--checkpoint-every", every.to_string());
        }
        for Override { key, value } in &self.set {
            option("--set", format!("{key}={value}"));
        }
        words
    }
}

/// A path that no option is taken for.
fn plain(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// The arguments of a process that resumes a run.
pub(super) fn resume(run: &RunFolder) -> Vec<OsString> {
    let command = match run.config().algo.name() {
        EXPERT => "expert",
        _ => "train",
    };
    let run = plain(run.path()).into();
    vec![
        command.into(),
        "--resume".into(),
        "-o".into(),
        run,
        "--quiet".into(),
    ]
}

/// Iterations between checkpoints, as few as still cost no time: results do not depend on them, but the policy
/// that can be watched is the last checkpoint's.
pub(super) fn checkpoints(algo: &Algo) -> Option<usize> {
    let iterations = algo.values().ok()?["iterations"].as_u64()? as usize;
    Some((iterations / CHECKPOINTS).max(1))
}

/// Settings as `--set` takes them.
pub(super) fn overrides(settings: &[(String, Value)]) -> Vec<Override> {
    let of = |(key, value): &(String, Value)| Override {
        key: key.clone(),
        value: text(value),
    };
    settings.iter().map(of).collect()
}

/// A value as `--set` reads it back: text without quotes where it cannot be taken for something else.
fn text(value: &Value) -> String {
    match value {
        Value::String(text)
            if !text.is_empty()
                && text.trim() == text
                && serde_json::from_str::<Value>(text).is_err() =>
        {
            text.clone()
        }
        other => other.to_string(),
    }
}

/// The command that makes a run like this one; `None` of a run that does not imitate demonstrations.
///
/// Errors: settings that cannot be shown.
pub(super) fn that_made(run: &RunFolder) -> Result<Option<String>, Error> {
    let config = run.config();
    let Some(imitated) = &config.demonstrations else {
        return Ok(None);
    };
    if config.cost.is_some() {
        return Ok(None);
    }
    let here = std::env::current_dir().unwrap_or_default();
    let dataset = imitated.path.strip_prefix(here).unwrap_or(&imitated.path);
    let there = costate_demos::DatasetReader::open(&imitated.path);
    let all = there.is_ok_and(|there| there.meta().episodes.len() == imitated.episodes);
    let command = Train {
        dataset,
        count: (!all).then_some(imitated.episodes),
        algo: config.algo.name(),
        seed: config.seed,
        run: run.path(),
        set: overrides(&differing(config)?),
        // It changes no result.
        checkpoint_every: None,
    };
    Ok(Some(command.for_shell()))
}

/// The settings that differ from the shipped ones of the run's world.
fn differing(config: &RunConfig) -> Result<Vec<(String, Value)>, Error> {
    let shipped = settings::resolve(config.algo.name(), &config.env.name, None, &[])?;
    let shipped = parameters::list(&shipped.values()?);
    let own = parameters::list(&config.algo.values()?);
    Ok(own
        .into_iter()
        .filter(|one| !shipped.contains(one))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_are_read_back_as_they_were_meant() {
        let asked = [
            ("policy.std_form", json!("network")),
            ("beta", json!(null)),
            ("iterations", json!(7)),
            ("validation.discounts", json!([0.9, 0.99])),
            ("cost.state_only", json!(true)),
            ("base_steps", json!(0)),
        ];
        let asked = asked.map(|(key, value)| (key.to_owned(), value));
        let algo = settings::resolve("gan-gcl", "pendulum", None, &overrides(&asked)).unwrap();
        let values = algo.values().unwrap();
        for (key, value) in asked {
            let at = format!("/{}", key.replace('.', "/"));
            assert_eq!(values.pointer(&at), Some(&value), "{key}");
        }
        assert_eq!(text(&json!("3")), "\"3\"");
        assert_eq!(text(&json!("null")), "\"null\"");
    }

    #[test]
    fn commands_are_quoted_and_parse() {
        let train = Train {
            dataset: Path::new("my demos"),
            count: Some(3),
            algo: "bc",
            seed: 4,
            run: Path::new("-runs/it's"),
            set: overrides(&[("policy.hidden".into(), json!([8, 8]))]),
            checkpoint_every: None,
        };
        let shown = train.for_shell();
        let words = shlex::split(&shown).unwrap();
        crate::cli::understands(&words).unwrap();
        assert_eq!(words[2], "my demos");
        assert!(
            shown.ends_with("-o './-runs/it'\\''s'") || words.last().unwrap() == "./-runs/it's"
        );
        let started = train.for_process();
        let words: Vec<String> = std::iter::once("costate".to_owned())
            .chain(started.into_iter().map(|w| w.into_string().unwrap()))
            .collect();
        crate::cli::understands(&words).unwrap();
        assert!(Path::new(&words[2]).is_absolute());
    }

    #[test]
    fn short_trainings_show_every_policy() {
        let every = |set: &str| {
            let set = overrides(&[("iterations".into(), serde_json::from_str(set).unwrap())]);
            checkpoints(&settings::resolve("bc", "pendulum", None, &set).unwrap())
        };
        assert_eq!([every("15"), every("300")], [Some(1), Some(6)]);
    }
}
