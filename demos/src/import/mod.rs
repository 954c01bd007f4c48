//! Datasets from other people's files: CSV and Parquet tables, numpy archives, HDF5, folders of LeRobot v3, Minari and
//! `imitation`.
//!
//! Every row is a state with the action taken in it. What a table does not say is asked for ([`Mapping`]), never guessed:
//! which columns are observations and which are actions, and the control period. The result is a dataset like a recorded
//! one, but without a simulator, unless its channels are those of a world.

mod arrays;
mod costs;
mod cut;
mod error;
mod hdf5;
mod imitation;
mod lerobot;
mod lines;
mod mapping;
mod minari;
mod npz;
mod table;

use std::path::{Path, PathBuf};

use costate_base::disk;
use costate_envs::worlds::table::TableModel;
use costate_envs::{EnvConfig, EnvFactory, EnvSpec, Episode, Trajectory};
use serde_json::json;

use crate::dataset::{
    DatasetError, DatasetWriter, ExpertInfo, Header, Import, Meta, SourceFile, same_period,
};
pub use error::ImportError;
pub use lerobot::PADDING as LEROBOT_PADDING;
pub use lines::lines_at;
pub use mapping::{ChannelMap, LastRow, Mapping};
use table::Kind;
pub use table::numbers;

/// What to import.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// CSV, Parquet, `.npz` or HDF5 files, folders of them, or one folder of LeRobot, Minari or `imitation`.
    pub sources: Vec<PathBuf>,
    /// Which column is what.
    pub mapping: Mapping,
    /// The world that the demonstrations are of; none by default.
    pub attach: Option<EnvConfig>,
}

/// What an import became.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The dataset's description.
    pub meta: Meta,
    /// What is remarkable about the files, one line each.
    pub remarks: Vec<String>,
}

/// Episodes as read, with what their files say about them.
pub(crate) struct Read {
    pub format: &'static str,
    pub sources: Vec<SourceFile>,
    pub observation: Vec<ChannelMap>,
    pub action: Vec<ChannelMap>,
    pub episodes: Vec<Trajectory>,
    /// Rewards of every episode, `[T]` each; `None` where there are none.
    pub rewards: Option<Vec<Vec<f64>>>,
    /// Seed and success of every episode, as far as its files say them; empty where none do.
    pub known: Vec<(Option<u64>, Option<bool>)>,
    /// Seconds per step, as stated or measured.
    pub period_s: Option<f64>,
    /// Who demonstrated, where the files say it.
    pub expert: Option<String>,
    pub summary: Option<String>,
    /// The mapping with everything that was found in the files.
    pub mapping: Mapping,
    pub remarks: Vec<String>,
}

/// Imports `request` into a new dataset in `folder`, which is complete, or says of itself that it is not.
///
/// Errors: files that cannot be read, columns that do not exist, the first bad value with its place, a folder in use.
pub fn import(request: &Request, folder: &Path) -> Result<Imported, ImportError> {
    import_watched(request, folder, &mut |_, _| {})
}

/// The same; `watch(done, total)` hears of the episodes whose costs are computed, the one thing that takes long.
pub fn import_watched(
    request: &Request,
    folder: &Path,
    watch: &mut dyn FnMut(usize, usize),
) -> Result<Imported, ImportError> {
    let factory = request
        .attach
        .as_ref()
        .map(EnvConfig::factory)
        .transpose()?;
    let mut read = read(request, factory.as_ref())?;
    if read.episodes.is_empty() {
        return Err(ImportError::Nothing);
    }
    let (env, spec) = match &factory {
        Some(factory) => (factory.config().clone(), attached(&read, factory)?),
        None => table(&read)?,
    };
    let rewards = read.rewards.take();
    let priced = match &factory {
        Some(factory) if rewards.is_none() => {
            let total = read.episodes.len();
            let priced = costs::price(&read.episodes, factory, &mut |done| watch(done, total));
            Some(priced.map_err(|reason| ImportError::RewardsNeeded {
                env: spec.name.clone(),
                reason,
            })?)
        }
        _ => None,
    };
    let blind = read.mapping.observations_only;
    if priced.is_some() {
        read.remarks.push(format!(
            "there are no rewards: the costs are those that {} has in the states which fit the observations{}",
            spec.name,
            match blind {
                true => ", had nothing been commanded: scores are relative to them",
                false => "",
            }
        ));
    }
    let header = Header {
        env,
        expert: ExpertInfo {
            name: read.expert.take().unwrap_or_else(|| "imported".into()),
            parameters: json!({}),
            action_noise_std: vec![0.0; spec.action.dim()],
            log_density_known: false,
        },
        spec,
        seed: 0,
    };
    let import = Import {
        format: read.format.into(),
        sources: read.sources,
        mapping: serde_json::to_value(&read.mapping).unwrap_or_default(),
        rewards: rewards.is_some() || priced.is_some(),
        costs_of_world: priced.is_some(),
        observations_only: blind,
    };
    let count = read.episodes.len();
    let mut writer = DatasetWriter::create_imported(folder, header, import, count)?;
    let mut rewards = rewards.unwrap_or_default().into_iter();
    let mut priced = priced.unwrap_or_default().into_iter();
    for (id, trajectory) in read.episodes.into_iter().enumerate() {
        let (costs, solved) = match (rewards.next(), priced.next()) {
            (Some(rewards), _) => (rewards.into_iter().map(|r| 0.0 - r).collect(), None),
            (None, Some(priced)) => priced,
            (None, None) => (vec![0.0; trajectory.len()], None),
        };
        let (seed, success) = read.known.get(id).copied().unwrap_or_default();
        writer.append(&Episode {
            seed: seed.unwrap_or(id as u64),
            trajectory,
            costs,
            success: success.or(solved),
        })?;
    }
    Ok(Imported {
        meta: writer.finish()?,
        remarks: read.remarks,
    })
}

