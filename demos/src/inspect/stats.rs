//! Distributions of a dataset's numbers: the contents of `costate demos stats`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use costate_envs::Space;
use serde::Serialize;

use crate::dataset::{DatasetError, DatasetReader};

/// How some values are distributed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distribution {
    /// Minimum.
    pub min: f64,
    /// Maximum.
    pub max: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation of these values themselves, divided by their number.
    pub std: f64,
    /// Quantiles, interpolated linearly: the values below which 1 %, 10 %, 50 %, 90 % and 99 % lie.
    pub q01: f64,
    /// 10 %.
    pub q10: f64,
    /// 50 %, the median.
    pub q50: f64,
    /// 90 %.
    pub q90: f64,
    /// 99 %.
    pub q99: f64,
}

impl Distribution {
    /// Of at least one value, which become sorted.
    pub(crate) fn of(values: &mut [f64]) -> Self {
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let n = values.len() as f64;
        // A sum may be rounded to beyond equal values.
        let mean = (values.iter().sum::<f64>() / n).clamp(values[0], values[last]);
        let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
        let quantile = |q: f64| {
            let at = q * last as f64;
            let (low, part) = (at.floor() as usize, at.fract());
            let (a, b) = (values[low], values[last.min(low + 1)]);
            a + part * (b - a)
        };
        Self {
            min: values[0],
            max: values[last],
            mean,
            std: (squares / n).sqrt(),
            q01: quantile(0.01),
            q10: quantile(0.1),
            q50: quantile(0.5),
            q90: quantile(0.9),
            q99: quantile(0.99),
        }
    }
}

/// Values of one channel over all rows of a dataset.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelStats {
    /// Its name in the spec.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// How its values are distributed.
    #[serde(flatten)]
    pub values: Distribution,
}

/// A dataset in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// The folder.
    pub path: PathBuf,
    /// Environment.
    pub env: String,
    /// Number of episodes.
    pub episodes: usize,
    /// Total steps.
    pub total_steps: usize,
    /// Steps of an episode.
    pub lengths: Distribution,
    /// Returns of the episodes, where they are known.
    pub returns: Option<Distribution>,
    /// Share of episodes that solved the task, if it defines success.
    pub success_rate: Option<f64>,
    /// Number of episodes with each tag.
    pub tags: BTreeMap<String, usize>,
    /// Observations by channel, final states included.
    pub observations: Vec<ChannelStats>,
    /// Commanded actions by channel; none where they are not known.
    pub actions: Vec<ChannelStats>,
}

/// Computes the distributions of a dataset's numbers; every channel is held in memory.
pub fn stats(dataset: &DatasetReader) -> Result<Stats, DatasetError> {
    let meta = dataset.meta();
    let spec = &meta.spec;
    let mut observations = vec![Vec::new(); spec.observation.dim()];
    let mut actions = vec![Vec::new(); spec.action.dim()];
    for episode in dataset.episodes() {
        let trajectory = episode?.trajectory;
        by_channel(&mut observations, trajectory.observations());
        by_channel(&mut actions, trajectory.actions());
    }
    let mut tags = BTreeMap::new();
    for tag in meta.episodes.iter().flat_map(|e| &e.tags) {
        *tags.entry(tag.clone()).or_default() += 1;
    }
    let mut lengths: Vec<f64> = meta.episodes.iter().map(|e| e.total_steps as f64).collect();
    let mut returns: Vec<f64> = meta.episodes.iter().map(|e| e.true_return).collect();
    Ok(Stats {
        path: dataset.path().to_owned(),
        env: meta.env.name.clone(),
        episodes: meta.episodes.len(),
        total_steps: meta.total_steps,
        lengths: Distribution::of(&mut lengths),
        returns: meta.returns_known().then(|| Distribution::of(&mut returns)),
        success_rate: meta.success_rate(),
        tags,
        observations: channels(&spec.observation, observations),
        actions: match meta.actions_known() {
            true => channels(&spec.action, actions),
            false => Vec::new(),
        },
    })
}

/// Adds rows, row-major, to the values by channel.
fn by_channel(channels: &mut [Vec<f64>], rows: &[f32]) {
    for row in rows.chunks_exact(channels.len()) {
        for (channel, value) in channels.iter_mut().zip(row) {
            channel.push(f64::from(*value));
        }
    }
}

fn channels(space: &Space, values: Vec<Vec<f64>>) -> Vec<ChannelStats> {
    let of = |(channel, mut values): (&costate_envs::Channel, Vec<f64>)| ChannelStats {
        name: channel.name.clone(),
        unit: channel.unit.clone(),
        values: Distribution::of(&mut values),
    };
    space.0.iter().zip(values).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([4, 1, 3, 2, 10], [.01, .1, .5, .9, .99]), .mean(), .std()
        let d = Distribution::of(&mut [4.0, 1.0, 3.0, 2.0, 10.0]);
        let found = [
            d.q01, d.q10, d.q50, d.q90, d.q99, d.mean, d.std, d.min, d.max,
        ];
        let expected = [1.04, 1.4, 3.0, 7.6, 9.76, 4.0, 10.0_f64.sqrt(), 1.0, 10.0];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let one = Distribution::of(&mut [0.1; 3]);
        assert_eq!((one.min, one.mean, one.max, one.std), (0.1, 0.1, 0.1, 0.0));
    }
}
