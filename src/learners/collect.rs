//! Samples for learners, with the truth about them sealed.

use std::sync::Arc;

use costate_envs::actor::Actor;
use costate_envs::rng::derive_seed;
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{EnvFactory, Episode, Trajectory};

use crate::error::Error;
use crate::policy::GaussianPolicy;

/// True returns of sampled episodes. Only the run folder and evaluation can open it.
#[derive(Debug)]
pub struct Audit(Vec<f64>);

impl Audit {
    /// The true returns of `episodes`.
    pub(crate) fn of(episodes: &[Episode]) -> Self {
        Self(episodes.iter().map(Episode::true_return).collect())
    }

    /// The true returns.
    pub(crate) fn true_returns(&self) -> &[f64] {
        &self.0
    }
}

/// Collects episodes of a policy with seeds of a named stream.
#[derive(Clone)]
pub struct Collector {
    factory: EnvFactory,
    pool: RolloutPool,
    seed: u64,
    starts: Vec<u64>,
    demonstrated: f64,
}

impl Collector {
    /// A collector with its own worker pool.
    pub fn new(factory: &EnvFactory, workers: usize, seed: u64) -> Self {
        Self {
            factory: factory.clone(),
            pool: RolloutPool::new(workers),
            seed,
            starts: Vec::new(),
            demonstrated: 0.0,
        }
    }

    /// The environment.
    pub fn factory(&self) -> &EnvFactory {
        &self.factory
    }

    /// The same, with the first `share` of every batch started where the demonstrations with these seeds did,
    /// one after the other.
    pub fn with_starts(mut self, starts: &[u64], share: f64) -> Self {
        self.starts = starts.to_vec();
        self.demonstrated = if starts.is_empty() { 0.0 } else { share };
        self
    }

    /// `count` trajectories of `policy`: batch number `batch` of the stream `name`.
    pub fn collect(
        &self,
        policy: &GaussianPolicy,
        name: &str,
        batch: usize,
        count: usize,
    ) -> Result<(Vec<Trajectory>, Audit), Error> {
        self.roll_out(&Arc::new(policy.freeze()), name, batch, count)
    }

    /// The same of a frozen policy, on whatever thread.
    pub fn roll_out(
        &self,
        actor: &Arc<Actor>,
        name: &str,
        batch: usize,
        count: usize,
    ) -> Result<(Vec<Trajectory>, Audit), Error> {
        let demonstrated = (self.demonstrated * count as f64).round() as usize;
        let jobs: Vec<Job> = (0..count)
            .map(|i| {
                let index = batch * count + i;
                let job = Job::new(derive_seed(self.seed, name, index as u64));
                match i < demonstrated {
                    true => {
                        let next = batch * demonstrated + i;
                        job.starting_at(self.starts[next % self.starts.len()])
                    }
                    false => job,
                }
            })
            .collect();
        let episodes = self
            .pool
            .collect(&self.factory, actor, ActionChoice::Sample, &jobs)?;
        let audit = Audit::of(&episodes);
        Ok((episodes.into_iter().map(|e| e.trajectory).collect(), audit))
    }
}
