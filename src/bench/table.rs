//! A suite's results as Markdown.

use std::collections::BTreeMap;

use costate_base::provenance::Provenance;

use super::differences::differences;
use super::result::{CellResult, FreshResult};
use super::suite::{Cell, Suite};
use crate::evaluate::statistics::{
    performance_profile, probability_of_improvement, stratified_interquartile_mean,
};

/// Results by cell; `None` where a cell has not been run.
pub(super) type Results<'a> = &'a [(Cell<'a>, Option<CellResult>)];

/// The suite's tables.
pub fn markdown(suite: &Suite, results: Results) -> String {
    let mut text = format!("# {}\n\n{}\n", suite.title, suite.about);
    for (count, envs) in suite.groups() {
        text += &format!("\n## {count} demonstrations\n\n");
        text += &scores(suite, results, count, envs);
        text += &comparison(suite, results, count, envs);
        if suite.differences {
            text += &differences(suite, results, count, envs);
        }
        if suite.solved {
            text += &solved(suite, results, count, envs);
        }
        if !suite.untimed {
            text += &efficiency(suite, results, count, envs);
        }
        text += &frozen(suite, results, count, envs);
    }
    let there = results.iter().filter_map(|(c, r)| Some((c, r.as_ref()?)));
    text += &builds(there.map(|(cell, r)| {
        let of = format!("{} {}", cell.env, cell.method.name);
        (r.provenance.as_ref(), of)
    }));
    let missing = results.iter().filter(|(_, r)| r.is_none()).count();
    if missing > 0 {
        text += &format!(
            "\n{missing} of {} cells have not been run yet; `costate bench {}` runs them.\n",
            results.len(),
            suite.name
        );
    }
    text
}

/// The commits that produced the results, each given with its row of the table; empty if none is recorded.
pub(super) fn builds<'a>(
    results: impl Iterator<Item = (Option<&'a Provenance>, String)>,
) -> String {
    let mut builds: BTreeMap<Option<String>, BTreeMap<String, usize>> = BTreeMap::new();
    for (build, row) in results {
        let commit = build.and_then(Provenance::short_commit);
        *builds.entry(commit).or_default().entry(row).or_default() += 1;
    }
    if builds.len() < 2 {
        return match builds.into_keys().next().flatten() {
            Some(commit) => format!("\nAll results are from commit {commit}.\n"),
            None => String::new(),
        };
    }
    let mut text =
        String::from("\nResults from different commits (`+`: with uncommitted changes):\n\n");
    text += &head("commit", &["results".into(), "of".into()]);
    for (commit, rows) in builds {
        let count: usize = rows.values().sum();
        let rows: Vec<String> = rows.into_keys().collect();
        let commit = commit.unwrap_or_else(|| "not recorded".into());
        text += &row([commit, count.to_string(), rows.join(", ")]);
    }
    text
}

/// The available results of one environment and method.
pub(super) struct Found<'a> {
    pub(super) results: Vec<&'a CellResult>,
    asked: usize,
}

pub(super) fn found<'a>(results: Results<'a>, env: &str, method: &str, count: usize) -> Found<'a> {
    let cells = results.iter().filter(|(cell, _)| {
        cell.env == env && cell.method.name == method && cell.demonstrations == count
    });
    let (mut there, mut asked) = (Vec::new(), 0);
    for (_, result) in cells {
        asked += 1;
        there.extend(result);
    }
    Found {
        results: there,
        asked,
    }
}

impl Found<'_> {
    pub(super) fn values(&self, of: impl Fn(&CellResult) -> Option<f64>) -> Vec<f64> {
        self.results.iter().filter_map(|r| of(r)).collect()
    }

    /// The entry where there is no result: a cell that the suite does not have, or one that was not run.
    fn nothing(&self) -> String {
        match self.asked {
            0 => "–".into(),
            _ => "not run".into(),
        }
    }

    /// `1 of 3 seeds` where some are missing.
    fn unfinished(&self) -> String {
        match self.results.len() == self.asked {
            true => String::new(),
            false => format!(" ({} of {} seeds)", self.results.len(), self.asked),
        }
    }
}

