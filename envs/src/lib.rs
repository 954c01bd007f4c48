//! Simulated control environments, frozen actors and parallel rollouts.
//!
//! This crate does not depend on libtorch: it runs in worker threads, servers and bindings alike.

#![warn(missing_docs)]

pub mod actor;
pub mod env;
pub mod flow;
pub mod gym;
mod hash;
pub mod images;
pub mod implicit;
pub mod linear;
pub mod model;
pub mod physics;
pub mod registry;
pub mod remote;
pub mod riccati;
pub mod rng;
pub mod rollout;
pub mod scene;
pub mod schedule;
pub mod spec;
pub mod symmetry;
pub mod task;
pub mod timing;
pub mod trajectory;
mod variant;
mod vary;
mod world;
pub mod worlds;

pub use env::{Broken, End, Env, EnvError, SavedState, Step};
pub use registry::{EnvConfig, EnvFactory, ModelError};
pub use spec::{Channel, EnvSpec, Space};
pub use symmetry::{Change, Symmetry};
pub use task::{PhysicsEnv, Task};
pub use trajectory::{Episode, Success, Trajectory, TrajectoryError};
pub use variant::Variant;
pub use vary::Range;
pub use world::World;
