//! Datasets mended after a crash, or after a disk damaged them.

use std::fs;
use std::path::{Path, PathBuf};

use costate_base::disk::{self, DiskError};
use serde::Serialize;

use super::edit::{claimed, replace_with, retired};
use super::{DeriveError, Plan, Source};
use crate::dataset::{DATA_FOLDER, DatasetWriter, Meta, Status, load_episode};
use crate::inspect;

/// What was found, and what was done about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Repaired {
    /// Whether a recording was unfinished and counts as complete now, with the episodes that it had.
    pub completed: bool,
    /// Episodes that had been planned for it, if that is known.
    pub planned_episodes: Option<usize>,
    /// Episodes that the dataset holds now.
    pub episodes: usize,
    /// Why an episode cannot be read, by its number.
    pub damaged: Vec<Damage>,
    /// Where the dataset with its damaged episodes is, if they were left out.
    pub kept: Option<PathBuf>,
    /// Files and folders of writes that were cut short, which are gone.
    pub removed: Vec<PathBuf>,
    /// Whether Minari's description had to be made again.
    pub described: bool,
}

/// An episode that cannot be read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Damage {
    /// Its number.
    pub episode: usize,
    /// Why.
    pub reason: String,
}

impl Repaired {
    /// Whether there was anything to do.
    pub fn anything(&self) -> bool {
        self.completed || self.described || self.kept.is_some() || !self.removed.is_empty()
    }
}

/// Mends the dataset in `folder`: removes what a killed process left half-written, makes an unfinished recording
/// complete with the episodes it has, and describes it to Minari. Damaged episodes are named; with `drop_damaged` a
/// dataset without them takes its place, and the one with them is kept beside it.
///
/// Errors: no dataset, one without a readable episode, one that another process is writing.
pub fn repair(folder: &Path, drop_damaged: bool) -> Result<Repaired, DeriveError> {
    put_back_interrupted(folder)?;
    let mut done = Repaired {
        removed: clear(folder)?,
        ..Repaired::default()
    };
    let writer = DatasetWriter::reopen(folder)?;
    done.episodes = writer.entries().len();
    done.planned_episodes = writer.meta().planned_episodes;
    done.damaged = damaged(folder)?;
    if done.damaged.len() == done.episodes {
        return Err(crate::dataset::DatasetError::NoEpisodes(folder.to_owned()).into());
    }
    if writer.meta().status == Status::Recording {
        writer.finish()?;
        done.completed = true;
    } else {
        drop(writer);
    }
    if drop_damaged && !done.damaged.is_empty() {
        done.kept = Some(leave_out(folder, &done.damaged)?);
        done.episodes -= done.damaged.len();
    }
    done.described = inspect::fix(folder)?;
    Ok(done)
}

/// Episodes that cannot be read, or are not those recorded.
fn damaged(folder: &Path) -> Result<Vec<Damage>, DeriveError> {
    let meta = Meta::open(folder)?;
    let found = meta.episodes.iter().filter_map(|entry| {
        let reason = load_episode(folder, entry, &meta).err()?.to_string();
        let episode = entry.id;
        Some(Damage { episode, reason })
    });
    Ok(found.collect())
}

/// Puts a dataset without these episodes in the place of `folder`; returns where the one with them is.
fn leave_out(folder: &Path, damaged: &[Damage]) -> Result<PathBuf, DeriveError> {
    let (place, _claim) = claimed(folder)?;
    let numbers: Vec<usize> = damaged.iter().map(|d| d.episode).collect();
    let replaced = replace_with(&place, |edited| {
        let source = Source::open(folder)?;
        let sound = source.all(0).filter(|p| !numbers.contains(&p.episode));
        let asked = serde_json::json!({ "drop_damaged": numbers });
        Plan::of(&source, sound.collect(), "repair", &asked).make(edited)
    })?
    .1;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let free = (0..).map(|i| match i {
        0 => place.with_file_name(format!("{name}.damaged")),
        i => place.with_file_name(format!("{name}.damaged-{i}")),
    });
    let kept = free
        .into_iter()
        .find(|path| path.symlink_metadata().is_err());
    let kept = kept.expect("some number is free");
    disk::rename(&replaced, &kept)?;
    Ok(kept)
}

/// Where names cannot be exchanged in one step, an edit in place that was killed between two leaves no dataset at all.
fn put_back_interrupted(folder: &Path) -> Result<(), DeriveError> {
    if folder.symlink_metadata().is_err()
        && let Some(before) = retired(folder)?
            .into_iter()
            .find(|(what, _)| what == "replaced")
    {
        disk::rename(&before.1, folder)?;
    }
    Ok(())
}

/// Removes what processes that are gone have left half-written in and beside a dataset.
fn clear(folder: &Path) -> Result<Vec<PathBuf>, DeriveError> {
    let (place, _claim) = claimed(folder)?;
    let mut left: Vec<PathBuf> = retired(&place)?.into_iter().map(|(_, path)| path).collect();
    for inside in [place.clone(), place.join(DATA_FOLDER)] {
        for entry in fs::read_dir(&inside).map_err(DiskError::new("read", &inside))? {
            let path = entry.map_err(DiskError::new("read", &inside))?.path();
            if path.extension().is_some_and(|e| e == "tmp") {
                left.push(path);
            }
        }
    }
    left.sort();
    for path in &left {
        match path.is_dir() {
            true => disk::remove_folder(path)?,
            false => disk::remove_file(path)?,
        }
    }
    Ok(left)
}
