//! Scales of observations and actions: part of every saved network.

use costate_envs::actor::Scales;
use costate_envs::{EnvSpec, Trajectory};
use serde::{Deserialize, Serialize};
use tch::Tensor;

/// Observations are normalised to mean 0 and standard deviation 1, then clipped to ± this.
const CLIP: f32 = 10.0;

/// Minimum standard deviation, so that constant entries do not blow up.
const LEAST_STD: f32 = 1e-4;

/// (s − mean) / std, clipped to ±10. Immutable, so that it never changes a policy's density.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalizer {
    /// Mean of each observation entry.
    pub mean: Vec<f32>,
    /// Standard deviation of each observation entry, positive.
    pub std: Vec<f32>,
    /// Clip bound.
    pub clip: f32,
}

impl Normalizer {
    /// What is invalid in a normaliser read from a file.
    pub fn check(&self) -> Result<(), String> {
        let (mean, std) = (self.mean.len(), self.std.len());
        if mean == 0 || mean != std {
            return Err(format!(
                "normalizer.mean has {mean} entries and normalizer.std {std}, expected one per observed value"
            ));
        }
        check_each("normalizer.mean", &self.mean, |_| true)?;
        check_each("normalizer.std", &self.std, |v| v > 0.0)?;
        check_each("normalizer.clip", &[self.clip], |v| v > 0.0)
    }

    /// The identity (up to the clip).
    pub fn identity(dim: usize) -> Self {
        Self {
            mean: vec![0.0; dim],
            std: vec![1.0; dim],
            clip: CLIP,
        }
    }

    /// Mean and standard deviation over all states of `groups` of trajectories, each nonempty group with
    /// equal weight, whatever its number of states.
    pub fn fit(dim: usize, groups: &[&[Trajectory]]) -> Self {
        let mut mean = vec![0.0; dim];
        let mut square = vec![0.0; dim];
        let count = groups.iter().filter(|g| !g.is_empty()).count();
        for group in groups {
            let rows: usize = group.iter().map(|t| t.len() + 1).sum();
            let weight = 1.0 / (rows.max(1) * count.max(1)) as f64;
            for row in group
                .iter()
                .flat_map(|t| t.observations().chunks_exact(dim))
            {
                for i in 0..dim {
                    let v = f64::from(row[i]);
                    mean[i] += weight * v;
                    square[i] += weight * v * v;
                }
            }
        }
        let std = mean
            .iter()
            .zip(&square)
            .map(|(m, s)| ((s - m * m).max(0.0).sqrt() as f32).max(LEAST_STD))
            .collect();
        Self {
            mean: mean.iter().map(|&m| m as f32).collect(),
            std,
            clip: CLIP,
        }
    }

    /// Normalises rows, `[N, dim] → [N, dim]`.
    pub fn apply(&self, observations: &Tensor) -> Tensor {
        let row = |v: &[f32]| Tensor::from_slice(v).to_kind(observations.kind());
        let clip = f64::from(self.clip);
        ((observations - row(&self.mean)) / row(&self.std)).clamp(-clip, clip)
    }
}

/// Refuses the first number that is not finite, or not positive if `is` requires that.
fn check_each(name: &str, values: &[f32], is: impl Fn(f32) -> bool) -> Result<(), String> {
    match values.iter().find(|v| !(v.is_finite() && is(**v))) {
        None => Ok(()),
        Some(v) if v.is_finite() => Err(format!("{name} holds {v}, expected positive numbers")),
        Some(v) => Err(format!("{name} holds {v}, expected finite numbers")),
    }
}

/// Both scales as used by workers.
pub(crate) fn scales(normalizer: &Normalizer, action_scale: &ActionScale) -> Scales {
    Scales {
        observation_mean: normalizer.mean.clone(),
        observation_std: normalizer.std.clone(),
        observation_clip: normalizer.clip,
        action_centre: action_scale.centre.clone(),
        action_scale: action_scale.half_range.clone(),
    }
}

/// The action range: networks work in units of half the range about its centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionScale {
    /// Centre of each action's range.
    pub centre: Vec<f32>,
    /// Half of each action's range, positive.
    pub half_range: Vec<f32>,
}

impl ActionScale {
    /// What is invalid in a scale read from a file.
    pub fn check(&self) -> Result<(), String> {
        let (centre, half) = (self.centre.len(), self.half_range.len());
        if centre == 0 || centre != half {
            return Err(format!(
                "action_scale.centre has {centre} entries and action_scale.half_range {half}, expected one each for every                  action"
            ));
        }
        check_each("action_scale.centre", &self.centre, |_| true)?;
        check_each("action_scale.half_range", &self.half_range, |v| v > 0.0)
    }

    /// The scale of an environment's actions.
    ///
    /// Ranges wider than ±100 mean that the action is unbounded in practice; they count as ±1.
    pub fn of(spec: &EnvSpec) -> Self {
        let bounded = |low: f32, high: f32| high - low <= 200.0;
        let (centre, half_range) = spec
            .action
            .0
            .iter()
            .map(|c| match bounded(c.low, c.high) {
                true => (0.5 * (c.low + c.high), 0.5 * (c.high - c.low)),
                false => (0.0, 1.0),
            })
            .unzip();
        Self { centre, half_range }
    }

    /// The bounding box of all actions in some trajectories, enlarged by `margin` of its width on every side.
    pub fn around(dim: usize, trajectories: &[Trajectory], margin: f64) -> Self {
        // A constant action still needs a box.
        const LEAST_HALF_RANGE: f32 = 1e-3;
        let mut bounds = vec![[f32::MAX, f32::MIN]; dim];
        for action in trajectories
            .iter()
            .flat_map(|t| t.actions().chunks_exact(dim))
        {
            for (bound, v) in bounds.iter_mut().zip(action) {
                *bound = [bound[0].min(*v), bound[1].max(*v)];
            }
        }
        let share = 1.0 + 2.0 * margin as f32;
        Self {
            centre: bounds
                .iter()
                .map(|[low, high]| 0.5 * (low + high))
                .collect(),
            half_range: bounds
                .iter()
                .map(|[low, high]| (0.5 * share * (high - low)).max(LEAST_HALF_RANGE))
                .collect(),
        }
    }

    /// Mean and standard deviation of all actions in some trajectories, as centre and half range.
    pub fn standardised(dim: usize, trajectories: &[Trajectory]) -> Self {
        // A constant action still needs a scale.
        const LEAST_STD: f64 = 1e-3;
        let column = |i: usize| {
            let all = trajectories.iter();
            let all = all.flat_map(move |t| t.actions().iter().skip(i).step_by(dim));
            all.map(|a| f64::from(*a))
        };
        let count = trajectories.iter().map(|t| t.len()).sum::<usize>().max(1) as f64;
        let (centre, half_range) = (0..dim)
            .map(|i| {
                let mean = column(i).sum::<f64>() / count;
                let variance = column(i).map(|a| (a - mean).powi(2)).sum::<f64>() / count;
                (mean as f32, variance.sqrt().max(LEAST_STD) as f32)
            })
            .unzip();
        Self { centre, half_range }
    }

    /// Actions in units of the half range, `[N, dim] → [N, dim]`.
    pub fn apply(&self, actions: &Tensor) -> Tensor {
        let row = |v: &[f32]| Tensor::from_slice(v).to_kind(actions.kind());
        (actions - row(&self.centre)) / row(&self.half_range)
    }
}
