//! Atomic file writes.

use std::fs;
use std::path::Path;

use costate_base::disk;
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

/// Atomically replaces `path` with `bytes`: readers see the old file or the new one.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(disk::replace(path, bytes)?)
}

/// Atomically replaces `path` with `value` as indented JSON.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::Failure(format!("{}: {e}", path.display())))?;
    write_atomic(path, (text + "\n").as_bytes())
}

/// Reads a JSON file, if it exists.
pub fn read_json(path: &Path) -> Result<Option<Value>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text)
            .map(Some)
            .map_err(|e| Error::Failure(format!("{}: {e}", path.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path)(e)),
    }
}

/// Writes and syncs a new file that has no readers yet.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    Ok(disk::write_synced(path, bytes)?)
}

/// Creates a folder for a command's output; refuses one that is not empty.
pub fn create_output_folder(path: &Path) -> Result<(), Error> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Misuse(format!(
                "{}: the output folder exists and is not empty; choose another with -o, or remove it",
                path.display()
            ))),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(disk::create_folders(path)?),
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(Error::Misuse(format!(
            "{}: is a file, expected a folder to create; choose another with -o",
            path.display()
        ))),
        Err(e) => Err(Error::io(path)(e)),
    }
}
