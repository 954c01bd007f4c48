//! Commands that a signal ends within seconds, whatever they are doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::common::{Output, interrupt_flag};
use super::terminal::Terminal;
use crate::error::Error;
use crate::evaluate::workers::interrupted;

/// How long interrupted work may take to stop by itself.
const GRACE: Duration = Duration::from_secs(3);
/// Stack size, equal to the main thread's.
const STACK: usize = 8 << 20;

/// Runs `work`, which should poll the terminal's flag, set by a signal; if it does not stop within [`GRACE`], as
/// within a long statistic, its thread is abandoned and the program exits. Files are complete or absent at any moment.
pub fn stoppable(
    output: Output,
    work: impl FnOnce(&Terminal) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let flag = interrupt_flag()?;
    let terminal = Terminal::stopped_by(flag.clone(), output);
    within(GRACE, flag, move |_| work(&terminal)).unwrap_or_else(leave)
}

/// Result of `work`; `None` if it runs on for `grace` after the flag was set.
fn within(
    grace: Duration,
    flag: Arc<AtomicBool>,
    work: impl FnOnce(&AtomicBool) -> Result<(), Error> + Send + 'static,
) -> Option<Result<(), Error>> {
    let (done, result) = mpsc::channel();
    let seen = flag.clone();
    let thread = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            let found = work(&seen);
            // The receiver is gone if this thread was abandoned.
            let _ = done.send(found);
        });
    let thread = match thread {
        Ok(thread) => thread,
        Err(e) => return Some(Err(Error::Failure(format!("cannot start a thread: {e}")))),
    };
    let mut told: Option<Instant> = None;
    loop {
        match result.recv_timeout(Duration::from_millis(50)) {
            Ok(found) => return Some(found),
            // It panicked: resume the panic here.
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Some(Err(interrupted())),
            },
            Err(RecvTimeoutError::Timeout) if flag.load(Ordering::SeqCst) => {
                if told.get_or_insert_with(Instant::now).elapsed() > grace {
                    return None;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Exits like a failed command, without running destructors of libraries that a thread still uses.
fn leave() -> Result<(), Error> {
    let error = interrupted();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        eprintln!("costate: {error}");
        // SAFETY: does not touch our memory.
        unsafe { libc::_exit(i32::from(error.exit_code())) }
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag(set: bool) -> Arc<AtomicBool> {
        Arc::new(AtomicBool::new(set))
    }

    #[test]
    fn work_that_does_not_look_is_left_behind() {
        let grace = Duration::from_millis(200);
        let began = Instant::now();
        let found = within(grace, flag(true), |_| {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        });
        assert!(found.is_none() && began.elapsed() < Duration::from_secs(20));
        let found = within(grace, flag(true), |f| {
            assert!(f.load(Ordering::SeqCst));
            Err(Error::Failure("stopped".into()))
        });
        assert_eq!(found.unwrap().unwrap_err().to_string(), "stopped");
        assert!(within(grace, flag(false), |_| Ok(())).unwrap().is_ok());
    }
}
