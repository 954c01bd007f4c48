//! `costate ebm`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::common::{Output, interrupt_flag, parse_override};
use super::doubts;
use super::ui::{Counter, interval, number};
use crate::ebm::{
    self, AgainstTruth, BaseKind, Fit, GeneratorKind, Known, LogLikelihood, Method, Model, Request,
    Settings, Stage, Table, Watch, free_energy,
};
use crate::error::Error;
use crate::nn;
use crate::report::{EnergyMap, energy_map_svg, png};
use crate::run::files::{create_output_folder, write_atomic, write_json};
use crate::run::settings::Override;

/// Version of `ebm.json`.
const FORMAT: u32 = 1;

/// Below so many held-out episodes their spread is a guess.
const FEW_EPISODES: usize = 10;

/// Arguments of `costate ebm`.
#[derive(clap::Args)]
#[command(after_help = "\
Fits p(x) = exp(−E(x)) / Z to rows of numbers; a share of them, held out, judges it. Writes energy.safetensors, samples.csv,
landscape.svg and .png, and ebm.json with every setting. With --model it scores other rows instead: scores.csv.

Examples:
  costate ebm measurements.csv -o model
  costate ebm measurements.csv --columns length,width --method langevin
  costate ebm others.csv --model model -o scored
  costate ebm --known ring --generator mixture --json
  costate ebm measurements.parquet --set rounds=2000 --set hidden=[128,128]")]
pub struct Args {
    /// A CSV file with a header, a Parquet file, or a dataset folder (its states and actions). Rows of a file are taken to
    /// be independent; steps of an episode of a dataset are not, and episodes are held out whole.
    #[arg(required_unless_present = "known", conflicts_with = "known")]
    data: Option<PathBuf>,
    /// Draw the rows from a density of known entropy instead: ring, banana, moons, mixture_8d, warped_8d, mixture_32d,
    /// warped_32d.
    #[arg(long, value_name = "NAME")]
    known: Option<String>,
    /// Rows to draw with --known.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(50..=1_000_000))]
    rows: u32,
    /// Columns to use, with commas between them [default: all].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    columns: Option<Vec<String>>,
    /// Where negatives come from: a generator that learns against the energy, or Langevin dynamics on the energy.
    #[arg(long, value_enum, default_value = "gan")]
    method: Method,
    /// Family of the generator [default: flow].
    #[arg(long, value_enum)]
    generator: Option<GeneratorKind>,
    /// Share of the rows that only the final figures see; of a dataset, in whole episodes.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    holdout: f64,
    /// Two columns to draw the landscape over [default: the first two].
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    dims: Option<Vec<String>>,
    /// Draws from the model in samples.csv.
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

/// Runs the command.
pub fn run(args: Args, output: Output) -> Result<(), Error> {
    tch::set_num_threads(1);
    match (&args.model, &args.data) {
        (Some(model), Some(data)) => score(model, data, args.output.as_deref(), output),
        _ => fit(&args, output),
    }
}

/// Rows and what they are called.
struct Source {
    table: Table,
    name: String,
    known: Option<Known>,
}

impl Source {
    fn open(args: &Args) -> Result<Self, Error> {
        let Some(name) = &args.known else {
            let path = args.data.as_deref().unwrap_or(Path::new(""));
            return Ok(Self {
                table: ebm::read(path, args.columns.as_deref())?,
                name: path.display().to_string(),
                known: None,
            });
        };
        if args.columns.is_some() {
            return Err(Error::Misuse(
                "--columns chooses among columns of a file; a density of --known is fitted whole"
                    .into(),
            ));
        }
        let known = Known::named(name)?;
        Ok(Self {
            table: known.sample(args.rows as usize, args.seed),
            name: known.name().into(),
            known: Some(known),
        })
    }

