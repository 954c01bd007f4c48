//! Soft value iteration: the maximum-entropy policy of a cost, exactly.
//!
//! Ziebart, Bagnell and Dey 2010 (causal entropy):
//!
//! ```text
//! Q_t(s, a) = −c(s, a) + Σ_s' P(s' | s, a) V_{t+1}(s'),  V_t(s) = log Σ_a exp Q_t(s, a),  V_T = 0
//! log π_t(a | s) = Q_t(s, a) − V_t(s)
//! ```
//!
//! Where the process is deterministic, p(τ | s_0) = exp(−c(τ)) / Z(s_0) with log Z(s_0) = V_0(s_0).

use super::process::{Process, ProcessError};
use crate::density::log_sum_exp;

/// Values and policy of a cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Soft {
    /// V_t(s), `[T + 1][S]`.
    pub values: Vec<Vec<f64>>,
    /// log π_t(a | s), `[T][S · A]`.
    pub log_policy: Vec<Vec<f64>>,
}

impl Soft {
    /// From a cost c(s, a), `[S · A]`, nats.
    ///
    /// Errors: a table of the wrong shape.
    pub fn of(process: &Process, cost: &[f64]) -> Result<Self, ProcessError> {
        check(process, "the cost", cost)?;
        let (states, actions, horizon) = (process.states(), process.actions(), process.horizon());
        let mut values = vec![vec![0.0; states]; horizon + 1];
        let mut log_policy = vec![vec![0.0; states * actions]; horizon];
        for t in (0..horizon).rev() {
            for s in 0..states {
                let q: Vec<f64> = (0..actions)
                    .map(|a| {
                        let onward = process.successors(s, a).iter();
                        let ahead: f64 = onward.map(|(next, p)| p * values[t + 1][*next]).sum();
                        ahead - cost[process.at(s, a)]
                    })
                    .collect();
                let v = log_sum_exp(&q);
                values[t][s] = v;
                for (a, q) in q.iter().enumerate() {
                    log_policy[t][process.at(s, a)] = q - v;
                }
            }
        }
        Ok(Self { values, log_policy })
    }

    /// E_ρ[V_0(s_0)], nats: the mean log Z(s_0).
    pub fn log_z(&self, process: &Process) -> f64 {
        let start = process.start().iter();
        start.zip(&self.values[0]).map(|(p, v)| p * v).sum()
    }
}

/// P(s_t = s) under a policy log π_t, `[T][S]`.
fn states(process: &Process, log_policy: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut here = process.start().to_vec();
    let step = |row: &Vec<f64>| {
        let mut onward = vec![0.0; process.states()];
        for (s, p) in here.iter().enumerate() {
            for a in 0..process.actions() {
                let flow = p * row[process.at(s, a)].exp();
                for (next, share) in process.successors(s, a) {
                    onward[*next] += flow * share;
                }
            }
        }
        std::mem::replace(&mut here, onward)
    };
    log_policy.iter().map(step).collect()
}

/// Expected visits Σ_t P(s_t = s, a_t = a) of a policy log π_t, `[T][S · A]`; the result is `[S · A]` and sums to T.
pub fn visits(process: &Process, log_policy: &[Vec<f64>]) -> Vec<f64> {
    let mut found = vec![0.0; process.states() * process.actions()];
    for (here, row) in states(process, log_policy).iter().zip(log_policy) {
        for (i, found) in found.iter_mut().enumerate() {
            *found += here[i / process.actions()] * row[i].exp();
        }
    }
    found
}

/// Mean over time of E_{s ~ p_t}[TV(π_t(· | s), π'_t(· | s))], over the states that `log_policy` visits, in `[0, 1]`.
pub fn total_variation(process: &Process, log_policy: &[Vec<f64>], other: &[Vec<f64>]) -> f64 {
    let rows = log_policy.iter().zip(other);
    let apart = states(process, log_policy).into_iter().zip(rows);
    let sum: f64 = apart
        .flat_map(|(here, (row, other))| {
            let one = move |(i, (a, b)): (usize, (&f64, &f64))| {
                0.5 * here[i / process.actions()] * (a.exp() - b.exp()).abs()
            };
            row.iter().zip(other).enumerate().map(one)
        })
        .sum();
    sum / process.horizon() as f64
}

