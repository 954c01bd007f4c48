//! `costate bench exact` and `costate bench ebm`: rows measured one by one, kept as they come.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::RolloutPool;

use super::bench::Args;
use super::common::{Output, interrupt_flag};
use super::ui::Counter;
use crate::bench::rows::{RowKey, RowSuite, asked, keep, read};
use crate::error::Error;
use crate::run::files;

/// Runs the command.
pub fn run<S: RowSuite>(suite: &S, args: &Args, output: Output) -> Result<(), Error> {
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("benches").join(S::NAME));
    let mut keys = asked(suite, &args.envs, &args.methods, &args.seeds)?;
    let mut rows = read(suite, &folder)?;
    if !args.show {
        keys.retain(|k| !rows.iter().any(|r| r.key == *k));
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let interrupt = interrupt_flag()?;
        let measured = measure(suite, &folder, &keys, args.jobs(), &interrupt, output);
        // What was measured before a failure or an interruption is in the tables as well.
        rows = read(suite, &folder)?;
        let table = suite.markdown(&rows);
        files::write_atomic(&folder.join("README.md"), table.as_bytes())?;
        if let Some((name, svg)) = suite.picture(&rows) {
            files::write_atomic(&folder.join(name), svg.as_bytes())?;
        }
        measured?;
    }
    output.result(&rows, || suite.markdown(&rows))
}

fn measure<S: RowSuite>(
    suite: &S,
    folder: &Path,
    keys: &[RowKey],
    jobs: usize,
    interrupt: &AtomicBool,
    output: Output,
) -> Result<(), Error> {
    let counter = Mutex::new((0, Counter::new(output, "rows", keys.len())));
    let one = |_: &mut (), i: usize| -> Result<(), Error> {
        let key = &keys[i];
        let Some(figures) = suite.measure(key, interrupt)? else {
            return Ok(());
        };
        // One at a time: rows of a subject share a file.
        let mut counter = match counter.lock() {
            Ok(counter) => counter,
            Err(poisoned) => poisoned.into_inner(),
        };
        keep(suite, folder, key, figures)?;
        counter.0 += 1;
        let done = counter.0;
        let RowKey {
            subject,
            method,
            size,
            seed,
        } = key;
        let what = format!("{subject}, {method}, {size} rows, seed {seed}");
        counter.1.at(done, &what);
        Ok(())
    };
    let results = RolloutPool::new(jobs).map(keys.len(), || (), one);
    if let Ok((_, counter)) = counter.into_inner() {
        counter.finish();
    }
    results.into_iter().collect::<Result<Vec<()>, Error>>()?;
    match interrupt.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::Failure(format!(
            "interrupted; `costate bench {}` goes on where it stopped",
            S::NAME
        ))),
    }
}
