//! Gaussian policies: π_φ(a | s) = N(μ_φ(s), diag σ_φ²).

use std::f64::consts::{E, TAU};
use std::path::Path;

use costate_envs::actor::{Actor, ActorParts, LogStd};
use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::likelihood::Likelihood;
use super::normalizer::{ActionScale, Normalizer, scales};
use super::{FORMAT, NO_DENSITY, ONLY_DRAWS, Policy};
use crate::nn::{self, Computation, Mlp, StateDict, StateError};
use costate_base::schema::positive;

/// How the standard deviation depends on the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StdForm {
    /// One learned σ for all states.
    Constant,
    /// σ(s) from the same network as the mean.
    Network,
}

/// Settings of a [`GaussianPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicySettings {
    /// Units of each hidden layer; empty for a linear policy.
    #[schemars(inner(range(min = 1)))]
    pub hidden: Vec<usize>,
    /// How σ depends on the state.
    pub std_form: StdForm,
    /// Minimum σ, as a share of half the action range.
    #[schemars(transform = positive)]
    pub std_floor: f64,
    /// σ at the start, as a share of half the action range.
    pub std_initial: f64,
}

impl PolicySettings {
    /// What is invalid in settings read from a file.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("std_floor", self.std_floor),
            ("std_initial", self.std_initial),
        ] {
            if !value.is_finite() || value < 0.0 {
                return Err(format!(
                    "settings.{name} is {value}, expected a number of at least 0"
                ));
            }
        }
        Ok(())
    }

    /// Why no policy can start with these settings, if so.
    pub fn check_initial(&self) -> Result<(), String> {
        match self.std_initial > self.std_floor {
            true => Ok(()),
            false => Err(format!(
                "setting `policy.std_initial` is {}, expected a number above policy.std_floor, which is {}",
                self.std_initial, self.std_floor
            )),
        }
    }

    /// Layer sizes of the network from `observations` inputs to the outputs for `actions`.
    pub(crate) fn sizes(&self, observations: usize, actions: usize) -> Vec<usize> {
        let outputs = match self.std_form {
            StdForm::Constant => actions,
            StdForm::Network => 2 * actions,
        };
        let hidden = self.hidden.iter().copied();
        [observations]
            .into_iter()
            .chain(hidden)
            .chain([outputs])
            .collect()
    }
}

/// Everything but the weights: what a saved policy's metadata holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    kind: String,
    env: String,
    settings: PolicySettings,
    normalizer: Normalizer,
    action_scale: ActionScale,
    #[serde(default)]
    computation: Option<Computation>,
}

/// The file's description of how to act.
fn computation(settings: &PolicySettings) -> Computation {
    let std = match settings.std_form {
        StdForm::Constant => {
            "action_scale.half_range * (settings.std_floor + softplus(policy.rho))"
        }
        StdForm::Network => {
            "action_scale.half_range * (settings.std_floor + softplus(output[action_dim:]))"
        }
    };
    let formulas = [
        ("input", super::INPUT),
        (
            "mean",
            "action_scale.centre + action_scale.half_range * output[:action_dim]",
        ),
        ("std", std),
        ("action", super::UNCLIPPED),
    ];
    Computation::new("policy.", settings.hidden.len() + 1, &formulas)
}

/// The kind of policy in the file.
pub(super) const KIND: &str = "gaussian_policy";

/// A Gaussian policy on libtorch. σ = floor + softplus(ρ), in units of half the action range, with ρ
/// a learned constant or a second output of the network.
#[derive(Debug)]
pub struct GaussianPolicy {
    header: Header,
    network: Mlp,
    /// ρ, `[action_dim]`, for [`StdForm::Constant`].
    rho: Option<Tensor>,
}

/// A batch of diagonal Gaussians in f64.
#[derive(Debug)]
pub struct Gaussian {
    /// Means, `[N, action_dim]`.
    pub mean: Tensor,
    /// log σ, `[N, action_dim]`.
    pub log_std: Tensor,
}

impl Gaussian {
    /// log N(a; μ, diag σ²) = −½ Σ z² − Σ log σ − (d/2) log 2π, `[N, action_dim] → [N]`.
    pub fn log_density(&self, actions: &Tensor) -> Tensor {
        let z = (actions.to_kind(self.mean.kind()) - &self.mean) * (-&self.log_std).exp();
        let per_entry: Tensor = z.square() * -0.5 - &self.log_std - 0.5 * TAU.ln();
        per_entry.sum_dim_intlist([-1_i64].as_slice(), false, per_entry.kind())
    }

