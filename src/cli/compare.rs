//! `costate compare`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::common::Output;
use super::methods::{self, EvaluatedRun, Method};
use super::ui::{number, score_interval, table};
use crate::error::Error;
use crate::evaluate::compare::{Basis, Comparison, MethodScores, RunScores, compare};
use crate::evaluate::statistics::{Estimate, interquartile_mean, stratified_interquartile_mean};
use crate::run::RunFolder;

/// Arguments of `costate compare`.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  costate compare runs/pendulum-bc-0 runs/pendulum-gan-gcl-0
  costate compare runs/pendulum-{bc,gan-gcl}-{0,1,2,3,4} --json")]
pub struct Args {
    /// Folders of evaluated runs on one environment; runs that differ only in their seed count as one method.
    #[arg(required = true, num_args = 2..)]
    runs: Vec<PathBuf>,
}

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    compare_runs(&methods::open(&args.runs)?, output)
}

/// Compares evaluated runs and prints the result; `evaluate` also ends with it.
pub fn compare_runs(runs: &[RunFolder], output: Output) -> Result<(), Error> {
    let all = methods::read(runs)?;
    let first = &all[0].evaluation;
    let mut report = Report {
        env: all[0].config.env.name.clone(),
        evaluation_seed: first.evaluation_seed,
        episodes: first.episodes,
        actions: first.actions.clone(),
        expert_return: first.expert_return,
        random_return: first.random_return,
        methods: Vec::new(),
        comparisons: Vec::new(),
    };
    let seed = report.evaluation_seed;
    let methods = methods::group(all);
    let scores: Vec<MethodScores> = methods.iter().map(scores).collect();
    report.methods = methods
        .iter()
        .zip(&scores)
        .map(|(m, s)| MethodReport::of(m, s, seed))
        .collect();
    report.comparisons = compare(&scores, seed);
    output.result(&report, || report.describe())
}

/// The `--json` output.
#[derive(Serialize)]
struct Report {
    env: String,
    evaluation_seed: u64,
    episodes: usize,
    actions: String,
    expert_return: f64,
    random_return: f64,
    methods: Vec<MethodReport>,
    /// The best method compared with each of the others.
    comparisons: Vec<Comparison>,
}

#[derive(Serialize)]
struct MethodReport {
    method: String,
    algo: String,
    demonstrations: Option<usize>,
    /// What the score's interval is computed over: `runs`, or the `episodes` of a single run.
    interval_over: &'static str,
    /// Interquartile mean over runs; same for the return and the success rate.
    normalized_score: f64,
    normalized_score_ci95: [f64; 2],
    #[serde(rename = "return")]
    mean_return: f64,
    success_rate: Option<f64>,
    success_rate_ci95: Option<[f64; 2]>,
    /// Sliced Wasserstein distance from the demonstrations; this and the fields below are means over runs.
    occupancy: Option<f64>,
    spearman: Option<f64>,
    epic: Option<f64>,
    dard: Option<f64>,
    fresh_normalized_score: Option<f64>,
    /// Of policies trained from scratch on −log π_0 alone, where the cost is relative to a clone.
    clone_normalized_score: Option<f64>,
    /// Number of runs by verdict on their cost.
    verdicts: BTreeMap<String, usize>,
    runs: Vec<RunReport>,
}

#[derive(Serialize)]
struct RunReport {
    run: PathBuf,
    seed: u64,
    #[serde(rename = "return")]
    mean_return: f64,
    normalized_score: f64,
    normalized_score_ci95: [f64; 2],
    success_rate: Option<f64>,
}

fn scores(method: &Method) -> MethodScores {
    let run = |run: &EvaluatedRun| {
        let f = &run.evaluation;
        let mut own_ci95 = f.policy_return.ci95.map(|v| run.score(v));
        // Where random actions beat the demonstrations, the score scale is inverted.
        own_ci95.sort_by(f64::total_cmp);
        RunScores {
            score: f.normalized_score,
            ci95: f.normalized_score_ci95,
            own_ci95,
            episodes: run.returns().iter().map(|&v| run.score(v)).collect(),
        }
    };
    MethodScores {
        name: method.name.clone(),
        runs: method.runs.iter().map(run).collect(),
    }
}

