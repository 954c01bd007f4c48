//! Benchmarks whose rows are measured one by one and saved as they are measured.

use std::path::Path;
use std::sync::Mutex;

use costate_base::disk;

use super::super::Progress;
use super::{Measured, Request, Tables};
use crate::bench::{MeasuredRow, RowKey, RowSuite, asked_rows, keep_row, kept_rows};
use crate::error::Error;
use crate::run::files;

/// The tables of a suite; `kind` is the kind of its rows.
pub fn tables<S: RowSuite>(
    suite: &S,
    request: &Request,
    kind: fn(Vec<MeasuredRow<S::Figures>>) -> Measured,
    progress: &dyn Progress,
) -> Result<Tables, Error> {
    let folder = request.folder();
    let mut keys = asked_rows(suite, &request.envs, &request.methods, &request.seeds)?;
    let mut rows = kept_rows(suite, &folder)?;
    if !request.show {
        keys.retain(|k| !rows.iter().any(|r| r.key == *k));
        disk::create_folders(&folder)?;
        let measured = measure(suite, &folder, &keys, request, progress);
        // Rows measured before a failure or an interruption are in the tables too.
        rows = kept_rows(suite, &folder)?;
        let table = suite.markdown(&rows);
        files::write_atomic(&folder.join("README.md"), table.as_bytes())?;
        if let Some((name, svg)) = suite.picture(&rows) {
            files::write_atomic(&folder.join(name), svg.as_bytes())?;
        }
        measured?;
    }
    let markdown = suite.markdown(&rows);
    Ok(Tables {
        measured: kind(rows),
        markdown,
    })
}

fn measure<S: RowSuite>(
    suite: &S,
    folder: &Path,
    keys: &[RowKey],
    request: &Request,
    progress: &dyn Progress,
) -> Result<(), Error> {
    progress.begin("rows", keys.len());
    let done = Mutex::new(0);
    let measured = request.each(keys, progress, |key| {
        let Some(figures) = suite.measure(key, progress.interrupt())? else {
            return Ok(());
        };
        // One at a time: rows of a subject share a file.
        let mut done = match done.lock() {
            Ok(done) => done,
            Err(poisoned) => poisoned.into_inner(),
        };
        keep_row(suite, folder, key, figures)?;
        *done += 1;
        let RowKey {
            subject,
            method,
            size,
            seed,
        } = key;
        let what = format!("{subject}, {method}, {size} rows, seed {seed}");
        progress.advance(*done, &what);
        Ok(())
    });
    progress.end();
    measured.map(drop)
}
