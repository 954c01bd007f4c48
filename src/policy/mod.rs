//! Stochastic policies π_φ with a density that can be evaluated, and policies from elsewhere.

mod gaussian;
pub mod imported;
mod normalizer;

pub use gaussian::{Gaussian, GaussianPolicy, PolicySettings, StdForm};
pub use normalizer::{ActionScale, Normalizer};
