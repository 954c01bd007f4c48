//! TensorBoard event files: TFRecord-framed protobuf `Event` messages with scalar summaries.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::metric::Metric;

const PREFIX: &str = "events.out.tfevents.";

/// Appends scalars to one event file.
#[derive(Debug)]
pub struct EventWriter {
    file: File,
}

impl EventWriter {
    /// A new event file in `folder` for steps from `first` on. If files exist already, readers are told to
    /// discard their data for these steps.
    pub fn create(folder: &Path, first: u64) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let newest = newest(folder)?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        // Readers sort files by name: the name must follow all earlier ones.
        let seconds = newest.map_or(now, |newest| now.max(newest + 1));
        let name = format!("{PREFIX}{seconds}.costate.{}", std::process::id());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join(name))?;
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
    pub fn scalars(&mut self, step: u64, scalars: &[(Metric, f64)]) -> std::io::Result<()> {
        let mut summary = Vec::new();
        for (metric, value) in scalars {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, metric.key().as_bytes());
            key(&mut entry, 2, 5);
            entry.extend_from_slice(&(*value as f32).to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        let mut event = wall_time();
        key(&mut event, 2, 0);
        varint(&mut event, step);
        bytes_field(&mut event, 5, &summary);
        self.record(&event)
    }

    /// length, masked CRC of the length, data, masked CRC of the data.
    fn record(&mut self, data: &[u8]) -> std::io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        let mut out = Vec::with_capacity(data.len() + 16);
        out.extend_from_slice(&length);
        out.extend_from_slice(&masked_crc(&length).to_le_bytes());
        out.extend_from_slice(data);
        out.extend_from_slice(&masked_crc(data).to_le_bytes());
        self.file.write_all(&out)
    }
}

/// The time in the name of the newest event file in `folder`.
fn newest(folder: &Path) -> std::io::Result<Option<u64>> {
    let names = std::fs::read_dir(folder)?.flatten().map(|e| e.file_name());
    let times = names.filter_map(|name| {
        let rest = name.to_str()?.strip_prefix(PREFIX)?;
        rest.split('.').next()?.parse().ok()
    });
    Ok(times.max())
}

fn wall_time() -> Vec<u8> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let mut event = Vec::new();
    key(&mut event, 1, 1);
    event.extend_from_slice(&now.to_le_bytes());
    event
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