impl MethodReport {
    fn of(method: &Method, scores: &MethodScores, seed: u64) -> Self {
        let runs = &method.runs;
        let config = &runs[0].config;
        let score = scores.estimate(seed);
        let values = |of: &dyn Fn(&EvaluatedRun) -> Option<f64>| -> Vec<f64> {
            runs.iter().filter_map(of).collect()
        };
        let mean = |of: &dyn Fn(&EvaluatedRun) -> Option<f64>| {
            let found = values(of);
            (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
        };
        let success = success_rate(runs, seed);
        let mut verdicts = BTreeMap::new();
        for frozen in runs.iter().filter_map(|r| r.evaluation.frozen.as_ref()) {
            let name = serde_json::to_value(frozen.verdict).unwrap_or_default();
            *verdicts
                .entry(name.as_str().unwrap_or_default().to_owned())
                .or_insert(0) += 1;
        }
        Self {
            method: method.name.clone(),
            algo: config.algo.name().into(),
            demonstrations: config.demonstrations.as_ref().map(|d| d.episodes),
            interval_over: if runs.len() == 1 { "episodes" } else { "runs" },
            normalized_score: score.mean,
            normalized_score_ci95: score.ci95,
            mean_return: interquartile_mean(&values(&|r| Some(r.evaluation.policy_return.mean))),
            success_rate: success.rate,
            success_rate_ci95: success.ci95,
            occupancy: mean(&|r| r.evaluation.own()?.occupancy.map(|o| o.sliced_wasserstein)),
            spearman: mean(&|r| r.evaluation.cost.as_ref()?.spearman),
            epic: mean(&|r| r.evaluation.cost.as_ref()?.epic),
            dard: mean(&|r| r.evaluation.cost.as_ref()?.dard),
            fresh_normalized_score: mean(&|r| {
                let frozen = r.evaluation.frozen.as_ref()?;
                frozen.policies.get(frozen.kept).map(|p| p.normalized_score)
            }),
            clone_normalized_score: mean(&|r| {
                let clone = r.evaluation.controls.base_alone.as_ref()?;
                clone.policies.get(clone.kept).map(|p| p.normalized_score)
            }),
            verdicts,
            runs: runs.iter().map(RunReport::of).collect(),
        }
    }

    fn verdict(&self) -> String {
        let words = self.verdicts.iter().map(|(verdict, count)| {
            let verdict = verdict.replace('_', " ");
            match self.runs.len() {
                1 => verdict,
                _ => format!("{verdict} {count}"),
            }
        });
        words.collect::<Vec<_>>().join(", ")
    }
}

impl RunReport {
    fn of(run: &EvaluatedRun) -> Self {
        Self {
            run: run.path.clone(),
            seed: run.config.seed,
            mean_return: run.evaluation.policy_return.mean,
            normalized_score: run.evaluation.normalized_score,
            normalized_score_ci95: run.evaluation.normalized_score_ci95,
            success_rate: run.evaluation.own().and_then(|r| r.success_rate),
        }
    }
}

#[derive(Default)]
struct SuccessRate {
    rate: Option<f64>,
    ci95: Option<[f64; 2]>,
}

/// For one run its own evaluation; for several the interquartile mean, if all have one.
fn success_rate(runs: &[EvaluatedRun], seed: u64) -> SuccessRate {
    let rows = runs.iter().filter_map(|r| r.evaluation.own());
    let rates: Vec<f64> = rows.filter_map(|r| r.success_rate).collect();
    if rates.len() < runs.len() {
        return SuccessRate::default();
    }
    if let [run] = runs {
        return SuccessRate {
            rate: Some(rates[0]),
            ci95: run.evaluation.own().and_then(|r| r.success_rate_ci95),
        };
    }
    let Estimate { mean, ci95 } = stratified_interquartile_mean(&[rates], seed);
    // Equal rates have no spread: no interval rather than one of zero length.
    let spread = ci95[1] > ci95[0];
    SuccessRate {
        rate: Some(mean),
        ci95: spread.then(|| ci95.map(|v| v.clamp(0.0, 1.0))),
    }
}

/// A table column: its title and its cell for a method.
type Column = (&'static str, fn(&MethodReport) -> Option<String>);

const COLUMNS: [Column; 13] = [
    ("method", |m| Some(m.method.clone())),
    ("runs (seeds)", |m| {
        let seeds: Vec<String> = m.runs.iter().map(|r| r.seed.to_string()).collect();
        Some(format!("{} ({})", m.runs.len(), seeds.join(" ")))
    }),
    ("score", |m| Some(format!("{:.3}", m.normalized_score))),
    ("95 %", |m| {
        let mark = if m.runs.len() == 1 { " *" } else { "" };
        Some(score_interval(m.normalized_score_ci95) + mark)
    }),
    ("return", |m| Some(number(m.mean_return))),
    ("success", |m| {
        let rate = format!("{:.2}", m.success_rate?);
        Some(match m.success_rate_ci95 {
            Some([low, high]) => format!("{rate} ({low:.2} … {high:.2})"),
            None => rate,
        })
    }),
    ("distance", |m| m.occupancy.map(|v| format!("{v:.3}"))),
    ("Spearman", |m| m.spearman.map(|v| format!("{v:.3}"))),
    ("EPIC", |m| m.epic.map(|v| format!("{v:.3}"))),
    ("DARD", |m| m.dard.map(|v| format!("{v:.3}"))),
    ("fresh", |m| {
        m.fresh_normalized_score.map(|v| format!("{v:.3}"))
    }),
    ("−log π_0", |m| {
        m.clone_normalized_score.map(|v| format!("{v:.3}"))
    }),
    ("cost", |m| (!m.verdicts.is_empty()).then(|| m.verdict())),
];

impl Report {
    fn describe(&self) -> String {
        // Empty columns are omitted.
        let shown: Vec<Column> = COLUMNS
            .into_iter()
            .filter(|(_, of)| self.methods.iter().any(|m| of(m).is_some()))
            .collect();
        let header: Vec<&str> = shown.iter().map(|(title, _)| *title).collect();
        let cells = |m| {
            shown
                .iter()
                .map(|(_, of)| of(m).unwrap_or("–".into()))
                .collect()
        };
        let rows: Vec<Vec<String>> = self.methods.iter().map(cells).collect();
        let mut text = format!(
            "{}; {} episodes per run, start states from seed {}, actions: {}\n\n{}\n",
            self.env,
            self.episodes,
            self.evaluation_seed,
            self.actions,
            table(&header, &rows)
        );
        text += "score = (return − random) / (expert − random), interquartile mean over runs with its 95 % bootstrap interval\n";
        if self.methods.iter().any(|m| m.runs.len() == 1) {
            text +=
                "* one run: the interval is over its episodes and says nothing about other seeds\n";
        }
        let legend = [
            (
                "distance",
                "distance = sliced Wasserstein distance of visited states and actions from the demonstrations'",
            ),
            (
                "Spearman",
                "Spearman = rank correlation of the learned cost with the true one (1 is best)",
            ),
            (
                "EPIC",
                "EPIC, DARD = distances of the learned cost from the true one (0 is best)",
            ),
            (
                "fresh",
                "fresh = score of policies trained from scratch on the frozen cost; cost = verdict on it, by runs",
            ),
            (
                "−log π_0",
                "−log π_0 = score of policies trained from scratch on that part of the cost alone, a copy of the clone",
            ),
        ];
        for (_, line) in legend.iter().filter(|(column, _)| header.contains(column)) {
            text += &format!("{line}\n");
        }
        text + &self.statements()
    }

    fn statements(&self) -> String {
        let mut text = String::from("\n");
        for comparison in &self.comparisons {
            text += &format!("{}\n", comparison.statement);
        }
        match self.methods.len() {
            1 => text += "one method: nothing to compare it with\n",
            2 => {}
            n => {
                text += &format!(
                    "significant = at the 5 % level after Holm's correction for the {} pairs of methods\n",
                    n * (n - 1) / 2
                );
            }
        }
        if self
            .comparisons
            .iter()
            .any(|c| c.basis == Basis::UnpairedEpisodes)
        {
            text += "some evaluations are from an earlier version without per-episode returns: intervals are not paired by start state; re-evaluate for tighter ones\n";
        }
        text
    }
}
