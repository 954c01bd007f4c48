//! Generalised advantage estimation (Schulman et al. 2016, equation 16), for costs.

use costate_envs::End;

/// Per-step estimates, `[S]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Advantages {
    /// Â_t: how much lower than expected the action's cost was.
    pub advantage: Vec<f64>,
    /// λ-return of the cost-to-go, the critic's target.
    pub cost_to_go: Vec<f64>,
}

/// Discounting of [`advantages`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discount {
    /// Discount γ.
    pub gamma: f64,
    /// Trace decay λ.
    pub lambda: f64,
}

/// Advantages from per-step costs and cost-to-go estimates of s_t and s_{t+1}, all `[S]`, of
/// consecutive trajectories with the given lengths and ends.
///
/// δ_t = c_t + γ W(s_{t+1}) − W(s_t), Â_t = −Σ_l (γλ)^l δ_{t+l}. A truncated trajectory has a future:
/// W(s_T) counts; after a terminated one nothing follows.
pub fn advantages(
    costs: &[f64],
    value: &[f64],
    next_value: &[f64],
    lengths: &[usize],
    ends: &[End],
    discount: Discount,
) -> Advantages {
    let Discount { gamma, lambda } = discount;
    let mut advantage = vec![0.0; costs.len()];
    let mut from = 0;
    for (&len, &end) in lengths.iter().zip(ends) {
        let mut trace = 0.0;
        for t in (from..from + len).rev() {
            let last = t + 1 == from + len;
            let future = if last && end == End::Terminated {
                0.0
            } else {
                next_value[t]
            };
            let delta = costs[t] + gamma * future - value[t];
            trace = delta + gamma * lambda * trace;
            advantage[t] = -trace;
        }
        from += len;
    }
    let cost_to_go = value.iter().zip(&advantage).map(|(v, a)| v - a).collect();
    Advantages {
        advantage,
        cost_to_go,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lambda_one_gives_discounted_sums_and_respects_ends() {
        let costs = [1.0, 2.0, 4.0, 1.0, 2.0];
        let value = [0.0; 5];
        let next = [9.0, 9.0, 8.0, 9.0, 8.0];
        let next_zero = |i: usize| if i == 2 || i == 4 { next[i] } else { 0.0 };
        let next: Vec<f64> = (0..5).map(next_zero).collect();
        let ends = [End::Truncated, End::Terminated];
        let discount = Discount {
            gamma: 0.5,
            lambda: 1.0,
        };
        let got = advantages(&costs, &value, &next, &[3, 2], &ends, discount);
        assert_eq!(got.cost_to_go, [4.0, 6.0, 8.0, 2.0, 2.0]);
        assert_eq!(got.advantage, [-4.0, -6.0, -8.0, -2.0, -2.0]);
    }

    #[test]
    fn lambda_zero_is_the_one_step_error() {
        let discount = Discount {
            gamma: 0.9,
            lambda: 0.0,
        };
        let got = advantages(
            &[1.0, 1.0],
            &[5.0, 3.0],
            &[3.0, 2.0],
            &[2],
            &[End::Truncated],
            discount,
        );
        assert!((got.advantage[0] - (5.0 - 1.0 - 2.7)).abs() < 1e-12);
        assert!((got.advantage[1] - (3.0 - 1.0 - 1.8)).abs() < 1e-12);
    }
}
