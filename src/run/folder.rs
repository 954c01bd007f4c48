//! The run folder on disk.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use costate_base::disk::{self, Appender};
use costate_base::number;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::RunConfig;
use super::weights::{self, Weights};
use super::{files, lock};
use crate::error::Error;
use crate::learners::Learner;
use crate::nn::{StateDict, StateError};

/// A run's progress.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Iterations done.
    pub iterations: usize,
    /// Environment steps taken.
    pub env_steps: u64,
    /// Seconds spent learning.
    pub seconds: f64,
}

/// A run folder: `config.json`, `metrics.jsonl`, `checkpoints/NNNNNN/`, weights.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
    config: RunConfig,
    /// Held by a writer and its clones.
    lock: Arc<OnceLock<File>>,
}

/// State that a checkpoint resumes from.
const STATE: &str = "state.safetensors";
const CONFIG: &str = "config.json";
/// `config.json` while being written: complete if readable.
const CONFIG_BEGUN: &str = "config.json.tmp";
const METRICS: &str = "metrics.jsonl";
/// Bytes that hold the last lines of the metrics, which take about a thousand each.
const LAST_LINES: u64 = 1 << 16;
/// Checkpoints that are kept: the newest, and those before it in case that a disk damages it.
const KEPT: usize = 3;
/// What a start killed before `config.json` leaves behind.
const LEFTOVERS: [&str; 3] = [lock::FILE, CONFIG_BEGUN, super::composition::COPIES];

impl RunFolder {
    /// Creates the folder, copies the given costs into it and writes its configuration. Locked against other writers
    /// until dropped.
    ///
    /// Errors: a folder with anything but the remains of a killed start.
    pub fn create(path: &Path, mut config: RunConfig) -> Result<Self, Error> {
        if !is_left_over(path) {
            refuse_run(path)?;
            files::create_output_folder(path)?;
        }
        let lock = lock::take(path)?;
        // Another process may have created it first.
        if !is_left_over(path) {
            refuse_run(path)?;
            files::create_output_folder(path)?;
        }
        config.cost = config.cost.map(|c| c.copied_into(path)).transpose()?;
        config.write(&path.join(CONFIG))?;
        Ok(Self {
            path: path.into(),
            config,
            lock: Arc::new(lock.into()),
        })
    }

