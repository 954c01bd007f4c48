//! Frozen policies on plain f32 matrices, for workers.
//!
//! An actor is immutable for a whole trajectory, so every trajectory has exactly one behaviour
//! density q, and it needs no libtorch.

use std::f64::consts::TAU;

use costate_base::tanh::tanh;
use nalgebra::{DMatrix, DVector};
use rand_distr::{Distribution, StandardNormal};

use crate::rng::Stream;

/// A dense layer y = W x + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Dense {
    /// W, `[out, in]`.
    pub weight: DMatrix<f32>,
    /// b, `[out]`.
    pub bias: DVector<f32>,
}

/// How the standard deviation of a Gaussian policy depends on the state.
#[derive(Debug, Clone, PartialEq)]
pub enum LogStd {
    /// The same in every state: log σ, `[action_dim]`, in action units.
    Constant(Vec<f32>),
    /// The second half of the network's outputs, unconstrained; σ = floor + softplus(output), in
    /// units of the action scale.
    Head {
        /// Minimum σ, in units of the action scale.
        floor: f32,
    },
}

/// The parts of an [`Actor`].
#[derive(Debug, Clone, PartialEq)]
pub struct ActorParts {
    /// How observations and actions are scaled; the network's outputs are in units of the action's scale.
    pub scales: Scales,
    /// Layers with tanh between them, none after the last.
    pub layers: Vec<Dense>,
    /// Standard deviation.
    pub log_std: LogStd,
}

/// Why the parts do not form an actor.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("not a policy: {0}")]
pub struct ActorError(pub(crate) String);

impl ActorError {
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// How a policy's network scales observations and actions.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// Observation mean, `[observation_dim]`.
    pub observation_mean: Vec<f32>,
    /// Observation standard deviation, `[observation_dim]`, positive.
    pub observation_std: Vec<f32>,
    /// Normalised observations are clipped to ± this.
    pub observation_clip: f32,
    /// Centre of the action range, `[action_dim]`.
    pub action_centre: Vec<f32>,
    /// Half the action range, `[action_dim]`; the network's actions are in these units.
    pub action_scale: Vec<f32>,
}

impl Scales {
    /// Entries of an observation.
    pub(crate) fn observation_dim(&self) -> usize {
        self.observation_mean.len()
    }

    /// Entries of an action.
    pub(crate) fn action_dim(&self) -> usize {
        self.action_scale.len()
    }

    /// Writes the network's input for an observation.
    pub(crate) fn normalize(&self, observation: &[f32], out: &mut [f32]) {
        let clip = self.observation_clip;
        for (i, out) in out.iter_mut().enumerate() {
            *out = ((observation[i] - self.observation_mean[i]) / self.observation_std[i])
                .clamp(-clip, clip);
        }
    }
}

/// Checks that layers map `inputs` to `outputs` values, and that the scales are valid.
pub(crate) fn check_network(
    scales: &Scales,
    layers: &[Dense],
    inputs: usize,
    outputs: usize,
) -> Result<(), ActorError> {
    let err = |m: String| Err(ActorError(m));
    let (o, a) = (scales.observation_dim(), scales.action_dim());
    if layers.is_empty() || o == 0 || a == 0 {
        return err("it needs layers, observations and actions".into());
    }
    if scales.observation_std.len() != o || scales.action_centre.len() != a {
        return err("mean and std, or centre and scale, differ in length".into());
    }
    let positive = |s: &f32| s.is_finite() && *s > 0.0;
    let mut widths = scales.observation_std.iter().chain(&scales.action_scale);
    if !widths.all(positive) {
        return err("observation_std and action_scale must be positive".into());
    }
    let mut width = inputs;
    for (i, layer) in layers.iter().enumerate() {
        if layer.weight.ncols() != width || layer.bias.len() != layer.weight.nrows() {
            return err(format!(
                "layer {i} takes {} inputs, gets {width}",
                layer.weight.ncols()
            ));
        }
        let mut weights = layer.weight.iter().chain(layer.bias.iter());
        if !weights.all(|w| w.is_finite()) {
            return err(format!("layer {i} contains a non-finite weight"));
        }
        width = layer.weight.nrows();
    }
    if width != outputs {
        return err(format!(
            "the last layer has {width} outputs, expected {outputs}"
        ));
    }
    Ok(())
}

/// A frozen Gaussian policy π(a | s) = N(μ(s), diag σ²).
#[derive(Debug, Clone, PartialEq)]
pub struct Actor {
    parts: ActorParts,
}

/// A policy in rollouts: a Gaussian p(a_t | s_t), frozen for a whole trajectory.
pub trait Behaviour: Send + Sync {
    /// Work space, which holds the distribution of the last step.
    type Scratch: ActionDistribution;

    /// Entries of an observation.
    fn observation_dim(&self) -> usize;

    /// Entries of an action.
    fn action_dim(&self) -> usize;

    /// Work space.
    fn scratch(&self) -> Self::Scratch;

