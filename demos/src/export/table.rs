//! One table of all episodes, in rows of states: CSV and Parquet.

use std::io::Write;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, RecordBatch};
use costate_envs::{End, Space};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Done, refused};
use crate::dataset::{DatasetError, DatasetReader, Meta};
use crate::import::{ChannelMap, Mapping};

/// Columns beside those of channels.
const EPISODE: &str = "episode";
const TIME: &str = "time";
const REWARD: &str = "reward";
const TERMINATED: &str = "terminated";
const TRUNCATED: &str = "truncated";

/// All rows by column. Actions, rewards and flags of an episode's last state are absent or false.
#[derive(Default)]
struct Rows {
    episode: Vec<i64>,
    time: Vec<f64>,
    observations: Vec<Vec<f32>>,
    actions: Vec<Vec<Option<f32>>>,
    rewards: Vec<Option<f64>>,
    terminated: Vec<bool>,
    truncated: Vec<bool>,
}

impl Rows {
    fn of(dataset: &DatasetReader) -> Result<Self, DatasetError> {
        let spec = &dataset.meta().spec;
        let mut rows = Self {
            observations: vec![Vec::new(); spec.observation.dim()],
            actions: vec![Vec::new(); spec.action.dim()],
            ..Self::default()
        };
        for (id, episode) in dataset.episodes().enumerate() {
            let episode = episode?;
            let trajectory = &episode.trajectory;
            let steps = trajectory.len();
            rows.rewards.extend(episode.rewards().map(Some));
            rows.rewards.push(None);
            for t in 0..=steps {
                rows.episode.push(id as i64);
                rows.time.push(t as f64 * spec.control_period_s);
                for (column, v) in rows.observations.iter_mut().zip(trajectory.observation(t)) {
                    column.push(*v);
                }
                for (i, column) in rows.actions.iter_mut().enumerate() {
                    column.push((t < steps).then(|| trajectory.action(t)[i]));
                }
                let ends = |end| t + 1 == steps && trajectory.end() == end;
                rows.terminated.push(ends(End::Terminated));
                rows.truncated.push(ends(End::Truncated));
            }
        }
        Ok(rows)
    }
}

/// Columns of the channels, and how the table is read back.
struct Names {
    observations: Vec<String>,
    actions: Vec<String>,
    rewards: bool,
}

impl Names {
    /// Channels keep their names, unless two columns would be called the same.
    fn of(meta: &Meta) -> Self {
        let mut taken: Vec<String> = [EPISODE, TIME, REWARD, TERMINATED, TRUNCATED]
            .map(str::to_owned)
            .to_vec();
        let mut named = |space: &Space, prefix: &str| -> Vec<String> {
            let name = |own: &str| {
                let mut name = own.to_owned();
                while taken.contains(&name) {
                    name = format!("{prefix}_{name}");
                }
                taken.push(name.clone());
                name
            };
            space.names().map(name).collect()
        };
        Self {
            observations: named(&meta.spec.observation, "observed"),
            actions: named(&meta.spec.action, "commanded"),
            rewards: meta.returns_known(),
        }
    }

    fn mapping(&self, meta: &Meta) -> Mapping {
        let spec = &meta.spec;
        Mapping {
            observations: maps(&self.observations, &spec.observation),
            actions: maps(&self.actions, &spec.action),
            episode: Some(EPISODE.into()),
            time: Some(TIME.into()),
            dt_s: Some(spec.control_period_s),
            terminated: Some(TERMINATED.into()),
            truncated: Some(TRUNCATED.into()),
            reward: self.rewards.then(|| REWARD.into()),
            summary: Some(spec.summary.clone()),
            ..Mapping::default()
        }
    }
}

/// Channels by the columns that hold them.
pub(super) fn maps(columns: &[String], space: &Space) -> Vec<ChannelMap> {
    let of = |(column, channel): (&String, &costate_envs::Channel)| ChannelMap {
        column: column.clone(),
        name: channel.name.clone(),
        unit: channel.unit.clone(),
        low: Some(channel.low),
        high: Some(channel.high),
    };
    columns.iter().zip(&space.0).map(of).collect()
}

