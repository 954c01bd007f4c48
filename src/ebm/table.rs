//! Named columns of numbers, and the split into training, validation and held-out rows.

use std::collections::BTreeSet;
use std::ops::Range;

use costate_base::names::{nearest, suggestion};
use costate_envs::rng::stream;
use rand::seq::SliceRandom;

use crate::error::Error;

/// Minimum rows to fit a model.
pub const MIN_ROWS: usize = 50;
/// Minimum rows per column.
const ROWS_PER_COLUMN: usize = 5;
/// Maximum columns: square matrices of this size are factorised, and beyond it log Z is out of reach.
const MAX_COLUMNS: usize = 64;
/// Minimum groups: one for training, one for validation, one held out.
const MIN_GROUPS: usize = 3;

/// Numbers by row and named column; every one finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    values: Vec<f64>,
    /// The group of each row; absent if rows are independent.
    groups: Option<Vec<usize>>,
}

/// Split of the rows for training, validation and final evaluation. Groups are never split.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Training rows.
    pub training: Vec<usize>,
    /// Validation rows, about a tenth of the rest, which select sizes and when to stop.
    pub validation: Vec<usize>,
    /// Rows used only for the final figures.
    pub held_out: Vec<usize>,
}

impl Table {
    /// A table from its values, row by row. All must be finite, in complete rows.
    pub(crate) fn new(columns: Vec<String>, values: Vec<f64>) -> Self {
        debug_assert!(!columns.is_empty() && values.len().is_multiple_of(columns.len()));
        Self {
            columns,
            values,
            groups: None,
        }
    }

    /// The table with neighbouring rows of the same number in `groups` dependent, like the steps of an episode.
    pub(super) fn grouped(self, groups: Vec<usize>) -> Self {
        debug_assert_eq!(groups.len(), self.len());
        Self {
            groups: Some(groups),
            ..self
        }
    }

    /// Names of the columns.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.columns.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        let width = self.columns.len();
        &self.values[i * width..(i + 1) * width]
    }

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns.len())
    }

    /// All values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The group of each of some rows; without groups every row is its own group.
    pub fn groups_of(&self, rows: &[usize]) -> Vec<usize> {
        match &self.groups {
            Some(groups) => rows.iter().map(|&i| groups[i]).collect(),
            None => rows.to_vec(),
        }
    }

    /// Number of groups among some rows; `None` if rows are independent.
    pub fn count_groups(&self, rows: &[usize]) -> Option<usize> {
        self.groups.as_ref()?;
        let distinct: BTreeSet<usize> = self.groups_of(rows).into_iter().collect();
        Some(distinct.len())
    }

    /// Rows that stay together: groups, or single rows.
    fn runs(&self) -> Vec<Range<usize>> {
        let Some(groups) = &self.groups else {
            return (0..self.len()).map(|i| i..i + 1).collect();
        };
        let mut end = 0;
        let run = |group: &[usize]| {
            let start = end;
            end += group.len();
            start..end
        };
        groups.chunk_by(|a, b| a == b).map(run).collect()
    }

    /// Index of a column. Errors: no such column.
    pub fn position(&self, name: &str) -> Result<usize, Error> {
        let found = self.columns.iter().position(|c| c == name);
        found.ok_or_else(|| unknown_column(name, &self.columns))
    }

    /// Refuses tables that no density can be fitted to: too few rows or episodes, too many columns, a constant column.
    pub fn check_fittable(&self, source: &str) -> Result<(), Error> {
        let width = self.columns.len();
        if width > MAX_COLUMNS {
            return Err(Error::Misuse(format!(
                "{source}: {width} columns, expected at most {MAX_COLUMNS}; choose some with --columns"
            )));
        }
        let needed = MIN_ROWS.max(ROWS_PER_COLUMN * width);
        if self.len() < needed {
            return Err(Error::Misuse(format!(
                "{source}: {} rows, expected at least {needed} for {width} column{}",
                self.len(),
                if width == 1 { "" } else { "s" }
            )));
        }
        let episodes = self.groups.as_ref().map(|_| self.runs().len());
        if let Some(count) = episodes.filter(|n| *n < MIN_GROUPS) {
            return Err(Error::Misuse(format!(
                "{source}: {count} episode{}, expected at least {MIN_GROUPS}: steps of one episode are alike, so that only \
                 whole episodes can be held out",
                if count == 1 { "" } else { "s" }
            )));
        }
        for (i, name) in self.columns.iter().enumerate() {
            let first = self.row(0)[i];
            if self.rows().all(|row| row[i] == first) {
                return Err(Error::Misuse(format!(
                    "{source}: column `{name}` is {first} in every row, and a constant has no density; leave it out \
                     with --columns"
                )));
            }
        }
        Ok(())
    }

    /// Splits the rows: a share `held_out` in (0, 1), drawn with `seed`, then a tenth of the rest for validation.
    /// Groups are drawn whole until the share is reached.
    pub fn split(&self, held_out: f64, seed: u64) -> Split {
        let mut runs = self.runs();
        runs.shuffle(&mut stream(seed, "ebm split", 0));
        let count = (held_out * self.len() as f64).round() as usize;
        let count = count.min(self.len().saturating_sub(2)).max(1);
        let (held_out, rest) = take(&runs, count, 2);
        let left: usize = rest.iter().map(ExactSizeIterator::len).sum();
        let (validation, training) = take(rest, (left / 10).max(1), 1);
        let rows = |runs: &[Range<usize>]| runs.iter().cloned().flatten().collect();
        Split {
            training: rows(training),
            validation: rows(validation),
            held_out: rows(held_out),
        }
    }
}

