//! What held-out rows say of a model.

use serde::{Deserialize, Serialize};

use super::NORMAL_95;
use super::fit::Fit;
use super::known::Known;
use super::model::Model;
use super::table::Table;

/// A mean over rows with its 95 % interval, nats.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogLikelihood {
    /// The mean.
    pub log_likelihood: f64,
    /// Its interval.
    pub ci95: [f64; 2],
}

/// A model beside the density that its rows were drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgainstTruth {
    /// Name of the density.
    pub name: String,
    /// Its entropy, nats.
    pub entropy: f64,
    /// Standard error of that; 0 where it has a closed form.
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
    /// Of each row's log-density; `also` is the variance of an error that all rows share.
    pub fn of(values: &[f64], also: f64) -> Self {
        let (mean, ci95) = mean_with_interval(values, also);
        Self {
            log_likelihood: mean,
            ci95,
        }
    }

    /// Of a model on some rows of a table, with the uncertainty of its log Z.
    pub fn of_model(model: &Model, table: &Table, rows: &[usize]) -> Self {
        Self::of(
            &model.score(table, rows).log_densities,
            model.log_z.standard_error.powi(2),
        )
    }
}

impl AgainstTruth {
    /// A fit to rows of `known`.
    pub fn of(fit: &Fit, known: &Known, table: &Table) -> Self {
        let rows = &fit.split.held_out;
        let truth: Vec<f64> = rows
            .iter()
            .map(|&i| known.log_density(table.row(i)))
            .collect();
        let below = |values: &[f64]| -> Vec<f64> {
            let pairs = truth.iter().zip(values);
            pairs.map(|(truth, own)| truth - own).collect()
        };
        let own = fit.model.score(table, rows).log_densities;
        let (kl, kl_ci95) = mean_with_interval(&below(&own), fit.log_z.standard_error.powi(2));
        let generator = fit.model.generator_log_densities(table, rows);
        let entropy = known.entropy();
        Self {
            name: known.name().into(),
            entropy: entropy.nats,
            entropy_standard_error: entropy.standard_error,
            true_log_likelihood: truth.iter().sum::<f64>() / truth.len() as f64,
            kl,
            kl_ci95,
            generator_kl: generator.map(|g| mean_with_interval(&below(&g), 0.0).0),
        }
    }
}

fn mean_with_interval(values: &[f64], also: f64) -> (f64, [f64; 2]) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    let half = NORMAL_95 * (variance / n + also).sqrt();
    (mean, [mean - half, mean + half])
}
