//! Linear-Gaussian controllers for a few start states: how they sample, and how they improve under a cost.
//!
//! Levine and Abbeel 2014: dynamics are fitted to the latest rollouts from each start, with a mixture over the transitions
//! of the demonstrations and the kept rollouts as the prior; an LQG step within a KL bound follows.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;

use costate_envs::rng::stream;
use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fusion::{Fusion, Rollouts};
use crate::audit::Audit;
use crate::collect::Collector;
use crate::cost::{EnergyModel, Expansion};
use crate::error::Error;
use crate::lqg::{
    Controller, Dynamics, GaussianMixture, Joint, Path, Problem, Quadratic, Scales, improve,
};
use crate::nn::{self, StateDict, StateError};
use costate_base::schema::{positive, resumable};

/// Maximum number of transitions that a mixture is fitted to; if there are more, every second, third, … is used.
const MOST_ROWS: usize = 4000;

/// Rounds of expectation maximisation per iteration, starting from the previous mixture.
const ROUNDS: usize = 20;

/// Range of a controller's KL bound, as multiples of the setting.
const BOUND_RANGE: [f64; 2] = [0.1, 2.0];

/// What controllers start as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirstController {
    /// A linear Gaussian fitted to the demonstrations from the same start, step by step.
    Demonstrations,
    /// Noise about the centre of the actions.
    Noise,
}

/// Settings of [`Conditions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControllerSettings {
    /// What they start as.
    pub first: FirstController,
    /// σ of that noise, and the least σ of what is fitted to the demonstrations, in half ranges.
    #[schemars(transform = positive)]
    pub noise_std: f64,
    /// Bound on the KL divergence of a step, nats a time step.
    #[schemars(transform = positive, transform = resumable)]
    pub kl_step: f64,
    /// Components of the mixture behind the dynamics' prior.
    #[schemars(range(min = 1))]
    pub clusters: usize,
    /// Weight of the prior in a fit, in rollouts.
    #[schemars(transform = positive)]
    pub prior_strength: f64,
}

/// Controllers with their starts, and what is known about the dynamics.
pub struct Conditions {
    settings: ControllerSettings,
    collector: Collector,
    scales: Scales,
    samples: usize,
    seed: u64,
    horizon: usize,
    demonstrations: Vec<Path>,
    each: Vec<Condition>,
    mixture: Option<GaussianMixture>,
}

/// A start with its controller.
struct Condition {
    start: u64,
    controller: Controller,
    /// The controller to revert to.
    proven: Controller,
    /// How many iterations ago it was sampled from.
    age: usize,
    /// Multiple of the KL bound's setting.
    bound: f64,
    foretold: Foretold,
}

/// The prediction for a controller's last step; zeros if it took none.
#[derive(Debug, Clone, Copy, Default)]
struct Foretold {
    /// Mean cost of the rollouts before it.
    cost: f64,
    /// Gain in entropy, nats per trajectory.
    entropy: f64,
    /// Decrease of cost − entropy predicted by the local models.
    gain: f64,
}

/// Diagnostics of a step, averaged over the starts.
#[derive(Debug, Default)]
pub struct StepReport {
    /// KL divergence from the previous controllers, nats per time step.
    pub kl: f64,
    /// Multiplier of the bound.
    pub eta: f64,
    /// Root mean square error of the local dynamics on their own rollouts, scaled units.
    pub dynamics_error: f64,
    /// The KL bound used, as a multiple of the setting.
    pub bound: f64,
    /// Share of the starts whose controller could not be improved.
    pub stuck: f64,
    /// Share of the starts that reverted to an earlier controller.
    pub taken_back: f64,
}

/// Linear Gaussians fitted, step by step, to the equally long demonstrations from each of `count` starts: their density.
/// `starts` gives the start of each demonstration, if any; a start without any is fitted to all of them.
pub fn demonstrators(
    paths: &[Path],
    starts: &[Option<usize>],
    count: usize,
    settings: &ControllerSettings,
    seed: u64,
) -> Vec<Controller> {
    let rows = thinned(&paths.iter().collect::<Vec<_>>(), Path::step);
    let mut mixture = seeded(&rows, settings.clusters, seed, "demonstrator");
    mixture.improve(&rows, ROUNDS);
    let of = |start: usize| {
        let pairs = paths.iter().zip(starts);
        let own: Vec<Path> = pairs
            .filter(|(_, s)| **s == Some(start))
            .map(|(p, _)| p.clone())
            .collect();
        let shown = if own.is_empty() { paths } else { &own };
        Controller::fitted(shown, &mixture, settings.prior_strength, settings.noise_std)
    };
    (0..count).map(of).collect()
}

