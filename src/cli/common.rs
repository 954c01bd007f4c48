//! Shared by commands: output mode, environment arguments, signals.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use costate_envs::EnvConfig;
use costate_envs::remote::{Remote, RemoteError};
use serde::Serialize;

use crate::app::WorldChanges;
use crate::error::Error;
use crate::provenance::identity;
use crate::run::settings::Override;

/// Where results and remarks go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// Results as one JSON object.
    pub json: bool,
    /// No progress, no remarks.
    pub quiet: bool,
}

impl Output {
    /// Prints a result: JSON, or the text from `human`.
    pub fn result(
        self,
        value: &impl Serialize,
        human: impl FnOnce() -> String,
    ) -> Result<(), Error> {
        let text = if self.json {
            serde_json::to_string_pretty(value).map_err(|e| Error::Failure(e.to_string()))?
        } else {
            human()
        };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
            // A closed pipe, as from `head`, is not an error.
            Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|e| Error::Failure(format!("standard output: {e}"))),
        }
    }

    /// Prints a remark on standard error.
    pub fn remark(self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}

/// A path in a program's output: JSON holds text only.
pub fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Parses `KEY=VALUE`.
pub fn parse_override(text: &str) -> Result<Override, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok(Override {
            key: key.trim().into(),
            value: value.trim().into(),
        }),
        _ => Err("expected KEY=VALUE".into()),
    }
}

/// Whether a change is of the environment, not of a learner.
pub fn is_of_env(change: &Override) -> bool {
    change.key.starts_with("env.")
}

/// Which environment, with which parameters.
#[derive(Args, Debug, Clone, Default, PartialEq)]
pub struct EnvArgs {
    /// JSON model file to use instead of the environment's default.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// Apply a named set of parameters; `costate envs ENV` lists them. May be repeated, applied in order.
    #[arg(long, value_name = "NAME")]
    pub variant: Vec<String>,
    /// Set a physical or task parameter; `costate envs ENV` lists them. LOW..HIGH samples it uniformly
    /// in every episode.
    #[arg(long = "set", value_name = "env.KEY=VALUE", value_parser = parse_override)]
    pub set: Vec<Override>,
}

impl EnvArgs {
    /// The requested changes.
    pub fn changes(self) -> WorldChanges {
        WorldChanges {
            model: self.model,
            variants: self.variant,
            set: self.set,
        }
    }

    /// The configured environment.
    pub fn config(&self, name: &str) -> Result<EnvConfig, Error> {
        self.clone().changes().config(name)
    }
}

/// Number of workers: as requested, or one per core.
pub fn workers(asked: Option<usize>) -> Result<usize, Error> {
    match asked {
        Some(0) => Err(Error::Misuse("--workers is 0, expected at least 1".into())),
        Some(n) => Ok(n),
        None => Ok(costate_base::workers::default_workers()),
    }
}

/// Who plays a learner's episodes instead of its own threads.
#[derive(Args)]
pub struct RolloutArgs {
    /// Play the learner's episodes by this command, which speaks as `costate worker` does: on another machine, by
    /// Ray. Results do not depend on it; runs do not record it.
    #[arg(long, value_name = "COMMAND")]
    rollouts: Option<String>,
}

impl RolloutArgs {
    /// The workers elsewhere behind the command, greeted.
    pub fn elsewhere(&self) -> Result<Option<Arc<Remote>>, Error> {
        let Some(command) = &self.rollouts else {
            return Ok(None);
        };
        let words = shlex::split(command).filter(|words| !words.is_empty());
        let Some(words) = words else {
            return Err(Error::Misuse(format!(
                "--rollouts {command:?}: expected a command, as 'ssh host costate worker', whose quotes are closed"
            )));
        };
        match Remote::start(words, identity()) {
            Ok(remote) => Ok(Some(Arc::new(remote))),
            Err(RemoteError::Refused(why)) => Err(Error::Misuse(format!("--rollouts: {why}"))),
            Err(RemoteError::Lost(why)) => Err(Error::Failure(format!("--rollouts: {why}"))),
        }
    }
}

/// A flag set by the first stop signal: Ctrl-C, SIGTERM, SIGHUP, or the SIGUSR1 that
/// clusters send before a time limit. The second one exits at once.
pub fn interrupt_flag() -> Result<Arc<AtomicBool>, Error> {
    let flag = Arc::new(AtomicBool::new(false));
    watch_signals(flag.clone())
        .map_err(|e| Error::Failure(format!("cannot install the signal handler: {e}")))?;
    Ok(flag)
}

#[cfg(unix)]
fn watch_signals(flag: Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    let mut wanted = vec![SIGINT, SIGTERM, SIGUSR1];
    // Keep SIGHUP ignored under `nohup`.
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                if flag.swap(true, Ordering::SeqCst) {
                    std::process::exit(128 + signal);
                }
                // Standard error may be closed.
                let _ = writeln!(
                    std::io::stderr(),
                    "\nstopping after this step; press Ctrl-C again to stop at once"
                );
            }
        })?;
    Ok(())
}

/// Whether the process was started with this signal ignored, where the system reports it.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

#[cfg(not(unix))]
fn watch_signals(flag: Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, flag.clone())?;
        signal_hook::flag::register(signal, flag.clone())?;
    }
    Ok(())
}
