//! Guided cost learning on a finite process, from samples: the trajectory losses used elsewhere, compared with the exact
//! solution.
//!
//! At β = 1 and with log Z(s_0) for every start: GAN-GCL's logit(τ) = −c(τ) − log Z − log q(τ) with log Z solved (Finn,
//! Christiano, Abbeel and Levine 2016, arXiv 1611.03852), or the importance-sampled likelihood L_IOC (Finn, Levine and Abbeel
//! 2016, arXiv 1603.00448, equation 2). The policy descends E_q[c + log q] by sampled soft policy iteration.

use std::collections::BTreeMap;

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::process::{Process, Walk};
use crate::density::{Scores, solve_log_z};
use crate::discriminator;
use crate::nn::{self, Adam, AdamSettings};

/// Loss of the cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CostLoss {
    /// The discriminator's.
    GanGcl,
    /// The importance-sampled likelihood, with the walks as background.
    Gcl,
}

/// Settings of the learner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampledSettings {
    /// Loss of the cost.
    pub loss: CostLoss,
    /// Rounds of sampling, cost fitting and policy improvement.
    pub iterations: usize,
    /// Walks per round.
    pub walks: usize,
    /// Cost updates per round.
    pub cost_steps: usize,
    /// Adam's step size for the cost; decays linearly to a hundredth.
    pub cost_step: f64,
    /// Fraction of a soft policy iteration per round, in (0, 1]; decays with the cost's step size.
    pub policy_step: f64,
}

/// What was learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Learned {
    /// c(s, a), `[S · A]`.
    pub cost: Vec<f64>,
    /// log π_t(a | s), `[T][S · A]`.
    pub log_policy: Vec<Vec<f64>>,
    /// log Z(s_0) by start, nats, for the starts shared by demonstrations and walks of the last round.
    pub log_z: BTreeMap<usize, f64>,
}

/// Walks with the statistics that the losses need.
struct Seen {
    /// How often each visits each (s, a), `[N, S · A]`.
    visits: Tensor,
    /// log q of each, `[N]`.
    log_q: Tensor,
}

impl Seen {
    fn of(process: &Process, log_policy: &[Vec<f64>], walks: &[&Walk], visits: Tensor) -> Self {
        let log_q: Vec<f64> = walks
            .iter()
            .map(|w| log_density(process, log_policy, w))
            .collect();
        Self {
            visits,
            log_q: Tensor::from_slice(&log_q),
        }
    }
}

/// Walks by their start.
fn by_start(walks: &[Walk]) -> BTreeMap<usize, Vec<&Walk>> {
    let mut starts: BTreeMap<usize, Vec<&Walk>> = BTreeMap::new();
    for walk in walks {
        starts.entry(walk.steps[0].0).or_default().push(walk);
    }
    starts
}

/// Demonstrations from one start.
struct Shown<'a> {
    state: usize,
    /// Share of the demonstrations.
    share: f64,
    walks: Vec<&'a Walk>,
    /// `[N, S · A]`.
    visits: Tensor,
}

/// Demonstrations and walks from one start, which share one log Z.
struct Start {
    state: usize,
    /// Share of the demonstrations.
    share: f64,
    shown: Seen,
    drawn: Seen,
}

impl Start {
    /// The shared starts.
    fn common(
        process: &Process,
        log_policy: &[Vec<f64>],
        shown: &[Shown],
        drawn: &[Walk],
    ) -> Vec<Self> {
        let drawn = by_start(drawn);
        let both = shown.iter().filter_map(|p| Some((p, drawn.get(&p.state)?)));
        let seen = |walks: &[&Walk], visits| Seen::of(process, log_policy, walks, visits);
        both.map(|(p, q)| Self {
            state: p.state,
            share: p.share,
            shown: seen(&p.walks, p.visits.shallow_clone()),
            drawn: seen(q, visits(process, q)),
        })
        .collect()
    }

    /// The loss of a cost, and log Z.
    fn loss(&self, cost: &Tensor, loss: CostLoss) -> (Tensor, f64) {
        let energy_p = self.shown.visits.mv(cost);
        let energy_q = self.drawn.visits.mv(cost);
        let (log_q_p, log_q_q) = (&self.shown.log_q, &self.drawn.log_q);
        match loss {
            CostLoss::GanGcl => {
                let log_z = solve_log_z(
                    Scores {
                        expert: &nn::to_f64(&(-&energy_p - log_q_p)),
                        policy: &nn::to_f64(&(-&energy_q - log_q_q)),
                    },
                    1.0,
                );
                let b = Tensor::from_slice(&[log_z]);
                let p = discriminator::logit(&energy_p, &b, log_q_p, 1.0);
                let q = discriminator::logit(&energy_q, &b, log_q_q, 1.0);
                (discriminator::loss(&p, &q), log_z)
            }
            CostLoss::Gcl => {
                let found = discriminator::ioc_loss(&energy_p, &energy_q, log_q_q, 1.0);
                (found.value, found.log_z.double_value(&[]))
            }
        }
    }
}

