//! Faults put into file operations on purpose, to see what they leave behind.
//!
//! With `COSTATE_FAULT=KIND@N` in its environment a program fails at its N-th operation that changes a file or a folder,
//! counted from 1 over all threads, and writes `KIND N` to standard error:
//!
//! | kind | what happens |
//! | --- | --- |
//! | `kill` | the process ends before the operation, as by SIGKILL |
//! | `torn` | an operation that writes writes half of its bytes, one that removes a folder takes one file of it, then the process ends |
//! | `lost` | the power fails: what no sync has made durable is gone, then the process ends |
//! | `fail` | this operation fails |
//! | `full` | this operation, if it needs space, and all later ones that do, find the disk full |
//!
//! With `COSTATE_FAULT_LOG=FILE` every operation is listed there, a line each, as `OPERATION PATH`.

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Which fault strikes, and where.
pub const FAULT: &str = "COSTATE_FAULT";
/// Where the operations are listed.
pub const LOG: &str = "COSTATE_FAULT_LOG";

/// What is about to be done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An empty file is made, or an old one emptied.
    Create,
    /// Bytes are written to a file made before.
    Write,
    /// Bytes are added to a file.
    Append,
    /// Contents of a file become durable.
    Sync,
    /// Entries of a folder become durable.
    SyncFolder,
    /// A file or folder gets its name.
    Rename,
    /// Two folders exchange their names.
    Exchange,
    /// A folder is made.
    CreateFolder,
    /// A file goes.
    RemoveFile,
    /// A folder goes, with everything in it.
    RemoveFolder,
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Append => "append",
            Self::Sync => "sync",
            Self::SyncFolder => "sync-folder",
            Self::Rename => "rename",
            Self::Exchange => "exchange",
            Self::CreateFolder => "create-folder",
            Self::RemoveFile => "remove",
            Self::RemoveFolder => "remove-folder",
        }
    }

    const fn needs_space(self) -> bool {
        matches!(
            self,
            Self::Create | Self::Write | Self::Append | Self::CreateFolder
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Kill,
    Torn,
    Lost,
    Fail,
    Full,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fault {
    kind: Kind,
    at: u64,
}

impl Kind {
    const ALL: [(&str, Self); 5] = [
        ("kill", Self::Kill),
        ("torn", Self::Torn),
        ("lost", Self::Lost),
        ("fail", Self::Fail),
        ("full", Self::Full),
    ];
}

impl Fault {
    fn parse(text: &str) -> Option<Self> {
        let (name, at) = text.split_once('@')?;
        let (_, kind) = *Kind::ALL.iter().find(|(known, _)| *known == name)?;
        let at = at.parse().ok().filter(|at| *at > 0)?;
        Some(Self { kind, at })
    }

    fn tell(self) {
        let named = Kind::ALL.iter().find(|(_, kind)| *kind == self.kind);
        let name = named.map_or("", |(name, _)| name);
        eprintln!("{FAULT}: {name} {}", self.at);
    }
}

/// A change that no sync has made durable yet.
#[derive(Debug)]
enum Change {
    /// An entry that was not there.
    Made(PathBuf),
    /// Contents written; what there was before, of a file that is added to.
    Written(PathBuf, u64),
    /// A new name; the file that had it before.
    Renamed {
        from: PathBuf,
        to: PathBuf,
        old: Option<Vec<u8>>,
    },
    Exchanged(PathBuf, PathBuf),
}

/// Changes since the last sync of what they change, in their order. Removals count as durable.
#[derive(Debug, Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn note(&mut self, operation: Operation, path: &Path, other: Option<&Path>) {
        let file = || path.to_owned();
        match operation {
            Operation::Create if path.exists() => self.0.push(Change::Written(file(), 0)),
            Operation::Create => {
                self.0.push(Change::Made(file()));
                self.0.push(Change::Written(file(), 0));
            }
            Operation::Append => {
                let length = fs::metadata(path).map_or(0, |m| m.len());
                self.0.push(Change::Written(file(), length));
            }
            Operation::CreateFolder => self.0.push(Change::Made(file())),
            Operation::Rename => {
                let Some(from) = other.map(Path::to_owned) else {
                    return;
                };
                let old = fs::read(path).ok();
                self.0.push(Change::Renamed {
                    from,
                    to: file(),
                    old,
                });
            }
            Operation::Exchange => {
                let Some(other) = other else { return };
                self.0.push(Change::Exchanged(file(), other.to_owned()));
            }
            Operation::Sync => self
                .0
                .retain(|c| !matches!(c, Change::Written(p, _) if p == path)),
            Operation::SyncFolder => self.0.retain(|change| match change {
                Change::Made(p) | Change::Renamed { to: p, .. } | Change::Exchanged(p, _) => {
                    let parent = p.parent().filter(|p| *p != Path::new(""));
                    parent.unwrap_or(Path::new(".")) != path
                }
                Change::Written(..) => true,
            }),
            Operation::RemoveFile | Operation::RemoveFolder => {
                self.0.retain(|change| match change {
                    Change::Made(p) | Change::Written(p, _) => !p.starts_with(path),
                    Change::Renamed { .. } | Change::Exchanged(..) => true,
                })
            }
            Operation::Write => {}
        }
    }

    /// Takes back all changes, the last first. Those of what is gone fail, rightly.
    fn lose(&mut self) {
        let mut moved: HashMap<PathBuf, PathBuf> = HashMap::new();
        for change in self.0.drain(..).rev() {
            let place = |p: PathBuf| moved.get(&p).cloned().unwrap_or(p);
            match change {
                Change::Made(p) if p.is_dir() => drop(fs::remove_dir_all(place(p))),
                Change::Made(p) => drop(fs::remove_file(place(p))),
                Change::Written(p, length) => {
                    let file = File::options().write(true).open(place(p));
                    let _ = file.and_then(|file| file.set_len(length));
                }
                Change::Renamed { from, to, old } => {
                    let _ = fs::rename(&to, &from);
                    if let Some(old) = old {
                        let _ = fs::write(&to, old);
                    }
                    moved.insert(to, from);
                }
                Change::Exchanged(a, b) => {
                    let beside = a.with_added_extension("exchanged");
                    let _ = fs::rename(&a, &beside)
                        .and_then(|()| fs::rename(&b, &a))
                        .and_then(|()| fs::rename(&beside, &b));
                }
            }
        }
    }
}

