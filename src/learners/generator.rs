//! The side of an adversarial learner that acts: a policy, where it acts, and how it improves.

use costate_envs::Trajectory;
use costate_envs::rng::stream;
use tch::Tensor;

use super::Task;
use super::bc::clone_pass;
use super::collect::{Audit, Collector};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel};
use crate::error::Error;
use crate::improve::{Ppo, PpoReport, PpoSettings};
use crate::nn::{Adam, AdamSettings, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Normalizer, PolicySettings};

/// How a [`Generator`] starts and learns.
#[derive(Debug, Clone, Copy)]
pub struct GeneratorSettings<'a> {
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Passes of behaviour cloning that the policy starts with.
    pub warm_start: usize,
    /// The policy.
    pub policy: &'a PolicySettings,
    /// Its improvement.
    pub ppo: &'a PpoSettings,
}

/// A policy with its rollouts and its improvement.
pub struct Generator {
    /// The policy so far.
    pub policy: GaussianPolicy,
    /// The improvement of its last steps.
    pub ppo: Ppo,
    collector: Collector,
    learning_rate: f64,
    trajectories: usize,
    seed: u64,
}

/// What one iteration's rollouts gave.
pub struct Sampled {
    /// The trajectories with log π of every action as recorded by the actor.
    pub batch: TrajectoryBatch,
    /// log π(a_t | s_t) of every step, `[S]` in f64.
    pub log_density: Tensor,
    /// The truth about them, sealed.
    pub audit: Audit,
}

impl Generator {
    /// Weights from the seed, scales from the demonstrations and from the untrained policy's own
    /// rollouts. The second value is the demonstrations as a batch.
    pub fn new(settings: GeneratorSettings, task: &Task) -> Result<(Self, TrajectoryBatch), Error> {
        let spec = task.factory.spec();
        let seed = task.seed;
        let collector = Collector::new(task.factory, task.workers, seed);
        let new_policy = |normalizer: Normalizer| {
            let mut rng = stream(seed, "policy_weights", 0);
            GaussianPolicy::new(
                &spec.name,
                settings.policy,
                normalizer,
                ActionScale::of(spec),
                &mut rng,
            )
        };
        let naive = new_policy(Normalizer::identity(spec.observation.dim()));
        let (first, _) =
            collector.collect(&naive, "normalizer", 0, settings.trajectories.min(32))?;
        let policy = new_policy(Normalizer::fit(
            spec.observation.dim(),
            &[task.demonstrations, first.as_slice()],
        ));
        let ppo = Ppo::new(
            settings.ppo,
            &policy,
            &mut stream(seed, "critic_weights", 0),
        );
        let demonstrations = batch(task.demonstrations)?;
        let adam = AdamSettings {
            learning_rate: 1e-3,
            max_gradient_norm: None,
        };
        let mut optimizer = Adam::new(adam, policy.parameters());
        for pass in 0..settings.warm_start {
            clone_pass(&policy, &mut optimizer, &demonstrations, 256, seed, pass);
        }
        let generator = Self {
            policy,
            ppo,
            collector,
            learning_rate: settings.ppo.learning_rate,
            trajectories: settings.trajectories,
            seed,
        };
        Ok((generator, demonstrations))
    }

    /// An energy model that sees what the policy sees, with weights from the seed.
    pub fn energy_model(&self, settings: &CostSettings) -> EnergyModel {
        EnergyModel::new(
            self.policy.env(),
            settings,
            self.policy.normalizer().clone(),
            self.policy.action_scale().clone(),
            &mut stream(self.seed, "cost_weights", 0),
        )
    }

    /// τ ~ q: the trajectories of iteration `k`, the same whenever the policy is.
    pub fn sample(&self, policy: &GaussianPolicy, k: usize) -> Result<Sampled, Error> {
        let (trajectories, audit) =
            self.collector
                .collect(policy, "rollout", k, self.trajectories)?;
        let batch = batch(&trajectories)?;
        let recorded = batch.behaviour.as_deref();
        Ok(Sampled {
            log_density: Tensor::from_slice(
                recorded.expect("sampled trajectories carry their density"),
            ),
            batch,
            audit,
        })
    }

    /// Minimises E_q[Σ c + log π]: `soft_cost` is c(s_t, a_t) + log π(a_t | s_t) of every step of
    /// `samples`, `[S]`. `rate` is the share of the learning rate.
    pub fn improve(
        &mut self,
        samples: &Sampled,
        soft_cost: &[f64],
        rate: f64,
        k: usize,
    ) -> PpoReport {
        self.ppo.set_learning_rate(self.learning_rate * rate);
        self.ppo.improve(
            &self.policy,
            &samples.batch,
            soft_cost,
            &samples.log_density,
            self.seed,
            k,
        )
    }

    /// What people want to know of an iteration's improvement.
    pub fn diagnostics(&self, samples: &Sampled, report: &PpoReport) -> [(&'static str, f64); 6] {
        [
            ("entropy", report.entropy),
            ("policy_std", self.policy.mean_std(&samples.batch.starts)),
            ("kl", report.kl),
            ("ppo_epochs", report.epochs as f64),
            ("policy_gradient_norm", report.gradient_norm),
            ("value_error", report.value_error),
        ]
    }

    /// Adds policy, critic and optimisers to `state`.
    pub fn save(&self, state: &mut StateDict) {
        self.policy.save(state);
        self.ppo.save(state);
    }

    /// Restores what [`Generator::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.ppo.load(state)
    }
}

fn batch(trajectories: &[Trajectory]) -> Result<TrajectoryBatch, Error> {
    TrajectoryBatch::new(trajectories)
        .ok_or_else(|| Error::Misuse("no trajectories to learn from".into()))
}
