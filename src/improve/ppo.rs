//! Proximal policy optimisation (Schulman et al. 2017) of cost minus entropy.

use costate_envs::rng::{Stream, stream};
use rand::seq::SliceRandom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::entropy_weight::EntropyWeight;
use super::gae::{Discount, advantages};
use super::{ImproveReport, kl_divergence};
use crate::batch::TrajectoryBatch;
use crate::nn::{self, AdamSettings, Descent, Mlp, Rows, StateDict, StateError};
use crate::policy::{GaussianPolicy, Likelihood, Normalizer};
use costate_base::schema::{fraction, open_unit, positive, resumable};

/// No improvement step may move the policy further than this (mean KL divergence, nats). The clip bounds the
/// gradient, not the step: a narrow policy (σ cloned from demonstrations) can jump in its first pass, before any
/// check, to where neither clip nor cost gives it a gradient.
const MAX_KL: f64 = 1.0;
const MAX_HALVINGS: usize = 20;

/// Step of log α per iteration, and per nat that an action dimension's entropy is short of its target. The weight must
/// wait for the policy: σ² = α/k of a quadratic cost answers log α by half as much, within some twenty iterations. At 0.3
/// the two swing about each other.
const ENTROPY_STEP: f64 = 0.1;

/// Settings of [`Ppo`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PpoSettings {
    /// Discount γ of the improvement step.
    #[schemars(transform = fraction)]
    pub discount: f64,
    /// Trace decay λ of the advantage estimate.
    #[schemars(range(min = 0.0, max = 1.0), transform = resumable)]
    pub gae_lambda: f64,
    /// Clip range ε of the probability ratio.
    #[schemars(transform = open_unit, transform = resumable)]
    pub clip: f64,
    /// Passes over the batch.
    #[schemars(range(min = 1), transform = resumable)]
    pub epochs: usize,
    /// Steps in a minibatch.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Adam's step size for the policy and the critic.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Passes end once the policy has moved by this many nats (mean KL divergence).
    #[schemars(transform = positive, transform = resumable)]
    pub target_kl: f64,
    /// Gradients are clipped to this norm.
    #[schemars(transform = positive, transform = resumable)]
    pub max_gradient_norm: f64,
    /// Units of each hidden layer of the critic.
    #[schemars(inner(range(min = 1)))]
    pub critic_hidden: Vec<usize>,
    /// Target entropy, nats per action dimension in units of half the range, held by adapting the entropy weight, which
    /// starts at the learner's own; null keeps that weight.
    #[serde(default)]
    pub target_entropy: Option<f64>,
}

/// PPO with a critic whose targets are normalised (PopArt, van Hasselt et al. 2016).
#[derive(Debug)]
pub struct Ppo {
    settings: PpoSettings,
    normalizer: Normalizer,
    critic: Mlp,
    /// Mean and standard deviation of cost to go: W(s) = mean + std · network(s).
    target: Option<TargetScale>,
    entropy_weight: EntropyWeight,
    /// Factor of the step sizes in this iteration.
    factor: f64,
    policy_optimizer: Descent,
    critic_optimizer: Descent,
}

#[derive(Debug, Clone, Copy)]
struct TargetScale {
    mean: f64,
    std: f64,
}

/// Training data of the two networks, of every step, `[S]`.
struct Targets {
    old_log_density: Vec<f64>,
    advantage: Vec<f64>,
    normalized_cost_to_go: Vec<f32>,
}

impl Ppo {
    /// An improver of `policy`, whose critic sees observations through the policy's normaliser.
    pub fn new(settings: &PpoSettings, policy: &GaussianPolicy, rng: &mut Stream) -> Self {
        let normalizer = policy.normalizer().clone();
        let sizes: Vec<usize> = std::iter::once(normalizer.mean.len())
            .chain(settings.critic_hidden.iter().copied())
            .chain([1])
            .collect();
        let critic = Mlp::new(&sizes, 1.0, Kind::Float, rng);
        let adam = AdamSettings {
            learning_rate: settings.learning_rate,
            max_gradient_norm: Some(settings.max_gradient_norm),
        };
        Self {
            policy_optimizer: Descent::new(adam, policy.weights().len()),
            critic_optimizer: Descent::new(adam, critic.weights().len()),
            entropy_weight: EntropyWeight::new(settings.target_entropy, policy.action_scale()),
            settings: settings.clone(),
            normalizer,
            critic,
            target: None,
            factor: 1.0,
        }
    }

    /// The entropy weight of the next step, `own` being the learner's.
    pub fn entropy_weight(&self, own: f64) -> f64 {
        self.entropy_weight.of(own)
    }

