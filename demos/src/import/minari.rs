//! Minari datasets: one Parquet or Arrow file an episode, T + 1 rows for T steps, or one HDF5 file of all.

use std::path::{Path, PathBuf};

use costate_envs::EnvSpec;
use serde_json::Value;

use super::error::ImportError;
use super::mapping::{ChannelMap, Mapping};
use super::table::{Kind, Table};
use super::{Read, cut, hdf5, load};
use crate::dataset::{Meta, SourceFile};

const METADATA: &str = "metadata.json";

/// All episodes in Minari's HDF5 form.
const ARRAYS: &str = "main_data.hdf5";

/// The folder with the description of a Minari dataset at `path`: its root, or the `data` folder within; `None` if it
/// is none. Costate's own datasets are both.
pub(super) fn folder(path: &Path) -> Result<Option<PathBuf>, ImportError> {
    for folder in [path.join("data"), path.to_owned()] {
        if folder.join(METADATA).exists() {
            let (bytes, _) = load(&folder.join(METADATA))?;
            let metadata: Option<Value> = serde_json::from_slice(&bytes).ok();
            if metadata.is_some_and(|m| m.get("minari_version").is_some()) {
                return Ok(Some(folder));
            }
        }
    }
    Ok(None)
}

/// Reads all episodes of the dataset in `folder`.
pub(super) fn read(folder: &Path, mapping: &Mapping) -> Result<Read, ImportError> {
    let file = folder.join(METADATA);
    let (bytes, source) = load(&file)?;
    let refused = |reason: String| ImportError::Kind {
        path: file.clone(),
        reason,
    };
    let metadata: Value = serde_json::from_slice(&bytes).map_err(|e| refused(e.to_string()))?;
    let format = metadata["data_format"].as_str().unwrap_or("hdf5");
    if format == "hdf5" {
        return arrays(folder, source, &metadata, mapping);
    }
    if !["parquet", "arrow"].contains(&format) {
        return Err(refused(format!(
            "this Minari dataset holds {format}, expected parquet, arrow or hdf5"
        )));
    }
    let count = metadata["total_episodes"].as_u64().unwrap_or(0) as usize;
    let files = episodes(folder, count).map_err(refused)?;
    let (first, kind) = &files[0];
    // What a dataset of ours says of itself beyond Minari's description.
    let own = folder
        .parent()
        .and_then(|parent| Meta::open(parent).ok())
        .map(|m| m.spec);
    let (table, _) = Table::read(first, *kind)?;
    let described = |column: &str, space: &str| described(&table, column, &metadata[space]);
    let spaced = |column: &str, pick: fn(&EnvSpec) -> &costate_envs::Space| {
        own.as_ref().map(|spec| {
            let channels = pick(spec).0.iter().enumerate();
            let of = |(i, c): (usize, &costate_envs::Channel)| ChannelMap {
                column: format!("{column}[{i}]"),
                name: c.name.clone(),
                unit: c.unit.clone(),
                low: Some(c.low),
                high: Some(c.high),
            };
            channels.map(of).collect::<Vec<_>>()
        })
    };
    let observations = spaced("observations", |s| &s.observation);
    let actions = spaced("actions", |s| &s.action);
    let of_folder = Mapping {
        observations: observations
            .unwrap_or_else(|| described("observations", "observation_space")),
        actions: actions.unwrap_or_else(|| described("actions", "action_space")),
        reward: Some("rewards".into()),
        terminated: Some("terminations".into()),
        truncated: Some("truncations".into()),
        dt_s: own.as_ref().map(|spec| spec.control_period_s),
        summary: own
            .map(|spec| spec.summary)
            .or(metadata["description"].as_str().map(str::to_owned))
            .filter(|text| !text.is_empty()),
        ..Mapping::default()
    };
    if of_folder.observations.is_empty() || of_folder.actions.is_empty() {
        return Err(refused(
            "this Minari dataset has no plain vectors as observations and actions (Box spaces of one dimension); write \
             every episode as a table of numbers first"
                .into(),
        ));
    }
    let mapping = Mapping {
        last_row: None,
        ..of_folder.overlaid(mapping.clone())
    };
    let mut read = cut::read(&files, &mapping, None)?;
    read.format = "minari";
    read.known = (0..count)
        .map(|id| known(&folder.join(id.to_string()).join(METADATA)))
        .collect();
    read.sources.insert(0, source);
    let expert = metadata["algorithm_name"].as_str();
    read.expert = expert.filter(|name| !name.is_empty()).map(str::to_owned);
    Ok(read)
}

