//! Compiling ahead, while something else is waited for.

use std::process::{Child, Command, Stdio};

/// Reads until whoever holds the other end of its input lets go of it or is gone, however that came, and ends all that it
/// started: a build must not outlive the command that it is for.
const UNTIL_LET_GO: &str = "\"$@\" & read -r _; kill -TERM 0";

/// A command without output that goes on until this is dropped, at most.
pub struct Ahead(Option<Child>);

impl Ahead {
    /// Starts `command`, where the system has process groups; whether it succeeds is nobody's concern.
    pub fn start(command: &Command) -> Self {
        Self(start(command))
    }
}

#[cfg(unix)]
fn start(command: &Command) -> Option<Child> {
    use std::os::unix::process::CommandExt;
    let mut shell = Command::new("sh");
    shell
        .args(["-c", UNTIL_LET_GO, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0);
    if let Some(folder) = command.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.spawn().ok()
}

#[cfg(not(unix))]
fn start(_: &Command) -> Option<Child> {
    None
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // Closes its input.
            drop(child.stdin.take());
            let _ = child.wait();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::path::Path;
    use std::time::{Duration, Instant};

    use super::*;

    fn until(what: impl Fn() -> bool) {
        let began = Instant::now();
        while !what() {
            assert!(began.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn what_goes_ahead_ends_with_whoever_waits() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("process");
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "sleep 600 & echo $! > \"$FILE.new\"; mv \"$FILE.new\" \"$FILE\"; wait",
            ])
            .env("FILE", &file);
        let ahead = Ahead::start(&command);
        until(|| file.exists());
        let process = std::fs::read_to_string(&file).unwrap();
        let state = Path::new("/proc").join(process.trim()).join("status");
        let alive = || std::fs::read_to_string(&state).is_ok_and(|text| !text.contains("zombie"));
        assert!(alive());
        drop(ahead);
        until(|| !alive());
    }

    #[test]
    fn what_cannot_start_is_nobodys_concern() {
        drop(Ahead::start(&Command::new("/no/such/program")));
    }
}
