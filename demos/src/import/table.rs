//! Tables: rows and named columns, from CSV or Parquet.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_ipc::reader::{FileReader, StreamReader};
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef, TimeUnit};
use costate_base::disk::DiskError;
use costate_base::names::nearest;

use super::error::ImportError;
use super::lines::lines_at;
use super::load;
use crate::dataset::columns::{items, read_parquet};
use crate::dataset::{DatasetError, SourceFile};

/// Most numbers of a row in one array or list: more are pictures.
pub(super) const WIDEST: usize = 10_000;

/// A kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Csv,
    Parquet,
    /// An Arrow file.
    Arrow,
    /// A numpy archive.
    Npz,
    /// An HDF5 file.
    Hdf5,
}

impl Kind {
    /// By the ending of the file's name.
    fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "csv" | "tsv" | "txt" => Some(Self::Csv),
            "parquet" | "pq" => Some(Self::Parquet),
            "npz" => Some(Self::Npz),
            "h5" | "hdf5" | "hdf" => Some(Self::Hdf5),
            _ => None,
        }
    }

    /// As people write it.
    fn title(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Parquet => "Parquet",
            Self::Arrow => "Arrow",
            Self::Npz => "npz",
            Self::Hdf5 => "HDF5",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Npz => "npz",
            Self::Hdf5 => "hdf5",
        }
    }
}

/// The tables among files and folders, all of one kind; those of a folder in the order of their names, numbers by their
/// value.
pub(super) fn files(sources: &[PathBuf]) -> Result<Vec<(PathBuf, Kind)>, ImportError> {
    let mut files = Vec::new();
    for source in sources {
        let refused = |reason: String| ImportError::Kind {
            path: source.clone(),
            reason,
        };
        if !source.exists() {
            return Err(ImportError::Missing(source.clone()));
        }
        if !source.is_dir() {
            let kind = Kind::of(source).ok_or_else(|| refused(not_read(source)))?;
            files.push((source.clone(), kind));
            continue;
        }
        if source.join(crate::dataset::META_FILE).exists() {
            return Err(refused("it is a Costate dataset already".into()));
        }
        let mut inside = Vec::new();
        let mut others = Vec::new();
        for entry in fs::read_dir(source).map_err(unreadable(source))? {
            let path = entry.map_err(unreadable(source))?.path();
            match Kind::of(&path) {
                Some(kind) if path.is_file() => inside.push((path, kind)),
                _ => others.push(path),
            }
        }
        others.sort();
        let Some((_, first)) = inside.first() else {
            let found = others.iter().find(|p| p.is_file()).or(others.first());
            let found = found.map_or("nothing".into(), |p| format!("`{}`", p.display()));
            return Err(refused(format!(
                "expected CSV or Parquet files in it, or a LeRobot or Minari dataset, found {found}"
            )));
        };
        if let Some((_, other)) = inside.iter().find(|(_, kind)| kind != first) {
            let count = |kind: &Kind| inside.iter().filter(|(_, k)| k == kind).count();
            let mut kinds = [first, other].map(|kind| (kind.title(), count(kind)));
            kinds.sort_unstable();
            let [(a, n), (b, m)] = kinds;
            return Err(refused(format!(
                "{n} {a} and {m} {b} files; if they hold the same episodes, name those of one kind: `{}/*.{}`",
                source.display(),
                a.to_lowercase()
            )));
        }
        inside.sort_by_cached_key(|(path, _)| natural(path));
        files.extend(inside);
    }
    match files.first() {
        None => Err(ImportError::Mapping("name the files to import".into())),
        Some((first, kind)) => match files.iter().find(|(_, other)| other != kind) {
            None => Ok(files),
            Some((other, _)) => Err(ImportError::Kind {
                path: other.clone(),
                reason: format!(
                    "another kind of file than `{}`; import one kind at a time",
                    first.display()
                ),
            }),
        },
    }
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> ImportError {
    move |e| DatasetError::from(DiskError::new("read", path)(e)).into()
}

/// Why a file of another kind is not read, and the way.
fn not_read(path: &Path) -> String {
    let ending = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    let way = match ending.as_str() {
        "npy" | "pkl" | "pickle" | "mat" => {
            "single arrays and pickles are not read; save the arrays together: `numpy.savez(\"demos.npz\", \
             observations=…, actions=…)`"
        }
        _ => "expected a .csv, .tsv, .parquet, .npz or .hdf5 file",
    };
    way.into()
}

/// A file name whose numbers compare by value: `ep2` before `ep10`.
fn natural(path: &Path) -> Vec<(String, u64)> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut parts = vec![(String::new(), 0u64)];
    let mut digits = false;
    for c in name.chars() {
        if !c.is_ascii_digit() && digits {
            parts.push((String::new(), 0));
        }
        digits = c.is_ascii_digit();
        let (text, number) = parts.last_mut().expect("never empty");
        match c.to_digit(10) {
            Some(d) => *number = number.saturating_mul(10).saturating_add(u64::from(d)),
            None => text.push(c),
        }
    }
    parts.push((name, 0));
    parts
}

