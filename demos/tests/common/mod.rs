//! Small valid datasets to read, to break and to compare.
#![allow(dead_code)] // each test file uses its part

use std::fs::{self, File};
use std::path::Path;

use arrow_array::{ArrayRef, RecordBatch};
use costate_demos::dataset::{ExpertInfo, Header};
use costate_demos::{Dataset, DatasetError, DatasetWriter};
use costate_envs::{Channel, End, EnvConfig, EnvSpec, Episode, Space, Trajectory};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};

/// A header for an environment with `n` observations, `m` actions and horizon 50.
pub fn header(n: usize, m: usize, log_density_known: bool) -> Header {
    let channels = |prefix: &str, k: usize| {
        Space(
            (0..k)
                .map(|i| Channel::new(&format!("{prefix}{i}"), "m", -1e9, 1e9))
                .collect(),
        )
    };
    Header {
        env: EnvConfig {
            vary: Default::default(),
            name: "lq".into(),
            model: json!({ "mass_kg": 1.5 }),
        },
        spec: EnvSpec {
            name: "lq".into(),
            summary: "a test".into(),
            horizon: 50,
            control_period_s: 0.02,
            observation: channels("s", n),
            action: channels("a", m),
        },
        expert: ExpertInfo {
            name: "lqr".into(),
            parameters: json!({}),
            action_noise_std: vec![0.1; m],
            log_density_known,
        },
        seed: 7,
    }
}

/// An episode of `steps` steps whose numbers all differ.
pub fn episode(n: usize, m: usize, steps: usize, known: bool, end: End) -> Episode {
    let number = |i: usize| (i as f32 * 0.37).sin() * 3.0;
    let trajectory = Trajectory::new(
        n,
        m,
        (0..(steps + 1) * n).map(number).collect(),
        (0..steps * m).map(|i| number(i + 1000)).collect(),
        known.then(|| (0..steps).map(|t| -0.1 * t as f64).collect()),
        end,
    )
    .unwrap();
    Episode {
        seed: u64::MAX - steps as u64,
        trajectory,
        costs: (0..steps).map(|t| 0.5 + t as f64 / 3.0).collect(),
        success: Some(steps.is_multiple_of(2)),
    }
}

/// A finished dataset of three episodes with two observations and one action.
pub fn small(folder: &Path) {
    let mut writer = DatasetWriter::create(folder, header(2, 1, true)).unwrap();
    for steps in [4, 5, 6] {
        writer
            .append(&episode(2, 1, steps, true, End::Truncated))
            .unwrap();
    }
    writer.finish().unwrap();
}

/// The one line `Dataset::open` refuses with.
pub fn refusal(folder: &Path) -> String {
    one_line(&Dataset::open(folder).unwrap_err())
}

/// The message, which must be one line without the folder's name repeated as a debug dump.
pub fn one_line(error: &DatasetError) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

/// Edits `meta.json`.
pub fn edit_meta(folder: &Path, edit: impl FnOnce(&mut Value)) {
    let path = folder.join("meta.json");
    let mut meta: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    edit(&mut meta);
    fs::write(path, meta.to_string()).unwrap();
}

/// Rewrites a data file with other columns, as a user with a data-frame library would.
pub fn edit_columns(
    file: &Path,
    edit: impl FnOnce(Vec<(String, ArrayRef)>) -> Vec<(String, ArrayRef)>,
) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).unwrap()).unwrap();
    let batch = reader.build().unwrap().next().unwrap().unwrap();
    let schema = batch.schema();
    let names = schema.fields().iter().map(|f| f.name().clone());
    let columns = edit(names.zip(batch.columns().iter().cloned()).collect());
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// Replaces one column in [`edit_columns`].
pub fn replace_column(columns: &mut [(String, ArrayRef)], name: &str, array: ArrayRef) {
    let column = columns.iter_mut().find(|(n, _)| n == name).unwrap();
    column.1 = array;
}
