//! GCL: guided cost learning with a neural policy.
//!
//! Finn, Levine and Abbeel 2016 (arXiv 1603.00448), algorithm 2: descend
//! `L_IOC(θ) = E_P[c_θ] + log E_μ[exp(−c_θ(τ)) / μ(τ)]`, the partition function estimated by importance
//! sampling from demonstrations and the samples of the last policies together, μ(τ) = Σ_k (n_k/N) q_k(τ).
//! The demonstrations' own density, which is unknown, is approximated by that of a cloned policy.
//!
//! Two things differ from the paper, as in [`gan_gcl`](super::gan_gcl): log Z may depend on the start, E
//! = Σ c − V(s_T) + V(s_0) in place of Σ c; and the log-mean-exp is tempered, β log E_μ[exp(−(E + log μ)/β)],
//! which keeps the fixed point and lets more than one trajectory carry the gradient. The policy is a
//! network improved by PPO instead of a linear-Gaussian controller.

use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::adversarial::{Adversarial, AdversarialSettings, Adversary, Sides};
use super::algorithm::{Algorithm, Behaviour, SampleShare};
use super::background::{Background, log_policy};
use super::bc::fit;
use super::generator::{Generator, Sampled};
use super::rows::{Discrimination, Rows};
use super::{Learner, Setup};
use crate::batch::TrajectoryBatch;
use crate::cost::{ComposedCost, EnergyModel};
use crate::density::{effective_sample_size, log_add_exp};
use crate::discriminator;
use crate::error::Error;
use crate::metric::{Diagnostics, Metric, Spread, Spreads};
use crate::nn::{self, StateDict, StateError};
use crate::policy::GaussianPolicy;
use costate_base::schema::resumable;

/// Settings of GCL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GclSettings {
    /// What all adversarial learners have.
    #[serde(flatten)]
    pub adversarial: AdversarialSettings,
    /// Divisor β in the partition function; null means the horizon T, 1 is the paper's form.
    #[schemars(range(min = 1.0), transform = resumable)]
    pub beta: Option<f64>,
    /// Past policies in the background μ besides the current one.
    pub past_policies: usize,
    /// Passes of cloning behind the demonstrations' density.
    #[schemars(range(min = 1))]
    pub density_passes: usize,
}

impl Algorithm for GclSettings {
    const NAME: &'static str = "gcl";
    const ABOUT: &'static str =
        "a trajectory cost by the importance-sampled maximum-entropy objective";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/gcl.json");
}

impl Behaviour for GclSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        let sides = Sides::new(&self.adversarial, 0, setup)?;
        let gcl = Gcl::new(self, &sides, setup);
        let settings = &self.adversarial;
        Ok(Box::new(Adversarial::new(
            settings,
            sides,
            gcl,
            Vec::new(),
            setup,
        )?))
    }

    fn adversarial(&self) -> Option<&AdversarialSettings> {
        Some(&self.adversarial)
    }

    fn discrimination(&self, horizon: usize) -> Option<Discrimination> {
        Some(Discrimination {
            window: None,
            beta: self.beta_for(horizon),
        })
    }

    fn effective_samples(&self) -> Option<SampleShare> {
        Some(SampleShare::Pool)
    }
}

impl GclSettings {
    /// β for episodes of `horizon` steps.
    pub fn beta_for(&self, horizon: usize) -> f64 {
        self.beta.unwrap_or(horizon as f64)
    }
}

/// The adversary.
pub struct Gcl {
    beta: f64,
    demonstrations: TrajectoryBatch,
    /// The clone whose density approximates the demonstrations'.
    demonstrator: GaussianPolicy,
    background: Background,
    rows: Rows,
}

impl Adversary for Gcl {
    const STREAM: &'static str = "gradient_penalty";
    type Evidence = Pool;

