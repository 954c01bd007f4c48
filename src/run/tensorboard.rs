//! TensorBoard event files: TFRecord-framed protobuf `Event` messages with scalars, histograms and hyperparameters.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use costate_base::disk::{self, Appender, DiskError};
use serde_json::Value;

use crate::metric::Metric;

const PREFIX: &str = "events.out.tfevents.";

/// Buckets of a histogram.
const BUCKETS: usize = 30;

/// Appends to one event file.
#[derive(Debug)]
pub struct EventWriter {
    file: Appender,
}

impl EventWriter {
    /// A new event file in `folder` for steps from `first` on. If files exist already, readers are told to
    /// discard their data for these steps.
    pub fn create(folder: &Path, first: u64) -> Result<Self, DiskError> {
        disk::create_folders(folder)?;
        let newest = newest(folder)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        // Readers sort files by name: the name must follow all earlier ones.
        let seconds = newest.map_or(now, |newest| now.max(newest + 1));
        let name = format!("{PREFIX}{seconds}.costate.{}", std::process::id());
        let file = Appender::open(&folder.join(name))?;
        let mut writer = Self { file };
        let mut event = wall_time();
        bytes_field(&mut event, 3, b"brain.Event:2");
        writer.record(&event)?;
        if newest.is_some() {
            // SessionLog { status: START }.
            let mut event = wall_time();
            key(&mut event, 2, 0);
            varint(&mut event, first);
            bytes_field(&mut event, 7, &[0x08, 1]);
            writer.record(&event)?;
        }
        Ok(writer)
    }

    /// Appends `scalars` at `step`.
    pub fn scalars(&mut self, step: u64, scalars: &[(Metric, f64)]) -> Result<(), DiskError> {
        let mut summary = Vec::new();
        for (metric, value) in scalars {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, metric.key().as_bytes());
            key(&mut entry, 2, 5);
            entry.extend_from_slice(&(*value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        self.summary(step, &summary)
    }

    /// Appends histograms of `values` at `step`, by tag. What is not finite is left out.
    pub fn histograms(
        &mut self,
        step: u64,
        values: &[(String, Vec<f64>)],
    ) -> Result<(), DiskError> {
        let mut summary = Vec::new();
        for (tag, values) in values {
            let Some(histogram) = histogram(values) else {
                continue;
            };
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes());
            bytes_field(&mut entry, 5, &histogram);
            bytes_field(&mut summary, 1, &entry);
        }
        match summary.is_empty() {
            true => Ok(()),
            false => self.summary(step, &summary),
        }
    }

    /// Says with which settings a run began, for the page of hyperparameters.
    pub fn hyperparameters(&mut self, settings: &[(String, Value)]) -> Result<(), DiskError> {
        let mut start = Vec::new();
        for (name, setting) in settings {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, name.as_bytes());
            bytes_field(&mut entry, 2, &value(setting));
            bytes_field(&mut start, 1, &entry);
        }
        double_field(&mut start, 5, seconds());
        self.plugin("_hparams_/session_start_info", 3, &start)
    }

    /// Says that the run is finished.
    pub fn finished(&mut self) -> Result<(), DiskError> {
        let mut end = Vec::new();
        // STATUS_SUCCESS.
        key(&mut end, 1, 0);
        varint(&mut end, 1);
        double_field(&mut end, 2, seconds());
        self.plugin("_hparams_/session_end_info", 4, &end)
    }

    /// Data of the plugin `hparams` (tensorboard/plugins/hparams/plugin_data.proto) in field `field`.
    fn plugin(&mut self, tag: &str, field: u64, content: &[u8]) -> Result<(), DiskError> {
        let mut data = Vec::new();
        bytes_field(&mut data, field, content);
        let mut plugin = Vec::new();
        bytes_field(&mut plugin, 1, b"hparams");
        bytes_field(&mut plugin, 2, &data);
        let mut metadata = Vec::new();
        bytes_field(&mut metadata, 1, &plugin);
        let mut entry = Vec::new();
        bytes_field(&mut entry, 1, tag.as_bytes());
        // TensorBoard keeps summaries with a tensor alone: an empty one, float32 of shape [0].
        bytes_field(&mut entry, 8, &[0x08, 1, 0x12, 2, 0x12, 0]);
        bytes_field(&mut entry, 9, &metadata);
        let mut summary = Vec::new();
        bytes_field(&mut summary, 1, &entry);
        self.summary(0, &summary)
    }

    fn summary(&mut self, step: u64, summary: &[u8]) -> Result<(), DiskError> {
        let mut event = wall_time();
        key(&mut event, 2, 0);
        varint(&mut event, step);
        bytes_field(&mut event, 5, summary);
        self.record(&event)
    }

    /// length, masked CRC of the length, data, masked CRC of the data.
    fn record(&mut self, data: &[u8]) -> Result<(), DiskError> {
        let length = (data.len() as u64).to_le_bytes();
        let mut out = Vec::with_capacity(data.len() + 16);
        out.extend_from_slice(&length);
        out.extend_from_slice(&masked_crc(&length).to_le_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(&masked_crc(data).to_le_bytes());
        self.file.append(&out)
    }
}

/// A `HistogramProto` of the finite values; `None` without any.
fn histogram(values: &[f64]) -> Option<Vec<u8>> {
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let [min, max] = finite().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], v| {
        [low.min(v), high.max(v)]
    });
    let count = finite().count();
    if count == 0 {
        return None;
    }
    let buckets = if min < max { BUCKETS } else { 1 };
    let width = (max - min) / buckets as f64;
    let mut counts = vec![0.0_f64; buckets];
    for v in finite() {
        let bucket = ((v - min) / width) as usize;
        counts[bucket.min(buckets - 1)] += 1.0;
    }
    let mut out = Vec::new();
    double_field(&mut out, 1, min);
    double_field(&mut out, 2, max);
    double_field(&mut out, 3, count as f64);
    double_field(&mut out, 4, finite().sum());
    double_field(&mut out, 5, finite().map(|v| v * v).sum());
    let limits = (1..=buckets).map(|i| match i == buckets {
        true => max,
        false => min + width * i as f64,
    });
    let packed = |values: &mut dyn Iterator<Item = f64>| -> Vec<u8> {
        values.flat_map(f64::to_le_bytes).collect()
    };
    bytes_field(&mut out, 6, &packed(&mut limits.into_iter()));
    bytes_field(&mut out, 7, &packed(&mut counts.into_iter()));
    Some(out)
}

