//! `data/metadata.json`: the dataset described to Minari 0.5.x, so that
//! `minari.MinariDataset("NAME/data")` opens it in place.

use std::path::Path;

use costate_envs::Space;
use serde_json::{Value, json};

use super::Meta;

/// The Minari release whose layout is written; readers accept 0.4.0 to 0.5.4.
const MINARI_VERSION: &str = "0.5.3";

/// Minari's own description of the dataset in `folder`.
pub(crate) fn metadata(meta: &Meta, folder: &Path) -> Value {
    let bytes: u64 = meta.episodes.iter().map(|e| e.bytes).sum();
    json!({
        "dataset_id": dataset_id(folder),
        "minari_version": MINARI_VERSION,
        "data_format": "parquet",
        "jpeg_encoding": false,
        "total_episodes": meta.episodes.len(),
        "total_steps": meta.total_steps,
        "dataset_size": (bytes as f64 / 1e5).round() / 10.0, // MB, one decimal
        "observation_space": box_space(&meta.spec.observation),
        "action_space": box_space(&meta.spec.action),
        "algorithm_name": meta.expert.name,
        "code_permalink": "",
        "author": [],
        "author_email": [],
        "description": format!(
            "{}: {}. Recorded by Costate {}.",
            meta.spec.name, meta.spec.summary, meta.costate_version
        ),
    })
}

/// Minari wants `name-vN` and the folder's name; it only parses the version where there is one.
fn dataset_id(folder: &Path) -> String {
    let name = folder
        .file_name()
        .map_or_else(|| "costate".into(), |n| n.to_string_lossy().into_owned());
    let versioned = name.rsplit_once("-v").is_some_and(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    });
    if versioned {
        name
    } else {
        format!("{name}-v0")
    }
}

/// A Gymnasium `Box` space, as the JSON *string* Minari expects.
fn box_space(space: &Space) -> Value {
    let bounds = |bound: fn(&costate_envs::Channel) -> f32| -> Vec<f32> {
        space.0.iter().map(bound).collect()
    };
    let space = json!({
        "type": "Box",
        "dtype": "float32",
        "shape": [space.dim()],
        "low": bounds(|c| c.low),
        "high": bounds(|c| c.high),
    });
    Value::String(space.to_string())
}
