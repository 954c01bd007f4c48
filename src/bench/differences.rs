//! What each method adds to a suite's first one: paired differences of scores.

use super::suite::Suite;
use super::table::{Results, found, head, row, with_interval};
use crate::evaluate::statistics::difference_of_pairs;

/// Score minus that of the first method with the same demonstrations and seed; a row per environment.
pub fn differences(suite: &Suite, results: Results, count: usize, envs: &[String]) -> String {
    let Some((first, others)) = suite.methods.split_first() else {
        return String::new();
    };
    let mut text = format!(
        "\nScore minus that of `{}` with the same seed: mean over seeds [95 % interval]; ⟲ for every seed in which the learned \
         policy was worse than its start by held-out likelihood and learned soft value, and the start was handed over.\n\n",
        first.name
    );
    let names: Vec<String> = others.iter().map(|m| m.name.clone()).collect();
    text += &head("environment", &names);
    for env in envs {
        let cells = names.iter().map(|method| {
            let pairs = pairs(results, env, [method, &first.name], count);
            let kept = found(results, env, method, count).results;
            let kept = kept.iter().filter(|r| r.kept_start).count();
            let mark = match kept {
                0 => String::new(),
                kept => format!(" {}", "⟲".repeat(kept)),
            };
            match pairs.len() {
                0 => "not run".into(),
                1 => format!("{:.3}{mark}", pairs[0]),
                _ => {
                    let d = difference_of_pairs(&pairs, 0).estimate;
                    with_interval(d.mean, d.ci95, 3) + &mark
                }
            }
        });
        text += &row(std::iter::once(env.clone()).chain(cells));
    }
    text
}

/// Score differences of two methods in the seeds that both have.
fn pairs(results: Results, env: &str, [own, first]: [&str; 2], count: usize) -> Vec<f64> {
    let of = |method| found(results, env, method, count).results;
    let baseline = of(first);
    of(own)
        .into_iter()
        .filter_map(|r| {
            let other = baseline.iter().find(|b| b.seed == r.seed)?;
            Some(r.normalized_score - other.normalized_score)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bench::CellResult;

    /// Two seeds in common: 0.75 − 0.5 and 0.5 − 0.75; a third seed of one method alone does not count.
    #[test]
    fn differences_pair_the_seeds() {
        let suite = Suite::named("controls").unwrap();
        let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
        let read = CellResult::read(&at.join("pendulum-bc-25-0.json")).unwrap();
        let read = read.unwrap();
        let cells = suite.cells().unwrap();
        let results: Vec<_> = cells
            .into_iter()
            .filter(|c| c.env == "pendulum" && c.demonstrations == 25)
            .map(|cell| {
                let score = match (cell.method.name.as_str(), cell.seed) {
                    ("bc", 0) => 0.5,
                    ("bc", 1) => 0.75,
                    ("gan-gcl", 0) => 0.75,
                    ("gan-gcl", 1) => 0.5,
                    ("gan-gcl", _) => 9.0,
                    _ => return (cell, None),
                };
                let mut result = read.clone();
                (result.seed, result.normalized_score) = (cell.seed, score);
                (cell, Some(result))
            })
            .collect();
        let found = pairs(&results, "pendulum", ["gan-gcl", "bc"], 25);
        assert_eq!(found, [0.25, -0.25]);
        let text = differences(&suite, &results, 25, &["pendulum".into()]);
        let row = text.lines().last().unwrap();
        assert!(row.starts_with("| pendulum | 0.000 [-"), "{row}");
        assert!(row.ends_with("| not run |"), "{row}");
    }
}
