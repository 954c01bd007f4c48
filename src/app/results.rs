//! Where an evaluation's results go: into the run's folder, or, with `--output`, into one of their own.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use costate_base::disk::{self, DiskError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Progress;
use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::run::{RunFolder, files};

/// The evaluation's file.
const EVALUATION: &str = "evaluation.json";
/// Says whose results a folder of its own holds.
const SOURCE: &str = "source.json";

/// Whose results a folder holds.
#[derive(Serialize, Deserialize)]
struct Source {
    format: u32,
    /// The run or the demonstrations, where they were.
    of: PathBuf,
    /// Digest of the run's configuration, or of the demonstrations.
    sha256: String,
}

/// Makes or reopens a folder for the results of what has this digest.
///
/// Errors: a folder that holds anything else, or that cannot be written.
pub fn open_folder(folder: &Path, of: &Path, sha256: String) -> Result<(), Error> {
    let file = folder.join(SOURCE);
    match fs::read(&file) {
        Ok(bytes) => {
            let found: Source = serde_json::from_slice(&bytes)
                .map_err(|e| Error::Failure(format!("{}: {e}", file.display())))?;
            if found.sha256 != sha256 {
                return Err(Error::Misuse(format!(
                    "{}: holds results of {}, not of {}; choose another folder with --output",
                    folder.display(),
                    found.of.display(),
                    of.display()
                )));
            }
            writable(folder)
        }
        Err(e) if e.kind() == ErrorKind::NotFound || e.kind() == ErrorKind::NotADirectory => {
            let at = folder.display();
            let named = |e: Error| match e {
                Error::Misuse(text) => Error::Misuse(text.replace("with -o", "with --output")),
                other if unwritable(&other) => {
                    Error::Failure(format!("{at}: cannot be written: {other}"))
                }
                other => other,
            };
            files::create_output_folder(folder).map_err(named)?;
            let source = Source {
                format: 1,
                of: of.into(),
                sha256,
            };
            files::write_json(&file, &source).map_err(named)
        }
        Err(e) => Err(Error::io(&file)(e)),
    }
}

/// Whether an error says that a place may only be read.
pub fn unwritable(error: &Error) -> bool {
    let source = match error {
        Error::Io { source, .. } | Error::Disk(DiskError { source, .. }) => source,
        _ => return false,
    };
    matches!(
        source.kind(),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
    )
}

/// Tries a folder with a file that is removed again.
fn writable(folder: &Path) -> Result<(), Error> {
    let probe = folder.join(format!(".writable-{}", std::process::id()));
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe)
        .and_then(|_| fs::remove_file(&probe))
        .map_err(|e| {
            Error::Failure(format!(
                "{}: cannot be written ({e}); say where results go with --output DIR",
                folder.display()
            ))
        })
}

/// The places of a run's results.
#[derive(Clone, Copy)]
pub struct Results<'a> {
    run: &'a RunFolder,
    folder: &'a Path,
}

impl<'a> Results<'a> {
    /// In the run's own folder.
    pub fn of(run: &'a RunFolder) -> Self {
        Self {
            run,
            folder: run.path(),
        }
    }

    /// In a folder of their own, where one is given.
    pub fn within(run: &'a RunFolder, folder: Option<&'a Path>) -> Result<Self, Error> {
        let Some(folder) = folder else {
            return Ok(Self::of(run));
        };
        let config = run.file("config.json");
        let bytes = fs::read(&config).map_err(Error::io(&config))?;
        open_folder(folder, run.path(), disk::sha256(&bytes))?;
        Ok(Self { run, folder })
    }

    /// The run.
    pub fn run(&self) -> &'a RunFolder {
        self.run
    }

    /// Keeps other processes from writing into the run's folder, where that is the place.
    pub fn lock(&self) -> Result<(), Error> {
        match self.folder == self.run.path() {
            true => self.run.lock(),
            false => Ok(()),
        }
    }

    /// Where a result is written.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where a result is: in its own place, or else in the run's folder.
    pub fn found(&self, name: &str) -> PathBuf {
        match self.file(name) {
            own if own.exists() => own,
            _ => self.run.file(name),
        }
    }

    /// Reads a JSON result, if it is there.
    pub fn read_json(&self, name: &str) -> Result<Option<Value>, Error> {
        files::read_json(&self.found(name))
    }

    /// Writes a JSON result.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        files::write_json(&self.file(name), value)
    }

    /// Refuses a place that may only be read, before anything is trained for it.
    pub fn require_writable(&self) -> Result<(), Error> {
        writable(self.folder)
    }

    /// Keeps an evaluation. One of a run that may only be read is not lost for that: it is still printed, and said not to be kept.
    pub fn keep(&self, evaluation: &Evaluation, progress: &dyn Progress) -> Result<(), Error> {
        match self.write_json(EVALUATION, evaluation) {
            Err(e) if unwritable(&e) => {
                progress.remark(&format!(
                    "{}: cannot be written, so these results are not kept; --output DIR keeps them elsewhere",
                    self.folder.display()
                ));
                Ok(())
            }
            other => other,
        }
    }
}

/// Keeps an evaluation of what is no run in a folder of its own.
pub fn keep_in(folder: &Path, evaluation: &Evaluation) -> Result<(), Error> {
    files::write_json(&folder.join(EVALUATION), evaluation)
}
