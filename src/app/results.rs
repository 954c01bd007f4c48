//! Where an evaluation's results go: into the run's folder, or, with `--output`, into one of their own.

use std::fs;
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
/// File that names what a separate results folder belongs to.
const SOURCE: &str = "source.json";

/// What a results folder belongs to.
#[derive(Serialize, Deserialize)]
struct Source {
    format: u32,
    /// The run or the dataset, by its path at the time.
    of: PathBuf,
    /// Digest of the run's configuration, or of the demonstrations.
    sha256: String,
}

/// Creates or reopens a folder for the results of the run or dataset with this digest.
///
/// Errors: a folder with other contents, or one that is not writable.
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
                    Error::Failure(format!("{at}: cannot write: {other}"))
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

/// Whether an error says that a folder is read-only.
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

/// Tests that a folder is writable, with a temporary file.
fn writable(folder: &Path) -> Result<(), Error> {
    disk::probe(folder).map_err(|e| {
        Error::Failure(format!(
            "{}: not writable ({}); choose a folder for the results with --output DIR",
            folder.display(),
            e.source
        ))
    })
}

/// Where a run's results are stored.
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

    /// In a separate folder, if given.
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

    /// Locks the run's folder against other processes, if results go there.
    pub fn lock(&self) -> Result<(), Error> {
        match self.folder == self.run.path() {
            true => self.run.lock(),
            false => Ok(()),
        }
    }

    /// Path to write a result to.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Path to read a result from: the separate folder, or else the run's folder.
    pub fn found(&self, name: &str) -> PathBuf {
        match self.file(name) {
            own if own.exists() => own,
            _ => self.run.file(name),
        }
    }

    /// Reads a JSON result, if it exists.
    pub fn read_json(&self, name: &str) -> Result<Option<Value>, Error> {
        files::read_json(&self.found(name))
    }

    /// Writes a JSON result.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        files::write_json(&self.file(name), value)
    }

    /// Refuses a read-only folder before anything is trained for it.
    pub fn require_writable(&self) -> Result<(), Error> {
        writable(self.folder)
    }

    /// Saves an evaluation. If the run's folder is read-only it is still printed, with a remark that it was not saved.
    pub fn keep(&self, evaluation: &Evaluation, progress: &dyn Progress) -> Result<(), Error> {
        self.keep_as(EVALUATION, evaluation, progress)
    }

    /// The same of other results, in the file `name`.
    pub fn keep_as(
        &self,
        name: &str,
        found: &impl Serialize,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        match self.write_json(name, found) {
            Err(e) if unwritable(&e) => {
                progress.remark(&format!(
                    "{}: not writable, so these results are not saved; save them elsewhere with --output DIR",
                    self.folder.display()
                ));
                Ok(())
            }
            other => other,
        }
    }
}

/// Saves an evaluation without a run in a separate folder.
pub fn keep_in(folder: &Path, evaluation: &Evaluation) -> Result<(), Error> {
    files::write_json(&folder.join(EVALUATION), evaluation)
}
