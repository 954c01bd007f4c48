//! Results of fits and scores.

use std::path::PathBuf;

use serde::Serialize;

use super::fit::{Fit, Request};
use super::generator::GeneratorKind;
use super::held_out::{AgainstTruth, LogLikelihood};
use super::known::Known;
use super::settings::{Method, Settings};

/// Version of `ebm.json`.
pub const FORMAT: u32 = 1;

/// The landscape's columns and reliability.
#[derive(Debug, Clone, Serialize)]
pub struct LandscapeReport {
    /// The two columns.
    pub columns: [String; 2],
    /// Median effective share of the draws that integrate out the other columns.
    pub ess_share: f64,
}

/// The generator's results on the same rows.
#[derive(Debug, Clone, Serialize)]
pub struct GeneratorReport {
    /// Its family.
    pub kind: GeneratorKind,
    /// Components of the mixture, or of the flow's latent density.
    pub components: Option<usize>,
    /// Of the held-out rows.
    #[serde(flatten)]
    pub held_out: LogLikelihood,
    /// log Z by importance sampling from it.
    pub log_z: f64,
    /// Its 95 % interval.
    pub log_z_ci95: [f64; 2],
    /// Effective sample size of the draws.
    pub ess: f64,
    /// Number of draws for log Z.
    pub draws: usize,
}

/// Results of a fit: `ebm.json`.
#[derive(Debug, Clone, Serialize)]
pub struct FitReport {
    /// Version of the file.
    pub format: u32,
    /// Source of the rows.
    pub source: String,
    /// Source of the negatives.
    pub method: Method,
    /// Total rows.
    pub rows: usize,
    /// Training rows.
    pub training_rows: usize,
    /// Validation rows.
    pub validation_rows: usize,
    /// Held-out rows.
    pub held_out_rows: usize,
    /// For a dataset: the number of held-out episodes. With only one, intervals over them are unbounded: null.
    pub held_out_episodes: Option<usize>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Log-likelihood of the held-out rows under the energy-based model, nats per row in the data's units.
    pub log_likelihood: f64,
    /// Its 95 % interval.
    pub log_likelihood_ci95: [f64; 2],
    /// Log of the partition function, nats.
    pub log_z: f64,
    /// Its 95 % interval.
    pub log_z_ci95: [f64; 2],
    /// Effective sample size of log Z, in chains.
    pub ess: f64,
    /// Annealed chains.
    pub chains: usize,
    /// Share of accepted transitions.
    pub acceptance: f64,
    /// Whether the effective sample size is sufficient.
    pub log_z_sound: bool,
    /// The generator, if there is one.
    pub generator: Option<GeneratorReport>,
    /// The true density, if known.
    pub known: Option<AgainstTruth>,
    /// The landscape, if it was drawn.
    pub landscape: Option<LandscapeReport>,
    /// Round of the kept model; 0 is the base, or what the transport made of it.
    pub kept_round: usize,
    /// Whether the last check was the best.
    pub still_rising: bool,
    /// Seed of every random stream.
    pub seed: u64,
    /// Total seconds.
    pub seconds: f64,
    /// Every setting.
    pub settings: Settings,
}

impl FitReport {
    /// From a fit; `seconds` covers fitting and sampling.
    pub fn of(
        request: &Request,
        fit: &Fit,
        known: Option<&Known>,
        landscape: Option<LandscapeReport>,
        seconds: f64,
    ) -> Self {
        let Fit {
            model,
            split,
            log_z,
            ..
        } = fit;
        let table = request.table;
        let own = LogLikelihood::of_model(model, table, &split.held_out);
        let generator_values = model.generator_log_densities(table, &split.held_out);
        let generator = generator_values
            .zip(fit.importance.as_ref())
            .map(|(values, z)| GeneratorReport {
                kind: request.generator,
                components: model.components(),
                held_out: LogLikelihood::of(&values, &table.groups_of(&split.held_out), 0.0),
                log_z: z.log_z,
                log_z_ci95: z.ci95,
                ess: z.ess,
                draws: z.chains,
            });
        let known = known.map(|known| AgainstTruth::of(fit, known, table));
        Self {
            format: FORMAT,
            source: request.source.into(),
            method: request.method,
            rows: table.len(),
            training_rows: split.training.len(),
            validation_rows: split.validation.len(),
            held_out_rows: split.held_out.len(),
            held_out_episodes: table.count_groups(&split.held_out),
            columns: model.columns.clone(),
            log_likelihood: own.log_likelihood,
            log_likelihood_ci95: own.ci95,
            log_z: log_z.log_z,
            log_z_ci95: log_z.ci95,
            ess: log_z.ess,
            chains: log_z.chains,
            acceptance: log_z.acceptance,
            log_z_sound: log_z.is_sound(),
            generator,
            known,
            landscape,
            kept_round: fit.kept_round,
            still_rising: fit.still_rising,
            seed: request.seed,
            seconds,
            settings: request.settings.clone(),
        }
    }
}

/// A model's scores of other rows.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreReport {
    /// Version of this report.
    pub format: u32,
    /// Source of the rows.
    pub source: String,
    /// The model's folder.
    pub model: PathBuf,
    /// Rows scored.
    pub rows: usize,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Mean, nats per row in the data's units.
    pub log_likelihood: f64,
    /// Its 95 % interval.
    pub log_likelihood_ci95: [f64; 2],
    /// The model's log Z.
    pub log_z: f64,
    /// The file of all scores.
    pub scores: PathBuf,
}
