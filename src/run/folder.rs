//! The run folder on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use costate_demos::dataset::disk;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::RunConfig;
use super::files;
use crate::error::Error;
use crate::learners::Learner;
use crate::nn::StateDict;

/// How far a run has come.
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
}

impl RunFolder {
    /// Creates the folder, copies the costs that it is given into it and writes its configuration.
    pub fn create(path: &Path, mut config: RunConfig) -> Result<Self, Error> {
        files::create_output_folder(path)?;
        config.cost = config.cost.map(|c| c.copied_into(path)).transpose()?;
        files::write_json(&path.join("config.json"), &config)?;
        Ok(Self {
            path: path.into(),
            config,
        })
    }

    /// Opens an existing run.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self {
            config: RunConfig::read(path)?,
            path: path.into(),
        })
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

    /// Appends a line to `metrics.jsonl`.
    pub fn append_metrics(&self, line: &Map<String, Value>) -> Result<(), Error> {
        let file = self.file("metrics.jsonl");
        let mut text = Value::Object(line.clone()).to_string();
        text.push('\n');
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .and_then(|mut f| f.write_all(text.as_bytes()))
            .map_err(Error::io(&file))
    }

    /// The lines of `metrics.jsonl`; a torn last line, as a crash leaves it, is left out.
    pub fn metrics(&self) -> Result<Vec<Map<String, Value>>, Error> {
        let file = self.file("metrics.jsonl");
        let reader = match File::open(&file) {
            Ok(f) => BufReader::new(f),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
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

    /// Writes checkpoint `NNNNNN` (complete or absent), then the weights files.
    pub fn checkpoint(&self, learner: &dyn Learner, progress: Progress) -> Result<(), Error> {
        let root = self.file("checkpoints");
        let name = format!("{:06}", progress.iterations);
        let beside = root.join(format!(".{name}.tmp"));
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(Error::io(&beside))?;
        }
        fs::create_dir_all(&beside).map_err(Error::io(&beside))?;
        let state = learner.save().to_bytes(&progress)?;
        files::write_atomic(&beside.join("state.safetensors"), &state)?;
        let place = root.join(&name);
        if place.exists() {
            fs::remove_dir_all(&place).map_err(Error::io(&place))?;
        }
        disk::rename(&beside, &place)?;
        files::write_atomic(
            &self.file("policy.safetensors"),
            &learner.policy().to_bytes()?,
        )?;
        if let Some(model) = learner.energy_model() {
            files::write_atomic(&self.file("cost.safetensors"), &model.to_bytes()?)?;
        }
        tracing::debug!("{}: complete", place.display());
        Ok(())
    }

    /// The newest checkpoint, if there is one.
    pub fn latest_checkpoint(&self) -> Result<Option<(StateDict, Progress)>, Error> {
        let root = self.file("checkpoints");
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(&root)(e)),
        };
        let newest = entries
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .filter(|name| name.bytes().all(|b| b.is_ascii_digit()))
            .max();
        match newest {
            None => Ok(None),
            Some(name) => Ok(Some(StateDict::read(
                &root.join(name).join("state.safetensors"),
            )?)),
        }
    }

    /// Drops metrics of iterations that a resumed run will repeat.
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
        files::write_atomic(&self.file("metrics.jsonl"), kept.concat().as_bytes())
    }

    /// Writes a value as pretty JSON.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        files::write_json(&self.file(name), value)
    }

    /// Reads a JSON file of the folder, if it is there.
    pub fn read_json(&self, name: &str) -> Result<Option<Value>, Error> {
        let file = self.file(name);
        match fs::read_to_string(&file) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|e| Error::Failure(format!("{}: {e}", file.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(&file)(e)),
        }
    }
}
