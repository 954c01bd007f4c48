//! Frozen flow policies on plain f32 vectors: plans of several actions, drawn by integrating a velocity.
//!
//! Flow matching (Lipman et al. 2023, arXiv 2210.02747; Liu et al. 2022, arXiv 2209.03003) of action chunks (Zhao et
//! al. 2023, arXiv 2304.13705; Chi et al. 2023, arXiv 2303.04137):
//!
//! ```text
//! x(0) ~ N(0, I),   dx/dt = v(x, t, s),   x(1) = the plan: `chunk` actions in scaled units
//! v(x, t, s) = k(t) x + network([s, x, T_1 … T_4]),   k(t) = (2t − 1) / (t² + (1 − t)²),   T_n = T_n(2t − 1)
//! ```
//!
//! s are the last normalised observations, T_n Chebyshev polynomials. k(t) x is the velocity of plans that are standard
//! normal whatever the state, so the network learns what differs from that. The first `execute` actions of a plan are
//! played, then the next is made. The density of a plan cannot be evaluated.

use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

use crate::actor::{ActorError, Dense, Scales, check_network, network};
use crate::rng::Stream;

/// Features of t that the network gets.
pub const TIME_FEATURES: usize = 4;

/// T_1 … T_4 of 2t − 1: waves cos(n θ) of the angle with cos θ = 2t − 1, in additions and products alone, so that every
/// machine has the same bits.
pub fn time_features(t: f32) -> [f32; TIME_FEATURES] {
    let c = 2.0 * t - 1.0;
    let mut all = [1.0, c, 0.0, 0.0, 0.0];
    for n in 2..=TIME_FEATURES {
        all[n] = 2.0 * c * all[n - 1] - all[n - 2];
    }
    [all[1], all[2], all[3], all[4]]
}

/// k(t): E[x_1 − x_0 | x_t] = k(t) x_t for independent standard normal x_0 and x_1 and x_t = (1 − t) x_0 + t x_1.
pub fn gain(t: f32) -> f32 {
    (2.0 * t - 1.0) / (t * t + (1.0 - t) * (1.0 - t))
}

/// Most Euler steps: more than anybody waits for; a file can state any number.
const MOST_STEPS: usize = 10_000;

/// How plans are made and played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planning {
    /// Actions of a plan.
    pub chunk: usize,
    /// Actions that are played before the next plan.
    pub execute: usize,
    /// Last observations that a plan depends on; before an episode's first there is the first again.
    pub history: usize,
    /// Euler steps from t = 0 to 1.
    pub steps: usize,
}

impl Planning {
    /// The first invalid field, with the fault.
    pub fn check(&self) -> Result<(), String> {
        let each = [self.chunk, self.execute, self.history, self.steps];
        if each.contains(&0) {
            return Err("chunk, execute, history and steps must be at least 1".into());
        }
        if self.steps > MOST_STEPS {
            return Err(format!(
                "steps are {}, expected at most {MOST_STEPS}",
                self.steps
            ));
        }
        if self.execute > self.chunk {
            return Err(format!(
                "execute is {}, but a plan has {} actions (chunk)",
                self.execute, self.chunk
            ));
        }
        Ok(())
    }

    /// The network's inputs and outputs for `observations` and `actions` entries. Of absurd settings the largest number.
    pub fn sizes(&self, observations: usize, actions: usize) -> [usize; 2] {
        let plan = self.chunk.saturating_mul(actions);
        let seen = self.history.saturating_mul(observations);
        let inputs = seen.saturating_add(plan).saturating_add(TIME_FEATURES);
        [inputs, plan]
    }
}

/// The parts of a [`FlowActor`].
#[derive(Debug, Clone, PartialEq)]
pub struct FlowParts {
    /// How observations and actions are scaled.
    pub scales: Scales,
    /// Layers from the normalised observations, oldest first, the scaled plan, step by step, and the features of t to
    /// the velocity's part beyond k(t) x: tanh between them.
    pub layers: Vec<Dense>,
    /// How plans are made and played.
    pub planning: Planning,
}

/// A frozen policy that draws plans.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowActor {
    parts: FlowParts,
}

/// Work space of a [`FlowActor`]: what it has seen of the episode, and its plan.
#[derive(Debug, Clone)]
pub struct FlowScratch {
    /// The network's inputs and each layer's outputs; the first begin with the normalised observations, oldest first.
    activations: Vec<Vec<f32>>,
    /// The plan, scaled, `[chunk, action_dim]` row by row.
    plan: Vec<f32>,
    /// How many of its actions were played; `None` without a plan.
    played: Option<usize>,
    /// Whether there was an observation.
    seen: bool,
}

impl FlowScratch {
    /// Forgets observations and plan: an episode begins.
    pub fn begin(&mut self) {
        self.seen = false;
        self.played = None;
    }
}

