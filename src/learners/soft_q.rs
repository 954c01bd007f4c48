//! What the soft-Q learners share: critics that say what the demonstrator minimises, and the soft actor-critic policy that
//! is optimal for them.
//!
//! C(s, a) = −Q(s, a) is a soft cost-to-go, V(s) = E_π[C(s, a) + α log π(a | s)] its value. Every C implies the cost
//! c(s, a, s') = C(s, a) − γ V(s') whose soft cost-to-go it is, so C is learned instead of a cost. Algorithms differ in
//! the critics' loss: see [`CriticLoss`]. Nothing follows a terminal s'; a truncated episode's last s' has its V.
//!
//! The cost of the run is c_θ(s, a), fitted by least squares to the implied costs of demonstrations and rollouts, hence
//! their mean over s' given (s, a).

use costate_envs::rng::{Stream, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::cloning::clone_into;
use super::cost_side::CostSide;
use super::frozen_cost::{FrozenCostSettings, ValidationSettings};
use super::generator::{
    GeneratorSettings, ROLLOUT, SCALE_ROLLOUTS, action_spreads, batch, check_entropy_weight,
    energy_model, scaled_policy,
};
use super::transitions::with_replacement;
use super::{Learner, Report, Setup, diverged, learning_rate_factor};
use crate::audit::Audit;
use crate::batch::TrajectoryBatch;
use crate::collect::Collector;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::error::Error;
use crate::improve::{
    ActorCritic, Critics, Improvement, PpoSettings, Replay, Rows, SacSettings, Scale,
};
use crate::metric::{Diagnostics, Metric};
use crate::nn::{StateDict, StateError};
use crate::policy::{GaussianPolicy, Learned, PolicySettings};
use costate_base::schema::{fraction, positive, resumable};

/// The settings that all soft-Q learners have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SoftQSettings {
    /// Iterations of the whole run: each samples, takes `sac.gradient_steps` on critics and policy, and refits the cost.
    /// In the first the critics learn alone.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Episodes sampled an iteration; 0 learns from the demonstrations alone, which takes no simulator.
    pub trajectories: usize,
    /// Images of every demonstration under the world's symmetries that are learned from, too: `costate envs ENV` names them.
    /// A mirror makes one, a rotation any number.
    pub symmetric_copies: usize,
    /// Steps of behaviour cloning, judged by held-out demonstrations, that the policy starts with; 0 starts from nothing.
    pub clone_steps: usize,
    /// Factor of all step sizes in the last iteration; they fall linearly from 1.
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// Weight α of the policy's entropy, in units of the rewards.
    #[schemars(range(min = 0.0))]
    pub entropy_weight: f64,
    /// The policy.
    pub policy: PolicySettings,
    /// Critics and policy; half of a minibatch are demonstrated transitions, half replayed ones, if there are any.
    pub sac: SacSettings,
    /// The cost that is fitted to the critics' implied costs; it has no soft value of its own.
    pub cost: CostSettings,
    /// Steps of that fit an iteration.
    #[schemars(range(min = 1), transform = resumable)]
    pub cost_steps: usize,
    /// Adam's step size for it.
    #[schemars(transform = positive, transform = resumable)]
    pub cost_learning_rate: f64,
    /// Penalties on the fitted cost.
    #[serde(default)]
    pub regularizers: Regularizers,
    /// How fresh policies are trained on the frozen cost; the learner's own uses `sac`.
    pub ppo: PpoSettings,
    /// Fresh policies on the frozen cost, once it is learned.
    #[serde(default)]
    pub validation: ValidationSettings,
}

impl SoftQSettings {
    /// Checks the settings against each other. Errors: what contradicts what.
    pub fn check(&self) -> Result<(), String> {
        self.policy.check_initial()?;
        self.cost.check()?;
        if self.cost.start_value {
            return Err(
                "setting `cost.start_value` is true, expected false: the implied cost has no soft value of its own"
                    .into(),
            );
        }
        let held = self.sac.target_entropy.map(|_| "sac.target_entropy");
        check_entropy_weight(self.entropy_weight, held)?;
        if self.trajectories == 0 && !self.validation.plan().is_empty() {
            return Err(
                "setting `validation.policies` asks for fresh policies, which need a simulator, but trajectories=0 learns \
                 without one; validate with `costate evaluate --reoptimize RUN`"
                    .into(),
            );
        }
        Ok(())
    }