/// Reads the episodes of Minari's HDF5 form.
fn arrays(
    folder: &Path,
    source: SourceFile,
    metadata: &Value,
    mapping: &Mapping,
) -> Result<Read, ImportError> {
    let file = folder.join(ARRAYS);
    if !file.exists() {
        return Err(ImportError::Kind {
            path: folder.join(METADATA),
            reason: format!(
                "this Minari dataset holds hdf5, but `{}` is missing",
                file.display()
            ),
        });
    }
    let mut read = hdf5::read(&[file], mapping, None)?;
    let count = metadata["total_episodes"].as_u64().unwrap_or(0) as usize;
    if read.episodes.len() != count {
        read.remarks.push(format!(
            "metadata.json says {count} episodes, but {} were found; is it complete?",
            read.episodes.len()
        ));
    }
    read.format = "minari";
    read.sources.insert(0, source);
    let text = |key: &str| {
        metadata[key]
            .as_str()
            .filter(|t| !t.is_empty())
            .map(str::to_owned)
    };
    read.expert = text("algorithm_name");
    read.summary = read.summary.or_else(|| text("description"));
    Ok(read)
}

/// The files of all `count` episodes, of which there is at least one. Errors: there are none, or more or fewer.
fn episodes(folder: &Path, count: usize) -> Result<Vec<(PathBuf, Kind)>, String> {
    let mut files = Vec::new();
    for id in 0.. {
        let part = |ending: &str| folder.join(id.to_string()).join(format!("part-0.{ending}"));
        match (part("parquet"), part("arrow")) {
            (parquet, _) if parquet.exists() => files.push((parquet, Kind::Parquet)),
            (_, arrow) if arrow.exists() => files.push((arrow, Kind::Arrow)),
            _ => break,
        }
    }
    if files.is_empty() {
        return Err(format!(
            "this Minari dataset says {count} episodes, but `{}` is missing",
            folder.join("0/part-0.parquet").display()
        ));
    }
    if files.len() != count {
        return Err(format!(
            "this Minari dataset says {count} episodes, but {} were found; is it complete?",
            files.len()
        ));
    }
    Ok(files)
}

/// Seed and success in an episode's own description.
fn known(file: &Path) -> (Option<u64>, Option<bool>) {
    let text = std::fs::read(file).unwrap_or_default();
    let episode: Value = serde_json::from_slice(&text).unwrap_or_default();
    (episode["seed"].as_u64(), episode["success"].as_bool())
}

/// The channels of a column of lists, or of numbers, with the bounds of a Gymnasium space, which is JSON in a string.
fn described(table: &Table, column: &str, space: &Value) -> Vec<ChannelMap> {
    let space: Value = space
        .as_str()
        .and_then(|s| serde_json::from_str(s).ok())
        .unwrap_or_default();
    let columns = match table.has(column) {
        true => vec![column.to_owned()],
        false => table.expanded(column),
    };
    let bound = |which: &str, i: usize| {
        let value = match &space[which] {
            Value::Array(all) => all.get(i).and_then(Value::as_f64),
            one => one.as_f64(),
        };
        value.map(|v| v as f32).filter(|v| v.is_finite())
    };
    let of = |(i, item): (usize, &String)| {
        let (mut low, mut high) = (bound("low", i), bound("high", i));
        if low.is_none() || high.is_none() {
            (low, high) = (None, None);
        }
        ChannelMap {
            low,
            high,
            ..ChannelMap::of(item)
        }
    };
    columns.iter().enumerate().map(of).collect()
}
