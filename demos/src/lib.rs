//! Experts and demonstration datasets.
