//! The build that wrote a file.

use std::fmt;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A build: its commit and the libraries that its numbers depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Git commit of the sources, in hexadecimal; `None` outside a repository.
    pub commit: Option<String>,
    /// Whether the sources differed from that commit.
    pub dirty: bool,
    /// Release of Costate.
    pub costate: String,
    /// Physics engine and its release.
    pub rapier: String,
    /// Release of libtorch; `None` if unknown.
    pub libtorch: Option<String>,
}

/// Only a program knows the commit that all its packages were built of; the packages would hold that of their own last
/// compilation.
static PROGRAM: OnceLock<Provenance> = OnceLock::new();

/// Declares this program's build, once.
pub fn declare(build: Provenance) {
    // A second declaration of one program says the same.
    let _ = PROGRAM.set(build);
}

/// The build of this program; `None` in programs that do not declare it.
pub fn current() -> Option<Provenance> {
    PROGRAM.get().cloned()
}

impl Provenance {
    /// The first digits of the commit, with a `+` if the sources differed from it; `None` without a commit.
    pub fn short_commit(&self) -> Option<String> {
        let commit = self.commit.as_deref()?;
        let digits = commit.get(..10).unwrap_or(commit);
        Some(format!("{digits}{}", if self.dirty { "+" } else { "" }))
    }
}

impl fmt::Display for Provenance {
    /// `costate 0.1.0 (commit 0123456789+), rapier2d 0.36.1, libtorch 2.13.0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "costate {}", self.costate)?;
        if let Some(commit) = self.short_commit() {
            write!(f, " (commit {commit})")?;
        }
        write!(f, ", {}", self.rapier)?;
        match &self.libtorch {
            Some(libtorch) => write!(f, ", libtorch {libtorch}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_say_what_they_know() {
        let mut build = Provenance {
            commit: Some("0123456789abcdef".into()),
            dirty: true,
            costate: "0.1.0".into(),
            rapier: "rapier2d 0.36.1".into(),
            libtorch: Some("2.13.0".into()),
        };
        let whole = "costate 0.1.0 (commit 0123456789+), rapier2d 0.36.1, libtorch 2.13.0";
        assert_eq!(build.to_string(), whole);
        (build.commit, build.libtorch) = (None, None);
        assert_eq!(build.to_string(), "costate 0.1.0, rapier2d 0.36.1");
    }
}
