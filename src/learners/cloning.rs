//! Maximum likelihood of the demonstrated actions, stopped early by the loss on held-out demonstrations.
//!
//! Pomerleau 1991: minimise −E_P[log π_φ(a | s)]. This is the single cloning recipe of Costate: `bc`, the base policy π_0
//! of GAN-GCL (`base_steps`) and cloned starts (`clone_steps`) differ only in the number of steps.
//!
//! A fifth of the episodes is held out, and the weights with the lowest held-out loss are kept. With fewer than
//! [`FEW`] demonstrations that would leave too little to learn from: there the loss is cross-validated (Stone 1974) by
//! policies that each miss one fold, and the weights kept are those of a further policy that sees every episode.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use costate_base::workers::default_workers;
use costate_envs::Trajectory;
use costate_envs::rng::{derive_seed, stream};
use rand::seq::SliceRandom;

use super::Setup;
use super::clones::{CLONES, Key};
use crate::batch::TrajectoryBatch;
use crate::error::Error;
use crate::nn::{self, AdamSettings, Descent, Rows, StateDict, StateError};
use crate::policy::{GaussianPolicy, Likelihood};

/// Steps between evaluations of the held-out loss.
pub const LOOK_EVERY: usize = 50;
/// Demonstrations below which the held-out loss is cross-validated.
const FEW: usize = 10;
/// Maximum number of folds of the shipped recipe.
const FOLDS: usize = 5;

/// How a policy is fitted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recipe {
    /// Steps of Adam.
    pub steps: usize,
    /// Rows (s, a) per step.
    pub minibatch: usize,
    /// Adam's initial step size.
    pub learning_rate: f64,
    /// The step size decays linearly towards 0 and is held once it reaches this factor.
    pub learning_rate_end_factor: f64,
    /// Maximum number of cross-validation folds.
    pub folds: usize,
}

impl Recipe {
    /// The shipped recipe of `bc`, with this number of steps.
    pub fn shipped(steps: usize) -> Self {
        Self {
            steps,
            minibatch: 256,
            learning_rate: 3e-3,
            learning_rate_end_factor: 1.0 / 30.0,
            folds: FOLDS,
        }
    }
}

/// A policy with its training and held-out data.
struct Member {
    policy: GaussianPolicy,
    /// The weights of `policy` while they change.
    likelihood: Likelihood,
    optimizer: Descent,
    train: Data,
    held_out: Option<Data>,
    seed: u64,
    /// Rows still to be drawn, refilled by passes over `train`.
    order: Vec<usize>,
}

/// Rows (s, a).
struct Data {
    /// Normalised, `[S, observation_dim]`.
    states: Rows,
    /// `[S, action_dim]`.
    actions: Rows,
}

/// A cloning in progress.
pub struct Cloner {
    recipe: Recipe,
    /// The last one's weights are kept; those with held-out data choose the step.
    members: Vec<Member>,
    best: GaussianPolicy,
    least: f64,
    done: usize,
}

/// Losses after some steps: mean −log π(a | s), nats.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Losses {
    /// Over the minibatches of all folds' policies.
    pub train: f64,
    /// Over held-out steps, averaged over the folds.
    pub held_out: f64,
}

/// Clones the demonstrations with the shipped recipe, in `steps` steps: `policy` receives the kept weights.
pub fn clone_into(policy: &mut GaussianPolicy, setup: &Setup, steps: usize) -> Result<(), Error> {
    clone_by(policy, setup, Recipe::shipped(steps), &mut |_| true).map(drop)
}

