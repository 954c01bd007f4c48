//! An episode as Parquet columns, both ways. The layout is in the module above.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int64Array,
    RecordBatch,
};
use arrow_schema::{DataType, Field, Schema};
use costate_envs::{End, EnvSpec, Episode, Space, Trajectory};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::WriterProperties;

use super::error::{DatasetError, one_line};
use super::footer;

/// The bytes of episode `id`'s Parquet file; `true_cost` is null throughout unless its costs are known.
pub fn encode(id: usize, episode: &Episode, costs_known: bool) -> Result<Vec<u8>, String> {
    let trajectory = &episode.trajectory;
    let steps = trajectory.len();
    let rows = steps + 1;
    let mut actions = trajectory.actions().to_vec();
    actions.resize(rows * trajectory.action_dim(), 0.0);
    let log_densities = trajectory.log_densities();
    let flag = |end: End| -> ArrayRef {
        let is_end = |t| t + 1 == steps && trajectory.end() == end;
        Arc::new((0..rows).map(|t| Some(is_end(t))).collect::<BooleanArray>())
    };
    let nullable = |value: &dyn Fn(usize) -> Option<f64>| -> ArrayRef {
        Arc::new((0..rows).map(value).collect::<Float64Array>())
    };
    let costs = &episode.costs;
    let rewards = costs.iter().map(|c| -c).chain([0.0]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![id as i64; rows])),
        Arc::new(Int64Array::from_iter_values(0..rows as i64)),
        list(
            trajectory.observations().to_vec(),
            trajectory.observation_dim(),
        ),
        list(actions, trajectory.action_dim()),
        Arc::new(Float64Array::from_iter_values(rewards)),
        flag(End::Terminated),
        flag(End::Truncated),
        nullable(&|t| costs.get(t).copied().filter(|_| costs_known)),
        nullable(&|t| log_densities.and_then(|d| d.get(t).copied())),
    ];
    let schema = schema(trajectory.observation_dim(), trajectory.action_dim());
    let write = || -> parquet::errors::Result<Vec<u8>> {
        let batch = RecordBatch::try_new(schema.clone(), columns)?;
        // Floats rarely repeat: dictionaries only cost space and time. One row group an episode: readers as Minari
        // take what is in one group together.
        let properties = WriterProperties::builder()
            .set_max_row_group_row_count(Some(rows))
            .set_compression(Compression::SNAPPY)
            .set_dictionary_enabled(false)
            .build();
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties))?;
        writer.write(&batch)?;
        writer.into_inner()
    };
    write().map_err(one_line)
}

fn list(values: Vec<f32>, width: usize) -> ArrayRef {
    let values = Arc::new(Float32Array::from(values));
    Arc::new(FixedSizeListArray::new(item(), width as i32, values, None))
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Float32, false))
}

fn list_type(width: usize) -> DataType {
    DataType::FixedSizeList(item(), width as i32)
}

fn schema(observation_dim: usize, action_dim: usize) -> Arc<Schema> {
    let required = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        required("episode", DataType::Int64),
        required("step", DataType::Int64),
        required("observations", list_type(observation_dim)),
        required("actions", list_type(action_dim)),
        required("rewards", DataType::Float64),
        required("terminations", DataType::Boolean),
        required("truncations", DataType::Boolean),
        Field::new("true_cost", DataType::Float64, true),
        Field::new("log_density", DataType::Float64, true),
    ]))
}

/// The columns of a Parquet file that may be damaged.
///
/// The decoder trusts any footer it can parse and panics on some damaged ones. Known cases are
/// refused before; any other panic becomes an error as well.
pub(crate) fn read_parquet(bytes: Vec<u8>) -> Result<(Arc<Schema>, Vec<RecordBatch>), String> {
    footer::check(&mut Cursor::new(&bytes))?;
    let length = bytes.len() as u64;
    let read = || -> parquet::errors::Result<(Arc<Schema>, Vec<RecordBatch>)> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes))?;
        for group in builder.metadata().row_groups() {
            if let Some(chunk) = group.columns().iter().find(|c| !lies_within(c, length)) {
                return Err(ParquetError::General(format!(
                    "its footer places column `{}` outside the file",
                    chunk.column_path()
                )));
            }
        }
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<_, _>>()?;
        Ok((schema, batches))
    };
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(one_line),
        Err(_) => Err("its contents are damaged: the Parquet decoder failed".into()),
    }
}

