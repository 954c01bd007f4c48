//! Frozen implicit policies on plain f32 matrices: π(a | s) ∝ exp(−E(s, a)), drawn by sampling.
//!
//! Florence et al. 2021 (arXiv 2109.00137). The counterpart of [`crate::actor`] for energies: no
//! libtorch, immutable for a whole trajectory. Its density cannot be evaluated, only the energy.

mod sampler;

use costate_base::tanh::tanh;
use nalgebra::{DMatrix, DVector};

pub use sampler::{Sampler, Sampling};

use crate::actor::{ActorError, Dense, Scales, check_network};
use crate::rng::Stream;
use sampler::{Candidates, Energy};

/// The parts of an [`ImplicitActor`].
#[derive(Debug, Clone, PartialEq)]
pub struct ImplicitParts {
    /// How observations and actions are scaled; the box of the actions is centre ± scale.
    pub scales: Scales,
    /// Layers from normalised observation and scaled action, in this order, to the energy: tanh between them.
    pub layers: Vec<Dense>,
    /// How actions are drawn.
    pub sampling: Sampling,
}

/// A frozen policy defined by an energy.
#[derive(Debug, Clone, PartialEq)]
pub struct ImplicitActor {
    parts: ImplicitParts,
    /// The first layer's weights of the action, `[out, action_dim]`.
    of_action: DMatrix<f32>,
}

/// Work space of [`ImplicitActor::refine`], and its results.
#[derive(Debug, Clone)]
pub struct ImplicitScratch {
    candidates: Candidates,
    network: NetworkScratch,
}

#[derive(Debug, Clone)]
struct NetworkScratch {
    observation: DVector<f32>,
    /// Of the first layer in the current state: b + W_s s.
    bias: DVector<f32>,
    /// Outputs of each layer, `[out, N]`.
    outputs: Vec<DMatrix<f32>>,
    /// ∂E by them.
    slopes: Vec<DMatrix<f32>>,
}

impl NetworkScratch {
    fn new(layers: &[Dense], observations: usize, count: usize) -> Self {
        let outputs: Vec<_> = layers
            .iter()
            .map(|l| DMatrix::zeros(l.bias.len(), count))
            .collect();
        Self {
            observation: DVector::zeros(observations),
            bias: layers[0].bias.clone(),
            slopes: outputs.clone(),
            outputs,
        }
    }
}

impl ImplicitActor {
    /// Checks that the parts fit together.
    pub fn new(parts: ImplicitParts) -> Result<Self, ActorError> {
        let (o, a) = (parts.scales.observation_dim(), parts.scales.action_dim());
        check_network(&parts.scales, &parts.layers, o + a, 1)?;
        parts.sampling.check().map_err(ActorError::new)?;
        Ok(Self {
            of_action: parts.layers[0].weight.columns(o, a).into_owned(),
            parts,
        })
    }

    /// What it consists of.
    pub fn parts(&self) -> &ImplicitParts {
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

    /// Work space.
    pub fn scratch(&self) -> ImplicitScratch {
        let count = self.parts.sampling.candidates;
        ImplicitScratch {
            candidates: Candidates::new(self.action_dim(), count),
            network: NetworkScratch::new(&self.parts.layers, self.observation_dim(), count),
        }
    }

    /// Draws candidates of π(· | s) for an observation, `[observation_dim]`; the results are in `scratch`.
    pub fn refine(&self, observation: &[f32], noise: &mut Stream, scratch: &mut ImplicitScratch) {
        let mut energy = self.in_state(observation, &mut scratch.network);
        let candidates = &mut scratch.candidates;
        candidates.refine(&mut energy, &self.parts.sampling, noise);
    }

    /// Writes a draw of the last [`ImplicitActor::refine`], `[action_dim]`.
    pub fn draw(&self, scratch: &ImplicitScratch, noise: &mut Stream, action: &mut [f32]) {
        self.unscale(scratch.candidates.draw(noise), action);
    }

    /// Writes the lowest-energy action found by the last [`ImplicitActor::refine`], `[action_dim]`.
    pub fn least(&self, scratch: &ImplicitScratch, action: &mut [f32]) {
        self.unscale(scratch.candidates.least(), action);
    }

    /// E(s, a) for an observation, `[observation_dim]`, and N actions in their own units, row-major
    /// `[N, action_dim]`; `[N]`.
    pub fn energies(&self, observation: &[f32], actions: &[f32]) -> Vec<f32> {
        let scales = &self.parts.scales;
        let a = self.action_dim();
        let places = DMatrix::from_fn(a, actions.len() / a, |i, n| {
            (actions[n * a + i] - scales.action_centre[i]) / scales.action_scale[i]
        });
        let count = places.ncols();
        let mut scratch = NetworkScratch::new(&self.parts.layers, self.observation_dim(), count);
        let mut out = vec![0.0; count];
        self.in_state(observation, &mut scratch)
            .energies(&places, &mut out);
        out
    }

    fn unscale(&self, place: &[f32], action: &mut [f32]) {
        let scales = &self.parts.scales;
        for (i, (out, v)) in action.iter_mut().zip(place).enumerate() {
            *out = scales.action_centre[i] + scales.action_scale[i] * v;
        }
    }

    /// The energy of actions in one state.
    fn in_state<'a>(&'a self, observation: &[f32], scratch: &'a mut NetworkScratch) -> InState<'a> {
        let first = &self.parts.layers[0];
        let s = &mut scratch.observation;
        self.parts.scales.normalize(observation, s.as_mut_slice());
        let of_state = first.weight.columns(0, s.len());
        scratch.bias.copy_from(&first.bias);
        scratch.bias.gemv(1.0, &of_state, s, 1.0);
        InState {
            actor: self,
            scratch,
        }
    }
}

struct InState<'a> {
    actor: &'a ImplicitActor,
    scratch: &'a mut NetworkScratch,
}

