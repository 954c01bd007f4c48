//! One writer per run folder.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use costate_base::disk;

use crate::error::Error;

/// The run's lock file. It is never removed; the kernel releases the lock when its holder exits.
pub const FILE: &str = ".lock";

/// Far longer than a look at a lock takes.
const LOOK: Duration = Duration::from_millis(100);

/// Whether another process, or another lock of this one, is writing a run.
pub fn held(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(FILE)) else {
        return false;
    };
    // Shared: those who look do not see each other. Released as the file is closed.
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Locks a run folder against other writers while the result lives.
///
/// Errors: another process holds it.
pub fn take(folder: &Path) -> Result<File, Error> {
    let path = folder.join(FILE);
    let file = disk::lock_file(&path)?;
    let mut taken = file.try_lock();
    if matches!(taken, Err(TryLockError::WouldBlock)) {
        // It may be [`held`] that looks.
        std::thread::sleep(LOOK);
        taken = file.try_lock();
    }
    match taken {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_while_it_is_held_and_looking_does_not_take_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!held(folder.path()), "there is no lock file yet");
        let lock = take(folder.path()).unwrap();
        assert!(held(folder.path()) && held(folder.path()));
        assert!(take(folder.path()).is_err());
        drop(lock);
        assert!(!held(folder.path()));
        let looking = File::open(folder.path().join(FILE)).unwrap();
        looking.try_lock_shared().unwrap();
        let waits = std::thread::spawn({
            let folder = folder.path().to_owned();
            move || take(&folder).is_ok()
        });
        std::thread::sleep(LOOK / 10);
        drop(looking);
        assert!(waits.join().unwrap(), "a look keeps nobody from writing");
    }
}
