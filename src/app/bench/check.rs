//! Kept results measured once more, and compared bit for bit.

use std::collections::BTreeSet;
use std::fmt;

use costate_base::disk;
use costate_base::provenance::{self, Provenance};
use costate_envs::rng::stream;
use rand::seq::SliceRandom;
use serde::Serialize;
use serde_json::Value;

use super::super::Progress;
use super::cells::{asked, demonstrate_all, run_cell};
use super::{Request, Visitor};
use crate::bench::{
    CellResult, MeasuredRow, RowKey, RowSuite, Suite, asked_rows, kept_rows, machine,
};
use crate::error::Error;

/// Which of the kept results are measured once more.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How many; all if there are fewer.
    pub count: usize,
    /// Seed of the draw.
    pub seed: u64,
}

/// A kept result beside what this build measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// Benchmark.
    pub suite: String,
    /// Cell or row.
    pub name: String,
    /// Build that measured the kept result, if it is recorded.
    pub kept_by: Option<String>,
    /// Whether that was this build on this type of machine: only then the same bits are promised.
    pub same_build: bool,
    /// Where they differ; nowhere if they are equal.
    pub differences: Vec<Difference>,
}

/// A field that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Its path, with dots.
    pub field: String,
    /// What is kept; null if absent.
    pub kept: Value,
    /// What was found now; null if absent.
    pub found: Value,
}

/// Fields that tell how long it took, on what, and by which build.
const CIRCUMSTANCES: [&str; 8] = [
    "seconds",
    "to_95.seconds",
    "fresh.seconds",
    "workers",
    "jobs",
    "machine",
    "provenance",
    "costate_version",
];

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, name, .. } = self;
        let Some(first) = self.differences.first() else {
            return write!(f, "equal    {suite} {name}");
        };
        let Difference { field, kept, found } = first;
        write!(f, "differs  {suite} {name}: {field} was {kept}, is {found}")?;
        match self.differences.len() {
            1 => {}
            more => write!(f, "; {more} fields in all")?,
        }
        match (&self.kept_by, self.same_build) {
            (_, true) => Ok(()),
            (None, false) => write!(f, " (kept by an unknown build)"),
            (Some(build), false) => write!(f, " (kept by {build})"),
        }
    }
}

/// Measures a sample of what a benchmark has kept, in a folder of its own within the request's `work`, which is removed at
/// the end; interrupted, it is left for the next check by the same build.
pub(super) fn check(
    request: &Request,
    sample: Sample,
    progress: &dyn Progress,
) -> Result<Vec<Checked>, Error> {
    let build = provenance::current();
    let name = match build.as_ref().and_then(Provenance::short_commit) {
        Some(commit) => format!("check-{}", commit.replace('+', "-changed")),
        None => "check".into(),
    };
    let work = request.work.join(name);
    // Sources that differ from a commit may differ otherwise now.
    if build.as_ref().is_none_or(|b| b.dirty) && work.exists() {
        disk::remove_folder(&work)?;
    }
    let inside = Request {
        work: work.clone(),
        ..request.clone()
    };
    let checking = Checking {
        request: &inside,
        sample,
        progress,
    };
    let checked = request.visit(checking)?;
    if work.exists() {
        disk::remove_folder(&work)?;
    }
    Ok(checked)
}

struct Checking<'a> {
    request: &'a Request,
    sample: Sample,
    progress: &'a dyn Progress,
}

impl Visitor for Checking<'_> {
    type Found = Vec<Checked>;

    fn speed(self) -> Result<Self::Found, Error> {
        Err(Error::Misuse(
            "`costate bench speed` measures times, which are never the same twice; --check is for the other benchmarks".into(),
        ))
    }

    fn cells(self) -> Result<Self::Found, Error> {
        let Self {
            request, progress, ..
        } = self;
        let suite = asked(&Suite::named(&request.suite)?, request)?;
        let folder = request.folder();
        let mut kept = Vec::new();
        for cell in suite.cells()? {
            if let Some(result) = CellResult::current(&suite, &cell, &folder)?
                && !result.is_incomplete(&suite, &cell)?
            {
                kept.push((cell, result));
            }
        }
        let kept = self.sample.of(kept);
        self.announce(kept.len());
        let cells = kept.iter().map(|(cell, _)| cell);
        demonstrate_all(&suite, cells, &request.work, progress)?;
        self.each(&kept, |(cell, kept)| {
            let workers = request.workers();
            let found = run_cell(&suite, cell, &request.work, workers, progress.interrupt())?;
            let Some(found) = found else {
                return Ok(None);
            };
            let same_machine = kept.machine == machine();
            compared(
                &request.suite,
                cell.name(),
                (kept.provenance.as_ref(), same_machine),
                kept,
                &found,
            )
        })
    }

    fn rows<S: RowSuite>(
        self,
        suite: &S,
        _: fn(Vec<MeasuredRow<S::Figures>>) -> super::Measured,
    ) -> Result<Self::Found, Error> {
        let Self {
            request, progress, ..
        } = self;
        let asked = asked_rows(suite, &request.envs, &request.methods, &request.seeds)?;
        let mut kept = kept_rows(suite, &request.folder())?;
        kept.retain(|row| asked.contains(&row.key));
        let kept = self.sample.of(kept);
        self.announce(kept.len());
        self.each(&kept, |row| {
            let Some(found) = suite.measure(&row.key, progress.interrupt())? else {
                return Ok(None);
            };
            let RowKey {
                subject,
                method,
                size,
                seed,
            } = &row.key;
            compared(
                &request.suite,
                format!("{subject}-{method}-{size}-{seed}"),
                // Rows do not tell their machine.
                (row.provenance.as_ref(), true),
                &row.figures,
                &found,
            )
        })
    }
}

