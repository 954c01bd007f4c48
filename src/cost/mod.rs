//! Learned costs c_θ(s, a) and the energy-based model p_θ(τ | s_0) that they define.

mod composed;
mod expansion;
mod model;
mod plain;
pub mod regularizers;
mod scalar;
mod step;

pub use composed::{ComposedCost, Part, Placed, WeightedCost};
pub use expansion::Expansion;
pub use model::{CostForm, CostPart, CostSettings, EnergyModel, Seen, Shaping};
pub use plain::{PlainCost, PlainFunction};
pub use regularizers::Regularizers;
pub use scalar::ScalarFunction;
pub use step::{Dims, StepCost};
