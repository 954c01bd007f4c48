//! Policies and costs written for other programs: ONNX, C99, safetensors.

use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_envs::actor::Scratch;
use costate_envs::flow::Planning;
use costate_envs::rng::stream;
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{EnvConfig, EnvFactory};
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;
use serde_json::{Value, json};

use super::results::{Results, unwritable};
use super::{Progress, validate};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::episodes;
use crate::evaluate::workers::Workers;
use crate::export::{self, Exported, ExportedFile, Origin, Part, Weights};
use crate::nn::{self, StateDict};
use crate::policy::Policy;
use crate::run::{RunFolder, files, weights};

/// What can be exported of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum What {
    /// The learned policy.
    Policy,
    /// The fresh policy kept by `costate evaluate --reoptimize`.
    FreshPolicy,
    /// The learned cost.
    Cost,
}

impl What {
    /// Files and functions are named by it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::FreshPolicy => "fresh_policy",
            Self::Cost => "cost",
        }
    }
}

/// A form to export to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// ONNX graphs with normaliser and scales inside: mean, sample and density of the policy, cost, soft value.
    Onnx,
    /// One C99 file and its header: no allocation, nothing but math.h.
    C,
    /// Weights with everything needed to compute with them in the header.
    Safetensors,
}

/// What to export.
#[derive(Debug, Clone)]
pub struct Request {
    /// A run folder or a weights file.
    pub place: PathBuf,
    /// The forms.
    pub formats: Vec<Format>,
    /// Of a run, which; policy and cost by default.
    pub what: Vec<What>,
    /// Folder to write into; `export` beside the weights by default.
    pub output: Option<PathBuf>,
    /// Number of examples of inputs with our own results to write; 0 for none.
    pub examples: usize,
    /// Worker threads that play the examples' episodes.
    pub workers: usize,
}

/// What was written.
#[derive(Debug, Serialize)]
pub struct Written {
    /// Folder of the files.
    #[serde(serialize_with = "super::shown")]
    pub folder: PathBuf,
    /// The files.
    pub files: Vec<WrittenFile>,
}

/// A written file.
#[derive(Debug, Serialize)]
pub struct WrittenFile {
    /// Its name.
    pub file: String,
    /// What it computes or holds.
    pub what: String,
}

/// Name of the examples' file.
const EXAMPLES: &str = "examples.csv";
/// Episodes played at a time for examples.
const EPISODES: usize = 8;

/// Weights as read.
struct Loaded {
    what: What,
    file: PathBuf,
    learned: LoadedWeights,
}

#[expect(clippy::large_enum_variant, reason = "at most three are alive")]
enum LoadedWeights {
    Policy(Policy),
    Cost(Box<EnergyModel>),
}

/// Where the weights are, the world that they belong to, and where they are from.
struct Source {
    loaded: Vec<Loaded>,
    factory: EnvFactory,
    folder: PathBuf,
    origin: Origin,
}

/// Writes the files.
///
/// Errors: a run without what was asked for; weights that do not fit their world; a folder that holds a run.
pub fn export(request: &Request, progress: &dyn Progress) -> Result<Written, Error> {
    tch::set_num_threads(1);
    let source = Source::open(request)?;
    source.check()?;
    let folder = request.output.as_deref().unwrap_or(&source.folder);
    if ["config.json", "meta.json"].map(|f| folder.join(f).exists()) != [false; 2] {
        return Err(Error::Misuse(format!(
            "{}: holds a run or a dataset, whose own files stay as they are; choose another folder with -o",
            folder.display()
        )));
    }
    let exported = source.exported()?;
    let mut written = Vec::new();
    let mut formats = request.formats.clone();
    formats.sort();
    formats.dedup();
    for format in formats {
        written.extend(match format {
            Format::Onnx => export::onnx_files(&exported),
            Format::C => export::c_files(&exported),
            Format::Safetensors => source.safetensors(&exported)?,
        });
    }
    if request.examples > 0 {
        written.push(source.examples(request, progress)?);
    }
    disk::create_folders(folder)?;
    for file in &written {
        files::write_atomic(&folder.join(&file.name), &file.bytes).map_err(
            |e| match unwritable(&e) {
                true => Error::Failure(format!("{e}; say where the files go with -o DIR")),
                false => e,
            },
        )?;
    }
    let named = |file: ExportedFile| WrittenFile {
        file: file.name,
        what: file.what,
    };
    Ok(Written {
        folder: folder.into(),
        files: written.into_iter().map(named).collect(),
    })
}

