//! Tables from CSV files, Parquet files and demonstration datasets.

use std::fs::File;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use costate_demos::Dataset;
use costate_demos::dataset::footer;
use costate_demos::import::{self, lines_at};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::table::{Table, unknown_column};
use crate::error::Error;
use crate::lfs;

/// Reads the columns `wanted` (all without) of a CSV file with a header, a Parquet file, or the states and actions of a
/// dataset folder.
///
/// Errors, each with file, row and column: a missing file or column, a value that is not a finite number, not a table.
pub fn read(path: &Path, wanted: Option<&[String]>) -> Result<Table, Error> {
    let name = path.display();
    if let Some(wanted) = wanted {
        let doubled = wanted
            .iter()
            .enumerate()
            .find(|(i, w)| wanted[..*i].contains(w));
        if let Some((_, twice)) = doubled {
            return Err(Error::Misuse(format!("--columns names `{twice}` twice")));
        }
    }
    let metadata = path.metadata().map_err(|e| {
        Error::Misuse(format!(
            "{name}: {e}; expected a CSV or Parquet file, or a dataset folder"
        ))
    })?;
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .map(str::to_ascii_lowercase);
    if metadata.is_file()
        && let Some(advice) = pointer(path)?
    {
        return Err(Error::Misuse(format!("{name}: {advice}")));
    }
    match extension.as_deref() {
        _ if metadata.is_dir() => dataset(path, wanted),
        Some("csv") => csv(path, wanted),
        Some("parquet") => parquet(path, wanted),
        _ => Err(Error::Misuse(format!(
            "{name}: expected a file that ends in .csv or .parquet, or a dataset folder"
        ))),
    }
}

/// Hint for a Git LFS pointer file.
fn pointer(path: &Path) -> Result<Option<String>, Error> {
    let mut beginning = Vec::new();
    File::open(path)
        .and_then(|file| file.take(200).read_to_end(&mut beginning))
        .map_err(Error::io(path))?;
    Ok(lfs::advice(&beginning))
}

/// Indices and names of the wanted columns; all by default.
fn choose(all: &[String], wanted: Option<&[String]>, source: &str) -> Result<Vec<usize>, Error> {
    let place = |w: &String| {
        let found = all.iter().position(|c| c == w);
        found.ok_or_else(|| match unknown_column(w, all) {
            Error::Misuse(text) => Error::Misuse(format!("{source}: {text}")),
            other => other,
        })
    };
    // Unnamed columns are allowed if not wanted.
    let doubled = |(i, c): &(usize, &String)| !c.is_empty() && all[..*i].contains(*c);
    if let Some((i, twice)) = all.iter().enumerate().find(doubled) {
        return Err(Error::Misuse(format!(
            "{source}: columns {} and {} are both called `{twice}`",
            all.iter().position(|c| c == twice).unwrap_or(0) + 1,
            i + 1
        )));
    }
    wanted.map_or(Ok((0..all.len()).collect()), |w| {
        w.iter().map(place).collect()
    })
}

fn finish(
    source: &str,
    all: &[String],
    chosen: &[usize],
    values: Vec<f64>,
) -> Result<Table, Error> {
    if values.is_empty() {
        return Err(Error::Misuse(format!("{source}: no rows of data")));
    }
    Ok(Table::new(
        chosen.iter().map(|&i| all[i].clone()).collect(),
        values,
    ))
}