/// Reads the sources, whatever they are.
fn read(request: &Request, factory: Option<&EnvFactory>) -> Result<Read, ImportError> {
    let mapping = &request.mapping;
    let spec = factory.map(EnvFactory::spec);
    if mapping.observations_only && spec.is_none() {
        return Err(ImportError::Mapping(
            "--observations-only: without actions, what can be learned needs the world that acts; name it: `--env NAME`"
                .into(),
        ));
    }
    let with_actions = |kind: &str| match mapping.observations_only {
        true => Err(ImportError::Mapping(format!(
            "--observations-only is for tables, CSV and Parquet; {kind} holds actions: read them, and hide them from the \
             learner: `costate train … --observations-only`"
        ))),
        false => Ok(()),
    };
    if let [folder] = request.sources.as_slice() {
        if let Some(folder) = minari::folder(folder)? {
            with_actions("a dataset of Minari")?;
            return minari::read(&folder, mapping);
        }
        let saved = imitation::files(folder);
        if !saved.is_empty() {
            with_actions("a folder of `imitation`")?;
            return imitation::read(&saved, mapping, spec);
        }
        if lerobot::is(folder) {
            with_actions("a dataset of LeRobot")?;
            return lerobot::read(folder, mapping, spec);
        }
    }
    let files = table::files(&request.sources)?;
    let paths = || {
        files
            .iter()
            .map(|(path, _)| path.clone())
            .collect::<Vec<_>>()
    };
    match files.first() {
        Some((_, Kind::Npz)) => {
            with_actions("a numpy archive")?;
            return npz::read(&paths(), mapping, spec);
        }
        Some((_, Kind::Hdf5)) => {
            with_actions("an HDF5 file")?;
            return hdf5::read(&paths(), mapping, spec);
        }
        _ if mapping.split.is_some() => {
            return Err(ImportError::Mapping(
                "--split chooses between the masks of robomimic's HDF5 files; these are other files".into(),
            ));
        }
        _ => {}
    }
    cut::read(&files, mapping, spec)
}

/// The spec of a world whose channels the episodes have.
fn attached(read: &Read, factory: &EnvFactory) -> Result<EnvSpec, ImportError> {
    let spec = factory.spec();
    let refused = |reason: String| ImportError::OtherWorld {
        env: spec.name.clone(),
        reason,
    };
    for (what, own, space) in [
        ("observations", &read.observation, &spec.observation),
        ("actions", &read.action, &spec.action),
    ] {
        let names: Vec<&str> = own.iter().map(|c| c.name.as_str()).collect();
        if names != space.names().collect::<Vec<_>>() {
            return Err(refused(format!(
                "its {what} are {}, but those of the files are {}; list the columns in the world's order, renamed where \
                 needed: `COLUMN=NAME`",
                space.listed(),
                names.join(", ")
            )));
        }
    }
    if let Some(period) = read.period_s
        && !same_period(period, spec.control_period_s)
    {
        return Err(refused(format!(
            "its control period is {} s, but that of the files is {period} s; change the world's with \
             `--set env.dt_s=…` or `--set env.steps_per_control=…`",
            spec.control_period_s
        )));
    }
    let longest = read.episodes.iter().map(Trajectory::len).max();
    if let Some(longest) = longest.filter(|n| *n > spec.horizon) {
        return Err(refused(format!(
            "its horizon is {} steps, but the longest episode has {longest}; change it with \
             `--set env.task.horizon={longest}`",
            spec.horizon
        )));
    }
    Ok(spec.clone())
}

/// A world without a simulator, and its spec.
fn table(read: &Read) -> Result<(EnvConfig, EnvSpec), ImportError> {
    let period = read.period_s.ok_or(ImportError::NoPeriod)?;
    let dims = [read.observation.len(), read.action.len()];
    let columns = |observed: bool, i: usize| {
        let values = read.episodes.iter().flat_map(move |t| match observed {
            true => t.observations().iter().skip(i).step_by(dims[0]),
            false => t.actions().iter().skip(i).step_by(dims[1]),
        });
        values.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], v| {
            [low.min(*v), high.max(*v)]
        })
    };
    let channels = |maps: &[ChannelMap], observed: bool| {
        let of = |(i, map): (usize, &ChannelMap)| map.channel(columns(observed, i));
        maps.iter().enumerate().map(of).collect::<Result<_, _>>()
    };
    let model = TableModel {
        summary: read
            .summary
            .clone()
            .unwrap_or_else(|| "imported demonstrations".into()),
        horizon: read.episodes.iter().map(Trajectory::len).max().unwrap_or(1),
        control_period_s: period,
        observation: channels(&read.observation, true)?,
        action: channels(&read.action, false)?,
    };
    let factory = EnvConfig::table(&model)?.factory()?;
    Ok((factory.config().clone(), factory.spec().clone()))
}

/// A file's bytes, and what identifies it.
fn load(path: &Path) -> Result<(Vec<u8>, SourceFile), ImportError> {
    let bytes = disk::read(path).map_err(DatasetError::from)?;
    let source = SourceFile {
        path: path.display().to_string(),
        bytes: bytes.len() as u64,
        sha256: disk::sha256(&bytes),
    };
    Ok((bytes, source))
}
