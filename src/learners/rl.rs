//! Reinforcement learning on a given cost: the true one, learned ones, hand-written ones, or their sum.
//!
//! On the true cost it trains experts for worlds without an analytic controller (`costate expert`); on learned costs it
//! reuses them (`costate train --algo rl`). The only learner that may see true costs:
//! imitation learners never use it, and a rater ([`super::preferences`]) says no more of it than which of two segments costs
//! less.

use costate_envs::{End, EnvFactory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::algorithm::{Algorithm, Behaviour};
use super::frozen_cost::excess;
use super::generator::{Generator, GeneratorSettings, Start, check_entropy_weight};
use super::{Learner, Report, Setup};
use crate::audit::{self, Auditor, Sealer};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::error::Error;
use crate::improve::Objective;
use crate::metric::Metric;
use crate::nn::{StateDict, StateError};
use crate::policy::Learned;

/// Settings of [`Rl`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RlSettings {
    /// How the policy acts and improves.
    #[serde(flatten)]
    pub generator: GeneratorSettings,
    /// Variant of the environment to train in, e.g. one that ends when a robot falls.
    pub variant: Option<String>,
    /// Control steps in a training episode; the environment's own horizon if null.
    #[schemars(range(min = 1))]
    pub horizon: Option<usize>,
    /// Cost of every step after a terminal state, for ever: γ c/(1 − γ) is added to the last step. Without it, ending
    /// early would be the cheapest thing to do.
    #[schemars(range(min = 0.0))]
    pub terminal_cost: f64,
    /// Weight α of the policy's entropy: it minimises E[Σ c + α log π]. Null takes the one that the learned costs were
    /// learned with, and 0.001 without any.
    #[schemars(range(min = 0.0))]
    pub entropy_weight: Option<f64>,
    /// Weight of Σ_i max(0, |a_i| − 1)², a in half ranges: a cost of the state alone cannot see what a command beyond
    /// its limits is, for it changes nothing. Null takes 1 for such costs, 0 for others.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub excess_weight: Option<f64>,
}

/// α without a learned cost to take it from: enough to keep exploring, too little to matter.
pub const DEFAULT_ENTROPY_WEIGHT: f64 = 1e-3;

/// Name of the same algorithm when it trains experts on the true cost: `costate expert`.
pub const EXPERT: &str = "ppo";

/// What it is in that case.
pub(super) const EXPERT_ABOUT: &str = "an expert, by reinforcement learning on the true cost";

/// Its settings in that case.
pub(super) const EXPERT_DEFAULTS: &str = include_str!("../../assets/settings/ppo.json");

impl Algorithm for RlSettings {
    const NAME: &'static str = "rl";
    const ABOUT: &'static str = "a policy for given costs";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/rl.json");
    const IMITATES: bool = false;
}

impl Behaviour for RlSettings {
    fn build(&self, setup: &Setup, cost: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let cost = cost.unwrap_or_else(ComposedCost::truth);
        Ok(Box::new(Rl::new(self, cost, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.generator.check()?;
        check_entropy_weight(self.entropy_weight(), self.generator.holds_entropy())
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![self.generator.step_size()]
    }

    fn entropy_weight(&self) -> f64 {
        self.entropy_weight.unwrap_or(DEFAULT_ENTROPY_WEIGHT)
    }
}

/// The learner.
pub struct Rl {
    settings: RlSettings,
    cost: ComposedCost,
    generator: Generator,
    /// Opens the sealed true costs of the generator's rollouts; imitation learners hold none.
    auditor: Auditor,
    sealer: Sealer,
}

impl Learner for Rl {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let factor = s.generator.learning_rate_factor(k);
        let mut samples = self.generator.rollouts(k)?;
        let truth = self.auditor.open(&samples.audit)?.clone();
        samples.audit = self.sealer.reseal(&truth);
        samples.batch.true_cost = Some(truth.costs);

        let batch = &samples.batch;
        let steps = batch.steps() as f64;
        let cost: f64 = step_cost(&self.cost, batch).iter().sum();
        let diagnostics = vec![
            (Metric::StepCost, cost / steps),
            (Metric::EpisodeSteps, steps / batch.len() as f64),
            (Metric::Success, truth.solved.unwrap_or(0.0)),
        ];
        let gamma = s.generator.discount();
        let after = gamma * s.terminal_cost / (1.0 - gamma).max(1e-3);
        let (cost, scale) = (&self.cost, self.generator.policy.action_scale().clone());
        let excess_weight = s.excess_weight.unwrap_or(0.0);
        // c, plus what no step cost covers: an end before the horizon, commands beyond their limits.
        let objective = Objective {
            cost: &|batch| {
                let mut total = step_cost(cost, batch);
                let (mut end, ends) = (0, batch.lengths.iter().zip(&batch.ends));
                for (len, how) in ends {
                    end += len;
                    if *how == End::Terminated {
                        total[end - 1] += after;
                    }
                }
                if excess_weight != 0.0 {
                    let excess = excess(&scale, batch);
                    let each = total.iter_mut().zip(excess);
                    each.for_each(|(c, e)| *c += excess_weight * e);
                }
                total
            },
            entropy_weight: s.entropy_weight(),
        };
        self.generator
            .improve(samples, &objective, factor, k, diagnostics)
    }

    fn iterations(&self) -> usize {
        self.settings.generator.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.generator.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.generator.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)
    }
}

/// The cost to minimise at every step of a batch that knows its true cost, `[S]`.
fn step_cost(cost: &ComposedCost, batch: &TrajectoryBatch) -> Vec<f64> {
    cost.shaped_cost(batch, batch.true_cost.as_deref().unwrap_or_default())
}

impl Rl {
    /// A learner in its initial state: weights from the seed, scales from the untrained policy's rollouts.
    pub fn new(settings: &RlSettings, cost: ComposedCost, setup: &Setup) -> Result<Self, Error> {
        let mut config = setup.factory.config().clone();
        if let Some(variant) = &settings.variant {
            config.apply_variant(variant)?;
        }
        if let Some(horizon) = settings.horizon {
            config.set("task.horizon", &horizon.to_string())?;
        }
        let factory: EnvFactory = config.factory()?;
        if !factory.spec().has_channels_of(setup.factory.spec()) {
            return Err(Error::Misuse(format!(
                "setting `variant` is `{}`, whose channels are others than those of {}; make a run in it instead: \
                 `--variant` after the environment's name",
                settings.variant.as_deref().unwrap_or_default(),
                config.name
            )));
        }
        let (sealer, auditor) = audit::pair();
        let own = Setup {
            factory: &factory,
            demonstrations: &[],
            sealer: &sealer,
            ..*setup
        };
        let rollouts = settings.generator.trajectories;
        Ok(Self {
            generator: Generator::untrained(&settings.generator, Start::default(), &own, rollouts)?,
            settings: settings.clone(),
            cost,
            auditor,
            sealer: setup.sealer.clone(),
        })
    }
}
