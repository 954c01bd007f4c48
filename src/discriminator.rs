//! The GAN discriminator whose logit is an energy-based model against a known sampler density.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852), equation 7:
//! D(τ) = p_θ(τ) / (p_θ(τ) + q(τ)) with p_θ(τ) = exp(−c_θ(τ)) / Z.
//!
//! Everything here takes a batch of energies and a batch of log-densities, `[N]` in f64, and does not
//! know whether a row is a trajectory, a window, a transition or a plain vector.

use tch::{Kind, Tensor};

/// logit(τ) = (−c(τ) − log Z − log q(τ)) / β, so that D = σ(logit).
///
/// Shapes: energy, log_q `[N]`; log_z a scalar or `[N]` (log Z(s_0)). β = 1 is the paper's; β > 1
/// tempers: the fixed point q = p = p_θ stays, the importance-sampling reading of Z does not.
pub fn logit(energy: &Tensor, log_z: &Tensor, log_q: &Tensor, beta: f64) -> Tensor {
    (-energy - log_z - log_q) / beta
}

/// L_disc = E_P[−log D] + E_Q[−log(1 − D)] = E_P[softplus(−logit)] + E_Q[softplus(logit)].
///
/// Shapes: expert_logit `[N_P]`, policy_logit `[N_Q]`; the result is a scalar.
pub fn loss(expert_logit: &Tensor, policy_logit: &Tensor) -> Tensor {
    let kind = expert_logit.kind();
    softplus(&-expert_logit).mean(kind) + softplus(policy_logit).mean(kind)
}

/// log(1 + eˣ), without the linear cut-off of libtorch's softplus.
fn softplus(x: &Tensor) -> Tensor {
    x.logaddexp(&x.zeros_like())
}

/// The share of trajectories that D classifies rightly, averaged over the two groups.
pub fn accuracy(expert_logit: &Tensor, policy_logit: &Tensor) -> f64 {
    let share = |right: Tensor| {
        right
            .to_kind(Kind::Double)
            .mean(Kind::Double)
            .double_value(&[])
    };
    0.5 * (share(expert_logit.gt(0.0)) + share(policy_logit.le(0.0)))
}
