//! Datasets as the files of other tools: tables, numpy archives, and folders of LeRobot v3, Minari and `imitation`.
//!
//! What a format cannot hold is said. The same dataset gives the same bytes; files and folders appear complete.

mod archive;
mod imitation;
mod lerobot;
mod minari;
mod table;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array};
use arrow_schema::{DataType, Field};
use costate_base::disk;
use costate_envs::Trajectory;
use serde::Serialize;
use serde_json::Value;

use crate::dataset::{DatasetError, DatasetReader, Meta};
use crate::import::Mapping;

/// A format to export to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// One CSV file: a row a state.
    Csv,
    /// One Parquet file: a row a state.
    Parquet,
    /// A numpy archive in D4RL's layout: a row a step, with the state after it.
    Npz,
    /// A LeRobot v3 folder.
    LeRobot,
    /// A Minari folder.
    Minari,
    /// A folder as `imitation` saves trajectories.
    Imitation,
}

/// What was exported.
#[derive(Debug, Clone, Serialize)]
pub struct Exported {
    /// Episodes.
    pub episodes: usize,
    /// Transitions in all.
    pub steps: usize,
    /// How `costate demos import` reads it back, as a mapping file says it.
    pub mapping: Mapping,
    /// What the format does not hold, or holds otherwise.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

/// Exports a complete dataset to `to`, a file of a table or archive and a folder of the other formats, which must be
/// absent.
///
/// Errors: a dataset that cannot be read or is unfinished, a place in use, a format that cannot hold the dataset.
pub fn export(
    dataset: &DatasetReader,
    format: Format,
    to: &Path,
) -> Result<Exported, DatasetError> {
    dataset.finished()?;
    let meta = dataset.meta();
    if !meta.actions_known() {
        return Err(DatasetError::NotExported {
            path: dataset.path().to_owned(),
            reason: "no actions were recorded, which every format holds; the tables that it came from have all there is"
                .into(),
        });
    }
    let (mapping, mut remarks) = match format {
        Format::Csv => file(to, table::csv(dataset)?)?,
        Format::Parquet => file(to, table::parquet(dataset)?)?,
        Format::Npz => file(to, archive::npz(dataset)?)?,
        Format::LeRobot => folder(to, |to| lerobot::write(dataset, to))?,
        Format::Imitation => folder(to, |to| imitation::write(dataset, to))?,
        Format::Minari => {
            let id = minari::id(to)?;
            folder(to, |to| minari::write(dataset, &id, to))?
        }
    };
    if meta.episodes.iter().any(|e| !e.tags.is_empty()) {
        remarks.push("tags stay behind: the format has no place for them".into());
    }
    Ok(Exported {
        episodes: meta.episodes.len(),
        steps: meta.total_steps,
        mapping,
        remarks,
    })
}

/// How it is read back, and remarks.
type Done = (Mapping, Vec<String>);

/// Writes a new file. Errors: there is something already.
fn file(to: &Path, (bytes, done): (Vec<u8>, Done)) -> Result<Done, DatasetError> {
    if to.symlink_metadata().is_ok() {
        return Err(DatasetError::OutputExists(to.to_owned()));
    }
    disk::replace(to, &bytes)?;
    Ok(done)
}

/// Writes a new folder.
fn folder(
    to: &Path,
    write: impl FnOnce(&Path) -> Result<Done, DatasetError>,
) -> Result<Done, DatasetError> {
    let made = disk::new_folder(to, |beside| {
        disk::create_folders(beside)?;
        write(beside)
    })?;
    made.ok_or_else(|| DatasetError::OutputExists(to.to_owned()))
}

/// Writes a file in a folder that is made where needed.
fn inside(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), DatasetError> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        disk::create_folders(parent)?;
    }
    Ok(disk::write_synced(&path, bytes)?)
}

/// The states before and after every action, row-major `[T, observation dim]` each.
fn before_and_after(trajectory: &Trajectory) -> [&[f32]; 2] {
    let (all, n) = (trajectory.observations(), trajectory.observation_dim());
    [&all[..all.len() - n], &all[n..]]
}

/// What a format that names its own columns does not say.
fn beside_columns(meta: &Meta) -> Mapping {
    Mapping {
        dt_s: Some(meta.spec.control_period_s),
        summary: Some(meta.spec.summary.clone()),
        ..Mapping::default()
    }
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// An encoder's refusal, which no dataset should meet.
fn refused(dataset: &DatasetReader, reason: impl fmt::Display) -> DatasetError {
    DatasetError::NotExported {
        path: dataset.path().to_owned(),
        reason: reason.to_string(),
    }
}

/// A column of vectors of one width.
fn vectors(values: Vec<f32>, width: usize) -> ArrayRef {
    let item = Arc::new(Field::new("element", DataType::Float32, true));
    let values = Arc::new(Float32Array::from(values));
    Arc::new(FixedSizeListArray::new(item, width as i32, values, None))
}
