//! Published tables: suites of cells, one result a cell and seed, and what they add up to.

pub mod parts;
mod result;
mod speed;
mod suite;
mod table;
pub mod trust;

pub use result::{CellResult, FreshResult, Milestone};
pub use speed::{BatchRow, ScheduleRow, ScoreRow, Speed, WorldRow};
pub use suite::{Cell, Method, Suite};
pub use table::markdown;
pub use trust::{CostMetrics, Trust};
