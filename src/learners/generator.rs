//! The policy side of an adversarial learner: a policy, its rollouts, and how it improves.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::JoinHandle;

use costate_base::names::{nearest, suggestion};
use costate_envs::rng::{derive_seed, stream};
use costate_envs::{Space, Trajectory};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::bc::fit;
use super::cloning::clone_into;
use super::{Report, Setup, diverged, learning_rate_factor};
use crate::audit::Audit;
use crate::batch::TrajectoryBatch;
use crate::collect::Collector;
use crate::cost::{CostSettings, EnergyModel};
use crate::error::Error;
use crate::improve::{Improvement, Improver, Objective, PpoSettings, SacSettings};
use crate::metric::{Diagnostics, Metric, Spread, Spreads};
use crate::nn::{self, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Normalizer, PolicySettings};
use costate_base::schema::{fraction, resumable};

/// Untrained policy rollouts that set the scales of observations: the same number for all learners, so that equal clones
/// are equal whatever learns from them.
pub(super) const SCALE_ROLLOUTS: usize = 32;

/// Name of the random stream that seeds the rollouts.
pub(super) const ROLLOUT: &str = "rollout";

/// How a policy acts and improves: what all learners that roll out have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GeneratorSettings {
    /// Iterations of the whole run: each samples, then improves the policy.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Episodes sampled an iteration.
    #[schemars(range(min = 1))]
    pub trajectories: usize,
    /// Factor of all step sizes in the last iteration; they fall linearly from 1.
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// The policy.
    pub policy: PolicySettings,
    /// What improves the policy: PPO on the newest rollouts, or SAC on replayed ones.
    #[serde(default)]
    pub improvement: Improvement,
    /// Policy improvement by PPO.
    pub ppo: PpoSettings,
    /// Policy improvement by SAC.
    #[serde(default)]
    pub sac: SacSettings,
}

impl GeneratorSettings {
    /// Checks the settings against each other. Errors: what contradicts what.
    pub fn check(&self) -> Result<(), String> {
        self.policy.check_initial()
    }

    /// Discount γ of the policy improvement in use.
    pub fn discount(&self) -> f64 {
        self.improvement.discount(&self.ppo, &self.sac)
    }

    /// Name of the setting whose entropy is held by adapting the entropy weight, if it is held.
    pub fn holds_entropy(&self) -> Option<&'static str> {
        let (name, target) = match self.improvement {
            Improvement::Ppo => ("ppo.target_entropy", self.ppo.target_entropy),
            Improvement::Sac => ("sac.target_entropy", self.sac.target_entropy),
        };
        target.map(|_| name)
    }

    /// Adam's step size for the policy, with its setting name.
    pub fn step_size(&self) -> (&'static str, f64) {
        match self.improvement {
            Improvement::Ppo => ("ppo.learning_rate", self.ppo.learning_rate),
            Improvement::Sac => ("sac.learning_rate", self.sac.learning_rate),
        }
    }

    /// Factor of the step sizes in iteration `k`.
    pub fn learning_rate_factor(&self, k: usize) -> f64 {
        learning_rate_factor(self.learning_rate_end_factor, k, self.iterations)
    }
}

/// Checks a learner's entropy weight against the setting whose entropy is held, if one is. Errors: it cannot be adapted.
pub(super) fn check_entropy_weight(weight: f64, held: Option<&str>) -> Result<(), String> {
    match held {
        // The adapted weight is a multiple of it.
        Some(name) if weight <= 0.0 => Err(format!(
            "setting `entropy_weight` is {weight}, expected a positive number where {name} is held"
        )),
        _ => Ok(()),
    }
}

/// How a policy is initialised and where its rollouts start; by default untrained, from the world's own start states.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start {
    /// Passes of behaviour cloning that the policy starts with.
    pub warm_start: usize,
    /// Steps of behaviour cloning that the policy starts with, judged by held-out demonstrations.
    pub clone_steps: usize,
    /// Steps of behaviour cloning behind the base policy, which the policy starts from; 0 leaves it out.
    pub base_steps: usize,
    /// Share of the rollouts that start where a demonstration did.
    pub demonstrated_starts: f64,
    /// Whether the next iteration's rollouts are drawn while learning from this one's.
    pub overlap: bool,
}

/// A policy with its rollouts and its improvement.
pub struct Generator {
    /// The current policy.
    pub policy: GaussianPolicy,
    improver: Improver,
    /// The base policy π_0 of the cost.
    base: Option<GaussianPolicy>,
    collector: Collector,
    trajectories: usize,
    iterations: usize,
    overlap: bool,
    drawing: Option<Drawing>,
    seed: u64,
}

/// Rollouts of the next iteration, being drawn.
struct Drawing {
    policy: GaussianPolicy,
    /// `None` after a restart: they are redrawn.
    thread: Option<JoinHandle<Result<Drawn, Error>>>,
}

type Drawn = (Vec<Trajectory>, Audit);