fn csv(path: &Path, wanted: Option<&[String]>) -> Result<Table, Error> {
    let source = path.display().to_string();
    let broken = |e: csv::Error| not_csv(path, &e);
    let place = |position: Option<&csv::Position>| -> Result<String, Error> {
        let from = position.map_or(0, csv::Position::byte);
        Ok(format!("{source}, line {}", line_at(path, from)?))
    };
    // Rows of another length are reported here, with the expected length.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(broken)?;
    let header = reader.headers().map_err(broken)?;
    let all: Vec<String> = header
        .iter()
        .map(|c| c.trim_start_matches('\u{feff}').to_owned())
        .collect();
    if all.is_empty() {
        return Err(Error::Misuse(format!(
            "{source}: empty, expected a first line of column names and rows of numbers"
        )));
    }
    if all.iter().all(|c| c.parse::<f64>().is_ok()) {
        return Err(Error::Misuse(format!(
            "{}: `{}` are numbers, expected column names",
            place(None)?,
            all.join(",")
        )));
    }
    if let [only] = &all[..]
        && let Some(mark) = [';', '\t'].into_iter().find(|m| only.contains(*m))
    {
        return Err(Error::Misuse(format!(
            "{}: columns are separated by {mark:?}, expected commas",
            place(None)?
        )));
    }
    let uses_unnamed = wanted.is_none_or(|w| w.iter().any(String::is_empty));
    if let Some(i) = all
        .iter()
        .position(String::is_empty)
        .filter(|_| uses_unnamed)
    {
        return Err(Error::Misuse(format!(
            "{}: column {} has no name, expected one for every column; pandas writes its index like that, and `index=False` \
             leaves it out; or choose columns with --columns",
            place(None)?,
            i + 1
        )));
    }
    let chosen = choose(&all, wanted, &source)?;
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        if record.len() != all.len() {
            return Err(Error::Misuse(format!(
                "{}: {} fields, expected {} as in the header",
                place(record.position())?,
                record.len(),
                all.len()
            )));
        }
        for &i in &chosen {
            let text = &record[i];
            match text.parse::<f64>() {
                Ok(v) if v.is_finite() => values.push(v),
                _ => {
                    let found = match text {
                        "" => "is empty".into(),
                        _ => format!("is `{}`", text.chars().take(40).collect::<String>()),
                    };
                    return Err(not_a_number(&place(record.position())?, &all[i], &found));
                }
            }
        }
    }
    finish(&source, &all, &chosen, values)
}

/// Error for an unreadable CSV file.
fn not_csv(path: &Path, e: &csv::Error) -> Error {
    let source = path.display();
    let csv::ErrorKind::Utf8 { pos, err } = e.kind() else {
        return Error::Misuse(format!("{source}: not a CSV file: {e}"));
    };
    match line_at(path, pos.as_ref().map_or(0, csv::Position::byte)) {
        Ok(line) => Error::Misuse(format!(
            "{source}, line {line}: not a CSV file in UTF-8: field {} is not text",
            err.field() + 1
        )),
        Err(e) => e,
    }
}

/// The line on which the record sought from byte `from` begins.
fn line_at(path: &Path, from: u64) -> Result<u64, Error> {
    let text = std::fs::read(path).map_err(Error::io(path))?;
    Ok(lines_at(&text, &[from])[0])
}

fn not_a_number(place: &str, column: &str, found: &str) -> Error {
    Error::Misuse(format!(
        "{place}, column `{column}`: {found}, expected a finite number; leave rows or columns like that out (--columns)"
    ))
}

fn parquet(path: &Path, wanted: Option<&[String]>) -> Result<Table, Error> {
    let source = path.display().to_string();
    let file = File::open(path).map_err(Error::io(path))?;
    // Damaged pages can panic inside the decoder.
    catch_unwind(AssertUnwindSafe(|| decode(&source, file, wanted))).unwrap_or_else(|_| {
        Err(Error::Misuse(format!(
            "{source}: not a Parquet file, or a damaged one"
        )))
    })
}

fn decode(source: &str, file: File, wanted: Option<&[String]>) -> Result<Table, Error> {
    let broken = |e: &dyn std::fmt::Display| {
        Error::Misuse(format!(
            "{source}: not a Parquet file, or a damaged one: {e}"
        ))
    };
    footer::check(&mut &file).map_err(|e| broken(&e))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(&e))?;
    let schema = builder.schema().clone();
    let all: Vec<String> = schema.fields().iter().map(|f| f.name().clone()).collect();
    let chosen = choose(&all, wanted, source)?;
    for &i in &chosen {
        let field = schema.field(i);
        if !field.data_type().is_numeric() || matches!(field.data_type(), DataType::Float16) {
            return Err(not_a_number(
                source,
                field.name(),
                &format!("is of type {}", field.data_type()),
            ));
        }
    }
    let mask = ProjectionMask::roots(builder.parquet_schema(), chosen.iter().copied());
    let reader = builder
        .with_projection(mask)
        .build()
        .map_err(|e| broken(&e))?;
    let mut values = Vec::new();
    let mut row = 0;
    for batch in reader {
        let batch = batch.map_err(|e| broken(&e))?;
        let columns = chosen
            .iter()
            .map(|&i| numbers(&batch, &all[i], source, row))
            .collect::<Result<Vec<_>, _>>()?;
        for i in 0..batch.num_rows() {
            values.extend(columns.iter().map(|c| c[i]));
        }
        row += batch.num_rows();
    }
    finish(source, &all, &chosen, values)
}

