//! The user's cache folder, shared by clones, and a clone's link into it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::fetch;
use super::pin::Pin;
use super::python::Python;
use crate::error::{Context, Error};

/// The fragment of cargo's configuration that a libtorch folder carries; `.cargo/config.toml`
/// includes it through the clone's link.
const CARGO_ENV: &str = "cargo-env.toml";
/// torch-sys compares this file with the version it expects.
const BUILD_VERSION: &str = "build-version";
/// torch-sys links `-ltorch`. The wheel's libtorch.so drags CUDA in; this text, which the linker
/// reads as a script, gives it the CPU library instead.
const LINKER_SCRIPT: (&str, &str) = ("libtorch.so", "INPUT(-ltorch_cpu)\n");
const STAGING: &str = "staging-";

/// `$COSTATE_CACHE`, else `$XDG_CACHE_HOME/costate`, else `~/.cache/costate`.
pub fn folder() -> Result<PathBuf, Error> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = if let Some(folder) = set("COSTATE_CACHE") {
        PathBuf::from(folder)
    } else if let Some(caches) = set("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|p| p.is_absolute())
    {
        caches.join("costate")
    } else {
        PathBuf::from(set("HOME").ok_or(Error::NoCacheFolder)?).join(".cache/costate")
    };
    std::path::absolute(&folder).doing(|| format!("use {}", folder.display()))
}

/// The cache folder, locked by this process if the file system supports locks.
pub struct Cache {
    folder: PathBuf,
    /// Released by the system however this process ends. `None`: locks are not supported.
    lock: Option<File>,
}

impl Cache {
    /// Creates the folder if necessary and waits for any other set-up working in it.
    pub fn open(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&folder).doing(|| format!("create the cache {}", folder.display()))?;
        let folder = folder
            .canonicalize()
            .doing(|| format!("use the cache {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::create(&path).doing(|| format!("write {}", path.display()))?;
        let held = match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => {
                eprintln!("Waiting for another set-up at work in {}", folder.display());
                lock.lock().is_ok()
            }
            Err(TryLockError::Error(_)) => false,
        };
        Ok(Cache {
            folder,
            lock: held.then_some(lock),
        })
    }

    /// The folder of the pinned libtorch, fetched if missing.
    ///
    /// `python` is only called in that case: a machine with a filled cache needs none.
    pub fn obtain(
        &self,
        pin: &Pin,
        python: impl FnOnce() -> Result<Python, Error>,
    ) -> Result<PathBuf, Error> {
        let target = self.folder.join(format!("libtorch-{}-cpu", pin.version));
        if is_complete(pin, &target) {
            write_cargo_env(&target)?;
            return Ok(target);
        }
        // Reject a path that cargo cannot handle before the download.
        cargo_env(&target)?;
        self.fill(pin, &python()?, &target)
            .map_err(|error| fetch::name_full_disk(error, &self.folder, pin))?;
        Ok(target)
    }

