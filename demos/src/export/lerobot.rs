//! LeRobot datasets, version 3, as LeRobot 0.6 writes them.
//!
//! A frame is a state with the action taken in it: T frames an episode. The state after each action is a feature of its
//! own, `next.observation.state`, so that the last one is not lost. `observation.environment_state` repeats the state:
//! LeRobot's ACT and Diffusion want one where there are no pictures.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray};
use costate_envs::{End, Space};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use serde_json::{Map, Value, json};

use super::table::write_groups;
use super::{Done, before_and_after, beside_columns, inside, pretty, refused, vectors};
use crate::dataset::{DatasetError, DatasetReader, Meta};
use crate::import::LEROBOT_PADDING;
use crate::inspect::Distribution;

const DATA: &str = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet";
const FILE: &str = "data/chunk-000/file-000.parquet";
const EPISODES: &str = "meta/episodes/chunk-000/file-000.parquet";
const STATISTICS: [&str; 10] = [
    "min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99",
];

/// A column of frames.
enum Values {
    /// Vectors of one width, at least two.
    Vectors(Vec<f32>, usize),
    Floats(Vec<f32>),
    Flags(Vec<bool>),
    Integers(Vec<i64>),
}

impl Values {
    fn array(&self) -> ArrayRef {
        match self {
            Self::Vectors(values, width) => vectors(values.clone(), *width),
            Self::Floats(values) => Arc::new(Float32Array::from(values.clone())),
            Self::Flags(values) => Arc::new(BooleanArray::from(values.clone())),
            Self::Integers(values) => Arc::new(Int64Array::from(values.clone())),
        }
    }

    fn width(&self) -> usize {
        match self {
            Self::Vectors(_, width) => *width,
            _ => 1,
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::Vectors(..) | Self::Floats(_) => "float32",
            Self::Flags(_) => "bool",
            Self::Integers(_) => "int64",
        }
    }

    /// The values of one entry in some frames.
    fn entry(&self, i: usize, frames: std::ops::Range<usize>) -> Vec<f64> {
        match self {
            Self::Vectors(values, width) => {
                frames.map(|f| f64::from(values[f * width + i])).collect()
            }
            Self::Floats(values) => values[frames].iter().map(|v| f64::from(*v)).collect(),
            Self::Flags(values) => values[frames]
                .iter()
                .map(|v| f64::from(u8::from(*v)))
                .collect(),
            Self::Integers(values) => values[frames].iter().map(|v| *v as f64).collect(),
        }
    }
}

/// A feature: a column with the names of its entries.
struct Feature {
    name: &'static str,
    values: Values,
    names: Option<Vec<String>>,
}

impl Feature {
    /// Statistics of some frames: one distribution an entry.
    fn statistics(&self, frames: &std::ops::Range<usize>) -> Vec<Distribution> {
        let entries = 0..self.values.width();
        entries
            .map(|i| Distribution::of(&mut self.values.entry(i, frames.clone())))
            .collect()
    }
}

/// One of [`STATISTICS`] but the count.
fn statistic(d: &Distribution, name: &str) -> f64 {
    match name {
        "min" => d.min,
        "max" => d.max,
        "mean" => d.mean,
        "std" => d.std,
        "q01" => d.q01,
        "q10" => d.q10,
        "q50" => d.q50,
        "q90" => d.q90,
        _ => d.q99,
    }
}

/// Vectors that LeRobot does not take for scalars: one entry is joined by a second, which is 0.
fn widened(values: Vec<f32>, space: &Space) -> (Values, Vec<String>) {
    let mut names: Vec<String> = space.names().map(str::to_owned).collect();
    match space.dim() {
        1 => {
            names.push(LEROBOT_PADDING.into());
            let values = values.into_iter().flat_map(|v| [v, 0.0]).collect();
            (Values::Vectors(values, 2), names)
        }
        n => (Values::Vectors(values, n), names),
    }
}

