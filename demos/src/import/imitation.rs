//! Trajectories as the library `imitation` saves them: Arrow streams with one row a trajectory.

use std::fs;
use std::path::{Path, PathBuf};

use arrow_schema::DataType;
use costate_envs::EnvSpec;

use super::cut::Cutter;
use super::error::ImportError;
use super::mapping::{ChannelMap, Mapping};
use super::table::{Table, numbers, read_arrow};
use super::{Read, load};
use crate::dataset::columns::items;

/// Column, in the tables made here, of the trajectory's number.
const EPISODE: &str = "trajectory";

/// The files of a folder that holds such trajectories; none if it does not.
pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    if !folder.join("dataset_info.json").exists() {
        return Vec::new();
    }
    let inside = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path());
    let mut files: Vec<PathBuf> = inside
        .filter(|path| path.extension().is_some_and(|e| e == "arrow"))
        .collect();
    files.sort();
    files
}

/// Reads all trajectories. `mapping` overrides what is known of the format.
pub(super) fn read(
    files: &[PathBuf],
    mapping: &Mapping,
    spec: Option<&EnvSpec>,
) -> Result<Read, ImportError> {
    let own = Mapping {
        observations: vec![ChannelMap::of("obs")],
        actions: vec![ChannelMap::of("acts")],
        episode: Some(EPISODE.into()),
        terminated: Some("terminal".into()),
        ..Mapping::default()
    };
    let mut own = own.overlaid(mapping.clone());
    let mut tables = Vec::new();
    for file in files {
        let (bytes, source) = load(file)?;
        tables.push((table(file, bytes)?, source));
    }
    if tables.iter().all(|(table, _)| table.has("rews")) {
        own.reward = own.reward.or(Some("rews".into()));
    }
    let mut cutter = Cutter::new("imitation", &own, spec)?;
    for (table, source) in tables {
        cutter.add(&table, source)?;
    }
    Ok(cutter.finish())
}

/// All trajectories of a file below each other: a row a state, NaN for the action and the reward in the last one.
fn table(path: &Path, bytes: Vec<u8>) -> Result<Table, ImportError> {
    let refused = |reason: String| ImportError::Kind {
        path: path.into(),
        reason: format!("not trajectories as `imitation` saves them: {reason}"),
    };
    let (_, batches) = read_arrow(path, bytes)?;
    let (mut obs, mut acts) = (Vec::new(), Vec::new());
    let (mut rews, mut terminal, mut episode) = (Vec::new(), Vec::new(), Vec::new());
    let mut rewarded = true;
    let mut count = 0;
    for batch in &batches {
        let column = |name: &str| {
            let found = batch.column_by_name(name);
            found.ok_or_else(|| refused(format!("there is no column `{name}`")))
        };
        let ends = numbers(column("terminal")?);
        let ends = ends.ok_or_else(|| refused("`terminal` is no flag".into()))?;
        for (row, &end) in ends.iter().enumerate() {
            let place = |reason: String| refused(format!("trajectory {count}: {reason}"));
            let states = vectors(column("obs")?.as_ref(), row)
                .ok_or_else(|| place("`obs` is no list of vectors of one length".into()))?;
            let actions = vectors(column("acts")?.as_ref(), row).ok_or_else(|| {
                place(
                    "`acts` is no list of vectors of one length; discrete actions are not read"
                        .into(),
                )
            })?;
            let steps = actions[0].len();
            if steps == 0 || states[0].len() != steps + 1 {
                return Err(place(format!(
                    "{} observations and {steps} actions, expected one observation more than actions",
                    states[0].len()
                )));
            }
            let own = batch
                .column_by_name("rews")
                .and_then(|all| numbers(&items(all, row)?));
            rewarded &= own.as_ref().is_some_and(|own| own.len() == steps);
            rews.extend(own.unwrap_or_default().into_iter().chain([f64::NAN]));
            join(&mut obs, states, false)
                .ok_or_else(|| place("`obs` has another width than before".into()))?;
            join(&mut acts, actions, true)
                .ok_or_else(|| place("`acts` has another width than before".into()))?;
            terminal.extend((0..=steps).map(|t| if t + 1 == steps { end } else { 0.0 }));
            episode.extend(vec![f64::from(count); steps + 1]);
            count += 1;
        }
    }
    let mut columns = vec![
        (EPISODE.to_owned(), episode),
        ("terminal".to_owned(), terminal),
    ];
    for (name, all) in [("obs", obs), ("acts", acts)] {
        let named = |(i, values)| (format!("{name}[{i}]"), values);
        columns.extend(all.into_iter().enumerate().map(named));
    }
    if rewarded {
        columns.push(("rews".into(), rews));
    }
    Ok(Table::from_columns(path, columns))
}

/// A list of vectors of one length, by entry; `None` for anything else.
fn vectors(column: &dyn arrow_array::Array, row: usize) -> Option<Vec<Vec<f64>>> {
    let rows = items(column, row)?;
    let mut entries: Vec<Vec<f64>> = Vec::new();
    for t in 0..rows.len() {
        let vector = items(rows.as_ref(), t)?;
        if !matches!(vector.data_type(), DataType::Float32 | DataType::Float64) {
            return None;
        }
        let vector = numbers(&vector)?;
        if t == 0 {
            entries = vec![Vec::new(); vector.len()];
        }
        if vector.is_empty() || vector.len() != entries.len() {
            return None;
        }
        for (entry, value) in entries.iter_mut().zip(vector) {
            entry.push(value);
        }
    }
    (!entries.is_empty()).then_some(entries)
}

/// Appends entries to those before, with a last NaN if `padded`; `None` if there are more or fewer of them.
fn join(all: &mut Vec<Vec<f64>>, more: Vec<Vec<f64>>, padded: bool) -> Option<()> {
    if all.is_empty() {
        *all = vec![Vec::new(); more.len()];
    }
    if all.len() != more.len() {
        return None;
    }
    for (own, more) in all.iter_mut().zip(more) {
        own.extend(more);
        own.extend(padded.then_some(f64::NAN));
    }
    Some(())
}