    /// Step sizes by setting name.
    pub fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        let policy = self.sac.policy_learning_rate;
        let policy = policy.map(|rate| ("sac.policy_learning_rate", rate));
        let mut sizes: Vec<(&'static str, f64)> = policy.into_iter().collect();
        sizes.extend([
            ("sac.learning_rate", self.sac.learning_rate),
            ("cost_learning_rate", self.cost_learning_rate),
        ]);
        sizes
    }

    /// Settings for training a fresh policy on the learned cost.
    pub fn fresh(&self) -> FrozenCostSettings {
        FrozenCostSettings {
            generator: GeneratorSettings {
                iterations: self.validation.iterations,
                trajectories: self.validation.trajectories,
                learning_rate_end_factor: self.learning_rate_end_factor,
                policy: self.policy.clone(),
                improvement: Improvement::Ppo,
                ppo: self.ppo.clone(),
                sac: self.sac.clone(),
            },
            entropy_weight: self.entropy_weight,
            excess_weight: f64::from(u8::from(!self.cost.sees_actions())),
        }
    }
}

/// What the critics say of a minibatch, f64 throughout.
pub struct Group {
    /// C(s, a) by one critic, `[N]`.
    pub cost_to_go: Tensor,
    /// V(s), `[N]`; only if the loss asks for it.
    pub value: Option<Tensor>,
    /// V(s'), within the loss's bound, `[N]`.
    pub next_value: Tensor,
    /// 1 where s' has a future, 0 where it is terminal, `[N]`.
    pub alive: Tensor,
}

impl Group {
    /// γ V(s'), 0 at a terminal s', `[N]`.
    pub fn future(&self, discount: f64) -> Tensor {
        &self.next_value * &self.alive * discount
    }

    /// The implied cost C(s, a) − γ V(s'), `[N]`.
    pub fn implied_cost(&self, discount: f64) -> Tensor {
        &self.cost_to_go - self.future(discount)
    }

    /// V(s) − γ V(s'), whose sum over an endless episode with weights γ^t is V(s_0), `[N]`.
    pub fn value_difference(&self, discount: f64) -> Tensor {
        self.value.as_ref().expect("the loss asked for it") - self.future(discount)
    }
}

/// What a loss needs to know besides C(s, a).
#[derive(Debug, Clone, Copy)]
pub struct Needs {
    /// V(s) of every row.
    pub values: bool,
    /// V(s_0) of the demonstrations.
    pub starts: bool,
    /// The critics that V(s') is taken from; it has a gradient if these are the current ones.
    pub bootstrap: Critics,
    /// Bound of |V(s')|.
    pub bound: Option<f64>,
}

/// What distinguishes one soft-Q learner from another.
pub trait CriticLoss {
    /// What it needs.
    fn needs(&self) -> Needs;

    /// The size of a reward.
    fn reward(&self) -> f64;

    /// The loss of a critic, a scalar in f64: `sampled` are replayed transitions, if there are rollouts; `starts` is V(s_0),
    /// `[n]`, if needed.
    fn loss(
        &self,
        demonstrated: &Group,
        sampled: Option<&Group>,
        starts: Option<&Tensor>,
    ) -> Tensor;
}

/// A soft-Q learner.
pub struct SoftQ<L> {
    settings: SoftQSettings,
    loss: L,
    seed: u64,
    policy: GaussianPolicy,
    agent: ActorCritic,
    cost: CostSide,
    /// Plays rollouts, if there are any.
    collector: Option<Collector>,
    replay: Replay,
    demonstrations: TrajectoryBatch,
    demonstrated: Rows,
}

/// Sums over the gradient steps of an iteration.
#[derive(Default)]
struct Sums {
    loss: f64,
    policy_gradient: f64,
    demonstrated_cost: f64,
    sampled_cost: f64,
}

