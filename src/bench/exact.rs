//! `costate bench exact`: sampled learners on processes with a known exact solution.

use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::EnvConfig;
use costate_envs::rng::stream;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rows::{self, MeasuredRow, RowKey, RowSuite};
use super::table::{head, row};
use crate::error::Error;
use crate::report::{Convergence, convergence_svg};
use crate::tabular::{
    CostLoss, Demonstrated, Grid, GridSettings, MaxEnt, MaxEntSettings, Process, ProcessError,
    SampledSettings, Soft, Walk, learn, total_variation,
};

/// The suite.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactSuite {
    /// The tables' heading.
    title: String,
    /// What they show.
    about: String,
    /// Numbers of demonstrations, and of walks per round.
    sizes: Vec<usize>,
    seeds: Vec<u64>,
    processes: Vec<ProcessSpec>,
    maxent: MaxEntSettings,
    sampled: Rounds,
}

/// [`SampledSettings`] for any loss and any number of walks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rounds {
    iterations: usize,
    cost_steps: usize,
    cost_step: f64,
    policy_step: f64,
}

/// A process with its true cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessSpec {
    /// Its name in tables and files.
    name: String,
    /// What it is.
    about: String,
    world: World,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum World {
    /// [`Process::random`], a new one per seed, with costs uniform in `[0, cost]`.
    Random {
        states: usize,
        actions: usize,
        horizon: usize,
        branches: usize,
        starts: usize,
        cost: f64,
    },
    /// A simulated world on a grid, its cost scaled by `cost`.
    Grid {
        env: String,
        cost: f64,
        grid: GridSettings,
    },
}

/// The learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExactLearner {
    /// By the exact gradient.
    Maxent,
    /// From samples.
    Sampled(CostLoss),
}

/// The result of a learner.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExactFigures {
    /// Between the learned policy and the expert's exact one, mean over time and the states that the expert visits.
    pub total_variation: f64,
    /// |estimated log Z(s_0) − exact soft value of the learned cost|, mean over the starts, nats; null where nothing is
    /// estimated, or where actions lead to several places and the two differ by definition.
    pub log_z_error: Option<f64>,
    /// Largest entry of the exact gradient that is left, in visits; null for sampled learners.
    pub residual: Option<f64>,
}

/// Names in tables and files.
const LEARNERS: [(&str, ExactLearner); 3] = [
    ("maxent", ExactLearner::Maxent),
    ("gan-gcl", ExactLearner::Sampled(CostLoss::GanGcl)),
    ("gcl", ExactLearner::Sampled(CostLoss::Gcl)),
];

impl ProcessSpec {
    /// The process of a seed and its true cost, `[S · A]`.
    fn build(&self, seed: u64) -> Result<(Process, Vec<f64>), Error> {
        let broken = |e: ProcessError| Error::Failure(format!("process {}: {e}", self.name));
        match &self.world {
            World::Random {
                states,
                actions,
                horizon,
                branches,
                starts,
                cost,
            } => {
                let mut rng = stream(seed, "process", 0);
                let process = Process::random(*states, *actions, *horizon, *branches, &mut rng)
                    .map_err(broken)?;
                let share = |s| {
                    if s < *starts {
                        1.0 / *starts as f64
                    } else {
                        0.0
                    }
                };
                let process = process
                    .starting_by((0..*states).map(share).collect())
                    .map_err(broken)?;
                let cells = states * actions;
                let costs = (0..cells).map(|_| cost * rng.random::<f64>()).collect();
                Ok((process, costs))
            }
            World::Grid { env, cost, grid } => {
                let factory = EnvConfig::named(env)?.factory()?;
                let grid = Grid::of(&factory, grid)?;
                let costs = grid.cost.iter().map(|c| cost * c).collect();
                Ok((grid.process, costs))
            }
        }
    }
}

impl ExactSuite {
    /// The shipped suite.
    pub fn shipped() -> Result<Self, Error> {
        rows::shipped(
            Self::NAME,
            include_str!("../../assets/benchmarks/exact.json"),
        )
    }

