//! Flow cloning: plans of several actions, drawn by a velocity that carries noise to demonstrated plans.
//!
//! ```text
//! minimise  E |v_θ(x_t, t, s) − (x_1 − x_0)|²,   x_t = (1 − t) x_0 + t x_1,   x_0 ~ N(0, I),   t ~ U(0, 1)
//! ```
//!
//! with x_1 the `chunk` actions demonstrated from the step on whose last observations are s: conditional flow matching
//! along straight lines (Lipman et al. 2023, arXiv 2210.02747, equation 23 with σ_min = 0; Liu et al. 2022, arXiv
//! 2209.03003, equation 1). The optimum, E[x_1 − x_0 | x_t, s], carries N(0, I) to p(x_1 | s), with all its modes. A plan
//! is played for `execute` steps, then the next is drawn (Zhao et al. 2023, arXiv 2304.13705; Chi et al. 2023, arXiv
//! 2303.04137): draws of single actions could change the mode at every step. Steps beyond an episode's end are no
//! target.

use costate_envs::Trajectory;
use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_distr::{Distribution, StandardNormal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::algorithm::{Algorithm, Behaviour, Cloning};
use super::best_so_far::BestSoFar;
use super::{Learner, Report, Setup, held_out_count, learning_rate_factor};
use crate::cost::{ComposedCost, EnergyModel};
use crate::error::Error;
use crate::metric::Metric;
use crate::nn::{self, StateDict, StateError};
use crate::policy::{ActionScale, FlowPolicy, FlowSettings, Learned, Normalizer};
use costate_base::schema::{fraction, positive, proper_fraction, resumable};

/// Loss of the velocity of standard normal actions, k(t) x_t: the mean of 1 / (t² + (1 − t)²) over t.
pub const CHANCE: f64 = std::f64::consts::FRAC_PI_2;

/// Times and noises that every held-out step is judged by.
const JUDGED: usize = 8;

/// Settings of [`FlowBc`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FlowBcSettings {
    /// Passes over the demonstrations.
    #[schemars(range(min = 1), transform = resumable)]
    pub iterations: usize,
    /// Steps in a minibatch.
    #[schemars(range(min = 1), transform = resumable)]
    pub minibatch: usize,
    /// Adam's step size.
    #[schemars(transform = positive, transform = resumable)]
    pub learning_rate: f64,
    /// Factor of the step size in the last pass; it falls linearly from 1.
    #[schemars(transform = fraction, transform = resumable)]
    pub learning_rate_end_factor: f64,
    /// Share of the episodes held out to choose the weights; 0 keeps the last ones.
    #[schemars(transform = proper_fraction)]
    pub held_out: f64,
    /// Images of every demonstration under the world's symmetries that are learned from, too: `costate envs ENV` names them.
    /// A mirror makes one, a rotation any number.
    #[serde(default)]
    pub symmetric_copies: usize,
    /// The policy.
    pub policy: FlowSettings,
}

impl Algorithm for FlowBcSettings {
    const NAME: &'static str = "flow-bc";
    const ABOUT: &'static str =
        "cloning that keeps modes and plans ahead: action chunks, drawn by a learned flow";
    const DEFAULTS: &'static str = include_str!("../../assets/settings/flow-bc.json");
}

impl Behaviour for FlowBcSettings {
    fn build(&self, setup: &Setup, _: Option<ComposedCost>) -> Result<Box<dyn Learner>, Error> {
        Ok(Box::new(FlowBc::new(self, setup)?))
    }

    fn check(&self) -> Result<(), String> {
        self.policy.planning().check()
    }

    fn symmetric_copies(&self) -> usize {
        self.symmetric_copies
    }

    fn step_sizes(&self) -> Vec<(&'static str, f64)> {
        vec![("learning_rate", self.learning_rate)]
    }

    fn cloning(&self) -> Option<Cloning> {
        Some(Cloning::Flow)
    }

    fn needs_simulator(&self) -> bool {
        false
    }

    fn held_out(&self, demonstrations: usize) -> usize {
        held_out_count(demonstrations, self.held_out)
    }
}

/// Demonstrated plans: of every step of some trajectories the last observations and the next actions.
struct Plans {
    /// Observations of all trajectories, each with `history` − 1 copies of its first one before it, `[·, observation_dim]`.
    observations: Tensor,
    /// Scaled actions of all trajectories, each with `chunk` − 1 copies of its last one behind it, `[·, action_dim]`.
    actions: Tensor,
    /// Of every step.
    steps: Vec<Place>,
    history: i64,
    chunk: i64,
}

