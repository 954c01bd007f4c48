//! The truth about rollouts, sealed: learners hand it on and cannot open it.
//!
//! [`pair`] gives whoever watches a learner an [`Auditor`] and the learner a [`Sealer`]. An [`Audit`] shows what is in it to the
//! auditor of the sealer that it came from and to nobody else.

use std::sync::{Arc, LazyLock};

use costate_envs::Episode;

use crate::error::Error;

/// True returns and successes of some episodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    /// True return of each.
    pub returns: Vec<f64>,
    /// True cost of every step, one episode after the other.
    pub costs: Vec<f64>,
    /// Share of the episodes that solved the task, where it says.
    pub solved: Option<f64>,
}

/// The truth about some episodes, sealed.
#[derive(Debug, Clone)]
pub struct Audit {
    truth: Truth,
    seal: Arc<()>,
}

/// Seals the truth about episodes.
#[derive(Debug, Clone)]
pub struct Sealer(Arc<()>);

/// Opens what its sealer sealed.
#[derive(Debug)]
pub struct Auditor(Arc<()>);

/// A sealer, for a learner, and the only auditor who opens what it seals.
pub fn pair() -> (Sealer, Auditor) {
    let seal = Arc::new(());
    (Sealer(seal.clone()), Auditor(seal))
}

impl Sealer {
    /// For learners whose rollouts' truth nobody asks for: no auditor opens it.
    pub fn unwatched() -> &'static Self {
        static UNWATCHED: LazyLock<Sealer> = LazyLock::new(|| pair().0);
        &UNWATCHED
    }

    /// Seals a truth that was opened: a learner that may see it hands it on.
    pub fn reseal(&self, truth: &Truth) -> Audit {
        Audit {
            truth: truth.clone(),
            seal: self.0.clone(),
        }
    }

    /// Seals the truth about `episodes`.
    pub fn seal(&self, episodes: &[Episode]) -> Audit {
        let solved: Option<Vec<bool>> = episodes.iter().map(|e| e.success).collect();
        let share = |s: Vec<bool>| s.iter().filter(|s| **s).count() as f64 / s.len().max(1) as f64;
        Audit {
            truth: Truth {
                returns: episodes.iter().map(Episode::true_return).collect(),
                costs: episodes.iter().flat_map(|e| &e.costs).copied().collect(),
                solved: solved.map(share),
            },
            seal: self.0.clone(),
        }
    }
}

impl Auditor {
    /// What is in an audit. Errors: another pair's sealer sealed it.
    pub fn open<'a>(&self, audit: &'a Audit) -> Result<&'a Truth, Error> {
        match Arc::ptr_eq(&self.0, &audit.seal) {
            true => Ok(&audit.truth),
            false => Err(Error::Failure(
                "the truth about these rollouts was sealed for another auditor".into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A learner that makes a pair of its own gets an auditor who opens nothing of the run's.
    #[test]
    fn only_the_auditor_of_the_same_pair_opens_an_audit() {
        let (sealer, auditor) = pair();
        let (_, stranger) = pair();
        let audit = sealer.seal(&[]);
        assert!(auditor.open(&audit).is_ok_and(|t| t.returns.is_empty()));
        assert!(stranger.open(&audit).is_err());
    }
}
