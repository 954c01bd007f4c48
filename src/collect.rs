//! Samples for learners, with the truth about them sealed.

use std::sync::Arc;

use costate_envs::actor::Actor;
use costate_envs::remote::{Player, Portable};
use costate_envs::rng::derive_seed;
use costate_envs::rollout::{ActionChoice, Job};
use costate_envs::{EnvFactory, Episode, Trajectory};

use crate::audit::{Audit, Sealer};
use crate::error::Error;
use crate::policy::GaussianPolicy;

/// Collects episodes of a policy with seeds of a named stream.
#[derive(Clone)]
pub struct Collector {
    factory: EnvFactory,
    player: Player,
    seed: u64,
    starts: Vec<u64>,
    demonstrated: f64,
    sealer: Sealer,
}

impl Collector {
    /// A collector whose episodes `player` plays; the truth about them goes to whoever opens what `sealer` seals.
    pub fn new(factory: &EnvFactory, player: Player, seed: u64, sealer: &Sealer) -> Self {
        Self {
            factory: factory.clone(),
            player,
            seed,
            starts: Vec::new(),
            demonstrated: 0.0,
            sealer: sealer.clone(),
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
        Ok(self.sealed(self.play(actor, &jobs)?))
    }

    /// `count` trajectories of each behaviour from the start state of its seed, one behaviour after the other: batch number
    /// `batch` of the stream `name`.
    pub fn from_starts<B: Portable>(
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
        Ok(self.sealed(episodes))
    }

    fn play<B: Portable>(&self, actor: &Arc<B>, jobs: &[Job]) -> Result<Vec<Episode>, Error> {
        let choice = ActionChoice::Sample;
        Ok(self.player.collect(&self.factory, actor, choice, jobs)?)
    }

    /// Episodes without the truth about them, and the truth, sealed.
    fn sealed(&self, episodes: Vec<Episode>) -> (Vec<Trajectory>, Audit) {
        let audit = self.sealer.seal(&episodes);
        (episodes.into_iter().map(|e| e.trajectory).collect(), audit)
    }
}