    /// Opens an existing run for reading.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            config: RunConfig::read(path)?,
            path: path.into(),
            lock: Arc::default(),
        })
    }

    /// Opens an existing run for resuming, locked against other writers until dropped.
    ///
    /// Errors: a configuration that was changed since Costate wrote it.
    pub fn resume(path: &Path) -> Result<Self, Error> {
        let begun = path.join(CONFIG_BEGUN);
        let config = path.join(CONFIG);
        if !config.exists() && RunConfig::read_file(&begun).is_ok() {
            let _starting = lock::take(path)?;
            disk::rename(&begun, &config)?;
        }
        let run = Self::open(path)?;
        run.lock()?;
        // The previous writer may have changed it.
        Ok(Self {
            config: RunConfig::read_unchanged(path)?,
            ..run
        })
    }

    /// Locks the run against other processes until this and its clones are dropped.
    ///
    /// Errors: another process is writing.
    pub fn lock(&self) -> Result<(), Error> {
        if self.lock.get().is_none() {
            let _ = self.lock.set(lock::take(&self.path)?);
        }
        Ok(())
    }

    /// The same run with another configuration, which is saved.
    pub fn reconfigured(self, config: RunConfig) -> Result<Self, Error> {
        config.write(&self.file(CONFIG))?;
        Ok(Self { config, ..self })
    }

    /// The command that resumes it.
    pub fn resume_command(&self) -> String {
        let command = match self.config.algo.name() {
            crate::learners::rl::EXPERT => "expert",
            _ => "train",
        };
        format!(
            "costate {command} --resume -o {}",
            crate::shell::path(&self.path)
        )
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Appends a line to `metrics.jsonl`, or leaves it unchanged.
    pub fn append_metrics(&self, line: &Map<String, Value>) -> Result<(), Error> {
        let file = self.file(METRICS);
        let mut text = Value::Object(line.clone()).to_string();
        text.push('\n');
        Ok(Appender::open(&file)?.append(text.as_bytes())?)
    }

    /// The lines of `metrics.jsonl`, without a last line torn by a crash.
    pub fn metrics(&self) -> Result<Vec<Map<String, Value>>, Error> {
        let file = self.file(METRICS);
        let reader = match File::open(&file) {
            Ok(f) => BufReader::new(f),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(&file)(e)),
        };
        let lines: Vec<String> = reader
            .lines()
            .collect::<Result<_, _>>()
            .map_err(Error::io(&file))?;
        let mut parsed = Vec::with_capacity(lines.len());
        for (i, line) in lines.iter().enumerate() {
            match serde_json::from_str(line) {
                Ok(map) => parsed.push(map),
                Err(_) if i + 1 == lines.len() => {}
                Err(e) => {
                    return Err(Error::Failure(format!(
                        "{}, line {}: {e}",
                        file.display(),
                        i + 1
                    )));
                }
            }
        }
        Ok(parsed)
    }

    /// The last complete line of `metrics.jsonl`, without reading the others; `None` before the first iteration.
    pub fn last_metrics(&self) -> Result<Option<Map<String, Value>>, Error> {
        let file = self.file(METRICS);
        let end = || -> io::Result<Vec<u8>> {
            let mut lines = File::open(&file)?;
            let len = lines.metadata()?.len();
            lines.seek(SeekFrom::Start(len.saturating_sub(LAST_LINES)))?;
            let mut end = Vec::new();
            lines.take(LAST_LINES).read_to_end(&mut end)?;
            Ok(end)
        };
        let end = match end() {
            Ok(end) => end,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&file)(e)),
        };
        let mut lines = end.rsplit(|byte| *byte == b'\n');
        Ok(lines.find_map(|line| serde_json::from_slice(line).ok()))
    }

    /// Writes checkpoint `NNNNNN` (complete or absent) with the checksums of its weights, then the weights.
    ///
    /// Errors: [`Error::Diverged`] for a state with non-finite numbers; nothing is written then.
    pub fn checkpoint(&self, learner: &dyn Learner, progress: Progress) -> Result<(), Error> {
        let diverged = |e| match e {
            StateError::NotFinite(name) => Error::Diverged {
                iteration: progress.iterations.saturating_sub(1),
                what: format!("`{name}` contains non-finite numbers"),
            },
            other => other.into(),
        };
        let state = learner.save().to_bytes(&progress).map_err(diverged)?;
        let weights = Weights::of(learner).map_err(diverged)?;
        let root = self.checkpoints();
        let name = format!("{:06}", progress.iterations);
        let beside = root.join(format!(".{name}.tmp"));
        if beside.exists() {
            disk::remove_folder(&beside)?;
        }
        let write = || -> Result<(), Error> {
            disk::create_folders(&beside)?;
            files::write_new(&beside.join(STATE), &state)?;
            files::write_new(&beside.join(weights::FILE), &weights.record()?)?;
            Ok(disk::sync_folder(&beside)?)
        };
        write().inspect_err(|_| {
            let _ = disk::remove_folder(&beside);
        })?;
        // A checkpoint never outlives the metrics that led to it.
        let metrics = self.file(METRICS);
        if metrics.exists() {
            disk::sync(&metrics)?;
        }
        let place = root.join(&name);
        // There is one already where a run was resumed.
        disk::replace_folder(&beside, &place)?;
        weights.publish(&self.path)?;
        tracing::debug!("{}: complete", place.display());
        self.retire();
        if progress.iterations == 0 {
            let needed = KEPT as u64 * disk::size(&place);
            if let Some(free) = disk::free_bytes(&root).filter(|free| *free < needed) {
                tracing::warn!(
                    "{}: checkpoints will take about {}, of which {} are free on this disk",
                    root.display(),
                    number::bytes(needed),
                    number::bytes(free)
                );
            }
        }
        Ok(())
    }

    /// Removes checkpoints before the last [`KEPT`]. What cannot be removed stays.
    fn retire(&self) {
        let mut places = self.numbered().unwrap_or_default();
        places.sort();
        let old = places.len().saturating_sub(KEPT);
        let removed = (places[..old].iter())
            .try_for_each(|(_, place)| disk::remove_folder(place))
            .and_then(|()| disk::remove_gone(&self.checkpoints()));
        if let Err(error) = removed {
            tracing::warn!("{error}");
        }
    }

    /// Rewrites the weights of the newest checkpoint if they are missing or differ.
    pub fn republish(&self, learner: &dyn Learner) -> Result<(), Error> {
        let weights = Weights::of(learner)?;
        if let Some((_, place)) = self.newest()? {
            self.retire();
            let (file, record) = (place.join(weights::FILE), weights.record()?);
            if fs::read(&file).ok().as_ref() != Some(&record) {
                files::write_atomic(&file, &record)?;
            }
        }
        weights.publish(&self.path)
    }

    /// A file of weights of this run, if it has one.
    ///
    /// Errors: a file that differs from the newest checkpoint's. Not checked for checkpoints of earlier versions.
    pub fn weights(&self, name: &str) -> Result<Option<PathBuf>, Error> {
        let file = self.file(name);
        let check = || match self.newest()? {
            Some((_, place)) => weights::check(&file, name, &place),
            None => Ok(()),
        };
        // A process that is training may be between a checkpoint and its weights.
        let mut checked = check();
        for _ in 0..5 {
            if checked.is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
            checked = check();
        }
        checked.map_err(|e| {
            Error::Failure(format!(
                "{e}; `{}` restores the run's own",
                self.resume_command()
            ))
        })?;
        Ok(file.exists().then_some(file))
    }

    /// Its policy file, which does not exist before the first checkpoint.
    ///
    /// Errors: as [`RunFolder::weights`].
    pub fn policy(&self) -> Result<PathBuf, Error> {
        let file = self.weights(weights::POLICY)?;
        Ok(file.unwrap_or_else(|| self.file(weights::POLICY)))
    }

    fn checkpoints(&self) -> PathBuf {
        self.file("checkpoints")
    }

    /// Number and folder of the newest checkpoint.
    fn newest(&self) -> Result<Option<(usize, PathBuf)>, Error> {
        Ok(self.numbered()?.into_iter().max())
    }

    /// Numbers and folders of all checkpoints, in no order.
    fn numbered(&self) -> Result<Vec<(usize, PathBuf)>, Error> {
        let root = self.checkpoints();
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(&root)(e)),
        };
        let names = entries.flatten().map(|e| e.file_name());
        let numbered = names.filter_map(|name| {
            let text = name.to_str()?;
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|_| digits)?;
            Some((number, root.join(&name)))
        });
        Ok(numbered.collect())
    }

    /// Iterations done at the newest checkpoint.
    pub fn iterations_done(&self) -> Result<usize, Error> {
        Ok(self.newest()?.map_or(0, |(number, _)| number))
    }

    /// The newest checkpoint that can be read, if there is one; those that a disk has damaged since are set aside.
    ///
    /// Errors: no checkpoint can be read, though there are some.
    pub fn latest_checkpoint(&self) -> Result<Option<(StateDict, Progress)>, Error> {
        let mut places = self.numbered()?;
        places.sort();
        while let Some((_, place)) = places.pop() {
            match StateDict::read(&place.join(STATE)) {
                Ok(found) => return Ok(Some(found)),
                Err(error @ StateError::Io { .. }) => return Err(error.into()),
                Err(error) if places.is_empty() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!("{error}; resuming from the checkpoint before it");
                    disk::rename(&place, &place.with_extension("damaged"))?;
                }
            }
        }
        Ok(None)
    }

    /// Removes metrics of iterations that a resumed run will repeat.
    pub fn rewind_metrics(&self, iterations: usize) -> Result<(), Error> {
        let kept: Vec<String> = self
            .metrics()?
            .into_iter()
            .filter(|line| {
                line.get("iteration")
                    .and_then(Value::as_u64)
                    .is_some_and(|k| (k as usize) < iterations)
            })
            .map(|line| Value::Object(line).to_string() + "\n")
            .collect();
        files::write_atomic(&self.file(METRICS), kept.concat().as_bytes())
    }

    /// Writes a value as pretty JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        files::write_json(&self.file(name), value)
    }

    /// Reads a JSON file of the folder, if it exists.
    pub fn read_json(&self, name: &str) -> Result<Option<Value>, Error> {
        files::read_json(&self.file(name))
    }
}

/// Whether a folder holds nothing but the remains of a start killed before `config.json`.
fn is_left_over(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else {
        return false;
    };
    let names: Vec<_> = entries.flatten().map(|e| e.file_name()).collect();
    let own = |name: &str| names.iter().any(|n| n == name);
    names
        .iter()
        .all(|n| n.to_str().is_some_and(|n| LEFTOVERS.contains(&n)))
        // A folder of costs is ours only if that start had locked it.
        && (own(lock::FILE) || !own(super::composition::COPIES))
}

/// Refuses a folder that holds a run, naming the command that resumes it.
fn refuse_run(path: &Path) -> Result<(), Error> {
    match RunFolder::open(path) {
        Err(_) => Ok(()),
        Ok(run) => Err(Error::Misuse(format!(
            "{}: the output folder exists and holds a run; resume it with `{}`, or choose another with -o",
            path.display(),
            run.resume_command()
        ))),
    }
}
