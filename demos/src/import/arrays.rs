//! Arrays of numbers, as numpy archives and HDF5 files hold them, laid out as tables of rows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::types::{ArrowPrimitiveType, Float16Type};
use costate_envs::EnvSpec;

use super::cut::Cutter;
use super::error::ImportError;
use super::mapping::{ChannelMap, LastRow, Mapping};
use super::table::{Table, WIDEST};
use super::{Read, load};

/// Column, in the tables made here, of the episode's number.
const EPISODE: &str = "episode_of_archive";

/// What is said where every row is a step and nothing says where the last one led.
const ENDS_UNKNOWN: &str = "the state after an episode's last action was not recorded: the last observation \
    stands for it; `--last-row state` leaves the last action out instead";

/// Usual names of what a mapping does not name.
const OBSERVATIONS: [&str; 4] = ["observations", "obs", "states", "state"];
const ACTIONS: [&str; 3] = ["actions", "acts", "action"];
const NEXT: [&str; 2] = ["next_observations", "next_obs"];
const REWARDS: [&str; 3] = ["rewards", "rews", "reward"];
const TERMINATED: [&str; 4] = ["terminals", "terminations", "terminated", "terminal"];
const TRUNCATED: [&str; 3] = ["timeouts", "truncations", "truncated"];
/// True in the first row of each episode.
const STARTS: &str = "episode_starts";
/// Numbers of the actions that begin the second, third, … episode, whose observations are one more each.
const INDICES: &str = "indices";

/// An array, row-major.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
}

/// A number of half precision.
type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// How the bytes of a number are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Float,
    Signed,
    Unsigned,
}

impl Array {
    /// Bytes of an array of numbers of `size` bytes; `None` beyond counting.
    pub(super) fn bytes(shape: &[usize], size: usize) -> Option<usize> {
        // Also where nothing is in it, its other dimensions are multiplied.
        let all = (shape.iter()).try_fold(1_usize, |n, d| n.checked_mul((*d).max(1)));
        let count = all.map(|n| if shape.contains(&0) { 0 } else { n });
        count.and_then(|n| n.checked_mul(size))
    }

    /// Of bytes of numbers of `size` bytes each. Errors: sizes that do not fit.
    pub(super) fn decode(
        shape: Vec<usize>,
        bytes: &[u8],
        kind: Number,
        size: usize,
        big_endian: bool,
    ) -> Result<Self, String> {
        let expected = Self::bytes(&shape, size);
        if expected != Some(bytes.len()) {
            return Err(format!(
                "{} bytes of data, expected {} for shape {shape:?} and {size} bytes a number",
                bytes.len(),
                expected.map_or("more than there can be".into(), |n| n.to_string())
            ));
        }
        let number = |bytes: &[u8]| -> Option<f64> {
            let mut word = [0_u8; 8];
            for (i, byte) in bytes.iter().enumerate() {
                word[if big_endian { size - 1 - i } else { i }] = *byte;
            }
            let bits = u64::from_le_bytes(word);
            Some(match (kind, size) {
                (Number::Float, 8) => f64::from_bits(bits),
                (Number::Float, 4) => f64::from(f32::from_bits(bits as u32)),
                (Number::Float, 2) => Half::from_bits(bits as u16).to_f64(),
                (Number::Signed, 1 | 2 | 4 | 8) => {
                    let unused = 64 - 8 * size as u32;
                    (((bits << unused) as i64) >> unused) as f64
                }
                (Number::Unsigned, 1 | 2 | 4 | 8) => bits as f64,
                _ => return None,
            })
        };
        let values = match size {
            1..=8 => bytes.chunks_exact(size).map(number).collect(),
            _ => None,
        };
        let values =
            values.ok_or_else(|| format!("numbers of {size} bytes, which are not read"))?;
        Ok(Self { shape, values })
    }

