//! A learned cost as plain numbers, without libtorch.

use costate_envs::actor::{ActorParts, Dense, Scales};

/// What an [`EnergyModel`](super::EnergyModel) computes: c(s, a) = c_θ(x) + w ‖u‖² − log π_0(a | s), with x the channels
/// `seen` of the normalised observation, followed by the action u in half ranges unless it is `state_only`.
#[derive(Debug, Clone, PartialEq)]
pub struct PlainCost {
    /// How observations and actions are scaled, for c_θ, π_0 and V.
    pub scales: Scales,
    /// Indices of the channels that c_θ sees.
    pub seen: Vec<usize>,
    /// Whether c_θ sees no action.
    pub state_only: bool,
    /// c_θ without its bound.
    pub function: PlainFunction,
    /// B of c_θ = B tanh(f / B).
    pub bound: Option<f32>,
    /// w.
    pub action_penalty: Option<f32>,
    /// π_0.
    pub base: Option<ActorParts>,
    /// V of the whole normalised observation.
    pub value: Option<PlainFunction>,
    /// b of log Z(s_0) = V(s_0) + b.
    pub log_z: f64,
    /// γ of the shaped cost c − γ V(s') + V(s).
    pub discount: f64,
}

/// A scalar function of a vector.
#[derive(Debug, Clone, PartialEq)]
pub enum PlainFunction {
    /// The one output of a tanh network.
    Neural(Vec<Dense>),
    /// The sum of a tanh network's squared outputs.
    Features(Vec<Dense>),
    /// xᵀHx + wᵀx.
    Quadratic {
        /// H, half the symmetric matrix, row-major `[dim, dim]`.
        half: Vec<f32>,
        /// w, `[dim]`.
        linear: Vec<f32>,
    },
}