impl FlowActor {
    /// Checks that the parts fit together.
    pub fn new(parts: FlowParts) -> Result<Self, ActorError> {
        parts.planning.check().map_err(ActorError::new)?;
        let (o, a) = (parts.scales.observation_dim(), parts.scales.action_dim());
        let [inputs, outputs] = parts.planning.sizes(o, a);
        check_network(&parts.scales, &parts.layers, inputs, outputs)?;
        Ok(Self { parts })
    }

    /// What it consists of.
    pub fn parts(&self) -> &FlowParts {
        &self.parts
    }

    /// Entries of an observation.
    pub fn observation_dim(&self) -> usize {
        self.parts.scales.observation_dim()
    }

    /// Entries of an action.
    pub fn action_dim(&self) -> usize {
        self.parts.scales.action_dim()
    }

    /// Work space, at the beginning of an episode.
    pub fn scratch(&self) -> FlowScratch {
        let first = self.parts.layers[0].weight.ncols();
        let layers = self.parts.layers.iter().map(|l| l.weight.nrows());
        FlowScratch {
            activations: [first]
                .into_iter()
                .chain(layers)
                .map(|n| vec![0.0; n])
                .collect(),
            plan: vec![0.0; self.parts.planning.chunk * self.action_dim()],
            played: None,
            seen: false,
        }
    }

    /// The action of an episode's next step, `[action_dim]`, into `action`, for its observation, `[observation_dim]`.
    /// A new plan starts from `noise`, or without any from x(0) = 0.
    pub fn act(
        &self,
        observation: &[f32],
        noise: Option<&mut Stream>,
        scratch: &mut FlowScratch,
        action: &mut [f32],
    ) {
        self.see(observation, scratch);
        let played = match scratch.played {
            Some(played) if played < self.parts.planning.execute => played,
            _ => {
                self.make_plan(noise, scratch);
                0
            }
        };
        self.unscale(&scratch.plan[played * self.action_dim()..], action);
        scratch.played = Some(played + 1);
    }

    /// The plan from x(0) = `noise`, scaled `[chunk · action_dim]`, after `observations`, `[history · observation_dim]`, oldest
    /// first: actions, `[chunk · action_dim]`.
    pub fn plan(&self, observations: &[f32], noise: &[f32]) -> Vec<f32> {
        let mut scratch = self.scratch();
        for observation in observations.chunks_exact(self.observation_dim()) {
            self.see(observation, &mut scratch);
        }
        scratch.plan.copy_from_slice(noise);
        self.integrate(&mut scratch);
        let mut actions = vec![0.0; noise.len()];
        let each = self.action_dim();
        for (action, scaled) in actions
            .chunks_exact_mut(each)
            .zip(scratch.plan.chunks_exact(each))
        {
            self.unscale(scaled, action);
        }
        actions
    }

    fn unscale(&self, scaled: &[f32], action: &mut [f32]) {
        let scales = &self.parts.scales;
        for (i, (out, v)) in action.iter_mut().zip(scaled).enumerate() {
            *out = scales.action_centre[i] + scales.action_scale[i] * v;
        }
    }

    /// The first action of a new plan from x(0) = 0, `[action_dim]`, into `action`: an answer that depends on observations
    /// alone.
    pub fn answer(&self, observation: &[f32], scratch: &mut FlowScratch, action: &mut [f32]) {
        scratch.played = None;
        self.act(observation, None, scratch, action);
    }

    /// Adds an observation to what the network sees.
    fn see(&self, observation: &[f32], scratch: &mut FlowScratch) {
        let (o, history) = (self.observation_dim(), self.parts.planning.history);
        let seen = &mut scratch.activations[0][..history * o];
        seen.copy_within(o.., 0);
        let (before, newest) = seen.split_at_mut((history - 1) * o);
        self.parts.scales.normalize(observation, newest);
        if !scratch.seen {
            before
                .chunks_exact_mut(o)
                .for_each(|b| b.copy_from_slice(newest));
            scratch.seen = true;
        }
    }

    fn make_plan(&self, noise: Option<&mut Stream>, scratch: &mut FlowScratch) {
        match noise {
            Some(noise) => scratch.plan.fill_with(|| StandardNormal.sample(noise)),
            None => scratch.plan.fill(0.0),
        }
        self.integrate(scratch);
    }

