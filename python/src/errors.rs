//! Costate's errors as Python's: `ValueError` for what the caller has to change, `RuntimeError` for the rest.

use std::fmt::Display;

use costate_envs::EnvError;
use pyo3::PyErr;
use pyo3::exceptions::{PyRuntimeError, PyValueError};

/// What the caller has to change.
pub fn misuse(error: impl Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A valid request that failed.
pub fn failure(error: impl Display) -> PyErr {
    PyRuntimeError::new_err(error.to_string())
}

/// An environment's error.
pub fn of_env(error: &EnvError) -> PyErr {
    match is_misuse(error) {
        true => misuse(error),
        false => failure(error),
    }
}

fn is_misuse(error: &EnvError) -> bool {
    match error {
        EnvError::ActionLength { .. }
        | EnvError::ActionNotFinite { .. }
        | EnvError::BadState { .. }
        | EnvError::NoSimulator => true,
        EnvError::Broken { cause, .. } => is_misuse(cause),
        EnvError::Ended { .. }
        | EnvError::Diverged { .. }
        | EnvError::NoTrajectory { .. }
        | EnvError::Outside { .. }
        | EnvError::Panicked { .. }
        | EnvError::Elsewhere(_) => false,
    }
}
