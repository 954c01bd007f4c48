//! Published tables: suites of cells, one result a cell and seed, and what they add up to.

mod result;
mod suite;
mod table;

pub use result::{CellResult, FreshResult, Milestone};
pub use suite::{Cell, Method, Suite};
pub use table::markdown;
