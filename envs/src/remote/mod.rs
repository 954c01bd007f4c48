//! Rollouts elsewhere: another process, on this machine or another one, plays a learner's batches.
//!
//! A [`Remote`] is a process that is spoken to over its standard input and output; [`serve`] is what such a process does.
//! Jobs say everything that an episode depends on, so the episodes have the bits of local ones: both sides must be the
//! same build and compute alike ([`Identity`]).

mod client;
mod identity;
mod server;
mod wire;

use std::sync::Arc;

pub use client::{Remote, RemoteError};
pub use identity::Identity;
pub use server::{ServeError, serve};
pub use wire::Portable;
#[cfg(fuzzing)]
pub use wire::read_all;

use crate::env::EnvError;
use crate::registry::EnvFactory;
use crate::rollout::{ActionChoice, Job, RolloutPool};
use crate::trajectory::Episode;

/// Who plays a batch.
#[derive(Debug, Clone)]
pub enum Player {
    /// Threads of this process.
    Here(RolloutPool),
    /// Workers elsewhere.
    Elsewhere(Arc<Remote>),
}

impl Player {
    /// Plays one episode per job; `result[i]` belongs to `jobs[i]`, whoever plays.
    ///
    /// Errors: those of the environment; of several, the one with the lowest index; workers elsewhere that are lost again and
    /// again.
    pub fn collect<B: Portable>(
        &self,
        factory: &EnvFactory,
        policy: &Arc<B>,
        choice: ActionChoice,
        jobs: &[Job],
    ) -> Result<Vec<Episode>, EnvError> {
        match self {
            Self::Here(pool) => pool.collect(factory, policy, choice, jobs),
            Self::Elsewhere(remote) => remote.collect(factory, policy.as_ref(), choice, jobs),
        }
    }
}
