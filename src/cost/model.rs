//! The energy-based trajectory model p_θ(τ | s_0) = exp(−E_θ(τ)) / Z(s_0).

use std::path::Path;

use costate_envs::rng::Stream;
use costate_envs::spec::Space;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::expansion::Expansion;
use super::plain::PlainCost;
use super::scalar::ScalarFunction;
use crate::batch::TrajectoryBatch;
use crate::nn::{self, Computation, Inputs, StateDict, StateError};
use crate::policy::{ActionScale, GaussianPolicy, Normalizer, PolicySettings, scales};

/// The family of c_θ and of the soft value V.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostForm {
    /// tanh networks.
    Neural,
    /// A quadratic in learned features, hence nonnegative; V is a tanh network.
    Features,
    /// Quadratics in (s, a), for linear-quadratic systems.
    Quadratic,
}

/// Settings of an [`EnergyModel`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostSettings {
    /// Family of the cost and the soft value.
    pub form: CostForm,
    /// Units of each hidden layer (neural form).
    #[schemars(inner(range(min = 1)))]
    pub hidden: Vec<usize>,
    /// Whether log Z depends on the start: log Z(s_0) = V(s_0) + b. Otherwise log Z = b.
    pub start_value: bool,
    /// Whether the cost depends on the state alone: it transfers better to other dynamics (Fu, Luo and
    /// Levine 2018, section 5).
    #[serde(default)]
    pub state_only: bool,
    /// Names of the observation channels that the cost sees; empty for all. It cannot depend on what it does not see:
    /// a cost of positions alone stays valid where the ways between them change.
    #[serde(default)]
    pub channels: Vec<String>,
    /// Weight w of w ‖u‖² added to the cost's function, u the action in half ranges (the torque penalty of Finn,
    /// Levine and Abbeel 2016, arXiv 1603.00448, equation 4). It is fixed: with nothing else to pay, actions have σ =
    /// (2w)^−½. 0 leaves it out.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub action_penalty: f64,
    /// Bound B of the cost's function f: c_θ = B tanh(f / B) lies between −B and B, so that no unvisited state is worth
    /// much more than a demonstrated one (neural form). 0 leaves it unbounded.
    #[serde(default)]
    #[schemars(range(min = 0.0))]
    pub bound: f64,
}

impl CostSettings {
    /// Whether c_θ depends on the action.
    pub fn sees_actions(&self) -> bool {
        !self.state_only || self.action_penalty > 0.0
    }

    /// Checks the settings against each other. Errors: what contradicts what.
    pub fn check(&self) -> Result<(), String> {
        match self.bound > 0.0 && self.form != CostForm::Neural {
            true => Err("cost.bound limits a cost of form `neural` only; set cost.bound=0".into()),
            false => Ok(()),
        }
    }
}

/// How the soft value V shapes the cost of a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shaping {
    /// c(s, a) − V(s') + V(s): sums telescope, and −V(s_T) represents the cost after the last step.
    #[default]
    Undiscounted,
    /// c(s, a) − γ V(s') + V(s) with V = 0 at a terminal s': −f of AIRL (Fu, Luo and Levine 2018, arXiv 1710.11248,
    /// equation 4).
    Discounted {
        /// γ.
        discount: f64,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format: u32,
    kind: String,
    env: String,
    settings: CostSettings,
    normalizer: Normalizer,
    action_scale: ActionScale,
    log_z: f64,
    #[serde(default)]
    shaping: Shaping,
    computation: Option<Computation>,
    /// Indices of the channels that the cost sees; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seen: Vec<i64>,
    /// The base policy's settings, if the cost has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<PolicySettings>,
}

/// Version of the cost file; 2 added how V shapes the cost.
const FORMAT: u32 = 2;

