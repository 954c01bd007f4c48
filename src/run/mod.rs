//! Run folders: resolved configuration, metrics, checkpoints, weights.

pub mod change;
pub mod composition;
pub mod config;
pub mod files;
pub mod folder;
pub mod lock;
pub mod settings;
pub mod tensorboard;
pub mod train;
pub mod weights;

pub use crate::learners::Algo;
pub use change::Change;
pub use composition::Composition;
pub use config::{DemonstrationsRef, RunConfig};
pub use folder::{Progress, RunFolder};