    fn spec(&self, name: &str) -> Result<&ProcessSpec, Error> {
        let found = self.processes.iter().find(|p| p.name == name);
        found.ok_or_else(|| Error::Misuse(format!("benchmark exact has no process `{name}`")))
    }

    /// Trains a learner on as many demonstrations as walks per round, and measures the result.
    fn learned(
        &self,
        spec: &ProcessSpec,
        learner: ExactLearner,
        size: usize,
        seed: u64,
    ) -> Result<ExactFigures, Error> {
        let broken = |e: ProcessError| Error::Failure(format!("process {}: {e}", spec.name));
        let (process, truth) = spec.build(seed)?;
        let expert = Soft::of(&process, &truth).map_err(broken)?;
        let mut rng = stream(seed, "demonstrations", size as u64);
        let shown: Vec<Walk> = (0..size)
            .map(|_| process.walk(&expert.log_policy, &mut rng))
            .collect();
        let (log_policy, log_z_error, residual) = match learner {
            ExactLearner::Maxent => {
                let shown = Demonstrated::by(&process, &shown).map_err(broken)?;
                let learner = MaxEnt::new(&process, shown).map_err(broken)?;
                let found = learner.fit(self.maxent).map_err(broken)?;
                let own = Soft::of(&process, &found.cost).map_err(broken)?;
                (own.log_policy, None, Some(found.residual))
            }
            ExactLearner::Sampled(loss) => {
                let settings = SampledSettings {
                    loss,
                    iterations: self.sampled.iterations,
                    walks: size,
                    cost_steps: self.sampled.cost_steps,
                    cost_step: self.sampled.cost_step,
                    policy_step: self.sampled.policy_step,
                };
                let found = learn(&process, &shown, settings, seed);
                let own = Soft::of(&process, &found.cost).map_err(broken)?;
                let starts = found.log_z.iter();
                let errors = starts.map(|(s, z)| (z - own.values[0][*s]).abs());
                let mean = errors.sum::<f64>() / found.log_z.len() as f64;
                let told = Some(mean).filter(|m| m.is_finite() && process.is_deterministic());
                (found.log_policy, told, None)
            }
        };
        Ok(ExactFigures {
            total_variation: total_variation(&process, &expert.log_policy, &log_policy),
            log_z_error,
            residual,
        })
    }
}

/// The file of the picture.
const PICTURE: &str = "exact.svg";

impl RowSuite for ExactSuite {
    type Figures = ExactFigures;
    const NAME: &'static str = "exact";

    fn keys(&self) -> Vec<RowKey> {
        let mut keys = Vec::new();
        for &seed in &self.seeds {
            for spec in &self.processes {
                for &size in &self.sizes {
                    keys.extend(LEARNERS.map(|(method, _)| RowKey {
                        subject: spec.name.clone(),
                        method: method.into(),
                        size,
                        seed,
                    }));
                }
            }
        }
        keys
    }

    fn basis(&self, key: &RowKey) -> Result<Value, Error> {
        let spec = self.spec(&key.subject)?;
        let model = match &spec.world {
            World::Random { .. } => None,
            World::Grid { env, .. } => Some(EnvConfig::named(env)?),
        };
        let learner = match key.method.as_str() {
            "maxent" => json!(self.maxent),
            _ => json!(self.sampled),
        };
        Ok(json!([spec.world, model, learner]))
    }