    fn default_folder(&self, seed: u64) -> PathBuf {
        let stem = Path::new(&self.name)
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy();
        Path::new("runs").join(format!("ebm-{stem}-{seed}"))
    }
}

/// Which two columns the landscape is over; `None` where there is one only.
fn landscape_columns(args: &Args, table: &Table) -> Result<Option<[usize; 2]>, Error> {
    let Some(dims) = &args.dims else {
        return Ok((table.columns().len() > 1).then_some([0, 1]));
    };
    match &dims[..] {
        [a, b] if a != b => Ok(Some([table.position(a)?, table.position(b)?])),
        _ => Err(Error::Misuse(format!(
            "--dims {}: expected two different columns, as --dims a,b",
            dims.join(",")
        ))),
    }
}

/// The generator's family; one that was asked for must have something to do.
fn generator(args: &Args, settings: &Settings) -> Result<GeneratorKind, Error> {
    let idle = args.method == Method::Langevin && settings.base == BaseKind::Gaussian;
    if idle && args.generator.is_some() {
        return Err(Error::Misuse(
            "--generator has no effect with --method langevin on a Gaussian base; add --set base=clone to begin from the \
             generator, or leave --generator out"
                .into(),
        ));
    }
    Ok(args.generator.unwrap_or(GeneratorKind::Flow))
}

fn fit(args: &Args, output: Output) -> Result<(), Error> {
    if !(args.holdout > 0.0 && args.holdout <= 0.9) {
        return Err(Error::Misuse(format!(
            "--holdout {}: expected a share above 0 and at most 0.9",
            args.holdout
        )));
    }
    let settings = Settings::of(args.method)?.with(&args.set)?;
    let generator = generator(args, &settings)?;
    let source = Source::open(args)?;
    let table = &source.table;
    let dims = landscape_columns(args, table)?;
    table.check_fittable(&source.name)?;
    for doubt in doubts::of_table(table) {
        output.remark(&doubt);
    }
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| source.default_folder(args.seed));
    create_output_folder(&folder)?;
    let interrupt = interrupt_flag()?;
    let started = Instant::now();
    let mut counter: Option<(Stage, Counter)> = None;
    let request = Request {
        table,
        source: &source.name,
        method: args.method,
        generator,
        held_out: args.holdout,
        samples: args.samples as usize,
        settings: &settings,
        seed: args.seed,
    };
    let mut watch = Watch {
        interrupt: &interrupt,
        report: &mut |stage, done, total, how| {
            if counter.as_ref().is_none_or(|(s, _)| *s != stage) {
                let what = match stage {
                    Stage::Generator => "generator",
                    Stage::Energy => "energy",
                };
                counter = Some((stage, Counter::new(output, what, total)));
            }
            if let Some((_, counter)) = &mut counter {
                counter.at(done, how);
            }
        },
    };
    let fit = ebm::fit(&request, &mut watch);
    if let Some((_, counter)) = counter {
        counter.finish();
    }
    let fit = match fit {
        Ok(fit) => fit,
        Err(e) => {
            // Only removed while it is still empty.
            let _ = std::fs::remove_dir(&folder);
            return Err(e);
        }
    };
    write_atomic(&folder.join("energy.safetensors"), &fit.model.to_bytes()?)?;
    write_samples(&fit, &folder)?;
    // A picture that cannot be made must not cost the fit.
    let drawn = dims.map(|of| draw(&fit, &source, of, &folder, args.seed));
    let landscape = drawn.and_then(|drawn| {
        drawn
            .inspect_err(|e| output.remark(&format!("no landscape was drawn: {e}")))
            .ok()
    });
    let seconds = started.elapsed().as_secs_f64();
    let report = Report::of(&request, &fit, source.known.as_ref(), landscape, seconds);
    write_json(&folder.join("ebm.json"), &report)?;
    output.result(&report, || report.describe(&folder))
}

/// What the landscape shows, and what it is worth.
#[derive(Serialize)]
struct LandscapeReport {
    columns: [String; 2],
    /// Median effective share of the draws that the other columns were integrated out with.
    ess_share: f64,
}