/// What tables do not hold.
fn remarks(meta: &Meta) -> Vec<String> {
    let mut left =
        vec!["seeds, experts and success stay behind: a table has rows alone".to_owned()];
    if meta.expert.log_density_known {
        left.push("so do log-densities".into());
    }
    left
}

/// The table as CSV. Numbers are as short as they can be and still be read back exactly.
pub(super) fn csv(dataset: &DatasetReader) -> Result<(Vec<u8>, Done), DatasetError> {
    let meta = dataset.meta();
    let (names, rows) = (Names::of(meta), Rows::of(dataset)?);
    let mut text = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut text);
    let mut header = vec![EPISODE, TIME];
    header.extend(
        names
            .observations
            .iter()
            .chain(&names.actions)
            .map(String::as_str),
    );
    header.extend(names.rewards.then_some(REWARD));
    header.extend([TERMINATED, TRUNCATED]);
    let mut write = || -> csv::Result<()> {
        writer.write_record(&header)?;
        for row in 0..rows.episode.len() {
            let shown = |v: Option<f32>| v.map_or(String::new(), |v| v.to_string());
            let mut fields = vec![rows.episode[row].to_string(), rows.time[row].to_string()];
            fields.extend(rows.observations.iter().map(|c| c[row].to_string()));
            fields.extend(rows.actions.iter().map(|c| shown(c[row])));
            if names.rewards {
                fields.push(rows.rewards[row].map_or(String::new(), |v| v.to_string()));
            }
            fields.extend(
                [rows.terminated[row], rows.truncated[row]].map(|v| u8::from(v).to_string()),
            );
            writer.write_record(&fields)?;
        }
        Ok(writer.flush()?)
    };
    write().map_err(|e| refused(dataset, e))?;
    drop(writer);
    text.flush().map_err(|e| refused(dataset, e))?;
    Ok((text, (names.mapping(meta), remarks(meta))))
}

/// The table as Parquet, a row group an episode.
pub(super) fn parquet(dataset: &DatasetReader) -> Result<(Vec<u8>, Done), DatasetError> {
    let meta = dataset.meta();
    let (names, rows) = (Names::of(meta), Rows::of(dataset)?);
    let mut columns: Vec<(String, ArrayRef)> = vec![
        (EPISODE.into(), Arc::new(Int64Array::from(rows.episode))),
        (TIME.into(), Arc::new(Float64Array::from(rows.time))),
    ];
    for (name, values) in names.observations.iter().zip(rows.observations) {
        columns.push((name.clone(), Arc::new(Float32Array::from(values))));
    }
    for (name, values) in names.actions.iter().zip(rows.actions) {
        columns.push((name.clone(), Arc::new(Float32Array::from(values))));
    }
    if names.rewards {
        columns.push((REWARD.into(), Arc::new(Float64Array::from(rows.rewards))));
    }
    for (name, values) in [(TERMINATED, rows.terminated), (TRUNCATED, rows.truncated)] {
        columns.push((name.into(), Arc::new(BooleanArray::from(values))));
    }
    let write = || -> parquet::errors::Result<Vec<u8>> {
        let batch = RecordBatch::try_from_iter(columns)?;
        write_groups(
            &batch,
            meta.episodes.iter().map(|e| e.total_steps + 1),
            WriterProperties::builder(),
        )
    };
    let bytes = write().map_err(|e| refused(dataset, e))?;
    Ok((bytes, (names.mapping(meta), remarks(meta))))
}

/// A Parquet file with row groups of these many rows.
pub(super) fn write_groups(
    batch: &RecordBatch,
    rows: impl Iterator<Item = usize>,
    properties: parquet::file::properties::WriterPropertiesBuilder,
) -> parquet::errors::Result<Vec<u8>> {
    let properties = properties
        .set_max_row_group_row_count(Some(batch.num_rows().max(1)))
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    let mut from = 0;
    for rows in rows {
        writer.write(&batch.slice(from, rows))?;
        writer.flush()?;
        from += rows;
    }
    writer.into_inner()
}
