//! Linear-quadratic-Gaussian control from samples, for guided cost learning as first published.
//!
//! Levine and Abbeel 2014, "Learning neural network policies with guided policy search under unknown dynamics":
//! time-varying linear-Gaussian controllers, dynamics fitted to the last rollouts with a mixture of Gaussians as the
//! prior, and an LQG step with a KL bound. Plain f64, independent of libtorch, networks and episodes.
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