    /// One improvement step on the batch that `policy` collected.
    ///
    /// `soft_cost` is c(s_t, a_t) + α log π(a_t | s_t), `[S]`: minimising its sum maximises entropy with weight α, which
    /// then moves towards the target entropy. `behaviour` is log π(a_t | s_t) of the policy before the step, `[S]`.
    pub fn improve(
        &mut self,
        policy: &mut GaussianPolicy,
        batch: &TrajectoryBatch,
        soft_cost: &[f64],
        behaviour: &Tensor,
        seed: u64,
        iteration: usize,
    ) -> ImproveReport {
        let states = nn::rows(&self.normalizer.apply(&batch.observations));
        let (targets, value_error) = self.targets(batch, &states, soft_cost, behaviour);
        let (steps, epochs) = (batch.steps(), self.settings.epochs);
        let size = self.settings.minibatch.max(1);
        let minibatches = |name: &str| -> Vec<Vec<Vec<usize>>> {
            let epoch = |epoch| {
                let mut order: Vec<usize> = (0..steps).collect();
                let index = (iteration * epochs + epoch) as u64;
                order.shuffle(&mut stream(seed, name, index));
                order.chunks(size).map(<[usize]>::to_vec).collect()
            };
            (0..epochs).map(epoch).collect()
        };

        // The two networks share nothing: they learn side by side.
        let (critic, critic_optimizer) = (&mut self.critic, &mut self.critic_optimizer);
        let (settings, policy_optimizer) = (&self.settings, &mut self.policy_optimizer);
        let steps = Steps {
            states: &states,
            actions: &nn::rows(&batch.actions),
            targets: &targets,
        };
        let mut likelihood = Likelihood::of(policy);
        let mut weights = critic.weights();
        let mut network = critic.network();
        let improve_critic = || {
            for rows in minibatches("ppo_critic").iter().flatten() {
                // Of mean (W − target)².
                let share = 2.0 / rows.len() as f32;
                let (_, gradient) = network.descent(&states, rows, |block, predicted, slopes| {
                    for (k, &i) in block.iter().enumerate() {
                        let miss = predicted.row(k)[0] - targets.normalized_cost_to_go[i];
                        slopes.row_mut(k)[0] = share * miss;
                    }
                });
                critic_optimizer.step(&mut weights, &gradient.values());
                network.set(&weights);
            }
        };
        let improve_policy = || {
            improve_policy(
                settings,
                policy_optimizer,
                &mut likelihood,
                steps,
                &minibatches("ppo_policy"),
            )
        };
        let (mut report, ()) = rayon::join(improve_policy, improve_critic);
        critic.set_weights(&weights);
        policy.set_weights(likelihood.weights());
        report.value_error = value_error;
        let step = ENTROPY_STEP * self.factor / self.entropy_weight.dimensions();
        self.entropy_weight.adapt(-report.entropy, step);
        report
    }

    /// Advantages and normalised critic targets; updates the target scale.
    fn targets(
        &mut self,
        batch: &TrajectoryBatch,
        states: &Rows,
        soft_cost: &[f64],
        behaviour: &Tensor,
    ) -> (Targets, f64) {
        let finals = nn::rows(&self.normalizer.apply(&batch.finals));
        let scale = self.target.unwrap_or(TargetScale {
            mean: 0.0,
            std: 0.0,
        });
        let critic = self.critic.network();
        let predict = |x: &Rows| -> Vec<f64> {
            let normalized = critic.outputs(x).into_iter().map(f64::from);
            normalized.map(|v| scale.mean + scale.std * v).collect()
        };
        let (value, final_value) = (predict(states), predict(&finals));
        let mut next_value = Vec::with_capacity(value.len());
        let mut from = 0;
        for (&len, &last) in batch.lengths.iter().zip(&final_value) {
            next_value.extend_from_slice(&value[from + 1..from + len]);
            next_value.push(last);
            from += len;
        }
        let discount = Discount {
            gamma: self.settings.discount,
            lambda: self.settings.gae_lambda,
        };
        let estimate = advantages(
            soft_cost,
            &value,
            &next_value,
            &batch.lengths,
            &batch.ends,
            discount,
        );
        let to_go = moments(&estimate.cost_to_go);
        let errors: Vec<f64> = estimate
            .cost_to_go
            .iter()
            .zip(&value)
            .map(|(t, v)| t - v)
            .collect();
        let value_error = (moments(&errors).std / to_go.std).powi(2);

        // PopArt: preserve the critic's outputs while its scale changes. The first time there is nothing
        // to preserve.
        if self.target.is_some() {
            let to_new = scale.std / to_go.std;
            self.critic
                .rescale_output(to_new, (scale.mean - to_go.mean) / to_go.std);
        }
        self.target = Some(to_go);

        let a = moments(&estimate.advantage);
        let normalize = |values: &[f64], scale: TargetScale| -> Vec<f32> {
            let normalized = values.iter().map(|v| (v - scale.mean) / scale.std);
            normalized.map(|v| v as f32).collect()
        };
        let advantage = normalize(&estimate.advantage, a);
        let targets = Targets {
            old_log_density: nn::to_f64(behaviour),
            advantage: advantage.into_iter().map(f64::from).collect(),
            normalized_cost_to_go: normalize(&estimate.cost_to_go, to_go),
        };
        (targets, value_error)
    }

