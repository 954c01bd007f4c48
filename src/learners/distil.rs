//! One neural policy distilled from many controllers: supervised learning on the states that they visit.
//!
//! Levine and Abbeel 2014, section 4, with the divergence reversed: minimise Σ KL(q_i(u | x) ‖ π(u | x)), whose
//! minimiser is the mixture's mean and spread, and needs no density but π's.

use std::sync::Arc;

use costate_envs::actor::Behaviour;
use costate_envs::linear::LinearController;
use costate_envs::rng::stream;
use costate_envs::{Trajectory, actor::ActionDistribution};
use rand::RngExt;
use tch::{Kind, Tensor};

use crate::batch::TrajectoryBatch;
use crate::nn::{self, Adam, AdamSettings, StateDict, StateError};
use crate::policy::GaussianPolicy;

/// Steps per minibatch.
const MINIBATCH: usize = 256;

/// States, and the Gaussian that the policy should match in each.
#[derive(Debug)]
pub struct Lessons {
    /// `[S, observation_dim]`.
    observations: Tensor,
    /// `[S, action_dim]`.
    means: Tensor,
    /// Diagonal of the covariance, `[S, action_dim]`.
    variances: Tensor,
}

impl Lessons {
    /// What each controller does in the states of its trajectories.
    pub fn of(trajectories: &[(&Trajectory, &Arc<LinearController>)]) -> Option<Self> {
        let (mut means, mut variances) = (Vec::new(), Vec::new());
        for (trajectory, controller) in trajectories {
            let mut scratch = controller.scratch();
            for t in 0..trajectory.len() {
                controller.act(t, trajectory.observation(t), &mut scratch);
                means.extend_from_slice(scratch.mean());
                variances.extend(scratch.variances().map(|v| v as f32));
            }
        }
        let batch = TrajectoryBatch::new(trajectories.iter().map(|(t, _)| *t))?;
        let width = batch.actions.size()[1] as usize;
        Some(Self {
            observations: batch.observations,
            means: nn::matrix(&means, width),
            variances: nn::matrix(&variances, width),
        })
    }

    /// The demonstrated actions with zero variance: they already contain the demonstrator's noise.
    pub fn demonstrated(batch: &TrajectoryBatch) -> Self {
        Self {
            observations: batch.observations.shallow_clone(),
            means: batch.actions.shallow_clone(),
            variances: batch.actions.zeros_like(),
        }
    }

    fn rows(&self) -> i64 {
        self.observations.size()[0]
    }
}

/// A policy in training.
pub struct Distillation {
    /// The policy so far.
    pub policy: GaussianPolicy,
    optimizer: Adam,
    learning_rate: f64,
}

impl Distillation {
    /// Starts from an untrained policy.
    pub fn new(policy: GaussianPolicy, learning_rate: f64) -> Self {
        let adam = AdamSettings {
            learning_rate,
            max_gradient_norm: None,
        };
        Self {
            optimizer: Adam::new(adam, policy.parameters()),
            policy,
            learning_rate,
        }
    }

    /// `steps` gradient steps on lessons, drawn equally from each source; the factor of the step size moves linearly from
    /// `first` to `last`. Returns the mean loss, nats per step: KL(q ‖ π) + H(q).
    pub fn learn(
        &mut self,
        sources: &[Lessons],
        steps: usize,
        [first, last]: [f64; 2],
        seed: u64,
        k: usize,
    ) -> f64 {
        let mut rng = stream(seed, "distillation", k as u64);
        let mut total = 0.0;
        for i in 0..steps {
            let share = first + (last - first) * i as f64 / steps as f64;
            self.optimizer.set_learning_rate(self.learning_rate * share);
            let losses = sources.iter().map(|lessons| {
                let rows: Vec<i64> = (0..MINIBATCH)
                    .map(|_| rng.random_range(0..lessons.rows()))
                    .collect();
                let pick = |t: &Tensor| t.index_select(0, &Tensor::from_slice(&rows));
                let pi = self.policy.distribution(&pick(&lessons.observations));
                // −E_q[log π(u)] = −log π(E_q[u]) + ½ Σ_j Var_q(u_j)/σ_j².
                let precision = (&pi.log_std * -2.0).exp();
                let spread = pick(&lessons.variances) * precision * 0.5;
                spread.sum(Kind::Double) / MINIBATCH as f64
                    - pi.log_density(&pick(&lessons.means)).mean(Kind::Double)
            });
            let loss = losses.reduce(|a, b| a + b);
            let Some(loss) = loss.map(|l| l / sources.len() as f64) else {
                return 0.0;
            };
            total += loss.double_value(&[]);
            self.optimizer.step(&loss);
        }
        total / steps.max(1) as f64
    }

    /// Adds policy and optimiser to `state`.
    pub fn save(&self, state: &mut StateDict) {
        self.policy.save(state);
        self.optimizer.save("policy_adam.", state);
    }

    /// Restores what [`Distillation::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)?;
        self.optimizer.load("policy_adam.", state)
    }
}
