//! Decision processes with finitely many states and actions, in which maximum-entropy inverse reinforcement learning is
//! exact: the ground truth that sampled learners are held against.

pub mod maxent;
pub mod process;
pub mod sampled;
pub mod soft;

pub use maxent::{Demonstrated, MaxEnt, MaxEntSettings};
pub use process::{Process, ProcessError, Walk};
pub use sampled::{Learned, SampledSettings, gan_gcl};
pub use soft::Soft;
