//! One process that trains, and the signals that steer it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Bytes of what a process said at last that are kept of a failure.
const LAST_WORDS: u64 = 4096;

/// How a process came to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    /// All was done.
    Well,
    /// It was told to stop.
    Stopped,
    /// For this reason.
    Failed(String),
}

/// What a living process was told at last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    /// To work.
    Work,
    /// To stand still.
    Pause,
    /// To end once its work is safe.
    Stop,
}

/// A process of this page.
pub(super) struct Process {
    child: Child,
    /// Its standard error: a file without a name, which unlike a pipe outlives this page.
    said: File,
    told: Told,
}

impl Process {
    /// Starts `program` with these words: without input, in a process group of its own, which Ctrl-C in this page's
    /// terminal does not reach, and behind the page, which may be recording in real time.
    pub(super) fn start(program: &Path, words: &[OsString]) -> io::Result<Self> {
        let said = tempfile::tempfile()?;
        let mut command = Command::new(program);
        command
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said.try_clone()?);
        signals::alone(&mut command);
        let child = command.spawn()?;
        signals::behind(&child);
        Ok(Self {
            child,
            said,
            told: Told::Work,
        })
    }

    /// What it was told at last, or how it ended.
    pub(super) fn look(&mut self) -> io::Result<Result<Told, Ending>> {
        Ok(match self.child.try_wait()? {
            None => Ok(self.told),
            Some(status) if status.success() => Err(Ending::Well),
            Some(_) if self.told == Told::Stop => Err(Ending::Stopped),
            Some(status) => Err(Ending::Failed(self.last_words(status))),
        })
    }

    /// Tells a living process what to do.
    pub(super) fn tell(&mut self, order: Told) -> io::Result<()> {
        match order {
            Told::Work => signals::go_on(&self.child)?,
            Told::Pause => signals::pause(&self.child)?,
            Told::Stop => {
                // A second signal would end it at once, without its last checkpoint.
                if self.told != Told::Stop {
                    signals::stop(&self.child)?;
                }
                // What stands still hears nothing.
                signals::go_on(&self.child)?;
            }
        }
        self.told = order;
        Ok(())
    }

    /// Ends it at once.
    pub(super) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Why it failed, in a line: what it said at last.
    fn last_words(&mut self, status: ExitStatus) -> String {
        let text = self.end_of_said().unwrap_or_default();
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("note: "));
        let said: Vec<&str> = lines.collect();
        match said.join(" ").trim_start_matches("costate: ") {
            "" => format!("the process ended without a word ({status}); is there enough memory?"),
            said => said.into(),
        }
    }

    fn end_of_said(&mut self) -> io::Result<String> {
        let len = self.said.metadata()?.len();
        self.said
            .seek(SeekFrom::Start(len.saturating_sub(LAST_WORDS)))?;
        let mut bytes = Vec::new();
        self.said.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(unix)]
mod signals {
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};

    use rustix::process::{Pid, Signal, kill_process, setpriority_process};

    /// Niceness: half way to the least.
    const BEHIND: i32 = 10;

    pub(super) fn alone(command: &mut Command) {
        command.process_group(0);
    }

    /// Where that is not allowed, it is as before.
    pub(super) fn behind(child: &Child) {
        let _ = setpriority_process(Some(Pid::from_child(child)), BEHIND);
    }

    pub(super) fn pause(child: &Child) -> io::Result<()> {
        send(child, Signal::STOP)
    }

    pub(super) fn go_on(child: &Child) -> io::Result<()> {
        send(child, Signal::CONT)
    }

    pub(super) fn stop(child: &Child) -> io::Result<()> {
        // Not as Ctrl-C does: a shell that starts something in the background has that ignored, down to grandchildren.
        send(child, Signal::TERM)
    }

    /// The child has not been waited for, so that its number is its own.
    fn send(child: &Child, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(child), signal)?)
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;
    use std::process::{Child, Command};

    pub(super) fn alone(_: &mut Command) {}

    pub(super) fn behind(_: &Child) {}

    pub(super) fn pause(_: &Child) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn go_on(_: &Child) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn stop(_: &Child) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn shell(script: &str) -> Process {
        let words = ["-c", script].map(OsString::from);
        Process::start(Path::new("/bin/sh"), &words).unwrap()
    }

    /// Its ending, which must come within seconds.
    fn ending(process: &mut Process) -> Ending {
        let began = Instant::now();
        loop {
            if let Err(ending) = process.look().unwrap() {
                return ending;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "it runs on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn endings_are_told_apart_and_failures_say_why() {
        assert_eq!(ending(&mut shell("exit 0")), Ending::Well);
        let failed = ending(&mut shell("echo 'costate: no such thing' >&2; exit 1"));
        assert_eq!(failed, Ending::Failed("no such thing".into()));
        let mut silent = shell("kill -9 $$");
        let Ending::Failed(why) = ending(&mut silent) else {
            panic!("it failed");
        };
        assert!(why.contains("signal: 9") && why.contains("memory"), "{why}");
        let long = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
        let Ending::Failed(why) = ending(&mut shell(long)) else {
            panic!("it failed");
        };
        assert!(why.ends_with("line 1999") && why.len() <= LAST_WORDS as usize);
    }

    #[test]
    fn a_process_that_stands_still_hears_a_stop_and_one_stop_is_one_signal() {
        // Ends well at the second signal: it must not come.
        let script = "n=0; trap 'n=$((n+1)); [ $n -gt 1 ] && exit 0' TERM; echo on >&2; \
                      t=0; while [ $t -lt 100 ]; do sleep 0.02; t=$((t+n)); done; exit 1";
        let mut process = shell(script);
        while !process.end_of_said().unwrap().contains("on") {
            std::thread::sleep(Duration::from_millis(5));
        }
        process.tell(Told::Pause).unwrap();
        assert_eq!(process.look().unwrap(), Ok(Told::Pause));
        process.tell(Told::Stop).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        process.tell(Told::Stop).unwrap();
        assert_eq!(ending(&mut process), Ending::Stopped);
    }

    #[test]
    fn a_process_that_was_started_in_the_background_hears_a_stop() {
        let mut process = shell("trap '' INT; echo on >&2; exec sleep 30");
        while !process.end_of_said().unwrap().contains("on") {
            std::thread::sleep(Duration::from_millis(5));
        }
        process.tell(Told::Stop).unwrap();
        assert_eq!(ending(&mut process), Ending::Stopped);
    }
}