impl<L: CriticLoss> SoftQ<L> {
    /// A learner in its initial state: weights from the seed.
    ///
    /// Errors: no demonstrations, unknown channels of the cost.
    pub fn new(settings: &SoftQSettings, loss: L, setup: &Setup) -> Result<Self, Error> {
        let seed = setup.seed;
        let demonstrations = batch(setup.demonstrations)?;
        let collector = Collector::new(setup.factory, setup.player(), seed, setup.sealer);
        let mut policy = scaled_policy(&settings.policy, setup, &collector, SCALE_ROLLOUTS)?;
        if settings.clone_steps > 0 {
            clone_into(&mut policy, setup, settings.clone_steps)?;
        }
        let mut weights = stream(seed, "critic_weights", 0);
        let mut agent = ActorCritic::new(&settings.sac, &policy, &mut weights);
        // A sum of 1 / (1 − γ) rewards, half of it drift and half of it chance.
        agent.rescale(Scale {
            mean: 0.0,
            std: loss.reward() / (1.0 - settings.sac.discount).sqrt(),
        });
        agent.hush();
        let space = &setup.factory.spec().observation;
        let model = energy_model(&settings.cost, space, &policy, seed)?;
        let own = demonstrations.shallow_clone();
        let (rate, regularizers) = (settings.cost_learning_rate, settings.regularizers);
        Ok(Self {
            demonstrated: Rows::of([&demonstrations].into_iter(), &agent),
            cost: CostSide::new(model, rate, regularizers, own, Vec::new()),
            collector: (settings.trajectories > 0).then_some(collector),
            replay: Replay::new(settings.sac.replay_iterations),
            settings: settings.clone(),
            loss,
            seed,
            policy,
            agent,
            demonstrations,
        })
    }

    /// The rollouts of iteration `k`, which are replayed from now on; `None` without a simulator.
    fn roll_out(&mut self, k: usize) -> Result<Option<(TrajectoryBatch, Audit)>, Error> {
        let Some(collector) = &self.collector else {
            return Ok(None);
        };
        let count = self.settings.trajectories;
        let (trajectories, audit) = collector.collect(&self.policy, ROLLOUT, k, count)?;
        let rollouts = batch(&trajectories)?;
        self.replay.push(&rollouts);
        Ok(Some((rollouts, audit)))
    }

    /// Half a minibatch of each, the demonstrated rows first; all of it demonstrated without rollouts. The number is that of
    /// the demonstrated rows.
    fn draw(&self, replayed: Option<&Rows>, rng: &mut Stream) -> (Rows, i64) {
        let whole = self.settings.sac.minibatch;
        let each = if replayed.is_some() {
            whole.div_ceil(2)
        } else {
            whole
        };
        let mut pick = |rows: &Rows| rows.pick(&with_replacement(rows.count(), each, rng));
        let demonstrated = pick(&self.demonstrated);
        let rows = match replayed {
            Some(replayed) => demonstrated.and(&pick(replayed)),
            None => demonstrated,
        };
        (rows, each as i64)
    }

    /// V of some states.
    fn value(&self, of: Critics, observations: &Tensor, rng: &mut Stream) -> Tensor {
        let own = self.settings.entropy_weight;
        (self.agent).soft_value(of, &self.policy, observations, own, rng)
    }

    /// V(s'), within the loss's bound.
    fn next_value(&self, of: Critics, rows: &Rows, rng: &mut Stream) -> Tensor {
        let value = self.value(of, &rows.next_observations, rng);
        match self.loss.needs().bound {
            Some(bound) => value.clamp(-bound, bound),
            None => value,
        }
    }

    /// The critics' loss on some rows, of which the first `demonstrated` are; adds to `sums`.
    fn critic_loss(
        &self,
        rows: &Rows,
        demonstrated: i64,
        sums: &mut Sums,
        rng: &mut Stream,
    ) -> Tensor {
        let needs = self.loss.needs();
        let next_value = match needs.bootstrap {
            Critics::Current => self.next_value(Critics::Current, rows, rng),
            Critics::Target => crate::nn::no_grad(|| self.next_value(Critics::Target, rows, rng)),
        };
        let mut value = |wanted: bool, observations: &Tensor| {
            wanted.then(|| self.value(Critics::Current, observations, rng))
        };
        let values = value(needs.values, &rows.observations);
        let starts = value(needs.starts, &self.demonstrations.starts);
        let costs = self.agent.costs_to_go(&rows.inputs);
        let part = |from: i64, count: i64, cost_to_go: &Tensor| Group {
            cost_to_go: cost_to_go.narrow(0, from, count),
            value: values.as_ref().map(|v| v.narrow(0, from, count)),
            next_value: next_value.narrow(0, from, count),
            alive: rows.alive.narrow(0, from, count),
        };
        let others = rows.count() - demonstrated;
        let discount = self.settings.sac.discount;
        let mean = |group: &Group| {
            crate::nn::no_grad(|| group.implied_cost(discount).mean(Kind::Double)).double_value(&[])
        };
        let each = 1.0 / costs.len() as f64;
        let losses = costs.iter().map(|cost_to_go| {
            let shown = part(0, demonstrated, cost_to_go);
            let tried = (others > 0).then(|| part(demonstrated, others, cost_to_go));
            sums.demonstrated_cost += each * mean(&shown);
            sums.sampled_cost += tried.as_ref().map_or(0.0, |tried| each * mean(tried));
            self.loss.loss(&shown, tried.as_ref(), starts.as_ref())
        });
        losses.reduce(|a, b| a + b).expect("at least one critic") * each
    }