impl Conditions {
    /// Controllers initialised to those of `first`, one per start, with `samples` rollouts of each per iteration.
    pub fn new(
        settings: &ControllerSettings,
        collector: Collector,
        (starts, samples): (&[u64], usize),
        first: Vec<Controller>,
        (demonstrations, scales): (Vec<Path>, Scales),
        seed: u64,
    ) -> Self {
        let condition = |(&start, controller): (&u64, Controller)| Condition {
            start,
            proven: controller.clone(),
            controller,
            age: 0,
            bound: 1.0,
            foretold: Foretold::default(),
        };
        Self {
            settings: settings.clone(),
            horizon: collector.factory().spec().horizon,
            each: starts.iter().zip(first).map(condition).collect(),
            collector,
            scales,
            samples,
            seed,
            demonstrations,
            mixture: None,
        }
    }

    /// τ ~ q_i of every start in iteration `k`.
    pub fn sample(&self, k: usize) -> Result<(Rollouts, Audit), Error> {
        let controllers: Vec<Controller> = self.each.iter().map(|c| c.controller.clone()).collect();
        let actor = |c: &Condition| {
            self.scales
                .actor(&c.controller)
                .map(Arc::new)
                .map_err(|e| Error::Diverged {
                    iteration: k,
                    what: format!("a controller: {e}"),
                })
        };
        let actors = self.each.iter().map(actor).collect::<Result<Vec<_>, _>>()?;
        let starts = self.each.iter().map(|c| c.start);
        let acting: Vec<_> = actors.iter().cloned().zip(starts).collect();
        let (trajectories, audit) =
            self.collector
                .from_starts(&acting, "controller", k, self.samples)?;
        if let Some(short) = trajectories.iter().find(|t| t.len() != self.horizon) {
            return Err(Error::Failure(format!(
                "a rollout ended after {} of {} steps; gcl-lqg needs episodes that never end early, use gcl",
                short.len(),
                self.horizon
            )));
        }
        let rollouts = Rollouts::new(controllers, actors, trajectories, &self.scales)?;
        Ok((rollouts, audit))
    }

    /// Widens the bound of controllers whose last step achieved the gain predicted by the local models, under the cost used
    /// for that step, and narrows that of the others: by ΔĴ / 2(ΔĴ − ΔJ) (Levine and Abbeel 2014, section 3.1), at most
    /// twofold. A step that lost more than its predicted gain is reverted while the rollouts before it are among the `kept`
    /// iterations.
    pub fn adapt(&mut self, model: &EnergyModel, newest: &Rollouts, kept: usize) {
        let costs = self.mean_costs(model, newest);
        for (condition, cost) in self.each.iter_mut().zip(costs) {
            let Foretold {
                cost: before,
                entropy,
                gain,
            } = condition.foretold;
            let gained = before - cost + entropy;
            if gain > 0.0 {
                let broken = gain - gained;
                let factor = gain / (2.0 * broken.max(0.25 * gain));
                let [least, most] = BOUND_RANGE;
                condition.bound = (condition.bound * factor.max(0.5)).clamp(least, most);
            }
            if gain > 0.0 && gained < -gain && condition.age + 1 < kept {
                condition.controller = condition.proven.clone();
                condition.age += 1;
            } else {
                condition.proven = condition.controller.clone();
                condition.age = 0;
            }
            condition.foretold = Foretold::default();
        }
    }

    /// Mean E_θ of the rollouts from each start.
    fn mean_costs(&self, model: &EnergyModel, rollouts: &Rollouts) -> Vec<f64> {
        let energies = nn::no_grad(|| nn::to_f64(&model.energy(&rollouts.batch)));
        let mean = |e: &[f64]| e.iter().sum::<f64>() / e.len() as f64;
        energies.chunks_exact(self.samples).map(mean).collect()
    }

