//! What the simulator, the demonstrations and the learners share: the nearest of several names, parameters by their
//! path, settings as their JSON schema describes them, files that are complete or absent, worker threads, and by which
//! build a file was written.
//!
//! Nothing in this crate knows an environment.

#![warn(missing_docs)]

pub mod disk;
pub mod names;
pub mod parameters;
pub mod provenance;
pub mod schema;
pub mod seal;
pub mod workers;
