//! This clone: where it is, and cargo run in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::libtorch::Libtorch;

/// The root folder of the clone.
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// The clone this program was started in: cargo names the package's folder at run time.
    pub fn find() -> Self {
        let package = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.parent().unwrap_or(&package).to_path_buf();
        Workspace { root }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The link to the cached libtorch.
    pub fn link(&self) -> PathBuf {
        self.root.join(".libtorch")
    }

    /// The LIBTORCH that `.cargo/config.toml` names before the set-up has run.
    pub fn placeholder(&self) -> PathBuf {
        self.root.join(".cargo/no-libtorch")
    }

    /// Runs cargo with `arguments` and ends with its exit code.
    pub fn cargo(&self, libtorch: &Libtorch, arguments: Vec<OsString>) -> Result<(), Error> {
        self.cargo_with(libtorch, arguments, [])
    }

    /// The same with variables of the environment.
    pub fn cargo_with<const N: usize>(
        &self,
        libtorch: &Libtorch,
        arguments: Vec<OsString>,
        environment: [(&str, PathBuf); N],
    ) -> Result<(), Error> {
        let mut command = self.command(libtorch);
        command.args(arguments).envs(environment);
        let program = command.get_program().to_string_lossy().into_owned();
        Err(Error::Cargo {
            program,
            source: replace(command),
        })
    }

    /// Cargo without arguments, which builds with that libtorch.
    pub fn command(&self, libtorch: &Libtorch) -> Command {
        let mut command = Command::new(program());
        if matches!(libtorch, Libtorch::Pinned) {
            // Cargo gave us the value of its configuration before the set-up; let it read it again.
            command.env_remove("LIBTORCH");
        }
        command
    }
}

/// The cargo that runs this program.
pub fn program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Replaces this process with `command`, so that signals (Ctrl-C) and exit codes are its own. Returns
/// only if it could not be started.
#[cfg(unix)]
fn replace(mut command: Command) -> std::io::Error {
    use std::os::unix::process::CommandExt;
    command.exec()
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> std::io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
