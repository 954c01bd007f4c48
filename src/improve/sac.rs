//! Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905) of cost minus entropy, from replayed rollouts.
//!
//! Costs instead of rewards: Q(s, a) is the soft cost-to-go, so the larger (pessimistic) of the two critics is used.
//! The cost may change between iterations: it is re-evaluated on all replayed transitions.

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::actor_critic::{ActorCritic, Critics, Scale};
use super::replay::{Replay, Rows};
use super::{ImproveReport, Objective, kl_divergence};
use crate::batch::TrajectoryBatch;
use crate::nn::{self, StateDict, StateError};
use crate::policy::GaussianPolicy;
use costate_base::schema::{fraction, open_unit, positive, resumable};

/// Settings of [`Sac`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SacSettings {
    /// Discount γ of the improvement step.
    #[schemars(transform = open_unit)]
    pub discount: f64,
    /// Gradient steps per iteration.
    #[schemars(range(min = 1), transform = resumable)]
    pub gradient_steps: usize,
    /// Transitions in a minibatch.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Adam's step size for the policy and the critics.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Adam's step size for the policy; null takes `learning_rate`. A smaller one lets the critics follow the policy.
    #[serde(default)]
    #[schemars(transform = positive, transform = resumable)]
    pub policy_learning_rate: Option<f64>,
    /// Coefficient τ of the target critics' exponential average.
    #[schemars(transform = fraction, transform = resumable)]
    pub tau: f64,
    /// Iterations whose rollouts are replayed.
    #[schemars(range(min = 1))]
    pub replay_iterations: usize,
    /// Units of each hidden layer of the critics.
    #[schemars(inner(range(min = 1)))]
    pub critic_hidden: Vec<usize>,
    /// Critics: of two the more pessimistic counts, which keeps the policy from exploiting the errors of one.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 2))]
    pub critics: usize,
    /// Target entropy, nats per action dimension in units of half the range, held by adapting the entropy weight, which
    /// starts at the learner's own; null keeps that weight.
    pub target_entropy: Option<f64>,
}

/// The usual number of critics.
fn two() -> usize {
    2
}

impl Default for SacSettings {
    /// The common defaults.
    fn default() -> Self {
        Self {
            discount: 0.97,
            gradient_steps: 300,
            minibatch: 256,
            learning_rate: 1e-3,
            policy_learning_rate: None,
            tau: 0.01,
            replay_iterations: 20,
            critic_hidden: vec![64, 64],
            critics: two(),
            target_entropy: None,
        }
    }
}

/// An actor-critic and a replay memory.
#[derive(Debug)]
pub struct Sac {
    agent: ActorCritic,
    replay: Replay,
}

/// All replayed transitions with their costs, `[M, …]`.
struct Memory {
    rows: Rows,
    cost: Tensor,
}

impl Sac {
    /// An improver of `policy`.
    pub fn new(settings: &SacSettings, policy: &GaussianPolicy, rng: &mut Stream) -> Self {
        Self {
            agent: ActorCritic::new(settings, policy, rng),
            replay: Replay::new(settings.replay_iterations),
        }
    }

    fn settings(&self) -> &SacSettings {
        self.agent.settings()
    }

