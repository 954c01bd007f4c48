//! GAN-GCL: guided cost learning as a GAN, over whole trajectories, windows or transitions.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852). The discriminator is
//! D(τ) = p_θ(τ) / (p_θ(τ) + μ(τ)) with p_θ(τ | s_0) = exp(−E_θ(τ)) / Z(s_0) and μ(τ) the policy's
//! own density q(τ), or the mixture of the last policies'; the generator minimises
//! E_q[E_θ(τ) + log q(τ)].
//!
//! Three things differ from the paper's form, each measured to be needed or to help (docs/experiments.md):
//! log Z is solved instead of learned; it may depend on the start, log Z(s_0) = V(s_0) + b; and the
//! logit is divided by β, which keeps the fixed point q = p while trajectories of T steps stop
//! saturating D. At β ≠ 1 b is no importance-sampling estimate any more.
//!
//! With `window` H a row of the discriminator is H consecutive steps, from s_i to s_{i+H}:
//! logit = (−Σ c + V(s_{i+H}) − V(s_i) − b − Σ log π) / β. H = 1 is AIRL's form (Fu, Luo and Levine
//! 2018) at γ = 1.

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::background::{Background, log_policy};
use super::cost_side::CostSide;
use super::frozen::ValidationSettings;
use super::generator::{Generator, Sampled};
use super::report::DiscriminatorReport;
use super::rows::Rows;
use super::sides::{Shared, Sides, shared};
use super::{Learner, Report, Task, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers, Seen};
use crate::density::{self, Scores};
use crate::discriminator;
use crate::error::Error;
use crate::improve::{Improvement, Objective, PpoSettings, SacSettings};
use crate::nn::{self, StateDict, StateError};
use crate::policy::{Learned, PolicySettings};

/// How log Z is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogZ {
    /// At its optimum in every step, constant in the gradient.
    #[default]
    Solved,
    /// A weight like the others.
    Learned,
}

/// Settings of [`GanGcl`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanGclSettings {
    /// Iterations: each samples, updates the discriminator, improves the policy.
    pub iterations: usize,
    /// Passes of behaviour cloning that the policy starts with; 0 starts from nothing.
    pub warm_start: usize,
    /// Steps of behaviour cloning behind a base policy π_0 that the cost is relative to: c = c_θ − log π_0;
    /// the policy starts from it. 0 leaves it out.
    #[serde(default)]
    pub base_steps: usize,
    /// Steps of the same cloning for the policy's start alone, the cost not being relative to it; 0 leaves it out.
    #[serde(default)]
    pub clone_steps: usize,
    /// Share of the sampled trajectories that start where a demonstration did.
    #[serde(default)]
    pub demonstrated_starts: f64,
    /// Whether the next iteration's rollouts are drawn while this one's are learned from: their policy is then one
    /// iteration old, and q is its density.
    #[serde(default)]
    pub overlap: bool,
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Steps of the discriminator's rows: null for whole trajectories, 1 for transitions.
    #[serde(default)]
    pub window: Option<usize>,
    /// Divisor β of the logit; null means the steps of a row, 1 is the paper's form.
    pub beta: Option<f64>,
    /// How log Z is found.
    #[serde(default)]
    pub log_z: LogZ,
    /// Past policies in the background μ besides the current one.
    #[serde(default)]
    pub past_policies: usize,
    /// Discriminator steps an iteration.
    pub discriminator_steps: usize,
    /// Adam's step size for the cost and the soft value.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration; they fall linearly.
    pub learning_rate_left: f64,
    /// Weight of the policy's entropy: 1 is the paper's objective, whose fixed point is the demonstrations' density. A
    /// cost of the state alone does not bound an action beyond its limits, where entropy is free: it needs less.
    #[serde(default = "super::one")]
    pub entropy_weight: f64,
    /// The cost and the soft value.
    pub cost: CostSettings,
    /// Penalties on the cost.
    #[serde(default)]
    pub regularizers: Regularizers,
    /// The policy.
    pub policy: PolicySettings,
    /// What improves the policy.
    #[serde(default)]
    pub improvement: Improvement,
    /// Policy improvement.
    pub ppo: PpoSettings,
    /// Policy improvement by SAC.
    #[serde(default)]
    pub sac: SacSettings,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

