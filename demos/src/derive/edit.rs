//! Episodes dropped, cut and tagged; channels renamed.

use std::fs;
use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_base::names::{nearest, suggestion};
use costate_envs::EnvSpec;
use serde::Serialize;

use super::merge::table_world;
use super::select::{known_tag, within};
use super::{DeriveError, Derived, Pick, Plan, Source, Span, misuse};
use crate::dataset::{DATA_FOLDER, DatasetError, Meta};
use crate::inspect;

/// Changes to a dataset.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Edit {
    /// Numbers of episodes to leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<Span>,
    /// Numbers of the episodes that are cut and tagged; all by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub episodes: Vec<Span>,
    /// Steps to cut off at the start.
    #[serde(skip_serializing_if = "is_zero")]
    pub cut_first: usize,
    /// Steps to cut off at the end.
    #[serde(skip_serializing_if = "is_zero")]
    pub cut_last: usize,
    /// Tags to add.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// Tags to remove.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub untag: Vec<String>,
    /// Channels to rename, without a simulator: from, to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rename: Vec<(String, String)>,
    /// What was demonstrated, in one line, without a simulator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Edit {
    /// Errors: nothing to do; episodes or tags that do not exist; what belongs to a simulator.
    fn check(&self, meta: &Meta) -> Result<(), DeriveError> {
        let only = Self {
            episodes: self.episodes.clone(),
            ..Self::default()
        };
        if *self == only {
            return misuse(
                "say what to change, e.g. `--drop 3,7..9`, `--cut-first 20` or `--tag good`",
            );
        }
        within(meta, &self.drop)?;
        within(meta, &self.episodes)?;
        for tag in &self.untag {
            known_tag(meta, tag)?;
        }
        if let Some(tag) = self
            .tag
            .iter()
            .find(|t| t.trim().is_empty() || t.contains(','))
        {
            return misuse(format!(
                "tag `{tag}`: expected a word or a few, without commas"
            ));
        }
        if meta.env.has_simulator() && (!self.rename.is_empty() || self.summary.is_some()) {
            return misuse(format!(
                "channels and summary of these demonstrations are those of their world, {}; only what came without a \
                 simulator can be renamed",
                meta.env.name
            ));
        }
        Ok(())
    }

    /// The episodes that stay, cut and tagged.
    fn picks(&self, source: &Source) -> Result<Vec<Pick>, DeriveError> {
        let chosen = |spans: &[Span], id| spans.iter().any(|s| s.contains(id));
        let mut picks: Vec<Pick> = source
            .all(0)
            .filter(|p| !chosen(&self.drop, p.episode))
            .collect();
        if picks.is_empty() {
            return misuse("no episode would be left");
        }
        for pick in &mut picks {
            if !self.episodes.is_empty() && !chosen(&self.episodes, pick.episode) {
                continue;
            }
            pick.cut = [self.cut_first, self.cut_last];
            pick.tags.retain(|tag| !self.untag.contains(tag));
            pick.tags.extend(self.tag.iter().cloned());
            pick.tags.sort();
            pick.tags.dedup();
        }
        Ok(picks)
    }

    /// The spec with its channels renamed. Errors: no such channel; a name twice.
    fn renamed(&self, spec: &EnvSpec) -> Result<EnvSpec, DeriveError> {
        let mut spec = spec.clone();
        if let Some(summary) = &self.summary {
            spec.summary.clone_from(summary);
        }
        for (from, to) in &self.rename {
            let channels = spec.observation.0.iter_mut().chain(&mut spec.action.0);
            let mut found = false;
            for channel in channels.filter(|c| c.name == *from) {
                channel.name.clone_from(to);
                found = true;
            }
            if !found {
                let names = || spec.observation.names().chain(spec.action.names());
                return misuse(format!(
                    "no channel is named `{from}`{}; there are {}",
                    suggestion(nearest(from, names())),
                    names().collect::<Vec<_>>().join(", ")
                ));
            }
        }
        Ok(spec)
    }
}

/// Makes a changed copy of `source` in `folder`.
///
/// Errors: an edit that does not fit the dataset, or that leaves no episode or an episode without steps.
pub fn edit(source: &Path, edit: &Edit, folder: &Path) -> Result<Derived, DeriveError> {
    let source = Source::open(source)?;
    let meta = source.meta();
    edit.check(meta)?;
    let mut plan = Plan::of(&source, edit.picks(&source)?, "edit", edit);
    if !meta.env.has_simulator() {
        (plan.env, plan.spec) = table_world(&meta.env, &edit.renamed(&meta.spec)?)?;
    }
    let mut remarks = Vec::new();
    if edit.cut_first > 0 && meta.env.has_simulator() {
        remarks.push(
            "cut episodes no longer start where their seeds lead: the simulator cannot reproduce them from there".into(),
        );
    }
    Ok(Derived {
        folder: folder.to_owned(),
        meta: plan.make(folder)?.0,
        remarks,
    })
}

