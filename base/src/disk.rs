//! Files that are either complete or absent, and known to be on disk.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process;

use sha2::{Digest, Sha256};

/// A failed file operation.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct DiskError {
    /// What was attempted, e.g. `write`.
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl DiskError {
    /// Wraps a system error with what was attempted on what.
    pub fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of the first part, of the first two in a row, and so on: one pass over all of them.
pub fn sha256_of_beginnings<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = String> {
    parts.into_iter().scan(Sha256::new(), |so_far, part| {
        so_far.update(part);
        Some(hexadecimal(&so_far.clone().finalize()))
    })
}

/// A digest in hexadecimal.
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes and syncs a new file.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let mut file = File::create(path).map_err(DiskError::new("create", path))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(DiskError::new("write", path))
}

/// Replaces `path` by a file of `bytes`: readers see the old or the new contents, never a partial file.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let beside = path.with_added_extension("tmp");
    write_synced(&beside, bytes)
        .and_then(|()| rename(&beside, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&beside);
        })
}

/// Renames a file or folder and syncs the folder that holds it.
pub fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).map_err(DiskError::new("write", to))?;
    match to.parent() {
        // A bare file name is in the current folder.
        Some(folder) if folder == Path::new("") => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Makes a folder, absent or empty before, as a whole: `make` fills one beside it, which then takes its name. After a
/// failure nothing is left.
///
/// Errors: `Ok(None)` if there is something in the folder, or a file in its place.
pub fn new_folder<T, E: From<DiskError>>(
    folder: &Path,
    make: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<Option<T>, E> {
    let empty = fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_none());
    let Some(name) = folder.file_name() else {
        return Ok(None);
    };
    if folder.symlink_metadata().is_ok() && !empty {
        return Ok(None);
    }
    let name = format!(".{}.making-{}", name.to_string_lossy(), process::id());
    let beside = folder.with_file_name(name);
    let made = make(&beside).and_then(|made| {
        if empty {
            fs::remove_dir(folder).map_err(DiskError::new("replace", folder))?;
        }
        rename(&beside, folder)?;
        Ok(made)
    });
    made.map(Some).inspect_err(|_| {
        let _ = fs::remove_dir_all(&beside);
    })
}

/// Makes the entries of a folder durable; a no-op where folders cannot be synced.
pub fn sync_folder(path: &Path) -> Result<(), DiskError> {
    if cfg!(unix) {
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(DiskError::new("sync", path))?;
    }
    Ok(())
}

/// Locks a folder for this process while the result lives; `None` if another process holds it. A no-op where folders
/// cannot be locked.
pub fn claim(folder: &Path) -> Result<Option<Claim>, DiskError> {
    if !cfg!(unix) {
        return Ok(Some(Claim(None)));
    }
    let file = File::open(folder).map_err(DiskError::new("open", folder))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // Some network file systems do not support locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Claim(Some(file)))),
    }
}

/// A folder lock; the system releases it when the process ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not read")] Option<File>);

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, DiskError> {
    fs::read(path).map_err(DiskError::new("read", path))
}
