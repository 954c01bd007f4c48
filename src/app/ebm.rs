//! Energy-based models of the rows of a table: fitting and scoring.

use std::path::{Path, PathBuf};
use std::time::Instant;

use costate_base::disk;

use super::{Progress, doubts, run_folder};
use crate::ebm::{
    self, BaseKind, FORMAT, Fit, FitReport, GeneratorKind, Known, LandscapeReport, LogLikelihood,
    Method, Model, ScoreReport, Settings, Stage, Table, Watch, free_energy,
};
use crate::error::Error;
use crate::nn;
use crate::report::{EnergyMap, energy_map_svg, png};
use crate::run::files::{create_output_folder, write_atomic, write_json};
use crate::run::settings::Override;

/// What to fit, and how.
#[derive(Debug, Clone)]
pub struct FitRequest {
    /// The rows.
    pub rows: Rows,
    /// Where negatives come from.
    pub method: Method,
    /// Family of the generator; a flow by default.
    pub generator: Option<GeneratorKind>,
    /// Share of the rows held out for the final figures, above 0 and at most 0.9; of a dataset, in whole episodes.
    pub held_out: f64,
    /// Two columns to draw the landscape over; the first two by default.
    pub dims: Option<Vec<String>>,
    /// Number of model samples to write.
    pub samples: usize,
    /// Folder to create; `runs/ebm-NAME-SEED` by default.
    pub folder: Option<PathBuf>,
    /// Seed of every random stream.
    pub seed: u64,
    /// Settings that differ from the defaults.
    pub set: Vec<Override>,
}

/// Rows to fit a model to.
#[derive(Debug, Clone)]
pub enum Rows {
    /// From a CSV or Parquet file or a dataset.
    Of {
        /// File or dataset folder.
        path: PathBuf,
        /// Columns to use; all by default.
        columns: Option<Vec<String>>,
    },
    /// Drawn from a density of known entropy.
    Drawn {
        /// Its name.
        density: String,
        /// Number of rows.
        count: usize,
    },
}

/// A fitted model's folder and results.
#[derive(Debug)]
pub struct Fitted {
    /// Its folder.
    pub folder: PathBuf,
    /// Contents of its `ebm.json`.
    pub report: FitReport,
}

/// Rows to score, and the model.
#[derive(Debug, Clone)]
pub struct ScoreRequest {
    /// Folder of a fit.
    pub model: PathBuf,
    /// The rows: a file or a dataset with the model's columns.
    pub data: PathBuf,
    /// Folder to create; `runs/ebm-NAME-scores` by default.
    pub folder: Option<PathBuf>,
}

/// Rows and their name.
struct Source {
    table: Table,
    name: String,
    known: Option<Known>,
}

impl Source {
    fn open(rows: &Rows, seed: u64) -> Result<Self, Error> {
        match rows {
            Rows::Of { path, columns } => Ok(Self {
                table: ebm::read(path, columns.as_deref())?,
                name: path.display().to_string(),
                known: None,
            }),
            Rows::Drawn { density, count } => {
                let known = Known::named(density)?;
                Ok(Self {
                    table: known.sample(*count, seed),
                    name: known.name().into(),
                    known: Some(known),
                })
            }
        }
    }
}

