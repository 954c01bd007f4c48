//! Small tanh networks in plain numbers: outputs, gradients, the gradient of a mean squared slope, and Adam.
//!
//! Small networks spend most of a step on what a general library does for each operation. Here a layer's product, bias and
//! tanh are one sweep in the processor's widest registers. The bits do not depend on their width, nor on the number of
//! threads. A package of its own, so that builds for development can leave the checks out of its loops.

#![warn(missing_docs)]

mod adam;
mod kernel;
mod network;
mod passes;

pub use adam::{BETA_1, BETA_2, EPSILON, Moments};
pub use kernel::Rows;
pub use network::{Gradient, Network};
pub use passes::Recorded;

#[cfg(test)]
mod tests {
    use super::Rows;
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    /// Numbers from −1 to 1.
    pub fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let mut rng = Pcg64::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Rows of such numbers.
    pub fn drawn(rows: usize, columns: usize, seed: u64) -> Rows {
        Rows::of(&numbers(rows * columns, seed), columns)
    }
}
