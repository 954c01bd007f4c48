//! Episodes that failed on the way, kept so that they can be looked at.

use std::path::Path;

use costate_envs::{Broken, EnvConfig, EnvError};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::run::files;
use crate::shell;

/// Name of the file, in the folder of what was under way.
pub const FILE: &str = "failed-episode.json";
const FORMAT: u32 = 1;

/// An episode up to its failure, with its world.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedEpisode {
    format: u32,
    /// The world.
    pub env: EnvConfig,
    /// From which seed and by which actions it got there.
    pub episode: Broken,
    /// What happened.
    pub reason: String,
}

impl FailedEpisode {
    /// Reads one.
    ///
    /// Errors: not such a file, one of a later version.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let value = files::read_json(path)?.unwrap_or_default();
        let refuse = |reason: String| {
            Error::Failure(format!("{}: {reason}; expected a {FILE}", path.display()))
        };
        let found: Self = serde_json::from_value(value).map_err(|e| refuse(e.to_string()))?;
        match found.format {
            FORMAT => Ok(found),
            newer => Err(refuse(format!("format {newer}, this build reads {FORMAT}"))),
        }
    }
}

/// Keeps the episode in which `error` arose, if one did, in `folder`; returns an error that says where it is.
pub fn keep(folder: &Path, env: &EnvConfig, error: Error) -> Error {
    let Error::Env(EnvError::Broken { broken, cause }) = &error else {
        return error;
    };
    let failed = FailedEpisode {
        format: FORMAT,
        env: env.clone(),
        episode: (**broken).clone(),
        reason: cause.to_string(),
    };
    let file = folder.join(FILE);
    match files::write_json(&file, &failed) {
        Ok(()) => Error::Failure(format!(
            "{error}; `costate view {} --png failed.png` shows the episode",
            shell::path(&file)
        )),
        Err(unkept) => Error::Failure(format!("{error}; the episode could not be kept: {unkept}")),
    }
}
