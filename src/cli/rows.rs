//! `costate bench exact` and `costate bench ebm`: rows measured one by one, kept as they come.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_envs::rollout::RolloutPool;

use super::bench::Args;
use super::common::{Output, interrupt_flag};
use super::ui::Counter;
use crate::bench::rows::{Row, RowKey, RowSuite, asked, read, write};
use crate::error::Error;
use crate::run::files;

/// Runs the command.
pub fn run<S: RowSuite>(suite: &S, args: &Args, output: Output) -> Result<(), Error> {
    let folder = args
        .output
        .clone()
        .unwrap_or_else(|| Path::new("benches").join(S::NAME));
    let mut keys = asked(suite, &args.envs, &args.methods, &args.seeds)?;
    let there = read(suite, &folder)?;
    keys.retain(|k| !there.iter().any(|r| r.key == *k));
    if !args.show {
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let interrupt = interrupt_flag()?;
        let rows = Rows {
            suite,
            folder: &folder,
            rows: Mutex::new(there),
        };
        let measured = rows.measure(&keys, args.jobs(), &interrupt, output);
        // What was measured before a failure or an interruption is in the tables as well.
        let rows = read(suite, &folder)?;
        let table = suite.markdown(&rows);
        files::write_atomic(&folder.join("README.md"), table.as_bytes())?;
        if let Some((name, svg)) = suite.picture(&rows) {
            files::write_atomic(&folder.join(name), svg.as_bytes())?;
        }
        measured?;
    }
    let rows = read(suite, &folder)?;
    output.result(&rows, || suite.markdown(&rows))
}

/// Rows on their way to their files.
struct Rows<'a, S: RowSuite> {
    suite: &'a S,
    folder: &'a Path,
    rows: Mutex<Vec<Row<S::Figures>>>,
}

impl<S: RowSuite> Rows<'_, S> {
    fn measure(
        &self,
        keys: &[RowKey],
        jobs: usize,
        interrupt: &AtomicBool,
        output: Output,
    ) -> Result<(), Error> {
        let counter = Mutex::new((0, Counter::new(output, "rows", keys.len())));
        let one = |_: &mut (), i: usize| -> Result<(), Error> {
            let key = &keys[i];
            let Some(figures) = self.suite.measure(key, interrupt)? else {
                return Ok(());
            };
            self.keep(Row {
                key: key.clone(),
                figures,
            })?;
            if let Ok(mut counter) = counter.lock() {
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
            }
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

    fn keep(&self, row: Row<S::Figures>) -> Result<(), Error> {
        let mut rows = match self.rows.lock() {
            Ok(rows) => rows,
            Err(poisoned) => poisoned.into_inner(),
        };
        let subject = row.key.subject.clone();
        rows.push(row);
        write(self.suite, self.folder, &subject, &rows)
    }
}
