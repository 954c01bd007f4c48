//! The networks of a soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905) and their steps, whatever the critics'
//! loss.
//!
//! Costs instead of rewards: C(s, a) = −Q(s, a) is the soft cost-to-go, V(s) = E_π[C(s, a) + α log π(a | s)], and of two
//! critics the larger (pessimistic) counts.

use costate_envs::rng::Stream;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::entropy_weight::EntropyWeight;
use super::sac::SacSettings;
use crate::nn::{Adam, AdamSettings, Mlp, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Normalizer};

/// Which critics a cost-to-go is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Critics {
    /// Those that learn.
    Current,
    /// Their exponential averages.
    Target,
}

/// Units of the critics' outputs: C = mean + std · network.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// C where the network says 0.
    pub mean: f64,
    /// C's change per unit.
    pub std: f64,
}

impl Scale {
    const IDENTITY: Self = Self {
        mean: 0.0,
        std: 1.0,
    };
}

/// One or two critics with their targets, an entropy weight, and the optimisers of critics and policy.
#[derive(Debug)]
pub struct ActorCritic {
    settings: SacSettings,
    normalizer: Normalizer,
    action_scale: ActionScale,
    critics: Vec<Mlp>,
    targets: Vec<Mlp>,
    scale: Option<Scale>,
    entropy_weight: EntropyWeight,
    /// Adam's current step size, also the entropy weight's.
    learning_rate: f64,
    policy_optimizer: Adam,
    critic_optimizer: Adam,
}

impl ActorCritic {
    /// Critics with weights from `rng` for `policy`, on its normalised observations and scaled actions.
    pub fn new(settings: &SacSettings, policy: &GaussianPolicy, rng: &mut Stream) -> Self {
        let normalizer = policy.normalizer().clone();
        let action_scale = policy.action_scale().clone();
        let inputs = normalizer.mean.len() + action_scale.half_range.len();
        let sizes: Vec<usize> = std::iter::once(inputs)
            .chain(settings.critic_hidden.iter().copied())
            .chain([1])
            .collect();
        let mut networks = || -> Vec<Mlp> {
            (0..settings.critics.max(1))
                .map(|_| Mlp::new(&sizes, 1.0, Kind::Float, rng))
                .collect()
        };
        let (critics, targets) = (networks(), networks());
        for (target, critic) in targets.iter().zip(&critics) {
            follow(target, critic, 1.0);
        }
        let adam = |learning_rate: f64| AdamSettings {
            learning_rate,
            max_gradient_norm: Some(10.0),
        };
        let all = critics.iter().flat_map(Mlp::parameters).collect();
        Self {
            policy_optimizer: Adam::new(adam(policy_learning_rate(settings)), policy.parameters()),
            critic_optimizer: Adam::new(adam(settings.learning_rate), all),
            settings: settings.clone(),
            normalizer,
            action_scale,
            critics,
            targets,
            scale: None,
            entropy_weight: EntropyWeight::new(settings.target_entropy, policy.action_scale()),
            learning_rate: settings.learning_rate,
        }
    }

    /// How it learns.
    pub fn settings(&self) -> &SacSettings {
        &self.settings
    }

    /// The entropy weight in use, `own` being the learner's.
    pub fn entropy_weight(&self, own: f64) -> f64 {
        self.entropy_weight.of(own)
    }

    /// The critics' inputs: normalised (s, a), `[N, observation_dim + action_dim]`.
    pub fn inputs(&self, observations: &Tensor, actions: &Tensor) -> Tensor {
        let s = self.normalizer.apply(observations);
        Tensor::cat(
            &[s, self.action_scale.apply(&actions.to_kind(Kind::Float))],
            1,
        )
    }

    /// Sets the units of the critics' outputs and preserves what they say (PopArt, van Hasselt et al. 2016). The first
    /// time there is nothing to preserve.
    pub fn rescale(&mut self, new: Scale) {
        if let Some(old) = self.scale {
            for network in self.critics.iter_mut().chain(&mut self.targets) {
                network.rescale_output(old.std / new.std, (old.mean - new.mean) / new.std);
            }
        }
        self.scale = Some(new);
    }

    /// Makes untrained critics say almost 0 everywhere: a policy should not follow what random ones prefer before they have
    /// learned anything.
    pub fn hush(&mut self) {
        for network in self.critics.iter_mut().chain(&mut self.targets) {
            network.rescale_output(0.01, 0.0);
        }
    }