/// Where a step's plan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Row of the oldest observation.
    seen: i64,
    /// Row of the first action.
    first: i64,
    /// Actions up to the episode's end, at most `chunk`.
    left: i64,
}

/// Some plans as rows.
struct Rows {
    /// `[N, history · observation_dim]`, oldest first.
    observations: Tensor,
    /// x_1, `[N, chunk · action_dim]`.
    plans: Tensor,
    /// 1 up to the episode's end, 0 beyond, `[N, chunk · action_dim]`.
    counted: Tensor,
}

/// The learner.
pub struct FlowBc {
    settings: FlowBcSettings,
    seed: u64,
    train: Plans,
    held_out: Option<Rows>,
    policy: BestSoFar<FlowPolicy>,
}

impl Learner for FlowBc {
    fn iterate(&mut self, k: usize) -> Result<Report, Error> {
        let s = &self.settings;
        let factor = learning_rate_factor(s.learning_rate_end_factor, k, s.iterations);
        let policy = &mut self.policy;
        policy.optimizer.set_learning_rate(s.learning_rate * factor);
        let mut order: Vec<usize> = (0..self.train.steps.len()).collect();
        order.shuffle(&mut stream(self.seed, "flow_order", k as u64));
        let mut noise = stream(self.seed, "flow_noise", k as u64);
        let mut mean = 0.0;
        for rows in order.chunks(s.minibatch) {
            let loss = self.train.pick(rows).loss(&policy.current, &mut noise);
            mean += loss.double_value(&[]) * rows.len() as f64 / order.len() as f64;
            policy.optimizer.step(&loss);
        }
        let mut diagnostics = vec![(Metric::Loss, mean)];
        let judged = self.held_out.as_ref().map(|rows| {
            // The same noise in every pass, so that passes can be compared.
            let mut noise = stream(self.seed, "held_out_flow_noise", 0);
            nn::no_grad(|| rows.loss(&policy.current, &mut noise)).double_value(&[])
        });
        diagnostics.extend(judged.map(|loss| (Metric::HeldOutLoss, loss)));
        policy.offer(judged, k)?;
        Ok(Report {
            diagnostics,
            env_steps: 0,
            audit: None,
            ..Report::default()
        })
    }

    fn iterations(&self) -> usize {
        self.settings.iterations
    }

    fn policy(&self) -> Learned<'_> {
        Learned::Flow(&self.policy.best)
    }

    /// None: it clones.
    fn energy_model(&self) -> Option<&EnergyModel> {
        None
    }

    fn save(&self) -> StateDict {
        self.policy.save()
    }

    fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.policy.load(state)
    }
}

impl FlowBc {
    /// A learner in its initial state.
    pub fn new(settings: &FlowBcSettings, setup: &Setup) -> Result<Self, Error> {
        let spec = setup.factory.spec();
        let (held_out, train) = setup.split(|n| held_out_count(n, settings.held_out));
        let normalizer = Normalizer::fit(spec.observation.dim(), &[setup.demonstrations]);
        let scale = ActionScale::standardised(spec.action.dim(), setup.demonstrations);
        let policy = || {
            let mut rng = stream(setup.seed, "policy_weights", 0);
            let (normalizer, scale) = (normalizer.clone(), scale.clone());
            FlowPolicy::new(&spec.name, &settings.policy, normalizer, scale, &mut rng)
        };
        let of = |all| Plans::of(all, &scale, &settings.policy);
        Ok(Self {
            settings: settings.clone(),
            seed: setup.seed,
            train: of(train).ok_or_else(|| Error::Misuse("no demonstrations to clone".into()))?,
            held_out: of(held_out).map(|plans| {
                let all = (0..plans.steps.len()).flat_map(|i| [i; JUDGED]);
                plans.pick(&all.collect::<Vec<_>>())
            }),
            policy: BestSoFar::new([policy(), policy()], settings.learning_rate),
        })
    }
}