pub(super) fn row(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("| {} |\n", cells.join(" | "))
}

pub(super) fn head(first: &str, columns: &[String]) -> String {
    let titles = std::iter::once(first.to_owned()).chain(columns.iter().cloned());
    row(titles)
        + &row(std::iter::once("---".to_owned()).chain(columns.iter().map(|_| "---:".into())))
}

/// `mean [low, high]`.
pub(super) fn with_interval(mean: f64, [low, high]: [f64; 2], digits: usize) -> String {
    format!("{mean:.digits$} [{low:.digits$}, {high:.digits$}]")
}

/// Whether a bootstrap within the strata shows a spread: a single run does not.
pub(super) fn spread_shows(strata: &[Vec<f64>]) -> bool {
    strata.iter().all(|s| s.len() > 1)
}

/// The interquartile mean over strata, with its interval if there is one.
fn interquartile(strata: &[Vec<f64>]) -> String {
    let e = stratified_interquartile_mean(strata, 0);
    match spread_shows(strata) {
        true => with_interval(e.mean, e.ci95, 3),
        false => format!("{:.3}", e.mean),
    }
}

/// Scores of a method's runs, one entry per environment; empty for those not run.
fn strata(results: Results, envs: &[String], method: &str, count: usize) -> Vec<Vec<f64>> {
    let scores = |env| found(results, env, method, count).values(|r| Some(r.normalized_score));
    envs.iter().map(|env| scores(env)).collect()
}

fn scores(suite: &Suite, results: Results, count: usize, envs: &[String]) -> String {
    let names: Vec<String> = suite.methods.iter().map(|m| m.name.clone()).collect();
    let mut text =
        String::from("Normalised score: interquartile mean over seeds [95 % interval].\n\n");
    text += &head("environment", &names);
    for env in envs {
        let cells = names.iter().map(|method| {
            let found = found(results, env, method, count);
            let scores = found.values(|r| Some(r.normalized_score));
            match scores.is_empty() {
                true => found.nothing(),
                false => interquartile(&[scores]) + &found.unfinished(),
            }
        });
        text += &row(std::iter::once(env.clone()).chain(cells));
    }
    let all = names.iter().map(|method| {
        let has = |env: &&String| found(results, env, method, count).asked > 0;
        let envs: Vec<String> = envs.iter().filter(has).cloned().collect();
        let strata = strata(results, &envs, method, count);
        match strata.iter().any(Vec::is_empty) {
            true => "–".into(),
            false => interquartile(&strata),
        }
    });
    text + &row(std::iter::once("**all**".to_owned()).chain(all))
}

/// Score thresholds of the performance profile.
const THRESHOLDS: [f64; 5] = [0.5, 0.8, 0.9, 0.95, 0.99];

/// Performance profiles, and probability of improvement over the suite's first method.
fn comparison(suite: &Suite, results: Results, count: usize, envs: &[String]) -> String {
    let Some(first) = suite.methods.first() else {
        return String::new();
    };
    let baseline = strata(results, envs, &first.name, count);
    let mut text = format!(
        "\nShare of runs that score above a threshold (performance profile), and the probability that a run outscores one \
         of `{0}`, mean over the environments where both were run [95 % interval, where every environment has at least two runs].\n\n",
        first.name
    );
    let mut columns = vec!["runs".to_owned()];
    columns.extend(THRESHOLDS.map(|t| format!("above {t}")));
    columns.push(format!("above {} (environments)", first.name));
    text += &head("method", &columns);
    for method in &suite.methods {
        let all = strata(results, envs, &method.name, count);
        let run: Vec<Vec<f64>> = all.iter().filter(|s| !s.is_empty()).cloned().collect();
        if run.is_empty() {
            continue;
        }
        let pairs = all.iter().zip(&baseline);
        let (own, other): (Vec<_>, Vec<_>) = pairs
            .filter(|(a, b)| !a.is_empty() && !b.is_empty())
            .map(|(a, b)| (a.clone(), b.clone()))
            .unzip();
        let better = match method.name == first.name || own.is_empty() {
            true => "–".into(),
            false => {
                let estimate = probability_of_improvement(&own, &other);
                let figure = match spread_shows(&own) && spread_shows(&other) {
                    true => with_interval(estimate.mean, estimate.ci95, 3),
                    false => format!("{:.3}", estimate.mean),
                };
                format!("{figure} ({})", own.len())
            }
        };
        let profile = performance_profile(&run, &THRESHOLDS, 0);
        let shares = profile.iter().map(|p| match spread_shows(&run) {
            true => with_interval(p.share, p.ci95, 2),
            false => format!("{:.2}", p.share),
        });
        let runs: usize = run.iter().map(Vec::len).sum();
        text += &row([method.name.clone(), runs.to_string()]
            .into_iter()
            .chain(shares)
            .chain([better]));
    }
    text
}

