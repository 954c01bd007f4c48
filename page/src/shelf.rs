//! The datasets in a folder: listed, replayed, tagged, deleted, with the last change undone on request.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use costate_base::disk;
use costate_demos::dataset::{DatasetError, EpisodeEntry, Meta, load_episode};
use costate_demos::derive::{DeriveError, Edit, Span, edit_and_keep, put_back, set_aside};
use costate_envs::{EnvFactory, Episode};
use costate_picture as picture;
use serde::Deserialize;

use crate::film::{Film, scenes};
use crate::learning::{Fault, Refusal};
use crate::name::Name;
use crate::views::{DatasetLine, DatasetView, EpisodeLine};

/// Pixels of the longer side of a thumbnail.
const THUMBNAIL: u32 = 240;

/// Looks at an episode before it counts as damaged: an edit and its undoing may each spoil one.
const LOOKS: usize = 3;

/// A request to tag episodes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tagging {
    /// Their numbers.
    pub episodes: Vec<usize>,
    /// Tags to add.
    #[serde(default)]
    pub add: Vec<String>,
    /// Tags to remove.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// A folder of datasets.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    /// What was in the place of a dataset before its last change.
    before: Mutex<BTreeMap<Name, PathBuf>>,
    /// Datasets that sessions record into.
    held: Mutex<BTreeSet<Name>>,
}

