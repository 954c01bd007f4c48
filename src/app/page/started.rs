//! The processes that this page started, by their runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::super::run_name;
use super::process::{Ending, Process, Told};
use crate::error::Error;

/// How often a process is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(20);
/// How long a training may take to read its demonstrations and make its folder.
const START: Duration = Duration::from_secs(300);
/// How long closing waits for last checkpoints; those that take longer are written without the page.
const GRACE: Duration = Duration::from_secs(10);

/// What is known of the process of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Now {
    /// This page started none.
    Unknown,
    /// It works, or stands still.
    Works(Told),
    /// It ended.
    Ended(Ending),
}

/// The processes.
pub(super) struct Started {
    program: PathBuf,
    /// `None` once closed.
    processes: Mutex<Option<BTreeMap<PathBuf, Process>>>,
}

impl Started {
    pub(super) fn new(program: PathBuf) -> Self {
        Self {
            program,
            processes: Mutex::new(Some(BTreeMap::new())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<PathBuf, Process>>> {
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process of a run does.
    pub(super) fn now(&self, run: &Path) -> Now {
        let mut processes = self.lock();
        let process = processes.as_mut().and_then(|all| all.get_mut(&place(run)));
        match process.map(Process::look) {
            Some(Ok(Ok(told))) => Now::Works(told),
            Some(Ok(Err(ending))) => Now::Ended(ending),
            // It cannot be waited for: it is not ours to steer.
            Some(Err(_)) | None => Now::Unknown,
        }
    }

    /// Starts a training that makes the folder `run`, and waits until it is there.
    ///
    /// Errors: it fails before that, or does not come that far.
    pub(super) fn train(&self, run: &Path, words: Vec<OsString>) -> Result<(), Error> {
        self.start(run, &words)?;
        let began = Instant::now();
        loop {
            let now = self.now(run);
            if run.join("config.json").exists() {
                return Ok(());
            }
            let why = match now {
                Now::Works(_) if began.elapsed() < START => None,
                Now::Works(_) => Some(format!(
                    "the training has not begun after {} s; are the demonstrations on a slow disk?",
                    START.as_secs()
                )),
                Now::Ended(Ending::Failed(why)) => Some(why),
                Now::Ended(_) | Now::Unknown => Some("the training ended before it began".into()),
            };
            if let Some(why) = why {
                let process = self.lock().as_mut().and_then(|all| all.remove(&place(run)));
                process.into_iter().for_each(|mut process| process.kill());
                return Err(Error::Failure(why));
            }
            sleep(LOOK);
        }
    }

    /// Starts the process that resumes `run`.
    pub(super) fn resume(&self, run: &Path, words: Vec<OsString>) -> Result<(), Error> {
        self.start(run, &words)
    }

    fn start(&self, run: &Path, words: &[OsString]) -> Result<(), Error> {
        let mut processes = self.lock();
        let Some(all) = processes.as_mut() else {
            return Err(Error::Failure("the page is closing".into()));
        };
        let place = place(run);
        let works = |process: &mut Process| matches!(process.look(), Ok(Ok(_)));
        if all.get_mut(&place).is_some_and(works) {
            return Err(Error::Misuse(format!(
                "`{}` is being trained already",
                run_name(run)
            )));
        }
        let process = Process::start(&self.program, words)
            .map_err(|e| Error::Failure(format!("cannot start {}: {e}", self.program.display())))?;
        all.insert(place, process);
        Ok(())
    }

    /// Lets a run stand still.
    pub(super) fn pause(&self, run: &Path) -> Result<(), Error> {
        self.steer(run, "paused", |process, told| match told {
            Told::Work => Ok(process.tell(Told::Pause)),
            Told::Pause => Err("is paused already"),
            Told::Stop => Err("is stopping"),
        })
    }

    /// Lets a run that stands still go on.
    pub(super) fn go_on(&self, run: &Path) -> Result<(), Error> {
        self.steer(run, "resumed", |process, told| match told {
            Told::Work => Err("is running"),
            Told::Pause => Ok(process.tell(Told::Work)),
            Told::Stop => Err("is stopping; resume it once it has stopped"),
        })
    }

    /// Ends a run once its work is safe.
    pub(super) fn stop(&self, run: &Path) -> Result<(), Error> {
        self.steer(run, "stopped", |process, _| Ok(process.tell(Told::Stop)))
    }

    fn steer(
        &self,
        run: &Path,
        how: &str,
        steer: impl FnOnce(&mut Process, Told) -> Result<io::Result<()>, &'static str>,
    ) -> Result<(), Error> {
        let name = run_name(run);
        let mut processes = self.lock();
        let process = processes.as_mut().and_then(|all| all.get_mut(&place(run)));
        let Some(process) = process else {
            return Err(Error::Misuse(format!(
                "`{name}` was not started by this page and cannot be {how} here; use Ctrl-C where it runs"
            )));
        };
        match process.look() {
            Ok(Ok(told)) => match steer(process, told) {
                Ok(told) => {
                    told.map_err(|e| Error::Failure(format!("`{name}` could not be {how}: {e}")))
                }
                Err(why) => Err(Error::Misuse(format!("`{name}` {why}"))),
            },
            Ok(Err(_)) => Err(Error::Misuse(format!("`{name}` has ended"))),
            Err(e) => Err(Error::Failure(format!("`{name}` could not be {how}: {e}"))),
        }
    }

    /// Stops all, starts no others, and waits a while for last checkpoints.
    pub(super) fn close(&self) {
        let Some(all) = self.lock().take() else {
            return;
        };
        let mut working: Vec<Process> = all.into_values().collect();
        let began = Instant::now();
        loop {
            working.retain_mut(|process| matches!(process.look(), Ok(Ok(_))));
            for process in &mut working {
                // A process that has just ended hears nothing.
                let _ = process.tell(Told::Stop);
            }
            if working.is_empty() || began.elapsed() > GRACE {
                return;
            }
            sleep(LOOK);
        }
    }
}

/// A run's folder as a key: the same however it was named.
fn place(run: &Path) -> PathBuf {
    std::path::absolute(run).unwrap_or_else(|_| run.into())
}