/// Whether a column's pages lie within a file of `length` bytes.
fn lies_within(chunk: &ColumnChunkMetaData, length: u64) -> bool {
    let start = chunk
        .dictionary_page_offset()
        .unwrap_or(chunk.data_page_offset());
    match (u64::try_from(start), u64::try_from(chunk.compressed_size())) {
        (Ok(start), Ok(size)) => start.checked_add(size).is_some_and(|end| end <= length),
        _ => false,
    }
}

/// Reads episode `id` from the bytes of `path`; every value is checked against `spec`. Costs that are not known are 0.
pub fn decode(
    path: &Path,
    bytes: Vec<u8>,
    id: usize,
    seed: u64,
    spec: &EnvSpec,
    costs_known: bool,
) -> Result<Episode, DatasetError> {
    let unreadable = |reason: String| DatasetError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let (schema, batches) = read_parquet(bytes).map_err(unreadable)?;
    let reader = Columns {
        path,
        schema: &schema,
        batches: &batches,
    };
    let observations = reader.lists("observations", &spec.observation)?;
    let mut actions = reader.lists("actions", &spec.action)?;
    let rows = observations.len() / spec.observation.dim();
    let steps = rows.checked_sub(1).filter(|t| *t > 0).ok_or_else(|| {
        unreadable(format!(
            "it has {rows} rows, expected at least 2 (T steps, T + 1 rows)"
        ))
    })?;
    actions.truncate(steps * spec.action.dim());
    reader.finite("observations", &observations, &spec.observation)?;
    reader.finite("actions", &actions, &spec.action)?;
    reader.count("episode", |_| id)?;
    reader.count("step", |row| row)?;
    let costs = match (reader.required_f64("true_cost", steps)?, costs_known) {
        (Some(costs), true) => costs,
        (None, false) => vec![0.0; steps],
        (found, _) => {
            let reason = match found {
                None => "it is empty, expected one number per step",
                Some(_) => "it has numbers, but meta.json says that no rewards were imported",
            };
            return Err(reader.column("true_cost", reason.into()));
        }
    };
    let log_densities = reader.required_f64("log_density", steps)?;
    let end = reader.end(steps)?;
    let trajectory = Trajectory::new(
        spec.observation.dim(),
        spec.action.dim(),
        observations,
        actions,
        log_densities,
        end,
    )
    .map_err(|e| unreadable(e.to_string()))?;
    Ok(Episode {
        seed,
        trajectory,
        costs,
        success: None,
    })
}

/// The items of a row of a list array of any kind; `None` for a null row.
pub(crate) fn items(array: &dyn Array, row: usize) -> Option<ArrayRef> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().value(row)),
        DataType::List(_) => Some(array.as_list::<i32>().value(row)),
        DataType::LargeList(_) => Some(array.as_list::<i64>().value(row)),
        _ => None,
    }
}

/// Typed access to a file's columns, with errors that name the location.
struct Columns<'a> {
    path: &'a Path,
    schema: &'a Schema,
    batches: &'a [RecordBatch],
}

