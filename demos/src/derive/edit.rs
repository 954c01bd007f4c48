//! Episodes dropped, cut and tagged; channels renamed.

use std::path::Path;

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
    Meta::open(folder)?;
    // Renaming a link would leave the dataset behind it as it is.
    let place = folder
        .canonicalize()
        .map_err(disk::DiskError::new("open", folder))?;
    let beside = |what: &str| -> Result<_, DeriveError> {
        let Some(name) = place.file_name() else {
            return misuse(format!("`{}`: name the dataset's folder", folder.display()));
        };
        let name = format!(".{}.{what}-{}", name.to_string_lossy(), std::process::id());
        Ok(place.with_file_name(name))
    };
    let (edited, replaced) = (beside("edited")?, beside("replaced")?);
    let claim = disk::claim(&place.join(DATA_FOLDER))?;
    let _claim = claim.ok_or_else(|| DatasetError::Busy(folder.to_owned()))?;
    let derived = edit(folder, asked, &edited)?;
    disk::rename(&place, &replaced)?;
    disk::rename(&edited, &place)?;
    std::fs::remove_dir_all(&replaced).map_err(disk::DiskError::new("remove", &replaced))?;
    inspect::fix(folder)?;
    Ok(Derived {
        folder: folder.to_owned(),
        ..derived
    })
}
