//! GCL: guided cost learning with a neural policy.
//!
//! Finn, Levine and Abbeel 2016 (arXiv 1603.00448), algorithm 2: descend
//! `L_IOC(θ) = E_P[c_θ] + log E_μ[exp(−c_θ(τ)) / μ(τ)]`, the partition function estimated by importance
//! sampling from demonstrations and the samples of the last policies together, μ(τ) = Σ_k (n_k/N) q_k(τ).
//! The demonstrations' own density, which nobody knows, is that of a cloned policy.
//!
//! Two things differ from the paper, as in [`gan_gcl`](super::gan_gcl): log Z may depend on the start, E
//! = Σ c − V(s_T) + V(s_0) in place of Σ c; and the log-mean-exp is tempered, β log E_μ[exp(−(E + log μ)/β)],
//! which keeps the fixed point and lets more than one trajectory carry the gradient. The policy is a
//! network improved by PPO instead of a linear-Gaussian controller.

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::background::{Background, log_policy};
use super::bc::clone;
use super::cost_side::CostSide;
use super::generator::{Generator, Sampled};
use super::rows::Rows;
use super::sides::{Shared, Sides, shared};
use super::{Learner, Report, Task, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::density::{effective_sample_size, log_add_exp};
use crate::discriminator;
use crate::error::Error;
use crate::improve::{Improvement, Objective, PpoSettings, SacSettings};
use crate::nn::{self, StateDict, StateError};
use crate::policy::{GaussianPolicy, Learned, PolicySettings};

/// Settings of [`Gcl`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GclSettings {
    /// Iterations: each samples, updates the cost, improves the policy.
    pub iterations: usize,
    /// Passes of behaviour cloning that the policy starts with; 0 starts from nothing.
    pub warm_start: usize,
    /// Steps of behaviour cloning, judged by held-out demonstrations, that the policy starts with: the start that
    /// GAN-GCL's base policy gives. 0 starts from nothing.
    #[serde(default)]
    pub clone_steps: usize,
    /// Trajectories sampled an iteration.
    pub trajectories: usize,
    /// Divisor β in the partition function; null means the horizon T, 1 is the paper's form.
    pub beta: Option<f64>,
    /// Past policies in the background μ besides the current one.
    pub past_policies: usize,
    /// Passes of cloning behind the demonstrations' density.
    pub density_passes: usize,
    /// Steps on the cost an iteration.
    pub cost_steps: usize,
    /// Adam's step size for the cost and the soft value.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration; they fall linearly.
    pub learning_rate_left: f64,
    /// The cost and the soft value.
    pub cost: CostSettings,
    /// Penalties on the cost.
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
}

impl GclSettings {
    /// What all adversarial learners have.
    pub fn shared(&self) -> Shared<'_> {
        shared!(self, cost_steps)
    }

    /// β for episodes of `horizon` steps.
    pub fn beta_for(&self, horizon: usize) -> f64 {
        self.beta.unwrap_or(horizon as f64)
    }
}

/// The learner.
pub struct Gcl {
    settings: GclSettings,
    seed: u64,
    beta: f64,
    demonstrations: TrajectoryBatch,
    /// The clone whose density stands for the demonstrations'.
    demonstrator: GaussianPolicy,
    generator: Generator,
    background: Background,
    rows: Rows,
    cost: CostSide,
}

impl Learner for Gcl {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = self.settings.clone();
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.cost.slow_down(left);

        // τ ~ q; the partition function is estimated from all that the background holds.
        let samples = self.generator.rollouts(k)?;
        let pool = self.pool(&samples, k);

        // θ: descend L_IOC.
        let mut rng = stream(self.seed, "gradient_penalty", k as u64);
        let mut gradient_norm = 0.0;
        for _ in 0..s.cost_steps {
            let loss = self.loss(&pool).value;
            gradient_norm = self.cost.descend(loss, &samples.batch, &mut rng);
        }
        let found = tch::no_grad(|| self.loss(&pool));
        self.cost.model.set_log_z(found.log_z);

        // φ: minimise E_q[c + log q], c shaped by V, which changes no trajectory's rank.
        self.background.push(k, &samples.policy, &samples.batch);
        let diagnostics = vec![
            ("ioc_loss", found.value.double_value(&[])),
            ("ess", found.ess),
            ("log_z", found.log_z),
            ("cost_gradient_norm", gradient_norm),
        ];
        let model = &self.cost.model;
        let objective = Objective {
            cost: &|batch| model.shaped_cost(batch),
            entropy_weight: 1.0,
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
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.generator.load(state)?;
        self.background.load(state, &self.generator)?;
        self.cost.load(state)
    }
}

/// Everything that the partition function is estimated from: demonstrations first, then samples.
struct Pool {
    batches: Vec<TrajectoryBatch>,
    /// log μ(τ) of every trajectory, `[N]`.
    log_density: Tensor,
}

