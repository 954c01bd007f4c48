//! Fits and scores in figures.

use std::path::PathBuf;

use serde::Serialize;

use super::fit::{Fit, Request};
use super::generator::GeneratorKind;
use super::held_out::{AgainstTruth, LogLikelihood};
use super::known::Known;
use super::settings::{Method, Settings};

/// Version of `ebm.json`.
pub const FORMAT: u32 = 1;

/// What the landscape shows, and what it is worth.
#[derive(Debug, Clone, Serialize)]
pub struct LandscapeReport {
    /// The two columns.
    pub columns: [String; 2],
    /// Median effective share of the draws that the other columns were integrated out with.
    pub ess_share: f64,
}

/// What the generator says of the same rows.
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
    /// Effective number of those draws.
    pub ess: f64,
    /// Draws behind log Z.
    pub draws: usize,
}

/// What a fit came to: `ebm.json`.
#[derive(Debug, Clone, Serialize)]
pub struct FitReport {
    /// Version of the file.
    pub format: u32,
    /// Where the rows are from.
    pub source: String,
    /// Where negatives came from.
    pub method: Method,
    /// Rows in all.
    pub rows: usize,
    /// Rows learned from.
    pub training_rows: usize,
    /// Rows that chose among rounds.
    pub validation_rows: usize,
    /// Rows that judge.
    pub held_out_rows: usize,
    /// Of a dataset: the episodes that the held-out rows are of. With one only, intervals over them are unbounded: null.
    pub held_out_episodes: Option<usize>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Of the energy-based model on the held-out rows, nats a row in the data's units.
    pub log_likelihood: f64,
    /// Its 95 % interval.
    pub log_likelihood_ci95: [f64; 2],
    /// Log of the partition function, nats.
    pub log_z: f64,
    /// Its 95 % interval.
    pub log_z_ci95: [f64; 2],
    /// Effective number of chains behind log Z, of so many.
    pub ess: f64,
    /// Annealed chains.
    pub chains: usize,
    /// Share of accepted transitions.
    pub acceptance: f64,
    /// Whether enough chains carry log Z.
    pub log_z_sound: bool,
    /// The generator beside it, where there is one.
    pub generator: Option<GeneratorReport>,
    /// The true density beside it, where it is known.
    pub known: Option<AgainstTruth>,
    /// What the landscape shows, if it was drawn.
    pub landscape: Option<LandscapeReport>,
    /// Round whose model was kept; 0 is the base.
    pub kept_round: usize,
    /// Whether the last check was the best.
    pub still_rising: bool,
    /// Seed of every random stream.
    pub seed: u64,
    /// Seconds in all.
    pub seconds: f64,
    /// Every setting.
    pub settings: Settings,
}

impl FitReport {
    /// Of a fit; `seconds` are those of fitting and drawing.
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

/// What a model says of other rows.
#[derive(Debug, Clone, Serialize)]
pub struct ScoreReport {
    /// Version of this report.
    pub format: u32,
    /// Where the rows are from.
    pub source: String,
    /// The model's folder.
    pub model: PathBuf,
    /// Rows scored.
    pub rows: usize,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Mean, nats a row in the data's units.
    pub log_likelihood: f64,
    /// Its 95 % interval.
    pub log_likelihood_ci95: [f64; 2],
    /// The model's log Z.
    pub log_z: f64,
    /// The file of all scores.
    pub scores: PathBuf,
}