/// The file's description of how to compute the cost.
fn computation(settings: &CostSettings) -> Computation {
    let input = match settings.state_only {
        true => "state[seen]",
        false => "concatenate(state[seen], u)",
    };
    let (layers, function) = match settings.form {
        CostForm::Neural if settings.bound > 0.0 => (
            settings.hidden.len() + 1,
            "settings.bound * tanh(output[0] / settings.bound)",
        ),
        CostForm::Neural => (settings.hidden.len() + 1, "output[0]"),
        CostForm::Features => (settings.hidden.len() + 1, "sum(output**2)"),
        CostForm::Quadratic => (
            0,
            "input @ (cost.quadratic + cost.quadratic.T) @ input / 4 + cost.linear @ input",
        ),
    };
    let formulas = [
        (
            "state",
            "clip((observation - normalizer.mean) / normalizer.std, -normalizer.clip, normalizer.clip)",
        ),
        (
            "u",
            "(action - action_scale.centre) / action_scale.half_range",
        ),
        ("input", input),
        ("function", function),
        (
            "cost",
            "function + settings.action_penalty * sum(u**2) - log of the density of the Gaussian policy below base., if there \
             is one",
        ),
        (
            "seen",
            "all channels where the header has no list of that name",
        ),
    ];
    Computation::new("cost.", layers, &formulas)
}

impl Header {
    /// Number of inputs of the cost's function.
    fn inputs(&self) -> usize {
        let states = match self.seen.len() {
            0 => self.normalizer.mean.len(),
            some => some,
        };
        match self.settings.state_only {
            true => states,
            false => states + self.action_scale.half_range.len(),
        }
    }

    /// What is invalid in a header read from a file, or does not fit its tensors.
    fn check(&self, state: &StateDict) -> Result<(), String> {
        self.normalizer.check()?;
        self.action_scale.check()?;
        self.computation.iter().try_for_each(Computation::check)?;
        if let Shaping::Discounted { discount } = self.shaping
            && !(discount > 0.0 && discount <= 1.0)
        {
            return Err(format!(
                "its shaping discount is {discount}, expected in (0, 1]"
            ));
        }
        let (o, a) = (
            self.normalizer.mean.len(),
            self.action_scale.half_range.len(),
        );
        let settings = &self.settings;
        for (name, value) in [
            ("action_penalty", settings.action_penalty),
            ("bound", settings.bound),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!(
                    "settings.{name} is {value}, expected a number of at least 0"
                ));
            }
        }
        settings.check()?;
        let inside = |i: &i64| (0..o as i64).contains(i);
        let twice = (1..self.seen.len()).any(|i| self.seen[..i].contains(&self.seen[i]));
        if twice || !self.seen.iter().all(inside) {
            return Err(format!(
                "seen is {:?}, expected distinct channels of 0 to {}",
                self.seen,
                o - 1
            ));
        }
        let fits = |prefix: &str, dim: usize| {
            ScalarFunction::check(state, prefix, settings.form, dim, &settings.hidden)
        };
        let of = |e: StateError| e.to_string();
        fits("cost.", self.inputs()).map_err(of)?;
        if settings.start_value {
            let form = match settings.form {
                // V of features is a network of its own.
                CostForm::Features => CostForm::Neural,
                form => form,
            };
            let value = ScalarFunction::check(state, "value.", form, o, &settings.hidden);
            value.map_err(of)?;
        }
        if let Some(base) = &self.base {
            base.check()?;
            let layers = state.check_layers("base.policy.", &base.sizes(o, a));
            layers.map_err(of)?;
        }
        Ok(())
    }
}

/// c_θ(s, a), and the soft value V(s) = log ∫ exp(−cost to go): V(s_0) carries log Z's dependence on
/// the start, −V(s_T) represents the cost after the horizon.
///
/// E_θ(τ) = Σ_t c_θ(s_t, a_t) − V(s_T) and log Z(s_0) = V(s_0) + b.
#[derive(Debug)]
pub struct EnergyModel {
    header: Header,
    cost: ScalarFunction,
    value: Option<ScalarFunction>,
    base: Option<GaussianPolicy>,
}

/// Which terms of a cost relative to a base policy, c = c_θ + w ‖u‖² − log π_0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CostPart {
    /// All of them.
    Whole,
    /// −log π_0.
    BaseAlone,
    /// c_θ + w ‖u‖².
    WithoutBase,
}

impl CostPart {
    /// Every part, the whole first.
    pub const ALL: [Self; 3] = [Self::Whole, Self::BaseAlone, Self::WithoutBase];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::BaseAlone => "base_alone",
            Self::WithoutBase => "without_base",
        }
    }

    /// What the cost consists of, as text.
    pub fn words(self) -> &'static str {
        match self {
            Self::Whole => "whole cost",
            Self::BaseAlone => "−log π_0 alone",
            Self::WithoutBase => "c_θ alone",
        }
    }
}