impl Plans {
    /// The plans of all steps of `trajectories`; `None` if there are none.
    fn of(
        trajectories: &[Trajectory],
        scale: &ActionScale,
        settings: &FlowSettings,
    ) -> Option<Self> {
        let (o, a) = (trajectories.first()?.observation_dim(), scale.centre.len());
        let (history, chunk) = (settings.history, settings.chunk);
        let (mut observations, mut actions) = (Vec::new(), Vec::new());
        let mut steps = Vec::new();
        for t in trajectories {
            let (seen, first) = (observations.len() / o, actions.len() / a);
            (1..history).for_each(|_| observations.extend_from_slice(t.observation(0)));
            observations.extend_from_slice(&t.observations()[..t.len() * o]);
            actions.extend_from_slice(t.actions());
            (1..chunk).for_each(|_| actions.extend_from_slice(t.action(t.len() - 1)));
            steps.extend((0..t.len()).map(|i| Place {
                seen: (seen + i) as i64,
                first: (first + i) as i64,
                left: chunk.min(t.len() - i) as i64,
            }));
        }
        Some(Self {
            observations: nn::matrix(&observations, o),
            actions: scale.apply(&nn::matrix(&actions, a)),
            steps,
            history: history as i64,
            chunk: chunk as i64,
        })
    }

    /// Those of the steps `rows`.
    fn pick(&self, rows: &[usize]) -> Rows {
        let places = || rows.iter().map(|row| self.steps[*row]);
        let gather = |from: &Tensor, count: i64, first: &dyn Fn(Place) -> i64| {
            let all: Vec<i64> = places().flat_map(|p| first(p)..first(p) + count).collect();
            let gathered = from.index_select(0, &Tensor::from_slice(&all));
            gathered.view([rows.len() as i64, -1])
        };
        let counted: Vec<f32> = places()
            .flat_map(|p| (0..self.chunk).map(move |i| f32::from(i < p.left)))
            .collect();
        let a = self.actions.size()[1];
        let counted = nn::matrix(&counted, self.chunk as usize).unsqueeze(2);
        Rows {
            observations: gather(&self.observations, self.history, &|p| p.seen),
            plans: gather(&self.actions, self.chunk, &|p| p.first),
            counted: counted.expand([-1, -1, a], false).flatten(1, 2),
        }
    }
}

impl Rows {
    /// Mean squared error of the velocity over all demonstrated entries, at times and from noise of `rng`; a scalar.
    fn loss(&self, policy: &FlowPolicy, rng: &mut Stream) -> Tensor {
        let (n, width) = self.plans.size2().expect("plans are a matrix");
        let drawn: Vec<f32> = (0..n * width).map(|_| StandardNormal.sample(rng)).collect();
        // One in each of n equal parts of (0, 1): uniform, and more even than n independent draws.
        let mut times: Vec<f32> = (0..n)
            .map(|i| (i as f32 + rng.random_range(0.0..1.0_f32)) / n as f32)
            .collect();
        times.shuffle(rng);
        let noise = nn::matrix(&drawn, width as usize);
        let t = nn::matrix(&times, 1);
        let target = &self.plans - &noise;
        let between = &noise + &target * &t;
        let velocity = policy.velocity(&self.observations, &between, &times);
        let error = (velocity - target).square() * &self.counted;
        error.sum(Kind::Double) / self.counted.sum(Kind::Double)
    }
}

#[cfg(test)]
mod tests {
    use costate_envs::flow::gain;
    use costate_envs::{End, EnvConfig};

    use super::*;
    use crate::nn::to_f32;

    const SETTINGS: FlowSettings = FlowSettings {
        hidden: Vec::new(),
        chunk: 3,
        execute: 1,
        history: 2,
        steps: 1,
    };

    fn plans() -> Plans {
        let one = |steps: u8| {
            let observations = (0..=steps).map(f32::from).collect();
            let actions = (0..steps).map(|i| 10.0 + f32::from(i)).collect();
            Trajectory::new(1, 1, observations, actions, None, End::Terminated).unwrap()
        };
        let scale = ActionScale {
            centre: vec![10.0],
            half_range: vec![1.0],
        };
        Plans::of(&[one(4), one(2)], &scale, &SETTINGS).unwrap()
    }

