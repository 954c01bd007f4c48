//! Experts and demonstration datasets.
//!
//! Nothing in this crate knows libtorch.
#![warn(missing_docs)]

pub mod dataset;

pub use dataset::{Dataset, DatasetError, DatasetWriter};
