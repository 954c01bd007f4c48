//! Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905) of cost minus entropy, from replayed rollouts.
//!
//! Costs instead of rewards: Q(s, a) is the soft cost-to-go, so the larger (pessimistic) of the two critics is used.
//! The cost may change between iterations: it is re-evaluated on all replayed transitions.

use std::collections::VecDeque;

use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{ImproveReport, Objective, kl_divergence};
use crate::batch::TrajectoryBatch;
use crate::nn::{Adam, AdamSettings, Mlp, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Normalizer};
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
    /// Coefficient τ of the target critics' exponential average.
    #[schemars(transform = fraction, transform = resumable)]
    pub tau: f64,
    /// Iterations whose rollouts are replayed.
    #[schemars(range(min = 1))]
    pub replay_iterations: usize,
    /// Units of each hidden layer of the critics.
    #[schemars(inner(range(min = 1)))]
    pub critic_hidden: Vec<usize>,
    /// Target entropy, nats per action dimension in units of half the range, held by adapting the entropy weight, which
    /// starts at the learner's own; null keeps that weight.
    pub target_entropy: Option<f64>,
}

impl Default for SacSettings {
    /// The common defaults.
    fn default() -> Self {
        Self {
            discount: 0.97,
            gradient_steps: 300,
            minibatch: 256,
            learning_rate: 1e-3,
            tau: 0.01,
            replay_iterations: 20,
            critic_hidden: vec![64, 64],
            target_entropy: None,
        }
    }
}

/// Two critics with their targets, an entropy weight and a replay memory.
#[derive(Debug)]
pub struct Sac {
    settings: SacSettings,
    normalizer: Normalizer,
    action_scale: ActionScale,
    critics: [Mlp; 2],
    targets: [Mlp; 2],
    /// Q = mean + std · network.
    scale: Option<Scale>,
    /// log of the entropy weight as a multiple of the learner's own.
    log_multiplier: f64,
    /// Adam's step size in this iteration, also the entropy weight's.
    learning_rate: f64,
    policy_optimizer: Adam,
    critic_optimizer: Adam,
    replay: VecDeque<TrajectoryBatch>,
}

#[derive(Debug, Clone, Copy)]
struct Scale {
    mean: f64,
    std: f64,
}

/// All replayed transitions, `[M, …]`.
struct Memory {
    observations: Tensor,
    /// A critic's inputs (s, a), both normalised.
    inputs: Tensor,
    next_observations: Tensor,
    /// 1 where s' has a future.
    alive: Tensor,
    cost: Tensor,
}

impl Sac {
    /// An improver of `policy`.
    pub fn new(settings: &SacSettings, policy: &GaussianPolicy, rng: &mut Stream) -> Self {
        let normalizer = policy.normalizer().clone();
        let action_scale = policy.action_scale().clone();
        let inputs = normalizer.mean.len() + action_scale.half_range.len();
        let sizes: Vec<usize> = std::iter::once(inputs)
            .chain(settings.critic_hidden.iter().copied())
            .chain([1])
            .collect();
        let mut critic = || Mlp::new(&sizes, 1.0, Kind::Float, rng);
        let critics = [critic(), critic()];
        let targets = [critic(), critic()];
        for (target, critic) in targets.iter().zip(&critics) {
            follow(target, critic, 1.0);
        }
        let adam = AdamSettings {
            learning_rate: settings.learning_rate,
            max_gradient_norm: Some(10.0),
        };
        let both = critics.iter().flat_map(Mlp::parameters).collect();
        Self {
            policy_optimizer: Adam::new(adam, policy.parameters()),
            critic_optimizer: Adam::new(adam, both),
            settings: settings.clone(),
            normalizer,
            action_scale,
            critics,
            targets,
            scale: None,
            log_multiplier: 0.0,
            learning_rate: settings.learning_rate,
            replay: VecDeque::new(),
        }
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
        if self.replay.len() == self.settings.replay_iterations.max(1) {
            self.replay.pop_front();
        }
        self.replay.push_back(batch.shallow_clone());
        let memory = self.memory(objective);
        self.rescale(&memory, objective);
        let value_error = self.value_error(policy, &memory, objective, seed, iteration);
        let mut rng = stream(seed, "sac", iteration as u64);
        let rows = memory.cost.size()[0];
        let mut norms = 0.0;
        for _ in 0..self.settings.gradient_steps {
            let drawn: Vec<i64> = (0..self.settings.minibatch)
                .map(|_| rng.random_range(0..rows))
                .collect();
            let drawn = Tensor::from_slice(&drawn);
            let target = self.target(policy, &memory, &drawn, objective, &mut rng);
            let inputs = memory.inputs.index_select(0, &drawn);
            let loss = self
                .critics
                .iter()
                .map(|critic| {
                    (critic.forward(&inputs).squeeze_dim(1) - &target)
                        .square()
                        .mean(Kind::Float)
                })
                .reduce(|a, b| a + b)
                .expect("two critics");
            self.critic_optimizer.step(&loss);
            // Untrained critics would destroy a cloned policy: at first only they learn.
            if iteration > 0 {
                norms += self.step_policy(policy, &memory, &drawn, objective, &mut rng);
            }
            for (target, critic) in self.targets.iter().zip(&self.critics) {
                follow(target, critic, self.settings.tau);
            }
        }
        let entropy = tch::no_grad(|| policy.distribution(&batch.observations).entropy());
        ImproveReport {
            kl: kl_divergence(policy, batch, behaviour),
            entropy: entropy.mean(Kind::Double).double_value(&[]),
            value_error,
            passes: self.settings.gradient_steps as f64 * self.settings.minibatch as f64
                / rows as f64,
            gradient_norm: norms / self.settings.gradient_steps.max(1) as f64,
            entropy_weight: self.entropy_weight(objective),
        }
    }

