//! The result of one benchmark cell: the raw file behind the tables.

use std::path::Path;

use costate_base::disk;
use costate_base::provenance::Provenance;
use costate_envs::EnvConfig;
use serde::{Deserialize, Serialize};

use super::suite::{Cell, Suite};
use crate::error::Error;
use crate::evaluate::statistics::Estimate;
use crate::evaluate::validation::Verdict;
use crate::evaluate::{CostReport, Standing};
use crate::learners::frozen_cost::ValidationSettings;
use crate::run::{Algo, files};

/// When a run first reached a normalised score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Milestone {
    /// Environment steps taken by then.
    pub steps: u64,
    /// Seconds of learning by then.
    pub seconds: f64,
}

/// The result of fresh policies on one part of a cost relative to a base policy: that of the highest learned soft value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartResult {
    /// (return − random) / (expert − random), in its own episodes after training.
    pub normalized_score: f64,
    /// Mean true return of these.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// δ per step.
    pub delta: f64,
}

/// Fresh policies on the parts of a cost relative to a base policy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PartsResult {
    /// On −log π_0 alone.
    pub base_alone: PartResult,
    /// On c_θ alone.
    pub without_base: PartResult,
    /// The whole cost against −log π_0 alone, both in their own episodes after training.
    pub standing: Option<Standing>,
}

/// The result of fresh policies on a frozen cost: that of the highest learned soft value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FreshResult {
    /// How they were trained.
    pub settings: ValidationSettings,
    /// (return − random) / (expert − random), in the episodes of the evaluation.
    pub normalized_score: f64,
    /// Mean true return.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// (return − expert) / |expert|.
    pub relative_return: f64,
    /// δ per step.
    pub delta: f64,
    /// The verdict from δ.
    pub verdict: Verdict,
    /// Seconds, all of them together.
    pub seconds: f64,
    /// Environment steps, all of them together.
    pub steps: u64,
    /// Fresh policies on the cost's parts, if it is relative to a base policy; absent in older results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controls: Option<PartsResult>,
}

/// The result of linear-Gaussian controllers in the last rollouts of training, each from its own start.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ControllersResult {
    /// (return − random) / (demonstrations from the same starts − random).
    pub normalized_score: f64,
    /// Mean true return.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Mean true return of the demonstrations from the same starts.
    pub demonstrated_return: f64,
    /// Share of solved episodes, if the task defines it.
    pub solved: Option<f64>,
}

/// Metrics of a learned cost, over all trajectories of the evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CostMetrics {
    /// Pearson's correlation of trajectories' costs.
    #[serde(default)]
    pub pearson: Option<f64>,
    /// Spearman's.
    #[serde(default)]
    pub spearman: Option<f64>,
    /// Pearson's correlation of steps' costs.
    #[serde(default)]
    pub step_pearson: Option<f64>,
    /// Spearman's.
    #[serde(default)]
    pub step_spearman: Option<f64>,
    /// Share of pairs of graded trajectories in the true order.
    #[serde(default)]
    pub ranking_accuracy: Option<f64>,
    /// EPIC distance.
    #[serde(default)]
    pub epic: Option<f64>,
    /// DARD distance.
    #[serde(default)]
    pub dard: Option<f64>,
}

impl CostMetrics {
    /// Those of an evaluation.
    pub fn of(report: &CostReport) -> Self {
        let whole = report.correlations.iter().find(|c| c.distribution == "all");
        let mean = |e: Option<Estimate>| e.map(|e| e.mean);
        Self {
            pearson: whole.and_then(|c| mean(c.pearson)),
            spearman: report.spearman,
            step_pearson: whole.and_then(|c| mean(c.step_pearson)),
            step_spearman: whole.and_then(|c| mean(c.step_spearman)),
            ranking_accuracy: report.ranking_accuracy,
            epic: report.epic,
            dard: report.dard,
        }
    }
}

/// The result of one training with its evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellResult {
    /// Version of this file.
    pub format: u32,
    /// Environment.
    pub env: String,
    /// Digest of the environment's shipped model.
    pub env_digest: String,
    /// Method of the suite.
    pub method: String,
    /// Algorithm with all its settings.
    pub settings: Algo,
    /// Name of the algorithm.
    pub algo: String,
    /// Demonstrations learned from.
    pub demonstrations: usize,
    /// Seed of the training.
    pub seed: u64,
    /// (return − random) / (expert − random) of the learned policy.
    pub normalized_score: f64,
    /// Mean true return of the learned policy.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Mean true return of the demonstrations.
    pub demonstrations_return: f64,
    /// Mean true return of the expert that recorded them, with its noise, in the episodes of the evaluation.
    pub expert_return: f64,
    /// Mean true return of random actions.
    pub random_return: f64,
    /// Seconds of learning.
    pub seconds: f64,
    /// Environment steps of learning.
    pub steps: u64,
    /// First iteration whose rollouts reached a normalised score of 0.95.
    pub to_95: Option<Milestone>,
    /// Share of the evaluation's episodes that the learned policy solves, if the task defines it; absent in older results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solved: Option<f64>,
    /// Whether the learned policy was worse than the clone that it started from, and that was handed over and evaluated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub kept_start: bool,
    /// The controllers that the policy is distilled from, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controllers: Option<ControllersResult>,
    /// The kept one of the fresh policies on the frozen cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fresh: Option<FreshResult>,
    /// Spearman's correlation of learned and true cost, where a cost is learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spearman: Option<f64>,
    /// EPIC distance of learned and true cost, where a cost is learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epic: Option<f64>,
    /// All metrics of the learned cost; older results only have the two above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<CostMetrics>,
    /// Worker threads of the training.
    pub workers: usize,
    /// Cells that ran at a time, this one among them: those beside it made its seconds longer.
    #[serde(default = "alone")]
    pub jobs: usize,
    /// Processor it ran on.
    pub machine: String,
    /// Version of Costate.
    pub costate_version: String,
    /// Build that produced it; absent in older results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