impl Source {
    fn open(request: &Request) -> Result<Self, Error> {
        let place = &request.place;
        match place.extension().is_some_and(|e| e == "safetensors") {
            true => Self::of_file(request),
            false => Self::of_run(request, &RunFolder::open(place)?),
        }
    }

    fn of_run(request: &Request, run: &RunFolder) -> Result<Self, Error> {
        let mut asked = request.what.clone();
        if asked.is_empty() {
            asked.push(What::Policy);
            asked.extend(run.weights(weights::COST)?.map(|_| What::Cost));
        }
        asked.sort();
        asked.dedup();
        let loaded = asked.into_iter().map(|what| {
            let file = located(run, what)?;
            let learned = match what {
                What::Cost => LoadedWeights::Cost(Box::new(EnergyModel::read(&file)?)),
                _ => LoadedWeights::Policy(Policy::read(&file)?),
            };
            Ok(Loaded {
                what,
                file,
                learned,
            })
        });
        let config = run.config();
        Ok(Self {
            loaded: loaded.collect::<Result<_, Error>>()?,
            factory: config.env.factory()?,
            folder: run.file("export"),
            origin: Origin {
                algorithm: Some(config.algo.name().into()),
                seed: Some(config.seed),
                ..origin(run.path())
            },
        })
    }

    fn of_file(request: &Request) -> Result<Self, Error> {
        let file = request.place.clone();
        if !file.exists() {
            return Err(Error::Misuse(format!("{}: no such file", file.display())));
        }
        if !request.what.is_empty() {
            return Err(Error::Misuse(format!(
                "--what chooses between the weights of a run; {} is one of them, leave --what out",
                file.display()
            )));
        }
        let (_, header): (_, Value) = StateDict::read(&file)?;
        let (what, learned) = match header["kind"].as_str() {
            Some("energy_model") => {
                let model = EnergyModel::read(&file)?;
                (What::Cost, LoadedWeights::Cost(Box::new(model)))
            }
            _ => (What::Policy, LoadedWeights::Policy(Policy::read(&file)?)),
        };
        let folder = file.parent().unwrap_or(Path::new("")).join("export");
        let origin = origin(&file);
        let loaded = Loaded {
            what,
            file,
            learned,
        };
        let world = EnvConfig::named(loaded.env())?;
        Ok(Self {
            factory: world.factory()?,
            loaded: vec![loaded],
            folder,
            origin,
        })
    }

    /// Refuses weights of other channels than the world's.
    fn check(&self) -> Result<(), Error> {
        let spec = self.factory.spec();
        let here = [spec.observation.dim(), spec.action.dim()];
        for loaded in &self.loaded {
            let found = loaded.dims();
            if found != here {
                return Err(Error::Failure(format!(
                    "{}: takes {} observed values and {} actions, but {} has {} and {}; export it where its world is known",
                    loaded.file.display(),
                    found[0],
                    found[1],
                    spec.name,
                    here[0],
                    here[1]
                )));
            }
        }
        Ok(())
    }

    fn exported(&self) -> Result<Exported, Error> {
        let part = |loaded: &Loaded| {
            Ok(Part {
                name: loaded.what.name(),
                sha256: weights::digest(&loaded.file)?,
                weights: match &loaded.learned {
                    LoadedWeights::Policy(Policy::Gaussian(policy)) => {
                        Weights::Gaussian(policy.freeze().parts().clone())
                    }
                    LoadedWeights::Policy(Policy::Implicit(policy)) => {
                        Weights::Implicit(policy.freeze().parts().clone())
                    }
                    LoadedWeights::Policy(Policy::Flow(policy)) => {
                        Weights::Flow(policy.freeze().parts().clone())
                    }
                    LoadedWeights::Cost(model) => Weights::Cost(Box::new(model.freeze())),
                },
            })
        };
        Ok(Exported {
            spec: self.factory.spec().clone(),
            origin: self.origin.clone(),
            parts: self.loaded.iter().map(part).collect::<Result<_, Error>>()?,
        })
    }

