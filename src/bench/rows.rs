//! Benchmarks measured row by row: `costate bench exact`, `costate bench ebm` and `costate bench shifts`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use costate_base::disk;
use costate_base::names::{nearest, suggestion};
use costate_base::provenance::{self, Provenance};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::builds;
use crate::error::Error;
use crate::run::files;

/// Identifies a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowKey {
    /// What is learned: a process or a density. Its rows share a file.
    pub subject: String,
    /// The learner.
    pub method: String,
    /// Number of demonstrations or rows of data.
    pub size: usize,
    /// Seed.
    pub seed: u64,
}

/// A measured row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredRow<F> {
    /// Which.
    #[serde(flatten)]
    pub key: RowKey,
    /// Digest of [`RowSuite::basis`].
    pub basis_sha256: String,
    /// Build that measured it; unknown for older rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// What was found.
    pub figures: F,
}

/// Such a benchmark.
pub trait RowSuite: Sync {
    /// What is measured.
    type Figures: Clone + Serialize + DeserializeOwned + Send + Sync;

    /// `costate bench NAME`.
    const NAME: &'static str;

    /// All rows, seed by seed.
    fn keys(&self) -> Vec<RowKey>;

    /// All settings behind a row: when they change, it is measured again.
    fn basis(&self, key: &RowKey) -> Result<Value, Error>;

    /// Measures a row; `None` if interrupted.
    fn measure(&self, key: &RowKey, interrupt: &AtomicBool)
    -> Result<Option<Self::Figures>, Error>;

    /// The tables.
    fn markdown(&self, rows: &[MeasuredRow<Self::Figures>]) -> String;

    /// A picture as SVG, with the name of its file.
    fn picture(&self, rows: &[MeasuredRow<Self::Figures>]) -> Option<(&'static str, String)>;
}

/// Rows of a subject: its file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject<F> {
    /// Version of the file.
    format: u32,
    rows: Vec<MeasuredRow<F>>,
}

/// Version that this build writes and reads.
const FORMAT: u32 = 1;

/// A shipped suite from its JSON.
pub(super) fn shipped<S: DeserializeOwned>(name: &str, text: &str) -> Result<S, Error> {
    serde_json::from_str(text)
        .map_err(|e| Error::Failure(format!("the shipped benchmark {name} is broken: {e}")))
}

/// The rows of some subjects, methods and seeds only; an empty list selects all.
///
/// Errors: a subject or a method that the suite does not have.
pub fn asked_rows<S: RowSuite>(
    suite: &S,
    subjects: &[String],
    methods: &[String],
    seeds: &[u64],
) -> Result<Vec<RowKey>, Error> {
    let mut keys = suite.keys();
    let mut keep = |what: &str, names: &[String], of: fn(&RowKey) -> &str| {
        let mut known: Vec<&str> = keys.iter().map(of).collect();
        known.sort_unstable();
        known.dedup();
        if let Some(name) = names.iter().find(|n| !known.contains(&n.as_str())) {
            return Err(unknown(S::NAME, what, name, &known));
        }
        keys.retain(|k| names.is_empty() || names.iter().any(|n| n == of(k)));
        Ok(())
    };
    keep("subject", subjects, |k| &k.subject)?;
    keep("method", methods, |k| &k.method)?;
    let mut known: Vec<u64> = keys.iter().map(|k| k.seed).collect();
    known.dedup();
    if let Some(seed) = seeds.iter().find(|s| !known.contains(s)) {
        return Err(Error::Misuse(format!(
            "benchmark {} has no seed {seed}; there are {known:?}",
            S::NAME
        )));
    }
    keys.retain(|k| seeds.is_empty() || seeds.contains(&k.seed));
    Ok(keys)
}

/// The error for an unknown name in a benchmark.
pub(super) fn unknown(benchmark: &str, what: &str, name: &str, known: &[&str]) -> Error {
    Error::Misuse(format!(
        "benchmark {benchmark} has no {what} `{name}`{}; there are {}",
        suggestion(nearest(name, known.iter().copied())),
        known.join(", ")
    ))
}

/// Rows in `folder` that were measured with the current settings, in the order of the suite.
///
/// Errors: a file that cannot be read.
pub fn kept_rows<S: RowSuite>(
    suite: &S,
    folder: &Path,
) -> Result<Vec<MeasuredRow<S::Figures>>, Error> {
    let mut there = BTreeMap::new();
    for subject in subjects(suite) {
        let rows = stored::<S::Figures>(&file(folder, &subject))?;
        there.extend(rows.into_iter().map(|r| (r.key.clone(), r)));
    }
    let mut rows = Vec::new();
    for key in suite.keys() {
        if let Some(row) = there.remove(&key)
            && row.basis_sha256 == digest(suite, &key)?
        {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Writes a row into the file of its subject atomically, replacing an older one.
pub fn keep_row<S: RowSuite>(
    suite: &S,
    folder: &Path,
    key: &RowKey,
    figures: S::Figures,
) -> Result<(), Error> {
    let file = file(folder, &key.subject);
    let mut rows = stored::<S::Figures>(&file)?;
    rows.retain(|r| r.key != *key);
    rows.push(MeasuredRow {
        key: key.clone(),
        basis_sha256: digest(suite, key)?,
        provenance: provenance::current(),
        figures,
    });
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    let text = Subject {
        format: FORMAT,
        rows,
    };
    files::write_json(&file, &text)
}

/// All rows of a file; empty if it does not exist.
fn stored<F: DeserializeOwned>(file: &Path) -> Result<Vec<MeasuredRow<F>>, Error> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(file)(e)),
    };
    let bad = |reason: String| {
        Error::Failure(format!(
            "{}: {reason}; remove it to remeasure its rows",
            file.display()
        ))
    };
    let found: Subject<F> = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    match found.format {
        FORMAT => Ok(found.rows),
        other => Err(bad(format!("format {other}, expected {FORMAT}"))),
    }
}

