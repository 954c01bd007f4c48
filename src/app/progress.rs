//! Listeners that follow work and may stop it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

/// A progress listener. One stage runs at a time; several threads may report at once.
pub trait Progress: Sync {
    /// A stage of `total` steps begins.
    fn begin(&self, _stage: &str, _total: usize) {}

    /// `done` of the stage's steps are done.
    fn advance(&self, _done: usize, _message: &str) {}

    /// An iteration of the stage is done, with its line of metrics as in `metrics.jsonl`.
    fn metrics(&self, _line: &Map<String, Value>) {}

    /// The stage is over.
    fn end(&self) {}

    /// Something that the user should know and that no result contains.
    fn remark(&self, _text: &str) {}

    /// Set it to stop the work, which then leaves complete files.
    fn interrupt(&self) -> &AtomicBool;

    /// Whether the work is to stop.
    fn interrupted(&self) -> bool {
        self.interrupt().load(Ordering::SeqCst)
    }
}

/// A flag alone: discards progress; setting it stops the work.
impl Progress for AtomicBool {
    fn interrupt(&self) -> &AtomicBool {
        self
    }
}
