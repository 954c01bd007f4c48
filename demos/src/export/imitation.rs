//! Trajectories as the library `imitation` saves them: an Arrow stream, a row a trajectory.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float32Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use costate_envs::End;
use serde_json::{Value, json};

use super::{Done, beside_columns, inside, pretty, refused};
use crate::dataset::{DatasetError, DatasetReader};

const FILE: &str = "data-00000-of-00001.arrow";

/// Writes the dataset into `folder`.
pub(super) fn write(dataset: &DatasetReader, folder: &Path) -> Result<Done, DatasetError> {
    let meta = dataset.meta();
    let vectors = || ListBuilder::new(ListBuilder::new(Float32Builder::new()));
    let (mut obs, mut acts) = (vectors(), vectors());
    let mut infos = ListBuilder::new(StringBuilder::new());
    let mut terminal = BooleanBuilder::new();
    let mut rews = ListBuilder::new(Float32Builder::new());
    for episode in dataset.episodes() {
        let episode = episode?;
        let trajectory = &episode.trajectory;
        for (column, values, width) in [
            (
                &mut obs,
                trajectory.observations(),
                trajectory.observation_dim(),
            ),
            (&mut acts, trajectory.actions(), trajectory.action_dim()),
        ] {
            for row in values.chunks_exact(width) {
                column.values().values().append_slice(row);
                column.values().append(true);
            }
            column.append(true);
        }
        for reward in episode.rewards() {
            infos.values().append_value("{}");
            rews.values().append_value(reward as f32);
        }
        infos.append(true);
        rews.append(true);
        terminal.append_value(trajectory.end() == End::Terminated);
    }
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("obs", Arc::new(obs.finish())),
        ("acts", Arc::new(acts.finish())),
        ("infos", Arc::new(infos.finish())),
        ("terminal", Arc::new(terminal.finish())),
    ];
    if meta.returns_known() {
        columns.push(("rews", Arc::new(rews.finish())));
    }
    let features: serde_json::Map<String, Value> = columns
        .iter()
        .map(|(name, _)| ((*name).to_owned(), feature(name)))
        .collect();
    let write = || -> Result<Vec<u8>, ArrowError> {
        let batch = RecordBatch::try_from_iter(columns)?;
        let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema())?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    let bytes = write().map_err(|e| refused(dataset, e))?;
    let info = json!({"citation": "", "description": "", "features": features, "homepage": "", "license": ""});
    let state = json!({
        "_data_files": [{"filename": FILE}],
        "_fingerprint": costate_base::disk::sha256(&bytes)[..16],
        "_format_columns": null,
        "_format_kwargs": {},
        "_format_type": null,
        "_output_all_columns": false,
        "_split": null,
    });
    inside(folder, FILE, &bytes)?;
    for (name, value) in [("dataset_info.json", info), ("state.json", state)] {
        inside(folder, name, pretty(&value).as_bytes())?;
    }
    let remarks = vec![
        "names, units, bounds, the control period, seeds and experts stay behind; rewards become float32".into(),
    ];
    Ok((beside_columns(meta), remarks))
}

/// The type of a column, as the library `datasets` writes it.
fn feature(name: &str) -> Value {
    let of = |kind: &str| json!({"dtype": kind, "_type": "Value"});
    let list = |item: Value| json!({"feature": item, "_type": "Sequence"});
    match name {
        "obs" | "acts" => list(list(of("float32"))),
        "infos" => list(of("string")),
        "rews" => list(of("float32")),
        _ => of("bool"),
    }
}
