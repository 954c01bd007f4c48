//! The Python package: a virtual environment with pinned packages, the package built into it, its tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::{Context, Error};
use crate::libtorch::python::Python;
use crate::workspace::Workspace;

/// A virtual environment with pinned packages.
pub struct Environment {
    /// Its folder, from the clone's root.
    pub folder: &'static str,
    /// Its packages, from the clone's root.
    pub requirements: &'static str,
    /// What it is for.
    pub purpose: &'static str,
}

/// Of the Python package's tests, and of those with environments of Gymnasium.
const GYMNASIUM: Environment = Environment {
    folder: "target/python",
    requirements: "python/requirements-test.txt",
    purpose: "tests with Gymnasium",
};
/// That of the workspace's tests: crates with the same features are built already.
const PROFILE: &str = "dev";
/// Name of the file in the environment that says of which requirements and Python it was made.
const MADE_OF: &str = "costate-made-of";

/// Builds the package, installs it into the environment and runs its tests.
pub fn test(workspace: &Workspace) -> Result<(), Error> {
    let environment = GYMNASIUM.ensure(workspace)?;
    let package = workspace.root().join("python");
    let wheels = workspace.root().join("target/python-wheels");
    // What earlier versions left there would be installed instead.
    let _ = fs::remove_dir_all(&wheels);
    let mut build = Command::new(program(&environment, "maturin"));
    build
        .args(["build", "--profile", PROFILE, "--locked", "--out"])
        .arg(&wheels)
        .arg("--interpreter")
        .arg(program(&environment, "python"))
        .env("CARGO_TARGET_DIR", workspace.root().join("target"))
        .current_dir(&package);
    must(&mut build, "the Python package did not build")?;
    let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index"];
    let mut install = Command::new(program(&environment, "python"));
    install
        .args(pip)
        .args(["--force-reinstall", "--find-links"])
        .arg(&wheels)
        .arg("costate");
    must(&mut install, "pip could not install the Python package")?;
    let mut tests = Command::new(program(&environment, "python"));
    tests
        .args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider"])
        .current_dir(&package);
    must(&mut tests, "a test of the Python package failed")
}

/// The virtual environment's Python, made anew if the requirements changed.
pub fn interpreter(workspace: &Workspace) -> Result<PathBuf, Error> {
    Ok(program(&GYMNASIUM.ensure(workspace)?, "python"))
}

impl Environment {
    /// The environment's folder, made anew if its requirements changed.
    pub fn ensure(&self, workspace: &Workspace) -> Result<PathBuf, Error> {
        let python = Python::find()?;
        let environment = workspace.root().join(self.folder);
        let file = workspace.root().join(self.requirements);
        let requirements = fs::read(&file).doing(|| format!("read {}", file.display()))?;
        let digest = Sha256::new()
            .chain_update(&requirements)
            .chain_update(&python.version)
            .finalize();
        let made_of: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let mark = environment.join(MADE_OF);
        if fs::read_to_string(&mark).is_ok_and(|text| text == made_of) {
            return Ok(environment);
        }
        eprintln!(
            "Making the virtual environment {} for {}",
            environment.display(),
            self.purpose
        );
        let mut make = python.command();
        make.args(["-m", "venv", "--clear"]).arg(&environment);
        must(
            &mut make,
            "python3 could not make a virtual environment; install the venv module (python3-venv on Debian)",
        )?;
        let mut install = Command::new(program(&environment, "python"));
        install
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(&file);
        must(
            &mut install,
            &format!(
                "pip could not install the pinned packages of {}; check the network and pip's settings (`pip config list`)",
                self.requirements
            ),
        )?;
        // Last: an environment that was interrupted in the making is made again.
        fs::write(&mark, made_of).doing(|| format!("write {}", mark.display()))?;
        Ok(environment)
    }
}

/// A program of the environment.
pub fn program(environment: &Path, name: &str) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    let program = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    environment.join(folder).join(program)
}

/// Runs a command whose output goes to the terminal.
pub fn must(command: &mut Command, otherwise: &str) -> Result<(), Error> {
    let program = command.get_program().display().to_string();
    let status = command.status().doing(|| format!("start {program}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Failed {
            what: otherwise.into(),
        }),
    }
}