impl InState<'_> {
    /// W of layer `i`, of the first one what meets the action.
    fn weight(&self, i: usize) -> &DMatrix<f32> {
        match i {
            0 => &self.actor.of_action,
            _ => &self.actor.parts.layers[i].weight,
        }
    }
}

impl Energy for InState<'_> {
    fn energies(&mut self, places: &DMatrix<f32>, out: &mut [f32]) {
        let last = self.actor.parts.layers.len() - 1;
        for i in 0..=last {
            let mut output = std::mem::take(&mut self.scratch.outputs[i]);
            let bias = match i {
                0 => &self.scratch.bias,
                _ => &self.actor.parts.layers[i].bias,
            };
            for mut column in output.column_iter_mut() {
                column.copy_from(bias);
            }
            let input = match i {
                0 => places,
                _ => &self.scratch.outputs[i - 1],
            };
            output.gemm(1.0, self.weight(i), input, 1.0);
            if i < last {
                output.iter_mut().for_each(|v| *v = tanh(*v));
            }
            self.scratch.outputs[i] = output;
        }
        out.copy_from_slice(self.scratch.outputs[last].as_slice());
    }

    fn slopes(&mut self, out: &mut DMatrix<f32>) {
        let last = self.actor.parts.layers.len() - 1;
        self.scratch.slopes[last].fill(1.0);
        for i in (1..=last).rev() {
            let mut below = std::mem::take(&mut self.scratch.slopes[i - 1]);
            below.gemm_tr(1.0, self.weight(i), &self.scratch.slopes[i], 0.0);
            // tanh' = 1 − tanh².
            let outputs = &self.scratch.outputs[i - 1];
            below.zip_apply(outputs, |slope, h| *slope *= 1.0 - h * h);
            self.scratch.slopes[i - 1] = below;
        }
        out.gemm_tr(1.0, self.weight(0), &self.scratch.slopes[0], 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use rand::RngExt;

    fn actor(sizes: &[usize], observations: usize) -> ImplicitActor {
        let mut rng = stream(3, "test", 0);
        let mut draw = || rng.random_range(-0.8_f32..0.8);
        let layers = sizes
            .windows(2)
            .map(|pair| Dense {
                weight: DMatrix::from_fn(pair[1], pair[0], |_, _| draw()),
                bias: DVector::from_fn(pair[1], |_, _| draw()),
            })
            .collect();
        let a = sizes[0] - observations;
        ImplicitActor::new(ImplicitParts {
            scales: Scales {
                observation_mean: vec![0.5; observations],
                observation_std: vec![2.0; observations],
                observation_clip: 10.0,
                action_centre: vec![0.25; a],
                action_scale: vec![4.0; a],
            },
            layers,
            sampling: Sampling {
                sampler: Sampler::Langevin,
                candidates: 16,
                rounds: 3,
                step: 0.3,
                shrink: 0.5,
            },
        })
        .unwrap()
    }

    #[test]
    fn slopes_are_those_of_the_energy() {
        for sizes in [vec![5, 1], vec![5, 7, 6, 1]] {
            let actor = actor(&sizes, 3);
            let mut scratch = NetworkScratch::new(&actor.parts.layers, 3, 2);
            let mut energy = actor.in_state(&[0.3, -1.0, 2.0], &mut scratch);
            let place = DMatrix::from_row_slice(2, 2, &[0.1_f32, -0.4, 0.7, 0.2]);
            let (mut here, mut slopes) = ([0.0; 2], DMatrix::zeros(2, 2));
            energy.energies(&place, &mut here);
            energy.slopes(&mut slopes);
            let h = 1e-2_f32;
            for axis in 0..2 {
                let mut there = |by: f32| {
                    let mut moved = place.clone();
                    moved.row_mut(axis).add_scalar_mut(by);
                    let mut out = [0.0; 2];
                    energy.energies(&moved, &mut out);
                    out
                };
                let (up, down) = (there(h), there(-h));
                for n in 0..2 {
                    let found = (up[n] - down[n]) / (2.0 * h);
                    assert!((found - slopes[(axis, n)]).abs() < 2e-3, "{found} {slopes}");
                }
            }
        }
    }

    #[test]
    fn draws_lie_in_the_box_and_repeat() {
        let actor = actor(&[5, 8, 1], 3);
        let mut scratch = actor.scratch();
        let mut act = |seed: u64| {
            let mut noise = stream(seed, "action", 0);
            let mut action = [0.0; 2];
            actor.refine(&[0.0, 1.0, -1.0], &mut noise, &mut scratch);
            actor.draw(&scratch, &mut noise, &mut action);
            action
        };
        let first = act(1);
        assert!(first.iter().all(|v| (v - 0.25).abs() <= 4.0));
        // Earlier scratch contents have no effect.
        assert_ne!(act(2), first);
        assert_eq!(act(1), first);
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let good = actor(&[5, 8, 1], 3).parts;
        let mut two_outputs = good.clone();
        two_outputs.layers.pop();
        let mut no_candidates = good.clone();
        no_candidates.sampling.candidates = 0;
        let mut narrow = good;
        narrow.scales.action_scale[0] = 0.0;
        for (parts, what) in [
            (two_outputs, "outputs"),
            (no_candidates, "candidates"),
            (narrow, "positive"),
        ] {
            let error = ImplicitActor::new(parts).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
    }
}
