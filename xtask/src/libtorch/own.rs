//! The user's own libtorch, which always takes precedence.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::cache;
use super::pin;
use super::python;
use crate::error::Error;
use crate::workspace::Workspace;

/// The line to print if the environment names a libtorch; it is checked first.
pub fn check(workspace: &Workspace) -> Result<Option<String>, Error> {
    // torch-sys checks whether this is set, whatever its value, before it looks at LIBTORCH.
    if std::env::var_os("LIBTORCH_USE_PYTORCH").is_some() {
        return check_pytorch().map(Some);
    }
    let Some(libtorch) = std::env::var_os("LIBTORCH") else {
        return Ok(None);
    };
    if is_from_config(workspace, &libtorch) {
        return Ok(None);
    }
    check_folder(Path::new(&libtorch)).map(Some)
}

/// Cargo passes the LIBTORCH of its configuration to every program it runs, including this one.
fn is_from_config(workspace: &Workspace, libtorch: &OsStr) -> bool {
    Path::new(libtorch) == workspace.placeholder()
        || cache::cargo_env_names(&workspace.link(), Path::new(libtorch))
}

fn check_folder(libtorch: &Path) -> Result<String, Error> {
    let own = |what: String| Error::Own { what };
    let shown = libtorch.display();
    if libtorch.as_os_str().is_empty() {
        return Err(own("LIBTORCH is set but empty".into()));
    }
    if !libtorch.is_absolute() {
        return Err(own(format!("LIBTORCH={shown} is not an absolute path")));
    }
    // torch-sys lets these two point elsewhere.
    let part = |variable: &str, name: &str| {
        std::env::var_os(variable)
            .map_or_else(|| libtorch.to_path_buf(), PathBuf::from)
            .join(name)
    };
    for (folder, holds) in [
        (part("LIBTORCH_INCLUDE", "include"), "the headers"),
        (part("LIBTORCH_LIB", "lib"), "the libraries"),
    ] {
        if !folder.is_dir() {
            return Err(own(format!(
                "LIBTORCH={shown} is no libtorch: there is no folder {} with {holds}",
                folder.display()
            )));
        }
    }
    if let Ok(version) = std::fs::read_to_string(libtorch.join("build-version")) {
        check_version(&version, &format!("LIBTORCH={shown}"))?;
    }
    Ok(format!(
        "Using your LIBTORCH={shown}; keep it set for plain cargo commands"
    ))
}

fn check_pytorch() -> Result<String, Error> {
    // The interpreter that torch-sys will query.
    let program = if std::env::var_os("VIRTUAL_ENV").is_some() {
        "python"
    } else {
        "python3"
    };
    let version = python::run(
        program.as_ref(),
        &["-c", "import torch; print(torch.__version__)"],
    )
    .map_err(|detail| Error::Own {
        what: format!("LIBTORCH_USE_PYTORCH is set, but {program} has no PyTorch ({detail})"),
    })?;
    let version = version.lines().last().unwrap_or_default().trim();
    check_version(
        version,
        &format!("LIBTORCH_USE_PYTORCH is set, but {program}'s PyTorch"),
    )?;
    Ok(format!(
        "Using the PyTorch {version} of {program} (LIBTORCH_USE_PYTORCH); keep it set for plain cargo commands"
    ))
}

/// Rejects what torch-sys would reject minutes later.
fn check_version(version: &str, whose: &str) -> Result<(), Error> {
    let version = version.trim();
    let expected = pin::LIBTORCH.version;
    let bypassed = std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_some();
    if bypassed || version.split('+').next() == Some(expected) {
        return Ok(());
    }
    Err(Error::Own {
        what: format!("{whose} is version {version}, expected {expected}"),
    })
}
