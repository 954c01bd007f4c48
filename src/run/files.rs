//! Files that are complete or absent.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::error::Error;

/// Writes `bytes` beside `path`, syncs, and renames: readers see the old file or the new one.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        // Best effort: the error that matters is the first.
        let _ = fs::remove_file(&beside);
    }
    written.map_err(Error::io(path))?;
    sync_folder(folder)
}

/// Makes renames and new files in `folder` durable.
pub fn sync_folder(folder: &Path) -> Result<(), Error> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(Error::io(folder))
}

/// Creates a folder for a command's output, and refuses one that holds anything.
pub fn create_output_folder(path: &Path) -> Result<(), Error> {
    match fs::read_dir(path) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Error::Misuse(format!(
                "{}: the output folder exists and is not empty; choose another with -o, or remove it",
                path.display()
            ))),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(Error::io(path))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Err(Error::Misuse(format!(
            "{}: is a file, expected a folder to create; choose another with -o",
            path.display()
        ))),
        Err(e) => Err(Error::io(path)(e)),
    }
}
