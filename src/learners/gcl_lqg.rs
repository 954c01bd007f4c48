//! GCL as it was first published: linear-Gaussian controllers in place of a neural policy.
//!
//! Finn, Levine and Abbeel 2016 (arXiv 1603.00448), algorithm 1: sample from the controllers, descend
//! `L_IOC(θ) = E_P[c_θ] + log E_μ[exp(−c_θ(τ)) / μ(τ)]` with c_θ(x, u) = ‖A y_θ(x) + b‖² + w ‖u‖² (equation 4) and μ the
//! fusion of all controllers and of the demonstrations' density, improve the controllers by an LQG step within a KL bound
//! under dynamics fitted to the samples. There is one controller for each of a few starts, and one cost.
//!
//! A density of controllers is one of trajectories given their start, so every start with a demonstration has a partition
//! function of its own, weighted as the demonstrations weigh it; what belongs to no such start says nothing about the cost. What
//! else differs from the paper: the log-mean-exp may be tempered by β, the last few iterations' samples are kept instead of all,
//! a gradient penalty may join the regularisers, and a step that fails is taken back. A neural policy is distilled from the controllers on the way, so that the run
//! can act from any start. The last iteration only samples: its rollouts show what was learned.

use costate_envs::Trajectory;
use costate_envs::rng::{derive_seed, stream};
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::conditions::{Conditions, ControllerSettings, FirstController, demonstrators};
use super::cost_side::{CostSide, CostSideSettings};
use super::distil::{Distillation, Lessons};
use super::fusion::{Demonstrator, Fusion};
use super::generator::{batch, energy_model};
use super::{Learner, Report, Task, diverged, learning_rate_share};
use crate::batch::TrajectoryBatch;
use crate::collect::Collector;
use crate::cost::{CostSettings, EnergyModel, Regularizers};
use crate::density::effective_sample_size;
use crate::discriminator;
use crate::error::Error;
use crate::lqg::{Controller, Path, Scales};
use crate::nn::{self, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Learned, Normalizer, PolicySettings};

/// Settings of [`GclLqg`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GclLqgSettings {
    /// Iterations: each samples, updates the cost, improves the controllers; the last one only samples, and the one before it
    /// takes no step that could not be taken back.
    pub iterations: usize,
    /// Starts with a controller each: those of the first demonstrations.
    pub conditions: usize,
    /// Rollouts of each controller an iteration.
    pub samples: usize,
    /// Iterations whose rollouts and controllers make the background μ.
    pub background: usize,
    /// Divisor β in the partition function; null means the horizon T, 1 is the paper's form.
    pub beta: Option<f64>,
    /// Steps on the cost an iteration.
    pub cost_steps: usize,
    /// Adam's step size for the cost and the soft value.
    pub cost_learning_rate: f64,
    /// Share of all step sizes that is left in the last iteration; they fall linearly.
    pub learning_rate_left: f64,
    /// The controllers.
    pub controllers: ControllerSettings,
    /// The cost and the soft value.
    pub cost: CostSettings,
    /// Penalties on the cost.
    pub regularizers: Regularizers,
    /// Steps an iteration on the policy that is distilled from the controllers.
    pub distillation_steps: usize,
    /// Steps on it in the last iteration, when the controllers no longer change.
    pub last_distillation_steps: usize,
    /// Adam's step size for it.
    pub distillation_learning_rate: f64,
    /// Whether it learns from the demonstrations as well.
    pub distil_demonstrations: bool,
    /// The policy.
    pub policy: PolicySettings,
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

/// Demonstrations, and which of them have a controller at their start.
struct Demonstrations {
    batch: TrajectoryBatch,
    trajectories: Vec<Trajectory>,
    /// Number of the start of each, where there is a controller for it.
    conditions: Vec<Option<usize>>,
}

impl Learner for GclLqg {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let left = learning_rate_share(s.learning_rate_left, k, s.iterations);
        self.cost.slow_down(left);

        // τ ~ q_i of every start i, added to the background.
        let (newest, audit) = self.conditions.sample(k)?;
        let env_steps = newest.batch.steps() as u64;
        let kept = s.background.min(k + 1);
        self.conditions.adapt(&self.cost.model, &newest, kept);
        self.fusion.push(newest);
        let last = k + 1 == s.iterations;

        // θ: descend L_IOC.
        let pool = self.pool();
        let mut gradient_norm = 0.0;
        if !last {
            let mut rng = stream(self.seed, "gradient_penalty", k as u64);
            for _ in 0..s.cost_steps {
                let loss = self.loss(&pool).value;
                gradient_norm = self.cost.descend(loss, &pool.samples, &mut rng);
            }
        }
        let found = tch::no_grad(|| self.loss(&pool));
        self.cost.model.set_log_z(found.log_z);