    /// The array with its dimensions in reverse, as which a column-major one is stored.
    pub(super) fn transposed(self) -> Self {
        let Self { mut shape, values } = self;
        shape.reverse();
        if shape.len() < 2 || values.is_empty() {
            return Self { shape, values };
        }
        let mut turned = Vec::with_capacity(values.len());
        let mut at = vec![0_usize; shape.len()];
        for _ in 0..values.len() {
            let pairs = at.iter().zip(&shape).rev();
            let from = pairs.fold(0, |from, (i, n)| from * n + i);
            turned.push(values[from]);
            for (i, n) in at.iter_mut().zip(&shape).rev() {
                *i += 1;
                if *i < *n {
                    break;
                }
                *i = 0;
            }
        }
        Self {
            shape,
            values: turned,
        }
    }

    /// Rows, and entries of a row, which any further dimensions are laid out in; `None` for a single number.
    fn rows(&self) -> Option<(usize, usize)> {
        let (rows, inner) = self.shape.split_first()?;
        Some((*rows, inner.iter().product()))
    }
}

/// The arrays of a file or group by name; the reason, for those that are not numbers.
pub(super) type Arrays = BTreeMap<String, Result<Array, String>>;

/// What a file holds.
pub(super) struct Contents {
    /// Arrays of each part: of the file itself, or of each episode.
    pub parts: Vec<(String, Arrays)>,
    /// Whether a part is one episode.
    pub episodes: bool,
    /// What the file says of itself.
    pub own: Mapping,
    pub remarks: Vec<String>,
}

impl Contents {
    /// A file that is its arrays alone.
    pub(super) fn flat(arrays: Arrays) -> Self {
        Self {
            parts: vec![(String::new(), arrays)],
            episodes: false,
            own: Mapping::default(),
            remarks: Vec::new(),
        }
    }
}

/// Reads files of arrays, each of one or more episodes; `contents` decodes the bytes of one.
pub(super) fn read(
    format: &'static str,
    files: &[PathBuf],
    mapping: &Mapping,
    spec: Option<&EnvSpec>,
    contents: impl Fn(Vec<u8>) -> Result<Contents, String>,
) -> Result<Read, ImportError> {
    let mut remarks = Vec::new();
    let mut cutter: Option<Cutter> = None;
    let mut own = mapping.clone();
    for path in files {
        let (bytes, source) = load(path)?;
        let found = contents(bytes).map_err(|reason| ImportError::Kind {
            path: path.clone(),
            reason,
        })?;
        let said = found.remarks.iter();
        remarks.extend(said.map(|text| format!("`{}`: {text}", path.display())));
        let mut source = Some(source);
        for (name, arrays) in found.parts {
            let place = match found.episodes {
                true => PathBuf::from(format!("{}:/{name}", path.display())),
                false => path.clone(),
            };
            if cutter.is_none() {
                own = known(&arrays, &found.own, mapping, &mut remarks);
            }
            let (table, own) = table(&place, &arrays, own.clone(), found.episodes)?;
            let cutter = match &mut cutter {
                Some(cutter) => cutter,
                none => none.insert(Cutter::new(format, &own, spec)?),
            };
            match source.take() {
                Some(source) => cutter.add(&table, source)?,
                None => cutter.add_part(&table)?,
            }
        }
    }
    let mut read = cutter.ok_or(ImportError::Nothing)?.finish();
    read.remarks.extend(remarks);
    Ok(read)
}

/// The mapping, with what the file and the names of its arrays say.
fn known(
    arrays: &Arrays,
    of_file: &Mapping,
    asked: &Mapping,
    remarks: &mut Vec<String>,
) -> Mapping {
    let mut own = match of_file.observations.is_empty() {
        true => usual(arrays, asked, remarks),
        false => Mapping::default(),
    }
    .overlaid(of_file.clone());
    if !asked.observations.is_empty() || asked.last_row.is_some() {
        own.next_observations.clear();
    }
    let mut own = own.overlaid(asked.clone());
    if own.last_row.is_none() && ends_unknown(arrays, &own) {
        own.last_row = Some(LastRow::Step);
        remarks.push(ENDS_UNKNOWN.into());
    }
    own
}

