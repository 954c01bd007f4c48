//! The metrics of a run over time.

use serde_json::{Map, Value};

use crate::metric::Metric;

/// The lines of `metrics.jsonl`, oldest first.
pub(super) struct Course<'a>(pub(super) &'a [Map<String, Value>]);

impl Course<'_> {
    pub(super) fn values(&self, metric: Metric) -> Vec<f64> {
        let value = |line: &Map<String, Value>| line.get(metric.key()).and_then(Value::as_f64);
        self.0.iter().filter_map(value).collect()
    }

    /// Median over the given share of the iterations, counted from the start or, if negative, from the
    /// end; `None` where the quantity is not logged.
    pub(super) fn median(&self, metric: Metric, share: f64) -> Option<f64> {
        let all = self.values(metric);
        let count = ((all.len() as f64 * share.abs()).ceil() as usize).min(all.len());
        let mut part = match share < 0.0 {
            true => all[all.len() - count..].to_vec(),
            false => all[..count].to_vec(),
        };
        part.sort_by(f64::total_cmp);
        part.get(part.len() / 2).copied()
    }

    /// Environment steps of an iteration, mean over the last `share` of them; `None` of a single iteration.
    pub(super) fn late_env_steps(&self, share: f64) -> Option<f64> {
        let steps = |line: &Map<String, Value>| line.get("env_steps")?.as_f64();
        let all: Vec<f64> = self.0.iter().filter_map(steps).collect();
        let count = (all.len() as f64 * share).ceil() as usize;
        let from = all.get(all.len().checked_sub(count + 1)?)?;
        Some((all.last()? - from) / count as f64)
    }

    /// The first of `metrics` logged as a non-number, with its iteration: JSON has neither NaN nor infinity.
    pub(super) fn not_finite(&self, metrics: &[Metric]) -> Option<(Metric, usize)> {
        self.0.iter().enumerate().find_map(|(k, line)| {
            let lost = metrics
                .iter()
                .find(|m| line.get(m.key()) == Some(&Value::Null));
            lost.map(|metric| (*metric, k))
        })
    }
}
