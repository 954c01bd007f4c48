//! Everything that can be wrong with a dataset, each as one line.

use std::path::PathBuf;

use costate_base::disk::DiskError;

/// Why a dataset cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// An operating system error.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Nothing at this path.
    #[error("no dataset at `{}`: the folder does not exist; `costate record` creates one", .0.display())]
    Missing(PathBuf),
    /// A folder without any content.
    #[error("`{}` is an empty folder, expected a dataset with a meta.json; `costate record` creates one", .0.display())]
    Empty(PathBuf),
    /// A file or folder that is not a Costate dataset.
    #[error(
        "`{}` is not a Costate dataset: {reason}; `costate demos import` makes datasets of CSV, Parquet, LeRobot, Minari and `imitation` data", path.display()
    )]
    Foreign {
        /// The path given.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// An output folder that already holds something.
    #[error(
        "output folder `{}` exists and is not empty; choose another with `-o`, or remove it first", .0.display()
    )]
    OutputExists(PathBuf),
    /// Written by a later release.
    #[error(
        "`{}` was written by a newer Costate: format {found}, this build reads up to {supported}; update Costate", path.display()
    )]
    Newer {
        /// Its description file.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The newest this build reads.
        supported: u32,
    },
    /// A description file that cannot be read or contradicts itself.
    #[error("`{}`: {reason}", path.display())]
    Meta {
        /// The description file.
        path: PathBuf,
        /// What is wrong in it, and where.
        reason: String,
    },
    /// A valid dataset without episodes.
    #[error("`{}` holds no episodes, expected at least one; if it was interrupted, `costate record --resume -o {}` finishes it, else record it again", .0.display(), .0.display())]
    NoEpisodes(PathBuf),
    /// A data file that is missing or not Parquet.
    #[error("`{}` cannot be read as Parquet: {reason}", path.display())]
    Unreadable {
        /// The data file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A data file without the columns of an episode.
    #[error("`{}`, column `{column}`: {reason}", path.display())]
    Column {
        /// The data file.
        path: PathBuf,
        /// The column at fault.
        column: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// An invalid value.
    #[error("`{}`, row {row}, field `{field}`: {reason}", path.display())]
    Value {
        /// The data file.
        path: PathBuf,
        /// Row in the file, from 0.
        row: usize,
        /// Column and channel.
        field: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// A data file that is readable but not the recorded one.
    #[error(
        "`{}` was changed after recording: its SHA-256 is {found}, meta.json says {expected}; restore the file or record again", path.display()
    )]
    Changed {
        /// The data file.
        path: PathBuf,
        /// Its digest now (first 12 hexadecimal digits).
        found: String,
        /// The recorded digest (first 12 hexadecimal digits).
        expected: String,
    },
    /// Demonstrations of something else.
    #[error("`{}` holds demonstrations of {found}, expected {expected}; {hint}", path.display())]
    WrongEnv {
        /// The dataset.
        path: PathBuf,
        /// What it was recorded on.
        found: String,
        /// What was requested.
        expected: String,
        /// What to do.
        hint: &'static str,
    },
    /// An episode or header that does not fit, at recording time.
    #[error("episode {episode} cannot be recorded: {reason}")]
    BadEpisode {
        /// Its number in the dataset.
        episode: usize,
        /// What does not fit.
        reason: String,
    },
    /// An interrupted recording, where a finished one is needed.
    #[error(
        "`{}` is unfinished: {recorded}{} episodes are recorded; finish it first with `costate record --resume -o {}`, or leave it at these with `costate demos repair {}`",
        path.display(), planned.map(|n| format!(" of {n}")).unwrap_or_default(), path.display(), path.display()
    )]
    Unfinished {
        /// The dataset.
        path: PathBuf,
        /// Episodes on disk.
        recorded: usize,
        /// Planned episodes.
        planned: Option<usize>,
    },
    /// A dataset that another process is recording into.
    #[error("`{}` is being recorded by another process; wait until it is done, or stop it", .0.display())]
    Busy(PathBuf),
    /// A dataset that a format cannot hold, or a place that it cannot be written to.
    #[error("`{}` cannot be exported: {reason}", path.display())]
    NotExported {
        /// The dataset or the place.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A request to continue a dataset that does not fit it.
    #[error("cannot continue the recording in `{}`: {reason}", path.display())]
    Mismatch {
        /// The dataset.
        path: PathBuf,
        /// What does not fit, and what to do.
        reason: String,
    },
    /// A header that contradicts itself, at recording time.
    #[error("cannot start a dataset: {0}")]
    BadHeader(String),
}

/// A foreign library's message on one line.
pub(crate) fn one_line(message: impl std::fmt::Display) -> String {
    message
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}