    fn measure(&self, key: &RowKey, interrupt: &AtomicBool) -> Result<Option<ExactFigures>, Error> {
        let learner = LEARNERS.iter().find(|(name, _)| *name == key.method);
        match learner {
            Some((_, learner)) if !interrupt.load(Ordering::Relaxed) => {
                // One libtorch thread per task, so that sums do not depend on the machine's number of cores.
                tch::set_num_threads(1);
                let spec = self.spec(&key.subject)?;
                self.learned(spec, *learner, key.size, key.seed).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn markdown(&self, rows: &[MeasuredRow<ExactFigures>]) -> String {
        let mut text = format!("# {}\n\n{}\n", self.title, self.about);
        text += &format!(
            "\nTotal variation from the exact policy, and |log Z − exact soft value of the learned cost| in nats: means of {} \
             seeds. The exact gradient is descended until no entry exceeds {}.\n",
            self.seeds.len(),
            self.maxent.tolerance
        );
        let stopped = rows.iter().filter_map(|r| r.figures.residual);
        let worst = stopped.fold(0.0, f64::max);
        if worst > self.maxent.tolerance {
            text += &format!("The largest remaining entry is {worst:.1e}.\n");
        }
        if !rows.is_empty() {
            text += &format!("\n![total variation against samples]({PICTURE})\n");
        }
        for spec in &self.processes {
            text += &format!("\n## {}\n\n{}\n\n", spec.name, spec.about);
            let columns: Vec<String> = self.sizes.iter().map(|n| format!("{n} walks")).collect();
            text += &head("learner", &columns);
            for (name, _) in LEARNERS {
                let cell = |&size: &usize| {
                    let place = (spec.name.as_str(), name, size);
                    let variation = rows::mean(rows, place, |r| Some(r.total_variation));
                    let log_z = rows::mean(rows, place, |r| r.log_z_error);
                    match (variation, log_z) {
                        (Some(tv), Some(z)) => format!("{tv:.4}, {z:.4}"),
                        (Some(tv), None) => format!("{tv:.4}"),
                        (None, _) => "–".into(),
                    }
                };
                let cells = self.sizes.iter().map(cell);
                text += &row(std::iter::once(format!("`{name}`")).chain(cells));
            }
        }
        text + &rows::footer(self, rows)
    }

    /// Total variation against samples, one plot per process.
    fn picture(&self, rows: &[MeasuredRow<ExactFigures>]) -> Option<(&'static str, String)> {
        let plot = |spec: &ProcessSpec| {
            let line = |(name, _)| {
                let points = self.sizes.iter().filter_map(|&size| {
                    let place = (spec.name.as_str(), name, size);
                    let mean = rows::mean(rows, place, |r| Some(r.total_variation))?;
                    Some([size as f64, mean])
                });
                points.collect()
            };
            Convergence {
                title: spec.name.clone(),
                lines: LEARNERS.map(line).into(),
            }
        };
        let plots: Vec<Convergence> = self.processes.iter().map(plot).collect();
        let learners: Vec<String> = LEARNERS.map(|(name, _)| name.to_owned()).into();
        let title = "Total variation from the exact policy";
        (!rows.is_empty()).then(|| (PICTURE, convergence_svg(title, &learners, &plots)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_the_shipped_suite_can_be_built_and_measured() {
        let mut suite = ExactSuite::shipped().unwrap();
        suite.sampled.iterations = 3;
        suite.maxent.iterations = 3;
        suite.sizes = vec![20];
        suite.seeds = vec![0];
        let mut rows = Vec::new();
        for key in suite.keys() {
            let found = suite.measure(&key, &AtomicBool::new(false)).unwrap();
            let figures = found.unwrap();
            assert!(figures.total_variation > 0.0 && figures.total_variation < 1.0);
            let exact = key.method == "maxent";
            assert_eq!(figures.residual.is_some(), exact);
            let told = !exact && key.subject != "stochastic";
            assert_eq!(figures.log_z_error.is_some(), told, "{key:?}");
            rows.push(MeasuredRow {
                provenance: None,
                key,
                basis_sha256: String::new(),
                figures,
            });
        }
        let stopped = suite.measure(&rows[0].key, &AtomicBool::new(true));
        assert!(stopped.unwrap().is_none());
        let text = suite.markdown(&rows);
        assert!(!text.contains('–') && !text.contains("have not been measured"));
        assert!(suite.markdown(&rows[1..]).contains("1 of 15 rows"));
        let (_, svg) = suite.picture(&rows).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 15);
    }
}
