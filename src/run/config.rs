//! `config.json`: everything that a run needs to be repeated.

use std::path::{Path, PathBuf};

use costate_base::provenance::Provenance;
use costate_envs::EnvConfig;
use serde::{Deserialize, Serialize};

use super::{Change, Composition};
use crate::cost::ComposedCost;
use crate::error::Error;
use crate::improve::Improvement;
use crate::learners::airl::{Airl, AirlSettings};
use crate::learners::bc::{Bc, BcSettings};
use crate::learners::dagger::{Dagger, DaggerSettings};
use crate::learners::gail::{Gail, GailSettings};
use crate::learners::gan_gcl::{GanGcl, GanGclSettings};
use crate::learners::gcl::{Gcl, GclSettings};
use crate::learners::gcl_lqg::{GclLqg, GclLqgSettings};
use crate::learners::ibc::{Ibc, IbcSettings};
use crate::learners::rl::{DEFAULT_TEMPERATURE, Rl, RlSettings};
use crate::learners::sides::Shared;
use crate::learners::{Learner, Task};
use crate::lengths::Lengths;

/// Version of the run folder's layout that this build writes and the newest that it reads.
pub const FORMAT: u32 = 1;

/// An algorithm with all its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", content = "settings", rename_all = "kebab-case")]
pub enum Algo {
    /// Dataset aggregation with an expert to ask.
    Dagger(DaggerSettings),
    /// Behaviour cloning.
    Bc(BcSettings),
    /// Implicit behaviour cloning.
    Ibc(IbcSettings),
    /// Guided cost learning as a GAN, over trajectories, windows or transitions.
    GanGcl(GanGclSettings),
    /// Guided cost learning by importance sampling.
    Gcl(GclSettings),
    /// Guided cost learning in its first form, with linear-Gaussian controllers.
    GclLqg(GclLqgSettings),
    /// Adversarial inverse reinforcement learning.
    Airl(AirlSettings),
    /// Generative adversarial imitation learning.
    Gail(GailSettings),
    /// Reinforcement learning on the true cost: makes experts, imitates nobody.
    Ppo(RlSettings),
    /// Reinforcement learning on a cost that is given.
    Rl(RlSettings),
}

impl Algo {
    /// Names of the imitation learners, which `--algo` accepts.
    pub const NAMES: [&'static str; 8] = [
        "gan-gcl", "gcl", "gcl-lqg", "airl", "gail", "dagger", "bc", "ibc",
    ];

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Bc(_) => "bc",
            Self::Ibc(_) => "ibc",
            Self::GanGcl(_) => "gan-gcl",
            Self::Gcl(_) => "gcl",
            Self::GclLqg(_) => "gcl-lqg",
            Self::Airl(_) => "airl",
            Self::Gail(_) => "gail",
            Self::Dagger(_) => "dagger",
            Self::Ppo(_) => "ppo",
            Self::Rl(_) => "rl",
        }
    }

    /// Step sizes by the names of their settings, and what else keeps a learner from diverging.
    pub fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        match self {
            Self::Bc(s) => vec![("learning_rate", s.learning_rate)],
            Self::Ibc(s) => vec![("learning_rate", s.learning_rate)],
            Self::Dagger(s) => vec![("learning_rate", s.learning_rate)],
            Self::Ppo(s) | Self::Rl(s) => vec![("ppo.learning_rate", s.ppo.learning_rate)],
            Self::GclLqg(s) => vec![
                ("cost_learning_rate", s.cost_learning_rate),
                ("distillation_learning_rate", s.distillation_learning_rate),
                ("controllers.kl_step", s.controllers.kl_step),
            ],
            Self::GanGcl(_) | Self::Gcl(_) | Self::Airl(_) | Self::Gail(_) => {
                let improver = |s: Shared| match s.improvement {
                    Improvement::Ppo => ("ppo.learning_rate", s.ppo.learning_rate),
                    Improvement::Sac => ("sac.learning_rate", s.sac.learning_rate),
                };
                let sizes =
                    |s: Shared| vec![("cost_learning_rate", s.cost_learning_rate), improver(s)];
                self.shared().map(sizes).unwrap_or_default()
            }
        }
    }

    /// What all adversarial learners have; `None` for the others.
    pub fn shared(&self) -> Option<Shared<'_>> {
        match self {
            Self::GanGcl(s) => Some(s.shared()),
            Self::Gcl(s) => Some(s.shared()),
            Self::Airl(s) => Some(s.shared()),
            Self::Gail(s) => Some(s.shared()),
            Self::GclLqg(_)
            | Self::Dagger(_)
            | Self::Bc(_)
            | Self::Ibc(_)
            | Self::Ppo(_)
            | Self::Rl(_) => None,
        }
    }

    /// Weight α of the entropy in what the policy minimises.
    pub fn entropy_weight(&self) -> f64 {
        match self {
            Self::Ppo(s) | Self::Rl(s) => s.temperature.unwrap_or(DEFAULT_TEMPERATURE),
            _ => self.shared().map_or(1.0, |s| s.entropy_weight),
        }
    }

    /// A learner at its start; `cost` is what reinforcement learning minimises, the true cost if none is given.
    pub fn learner(
        &self,
        task: &Task,
        cost: Option<ComposedCost>,
    ) -> Result<Box<dyn Learner>, Error> {
        Ok(match self {
            Self::Bc(settings) => Box::new(Bc::new(settings, task)?),
            Self::Ibc(settings) => Box::new(Ibc::new(settings, task)?),
            Self::GanGcl(settings) => Box::new(GanGcl::new(settings, task)?),
            Self::Gcl(settings) => Box::new(Gcl::new(settings, task)?),
            Self::GclLqg(settings) => Box::new(GclLqg::new(settings, task)?),
            Self::Airl(settings) => Box::new(Airl::new(settings, task)?),
            Self::Gail(settings) => Box::new(Gail::new(settings, task)?),
            Self::Dagger(settings) => Box::new(Dagger::new(settings, task)?),
            Self::Ppo(settings) | Self::Rl(settings) => {
                let cost = cost.unwrap_or_else(ComposedCost::truth);
                Box::new(Rl::new(settings, cost, task)?)
            }
        })
    }
}

