//! Who hears how far work is, and may stop it.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value};

/// A listener to work. One stage is under way at a time; threads may report to it at once.
pub trait Progress: Sync {
    /// A stage of `total` steps begins.
    fn begin(&self, _stage: &str, _total: usize) {}

    /// `done` of the stage's steps are done.
    fn advance(&self, _done: usize, _message: &str) {}

    /// An iteration of the stage is done, with its line of metrics as in `metrics.jsonl`.
    fn metrics(&self, _line: &Map<String, Value>) {}

    /// The stage is over.
    fn end(&self) {}

    /// What a user should know and no result says.
    fn remark(&self, _text: &str) {}

    /// Set from elsewhere to stop the work, which then leaves complete files.
    fn interrupt(&self) -> &AtomicBool;

    /// Whether the work is to stop.
    fn interrupted(&self) -> bool {
        self.interrupt().load(Ordering::SeqCst)
    }
}

/// A flag alone: nobody listens, and setting it stops the work.
impl Progress for AtomicBool {
    fn interrupt(&self) -> &AtomicBool {
        self
    }
}
