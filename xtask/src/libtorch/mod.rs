//! Finds libtorch, or brings the pinned one.

mod cache;
mod fetch;
mod own;
mod pin;
mod python;

use std::path::PathBuf;

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
    if let Some(line) = own::check(workspace)? {
        eprintln!("{line}");
        return Ok(Libtorch::Own);
    }
    let folder = pinned(workspace)?;
    eprintln!(
        "libtorch {} is ready in {}",
        pin::LIBTORCH.version,
        folder.display()
    );
    Ok(Libtorch::Pinned)
}

fn pinned(workspace: &Workspace) -> Result<PathBuf, Error> {
    let pin = &pin::LIBTORCH;
    let link = workspace.link();
    if let Ok(folder) = link.canonicalize()
        && cache::is_complete(pin, &folder)
    {
        cache::write_cargo_env(&folder)?;
        return Ok(folder);
    }
    let platform = platform();
    if platform != ("linux", "x86_64", "gnu") {
        let (os, arch, libc) = platform;
        let platform = [arch, os, libc].map(str::to_owned).join("-");
        return Err(Error::Unsupported {
            platform: platform.trim_end_matches('-').to_owned(),
        });
    }
    let cache = cache::Cache::open(cache::folder()?)?;
    let folder = cache.obtain(pin)?;
    cache::link(&folder, &link)?;
    Ok(folder)
}

/// Operating system, processor and C library this program was built for, which are those of the
/// machine it builds costate on.
fn platform() -> (&'static str, &'static str, &'static str) {
    let libc = if cfg!(target_env = "gnu") {
        "gnu"
    } else if cfg!(target_env = "musl") {
        "musl"
    } else {
        ""
    };
    (std::env::consts::OS, std::env::consts::ARCH, libc)
}
