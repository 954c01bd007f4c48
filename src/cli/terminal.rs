//! The terminal as a listener: progress bars, remarks on standard error, signals that stop the work.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::common::{Output, interrupt_flag};
use super::ui::{Counter, describe_metrics};
use crate::app::Progress;
use crate::error::Error;

/// Shows progress; a signal to stop sets its flag.
pub struct Terminal {
    output: Output,
    interrupt: Arc<AtomicBool>,
    counter: Mutex<Option<Counter>>,
}

impl Terminal {
    /// Installs the signal handlers.
    pub fn new(output: Output) -> Result<Self, Error> {
        Ok(Self::stopped_by(interrupt_flag()?, output))
    }

    /// Uses an existing stop flag.
    pub fn stopped_by(interrupt: Arc<AtomicBool>, output: Output) -> Self {
        Self {
            output,
            interrupt,
            counter: Mutex::new(None),
        }
    }

    fn counter(&self) -> MutexGuard<'_, Option<Counter>> {
        self.counter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Terminal {
    fn begin(&self, stage: &str, total: usize) {
        *self.counter() = Some(Counter::new(self.output, stage, total));
    }

    fn advance(&self, done: usize, message: &str) {
        if let Some(counter) = self.counter().as_mut() {
            counter.at(done, message);
        }
    }

    fn metrics(&self, line: &Map<String, Value>) {
        let iteration = line.get("iteration").and_then(Value::as_u64);
        let done = iteration.map_or(0, |i| i as usize + 1);
        self.advance(done, &describe_metrics(line));
    }

    fn end(&self) {
        if let Some(counter) = self.counter().take() {
            counter.finish();
        }
    }

    fn remark(&self, text: &str) {
        self.output.remark(text);
    }

    fn interrupt(&self) -> &AtomicBool {
        &self.interrupt
    }
}
