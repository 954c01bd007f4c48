//! Comparison of methods: score differences and their significance.

use serde::Serialize;

use super::statistics::{
    Difference, Estimate, difference_of_estimates, difference_of_interquartile_means,
    difference_of_pairs, probability_of_improvement, share_of_pairs, stratified_interquartile_mean,
};

/// A run's scores.
#[derive(Debug, Clone, PartialEq)]
pub struct RunScores {
    /// Normalised score.
    pub score: f64,
    /// Its 95 % interval over episodes, demonstrations and random actions.
    pub ci95: [f64; 2],
    /// The same over the run's own episodes alone, with a fixed score scale.
    pub own_ci95: [f64; 2],
    /// Normalised score of every episode, in order of the starts; empty if unknown.
    pub episodes: Vec<f64>,
}

/// A method's runs, which differ only in their seed; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct MethodScores {
    /// Its name.
    pub name: String,
    /// Its runs.
    pub runs: Vec<RunScores>,
}

impl MethodScores {
    /// The interquartile mean over runs; of a single run its score, with the interval over its episodes.
    pub fn estimate(&self, seed: u64) -> Estimate {
        match self.runs.as_slice() {
            [run] => Estimate {
                mean: run.score,
                ci95: run.ci95,
            },
            _ => stratified_interquartile_mean(&[self.scores()], seed),
        }
    }

    /// As [`MethodScores::estimate`], with a fixed score scale.
    fn own(&self, seed: u64) -> Estimate {
        match self.runs.as_slice() {
            [run] => Estimate {
                mean: run.score,
                ci95: run.own_ci95,
            },
            _ => self.estimate(seed),
        }
    }

    fn scores(&self) -> Vec<f64> {
        self.runs.iter().map(|r| r.score).collect()
    }
}

/// What a difference is based on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Several runs of either method.
    Runs,
    /// Episodes of one run each, pair by pair from the same starts.
    PairedEpisodes,
    /// Intervals over the episodes of one run each.
    UnpairedEpisodes,
    /// Several runs of one method, the episodes of one run of the other.
    RunsAndEpisodes,
}

/// The best method against another one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The method with the highest score.
    pub best: String,
    /// The other.
    pub other: String,
    /// What the comparison is based on.
    pub basis: Basis,
    /// Score of the best minus the other's.
    pub difference: f64,
    /// Its 95 % interval.
    pub difference_ci95: [f64; 2],
    /// Probability that a run of the best (an episode, if each has one run) scores above the other's; `None` if the
    /// episode returns of single runs are unknown.
    pub probability_of_improvement: Option<Estimate>,
    /// Two-sided p-value of no difference.
    pub p_value: f64,
    /// The same after Holm's correction for all pairs of methods.
    pub p_value_holm: f64,
    /// Whether this is below 0.05.
    pub told_apart: bool,
    /// Summary as text.
    pub statement: String,
}

/// Significance level.
const LEVEL: f64 = 0.05;

/// Fewer runs than this are reported as too few to decide.
const FEW: usize = 5;

/// The method with the highest score (the first of equals) compared with each of the others, in their order.
///
/// p-values are corrected (Holm 1979) for all pairs of methods, not just for those with the best: which method
/// is best was found in the same runs.
pub fn compare(methods: &[MethodScores], seed: u64) -> Vec<Comparison> {
    let scores: Vec<f64> = methods.iter().map(|m| m.estimate(seed).mean).collect();
    let Some(best) = (0..methods.len())
        .rev()
        .max_by(|&i, &j| scores[i].total_cmp(&scores[j]))
    else {
        return Vec::new();
    };
    let mut pairs = Vec::new();
    for i in 0..methods.len() {
        for j in 0..i {
            // Best first: its differences are the reported ones.
            let (first, second) = if j == best { (j, i) } else { (i, j) };
            pairs.push(Pair {
                first,
                second,
                found: differ(&methods[first], &methods[second], seed),
            });
        }
    }
    let raw: Vec<f64> = pairs.iter().map(|p| p.found.difference.p_value).collect();
    let mut told: Vec<(usize, Comparison)> = pairs
        .iter()
        .zip(holm(&raw))
        .filter(|(pair, _)| pair.first == best)
        .map(|(pair, corrected)| {
            let (first, second) = (&methods[pair.first], &methods[pair.second]);
            (
                pair.second,
                comparison(first, second, pair.found, corrected, raw.len()),
            )
        })
        .collect();
    told.sort_by_key(|(place, _)| *place);
    told.into_iter().map(|(_, comparison)| comparison).collect()
}

