//! Imported policies: ONNX networks, formulas.

mod onnx;
mod scripted;

pub use onnx::{OnnxPolicy, named as onnx_named};
pub use scripted::ScriptedPolicy;