/// Clones the demonstrations by a recipe, unless the same was done before in this process; `go_on` is told how many steps
/// were done. Returns whether it let the cloning end.
pub(super) fn clone_by(
    policy: &mut GaussianPolicy,
    setup: &Setup,
    recipe: Recipe,
    go_on: &mut dyn FnMut(usize) -> bool,
) -> Result<bool, Error> {
    let key = Key::of(policy, setup, &recipe)?;
    let weights = CLONES.remembered(key, || {
        let mut cloner = Cloner::new(policy, setup, recipe)?;
        while !cloner.is_done() {
            if !go_on(cloner.done) {
                return Ok::<_, Error>(None);
            }
            cloner.advance();
        }
        Ok(Some(cloner.best.weights()))
    })?;
    if let Some(weights) = &weights {
        policy.set_weights(weights);
    }
    Ok(weights.is_some())
}

impl Cloner {
    /// Starts from the weights of `policy`.
    ///
    /// Errors: no demonstrations.
    pub fn new(policy: &GaussianPolicy, setup: &Setup, recipe: Recipe) -> Result<Self, Error> {
        let (folds, seed) = (partition(setup, recipe.folds), setup.seed);
        let members = folds
            .into_iter()
            .enumerate()
            .map(|(i, fold)| Member::new(policy, fold, recipe, derived(seed, i)))
            .collect::<Result<Vec<_>, _>>()?;
        let least = held_out_loss(&members);
        Ok(Self {
            recipe,
            members,
            best: policy.copy(),
            least,
            done: 0,
        })
    }

    /// Whether all steps are done.
    pub fn is_done(&self) -> bool {
        self.done >= self.recipe.steps
    }

    /// Runs the steps up to the next evaluation of the held-out loss and keeps the weights if it is the lowest so far.
    pub fn advance(&mut self) -> Losses {
        let end = (self.done + LOOK_EVERY).min(self.recipe.steps);
        let count = end.saturating_sub(self.done).max(1);
        let (recipe, steps) = (&self.recipe, self.done..end);
        let share = self.members.len().div_ceil(default_workers());
        // Members share nothing.
        let totals: Vec<f64> = std::thread::scope(|scope| {
            let shares = self.members.chunks_mut(share);
            let threads: Vec<_> = shares
                .map(|members| {
                    let steps = steps.clone();
                    scope.spawn(move || {
                        let run = |member: &mut Member| member.run(recipe, steps.clone());
                        members.iter_mut().map(run).collect::<Vec<_>>()
                    })
                })
                .collect();
            let join =
                |thread: ScopedJoinHandle<_>| thread.join().unwrap_or_else(|p| resume_unwind(p));
            threads.into_iter().flat_map(join).collect()
        });
        let total: f64 = totals.iter().sum();
        self.done = end;
        let held_out = held_out_loss(&self.members);
        if held_out < self.least {
            self.least = held_out;
            self.keep();
        }
        Losses {
            train: total / (count * self.members.len()) as f64,
            held_out,
        }
    }

    /// Copies the weights of the kept member.
    fn keep(&mut self) {
        let mut state = StateDict::default();
        self.current().save(&mut state);
        self.best.load(&state).expect("the same architecture");
    }

    /// The current policy.
    pub fn current(&self) -> &GaussianPolicy {
        &self.members[self.members.len() - 1].policy
    }

    /// The policy at the lowest held-out loss.
    pub fn best(&self) -> &GaussianPolicy {
        &self.best
    }

    /// Everything that the next step depends on.
    pub fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        let mut best = StateDict::default();
        self.best.save(&mut best);
        state.nest("best.", best);
        state.insert_numbers("least", &[self.least]);
        state.insert_numbers("done", &[self.done as f64]);
        for (i, member) in self.members.iter().enumerate() {
            let mut own = StateDict::default();
            member.policy.save(&mut own);
            member.optimizer.save("adam.", &mut own);
            state.nest(&format!("member{i}."), own);
        }
        state
    }

    /// Restores what [`Cloner::save`] returned.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.best.load(&state.below("best."))?;
        self.least = state.scalar("least")?;
        self.done = state.count("done")?;
        for (i, member) in self.members.iter_mut().enumerate() {
            let own = state.below(&format!("member{i}."));
            member.policy.load(&own)?;
            member.likelihood = Likelihood::of(&member.policy);
            member.optimizer.load("adam.", &own)?;
            // The order follows from the seed: redrawing it takes negligible time compared with the steps.
            member.order.clear();
            for step in 0..self.done {
                member.draw(self.recipe.minibatch, step);
            }
        }
        Ok(())
    }
}

