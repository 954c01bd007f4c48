//! Learned policies and costs as programs for elsewhere: ONNX graphs and C99, from plain numbers.

mod c;
mod onnx;
mod protobuf;

pub use c::files as c_files;
pub use onnx::files as onnx_files;

use costate_envs::EnvSpec;
use costate_envs::actor::{ActorParts, Scales};
use costate_envs::flow::{FlowParts, time_features};
use costate_envs::implicit::ImplicitParts;
use costate_envs::spec::Channel;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cost::PlainCost;

/// What is exported at once, and where it is from.
#[derive(Debug)]
pub struct Exported {
    /// The world: names, units and bounds of the channels.
    pub spec: EnvSpec,
    /// Where it is from.
    pub origin: Origin,
    /// Policies and costs.
    pub parts: Vec<Part>,
}

/// Where exported weights are from.
#[derive(Debug, Clone, Serialize)]
pub struct Origin {
    /// Version of Costate that exports.
    pub costate_version: String,
    /// The run folder or weights file.
    pub source: String,
    /// Algorithm of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Seed of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// A policy or a cost.
#[derive(Debug)]
pub struct Part {
    /// What files and functions are named by: `policy`, `fresh_policy`, `cost`.
    pub name: &'static str,
    /// SHA-256 of the weights file.
    pub sha256: String,
    /// Its numbers.
    pub weights: Weights,
}

/// Numbers of a policy or a cost.
#[derive(Debug)]
pub enum Weights {
    /// N(μ(s), diag σ²).
    Gaussian(ActorParts),
    /// An energy over actions.
    Implicit(ImplicitParts),
    /// A velocity of plans.
    Flow(FlowParts),
    /// A learned cost.
    Cost(Box<PlainCost>),
}

/// A file to write.
#[derive(Debug)]
pub struct ExportedFile {
    /// Its name.
    pub name: String,
    /// Its contents.
    pub bytes: Vec<u8>,
    /// What it computes, in one line.
    pub what: String,
}

impl Exported {
    /// The world, as files describe it.
    pub fn world(&self) -> Value {
        let spec = &self.spec;
        json!({
            "name": spec.name,
            "control_period_s": spec.control_period_s,
            "observation": spec.observation.0,
            "action": spec.action.0,
        })
    }
}

/// `name [unit]` of every channel.
fn listed(channels: &[Channel]) -> String {
    let one = |c: &Channel| format!("{} [{}]", c.name, c.unit);
    channels.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The scales of all observations and of the whole plan that a flow policy's network has to do with.
fn repeated(parts: &FlowParts) -> Scales {
    let (scales, planning) = (&parts.scales, parts.planning);
    Scales {
        observation_mean: scales.observation_mean.repeat(planning.history),
        observation_std: scales.observation_std.repeat(planning.history),
        observation_clip: scales.observation_clip,
        action_centre: scales.action_centre.repeat(planning.chunk),
        action_scale: scales.action_scale.repeat(planning.chunk),
    }
}

/// t of every integration step, and the bias of the first layer with what it makes of that t.
fn time_biases(parts: &FlowParts) -> Vec<(f32, Vec<f32>)> {
    let first = &parts.layers[0];
    let steps = parts.planning.steps;
    (0..steps)
        .map(|step| {
            let t = step as f32 / steps as f32;
            let features = time_features(t);
            let from = first.weight.ncols() - features.len();
            let of_time = first.weight.columns(from, features.len());
            let bias = of_time.row_iter().zip(&first.bias).map(|(row, bias)| {
                bias + row.iter().zip(features).map(|(w, f)| w * f).sum::<f32>()
            });
            (t, bias.collect())
        })
        .collect()
}

/// The constant part of a diagonal Gaussian's log-density in `actions` dimensions, −(d/2) log 2π.
fn half_log_tau(actions: usize) -> f64 {
    -0.5 * actions as f64 * std::f64::consts::TAU.ln()
}
