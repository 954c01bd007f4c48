//! GAN-GCL on a finite process, from samples: the discriminator that serves trajectories elsewhere, held against the
//! exact solution.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852) at β = 1: logit(τ) = −c(τ) − log Z − log q(τ), log Z solved;
//! the policy descends E_q[c + log q] by sampled soft policy iteration.

use costate_envs::rng::stream;
use tch::{Device, Kind, Tensor};

use super::process::{Process, ProcessError, Walk};
use crate::density::{Scores, solve_log_z};
use crate::discriminator;
use crate::nn::{self, Adam, AdamSettings};

/// How it learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledSettings {
    /// Rounds of sampling, judging and improving.
    pub iterations: usize,
    /// Walks a round.
    pub walks: usize,
    /// Steps on the discriminator a round.
    pub discriminator_steps: usize,
    /// Adam's step size for the cost; it falls linearly to a hundredth.
    pub cost_step: f64,
    /// Share of a soft policy iteration that a round makes, in (0, 1]; it falls with the cost's.
    pub policy_step: f64,
}

/// What was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// c(s, a), `[S · A]`.
    pub cost: Vec<f64>,
    /// log π_t(a | s), `[T][S · A]`.
    pub log_policy: Vec<Vec<f64>>,
    /// The solved log Z, nats.
    pub log_z: f64,
}