#[derive(Debug)]
struct State {
    fault: Option<Fault>,
    log: Option<Mutex<File>>,
    count: AtomicU64,
    changes: Mutex<Changes>,
}

/// `None` unless faults or their log are asked for.
static STATE: LazyLock<Option<State>> = LazyLock::new(|| {
    let fault = env::var(FAULT).ok().map(|text| {
        Fault::parse(&text).unwrap_or_else(|| {
            eprintln!("{FAULT}={text}: expected kill, torn, lost, fail or full and a number from 1, as kill@12");
            process::exit(2);
        })
    });
    let log = env::var_os(LOG).map(|file| {
        Mutex::new(File::create(&file).unwrap_or_else(|error| {
            eprintln!("{LOG}={}: {error}", Path::new(&file).display());
            process::exit(2);
        }))
    });
    (fault.is_some() || log.is_some()).then(|| State {
        fault,
        log,
        count: AtomicU64::new(0),
        changes: Mutex::default(),
    })
});

/// Comes before every operation.
pub(crate) fn before(operation: Operation, path: &Path) -> io::Result<()> {
    match STATE.as_ref() {
        None => Ok(()),
        Some(state) => state.before(operation, path, None, None),
    }
}

/// As [`before`], of an operation that takes something from `other`.
pub(crate) fn before_moving(operation: Operation, other: &Path, path: &Path) -> io::Result<()> {
    match STATE.as_ref() {
        None => Ok(()),
        Some(state) => state.before(operation, path, Some(other), None),
    }
}

/// Writes all bytes to a file.
pub(crate) fn write(
    operation: Operation,
    file: &mut File,
    path: &Path,
    bytes: &[u8],
) -> io::Result<()> {
    if let Some(state) = STATE.as_ref() {
        state.before(operation, path, None, Some((file, bytes)))?;
    }
    file.write_all(bytes)
}