        // q_i: an LQG step within the KL bound. None that would not be tried out and, where it fails, taken back.
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
            true => (s.last_distillation_steps, [1.0, s.learning_rate_left]),
            false => (s.distillation_steps, [left, left]),
        };
        let loss = distilled.learn(&lessons, steps, shares, self.seed, k);
        if !(distilled.policy.is_finite() && self.cost.model.is_finite()) {
            return Err(diverged(k));
        }
        let mut diagnostics = vec![
            ("ioc_loss", found.value.double_value(&[])),
            ("ess", found.ess),
            ("ess_plain", found.ess_plain),
            ("log_z", found.log_z),
            ("cost_gradient_norm", gradient_norm),
            ("entropy", self.conditions.entropy()),
            ("kl", step.kl),
            ("eta", step.eta),
            ("kl_bound", step.bound),
            ("stuck", step.stuck),
            ("taken_back", step.taken_back),
            ("dynamics_error", step.dynamics_error),
            ("distillation_loss", loss),
        ];
        diagnostics.extend([
            ("demonstrated_energy", found.expert_energy),
            ("sampled_energy", found.newest_energy),
        ]);
        Ok(Report {
            diagnostics,
            env_steps,
            audit: Some(audit),
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

/// Everything that partition functions are estimated from: demonstrations first, then rollouts.
struct Pool {
    /// The rollouts.
    samples: TrajectoryBatch,
    starts: Vec<PoolStart>,
}

/// What there is from one start.
struct PoolStart {
    /// Share of the demonstrations from starts with a controller.
    share: f64,
    /// Places of its demonstrations in the pool, `[N_P]`.
    demonstrated: Tensor,
    /// Places of all of its trajectories, `[N]`.
    all: Tensor,
    /// log μ(τ) of these, `[N]`.
    log_density: Tensor,
}

/// L_IOC and what it says.
struct Ioc {
    /// The loss, a scalar.
    value: Tensor,
    /// log E_μ[exp(−E)/μ], tempered, mean over the starts.
    log_z: f64,
    /// Mean E + V(s_0) of the demonstrations, nats.
    expert_energy: f64,
    /// The same of the newest rollouts.
    newest_energy: f64,
    /// Effective sample size of the weights, as a share of a start's pool, mean over the starts.
    ess: f64,
    /// The same of the weights at β = 1.
    ess_plain: f64,
}

impl GclLqg {
    /// A learner at its start.
    pub fn new(settings: &GclLqgSettings, task: &Task) -> Result<Self, Error> {
        let spec = task.factory.spec();
        let horizon = spec.horizon;
        if let Some((i, short)) =
            (task.demonstrations.iter().enumerate()).find(|(_, t)| t.len() != horizon)
        {
            return Err(Error::Misuse(format!(
                "gcl-lqg has a controller for each of the {horizon} steps of an episode of {}, but demonstration {i} ends after \
                 {}; use gcl, whose policy does not depend on time",
                spec.name,
                short.len()
            )));
        }
        let normalizer = Normalizer::fit(spec.observation.dim(), &[task.demonstrations]);
        let scale = ActionScale::of(spec);
        let scales = Scales::new(
            &normalizer.mean,
            &normalizer.std,
            &scale.centre,
            &scale.half_range,
        );
        let mut weights = stream(task.seed, "policy_weights", 0);
        let policy = GaussianPolicy::new(
            &spec.name,
            &settings.policy,
            normalizer,
            scale,
            &mut weights,
        );

        let starts = starts(settings.conditions, task);
        let demonstrations = Demonstrations::new(task, &starts)?;
        let paths: Vec<Path> = (task.demonstrations.iter())
            .map(|t| Path::new(t, &scales))
            .collect();
        let experts = demonstrators(
            &paths,
            &demonstrations.conditions,
            starts.len(),
            &settings.controllers,
            task.seed,
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
            Collector::new(task.factory, task.workers, task.seed, task.sealer),
            (&starts, settings.samples),
            first,
            (paths, scales),
            task.seed,
        );
        let model = energy_model(&settings.cost, &spec.observation, &policy, task.seed)?;
        let cost = CostSideSettings {
            regularizers: &settings.regularizers,
            learning_rate: settings.cost_learning_rate,
        };
        Ok(Self {
            beta: settings.beta_for(horizon),
            settings: settings.clone(),
            seed: task.seed,
            cost: CostSide::new(cost, model, &demonstrations.batch, Vec::new()),
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

    /// Σ_s (d_s/D) L_IOC of every start s: L_IOC(θ) = E_P[E_θ] + β log E_μ[exp(−(E_θ + log μ)/β)].
    fn loss(&self, pool: &Pool) -> Ioc {
        let model = &self.cost.model;
        let energy = |b: &TrajectoryBatch| model.energy(b) + model.start_value(b);
        let expert = energy(&self.demonstrations.batch);
        let sampled = energy(&pool.samples);
        let all = Tensor::cat(&[&expert, &sampled], 0);
        let newest = (self.settings.conditions * self.settings.samples) as i64;
        let newest = sampled.narrow(0, sampled.size()[0] - newest, newest);
        let mut out = Ioc {
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
            let found = discriminator::ioc_loss(&p, &own, &start.log_density, self.beta);
            out.value = &out.value + found.value * start.share;
            out.log_z += found.log_z.double_value(&[]) * start.share;
            let weights = nn::to_f64(&found.log_weights);
            let plain: Vec<f64> = weights.iter().map(|w| w * self.beta).collect();
            let share = |w: &[f64]| effective_sample_size(w) / w.len() as f64;
            out.ess += share(&weights) * start.share;
            out.ess_plain += share(&plain) * start.share;
        }
        out
    }
}

impl Demonstrations {
    fn new(task: &Task, starts: &[u64]) -> Result<Self, Error> {
        let condition = |i: usize| {
            let own = task.starts.get(i)?;
            starts.iter().position(|s| s == own)
        };
        Ok(Self {
            batch: batch(task.demonstrations)?,
            conditions: (0..task.demonstrations.len()).map(condition).collect(),
            trajectories: task.demonstrations.to_vec(),
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

/// Seeds of the starts with a controller: those of the first demonstrations, then some of the run's own.
fn starts(count: usize, task: &Task) -> Vec<u64> {
    let own = (0..).map(|i| derive_seed(task.seed, "condition", i));
    let mut found = Vec::with_capacity(count);
    for start in task.starts.iter().copied().chain(own) {
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
