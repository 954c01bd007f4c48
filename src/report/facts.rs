//! Typed facts from a run's JSON. Whatever is absent, null or of another type is `None`.

use serde_json::Value;

use super::axis::drawable;
use super::row::{Distance, Estimate, Kind, Row, estimate};
use super::{Motion, RunReport};

/// A trajectory's learned and true cost.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CostPoint {
    pub(super) group: String,
    pub(super) learned: f64,
    pub(super) truth: f64,
}

/// A run, as the rest of the report sees it.
#[derive(Debug, Clone)]
pub(super) struct Facts<'a> {
    pub(super) run: &'a RunReport,
    pub(super) env: Option<String>,
    /// Name as on the command line.
    pub(super) algo: Option<String>,
    pub(super) seed: Option<u64>,
    pub(super) returns: Option<Estimate>,
    pub(super) score: Option<Estimate>,
    pub(super) expert_return: Option<f64>,
    pub(super) random_return: Option<f64>,
    pub(super) rows: Vec<Row>,
    pub(super) cost_points: Vec<CostPoint>,
}

impl<'a> Facts<'a> {
    /// Reads what is there.
    pub(super) fn of(run: &'a RunReport) -> Self {
        let evaluation = run.evaluation.as_ref().unwrap_or(&Value::Null);
        let config = &run.config;
        let algo = string(config, "/algo/name").or_else(|| string(evaluation, "/algo"));
        let expert_return = number(evaluation, "/expert_return")
            .or_else(|| number(config, "/demonstrations/expert_return"));
        let mut facts = Self {
            run,
            env: string(config, "/env/name").or_else(|| string(evaluation, "/env")),
            seed: config.get("seed").and_then(Value::as_u64),
            returns: estimate(evaluation.get("return"), None),
            score: estimate(
                evaluation.get("normalized_score"),
                evaluation.get("normalized_score_ci95"),
            ),
            expert_return,
            random_return: number(evaluation, "/random_return"),
            rows: Vec::new(),
            cost_points: array(evaluation, "cost_scatter")
                .filter_map(cost_point)
                .collect(),
            algo,
        };
        facts.rows = facts.read_rows(evaluation);
        facts
    }

    fn read_rows(&self, evaluation: &Value) -> Vec<Row> {
        let mut rows: Vec<Row> = array(evaluation, "rows")
            .filter_map(|row| {
                let policy = string(row, "/policy")?;
                Some(Row {
                    kind: self.kind(&policy),
                    returns: estimate(row.get("return"), row.get("ci95")),
                    score: estimate(
                        row.get("normalized_score"),
                        row.get("normalized_score_ci95"),
                    ),
                    success: estimate(row.get("success_rate"), row.get("success_rate_ci95"))
                        .filter(|e| (0.0..=1.0).contains(&e.mean)),
                    distance: row.get("occupancy").and_then(Distance::read),
                    episodes: number(row, "/episodes"),
                    policy,
                })
            })
            .collect();
        let known = |v: Option<f64>| v.map(|mean| Estimate { mean, ci95: None });
        let fallback = [
            (Kind::Learned, "learned", self.returns, self.score),
            (
                Kind::Expert,
                "expert",
                known(self.expert_return),
                known(Some(1.0)),
            ),
            (
                Kind::Random,
                "random",
                known(self.random_return),
                known(Some(0.0)),
            ),
        ];
        for (kind, policy, returns, score) in fallback {
            if run_evaluated(evaluation)
                && returns.is_some()
                && !rows.iter().any(|r| r.kind == kind)
            {
                let episodes = number(evaluation, "/episodes").filter(|_| kind == Kind::Learned);
                rows.push(Row {
                    kind,
                    policy: policy.into(),
                    returns,
                    score,
                    success: None,
                    distance: None,
                    episodes,
                });
            }
        }
        rows.sort_by_key(|row| row.kind);
        rows
    }

    /// What a policy of this name is to this run.
    pub(super) fn kind(&self, policy: &str) -> Kind {
        match policy {
            "expert" => Kind::Expert,
            "random" => Kind::Random,
            "learned" | "policy" => Kind::Learned,
            name if Some(name) == self.algo.as_deref() => Kind::Learned,
            _ => Kind::Baseline,
        }
    }