/// A file's name as used in folder names.
fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// The landscape's two columns; `None` if there is only one.
fn landscape_columns(request: &FitRequest, table: &Table) -> Result<Option<[usize; 2]>, Error> {
    let Some(dims) = &request.dims else {
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

/// The generator's family; an explicit one must be used.
fn generator(request: &FitRequest, settings: &Settings) -> Result<GeneratorKind, Error> {
    let idle = match request.method {
        Method::Gan => None,
        Method::Langevin => (settings.base == BaseKind::Gaussian).then_some(
            "langevin on a Gaussian base; add --set base=clone to begin from the generator, or leave --generator out",
        ),
        Method::EnergyMatching => Some("energy-matching, which has none; leave it out"),
    };
    if let (Some(idle), Some(_)) = (idle, request.generator) {
        return Err(Error::Misuse(format!(
            "--generator has no effect with --method {idle}"
        )));
    }
    Ok(request.generator.unwrap_or(GeneratorKind::Flow))
}

/// Fits a model to rows and writes it with samples, a landscape and its figures.
///
/// Errors: rows without a density, settings that do not fit, an interruption; none leaves a folder behind.
pub fn fit(request: &FitRequest, progress: &dyn Progress) -> Result<Fitted, Error> {
    tch::set_num_threads(1);
    let share = request.held_out;
    if !(share > 0.0 && share <= 0.9) {
        return Err(Error::Misuse(format!(
            "--holdout {share}: expected a share above 0 and at most 0.9"
        )));
    }
    let settings = Settings::of(request.method)?.with(&request.set)?;
    let generator = generator(request, &settings)?;
    let (source, seed) = (Source::open(&request.rows, request.seed)?, request.seed);
    let table = &source.table;
    let dims = landscape_columns(request, table)?;
    table.check_fittable(&source.name)?;
    for doubt in doubts::of_table(table) {
        progress.remark(&doubt);
    }
    let folder = run_folder(request.folder.as_deref(), || {
        format!("ebm-{}-{seed}", stem(Path::new(&source.name)))
    });
    create_output_folder(&folder)?;
    let started = Instant::now();
    let wanted = ebm::Request {
        table,
        source: &source.name,
        method: request.method,
        generator,
        held_out: share,
        samples: request.samples,
        settings: &settings,
        seed,
    };
    let fit = watched(&wanted, progress).inspect_err(|_| {
        let _ = disk::remove_empty_folder(&folder);
    })?;
    let write = |beside: &Path| -> Result<FitReport, Error> {
        disk::create_folders(beside)?;
        write_atomic(&beside.join("energy.safetensors"), &fit.model.to_bytes()?)?;
        write_samples(&fit, beside)?;
        // A picture that cannot be drawn must not lose the fit; a disk that fails is no matter of pictures.
        let landscape = match dims.map(|of| draw(&fit, &source, of, beside, seed)) {
            Some(Err(failed @ Error::Disk(_))) => return Err(failed),
            Some(Err(e)) => {
                progress.remark(&format!("cannot draw the landscape: {e}"));
                None
            }
            Some(Ok(drawn)) => Some(drawn),
            None => None,
        };
        let seconds = started.elapsed().as_secs_f64();
        let report = FitReport::of(&wanted, &fit, source.known.as_ref(), landscape, seconds);
        write_json(&beside.join("ebm.json"), &report)?;
        Ok(report)
    };
    let made = disk::new_folder(&folder, write).inspect_err(|_| {
        let _ = disk::remove_empty_folder(&folder);
    })?;
    let report = made.ok_or_else(|| {
        Error::Failure(format!(
            "{}: another process has filled the output folder; choose another with -o",
            folder.display()
        ))
    })?;
    Ok(Fitted { folder, report })
}

/// Fits, stage by stage.
fn watched(request: &ebm::Request, progress: &dyn Progress) -> Result<Fit, Error> {
    let mut begun: Option<Stage> = None;
    let mut watch = Watch {
        interrupt: progress.interrupt(),
        report: &mut |stage, done, total, how| {
            if begun != Some(stage) {
                begun = Some(stage);
                let what = match stage {
                    Stage::Generator => "generator",
                    Stage::Transport => "transport",
                    Stage::Energy => "energy",
                };
                progress.begin(what, total);
            }
            progress.advance(done, how);
        },
    };
    let fit = ebm::fit(request, &mut watch);
    progress.end();
    fit
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
    let broken = |e: String| Error::Failure(format!("cannot write a table as CSV: {e}"));
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

/// Scores rows with a model and writes the scores.
///
/// Errors: no such model, missing columns, rows too far from its data.
pub fn score(request: &ScoreRequest, progress: &dyn Progress) -> Result<ScoreReport, Error> {
    tch::set_num_threads(1);
    let ScoreRequest {
        model: folder,
        data,
        ..
    } = request;
    let file = folder.join("energy.safetensors");
    if !file.is_file() {
        return Err(Error::Misuse(format!(
            "{}: no such file; --model takes a folder written by `costate ebm`",
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
    let to = run_folder(request.folder.as_deref(), || {
        format!("ebm-{}-scores", stem(data))
    });
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
        progress.remark(&format!(
            "{}: only one episode, so the log-likelihood has no interval",
            data.display()
        ));
    }
    Ok(ScoreReport {
        format: FORMAT,
        source: data.display().to_string(),
        model: folder.clone(),
        rows: table.len(),
        columns: model.columns,
        log_likelihood: mean.log_likelihood,
        log_likelihood_ci95: mean.ci95,
        log_z: model.log_z.log_z,
        scores: place,
    })
}
