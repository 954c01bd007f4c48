//! Published tables: suites of cells, one result per cell and seed, and their aggregates. This module is the only entry point.

mod densities;
mod differences;
mod exact;
pub mod few;
mod parts;
mod result;
mod rows;
mod schedule;
mod shifts;
mod speed;
mod suite;
mod table;
mod trust;

/// Names of the benchmarks that are measured row by row.
pub const ROW_SUITES: [&str; 3] = [
    <ExactSuite as RowSuite>::NAME,
    <DensitySuite as RowSuite>::NAME,
    ShiftSuite::NAME,
];

pub use densities::{DensityFigures, DensitySuite};
pub use exact::{ExactFigures, ExactSuite};
pub use parts::{PartsRow, measure_parts, trajectories};
pub use result::{
    CellResult, ControllersResult, CostMetrics, FreshResult, Milestone, PartResult, PartsResult,
    env_digest, machine,
};
pub use rows::{MeasuredRow, RowKey, RowSuite, asked_rows, keep_row, kept_rows};
pub use schedule::longest_first;
pub use shifts::{Shift, ShiftFigures, ShiftSuite};
pub use speed::{BatchRow, ScheduleRow, ScoreRow, Speed, WorldRow};
pub use suite::{Cell, Method, Suite};
pub use table::markdown;
pub use trust::{Trust, TrustPoint, Trusts, trust};
