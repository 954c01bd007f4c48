//! The background μ(τ) of controllers: their rollouts, and their joint mixture density with the demonstrator's.
//!
//! Finn, Levine and Abbeel 2016 (arXiv 1603.00448), section 4.3: μ(τ) = Σ_k (n_k/N) q_k(τ), over the distributions with the
//! same start as τ: each density is conditional on the start.

use std::collections::VecDeque;
use std::sync::Arc;

use costate_envs::Trajectory;
use costate_envs::linear::LinearController;

use super::generator::batch;
use crate::batch::TrajectoryBatch;
use crate::density::log_sum_exp;
use crate::error::Error;
use crate::lqg::{Controller, Path, Scales};
use crate::nn::{StateDict, StateError};

/// Rollouts of one iteration: equally many from every start, grouped by start.
pub struct Rollouts {
    /// The controllers that drew them, one per start, in scaled units.
    controllers: Vec<Controller>,
    /// The same in the units of the environment.
    pub actors: Vec<Arc<LinearController>>,
    /// The trajectories.
    pub trajectories: Vec<Trajectory>,
    /// The same as tensors.
    pub batch: TrajectoryBatch,
    /// The same in scaled units.
    pub paths: Vec<Path>,
}

impl Rollouts {
    /// Rollouts drawn by `controllers`, acting as `actors`.
    pub fn new(
        controllers: Vec<Controller>,
        actors: Vec<Arc<LinearController>>,
        trajectories: Vec<Trajectory>,
        scales: &Scales,
    ) -> Result<Self, Error> {
        Ok(Self {
            batch: batch(&trajectories)?,
            paths: trajectories.iter().map(|t| Path::new(t, scales)).collect(),
            controllers,
            actors,
            trajectories,
        })
    }

    /// The start of trajectory number `i`.
    pub fn start_of(&self, i: usize) -> usize {
        i * self.actors.len() / self.trajectories.len()
    }

    /// Trajectories, each with the controller that drew it.
    pub fn drawn(&self) -> impl Iterator<Item = (&Trajectory, &Arc<LinearController>)> {
        let trajectories = self.trajectories.iter().enumerate();
        trajectories.map(|(i, t)| (t, &self.actors[self.start_of(i)]))
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        let numbers: Vec<f64> = self
            .controllers
            .iter()
            .flat_map(Controller::numbers)
            .collect();
        state.insert_numbers("controllers", &numbers);
        self.batch.save(&mut state);
        state
    }

    fn load(state: &StateDict, count: usize, scales: &Scales) -> Result<Self, StateError> {
        let replay = |e: &dyn std::fmt::Display| StateError::Replay(e.to_string());
        let batch = TrajectoryBatch::load(state)?;
        let trajectories = batch.trajectories().map_err(|e| replay(&e))?;
        let (n, m) = scales.dims();
        let numbers = crate::nn::to_f64(state.get("controllers")?);
        let controllers: Vec<Controller> = numbers
            .chunks((numbers.len() / count).max(1))
            .map(|c| Controller::of_numbers(c, n, m))
            .collect();
        let actors = controllers.iter().map(|c| scales.actor(c).map(Arc::new));
        let actors = actors.collect::<Result<_, _>>().map_err(|e| replay(&e))?;
        Self::new(controllers, actors, trajectories, scales).map_err(|e| replay(&e))
    }
}

/// The latest rollouts, and the demonstrators.
pub struct Fusion {
    keep: usize,
    scales: Scales,
    demonstrators: Vec<Demonstrator>,
    past: VecDeque<Rollouts>,
}

/// The demonstrations from one start as a distribution.
pub struct Demonstrator {
    /// Density of the demonstrations.
    pub density: LinearController,
    /// Number of demonstrations.
    pub count: usize,
}

impl Fusion {
    /// Starts without rollouts, with a demonstrator for every start; keeps the rollouts of the last `keep` iterations.
    pub fn new(keep: usize, scales: Scales, demonstrators: Vec<Demonstrator>) -> Self {
        Self {
            keep,
            scales,
            demonstrators,
            past: VecDeque::new(),
        }
    }

    /// Adds rollouts, dropping the oldest.
    pub fn push(&mut self, rollouts: Rollouts) {
        if self.past.len() == self.keep {
            self.past.pop_front();
        }
        self.past.push_back(rollouts);
    }

    /// The rollouts, oldest first.
    pub fn past(&self) -> impl DoubleEndedIterator<Item = &Rollouts> {
        self.past.iter()
    }

