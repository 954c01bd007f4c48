//! Datasets of demonstrations.

use std::path::PathBuf;

use costate_demos::{Dataset, DatasetReader};
use pyo3::prelude::{Bound, PyResult, Python, pyfunction};
use pyo3::types::PyDict;

use crate::errors::{failure, misuse};
use crate::rollout::to_python;

/// The description of a dataset, as JSON.
#[pyfunction]
pub fn meta(path: PathBuf) -> PyResult<String> {
    let reader = DatasetReader::open(&path).map_err(misuse)?;
    serde_json::to_string(reader.meta()).map_err(failure)
}

/// All episodes of a dataset; a damaged one is an error.
#[pyfunction]
pub fn episodes(py: Python<'_>, path: PathBuf) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let dataset = py.detach(|| Dataset::open(&path)).map_err(failure)?;
    let all = dataset.episodes().iter();
    all.map(|e| to_python(py, e)).collect()
}