/// What is known of the arrays beyond what was asked: names that they usually have.
fn usual(arrays: &Arrays, asked: &Mapping, remarks: &mut Vec<String>) -> Mapping {
    let first = |names: &[&str]| {
        names
            .iter()
            .find(|n| arrays.contains_key(**n))
            .map(|n| (*n).to_owned())
    };
    let maps = |names: &[&str]| {
        first(names)
            .map(|n| ChannelMap::of(&n))
            .into_iter()
            .collect()
    };
    let mut own = Mapping {
        observations: maps(&OBSERVATIONS),
        actions: maps(&ACTIONS),
        reward: first(&REWARDS),
        terminated: first(&TERMINATED),
        truncated: first(&TRUNCATED),
        ..Mapping::default()
    };
    if asked.last_row.is_none() && asked.observations.is_empty() {
        own.next_observations.extend(first(&NEXT));
    }
    let flagged = [
        &own.terminated,
        &asked.terminated,
        &own.truncated,
        &asked.truncated,
    ];
    if flagged.iter().all(|f| f.is_none()) && arrays.contains_key("dones") {
        own.terminated = Some("dones".into());
        remarks.push(
            "`dones` are taken as ends that the task brought about; if they are time limits, name them with `--truncated \
             dones`"
                .into(),
        );
    }
    own
}

/// The arrays of one file or group as a table, and the mapping with its episodes.
///
/// With `whole` it is one episode whatever is flagged. Rows are those of the observations. Layouts: `[rows, n]`, whose episodes end where that is flagged; `[episodes, steps,
/// n]`; one episode with one action less than observations; trajectories behind each other, split at `indices`.
fn table(
    path: &Path,
    arrays: &Arrays,
    mut mapping: Mapping,
    whole: bool,
) -> Result<(Table, Mapping), ImportError> {
    let refused = |reason: String| ImportError::Kind {
        path: path.into(),
        reason,
    };
    let observed = base(arrays, mapping.observations.first(), "observations").map_err(refused)?;
    let acted = base(arrays, mapping.actions.first(), "actions").map_err(refused)?;
    let of = |name: &str| numbers(arrays, name).map_err(refused);
    let layout = Layout::of(arrays, of(&observed)?, of(&acted)?).map_err(refused)?;
    for name in [&observed, &acted] {
        let width = layout.width(of(name)?);
        if width > WIDEST {
            return Err(refused(format!(
                "array `{name}` has {width} numbers a row, expected at most {WIDEST}: pictures are not read"
            )));
        }
    }
    let rows = layout.rows();
    let mut columns: Vec<(String, Vec<f64>)> = Vec::new();
    for (name, array) in arrays {
        let Ok(array) = array else { continue };
        let Some(entries) = layout.entries(array) else {
            continue;
        };
        // An array of one entry a row goes by its own name as well.
        if let [values] = entries.as_slice() {
            columns.push((name.clone(), values.clone()));
        }
        let named = |(i, values)| (format!("{name}[{i}]"), values);
        columns.extend(entries.into_iter().enumerate().map(named));
    }
    let column = |name: &Option<String>| -> Result<Option<Vec<f64>>, ImportError> {
        let Some(name) = name else { return Ok(None) };
        match columns.iter().find(|(own, _)| own == name) {
            Some((_, values)) => Ok(Some(values.clone())),
            None => match numbers(arrays, name) {
                Ok(array) => Err(refused(format!(
                    "array `{name}` has shape {:?}, expected {rows} rows as the observations have",
                    array.shape
                ))),
                Err(reason) => Err(refused(reason)),
            },
        }
    };
    let ends = [column(&mapping.terminated)?, column(&mapping.truncated)?];
    column(&mapping.reward)?;
    let starts = column(&arrays.contains_key(STARTS).then(|| STARTS.to_owned()))?;
    let numbers = match whole {
        true => vec![0.0; rows],
        false => layout.episodes(&ends, starts.as_deref()),
    };
    columns.push((EPISODE.into(), numbers));
    mapping.episode.get_or_insert(EPISODE.into());
    Ok((Table::from_columns(path, columns), mapping))
}