    /// Gradient steps on what the last iterations collected, `batch` the newest; `behaviour` is log π(a_t | s_t)
    /// of the policy before the step, `[S]`.
    pub fn improve(
        &mut self,
        policy: &GaussianPolicy,
        batch: &TrajectoryBatch,
        objective: &Objective,
        behaviour: &Tensor,
        seed: u64,
        iteration: usize,
    ) -> ImproveReport {
        self.replay.push(batch);
        let memory = self.memory(objective);
        self.rescale(&memory, objective);
        let value_error = self.value_error(policy, &memory, objective, seed, iteration);
        let mut rng = stream(seed, "sac", iteration as u64);
        let rows = memory.rows.count();
        let (steps, minibatch) = (self.settings().gradient_steps, self.settings().minibatch);
        let mut norms = 0.0;
        for _ in 0..steps {
            let drawn: Vec<i64> = (0..minibatch).map(|_| rng.random_range(0..rows)).collect();
            let drawn = Tensor::from_slice(&drawn);
            let target = self.target(policy, &memory, &drawn, objective, &mut rng);
            let inputs = memory.rows.inputs.index_select(0, &drawn);
            let miss = |c: &Tensor| (c - &target).square().mean(Kind::Float);
            let losses = self.agent.outputs(&inputs);
            let loss = losses.iter().map(miss).reduce(|a, b| a + b);
            self.agent.descend(&loss.expect("at least one critic"));
            // Untrained critics would destroy a cloned policy: at first only they learn.
            if iteration > 0 {
                let observations = memory.rows.observations.index_select(0, &drawn);
                let weight = objective.entropy_weight;
                norms += self
                    .agent
                    .step_policy(policy, &observations, weight, &mut rng);
            }
            self.agent.follow();
        }
        let after = nn::no_grad(|| policy.log_density(&batch.observations, &batch.actions));
        let entropy = nn::no_grad(|| policy.distribution(&batch.observations).entropy());
        ImproveReport {
            kl: kl_divergence(&nn::to_f64(&after), &nn::to_f64(behaviour)),
            entropy: entropy.mean(Kind::Double).double_value(&[]),
            value_error,
            passes: steps as f64 * minibatch as f64 / rows as f64,
            gradient_norm: norms / steps.max(1) as f64,
            entropy_weight: self.agent.entropy_weight(objective.entropy_weight),
        }
    }

    fn memory(&self, objective: &Objective) -> Memory {
        let costs = self.replay.batches();
        let costs: Vec<Tensor> = costs
            .map(|b| Tensor::from_slice(&(objective.cost)(b)))
            .collect();
        Memory {
            rows: Rows::of(self.replay.batches(), &self.agent),
            cost: Tensor::cat(&costs, 0),
        }
    }

    /// Rescales the critics to the current costs.
    fn rescale(&mut self, memory: &Memory, objective: &Objective) {
        let horizon = 1.0 / (1.0 - self.settings().discount).max(1e-3);
        let std = memory.cost.std(false).double_value(&[]);
        self.agent.rescale(Scale {
            mean: memory.cost.mean(Kind::Double).double_value(&[]) * horizon,
            // A sum of `horizon` costs, at least the entropy's share.
            std: (std * horizon.sqrt())
                .max(objective.entropy_weight)
                .max(1e-6),
        });
    }

    /// c + γ (max C̄(s', a') + α log π(a' | s')), in the critics' units, `[N]`.
    fn target(
        &self,
        policy: &GaussianPolicy,
        memory: &Memory,
        rows: &Tensor,
        objective: &Objective,
        rng: &mut Stream,
    ) -> Tensor {
        let Scale { mean, std } = self.agent.scale();
        nn::no_grad(|| {
            let pick = |t: &Tensor| t.index_select(0, rows);
            let next = pick(&memory.rows.next_observations);
            let weight = objective.entropy_weight;
            let future = self
                .agent
                .soft_value(Critics::Target, policy, &next, weight, rng);
            let alive = pick(&memory.rows.alive);
            let target: Tensor = pick(&memory.cost) + future * alive * self.settings().discount;
            ((target - mean) / std).to_kind(Kind::Float)
        })
    }

    /// Share of the variance of the targets that the critics do not explain, before the step.
    fn value_error(
        &self,
        policy: &GaussianPolicy,
        memory: &Memory,
        objective: &Objective,
        seed: u64,
        iteration: usize,
    ) -> f64 {
        let mut rng = stream(seed, "sac_value_error", iteration as u64);
        let rows: Vec<i64> = (0..1024.min(memory.rows.count())).collect();
        let rows = Tensor::from_slice(&rows);
        let target = self.target(policy, memory, &rows, objective, &mut rng);
        let inputs = memory.rows.inputs.index_select(0, &rows);
        let miss = nn::no_grad(|| &self.agent.outputs(&inputs)[0] - &target);
        let variance = |t: &Tensor| t.var(false).double_value(&[]);
        variance(&miss) / variance(&target).max(1e-12)
    }

    /// Sets the factor of the step size for the next steps.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.agent.scale_learning_rate(factor);
    }

    /// Adds critics, optimisers, entropy weight and replay memory to `state`.
    pub fn save(&self, state: &mut StateDict) {
        self.agent.save(state);
        self.replay.save(state);
    }

    /// Restores what [`Sac::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.agent.load(state)?;
        self.replay.load(state)
    }
}