/// Rows of (s, a) as a model's cost sees them.
#[derive(Debug)]
pub struct Seen {
    /// `[N, inputs]`.
    inputs: Inputs,
    /// w ‖u‖², `[N]`, if there is a penalty on actions.
    penalty: Option<Tensor>,
    /// log π_0(a | s), `[N]`, if there is a base policy.
    base_log_density: Option<Tensor>,
}

impl EnergyModel {
    /// A model with weights from `rng` on normalised observations and actions; `seen` are the indices of
    /// `settings.channels`.
    pub fn new(
        env: &str,
        settings: &CostSettings,
        seen: &[i64],
        normalizer: Normalizer,
        action_scale: ActionScale,
        rng: &mut Stream,
    ) -> Self {
        let header = Header {
            format: FORMAT,
            kind: "energy_model".into(),
            env: env.into(),
            settings: settings.clone(),
            normalizer,
            action_scale,
            log_z: 0.0,
            shaping: Shaping::default(),
            computation: Some(computation(settings)),
            seen: seen.to_vec(),
            base: None,
        };
        let o = header.normalizer.mean.len();
        let hidden = &settings.hidden;
        let inputs = header.inputs();
        let cost = match settings.form {
            CostForm::Neural => ScalarFunction::neural(inputs, hidden, rng),
            CostForm::Features => ScalarFunction::features(inputs, hidden, rng),
            CostForm::Quadratic => ScalarFunction::quadratic(inputs),
        };
        let value = settings.start_value.then(|| match settings.form {
            CostForm::Neural | CostForm::Features => ScalarFunction::neural(o, hidden, rng),
            CostForm::Quadratic => ScalarFunction::quadratic(o),
        });
        Self {
            header,
            cost,
            value,
            base: None,
        }
    }

    /// The same model relative to a base policy π_0: c(s, a) = c_θ(s, a) − log π_0(a | s), so that p_θ(τ) ∝
    /// q_0(τ) exp(−Σ c_θ). The base policy is fixed.
    pub fn with_base(mut self, base: GaussianPolicy) -> Self {
        self.header.base = Some(base.settings().clone());
        self.base = Some(base);
        self
    }

    /// Records the discount that V was learned under.
    pub fn set_shaping(&mut self, shaping: Shaping) {
        self.header.shaping = shaping;
    }

    /// c alone, without the soft value V that shapes it, which was learned under the old dynamics (Fu, Luo and
    /// Levine 2018, section 5).
    pub fn without_value(self) -> Self {
        Self {
            value: None,
            ..self
        }
    }

    /// One part of a cost relative to a base policy; `None` of the parts where it has none.
    pub fn part(self, part: CostPart) -> Option<Self> {
        match part {
            CostPart::Whole => Some(self),
            CostPart::BaseAlone => self.base_alone(),
            CostPart::WithoutBase => self.without_base(),
        }
    }

    /// The base policy alone, c(s, a) = −log π_0(a | s), without c_θ, w ‖u‖² and V: p(τ) = q_0(τ), so log Z = 0.
    /// Its weights of c_θ are zeros. `None` without a base policy.
    pub fn base_alone(mut self) -> Option<Self> {
        self.base.as_ref()?;
        nn::no_grad(|| {
            for (_, mut weights) in self.cost.named("cost.") {
                let _ = weights.zero_();
            }
        });
        self.header.settings.action_penalty = 0.0;
        self.header.settings.start_value = false;
        self.header.log_z = 0.0;
        self.header.shaping = Shaping::default();
        Some(self.without_value())
    }

    /// The cost without its base policy, c(s, a) = c_θ(s, a) + w ‖u‖², with V as learned: what was learned from the
    /// discriminator. `None` without a base policy.
    pub fn without_base(mut self) -> Option<Self> {
        self.base.take()?;
        self.header.base = None;
        Some(self)
    }

    /// Whether it has a soft value V.
    pub fn has_value(&self) -> bool {
        self.value.is_some()
    }

    /// Whether it is relative to a base policy.
    pub fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Name of the environment it belongs to.
    pub fn env(&self) -> &str {
        &self.header.env
    }

