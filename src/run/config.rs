//! `config.json`: everything needed to reproduce a run.

use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_base::provenance::Provenance;
use costate_envs::EnvConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Change, Composition, files};
use crate::error::Error;
use crate::learners::{Algo, Algorithm, rl};
use crate::lengths::Lengths;

/// Version of the run folder's layout that this build writes and the newest that it reads. Version 2 renamed
/// settings and added the build, version 3 a seal.
pub const FORMAT: u32 = 3;

/// The field that tells whether others changed the file: the SHA-256 of its text with this field empty.
const SEAL: &str = "seal";

/// The demonstrations that a run learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemonstrationsRef {
    /// Path of the dataset.
    pub path: PathBuf,
    /// Digest of its data files, to recognise it if it moved or changed.
    pub fingerprint: String,
    /// Episodes learned from.
    pub episodes: usize,
    /// Mean true return of the demonstrations.
    pub expert_return: f64,
    /// Name of the expert.
    pub expert: String,
    /// Whether the expert's actions carried noise of known density.
    #[serde(default)]
    pub noise_known: Option<bool>,
    /// Share of the demonstrations that end solved, if the task defines success.
    #[serde(default)]
    pub success_rate: Option<f64>,
    /// Their lengths; unknown for older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
    /// Whether their actions are hidden from the learner.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub observations_only: bool,
}

/// The complete resolved configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of the run folder's layout.
    pub format: u32,
    /// Version of Costate that created it.
    pub costate_version: String,
    /// Build that created it; unknown for older runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The environment with all its parameters.
    pub env: EnvConfig,
    /// The demonstrations; `None` for an expert, which learns from the true cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<DemonstrationsRef>,
    /// What reinforcement learning minimises; the true cost if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Composition>,
    /// The algorithm with all its settings.
    pub algo: Algo,
    /// Seed of every stream.
    pub seed: u64,
    /// Iterations between checkpoints.
    pub checkpoint_every: usize,
    /// Settings changed on resuming, in order; `algo` holds the latest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Builds that resumed it, in order, each different from the one before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resumed: Vec<Resumption>,
}

/// A build that resumed a run begun by another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resumption {
    /// The first iteration, counted from 0, that it ran.
    pub from_iteration: usize,
    /// The build.
    pub provenance: Provenance,
}

impl RunConfig {
    /// The build that works on the run now resumes it from `iteration`: kept where it is not the one before.
    pub fn resume(&mut self, iteration: usize, build: Option<Provenance>) {
        let before = self.resumed.last().map(|r| &r.provenance);
        if build.as_ref() == before.or(self.provenance.as_ref()) {
            return;
        }
        self.resumed.extend(build.map(|provenance| Resumption {
            from_iteration: iteration,
            provenance,
        }));
    }

    /// The demonstrations that a run imitates; an error for an expert's run.
    pub fn imitated(&self) -> Result<&DemonstrationsRef, Error> {
        self.demonstrations
            .as_ref()
            .ok_or_else(|| self.no_demonstrations())
    }

    /// Hint for a run without demonstrations.
    pub fn no_demonstrations(&self) -> Error {
        Error::Misuse(match self.algo.name() {
            rl::RlSettings::NAME => {
                "this run imitates no demonstrations; name some of its world with --demos DIR \
                            (`costate record` makes them)"
                    .into()
            }
            _ => "this run of `costate expert` imitates no demonstrations; record with it: \
                  `costate record ENV --expert RUN`"
                .into(),
        })
    }