/// The rollouts of one iteration.
pub struct Sampled {
    /// The trajectories with log π of every action as recorded by the actor.
    pub batch: TrajectoryBatch,
    /// log π(a_t | s_t) of every step, `[S]` in f64.
    pub log_density: Tensor,
    /// Their true costs, sealed.
    pub audit: Audit,
    /// The policy that drew them.
    pub policy: GaussianPolicy,
}

impl Generator {
    /// A policy that imitates the demonstrations of `setup`: weights from the seed, scales from the demonstrations and from
    /// the untrained policy's own rollouts. The second value is the demonstrations as a batch.
    pub fn imitating(
        settings: &GeneratorSettings,
        start: Start,
        setup: &Setup,
    ) -> Result<(Self, TrajectoryBatch), Error> {
        let demonstrations = batch(setup.demonstrations)?;
        let mut generator = Self::untrained(settings, start, setup, SCALE_ROLLOUTS)?;
        let policy = &mut generator.policy;
        let steps = start.base_steps.max(start.clone_steps);
        if steps > 0 {
            clone_into(policy, setup, steps)?;
        }
        generator.base = (start.base_steps > 0).then(|| policy.copy());
        fit(policy, &demonstrations, start.warm_start, setup.seed);
        Ok((generator, demonstrations))
    }

    /// An untrained policy with the scales of observations, from `rollouts` of its own and the demonstrations of `setup`,
    /// if there are any.
    pub fn untrained(
        settings: &GeneratorSettings,
        start: Start,
        setup: &Setup,
        rollouts: usize,
    ) -> Result<Self, Error> {
        let seed = setup.seed;
        let collector = Collector::new(setup.factory, setup.player(), seed, setup.sealer)
            .with_starts(setup.starts, start.demonstrated_starts);
        let policy = scaled_policy(&settings.policy, setup, &collector, rollouts)?;
        Ok(Self {
            improver: Improver::new(
                settings.improvement,
                &settings.ppo,
                &settings.sac,
                &policy,
                seed,
            ),
            policy,
            base: None,
            collector,
            trajectories: settings.trajectories,
            iterations: settings.iterations,
            overlap: start.overlap,
            drawing: None,
            seed,
        })
    }

    /// An energy model over the policy's inputs, or over the requested channels, with weights from the seed.
    pub fn energy_model(&self, settings: &CostSettings) -> Result<EnergyModel, Error> {
        let space = &self.collector.factory().spec().observation;
        let model = energy_model(settings, space, &self.policy, self.seed)?;
        Ok(match &self.base {
            Some(base) => model.with_base(base.copy()),
            None => model,
        })
    }

    /// τ ~ q: the trajectories of iteration `k`, which depend on nothing but the policy.
    pub fn sample(&self, policy: &GaussianPolicy, k: usize) -> Result<Sampled, Error> {
        self.sample_from(ROLLOUT, policy, k)
    }

    /// The same from the random stream of this name.
    pub(super) fn sample_from(
        &self,
        stream: &str,
        policy: &GaussianPolicy,
        k: usize,
    ) -> Result<Sampled, Error> {
        let drawn = self
            .collector
            .collect(policy, stream, k, self.trajectories)?;
        Sampled::new(policy.copy(), drawn)
    }

    /// The trajectories to learn from in iteration `k`: the current policy's; with overlap, those that the previous policy
    /// drew during its improvement, while the current one starts drawing the next.
    pub fn rollouts(&mut self, k: usize) -> Result<Sampled, Error> {
        let sampled = match self.drawing.take() {
            None => self.sample(&self.policy, k)?,
            Some(Drawing {
                policy,
                thread: None,
            }) => self.sample(&policy, k)?,
            Some(Drawing {
                policy,
                thread: Some(thread),
            }) => {
                let drawn = thread.join().unwrap_or_else(|p| resume_unwind(p))?;
                Sampled::new(policy, drawn)?
            }
        };
        if self.overlap && k + 1 < self.iterations {
            let (actor, collector) = (Arc::new(self.policy.freeze()), self.collector.clone());
            let count = self.trajectories;
            self.drawing = Some(Drawing {
                policy: self.policy.copy(),
                thread: Some(std::thread::spawn(move || {
                    collector.roll_out(&actor, ROLLOUT, k + 1, count)
                })),
            });
        }
        Ok(sampled)
    }

    /// Minimises the objective and reports the iteration: `factor` scales the step sizes; the cost's `diagnostics` come
    /// first in the report.
    pub fn improve(
        &mut self,
        samples: Sampled,
        objective: &Objective,
        factor: f64,
        k: usize,
        mut diagnostics: Diagnostics,
    ) -> Result<Report, Error> {
        self.improver.scale_learning_rate(factor);
        let found = self.improver.improve(
            &mut self.policy,
            &samples.batch,
            objective,
            &samples.log_density,
            self.seed,
            k,
        );
        if !self.policy.is_finite() {
            return Err(diverged(k));
        }
        diagnostics.extend([
            (Metric::Entropy, found.entropy),
            (
                Metric::PolicyStd,
                self.policy.mean_std(&samples.batch.starts),
            ),
            (Metric::Kl, found.kl),
            (Metric::EntropyWeight, found.entropy_weight),
            (Metric::Passes, found.passes),
            (Metric::PolicyGradientNorm, found.gradient_norm),
            (Metric::ValueError, found.value_error),
        ]);
        Ok(Report {
            diagnostics,
            spreads: action_spreads(&samples.batch),
            env_steps: samples.batch.steps() as u64,
            audit: Some(samples.audit),
        })
    }