    /// log μ(τ) of every kept trajectory, in order.
    pub fn log_density(&self) -> Vec<f64> {
        let of = |rollouts: &Rollouts| {
            let all = rollouts.trajectories.iter().enumerate();
            all.map(|(i, t)| self.log_density_of(t, rollouts.start_of(i)))
                .collect::<Vec<_>>()
        };
        self.past.iter().flat_map(of).collect()
    }

    /// log μ(τ) of a trajectory from start number `start`.
    pub fn log_density_of(&self, trajectory: &Trajectory, start: usize) -> f64 {
        let Demonstrator { density, count } = &self.demonstrators[start];
        let mut counted = vec![(*count as f64, density.log_density(trajectory))];
        counted.extend(self.past.iter().map(|r| {
            let each = r.trajectories.len() / r.actors.len();
            (each as f64, r.actors[start].log_density(trajectory))
        }));
        let total: f64 = counted.iter().map(|(n, _)| n).sum();
        let terms: Vec<f64> = counted
            .iter()
            .map(|(n, log_q)| (n / total).ln() + log_q)
            .collect();
        log_sum_exp(&terms)
    }

    /// Adds the rollouts to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.insert_numbers("past.count", &[self.past.len() as f64]);
        for (i, rollouts) in self.past.iter().enumerate() {
            state.nest(&format!("past.{i}."), rollouts.save());
        }
    }

    /// Restores what [`Fusion::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        let count = state.count("past.count")?;
        let starts = self.demonstrators.len();
        let rollouts =
            |i| Rollouts::load(&state.below(&format!("past.{i}.")), starts, &self.scales);
        self.past = (0..count).map(rollouts).collect::<Result<_, _>>()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::End;

    /// Two steps with actions `u`.
    fn trajectory(u: [f32; 2]) -> Trajectory {
        Trajectory::new(1, 1, vec![0.0; 3], u.to_vec(), None, End::Truncated).unwrap()
    }

    /// log of Π_t N(u_t; 0, σ²).
    fn noise(u: [f64; 2], std: f64) -> f64 {
        let one = |u: f64| -0.5 * (u / std).powi(2) - std.ln() - 0.5 * std::f64::consts::TAU.ln();
        u.map(one).iter().sum()
    }

    #[test]
    fn a_trajectory_is_mixed_over_what_had_its_start_after_summing_over_time() {
        let scales = Scales::new(&[0.0], &[1.0], &[0.0], &[1.0]);
        let acting = |std| scales.actor(&Controller::noise(1, 1, 2, std)).unwrap();
        // Three demonstrations from the first start, one from the second, two rollouts from each in every iteration.
        let demonstrators = [(0.5, 3), (0.7, 1)].map(|(std, count)| Demonstrator {
            density: acting(std),
            count,
        });
        let mut fusion = Fusion::new(2, scales.clone(), demonstrators.into());
        let drawn = [[0.1, 0.2], [0.3, -0.4], [0.5, 0.6], [-0.7, 0.8]];
        for stds in [[9.0, 9.0], [1.0, 2.0], [3.0, 4.0]] {
            let controllers = stds.map(|s| Controller::noise(1, 1, 2, s));
            let actors = stds.map(|s| Arc::new(acting(s)));
            let trajectories = drawn.map(trajectory).into();
            let rollouts =
                Rollouts::new(controllers.into(), actors.into(), trajectories, &scales).unwrap();
            assert_eq!([0, 1, 2, 3].map(|i| rollouts.start_of(i)), [0, 0, 1, 1]);
            fusion.push(rollouts);
        }
        // The first iteration is dropped.
        let found = fusion.log_density();
        assert_eq!(found.len(), 8);
        for (i, found) in found.iter().enumerate() {
            let u = drawn[i % 4].map(f64::from);
            let mixed = match i % 4 / 2 {
                0 => [(3.0 / 7.0, 0.5), (2.0 / 7.0, 1.0), (2.0 / 7.0, 3.0)],
                _ => [(1.0 / 5.0, 0.7), (2.0 / 5.0, 2.0), (2.0 / 5.0, 4.0)],
            };
            let expected = mixed.map(|(share, std): (f64, f64)| share.ln() + noise(u, std));
            let expected = log_sum_exp(&expected);
            assert!((found - expected).abs() < 1e-6, "{i}: {found} {expected}");
        }
    }
}
