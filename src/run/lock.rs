//! One writer a run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::Error;

/// The file whose lock is the run's. It stays; the kernel drops the lock when its holder ends, however it does.
pub const FILE: &str = ".lock";

/// Locks a run folder against other writers for as long as the result lives.
///
/// Errors: another process holds it.
pub fn take(folder: &Path) -> Result<File, Error> {
    let path = folder.join(FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::io(&path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::Failure(format!(
                "{}: another process is at work on this run; wait for it, or stop it first",
                folder.display()
            )));
        }
        // Some network file systems have no locks.
        Err(TryLockError::Error(e)) => tracing::warn!(
            "{}: cannot be locked ({e}); see to it that no other process works on this run",
            path.display()
        ),
    }
    Ok(file)
}