/// A `google.protobuf.Value`: a number, a flag or a text.
fn value(setting: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    match setting {
        Value::Number(number) => double_field(&mut out, 2, number.as_f64().unwrap_or(f64::NAN)),
        Value::Bool(flag) => {
            key(&mut out, 4, 0);
            varint(&mut out, u64::from(*flag));
        }
        Value::String(text) => bytes_field(&mut out, 3, text.as_bytes()),
        other => bytes_field(&mut out, 3, other.to_string().as_bytes()),
    }
    out
}

/// The time in the name of the newest event file in `folder`.
fn newest(folder: &Path) -> Result<Option<u64>, DiskError> {
    let entries = std::fs::read_dir(folder).map_err(DiskError::new("read", folder))?;
    let names = entries.flatten().map(|e| e.file_name());
    let times = names.filter_map(|name| {
        let rest = name.to_str()?.strip_prefix(PREFIX)?;
        rest.split('.').next()?.parse().ok()
    });
    Ok(times.max())
}

fn seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

fn wall_time() -> Vec<u8> {
    let mut event = Vec::new();
    double_field(&mut event, 1, seconds());
    event
}

fn double_field(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn key(out: &mut Vec<u8>, field: u64, wire_type: u64) {
    varint(out, field << 3 | wire_type);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn bytes_field(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    key(out, field, 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_framed_and_checked() {
        // CRC-32C of "123456789" is 0xE3069283 (RFC 3720 appendix B.4 uses the same polynomial).
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path(), 0).unwrap();
        writer.scalars(300, &[(Metric::Loss, 0.5)]).unwrap();
        let records = records(&files(folder.path())[0]);
        assert_eq!(records.len(), 2);
        let expected = [
            &[0x10, 0xac, 0x02, 0x2a, 13, 0x0a, 11, 0x0a, 4][..],
            b"loss",
            &[0x15],
        ]
        .concat();
        assert_eq!(&records[1][9..9 + expected.len()], &expected[..]);
        assert_eq!(records[1][records[1].len() - 4..], 0.5_f32.to_le_bytes());
    }

    #[test]
    fn a_resumed_run_says_from_where() {
        let folder = tempfile::tempdir().unwrap();
        for first in [0, 300, 7] {
            EventWriter::create(folder.path(), first).unwrap();
        }
        // In order of names, as readers sort them.
        let files = files(folder.path());
        assert_eq!(files.len(), 3);
        assert_eq!(records(&files[0]).len(), 1, "a new run replaces nothing");
        // step, then SessionLog { status: START } (tensorboard/compat/proto/event.proto).
        let started = |file| records(file)[1][9..].to_vec();
        assert_eq!(started(&files[1]), [0x10, 0xac, 0x02, 0x3a, 2, 0x08, 1]);
        assert_eq!(started(&files[2]), [0x10, 7, 0x3a, 2, 0x08, 1]);
    }

    #[test]
    fn histograms_count_finite_values_between_their_ends() {
        let doubles = |bytes: &[u8]| -> Vec<f64> {
            let words = bytes.chunks_exact(8);
            words
                .map(|w| f64::from_le_bytes(w.try_into().unwrap()))
                .collect()
        };
        let values: Vec<f64> = (0..=60).map(f64::from).chain([f64::NAN]).collect();
        let found = histogram(&values).unwrap();
        // Five doubles with a byte of key each, then two packed lists with two bytes of length.
        let field = |i: usize| doubles(&found[9 * i + 1..9 * i + 9])[0];
        assert_eq!(
            [field(0), field(1), field(2), field(3)],
            [0.0, 60.0, 61.0, 1830.0]
        );
        let lists = &found[45..];
        let limits = doubles(&lists[3..243]);
        let counts = doubles(&lists[246..486]);
        assert_eq!((limits[0], limits[29]), (2.0, 60.0));
        assert_eq!(counts.iter().sum::<f64>(), 61.0);
        assert_eq!((counts[0], counts[29]), (2.0, 3.0));
        assert!(histogram(&[f64::NAN]).is_none() && histogram(&[]).is_none());
        assert_eq!(histogram(&[1.5; 4]).unwrap().len(), 45 + 2 * 10);
    }

    fn files(folder: &Path) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut files: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The records of an event file, with its frames checked.
    fn records(file: &Path) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(file).unwrap();
        let mut at = 0;
        let mut records = Vec::new();
        while at < bytes.len() {
            let length = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            let crc = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
            assert_eq!(crc, masked_crc(&bytes[at..at + 8]));
            let data = &bytes[at + 12..at + 12 + length];
            let crc = u32::from_le_bytes(bytes[at + 12 + length..][..4].try_into().unwrap());
            assert_eq!(crc, masked_crc(data));
            records.push(data.to_vec());
            at += length + 16;
        }
        records
    }
}
