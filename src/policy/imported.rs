//! Imported policies: ONNX networks, formulas; as experts too.

mod demonstrator;
mod onnx;
mod scripted;

pub use demonstrator::expert;
pub use onnx::{OnnxPolicy, named as onnx_named};
pub use scripted::ScriptedPolicy;