/// Solved episodes of the learned policies, and of the controllers they are distilled from.
fn solved(suite: &Suite, results: Results, count: usize, envs: &[String]) -> String {
    let mut text = String::from(
        "\nSolved: share of the evaluation's episodes whose last tenth is at the task's goal, one value per seed. Controllers \
         act from the starts of the first demonstrations only: share of their last rollouts, and score relative to those demonstrations.\n\n",
    );
    let by = |found: &Found, of: &dyn Fn(&CellResult) -> Option<f64>| {
        let texts: Vec<String> = (found.values(of).iter().map(|v| format!("{v:.2}"))).collect();
        match texts.is_empty() {
            true => "–".into(),
            false => texts.join(" "),
        }
    };
    let controlled = |method: &str| {
        results.iter().any(|(cell, r)| {
            cell.method.name == method && r.as_ref().is_some_and(|r| r.controllers.is_some())
        })
    };
    let mut columns = Vec::new();
    for method in &suite.methods {
        columns.push(method.name.clone());
        if controlled(&method.name) {
            columns.push(format!("{}: controllers", method.name));
        }
    }
    text += &head("environment", &columns);
    for env in envs {
        let mut cells = vec![env.clone()];
        for method in &suite.methods {
            let found = found(results, env, &method.name, count);
            cells.push(by(&found, &|r| r.solved));
            if controlled(&method.name) {
                let share = by(&found, &|r| r.controllers?.solved);
                let score = by(&found, &|r| Some(r.controllers?.normalized_score));
                cells.push(format!("{share}; score {score}"));
            }
        }
        text += &row(cells);
    }
    text
}

fn efficiency(suite: &Suite, results: Results, count: usize, envs: &[String]) -> String {
    let names: Vec<String> = suite.methods.iter().map(|m| m.name.clone()).collect();
    let mut text = String::from(
        "\nTraining until the rollouts reach a normalised score of 0.95: thousands of environment steps, \
         seconds (medians over the seeds that reach it; how many do). In parentheses: the whole training.",
    );
    let mut beside: Vec<usize> = results
        .iter()
        .filter_map(|(_, r)| Some(r.as_ref()?.jobs))
        .collect();
    beside.sort_unstable();
    beside.dedup();
    if beside.iter().any(|&jobs| jobs > 1) {
        let counts: Vec<String> = beside.iter().map(usize::to_string).collect();
        text += &format!(
            " Cells ran {} at a time, which makes seconds longer.",
            counts.join(" or ")
        );
    }
    text += "\n\n";
    text += &head("environment", &names);
    for env in envs {
        let cells = names.iter().map(|method| {
            let found = found(results, env, method, count);
            if found.results.is_empty() {
                return found.nothing();
            }
            let seconds = found.values(|r| r.to_95.map(|m| m.seconds));
            let steps = found.values(|r| r.to_95.map(|m| m.steps as f64 / 1e3));
            let whole = format!(
                "({:.0} k, {:.0} s)",
                median(&found.values(|r| Some(r.steps as f64 / 1e3))),
                median(&found.values(|r| Some(r.seconds)))
            );
            match seconds.len() {
                0 => format!("– {whole}"),
                n => format!(
                    "{:.0} k, {:.0} s, {n}/{} {whole}",
                    median(&steps),
                    median(&seconds),
                    found.results.len()
                ),
            }
        });
        text += &row(std::iter::once(env.clone()).chain(cells));
    }
    text
}