impl GanGclSettings {
    /// What all adversarial learners have.
    pub fn shared(&self) -> Shared<'_> {
        Shared {
            base_steps: self.base_steps,
            demonstrated_starts: self.demonstrated_starts,
            overlap: self.overlap,
            entropy_weight: self.entropy_weight,
            ..shared!(self, discriminator_steps)
        }
    }

    /// β for episodes of `horizon` steps.
    pub fn beta_for(&self, horizon: usize) -> f64 {
        let steps = self.window.map_or(horizon, |window| window.min(horizon));
        self.beta.unwrap_or(steps as f64)
    }
}

/// The learner.
pub struct GanGcl {
    settings: GanGclSettings,
    seed: u64,
    beta: f64,
    /// Cut into windows.
    demonstrations: TrajectoryBatch,
    generator: Generator,
    background: Background,
    rows: Rows,
    cost: CostSide,
    /// b as a weight, where it is learned.
    learned_log_z: Tensor,
}

impl Learner for GanGcl {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = self.settings.clone();
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.cost.slow_down(left);

        // τ ~ q, with log q(τ) recorded by the actor that drew it; μ is evaluated on every τ.
        let samples = self.generator.rollouts(k)?;
        let groups = self.groups(&samples, k);

        // θ: descend L_disc, at the b = log Z that minimises it.
        let mut gradient_norm = 0.0;
        let mut penalty_rng = stream(self.seed, "gradient_penalty", k as u64);
        for _ in 0..s.discriminator_steps {
            let (p, q) = self.logits(&groups);
            let loss = discriminator::loss(&p, &q);
            gradient_norm = self.cost.descend(loss, &samples.batch, &mut penalty_rng);
        }
        let (p, q) = tch::no_grad(|| self.logits(&groups));
        let found = DiscriminatorReport::of(&p, &q);

        // φ: minimise E_q[c + log q], c shaped by V, which changes no trajectory's rank.
        self.background.push(k, &samples.policy, &samples.batch);
        let mut diagnostics = found.diagnostics().to_vec();
        diagnostics.push(("log_z", self.cost.model.log_z()));
        if s.log_z == LogZ::Solved {
            let (p, q) = (nn::to_f64(&p), nn::to_f64(&q));
            let half_width = density::log_z_half_width(&p, &q, self.beta);
            diagnostics.push(("log_z_half_width", half_width));
        }
        diagnostics.push(("cost_gradient_norm", gradient_norm));
        let model = &self.cost.model;
        let objective = Objective {
            cost: &|batch| model.shaped_cost(batch),
            entropy_weight: s.entropy_weight,
        };
        self.generator
            .improve(model, samples, &objective, left, k, diagnostics)
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.generator.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.cost.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.generator.save(&mut state);
        self.background.save(&mut state);
        self.cost.save(&mut state);
        state.insert("learned_log_z", &self.learned_log_z);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)?;
        self.background.load(state, &self.generator)?;
        self.cost.load(state)?;
        state.copy_all(vec![(
            "learned_log_z".into(),
            self.learned_log_z.shallow_clone(),
        )])
    }
}

/// Rows of the discriminator with log μ of each, `[N]` in f64.
struct Group {
    rows: TrajectoryBatch,
    steps: Seen,
    log_density: Tensor,
}

/// Demonstrations, and samples of every policy in the background.
struct Groups {
    expert: Group,
    policy: Vec<Group>,
}

