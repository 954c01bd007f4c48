//! A description in the file itself of how to compute with its tensors, for other programs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The activation between layers.
const ACTIVATION: &str = "tanh";

/// A file's description of its network. Absent from files of earlier versions, which compute the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Computation {
    /// Prefixes of the layers y = W x + b in order: `{prefix}.weight`, `[out, in]`, and `{prefix}.bias`, `[out]`.
    pub layers: Vec<String>,
    /// Between two layers; none after the last.
    pub activation: String,
    /// What each quantity is, in terms of the header's fields and the tensors.
    pub formulas: BTreeMap<String, String>,
}

impl Computation {
    /// Of a network of `layers` layers whose tensor names begin with `prefix`.
    pub fn new(prefix: &str, layers: usize, formulas: &[(&str, &str)]) -> Self {
        let formulas = formulas.iter();
        Self {
            layers: (0..layers).map(|i| format!("{prefix}{i}")).collect(),
            activation: ACTIVATION.into(),
            formulas: formulas
                .map(|(name, formula)| ((*name).to_owned(), (*formula).to_owned()))
                .collect(),
        }
    }

    /// Refuses a file with a computation that this build does not support.
    pub fn check(&self) -> Result<(), String> {
        match self.activation == ACTIVATION {
            true => Ok(()),
            false => Err(format!(
                "computation.activation is `{}`, this build supports only {ACTIVATION}",
                self.activation
            )),
        }
    }
}
