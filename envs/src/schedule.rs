//! A simulated schedule of a batch of episodes on more workers than the machine has, from measured times.

use std::sync::Arc;
use std::time::Instant;

use crate::registry::EnvConfig;
use crate::rollout::{ActionChoice, Job, RolloutPool, Runner};
use crate::timing::{Spread, TimingError, actor};

/// Measured times of a batch on one worker, seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchTimes {
    /// Of each episode, in the order in which workers take them.
    pub episodes: Vec<f64>,
    /// From one worker's start to the next one's: its thread and its world.
    pub start: f64,
}

impl BatchTimes {
    /// Measures `count ≥ 1` episodes of a world with a 64-64 tanh actor.
    pub fn measure(name: &str, count: usize) -> Result<Self, TimingError> {
        let factory = EnvConfig::named(name)?.factory()?;
        let actor = Arc::new(actor(&factory));
        let mut runner = Runner::new(&factory, &actor);
        let mut timed = |i: usize| {
            let began = Instant::now();
            runner.run(ActionChoice::Sample, Job::new(i as u64))?;
            Ok(began.elapsed().as_secs_f64())
        };
        // The first episodes warm up.
        (0..count.min(8)).try_for_each(|i| timed(i).map(drop))?;
        let episodes = (0..count).map(timed).collect::<Result<_, TimingError>>()?;
        const STARTED: usize = 8;
        let starts = (0..15).map(|_| {
            let began = Instant::now();
            RolloutPool::new(STARTED).map(STARTED, || Runner::new(&factory, &actor), |_, _| ());
            began.elapsed().as_secs_f64() / STARTED as f64
        });
        Ok(Self {
            episodes,
            start: Spread::of(starts.collect()).median,
        })
    }

    /// Seconds until the last of `workers ≥ 1` is done: they start one after the other, and a free one takes the next
    /// episode, as [`RolloutPool::map`] has it.
    pub fn makespan(&self, workers: usize) -> f64 {
        let mut free: Vec<f64> = (1..=workers.min(self.episodes.len()))
            .map(|i| i as f64 * self.start)
            .collect();
        for seconds in &self.episodes {
            if let Some(next) = free.iter_mut().min_by(|a, b| a.total_cmp(b)) {
                *next += seconds;
            }
        }
        free.into_iter().fold(0.0, f64::max)
    }

    /// Speed-up over one worker.
    pub fn speedup(&self, workers: usize) -> f64 {
        self.makespan(1) / self.makespan(workers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makespan_by_hand() {
        let times = BatchTimes {
            episodes: vec![3.0, 1.0, 1.0, 2.0],
            start: 0.5,
        };
        // Worker 1: 0.5 → 3.5 (first), then nothing is left before 5; worker 2: 1 → 2 → 3 → 5.
        assert_eq!(times.makespan(1), 7.5);
        assert_eq!(times.makespan(2), 5.0);
        // More workers than episodes do not start.
        assert_eq!(times.makespan(100), times.makespan(4));
        assert_eq!(times.makespan(4), 4.0);
        assert_eq!(times.speedup(1), 1.0);
    }

    #[test]
    fn equal_episodes_without_start_divide() {
        let times = BatchTimes {
            episodes: vec![1.0; 64],
            start: 0.0,
        };
        for workers in [1, 2, 4, 8, 16, 32, 64] {
            assert_eq!(times.speedup(workers), workers as f64);
        }
        assert_eq!(times.speedup(33), 32.0);
    }

    #[test]
    fn episodes_are_measured() {
        let times = BatchTimes::measure("lq", 3).unwrap();
        assert_eq!(times.episodes.len(), 3);
        assert!(times.start > 0.0 && times.episodes.iter().all(|t| *t > 0.0));
        assert!(BatchTimes::measure("no such world", 3).is_err());
    }
}