    /// p(a_t | s_t) of step `step` for an observation, `[observation_dim]`, into `scratch`.
    fn act(&self, step: usize, observation: &[f32], scratch: &mut Self::Scratch);
}

/// p(a_t | s_t) of one step.
pub trait ActionDistribution {
    /// Its mean, `[action_dim]`, action units.
    fn mean(&self) -> &[f32];

    /// Draws an action into `action`, `[action_dim]`.
    fn sample(&mut self, noise: &mut Stream, action: &mut [f32]);

    /// log p of an action, `[action_dim]`, in f64.
    fn log_density(&mut self, action: &[f32]) -> f64;
}

/// Work space of [`Actor::forward`], and its results.
#[derive(Debug, Clone)]
pub struct Scratch {
    activations: Vec<Vec<f32>>,
    /// Mean, `[action_dim]`, action units.
    pub mean: Vec<f32>,
    /// log σ, `[action_dim]`, action units.
    pub log_std: Vec<f32>,
}

impl Scratch {
    /// a ~ N(mean, diag exp(2 log σ)) of the last [`Actor::forward`], into `action`, `[action_dim]`.
    pub fn sample(&self, noise: &mut Stream, action: &mut [f32]) {
        for (out, (mean, log_std)) in action.iter_mut().zip(self.mean.iter().zip(&self.log_std)) {
            let z: f32 = StandardNormal.sample(noise);
            *out = mean + log_std.exp() * z;
        }
    }

    /// Its log-density of an action, `[action_dim]`.
    pub fn log_density(&self, action: &[f32]) -> f64 {
        gaussian_log_density(
            action.iter().copied(),
            self.mean.iter().copied(),
            self.log_std.iter().copied(),
        )
    }
}

impl Actor {
    /// Checks that the parts fit together.
    pub fn new(parts: ActorParts) -> Result<Self, ActorError> {
        let (o, a) = (parts.scales.observation_dim(), parts.scales.action_dim());
        let outputs = match &parts.log_std {
            LogStd::Constant(log_std) if log_std.len() != a => {
                return Err(ActorError(format!(
                    "log_std has {} entries, expected {a}",
                    log_std.len()
                )));
            }
            LogStd::Constant(_) => a,
            LogStd::Head { .. } => 2 * a,
        };
        check_network(&parts.scales, &parts.layers, o, outputs)?;
        Ok(Self { parts })
    }

    /// What it consists of.
    pub fn parts(&self) -> &ActorParts {
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
    pub fn scratch(&self) -> Scratch {
        let zeros = |n: usize| vec![0.0; n];
        let layers = self.parts.layers.iter().map(|l| zeros(l.weight.nrows()));
        Scratch {
            activations: [zeros(self.observation_dim())]
                .into_iter()
                .chain(layers)
                .collect(),
            mean: zeros(self.action_dim()),
            log_std: zeros(self.action_dim()),
        }
    }

    /// Mean and log σ of the action for an observation, `[observation_dim]`; the results are in `scratch`.
    pub fn forward(&self, observation: &[f32], scratch: &mut Scratch) {
        let (p, scales) = (&self.parts, &self.parts.scales);
        scales.normalize(observation, &mut scratch.activations[0]);
        network(&p.layers, &mut scratch.activations);
        let out = &scratch.activations[p.layers.len()];
        let a = self.action_dim();
        for i in 0..a {
            scratch.mean[i] = scales.action_centre[i] + scales.action_scale[i] * out[i];
            scratch.log_std[i] = match &p.log_std {
                LogStd::Constant(log_std) => log_std[i],
                LogStd::Head { floor } => {
                    (scales.action_scale[i] * (floor + softplus(out[a + i]))).ln()
                }
            };
        }
    }
}

impl Behaviour for Actor {
    type Scratch = Scratch;

    fn observation_dim(&self) -> usize {
        self.observation_dim()
    }

    fn action_dim(&self) -> usize {
        self.action_dim()
    }

    fn scratch(&self) -> Scratch {
        self.scratch()
    }

    fn act(&self, _step: usize, observation: &[f32], scratch: &mut Scratch) {
        self.forward(observation, scratch);
    }
}

impl ActionDistribution for Scratch {
    fn mean(&self) -> &[f32] {
        &self.mean
    }

    fn sample(&mut self, noise: &mut Stream, action: &mut [f32]) {
        Scratch::sample(self, noise, action);
    }

    fn log_density(&mut self, action: &[f32]) -> f64 {
        Scratch::log_density(self, action)
    }
}

/// All layers. Wider registers where the processor has them: the same additions in the same order, so the same bits.
pub(crate) fn network(layers: &[Dense], activations: &mut [Vec<f32>]) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[target_feature(enable = "avx2")]
        fn wide(layers: &[Dense], activations: &mut [Vec<f32>]) {
            network_inline(layers, activations);
        }
        // SAFETY: the processor supports the required features.
        return unsafe { wide(layers, activations) };
    }
    network_inline(layers, activations);
}