/// Which demonstrations a run learned from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DemonstrationsRef {
    /// Where the dataset was.
    pub path: PathBuf,
    /// Digest of its data files, to recognise it if it moved or changed.
    pub fingerprint: String,
    /// Episodes learned from.
    pub episodes: usize,
    /// Mean true return of the demonstrations.
    pub expert_return: f64,
    /// Name of the expert.
    pub expert: String,
    /// Whether the expert's actions carried noise of known density.
    #[serde(default)]
    pub noise_known: Option<bool>,
    /// Share of the demonstrations that end solved, where the task says.
    #[serde(default)]
    pub success_rate: Option<f64>,
    /// How long they are; not known of runs before this was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lengths: Option<Lengths>,
}

/// The complete resolved configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of the run folder's layout.
    pub format: u32,
    /// Version of Costate that made it.
    pub costate_version: String,
    /// Build that made it; not known of older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
    /// The environment with all its parameters.
    pub env: EnvConfig,
    /// The demonstrations; none for an expert, which learns from the true cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<DemonstrationsRef>,
    /// What reinforcement learning minimises; the true cost if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Composition>,
    /// The algorithm with all its settings.
    pub algo: Algo,
    /// Seed of every stream.
    pub seed: u64,
    /// Iterations between checkpoints.
    pub checkpoint_every: usize,
    /// Settings that it went on with otherwise, in order; `algo` holds the latest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl RunConfig {
    /// The demonstrations that a run imitates; an error for an expert's run.
    pub fn imitated(&self) -> Result<&DemonstrationsRef, Error> {
        self.demonstrations
            .as_ref()
            .ok_or_else(|| self.no_demonstrations())
    }

    /// What to do with a run that imitates nobody.
    pub fn no_demonstrations(&self) -> Error {
        Error::Misuse(match self.algo {
            Algo::Rl(_) => {
                "this run imitates no demonstrations; name some of its world with --demos DIR \
                            (`costate record` makes them)"
                    .into()
            }
            _ => "this run of `costate expert` imitates no demonstrations; record with it: \
                  `costate record ENV --expert RUN`"
                .into(),
        })
    }

    /// Reads `config.json` of a run folder.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        Self::read_file(&folder.join("config.json"))
    }

    /// Reads such a file.
    pub(super) fn read_file(file: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            let message = format!(
                "{}: {e}; expected a run folder made by `costate train`",
                file.display()
            );
            match e.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
                    Error::Misuse(message)
                }
                _ => Error::Failure(message),
            }
        })?;
        let bad = |reason: String| Error::Failure(format!("{}: {reason}", file.display()));
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| bad(format!("not valid JSON: {e}")))?;
        match value.get("format").and_then(serde_json::Value::as_u64) {
            Some(format) if format > u64::from(FORMAT) => Err(bad(format!(
                "run format {format} is newer than {FORMAT}, the newest that this build reads; \
                 update Costate"
            ))),
            Some(_) => serde_json::from_value(value).map_err(|e| bad(e.to_string())),
            None => Err(bad(
                "no field `format`; expected a run folder made by `costate train`".into(),
            )),
        }
    }
}
