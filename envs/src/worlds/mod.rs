//! The environments, one file each.

pub mod lq;
