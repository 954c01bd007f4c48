//! Utilities shared by simulator, demonstrations and learners: name suggestions, parameter paths, settings from JSON
//! schemas, numbers in words, atomic file writes, worker threads and provenance.
//!
//! Nothing in this crate knows an environment.

#![warn(missing_docs)]

pub mod disk;
pub mod faults;
pub mod names;
pub mod number;
pub mod parameters;
pub mod provenance;
pub mod schema;
pub mod seal;
pub mod tanh;
pub mod workers;