    /// The weights files with the world and the origin in their headers, in the newest form.
    fn safetensors(&self, exported: &Exported) -> Result<Vec<ExportedFile>, Error> {
        let one = |loaded: &Loaded| {
            let bytes = match &loaded.learned {
                LoadedWeights::Policy(policy) => policy.learned().to_bytes()?,
                LoadedWeights::Cost(model) => model.to_bytes()?,
            };
            let name = format!("{}.safetensors", loaded.what.name());
            let (state, mut header): (_, Value) = StateDict::parse(&bytes, &name)?;
            header["world"] = exported.world();
            header["origin"] = json!(exported.origin);
            Ok(ExportedFile {
                bytes: state.to_bytes(&header)?,
                name,
                what: "the weights, with channels, units and origin in the header".into(),
            })
        };
        self.loaded.iter().map(one).collect()
    }

    /// Inputs from episodes, with what Costate itself computes from them.
    fn examples(&self, request: &Request, progress: &dyn Progress) -> Result<ExportedFile, Error> {
        let spec = self.factory.spec();
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        let (observations, actions) = self.visited(request, progress)?;
        let of = |what: &str, names: Vec<&str>| -> Vec<String> {
            names.iter().map(|n| format!("{what}.{n}")).collect()
        };
        let names = || spec.action.names().collect::<Vec<_>>();
        let mut table = Table::default();
        let own = spec.observation.names().collect();
        table.add(of("observation", own), &observations);
        table.add(of("action", names()), &actions);
        for loaded in &self.loaded {
            let name = loaded.what.name();
            match &loaded.learned {
                LoadedWeights::Policy(Policy::Gaussian(policy)) => {
                    let actor = policy.freeze();
                    let (mut scratch, mut rng) = (actor.scratch(), stream(0, "examples", 0));
                    let mut found: [Vec<f32>; 4] = Default::default();
                    let mut densities = Vec::new();
                    for (s, action) in observations.chunks_exact(o).zip(actions.chunks_exact(a)) {
                        actor.forward(s, &mut scratch);
                        let noise: Vec<f32> =
                            (0..a).map(|_| StandardNormal.sample(&mut rng)).collect();
                        found[0].extend(&scratch.mean);
                        found[1].extend(scratch.log_std.iter().map(|l| l.exp()));
                        found[3].extend(drawn(&scratch, &noise));
                        found[2].extend(noise);
                        densities.push(scratch.log_density(action));
                    }
                    for (what, found) in ["mean", "std", "noise", "sample"].iter().zip(&found) {
                        table.add(of(&format!("{name}.{what}"), names()), found);
                    }
                    table.add(vec![format!("{name}.log_density")], &densities);
                }
                LoadedWeights::Policy(Policy::Implicit(policy)) => {
                    let actor = policy.freeze();
                    let rows = observations.chunks_exact(o).zip(actions.chunks_exact(a));
                    let energies: Vec<f32> = rows.flat_map(|(s, a)| actor.energies(s, a)).collect();
                    table.add(vec![format!("{name}.energy")], &energies);
                }
                LoadedWeights::Policy(Policy::Flow(policy)) => {
                    let actor = policy.freeze();
                    let Planning { chunk, history, .. } = actor.parts().planning;
                    let mut rng = stream(0, "examples", 0);
                    let mut found: [Vec<f32>; 2] = Default::default();
                    for observation in observations.chunks_exact(o) {
                        let noise: Vec<f32> = (0..chunk * a)
                            .map(|_| StandardNormal.sample(&mut rng))
                            .collect();
                        // Each as an episode's first.
                        found[1].extend(actor.plan(&observation.repeat(history), &noise));
                        found[0].extend(noise);
                    }
                    for (what, found) in ["plan_noise", "plan"].iter().zip(&found) {
                        let step = |i: usize| names().into_iter().map(move |n| format!("{n}_{i}"));
                        let columns: Vec<String> = (0..chunk).flat_map(step).collect();
                        let columns = columns.iter().map(String::as_str).collect();
                        table.add(of(&format!("{name}.{what}"), columns), found);
                    }
                }
                LoadedWeights::Cost(model) => {
                    let (s, u) = (nn::matrix(&observations, o), nn::matrix(&actions, a));
                    let cost = nn::no_grad(|| nn::to_f32(&model.cost(&s, &u)));
                    table.add(vec!["cost".into()], &cost);
                    if model.has_value() {
                        let value = nn::no_grad(|| nn::to_f32(&model.value(&s)));
                        table.add(vec!["value".into()], &value);
                    }
                }
            }
        }
        Ok(ExportedFile {
            name: EXAMPLES.into(),
            bytes: table.text(request.examples).into_bytes(),
            what: "inputs, and what Costate itself computes from them".into(),
        })
    }