/// Learns from demonstrations, which have the process's length, and its own walks.
pub fn learn(
    process: &Process,
    demonstrations: &[Walk],
    settings: SampledSettings,
    seed: u64,
) -> Learned {
    let cells = process.states() * process.actions();
    let cost = Tensor::zeros([cells as i64], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let adam = AdamSettings {
        learning_rate: settings.cost_step,
        max_gradient_norm: None,
    };
    let mut optimizer = Adam::new(adam, vec![cost.shallow_clone()]);
    let uniform = -(process.actions() as f64).ln();
    let mut log_policy = vec![vec![uniform; cells]; process.horizon()];
    let shown: Vec<Shown> = by_start(demonstrations)
        .into_iter()
        .map(|(state, walks)| Shown {
            state,
            share: walks.len() as f64 / demonstrations.len() as f64,
            visits: visits(process, &walks),
            walks,
        })
        .collect();
    let mut log_z = BTreeMap::new();
    for k in 0..settings.iterations {
        let left = 1.0 - 0.99 * k as f64 / settings.iterations as f64;
        optimizer.set_learning_rate(settings.cost_step * left);
        let mut rng = stream(seed, "walks", k as u64);
        let walks: Vec<Walk> = (0..settings.walks)
            .map(|_| process.walk(&log_policy, &mut rng))
            .collect();
        let starts = Start::common(process, &log_policy, &shown, &walks);
        if !starts.is_empty() {
            for _ in 0..settings.cost_steps {
                let losses = starts
                    .iter()
                    .map(|s| s.loss(&cost, settings.loss).0 * s.share);
                optimizer.step(&losses.sum());
            }
        }
        if k + 1 == settings.iterations {
            let of = |s: &Start| (s.state, s.loss(&cost, settings.loss).1);
            log_z = nn::no_grad(|| starts.iter().map(of).collect());
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
    Learned {
        cost: nn::to_f64(&cost),
        log_policy,
        log_z,
    }
}

/// How often each walk visits each (s, a), `[N, S · A]`.
fn visits(process: &Process, walks: &[&Walk]) -> Tensor {
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
/// −c(s, a) − Σ_{t' > t} (c + log π) over the walks that took a there. Actions never taken keep their log-probability.
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
            // The total probability of the actions taken is redistributed among them.
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

    /// With `n` demonstrations and as many walks per round on a process with some starts: total variation from the exact
    /// policy, and the error of log Z against the exact soft value of the learned cost.
    fn recovered(loss: CostLoss, starts: &[f64], n: usize, seed: u64) -> (f64, f64) {
        let mut rng = stream(seed, "process", 0);
        let random = Process::random(4, 2, 4, 1, &mut rng).unwrap();
        let process = random.starting_by(starts.to_vec()).unwrap();
        let truth: Vec<f64> = (0..8).map(|_| 2.0 * rng.random::<f64>()).collect();
        let expert = Soft::of(&process, &truth).unwrap();
        let shown: Vec<Walk> = (0..n)
            .map(|_| process.walk(&expert.log_policy, &mut rng))
            .collect();
        let settings = SampledSettings {
            loss,
            iterations: 300,
            walks: n,
            cost_steps: 4,
            cost_step: 0.05,
            policy_step: 0.3,
        };
        let found = learn(&process, &shown, settings, seed);
        let own = Soft::of(&process, &found.cost).unwrap();
        let known = found.log_z.iter();
        let worst = known.map(|(s, z)| (z - own.values[0][*s]).abs());
        (
            total_variation(&process, &expert.log_policy, &found.log_policy),
            worst.fold(0.0, f64::max),
        )
    }

    #[test]
    fn samples_recover_the_exact_policy_and_the_soft_value() {
        for loss in [CostLoss::GanGcl, CostLoss::Gcl] {
            for starts in [&[1.0, 0.0, 0.0, 0.0], &[0.5, 0.3, 0.2, 0.0]] {
                let mean = |n: usize| {
                    let all: Vec<(f64, f64)> = (0..3)
                        .map(|seed| recovered(loss, starts, n, seed))
                        .collect();
                    let of = |f: fn(&(f64, f64)) -> f64| all.iter().map(f).sum::<f64>() / 3.0;
                    (of(|r| r.0), of(|r| r.1))
                };
                let (few, many) = (mean(50), mean(2000));
                println!(
                    "{loss:?} {starts:?}: total variation, log Z error: 50 {few:?}, 2000 {many:?}"
                );
                assert!(many.0 < 0.02 && many.0 < few.0 / 3.0, "{few:?} {many:?}");
                assert!(many.1 < 0.05, "{many:?}");
            }
        }
    }

    #[test]
    fn starts_of_only_one_side_are_left_out() {
        let process = Process::random(4, 2, 3, 1, &mut stream(0, "process", 0)).unwrap();
        let settings = SampledSettings {
            loss: CostLoss::GanGcl,
            iterations: 5,
            walks: 20,
            cost_steps: 1,
            cost_step: 0.1,
            policy_step: 0.5,
        };
        let from = |state: usize| {
            let mut start = vec![0.0; 4];
            start[state] = 1.0;
            process.starting_by(start).unwrap()
        };
        let uniform = vec![vec![-(2.0_f64.ln()); 8]; 3];
        let shown = [from(1).walk(&uniform, &mut stream(1, "walk", 0))];
        let found = learn(&from(2), &shown, settings, 0);
        assert!(found.log_z.is_empty() && found.cost.iter().all(|c| *c == 0.0));
    }
}
