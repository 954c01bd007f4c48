//! What a build without the feature `onnx` says of ONNX networks.

use std::convert::Infallible;
use std::path::Path;

use costate_envs::EnvSpec;

use crate::error::Error;

/// A policy in an ONNX file, of which this build has none.
#[derive(Clone)]
pub struct OnnxPolicy(Infallible);

impl OnnxPolicy {
    /// Refuses a file: misuse.
    pub fn read(file: &Path, _: Option<&str>, _: &EnvSpec) -> Result<Self, Error> {
        Err(Error::Misuse(format!(
            "{}: this build of costate reads no ONNX files, which takes a large library; build it with \
             `cargo build --release --features onnx`",
            file.display()
        )))
    }

    /// There is nobody to act.
    pub fn act(&self, _: &[f32], _: &mut [f32]) {
        match self.0 {}
    }

    /// There is no file.
    pub fn file(&self) -> &str {
        match self.0 {}
    }
}
