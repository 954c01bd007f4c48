//! Scores against the number of demonstrations, over the cells of a suite that has several.

use super::suite::Suite;
use super::table::{Results, found, spread_shows};
use crate::evaluate::statistics::stratified_interquartile_mean;
use crate::report::{FewShot, FewShotPoint, few_shot_svg};

/// Name of the picture.
pub const PICTURE: &str = "demonstrations.svg";

/// Numbers of demonstrations from which on a line says more than the table.
const FEWEST: usize = 3;

/// The picture: a plot per world in which one of the methods has several numbers of demonstrations, and before them the
/// worlds in which all methods have all; `None` where no suite or no result has several.
pub fn picture(suite: &Suite, results: Results) -> Option<String> {
    let mut counts: Vec<usize> = suite.groups().map(|(count, _)| count).collect();
    counts.sort_unstable();
    if counts.len() < FEWEST {
        return None;
    }
    let methods: Vec<String> = suite.methods.iter().map(|m| m.name.clone()).collect();
    let (_, envs) = suite.groups().next()?;
    let scores = |env: &String, method: &String, count: usize| {
        found(results, env, method, count).values(|r| Some(r.normalized_score))
    };
    let plot = |title: String, envs: &[&String]| {
        let line = |method: &String| {
            let point = |count: &usize| {
                let strata: Vec<Vec<f64>> = (envs.iter())
                    .map(|env| scores(env, method, *count))
                    .collect();
                if strata.iter().any(Vec::is_empty) {
                    return None;
                }
                let e = stratified_interquartile_mean(&strata, 0);
                Some(FewShotPoint {
                    demonstrations: *count,
                    score: e.mean,
                    ci95: spread_shows(&strata).then_some(e.ci95),
                })
            };
            counts.iter().filter_map(point).collect::<Vec<_>>()
        };
        FewShot {
            title,
            lines: methods.iter().map(line).collect(),
        }
    };
    let complete = |env: &&String| {
        let there = |method| counts.iter().all(|n| !scores(env, method, *n).is_empty());
        methods.iter().all(there)
    };
    let whole: Vec<&String> = envs.iter().filter(complete).collect();
    let mut plots = Vec::new();
    if whole.len() > 1 {
        plots.push(plot(format!("{} worlds", whole.len()), &whole));
    }
    let own = envs.iter().map(|env| plot(env.clone(), &[env]));
    plots.extend(own.filter(|p| p.lines.iter().any(|line| line.len() > 1)));
    let title = format!("{}: normalised score", suite.title);
    (!plots.is_empty()).then(|| few_shot_svg(&title, &methods, &plots))
}