    /// The observation channels that the cost uses.
    pub fn sees(&self, observation: &Space) -> Vec<bool> {
        let seen = &self.header.seen;
        // The base policy uses the whole state.
        let all = seen.is_empty() || self.base.is_some();
        (0..observation.dim() as i64)
            .map(|i| all || seen.contains(&i))
            .collect()
    }

    /// Whether the cost depends on the action.
    pub fn sees_actions(&self) -> bool {
        self.header.settings.sees_actions() || self.base.is_some()
    }

    /// c(s, a), `[N, observation_dim]`, `[N, action_dim] → [N]`, nats.
    pub fn cost(&self, observations: &Tensor, actions: &Tensor) -> Tensor {
        self.cost_seen(&self.see(observations, actions))
    }

    /// The weight-independent part of c(s, a), cached for rows that are evaluated repeatedly.
    pub fn see(&self, observations: &Tensor, actions: &Tensor) -> Seen {
        let penalty = |weight: f64| {
            let u = self.header.action_scale.apply(actions);
            (&u * &u).sum_dim_intlist([1_i64].as_slice(), false, u.kind()) * weight
        };
        Seen {
            inputs: self.inputs(observations, actions).into(),
            penalty: self.action_penalty().map(penalty),
            base_log_density: self.base_log_density(observations, actions),
        }
    }

    /// log π_0(a | s), `[N]`; `None` without a base policy.
    pub fn base_log_density(&self, observations: &Tensor, actions: &Tensor) -> Option<Tensor> {
        let base = self.base.as_ref()?;
        Some(nn::no_grad(|| base.log_density(observations, actions)).to_kind(Kind::Float))
    }

    /// c = c_θ + w ‖u‖² − log π_0, `[N]`.
    fn cost_seen(&self, seen: &Seen) -> Tensor {
        let learned = self.bounded(self.cost.forward_again(&seen.inputs));
        let learned = match &seen.penalty {
            None => learned,
            Some(penalty) => learned + penalty,
        };
        match &seen.base_log_density {
            None => learned,
            Some(log_density) => learned - log_density,
        }
    }

    /// Inputs of the cost's function from (s, a): normalised, and the state alone for a state-only cost,
    /// `[N, inputs]`.
    pub fn inputs(&self, observations: &Tensor, actions: &Tensor) -> Tensor {
        let s = self.header.normalizer.apply(observations);
        self.pick(&s, &self.header.action_scale.apply(actions))
    }

    /// [`EnergyModel::inputs`] of scaled states and actions.
    fn pick(&self, states: &Tensor, actions: &Tensor) -> Tensor {
        let mut s = states.shallow_clone();
        if !self.header.seen.is_empty() {
            s = s.index_select(1, &Tensor::from_slice(&self.header.seen));
        }
        if self.header.settings.state_only {
            return s;
        }
        Tensor::cat(&[&s, actions], 1)
    }

    /// The same as plain numbers.
    pub fn freeze(&self) -> PlainCost {
        let h = &self.header;
        let seen: Vec<usize> = match h.seen.as_slice() {
            [] => (0..h.normalizer.mean.len()).collect(),
            some => some.iter().map(|&i| i as usize).collect(),
        };
        PlainCost {
            scales: scales(&h.normalizer, &h.action_scale),
            seen,
            state_only: h.settings.state_only,
            function: self.cost.freeze(),
            bound: (h.settings.bound > 0.0).then_some(h.settings.bound as f32),
            action_penalty: self.action_penalty().map(|w| w as f32),
            base: self.base.as_ref().map(|base| base.freeze().parts().clone()),
            value: self.value.as_ref().map(ScalarFunction::freeze),
            log_z: h.log_z,
            discount: match h.shaping {
                Shaping::Undiscounted => 1.0,
                Shaping::Discounted { discount } => discount,
            },
        }
    }

    /// The normaliser of its states.
    pub fn normalizer(&self) -> &Normalizer {
        &self.header.normalizer
    }

    /// The scale of its actions.
    pub fn action_scale(&self) -> &ActionScale {
        &self.header.action_scale
    }

    /// w of the penalty w ‖u‖², if there is one.
    pub fn action_penalty(&self) -> Option<f64> {
        let weight = self.header.settings.action_penalty;
        (weight > 0.0).then_some(weight)
    }