    /// The units of the critics' outputs.
    pub fn scale(&self) -> Scale {
        self.scale.unwrap_or(Scale::IDENTITY)
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

    /// What each critic says, in the critics' units, `[N]` each.
    pub fn outputs(&self, inputs: &Tensor) -> Vec<Tensor> {
        let each = self.critics.iter();
        each.map(|c| c.forward(inputs).squeeze_dim(1)).collect()
    }

    /// C(s, a) by each critic, `[N]` in f64 each.
    pub fn costs_to_go(&self, inputs: &Tensor) -> Vec<Tensor> {
        let Scale { mean, std } = self.scale();
        let outputs = self.outputs(inputs).into_iter();
        outputs
            .map(|c| c.to_kind(Kind::Double) * std + mean)
            .collect()
    }

    /// max of the critics (the pessimistic estimate of a cost), in their units, `[N]`.
    fn pessimistic(&self, of: Critics, inputs: &Tensor) -> Tensor {
        let networks = match of {
            Critics::Current => &self.critics,
            Critics::Target => &self.targets,
        };
        let outputs = networks.iter().map(|c| c.forward(inputs));
        let most = outputs.reduce(|a, b| a.maximum(&b));
        most.expect("at least one critic").squeeze_dim(1)
    }

    /// C(s, a), the pessimistic one, `[N]` in f64.
    pub fn cost_to_go(&self, of: Critics, inputs: &Tensor) -> Tensor {
        let Scale { mean, std } = self.scale();
        self.pessimistic(of, inputs).to_kind(Kind::Double) * std + mean
    }

    /// V(s) = C(s, a) + α log π(a | s) at one a ~ π(· | s), `[N]` in f64; differentiable in the critics, not in the policy.
    /// `own` is the learner's entropy weight.
    pub fn soft_value(
        &self,
        of: Critics,
        policy: &GaussianPolicy,
        observations: &Tensor,
        own: f64,
        rng: &mut Stream,
    ) -> Tensor {
        let (actions, log_density) = crate::nn::no_grad(|| Self::act(policy, observations, rng));
        let inputs = self.inputs(observations, &actions);
        self.cost_to_go(of, &inputs) + log_density * self.entropy_weight(own)
    }

    /// A gradient step of the critics on `loss`. Returns the gradient's norm before clipping.
    pub fn descend(&mut self, loss: &Tensor) -> f64 {
        self.critic_optimizer.step(loss)
    }

    /// Descends E[α log π(a | s) + C(s, a)] over some states, and moves the entropy weight towards the target entropy.
    /// Returns the gradient's norm before clipping. `own` is the learner's entropy weight.
    pub fn step_policy(
        &mut self,
        policy: &GaussianPolicy,
        observations: &Tensor,
        own: f64,
        rng: &mut Stream,
    ) -> f64 {
        let (actions, log_density) = Self::act(policy, observations, rng);
        let c = self.pessimistic(Critics::Current, &self.inputs(observations, &actions));
        let entropy_cost = &log_density * (self.entropy_weight(own) / self.scale().std);
        let loss: Tensor = entropy_cost + c.to_kind(Kind::Double);
        let norm = self.policy_optimizer.step(&loss.mean(Kind::Double));
        if self.entropy_weight.adapts() {
            let log_density = log_density.mean(Kind::Double).double_value(&[]);
            self.entropy_weight.adapt(log_density, self.learning_rate);
        }
        norm
    }

    /// Moves the targets towards the critics.
    pub fn follow(&self) {
        for (target, critic) in self.targets.iter().zip(&self.critics) {
            follow(target, critic, self.settings.tau);
        }
    }

    /// Sets the factor of the step size for the next steps.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.learning_rate = self.settings.learning_rate * factor;
        self.policy_optimizer
            .set_learning_rate(policy_learning_rate(&self.settings) * factor);
        self.critic_optimizer.set_learning_rate(self.learning_rate);
    }

    /// Adds critics, their units, optimisers and entropy weight to `state`.
    pub fn save(&self, state: &mut StateDict) {
        for (i, (critic, target)) in self.critics.iter().zip(&self.targets).enumerate() {
            state.extend(critic.named(&format!("critic.{i}.")));
            state.extend(target.named(&format!("target.{i}.")));
        }
        let scale = self.scale.unwrap_or(Scale {
            mean: 0.0,
            std: -1.0,
        });
        state.insert_numbers("sac", &[scale.mean, scale.std, self.entropy_weight.state()]);
        self.policy_optimizer.save("policy_adam.", state);
        self.critic_optimizer.save("critic_adam.", state);
    }

    /// Restores what [`ActorCritic::save`] wrote.
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
        self.entropy_weight.load(numbers[2]);
        self.policy_optimizer.load("policy_adam.", state)?;
        self.critic_optimizer.load("critic_adam.", state)
    }
}

/// Adam's step size for the policy.
fn policy_learning_rate(settings: &SacSettings) -> f64 {
    settings
        .policy_learning_rate
        .unwrap_or(settings.learning_rate)
}

/// target ← (1 − τ) target + τ network.
fn follow(target: &Mlp, network: &Mlp, tau: f64) {
    crate::nn::no_grad(|| {
        for (mut t, n) in target.parameters().into_iter().zip(network.parameters()) {
            let moved: Tensor = &t * (1.0 - tau) + n * tau;
            t.copy_(&moved);
        }
    });
}
