//! What the metrics of a run say over time.

use serde_json::{Map, Value};

/// The lines of `metrics.jsonl`, oldest first.
pub(super) struct Course<'a>(pub(super) &'a [Map<String, Value>]);

impl Course<'_> {
    pub(super) fn values(&self, name: &str) -> Vec<f64> {
        let value = |line: &Map<String, Value>| line.get(name).and_then(Value::as_f64);
        self.0.iter().filter_map(value).collect()
    }

    /// Median over the given share of the iterations, counted from the start or, if negative, from the
    /// end; `None` where the quantity is not logged.
    pub(super) fn median(&self, name: &str, share: f64) -> Option<f64> {
        let all = self.values(name);
        let count = ((all.len() as f64 * share.abs()).ceil() as usize).min(all.len());
        let mut part = match share < 0.0 {
            true => all[all.len() - count..].to_vec(),
            false => all[..count].to_vec(),
        };
        part.sort_by(f64::total_cmp);
        part.get(part.len() / 2).copied()
    }

    /// The first of `names` that was logged without being a number, with its iteration: JSON has no NaN and no infinity.
    pub(super) fn not_finite<'n>(&self, names: &[&'n str]) -> Option<(&'n str, usize)> {
        self.0.iter().enumerate().find_map(|(k, line)| {
            let lost = names.iter().find(|n| line.get(**n) == Some(&Value::Null));
            lost.map(|name| (*name, k))
        })
    }
}