struct Pair {
    first: usize,
    second: usize,
    found: Differing,
}

#[derive(Clone, Copy)]
struct Differing {
    difference: Difference,
    basis: Basis,
}

fn differ(x: &MethodScores, y: &MethodScores, seed: u64) -> Differing {
    let (difference, basis) = match (x.runs.as_slice(), y.runs.as_slice()) {
        ([a], [b]) if paired(a, b) => {
            let differences: Vec<f64> = episode_pairs(a, b).map(|[a, b]| a - b).collect();
            (
                difference_of_pairs(&differences, seed),
                Basis::PairedEpisodes,
            )
        }
        ([_], [_]) => (
            difference_of_estimates(x.own(seed), y.own(seed)),
            Basis::UnpairedEpisodes,
        ),
        ([_], _) | (_, [_]) => (
            difference_of_estimates(x.own(seed), y.own(seed)),
            Basis::RunsAndEpisodes,
        ),
        _ => (
            difference_of_interquartile_means(&x.scores(), &y.scores(), seed),
            Basis::Runs,
        ),
    };
    Differing { difference, basis }
}

fn paired(a: &RunScores, b: &RunScores) -> bool {
    !a.episodes.is_empty() && a.episodes.len() == b.episodes.len()
}

fn episode_pairs(a: &RunScores, b: &RunScores) -> impl Iterator<Item = [f64; 2]> {
    a.episodes.iter().zip(&b.episodes).map(|(&a, &b)| [a, b])
}

fn improvement(x: &MethodScores, y: &MethodScores) -> Option<Estimate> {
    match (x.runs.as_slice(), y.runs.as_slice()) {
        ([a], [b]) => paired(a, b).then(|| share_of_pairs(episode_pairs(a, b))),
        _ => Some(probability_of_improvement(&[x.scores()], &[y.scores()])),
    }
}

fn comparison(
    best: &MethodScores,
    other: &MethodScores,
    found: Differing,
    corrected: f64,
    pairs: usize,
) -> Comparison {
    let Differing { difference, basis } = found;
    let mut comparison = Comparison {
        best: best.name.clone(),
        other: other.name.clone(),
        basis,
        difference: difference.estimate.mean,
        difference_ci95: difference.estimate.ci95,
        probability_of_improvement: improvement(best, other),
        p_value: difference.p_value,
        p_value_holm: corrected,
        told_apart: corrected < LEVEL,
        statement: String::new(),
    };
    comparison.statement = statement(&comparison, [best.runs.len(), other.runs.len()], pairs);
    comparison
}

/// A comparison as text.
fn statement(c: &Comparison, runs: [usize; 2], pairs: usize) -> String {
    let [low, high] = c.difference_ci95;
    let mut text = format!(
        "{} scores {:.3} above {} (95 %: {low:.3} … {high:.3}): ",
        c.best, c.difference, c.other
    );
    text += match c.told_apart {
        true => "significant",
        false => "could be chance",
    };
    if c.told_apart {
        text += match c.basis {
            Basis::Runs => "",
            Basis::PairedEpisodes | Basis::UnpairedEpisodes => {
                " for these two runs; one run each says nothing about other seeds"
            }
            Basis::RunsAndEpisodes => ", but a single run says nothing about other seeds",
        };
    } else if c.p_value < LEVEL {
        text += &format!(" among {pairs} pairs of methods");
    } else if c.basis == Basis::Runs && runs.iter().any(|n| *n < FEW) {
        text += &match runs {
            [n, m] if n == m => format!(": {n} runs each are too few to decide"),
            [n, m] => format!(": {n} and {m} runs are too few to decide"),
        };
    }
    if let Some(p) = c.probability_of_improvement {
        let what = match c.basis {
            Basis::PairedEpisodes => format!("from the same start state it beats {}", c.other),
            _ => format!("one of its runs beats one of {}", c.other),
        };
        text += &format!(
            "; {what} with probability {:.2} (95 %: {:.2} … {:.2})",
            p.mean, p.ci95[0], p.ci95[1]
        );
    }
    text
}

/// p-values after Holm's step-down correction (Holm 1979, Scandinavian Journal of Statistics 6).
fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, &i) in order.iter().enumerate() {
        least = least
            .max(p_values[i] * (p_values.len() - rank) as f64)
            .min(1.0);
        corrected[i] = least;
    }
    corrected
}

#[cfg(test)]
mod tests;