/// Replaces the dataset in `folder` by a changed one, once that is complete.
///
/// Errors: those of [`edit`]; a dataset that another process is writing.
pub fn edit_in_place(folder: &Path, asked: &Edit) -> Result<Derived, DeriveError> {
    let (derived, replaced) = edit_and_keep(folder, asked)?;
    disk::remove_folder(&replaced)?;
    Ok(derived)
}

/// As [`edit_in_place`], but what was there before stays in a hidden folder beside it, which is returned: for
/// [`put_back`].
///
/// Errors: those of [`edit_in_place`].
pub fn edit_and_keep(folder: &Path, asked: &Edit) -> Result<(Derived, PathBuf), DeriveError> {
    let (place, _claim) = claimed(folder)?;
    let (derived, replaced) = replace_with(&place, |edited| edit(folder, asked, edited))?;
    let derived = Derived {
        folder: folder.to_owned(),
        ..derived
    };
    Ok((derived, replaced))
}

/// Puts the dataset that `make` makes in the folder it is given in the place of another, at once where the system can;
/// returns where that is. After a failure the old one is in its place.
pub(super) fn replace_with<T>(
    place: &Path,
    make: impl FnOnce(&Path) -> Result<T, DeriveError>,
) -> Result<(T, PathBuf), DeriveError> {
    let edited = beside(place, "edited")?;
    let replace = || {
        let made = make(&edited)?;
        inspect::describe_as(&edited, place)?;
        Ok((made, take_place(&edited, place)?))
    };
    replace().inspect_err(|_| {
        let _ = disk::remove_folder(&edited);
    })
}

/// Gives `new` the name of the folder in `place`; returns where that is.
fn take_place(new: &Path, place: &Path) -> Result<PathBuf, DeriveError> {
    if disk::exchange(place, new)? {
        return Ok(new.to_owned());
    }
    let replaced = beside(place, "replaced")?;
    disk::rename(place, &replaced)?;
    disk::rename(new, place).inspect_err(|_| {
        let _ = disk::rename(&replaced, place);
    })?;
    Ok(replaced)
}

/// Puts the dataset that [`edit_and_keep`] or [`set_aside`] left in `replaced` back into `folder`, in the place of what
/// is there now, if anything is.
///
/// Errors: a dataset that another process is writing.
pub fn put_back(folder: &Path, replaced: &Path) -> Result<(), DeriveError> {
    if !folder.exists() {
        return Ok(disk::rename(replaced, folder)?);
    }
    let (place, _claim) = claimed(folder)?;
    let undone = take_place(replaced, &place)?;
    disk::remove_folder(&undone)?;
    Ok(())
}

/// Takes the dataset in `folder` away whole, into a hidden folder beside it, which is returned.
///
/// Errors: a dataset that another process is writing.
pub fn set_aside(folder: &Path) -> Result<PathBuf, DeriveError> {
    let (place, _claim) = claimed(folder)?;
    let replaced = beside(&place, "replaced")?;
    disk::rename(&place, &replaced)?;
    Ok(replaced)
}

/// A dataset's folder itself, locked: renaming a link would leave the dataset behind it as it is.
pub(super) fn claimed(folder: &Path) -> Result<(PathBuf, disk::Claim), DeriveError> {
    Meta::open(folder)?;
    let place = folder
        .canonicalize()
        .map_err(disk::DiskError::new("open", folder))?;
    let claim = disk::claim(&place.join(DATA_FOLDER))?;
    Ok((
        place,
        claim.ok_or_else(|| DatasetError::Busy(folder.to_owned()))?,
    ))
}

/// A hidden folder beside `place` that does not exist yet.
fn beside(place: &Path, what: &str) -> Result<PathBuf, DeriveError> {
    let Some(name) = place.file_name() else {
        return misuse(format!("`{}`: name the dataset's folder", place.display()));
    };
    let name = name.to_string_lossy();
    let free = (0..).map(|i| {
        let file = format!(".{name}.{what}-{}-{i}", std::process::id());
        place.with_file_name(file)
    });
    let found = free
        .into_iter()
        .find(|path| path.symlink_metadata().is_err());
    Ok(found.expect("some number is free"))
}

/// Hidden folders beside `place` that processes which are gone have left, with what they were.
pub(super) fn retired(place: &Path) -> Result<Vec<(String, PathBuf)>, DeriveError> {
    let (Some(name), Some(parent)) = (place.file_name(), place.parent()) else {
        return Ok(Vec::new());
    };
    let parent = match parent == Path::new("") {
        true => Path::new("."),
        false => parent,
    };
    let start = format!(".{}.", name.to_string_lossy());
    let entries = fs::read_dir(parent).map_err(disk::DiskError::new("read", parent))?;
    let found = entries.flatten().filter_map(|entry| {
        let file = entry.file_name().into_string().ok()?;
        let mut rest = file.strip_prefix(&start)?.split('-');
        let (what, process) = (rest.next()?, rest.next()?.parse().ok()?);
        let ours = ["edited", "replaced", "making"].contains(&what);
        (ours && !disk::running(process)).then(|| (what.to_owned(), entry.path()))
    });
    Ok(found.collect())
}