impl CellResult {
    /// Version that this build writes and reads.
    pub const FORMAT: u32 = 2;

    /// Reads a result; `None` if the file does not exist.
    pub fn read(file: &Path) -> Result<Option<Self>, Error> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(file)(e)),
        };
        Self::parse(&text, &file.display().to_string()).map(Some)
    }

    /// The same of the file's text; `name` is for errors.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        let bad = |reason: String| {
            Error::Failure(format!("{name}: {reason}; remove it to rerun the cell"))
        };
        let result: Self = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        match result.format {
            Self::FORMAT => Ok(result),
            other => Err(bad(format!("format {other}, expected {}", Self::FORMAT))),
        }
    }

    /// The result of a cell, if present and produced with the current settings and model.
    pub fn current(suite: &Suite, cell: &Cell, folder: &Path) -> Result<Option<Self>, Error> {
        let Some(result) = Self::read(&cell.file(folder))? else {
            return Ok(None);
        };
        let validation = suite.validation(cell)?;
        let alike = |f: &FreshResult| {
            let there = validation.as_ref();
            there.is_some_and(|v| v.trains_like(&f.settings))
        };
        let same = result.settings.trains_like(&cell.algo()?)
            && result.env_digest == env_digest(cell.env)?
            && result.fresh.as_ref().is_none_or(alike);
        Ok(same.then_some(result))
    }

    /// Whether it lacks results that its run can still provide: fresh policies, those on the parts of a cost relative to a
    /// base policy, or metrics of its cost.
    pub fn is_incomplete(&self, suite: &Suite, cell: &Cell) -> Result<bool, Error> {
        let unjudged = self.spearman.is_some() && self.metrics.is_none();
        let Some(validation) = suite.validation(cell)? else {
            return Ok(unjudged);
        };
        let relative = cell.algo()?.base_steps() > 0;
        let unvalidated = self
            .fresh
            .as_ref()
            .is_none_or(|fresh| fresh.controls.is_none() && validation.controls && relative);
        Ok(unjudged || unvalidated)
    }

    /// Writes the result atomically.
    pub fn write(&self, file: &Path) -> Result<(), Error> {
        files::write_json(file, self)
    }
}

fn alone() -> usize {
    1
}

/// A digest of an environment's whole shipped model.
pub fn env_digest(env: &str) -> Result<String, Error> {
    let config = EnvConfig::named(env)?;
    let text = serde_json::to_string(&config).map_err(|e| Error::Failure(e.to_string()))?;
    Ok(disk::sha256(text.as_bytes()))
}

/// The processor's name and the number of cores.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    format!("{name}, {} cores", costate_base::workers::default_workers())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    /// Results of versions without controls stay, and lack them only where the cost is relative to a clone.
    #[test]
    fn older_cells_stay_and_say_that_they_lack_controls() {
        let suite = Suite::named("results").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        let (cells, at) = (suite.cells().unwrap(), folder.path());
        for (env, method, lacking) in [
            ("pendulum", "gan-gcl", true),
            ("lq", "gan-gcl", false),
            ("pendulum", "gail", false),
        ] {
            let cell = cells
                .iter()
                .find(|c| c.env == env && c.method.name == method)
                .unwrap();
            let text = fs::read_to_string(cell.file(&shipped)).unwrap();
            let mut value: Value = serde_json::from_str(&text).unwrap();
            value["settings"] = serde_json::to_value(cell.algo().unwrap()).unwrap();
            value["env_digest"] = env_digest(env).unwrap().into();
            let validation = suite.validation(cell).unwrap();
            value["fresh"]["settings"] = serde_json::to_value(validation).unwrap();
            let old = value["fresh"]["settings"].as_object_mut().unwrap();
            assert_eq!(old.remove("controls"), Some(true.into()));
            if let Some(own) = value.pointer_mut("/settings/settings/validation") {
                own.as_object_mut().unwrap().remove("controls");
            }
            fs::write(cell.file(at), value.to_string()).unwrap();
            let found = CellResult::current(&suite, cell, at).unwrap();
            let mut found = found.expect("an older cell is current");
            assert!(!found.fresh.as_ref().unwrap().settings.controls);
            assert_eq!(
                found.is_incomplete(&suite, cell).unwrap(),
                lacking,
                "{env} {method}"
            );

            let part = PartResult {
                normalized_score: 1.0,
                mean_return: 0.0,
                delta: 0.0,
            };
            let fresh = found.fresh.as_mut().unwrap();
            fresh.controls = Some(PartsResult {
                base_alone: part,
                without_base: part,
                standing: None,
            });
            assert!(!found.is_incomplete(&suite, cell).unwrap());

            // Other changes of the validation still count.
            value["fresh"]["settings"]["iterations"] = 7.into();
            fs::write(cell.file(at), value.to_string()).unwrap();
            assert_eq!(CellResult::current(&suite, cell, at).unwrap(), None);
        }
    }
}