impl State {
    fn before(
        &self,
        operation: Operation,
        path: &Path,
        other: Option<&Path>,
        writing: Option<(&mut File, &[u8])>,
    ) -> io::Result<()> {
        let number = self.count.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(log) = &self.log {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(log, "{} {}", operation.name(), path.display())?;
        }
        let Some(fault) = self.fault else {
            return Ok(());
        };
        let here = number == fault.at;
        match fault.kind {
            Kind::Fail if here => {
                fault.tell();
                return Err(io::Error::other("a fault put in on purpose"));
            }
            Kind::Full if number >= fault.at && operation.needs_space() => {
                if here {
                    fault.tell();
                }
                return Err(ErrorKind::StorageFull.into());
            }
            Kind::Kill | Kind::Torn | Kind::Lost if here => {
                fault.tell();
                match (fault.kind, writing) {
                    (Kind::Torn, Some((file, bytes))) => {
                        file.write_all(&bytes[..bytes.len() / 2])?;
                    }
                    (Kind::Torn, None) if operation == Operation::RemoveFolder => remove_one(path),
                    (Kind::Lost, _) => self.changes().lose(),
                    _ => {}
                }
                // Nothing is cleaned up, and no handler runs.
                process::abort();
            }
            Kind::Lost => self.changes().note(operation, path, other),
            _ => {}
        }
        Ok(())
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the first file in a folder or those below it.
fn remove_one(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    match paths.first() {
        Some(path) if path.is_dir() => remove_one(path),
        Some(path) => drop(fs::remove_file(path)),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_a_kind_and_a_number() {
        let at = |kind, at| Some(Fault { kind, at });
        assert_eq!(Fault::parse("kill@12"), at(Kind::Kill, 12));
        assert_eq!(Fault::parse("full@1"), at(Kind::Full, 1));
        for wrong in ["kill", "kill@0", "kill@x", "dead@1", "@1", ""] {
            assert_eq!(Fault::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn power_loss_takes_what_was_not_synced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut changes = Changes::default();
        let make = |changes: &mut Changes, name: &str, text: &str| {
            changes.note(Operation::Create, &at(name), None);
            fs::write(at(name), text).unwrap();
        };
        // Durable: written, synced, its folder synced.
        make(&mut changes, "kept", "kept");
        changes.note(Operation::Sync, &at("kept"), None);
        changes.note(Operation::SyncFolder, folder.path(), None);
        // A new name for other contents, before the folder's sync.
        make(&mut changes, "kept.tmp", "newer");
        changes.note(Operation::Sync, &at("kept.tmp"), None);
        changes.note(Operation::Rename, &at("kept"), Some(&at("kept.tmp")));
        fs::rename(at("kept.tmp"), at("kept")).unwrap();
        // Contents that were not synced, in a folder that was.
        make(&mut changes, "empty", "text");
        changes.note(Operation::SyncFolder, folder.path(), None);
        changes.lose();
        // The sync came after the rename, so it holds; the contents were synced before it.
        assert_eq!(fs::read_to_string(at("kept")).unwrap(), "newer");
        assert_eq!(fs::read_to_string(at("empty")).unwrap(), "");

        make(&mut changes, "kept.tmp", "newest");
        changes.note(Operation::Sync, &at("kept.tmp"), None);
        changes.note(Operation::Rename, &at("kept"), Some(&at("kept.tmp")));
        fs::rename(at("kept.tmp"), at("kept")).unwrap();
        changes.note(Operation::Append, &at("empty"), None);
        fs::write(at("empty"), "line").unwrap();
        changes.note(Operation::CreateFolder, &at("folder"), None);
        fs::create_dir(at("folder")).unwrap();
        changes.lose();
        assert_eq!(fs::read_to_string(at("kept")).unwrap(), "newer");
        assert_eq!(fs::read_to_string(at("empty")).unwrap(), "");
        assert!(!at("kept.tmp").exists() && !at("folder").exists());
    }
}