    fn entropy_weight(&self, objective: &Objective) -> f64 {
        // The multiple stays 1 without a target entropy.
        self.log_multiplier.exp() * objective.entropy_weight
    }

    fn critic_inputs(&self, observations: &Tensor, actions: &Tensor) -> Tensor {
        let s = self.normalizer.apply(observations);
        Tensor::cat(
            &[s, self.action_scale.apply(&actions.to_kind(Kind::Float))],
            1,
        )
    }

    fn memory(&self, objective: &Objective) -> Memory {
        let all = |f: &dyn Fn(&TrajectoryBatch) -> Tensor| {
            Tensor::cat(&self.replay.iter().map(f).collect::<Vec<_>>(), 0)
        };
        let observations = all(&|b| b.observations.shallow_clone());
        let actions = all(&|b| b.actions.shallow_clone());
        Memory {
            inputs: self.critic_inputs(&observations, &actions),
            observations,
            next_observations: all(&TrajectoryBatch::next_observations),
            alive: all(&TrajectoryBatch::alive),
            cost: all(&|b| Tensor::from_slice(&(objective.cost)(b))),
        }
    }

    /// Rescales the critics to the current costs and preserves their outputs (PopArt, van Hasselt et al. 2016). The
    /// first time there is nothing to preserve.
    fn rescale(&mut self, memory: &Memory, objective: &Objective) {
        let horizon = 1.0 / (1.0 - self.settings.discount).max(1e-3);
        let std = memory.cost.std(false).double_value(&[]);
        let new = Scale {
            mean: memory.cost.mean(Kind::Double).double_value(&[]) * horizon,
            // A sum of `horizon` costs, at least the entropy's share.
            std: (std * horizon.sqrt())
                .max(objective.entropy_weight)
                .max(1e-6),
        };
        if let Some(old) = self.scale {
            for network in self.critics.iter_mut().chain(&mut self.targets) {
                network.rescale_output(old.std / new.std, (old.mean - new.mean) / new.std);
            }
        }
        self.scale = Some(new);
    }

    fn scale(&self) -> Scale {
        self.scale.unwrap_or(Scale {
            mean: 0.0,
            std: 1.0,
        })
    }

    /// a ~ π(· | s) as μ(s) + σ ε, with log π(a | s), `[N, action_dim]` and `[N]` in f64.
    fn act(policy: &GaussianPolicy, observations: &Tensor, rng: &mut Stream) -> (Tensor, Tensor) {
        let pi = policy.distribution(observations);
        let noise: Vec<f64> = (0..pi.mean.numel())
            .map(|_| StandardNormal.sample(rng))
            .collect();
        let noise = Tensor::from_slice(&noise).view_as(&pi.mean);
        let actions = &pi.mean + pi.log_std.exp() * noise;
        let log_density = pi.log_density(&actions);
        (actions, log_density)
    }

    /// max of the two critics (the pessimistic estimate of a cost), in their units, `[N]`.
    fn pessimistic(networks: &[Mlp; 2], inputs: &Tensor) -> Tensor {
        let [a, b] = networks;
        a.forward(inputs).maximum(&b.forward(inputs)).squeeze_dim(1)
    }

