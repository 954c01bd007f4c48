//! Flow policies: plans of several actions, drawn by integrating a learned velocity (Lipman et al. 2023, arXiv
//! 2210.02747; Liu et al. 2022, arXiv 2209.03003), replanned after some of them (Zhao et al. 2023, arXiv 2304.13705).

use costate_envs::flow::{FlowActor, FlowParts, Planning, TIME_FEATURES, gain, time_features};
use costate_envs::rng::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tch::{Kind, Tensor};

use super::FORMAT;
use super::normalizer::{ActionScale, Normalizer, scales};
use crate::nn::{self, Computation, Mlp, StateDict, StateError};

/// Settings of a [`FlowPolicy`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowSettings {
    /// Units of each hidden layer of the velocity.
    #[schemars(inner(range(min = 1)))]
    pub hidden: Vec<usize>,
    /// Actions of a plan.
    #[schemars(range(min = 1))]
    pub chunk: usize,
    /// Actions that are played before the next plan; at most `chunk`.
    #[schemars(range(min = 1))]
    pub execute: usize,
    /// Last observations that a plan depends on.
    #[schemars(range(min = 1))]
    pub history: usize,
    /// Steps of the integration that draws a plan.
    #[schemars(range(min = 1))]
    pub steps: usize,
}

impl FlowSettings {
    /// How plans are made and played.
    pub fn planning(&self) -> Planning {
        Planning {
            chunk: self.chunk,
            execute: self.execute,
            history: self.history,
            steps: self.steps,
        }
    }
}

/// Everything but the weights: what a saved policy's metadata holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    kind: String,
    env: String,
    settings: FlowSettings,
    normalizer: Normalizer,
    action_scale: ActionScale,
    #[serde(default)]
    computation: Option<Computation>,
}

/// The file's description of how to act.
fn computation(settings: &FlowSettings) -> Computation {
    let formulas = [
        ("observation", super::INPUT),
        (
            "observations",
            "concatenate(the last settings.history observations, oldest first); before an episode's first there is the \
             first again",
        ),
        (
            "time",
            "[T1, T2, T3, T4], Chebyshev polynomials of c = 2 t - 1: c, 2 c^2 - 1, 4 c^3 - 3 c, 8 c^4 - 8 c^2 + 1",
        ),
        (
            "input",
            "concatenate(observations, x, time); x is settings.chunk actions in scaled units, step by step",
        ),
        ("velocity", "output + x (2 t - 1) / (t^2 + (1 - t)^2)"),
        (
            "plan",
            "from x ~ N(0, I), settings.steps times x += velocity / settings.steps, at t = 0, 1 / settings.steps, ...",
        ),
        (
            "action",
            "action_scale.centre + action_scale.half_range x of the plan's first settings.execute steps in turn, then \
             there is a new plan",
        ),
        ("bounds", super::UNCLIPPED),
    ];
    Computation::new("velocity.", settings.hidden.len() + 1, &formulas)
}

/// The kind of policy in the file.
pub(super) const KIND: &str = "flow_policy";

/// Sizes of the velocity's layers.
fn sizes(
    settings: &FlowSettings,
    normalizer: &Normalizer,
    action_scale: &ActionScale,
) -> Vec<usize> {
    let (o, a) = (normalizer.mean.len(), action_scale.centre.len());
    let [inputs, outputs] = settings.planning().sizes(o, a);
    let hidden = settings.hidden.iter().copied();
    [inputs]
        .into_iter()
        .chain(hidden)
        .chain([outputs])
        .collect()
}

/// A flow policy on libtorch: a tanh network from observations, plan and time to the plan's velocity.
#[derive(Debug)]
pub struct FlowPolicy {
    header: Header,
    network: Mlp,
}

impl FlowPolicy {
    /// A policy with weights from `rng`, whose plans are nearly standard normal in units of `action_scale`.
    pub fn new(
        env: &str,
        settings: &FlowSettings,
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

    /// The scale of its plans.
    pub fn action_scale(&self) -> &ActionScale {
        &self.header.action_scale
    }

    /// v(x, t, s): observations `[N, history · observation_dim]`, oldest first, scaled plans x `[N, chunk · action_dim]`
    /// and t of each row, `[N]`, to `[N, chunk · action_dim]`.
    pub fn velocity(&self, observations: &Tensor, plans: &Tensor, times: &[f32]) -> Tensor {
        let rows = times.len() as i64;
        let each = self.header.normalizer.mean.len() as i64;
        let seen = self
            .header
            .normalizer
            .apply(&observations.reshape([-1, each]));
        let features: Vec<f32> = times.iter().flat_map(|t| time_features(*t)).collect();
        let gains: Vec<f32> = times.iter().map(|t| gain(*t)).collect();
        let features = nn::matrix(&features, TIME_FEATURES);
        let input = Tensor::cat(&[&seen.reshape([rows, -1]), plans, &features], 1);
        self.network.forward(&input) + plans * nn::matrix(&gains, 1)
    }

    /// Trainable tensors, sharing storage with the policy.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.network.parameters()
    }

    /// The frozen copy that workers act with.
    pub fn freeze(&self) -> FlowActor {
        let h = &self.header;
        FlowActor::new(FlowParts {
            scales: scales(&h.normalizer, &h.action_scale),
            layers: self.network.freeze(),
            planning: h.settings.planning(),
        })
        .expect("a policy with finite weights freezes")
    }

    /// Whether every weight is finite.
    pub fn is_finite(&self) -> bool {
        nn::all_finite(&self.parameters())
    }

    /// Adds the weights to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.extend(self.network.named("velocity."));
    }

    /// Restores weights of the same architecture.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        state.copy_all(self.network.named("velocity."))
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
        header.settings.planning().check()?;
        header.normalizer.check()?;
        header.action_scale.check()?;
        header.computation.iter().try_for_each(Computation::check)?;
        let sizes = sizes(&header.settings, &header.normalizer, &header.action_scale);
        let layers = state.check_layers("velocity.", &sizes);
        layers.map_err(|e| e.to_string())?;
        let mut rng = costate_envs::rng::stream(0, "discarded", 0);
        let mut policy = Self {
            network: Mlp::new(&sizes, 0.1, Kind::Float, &mut rng),
            header: Header {
                computation: Some(computation(&header.settings)),
                ..header
            },
        };
        policy.load(state).map_err(|e| e.to_string())?;
        Ok(policy)
    }
}
