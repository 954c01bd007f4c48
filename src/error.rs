//! Errors and their exit codes.

use costate_base::disk::DiskError;
use costate_demos::DatasetError;
use costate_demos::derive::DeriveError;
use costate_demos::experts::ExpertError;
use costate_demos::import::ImportError;
use costate_demos::record::RecordError;
use costate_envs::timing::TimingError;
use costate_envs::{EnvError, ModelError};

use crate::nn::StateError;
use crate::picture::PictureError;

/// Anything that can go wrong in a command. Which exit code each has is said in ARCHITECTURE.md.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request that makes no sense: exit code 2.
    #[error("{0}")]
    Misuse(String),
    /// Work that failed: exit code 1.
    #[error("{0}")]
    Failure(String),
    /// Learning that ended in numbers beyond single precision: exit code 1.
    #[error("learning diverged in iteration {iteration}: {what}")]
    Diverged {
        /// The iteration, counted from 0.
        iteration: usize,
        /// Which.
        what: String,
    },
    /// An unknown environment or parameter, or an invalid model: exit code 2.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A simulation that refused or diverged.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// A measurement of a world that could not be made.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// A dataset that cannot be written or read.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// Files that cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A dataset that cannot be made of others.
    #[error(transparent)]
    Derive(#[from] DeriveError),
    /// A file that could not be written whole.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// An expert that does not exist or cannot be designed.
    #[error(transparent)]
    Expert(#[from] ExpertError),
    /// A recording that stopped.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A weights file that cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// A picture that cannot be made.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A file that the operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// The reason.
        source: std::io::Error,
    },
}

impl Error {
    /// 2 for misuse, 1 for failure.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Misuse(_) | Self::Model(_) | Self::Env(EnvError::NoSimulator) => 2,
            Self::Import(ImportError::Dataset(e)) if is_misuse(e) => 2,
            Self::Import(e) if e.is_misuse() => 2,
            Self::Derive(DeriveError::Dataset(e)) if is_misuse(e) => 2,
            Self::Derive(DeriveError::Misuse(_) | DeriveError::Model(_)) => 2,
            Self::Dataset(e) | Self::Record(RecordError::Dataset(e)) if is_misuse(e) => 2,
            Self::Record(RecordError::NoEpisodes) => 2,
            Self::Picture(e) if !matches!(e, PictureError::Encoding(_)) => 2,
            Self::Expert(e) if !matches!(e, ExpertError::Env(_)) => 2,
            _ => 1,
        }
    }

    /// Names the file in an input/output error.
    pub fn io(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        |source| Self::Io { path, source }
    }
}

/// Whether a dataset error comes from naming the wrong place.
fn is_misuse(error: &DatasetError) -> bool {
    matches!(
        error,
        DatasetError::OutputExists(_)
            | DatasetError::Missing(_)
            | DatasetError::Empty(_)
            | DatasetError::Foreign { .. }
            | DatasetError::Unfinished { .. }
            | DatasetError::Mismatch { .. }
            | DatasetError::NotExported { .. }
    )
}
