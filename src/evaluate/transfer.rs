//! Transfer: does the cost still hold in a changed world?
//!
//! In a variant of the world (another wall, a longer pole) fresh policies are trained on the frozen cost and, for
//! comparison, on the true cost there; the policy learned with the cost is not retrained (Fu, Luo and Levine 2018,
//! section 7.1).

use std::time::Instant;

use costate_envs::Episode;
use costate_envs::rng::derive_seed;
use serde::{Deserialize, Serialize};

use super::validation::{Frozen, Trained};
use super::{Row, Scale, Standing, mean};
use crate::audit;
use crate::cost::ComposedCost;
use crate::error::Error;
use crate::learners::rl::{Rl, RlSettings};
use crate::learners::{Learner, Setup};

/// Reference with score 1 in a variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The demonstrations' expert, redesigned for the variant.
    Expert,
    /// The best policy trained on the true cost there.
    TrueCost,
}

impl Reference {
    /// As text.
    pub fn words(self) -> &'static str {
        match self {
            Self::Expert => "the expert, designed for this variant",
            Self::TrueCost => "the best policy trained on the true cost there",
        }
    }

    /// Name of its row.
    pub fn row(self) -> &'static str {
        match self {
            Self::Expert => rows::EXPERT,
            Self::TrueCost => rows::TRUE_COST,
        }
    }
}

/// Names of the rows.
pub mod rows {
    /// The demonstrations' expert, designed for the variant.
    pub const EXPERT: &str = "expert there";
    /// Uniform actions.
    pub const RANDOM: &str = "random";
    /// A policy trained on the true cost there.
    pub const TRUE_COST: &str = "fresh, on the true cost";
    /// A policy trained on the frozen cost there.
    pub const FROZEN: &str = "fresh, on the frozen cost";
    /// The run's own policy.
    pub fn transferred(algo: &str) -> String {
        format!("{algo}, transferred")
    }
}

/// Results of cost and policy in a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Transfer {
    /// Version of this file.
    pub format: u32,
    /// Name of the variant.
    pub variant: String,
    /// Changes in it.
    pub summary: String,
    /// The reference with score 1: the better of the two.
    pub reference: Reference,
    /// Its mean return.
    pub reference_return: f64,
    /// Mean return of random actions, a score of 0.
    pub random_return: f64,
    /// All policies on the same episodes.
    pub rows: Vec<Row>,
    /// The fresh policies on the frozen cost; `None` without a learned cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Frozen>,
    /// [`Standing::NoClone`] of a cost that is not relative to a base policy; otherwise absent: nothing is compared with the
    /// clone in a variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

impl Transfer {
    /// The score of a row.
    pub fn score(&self, policy: &str) -> Option<f64> {
        let row = self.rows.iter().find(|r| r.policy == policy);
        row.map(|r| r.normalized_score)
    }
}

/// A policy trained on the true cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrueCostPolicy {
    /// Index of its random streams.
    pub seed: u64,
    /// Mean return of its last rollouts.
    #[serde(rename = "return")]
    pub mean_return: f64,
}

/// Trains one policy on the true cost.
pub fn on_true_cost(
    settings: &RlSettings,
    setup: &Setup,
    seed: u64,
    interrupted: &dyn Fn() -> bool,
    progress: &dyn Fn(),
) -> Result<Option<Trained<TrueCostPolicy>>, Error> {
    let began = Instant::now();
    let (sealer, auditor) = audit::pair();
    let setup = Setup {
        sealer: &sealer,
        seed: derive_seed(setup.seed, "true_cost", seed),
        ..*setup
    };
    let mut learner = Rl::new(settings, ComposedCost::truth(), &setup)?;
    let (mut steps, mut mean_return) = (0, f64::NEG_INFINITY);
    for k in 0..learner.iterations() {
        if interrupted() {
            return Ok(None);
        }
        let report = learner.iterate(k)?;
        steps += report.env_steps;
        if let Some(audit) = report.audit {
            mean_return = mean(&auditor.open(&audit)?.returns);
        }
        progress();
    }
    Ok(Some(Trained {
        report: TrueCostPolicy { seed, mean_return },
        policy: learner.policy().gaussian()?.copy(),
        seconds: began.elapsed().as_secs_f64(),
        steps,
    }))
}

/// A policy's episodes in the variant.
pub struct Played {
    /// Name of the row.
    pub policy: String,
    /// The episodes, all from the same starts.
    pub episodes: Vec<Episode>,
}

/// The scale of normalised scores in a variant.
pub struct Standard {
    /// The reference with score 1.
    pub reference: Reference,
    /// That return.
    pub reference_return: f64,
    /// Mean return of random actions, a score of 0.
    pub random_return: f64,
    scale: Scale,
}

impl Standard {
    /// From the better of expert and true-cost policy, and from random actions.
    ///
    /// Errors: a reference that does no better than random actions, which would make a score meaningless.
    pub fn of(variant: &str, played: &[Played]) -> Result<Self, Error> {
        let returns = |name: &str| {
            let found = played.iter().find(|p| p.policy == name);
            found.map(|p| super::returns(&p.episodes))
        };
        let best = [Reference::Expert, Reference::TrueCost]
            .into_iter()
            .filter_map(|who| Some((who, returns(who.row())?)))
            .max_by(|(_, a), (_, b)| mean(a).total_cmp(&mean(b)));
        let (Some((reference, one)), Some(zero)) = (best, returns(rows::RANDOM)) else {
            return Err(Error::Failure(format!(
                "{variant}: no reference was evaluated to normalise by"
            )));
        };
        let (reference_return, random_return) = (mean(&one), mean(&zero));
        let scale = Scale::new(one, zero).filter(|_| reference_return > random_return);
        let scale = scale.ok_or_else(|| {
            Error::Failure(format!(
                "{variant}: {} reaches a mean return of {reference_return}, random actions {random_return}: nothing \
                 there to normalise by; choose another variant",
                reference.words()
            ))
        })?;
        Ok(Self {
            reference,
            reference_return,
            random_return,
            scale,
        })
    }

    /// A row per policy.
    pub fn rows(&self, played: &[Played], seed: u64) -> Vec<Row> {
        let row = |p: &Played| self.scale.row(&p.policy, &p.episodes, None, seed);
        played.iter().map(row).collect()
    }
}
