//! GCL as originally published: linear-Gaussian controllers in place of a neural policy.
//!
//! Finn, Levine and Abbeel 2016 (arXiv 1603.00448), algorithm 1: sample from the controllers, descend
//! `L_IOC(θ) = E_P[c_θ] + log E_μ[exp(−c_θ(τ)) / μ(τ)]` with c_θ(x, u) = ‖A y_θ(x) + b‖² + w ‖u‖² (equation 4) and μ the
//! fusion of all controllers and the demonstrations' density, improve the controllers by an LQG step within a KL bound
//! under dynamics fitted to the samples. There is one controller for each of a few starts, and one cost.
//!
//! The controllers' density is conditional on the start, so every start with a demonstration has its own partition
//! function, weighted by its share of the demonstrations; trajectories from other starts carry no information about the
//! cost. Other differences from the paper: the log-mean-exp may be tempered by β, only the last few iterations' samples are
//! kept, a gradient penalty may be added to the regularisers, and a step that fails is reverted. A neural policy is
//! distilled from the controllers along the way, so that the run can act from any start. The last iteration only samples:
//! its rollouts show what was learned.

use costate_envs::Trajectory;
use costate_envs::rng::{derive_seed, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::algorithm::{Algorithm, Behaviour};
use super::conditions::{Conditions, ControllerSettings, FirstController, demonstrators};
use super::cost_side::CostSide;
use super::distil::{Distillation, Lessons};
use super::fusion::{Demonstrator, Fusion};
use super::generator::{batch, energy_model};
use super::rows::Discrimination;
use super::{Learner, Report, Setup, diverged, learning_rate_factor};
use crate::batch::TrajectoryBatch;
use crate::collect::Collector;
use crate::cost::{ComposedCost, CostForm, CostSettings, EnergyModel, Regularizers};
use crate::density::effective_sample_size;
use crate::discriminator;
use crate::error::Error;
use crate::lqg::{Controller, Path, Scales};
use crate::metric::Metric;
use crate::nn::{self, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, PolicySettings};
use costate_base::schema::{fraction, positive, resumable};

/// Settings of [`GclLqg`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GclLqgSettings {
    /// Iterations: each samples, updates the cost, improves the controllers; the last one only samples, and the one before it
    /// takes no step that could not be taken back.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Starts with a controller each: those of the first demonstrations.
    #[schemars(range(min = 1))]
    pub conditions: usize,
    /// Rollouts of each controller an iteration.
    #[schemars(range(min = 2))]
    pub samples: usize,
    /// Iterations whose rollouts and controllers make the background μ.
    #[schemars(range(min = 1))]
    pub background: usize,
    /// Divisor β in the partition function; null means the horizon T, 1 is the paper's form.
    #[schemars(range(min = 1.0), transform = resumable)]
    pub beta: Option<f64>,
    /// Steps on the cost an iteration.
    #[schemars(range(min = 1), transform = resumable)]
    pub cost_steps: usize,
    /// Adam's step size for the cost and the soft value.
    #[schemars(transform = positive, transform = resumable)]
    pub cost_learning_rate: f64,
    /// Factor of all step sizes in the last iteration; they fall linearly from 1.
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// The controllers.
    pub controllers: ControllerSettings,
    /// The cost and the soft value.
    pub cost: CostSettings,
    /// Penalties on the cost.
    pub regularizers: Regularizers,
    /// Steps an iteration on the policy that is distilled from the controllers.
    #[schemars(range(min = 1))]
    pub distillation_steps: usize,
    /// Steps on it in the last iteration, when the controllers no longer change.
    #[schemars(range(min = 1))]
    pub last_distillation_steps: usize,
    /// Adam's step size for it.
    #[schemars(transform = positive, transform = resumable)]
    pub distillation_learning_rate: f64,
    /// Whether it learns from the demonstrations as well.
    pub distil_demonstrations: bool,
    /// The policy.
    pub policy: PolicySettings,
}

impl Algorithm for GclLqgSettings {
    const NAME: &'static str = "gcl-lqg";
    const ABOUT: &'static str = "guided cost learning as first published, with controllers";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/gcl-lqg.json");
}

impl Behaviour for GclLqgSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(GclLqg::new(self, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        if self.cost.action_penalty <= 0.0 {
            return Err(format!(
                "setting `cost.action_penalty` is {}, expected a positive number",
                self.cost.action_penalty
            ));
        }
        if self.cost.form != CostForm::Features {
            return Err(
                "the LQG step expands a quadratic in learned features; set cost.form=features"
                    .into(),
            );
        }
        self.cost.check()?;
        self.policy.check_initial()
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![
            ("cost_learning_rate", self.cost_learning_rate),
            (
                "distillation_learning_rate",
                self.distillation_learning_rate,
            ),
            ("controllers.kl_step", self.controllers.kl_step),
        ]
    }

    fn discrimination(&self, horizon: usize) -> Option<Discrimination> {
        Some(Discrimination {
            window: None,
            beta: self.beta_for(horizon),
        })
    }
}

