//! Published tables: suites of cells, one result a cell and seed, and what they add up to.

mod densities;
mod exact;
pub mod parts;
mod result;
pub mod rows;
mod speed;
mod suite;
mod table;
pub mod trust;

pub use densities::{DensityFigures, DensitySuite};
pub use exact::{ExactFigures, ExactSuite};
pub use result::{CellResult, ControllersResult, FreshResult, Milestone};
pub use speed::{BatchRow, ScheduleRow, ScoreRow, Speed, WorldRow};
pub use suite::{Cell, Method, Suite};
pub use table::markdown;
pub use trust::{CostMetrics, Trust};