    /// c(s, a) ← C(s, a) − γ V(s') by least squares. Returns the share of the implied costs' variance that is left.
    fn fit_cost(&mut self, replayed: Option<&Rows>, k: usize) -> f64 {
        let mut rng = stream(self.seed, "cost_fit", k as u64);
        let (mut left, mut variance) = (0.0, 0.0);
        for _ in 0..self.settings.cost_steps {
            let (rows, _) = self.draw(replayed, &mut rng);
            let implied = crate::nn::no_grad(|| {
                let future = self.next_value(Critics::Current, &rows, &mut rng) * &rows.alive;
                self.agent.cost_to_go(Critics::Current, &rows.inputs)
                    - future * self.settings.sac.discount
            });
            variance += implied.var(false).double_value(&[]);
            let samples = self.replay.newest().unwrap_or(&self.demonstrations);
            self.cost.descend(samples, &mut rng, |model, _| {
                let fitted = model.cost(&rows.observations, &rows.actions);
                let loss = (fitted - &implied).square().mean(Kind::Double);
                left += loss.double_value(&[]);
                loss
            });
        }
        left / variance.max(1e-12)
    }
}

impl<L: CriticLoss> Learner for SoftQ<L> {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let factor = learning_rate_factor(s.learning_rate_end_factor, k, s.iterations);
        let (steps, own) = (s.sac.gradient_steps, s.entropy_weight);
        self.agent.scale_learning_rate(factor);
        self.cost.scale_learning_rate(factor);
        let rollouts = self.roll_out(k)?;
        let replayed = self.replay.rows(&self.agent);
        let mut rng = stream(self.seed, "soft_q", k as u64);
        let mut sums = Sums::default();
        for _ in 0..steps {
            let (rows, demonstrated) = self.draw(replayed.as_ref(), &mut rng);
            let loss = self.critic_loss(&rows, demonstrated, &mut sums, &mut rng);
            sums.loss += loss.double_value(&[]);
            self.agent.descend(&loss);
            // Untrained critics would destroy a cloned policy: at first only they learn.
            if k > 0 {
                let norm =
                    (self.agent).step_policy(&self.policy, &rows.observations, own, &mut rng);
                sums.policy_gradient += norm;
            }
            self.agent.follow();
        }
        let cost_error = self.fit_cost(replayed.as_ref(), k);
        if !self.policy.is_finite() || !self.cost.model.is_finite() {
            return Err(diverged(k));
        }
        let seen = rollouts.as_ref().map_or(&self.demonstrations, |(b, _)| b);
        let entropy = crate::nn::no_grad(|| self.policy.distribution(&seen.observations).entropy());
        let mean = |sum: f64| sum / steps as f64;
        let mut diagnostics: Diagnostics = vec![
            (Metric::CriticLoss, mean(sums.loss)),
            (Metric::DemonstratedCost, mean(sums.demonstrated_cost)),
            (
                Metric::Entropy,
                entropy.mean(Kind::Double).double_value(&[]),
            ),
            (Metric::PolicyStd, self.policy.mean_std(&seen.starts)),
            (Metric::EntropyWeight, self.agent.entropy_weight(own)),
            (Metric::PolicyGradientNorm, mean(sums.policy_gradient)),
            (Metric::CostError, cost_error),
        ];
        let Some((rollouts, audit)) = rollouts else {
            return Ok(Report {
                diagnostics,
                ..Report::default()
            });
        };
        diagnostics.insert(2, (Metric::SampledCost, mean(sums.sampled_cost)));
        Ok(Report {
            diagnostics,
            spreads: action_spreads(&rollouts),
            env_steps: rollouts.steps() as u64,
            audit: Some(audit),
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.cost.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.policy.save(&mut state);
        self.agent.save(&mut state);
        self.replay.save(&mut state);
        self.cost.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.agent.load(state)?;
        self.replay.load(state)?;
        self.cost.load(state)
    }
}