impl GclLqgSettings {
    /// β for episodes of `horizon` steps.
    pub fn beta_for(&self, horizon: usize) -> f64 {
        self.beta.unwrap_or(horizon as f64)
    }
}

/// The learner.
pub struct GclLqg {
    settings: GclLqgSettings,
    seed: u64,
    beta: f64,
    demonstrations: Demonstrations,
    conditions: Conditions,
    fusion: Fusion,
    cost: CostSide,
    distillation: Distillation,
}

/// Demonstrations, and which of them start where a controller does.
struct Demonstrations {
    batch: TrajectoryBatch,
    trajectories: Vec<Trajectory>,
    /// Index of each demonstration's start, if it has a controller.
    conditions: Vec<Option<usize>>,
}

impl Learner for GclLqg {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let factor = learning_rate_factor(s.learning_rate_end_factor, k, s.iterations);
        self.cost.scale_learning_rate(factor);

        // τ ~ q_i of every start i, added to the background.
        let (newest, audit) = self.conditions.sample(k)?;
        let env_steps = newest.batch.steps() as u64;
        let kept = s.background.min(k + 1);
        self.conditions.adapt(&self.cost.model, &newest, kept);
        self.fusion.push(newest);
        let last = k + 1 == s.iterations;

        // θ: descend L_IOC.
        let pool = self.pool();
        let (demonstrations, beta) = (&self.demonstrations.batch, self.beta);
        let newest = (s.conditions * s.samples) as i64;
        let mut gradient_norm = 0.0;
        if !last {
            let mut rng = stream(self.seed, "gradient_penalty", k as u64);
            for _ in 0..s.cost_steps {
                gradient_norm = self.cost.descend(&pool.samples, &mut rng, |model, _| {
                    Ioc::of(model, demonstrations, newest, beta, &pool).value
                });
            }
        }
        let found = nn::no_grad(|| Ioc::of(&self.cost.model, demonstrations, newest, beta, &pool));
        self.cost.model.set_log_z(found.log_z);

        // q_i: an LQG step within the KL bound, unless too few iterations remain to test it and revert a failure.
        let step = match k + 2 >= s.iterations {
            true => Default::default(),
            false => self.conditions.improve(&self.cost.model, &self.fusion)?,
        };