/// The first runs with `rows` rows in total, leaving at least `kept` runs, and the remaining runs.
fn take(runs: &[Range<usize>], rows: usize, kept: usize) -> (&[Range<usize>], &[Range<usize>]) {
    let mut sum = 0;
    let needed = runs.iter().take_while(|run| {
        let short = sum < rows;
        sum += run.len();
        short
    });
    let count = needed.count();
    runs.split_at(count.min(runs.len().saturating_sub(kept)))
}

/// The error for a missing column.
pub(super) fn unknown_column(name: &str, columns: &[String]) -> Error {
    let listed = columns.iter().map(String::as_str);
    let hint = suggestion(nearest(name, listed.clone()));
    let shown: Vec<&str> = listed.take(20).collect();
    let more = if columns.len() > 20 { ", …" } else { "" };
    Error::Misuse(format!(
        "no column `{name}`{hint}; available: {}{more}",
        shown.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> Table {
        let values = (0..rows).flat_map(|i| [i as f64, (i % 3) as f64]);
        Table::new(vec!["a".into(), "b".into()], values.collect())
    }

    #[test]
    fn every_row_is_in_one_part_and_the_seed_decides_which() {
        let table = table(100);
        let split = table.split(0.2, 1);
        let mut all = [&split.training, &split.validation, &split.held_out]
            .map(Clone::clone)
            .concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!((split.held_out.len(), split.validation.len()), (20, 8));
        assert_eq!(table.count_groups(&split.held_out), None);
        assert_eq!(split, table.split(0.2, 1));
        assert_ne!(split, table.split(0.2, 2));
    }

    /// Episodes of these lengths.
    fn episodes(lengths: &[usize]) -> Table {
        let numbered = lengths.iter().enumerate();
        let groups: Vec<usize> = numbered
            .flat_map(|(i, &length)| std::iter::repeat_n(i, length))
            .collect();
        table(groups.len()).grouped(groups)
    }

    #[test]
    fn episodes_stay_whole() {
        let lengths = [7, 30, 12, 25, 18, 40, 9, 31, 22, 6];
        let table = episodes(&lengths);
        for seed in 0..20 {
            let split = table.split(0.3, seed);
            let parts = [&split.held_out, &split.validation, &split.training];
            let mut all = parts.map(Clone::clone).concat();
            all.sort_unstable();
            assert_eq!(all, (0..200).collect::<Vec<_>>());
            let counts = parts.map(|part| table.count_groups(part).unwrap());
            assert_eq!(
                counts.iter().sum::<usize>(),
                10,
                "an episode is in two parts"
            );
            // Reached, and exceeded by at most the last episode.
            let held = split.held_out.len();
            assert!((60..100).contains(&held), "{held}");
            let wanted = (200 - held) / 10;
            assert!((wanted..wanted + 40).contains(&split.validation.len()));
        }
        assert_ne!(table.split(0.3, 1), table.split(0.3, 2));
    }

    #[test]
    fn every_part_has_an_episode_however_uneven_they_are() {
        for lengths in [&[100, 1, 1][..], &[1, 100, 1], &[30, 30, 30]] {
            let table = episodes(lengths);
            for (held_out, seed) in [(0.01, 0), (0.5, 1), (0.9, 2)] {
                let split = table.split(held_out, seed);
                for part in [&split.held_out, &split.validation, &split.training] {
                    assert_eq!(table.count_groups(part), Some(1), "{lengths:?} {split:?}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_refused() {
        let message = |t: &Table| t.check_fittable("f.csv").unwrap_err().to_string();
        assert!(message(&table(49)).contains("f.csv: 49 rows, expected at least 50 for 2 columns"));
        let constant = Table::new(vec!["k".into()], vec![2.5; 60]);
        assert!(message(&constant).contains("column `k` is 2.5 in every row"));
        let wide = (0..70).map(|i| i.to_string()).collect();
        assert!(message(&Table::new(wide, vec![0.0; 7000])).contains("at most 64"));
        assert!(table(60).check_fittable("").is_ok());
        let two = message(&episodes(&[30, 40]));
        assert!(
            two.contains("f.csv: 2 episodes, expected at least 3"),
            "{two}"
        );
        assert!(episodes(&[30, 40, 1]).check_fittable("").is_ok());
    }
}