pub(super) fn check(
    process: &Process,
    what: &'static str,
    table: &[f64],
) -> Result<(), ProcessError> {
    let expected = process.states() * process.actions();
    match table.len() == expected {
        true => Ok(()),
        false => Err(ProcessError::Shape {
            what,
            found: table.len(),
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::rng::stream;
    use rand::RngExt;

    fn cost(process: &Process, seed: u64) -> Vec<f64> {
        let mut rng = stream(seed, "cost", 0);
        let n = process.states() * process.actions();
        (0..n).map(|_| 4.0 * rng.random::<f64>() - 2.0).collect()
    }

    /// log Σ_τ exp(−c(τ)) and the policy's density of every trajectory, one by one.
    #[test]
    fn deterministic_processes_have_the_boltzmann_distribution_over_trajectories() {
        let mut rng = stream(3, "process", 0);
        let process = Process::random(4, 3, 5, 1, &mut rng).unwrap();
        let cost = cost(&process, 3);
        let soft = Soft::of(&process, &cost).unwrap();
        for start in 0..4 {
            let mut energies = Vec::new();
            let mut densities = Vec::new();
            for code in 0..3_usize.pow(5) {
                let (mut s, mut energy, mut log_q) = (start, 0.0, 0.0);
                for t in 0..5 {
                    let a = code / 3_usize.pow(t as u32) % 3;
                    energy += cost[process.at(s, a)];
                    log_q += soft.log_policy[t][process.at(s, a)];
                    s = process.successors(s, a)[0].0;
                }
                energies.push(-energy);
                densities.push(log_q);
            }
            let log_z = log_sum_exp(&energies);
            assert!((log_z - soft.values[0][start]).abs() < 1e-12);
            for (energy, log_q) in energies.iter().zip(&densities) {
                assert!((energy - log_z - log_q).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn visits_count_every_step_and_agree_with_walks() {
        let mut rng = stream(5, "process", 0);
        let process = Process::random(5, 2, 6, 3, &mut rng).unwrap();
        let soft = Soft::of(&process, &cost(&process, 5)).unwrap();
        let exact = visits(&process, &soft.log_policy);
        assert!((exact.iter().sum::<f64>() - 6.0).abs() < 1e-12);
        let n = 20_000;
        let mut counted = vec![0.0; exact.len()];
        for _ in 0..n {
            for (s, a) in process.walk(&soft.log_policy, &mut rng).steps {
                counted[process.at(s, a)] += 1.0 / f64::from(n);
            }
        }
        for (found, exact) in counted.iter().zip(&exact) {
            assert!((found - exact).abs() < 0.05, "{found}, {exact}");
        }
        assert_eq!(
            total_variation(&process, &soft.log_policy, &soft.log_policy),
            0.0
        );
    }

    #[test]
    fn potential_shaping_changes_no_policy_where_episodes_close() {
        // c' = c + Φ(s) − E Φ(s') changes Q by Φ(s) − E Φ(s_T): with constant Φ(s_T), the policy is unchanged.
        let next = (0..6).map(|_| vec![(0, 1.0)]).collect();
        let process = Process::new(2, 1, vec![0.2, 0.3, 0.5], next).unwrap();
        let plain = cost(&process, 1);
        let shaped: Vec<f64> = plain
            .iter()
            .enumerate()
            .map(|(i, c)| c + (i / 2) as f64)
            .collect();
        let of = |c: &[f64]| Soft::of(&process, c).unwrap().log_policy;
        for (a, b) in of(&plain)[0].iter().zip(&of(&shaped)[0]) {
            assert!((a - b).abs() < 1e-12);
        }
    }
}
