//! Some episodes of a dataset: those that fit, and parts for training and validation.

use std::path::Path;

use costate_base::disk;
use costate_envs::rng::derive_seed;
use serde::Serialize;

use super::{DeriveError, Derived, Pick, Plan, Source, Span, misuse};
use crate::dataset::{DatasetError, EpisodeEntry, Meta};
use crate::inspect;

/// Which episodes to keep: those that fit in every respect.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Filter {
    /// Least return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_return: Option<f64>,
    /// Greatest return.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_return: Option<f64>,
    /// Only those that solved the task.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub success: bool,
    /// Numbers of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<Span>,
    /// Only those with one of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<String>,
    /// None with one of these tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without_tag: Vec<String>,
    /// Only those with these numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub episodes: Vec<Span>,
    /// Of the others only these many with the highest returns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<usize>,
}

impl Filter {
    fn fits(&self, e: &EpisodeEntry) -> bool {
        let tagged = |tags: &[String]| e.tags.iter().any(|tag| tags.contains(tag));
        self.min_return.is_none_or(|least| e.true_return >= least)
            && self.max_return.is_none_or(|most| e.true_return <= most)
            && (!self.success || e.success == Some(true))
            && self.length.is_none_or(|span| span.contains(e.total_steps))
            && (self.tag.is_empty() || tagged(&self.tag))
            && !tagged(&self.without_tag)
            && (self.episodes.is_empty() || self.episodes.iter().any(|s| s.contains(e.id)))
    }

    /// Errors: nothing to filter by; what this dataset does not know or have.
    fn check(&self, meta: &Meta) -> Result<(), DeriveError> {
        if *self == Self::default() {
            return misuse(
                "say which episodes to keep, e.g. `--min-return -5`, `--length 10..500` or `--tag good`",
            );
        }
        let by_return =
            self.min_return.is_some() || self.max_return.is_some() || self.best.is_some();
        if by_return && !meta.returns_known() {
            return misuse(
                "these demonstrations were imported without rewards, so their returns are unknown",
            );
        }
        if self.success && meta.success_rate().is_none() {
            return misuse(format!(
                "`{}` does not define success; filter by return or length",
                meta.env.name
            ));
        }
        for tag in self.tag.iter().chain(&self.without_tag) {
            known_tag(meta, tag)?;
        }
        within(meta, &self.episodes)
    }
}

/// Errors: a tag that no episode has.
pub(super) fn known_tag(meta: &Meta, tag: &String) -> Result<(), DeriveError> {
    if meta.episodes.iter().any(|e| e.tags.contains(tag)) {
        return Ok(());
    }
    let tags: std::collections::BTreeSet<&str> = meta
        .episodes
        .iter()
        .flat_map(|e| &e.tags)
        .map(String::as_str)
        .collect();
    misuse(match tags.is_empty() {
        true => format!("no episode has the tag `{tag}`, nor any other"),
        false => {
            let tags: Vec<&str> = tags.into_iter().collect();
            format!(
                "no episode has the tag `{tag}`; there are {}",
                tags.join(", ")
            )
        }
    })
}

/// Errors: numbers of episodes that do not exist.
pub(super) fn within(meta: &Meta, spans: &[Span]) -> Result<(), DeriveError> {
    let count = meta.episodes.len();
    let beyond = |s: &&Span| s.low >= count || (s.high >= count && s.high != usize::MAX);
    match spans.iter().find(beyond) {
        None => Ok(()),
        Some(span) => misuse(format!(
            "episodes {span}: the dataset has {count}, counted from 0"
        )),
    }
}

/// Makes a dataset of the episodes of `source` that fit, in `folder`.
///
/// Errors: a filter that does not fit the dataset, or that no episode passes.
pub fn filter(source: &Path, filter: &Filter, folder: &Path) -> Result<Derived, DeriveError> {
    let source = Source::open(source)?;
    let meta = source.meta();
    filter.check(meta)?;
    let mut picks: Vec<Pick> = source
        .all(0)
        .filter(|p| filter.fits(&meta.episodes[p.episode]))
        .collect();
    if let Some(best) = filter.best {
        let returned = |p: &Pick| meta.episodes[p.episode].true_return;
        picks.sort_by(|a, b| returned(b).total_cmp(&returned(a)));
        picks.truncate(best);
        picks.sort_by_key(|p| p.episode);
    }
    if picks.is_empty() {
        let [steps, returns] = [
            range(meta.episodes.iter().map(|e| e.total_steps as f64)),
            range(meta.episodes.iter().map(|e| e.true_return)),
        ];
        let returns = match meta.returns_known() {
            true => format!(" and returns of {returns}"),
            false => String::new(),
        };
        return misuse(format!(
            "none of the {} episodes fits: they have {steps} steps{returns}",
            meta.episodes.len()
        ));
    }
    let plan = Plan::of(&source, picks, "filter", filter);
    Ok(Derived {
        folder: folder.to_owned(),
        meta: plan.make(folder)?.0,
        remarks: Vec::new(),
    })
}

