//! Learners: one file, one algorithm, its loop on one screen.

pub mod adversarial;
pub mod airl;
pub mod algorithm;
pub mod background;
pub mod bc;
mod best_so_far;
mod cloning;
mod conditions;
mod cost_side;
pub mod dagger;
mod discriminator_report;
mod distil;
pub mod frozen_cost;
mod fusion;
pub mod gail;
pub mod gan_gcl;
pub mod gcl;
pub mod gcl_lqg;
pub mod generator;
pub mod ibc;
mod memory;
pub mod rl;
pub mod rows;
mod transitions;

use costate_envs::{EnvFactory, Trajectory};

use crate::audit::{Audit, Sealer};
use crate::cost::EnergyModel;
use crate::error::Error;
use crate::metric::Diagnostics;
use crate::nn::{StateDict, StateError};
use crate::policy::Learned;
pub use algorithm::{Algo, Algorithm, Behaviour};

/// What every learner starts from.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    /// The environment to roll out in.
    pub factory: &'a EnvFactory,
    /// Demonstrations, without their true costs.
    pub demonstrations: &'a [Trajectory],
    /// Seeds of the demonstrations' start states, where they can be started from again.
    pub starts: &'a [u64],
    /// Name of the expert that demonstrated, for learners that ask it.
    pub expert: &'a str,
    /// Seed of every stream.
    pub seed: u64,
    /// Worker threads for rollouts; results do not depend on it.
    pub workers: usize,
    /// Seals the truth about rollouts.
    pub sealer: &'a Sealer,
}

impl<'a> Setup<'a> {
    /// Demonstrations in a world, with seed 0, one worker and nobody who watches.
    pub fn new(factory: &'a EnvFactory, demonstrations: &'a [Trajectory]) -> Self {
        Self {
            factory,
            demonstrations,
            starts: &[],
            expert: "",
            seed: 0,
            workers: 1,
            sealer: Sealer::unwatched(),
        }
    }
}

/// What one iteration reports.
#[derive(Debug, Default)]
pub struct Report {
    /// What a learner can know of itself.
    pub diagnostics: Diagnostics,
    /// Environment steps taken.
    pub env_steps: u64,
    /// The truth about the rollouts, for people; no learner can open it.
    pub audit: Option<Audit>,
}

/// Factor of the learning rate in iteration `k`: falls linearly from 1 to `end` in the last one.
fn learning_rate_factor(end: f64, k: usize, iterations: usize) -> f64 {
    let last = iterations.saturating_sub(1).max(1) as f64;
    1.0 - (1.0 - end) * (k as f64 / last)
}

/// An algorithm in the middle of its work. `iterate(k)` depends only on the state after iteration
/// k − 1 and on k, so a run can be interrupted and resumed without changing its result.
pub trait Learner {
    /// Iterations in the whole run.
    fn iterations(&self) -> usize;

    /// Iteration `k`, counted from 0.
    fn iterate(&mut self, k: usize) -> Result<Report, Error>;

    /// The policy so far.
    fn policy(&self) -> Learned<'_>;

    /// The learned cost so far, if the algorithm learns one.
    fn energy_model(&self) -> Option<&EnergyModel>;

    /// Everything that the next iteration needs.
    fn save(&self) -> StateDict;

    /// Restores what [`Learner::save`] gave.
    fn load(&mut self, state: &StateDict) -> Result<(), StateError>;
}

/// The first `share` of the demonstrations, to choose weights by, and the others, at least one, to learn from.
fn split_held_out(demonstrations: &[Trajectory], share: f64) -> (&[Trajectory], &[Trajectory]) {
    let count = demonstrations.len();
    let held = ((count as f64 * share).round() as usize).min(count.saturating_sub(1));
    demonstrations.split_at(held)
}

/// What is wrong when a weight is beyond single precision after iteration `k`; whoever knows the settings says which to lower.
fn diverged(k: usize) -> Error {
    Error::Diverged {
        iteration: k,
        what: "a weight is beyond single precision".into(),
    }
}

/// What settings that were added later are without: one round.
fn one_round() -> usize {
    1
}

/// What settings that were added later are without: a factor of 1.
fn one() -> f64 {
    1.0
}
