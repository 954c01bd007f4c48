//! Stochastic policies π_φ with a density that can be evaluated.

mod gaussian;
mod normalizer;

pub use gaussian::{Gaussian, GaussianPolicy, PolicySettings, StdForm};
pub use normalizer::{ActionScale, Normalizer};