/// The training and held-out data of one member.
struct Fold {
    train: Vec<Trajectory>,
    held_out: Vec<Trajectory>,
}

/// How many of `count` demonstrations, the first ones, are held out from the kept policy, which learns from the others;
/// `None` where it learns from all, as with few that are cross-validated in up to `most` folds.
pub(super) fn set_aside(count: usize, most: usize) -> Option<usize> {
    (count >= 2 && (count >= FEW || most < 2)).then(|| (count / 5).max(1))
}

/// One fold that holds out the first fifth; with few demonstrations, up to `most` folds with disjoint held-out sets and
/// finally one that holds out nothing. A single demonstration serves as both. Images go where their original goes.
fn partition(setup: &Setup, most: usize) -> Vec<Fold> {
    let each = 1 + setup.images;
    let count = setup.demonstrations.len() / each;
    let all = || setup.demonstrations.to_vec();
    if count < 2 {
        return vec![Fold {
            train: all(),
            held_out: all(),
        }];
    }
    let folds = most.min(count);
    if let Some(aside) = set_aside(count, most) {
        let (held_out, train) = setup.split(|_| aside);
        return vec![Fold {
            train: train.to_vec(),
            held_out: held_out.to_vec(),
        }];
    }
    let part = |fold: usize, inside: bool| -> Vec<Trajectory> {
        let rows = setup.demonstrations.iter().enumerate();
        rows.filter(|(i, _)| (i / each % folds == fold) == inside)
            .map(|(_, t)| t.clone())
            .collect()
    };
    let missing_one = (0..folds).map(|fold| Fold {
        train: part(fold, false),
        held_out: part(fold, true),
    });
    let whole = Fold {
        train: all(),
        held_out: Vec::new(),
    };
    missing_one.chain([whole]).collect()
}

/// The episodes that the loss of the kept weights was evaluated on; all where it was cross-validated, as each was then seen
/// by some policy and held out from another.
pub fn held_out<'a>(setup: &Setup<'a>) -> &'a [Trajectory] {
    setup.split(|n| set_aside(n, FOLDS).unwrap_or(n)).0
}

/// Seed of a member's order; the first uses the run's own.
fn derived(seed: u64, member: usize) -> u64 {
    match member {
        0 => seed,
        i => derive_seed(seed, "fold", i as u64),
    }
}

fn held_out_loss(members: &[Member]) -> f64 {
    let losses: Vec<f64> = (members.iter())
        .filter_map(|m| Some(m.held_out.as_ref()?.loss(&m.likelihood)))
        .collect();
    losses.iter().sum::<f64>() / losses.len() as f64
}

impl Data {
    /// The steps of some trajectories as `policy` sees them; `None` without any.
    fn of(trajectories: &[Trajectory], policy: &GaussianPolicy) -> Option<Self> {
        let batch = TrajectoryBatch::new(trajectories)?;
        Some(Self {
            states: policy.inputs(&batch.observations),
            actions: nn::rows(&batch.actions),
        })
    }

    /// −E[log π(a | s)] over all rows.
    fn loss(&self, policy: &Likelihood) -> f64 {
        let values = policy.log_densities(&self.states, &self.actions);
        -values.iter().sum::<f64>() / values.len() as f64
    }
}

impl Member {
    fn new(policy: &GaussianPolicy, fold: Fold, recipe: Recipe, seed: u64) -> Result<Self, Error> {
        let policy = policy.copy();
        let adam = AdamSettings {
            learning_rate: recipe.learning_rate,
            max_gradient_norm: None,
        };
        let likelihood = Likelihood::of(&policy);
        Ok(Self {
            optimizer: Descent::new(adam, likelihood.weights().len()),
            likelihood,
            train: Data::of(&fold.train, &policy)
                .ok_or_else(|| Error::Misuse("no demonstrations to clone".into()))?,
            held_out: Data::of(&fold.held_out, &policy),
            policy,
            seed,
            order: Vec::new(),
        })
    }