/// A lock whose holder cannot have left something half-done behind a panic: maps change in one step.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// The datasets in `folder`, which need not exist yet.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            before: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of a dataset.
    pub fn path(&self, name: &Name) -> PathBuf {
        name.within(&self.folder)
    }

    /// Reserves a dataset for a session; `false` if another has it.
    pub fn hold(&self, name: &Name) -> bool {
        lock(&self.held).insert(name.clone())
    }

    /// Ends a reservation.
    pub fn release(&self, name: &Name) {
        lock(&self.held).remove(name);
    }

    /// Every dataset, by name; those that cannot be read say why.
    pub fn list(&self) -> Vec<DatasetLine> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let names = entries.flatten().filter_map(|e| {
            let name = Name::parse(e.file_name().to_str()?).ok()?;
            e.path().join("meta.json").exists().then_some(name)
        });
        let sorted: BTreeSet<Name> = names.collect();
        sorted.iter().map(|name| self.line(name)).collect()
    }

    fn line(&self, name: &Name) -> DatasetLine {
        let recording = lock(&self.held).contains(name);
        match Meta::open(&self.path(name)) {
            Ok(meta) => line(name, &meta, recording),
            Err(error) => DatasetLine {
                name: name.as_str().into(),
                fault: Some(error.to_string()),
                recording,
                ..DatasetLine::default()
            },
        }
    }

    /// A dataset with its episodes.
    pub fn view(&self, name: &Name) -> Result<DatasetView, Refusal> {
        let undo = lock(&self.before).contains_key(name);
        let recording = lock(&self.held).contains(name);
        if undo && !self.path(name).exists() {
            return Ok(DatasetView {
                line: DatasetLine {
                    name: name.as_str().into(),
                    ..DatasetLine::default()
                },
                list: Vec::new(),
                undo,
                drawn: false,
            });
        }
        let meta = self.meta(name)?;
        let episodes = meta.episodes.iter().zip(experts(&meta));
        Ok(DatasetView {
            line: line(name, &meta, recording),
            list: episodes
                .map(|(entry, expert)| episode_line(&meta, entry, expert))
                .collect(),
            undo,
            drawn: meta.env.has_picture(),
        })
    }

    /// A dataset's description.
    pub fn meta(&self, name: &Name) -> Result<Meta, Refusal> {
        Meta::open(&self.path(name)).map_err(|e| match self.path(name).exists() {
            true => Refusal::failure(e),
            false => Refusal::missing(format!("there is no dataset `{name}`")),
        })
    }

    /// An episode, its world and who demonstrated it.
    pub fn episode(
        &self,
        name: &Name,
        id: usize,
    ) -> Result<(Episode, EnvFactory, String), Refusal> {
        // Edited between its description and its episode, a dataset is whole at the next look; a damaged one is not.
        for _ in 1..LOOKS {
            match self.look(name, id) {
                Err(refusal) if refusal.fault == Fault::Failure => {}
                found => return found,
            }
        }
        self.look(name, id)
    }

    fn look(&self, name: &Name, id: usize) -> Result<(Episode, EnvFactory, String), Refusal> {
        let meta = self.meta(name)?;
        let entry = meta.episodes.get(id).ok_or_else(|| {
            Refusal::missing(format!(
                "`{name}` has {} episodes, numbered from 0: there is no episode {id}",
                meta.episodes.len()
            ))
        })?;
        let episode = load_episode(&self.path(name), entry, &meta).map_err(Refusal::failure)?;
        let factory = meta.env.factory().map_err(Refusal::failure)?;
        let expert = experts(&meta).nth(id).unwrap_or_default();
        Ok((episode, factory, expert))
    }

    /// An episode as a film.
    pub fn film(&self, name: &Name, id: usize) -> Result<Film, Refusal> {
        let (episode, factory, expert) = self.episode(name, id)?;
        drawn(&factory)?;
        Film::of(&factory, &episode, format!("{expert}, episode {id}")).map_err(Refusal::failure)
    }

    /// An episode as a still, PNG.
    pub fn thumbnail(&self, name: &Name, id: usize) -> Result<Vec<u8>, Refusal> {
        let (episode, factory, _) = self.episode(name, id)?;
        drawn(&factory)?;
        let mut scenes = scenes(&factory, &episode).map_err(Refusal::failure)?;
        let rest = scenes.split_off(1);
        let period_s = factory.spec().control_period_s;
        let mut film = picture::Film::new(scenes.swap_remove(0), period_s);
        let steps = episode.costs.iter().zip(rest);
        steps.for_each(|(cost, scene)| film.push(*cost, scene));
        let still = picture::still(&film, film.steps(), THUMBNAIL).map_err(Refusal::failure)?;
        Ok(still.bytes)
    }

    /// Deletes episodes; the rest is renumbered.
    pub fn delete(&self, name: &Name, episodes: &[usize]) -> Result<DatasetView, Refusal> {
        let meta = self.meta(name)?;
        let drop = spans(episodes)?;
        let all = (0..meta.episodes.len()).all(|id| episodes.contains(&id));
        self.change(name, |folder| match all {
            true => Ok(set_aside(folder)?),
            false => {
                let edit = Edit {
                    drop,
                    ..Edit::default()
                };
                Ok(edit_and_keep(folder, &edit)?.1)
            }
        })
    }

    /// Tags episodes.
    pub fn tag(&self, name: &Name, asked: Tagging) -> Result<DatasetView, Refusal> {
        let edit = Edit {
            episodes: spans(&asked.episodes)?,
            tag: asked.add,
            untag: asked.remove,
            ..Edit::default()
        };
        self.change(name, |folder| Ok(edit_and_keep(folder, &edit)?.1))
    }

    /// Takes the last change back.
    pub fn undo(&self, name: &Name) -> Result<DatasetView, Refusal> {
        let before = lock(&self.before).remove(name);
        let before = before.ok_or_else(|| {
            Refusal::misuse(format!(
                "nothing was changed in `{name}` that could be undone"
            ))
        })?;
        put_back(&self.path(name), &before).map_err(|e| {
            lock(&self.before).insert(name.clone(), before.clone());
            Refusal::failure(e)
        })?;
        self.view(name)
    }

    /// Changes made no longer can be undone, and what was there before is removed: at the end, and when a session adds to
    /// a dataset.
    pub fn settle(&self, name: Option<&Name>) {
        let mut before = lock(&self.before);
        let settled: Vec<Name> = before
            .keys()
            .filter(|key| name.is_none_or(|name| *key == name))
            .cloned()
            .collect();
        for key in settled {
            if let Some(folder) = before.remove(&key)
                && let Err(error) = disk::remove_folder(&folder)
            {
                tracing::warn!("{}: cannot be removed ({error})", folder.display());
            }
        }
    }

    fn change(
        &self,
        name: &Name,
        change: impl FnOnce(&Path) -> Result<PathBuf, DeriveError>,
    ) -> Result<DatasetView, Refusal> {
        self.meta(name)?;
        let replaced = change(&self.path(name)).map_err(|error| match error {
            DeriveError::Misuse(_) => Refusal::misuse(error),
            DeriveError::Dataset(DatasetError::Busy(_)) => Refusal::conflict(error),
            _ => Refusal::failure(error),
        })?;
        self.settle(Some(name));
        lock(&self.before).insert(name.clone(), replaced);
        self.view(name)
    }
}

