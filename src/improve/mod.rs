//! Policy improvement against a given cost.

mod gae;
mod ppo;

pub use gae::{Advantages, advantages};
pub use ppo::{Ppo, PpoReport, PpoSettings};