        // π: what the controllers did.
        let done = self.fusion.past().flat_map(|r| r.drawn());
        let mut lessons: Vec<Lessons> =
            Lessons::of(&done.collect::<Vec<_>>()).into_iter().collect();
        if s.distil_demonstrations {
            lessons.push(Lessons::demonstrated(&self.demonstrations.batch));
        }
        let distilled = &mut self.distillation;
        let (steps, shares) = match last {
            true => (s.last_distillation_steps, [1.0, s.learning_rate_end_factor]),
            false => (s.distillation_steps, [factor, factor]),
        };
        let loss = distilled.learn(&lessons, steps, shares, self.seed, k);
        if !(distilled.policy.is_finite() && self.cost.model.is_finite()) {
            return Err(diverged(k));
        }
        let mut diagnostics = vec![
            (Metric::IocLoss, found.value.double_value(&[])),
            (Metric::Ess, found.ess),
            (Metric::EssPlain, found.ess_plain),
            (Metric::LogZ, found.log_z),
            (Metric::CostGradientNorm, gradient_norm),
            (Metric::Entropy, self.conditions.entropy()),
            (Metric::Kl, step.kl),
            (Metric::Eta, step.eta),
            (Metric::KlBound, step.bound),
            (Metric::Stuck, step.stuck),
            (Metric::TakenBack, step.taken_back),
            (Metric::DynamicsError, step.dynamics_error),
            (Metric::DistillationLoss, loss),
        ];
        diagnostics.extend([
            (Metric::DemonstratedEnergy, found.expert_energy),
            (Metric::SampledEnergy, found.newest_energy),
        ]);
        Ok(Report {
            diagnostics,
            env_steps,
            audit: Some(audit),
            ..Report::default()
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Gaussian(&self.distillation.policy)
    }

    fn energy_model(&self) -> Option<&EnergyModel> {
        Some(&self.cost.model)
    }

    fn save(&self) -> StateDict {
        let mut state = StateDict::default();
        self.conditions.save(&mut state);
        self.fusion.save(&mut state);
        self.cost.save(&mut state);
        self.distillation.save(&mut state);
        state
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.conditions.load(state)?;
        self.fusion.load(state)?;
        self.cost.load(state)?;
        self.distillation.load(state)
    }
}

/// All trajectories that partition functions are estimated from: demonstrations first, then rollouts.
struct Pool {
    /// The rollouts.
    samples: TrajectoryBatch,
    starts: Vec<PoolStart>,
}

/// The part of the pool from one start.
struct PoolStart {
    /// Its share of the demonstrations from starts with a controller.
    share: f64,
    /// Indices of its demonstrations in the pool, `[N_P]`.
    demonstrated: Tensor,
    /// Indices of all its trajectories, `[N]`.
    all: Tensor,
    /// log μ(τ) of these, `[N]`.
    log_density: Tensor,
}

/// L_IOC and its diagnostics.
struct Ioc {
    /// The loss, a scalar.
    value: Tensor,
    /// log E_μ[exp(−E)/μ], tempered, averaged over the starts.
    log_z: f64,
    /// Mean E + V(s_0) of the demonstrations, nats.
    expert_energy: f64,
    /// The same of the newest rollouts.
    newest_energy: f64,
    /// Effective sample size of the weights, as a share of a start's pool, averaged over the starts.
    ess: f64,
    /// The same of the weights at β = 1.
    ess_plain: f64,
}

impl GclLqg {
    /// A learner in its initial state.
    pub fn new(settings: &GclLqgSettings, setup: &Setup) -> Result<Self, Error> {
        let spec = setup.factory.spec();
        let horizon = spec.horizon;
        full_length(setup)?;
        let normalizer = Normalizer::fit(spec.observation.dim(), &[setup.demonstrations]);
        let scale = ActionScale::of(spec);
        let scales = Scales::new(
            &normalizer.mean,
            &normalizer.std,
            &scale.centre,
            &scale.half_range,
        );
        let mut weights = stream(setup.seed, "policy_weights", 0);
        let policy = GaussianPolicy::new(
            &spec.name,
            &settings.policy,
            normalizer,
            scale,
            &mut weights,
        );

        let starts = starts(settings.conditions, setup);
        let demonstrations = Demonstrations::new(setup, &starts)?;
        let paths: Vec<Path> = (setup.demonstrations.iter())
            .map(|t| Path::new(t, &scales))
            .collect();
        let experts = demonstrators(
            &paths,
            &demonstrations.conditions,
            starts.len(),
            &settings.controllers,
            setup.seed,
        );
        let acting = |(expert, count): (&Controller, usize)| {
            let density = scales.actor(expert);
            let density =
                density.map_err(|e| Error::Failure(format!("the demonstrations' density: {e}")))?;
            Ok::<_, Error>(Demonstrator { density, count })
        };
        let counted = experts.iter().zip(demonstrations.counts(starts.len()));
        let acting = counted.map(acting).collect::<Result<_, _>>()?;
        let fusion = Fusion::new(settings.background, scales.clone(), acting);
        let (n, m) = scales.dims();
        let noise = Controller::noise(n, m, horizon, settings.controllers.noise_std);
        let first = match settings.controllers.first {
            FirstController::Demonstrations => experts,
            FirstController::Noise => vec![noise; starts.len()],
        };
        let conditions = Conditions::new(
            &settings.controllers,
            Collector::new(setup.factory, setup.player(), setup.seed, setup.sealer),
            (&starts, settings.samples),
            first,
            (paths, scales),
            setup.seed,
        );
        let model = energy_model(&settings.cost, &spec.observation, &policy, setup.seed)?;
        Ok(Self {
            beta: settings.beta_for(horizon),
            settings: settings.clone(),
            seed: setup.seed,
            cost: CostSide::new(
                model,
                settings.cost_learning_rate,
                settings.regularizers,
                demonstrations.batch.shallow_clone(),
                Vec::new(),
            ),
            demonstrations,
            conditions,
            fusion,
            distillation: Distillation::new(policy, settings.distillation_learning_rate),
        })
    }

