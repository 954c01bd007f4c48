//! Samples for learners, with the truth about them sealed.

use std::sync::Arc;

use costate_envs::actor::{Actor, Behaviour};
use costate_envs::rng::derive_seed;
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{EnvFactory, Episode, Trajectory};

use crate::error::Error;
use crate::policy::GaussianPolicy;

/// True returns and successes of sampled episodes. Only the run folder and evaluation can open it.
#[derive(Debug)]
pub struct Audit {
    returns: Vec<f64>,
    solved: Option<f64>,
}

impl Audit {
    /// The truth about `episodes`.
    pub(crate) fn of(episodes: &[Episode]) -> Self {
        let solved: Option<Vec<bool>> = episodes.iter().map(|e| e.success).collect();
        let share = |s: Vec<bool>| s.iter().filter(|s| **s).count() as f64 / s.len().max(1) as f64;
        Self {
            returns: episodes.iter().map(Episode::true_return).collect(),
            solved: solved.map(share),
        }
    }

    /// The true returns.
    pub(crate) fn true_returns(&self) -> &[f64] {
        &self.returns
    }

    /// Share of the episodes that solved the task, where it says.
    pub(crate) fn solved(&self) -> Option<f64> {
        self.solved
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
        Ok(opened(self.play(actor, &jobs)?))
    }

    /// `count` trajectories of each behaviour from the start state of its seed, one behaviour after the other: batch number
    /// `batch` of the stream `name`.
    pub fn from_starts<B: Behaviour>(
        &self,
        behaviours: &[(Arc<B>, u64)],
        name: &str,
        batch: usize,
        count: usize,
    ) -> Result<(Vec<Trajectory>, Audit), Error> {
        let mut episodes = Vec::with_capacity(behaviours.len() * count);
        for (c, (behaviour, start)) in behaviours.iter().enumerate() {
            let first = (batch * behaviours.len() + c) * count;
            let seed = |i: usize| derive_seed(self.seed, name, (first + i) as u64);
            let jobs: Vec<Job> = (0..count)
                .map(|i| Job::new(seed(i)).starting_at(*start))
                .collect();
            episodes.extend(self.play(behaviour, &jobs)?);
        }
        Ok(opened(episodes))
    }

    fn play<B: Behaviour>(&self, actor: &Arc<B>, jobs: &[Job]) -> Result<Vec<Episode>, Error> {
        let choice = ActionChoice::Sample;
        Ok(self.pool.collect(&self.factory, actor, choice, jobs)?)
    }
}

/// Episodes without the truth about them, and the truth, sealed.
fn opened(episodes: Vec<Episode>) -> (Vec<Trajectory>, Audit) {
    let audit = Audit::of(&episodes);
    (episodes.into_iter().map(|e| e.trajectory).collect(), audit)
}