impl Checking<'_> {
    fn announce(&self, count: usize) {
        let Sample { seed, .. } = self.sample;
        let suite = &self.request.suite;
        self.progress.remark(&format!(
            "{suite}: {count} kept results are measured again (drawn by --check-seed {seed})"
        ));
    }

    /// All of `kept`, several at a time, in their order.
    fn each<K: Sync>(
        &self,
        kept: &[K],
        one: impl Fn(&K) -> Result<Option<Checked>, Error> + Sync,
    ) -> Result<Vec<Checked>, Error> {
        let progress = self.progress;
        let found = self.request.each(kept, progress, |k| {
            let checked = one(k)?;
            if let Some(checked) = &checked {
                progress.remark(&checked.to_string());
            }
            Ok(checked)
        })?;
        Ok(found.into_iter().flatten().collect())
    }
}

impl Sample {
    /// The drawn ones, in their order.
    fn of<T>(self, all: Vec<T>) -> Vec<T> {
        let mut indices: Vec<usize> = (0..all.len()).collect();
        indices.shuffle(&mut stream(self.seed, "bench_check", 0));
        let chosen: BTreeSet<usize> = indices.into_iter().take(self.count).collect();
        let all = all.into_iter().enumerate();
        all.filter(|(i, _)| chosen.contains(i))
            .map(|(_, item)| item)
            .collect()
    }
}

fn compared<T: Serialize>(
    suite: &str,
    name: String,
    (build, same_machine): (Option<&Provenance>, bool),
    kept: &T,
    found: &T,
) -> Result<Option<Checked>, Error> {
    let value = |of: &T| serde_json::to_value(of).map_err(|e| Error::Failure(e.to_string()));
    let mut differences = Vec::new();
    compare("", &value(kept)?, &value(found)?, &mut differences);
    let own = provenance::current();
    Ok(Some(Checked {
        suite: suite.into(),
        name,
        kept_by: build.map(ToString::to_string),
        same_build: same_machine && build.is_some_and(|b| !b.dirty && own.as_ref() == Some(b)),
        differences,
    }))
}

/// Adds where two values differ, circumstances aside.
fn compare(field: &str, kept: &Value, found: &Value, differences: &mut Vec<Difference>) {
    if CIRCUMSTANCES.contains(&field) {
        return;
    }
    let inside = |key: &str| match field {
        "" => key.to_owned(),
        outer => format!("{outer}.{key}"),
    };
    match (kept, found) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let (kept, found) = (of(a).unwrap_or_default(), of(b).unwrap_or_default());
                compare(&inside(key), &kept, &found, differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (kept, found)) in a.iter().zip(b).enumerate() {
                compare(&inside(&i.to_string()), kept, found, differences);
            }
        }
        _ if kept == found => {}
        _ => differences.push(Difference {
            field: field.into(),
            kept: kept.clone(),
            found: found.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(kept: Value, found: Value) -> Vec<String> {
        let mut differences = Vec::new();
        compare("", &kept, &found, &mut differences);
        differences.into_iter().map(|d| d.field).collect()
    }

    #[test]
    fn all_but_circumstances_is_compared_to_the_last_bit() {
        let kept = json!({"seconds": 3.0, "score": 0.1, "fresh": {"seconds": 1, "delta": [1, 2]}, "machine": "a"});
        let mut found = kept.clone();
        found["seconds"] = json!(4.0);
        found["fresh"]["seconds"] = json!(7);
        found["machine"] = json!("b");
        assert!(fields(kept.clone(), found.clone()).is_empty());
        found["score"] = json!(0.1 + f64::EPSILON / 8.0);
        found["fresh"]["delta"][1] = json!(3);
        found["solved"] = json!(1.0);
        assert_eq!(
            fields(kept.clone(), found.clone()),
            ["fresh.delta.1", "score", "solved"]
        );
        found["fresh"] = Value::Null;
        assert_eq!(fields(kept, found), ["fresh", "score", "solved"]);
    }

    #[test]
    fn a_sample_is_drawn_by_its_seed_and_keeps_the_order() {
        let all = || (0..100).collect::<Vec<usize>>();
        let draw = |count, seed| Sample { count, seed }.of(all());
        let twenty = draw(20, 0);
        assert_eq!(twenty.len(), 20);
        assert!(twenty.is_sorted());
        assert_eq!(twenty, draw(20, 0));
        assert_ne!(twenty, draw(20, 1));
        assert_eq!(draw(1000, 0), all());
    }
}
