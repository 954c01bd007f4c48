//! Which metric of a learned cost predicts the score of fresh policies trained on it?

use super::result::CellResult;
use super::table::with_interval;
use crate::evaluate::statistics::{Estimate, bootstrap_pairs, sides, spearman};
use crate::report::{Multiple, trust_svg};

/// A metric under test.
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its value in a cell.
    of: fn(&CellResult) -> Option<f64>,
    /// Whether greater is better.
    greater_is_better: bool,
}

/// All metrics; δ and the score of the policy learned with the cost do not depend on the cost alone.
pub const METRICS: [Metric; 9] = [
    Metric {
        name: "Pearson, trajectories",
        of: |c| c.metrics?.pearson,
        greater_is_better: true,
    },
    Metric {
        name: "Spearman, trajectories",
        of: |c| c.metrics?.spearman,
        greater_is_better: true,
    },
    Metric {
        name: "Pearson, steps",
        of: |c| c.metrics?.step_pearson,
        greater_is_better: true,
    },
    Metric {
        name: "Spearman, steps",
        of: |c| c.metrics?.step_spearman,
        greater_is_better: true,
    },
    Metric {
        name: "ranking accuracy",
        of: |c| c.metrics?.ranking_accuracy,
        greater_is_better: true,
    },
    Metric {
        name: "EPIC distance",
        of: |c| c.metrics?.epic,
        greater_is_better: false,
    },
    Metric {
        name: "DARD distance",
        of: |c| c.metrics?.dard,
        greater_is_better: false,
    },
    Metric {
        name: "δ, distance from 0",
        of: |c| Some(c.fresh.as_ref()?.delta.abs()),
        greater_is_better: false,
    },
    Metric {
        name: "learned policy’s score",
        of: |c| Some(c.normalized_score),
        greater_is_better: true,
    },
];

/// How well a metric predicts the score of fresh policies.
pub struct Trust {
    /// Name of the metric.
    pub metric: &'static str,
    /// Spearman's rank correlation with the score, negated where smaller is better; 1 is a perfect predictor.
    /// The bootstrap resamples within environments.
    pub correlation: Option<Estimate>,
    /// (metric, score) of every cell.
    pub points: Vec<TrustPoint>,
}

/// A cell of the benchmark.
pub struct TrustPoint {
    /// Its algorithm.
    pub algo: String,
    /// Value of the metric.
    pub metric: f64,
    /// Normalised score of the kept fresh policy.
    pub score: f64,
}

/// All metrics.
pub struct Trusts(pub Vec<Trust>);

/// Evaluates all metrics over the cells in which fresh policies were trained.
pub fn trust(results: &[CellResult]) -> Trusts {
    let all = METRICS.iter().map(|metric| of_metric(metric, results));
    Trusts(all.collect())
}

fn of_metric(metric: &Metric, results: &[CellResult]) -> Trust {
    let mut envs: Vec<&str> = Vec::new();
    let mut groups: Vec<Vec<[f64; 2]>> = Vec::new();
    let mut points = Vec::new();
    for cell in results {
        let Some((value, fresh)) = (metric.of)(cell).zip(cell.fresh.as_ref()) else {
            continue;
        };
        let score = fresh.normalized_score;
        let place = envs.iter().position(|e| *e == cell.env).unwrap_or_else(|| {
            envs.push(&cell.env);
            groups.push(Vec::new());
            envs.len() - 1
        });
        let sign = if metric.greater_is_better { 1.0 } else { -1.0 };
        groups[place].push([sign * value, score]);
        points.push(TrustPoint {
            algo: cell.algo.clone(),
            metric: value,
            score,
        });
    }
    let correlation = bootstrap_pairs(&groups, 0, |pairs| {
        let [metric, score] = sides(pairs);
        spearman(&metric, &score)
    });
    Trust {
        metric: metric.name,
        correlation,
        points,
    }
}

impl Trusts {
    /// The section of the table: best predictor first.
    pub fn markdown(&self) -> String {
        let mut all: Vec<&Trust> = self.0.iter().collect();
        let cells = all.iter().map(|t| t.points.len()).max().unwrap_or(0);
        if cells < 3 {
            return String::new();
        }
        let figure = |t: &&Trust| t.correlation.map_or(f64::NEG_INFINITY, |c| c.mean);
        all.sort_by(|a, b| figure(b).total_cmp(&figure(a)));
        let mut text = format!(
            "\n## Which metric of a cost is predictive?\n\nSpearman’s rank correlation of each metric with the score of fresh \
         policies trained on the frozen cost, over {cells} cells of this table (signs chosen so that 1 is a perfect \
         predictor) [95 % interval; resampled within environments].\n\n| metric | correlation | cells |\n| --- | ---: | ---: |\n"
        );
        for t in all {
            let figure = t.correlation;
            let figure = figure.map_or("–".into(), |c| with_interval(c.mean, c.ci95, 2));
            text += &format!("| {} | {figure} | {} |\n", t.metric, t.points.len());
        }
        text + "\n![Fresh policies’ scores against each metric](trust.svg)\n"
    }

    /// Fresh policies' scores against each metric of their costs, as SVG; `None` with too few cells.
    pub fn picture(&self) -> Option<String> {
        let mut groups: Vec<String> = Vec::new();
        for point in self.0.iter().flat_map(|t| &t.points) {
            if !groups.contains(&point.algo) {
                groups.push(point.algo.clone());
            }
        }
        let multiple = |t: &Trust| Multiple {
            title: t.metric.into(),
            points: t
                .points
                .iter()
                .map(|p| {
                    let group = groups.iter().position(|g| *g == p.algo).unwrap_or(0);
                    (group, p.metric, p.score)
                })
                .collect(),
        };
        let multiples: Vec<Multiple> = self.0.iter().map(multiple).collect();
        let enough = multiples.iter().any(|m| m.points.len() >= 3);
        let title = "Score of a fresh policy on the frozen cost";
        enough.then(|| trust_svg(title, &groups, &multiples))
    }
}
