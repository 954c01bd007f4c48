//! The page in a browser: a virtual environment with Playwright, Chromium, tests that click.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::libtorch;
use crate::python::{Environment, must, program};
use crate::workspace::Workspace;

const PLAYWRIGHT: Environment = Environment {
    folder: "target/page",
    requirements: "tests/page/requirements.txt",
    purpose: "tests of the page",
};
/// Names under which systems know it.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Builds the program and tests its page; `arguments` are pytest's.
pub fn test(workspace: &Workspace, arguments: &[OsString]) -> Result<(), Error> {
    let libtorch = libtorch::ensure(workspace)?;
    let chromium = chromium()?;
    let environment = PLAYWRIGHT.ensure(workspace)?;
    let mut build = workspace.command(&libtorch);
    // As a test of the whole workspace, whose features `cargo xtask test` builds with; others would build all again.
    build
        .args([
            "test",
            "--workspace",
            "--no-run",
            "--quiet",
            "--test",
            "page",
        ])
        .current_dir(workspace.root());
    must(&mut build, "costate did not build")?;
    let costate = workspace.root().join("target/debug/costate");
    let mut tests = Command::new(program(&environment, "python"));
    tests
        .args([
            "-m",
            "pytest",
            "--quiet",
            "-p",
            "no:cacheprovider",
            "tests/page",
        ])
        .args(arguments)
        .env("COSTATE_PROGRAM", costate)
        .env("COSTATE_CHROMIUM", chromium)
        .current_dir(workspace.root());
    must(&mut tests, "a test of the page failed")
}

/// The browser: the user's, the system's, or Debian's, installed now.
fn chromium() -> Result<PathBuf, Error> {
    if let Some(chosen) = std::env::var_os("COSTATE_CHROMIUM") {
        return Ok(chosen.into());
    }
    if let Some(found) = installed() {
        return Ok(found);
    }
    eprintln!("Installing chromium by apt-get");
    // Lists of packages age, and a failure to renew them shows in the next command.
    let _ = apt(&["update", "--quiet"]);
    if apt(&[
        "install",
        "--quiet",
        "--yes",
        "--no-install-recommends",
        "chromium",
    ]) && let Some(found) = installed()
    {
        return Ok(found);
    }
    Err(Error::Failed {
        what: "no Chromium was found, and apt-get could not install one; install it, or name one with COSTATE_CHROMIUM"
            .into(),
    })
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = BROWSERS
        .iter()
        .flat_map(|name| places.iter().map(move |p| p.join(name)));
    files.into_iter().find(|file| file.is_file())
}

fn apt(arguments: &[&str]) -> bool {
    let mut apt = Command::new("apt-get");
    apt.args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null());
    apt.status().is_ok_and(|status| status.success())
}