    fn evidence(&self, _: &EnergyModel, samples: &Sampled, k: usize) -> Pool {
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
                // With overlap the current policy has already changed.
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

    fn loss(&mut self, model: &mut EnergyModel, pool: &Pool, _: &mut Stream) -> Tensor {
        self.ioc(model, pool).value
    }

    fn found(&mut self, model: &mut EnergyModel, pool: &Pool) -> (Diagnostics, Spreads) {
        let found = self.ioc(model, pool);
        model.set_log_z(found.log_z);
        let diagnostics = vec![
            (Metric::IocLoss, found.value.double_value(&[])),
            (Metric::Ess, found.ess),
            (Metric::LogZ, found.log_z),
        ];
        (diagnostics, vec![(Spread::LogWeight, found.log_weights)])
    }

    fn remember(&mut self, k: usize, samples: &Sampled) {
        self.background.push(k, &samples.policy, &samples.batch);
    }

    fn save(&self, state: &mut StateDict) {
        self.background.save(state);
    }

    fn load(&mut self, state: &StateDict, generator: &Generator) -> Result<(), StateError> {
        self.background.load(state, generator)
    }
}

/// All trajectories that the partition function is estimated from: demonstrations first, then samples.
pub struct Pool {
    batches: Vec<TrajectoryBatch>,
    /// log μ(τ) of every trajectory, `[N]`.
    log_density: Tensor,
}

/// L_IOC and its diagnostics.
struct Ioc {
    /// The loss, a scalar.
    value: Tensor,
    /// log E_μ[exp(−E)/μ], tempered.
    log_z: f64,
    /// Effective sample size of the weights, as a share of the pool.
    ess: f64,
    /// Log-weights of the pool, tempered.
    log_weights: Vec<f64>,
}

impl Gcl {
    fn new(settings: &GclSettings, sides: &Sides, setup: &Setup) -> Self {
        let mut demonstrator = sides.generator.policy.copy();
        let passes = settings.density_passes;
        fit(&mut demonstrator, &sides.demonstrations, passes, setup.seed);
        let rows = Rows::new(None).cut_like(&sides.demonstrations, setup.factory);
        Self {
            beta: settings.beta_for(setup.factory.spec().horizon),
            demonstrations: sides.demonstrations.shallow_clone(),
            demonstrator,
            background: Background::new(settings.past_policies, rows.clone()),
            rows,
        }
    }

    /// L_IOC(θ) = E_P[E_θ] + β log E_μ[exp(−(E_θ + log μ)/β)].
    fn ioc(&self, model: &EnergyModel, pool: &Pool) -> Ioc {
        let energies: Vec<Tensor> = pool
            .batches
            .iter()
            .map(|b| model.energy(b) + model.start_value(b))
            .collect();
        let all = Tensor::cat(&energies, 0);
        let found = discriminator::ioc_loss(&energies[0], &all, &pool.log_density, self.beta);
        let log_weights = nn::to_f64(&found.log_weights);
        Ioc {
            log_z: found.log_z.double_value(&[]),
            ess: effective_sample_size(&log_weights) / log_weights.len() as f64,
            value: found.value,
            log_weights,
        }
    }
}

#[cfg(test)]
mod tests {
    use costate_demos::Dataset;
    use costate_envs::{EnvConfig, Trajectory};

    use super::*;
    use crate::run::settings;

    /// Rollouts drawn ahead belong to the policy that drew them, not to the policy improved since.
    /// Verified to fail with the densities of the current policy.
    #[test]
    fn the_pool_is_evaluated_with_the_policy_that_drew_it() {
        tch::set_num_threads(1);
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
        let dataset = Dataset::open(&data).unwrap();
        let demonstrations: Vec<Trajectory> = (dataset.episodes().iter().take(2))
            .map(|e| e.trajectory.clone())
            .collect();
        let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
        let setup = Setup::new(&factory, &demonstrations);
        let set = |key: &str, value: &str| settings::Override {
            key: key.into(),
            value: value.into(),
        };
        let small = [set("trajectories", "2"), set("density_passes", "1")];
        let own: GclSettings = settings::resolve_typed("point_mass", &small).unwrap();
        let mut sides = Sides::new(&own.adversarial, 0, &setup).unwrap();
        let gcl = Gcl::new(&own, &sides, &setup);
        let samples = sides.generator.rollouts(0).unwrap();
        let density = |sides: &Sides| {
            let pool = gcl.evidence(&sides.model, &samples, 0);
            nn::to_f64(&pool.log_density)
        };
        let before = density(&sides);
        for mut weight in sides.generator.policy.parameters() {
            let _ = nn::no_grad(|| weight.g_add_scalar_(0.1));
        }
        assert_eq!(density(&sides), before);
    }
}