    #[test]
    fn plans_stay_within_their_episode() {
        let rows = plans().pick(&[0, 1, 2, 3, 4, 5]);
        let seen = [0., 0., 0., 1., 1., 2., 2., 3., 0., 0., 0., 1.];
        assert_eq!(to_f32(&rows.observations), seen);
        let actions = [
            0., 1., 2., 1., 2., 3., 2., 3., 3., 3., 3., 3., 0., 1., 1., 1., 1., 1.,
        ];
        assert_eq!(to_f32(&rows.plans), actions);
        let counted = [
            1., 1., 1., 1., 1., 1., 1., 1., 0., 1., 0., 0., 1., 1., 0., 1., 0., 0.,
        ];
        assert_eq!(to_f32(&rows.counted), counted);
    }

    /// A policy whose network is 0: its velocity is k(t) x.
    fn blank() -> FlowPolicy {
        let scale = ActionScale {
            centre: vec![10.0],
            half_range: vec![1.0],
        };
        let mut rng = stream(0, "test", 0);
        let policy = FlowPolicy::new("table", &SETTINGS, Normalizer::identity(1), scale, &mut rng);
        nn::no_grad(|| policy.parameters().iter_mut().for_each(|p| _ = p.zero_()));
        policy
    }

    #[test]
    fn the_loss_is_the_mean_over_what_was_demonstrated() {
        let mut rows = plans().pick(&[0, 2, 3, 5]);
        let policy = blank();
        let loss = |rows: &Rows| {
            let mut rng = stream(3, "test", 0);
            rows.loss(&policy, &mut rng).double_value(&[])
        };
        let found = loss(&rows);
        // The same draws, in the same order.
        let mut rng = stream(3, "test", 0);
        let noise: Vec<f32> = (0..12).map(|_| StandardNormal.sample(&mut rng)).collect();
        let mut times: Vec<f32> = (0..4)
            .map(|i| (i as f32 + rng.random_range(0.0..1.0_f32)) / 4.0)
            .collect();
        times.shuffle(&mut rng);
        let (plans, counted) = (to_f32(&rows.plans), to_f32(&rows.counted));
        let (mut sum, mut count) = (0.0, 0.0);
        for i in (0..12).filter(|i| counted[*i] > 0.0) {
            let t = times[i / 3];
            let between = (1.0 - t) * noise[i] + t * plans[i];
            sum += f64::from(gain(t) * between - (plans[i] - noise[i])).powi(2);
            count += 1.0;
        }
        assert_eq!(count, 7.0);
        assert!(
            (found - sum / count).abs() < 1e-5,
            "{found}, by hand {}",
            sum / count
        );
        // What stands beyond the end counts nothing.
        rows.plans = &rows.plans + (1.0 - &rows.counted) * 1e3;
        assert_eq!(loss(&rows), found);
    }

    #[test]
    fn chance_is_the_loss_of_normal_actions() {
        let mut rng = stream(4, "test", 0);
        let drawn: Vec<f32> = (0..30_000)
            .map(|_| StandardNormal.sample(&mut rng))
            .collect();
        let rows = Rows {
            observations: Tensor::zeros([10_000, 2], (Kind::Float, tch::Device::Cpu)),
            plans: nn::matrix(&drawn, 3),
            counted: Tensor::ones([10_000, 3], (Kind::Float, tch::Device::Cpu)),
        };
        let found = rows.loss(&blank(), &mut rng).double_value(&[]);
        assert!((found - CHANCE).abs() < 0.05, "{found}");
    }

    #[test]
    fn held_out_demonstrations_are_not_learned_from() {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let one = |i: usize| {
            let (observations, actions) = (vec![0.1; 3 * (i + 2)], vec![0.5; i + 1]);
            Trajectory::new(3, 1, observations, actions, None, End::Truncated).unwrap()
        };
        let demonstrations: Vec<Trajectory> = (0..4).map(one).collect();
        let settings: FlowBcSettings = serde_json::from_value(serde_json::json!({
            "iterations": 1, "minibatch": 4, "learning_rate": 0.001, "learning_rate_end_factor": 1.0, "held_out": 0.5,
            "policy": { "hidden": [4], "chunk": 2, "execute": 1, "history": 1, "steps": 2 }
        }))
        .unwrap();
        let learner = FlowBc::new(&settings, &Setup::new(&factory, &demonstrations)).unwrap();
        assert_eq!(learner.train.steps.len(), 3 + 4);
        let held_out = learner.held_out.unwrap();
        assert_eq!(held_out.plans.size(), [(1 + 2) * JUDGED as i64, 2]);
    }
}