fn draw(
    fit: &Fit,
    source: &Source,
    of: [usize; 2],
    folder: &Path,
    seed: u64,
) -> Result<LandscapeReport, Error> {
    let map = free_energy(&fit.model, &source.table, of, seed);
    let names = of.map(|i| source.table.columns()[i].clone());
    let rows = fit
        .split
        .held_out
        .iter()
        .map(|&i| of.map(|c| source.table.row(i)[c]));
    let svg = energy_map_svg(&EnergyMap {
        heading: format!("−log p({}, {}); spots: held-out rows", names[0], names[1]),
        names: names.clone(),
        ranges: [map.x_range, map.y_range],
        size: map.size,
        energy: map.values,
        points: rows.collect(),
    });
    let svg =
        svg.ok_or_else(|| Error::Failure("the energy over these columns is not finite".into()))?;
    let pixels = png(&svg).map_err(|e| Error::Failure(format!("landscape.png: {e}")))?;
    write_atomic(&folder.join("landscape.svg"), svg.as_bytes())?;
    write_atomic(&folder.join("landscape.png"), &pixels)?;
    Ok(LandscapeReport {
        columns: names,
        ess_share: map.ess_share,
    })
}

/// Bytes of a CSV file.
fn csv_bytes(header: &[String], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>, Error> {
    let broken = |e: String| Error::Failure(format!("a table cannot be written as CSV: {e}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(header)
        .map_err(|e| broken(e.to_string()))?;
    for row in rows {
        writer
            .write_record(row)
            .map_err(|e| broken(e.to_string()))?;
    }
    writer.into_inner().map_err(|e| broken(e.to_string()))
}

fn write_samples(fit: &Fit, folder: &Path) -> Result<(), Error> {
    let columns = &fit.model.columns;
    let values = nn::to_f64(&fit.samples);
    let rows = values
        .chunks_exact(columns.len())
        .map(|r| r.iter().map(f64::to_string).collect());
    write_atomic(&folder.join("samples.csv"), &csv_bytes(columns, rows)?)
}

#[derive(Serialize)]
struct GeneratorReport {
    kind: GeneratorKind,
    /// Components of the mixture, or of the flow's latent density.
    components: Option<usize>,
    #[serde(flatten)]
    held_out: LogLikelihood,
    /// log Z by importance sampling from it.
    log_z: f64,
    log_z_ci95: [f64; 2],
    ess: f64,
    draws: usize,
}

/// What is printed with `--json`, and kept in `ebm.json`.
#[derive(Serialize)]
struct Report {
    format: u32,
    source: String,
    method: Method,
    rows: usize,
    training_rows: usize,
    validation_rows: usize,
    held_out_rows: usize,
    /// Of a dataset: the episodes that the held-out rows are of. With one only, intervals over them are unbounded: null.
    held_out_episodes: Option<usize>,
    columns: Vec<String>,
    /// Of the energy-based model on the held-out rows, nats a row in the data's units.
    log_likelihood: f64,
    log_likelihood_ci95: [f64; 2],
    log_z: f64,
    log_z_ci95: [f64; 2],
    /// Effective number of chains behind log Z, of so many.
    ess: f64,
    chains: usize,
    acceptance: f64,
    log_z_sound: bool,
    generator: Option<GeneratorReport>,
    known: Option<AgainstTruth>,
    landscape: Option<LandscapeReport>,
    kept_round: usize,
    still_rising: bool,
    seed: u64,
    seconds: f64,
    settings: Settings,
}

impl Report {
    fn of(
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

    fn describe(&self, folder: &Path) -> String {
        let mut text = format!(
            "{}: {} rows, {} held out, {} column{}\n\nlog-likelihood, held out  {} nats a row ({})\n",
            self.source,
            self.rows,
            self.held_out_rows,
            self.columns.len(),
            if self.columns.len() == 1 { "" } else { "s" },
            number(self.log_likelihood),
            interval(self.log_likelihood_ci95),
        );
        if let Some(g) = &self.generator {
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
        if let Some(known) = &self.known {
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
            number(self.log_z),
            interval(self.log_z_ci95),
            self.ess,
            self.chains,
        );
        text += &self.doubts();
        text + &format!("\n{} after {} s\n", folder.display(), number(self.seconds))
    }

    /// What brings the base, from which log Z is annealed, nearer to the data.
    fn nearer_base(&self) -> &'static str {
        match (self.settings.base, &self.generator) {
            (BaseKind::Gaussian, _) => ", or --set base=clone",
            (BaseKind::Clone, Some(g)) if g.kind == GeneratorKind::Flow => {
                ", or --generator mixture"
            }
            _ => "",
        }
    }

    fn doubts(&self) -> String {
        let mut text = String::new();
        if !self.log_z_sound {
            text += &format!(
                "log Z is not to be trusted: too few chains are in effect, and the log-likelihood with it is too high rather \
                 than too low; try --set ais.temperatures={}{}\n",
                5 * self.settings.ais.temperatures,
                self.nearer_base()
            );
        }
        if self.kept_round == 0 {
            text += "no round was better than its start on the validation rows: the energy adds nothing to its base, which was \
                     kept; more rows or a lower --set learning_rate= may help\n";
        }
        if self.still_rising {
            text += &format!(
                "the validation rows still liked the last round best; try --set rounds={}\n",
                2 * self.settings.rounds
            );
        }
        if let Some(count) = self.held_out_episodes.filter(|n| *n < FEW_EPISODES) {
            text += &format!(
                "{count} episode{} held out: too few for an interval of the log-likelihood that can be trusted; hold out more \
                 with --holdout, or record more\n",
                if count == 1 { "" } else { "s" }
            );
        }
        if let Some(l) = self.landscape.as_ref().filter(|l| l.ess_share < 0.05) {
            text += &format!(
                "the landscape over {} and {} is rough: the other columns are hard to integrate out\n",
                l.columns[0], l.columns[1]
            );
        }
        text
    }
}

#[derive(Serialize)]
struct ScoreReport {
    format: u32,
    source: String,
    model: PathBuf,
    rows: usize,
    columns: Vec<String>,
    log_likelihood: f64,
    log_likelihood_ci95: [f64; 2],
    log_z: f64,
    scores: PathBuf,
}

fn score(folder: &Path, data: &Path, to: Option<&Path>, output: Output) -> Result<(), Error> {
    let file = folder.join("energy.safetensors");
    if !file.is_file() {
        return Err(Error::Misuse(format!(
            "{}: no such file; --model takes a folder that `costate ebm` wrote",
            file.display()
        )));
    }
    let model = Model::read(&file)?;
    let table = ebm::read(data, Some(&model.columns))?;
    let rows: Vec<usize> = (0..table.len()).collect();
    let scores = model.score(&table, &rows);
    if let Some(i) = scores.energies.iter().position(|e| !e.is_finite()) {
        return Err(Error::Failure(format!(
            "{}: row {} is so far from the model's data that its energy is not finite",
            data.display(),
            i + 1
        )));
    }
    let to = to.map_or_else(
        || {
            let stem = data.file_stem().unwrap_or_default().to_string_lossy();
            Path::new("runs").join(format!("ebm-{stem}-scores"))
        },
        Path::to_path_buf,
    );
    create_output_folder(&to)?;
    let header = ["row", "energy", "log_density"].map(String::from);
    let pairs = scores
        .energies
        .iter()
        .zip(&scores.log_densities)
        .enumerate();
    let lines = pairs.map(|(i, (e, l))| vec![(i + 1).to_string(), e.to_string(), l.to_string()]);
    let place = to.join("scores.csv");
    write_atomic(&place, &csv_bytes(&header, lines)?)?;
    let mean = LogLikelihood::of(
        &scores.log_densities,
        &table.groups_of(&rows),
        model.log_z.standard_error.powi(2),
    );
    if table.count_groups(&rows) == Some(1) {
        output.remark(&format!(
            "{}: one episode only, which tells no interval of the log-likelihood",
            data.display()
        ));
    }
    let report = ScoreReport {
        format: FORMAT,
        source: data.display().to_string(),
        model: folder.into(),
        rows: table.len(),
        columns: model.columns.clone(),
        log_likelihood: mean.log_likelihood,
        log_likelihood_ci95: mean.ci95,
        log_z: model.log_z.log_z,
        scores: place.clone(),
    };
    output.result(&report, || {
        format!(
            "{}: {} rows, log-likelihood {} nats a row ({})\n{}\n",
            report.source,
            report.rows,
            number(mean.log_likelihood),
            interval(mean.ci95),
            place.display()
        )
    })
}