    /// States and actions of episodes by the first policy, or by random actions: row-major.
    fn visited(
        &self,
        request: &Request,
        progress: &dyn Progress,
    ) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let policies = self.loaded.iter().filter_map(|l| match &l.learned {
            LoadedWeights::Policy(policy) => Some(policy),
            LoadedWeights::Cost(_) => None,
        });
        let mut policies = policies.map(|p| Controller::of(p.learned(), ActionChoice::Sample));
        let controller = policies.next().unwrap_or(Controller::Random);
        let spec = self.factory.spec();
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        let workers = Workers::new(RolloutPool::new(request.workers), progress.interrupt());
        let seed = self.origin.seed.unwrap_or(0);
        let (mut observations, mut actions) = (Vec::new(), Vec::new());
        progress.begin("examples", request.examples);
        for first in (0..).step_by(EPISODES) {
            let starts = (first..first + EPISODES).map(|i| episodes::start(seed, i));
            let jobs: Vec<Job> = starts.map(Job::new).collect();
            for episode in controller.play_jobs(&self.factory, workers, &jobs)? {
                let tau = episode.trajectory;
                observations.extend_from_slice(&tau.observations()[..tau.len() * o]);
                actions.extend_from_slice(tau.actions());
            }
            progress.advance((actions.len() / a).min(request.examples), "");
            if actions.len() / a >= request.examples {
                break;
            }
        }
        progress.end();
        observations.truncate(request.examples * o);
        actions.truncate(request.examples * a);
        Ok((observations, actions))
    }
}

/// mean + σ noise, as the actor draws it.
fn drawn(scratch: &Scratch, noise: &[f32]) -> Vec<f32> {
    let each = scratch.mean.iter().zip(&scratch.log_std).zip(noise);
    each.map(|((mean, log_std), z)| mean + log_std.exp() * z)
        .collect()
}

/// The file of what is asked for.
fn located(run: &RunFolder, what: What) -> Result<PathBuf, Error> {
    let missing = |reason: &str| Error::Misuse(format!("{}: {reason}", run.path().display()));
    match what {
        What::Policy => run
            .weights(weights::POLICY)?
            .ok_or_else(|| missing("has no policy before its first checkpoint")),
        What::Cost => run
            .weights(weights::COST)?
            .ok_or_else(|| missing("has no learned cost; leave `--what cost` out")),
        What::FreshPolicy => validate::fresh_policy(Results::of(run))?.ok_or_else(|| {
            missing("has no fresh policy on its cost; `costate evaluate --reoptimize` trains some")
        }),
    }
}

fn origin(source: &Path) -> Origin {
    Origin {
        costate_version: env!("CARGO_PKG_VERSION").into(),
        source: source.display().to_string(),
        algorithm: None,
        seed: None,
    }
}

impl Loaded {
    fn env(&self) -> &str {
        match &self.learned {
            LoadedWeights::Policy(policy) => policy.learned().env(),
            LoadedWeights::Cost(model) => model.env(),
        }
    }

    /// Entries of an observation and of an action.
    fn dims(&self) -> [usize; 2] {
        let (normalizer, scale) = match &self.learned {
            LoadedWeights::Policy(policy) => policy.learned().scales(),
            LoadedWeights::Cost(model) => (model.normalizer(), model.action_scale()),
        };
        [normalizer.mean.len(), scale.centre.len()]
    }
}

/// A table of numbers, by columns.
#[derive(Default)]
struct Table {
    names: Vec<String>,
    columns: Vec<Vec<String>>,
}

impl Table {
    /// Adds columns from row-major values.
    fn add(&mut self, names: Vec<String>, rows: &[impl ToString]) {
        for i in 0..names.len() {
            let column = rows.iter().skip(i).step_by(names.len());
            self.columns.push(column.map(ToString::to_string).collect());
        }
        self.names.extend(names);
    }

    /// As CSV.
    fn text(&self, rows: usize) -> String {
        let mut text = self.names.join(",") + "\n";
        for row in 0..rows {
            let cells: Vec<&str> = self.columns.iter().map(|c| c[row].as_str()).collect();
            text += &cells.join(",");
            text.push('\n');
        }
        text
    }
}
