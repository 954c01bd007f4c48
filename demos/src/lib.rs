//! Experts and demonstration datasets.
//!
//! This crate does not depend on libtorch.
#![warn(missing_docs)]

pub mod dataset;
pub mod derive;
pub mod experts;
pub mod export;
pub mod import;
pub mod inspect;
pub mod record;

pub use dataset::{Dataset, DatasetError, DatasetReader, DatasetWriter};
pub use experts::{Expert, ExpertDesign, ExpertError, experts_for};
pub use inspect::{check, info};
pub use record::{
    Plan, RecordError, append_dataset, expert_return, random_return, record, record_dataset,
    resume_dataset,
};
