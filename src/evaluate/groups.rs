//! Groups of episodes that a cost is evaluated on.

use costate_envs::Episode;

use super::controller::Disturbance;
use super::{Options, Subject, shared};
use crate::error::Error;

/// A group of episodes.
pub struct Group {
    /// Its name.
    pub name: String,
    /// The episodes.
    pub episodes: Vec<Episode>,
}

impl Group {
    /// A named group of episodes.
    pub fn new(name: &str, episodes: Vec<Episode>) -> Self {
        Self {
            name: name.into(),
            episodes,
        }
    }
}

/// The distributions that a cost is evaluated on.
pub struct Groups {
    /// The demonstrations.
    pub expert: Group,
    /// The policy under evaluation.
    pub learned: Group,
    /// Uniform actions.
    pub random: Group,
    /// Behaviour cloning.
    pub clone: Option<Group>,
    /// The clone with an increasing share of its actions replaced by random ones.
    pub rungs: Vec<Group>,
}

/// Shares of random actions on the ladder between clone and random actions.
const SHARES: [f64; 3] = [0.15, 0.3, 0.6];

impl Groups {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Group> {
        [&self.expert, &self.learned, &self.random]
            .into_iter()
            .chain(&self.clone)
            .chain(&self.rungs)
    }

    /// Whether it has a grade: expert, clone, degraded, random.
    pub fn is_graded(&self, group: &Group) -> bool {
        !std::ptr::eq(group, &self.learned)
    }

    /// Whether it is a rung of the ladder from the clone down to random actions.
    pub fn is_rung(&self, group: &Group) -> bool {
        self.is_graded(group) && !std::ptr::eq(group, &self.expert)
    }
}

/// The clone's (or, without one, the policy's own) mean actions, degraded step by step.
pub fn ladder(subject: &Subject, options: Options) -> Result<Vec<Group>, Error> {
    let base = subject.clone.as_ref().unwrap_or(&subject.controller);
    let base = base.without_noise();
    let rung = |share: f64| {
        let disturbance = Disturbance {
            random_share: share,
            ..Disturbance::default()
        };
        let which = 0..(options.episodes / 2).max(2);
        let found = shared::play(
            &base,
            subject.factory,
            options.workers,
            disturbance,
            which,
            options.seed,
        );
        Ok(Group::new(
            &format!("{:.0} % random", 100.0 * share),
            found?,
        ))
    };
    SHARES.into_iter().map(rung).collect()
}