/// A column of a batch that begins with row `from`, as finite numbers.
fn numbers(batch: &RecordBatch, name: &str, source: &str, from: usize) -> Result<Vec<f64>, Error> {
    let bad = |i: usize, found: &str| {
        not_a_number(&format!("{source}, row {}", from + i + 1), name, found)
    };
    let Some(column) = batch.column_by_name(name) else {
        return Err(bad(0, "is missing"));
    };
    if let Some(i) = (0..column.len()).find(|&i| column.is_null(i)) {
        return Err(bad(i, "is null"));
    }
    let column = import::numbers(column.as_ref())
        .ok_or_else(|| bad(0, &format!("is of type {}", column.data_type())))?;
    match column.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(bad(i, &format!("is {}", column[i]))),
        None => Ok(column),
    }
}

/// One row per step: the state's channels, then the action's. The steps of an episode form a group.
fn dataset(path: &Path, wanted: Option<&[String]>) -> Result<Table, Error> {
    let source = path.display().to_string();
    let dataset = Dataset::open(path)?;
    let spec = &dataset.meta().spec;
    let names = |prefix: &str, space: &costate_envs::Space| -> Vec<String> {
        space.names().map(|n| format!("{prefix}{n}")).collect()
    };
    let all = [names("", &spec.observation), names("action.", &spec.action)].concat();
    let chosen = choose(&all, wanted, &source)?;
    let (mut values, mut groups) = (Vec::new(), Vec::new());
    for (number, episode) in dataset.episodes().iter().enumerate() {
        let trajectory = &episode.trajectory;
        groups.extend(std::iter::repeat_n(number, trajectory.len()));
        for t in 0..trajectory.len() {
            let row = [trajectory.observation(t), trajectory.action(t)].concat();
            values.extend(chosen.iter().map(|&i| f64::from(row[i])));
        }
    }
    Ok(finish(&source, &all, &chosen, values)?.grouped(groups))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float32Array, Float64Array, Int64Array, StringArray};
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        (folder, file)
    }

    fn refused(name: &str, bytes: &[u8], columns: Option<&[&str]>) -> String {
        let (_folder, file) = written(name, bytes);
        let columns: Option<Vec<String>> =
            columns.map(|c| c.iter().map(|c| (*c).to_owned()).collect());
        let error = read(&file, columns.as_deref()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    }

    #[test]
    fn csv_with_chosen_columns() {
        let text = "\u{feff}a, b ,\"long, name\"\n1,x,2e3\n-0.5,y,7\n";
        let (_folder, file) = written("t.csv", text.as_bytes());
        let wanted = ["long, name".to_owned(), "a".to_owned()];
        let table = read(&file, Some(&wanted)).unwrap();
        assert_eq!(table.columns(), &wanted);
        assert_eq!(table.values(), [2e3, 1.0, 7.0, -0.5]);
    }

    #[test]
    fn columns_without_a_name_can_stand_beside_those_chosen() {
        let (_folder, file) = written("t.csv", b",a,\n0,1,x\n1,5,y\n");
        let table = read(&file, Some(&["a".to_owned()])).unwrap();
        assert_eq!(table.values(), [1.0, 5.0]);
        let message = refused("t.csv", b",a\n0,1\n", Some(&[""]));
        assert!(message.contains("column 1 has no name"), "{message}");
    }

    #[test]
    fn pointers_of_git_lfs_are_told_from_tables() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n";
        for name in ["t.csv", "t.parquet"] {
            let message = refused(name, pointer, None);
            assert!(message.contains("`git lfs pull`"), "{message}");
        }
    }

    #[test]
    fn hostile_csv_is_told_with_its_place() {
        for (bytes, part) in [
            (&b""[..], "empty, expected a first line"),
            (b"a,b\n", "no rows of data"),
            (
                b"1,2\n3,4\n",
                "line 1: `1,2` are numbers, expected column names",
            ),
            (b"a;b\n1;2\n", "separated by ';', expected commas"),
            (b"a,a\n1,2\n", "columns 1 and 2 are both called `a`"),
            (b"a,b\n1,2\n3\n", "line 3: 1 fields, expected 2"),
            (b"a,b\n1,2\n3,4,5\n", "line 3: 3 fields, expected 2"),
            (b"a,b\n1,2\n3,\n", "line 3, column `b`: is empty"),
            (b"a,b\n1,oops\n", "line 2, column `b`: is `oops`"),
            (b"a,b\n1,NaN\n", "line 2, column `b`: is `NaN`"),
            (b"a,b\n1,1e999\n", "line 2, column `b`: is `1e999`"),
            (
                b"a,b\n1,\xff\xfe\n",
                "line 2: not a CSV file in UTF-8: field 2",
            ),
            // Lines as counted by an editor: with \r\n, after blank ones, inside quotes.
            (b"a,b\r\n1,2\r\n3,x\r\n", "line 3, column `b`: is `x`"),
            (b"a,b\r\n1,2\r\n3\r\n", "line 3: 1 fields"),
            (b"a,b\n\n1,2\n\n\n3,x\n", "line 6, column `b`: is `x`"),
            (b"a,b\r\n\r\n\r\n1,x\r\n", "line 4, column `b`: is `x`"),
            (b"\n\n1,2\n3,4\n", "line 3: `1,2` are numbers"),
            (b"a,b\r1,2\r3,x\r", "line 3, column `b`: is `x`"),
            (b"\"a\nb\",c\n1,2\n\n3,x\n", "line 5, column `c`: is `x`"),
            (b"a,b\r\n1,2\r\n\r\n\xff,3\r\n", "line 4: not a CSV file"),
            // As pandas writes an index.
            (b",a\n0,1\n", "line 1: column 1 has no name"),
            (b"a, ,b\n0,1,2\n", "column 2 has no name"),
            (b"a,b,\n1,2,\n", "`index=False`"),
        ] {
            let message = refused("t.csv", bytes, None);
            assert!(
                message.contains(part) && message.contains("t.csv"),
                "{message}"
            );
        }
        let message = refused("t.csv", b"alpha,b\n1,2\n", Some(&["alpa"]));
        assert!(
            message.contains("no column `alpa`, did you mean `alpha`?")
                || message.contains("`alpha`"),
            "{message}"
        );
        assert!(refused("t.csv", b"a,b\n1,2\n", Some(&["a", "a"])).contains("names `a` twice"));
        assert!(refused("t.txt", b"a\n1\n", None).contains(".csv or .parquet"));
    }

    fn parquet_bytes(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        bytes
    }

    #[test]
    fn parquet_of_several_types() {
        let bytes = parquet_bytes(vec![
            ("i", Arc::new(Int64Array::from(vec![1, -2]))),
            ("t", Arc::new(StringArray::from(vec!["x", "y"]))),
            ("f", Arc::new(Float32Array::from(vec![0.5, 4.0]))),
        ]);
        let (_folder, file) = written("t.parquet", &bytes);
        let wanted = ["f".to_owned(), "i".to_owned()];
        let table = read(&file, Some(&wanted)).unwrap();
        assert_eq!(table.values(), [0.5, 1.0, 4.0, -2.0]);
        let message = refused("t.parquet", &bytes, None);
        assert!(message.contains("column `t`: is of type Utf8"), "{message}");
    }

    #[test]
    fn hostile_parquet_is_told_with_its_place() {
        let column = |v: Vec<Option<f64>>| {
            parquet_bytes(vec![("v", Arc::new(Float64Array::from(v)) as ArrayRef)])
        };
        let null = refused("t.parquet", &column(vec![Some(1.0), None]), None);
        assert!(null.contains("row 2, column `v`: is null"), "{null}");
        let infinite = refused("t.parquet", &column(vec![Some(f64::INFINITY)]), None);
        assert!(infinite.contains("row 1, column `v`: is inf"), "{infinite}");
        assert!(refused("t.parquet", &column(vec![]), None).contains("no rows of data"));
        assert!(refused("t.parquet", b"not parquet at all", None).contains("not a Parquet file"));
        let mut damaged = column((0..500).map(|i| Some(f64::from(i).sqrt())).collect());
        damaged.truncate(damaged.len() / 2);
        assert!(refused("t.parquet", &damaged, None).contains("not a Parquet file"));
    }
}