/// Mean of a figure over the seeds; `None` without rows that have it.
pub(super) fn mean<F>(
    rows: &[MeasuredRow<F>],
    (subject, method, size): (&str, &str, usize),
    of: impl Fn(&F) -> Option<f64>,
) -> Option<f64> {
    let same = |k: &RowKey| k.subject == subject && k.method == method && k.size == size;
    let found = rows.iter().filter(|r| same(&r.key));
    let values: Vec<f64> = found.filter_map(|r| of(&r.figures)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The notes below the tables: which builds measured the rows, and how many are missing.
pub(super) fn footer<S: RowSuite>(suite: &S, rows: &[MeasuredRow<S::Figures>]) -> String {
    notes(S::NAME, suite.keys().len(), rows)
}

/// The same for `all` rows of the benchmark `name`.
pub(super) fn notes<F>(name: &str, all: usize, rows: &[MeasuredRow<F>]) -> String {
    let of = |r: &MeasuredRow<F>| format!("{} {}", r.key.subject, r.key.method);
    let builds = builds(rows.iter().map(|r| (r.provenance.as_ref(), of(r))));
    builds + &missing(name, all, rows.len())
}

fn missing(name: &str, all: usize, rows: usize) -> String {
    match all.saturating_sub(rows) {
        0 => String::new(),
        left => format!(
            "\n{left} of {all} rows have not been measured yet; `costate bench {name}` measures them.\n"
        ),
    }
}

fn subjects<S: RowSuite>(suite: &S) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for key in suite.keys() {
        if !names.contains(&key.subject) {
            names.push(key.subject);
        }
    }
    names
}

fn file(folder: &Path, subject: &str) -> PathBuf {
    folder.join(format!("{subject}.json"))
}

fn digest<S: RowSuite>(suite: &S, key: &RowKey) -> Result<String, Error> {
    Ok(disk::sha256(suite.basis(key)?.to_string().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two subjects by two methods, whose basis is a number.
    struct Toy(u64);

    impl RowSuite for Toy {
        type Figures = f64;
        const NAME: &'static str = "toy";

        fn keys(&self) -> Vec<RowKey> {
            let key = |i: usize| RowKey {
                subject: ["line", "plane"][i / 2 % 2].into(),
                method: ["one", "two"][i % 2].into(),
                size: 10,
                seed: (i / 4) as u64,
            };
            (0..8).map(key).collect()
        }

        fn basis(&self, key: &RowKey) -> Result<Value, Error> {
            Ok(serde_json::json!([key.method, self.0]))
        }

        fn measure(&self, _: &RowKey, _: &AtomicBool) -> Result<Option<f64>, Error> {
            Ok(Some(1.0))
        }

        fn markdown(&self, _: &[MeasuredRow<f64>]) -> String {
            String::new()
        }

        fn picture(&self, _: &[MeasuredRow<f64>]) -> Option<(&'static str, String)> {
            None
        }
    }

    #[test]
    fn rows_are_read_back_in_suite_order_until_their_basis_changes() {
        let folder = tempfile::tempdir().unwrap();
        let (suite, at) = (Toy(1), folder.path());
        assert!(kept_rows(&suite, at).unwrap().is_empty());
        for (i, key) in suite.keys().iter().enumerate().rev() {
            keep_row(&suite, at, key, 0.0).unwrap();
            keep_row(&suite, at, key, i as f64).unwrap();
        }
        let all = kept_rows(&suite, at).unwrap();
        let keys: Vec<RowKey> = all.iter().map(|r| r.key.clone()).collect();
        assert_eq!(keys, suite.keys());
        assert!(all.iter().enumerate().all(|(i, r)| r.figures == i as f64));
        // Rows of another process are kept.
        keep_row(&Toy(2), at, &keys[3], 9.0).unwrap();
        let there = kept_rows(&suite, at).unwrap();
        assert_eq!(there.len(), 7);
        assert_eq!(kept_rows(&Toy(2), at).unwrap().len(), 1);
        assert_eq!(mean(&all, ("line", "two", 10), |f| Some(*f)), Some(3.0));
        assert_eq!(mean(&all, ("line", "two", 20), |f| Some(*f)), None);
        assert!(missing("toy", 8, 8).is_empty() && missing("toy", 8, 6).contains("2 of 8"));

        let mut two = all[..2].to_vec();
        two[1].provenance = Some(Provenance {
            commit: Some("0123456789ab".into()),
            dirty: true,
            costate: String::new(),
            rapier: String::new(),
            libtorch: None,
        });
        let text = footer(&suite, &two);
        assert!(text.contains("| 0123456789+ | 1 | line two |"), "{text}");
        assert!(text.contains("| not recorded | 1 | line one |") && text.contains("6 of 8"));

        std::fs::write(at.join("line.json"), "{\"format\": 1").unwrap();
        let message = kept_rows(&suite, at).unwrap_err().to_string();
        assert!(message.contains("line.json") && message.contains("remove it"));
    }

    #[test]
    fn unknown_names_are_misuse() {
        let own = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let some = asked_rows(&Toy(0), &own(&["line"]), &own(&["two"]), &[1]).unwrap();
        assert_eq!(some.len(), 1);
        for (subjects, methods, part) in [
            (&["lines"][..], &[][..], "did you mean `line`?"),
            (&[], &["tow"], "did you mean `two`?"),
        ] {
            let error = asked_rows(&Toy(0), &own(subjects), &own(methods), &[]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = asked_rows(&Toy(0), &[], &[], &[7]).unwrap_err();
        assert!(error.to_string().contains("no seed 7"), "{error}");
    }
}
