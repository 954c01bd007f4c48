//! Cells and rows that are measured at a time, and need the same file or folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A lock for every path that was asked for.
static LOCKS: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());

/// Does something to a file or folder while nobody else of this process does.
pub fn alone<T>(path: &Path, action: impl FnOnce() -> T) -> T {
    let lock = {
        let mut locks = LOCKS.lock().unwrap_or_else(PoisonError::into_inner);
        locks.entry(path.to_owned()).or_default().clone()
    };
    // A panic of whoever had it before says nothing about what is on disk.
    let _turn = lock.lock().unwrap_or_else(PoisonError::into_inner);
    action()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn those_of_a_path_take_turns_and_others_do_not_wait() {
        let inside = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        alone(Path::new("one"), || {
                            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                            // Ends at all.
                            alone(Path::new("other"), std::thread::yield_now);
                            inside.fetch_sub(1, Ordering::SeqCst);
                        });
                    }
                });
            }
        });
    }
}