/// A table in memory, as its file has it.
pub(super) struct Table {
    path: PathBuf,
    columns: Vec<(String, Column)>,
    /// Which column has a name; `None` where several do.
    places: BTreeMap<String, Option<usize>>,
    rows: usize,
    /// Line of each row, in text files.
    lines: Option<Vec<u64>>,
}

enum Column {
    Text(Vec<String>),
    Numbers(Vec<f64>),
    /// Of values for which only `is` and `changes` make sense, such as names.
    Words(Vec<String>),
}

impl Table {
    /// Reads a whole file.
    pub(super) fn read(path: &Path, kind: Kind) -> Result<(Self, SourceFile), ImportError> {
        let (bytes, source) = load(path)?;
        let table = match kind {
            Kind::Csv => Self::from_csv(path, &bytes)?,
            Kind::Parquet => {
                let read = read_parquet(bytes).map_err(|reason| DatasetError::Unreadable {
                    path: path.into(),
                    reason,
                });
                let (schema, batches) = read?;
                Self::from_batches(path, &schema, &batches)?
            }
            Kind::Arrow => {
                let (schema, batches) = read_arrow(path, bytes)?;
                Self::from_batches(path, &schema, &batches)?
            }
            Kind::Npz | Kind::Hdf5 => {
                return Err(ImportError::Kind {
                    path: path.into(),
                    reason: "arrays, expected a table".into(),
                });
            }
        };
        Ok((table, source))
    }

