//! Trajectory-level GAN-GCL: guided cost learning as a GAN.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852). The discriminator is
//! D(τ) = p_θ(τ) / (p_θ(τ) + q(τ)) with p_θ(τ | s_0) = exp(−E_θ(τ)) / Z(s_0) and q(τ) the policy's
//! own density; the generator minimises E_q[E_θ(τ) + log q(τ)].
//!
//! Three things differ from the paper's form, each measured to be needed or to help (docs/experiments.md):
//! log Z is solved instead of learned; it may depend on the start, log Z(s_0) = V(s_0) + b; and the
//! logit is divided by β, which keeps the fixed point q = p while trajectories of T steps stop
//! saturating D. At β ≠ 1 b is no importance-sampling estimate any more.

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::bc::clone_pass;
use super::collect::Collector;
use super::{Learner, Report, Task, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel};
use crate::density::{self, Scores};
use crate::discriminator;
use crate::error::Error;
use crate::improve::{Ppo, PpoSettings};
use crate::nn::{self, Adam, AdamSettings, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Normalizer, PolicySettings};

/// Settings of [`GanGcl`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanGclSettings {
    /// Iterations: each samples, updates the discriminator, improves the policy.
    pub iterations: usize,
    /// Passes of behaviour cloning that the policy starts with; 0 starts from nothing.
    pub warm_start: usize,
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Divisor β of the logit; null means the horizon T, 1 is the paper's form.
    pub beta: Option<f64>,
    /// Discriminator steps an iteration.
    pub discriminator_steps: usize,
    /// Adam's step size for the cost and the soft value.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration; they fall linearly.
    pub learning_rate_left: f64,
    /// The cost and the soft value.
    pub cost: CostSettings,
    /// The policy.
    pub policy: PolicySettings,
    /// Policy improvement.
    pub ppo: PpoSettings,
}

impl GanGclSettings {
    /// β for episodes of `horizon` steps.
    pub fn beta_for(&self, horizon: usize) -> f64 {
        self.beta.unwrap_or(horizon as f64)
    }
}

/// The learner.
pub struct GanGcl {
    settings: GanGclSettings,
    seed: u64,
    beta: f64,
    collector: Collector,
    demonstrations: TrajectoryBatch,
    policy: GaussianPolicy,
    model: EnergyModel,
    cost_optimizer: Adam,
    ppo: Ppo,
}

impl Learner for GanGcl {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let left = learning_rate_share(
            self.settings.learning_rate_left,
            k,
            self.settings.iterations,
        );
        self.cost_optimizer
            .set_learning_rate(self.settings.cost_learning_rate * left);
        self.ppo
            .set_learning_rate(self.settings.ppo.learning_rate * left);

        // τ ~ q, with log q(τ) recorded by the actor that drew it.
        let (samples, audit) =
            self.collector
                .collect(&self.policy, "rollout", k, self.settings.trajectories)?;
        let samples = batch(&samples)?;
        let demonstrations = &self.demonstrations;
        let log_q_samples = known(samples.behaviour_log_density());
        // log q of a demonstration changes whenever the policy does.
        let log_q_demonstrations = tch::no_grad(|| {
            let d = demonstrations;
            d.sum_over_time(&self.policy.log_density(&d.observations, &d.actions))
        });

        // θ: descend L_disc, with b = log Z solved at every step and constant in the gradient.
        let mut gradient_norm = 0.0;
        for _ in 0..self.settings.discriminator_steps {
            let (p, q) = self.logits(&samples, &log_q_demonstrations, &log_q_samples);
            gradient_norm = self.cost_optimizer.step(&discriminator::loss(&p, &q));
        }
        let no_graph = tch::no_grad_guard();
        let (p, q) = self.logits(&samples, &log_q_demonstrations, &log_q_samples);
        let diagnosis = Diagnosis::of(&p, &q);
        drop(no_graph);