/// Writes the dataset into `folder`.
pub(super) fn write(dataset: &DatasetReader, folder: &Path) -> Result<Done, DatasetError> {
    let meta = dataset.meta();
    let spec = &meta.spec;
    let features = features(dataset)?;
    let lengths: Vec<usize> = meta.episodes.iter().map(|e| e.total_steps).collect();
    let frames = meta.total_steps;

    let columns = features.iter().map(|f| (f.name, f.values.array()));
    let parquet = |columns: Vec<(String, ArrayRef)>, groups: &[usize], pandas: Option<Value>| {
        let write = || -> parquet::errors::Result<Vec<u8>> {
            let batch = RecordBatch::try_from_iter(columns)?;
            let Some(pandas) = pandas else {
                return write_groups(&batch, groups.iter().copied(), WriterProperties::builder());
            };
            // PyArrow reads the first of these, other readers the second.
            let about = HashMap::from([("pandas".to_owned(), pandas.to_string())]);
            let schema = batch.schema().as_ref().clone().with_metadata(about);
            let batch = batch.with_schema(Arc::new(schema))?;
            let about = vec![KeyValue::new("pandas".into(), pandas.to_string())];
            let properties = WriterProperties::builder().set_key_value_metadata(Some(about));
            write_groups(&batch, groups.iter().copied(), properties)
        };
        write().map_err(|e| refused(dataset, e))
    };
    let columns = columns
        .map(|(name, array)| (name.to_owned(), array))
        .collect();
    inside(folder, FILE, &parquet(columns, &lengths, None)?)?;

    let episodes = episodes(&features, &lengths, &spec.summary);
    inside(
        folder,
        EPISODES,
        &parquet(episodes, &[lengths.len()], None)?,
    )?;

    let task: Vec<(String, ArrayRef)> = vec![
        ("task_index".into(), Arc::new(Int64Array::from(vec![0]))),
        (
            "task".into(),
            Arc::new(StringArray::from(vec![spec.summary.as_str()])),
        ),
    ];
    inside(
        folder,
        "meta/tasks.parquet",
        &parquet(task, &[1], Some(index_named_task()))?,
    )?;

    let statistics = statistics(&features, frames);
    inside(folder, "meta/stats.json", pretty(&statistics).as_bytes())?;
    let info = info(meta, &features);
    inside(folder, "meta/info.json", pretty(&info).as_bytes())?;

    let mut remarks =
        vec!["units, bounds, seeds and experts stay behind; rewards become float32".to_owned()];
    for (what, space) in [("observation", &spec.observation), ("action", &spec.action)] {
        if space.dim() == 1 {
            remarks.push(format!(
                "the {what} has one entry, which LeRobot would take for a scalar: a second one, `{LEROBOT_PADDING}`, is 0; \
                 `costate demos import` leaves it out"
            ));
        }
    }
    Ok((beside_columns(meta), remarks))
}

/// The contents of `meta/stats.json`: statistics of all frames together.
fn statistics(features: &[Feature], frames: usize) -> Value {
    let of = |feature: &Feature| -> (String, Value) {
        let all = feature.statistics(&(0..frames));
        let of = |name: &str| -> Value {
            match name {
                "count" => json!([frames]),
                name => all.iter().map(|d| statistic(d, name)).collect(),
            }
        };
        let own = STATISTICS.iter().map(|name| ((*name).to_owned(), of(name)));
        (feature.name.into(), Value::Object(own.collect()))
    };
    Value::Object(features.iter().map(of).collect())
}

/// The contents of `meta/info.json`.
fn info(meta: &Meta, features: &[Feature]) -> Value {
    let described: Map<String, Value> = features
        .iter()
        .map(|f| (f.name.into(), described(f)))
        .collect();
    json!({
        "codebase_version": "v3.0",
        "fps": rate(meta.spec.control_period_s),
        "features": described,
        "total_episodes": meta.episodes.len(),
        "total_frames": meta.total_steps,
        "total_tasks": 1,
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "data_path": DATA,
        "video_path": null,
        "robot_type": meta.env.name,
        "splits": {"train": format!("0:{}", meta.episodes.len())},
    })
}

/// Frames a second; a whole number where it is one up to rounding.
fn rate(period_s: f64) -> Value {
    let rate = 1.0 / period_s;
    match (rate / rate.round() - 1.0).abs() < 1e-9 {
        true => json!(rate.round() as u64),
        false => json!(rate),
    }
}