impl Columns<'_> {
    fn column(&self, column: &str, reason: String) -> DatasetError {
        DatasetError::Column {
            path: self.path.to_owned(),
            column: column.into(),
            reason,
        }
    }

    fn value(&self, row: usize, field: impl Into<String>, reason: String) -> DatasetError {
        DatasetError::Value {
            path: self.path.to_owned(),
            row,
            field: field.into(),
            reason,
        }
    }

    /// The column's arrays, one per batch, after a check of its type.
    fn arrays(
        &self,
        name: &str,
        expected: &str,
        fits: impl Fn(&DataType) -> bool,
    ) -> Result<Vec<&ArrayRef>, DatasetError> {
        let (index, field) = self.schema.column_with_name(name).ok_or_else(|| {
            let found: Vec<&str> = self
                .schema
                .fields()
                .iter()
                .map(|f| f.name().as_str())
                .collect();
            let found = found.join(", ");
            self.column(
                name,
                format!(
                    "missing; this is not an episode of a Costate dataset (its columns: {found})"
                ),
            )
        })?;
        if !fits(field.data_type()) {
            let reason = format!(
                "type is {}, expected {expected}",
                one_line(field.data_type())
            );
            return Err(self.column(name, reason));
        }
        Ok(self.batches.iter().map(|b| b.column(index)).collect())
    }

    /// A list column of a space's width, row-major. Other writers make lists of equal length of fixed-size ones, and
    /// float64 of float32: these are taken as well.
    fn lists(&self, name: &str, space: &Space) -> Result<Vec<f32>, DatasetError> {
        let width = space.dim();
        let expected = format!("a list of {width} f32 or f64 (as in the spec of meta.json)");
        let number = |item: &DataType| matches!(item, DataType::Float32 | DataType::Float64);
        let fits = |kind: &DataType| match kind {
            DataType::FixedSizeList(item, n) => *n as usize == width && number(item.data_type()),
            DataType::List(item) | DataType::LargeList(item) => number(item.data_type()),
            _ => false,
        };
        let mut values = Vec::new();
        for array in self.arrays(name, &expected, fits)? {
            let before = values.len() / width;
            for row in 0..array.len() {
                let items = items(array, row).filter(|items| items.null_count() == 0);
                let Some(items) = items else {
                    return Err(
                        self.column(name, "it has nulls, expected a number everywhere".into())
                    );
                };
                if items.len() != width {
                    let reason = format!("{} numbers, expected {width}", items.len());
                    return Err(self.value(before + row, name, reason));
                }
                match items.as_primitive_opt::<Float32Type>() {
                    Some(items) => values.extend_from_slice(items.values()),
                    None => {
                        let items = items.as_primitive::<Float64Type>().values();
                        values.extend(items.iter().map(|v| *v as f32));
                    }
                }
            }
        }
        Ok(values)
    }

    fn finite(&self, name: &str, values: &[f32], space: &Space) -> Result<(), DatasetError> {
        match values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            None => Ok(()),
            Some((i, value)) => {
                let channel = i % space.dim();
                let field = format!("{name}[{channel}] ({})", space.0[channel].name);
                let reason = format!("found {value}, expected a finite number");
                Err(self.value(i / space.dim(), field, reason))
            }
        }
    }

    /// Checks a counter column.
    fn count(&self, name: &str, expected: impl Fn(usize) -> usize) -> Result<(), DatasetError> {
        let arrays = self.arrays(name, "int64", |t| *t == DataType::Int64)?;
        let values = arrays.iter().flat_map(|a| a.as_primitive::<Int64Type>());
        for (row, value) in values.enumerate() {
            let expected = expected(row);
            if value != Some(expected as i64) {
                let found = value.map_or("nothing".into(), |v| v.to_string());
                return Err(self.value(row, name, format!("found {found}, expected {expected}")));
            }
        }
        Ok(())
    }

    /// The first `steps` values: all present and finite, or none at all.
    fn required_f64(&self, name: &str, steps: usize) -> Result<Option<Vec<f64>>, DatasetError> {
        let arrays = self.arrays(name, "double", |t| *t == DataType::Float64)?;
        let values: Vec<Option<f64>> = arrays
            .iter()
            .flat_map(|a| a.as_primitive::<Float64Type>())
            .take(steps)
            .collect();
        if values.iter().all(Option::is_none) {
            return Ok(None);
        }
        let number = |(row, value): (usize, Option<f64>)| match value {
            Some(v) if v.is_finite() => Ok(v),
            other => {
                let found = other.map_or("nothing".into(), |v| v.to_string());
                Err(self.value(
                    row,
                    name,
                    format!("found {found}, expected a finite number"),
                ))
            }
        };
        values
            .into_iter()
            .enumerate()
            .map(number)
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// How the episode ended: one flag, in the last step only.
    fn end(&self, steps: usize) -> Result<End, DatasetError> {
        let flags = |name| -> Result<Vec<bool>, DatasetError> {
            let arrays = self.arrays(name, "bool", |t| *t == DataType::Boolean)?;
            let values = arrays.iter().flat_map(|a| a.as_boolean());
            Ok(values.map(|v| v == Some(true)).collect())
        };
        let (terminations, truncations) = (flags("terminations")?, flags("truncations")?);
        let last = steps - 1;
        for (name, column) in [
            ("terminations", &terminations),
            ("truncations", &truncations),
        ] {
            if let Some(row) = (0..=steps).find(|&row| row != last && column[row]) {
                let reason = format!("found true, expected an end in row {last} only");
                return Err(self.value(row, name, reason));
            }
        }
        match (terminations[last], truncations[last]) {
            (true, false) => Ok(End::Terminated),
            (false, true) => Ok(End::Truncated),
            (both, _) => {
                let found = if both { "both true" } else { "both false" };
                let reason = format!("{found}, expected exactly one true in the last step");
                Err(self.value(last, "terminations and truncations", reason))
            }
        }
    }
}
