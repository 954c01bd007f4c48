//! How to compute with a file's tensors, said in the file itself, for programs that are not Costate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The activation between layers.
const ACTIVATION: &str = "tanh";

/// What a file says about its network. Absent from files of earlier versions, which compute the same.
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
    /// Of a network of `layers` layers whose tensors begin with `prefix`.
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

    /// Refuses a file that says to compute what this build does not.
    pub fn check(&self) -> Result<(), String> {
        match self.activation == ACTIVATION {
            true => Ok(()),
            false => Err(format!(
                "computation.activation is `{}`, this build computes {ACTIVATION} only",
                self.activation
            )),
        }
    }
}
