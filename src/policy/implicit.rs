//! Implicit policies: π_θ(a | s) ∝ exp(−E_θ(s, a)) on a box of actions (Florence et al. 2021, arXiv 2109.00137).

use costate_envs::implicit::{ImplicitActor, ImplicitParts, Sampling};
use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::FORMAT;
use super::normalizer::{ActionScale, Normalizer, scales};
use crate::nn::{self, Computation, Mlp, StateDict, StateError};

/// Settings of an [`ImplicitPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImplicitSettings {
    /// Units of each hidden layer of the energy.
    #[schemars(inner(range(min = 1)))]
    pub hidden: Vec<usize>,
    /// How actions are drawn.
    pub sampling: Sampling,
}

/// Everything but the weights: what a saved policy's metadata holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    kind: String,
    env: String,
    settings: ImplicitSettings,
    normalizer: Normalizer,
    action_scale: ActionScale,
    #[serde(default)]
    computation: Option<Computation>,
}

/// The file's description of how to act.
fn computation(settings: &ImplicitSettings) -> Computation {
    let formulas = [
        ("observation", super::INPUT),
        (
            "input",
            "concatenate(observation, (action - action_scale.centre) / action_scale.half_range)",
        ),
        ("energy", "output[0]"),
        (
            "density",
            "proportional to exp(-energy) where |action - action_scale.centre| <= action_scale.half_range",
        ),
        ("action", super::UNCLIPPED),
    ];
    Computation::new("energy.", settings.hidden.len() + 1, &formulas)
}

/// The kind of policy in the file.
pub(super) const KIND: &str = "implicit_policy";

/// Sizes of the energy's layers.
fn sizes(
    settings: &ImplicitSettings,
    normalizer: &Normalizer,
    action_scale: &ActionScale,
) -> Vec<usize> {
    let inputs = normalizer.mean.len() + action_scale.centre.len();
    let hidden = settings.hidden.iter().copied();
    [inputs].into_iter().chain(hidden).chain([1]).collect()
}

/// An implicit policy on libtorch: a tanh network from normalised observation and scaled action to the energy.
#[derive(Debug)]
pub struct ImplicitPolicy {
    header: Header,
    network: Mlp,
}

impl ImplicitPolicy {
    /// A policy with weights from `rng`, nearly uniform on the box `action_scale`: centre ± half range.
    pub fn new(
        env: &str,
        settings: &ImplicitSettings,
        normalizer: Normalizer,
        action_scale: ActionScale,
        rng: &mut Stream,
    ) -> Self {
        let sizes = sizes(settings, &normalizer, &action_scale);
        Self {
            network: Mlp::new(&sizes, 0.1, Kind::Float, rng),
            header: Header {
                format: FORMAT,
                kind: KIND.into(),
                env: env.into(),
                settings: settings.clone(),
                computation: Some(computation(settings)),
                normalizer,
                action_scale,
            },
        }
    }

    /// Name of the environment it acts in.
    pub fn env(&self) -> &str {
        &self.header.env
    }

    /// Its observation normaliser.
    pub fn normalizer(&self) -> &Normalizer {
        &self.header.normalizer
    }

    /// Its action box.
    pub fn action_scale(&self) -> &ActionScale {
        &self.header.action_scale
    }

    /// E(s, a) for observations `[N, observation_dim]` and scaled actions `[N, K, action_dim]`, K per state:
    /// `[N, K]` in f64.
    pub fn energy(&self, observations: &Tensor, scaled: &Tensor) -> Tensor {
        let (n, k, _) = scaled.size3().expect("actions are [N, K, action_dim]");
        let states = self.header.normalizer.apply(observations);
        let states = states.unsqueeze(1).expand([n, k, -1], false);
        let inputs = Tensor::cat(&[&states, scaled], 2).flatten(0, 1);
        let energy = self.network.forward(&inputs).view([n, k]);
        energy.to_kind(Kind::Double)
    }

    /// Trainable tensors, sharing storage with the policy.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.network.parameters()
    }

    /// The frozen copy that workers act with.
    pub fn freeze(&self) -> ImplicitActor {
        let h = &self.header;
        ImplicitActor::new(ImplicitParts {
            scales: scales(&h.normalizer, &h.action_scale),
            layers: self.network.freeze(),
            sampling: h.settings.sampling,
        })
        .expect("a policy with finite weights freezes")
    }

    /// Whether every weight is finite.
    pub fn is_finite(&self) -> bool {
        nn::all_finite(&self.parameters())
    }

    /// Adds the weights to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.extend(self.network.named("energy."));
    }

    /// Restores weights of the same architecture.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        state.copy_all(self.network.named("energy."))
    }

    /// The bytes of a `policy.safetensors` file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let mut state = StateDict::default();
        self.save(&mut state);
        state.to_bytes(&self.header)
    }

    /// The policy of a file's header and tensors.
    pub(super) fn of(state: &StateDict, header: Value) -> Result<Self, String> {
        let header: Header = serde_json::from_value(header).map_err(|e| e.to_string())?;
        header.settings.sampling.check()?;
        header.normalizer.check()?;
        header.action_scale.check()?;
        header.computation.iter().try_for_each(Computation::check)?;
        let sizes = sizes(&header.settings, &header.normalizer, &header.action_scale);
        let layers = state.check_layers("energy.", &sizes);
        layers.map_err(|e| e.to_string())?;
        let mut rng = costate_envs::rng::stream(0, "discarded", 0);
        let Header {
            env,
            settings,
            normalizer,
            action_scale,
            ..
        } = &header;
        let (normalizer, action_scale) = (normalizer.clone(), action_scale.clone());
        let mut policy = Self::new(env, settings, normalizer, action_scale, &mut rng);
        policy.load(state).map_err(|e| e.to_string())?;
        Ok(policy)
    }
}
