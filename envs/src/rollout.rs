//! Parallel rollouts: `job(index, seed) → slot[index]`.
//!
//! Jobs are cut into groups of [`GROUP`] consecutive indices. A worker takes whole groups and runs
//! the frozen actor on all worlds of a group as one matrix product, so the arithmetic of an episode
//! depends on its index alone: results are bit-identical for any number of workers. A batch is a
//! fixed set of jobs, never "the first K that finish", which would favour short episodes.

use std::sync::Arc;

use crossbeam::channel;
use nalgebra::DMatrix;
use rand_distr::{Distribution, StandardNormal};

use crate::actor::{Actor, Scratch, gaussian_log_density};
use crate::env::{End, Env, EnvError};
use crate::registry::EnvFactory;
use crate::rng::{Stream, stream};
use crate::trajectory::{Episode, Success, Trajectory};

/// Worlds that a worker steps together.
pub const GROUP: usize = 16;

/// How an actor chooses actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionChoice {
    /// a ~ π(· | s), with its log-density recorded.
    Sample,
    /// a = mean of π(· | s); no density.
    Mean,
}

/// One episode to roll out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Job {
    /// Seed of the action noise.
    pub seed: u64,
    /// Seed of the start state.
    pub start: u64,
}

impl Job {
    /// An episode whose start state and action noise come from one seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, start: seed }
    }

    /// The same, from the start state of another seed.
    pub fn starting_at(self, start: u64) -> Self {
        Self { start, ..self }
    }
}

/// A fixed number of worker threads.
#[derive(Debug, Clone, Copy)]
pub struct RolloutPool {
    workers: usize,
}

impl RolloutPool {
    /// A pool of `workers ≥ 1` threads.
    pub fn new(workers: usize) -> Self {
        Self {
            workers: workers.max(1),
        }
    }

