//! GAN-GCL: guided cost learning as a GAN, over whole trajectories, windows or transitions.
//!
//! Finn, Christiano, Abbeel and Levine 2016 (arXiv 1611.03852). The discriminator is
//! D(τ) = p_θ(τ) / (p_θ(τ) + μ(τ)) with p_θ(τ | s_0) = exp(−E_θ(τ)) / Z(s_0) and μ(τ) the policy's
//! own density q(τ), or the mixture of the last policies'; the generator minimises
//! E_q[E_θ(τ) + log q(τ)].
//!
//! Three things differ from the paper, each found by measurement to be necessary or helpful (docs/experiments.md):
//! log Z is solved instead of learned; it may depend on the start, log Z(s_0) = V(s_0) + b; and the
//! logit is divided by β, which keeps the fixed point q = p while trajectories of T steps no longer
//! saturate D. At β ≠ 1, b is no longer an importance-sampling estimate.
//!
//! With `window` H a row of the discriminator is H consecutive steps, from s_i to s_{i+H}:
//! logit = (−Σ c + V(s_{i+H}) − V(s_i) − b − Σ log π) / β. H = 1 is AIRL's form (Fu, Luo and Levine
//! 2018) at γ = 1.

use std::cell::OnceCell;
use std::rc::Rc;

use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour, SampleShare};
use super::background::{Background, log_policy};
use super::discriminator_report::{self, DiscriminatorReport};
use super::frozen_cost::ValidationSettings;
use super::generator::{Generator, Sampled};
use super::rows::{Discrimination, Rows};
use super::{Learner, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, CostForm, EnergyModel, Seen};
use crate::density::{self, Scores};
use crate::discriminator;
use crate::error::Error;
use crate::metric::{Diagnostics, Metric, Spreads};
use crate::nn::{self, StateDict, StateError};
use costate_base::schema::resumable;

/// How log Z is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogZ {
    /// At its optimum in every step, constant in the gradient.
    #[default]
    Solved,
    /// A weight like the others.
    Learned,
}

/// Settings of GAN-GCL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GanGclSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Steps of behaviour cloning behind a base policy π_0 that the cost is relative to: c = c_θ − log π_0; the policy
    /// starts from it. 0 leaves it out.
    #[serde(default)]
    pub base_steps: usize,
    /// Steps of the discriminator's rows: null for whole trajectories, 1 for transitions.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub window: Option<usize>,
    /// Divisor β of the logit; null means the steps of a row, 1 is the paper's form.
    #[schemars(range(min = 1.0), transform = resumable)]
    pub beta: Option<f64>,
    /// How log Z is found: solved at its optimum in every step, or learned as a weight.
    #[serde(default)]
    pub log_z: LogZ,
    /// Past policies in the background μ besides the current one.
    #[serde(default)]
    pub past_policies: usize,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

impl Algorithm for GanGclSettings {
    const NAME: &'static str = "gan-gcl";
    const ABOUT: &'static str =
        "a trajectory cost: the discriminator of a GAN whose generator has a known density";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/gan-gcl.json");
}

impl Behaviour for GanGclSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let learned_log_z =
            Tensor::zeros([1], (Kind::Float, tch::Device::Cpu)).set_requires_grad(true);
        let more = match self.log_z {
            LogZ::Solved => Vec::new(),
            LogZ::Learned => vec![learned_log_z.shallow_clone()],
        };
        let sides = Sides::new(&self.adversarial, self.base_steps, setup)?;
        let rows = Rows::new(self.window).cut_like(&sides.demonstrations, setup.factory);
        let gan_gcl = GanGcl {
            log_z: self.log_z,
            beta: self.beta_for(setup.factory.spec().horizon),
            demonstrations: rows.of_demonstrations(&sides.demonstrations),
            shown: OnceCell::new(),
            background: Background::new(self.past_policies, rows.clone()),
            rows,
            learned_log_z,
        };
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings, sides, gan_gcl, more, setup,
        )?))
    }

    fn check(&self) -> Result<(), String> {
        self.adversarial.check()?;
        if self.base_steps == 0 {
            return Ok(());
        }
        if self.adversarial.clone_steps > 0 {
            return Err(
                "base_steps starts the policy as a clone, too; set one of base_steps and clone_steps to 0"
                    .into(),
            );
        }
        let cost = &self.adversarial.cost;
        let own = [
            (
                cost.form == CostForm::Quadratic,
                "cost.form `quadratic` is an exact family",
            ),
            (
                cost.state_only,
                "a cost of the state alone (cost.state_only) sees no actions",
            ),
        ];
        match own.iter().find(|(set, _)| *set) {
            None => Ok(()),
            Some((_, why)) => Err(format!(
                "{why}, and a base policy would add its log-density of actions to it; set base_steps=0"
            )),
        }
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn base_steps(&self) -> usize {
        self.base_steps
    }

    fn discrimination(&self, horizon: usize) -> Option<Discrimination> {
        Some(Discrimination {
            window: self.window,
            beta: self.beta_for(horizon),
        })
    }

    fn effective_samples(&self) -> Option<SampleShare> {
        Some(SampleShare::Batch)
    }

    fn validation(&self) -> Option<&ValidationSettings> {
        Some(&self.validation)
    }

    fn validation_mut(&mut self) -> Option<&mut ValidationSettings> {
        Some(&mut self.validation)
    }
}

