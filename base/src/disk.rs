//! Files that are either complete or absent, and known to be on disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use sha2::{Digest, Sha256};

use crate::faults::{self, Operation};

/// A failed file operation.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct DiskError {
    /// What was attempted, e.g. `write`.
    pub action: &'static str,
    /// On which file or folder.
    pub path: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl DiskError {
    /// Wraps a system error with what was attempted on what.
    pub fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of the first part, of the first two in a row, and so on: one pass over all of them.
pub fn sha256_of_beginnings<'a>(
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> impl Iterator<Item = String> {
    parts.into_iter().scan(Sha256::new(), |so_far, part| {
        so_far.update(part);
        Some(hexadecimal(&so_far.clone().finalize()))
    })
}

/// A digest in hexadecimal.
pub(crate) fn hexadecimal(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes and syncs a new file.
pub fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    fill(&mut create(path)?, path, bytes)
}

fn fill(file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    faults::write(Operation::Write, file, path, bytes)
        .and_then(|()| sync_file(file, path))
        .map_err(DiskError::new("write", path))
}

/// Opens the empty file of that name once nobody else writes it.
fn create_alone(path: &Path) -> Result<File, DiskError> {
    faults::before(Operation::Create, path).map_err(DiskError::new("create", path))?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    let open = || loop {
        let file = options.open(path)?;
        // Some network file systems do not support locks.
        let interrupted = file
            .lock()
            .is_err_and(|error| error.kind() == io::ErrorKind::Interrupted);
        if interrupted {
            continue;
        }
        // Whoever had it may have given it another name meanwhile.
        if is_at(&file, path)? {
            file.set_len(0)?;
            return Ok(file);
        }
    };
    open().map_err(DiskError::new("create", path))
}

/// Whether a path names an open file, where the system can tell.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let place = |data: fs::Metadata| (data.dev(), data.ino());
    match fs::metadata(path) {
        Ok(there) => Ok(place(there) == place(file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

fn create(path: &Path) -> Result<File, DiskError> {
    faults::before(Operation::Create, path)
        .and_then(|()| File::create(path))
        .map_err(DiskError::new("create", path))
}

fn sync_file(file: &File, path: &Path) -> io::Result<()> {
    faults::before(Operation::Sync, path)?;
    file.sync_all()
}

/// Replaces `path` by a file of `bytes`: readers see the old or the new contents, never a partial file. Who replaces the
/// same file meanwhile, in any process, waits.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let beside = path.with_added_extension("tmp");
    let mut file = create_alone(&beside)?;
    fill(&mut file, &beside, bytes)
        .and_then(|()| rename(&beside, path))
        .inspect_err(|_| {
            let _ = remove_file(&beside);
        })
}

/// Renames a file or folder and syncs the folder that holds it.
pub fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    faults::before_moving(Operation::Rename, from, to)
        .and_then(|()| fs::rename(from, to))
        .map_err(DiskError::new("write", to))?;
    sync_parent(to)
}

/// Exchanges the names of two folders beside each other in one step; `false` where the system cannot.
pub fn exchange(one: &Path, other: &Path) -> Result<bool, DiskError> {
    let exchanged =
        faults::before_moving(Operation::Exchange, other, one).and_then(|()| swap(one, other));
    match exchanged {
        Ok(()) => sync_parent(one).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(e) => Err(DiskError::new("replace", one)(e)),
    }
}

#[cfg(target_os = "linux")]
fn swap(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(|e| match e {
        // File systems that do not know the flag.
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => io::ErrorKind::Unsupported.into(),
        other => other.into(),
    })
}

#[cfg(not(target_os = "linux"))]
fn swap(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives `new` the name of a folder beside it, which goes if there is one; in one step where the system can.
pub fn replace_folder(new: &Path, folder: &Path) -> Result<(), DiskError> {
    if folder.exists() {
        if exchange(new, folder)? {
            return remove_folder(new);
        }
        remove_folder(folder)?;
    }
    rename(new, folder)
}

/// Makes a folder that is not there.
pub fn create_folder(path: &Path) -> Result<(), DiskError> {
    faults::before(Operation::CreateFolder, path)
        .and_then(|()| fs::create_dir(path))
        .map_err(DiskError::new("create folder", path))
}

/// Makes a folder and those above it, where they are missing, durably.
pub fn create_folders(path: &Path) -> Result<(), DiskError> {
    if path.is_dir() || path == Path::new("") {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        create_folders(parent)?;
    }
    match create_folder(path) {
        // Another process was first.
        Err(_) if path.is_dir() => Ok(()),
        made => made.and_then(|()| sync_parent(path)),
    }
}

/// Removes a file.
pub fn remove_file(path: &Path) -> Result<(), DiskError> {
    faults::before(Operation::RemoveFile, path)
        .and_then(|()| fs::remove_file(path))
        .map_err(DiskError::new("remove", path))
}

/// End of the hidden name of a folder that is being removed.
const GONE: &str = ".gone";

/// Removes a folder with everything in it. Its name is gone at once: a kill in between leaves a hidden folder, or nothing.
pub fn remove_folder(path: &Path) -> Result<(), DiskError> {
    let name = path.file_name().map(|name| name.to_string_lossy());
    let hidden = match name {
        // No reader looks there.
        Some(name) if !name.starts_with('.') => path.with_file_name(format!(".{name}{GONE}")),
        _ => return remove_all(path),
    };
    if hidden.exists() {
        remove_all(&hidden)?;
    }
    rename(path, &hidden)?;
    remove_all(&hidden)
}

/// Removes what kills left of folders in `folder` that were being removed.
pub fn remove_gone(folder: &Path) -> Result<(), DiskError> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && name.ends_with(GONE) {
            remove_all(&entry.path())?;
        }
    }
    Ok(())
}

fn remove_all(path: &Path) -> Result<(), DiskError> {
    faults::before(Operation::RemoveFolder, path)
        .and_then(|()| fs::remove_dir_all(path))
        .map_err(DiskError::new("remove", path))
}

/// Removes a folder, if there is nothing in it.
pub fn remove_empty_folder(path: &Path) -> Result<(), DiskError> {
    faults::before(Operation::RemoveFolder, path)
        .and_then(|()| fs::remove_dir(path))
        .map_err(DiskError::new("remove", path))
}

/// Makes the contents of a file durable.
pub fn sync(path: &Path) -> Result<(), DiskError> {
    File::open(path)
        .and_then(|file| sync_file(&file, path))
        .map_err(DiskError::new("sync", path))
}

/// Bytes that can still be written where `path` is, as far as the system tells.
pub fn free_bytes(path: &Path) -> Option<u64> {
    #[cfg(target_os = "linux")]
    return rustix::fs::statvfs(path)
        .ok()
        .map(|found| found.f_bavail.saturating_mul(found.f_frsize));
    #[cfg(not(target_os = "linux"))]
    return None;
}

/// Bytes in a folder and those below it.
pub fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => size(&entry.path()),
            Ok(found) => found.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Whether a file can be made in a folder. Errors: the system's reason why not.
pub fn probe(folder: &Path) -> Result<(), DiskError> {
    let file = folder.join(format!(".writable-{}", process::id()));
    create(&file).and_then(|_| remove_file(&file))
}

/// A file that is only added to.
#[derive(Debug)]
pub struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    /// Opens a file, which is made where there is none.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let new = !path.exists();
        if new {
            faults::before(Operation::Create, path).map_err(DiskError::new("create", path))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(DiskError::new("open", path))?;
        if new {
            sync_parent(path)?;
        }
        let path = path.to_owned();
        Ok(Self { file, path })
    }

    /// Adds bytes, all of them or none; only a crash leaves a part of them.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let mut append = || {
            let before = self.file.metadata()?.len();
            faults::write(Operation::Append, &mut self.file, &self.path, bytes).inspect_err(|_| {
                let _ = self.file.set_len(before);
            })
        };
        append().map_err(DiskError::new("write", &self.path))
    }
}

