//! Linear-quadratic-Gaussian control from samples: what guided cost learning's first form acts with.
//!
//! Levine and Abbeel 2014, "Learning neural network policies with guided policy search under unknown dynamics":
//! time-varying linear-Gaussian controllers, dynamics fitted to the last rollouts with a mixture of Gaussians as the
//! prior, and an LQG step that a KL divergence bounds. Plain f64; nothing here knows libtorch, networks or episodes.
//!
//! Everything is in scaled units: states in standard deviations of the demonstrations, actions in half ranges.

pub mod controller;
pub mod dynamics;
pub mod gaussian;
pub mod ilqg;
pub mod mixture;
pub mod path;

pub use controller::Controller;
pub use dynamics::Dynamics;
pub use gaussian::{Conditional, Joint};
pub use ilqg::{Improved, Problem, Quadratic, improve};
pub use mixture::GaussianMixture;
pub use path::{Path, Scales};
