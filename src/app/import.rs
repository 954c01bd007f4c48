//! Datasets from other people's files.

use std::fs;
use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_demos::dataset::DatasetError;
use costate_demos::import::{self, Imported, Mapping};
use costate_demos::inspect;
use serde::Serialize;

use super::{Progress, WorldChanges};
use crate::error::Error;

/// What to import.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// CSV or Parquet files, folders of them, or one LeRobot or Minari folder.
    pub sources: Vec<PathBuf>,
    /// A mapping file; `mapping` goes first.
    pub file: Option<PathBuf>,
    /// Which column is what.
    pub mapping: Mapping,
    /// Name of the world that the demonstrations are of; none by default.
    pub env: Option<String>,
    /// Changes to that world.
    pub world: WorldChanges,
    /// Dataset folder to create.
    pub folder: PathBuf,
}

/// Summary of an import.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The dataset's folder.
    #[serde(serialize_with = "super::shown")]
    pub dataset: PathBuf,
    /// Environment; `table` without a simulator.
    pub env: String,
    /// Episodes.
    pub episodes: usize,
    /// Transitions in all.
    pub steps: usize,
    /// Seconds per step.
    pub control_period_s: f64,
    /// Names of the observations, in order.
    pub observations: Vec<String>,
    /// Names of the recorded actions, in order.
    pub actions: Vec<String>,
    /// Whether no actions were recorded.
    pub observations_only: bool,
    /// Whether rewards were imported.
    pub rewards: bool,
    /// What is remarkable about the files.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

/// Imports files into a new dataset.
///
/// The folder appears when the dataset in it is complete. Errors: a bad mapping or file; a folder that is in use.
pub fn import(request: &Request, progress: &dyn Progress) -> Result<Summary, Error> {
    let mut mapping = request.mapping.clone();
    if let Some(file) = &request.file {
        let text = fs::read_to_string(file).map_err(Error::io(file))?;
        let read = Mapping::from_json(&text)
            .map_err(|e| Error::Misuse(format!("{}: {e}", file.display())))?;
        mapping = read.overlaid(mapping);
    }
    let attach = match &request.env {
        Some(env) => Some(request.world.config(env)?),
        None if request.world == WorldChanges::default() => None,
        None => {
            return Err(Error::Misuse(
                "--model, --variant and --set change a world; name it with --env".into(),
            ));
        }
    };
    let asked = import::Request {
        sources: request.sources.clone(),
        mapping,
        attach,
    };
    let Imported { meta, remarks } = written(&asked, &request.folder, progress)?;
    Ok(Summary {
        dataset: request.folder.clone(),
        env: meta.env.name.clone(),
        episodes: meta.episodes.len(),
        steps: meta.total_steps,
        control_period_s: meta.spec.control_period_s,
        observations: meta.spec.observation.names().map(str::to_owned).collect(),
        actions: match meta.actions_known() {
            true => meta.spec.action.names().map(str::to_owned).collect(),
            false => Vec::new(),
        },
        observations_only: !meta.actions_known(),
        rewards: meta.returns_known(),
        remarks,
    })
}

/// Imports into a folder that appears when the dataset in it is complete.
fn written(
    request: &import::Request,
    folder: &Path,
    progress: &dyn Progress,
) -> Result<Imported, Error> {
    let mut watch = |done, total| {
        if done == 1 {
            progress.begin("import", total);
        }
        progress.advance(done, "episodes whose costs the world tells");
        if done == total {
            progress.end();
        }
    };
    let make = |beside: &Path| -> Result<Imported, Error> {
        let imported = import::import_watched(request, beside, &mut watch)?;
        inspect::describe_as(beside, folder)?;
        Ok(imported)
    };
    let imported = disk::new_folder(folder, make)?;
    let taken = || Error::Dataset(DatasetError::OutputExists(folder.to_owned()));
    imported.ok_or_else(taken)
}