/// Makes a folder, absent or empty before, as a whole: `make` fills one beside it, which then takes its name. After a
/// failure nothing is left.
///
/// Errors: `Ok(None)` if there is something in the folder, or a file in its place.
pub fn new_folder<T, E: From<DiskError>>(
    folder: &Path,
    make: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<Option<T>, E> {
    let empty = fs::read_dir(folder).is_ok_and(|mut inside| inside.next().is_none());
    let Some(name) = folder.file_name() else {
        return Ok(None);
    };
    if folder.symlink_metadata().is_ok() && !empty {
        return Ok(None);
    }
    let name = format!(".{}.making-{}", name.to_string_lossy(), process::id());
    let beside = folder.with_file_name(name);
    let made = make(&beside).and_then(|made| {
        if empty {
            remove_empty_folder(folder)?;
        }
        rename(&beside, folder)?;
        Ok(made)
    });
    made.map(Some).inspect_err(|_| {
        let _ = remove_folder(&beside);
    })
}

/// Makes the entries of a folder durable; a no-op where folders cannot be synced.
pub fn sync_folder(path: &Path) -> Result<(), DiskError> {
    if cfg!(unix) {
        faults::before(Operation::SyncFolder, path)
            .and_then(|()| File::open(path))
            .and_then(|folder| folder.sync_all())
            .map_err(DiskError::new("sync", path))?;
    }
    Ok(())
}

/// Syncs the folder that holds a path.
fn sync_parent(path: &Path) -> Result<(), DiskError> {
    match path.parent() {
        // A bare file name is in the current folder.
        Some(folder) if folder == Path::new("") => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Locks a folder for this process while the result lives; `None` if another process holds it. A no-op where folders
/// cannot be locked.
pub fn claim(folder: &Path) -> Result<Option<Claim>, DiskError> {
    if !cfg!(unix) {
        return Ok(Some(Claim(None)));
    }
    let file = File::open(folder).map_err(DiskError::new("open", folder))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // Some network file systems do not support locks.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(Some(Claim(Some(file)))),
    }
}

/// A folder lock; the system releases it when the process ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not read")] Option<File>);

/// Opens a file to be locked, which is made empty where there is none.
pub fn lock_file(path: &Path) -> Result<File, DiskError> {
    if !path.exists() {
        faults::before(Operation::Create, path).map_err(DiskError::new("create", path))?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(DiskError::new("open", path))
}

/// Reads a whole file.
pub fn read(path: &Path) -> Result<Vec<u8>, DiskError> {
    fs::read(path).map_err(DiskError::new("read", path))
}

/// Whether a process may still run; true where the system cannot say.
pub fn running(process: u32) -> bool {
    #[cfg(target_os = "linux")]
    return Path::new("/proc").join(process.to_string()).exists()
        || !Path::new("/proc/self").exists();
    #[cfg(not(target_os = "linux"))]
    return true;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_replaces_a_file_at_once_leaves_the_whole_of_one() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("file");
        let texts: Vec<String> = (0..8)
            .map(|k| k.to_string().repeat(1000 * (8 - k)))
            .collect();
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| (0..50).for_each(|_| replace(&path, text.as_bytes()).unwrap()));
            }
        });
        let left = fs::read_to_string(&path).unwrap();
        assert!(texts.contains(&left), "{} bytes", left.len());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_removed_folder_has_no_name_and_remains_of_a_kill_go_with_the_next() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let fill = |folder: &Path| {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("file"), "x").unwrap();
        };
        fill(&at("one"));
        // What a kill in the middle of a removal leaves.
        fill(&at(".one.gone"));
        fill(&at(".two.gone"));
        fill(&at(".other"));
        remove_folder(&at("one")).unwrap();
        assert!(!at("one").exists() && !at(".one.gone").exists() && at(".two.gone").exists());
        remove_gone(root.path()).unwrap();
        assert!(!at(".two.gone").exists() && at(".other").exists());
        remove_folder(&at(".other")).unwrap();
        assert!(!at(".other").exists());
        let error = remove_folder(&at("nowhere")).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
    }
}