/// The array that the first channel comes from, and so all of them.
fn base(arrays: &Arrays, first: Option<&ChannelMap>, what: &str) -> Result<String, String> {
    let Some(first) = first else {
        return Err(format!(
            "which array are the {what}? `--{what} ARRAY`; there are {}",
            names(arrays)
        ));
    };
    let column = first.column.as_str();
    let name = match column.rsplit_once('[') {
        Some((name, _)) if !arrays.contains_key(column) => name,
        _ => column,
    };
    match arrays.contains_key(name) {
        true => Ok(name.to_owned()),
        false => Err(missing(arrays, name)),
    }
}

fn names(arrays: &Arrays) -> String {
    let names: Vec<&str> = arrays.keys().map(String::as_str).collect();
    names.join(", ")
}

fn missing(arrays: &Arrays, name: &str) -> String {
    format!("there is no array `{name}`; there are {}", names(arrays))
}

fn numbers<'a>(arrays: &'a Arrays, name: &str) -> Result<&'a Array, String> {
    match arrays.get(name) {
        Some(Ok(array)) => Ok(array),
        Some(Err(reason)) => Err(format!("array `{name}`: {reason}")),
        None => Err(missing(arrays, name)),
    }
}

/// How arrays hold episodes.
#[derive(Debug, Clone, PartialEq)]
enum Layout {
    /// A row each, all behind each other.
    Flat { rows: usize },
    /// One episode, with one state more than actions.
    Episode { rows: usize },
    /// `[episodes, rows, …]`; other arrays may have one row less.
    Stacked { episodes: usize, rows: usize },
    /// Trajectories of these many steps behind each other, with one state more each.
    Split { steps: Vec<usize> },
}

impl Layout {
    fn of(arrays: &Arrays, observed: &Array, acted: &Array) -> Result<Self, String> {
        let shapes = format!(
            "observations {:?}, actions {:?}",
            observed.shape, acted.shape
        );
        let bad = || {
            format!(
                "the shapes do not fit: {shapes}; expected [rows, n] and [rows, m], or [episodes, steps, n] and [episodes, steps, \
             m], with as many rows or one observation more an episode"
            )
        };
        let (Some(s), Some(a)) = (observed.shape.first(), acted.shape.first()) else {
            return Err(bad());
        };
        if observed.shape.contains(&0) || acted.shape.contains(&0) {
            return Err(format!("nothing in it: {shapes}"));
        }
        if let ([e, rows, _], [f, steps, ..]) = (observed.shape.as_slice(), acted.shape.as_slice())
            && e == f
            && (rows == steps || *rows == steps + 1)
        {
            return Ok(Self::Stacked {
                episodes: *e,
                rows: *rows,
            });
        }
        if observed.shape.len() > 2 || acted.shape.len() > 2 {
            return Err(bad());
        }
        if let Some(Ok(indices)) = arrays.get(INDICES)
            && indices.shape.len() == 1
            && *s == a + indices.values.len() + 1
        {
            let mut steps = Vec::new();
            let mut from = 0;
            for end in indices.values.iter().copied().chain([*a as f64]) {
                if !(end > from as f64 && end <= *a as f64 && end.fract() == 0.0) {
                    return Err(format!(
                        "`{INDICES}` are not ascending numbers of actions below {a}"
                    ));
                }
                steps.push(end as usize - from);
                from = end as usize;
            }
            return Ok(Self::Split { steps });
        }
        match s.checked_sub(*a) {
            Some(0) => Ok(Self::Flat { rows: *s }),
            Some(1) => Ok(Self::Episode { rows: *s }),
            _ => Err(bad()),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Flat { rows } | Self::Episode { rows } => *rows,
            Self::Stacked { episodes, rows } => episodes * rows,
            Self::Split { steps } => steps.iter().map(|n| n + 1).sum(),
        }
    }

    /// Dimensions of an array that say which row it is.
    fn leading(&self) -> usize {
        match self {
            Self::Stacked { .. } => 2,
            _ => 1,
        }
    }

    /// Entries of an array's row.
    fn width(&self, array: &Array) -> usize {
        array.shape.get(self.leading()).copied().unwrap_or(1)
    }

