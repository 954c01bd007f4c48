//! Named columns of numbers, and the rows that are held out.

use costate_envs::model::{nearest, suggestion};
use costate_envs::rng::stream;
use rand::seq::SliceRandom;

use crate::error::Error;

/// Fewest rows that a model is fitted to.
pub const MIN_ROWS: usize = 50;
/// Fewest rows per column.
const ROWS_PER_COLUMN: usize = 5;
/// Most columns: matrices of their square are factorised, and beyond this log Z is out of reach.
const MAX_COLUMNS: usize = 64;

/// Numbers by row and named column; every one finite.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    columns: Vec<String>,
    values: Vec<f64>,
}

/// Rows apart: for learning, for choosing among what was learned, and for judging it.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Rows that gradients see.
    pub training: Vec<usize>,
    /// A tenth of the others, which choose sizes and when to stop.
    pub validation: Vec<usize>,
    /// Rows that nothing but the final figures sees.
    pub held_out: Vec<usize>,
}

impl Table {
    /// A table from its values, row by row. All must be finite, and as many as whole rows take.
    pub(super) fn new(columns: Vec<String>, values: Vec<f64>) -> Self {
        debug_assert!(!columns.is_empty() && values.len().is_multiple_of(columns.len()));
        Self { columns, values }
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

    /// Where a column stands. Errors: no such column.
    pub fn position(&self, name: &str) -> Result<usize, Error> {
        let found = self.columns.iter().position(|c| c == name);
        found.ok_or_else(|| unknown_column(name, &self.columns))
    }

    /// Refuses what no density can be fitted to: too few rows, too many columns, a column that never changes.
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

    /// Columns whose values repeat so often that they are hardly continuous, with how many values they have.
    pub fn discrete_columns(&self) -> Vec<(&str, usize)> {
        let distinct = |i: usize| {
            let mut values: Vec<f64> = self.rows().map(|r| r[i]).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            values.len()
        };
        let counted = self.columns.iter().enumerate();
        counted
            .map(|(i, name)| (name.as_str(), distinct(i)))
            .filter(|(_, count)| count * 20 < self.len())
            .collect()
    }

    /// The rows apart: a share `held_out` of all in (0, 1), drawn with `seed`, then a tenth of the rest for choosing.
    pub fn split(&self, held_out: f64, seed: u64) -> Split {
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.shuffle(&mut stream(seed, "ebm split", 0));
        let count = ((held_out * self.len() as f64).round() as usize).clamp(1, self.len() - 2);
        let rest = order.split_off(count);
        let chosen = (rest.len() / 10).max(1);
        Split {
            held_out: order,
            validation: rest[..chosen].to_vec(),
            training: rest[chosen..].to_vec(),
        }
    }
}

/// The error about a column that is not there.
pub(super) fn unknown_column(name: &str, columns: &[String]) -> Error {
    let listed = columns.iter().map(String::as_str);
    let hint = suggestion(nearest(name, listed.clone()));
    let shown: Vec<&str> = listed.take(20).collect();
    let more = if columns.len() > 20 { ", …" } else { "" };
    Error::Misuse(format!(
        "no column `{name}`{hint}; there are {}{more}",
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
        assert_eq!(split, table.split(0.2, 1));
        assert_ne!(split, table.split(0.2, 2));
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
        assert_eq!(table(100).discrete_columns(), [("b", 3)]);
    }
}