impl GanGcl {
    /// A learner at its start.
    pub fn new(settings: &GanGclSettings, task: &Task) -> Result<Self, Error> {
        let learned_log_z =
            Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let more = match settings.log_z {
            LogZ::Solved => Vec::new(),
            LogZ::Learned => vec![learned_log_z.shallow_clone()],
        };
        let Sides {
            generator,
            cost,
            demonstrations,
        } = Sides::new(settings.shared(), task, more)?;
        let rows = Rows::new(settings.window).cut_like(&demonstrations, task.factory);
        Ok(Self {
            beta: settings.beta_for(task.factory.spec().horizon),
            settings: settings.clone(),
            seed: task.seed,
            demonstrations: rows.of_demonstrations(&demonstrations),
            cost,
            generator,
            background: Background::new(settings.past_policies, rows.clone()),
            rows,
            learned_log_z,
        })
    }

    /// The discriminator's rows. log q of a demonstration changes whenever the policy does.
    fn groups(&self, samples: &Sampled, k: usize) -> Groups {
        let policy = &samples.policy;
        let rows = self.rows.of_rollouts(&samples.batch, k);
        let count = rows.len();
        let recorded = rows
            .behaviour_log_density()
            .unwrap_or_else(|| log_policy(policy, &rows));
        let mixed = |rows: &TrajectoryBatch, log_q: &Tensor| {
            self.background.log_density(rows, log_q, count)
        };
        let group = |rows: &TrajectoryBatch, log_q: &Tensor| Group {
            steps: self.cost.model.see(&rows.observations, &rows.actions),
            log_density: mixed(rows, log_q),
            rows: rows.shallow_clone(),
        };
        let of = |rows: &TrajectoryBatch| group(rows, &log_policy(policy, rows));
        let mut groups = vec![group(&rows, &recorded)];
        groups.extend(self.background.samples().map(of));
        Groups {
            expert: of(&self.demonstrations),
            policy: groups,
        }
    }

    /// logit(τ) = (−E(τ) − V(s_0) − b − log μ(τ)) / β of demonstrations and samples, `[N_P]` and
    /// `[N_Q]`, at the b that minimises L_disc, or at the learned one.
    fn logits(&mut self, groups: &Groups) -> (Tensor, Tensor) {
        let beta = self.beta;
        let model = &mut self.cost.model;
        let p = RowEnergy::of(model, std::slice::from_ref(&groups.expert));
        let q = RowEnergy::of(model, &groups.policy);
        let b = match self.settings.log_z {
            LogZ::Solved => {
                let scores = Scores {
                    expert: &p.score(),
                    policy: &q.score(),
                };
                let b = density::solve_log_z(scores, beta);
                model.set_log_z(b);
                Tensor::from_slice(&[b])
            }
            LogZ::Learned => {
                model.set_log_z(self.learned_log_z.double_value(&[0]));
                self.learned_log_z.to_kind(Kind::Double)
            }
        };
        let logit = |t: &RowEnergy| {
            discriminator::logit(&t.energy, &(&t.start_value + &b), &t.log_density, beta)
        };
        (logit(&p), logit(&q))
    }
}

/// What the discriminator knows of its rows, `[N]` each, in f64.
struct RowEnergy {
    energy: Tensor,
    start_value: Tensor,
    log_density: Tensor,
}

impl RowEnergy {
    fn of(model: &EnergyModel, groups: &[Group]) -> Self {
        let all = |f: &dyn Fn(&Group) -> Tensor| {
            Tensor::cat(&groups.iter().map(f).collect::<Vec<_>>(), 0)
        };
        Self {
            energy: all(&|g| model.energy_seen(&g.rows, &g.steps)),
            start_value: all(&|g| model.start_value(&g.rows)),
            log_density: all(&|g| g.log_density.shallow_clone()),
        }
    }

    /// −E(τ) − V(s_0) − log μ(τ).
    fn score(&self) -> Vec<f64> {
        nn::to_f64(&(-&self.energy - &self.start_value - &self.log_density))
    }
}
