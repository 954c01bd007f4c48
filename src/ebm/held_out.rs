//! A model on held-out rows: log-likelihood, and KL divergence from a known density.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NORMAL_95;
use super::fit::Fit;
use super::known::Known;
use super::model::Model;
use super::table::Table;

/// A mean over rows with its 95 % interval, nats. The interval is unbounded with a single group, whose
/// spread is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogLikelihood {
    /// The mean.
    pub log_likelihood: f64,
    /// Its interval.
    pub ci95: [f64; 2],
}

/// A model compared with the density its rows were drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainstTruth {
    /// Name of the density.
    pub name: String,
    /// Its entropy, nats.
    pub entropy: f64,
    /// Its standard error; 0 for a closed form.
    pub entropy_standard_error: f64,
    /// Mean true log-density of the held-out rows.
    pub true_log_likelihood: f64,
    /// KL divergence of the model from the truth: mean of log p − log p_θ over the held-out rows.
    pub kl: f64,
    /// Its interval, with the uncertainty of log Z.
    pub kl_ci95: [f64; 2],
    /// The generator's own.
    pub generator_kl: Option<f64>,
}

impl LogLikelihood {
    /// From each row's log-density and group ([`Table::groups_of`]); `also` is the variance of an error common to all
    /// rows.
    pub fn of(values: &[f64], groups: &[usize], also: f64) -> Self {
        let (mean, ci95) = mean_with_interval(values, groups, also);
        Self {
            log_likelihood: mean,
            ci95,
        }
    }

    /// Of a model on some rows of a table, with the uncertainty of its log Z.
    pub fn of_model(model: &Model, table: &Table, rows: &[usize]) -> Self {
        Self::of(
            &model.score(table, rows).log_densities,
            &table.groups_of(rows),
            model.log_z.standard_error.powi(2),
        )
    }
}

impl AgainstTruth {
    /// A fit to rows of `known`.
    pub fn of(fit: &Fit, known: &Known, table: &Table) -> Self {
        let rows = &fit.split.held_out;
        let groups = table.groups_of(rows);
        let truth: Vec<f64> = rows
            .iter()
            .map(|&i| known.log_density(table.row(i)))
            .collect();
        let below = |values: &[f64]| -> Vec<f64> {
            let pairs = truth.iter().zip(values);
            pairs.map(|(truth, own)| truth - own).collect()
        };
        let own = fit.model.score(table, rows).log_densities;
        let (kl, kl_ci95) =
            mean_with_interval(&below(&own), &groups, fit.log_z.standard_error.powi(2));
        let generator = fit.model.generator_log_densities(table, rows);
        let entropy = known.entropy();
        Self {
            name: known.name().into(),
            entropy: entropy.nats,
            entropy_standard_error: entropy.standard_error,
            true_log_likelihood: truth.iter().sum::<f64>() / truth.len() as f64,
            kl,
            kl_ci95,
            generator_kl: generator.map(|g| mean_with_interval(&below(&g), &groups, 0.0).0),
        }
    }
}

/// The mean of values and its 95 % interval, where values within a group may be correlated: the variance of the mean is
/// G/(G − 1) Σ_g (Σ_{i ∈ g} (v_i − mean))² / n² (the sandwich of Liang and Zeger 1986, with its correction for few groups), which
/// is Var(v)/n if every value is its own group. `also` is added to it.
fn mean_with_interval(values: &[f64], groups: &[usize], also: f64) -> (f64, [f64; 2]) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    // In order of the groups, so that the sum is bitwise reproducible.
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for (v, group) in values.iter().zip(groups) {
        *sums.entry(*group).or_default() += v - mean;
    }
    let count = sums.len() as f64;
    let squares: f64 = sums.values().map(|s| s * s).sum();
    let variance = match sums.len() {
        0 | 1 => f64::INFINITY,
        _ => count / (count - 1.0) * squares / (n * n),
    };
    let half = NORMAL_95 * (variance + also).sqrt();
    (mean, [mean - half, mean + half])
}

#[cfg(test)]
mod tests {
    use costate_envs::rng::stream;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    #[test]
    fn intervals_are_those_by_hand() {
        let values = [1.0, 2.0, 3.0, 6.0];
        let half = |groups: &[usize], also: f64| {
            let (mean, [_, high]) = mean_with_interval(&values, groups, also);
            assert_eq!(mean, 3.0);
            high - mean
        };
        // Var(v) = 14/3.
        assert!((half(&[0, 1, 2, 3], 0.0) - 1.96 * (14.0_f64 / 12.0).sqrt()).abs() < 1e-12);
        // Sums of −3 and 3: 2 · 18 / 16.
        assert!((half(&[5, 5, 9, 9], 0.0) - 1.96 * 2.25_f64.sqrt()).abs() < 1e-12);
        assert!((half(&[5, 9, 9, 5], 0.75) - 1.96 * (0.25 + 0.75_f64).sqrt()).abs() < 1e-12);
        assert_eq!(half(&[4; 4], 0.0), f64::INFINITY);
    }

    #[test]
    fn intervals_over_episodes_cover_the_truth() {
        // 40 episodes of 25 steps that share most of their deviation; the true mean is 0.
        let groups: Vec<usize> = (0..1000).map(|i| i / 25).collect();
        let mut covered = [0, 0];
        for k in 0..400 {
            let mut rng = stream(1, "judged", k);
            let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
            let own: Vec<f64> = (0..40).map(|_| normal()).collect();
            let values: Vec<f64> = groups.iter().map(|&g| own[g] + 0.5 * normal()).collect();
            let single: Vec<usize> = (0..1000).collect();
            for (count, groups) in covered.iter_mut().zip([&groups, &single]) {
                let (_, [low, high]) = mean_with_interval(&values, groups, 0.0);
                *count += usize::from(low <= 0.0 && 0.0 <= high);
            }
        }
        // Of 400: 95 % up to chance, and far fewer if steps count as independent.
        assert!(
            (360..=395).contains(&covered[0]) && covered[1] < 200,
            "{covered:?}"
        );
    }
}