/// Learns from walks that all begin in one state, in which log Z is one number.
///
/// Errors: a process with several starts.
pub fn gan_gcl(
    process: &Process,
    demonstrations: &[Walk],
    settings: SampledSettings,
    seed: u64,
) -> Result<Learned, ProcessError> {
    let starts = process.start().iter().filter(|p| **p > 0.0).count();
    if starts != 1 {
        return Err(ProcessError::Starts(starts));
    }
    let cells = process.states() * process.actions();
    let cost = Tensor::zeros([cells as i64], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let adam = AdamSettings {
        learning_rate: settings.cost_step,
        max_gradient_norm: None,
    };
    let mut optimizer = Adam::new(adam, vec![cost.shallow_clone()]);
    let uniform = -(process.actions() as f64).ln();
    let mut log_policy = vec![vec![uniform; cells]; process.horizon()];
    let mut log_z = 0.0;
    let shown = visits(process, demonstrations);
    for k in 0..settings.iterations {
        let left = 1.0 - 0.99 * k as f64 / settings.iterations as f64;
        optimizer.set_learning_rate(settings.cost_step * left);
        let mut rng = stream(seed, "walks", k as u64);
        let walks: Vec<Walk> = (0..settings.walks)
            .map(|_| process.walk(&log_policy, &mut rng))
            .collect();
        let seen = visits(process, &walks);
        let log_q = |walks: &[Walk]| -> Tensor {
            let of = |w: &Walk| log_density(process, &log_policy, w);
            Tensor::from_slice(&walks.iter().map(of).collect::<Vec<f64>>())
        };
        let (log_q_p, log_q_q) = (log_q(demonstrations), log_q(&walks));
        for _ in 0..settings.discriminator_steps {
            let (energy_p, energy_q) = (shown.mv(&cost), seen.mv(&cost));
            log_z = solve_log_z(
                Scores {
                    expert: &nn::to_f64(&(-&energy_p - &log_q_p)),
                    policy: &nn::to_f64(&(-&energy_q - &log_q_q)),
                },
                1.0,
            );
            let b = Tensor::from_slice(&[log_z]);
            let p = discriminator::logit(&energy_p, &b, &log_q_p, 1.0);
            let q = discriminator::logit(&energy_q, &b, &log_q_q, 1.0);
            optimizer.step(&discriminator::loss(&p, &q));
        }
        let c = nn::to_f64(&cost);
        improve(
            process,
            &c,
            &mut log_policy,
            &walks,
            settings.policy_step * left,
        );
    }
    Ok(Learned {
        cost: nn::to_f64(&cost),
        log_policy,
        log_z,
    })
}

/// How often each walk visits each (s, a), `[N, S · A]`.
fn visits(process: &Process, walks: &[Walk]) -> Tensor {
    let cells = process.states() * process.actions();
    let mut counts = vec![0.0; walks.len() * cells];
    for (i, walk) in walks.iter().enumerate() {
        for (s, a) in &walk.steps {
            counts[i * cells + process.at(*s, *a)] += 1.0;
        }
    }
    Tensor::from_slice(&counts).reshape([walks.len() as i64, cells as i64])
}

/// log q(τ) = Σ_t log π_t(a_t | s_t).
fn log_density(process: &Process, log_policy: &[Vec<f64>], walk: &Walk) -> f64 {
    let steps = walk.steps.iter().zip(log_policy);
    steps.map(|((s, a), row)| row[process.at(*s, *a)]).sum()
}

/// A step of soft policy iteration from samples: log π ← log π + η [Q̂ − log π], normalised, where Q̂_t(s, a) is the mean of
/// −c(s, a) − Σ_{t' > t} (c + log π) over the walks that took a there. Actions that nobody took keep their probability's log.
fn improve(
    process: &Process,
    cost: &[f64],
    log_policy: &mut [Vec<f64>],
    walks: &[Walk],
    step: f64,
) {
    let actions = process.actions();
    let cells = cost.len();
    let mut sums = vec![vec![(0.0, 0.0); cells]; process.horizon()];
    for walk in walks {
        let mut onward = 0.0;
        for (t, (s, a)) in walk.steps.iter().enumerate().rev() {
            let i = process.at(*s, *a);
            let entry = &mut sums[t][i];
            entry.0 += onward - cost[i];
            entry.1 += 1.0;
            onward += -cost[i] - log_policy[t][i];
        }
    }
    for (row, sums) in log_policy.iter_mut().zip(&sums) {
        for s in 0..process.states() {
            let cells = s * actions..(s + 1) * actions;
            let mean = |i: usize| (sums[i].1 > 0.0).then(|| sums[i].0 / sums[i].1);
            let taken: Vec<(usize, f64)> =
                cells.clone().filter_map(|i| Some((i, mean(i)?))).collect();
            if taken.len() < 2 {
                continue;
            }
            // Among the actions that were taken, the probability that they had together is shared out anew.
            let logs = |of: &dyn Fn(&(usize, f64)) -> f64| {
                crate::density::log_sum_exp(&taken.iter().map(of).collect::<Vec<_>>())
            };
            let together = logs(&|(i, _)| row[*i]);
            let moved = |(i, q): &(usize, f64)| row[*i] + step * (q - row[*i]);
            let total = logs(&moved);
            let new: Vec<f64> = taken.iter().map(|t| moved(t) - total + together).collect();
            for ((i, _), new) in taken.iter().zip(new) {
                row[*i] = new;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::soft::{Soft, total_variation};
    use super::*;
    use rand::RngExt;

    /// From `n` demonstrations and as many walks a round: total variation from the exact policy, and log Z from what the
    /// exact soft value of the learned cost is.
    fn recovered(n: usize, seed: u64) -> (f64, f64) {
        let mut rng = stream(seed, "process", 0);
        let random = Process::random(4, 2, 4, 1, &mut rng).unwrap();
        let process = random.starting_by(vec![1.0, 0.0, 0.0, 0.0]).unwrap();
        let truth: Vec<f64> = (0..8).map(|_| 2.0 * rng.random::<f64>()).collect();
        let expert = Soft::of(&process, &truth).unwrap();
        let shown: Vec<Walk> = (0..n)
            .map(|_| process.walk(&expert.log_policy, &mut rng))
            .collect();
        let settings = SampledSettings {
            iterations: 300,
            walks: n,
            discriminator_steps: 4,
            cost_step: 0.05,
            policy_step: 0.3,
        };
        let found = gan_gcl(&process, &shown, settings, seed).unwrap();
        let own = Soft::of(&process, &found.cost).unwrap();
        (
            total_variation(&process, &expert.log_policy, &found.log_policy),
            (found.log_z - own.log_z(&process)).abs(),
        )
    }

    #[test]
    fn samples_recover_the_exact_policy_and_the_soft_value() {
        let mean = |n: usize| {
            let all: Vec<(f64, f64)> = (0..4).map(|seed| recovered(n, seed)).collect();
            let of = |f: fn(&(f64, f64)) -> f64| all.iter().map(f).sum::<f64>() / 4.0;
            (of(|r| r.0), of(|r| r.1))
        };
        let (few, many) = (mean(50), mean(2000));
        println!("total variation, log Z error: 50 walks {few:?}, 2000 walks {many:?}");
        assert!(many.0 < 0.02 && many.0 < few.0 / 3.0, "{few:?} {many:?}");
        assert!(many.1 < 0.05, "{many:?}");
    }

    #[test]
    fn several_starts_are_refused() {
        let next = vec![vec![(0, 1.0)], vec![(1, 1.0)]];
        let process = Process::new(1, 1, vec![0.5, 0.5], next).unwrap();
        let settings = SampledSettings {
            iterations: 1,
            walks: 1,
            discriminator_steps: 1,
            cost_step: 0.1,
            policy_step: 1.0,
        };
        let error = gan_gcl(&process, &[], settings, 0).unwrap_err();
        assert_eq!(error, ProcessError::Starts(2));
    }
}
