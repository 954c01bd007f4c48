//! Python: found, checked for pip, and run.

use std::ffi::{OsStr, OsString};
use std::process::{Command, Stdio};

use crate::error::Error;

/// A working Python 3 that has pip.
pub struct Python {
    pub program: OsString,
    pub version: String,
}

impl Python {
    /// The first of `python3` and `python` on the path that has pip.
    pub fn find() -> Result<Self, Error> {
        let mut without_pip = None;
        for name in ["python3", "python"] {
            match Self::probe(OsStr::new(name)) {
                Err(Error::NoPython) => {}
                Err(error) => without_pip = without_pip.or(Some(error)),
                Ok(python) => return Ok(python),
            }
        }
        Err(without_pip.unwrap_or(Error::NoPython))
    }

    fn probe(program: &OsStr) -> Result<Self, Error> {
        const VERSION: &str = "import sys; print('.'.join(map(str, sys.version_info[:3])))";
        let version = run(program, &["-c", VERSION]).map_err(|_| Error::NoPython)?;
        let version = version.trim().to_owned();
        if !version.starts_with("3.") {
            return Err(Error::NoPython);
        }
        run(program, &["-m", "pip", "--version"]).map_err(|detail| Error::NoPip {
            python: program.to_string_lossy().into_owned(),
            detail,
        })?;
        Ok(Python {
            program: program.to_owned(),
            version,
        })
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null());
        command
    }
}

/// Standard output of a successful run, or the reason it failed in one line.
pub fn run(program: &OsStr, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(last_line(&output.stderr).unwrap_or_else(|| output.status.to_string()))
    }
}

/// What went wrong with pip, from its log.
pub fn pip_failure(log: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(log);
    if text.contains("No space left on device") {
        return Some("No space left on device".into());
    }
    // pip ends such a run with "no matching distribution", which misleads.
    if text.contains("Retrying (") {
        return Some("the package index cannot be reached".into());
    }
    last_line(log)
}

/// The line of `stderr` that says what went wrong: the last that pip marks as an error, else the
/// last one.
pub fn last_line(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = lines().rev().find_map(|line| line.strip_prefix("ERROR: "));
    marked.or_else(|| lines().next_back()).map(str::to_owned)
}