    /// c in scaled units (x, u), states in standard deviations and actions in half ranges, with its gradient and a positive
    /// semidefinite curvature for every row: exact for the penalty on actions, Gauss and Newton's for features. `None` for a
    /// cost that is not a quadratic in features, or is relative to a base policy.
    pub fn expand(&self, observations: &Tensor, actions: &Tensor) -> Option<Expansion> {
        let ScalarFunction::Features(network) = &self.cost else {
            return None;
        };
        if self.base.is_some() {
            return None;
        }
        let states = self.header.normalizer.apply(observations);
        let actions = self.header.action_scale.apply(actions);
        let (n, m) = (states.size()[1], actions.size()[1]);
        let z = Tensor::cat(&[&states, &actions], 1)
            .detach()
            .set_requires_grad(true);
        let inputs = self.pick(&z.narrow(1, 0, n), &z.narrow(1, n, m));
        let mut expansion = Expansion::of_squares(&network.forward(&inputs), &z);
        if let Some(weight) = self.action_penalty() {
            expansion.add_squares(&actions, n as usize, weight);
        }
        Some(expansion)
    }

    /// −V(s) in scaled units with its gradient and the positive part of its curvature, for every row; `None` without a soft
    /// value.
    pub fn expand_end(&self, observations: &Tensor) -> Option<Expansion> {
        let value = self.value.as_ref()?;
        let x = self
            .header
            .normalizer
            .apply(observations)
            .detach()
            .set_requires_grad(true);
        Some(Expansion::of_function(&-value.forward(&x), &x))
    }

    /// c_θ of rows of [`EnergyModel::inputs`], `[N]`: f, or B tanh(f / B).
    pub fn cost_of(&self, inputs: &Tensor) -> Tensor {
        self.bounded(self.cost.forward(inputs))
    }

    fn bounded(&self, function: Tensor) -> Tensor {
        match self.header.settings.bound {
            0.0 => function,
            bound => (function / bound).tanh() * bound,
        }
    }

    /// φ of rows of [`EnergyModel::inputs`], `[N, units]`: what a neural c_θ = wᵀφ + b is linear in. `None` of another.
    pub fn features(&self, inputs: &Tensor) -> Option<Tensor> {
        self.cost.hidden(inputs)
    }

    /// Sets w, `[units]`, and b of a neural c_θ = wᵀφ + b.
    pub fn set_output(&mut self, weight: &Tensor, bias: f64) {
        self.cost.set_output(weight, bias);
    }

    /// V(s), `[N, observation_dim] → [N]`; zero without a start-dependent log Z.
    pub fn value(&self, observations: &Tensor) -> Tensor {
        match &self.value {
            Some(value) => value.forward(&self.header.normalizer.apply(observations)),
            None => Tensor::zeros([observations.size()[0]], (Kind::Float, tch::Device::Cpu)),
        }
    }

    /// E_θ(τ) = Σ_t c_θ(s_t, a_t) − V(s_T), `[N]` in f64; under a discount the sum of the shaped costs − V(s_0), so
    /// that a transition's E + V(s) is its shaped cost in either case.
    pub fn energy(&self, batch: &TrajectoryBatch) -> Tensor {
        self.energy_seen(batch, &self.see(&batch.observations, &batch.actions))
    }

    /// E_θ(τ) of a batch from cached steps, `[N]` in f64.
    pub fn energy_seen(&self, batch: &TrajectoryBatch, steps: &Seen) -> Tensor {
        match self.header.shaping {
            Shaping::Undiscounted => {
                batch.sum_over_time(&self.cost_seen(steps))
                    - self.value(&batch.finals).to_kind(Kind::Double)
            }
            Shaping::Discounted { .. } => {
                let shaped = self.shape(self.cost_seen(steps), self.values(batch), &batch.alive());
                batch.sum_over_time(&shaped) - self.start_value(batch)
            }
        }
    }

    /// V(s_0), the part of log Z(s_0) that depends on the start, `[N]` in f64.
    pub fn start_value(&self, batch: &TrajectoryBatch) -> Tensor {
        self.value(&batch.starts).to_kind(Kind::Double)
    }

