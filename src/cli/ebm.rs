//! `costate ebm`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::common::{Output, parse_override};
use super::terminal::Terminal;
use super::ui::{interval, number};
use crate::app::ebm::{FitRequest, Fitted, Rows, ScoreRequest, fit, score};
use crate::ebm::{BaseKind, FitReport, GeneratorKind, Method};
use crate::error::Error;
use crate::run::settings::Override;

/// Below this many held-out episodes their spread is unreliable.
const FEW_EPISODES: usize = 10;

/// Arguments of `costate ebm`.
#[derive(clap::Args)]
#[command(after_help = "\
Fits p(x) = exp(−E(x)) / Z to rows of numbers; a share of them, held out, judges it. Writes energy.safetensors, samples.csv,
landscape.svg and .png, and ebm.json with every setting. With --model it scores other rows instead: scores.csv.

Examples:
  costate ebm measurements.csv -o model
  costate ebm measurements.csv --columns length,width --method langevin
  costate ebm measurements.csv --method energy-matching
  costate ebm others.csv --model model -o scored
  costate ebm --known ring --generator mixture --json
  costate ebm measurements.parquet --set rounds=2000 --set hidden=[128,128]")]
pub struct Args {
    /// A CSV file with a header, a Parquet file, or a dataset folder (its states and actions). Rows of a file are
    /// assumed independent; steps within an episode of a dataset are not, and whole episodes are held out.
    #[arg(required_unless_present = "known", conflicts_with = "known")]
    data: Option<PathBuf>,
    /// Draw the rows from a density of known entropy instead: ring, banana, moons, mixture_8d, warped_8d, mixture_32d,
    /// warped_32d.
    #[arg(long, value_name = "NAME")]
    known: Option<String>,
    /// Rows to draw with --known.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(50..=1_000_000))]
    rows: u32,
    /// Columns to use, separated by commas [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Where negatives come from: a generator that learns against the energy, Langevin dynamics on the energy, or weighted
    /// chains on an energy that first transports noise to the data.
    #[arg(long, value_enum, default_value = "gan")]
    method: Method,
    /// Family of the generator [default: flow].
    #[arg(long, value_enum)]
    generator: Option<GeneratorKind>,
    /// Share of the rows held out for the final figures; of a dataset, in whole episodes.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    holdout: f64,
    /// Two columns to draw the landscape over [default: the first two].
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    dims: Option<Vec<String>>,
    /// Model samples to write to samples.csv.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    samples: u32,
    /// Folder to create [default: runs/ebm-NAME-SEED].
    #[arg(short = 'o', long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Score DATA with the model in this folder instead of fitting one.
    #[arg(long, value_name = "FOLDER", requires = "data",
          conflicts_with_all = ["columns", "method", "generator", "holdout", "dims", "samples", "set", "seed"])]
    model: Option<PathBuf>,
    /// Seed of every random stream.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Change one setting; ebm.json of a fit lists them all.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_override)]
    set: Vec<Override>,
}

impl Args {
    fn fit(self) -> Result<FitRequest, Error> {
        let rows = match (self.known, self.columns) {
            (None, columns) => Rows::Of {
                path: self.data.unwrap_or_default(),
                columns,
            },
            (Some(density), None) => Rows::Drawn {
                density,
                count: self.rows as usize,
            },
            (Some(_), Some(_)) => {
                return Err(Error::Misuse(
                    "--columns chooses among columns of a file; a density of --known is fitted whole"
                        .into(),
                ));
            }
        };
        Ok(FitRequest {
            rows,
            method: self.method,
            generator: self.generator,
            held_out: self.holdout,
            dims: self.dims,
            samples: self.samples as usize,
            folder: self.output,
            seed: self.seed,
            set: self.set,
        })
    }
}