/// L_IOC and what it says.
struct Ioc {
    /// The loss, a scalar.
    value: Tensor,
    /// log E_μ[exp(−E)/μ], tempered.
    log_z: f64,
    /// Effective sample size of the weights, as a share of the pool.
    ess: f64,
}

impl Gcl {
    /// A learner at its start.
    pub fn new(settings: &GclSettings, task: &Task) -> Result<Self, Error> {
        let Sides {
            generator,
            cost,
            demonstrations,
        } = Sides::new(settings.shared(), task, Vec::new())?;
        let demonstrator = generator.policy.copy();
        clone(
            &demonstrator,
            &demonstrations,
            settings.density_passes,
            task.seed,
        );
        let rows = Rows::new(None).cut_like(&demonstrations, task.factory);
        Ok(Self {
            beta: settings.beta_for(task.factory.spec().horizon),
            settings: settings.clone(),
            seed: task.seed,
            cost,
            demonstrations,
            demonstrator,
            generator,
            background: Background::new(settings.past_policies, rows.clone()),
            rows,
        })
    }

    fn pool(&self, samples: &Sampled, k: usize) -> Pool {
        let batch = &self.rows.of_rollouts(&samples.batch, k);
        let count = batch.len();
        let mut batches = vec![self.demonstrations.shallow_clone(), batch.shallow_clone()];
        batches.extend(
            self.background
                .samples()
                .map(TrajectoryBatch::shallow_clone),
        );
        let total: usize = batches.iter().map(TrajectoryBatch::len).sum();
        let share = self.demonstrations.len() as f64 / total as f64;
        let (log_share, log_rest) = (share.ln(), (-share).ln_1p());
        let log_density: Vec<f64> = batches
            .iter()
            .enumerate()
            .flat_map(|(i, batch)| {
                let recorded = match i {
                    1 => batch.behaviour_log_density(),
                    _ => None,
                };
                // With overlap the present policy is already another.
                let current = recorded.unwrap_or_else(|| log_policy(&samples.policy, batch));
                let policies = nn::to_f64(&self.background.log_density(batch, &current, count));
                let expert = nn::to_f64(&log_policy(&self.demonstrator, batch));
                policies
                    .into_iter()
                    .zip(expert)
                    .map(|(q, p)| log_add_exp(log_rest + q, log_share + p))
                    .collect::<Vec<_>>()
            })
            .collect();
        Pool {
            batches,
            log_density: Tensor::from_slice(&log_density),
        }
    }

    /// L_IOC(θ) = E_P[E_θ] + β log E_μ[exp(−(E_θ + log μ)/β)].
    fn loss(&self, pool: &Pool) -> Ioc {
        let energies: Vec<Tensor> = pool
            .batches
            .iter()
            .map(|b| self.cost.model.energy(b) + self.cost.model.start_value(b))
            .collect();
        let all = Tensor::cat(&energies, 0);
        let found = discriminator::ioc_loss(&energies[0], &all, &pool.log_density, self.beta);
        let log_weights = nn::to_f64(&found.log_weights);
        Ioc {
            log_z: found.log_z.double_value(&[]),
            ess: effective_sample_size(&log_weights) / log_weights.len() as f64,
            value: found.value,
        }
    }
}

#[cfg(test)]
mod tests {
    use costate_demos::Dataset;
    use costate_envs::{EnvConfig, Trajectory};

    use super::*;
    use crate::audit::Sealer;
    use crate::run::{Algo, settings};

    /// Rollouts that were drawn ahead belong to the policy that drew them, not to the one that has been improved since.
    /// Seen to fail with the densities of the present policy.
    #[test]
    fn the_pool_is_evaluated_with_the_policy_that_drew_it() {
        tch::set_num_threads(1);
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
        let dataset = Dataset::open(&data).unwrap();
        let demonstrations: Vec<Trajectory> = (dataset.episodes().iter().take(2))
            .map(|e| e.trajectory.clone())
            .collect();
        let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
        let task = Task {
            sealer: Sealer::unwatched(),
            factory: &factory,
            demonstrations: &demonstrations,
            starts: &[],
            expert: "mppi",
            seed: 0,
            workers: 1,
        };
        let set = |key: &str, value: &str| settings::Override {
            key: key.into(),
            value: value.into(),
        };
        let small = [set("trajectories", "2"), set("density_passes", "1")];
        let Algo::Gcl(own) = settings::resolve("gcl", "point_mass", None, &small).unwrap() else {
            panic!("another algorithm");
        };
        let mut learner = Gcl::new(&own, &task).unwrap();
        let samples = learner.generator.rollouts(0).unwrap();
        let before = nn::to_f64(&learner.pool(&samples, 0).log_density);
        for mut weight in learner.generator.policy.parameters() {
            let _ = tch::no_grad(|| weight.g_add_scalar_(0.1));
        }
        assert_eq!(nn::to_f64(&learner.pool(&samples, 0).log_density), before);
    }
}