    /// Differential entropy Σ log σ + (d/2) log 2πe, `[N]`.
    pub fn entropy(&self) -> Tensor {
        let per_entry: Tensor = &self.log_std + 0.5 * (TAU * E).ln();
        per_entry.sum_dim_intlist([-1_i64].as_slice(), false, per_entry.kind())
    }
}

impl GaussianPolicy {
    /// A policy with weights from `rng`, a mean near the centre of the action range and σ =
    /// `std_initial`.
    pub fn new(
        env: &str,
        settings: &PolicySettings,
        normalizer: Normalizer,
        action_scale: ActionScale,
        rng: &mut Stream,
    ) -> Self {
        let header = Header {
            format: FORMAT,
            kind: KIND.into(),
            env: env.into(),
            settings: settings.clone(),
            computation: Some(computation(settings)),
            normalizer,
            action_scale,
        };
        let mut network = Mlp::new(&header.sizes(), 0.01, Kind::Float, rng);
        // σ = floor + softplus(ρ)  ⇒  ρ = log(exp(σ − floor) − 1).
        let rho = (settings.std_initial - settings.std_floor)
            .max(1e-6)
            .exp_m1()
            .ln();
        let a = header.action_dim();
        let rho = match settings.std_form {
            StdForm::Constant => Some(
                Tensor::full([a as i64], rho, (Kind::Float, tch::Device::Cpu))
                    .set_requires_grad(true),
            ),
            StdForm::Network => {
                network.shift_output_tail(a, rho);
                None
            }
        };
        Self {
            header,
            network,
            rho,
        }
    }

    /// One of few weights for one action in −1 … 1, for tests.
    #[cfg(test)]
    pub(crate) fn small(env: &str, observation_dim: usize, seed: u64) -> Self {
        let settings = PolicySettings {
            hidden: vec![4],
            std_form: StdForm::Constant,
            std_floor: 0.02,
            std_initial: 0.3,
        };
        let scale = ActionScale {
            centre: vec![0.0],
            half_range: vec![1.0],
        };
        let identity = Normalizer::identity(observation_dim);
        let mut rng = costate_envs::rng::stream(seed, "test", 0);
        Self::new(env, &settings, identity, scale, &mut rng)
    }

    /// A copy with its own weights.
    pub fn copy(&self) -> Self {
        let mut rng = costate_envs::rng::stream(0, "discarded", 0);
        let h = &self.header;
        let mut copy = Self::new(
            &h.env,
            &h.settings,
            h.normalizer.clone(),
            h.action_scale.clone(),
            &mut rng,
        );
        let mut state = StateDict::default();
        self.save(&mut state);
        copy.load(&state).expect("the same architecture");
        copy
    }

    /// Name of the environment it acts in.
    pub fn env(&self) -> &str {
        &self.header.env
    }

    /// Its settings.
    pub fn settings(&self) -> &PolicySettings {
        &self.header.settings
    }

    /// Its observation normaliser.
    pub fn normalizer(&self) -> &Normalizer {
        &self.header.normalizer
    }

    /// Its action scale.
    pub fn action_scale(&self) -> &ActionScale {
        &self.header.action_scale
    }

    /// π(· | s) for a batch of observations `[N, observation_dim]`, in action units.
    pub fn distribution(&self, observations: &Tensor) -> Gaussian {
        let out = self
            .network
            .forward(&self.header.normalizer.apply(observations));
        let out = out.to_kind(Kind::Double);
        let a = self.header.action_dim() as i64;
        let scale = &self.header.action_scale;
        let row = |v: &[f32]| Tensor::from_slice(v).to_kind(Kind::Double);
        let half_range = row(&scale.half_range);
        let rho = match &self.rho {
            Some(rho) => rho.to_kind(Kind::Double),
            None => out.narrow(1, a, a),
        };
        let zero = rho.zeros_like();
        let std = (rho.logaddexp(&zero) + self.header.settings.std_floor) * &half_range;
        let mean = out.narrow(1, 0, a) * half_range + row(&scale.centre);
        Gaussian {
            log_std: std.log().expand_as(&mean),
            mean,
        }
    }

    /// log π(a_t | s_t), `[N]` in f64.
    pub fn log_density(&self, observations: &Tensor, actions: &Tensor) -> Tensor {
        let single = [observations, actions].map(|t| t.kind() == Kind::Float);
        if single == [true; 2] && !nn::gradients_wanted() {
            let found =
                Likelihood::of(self).log_densities(&self.inputs(observations), &nn::rows(actions));
            return Tensor::from_slice(&found);
        }
        self.distribution(observations).log_density(actions)
    }

