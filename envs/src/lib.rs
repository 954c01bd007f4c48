//! Simulated control environments, frozen actors and parallel rollouts.
//!
//! Nothing in this crate knows libtorch: it runs in worker threads, servers and bindings alike.

pub mod actor;
pub mod env;
pub mod physics;
pub mod registry;
pub mod riccati;
pub mod rng;
pub mod rollout;
pub mod scene;
pub mod spec;
pub mod trajectory;
pub mod worlds;

pub use env::{End, Env, EnvError, SavedState, Step};
pub use registry::{EnvConfig, EnvFactory, ModelError};
pub use spec::{Channel, EnvSpec, Space};
pub use trajectory::{Episode, Trajectory, TrajectoryError};