    /// One LQG step of every controller under the cost, from its latest rollouts in `fusion`; the dynamics' prior uses all
    /// rollouts.
    pub fn improve(&mut self, model: &EnergyModel, fusion: &Fusion) -> Result<StepReport, Error> {
        // By age: a controller that was reverted to is older than the newest.
        let mut by_age = BTreeMap::new();
        for age in self.each.iter().map(|c| c.age) {
            let Some(rollouts) = fusion.past().nth_back(age) else {
                return Ok(StepReport::default());
            };
            if let Entry::Vacant(place) = by_age.entry(age) {
                let costs = self.mean_costs(model, rollouts);
                place.insert((rollouts, LocalCosts::new(model, rollouts)?, costs));
            }
        }
        let mixture = self.prior(fusion);
        let count = self.each.len() as f64;
        let mut report = StepReport::default();
        for (c, condition) in self.each.iter_mut().enumerate() {
            let (rollouts, local, costs) = &by_age[&condition.age];
            report.taken_back += f64::from(u8::from(condition.age > 0)) / count;
            let rows = c * self.samples..(c + 1) * self.samples;
            let paths = &rollouts.paths[rows.clone()];
            let dynamics = Dynamics::fitted(paths, &mixture, self.settings.prior_strength);
            let (steps, terminal) = local.of(paths, rows, self.horizon);
            let starts: Vec<_> = paths.iter().map(|p| p.states.column(0)).collect();
            let problem = Problem {
                dynamics: &dynamics,
                costs: &steps,
                terminal: &terminal,
                start: &Joint::of(&DMatrix::from_columns(&starts)),
                last: &condition.controller,
            };
            report.dynamics_error += dynamics.error(paths) / count;
            report.bound += condition.bound / count;
            let bound = condition.bound * self.settings.kl_step * self.horizon as f64;
            let Some(found) = improve(&problem, bound) else {
                report.stuck += 1.0 / count;
                continue;
            };
            report.kl += found.kl / (self.horizon as f64 * count);
            report.eta += found.eta / count;
            condition.foretold = Foretold {
                cost: costs[c],
                entropy: found.controller.entropy() - condition.controller.entropy(),
                gain: found.gain,
            };
            condition.controller = found.controller;
        }
        self.mixture = Some(mixture);
        Ok(report)
    }

    /// The mixture over the kept transitions, starting from the previous one.
    fn prior(&self, fusion: &Fusion) -> GaussianMixture {
        let drawn = fusion.past().flat_map(|r| &r.paths);
        let all: Vec<&Path> = self.demonstrations.iter().chain(drawn).collect();
        let rows = thinned(&all, Path::transition);
        let mut mixture = match &self.mixture {
            Some(mixture) => mixture.clone(),
            None => seeded(&rows, self.settings.clusters, self.seed, "mixture"),
        };
        mixture.improve(&rows, ROUNDS);
        mixture
    }

    /// Entropy of the controllers, nats per action in half ranges, averaged over starts and steps.
    pub fn entropy(&self) -> f64 {
        let sum: f64 = self.each.iter().map(|c| c.controller.entropy()).sum();
        sum / (self.each.len() * self.horizon) as f64
    }

    /// Adds controllers, bounds and the mixture to `state`.
    pub fn save(&self, state: &mut StateDict) {
        for (c, condition) in self.each.iter().enumerate() {
            state.insert_numbers(&format!("controller.{c}"), &condition.controller.numbers());
            state.insert_numbers(&format!("proven.{c}"), &condition.proven.numbers());
            let f = condition.foretold;
            let age = condition.age as f64;
            let kept = [condition.bound, f.cost, f.entropy, f.gain, age];
            state.insert_numbers(&format!("condition.{c}"), &kept);
        }
        let mixture = self
            .mixture
            .as_ref()
            .map(GaussianMixture::numbers)
            .unwrap_or_default();
        state.insert_numbers("mixture.count", &[mixture.len() as f64]);
        if !mixture.is_empty() {
            state.insert_numbers("mixture", &mixture);
        }
    }