    /// From the bytes of a text file.
    pub(super) fn from_csv(path: &Path, bytes: &[u8]) -> Result<Self, ImportError> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let head = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let count = |delimiter: u8| head.iter().filter(|b| **b == delimiter).count();
        let delimiter = [b',', b';', b'\t']
            .into_iter()
            .rev()
            .max_by_key(|d| count(*d));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(bytes);
        let bad = |line: u64, reason: String| ImportError::Row {
            path: path.into(),
            row: format!("line {line}"),
            reason,
        };
        let line_at = |position: Option<&csv::Position>| {
            let from = position.map_or(0, csv::Position::byte);
            lines_at(bytes, &[from])[0]
        };
        let unreadable = |e: csv::Error| {
            let line = line_at(e.position());
            match e.kind() {
                csv::ErrorKind::Utf8 { .. } => {
                    bad(line, "not UTF-8 text; save the table as UTF-8".into())
                }
                _ => bad(line, e.to_string()),
            }
        };
        let names: Vec<String> = reader
            .headers()
            .map_err(unreadable)?
            .iter()
            .map(str::to_owned)
            .collect();
        if names.iter().all(String::is_empty) {
            return Err(bad(
                1,
                "the file is empty, expected a line with the columns' names".into(),
            ));
        }
        if names.iter().all(|n| n.parse::<f64>().is_ok()) {
            return Err(bad(
                1,
                "numbers, expected a line with the columns' names; add one".into(),
            ));
        }
        let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
        let mut from = Vec::new();
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record).map_err(unreadable)? {
            if record.len() != names.len() {
                return Err(bad(
                    line_at(record.position()),
                    format!(
                        "{} fields, expected {}, one per column",
                        record.len(),
                        names.len()
                    ),
                ));
            }
            for (column, field) in columns.iter_mut().zip(&record) {
                column.push(field.to_owned());
            }
            from.push(record.position().map_or(0, csv::Position::byte));
        }
        let columns = columns.into_iter().map(Column::Text);
        let lines = Some(lines_at(bytes, &from));
        let columns = names.into_iter().zip(columns).collect();
        Ok(Self::of(path, columns, from.len(), lines))
    }

    /// From a file's batches. Columns of lists become columns `NAME[0]`, `NAME[1]`, …; those of a kind that is neither
    /// numbers nor text are left out.
    fn from_batches(
        path: &Path,
        schema: &Schema,
        batches: &[RecordBatch],
    ) -> Result<Self, ImportError> {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let mut columns = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|b| b.column(index)).collect();
            match field.data_type() {
                DataType::FixedSizeList(..) | DataType::List(_) | DataType::LargeList(_) => {
                    columns.extend(lists(path, field.name(), &arrays)?);
                }
                _ => columns.extend(column(&arrays).map(|c| (field.name().clone(), c))),
            }
        }
        Ok(Self::of(path, columns, rows, None))
    }

    /// Of columns of numbers that are equally long.
    pub(super) fn from_columns(path: &Path, columns: Vec<(String, Vec<f64>)>) -> Self {
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        let numbers = |(name, values)| (name, Column::Numbers(values));
        Self::of(path, columns.into_iter().map(numbers).collect(), rows, None)
    }

    fn of(
        path: &Path,
        columns: Vec<(String, Column)>,
        rows: usize,
        lines: Option<Vec<u64>>,
    ) -> Self {
        let mut places = BTreeMap::new();
        for (i, (name, _)) in columns.iter().enumerate() {
            (places.entry(name.clone()))
                .and_modify(|place| *place = None)
                .or_insert(Some(i));
        }
        Self {
            path: path.into(),
            columns,
            places,
            rows,
            lines,
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The columns' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// Whether there is a column of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Names of the columns of a list column, in order; empty if there is none of that name.
    pub(super) fn expanded(&self, list: &str) -> Vec<String> {
        let width = self.names().filter(|name| is_item(name, list)).count();
        (0..width).map(|i| format!("{list}[{i}]")).collect()
    }

    /// Place of a row, for messages.
    pub(super) fn at(&self, row: usize) -> String {
        match self.lines.as_ref().and_then(|lines| lines.get(row)) {
            Some(line) => format!("line {line}"),
            None => format!("row {row}"),
        }
    }

    pub(super) fn row_error(&self, row: usize, reason: String) -> ImportError {
        ImportError::Row {
            path: self.path.clone(),
            row: self.at(row),
            reason,
        }
    }

    pub(super) fn value_error(&self, row: usize, column: &str, reason: String) -> ImportError {
        ImportError::Value {
            path: self.path.clone(),
            row: self.at(row),
            column: column.into(),
            reason,
        }
    }

    fn column(&self, name: &str) -> Result<&Column, ImportError> {
        match self.places.get(name) {
            Some(Some(place)) => Ok(&self.columns[*place].1),
            Some(None) => Err(ImportError::Kind {
                path: self.path.clone(),
                reason: format!("two columns are named `{name}`; rename one"),
            }),
            None => Err(ImportError::NoColumn {
                path: self.path.clone(),
                column: name.into(),
                nearest: nearest(name, self.names()).map(str::to_owned),
                columns: self.names().map(str::to_owned).collect(),
            }),
        }
    }

    /// A column of numbers; NaN where there is none. Errors: text that is no number.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f64>, ImportError> {
        let number = |(row, text): (usize, &String)| match text.as_str() {
            "" => Ok(f64::NAN),
            text => text.parse().map_err(|_| {
                let comma = match text.contains(',') {
                    true => "; write decimals with a point",
                    false => "",
                };
                let text: String = text.chars().take(40).collect();
                self.value_error(
                    row,
                    name,
                    format!("found `{text}`, expected a number{comma}"),
                )
            }),
        };
        match self.column(name)? {
            Column::Numbers(numbers) => Ok(numbers.clone()),
            Column::Text(texts) => texts.iter().enumerate().map(number).collect(),
            Column::Words(_) => {
                Err(self.value_error(0, name, "the column holds text, expected numbers".into()))
            }
        }
    }

    /// A column of flags; empty fields are false.
    pub(super) fn flags(&self, name: &str) -> Result<Vec<bool>, ImportError> {
        let flag = |(row, text): (usize, &String)| match text.to_ascii_lowercase().as_str() {
            "" | "0" | "0.0" | "false" | "f" | "no" => Ok(false),
            "1" | "1.0" | "true" | "t" | "yes" => Ok(true),
            _ => {
                let text: String = text.chars().take(40).collect();
                let reason = format!("found `{text}`, expected true or false, 1 or 0");
                Err(self.value_error(row, name, reason))
            }
        };
        match self.column(name)? {
            Column::Text(texts) | Column::Words(texts) => {
                texts.iter().enumerate().map(flag).collect()
            }
            Column::Numbers(numbers) => {
                let flags = numbers.iter().enumerate();
                let flags = flags.map(|(row, v)| match *v {
                    0.0 => Ok(false),
                    1.0 => Ok(true),
                    v if v.is_nan() => Ok(false),
                    v => {
                        let reason = format!("found {v}, expected true or false, 1 or 0");
                        Err(self.value_error(row, name, reason))
                    }
                });
                flags.collect()
            }
        }
    }

    /// A column whose values are only compared.
    pub(super) fn keys(&self, name: &str) -> Result<Vec<String>, ImportError> {
        Ok(match self.column(name)? {
            Column::Text(texts) | Column::Words(texts) => texts.clone(),
            Column::Numbers(numbers) => numbers.iter().map(f64::to_string).collect(),
        })
    }
}