impl GanGclSettings {
    /// β for episodes of `horizon` steps.
    pub fn beta_for(&self, horizon: usize) -> f64 {
        let steps = self.window.map_or(horizon, |window| window.min(horizon));
        self.beta.unwrap_or(steps as f64)
    }
}

/// The adversary.
pub struct GanGcl {
    log_z: LogZ,
    beta: f64,
    /// Cut into windows.
    demonstrations: TrajectoryBatch,
    /// What the cost sees of them, which its weights do not change.
    shown: OnceCell<Rc<Seen>>,
    background: Background,
    rows: Rows,
    /// b as a weight, if it is learned.
    learned_log_z: Tensor,
}

impl Adversary for GanGcl {
    const STREAM: &'static str = "gradient_penalty";
    type Evidence = Groups;

    /// The discriminator's rows. log q of a demonstration changes with the policy.
    fn evidence(&self, model: &EnergyModel, samples: &Sampled, k: usize) -> Groups {
        let policy = &samples.policy;
        let rows = self.rows.of_rollouts(&samples.batch, k);
        let count = rows.len();
        let recorded = rows
            .behaviour_log_density()
            .unwrap_or_else(|| log_policy(policy, &rows));
        let mixed = |rows: &TrajectoryBatch, log_q: &Tensor| {
            self.background.log_density(rows, log_q, count)
        };
        let seen = |rows: &TrajectoryBatch| model.see(&rows.observations, &rows.actions);
        let group = |rows: &TrajectoryBatch, steps: Rc<Seen>, log_q: &Tensor| Group {
            steps,
            log_density: mixed(rows, log_q),
            rows: rows.shallow_clone(),
        };
        let of = |rows: &TrajectoryBatch, steps| group(rows, steps, &log_policy(policy, rows));
        let mut groups = vec![group(&rows, Rc::new(seen(&rows)), &recorded)];
        let past = self.background.samples();
        groups.extend(past.map(|rows| of(rows, Rc::new(seen(rows)))));
        let shown = || Rc::new(seen(&self.demonstrations));
        let shown = self.shown.get_or_init(shown);
        Groups {
            expert: of(&self.demonstrations, shown.clone()),
            policy: groups,
        }
    }

    /// L_disc at the minimising b = log Z, or at the learned one.
    fn loss(&mut self, model: &mut EnergyModel, groups: &Groups, _: &mut Stream) -> Tensor {
        let (p, q) = self.logits(model, groups);
        discriminator::loss(&p, &q)
    }

    fn found(&mut self, model: &mut EnergyModel, groups: &Groups) -> (Diagnostics, Spreads) {
        let (p, q) = self.logits(model, groups);
        let mut found = DiscriminatorReport::of(&p, &q).diagnostics();
        let spreads = discriminator_report::logits(&p, &q);
        found.push((Metric::LogZ, model.log_z()));
        if self.log_z == LogZ::Solved {
            let (p, q) = (nn::to_f64(&p), nn::to_f64(&q));
            let half_width = density::log_z_half_width(&p, &q, self.beta);
            found.push((Metric::LogZHalfWidth, half_width));
        }
        (found, spreads)
    }

    fn remember(&mut self, k: usize, samples: &Sampled) {
        self.background.push(k, &samples.policy, &samples.batch);
    }

    fn save(&self, state: &mut StateDict) {
        self.background.save(state);
        state.insert("learned_log_z", &self.learned_log_z);
    }

    fn load(&mut self, state: &StateDict, generator: &Generator) -> Result<(), StateError> {
        self.background.load(state, generator)?;
        state.copy_all(vec![(
            "learned_log_z".into(),
            self.learned_log_z.shallow_clone(),
        )])
    }
}

/// Rows of the discriminator with log μ of each, `[N]` in f64.
struct Group {
    rows: TrajectoryBatch,
    steps: Rc<Seen>,
    log_density: Tensor,
}

/// Demonstrations, and samples of every policy in the background.
pub struct Groups {
    expert: Group,
    policy: Vec<Group>,
}

impl GanGcl {
    /// logit(τ) = (−E(τ) − V(s_0) − b − log μ(τ)) / β of demonstrations and samples, `[N_P]` and
    /// `[N_Q]`, at the b that minimises L_disc, or at the learned one.
    fn logits(&self, model: &mut EnergyModel, groups: &Groups) -> (Tensor, Tensor) {
        let beta = self.beta;
        let p = RowEnergy::of(model, std::slice::from_ref(&groups.expert));
        let q = RowEnergy::of(model, &groups.policy);
        let b = match self.log_z {
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

/// The terms of the discriminator's rows, `[N]` each, in f64.
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