    /// The mean of log π(a | s) over rows.
    pub fn mean_log_density(&self, observations: &Tensor, actions: &Tensor) -> f64 {
        nn::no_grad(|| self.log_density(observations, actions))
            .mean(Kind::Double)
            .double_value(&[])
    }

    /// Trainable tensors, sharing storage with the policy.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.named().into_iter().map(|(_, t)| t).collect()
    }

    /// All weights, in the order of [`GaussianPolicy::parameters`].
    pub fn weights(&self) -> Vec<f32> {
        self.parameters().iter().flat_map(nn::to_f32).collect()
    }

    /// Replaces them.
    pub fn set_weights(&mut self, weights: &[f32]) {
        nn::set_values(&mut self.parameters(), weights);
    }

    /// Its network in plain numbers.
    pub(super) fn plain(&self) -> nn::Network {
        self.network.network()
    }

    /// What its network is given for observations, `[N, observation_dim]`, in plain numbers.
    pub fn inputs(&self, observations: &Tensor) -> nn::Rows {
        nn::rows(&self.header.normalizer.apply(observations))
    }

    fn named(&self) -> Vec<(String, Tensor)> {
        let mut named = self.network.named("policy.");
        named.extend(
            self.rho
                .iter()
                .map(|rho| ("policy.rho".to_owned(), rho.shallow_clone())),
        );
        named
    }

    /// The mean of σ over actions, in units of half the action range, for [`StdForm::Constant`]
    /// everywhere, for [`StdForm::Network`] over the given observations.
    pub fn mean_std(&self, observations: &Tensor) -> f64 {
        let half_range = Tensor::from_slice(&self.header.action_scale.half_range);
        nn::no_grad(|| self.distribution(observations).log_std.exp() / half_range)
            .mean(Kind::Double)
            .double_value(&[])
    }

    /// The frozen copy that workers act with.
    pub fn freeze(&self) -> Actor {
        let h = &self.header;
        let log_std = match &self.rho {
            None => LogStd::Head {
                floor: h.settings.std_floor as f32,
            },
            Some(rho) => LogStd::Constant(
                nn::to_f64(rho)
                    .iter()
                    .zip(&h.action_scale.half_range)
                    .map(|(&rho, &half)| {
                        let std = h.settings.std_floor + crate::density::softplus(rho);
                        (std * f64::from(half)).ln() as f32
                    })
                    .collect(),
            ),
        };
        Actor::new(ActorParts {
            scales: scales(&h.normalizer, &h.action_scale),
            layers: self.network.freeze(),
            log_std,
        })
        .expect("a policy with finite weights freezes")
    }

    /// Whether every weight is finite.
    pub fn is_finite(&self) -> bool {
        nn::all_finite(&self.parameters())
    }

    /// Adds the weights to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.extend(self.named());
    }

    /// Restores weights of the same architecture.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        state.copy_all(self.named())
    }

    /// The bytes of a `policy.safetensors` file: weights, normaliser, action scale.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let mut state = StateDict::default();
        self.save(&mut state);
        state.to_bytes(&self.header)
    }

    /// Reads a `policy.safetensors` file that must hold a Gaussian policy.
    pub fn read(file: &Path) -> Result<Self, StateError> {
        let reason = match Policy::read(file)? {
            Policy::Gaussian(policy) => return Ok(policy),
            Policy::Implicit(_) => NO_DENSITY,
            Policy::Flow(_) => ONLY_DRAWS,
        };
        Err(StateError::Foreign {
            file: file.display().to_string(),
            reason: reason.into(),
        })
    }

    /// The policy of a file's header and tensors.
    pub(super) fn of(state: &StateDict, header: Value) -> Result<Self, String> {
        let header: Header = serde_json::from_value(header).map_err(|e| e.to_string())?;
        header.normalizer.check()?;
        header.action_scale.check()?;
        header.settings.check()?;
        header.computation.iter().try_for_each(Computation::check)?;
        let layers = state.check_layers("policy.", &header.sizes());
        layers.map_err(|e| e.to_string())?;
        let mut rng = costate_envs::rng::stream(0, "discarded", 0);
        let Header {
            env,
            settings,
            normalizer,
            action_scale,
            ..
        } = &header;
        let mut policy = Self::new(
            env,
            settings,
            normalizer.clone(),
            action_scale.clone(),
            &mut rng,
        );
        policy.load(state).map_err(|e| e.to_string())?;
        Ok(policy)
    }
}

impl Header {
    fn action_dim(&self) -> usize {
        self.action_scale.half_range.len()
    }

    fn sizes(&self) -> Vec<usize> {
        self.settings
            .sizes(self.normalizer.mean.len(), self.action_dim())
    }
}
