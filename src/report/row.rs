//! What an evaluation says about one policy.

use serde_json::Value;

use super::axis::drawable;
use super::facts::number;

/// A mean with its 95 % interval, if known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) ci95: Option<[f64; 2]>,
}

/// What a row of the evaluation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The policy that this run learned.
    Learned,
    /// Another learned policy, e.g. behaviour cloning.
    Baseline,
    /// The expert: normalised score 1.
    Expert,
    /// Random actions: normalised score 0.
    Random,
}

/// One policy's evaluation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) policy: String,
    pub(super) returns: Option<Estimate>,
    pub(super) score: Option<Estimate>,
    /// Share of episodes that solved the task.
    pub(super) success: Option<Estimate>,
    pub(super) distance: Option<Distance>,
    pub(super) episodes: Option<f64>,
}

/// How far the visited states and actions are from the demonstrations'.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Distance {
    /// Sliced Wasserstein distance, standard deviations of the demonstrations.
    pub(super) sliced_wasserstein: f64,
    /// The same between the demonstrations' two halves.
    pub(super) within_reference: Option<f64>,
    /// Of the permutation test.
    pub(super) p_value: Option<f64>,
}

impl Distance {
    /// Reads what is there.
    pub(super) fn read(value: &Value) -> Option<Self> {
        Some(Self {
            sliced_wasserstein: number(value, "/sliced_wasserstein")?,
            within_reference: number(value, "/within_reference"),
            p_value: number(value, "/p_value").filter(|p| (0.0..=1.0).contains(p)),
        })
    }
}

/// `{mean, ci95}`, or a bare number with its interval elsewhere.
pub(super) fn estimate(value: Option<&Value>, ci95: Option<&Value>) -> Option<Estimate> {
    let value = value?;
    let mean = value
        .as_f64()
        .or_else(|| number(value, "/mean"))
        .filter(|v| drawable(*v))?;
    let bound = |i: usize| {
        ci95.or(value.get("ci95"))?
            .get(i)?
            .as_f64()
            .filter(|v| drawable(*v))
    };
    let ci95 = bound(0)
        .zip(bound(1))
        .map(|(low, high)| [low.min(high), low.max(high)]);
    Some(Estimate { mean, ci95 })
}
