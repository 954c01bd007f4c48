//! LeRobot datasets, version 3: Parquet tables of many episodes each, and what their columns mean.

use std::fs;
use std::path::{Path, PathBuf};

use costate_envs::EnvSpec;
use serde_json::Value;

use super::error::ImportError;
use super::mapping::{ChannelMap, Mapping};
use super::table::Kind;
use super::{Read, cut, load};

const INFO: &str = "meta/info.json";

/// Name of the entry that widens vectors of one number on export; imports leave it out.
pub const PADDING: &str = "costate_padding";

/// The states after each action, where an export wrote them.
const NEXT: &str = "next.observation.state";

/// Whether a folder is one.
pub(super) fn is(folder: &Path) -> bool {
    folder.join(INFO).exists()
}

/// Reads all episodes. `mapping` overrides what the dataset says of itself.
pub(super) fn read(
    folder: &Path,
    mapping: &Mapping,
    spec: Option<&EnvSpec>,
) -> Result<Read, ImportError> {
    let (bytes, source) = load(&folder.join(INFO))?;
    let refused = |reason: String| ImportError::Kind {
        path: folder.join(INFO),
        reason,
    };
    let info: Value = serde_json::from_slice(&bytes).map_err(|e| refused(e.to_string()))?;
    let version = info["codebase_version"].as_str().unwrap_or("none");
    if !version.starts_with("v3.") {
        return Err(refused(format!(
            "codebase_version is {version}, expected v3.0; LeRobot's own converter brings older datasets up to it"
        )));
    }
    let has = |column: &str| info["features"].get(column).is_some();
    let some = |column: &str| has(column).then(|| column.to_owned());
    let mut own = Mapping {
        episode: Some("episode_index".into()),
        time: some("timestamp"),
        dt_s: info["fps"]
            .as_f64()
            .filter(|fps| *fps > 0.0)
            .map(|fps| 1.0 / fps),
        reward: some("next.reward"),
        terminated: some("next.terminated").or(some("next.done")),
        truncated: some("next.truncated"),
        summary: info["robot_type"]
            .as_str()
            .map(|robot| format!("demonstrations of {robot}")),
        ..Mapping::default()
    };
    if mapping.observations.is_empty() {
        own.observations = channels(&info, "observation.state").map_err(refused)?;
    }
    if mapping.observations.is_empty() && has(NEXT) && mapping.last_row.is_none() {
        let next = channels(&info, NEXT).map_err(refused)?;
        own.next_observations = next.into_iter().map(|map| map.column).collect();
    }
    if mapping.actions.is_empty() {
        own.actions = channels(&info, "action").map_err(refused)?;
    }
    let mut files = Vec::new();
    tables(&folder.join("data"), 2, &mut files)?;
    files.sort();
    let files: Vec<(PathBuf, Kind)> = files.into_iter().map(|f| (f, Kind::Parquet)).collect();
    if files.is_empty() {
        return Err(refused("there are no Parquet files below data/".into()));
    }
    let mut read = cut::read(&files, &own.overlaid(mapping.clone()), spec)?;
    if let Some(planned) = info["total_episodes"].as_u64()
        && planned as usize != read.episodes.len()
    {
        read.remarks.push(format!(
            "meta/info.json says {planned} episodes, but the tables hold {}: was the recording finalised?",
            read.episodes.len()
        ));
    }
    read.format = "lerobot";
    read.sources.insert(0, source);
    Ok(read)
}

/// The channels of a feature that is a vector. Errors: there is none of this name.
fn channels(info: &Value, column: &str) -> Result<Vec<ChannelMap>, String> {
    let feature = &info["features"][column];
    let width = feature["shape"][0].as_u64().filter(|_| {
        feature["shape"]
            .as_array()
            .is_some_and(|shape| shape.len() == 1)
    });
    let width = width.ok_or_else(|| {
        format!(
            "feature `{column}` is missing or no vector; name the columns with --observations and --actions"
        )
    })?;
    // A vector of one number is written as a plain column.
    if width == 1 {
        return Ok(vec![ChannelMap::of(column)]);
    }
    let names = &feature["names"];
    let named = |i: u64| {
        let own = names[i as usize]
            .as_str()
            .or(names["axes"][i as usize].as_str());
        let column = format!("{column}[{i}]");
        ChannelMap {
            name: ChannelMap::of(own.unwrap_or(&column)).name,
            ..ChannelMap::of(&column)
        }
    };
    let mut maps: Vec<ChannelMap> = (0..width.min(1 << 16)).map(named).collect();
    if maps.last().is_some_and(|m| m.name == PADDING) {
        maps.pop();
    }
    let twice = |(i, m): (usize, &ChannelMap)| maps[..i].iter().any(|o| o.name == m.name);
    match maps.iter().enumerate().any(twice) {
        true => Ok((0..maps.len())
            .map(|i| ChannelMap::of(&format!("{column}[{i}]")))
            .collect()),
        false => Ok(maps),
    }
}

/// The Parquet files below `folder`, at most `depth` folders down.
fn tables(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let Ok(inside) = fs::read_dir(folder) else {
        return Err(ImportError::Missing(folder.into()));
    };
    for entry in inside.flatten() {
        let path = entry.path();
        if path.is_dir() && depth > 0 {
            tables(&path, depth - 1, found)?;
        } else if path.extension().is_some_and(|e| e == "parquet") {
            found.push(path);
        }
    }
    Ok(())
}