fn spans(episodes: &[usize]) -> Result<Vec<Span>, Refusal> {
    if episodes.is_empty() {
        return Err(Refusal::misuse("no episode is chosen"));
    }
    Ok(episodes.iter().map(|&id| Span::one(id)).collect())
}

fn drawn(factory: &EnvFactory) -> Result<(), Refusal> {
    match factory.config().has_picture() {
        true => Ok(()),
        false => Err(Refusal::misuse(format!(
            "there is no picture of {}",
            factory.config().name
        ))),
    }
}

fn line(name: &Name, meta: &Meta, recording: bool) -> DatasetLine {
    let mut names: Vec<String> = experts(meta).collect();
    names.sort();
    names.dedup();
    DatasetLine {
        name: name.as_str().into(),
        env: meta.env.name.clone(),
        expert: match names.is_empty() {
            true => meta.expert.name.clone(),
            false => names.join(", "),
        },
        episodes: meta.episodes.len(),
        steps: meta.total_steps,
        mean_return: meta
            .returns_known()
            .then_some(meta.demonstration_return.mean),
        success: meta.success_rate(),
        recording,
        fault: None,
    }
}

/// Who demonstrated each episode.
fn experts(meta: &Meta) -> impl Iterator<Item = String> {
    let sessions = meta.sessions();
    let ends = sessions.iter().skip(1).map(|s| s.first_episode);
    let ends: Vec<usize> = ends.chain([meta.episodes.len()]).collect();
    let each = sessions.into_iter().zip(ends);
    each.flat_map(|(session, end)| {
        let count = end.saturating_sub(session.first_episode);
        std::iter::repeat_n(session.expert.name, count)
    })
}

fn episode_line(meta: &Meta, entry: &EpisodeEntry, expert: String) -> EpisodeLine {
    EpisodeLine {
        id: entry.id,
        steps: entry.total_steps,
        seconds: entry.total_steps as f64 * meta.spec.control_period_s,
        true_return: entry.true_return,
        success: entry.success,
        tags: entry.tags.clone(),
        expert,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use costate_demos::derive::edit;

    use super::*;

    #[test]
    fn an_episode_read_while_its_dataset_is_edited_is_there_or_gone() {
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demos/data/pendulum");
        let tagged = Edit {
            episodes: vec![Span::one(0)],
            tag: vec!["first".into()],
            ..Edit::default()
        };
        edit(&shipped, &tagged, &folder.path().join("swings")).unwrap();
        let (shelf, name) = (
            Shelf::new(folder.path().into()),
            Name::parse("swings").unwrap(),
        );
        thread::scope(|scope| {
            let editing = scope.spawn(|| {
                for _ in 0..20 {
                    shelf.delete(&name, &[0, 7]).unwrap();
                    shelf.undo(&name).unwrap();
                }
            });
            let (mut there, mut gone) = (0, 0);
            while !editing.is_finished() {
                match shelf.episode(&name, 24) {
                    Ok(_) => there += 1,
                    Err(refusal) => {
                        assert_eq!(refusal.fault, Fault::Missing, "{refusal}");
                        gone += 1;
                    }
                }
            }
            assert!(there > 0 && gone > 0, "{there} {gone}");
        });
    }
}