    /// The columns of an array, NaN where it has no row; `None` if it has other rows.
    fn entries(&self, array: &Array) -> Option<Vec<Vec<f64>>> {
        let (count, width) = array.rows()?;
        let picture = array.shape.len() > self.leading() + 1 || self.width(array) > WIDEST;
        if width == 0 || count == 0 || picture {
            return None;
        }
        // Rows of each episode: how many the array has, and how many it should have.
        let (width, blocks): (usize, Vec<(usize, usize)>) = match self {
            Self::Flat { rows } if count == *rows => (width, vec![(count, count)]),
            Self::Episode { rows } if count == *rows || count + 1 == *rows => {
                (width, vec![(count, *rows)])
            }
            Self::Stacked { episodes, rows } if count == *episodes => match array.shape.get(1) {
                Some(own) if own == rows || own + 1 == *rows => {
                    (width / own, vec![(*own, *rows); *episodes])
                }
                _ => return None,
            },
            Self::Split { steps } => {
                let total: usize = steps.iter().sum();
                match count {
                    n if n == total => (width, steps.iter().map(|n| (*n, n + 1)).collect()),
                    n if n == self.rows() => (width, vec![(n, n)]),
                    // One flag a trajectory stands in its last step.
                    n if n == steps.len() && width == 1 => {
                        let ends = steps.iter().zip(&array.values).flat_map(|(n, flag)| {
                            (0..=*n).map(move |t| if t + 1 == *n { *flag } else { 0.0 })
                        });
                        return Some(vec![ends.collect()]);
                    }
                    _ => return None,
                }
            }
            _ => return None,
        };
        let mut columns = vec![Vec::with_capacity(self.rows()); width];
        let mut rows = array.values.chunks_exact(width);
        for (own, expected) in blocks {
            for _ in 0..own {
                let row = rows.next()?;
                columns
                    .iter_mut()
                    .zip(row)
                    .for_each(|(column, v)| column.push(*v));
            }
            for column in &mut columns {
                column.extend(std::iter::repeat_n(f64::NAN, expected - own));
            }
        }
        Some(columns)
    }

    /// The number of each row's episode: a new one begins after each end, at each start.
    fn episodes(&self, ends: &[Option<Vec<f64>>; 2], starts: Option<&[f64]>) -> Vec<f64> {
        let blocks = |rows: &mut dyn Iterator<Item = usize>| -> Vec<f64> {
            let numbers = rows.enumerate();
            numbers.flat_map(|(i, n)| vec![i as f64; n]).collect()
        };
        match self {
            Self::Episode { rows } => vec![0.0; *rows],
            Self::Stacked { episodes, rows } => blocks(&mut std::iter::repeat_n(*rows, *episodes)),
            Self::Split { steps } => blocks(&mut steps.iter().map(|n| n + 1)),
            Self::Flat { rows } => {
                let flagged =
                    |column: &[f64], row: usize| column.get(row).is_some_and(|v| *v == 1.0);
                let mut number = 0.0;
                let of = |row: usize| {
                    let ended = |end: &Option<Vec<f64>>| {
                        row > 0 && end.as_ref().is_some_and(|end| flagged(end, row - 1))
                    };
                    let begins = row > 0 && starts.is_some_and(|starts| flagged(starts, row));
                    if begins || ends.iter().any(ended) {
                        number += 1.0;
                    }
                    number
                };
                (0..*rows).map(of).collect()
            }
        }
    }

    /// Whether rows are steps whose last outcome was not recorded.
    fn lacks_final_states(&self, acted: &Array) -> bool {
        match self {
            Self::Flat { .. } => true,
            Self::Stacked { rows, .. } => acted.shape.get(1) == Some(rows),
            Self::Episode { .. } | Self::Split { .. } => false,
        }
    }
}

/// Whether every row of the arrays is a step, the last one's outcome not being recorded.
fn ends_unknown(arrays: &Arrays, mapping: &Mapping) -> bool {
    let found = || -> Result<bool, String> {
        let observed = base(arrays, mapping.observations.first(), "observations")?;
        let acted = base(arrays, mapping.actions.first(), "actions")?;
        let (observed, acted) = (numbers(arrays, &observed)?, numbers(arrays, &acted)?);
        Ok(Layout::of(arrays, observed, acted)?.lacks_final_states(acted))
    };
    mapping.next_observations.is_empty() && found().unwrap_or(false)
}