#[inline(always)]
fn network_inline(layers: &[Dense], activations: &mut [Vec<f32>]) {
    for (i, layer) in layers.iter().enumerate() {
        let (before, after) = activations.split_at_mut(i + 1);
        let (input, out) = (&before[i], &mut after[0]);
        let (weight, bias) = (layer.weight.as_slice(), layer.bias.as_slice());
        let hidden = i + 1 < layers.len();
        let rows = out.len();
        let mut from = 0;
        while from + 64 <= rows {
            rows_of::<64>(weight, bias, input, out, from, hidden);
            from += 64;
        }
        while from + 8 <= rows {
            rows_of::<8>(weight, bias, input, out, from, hidden);
            from += 8;
        }
        while from < rows {
            rows_of::<1>(weight, bias, input, out, from, hidden);
            from += 1;
        }
    }
}

/// y = f(b + Σ_k W_k x_k) for `N` rows, which stay in registers; W is stored by columns W_k.
#[inline(always)]
fn rows_of<const N: usize>(
    weight: &[f32],
    bias: &[f32],
    input: &[f32],
    out: &mut [f32],
    from: usize,
    hidden: bool,
) {
    let mut sum: [f32; N] = bias[from..from + N].try_into().expect("N rows");
    for (column, x) in weight.chunks_exact(bias.len()).zip(input) {
        let column: &[f32; N] = column[from..from + N].try_into().expect("N rows");
        for i in 0..N {
            sum[i] += column[i] * x;
        }
    }
    if hidden {
        sum.iter_mut().for_each(|v| *v = tanh(*v));
    }
    out[from..from + N].copy_from_slice(&sum);
}

/// log N(action; mean, diag exp(2 log σ)) in f64, with −Σ log σ and −(d/2) log 2π.
pub fn gaussian_log_density(
    action: impl Iterator<Item = f32>,
    mean: impl Iterator<Item = f32>,
    log_std: impl Iterator<Item = f32>,
) -> f64 {
    action
        .zip(mean)
        .zip(log_std)
        .map(|((a, m), l)| {
            let l = f64::from(l);
            let z = (f64::from(a) - f64::from(m)) * (-l).exp();
            -0.5 * z * z - l - 0.5 * TAU.ln()
        })
        .sum()
}

fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::RngExt;

    #[test]
    fn the_density_integrates_to_one() {
        // Trapezium rule over ±12 σ in one and two dimensions.
        let (mean, log_std) = ([0.7_f32, -1.3], [-0.4_f32, 0.9]);
        let grid = |i: usize, k: usize, n: usize| {
            mean[i] + log_std[i].exp() * (24.0 * k as f32 / n as f32 - 12.0)
        };
        let n = 400;
        let cell = |i: usize| f64::from(log_std[i].exp()) * 24.0 / n as f64;
        let one: f64 = (0..=n)
            .map(|k| {
                gaussian_log_density(
                    [grid(0, k, n)].into_iter(),
                    mean.into_iter(),
                    log_std.into_iter(),
                )
                .exp()
                    * cell(0)
            })
            .sum();
        assert!((one - 1.0).abs() < 1e-5, "{one}");
        let two: f64 = (0..=n)
            .flat_map(|k| (0..=n).map(move |l| (k, l)))
            .map(|(k, l)| {
                let a = [grid(0, k, n), grid(1, l, n)];
                gaussian_log_density(a.into_iter(), mean.into_iter(), log_std.into_iter()).exp()
                    * cell(0)
                    * cell(1)
            })
            .sum();
        assert!((two - 1.0).abs() < 1e-5, "{two}");
    }

    proptest! {
        #[test]
        fn the_network_is_its_matrix_products(
            seed in 0_u64..200, o in 1..12_usize, hidden in 1..150_usize, a in 1..4_usize,
        ) {
            let mut rng = crate::rng::stream(seed, "test", 0);
            let mut draw = || rng.random_range(-0.4_f32..0.4);
            let layers = [(hidden, o), (a, hidden)].map(|(rows, columns)| Dense {
                weight: DMatrix::from_fn(rows, columns, |_, _| draw()),
                bias: DVector::from_fn(rows, |_, _| draw()),
            });
            let input: Vec<f32> = (0..o).map(|_| 5.0 * draw()).collect();
            let run = |network: fn(&[Dense], &mut [Vec<f32>])| {
                let mut activations = vec![input.clone(), vec![0.0; hidden], vec![0.0; a]];
                network(&layers, &mut activations);
                activations[2].clone()
            };
            let found = run(network);
            // Wide registers change nothing.
            prop_assert_eq!(&found, &run(network_inline));
            let exact = |layer: &Dense, x: DVector<f64>| {
                layer.weight.clone().cast::<f64>() * x + layer.bias.clone().cast::<f64>()
            };
            let x = DVector::from_vec(input.clone()).cast();
            let expected = exact(&layers[1], exact(&layers[0], x).map(f64::tanh));
            for (found, expected) in found.iter().zip(expected.iter()) {
                prop_assert!((f64::from(*found) - expected).abs() < 2e-5, "{found}, exactly {expected}");
            }
        }
    }
}
