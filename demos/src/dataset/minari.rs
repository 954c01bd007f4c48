//! `data/metadata.json`: the dataset described to Minari 0.5.x, so that
//! `minari.MinariDataset("NAME/data")` opens it in place.

use std::env;
use std::path::{Path, PathBuf};

use costate_base::disk::{self, DiskError};
use costate_envs::Space;
use serde_json::{Value, json};

use super::{DATA_FOLDER, EpisodeEntry, Meta};

/// The Minari release whose layout is written; readers accept 0.4.0 to 0.5.4.
const MINARI_VERSION: &str = "0.5.3";

/// Maximum rows of an episode that Minari reads as one: it treats each batch of PyArrow's scanner, by default at most
/// 2^17 rows, as an episode.
pub const MOST_ROWS: usize = 1 << 17;

/// The file that describes the dataset in `folder` to Minari.
pub(crate) fn file(folder: &Path) -> PathBuf {
    folder.join(DATA_FOLDER).join("metadata.json")
}

/// Describes the dataset in `folder` with these episodes to Minari, by the name that it has, or will have, in `place`. A
/// dataset that Minari would silently misread is not described: Minari then refuses it.
pub(crate) fn describe(
    meta: &Meta,
    episodes: &[EpisodeEntry],
    folder: &Path,
    place: &Path,
) -> Result<(), DiskError> {
    let file = file(folder);
    match metadata(meta, episodes, place) {
        Some(bytes) => disk::replace(&file, &bytes),
        None if file.exists() => disk::remove_file(&file),
        None => Ok(()),
    }
}

/// The first episode that is too long for Minari.
pub(crate) fn too_long(episodes: &[EpisodeEntry]) -> Option<&EpisodeEntry> {
    episodes.iter().find(|e| e.total_steps >= MOST_ROWS)
}

/// Minari's own description of the dataset in `folder`, if Minari can read it.
pub(crate) fn metadata(meta: &Meta, episodes: &[EpisodeEntry], folder: &Path) -> Option<Vec<u8>> {
    match too_long(episodes) {
        // Minari would take the zeros for actions.
        _ if !meta.actions_known() => None,
        Some(_) => None,
        None => Some(metadata_as(meta, episodes, &dataset_id(folder), None)),
    }
}

/// Minari's own description of a dataset called `id`, with a Gymnasium specification of its environment.
pub(crate) fn metadata_as(
    meta: &Meta,
    episodes: &[EpisodeEntry],
    id: &str,
    env_spec: Option<String>,
) -> Vec<u8> {
    let bytes: u64 = episodes.iter().map(|e| e.bytes).sum();
    let steps: usize = episodes.iter().map(|e| e.total_steps).sum();
    let mut experts: Vec<String> = meta.sessions().into_iter().map(|s| s.expert.name).collect();
    experts.dedup();
    let mut metadata = json!({
        "dataset_id": id,
        "minari_version": MINARI_VERSION,
        "data_format": "parquet",
        "jpeg_encoding": false,
        "total_episodes": episodes.len(),
        "total_steps": steps,
        "dataset_size": (bytes as f64 / 1e5).round() / 10.0, // MB, one decimal
        "observation_space": box_space(&meta.spec.observation),
        "action_space": box_space(&meta.spec.action),
        "algorithm_name": experts.join(", "),
        "code_permalink": "",
        "author": [],
        "author_email": [],
        "description": format!(
            "{}: {}. Recorded by Costate {}.",
            meta.spec.name, meta.spec.summary, meta.costate_version
        ),
    });
    if let Some(env_spec) = env_spec {
        metadata["env_spec"] = env_spec.into();
    }
    format!("{metadata:#}\n").into_bytes()
}
/// The folder of Minari's local datasets.
fn root() -> Option<PathBuf> {
    let asked = env::var_os("MINARI_DATASETS_PATH").map(PathBuf::from);
    let root = asked.or_else(|| Some(env::home_dir()?.join(".minari").join("datasets")));
    root?.canonicalize().ok()
}

/// The path of what is, or will be, in `path`, without links and dots.
fn settled(path: &Path) -> PathBuf {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Ok(settled), ..) => settled,
        (_, Some(parent), Some(name)) if parent == Path::new("") => {
            settled(Path::new(".")).join(name)
        }
        (_, Some(parent), Some(name)) => settled(parent).join(name),
        _ => path.to_owned(),
    }
}

/// The name under which Minari lists the dataset in `folder`: `name-vN`, which must be the folder's name, or its path
/// within the folder of Minari's datasets.
pub(crate) fn dataset_id(folder: &Path) -> String {
    let folder = settled(folder);
    let inside = root().and_then(|root| folder.strip_prefix(root).ok().map(Path::to_owned));
    let name = match &inside {
        Some(path) => Some(path.to_string_lossy().into_owned()).filter(|n| !n.is_empty()),
        None => folder.file_name().map(|n| n.to_string_lossy().into_owned()),
    };
    let name = name.unwrap_or_else(|| "costate".into());
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
