//! One writer per run folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::Error;

/// The run's lock file. It is never removed; the kernel releases the lock when its holder exits.
pub const FILE: &str = ".lock";

/// Locks a run folder against other writers while the result lives.
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
                "{}: another process is using this run; wait for it, or stop it first",
                folder.display()
            )));
        }
        // Some network file systems do not support locks.
        Err(TryLockError::Error(e)) => tracing::warn!(
            "{}: cannot be locked ({e}); make sure that no other process uses this run",
            path.display()
        ),
    }
    Ok(file)
}
