//! Changed settings for a resumed run.

use std::path::Path;

use costate_base::parameters;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config::RunConfig;
use super::settings::{self, Override};
use crate::error::Error;
use crate::learners::Algo;
use costate_base::schema;

/// A setting that was changed on resuming.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The first iteration, counted from 0, that it applies to.
    pub from_iteration: usize,
    /// Dotted path of the setting.
    pub key: String,
    /// Its value before.
    pub from: Value,
    /// Its value from then on.
    pub to: Value,
}

/// Why a setting cannot change.
fn reason(key: &str) -> &'static str {
    let first = key.split('.').next().unwrap_or(key);
    match (first, key) {
        ("policy" | "cost", _) | (_, "ppo.critic_hidden" | "sac.critic_hidden" | "sac.critics") => {
            "the learned weights depend on it"
        }
        ("trajectories" | "episodes" | "samples" | "conditions" | "passes", _) => {
            "it indexes the random streams"
        }
        ("warm_start" | "base_steps" | "clone_steps" | "density_passes", _) => {
            "it applied before the first iteration"
        }
        ("held_out" | "folds" | "negatives" | "margin", _) => {
            "the best weights so far were chosen by it"
        }
        (
            "entropy_weight" | "excess_weight" | "terminal_cost" | "reward" | "variant" | "horizon",
            _,
        )
        | (_, "ppo.discount" | "sac.discount") => "it defines what the learned weights minimise",
        _ => "the checkpoint depends on it",
    }
}

/// The algorithm of a run with a file of settings and single ones changed, and what that changes.
///
/// Errors: settings that do not exist, are out of range or cannot change; fewer iterations than are
/// done.
pub fn changed(
    own: &RunConfig,
    done: usize,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<(Algo, Vec<Change>), Error> {
    let name = own.algo.name();
    let algo = settings::with_changes(&own.algo, file, overrides)?;
    let schema = own.algo.entry().schema();
    let described = schema::describe(&schema);
    let resumable = |key: &str| described.iter().any(|d| d.path == key && d.resumable);
    let values = |algo: &Algo| Ok::<_, Error>(parameters::list(&algo.values()?));
    let (old, new) = (values(&own.algo)?, values(&algo)?);
    let mut changes = Vec::new();
    for ((key, from), (_, to)) in old.into_iter().zip(new) {
        if from == to {
            continue;
        }
        if !resumable(&key) {
            return Err(Error::Misuse(format!(
                "setting `{key}` of {name} is {from}, and a resumed run keeps it: {}; start a new run for {to}",
                reason(&key)
            )));
        }
        if key == "iterations" && to.as_u64().is_some_and(|n| n < done as u64) {
            return Err(Error::Misuse(format!(
                "setting `iterations` of {name} is {to}, but {done} are already done; expected at least {done}"
            )));
        }
        changes.push(Change {
            from_iteration: done,
            key,
            from,
            to,
        });
    }
    algo.check()?;
    Ok((algo, changes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learners::algorithm;

    #[test]
    fn what_keeps_a_learner_from_diverging_can_be_changed() {
        for entry in algorithm::all() {
            let name = entry.name();
            let algo = settings::resolve(name, "", None, &[]).unwrap();
            assert!(!algo.step_sizes().is_empty(), "{name}");
            let described = schema::describe(&entry.schema());
            for (key, _) in algo.step_sizes() {
                let setting = described.iter().find(|d| d.path == key);
                assert!(setting.is_some_and(|d| d.resumable), "{name}: {key}");
            }
        }
    }
}