    /// x(1) of x(0) = `scratch.plan`.
    fn integrate(&self, scratch: &mut FlowScratch) {
        let steps = self.parts.planning.steps;
        let size = 1.0 / steps as f32;
        let first = self.parts.planning.history * self.observation_dim();
        for step in 0..steps {
            let t = step as f32 / steps as f32;
            let input = &mut scratch.activations[0];
            let (plan, time) = input[first..].split_at_mut(scratch.plan.len());
            plan.copy_from_slice(&scratch.plan);
            time.copy_from_slice(&time_features(t));
            network(&self.parts.layers, &mut scratch.activations);
            let learned = &scratch.activations[self.parts.layers.len()];
            for (x, v) in scratch.plan.iter_mut().zip(learned) {
                *x += size * (gain(t) * *x + v);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nalgebra::{DMatrix, DVector};
    use rand::RngExt;

    use super::*;
    use crate::rng::stream;

    /// One observed number, one action of scale 2 about 1, one layer.
    fn actor(planning: Planning, weight: impl FnMut(usize, usize) -> f32) -> FlowActor {
        let [inputs, outputs] = planning.sizes(1, 1);
        FlowActor::new(FlowParts {
            scales: Scales {
                observation_mean: vec![0.0],
                observation_std: vec![1.0],
                observation_clip: 10.0,
                action_centre: vec![1.0],
                action_scale: vec![2.0],
            },
            layers: vec![Dense {
                weight: DMatrix::from_fn(outputs, inputs, weight),
                bias: DVector::zeros(outputs),
            }],
            planning,
        })
        .unwrap()
    }

    const PLANNING: Planning = Planning {
        chunk: 5,
        execute: 3,
        history: 2,
        steps: 4,
    };

    #[test]
    fn a_plan_of_endless_steps_is_refused() {
        let planning = |steps| Planning {
            chunk: 2,
            execute: 1,
            history: 1,
            steps,
        };
        assert!(planning(MOST_STEPS).check().is_ok());
        let refused = planning(usize::MAX).check().unwrap_err();
        assert!(refused.contains("expected at most 10000"), "{refused}");
    }

    #[test]
    fn plans_are_drawn_every_execute_steps_and_anew_in_every_episode() {
        let mut rng = stream(1, "test", 0);
        let actor = actor(PLANNING, |_, _| rng.random_range(-0.5..0.5));
        let observations = [0.3, -0.2, 0.8, 0.1, -1.0, 0.4, 0.7];
        let mut scratch = actor.scratch();
        let mut play = |steps: usize| -> Vec<f32> {
            let mut noise = stream(7, "action", 0);
            scratch.begin();
            let act = |observation: &f32| {
                let mut action = [0.0];
                actor.act(&[*observation], Some(&mut noise), &mut scratch, &mut action);
                action[0]
            };
            observations[..steps].iter().map(act).collect()
        };
        let found = play(7);
        let mut noise = stream(7, "action", 0);
        let mut expected = Vec::new();
        for (seen, played) in [([0.3, 0.3], 3), ([0.8, 0.1], 3), ([0.4, 0.7], 1)] {
            let drawn: Vec<f32> = (0..5).map(|_| StandardNormal.sample(&mut noise)).collect();
            expected.extend_from_slice(&actor.plan(&seen, &drawn)[..played]);
        }
        assert_eq!(found, expected);
        // The episode before ended within a plan, and leaves nothing.
        assert_eq!(play(2), found[..2]);
    }

    #[test]
    fn without_noise_an_answer_depends_on_observations_alone() {
        let mut rng = stream(2, "test", 0);
        let actor = actor(PLANNING, |_, _| rng.random_range(-0.5..0.5));
        let mut scratch = actor.scratch();
        let mut action = [0.0];
        for seen in [[0.3, 0.3], [0.3, -0.2], [-0.2, 0.9]] {
            actor.answer(&seen[1..], &mut scratch, &mut action);
            assert_eq!(action[0], actor.plan(&seen, &[0.0; 5])[0]);
        }
    }

    #[test]
    fn one_step_from_noise_is_the_network_at_time_zero() {
        // k(0) = −1 takes the noise away. T_1 … T_4 are −1, 1, −1, 1 at t = 0.
        let planning = Planning {
            steps: 1,
            ..PLANNING
        };
        let weights = [10.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.4, 0.8];
        let actor = actor(planning, |_, k| weights[k]);
        let found = actor.plan(&[0.5, 0.25], &[9.0, -3.0, 0.0, 1.0, 2.0]);
        let expected = 1.0 + 2.0 * (5.0 + 0.25 - 0.1 + 0.2 - 0.4 + 0.8);
        for v in found {
            assert!((v - expected).abs() < 1e-5, "{v}, expected {expected}");
        }
    }

    #[test]
    fn features_of_time_are_cosines() {
        for i in 0..=20 {
            let t = i as f32 / 20.0;
            let angle = f64::from(2.0 * t - 1.0).acos();
            for (n, found) in time_features(t).into_iter().enumerate() {
                let exact = ((n + 1) as f64 * angle).cos();
                assert!(
                    (f64::from(found) - exact).abs() < 1e-5,
                    "T_{} at {t}",
                    n + 1
                );
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let good = actor(PLANNING, |_, _| 0.0).parts;
        let with = |planning| FlowParts {
            planning,
            ..good.clone()
        };
        for (parts, what) in [
            (
                with(Planning {
                    execute: 6,
                    ..PLANNING
                }),
                "execute is 6",
            ),
            (
                with(Planning {
                    steps: 0,
                    ..PLANNING
                }),
                "at least 1",
            ),
            (
                with(Planning {
                    history: 3,
                    ..PLANNING
                }),
                "inputs",
            ),
            (
                with(Planning {
                    chunk: usize::MAX,
                    ..PLANNING
                }),
                "inputs",
            ),
        ] {
            let error = FlowActor::new(parts).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