    fn fill(&self, pin: &Pin, python: &Python, target: &Path) -> Result<(), Error> {
        if self.lock.is_some() {
            self.sweep();
        }
        let start = Instant::now();
        let staging = Staging::create(&self.folder)?;
        let built = staging.0.join("libtorch");
        fetch::fetch(pin, python, &staging.0, &built)?;
        finish(pin, &built, target)?;
        // A damaged one, or one a set-up without locks has put there meanwhile.
        if target.exists() {
            let old = staging.0.join("old");
            fs::rename(target, &old).doing(|| format!("replace {}", target.display()))?;
        }
        fs::rename(&built, target).doing(|| format!("create {}", target.display()))?;
        sync(&self.folder)?;
        eprintln!(
            "Fetched, checked and unpacked in {:.0} s",
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// The file or folder `name` of the cache, created if missing by `fill`, which is given a scratch folder and returns
    /// the path to keep.
    pub fn keep(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<PathBuf, Error>,
    ) -> Result<PathBuf, Error> {
        let target = self.folder.join(name);
        if target.exists() {
            return Ok(target);
        }
        if self.lock.is_some() {
            self.sweep();
        }
        let staging = Staging::create(&self.folder)?;
        let made = fill(&staging.0)?;
        fs::rename(&made, &target).doing(|| format!("create {}", target.display()))?;
        sync(&self.folder)?;
        Ok(target)
    }

    /// Deletes leftovers of killed set-ups. While the lock is held, no other set-up is running.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(STAGING) {
                // Leftovers that cannot be deleted do no harm: staging names are new each time.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A scratch folder beside the final one, deleted when it goes out of scope.
struct Staging(PathBuf);

impl Staging {
    fn create(cache: &Path) -> Result<Self, Error> {
        let nanos = std::time::UNIX_EPOCH
            .elapsed()
            .map_or(0, |age| age.subsec_nanos());
        let path = cache.join(format!("{STAGING}{}-{nanos}", std::process::id()));
        fs::create_dir(&path).doing(|| format!("create {}", path.display()))?;
        Ok(Staging(path))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // The next set-up sweeps any leftovers.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Adds the small files to an unpacked libtorch at `built`, which will be moved to `target`.
fn finish(pin: &Pin, built: &Path, target: &Path) -> Result<(), Error> {
    write_new(&built.join("lib").join(LINKER_SCRIPT.0), LINKER_SCRIPT.1)?;
    write_new(&built.join(BUILD_VERSION), pin.version)?;
    write_new(&built.join(CARGO_ENV), &cargo_env(target)?)?;
    if is_complete(pin, built) {
        return Ok(());
    }
    // Unreachable while the pinned sizes are those of the pinned wheels.
    Err(Error::Unpack {
        file: pin.wheels[0].file.into(),
        detail: "files are missing".into(),
    })
}

/// Whether all of `pin` is in `folder`, by name and size: the rename that put it there came last,
/// so any damage happened later.
pub fn is_complete(pin: &Pin, folder: &Path) -> bool {
    let lib = folder.join("lib");
    let has = |name: &str, bytes: u64| {
        fs::metadata(lib.join(name)).is_ok_and(|metadata| metadata.len() == bytes)
    };
    pin.libraries()
        .all(|library| has(library.name(), library.bytes))
        && has(LINKER_SCRIPT.0, LINKER_SCRIPT.1.len() as u64)
        && fs::read_to_string(folder.join(BUILD_VERSION)).is_ok_and(|text| text == pin.version)
        && folder.join("include").is_dir()
}

/// Makes the folder's fragment of cargo's configuration name the folder itself; a cache that was
/// moved still names its old path.
pub fn write_cargo_env(folder: &Path) -> Result<(), Error> {
    let (path, text) = (folder.join(CARGO_ENV), cargo_env(folder)?);
    if fs::read_to_string(&path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    let beside = folder.join(format!("{CARGO_ENV}.{}", std::process::id()));
    write_new(&beside, &text)?;
    fs::rename(&beside, &path).doing(|| format!("write {}", path.display()))
}

/// Whether the fragment behind the clone's `link` gives LIBTORCH this value.
pub fn cargo_env_names(link: &Path, libtorch: &Path) -> bool {
    let found = fs::read_to_string(link.join(CARGO_ENV));
    matches!((found, cargo_env(libtorch)), (Ok(found), Ok(text)) if found == text)
}

fn cargo_env(folder: &Path) -> Result<String, Error> {
    // A TOML literal string: everything but quotes and control characters stands for itself.
    let path = folder
        .to_str()
        .filter(|path| !path.contains(|c: char| c == '\'' || c.is_control()));
    let path = path.ok_or_else(|| Error::Io {
        doing: format!("use the cache {}", folder.display()),
        source: io::Error::new(
            io::ErrorKind::InvalidInput,
            "a quote or a non-text byte in its path",
        ),
    })?;
    // A table, as in no-libtorch.toml: cargo merges only like with like.
    Ok(format!("[env]\nLIBTORCH = {{ value = '{path}' }}\n"))
}

/// Points the clone's link at `folder`; no moment without a link.
pub fn link(folder: &Path, link: &Path) -> Result<(), Error> {
    if fs::read_link(link).is_ok_and(|found| found == folder) {
        return Ok(());
    }
    if fs::symlink_metadata(link).is_ok_and(|metadata| !metadata.is_symlink()) {
        return Err(Error::LinkTaken {
            path: link.to_path_buf(),
        });
    }
    let beside = link.with_extension(std::process::id().to_string());
    let made = symlink(folder, &beside).and_then(|()| fs::rename(&beside, link));
    if made.is_err() {
        let _ = fs::remove_file(&beside);
    }
    made.map_err(|source| Error::Link {
        path: link.to_path_buf(),
        source,
    })
}

#[cfg(unix)]
fn symlink(folder: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(folder, link)
}

#[cfg(not(unix))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn write_new(path: &Path, text: &str) -> Result<(), Error> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().doing(|| format!("write {}", path.display()))
}

fn sync(folder: &Path) -> Result<(), Error> {
    let sync = || File::open(folder)?.sync_all();
    sync().doing(|| format!("flush {}", folder.display()))
}

#[cfg(all(test, unix))]
mod tests;