/// The batches of an Arrow file or stream.
pub(super) fn read_arrow(
    path: &Path,
    bytes: Vec<u8>,
) -> Result<(SchemaRef, Vec<RecordBatch>), ImportError> {
    let read = || -> Result<(SchemaRef, Vec<RecordBatch>), ArrowError> {
        let file = bytes.starts_with(b"ARROW1");
        let bytes = Cursor::new(bytes);
        if file {
            let reader = FileReader::try_new(bytes, None)?;
            Ok((reader.schema(), reader.collect::<Result<_, _>>()?))
        } else {
            let reader = StreamReader::try_new(bytes, None)?;
            Ok((reader.schema(), reader.collect::<Result<_, _>>()?))
        }
    };
    let refused = |reason: String| ImportError::Kind {
        path: path.into(),
        reason: format!("it cannot be read as Arrow: {reason}"),
    };
    // The decoder trusts what it is given.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(read) => read.map_err(|e| refused(e.to_string())),
        Err(_) => Err(refused("the contents are damaged".into())),
    }
}

/// Whether `name` is `LIST[i]`.
fn is_item(name: &str, list: &str) -> bool {
    let index = name
        .strip_prefix(list)
        .and_then(|rest| rest.strip_prefix('['));
    let index = index.and_then(|rest| rest.strip_suffix(']'));
    index.is_some_and(|i| !i.is_empty() && i.bytes().all(|b| b.is_ascii_digit()))
}

