//! Learners: one file, one algorithm, its loop on one screen.

pub mod adversarial;
pub mod airl;
pub mod algorithm;
pub mod background;
pub mod bc;
mod best_so_far;
mod clones;
mod cloning;
mod comparisons;
mod conditions;
mod cost_side;
pub mod dagger;
pub mod density_ratio;
mod discriminator_report;
mod distil;
pub mod flow_bc;
pub mod frozen_cost;
mod fusion;
pub mod gail;
pub mod gan_gcl;
pub mod gcl;
pub mod gcl_lqg;
pub mod generator;
mod handover;
pub mod ibc;
pub mod iq_learn;
pub mod ls_iq;
mod memory;
pub mod preferences;
pub mod rl;
pub mod rows;
pub mod sfm;
pub mod soft_q;
pub mod sqil;
mod transitions;

use std::sync::Arc;

use costate_envs::remote::{Player, Remote};
use costate_envs::rollout::RolloutPool;
use costate_envs::{EnvFactory, Trajectory};

use crate::audit::{Audit, Sealer};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::metric::{Diagnostics, Spreads};
use crate::nn::{StateDict, StateError};
use crate::policy::Learned;
pub use algorithm::{Algo, Algorithm, Behaviour};

/// The inputs of every learner.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// The environment to roll out in.
    pub factory: &'a EnvFactory,
    /// Demonstrations, without their true costs; each followed by its `images`.
    pub demonstrations: &'a [Trajectory],
    /// How many images under the world's symmetries follow each demonstration.
    pub images: usize,
    /// Seeds of the demonstrations' start states, if these can be reproduced.
    pub starts: &'a [u64],
    /// Name of the demonstrating expert, for learners that query it.
    pub expert: &'a str,
    /// Seed of all random streams.
    pub seed: u64,
    /// Worker threads for rollouts; results do not depend on it.
    pub workers: usize,
    /// Workers elsewhere that play the rollouts instead; neither do results depend on them.
    pub elsewhere: Option<&'a Arc<Remote>>,
    /// Seals the true costs of rollouts.
    pub sealer: &'a Sealer,
}

impl<'a> Setup<'a> {
    /// Demonstrations in a world, with seed 0, one worker and no auditor.
    pub fn new(factory: &'a EnvFactory, demonstrations: &'a [Trajectory]) -> Self {
        Self {
            factory,
            demonstrations,
            images: 0,
            starts: &[],
            expert: "",
            seed: 0,
            workers: 1,
            elsewhere: None,
            sealer: Sealer::unwatched(),
        }
    }

    /// The first `count(n)` of the n demonstrations, and the others; each with its images.
    fn split(&self, count: impl FnOnce(usize) -> usize) -> (&'a [Trajectory], &'a [Trajectory]) {
        let each = 1 + self.images;
        let first = count(self.demonstrations.len() / each);
        self.demonstrations.split_at(each * first)
    }

    /// Who plays rollouts.
    pub fn player(&self) -> Player {
        match self.elsewhere {
            Some(remote) => Player::Elsewhere(remote.clone()),
            None => Player::Here(RolloutPool::new(self.workers)),
        }
    }
}

/// What one iteration reports.
#[derive(Debug, Default)]
pub struct Report {
    /// Metrics available to the learner.
    pub diagnostics: Diagnostics,
    /// Values whose distribution is worth a look.
    pub spreads: Spreads,
    /// Environment steps taken.
    pub env_steps: u64,
    /// The true costs of the rollouts, for the user; no learner can open it.
    pub audit: Option<Audit>,
}

/// Factor of the learning rate in iteration `k`: decays linearly from 1 to `end` in the last one.
fn learning_rate_factor(end: f64, k: usize, iterations: usize) -> f64 {
    let last = iterations.saturating_sub(1).max(1) as f64;
    1.0 - (1.0 - end) * (k as f64 / last)
}

/// A running algorithm. `iterate(k)` depends only on the state after iteration
/// k − 1 and on k, so a run can be interrupted and resumed without changing its result.
pub trait Learner {
    /// Iterations in the run.
    fn iterations(&self) -> usize;

    /// Iteration `k`, counted from 0.
    fn iterate(&mut self, k: usize) -> Result<Report, Error>;

    /// The current policy.
    fn policy(&self) -> Learned<'_>;

    /// The current learned cost, if the algorithm learns one.
    fn energy_model(&self) -> Option<&EnergyModel>;

    /// Everything that the next iteration depends on.
    fn save(&self) -> StateDict;

    /// Restores what [`Learner::save`] returned.
    fn load(&mut self, state: &StateDict) -> Result<(), StateError>;
}

/// How many of `count` demonstrations are held out, so that at least one is left.
fn held_out_count(count: usize, share: f64) -> usize {
    ((count as f64 * share).round() as usize).min(count.saturating_sub(1))
}

/// The error for a weight beyond single precision after iteration `k`; the caller adds which setting to lower.
fn diverged(k: usize) -> Error {
    Error::Diverged {
        iteration: k,
        what: "a weight is beyond single precision".into(),
    }
}

/// Default of a count that was added later: one.
fn single() -> usize {
    1
}

/// Default of a setting that was added later: a factor of 1.
fn one() -> f64 {
    1.0
}