    /// The shaped cost + α log π(a_t | s_t) of every step, `[S]`: the objective of a maximum-entropy policy.
    /// `log_density` is log π(a_t | s_t), `[S]`; α is the entropy's weight.
    pub fn soft_cost(
        &self,
        batch: &TrajectoryBatch,
        log_density: &Tensor,
        entropy_weight: f64,
    ) -> Vec<f64> {
        let log_density = nn::to_f64(log_density);
        let cost = self.shaped_cost(batch);
        let soft = |(c, l): (&f64, f64)| c + entropy_weight * l;
        cost.iter().zip(log_density).map(soft).collect()
    }

    /// c(s_t, a_t) of every step, `[S]`.
    pub fn step_cost(&self, batch: &TrajectoryBatch) -> Vec<f64> {
        nn::no_grad(|| nn::to_f64(&self.cost(&batch.observations, &batch.actions)))
    }

    /// c(s_t, a_t) − γ V(s_{t+1}) + V(s_t) of every step, `[S]`, as [`Shaping`] says: the reward that was learned,
    /// negated.
    pub fn shaped_cost(&self, batch: &TrajectoryBatch) -> Vec<f64> {
        nn::no_grad(|| {
            let cost = self.cost(&batch.observations, &batch.actions);
            nn::to_f64(&self.shape(cost, self.values(batch), &batch.alive()))
        })
    }

    /// V before and after every step of a batch, `[S]` each.
    fn values(&self, batch: &TrajectoryBatch) -> [Tensor; 2] {
        let value = self.value(&batch.observations);
        let next = batch.shifted(&value, &self.value(&batch.finals));
        [value, next]
    }

    /// The shaped cost of rows (s, a, s'), `[N]`; `alive` is 0 where s' is terminal, else 1, `[N]`.
    pub fn shaped_steps(
        &self,
        observations: &Tensor,
        actions: &Tensor,
        next_observations: &Tensor,
        alive: &Tensor,
    ) -> Tensor {
        let cost = self.cost(observations, actions);
        let values = [observations, next_observations].map(|s| self.value(s));
        self.shape(cost, values, alive)
    }

    fn shape(&self, cost: Tensor, [value, next_value]: [Tensor; 2], alive: &Tensor) -> Tensor {
        match self.header.shaping {
            Shaping::Undiscounted => cost - next_value + value,
            Shaping::Discounted { discount } => {
                let double = |x: Tensor| x.to_kind(Kind::Double);
                let f = double(next_value * alive) * discount - double(cost) - double(value);
                -f
            }
        }
    }

    /// b, the constant part of log Z(s_0), as last solved for.
    pub fn log_z(&self) -> f64 {
        self.header.log_z
    }

    /// Stores b.
    pub fn set_log_z(&mut self, log_z: f64) {
        self.header.log_z = log_z;
    }

    /// E‖∂c_θ/∂x‖² over rows of [`EnergyModel::inputs`], a scalar in f64; `None` unless an unbounded neural cost is
    /// recorded.
    pub(super) fn squared_slope(&self, inputs: &Tensor) -> Option<Tensor> {
        match self.header.settings.bound {
            0.0 => self.cost.squared_slope(inputs),
            _ => None,
        }
    }

    fn functions(&self) -> impl Iterator<Item = &ScalarFunction> {
        [&self.cost].into_iter().chain(&self.value)
    }

    /// The gradients of a loss by [`EnergyModel::parameters`] and by `more`, in this order. `loss` is computed by what is
    /// given, in which networks compute in plain numbers.
    pub fn gradients(
        &mut self,
        more: &[Tensor],
        loss: impl FnOnce(&mut Self) -> Tensor,
    ) -> Vec<Tensor> {
        self.functions().for_each(ScalarFunction::record);
        let loss = loss(self);
        let recordings: Vec<_> = self.functions().map(ScalarFunction::recorded).collect();
        let leaves = recordings.iter().flatten().flat_map(nn::Recording::leaves);
        let mut wanted: Vec<Tensor> = leaves.map(Tensor::shallow_clone).collect();
        let recorded = wanted.len();
        wanted.extend(self.parameters());
        wanted.extend(more.iter().map(Tensor::shallow_clone));
        let found = Tensor::run_backward(&[loss], &wanted, false, false);

        let (mut by_leaf, direct) = found.split_at(recorded);
        let mut gradients: Vec<Tensor> = (direct.iter().zip(&wanted[recorded..]))
            .map(|(found, of)| match found.defined() {
                true => found.shallow_clone(),
                false => of.zeros_like(),
            })
            .collect();
        let mut first = 0;
        for (function, recording) in self.functions().zip(recordings) {
            let count = function.named("").len();
            if let Some(recording) = recording {
                let (own, others) = by_leaf.split_at(recording.leaves().count());
                by_leaf = others;
                let own = recording.gradient(own);
                nn::deal(
                    &mut gradients[first..first + count],
                    &own,
                    |gradient, own| {
                        // Not in place: libtorch's own may be a view of one number.
                        *gradient = &*gradient + own;
                    },
                );
            }
            first += count;
        }
        gradients
    }