/// A column of numbers or text; `None` for other kinds.
fn column(arrays: &[&ArrayRef]) -> Option<Column> {
    let words = |a: &ArrayRef| -> Option<Vec<String>> {
        let text = |t: Option<&str>| t.unwrap_or_default().to_owned();
        match a.data_type() {
            DataType::Utf8 => Some(a.as_string::<i32>().iter().map(text).collect()),
            DataType::LargeUtf8 => Some(a.as_string::<i64>().iter().map(text).collect()),
            DataType::Utf8View => Some(a.as_string_view().iter().map(text).collect()),
            _ => None,
        }
    };
    if let Some(all) = arrays.iter().map(|a| words(a)).collect::<Option<Vec<_>>>()
        && !all.is_empty()
    {
        return Some(Column::Words(all.concat()));
    }
    let all: Option<Vec<Vec<f64>>> = arrays.iter().map(|a| numbers(a)).collect();
    all.map(|all| Column::Numbers(all.concat()))
}

/// An array as numbers, NaN where null; times in seconds. `None` for other kinds.
pub fn numbers(array: &dyn Array) -> Option<Vec<f64>> {
    fn of<T: ArrowPrimitiveType>(array: &dyn Array, number: impl Fn(T::Native) -> f64) -> Vec<f64> {
        let values = array.as_primitive::<T>().iter();
        values.map(|v| v.map_or(f64::NAN, &number)).collect()
    }
    Some(match array.data_type() {
        DataType::Float64 => of::<Float64Type>(array, |v| v),
        DataType::Float32 => of::<Float32Type>(array, f64::from),
        DataType::Int8 => of::<Int8Type>(array, f64::from),
        DataType::Int16 => of::<Int16Type>(array, f64::from),
        DataType::Int32 => of::<Int32Type>(array, f64::from),
        DataType::Int64 => of::<Int64Type>(array, |v| v as f64),
        DataType::UInt8 => of::<UInt8Type>(array, f64::from),
        DataType::UInt16 => of::<UInt16Type>(array, f64::from),
        DataType::UInt32 => of::<UInt32Type>(array, f64::from),
        DataType::UInt64 => of::<UInt64Type>(array, |v| v as f64),
        DataType::Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(array, |v| v as f64),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            of::<TimestampMillisecondType>(array, |v| v as f64 / 1e3)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            of::<TimestampMicrosecondType>(array, |v| v as f64 / 1e6)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            of::<TimestampNanosecondType>(array, |v| v as f64 / 1e9)
        }
        DataType::Boolean => {
            let flags = array.as_boolean().iter();
            flags
                .map(|v| v.map_or(f64::NAN, |v| f64::from(u8::from(v))))
                .collect()
        }
        _ => return None,
    })
}

/// The columns of a column of lists, which must be of equal length; none if it does not hold numbers, or pictures.
fn lists(
    path: &Path,
    name: &str,
    arrays: &[&ArrayRef],
) -> Result<Vec<(String, Column)>, ImportError> {
    let mut columns: Vec<Vec<f64>> = Vec::new();
    let mut row = 0;
    for array in arrays {
        for i in 0..array.len() {
            let item = items(array, i);
            let Some(values) = item.as_ref().map_or(Some(Vec::new()), |a| numbers(a)) else {
                return Ok(Vec::new());
            };
            if values.len() > WIDEST {
                return Ok(Vec::new());
            }
            if row == 0 {
                columns = vec![Vec::new(); values.len()];
            }
            if values.len() != columns.len() {
                return Err(ImportError::Value {
                    path: path.into(),
                    row: format!("row {row}"),
                    column: name.into(),
                    reason: format!(
                        "a list of {} numbers, expected {}, as in row 0",
                        values.len(),
                        columns.len()
                    ),
                });
            }
            for (column, value) in columns.iter_mut().zip(values) {
                column.push(value);
            }
            row += 1;
        }
    }
    let named = |(i, values)| (format!("{name}[{i}]"), Column::Numbers(values));
    Ok(columns.into_iter().enumerate().map(named).collect())
}
