//! The GAN discriminator whose logit is an energy-based model against a known sampler density.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852), equation 7:
//! D(τ) = p_θ(τ) / (p_θ(τ) + q(τ)) with p_θ(τ) = exp(−c_θ(τ)) / Z.
//!
//! Everything here takes energies and log-densities in f64, and does not
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
    positive_loss(expert_logit, 1.0) + negative_loss(policy_logit, 1.0)
}

/// The demonstrations' side of a loss in which they weigh κ times as much, and D = κp / (κp + q): −κ E_P[log D], a scalar.
///
/// Shape of logit, log p/q: `[N_P]`. With [`negative_loss`] the optimum is logit = log p/q for every κ.
pub fn positive_loss(logit: &Tensor, weight: f64) -> Tensor {
    softplus(&-(logit + weight.ln())).mean(logit.kind()) * weight
}

/// The other side: −E_Q[log(1 − D)], a scalar. Shape of logit: `[N_Q]`.
pub fn negative_loss(logit: &Tensor, weight: f64) -> Tensor {
    softplus(&(logit + weight.ln())).mean(logit.kind())
}

/// Guided cost learning's loss, and the partition function that it estimates.
pub struct IocLoss {
    /// `L_IOC(θ) = E_P[c_θ] + β log E_μ[exp(−(c_θ + log μ)/β)]`, a scalar.
    pub value: Tensor,
    /// The second term, log Z at β = 1, a scalar.
    pub log_z: Tensor,
    /// Logarithms of the samples' weights, up to a constant, `[N]`.
    pub log_weights: Tensor,
}

/// The importance-sampled maximum-entropy objective of Finn, Levine and Abbeel 2016 (arXiv 1603.00448,
/// equation 2): `L_IOC(θ) = E_P[c_θ] + log E_μ[exp(−c_θ)/μ]`, tempered by β.
///
/// Shapes: expert_energy `[N_P]`; energy and log_mu `[N]` of everything that was drawn from μ. At β = 1 the
/// gradient is `E_P[∂c] − Σ_i w_i ∂c_i` with w_i ∝ exp(−c_i)/μ_i; β > 1 evens the weights out. The optimum is
/// c = −log μ − β log(p/μ) + const: −log p where μ = p, for every β; elsewhere β magnifies what tells p from μ.
pub fn ioc_loss(expert_energy: &Tensor, energy: &Tensor, log_mu: &Tensor, beta: f64) -> IocLoss {
    let log_weights = -(energy + log_mu) / beta;
    let count = log_weights.size()[0] as f64;
    let log_z = (log_weights.logsumexp([0_i64].as_slice(), false) - count.ln()) * beta;
    IocLoss {
        value: expert_energy.mean(expert_energy.kind()) + &log_z,
        log_z,
        log_weights,
    }
}

/// InfoNCE: −log [ e^−E_0 / Σ_j e^−E_j ], a classifier that picks the demonstrated action, column 0, among others
/// (van den Oord, Li and Vinyals 2018, arXiv 1807.03748; for policies Florence et al. 2021, arXiv 2109.00137,
/// equation 2).
///
/// Shapes: energy `[N, 1 + K]`; the result, a mean over rows, is a scalar. Where the others are drawn from q, the
/// optimum is E = −log p + log q + const: with uniform ones the energy of p itself.
pub fn info_nce(energy: &Tensor) -> Tensor {
    let log_sum = (-energy).logsumexp([1_i64].as_slice(), false);
    (energy.select(1, 0) + log_sum).mean(energy.kind())
}

/// log(1 + eˣ), without the linear cut-off of libtorch's softplus.
fn softplus(x: &Tensor) -> Tensor {
    x.logaddexp(&x.zeros_like())
}

/// The share of trajectories that D classifies correctly, averaged over the two groups.
pub fn accuracy(expert_logit: &Tensor, policy_logit: &Tensor) -> f64 {
    let share = |right: Tensor| {
        right
            .to_kind(Kind::Double)
            .mean(Kind::Double)
            .double_value(&[])
    };
    0.5 * (share(expert_logit.gt(0.0)) + share(policy_logit.le(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Demonstrations in two cells with probabilities ¾ and ¼, other rows with ⅛ and ⅞: the gradient vanishes at
    /// log p/q = ln 6 and ln 2/7, whatever the demonstrations weigh.
    #[test]
    fn the_optimum_is_the_log_ratio_for_every_weight() {
        let demonstrated = Tensor::from_slice(&[0_i64, 0, 0, 1]);
        let others = Tensor::from_slice(&[0_i64, 1, 1, 1, 1, 1, 1, 1]);
        let gradient = |at: [f64; 2], weight: f64| {
            let logit = Tensor::from_slice(&at).set_requires_grad(true);
            let pick = |rows: &Tensor| logit.index_select(0, rows);
            let loss =
                positive_loss(&pick(&demonstrated), weight) + negative_loss(&pick(&others), weight);
            loss.backward();
            crate::nn::to_f64(&logit.grad())
        };
        let optimum = [6_f64.ln(), (2.0_f64 / 7.0).ln()];
        for weight in [0.2, 1.0, 20.0] {
            let there = gradient(optimum, weight);
            assert!(there.iter().all(|g| g.abs() < 1e-12), "{weight}: {there:?}");
            let beside = gradient([optimum[0] + 0.1, optimum[1] - 0.1], weight);
            assert!(beside[0] > 1e-4 && beside[1] < -1e-4, "{beside:?}");
        }
    }

    #[test]
    fn one_weight_is_the_plain_loss() {
        let (p, q) = (
            Tensor::from_slice(&[0.3, -2.0]),
            Tensor::from_slice(&[1.5, 0.1]),
        );
        let both = positive_loss(&p, 1.0) + negative_loss(&q, 1.0);
        assert_eq!(loss(&p, &q), both);
        let log_d = |x: f64| -(1.0 + (-x).exp()).ln();
        let by_hand = -(log_d(0.3) + log_d(-2.0) + log_d(-1.5) + log_d(-0.1)) / 2.0;
        assert!((both.double_value(&[]) - by_hand).abs() < 1e-12);
    }
}