    /// Trainable tensors, sharing storage with the model.
    pub fn parameters(&self) -> Vec<Tensor> {
        self.named().into_iter().map(|(_, t)| t).collect()
    }

    fn named(&self) -> Vec<(String, Tensor)> {
        let mut named = self.cost.named("cost.");
        named.extend(self.value.iter().flat_map(|v| v.named("value.")));
        named
    }

    /// Whether every weight is finite.
    pub fn is_finite(&self) -> bool {
        nn::all_finite(&self.parameters())
    }

    /// Adds weights and b to `state`.
    pub fn save(&self, state: &mut StateDict) {
        state.extend(self.named());
        state.insert_numbers("log_z", &[self.header.log_z]);
        if let Some(base) = &self.base {
            let mut weights = StateDict::default();
            base.save(&mut weights);
            state.nest("base.", weights);
        }
    }

    /// Restores weights of the same architecture, and b.
    pub fn load(&mut self, state: &StateDict) -> Result<(), StateError> {
        state.copy_all(self.named())?;
        self.header.log_z = state.scalar("log_z")?;
        if let Some(base) = &mut self.base {
            base.load(&state.below("base."))?;
        }
        Ok(())
    }

    /// The bytes of a `cost.safetensors` file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let mut state = StateDict::default();
        self.save(&mut state);
        state.to_bytes(&self.header)
    }

    /// Reads a `cost.safetensors` file.
    pub fn read(file: &Path) -> Result<Self, StateError> {
        let (bytes, name) = StateDict::load(file)?;
        Self::parse(&bytes, &name)
    }

    /// The same of the file's bytes; `name` is for errors.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, StateError> {
        let (state, header): (_, Header) = StateDict::parse_format(bytes, name, FORMAT)?;
        let foreign = |reason: String| StateError::Foreign {
            file: name.into(),
            reason,
        };
        header.check(&state).map_err(foreign)?;
        let mut rng = costate_envs::rng::stream(0, "discarded", 0);
        let Header {
            env,
            settings,
            seen,
            normalizer,
            action_scale,
            ..
        } = &header;
        let mut model = Self::new(
            env,
            settings,
            seen,
            normalizer.clone(),
            action_scale.clone(),
            &mut rng,
        );
        model.set_shaping(header.shaping);
        if let Some(settings) = &header.base {
            let (normalizer, scale) = (normalizer.clone(), action_scale.clone());
            model = model.with_base(GaussianPolicy::new(
                env, settings, normalizer, scale, &mut rng,
            ));
        }
        model.load(&state).map_err(|e| foreign(e.to_string()))?;
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use costate_envs::rng::stream;
    use costate_envs::{End, Trajectory};

    use super::*;
    use crate::policy::StdForm;

    /// A cost with a penalty on actions and a soft value, relative to a base policy.
    fn relative() -> EnergyModel {
        let mut rng = stream(3, "parts", 0);
        let settings = CostSettings {
            form: CostForm::Neural,
            hidden: vec![8],
            start_value: true,
            state_only: false,
            channels: vec![],
            action_penalty: 0.3,
            bound: 0.0,
        };
        let policy = PolicySettings {
            hidden: vec![8],
            std_form: StdForm::Constant,
            std_floor: 0.02,
            std_initial: 0.6,
        };
        let (normalizer, scale) = (Normalizer::identity(2), {
            let (centre, half_range) = (vec![0.5], vec![2.0]);
            ActionScale { centre, half_range }
        });
        let base = GaussianPolicy::new("x", &policy, normalizer.clone(), scale.clone(), &mut rng);
        EnergyModel::new("x", &settings, &[], normalizer, scale, &mut rng).with_base(base)
    }

    fn batch() -> TrajectoryBatch {
        let values = |n: usize, shift: f32| (0..n).map(|i| (i as f32 + shift).sin()).collect();
        let one = |shift: f32| {
            let (states, actions) = (values(2 * 9, shift), values(8, 2.0 * shift));
            Trajectory::new(2, 1, states, actions, None, End::Truncated).unwrap()
        };
        TrajectoryBatch::new(&[one(0.0), one(0.7), one(1.9)]).unwrap()
    }

    #[test]
    fn a_cost_is_the_sum_of_its_parts() {
        let (batch, whole) = (batch(), relative());
        let [alone, without] =
            [CostPart::BaseAlone, CostPart::WithoutBase].map(|part| relative().part(part).unwrap());
        let cost = |m: &EnergyModel| nn::no_grad(|| m.cost(&batch.observations, &batch.actions));
        assert_eq!(cost(&whole), cost(&alone) + cost(&without));
        let base = whole.base_log_density(&batch.observations, &batch.actions);
        assert_eq!(cost(&alone), -base.unwrap());
        assert_ne!(cost(&without), cost(&without).zeros_like());

        // −log π_0 is not shaped; c_θ is, by the whole's V.
        let shaped = |m: &EnergyModel| m.shaped_cost(&batch);
        assert_eq!(shaped(&alone), nn::to_f64(&cost(&alone)));
        assert_eq!(whole.value(&batch.starts), without.value(&batch.starts));
        let sums = shaped(&alone).into_iter().zip(shaped(&without));
        for (whole, (alone, without)) in shaped(&whole).iter().zip(sums) {
            assert!((whole - alone - without).abs() < 1e-5);
        }
        assert!(alone.has_base() && !without.has_base());
    }

    #[test]
    fn a_bound_limits_the_function_alone_and_stays_in_the_file() {
        let with_bound = |bound: f64| {
            let mut model = relative().without_base().unwrap();
            model.header.settings.bound = bound;
            model
        };
        let batch = batch();
        let inputs = with_bound(0.0).inputs(&batch.observations, &batch.actions);
        let cost = |m: &EnergyModel| nn::to_f64(&nn::no_grad(|| m.cost_of(&inputs)));
        let (free, bounded) = (cost(&with_bound(0.0)), cost(&with_bound(0.01)));
        for (f, c) in free.iter().zip(&bounded) {
            let expected = 0.01 * (f / 0.01).tanh();
            assert!((c - expected).abs() < 1e-7, "{c} is not {expected}");
        }
        assert!(free.iter().any(|f| f.abs() > 0.01));

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cost.safetensors");
        std::fs::write(&file, with_bound(0.01).to_bytes().unwrap()).unwrap();
        assert_eq!(cost(&EnergyModel::read(&file).unwrap()), bounded);
        std::fs::write(&file, with_bound(-1.0).to_bytes().unwrap()).unwrap();
        let error = EnergyModel::read(&file).unwrap_err().to_string();
        assert!(error.contains("settings.bound is -1"), "{error}");

        let settings = CostSettings {
            form: CostForm::Features,
            ..with_bound(1.0).header.settings
        };
        assert!(settings.check().unwrap_err().contains("cost.bound"));
    }

    #[test]
    fn parts_are_files_of_their_own_and_need_a_base_policy() {
        let folder = tempfile::tempdir().unwrap();
        let (batch, file) = (batch(), folder.path().join("cost.safetensors"));
        for part in CostPart::ALL {
            let model = relative().part(part).unwrap();
            std::fs::write(&file, model.to_bytes().unwrap()).unwrap();
            let read = EnergyModel::read(&file).unwrap();
            let shaped = [&model, &read].map(|m| m.shaped_cost(&batch));
            assert_eq!(shaped[0], shaped[1], "{}", part.name());
        }
        for part in [CostPart::BaseAlone, CostPart::WithoutBase] {
            assert!(relative().without_base().unwrap().part(part).is_none());
        }
    }
}
