//! The Rust side of the Python package `costate`: worlds, vectors of them, rollouts, datasets, frozen policies and
//! pictures, over numpy arrays. Python's side, in `costate/` beside, gives them Gymnasium's interfaces; nothing here needs
//! libtorch.
//!
//! Conventions: arrays are C-contiguous; Python's side makes them so. Whatever takes long releases the interpreter's
//! lock and can be interrupted.

mod dataset;
mod episode;
mod errors;
mod policy;
mod recording;
mod rollout;
mod single;
mod vector;
mod world;

use pyo3::prelude::pymodule;

#[pymodule]
mod _costate {
    #[pymodule_export]
    use crate::dataset::{episodes, meta};
    #[pymodule_export]
    use crate::episode::derive_seeds;
    #[pymodule_export]
    use crate::policy::Policy;
    #[pymodule_export]
    use crate::recording::{animate, record};
    #[pymodule_export]
    use crate::rollout::rollout;
    #[pymodule_export]
    use crate::single::Single;
    #[pymodule_export]
    use crate::vector::Vector;
    #[pymodule_export]
    use crate::world::{World, names};
}