    /// A number of `evaluation.json`.
    pub(super) fn evaluated(&self, name: &str) -> Option<f64> {
        let evaluation = self.run.evaluation.as_ref()?;
        let kept = |field: &str| {
            let frozen = evaluation.get("frozen")?;
            let kept = frozen.get("kept")?.as_u64()? as usize;
            frozen.get("policies")?.get(kept)?.get(field)
        };
        let value = match name {
            "frozen_score" => kept("normalized_score"),
            "frozen_delta" => kept("delta"),
            _ => evaluation.get(name),
        };
        value?.as_f64().filter(|v| drawable(*v))
    }

    /// A figure of `evaluation.json` with its interval, if that is known.
    pub(super) fn estimated(&self, name: &str) -> Option<Estimate> {
        let mean = self.evaluated(name)?;
        let evaluation = self.run.evaluation.as_ref()?;
        let interval = evaluation.get(format!("{name}_ci95"));
        estimate(Some(&Value::from(mean)), interval)
    }

    /// `evaluation.json`; null for a run that has none.
    pub(super) fn evaluation(&self) -> &'a Value {
        self.run.evaluation.as_ref().unwrap_or(&Value::Null)
    }

    /// The algorithm as the field writes it.
    pub(super) fn algo_title(&self) -> String {
        self.algo
            .as_deref()
            .map_or_else(|| "unknown algorithm".into(), algo_title)
    }

    /// Where the demonstrations came from.
    pub(super) fn demonstrations(&self) -> &'a Value {
        self.run
            .config
            .get("demonstrations")
            .unwrap_or(&Value::Null)
    }

    /// Demonstrated episodes.
    pub(super) fn demonstrated_episodes(&self) -> Option<f64> {
        number(self.demonstrations(), "/episodes")
    }

    /// The last value of a quantity in the metrics.
    pub(super) fn last(&self, name: &str) -> Option<f64> {
        self.curve(name).last().map(|p| p[1])
    }

    /// A quantity by iteration: drawable values where it was recorded, NaN where it has a gap.
    pub(super) fn curve(&self, name: &str) -> Vec<[f64; 2]> {
        let points = self.run.metrics.iter().enumerate().map(|(i, line)| {
            let finite = |key: &str| {
                line.get(key)
                    .and_then(Value::as_f64)
                    .filter(|v| drawable(*v))
            };
            [
                finite("iteration").unwrap_or(i as f64),
                finite(name).unwrap_or(f64::NAN),
            ]
        });
        let mut points: Vec<[f64; 2]> = points.collect();
        let recorded = |p: &[f64; 2]| p[1].is_finite();
        points.truncate(points.iter().rposition(recorded).map_or(0, |i| i + 1));
        points.drain(..points.iter().position(recorded).unwrap_or(0));
        points
    }

    /// Names of the recorded quantities, in the order of their first appearance.
    pub(super) fn quantities(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in self.run.metrics.iter().flatten() {
            if value.as_f64().is_some() && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Motions with at least one picture.
    pub(super) fn motions(&self) -> impl Iterator<Item = &'a Motion> {
        self.run.motions.iter().filter(|m| !m.scenes.is_empty())
    }
}

/// An algorithm's name as the field writes it.
pub(super) fn algo_title(name: &str) -> String {
    match name {
        "bc" => "behaviour cloning".into(),
        "gan-gcl" | "gcl" | "gcl-lqg" | "gail" | "airl" => name.to_uppercase(),
        other => other.into(),
    }
}

fn run_evaluated(evaluation: &Value) -> bool {
    evaluation.is_object()
}

/// The items of a list; none where it is no list.
pub(super) fn array<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn cost_point(value: &Value) -> Option<CostPoint> {
    Some(CostPoint {
        group: string(value, "/group").unwrap_or_else(|| "trajectories".into()),
        learned: number(value, "/learned")?,
        truth: number(value, "/true")?,
    })
}

/// The text at a place.
pub(super) fn string(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

/// The drawable number at a place.
pub(super) fn number(value: &Value, pointer: &str) -> Option<f64> {
    value.pointer(pointer)?.as_f64().filter(|v| drawable(*v))
}
