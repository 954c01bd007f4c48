//! Decision processes with finitely many states and actions, in which maximum-entropy inverse reinforcement learning is
//! exact: the ground truth for sampled learners. Simulated worlds become such processes on a grid.

pub mod grid;
pub mod maxent;
pub mod process;
pub mod sampled;
pub mod soft;

pub use grid::{Axis, Grid, GridSettings};
pub use maxent::{Demonstrated, Fitted, MaxEnt, MaxEntSettings};
pub use process::{Process, ProcessError, Walk};
pub use sampled::{CostLoss, Learned, SampledSettings, learn};
pub use soft::{Soft, total_variation};