fn frozen(suite: &Suite, results: Results, count: usize, envs: &[String]) -> String {
    let has = |env: Option<&str>, method: Option<&str>| {
        results.iter().any(|(cell, result)| {
            cell.demonstrations == count
                && env.is_none_or(|env| env == cell.env)
                && method.is_none_or(|method| method == cell.method.name)
                && result.as_ref().is_some_and(|r| r.fresh.is_some())
        })
    };
    let names = suite.methods.iter().map(|m| m.name.clone());
    let methods: Vec<String> = names.filter(|m| has(None, Some(m))).collect();
    if methods.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\nFresh policies on the frozen cost, the one with the highest learned soft value of each seed: \
         normalised score; (return − expert's) / |expert's return|; δ per step. One value per seed. Where the cost is relative \
         to a clone π_0, the score on the whole cost / on −log π_0 alone / on c_θ alone; only what the whole does beyond −log π_0 is \
         due to c_θ. The parts' scores are of the policy's own episodes after training; a dash: not run.\n\n",
    );
    text += &head("environment", &methods);
    for env in envs.iter().filter(|env| has(Some(env), None)) {
        let cells = methods.iter().map(|method| {
            let found = found(results, env, method, count);
            let best = |of: fn(&FreshResult) -> f64, digits: usize| {
                let values = found.values(|r| r.fresh.as_ref().map(of));
                let texts: Vec<String> = values.iter().map(|v| format!("{v:.digits$}")).collect();
                texts.join(" ")
            };
            match found.values(|r| r.fresh.as_ref().map(|_| 1.0)).is_empty() {
                true => "not run".into(),
                false => format!(
                    "{}; {}; δ {}",
                    fresh_scores(&found),
                    best(|p| p.relative_return, 2),
                    best(|p| p.delta, 2)
                ),
            }
        });
        text += &row(std::iter::once(env.clone()).chain(cells));
    }
    text
}

/// Scores of the kept fresh policies, one entry per seed: on the whole cost, and beside it on its parts if one of the seeds
/// has them.
fn fresh_scores(found: &Found) -> String {
    let fresh: Vec<&FreshResult> = found
        .results
        .iter()
        .filter_map(|r| r.fresh.as_ref())
        .collect();
    let controlled = fresh.iter().any(|f| f.controls.is_some());
    let shown = |f: &&FreshResult| {
        let whole = format!("{:.3}", f.normalized_score);
        match (&f.controls, controlled) {
            (Some(parts), _) => format!(
                "{whole} / {:.3} / {:.3}",
                parts.base_alone.normalized_score, parts.without_base.normalized_score
            ),
            (None, true) => format!("{whole} / – / –"),
            (None, false) => whole,
        }
    };
    let separator = if controlled { ", " } else { " " };
    fresh.iter().map(shown).collect::<Vec<_>>().join(separator)
}

/// NaN of nothing.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bench::{PartResult, PartsResult};

    #[test]
    fn scores_on_parts_stand_beside_those_on_the_whole() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        let cell = |score: f64, parts: Option<[f64; 2]>| {
            let file = results.join("pendulum-gan-gcl-25-0.json");
            let mut cell = CellResult::read(&file).unwrap().unwrap();
            let fresh = cell.fresh.as_mut().unwrap();
            fresh.normalized_score = score;
            fresh.controls = parts.map(|parts| {
                let [base_alone, without_base] = parts.map(|normalized_score| PartResult {
                    normalized_score,
                    mean_return: 0.0,
                    delta: 0.0,
                });
                PartsResult {
                    base_alone,
                    without_base,
                    standing: None,
                }
            });
            cell
        };
        let shown = |cells: &[CellResult]| {
            let results = cells.iter().collect();
            fresh_scores(&Found { results, asked: 2 })
        };
        let old = [cell(0.5, None), cell(0.25, None)];
        assert_eq!(shown(&old), "0.500 0.250");
        let mixed = [cell(0.5, Some([1.0, -0.125])), cell(0.25, None)];
        assert_eq!(shown(&mixed), "0.500 / 1.000 / -0.125, 0.250 / – / –");
    }
}