    /// Sets the factor of the step size for the next steps.
    pub fn scale_learning_rate(&mut self, factor: f64) {
        self.factor = factor;
        let learning_rate = self.settings.learning_rate * factor;
        self.policy_optimizer.set_learning_rate(learning_rate);
        self.critic_optimizer.set_learning_rate(learning_rate);
    }

    /// Adds critic, optimisers and an adapted entropy weight to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.extend(self.critic.named("critic."));
        let scale = self.target.unwrap_or(TargetScale {
            mean: 0.0,
            std: -1.0,
        });
        state.insert_numbers("critic_target", &[scale.mean, scale.std]);
        if self.entropy_weight.adapts() {
            state.insert_numbers("entropy_weight", &[self.entropy_weight.state()]);
        }
        self.policy_optimizer.save("policy_adam.", state);
        self.critic_optimizer.save("critic_adam.", state);
    }

    /// Restores what [`Ppo::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        state.copy_all(self.critic.named("critic."))?;
        let scale = state.numbers("critic_target", 2)?;
        self.target = (scale[1] > 0.0).then_some(TargetScale {
            mean: scale[0],
            std: scale[1],
        });
        if self.entropy_weight.adapts() {
            self.entropy_weight.load(state.scalar("entropy_weight")?);
        }
        self.policy_optimizer.load("policy_adam.", state)?;
        self.critic_optimizer.load("critic_adam.", state)
    }
}

/// What the policy learns from.
#[derive(Clone, Copy)]
struct Steps<'a> {
    /// Normalised, `[S, observation_dim]`.
    states: &'a Rows,
    /// `[S, action_dim]`.
    actions: &'a Rows,
    targets: &'a Targets,
}

/// Minimises E[max(−ρÂ, −clip(ρ, 1 ± ε)Â)] with ρ = π_new / π_old, until the KL divergence passes `target_kl`; a step
/// beyond [`MAX_KL`] is halved until it is within, as in the line search of TRPO (Schulman et al. 2015, appendix C).
fn improve_policy(
    settings: &PpoSettings,
    optimizer: &mut Descent,
    policy: &mut Likelihood,
    steps: Steps,
    orders: &[Vec<Vec<usize>>],
) -> ImproveReport {
    let (low, high) = (1.0 - settings.clip, 1.0 + settings.clip);
    let Steps {
        states,
        actions,
        targets,
    } = steps;
    let moved = |policy: &Likelihood| {
        kl_divergence(
            &policy.log_densities(states, actions),
            &targets.old_log_density,
        )
    };
    let before = policy.weights().to_vec();
    let (mut norms, mut updates, mut epochs, mut kl) = (0.0, 0, 0, 0.0);
    for minibatches in orders {
        for rows in minibatches {
            // ∂/∂log π of −mean min(ρÂ, clip(ρ)Â): −ρÂ where the clipped gain is not the smaller one.
            let slope = |i: usize, new: f64| {
                let ratio = (new - targets.old_log_density[i]).exp();
                let gain = ratio * targets.advantage[i];
                let clipped = ratio.clamp(low, high) * targets.advantage[i];
                if clipped < gain {
                    0.0
                } else {
                    -gain / rows.len() as f64
                }
            };
            let (_, gradient) = policy.descent(states, actions, rows, slope);
            policy.update(|weights| norms += optimizer.step(weights, &gradient));
            updates += 1;
        }
        epochs += 1;
        kl = moved(policy);
        if kl > settings.target_kl {
            break;
        }
    }
    // Written so that a NaN KL divergence counts as too large a step.
    for _ in 0..MAX_HALVINGS {
        if kl <= MAX_KL {
            break;
        }
        // θ ← ½(θ + θ_before).
        policy.update(|weights| {
            for (now, before) in weights.iter_mut().zip(&before) {
                *now = 0.5 * (*now + before);
            }
        });
        kl = moved(policy);
    }
    ImproveReport {
        kl,
        entropy: policy.mean_entropy(states),
        value_error: f64::NAN,
        passes: f64::from(epochs),
        gradient_norm: norms / f64::from(updates.max(1)),
        entropy_weight: 1.0,
    }
}

/// Mean and (positive) standard deviation.
fn moments(values: &[f64]) -> TargetScale {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    TargetScale {
        mean,
        std: variance.sqrt().max(1e-8),
    }
}
