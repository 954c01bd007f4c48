//! Finds libtorch, or installs the pinned one.

pub mod cache;
pub mod fetch;
mod own;
pub mod pin;
pub mod python;

use std::path::PathBuf;

use crate::ahead::Ahead;
use crate::error::Error;
use crate::workspace::Workspace;

/// Which libtorch cargo will build with.
pub enum Libtorch {
    /// The user's environment names it.
    Own,
    /// `.libtorch` of the clone links to the pinned one.
    Pinned,
}

/// Makes sure cargo finds a libtorch in `workspace`, and says which in one line.
pub fn ensure(workspace: &Workspace) -> Result<Libtorch, Error> {
    ensure_for(workspace, &[])
}

/// The same for a build, by cargo with the arguments `build`, which begins while libtorch is fetched, if it must be.
pub fn ensure_for(workspace: &Workspace, build: &[&str]) -> Result<Libtorch, Error> {
    check_compiler()?;
    if let Some(line) = own::check(workspace)? {
        eprintln!("{line}");
        return Ok(Libtorch::Own);
    }
    let folder = pinned_for(workspace, build)?;
    eprintln!(
        "libtorch {} is ready in {}",
        pin::LIBTORCH.version,
        folder.display()
    );
    Ok(Libtorch::Pinned)
}

/// The folder of the pinned libtorch, for what is handed out.
pub fn pinned(workspace: &Workspace) -> Result<PathBuf, Error> {
    pinned_for(workspace, &[])
}

fn pinned_for(workspace: &Workspace, build: &[&str]) -> Result<PathBuf, Error> {
    let pin = &pin::LIBTORCH;
    let link = workspace.link();
    if let Ok(folder) = link.canonicalize()
        && cache::is_complete(pin, &folder)
    {
        cache::write_cargo_env(&folder)?;
        return Ok(folder);
    }
    check_platform(PLATFORM)?;
    let mut ahead = None;
    let folder = cache::Cache::open(cache::folder()?)?.obtain(pin, || {
        let python = python::Python::find()?;
        ahead = (!build.is_empty()).then(|| build_ahead(workspace, build));
        Ok(python)
    })?;
    drop(ahead);
    cache::link(&folder, &link)?;
    Ok(folder)
}

/// Compiles all that needs no libtorch: the build of torch-sys stops at once, as nothing is set up yet.
fn build_ahead(workspace: &Workspace, build: &[&str]) -> Ahead {
    eprintln!("Compiling what needs no libtorch meanwhile");
    let mut command = workspace.command(&Libtorch::Pinned);
    command
        .args(build)
        .args(["--keep-going", "--quiet"])
        .env("LIBTORCH", workspace.placeholder());
    Ahead::start(&command)
}

/// Processor, operating system and C library.
type Platform = [&'static str; 3];

/// The platform of the pinned wheels.
const WHEELS: Platform = ["x86_64", "linux", "gnu"];

/// The platform this program was built for, which is the one it builds costate on.
const PLATFORM: Platform = [
    std::env::consts::ARCH,
    std::env::consts::OS,
    if cfg!(target_env = "gnu") {
        "gnu"
    } else if cfg!(target_env = "musl") {
        "musl"
    } else {
        ""
    },
];

/// Whether the pinned wheels are for this machine.
pub fn has_wheels() -> bool {
    PLATFORM == WHEELS
}

fn check_platform(platform: Platform) -> Result<(), Error> {
    if platform == WHEELS {
        return Ok(());
    }
    let platform = platform.join("-").trim_end_matches('-').to_owned();
    Err(Error::Unsupported { platform })
}

/// torch-sys compiles C++: better to fail before the download than minutes after it.
fn check_compiler() -> Result<(), Error> {
    let is_choice =
        |name: &str| name == "CXX" || name.starts_with("CXX_") || name.ends_with("_CXX");
    let chosen = std::env::vars_os().any(|(name, _)| is_choice(&name.to_string_lossy()));
    if chosen || cfg!(windows) || python::run("c++".as_ref(), &["--version"]).is_ok() {
        return Ok(());
    }
    Err(Error::NoCompiler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_glibc_linux_on_x86_64_has_a_wheel() {
        assert!(check_platform(["x86_64", "linux", "gnu"]).is_ok());
        for (platform, shown) in [
            (["aarch64", "macos", ""], " aarch64-macos,"),
            (["aarch64", "linux", "gnu"], " aarch64-linux-gnu,"),
            (["x86_64", "linux", "musl"], " x86_64-linux-musl,"),
            (["x86_64", "windows", ""], " x86_64-windows,"),
        ] {
            let message = check_platform(platform).unwrap_err().to_string();
            assert!(message.contains(shown), "{message}");
            assert!(message.contains("LIBTORCH ") && message.contains("LIBTORCH_USE_PYTORCH=1"));
            assert_eq!(message.lines().count(), 1);
        }
    }
}