    /// c + γ (max Q̄(s', a') + α log π(a' | s')), in the critics' units, `[N]`.
    fn target(
        &self,
        policy: &GaussianPolicy,
        memory: &Memory,
        rows: &Tensor,
        objective: &Objective,
        rng: &mut Stream,
    ) -> Tensor {
        let Scale { mean, std } = self.scale();
        tch::no_grad(|| {
            let pick = |t: &Tensor| t.index_select(0, rows);
            let next = pick(&memory.next_observations);
            let (actions, log_density) = Self::act(policy, &next, rng);
            let q = Self::pessimistic(&self.targets, &self.critic_inputs(&next, &actions));
            let future: Tensor =
                q.to_kind(Kind::Double) * std + mean + log_density * self.entropy_weight(objective);
            let target: Tensor =
                pick(&memory.cost) + future * pick(&memory.alive) * self.settings.discount;
            ((target - mean) / std).to_kind(Kind::Float)
        })
    }

    /// Descends E[α log π(a | s) + max Q(s, a)], and moves the entropy weight towards the target entropy.
    fn step_policy(
        &mut self,
        policy: &GaussianPolicy,
        memory: &Memory,
        rows: &Tensor,
        objective: &Objective,
        rng: &mut Stream,
    ) -> f64 {
        let observations = memory.observations.index_select(0, rows);
        let (actions, log_density) = Self::act(policy, &observations, rng);
        let q = Self::pessimistic(&self.critics, &self.critic_inputs(&observations, &actions));
        let entropy_cost = &log_density * (self.entropy_weight(objective) / self.scale().std);
        let loss: Tensor = entropy_cost + q.to_kind(Kind::Double);
        let norm = self.policy_optimizer.step(&loss.mean(Kind::Double));
        if let Some(target) = self.settings.target_entropy {
            // log π in units of half the range.
            let half_range = &self.action_scale.half_range;
            let units: f64 = half_range.iter().map(|h| f64::from(*h).ln()).sum();
            let log_density = log_density.mean(Kind::Double).double_value(&[]) + units;
            let missing = log_density + target * half_range.len() as f64;
            self.log_multiplier += self.learning_rate * missing;
        }
        norm
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
        let rows: Vec<i64> = (0..1024.min(memory.cost.size()[0])).collect();
        let rows = Tensor::from_slice(&rows);
        let target = self.target(policy, memory, &rows, objective, &mut rng);
        let inputs = memory.inputs.index_select(0, &rows);
        let miss = tch::no_grad(|| self.critics[0].forward(&inputs).squeeze_dim(1) - &target);
        let variance = |t: &Tensor| t.var(false).double_value(&[]);
        variance(&miss) / variance(&target).max(1e-12)
    }

    /// Sets the factor of the step size for the next steps.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.learning_rate = self.settings.learning_rate * factor;
        self.policy_optimizer.set_learning_rate(self.learning_rate);
        self.critic_optimizer.set_learning_rate(self.learning_rate);
    }

    /// Adds critics, optimisers, entropy weight and replay memory to `state`.
    pub fn save(&self, state: &mut StateDict) {
        for (i, (critic, target)) in self.critics.iter().zip(&self.targets).enumerate() {
            state.extend(critic.named(&format!("critic.{i}.")));
            state.extend(target.named(&format!("target.{i}.")));
        }
        let scale = self.scale.unwrap_or(Scale {
            mean: 0.0,
            std: -1.0,
        });
        state.insert_numbers("sac", &[scale.mean, scale.std, self.log_multiplier]);
        self.policy_optimizer.save("policy_adam.", state);
        self.critic_optimizer.save("critic_adam.", state);
        state.insert_numbers("replay.count", &[self.replay.len() as f64]);
        for (i, batch) in self.replay.iter().enumerate() {
            let mut rollouts = StateDict::default();
            batch.save(&mut rollouts);
            state.nest(&format!("replay.{i}."), rollouts);
        }
    }

    /// Restores what [`Sac::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        for (i, (critic, target)) in self.critics.iter().zip(&self.targets).enumerate() {
            state.copy_all(critic.named(&format!("critic.{i}.")))?;
            state.copy_all(target.named(&format!("target.{i}.")))?;
        }
        let numbers = state.numbers("sac", 3)?;
        self.scale = (numbers[1] > 0.0).then_some(Scale {
            mean: numbers[0],
            std: numbers[1],
        });
        self.log_multiplier = numbers[2];
        self.policy_optimizer.load("policy_adam.", state)?;
        self.critic_optimizer.load("critic_adam.", state)?;
        let count = state.scalar("replay.count")? as usize;
        self.replay = (0..count)
            .map(|i| TrajectoryBatch::load(&state.below(&format!("replay.{i}."))))
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// target ← (1 − τ) target + τ network.
fn follow(target: &Mlp, network: &Mlp, tau: f64) {
    tch::no_grad(|| {
        for (mut t, n) in target.parameters().into_iter().zip(network.parameters()) {
            let moved: Tensor = &t * (1.0 - tau) + n * tau;
            t.copy_(&moved);
        }
    });
}