/// Runs the command.
pub fn run(mut args: Args, output: Output) -> Result<(), Error> {
    let Some(model) = args.model.take() else {
        let Fitted { folder, report } = fit(&args.fit()?, &Terminal::new(output)?)?;
        return output.result(&report, || describe(&report, &folder));
    };
    let request = ScoreRequest {
        model,
        data: args.data.unwrap_or_default(),
        folder: args.output,
    };
    // Too short to interrupt: a signal ends the program.
    let terminal = Terminal::stopped_by(Arc::default(), output);
    let report = score(&request, &terminal)?;
    output.result(&report, || {
        format!(
            "{}: {} rows, log-likelihood {} nats a row ({})\n{}\n",
            report.source,
            report.rows,
            number(report.log_likelihood),
            interval(report.log_likelihood_ci95),
            report.scores.display()
        )
    })
}

/// A fit in words.
fn describe(fit: &FitReport, folder: &Path) -> String {
    let mut text = format!(
        "{}: {} rows, {} held out, {} column{}\n\nlog-likelihood, held out  {} nats a row ({})\n",
        fit.source,
        fit.rows,
        fit.held_out_rows,
        fit.columns.len(),
        if fit.columns.len() == 1 { "" } else { "s" },
        number(fit.log_likelihood),
        interval(fit.log_likelihood_ci95),
    );
    if let Some(g) = &fit.generator {
        let kind = match (g.kind, g.components) {
            (GeneratorKind::Flow, Some(2..)) => "flow from a mixture".into(),
            (GeneratorKind::Flow, _) => "flow".into(),
            (GeneratorKind::Mixture, k) => format!("mixture of {}", k.unwrap_or(0)),
        };
        text += &format!(
            "  the generator’s own     {} ({}), {kind}\n",
            number(g.held_out.log_likelihood),
            interval(g.held_out.ci95),
        );
    }
    if let Some(known) = &fit.known {
        text += &format!(
            "  the true density’s      {}; entropy {}, KL {} ({})\n",
            number(known.true_log_likelihood),
            number(known.entropy),
            number(known.kl),
            interval(known.kl_ci95),
        );
    }
    text += &format!(
        "log Z                     {} ({}), {:.0} of {} chains in effect\n",
        number(fit.log_z),
        interval(fit.log_z_ci95),
        fit.ess,
        fit.chains,
    );
    text += &doubts(fit);
    text + &format!("\n{} after {} s\n", folder.display(), number(fit.seconds))
}

/// Settings that bring the base, from which log Z is annealed, closer to the data.
fn nearer_base(fit: &FitReport) -> &'static str {
    match (fit.settings.base, &fit.generator) {
        _ if fit.method == Method::EnergyMatching => "",
        (BaseKind::Gaussian, _) => ", or --set base=clone",
        (BaseKind::Clone, Some(g)) if g.kind == GeneratorKind::Flow => ", or --generator mixture",
        _ => "",
    }
}

/// Which results of a fit are unreliable.
fn doubts(fit: &FitReport) -> String {
    let mut text = String::new();
    if !fit.log_z_sound {
        text += &format!(
            "log Z is not to be trusted: too few chains are in effect, and the log-likelihood with it is too high rather \
             than too low; try --set ais.temperatures={}{}\n",
            5 * fit.settings.ais.temperatures,
            nearer_base(fit)
        );
    }
    if fit.kept_round == 0 {
        text += match fit.method {
            Method::EnergyMatching => {
                "no round was better on the validation rows than the transport alone, which was kept; more rows or a lower \
                 --set learning_rate= may help\n"
            }
            Method::Gan | Method::Langevin => {
                "no round was better than its start on the validation rows: the energy adds nothing to its base, which was \
                 kept; more rows or a lower --set learning_rate= may help\n"
            }
        };
    }
    if fit.still_rising {
        text += &format!(
            "the last round was still the best on the validation rows; try --set rounds={}\n",
            2 * fit.settings.rounds
        );
    }
    if let Some(count) = fit.held_out_episodes.filter(|n| *n < FEW_EPISODES) {
        text += &format!(
            "{count} episode{} held out: too few for an interval of the log-likelihood that can be trusted; hold out more \
             with --holdout, or record more\n",
            if count == 1 { "" } else { "s" }
        );
    }
    if let Some(l) = fit.landscape.as_ref().filter(|l| l.ess_share < 0.05) {
        text += &format!(
            "the landscape over {} and {} is rough: the other columns are hard to integrate out\n",
            l.columns[0], l.columns[1]
        );
    }
    text
}