    /// As many workers as the machine has cores.
    pub fn all_cores() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, |n| n.get()))
    }

    /// Number of threads.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs one episode a job; `result[i]` belongs to `jobs[i]`.
    ///
    /// Errors: what the environment refuses; of several, the one with the least index.
    pub fn collect(
        &self,
        factory: &EnvFactory,
        actor: &Arc<Actor>,
        choice: ActionChoice,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, EnvError> {
        let groups: Vec<&[Job]> = jobs.chunks(GROUP).collect();
        let slots = self.map(
            groups.len(),
            || Group::new(factory, actor),
            |group, i| group.run(choice, groups[i]),
        );
        let mut episodes = Vec::with_capacity(jobs.len());
        for slot in slots {
            episodes.extend(slot?);
        }
        Ok(episodes)
    }

    /// Runs `job(state, i)` for `i < count` on the workers, each with a state of its own, and
    /// returns the results in order of `i`. The state must not carry results from job to job.
    pub fn map<S, R: Send>(
        &self,
        count: usize,
        state: impl Fn() -> S + Sync,
        job: impl Fn(&mut S, usize) -> R + Sync,
    ) -> Vec<R> {
        let mut slots: Vec<Option<R>> = (0..count).map(|_| None).collect();
        let (todo, indices) = channel::unbounded();
        (0..count).for_each(|i| todo.send(i).expect("the receiver lives"));
        drop(todo);
        let (done, results) = channel::unbounded();
        std::thread::scope(|scope| {
            for _ in 0..self.workers.min(count) {
                let (indices, done) = (indices.clone(), done.clone());
                let (state, job) = (&state, &job);
                scope.spawn(move || {
                    let mut state = state();
                    for i in indices {
                        if done.send((i, job(&mut state, i))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(done);
            for (i, result) in results {
                slots[i] = Some(result);
            }
        });
        slots
            .into_iter()
            .map(|slot| slot.expect("every job fills its slot"))
            .collect()
    }
}

/// A worker's worlds and buffers.
struct Group {
    actor: Arc<Actor>,
    envs: Vec<Box<dyn Env>>,
    observations: DMatrix<f32>,
    scratch: Scratch,
    horizon: usize,
}

/// An episode in the making.
struct Recording {
    noise: Stream,
    observations: Vec<f32>,
    actions: Vec<f32>,
    log_densities: Vec<f64>,
    costs: Vec<f64>,
    success: Success,
    end: End,
}

impl Group {
    fn new(factory: &EnvFactory, actor: &Arc<Actor>) -> Self {
        Self {
            actor: actor.clone(),
            envs: (0..GROUP).map(|_| factory.build()).collect(),
            observations: DMatrix::zeros(actor.observation_dim(), GROUP),
            scratch: actor.scratch(GROUP),
            horizon: factory.spec().horizon,
        }
    }

    fn run(&mut self, choice: ActionChoice, jobs: &[Job]) -> Result<Vec<Episode>, EnvError> {
        let (o, a) = (self.actor.observation_dim(), self.actor.action_dim());
        let t = self.horizon;
        let mut recordings: Vec<Recording> = Vec::with_capacity(jobs.len());
        for (env, job) in self.envs.iter_mut().zip(jobs) {
            env.reset(job.start);
            recordings.push(Recording {
                noise: stream(job.seed, "action", 0),
                observations: Vec::with_capacity((t + 1) * o),
                actions: Vec::with_capacity(t * a),
                log_densities: Vec::with_capacity(t),
                costs: Vec::with_capacity(t),
                success: Success::default(),
                end: End::Running,
            });
        }
        // Unused columns keep fixed values: the product's width never changes.
        self.observations.fill(0.0);
        while recordings.iter().any(|r| r.end == End::Running) {
            for (j, (env, r)) in self.envs.iter().zip(&mut recordings).enumerate() {
                if r.end == End::Running {
                    let column = &mut self.observations.as_mut_slice()[j * o..(j + 1) * o];
                    env.observe(column);
                    r.observations.extend_from_slice(column);
                    r.success.see(env.solved());
                }
            }
            self.actor.forward(&self.observations, &mut self.scratch);
            for (j, (env, r)) in self.envs.iter_mut().zip(&mut recordings).enumerate() {
                if r.end != End::Running {
                    continue;
                }
                let mean = self.scratch.mean.column(j);
                let log_std = self.scratch.log_std.column(j);
                let from = r.actions.len();
                for (m, l) in mean.iter().zip(log_std.iter()) {
                    r.actions.push(match choice {
                        ActionChoice::Mean => *m,
                        ActionChoice::Sample => {
                            let z: f32 = StandardNormal.sample(&mut r.noise);
                            m + l.exp() * z
                        }
                    });
                }
                let action = &r.actions[from..];
                if choice == ActionChoice::Sample {
                    r.log_densities.push(gaussian_log_density(
                        action.iter().copied(),
                        mean.iter().copied(),
                        log_std.iter().copied(),
                    ));
                }
                let step = env.step(action)?;
                r.costs.push(step.cost);
                r.end = step.end;
                if step.end != End::Running {
                    let last = r.observations.len();
                    r.observations.resize(last + o, 0.0);
                    env.observe(&mut r.observations[last..]);
                    r.success.see(env.solved());
                }
            }
        }
        jobs.iter()
            .zip(recordings)
            .map(|(job, r)| {
                let steps = r.costs.len();
                let log_densities = (choice == ActionChoice::Sample).then_some(r.log_densities);
                Trajectory::new(o, a, r.observations, r.actions, log_densities, r.end)
                    .map(|trajectory| Episode {
                        seed: job.start,
                        trajectory,
                        costs: r.costs,
                        success: r.success.verdict(),
                    })
                    // Actions are checked by the environment: only its own state can be at fault.
                    .map_err(|_| EnvError::Diverged {
                        env: "rollout".into(),
                        step: steps,
                    })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_keeps_the_order_for_any_number_of_workers() {
        for workers in [1, 2, 3, 7] {
            let squares = RolloutPool::new(workers).map(50, || (), |(), i| i * i);
            assert_eq!(squares, (0..50).map(|i| i * i).collect::<Vec<_>>());
        }
        assert!(RolloutPool::new(2).map(0, || (), |(), i| i).is_empty());
    }
}