        // φ: minimise E_q[c + log q], c shaped by V, which changes no trajectory's rank.
        let behaviour = Tensor::from_slice(known(samples.behaviour.as_deref()));
        let soft_cost = tch::no_grad(|| {
            let cost = self.model.cost(&samples.observations, &samples.actions);
            let value = self.model.value(&samples.observations);
            let next_value = self.model.value(&samples.next_observations());
            nn::to_f64(&((cost - next_value + value).to_kind(Kind::Double) + &behaviour))
        });
        let ppo = self
            .ppo
            .improve(&self.policy, &samples, &soft_cost, &behaviour, self.seed, k);
        if !(self.policy.is_finite() && self.model.is_finite()) {
            return Err(diverged(k));
        }
        Ok(Report {
            diagnostics: vec![
                ("discriminator_accuracy", diagnosis.accuracy),
                ("discriminator_loss", diagnosis.loss),
                ("ess", diagnosis.ess),
                ("saturation", diagnosis.saturation),
                ("log_z", self.model.log_z()),
                ("cost_gradient_norm", gradient_norm),
                ("entropy", ppo.entropy),
                ("policy_std", self.policy.mean_std(&samples.starts)),
                ("kl", ppo.kl),
                ("ppo_epochs", ppo.epochs as f64),
                ("policy_gradient_norm", ppo.gradient_norm),
                ("value_error", ppo.value_error),
            ],
            env_steps: samples.steps() as u64,
            audit: Some(audit),
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> &GaussianPolicy {
        &self.policy
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.policy.save(&mut state);
        self.model.save(&mut state);
        self.cost_optimizer.save("cost_adam.", &mut state);
        self.ppo.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.model.load(state)?;
        self.cost_optimizer.load("cost_adam.", state)?;
        self.ppo.load(state)
    }
}

impl GanGcl {
    /// A learner at its start: weights from the seed, scales from the demonstrations and from the
    /// untrained policy's own rollouts.
    pub fn new(settings: &GanGclSettings, task: &Task) -> Result<Self, Error> {
        let spec = task.factory.spec();
        let seed = task.seed;
        let collector = Collector::new(task.factory, task.workers, seed);
        let scale = ActionScale::of(spec);
        let new_policy = |normalizer: Normalizer| {
            let mut rng = stream(seed, "policy_weights", 0);
            GaussianPolicy::new(
                &spec.name,
                &settings.policy,
                normalizer,
                scale.clone(),
                &mut rng,
            )
        };
        let naive = new_policy(Normalizer::identity(spec.observation.dim()));
        let (first, _) =
            collector.collect(&naive, "normalizer", 0, settings.trajectories.min(32))?;
        let normalizer = Normalizer::fit(
            spec.observation.dim(),
            &[task.demonstrations, first.as_slice()],
        );
        let policy = new_policy(normalizer.clone());
        let mut rng = stream(seed, "cost_weights", 0);
        let model = EnergyModel::new(
            &spec.name,
            &settings.cost,
            normalizer,
            scale.clone(),
            &mut rng,
        );
        let adam = AdamSettings {
            learning_rate: settings.cost_learning_rate,
            max_gradient_norm: None,
        };
        let ppo = Ppo::new(
            &settings.ppo,
            &policy,
            &mut stream(seed, "critic_weights", 0),
        );
        let beta = settings.beta_for(spec.horizon);
        let demonstrations = batch(task.demonstrations)?;
        warm_start(settings, &policy, &demonstrations, seed);
        Ok(Self {
            settings: settings.clone(),
            seed,
            beta,
            collector,
            demonstrations,
            cost_optimizer: Adam::new(adam, model.parameters()),
            policy,
            model,
            ppo,
        })
    }

    /// logit(τ) = (−E(τ) − V(s_0) − b − log q(τ)) / β of demonstrations and samples, `[N_P]` and
    /// `[N_Q]`, at the b that minimises L_disc.
    fn logits(
        &mut self,
        samples: &TrajectoryBatch,
        log_q_demonstrations: &Tensor,
        log_q_samples: &Tensor,
    ) -> (Tensor, Tensor) {
        let p = TrajectoryEnergy::of(&self.model, &self.demonstrations, log_q_demonstrations);
        let q = TrajectoryEnergy::of(&self.model, samples, log_q_samples);
        let scores = Scores {
            expert: &p.score,
            policy: &q.score,
        };
        self.model
            .set_log_z(density::solve_log_z(scores, self.beta));
        let logit = |t: &TrajectoryEnergy| {
            let log_z = &t.start_value + self.model.log_z();
            discriminator::logit(&t.energy, &log_z, &t.log_q, self.beta)
        };
        (logit(&p), logit(&q))
    }
}

/// What the discriminator knows of a group of trajectories, `[N]` each, in f64.
struct TrajectoryEnergy {
    energy: Tensor,
    start_value: Tensor,
    log_q: Tensor,
    /// −E(τ) − V(s_0) − log q(τ).
    score: Vec<f64>,
}

impl TrajectoryEnergy {
    fn of(model: &EnergyModel, batch: &TrajectoryBatch, log_q: &Tensor) -> Self {
        let energy = model.energy(batch);
        let start_value = model.start_value(batch);
        let score = nn::to_f64(&(-&energy - &start_value - log_q));
        Self {
            energy,
            start_value,
            log_q: log_q.shallow_clone(),
            score,
        }
    }
}

/// The state of the discriminator after its steps.
struct Diagnosis {
    accuracy: f64,
    loss: f64,
    ess: f64,
    saturation: f64,
}

impl Diagnosis {
    fn of(expert: &Tensor, policy: &Tensor) -> Self {
        let (p, q) = (nn::to_f64(expert), nn::to_f64(policy));
        // |logit| > 5: D within 0.7 % of 0 or 1.
        let saturated = p.iter().chain(&q).filter(|x| x.abs() > 5.0).count();
        Self {
            accuracy: discriminator::accuracy(expert, policy),
            loss: discriminator::loss(expert, policy).double_value(&[]),
            ess: density::gradient_ess(&p, &q),
            saturation: saturated as f64 / (p.len() + q.len()) as f64,
        }
    }
}

/// Clones the demonstrations into `policy` for `settings.warm_start` passes.
fn warm_start(
    settings: &GanGclSettings,
    policy: &GaussianPolicy,
    demonstrations: &TrajectoryBatch,
    seed: u64,
) {
    let adam = AdamSettings {
        learning_rate: 1e-3,
        max_gradient_norm: None,
    };
    let mut optimizer = Adam::new(adam, policy.parameters());
    for pass in 0..settings.warm_start {
        clone_pass(policy, &mut optimizer, demonstrations, 256, seed, pass);
    }
}

fn batch(trajectories: &[costate_envs::Trajectory]) -> Result<TrajectoryBatch, Error> {
    TrajectoryBatch::new(trajectories)
        .ok_or_else(|| Error::Misuse("no trajectories to learn from".into()))
}

fn known<T>(density: Option<T>) -> T {
    density.expect("sampled trajectories carry their density")
}

fn diverged(k: usize) -> Error {
    Error::Failure(format!(
        "learning diverged in iteration {k}: a weight is not finite; lower cost_learning_rate or \
         ppo.learning_rate and resume from the last checkpoint"
    ))
}
