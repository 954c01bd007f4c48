//! What commands share: output mode, environment arguments, datasets.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use costate_base::disk;
use costate_demos::inspect::unfinished;
use costate_demos::{Dataset, DatasetReader};
use costate_envs::{EnvConfig, EnvFactory, Trajectory};
use serde::Serialize;

use crate::error::Error;
use crate::memory;
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
    /// Prints a result: JSON, or the text that `human` makes.
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
            // A reader that closed its end, as `head` does, has what it wanted.
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

/// Which environment, with which parameters.
#[derive(Args, Debug, Clone, Default, PartialEq)]
pub struct EnvArgs {
    /// A JSON model file instead of the environment's own.
    #[arg(long, value_name = "FILE")]
    pub model: Option<PathBuf>,
    /// A named set of parameters; `costate envs ENV` lists them. Several apply in order.
    #[arg(long, value_name = "NAME")]
    pub variant: Vec<String>,
    /// Change a physical or task parameter; `costate envs ENV` lists them. LOW..HIGH draws it afresh
    /// for every episode.
    #[arg(long = "set", value_name = "env.KEY=VALUE", value_parser = parse_override)]
    pub set: Vec<Override>,
}

impl EnvArgs {
    /// The configured environment.
    pub fn config(&self, name: &str) -> Result<EnvConfig, Error> {
        let mut config = EnvConfig::named(name)?;
        if let Some(file) = &self.model {
            config = config.with_model_file(file)?;
        }
        for variant in &self.variant {
            config.apply_variant(variant)?;
        }
        for Override { key, value } in &self.set {
            let Some(key) = key.strip_prefix("env.") else {
                return Err(Error::Misuse(format!(
                    "--set {key}: expected a parameter of the environment, as `env.{key}`"
                )));
            };
            config.set(key, value)?;
        }
        Ok(config)
    }
}

/// A dataset and the environment that it was recorded in.
pub struct Demonstrations {
    /// The dataset.
    pub dataset: Dataset,
    /// Its environment.
    pub factory: EnvFactory,
}

impl Demonstrations {
    /// The name of the environment that a dataset was recorded in: its description alone is read.
    pub fn env_name(path: &Path) -> Result<String, Error> {
        Ok(DatasetReader::open(path)?.meta().env.name.clone())
    }

    /// Opens and checks a dataset.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let reader = DatasetReader::open(path)?;
        if let Some(text) = memory::announcement(reader.meta(), memory::available_mib()) {
            tracing::warn!("{}: {text}", path.display());
        }
        let meta = reader.meta();
        let count = meta.episodes.len();
        if let Some(text) = unfinished(path, meta.status, count, meta.planned_episodes) {
            tracing::warn!("{}: {text}", path.display());
        }
        let dataset = Dataset::read(reader)?;
        let factory = dataset.meta().env.factory().map_err(|e| {
            Error::Failure(format!(
                "{}: the environment in its meta.json: {e}",
                path.display()
            ))
        })?;
        dataset.check_env(factory.spec())?;
        tracing::debug!("{}: {} episodes", path.display(), dataset.episodes().len());
        Ok(Self { dataset, factory })
    }

    /// The first `count` trajectories, which is all that a learner may see, and the seeds of their starts.
    pub fn first(&self, count: usize) -> (Vec<Trajectory>, Vec<u64>) {
        let episodes = self.dataset.episodes().iter().take(count);
        episodes.map(|e| (e.trajectory.clone(), e.seed)).unzip()
    }

    /// A digest of the data files: equal data, equal fingerprint.
    pub fn fingerprint(&self) -> String {
        let digests = self
            .dataset
            .meta()
            .episodes
            .iter()
            .map(|e| e.sha256.as_str());
        disk::sha256(digests.collect::<String>().as_bytes())
    }
}

/// Number of workers: as asked, or one a core.
pub fn workers(asked: Option<usize>) -> Result<usize, Error> {
    match asked {
        Some(0) => Err(Error::Misuse("--workers is 0, expected at least 1".into())),
        Some(n) => Ok(n),
        None => Ok(costate_base::workers::default_workers()),
    }
}

/// A flag that the first signal to stop sets: Ctrl-C, a termination, the end of the terminal's session, or the SIGUSR1
/// of clusters before time runs out. The second ends the program at once.
pub fn interrupt_flag() -> Result<Arc<AtomicBool>, Error> {
    let flag = Arc::new(AtomicBool::new(false));
    watch_signals(flag.clone())
        .map_err(|e| Error::Failure(format!("cannot handle signals to stop: {e}")))?;
    Ok(flag)
}

#[cfg(unix)]
fn watch_signals(flag: Arc<AtomicBool>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
    let mut wanted = vec![SIGINT, SIGTERM, SIGUSR1];
    // `nohup` has a program ignore the end of its terminal: that stays so.
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
                // Nobody may be reading any more.
                let _ = writeln!(
                    std::io::stderr(),
                    "\nstopping after this step; press Ctrl-C again to stop at once"
                );
            }
        })?;
    Ok(())
}

/// Whether the program was started with a signal ignored, where the system tells.
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