    /// Restores what [`Conditions::save`] wrote.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        let (n, m) = self.scales.dims();
        for (c, condition) in self.each.iter_mut().enumerate() {
            let count = condition.controller.numbers().len();
            let numbers = state.numbers(&format!("controller.{c}"), count)?;
            condition.controller = Controller::of_numbers(&numbers, n, m);
            let numbers = state.numbers(&format!("proven.{c}"), count)?;
            condition.proven = Controller::of_numbers(&numbers, n, m);
            let kept = state.numbers(&format!("condition.{c}"), 5)?;
            condition.bound = kept[0];
            condition.age = kept[4] as usize;
            condition.foretold = Foretold {
                cost: kept[1],
                entropy: kept[2],
                gain: kept[3],
            };
        }
        self.mixture = match state.count("mixture.count")? {
            0 => None,
            count => Some(GaussianMixture::of_numbers(
                &state.numbers("mixture", count)?,
                2 * n + m,
            )),
        };
        Ok(())
    }
}

/// Expansions of a cost at every step of the rollouts and at their ends.
struct LocalCosts {
    steps: Expansion,
    ends: Option<Expansion>,
}

impl LocalCosts {
    fn new(model: &EnergyModel, rollouts: &Rollouts) -> Result<Self, Error> {
        let batch = &rollouts.batch;
        let steps = model.expand(&batch.observations, &batch.actions);
        Ok(Self {
            steps: steps.ok_or_else(|| {
                Error::Misuse(
                    "gcl-lqg needs a cost that is a quadratic in features: cost.form=features"
                        .into(),
                )
            })?,
            ends: model.expand_end(&batch.finals),
        })
    }

    /// Expansions at every step and at the end, each averaged over the rollouts in `rows`, which follow `paths`.
    fn of(
        &self,
        paths: &[Path],
        rows: Range<usize>,
        horizon: usize,
    ) -> (Vec<Quadratic>, Quadratic) {
        let at = |t: usize| {
            let points = paths.iter().map(|p| p.step(t));
            mean(
                &self.steps,
                rows.clone().map(|i| i * horizon + t).zip(points),
            )
        };
        let finals = paths.iter().map(|p| p.states.column(horizon).into_owned());
        let terminal = match &self.ends {
            Some(ends) => mean(ends, rows.clone().zip(finals)),
            None => Quadratic::zero(paths[0].states.nrows()),
        };
        ((0..horizon).map(at).collect(), terminal)
    }
}

/// The mean of expansions about points.
fn mean(all: &Expansion, rows: impl ExactSizeIterator<Item = (usize, DVector<f64>)>) -> Quadratic {
    let weight = 1.0 / rows.len() as f64;
    let terms = rows.map(|(i, point)| {
        let (gradient, curvature) = (&all.gradients[i], all.curvatures[i].clone());
        Quadratic::about(&point, all.values[i], gradient, curvature)
    });
    let sum = terms.reduce(|mut a, b| {
        a.add(&b, 1.0);
        a
    });
    let mut mean = Quadratic::zero(all.gradients[0].len());
    if let Some(sum) = sum {
        mean.add(&sum, weight);
    }
    mean
}

/// Columns of the steps of the paths, thinned to at most [`MOST_ROWS`].
fn thinned(paths: &[&Path], column: impl Fn(&Path, usize) -> DVector<f64>) -> DMatrix<f64> {
    let total: usize = paths.iter().map(|p| p.len()).sum();
    let all = paths.iter().flat_map(|p| (0..p.len()).map(move |t| (p, t)));
    let columns: Vec<_> = all
        .step_by(total.div_ceil(MOST_ROWS).max(1))
        .map(|(p, t)| column(p, t))
        .collect();
    DMatrix::from_columns(&columns)
}

/// An initial mixture with at least four times as many rows per component as dimensions.
fn seeded(rows: &DMatrix<f64>, clusters: usize, seed: u64, name: &str) -> GaussianMixture {
    let most = (rows.ncols() / (4 * rows.nrows())).max(1);
    GaussianMixture::seeded(rows, clusters.min(most), &mut stream(seed, name, 0))
}
