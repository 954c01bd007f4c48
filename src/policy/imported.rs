//! Imported policies: ONNX networks, formulas; as experts too.

mod demonstrator;
mod named;
#[cfg_attr(not(feature = "onnx"), path = "imported/no_onnx.rs")]
mod onnx;
mod scripted;

pub use demonstrator::expert;
pub use named::onnx_named;
pub use onnx::OnnxPolicy;
pub use scripted::ScriptedPolicy;
