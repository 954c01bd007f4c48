//! What can be wrong with files to import, each as one line: file, row, column, what was expected, what to do.

use std::path::PathBuf;

use costate_base::names::suggestion;
use costate_envs::ModelError;

use crate::dataset::DatasetError;

/// Why files cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing at a path.
    #[error("`{}`: no such file or folder", .0.display())]
    Missing(PathBuf),
    /// Files of a kind that is not read, or of several kinds.
    #[error("`{}`: {reason}", path.display())]
    Kind {
        /// The file or folder.
        path: PathBuf,
        /// What was found, and what to do.
        reason: String,
    },
    /// A mapping that does not say enough, or contradicts itself.
    #[error("{0}")]
    Mapping(String),
    /// A mapping that names a column which a file does not have.
    #[error("`{}` has no column `{column}`{}; it has {}", path.display(), suggestion(.nearest.as_deref()), .columns.join(", "))]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// A column with a similar name.
        nearest: Option<String>,
        /// All columns.
        columns: Vec<String>,
    },
    /// A bad value.
    #[error("`{}`, {row}, column `{column}`: {reason}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// `line 12`, counted from 1 with the header, or `row 10`, counted from 0.
        row: String,
        /// The column.
        column: String,
        /// What was found and expected, and what to do.
        reason: String,
    },
    /// A row, or an episode that begins in it, that is not as it should be.
    #[error("`{}`, {row}: {reason}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// As in [`ImportError::Value`].
        row: String,
        /// What was found and expected, and what to do.
        reason: String,
    },
    /// No rows at all.
    #[error("there is no episode in these files")]
    Nothing,
    /// An unknown control period.
    #[error(
        "the control period is unknown; give the seconds between two rows (`--dt 0.02`), or the column with the time in seconds (`--time COLUMN`)"
    )]
    NoPeriod,
    /// Channels, period or lengths that are not those of the world to attach.
    #[error("these are no demonstrations of {env}: {reason}")]
    OtherWorld {
        /// The world.
        env: String,
        /// What differs, and what to do.
        reason: String,
    },
    /// A world to attach, but no rewards, which the world cannot tell either.
    #[error(
        "demonstrations of {env} need their rewards, which scores are relative to, and {env} cannot tell them: {reason}; name their column, `--reward COLUMN`, minus the world's cost of each step; without them, leave `--env` out"
    )]
    RewardsNeeded {
        /// The world.
        env: String,
        /// Why its costs do not follow from what was observed.
        reason: String,
    },
    /// A world that does not exist, or bounds that are not in order.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file that cannot be read, or a dataset that cannot be written.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

impl ImportError {
    /// Whether the request has to be changed, rather than the files.
    pub fn is_misuse(&self) -> bool {
        match self {
            Self::Missing(_)
            | Self::Kind { .. }
            | Self::Mapping(_)
            | Self::NoColumn { .. }
            | Self::NoPeriod
            | Self::OtherWorld { .. }
            | Self::RewardsNeeded { .. }
            | Self::Model(_) => true,
            Self::Value { .. } | Self::Row { .. } | Self::Nothing | Self::Dataset(_) => false,
        }
    }
}