    /// The rows of a step.
    fn draw(&mut self, minibatch: usize, step: usize) -> Vec<usize> {
        if self.order.len() < minibatch {
            let mut pass: Vec<usize> = (0..self.train.states.len()).collect();
            pass.shuffle(&mut stream(self.seed, "base_order", step as u64));
            self.order.extend(pass);
        }
        let count = minibatch.min(self.order.len());
        self.order.drain(..count).collect()
    }

    /// Some steps. Returns the sum of their losses.
    fn run(&mut self, recipe: &Recipe, steps: Range<usize>) -> f64 {
        let total = steps.map(|step| self.step(recipe, step)).sum();
        self.policy.set_weights(self.likelihood.weights());
        total
    }

    /// One step of Adam on −E[log π(a | s)], which it returns.
    fn step(&mut self, recipe: &Recipe, step: usize) -> f64 {
        let rows = self.draw(recipe.minibatch, step);
        let left = 1.0 - step as f64 / recipe.steps as f64;
        let factor = left.max(recipe.learning_rate_end_factor);
        self.optimizer
            .set_learning_rate(recipe.learning_rate * factor);
        let Data { states, actions } = &self.train;
        ascend(
            &mut self.likelihood,
            &mut self.optimizer,
            states,
            actions,
            &rows,
        )
    }
}

/// One step of Adam on −E[log π(a | s)] over the chosen rows, which it returns.
pub(super) fn ascend(
    policy: &mut Likelihood,
    optimizer: &mut Descent,
    states: &Rows,
    actions: &Rows,
    chosen: &[usize],
) -> f64 {
    let share = 1.0 / chosen.len() as f64;
    let (densities, gradient) = policy.descent(states, actions, chosen, |_, _| -share);
    policy.update(|weights| {
        optimizer.step(weights, &gradient);
    });
    -share * densities.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use costate_envs::{End, EnvConfig};

    use super::*;

    /// `count` demonstrations with `images` each; a demonstration's number is the first observation of all of them.
    fn demonstrations(count: usize, images: usize) -> Vec<Trajectory> {
        let numbers = (0..count).flat_map(|i| std::iter::repeat_n(i as f32, 1 + images));
        let one = |number| {
            let (observations, actions) = (vec![number, 0.0], vec![0.0]);
            Trajectory::new(1, 1, observations, actions, None, End::Truncated).unwrap()
        };
        numbers.map(one).collect()
    }

    fn numbers(trajectories: &[Trajectory]) -> Vec<usize> {
        let mut all: Vec<usize> = (trajectories.iter())
            .map(|t| t.observation(0)[0] as usize)
            .collect();
        all.dedup();
        all
    }

    /// An image in the training data of the fold that holds out its original would let the loss there overfit.
    #[test]
    fn images_are_held_out_with_their_originals() {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let folds = |demonstrations: &[Trajectory], images| {
            let setup = Setup {
                images,
                ..Setup::new(&factory, demonstrations)
            };
            partition(&setup, FOLDS)
        };
        for count in [1, 2, 3, 5, 9, 10, 25] {
            let alone = folds(&demonstrations(count, 0), 0);
            let among = folds(&demonstrations(count, 3), 3);
            assert_eq!(alone.len(), among.len());
            for (alone, among) in alone.iter().zip(&among) {
                assert_eq!(numbers(&alone.train), numbers(&among.train));
                assert_eq!(numbers(&alone.held_out), numbers(&among.held_out));
                assert_eq!(4 * alone.train.len(), among.train.len());
                assert_eq!(4 * alone.held_out.len(), among.held_out.len());
            }
        }
    }
}