    /// Reads `config.json` of a run folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        Self::read_file(&folder.join("config.json"))
    }

    /// Reads such a file.
    pub(super) fn read_file(file: &Path) -> Result<Self, Error> {
        Self::parse(&text(file)?, &file.display().to_string())
    }

    /// Reads `config.json` of a run folder that is about to be resumed.
    ///
    /// Errors: also a file that was changed since Costate wrote it, as nobody would see that settings differ from those of
    /// the iterations before.
    pub(super) fn read_unchanged(folder: &Path) -> Result<Self, Error> {
        let file = folder.join("config.json");
        let text = text(&file)?;
        let name = file.display().to_string();
        let (config, seal) = Self::parse_sealed(&text, &name)?;
        let Some(seal) = seal else {
            return match config.format {
                // Before there were seals.
                ..3 => Ok(config),
                _ => Err(Error::Failure(format!("{name}: no field `{SEAL}`"))),
            };
        };
        let unsealed = text.replacen(&sealed(&seal), &sealed(""), 1);
        match disk::sha256(unsealed.as_bytes()) == seal {
            true => Ok(config),
            false => Err(Error::Failure(format!(
                "{name}: changed since Costate wrote it; take the change back, and give it to --resume as \
                 `--set KEY=VALUE`, which keeps what was before"
            ))),
        }
    }

    /// Writes such a file.
    pub(super) fn write(&self, file: &Path) -> Result<(), Error> {
        /// With the seal behind all else.
        #[derive(Serialize)]
        struct Unsealed<'a> {
            #[serde(flatten)]
            config: &'a RunConfig,
            seal: &'static str,
        }
        let unsealed = Unsealed {
            config: self,
            seal: "",
        };
        let text = serde_json::to_string_pretty(&unsealed)
            .map_err(|e| Error::Failure(format!("{}: {e}", file.display())))?;
        let text = text + "\n";
        let seal = disk::sha256(text.as_bytes());
        files::write_atomic(
            file,
            text.replacen(&sealed(""), &sealed(&seal), 1).as_bytes(),
        )
    }

    /// The same of the file's text; `name` is for errors.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        Ok(Self::parse_sealed(text, name)?.0)
    }

    /// With the seal, if there is one.
    fn parse_sealed(text: &str, name: &str) -> Result<(Self, Option<String>), Error> {
        let bad = |reason: String| Error::Failure(format!("{name}: {reason}"));
        let mut value: Value =
            serde_json::from_str(text).map_err(|e| bad(format!("not valid JSON: {e}")))?;
        let seal = value.as_object_mut().and_then(|fields| fields.remove(SEAL));
        let seal = seal.and_then(|seal| seal.as_str().map(str::to_owned));
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => Err(bad(format!(
                "run format {format} is newer than {FORMAT}, the newest that this build reads; \
                 update Costate"
            ))),
            Some(_) => {
                let config = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
                Ok((config, seal))
            }
            None => Err(bad(
                "no field `format`; expected a run folder made by `costate train`".into(),
            )),
        }
    }
}

fn text(file: &Path) -> Result<String, Error> {
    std::fs::read_to_string(file).map_err(|e| {
        let message = format!(
            "{}: {e}; expected a run folder made by `costate train`",
            file.display()
        );
        match e.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                Error::Misuse(message)
            }
            _ => Error::Failure(message),
        }
    })
}

/// A seal as it stands in the file.
fn sealed(seal: &str) -> String {
    format!("\"{SEAL}\": \"{seal}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::settings::resolve_with;

    fn config(provenance: Option<Provenance>) -> RunConfig {
        RunConfig {
            format: FORMAT,
            costate_version: "0.1.0".into(),
            provenance,
            env: EnvConfig::named("pendulum").unwrap(),
            demonstrations: None,
            cost: None,
            algo: resolve_with("rl", "pendulum", &Value::Null).unwrap(),
            seed: 0,
            checkpoint_every: 10,
            changes: Vec::new(),
            resumed: Vec::new(),
        }
    }

    #[test]
    fn a_file_that_others_changed_is_read_but_not_resumed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        let written = config(None);
        written.write(&file).unwrap();
        assert_eq!(RunConfig::read_unchanged(folder.path()).unwrap(), written);

        let text = std::fs::read_to_string(&file).unwrap();
        let changed = text.replacen("\"seed\": 0", "\"seed\": 1", 1);
        assert_ne!(changed, text);
        std::fs::write(&file, changed).unwrap();
        assert_eq!(RunConfig::read(folder.path()).unwrap().seed, 1);
        let error = RunConfig::read_unchanged(folder.path()).unwrap_err();
        assert!(error.to_string().contains("--set KEY=VALUE"), "{error}");

        // Without its seal it is no file of this format, but one of an older.
        let mut value: Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove(SEAL);
        std::fs::write(&file, value.to_string()).unwrap();
        let error = RunConfig::read_unchanged(folder.path()).unwrap_err();
        assert!(error.to_string().contains("no field `seal`"), "{error}");
        value["format"] = 2.into();
        std::fs::write(&file, value.to_string()).unwrap();
        assert_eq!(RunConfig::read_unchanged(folder.path()).unwrap().format, 2);
    }

    #[test]
    fn a_run_names_every_build_that_resumed_it_once() {
        let build = |commit: &str| Provenance {
            commit: Some(commit.into()),
            dirty: false,
            costate: "0.1.0".into(),
            rapier: "rapier2d".into(),
            libtorch: None,
        };
        let mut config = config(Some(build("a")));
        for (iteration, by) in [(10, "a"), (20, "b"), (30, "b"), (40, "a")] {
            config.resume(iteration, Some(build(by)));
        }
        config.resume(50, None);
        let kept: Vec<(usize, Option<&str>)> = (config.resumed.iter())
            .map(|r| (r.from_iteration, r.provenance.commit.as_deref()))
            .collect();
        assert_eq!(kept, [(20, Some("b")), (40, Some("a"))]);
    }
}