    /// Replaces policy, critic and optimisers by the untrained ones of `round`, keeping the scales.
    pub fn restart(&mut self, settings: &GeneratorSettings, round: u64) {
        let old = &self.policy;
        self.policy = GaussianPolicy::new(
            old.env(),
            old.settings(),
            old.normalizer().clone(),
            old.action_scale().clone(),
            &mut stream(self.seed, "policy_weights", round),
        );
        self.improver = Improver::new(
            settings.improvement,
            &settings.ppo,
            &settings.sac,
            &self.policy,
            derive_seed(self.seed, "round", round),
        );
        self.drawing = None;
    }

    /// Whether the cost is relative to the policy's own start.
    pub(super) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Adds policy, critic and optimisers to `state`.
    pub fn save(&self, state: &mut StateDict) {
        self.policy.save(state);
        self.improver.save(state);
        if self.overlap {
            state.insert_numbers("drawing", &[f64::from(u8::from(self.drawing.is_some()))]);
        }
        if let Some(drawing) = &self.drawing {
            let mut policy = StateDict::default();
            drawing.policy.save(&mut policy);
            state.nest("drawing.", policy);
        }
    }

    /// Restores what [`Generator::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.improver.load(state)?;
        self.drawing = None;
        if self.overlap && state.scalar("drawing")? != 0.0 {
            let mut policy = self.policy.copy();
            policy.load(&state.below("drawing."))?;
            self.drawing = Some(Drawing {
                policy,
                thread: None,
            });
        }
        Ok(())
    }
}

/// An untrained policy with weights from the seed and the scales of observations: those of the demonstrations and of
/// `rollouts` by an untrained policy, which show how far from the demonstrations it may get; of the demonstrations alone
/// without a simulator.
pub(super) fn scaled_policy(
    settings: &PolicySettings,
    setup: &Setup,
    collector: &Collector,
    rollouts: usize,
) -> Result<GaussianPolicy, Error> {
    let spec = setup.factory.spec();
    let dim = spec.observation.dim();
    let policy = |normalizer: Normalizer| {
        let mut rng = stream(setup.seed, "policy_weights", 0);
        let scale = ActionScale::of(spec);
        GaussianPolicy::new(&spec.name, settings, normalizer, scale, &mut rng)
    };
    if !setup.factory.has_simulator() {
        return Ok(policy(Normalizer::fit(dim, &[setup.demonstrations])));
    }
    let naive = policy(Normalizer::identity(dim));
    let (first, _) = collector.collect(&naive, "normalizer", 0, rollouts)?;
    let seen = [setup.demonstrations, first.as_slice()];
    Ok(policy(Normalizer::fit(dim, &seen)))
}

/// An energy model over the inputs of `policy`, or over the requested channels of `space`, with weights from the seed.
pub(super) fn energy_model(
    settings: &CostSettings,
    space: &Space,
    policy: &GaussianPolicy,
    seed: u64,
) -> Result<EnergyModel, Error> {
    let index = |name: &String| {
        space.position(name).map(|i| i as i64).ok_or_else(|| {
            Error::Misuse(format!(
                "cost.channels: {} observes no `{name}`{}; it has {}",
                policy.env(),
                suggestion(nearest(name, space.names())),
                space.listed()
            ))
        })
    };
    let channels = settings.channels.iter();
    let seen: Vec<i64> = channels.map(index).collect::<Result<_, _>>()?;
    Ok(EnergyModel::new(
        policy.env(),
        settings,
        &seen,
        policy.normalizer().clone(),
        policy.action_scale().clone(),
        &mut stream(seed, "cost_weights", 0),
    ))
}

impl Sampled {
    fn new(policy: GaussianPolicy, (trajectories, audit): Drawn) -> Result<Self, Error> {
        let batch = batch(&trajectories)?;
        let recorded = batch.behaviour.as_deref();
        Ok(Self {
            log_density: Tensor::from_slice(
                recorded.expect("sampled trajectories carry their density"),
            ),
            batch,
            audit,
            policy,
        })
    }
}

/// The commands in some rollouts, by channel.
pub(super) fn action_spreads(rollouts: &TrajectoryBatch) -> Spreads {
    let actions = &rollouts.actions;
    let channel = |i: i64| {
        let values = nn::to_f64(&actions.select(1, i));
        (Spread::Action(i as usize), values)
    };
    (0..actions.size()[1]).map(channel).collect()
}

pub(super) fn batch(trajectories: &[Trajectory]) -> Result<TrajectoryBatch, Error> {
    TrajectoryBatch::new(trajectories)
        .ok_or_else(|| Error::Misuse("no trajectories to learn from".into()))
}