/// All columns of frames.
fn features(dataset: &DatasetReader) -> Result<Vec<Feature>, DatasetError> {
    let meta = dataset.meta();
    let spec = &meta.spec;
    let (mut states, mut next, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rewards, mut done, mut terminated) = (Vec::new(), Vec::new(), Vec::new());
    let (mut time, mut frame, mut number) = (Vec::new(), Vec::new(), Vec::new());
    for (id, episode) in dataset.episodes().enumerate() {
        let episode = episode?;
        let trajectory = &episode.trajectory;
        let [before, after] = before_and_after(trajectory);
        states.extend_from_slice(before);
        next.extend_from_slice(after);
        actions.extend_from_slice(trajectory.actions());
        for (t, reward) in episode.rewards().enumerate() {
            let last = t + 1 == trajectory.len();
            rewards.push(reward as f32);
            done.push(last);
            terminated.push(last && trajectory.end() == End::Terminated);
            time.push((t as f64 * spec.control_period_s) as f32);
            frame.push(t as i64);
            number.push(id as i64);
        }
    }
    let frames = frame.len();
    let plain = |name, values| Feature {
        name,
        values,
        names: None,
    };
    let vectors = |name, values, space| {
        let (values, names) = widened(values, space);
        Feature {
            name,
            values,
            names: Some(names),
        }
    };
    let mut features = vec![
        vectors("observation.state", states.clone(), &spec.observation),
        vectors("observation.environment_state", states, &spec.observation),
        vectors("action", actions, &spec.action),
        vectors("next.observation.state", next, &spec.observation),
    ];
    if meta.returns_known() {
        features.push(plain("next.reward", Values::Floats(rewards)));
    }
    features.extend([
        plain("next.done", Values::Flags(done)),
        plain("next.terminated", Values::Flags(terminated)),
        plain("timestamp", Values::Floats(time)),
        plain("frame_index", Values::Integers(frame)),
        plain("episode_index", Values::Integers(number)),
        plain("index", Values::Integers((0..frames as i64).collect())),
        plain("task_index", Values::Integers(vec![0; frames])),
    ]);
    Ok(features)
}

/// A feature as `info.json` describes it.
fn described(feature: &Feature) -> Value {
    json!({
        "dtype": feature.values.dtype(),
        "shape": [feature.values.width()],
        "names": feature.names,
    })
}

/// The table of episodes, with their own statistics.
fn episodes(features: &[Feature], lengths: &[usize], task: &str) -> Vec<(String, ArrayRef)> {
    let count = lengths.len() as i64;
    let integers = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    let zeros = || integers(vec![0; lengths.len()]);
    let mut ends: Vec<i64> = Vec::with_capacity(lengths.len());
    for length in lengths {
        ends.push(ends.last().unwrap_or(&0) + *length as i64);
    }
    let begins: Vec<i64> = ends
        .iter()
        .zip(lengths)
        .map(|(end, n)| end - *n as i64)
        .collect();
    let mut tasks = ListBuilder::new(StringBuilder::new());
    for _ in lengths {
        tasks.values().append_value(task);
        tasks.append(true);
    }
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("episode_index".into(), integers((0..count).collect())),
        ("tasks".into(), Arc::new(tasks.finish())),
        (
            "length".into(),
            integers(lengths.iter().map(|n| *n as i64).collect()),
        ),
        ("data/chunk_index".into(), zeros()),
        ("data/file_index".into(), zeros()),
        ("dataset_from_index".into(), integers(begins.clone())),
        ("dataset_to_index".into(), integers(ends.clone())),
    ];
    for feature in features {
        let ranges = begins.iter().zip(&ends);
        let own: Vec<Vec<Distribution>> = ranges
            .map(|(from, to)| feature.statistics(&(*from as usize..*to as usize)))
            .collect();
        for name in STATISTICS {
            let column = format!("stats/{}/{name}", feature.name);
            let array: ArrayRef = if name == "count" {
                let mut list = ListBuilder::new(Int64Builder::new());
                for length in lengths {
                    list.values().append_value(*length as i64);
                    list.append(true);
                }
                Arc::new(list.finish())
            } else {
                let mut list = ListBuilder::new(Float64Builder::new());
                for entries in &own {
                    let values = list.values();
                    entries
                        .iter()
                        .for_each(|d| values.append_value(statistic(d, name)));
                    list.append(true);
                }
                Arc::new(list.finish())
            };
            columns.push((column, array));
        }
    }
    columns.extend([
        ("meta/episodes/chunk_index".into(), zeros()),
        ("meta/episodes/file_index".into(), zeros()),
    ]);
    columns
}

/// What makes pandas take column `task` for the index, which LeRobot looks tasks up in.
fn index_named_task() -> Value {
    let column = |name: &str, kind: &str, numpy: &str| json!({"name": name, "field_name": name, "pandas_type": kind, "numpy_type": numpy, "metadata": null});
    json!({
        "index_columns": ["task"],
        "column_indexes": [{
            "name": null, "field_name": null, "pandas_type": "unicode", "numpy_type": "object",
            "metadata": {"encoding": "UTF-8"},
        }],
        "columns": [column("task_index", "int64", "int64"), column("task", "unicode", "object")],
        "attributes": {},
        "creator": {"library": "costate", "version": env!("CARGO_PKG_VERSION")},
        "pandas_version": "2.3.3",
    })
}