    fn pool(&self) -> Pool {
        let demonstrations = &self.demonstrations;
        let experts = demonstrations.trajectories.iter();
        let mut members: Vec<(Option<usize>, f64)> = experts
            .zip(&demonstrations.conditions)
            .map(|(t, start)| {
                let of = |start| self.fusion.log_density_of(t, start);
                (*start, start.map_or(0.0, of))
            })
            .collect();
        let drawn = self.fusion.past();
        let starts = drawn.flat_map(|r| (0..r.trajectories.len()).map(|i| Some(r.start_of(i))));
        members.extend(starts.zip(self.fusion.log_density()));
        let counts = demonstrations.counts(self.settings.conditions);
        let covered: usize = counts.iter().sum();
        let start = |(start, &count): (usize, &usize)| {
            let places = members.iter().enumerate();
            let own = places.filter(|(_, (s, _))| *s == Some(start));
            let (all, log_density): (Vec<i64>, Vec<f64>) = own
                .map(|(i, (_, log_density))| (i as i64, *log_density))
                .unzip();
            PoolStart {
                share: count as f64 / covered as f64,
                demonstrated: Tensor::from_slice(&all[..count]),
                all: Tensor::from_slice(&all),
                log_density: Tensor::from_slice(&log_density),
            }
        };
        let shown = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let drawn = self.fusion.past().flat_map(|r| &r.trajectories);
        let samples = TrajectoryBatch::new(drawn);
        Pool {
            samples: samples.unwrap_or_else(|| demonstrations.batch.shallow_clone()),
            starts: shown.map(start).collect(),
        }
    }
}

impl Ioc {
    /// Σ_s (d_s/D) L_IOC over the starts s: L_IOC(θ) = E_P[E_θ] + β log E_μ[exp(−(E_θ + log μ)/β)]; the last `newest`
    /// rollouts are reported apart.
    fn of(
        model: &EnergyModel,
        demonstrations: &TrajectoryBatch,
        newest: i64,
        beta: f64,
        pool: &Pool,
    ) -> Self {
        let energy = |b: &TrajectoryBatch| model.energy(b) + model.start_value(b);
        let expert = energy(demonstrations);
        let sampled = energy(&pool.samples);
        let all = Tensor::cat(&[&expert, &sampled], 0);
        let newest = sampled.narrow(0, sampled.size()[0] - newest, newest);
        let mut out = Self {
            value: Tensor::from(0.0),
            log_z: 0.0,
            ess: 0.0,
            ess_plain: 0.0,
            expert_energy: expert.mean(Kind::Double).double_value(&[]),
            newest_energy: newest.mean(Kind::Double).double_value(&[]),
        };
        for start in &pool.starts {
            let (p, own) = (&start.demonstrated, &start.all);
            let (p, own) = (all.index_select(0, p), all.index_select(0, own));
            let found = discriminator::ioc_loss(&p, &own, &start.log_density, beta);
            out.value = &out.value + found.value * start.share;
            out.log_z += found.log_z.double_value(&[]) * start.share;
            let weights = nn::to_f64(&found.log_weights);
            let plain: Vec<f64> = weights.iter().map(|w| w * beta).collect();
            let share = |w: &[f64]| effective_sample_size(w) / w.len() as f64;
            out.ess += share(&weights) * start.share;
            out.ess_plain += share(&plain) * start.share;
        }
        out
    }
}

/// Rejects demonstrations that end before the horizon.
fn full_length(setup: &Setup) -> Result<(), Error> {
    let spec = setup.factory.spec();
    let horizon = spec.horizon;
    let mut each = setup.demonstrations.iter().enumerate();
    match each.find(|(_, t)| t.len() != horizon) {
        None => Ok(()),
        Some((i, short)) => Err(Error::Misuse(format!(
            "gcl-lqg has a controller for each of the {horizon} steps of an episode of {}, but demonstration {i} ends after \
             {}; use gcl, whose policy does not depend on time",
            spec.name,
            short.len()
        ))),
    }
}

impl Demonstrations {
    fn new(setup: &Setup, starts: &[u64]) -> Result<Self, Error> {
        let condition = |i: usize| {
            let own = setup.starts.get(i)?;
            starts.iter().position(|s| s == own)
        };
        Ok(Self {
            batch: batch(setup.demonstrations)?,
            conditions: (0..setup.demonstrations.len()).map(condition).collect(),
            trajectories: setup.demonstrations.to_vec(),
        })
    }

    /// Number of demonstrations from each of `starts` starts.
    fn counts(&self, starts: usize) -> Vec<usize> {
        let mut counts = vec![0; starts];
        self.conditions
            .iter()
            .flatten()
            .for_each(|&c| counts[c] += 1);
        counts
    }
}

/// Seeds of the starts with a controller: those of the first demonstrations, then seeds derived from the run's.
fn starts(count: usize, setup: &Setup) -> Vec<u64> {
    let own = (0..).map(|i| derive_seed(setup.seed, "condition", i));
    let mut found = Vec::with_capacity(count);
    for start in setup.starts.iter().copied().chain(own) {
        if found.len() == count {
            break;
        }
        // A start that was demonstrated twice has one controller.
        if !found.contains(&start) {
            found.push(start);
        }
    }
    found
}
