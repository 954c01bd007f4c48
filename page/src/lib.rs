//! The local web page: record by hand, watch learning, compare.

pub mod film;
pub mod learning;
pub mod protocol;
pub mod views;