fn range(values: impl Iterator<Item = f64>) -> String {
    let none = [f64::INFINITY, f64::NEG_INFINITY];
    let [low, high] = values.fold(none, |[low, high], v| [low.min(v), high.max(v)]);
    format!("{low} to {high}")
}

/// Which episodes are held out for validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// This share of them, at least one, at most all but one.
    Share(f64),
    /// Those with this tag.
    Tag(String),
}

/// How a share of the episodes is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// At random.
    #[default]
    Random,
    /// Evenly over the range of returns.
    Return,
    /// The last ones.
    Recorded,
}

/// A split into training and validation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// What is held out.
    pub validation: Validation,
    /// How a share is chosen.
    pub by: Order,
    /// Seed of a random choice.
    pub seed: u64,
}

impl Split {
    /// Whether each episode is held out. Errors: a share that is none; a part without episodes.
    fn held_out(&self, meta: &Meta) -> Result<Vec<bool>, DeriveError> {
        let episodes = &meta.episodes;
        let share = match &self.validation {
            Validation::Tag(tag) => {
                known_tag(meta, tag)?;
                let held: Vec<bool> = episodes.iter().map(|e| e.tags.contains(tag)).collect();
                return match held.contains(&false) {
                    true => Ok(held),
                    false => misuse(format!(
                        "all episodes have the tag `{tag}`: none is left to train on"
                    )),
                };
            }
            Validation::Share(share) => *share,
        };
        if !(share > 0.0 && share < 1.0) {
            return misuse(format!(
                "--validation is {share}, expected a share between 0 and 1, e.g. 0.2"
            ));
        }
        let count = episodes.len();
        if count < 2 {
            return misuse("the dataset has one episode, expected at least two, one for each part");
        }
        let held = ((share * count as f64).round() as usize).clamp(1, count - 1);
        let mut order: Vec<usize> = (0..count).collect();
        let chosen: Vec<usize> = match self.by {
            Order::Random => {
                order.sort_by_key(|i| (derive_seed(self.seed, "split", *i as u64), *i));
                order[..held].to_vec()
            }
            Order::Recorded => order[count - held..].to_vec(),
            Order::Return => {
                if !meta.returns_known() {
                    return misuse(
                        "these demonstrations were imported without rewards, so their returns are unknown",
                    );
                }
                order.sort_by(|a, b| {
                    episodes[*a]
                        .true_return
                        .total_cmp(&episodes[*b].true_return)
                });
                // The middle of each of `held` equal parts of the order.
                (0..held)
                    .map(|j| order[(2 * j + 1) * count / (2 * held)])
                    .collect()
            }
        };
        Ok((0..count).map(|i| chosen.contains(&i)).collect())
    }
}

/// Splits `source` into `train` and `validation`, two datasets in `folder`, which appears when both are complete.
///
/// Errors: a share that is none; a part without episodes.
pub fn split(source: &Path, split: &Split, folder: &Path) -> Result<[Derived; 2], DeriveError> {
    let source = Source::open(source)?;
    let held = split.held_out(source.meta())?;
    let parts = [("train", false), ("validation", true)];
    let made = disk::new_folder(folder, |beside| {
        parts.iter().try_for_each(|(name, side)| {
            let picks = source.all(0).filter(|p| held[p.episode] == *side);
            let plan = Plan::of(&source, picks.collect(), "split", split);
            let part = beside.join(name);
            plan.write(&part)?;
            Ok::<_, DeriveError>(inspect::describe_as(&part, &folder.join(name))?)
        })
    })?;
    made.ok_or_else(|| DatasetError::OutputExists(folder.to_owned()))?;
    let part = |(name, _): (&str, bool)| -> Result<Derived, DeriveError> {
        let folder = folder.join(name);
        Ok(Derived {
            meta: Meta::open(&folder)?,
            folder,
            remarks: Vec::new(),
        })
    };
    let [train, validation] = parts.map(part);
    Ok([train?, validation?])
}
