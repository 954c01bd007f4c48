//! Stochastic policies π_φ: Gaussian ones, whose density can be evaluated; implicit ones, defined by an energy; flow
//! ones, which draw plans; and imported ones.

mod flow;
mod gaussian;
mod implicit;
pub mod imported;
mod likelihood;
mod normalizer;

use std::path::Path;

use serde_json::Value;

pub use flow::{FlowPolicy, FlowSettings};
pub use gaussian::{Gaussian, GaussianPolicy, PolicySettings, StdForm};
pub use implicit::{ImplicitPolicy, ImplicitSettings};
pub use likelihood::Likelihood;
pub(crate) use normalizer::scales;
pub use normalizer::{ActionScale, Normalizer};

use crate::error::Error;
use crate::nn::{StateDict, StateError};

/// Version of the policy file.
const FORMAT: u32 = 1;

/// The network's inputs, as described in its file.
const INPUT: &str =
    "clip((observation - normalizer.mean) / normalizer.std, -normalizer.clip, normalizer.clip)";

/// How actions are applied, as described in a policy's file.
const UNCLIPPED: &str = "sent as it is, not clipped to the bounds: the world saturates by itself";

/// Why an implicit policy cannot replace a Gaussian one.
const NO_DENSITY: &str = "an implicit policy, which has an energy but no density that could be evaluated; this needs \
                          a Gaussian one, as every learner but ibc and flow-bc makes";

/// Why a flow policy cannot.
const ONLY_DRAWS: &str = "a flow policy, which draws plans of several actions and has no density that could be \
                          evaluated; this needs a Gaussian one, as every learner but ibc and flow-bc makes";

/// A learned policy of any kind, as a `policy.safetensors` file holds it.
#[derive(Debug)]
pub enum Policy {
    /// With a density.
    Gaussian(GaussianPolicy),
    /// With an energy.
    Implicit(ImplicitPolicy),
    /// With plans.
    Flow(FlowPolicy),
}

impl Policy {
    /// Reads a `policy.safetensors` file; its header says which kind it is.
    pub fn read(file: &Path) -> Result<Self, StateError> {
        let (bytes, name) = StateDict::load(file)?;
        Self::parse(&bytes, &name)
    }

    /// The same of the file's bytes; `name` is for errors.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, StateError> {
        let (state, header): (_, Value) = StateDict::parse_format(bytes, name, FORMAT)?;
        let policy = match header["kind"].as_str() {
            Some(gaussian::KIND) => GaussianPolicy::of(&state, header).map(Self::Gaussian),
            Some(implicit::KIND) => ImplicitPolicy::of(&state, header).map(Self::Implicit),
            Some(flow::KIND) => FlowPolicy::of(&state, header).map(Self::Flow),
            Some(other) => Err(format!(
                "kind `{other}`, expected `{}`, `{}` or `{}`",
                gaussian::KIND,
                implicit::KIND,
                flow::KIND
            )),
            None => Err("no `kind` in its metadata, expected a policy".into()),
        };
        policy.map_err(|reason| StateError::Foreign {
            file: name.into(),
            reason,
        })
    }

    /// The same, borrowed.
    pub fn learned(&self) -> Learned<'_> {
        match self {
            Self::Gaussian(policy) => Learned::Gaussian(policy),
            Self::Implicit(policy) => Learned::Implicit(policy),
            Self::Flow(policy) => Learned::Flow(policy),
        }
    }
}

/// A learner's current policy, of any kind.
#[derive(Debug, Clone, Copy)]
pub enum Learned<'a> {
    /// With a density.
    Gaussian(&'a GaussianPolicy),
    /// With an energy.
    Implicit(&'a ImplicitPolicy),
    /// With plans.
    Flow(&'a FlowPolicy),
}

impl<'a> Learned<'a> {
    /// Name of the environment it acts in.
    pub fn env(self) -> &'a str {
        match self {
            Self::Gaussian(policy) => policy.env(),
            Self::Implicit(policy) => policy.env(),
            Self::Flow(policy) => policy.env(),
        }
    }

    /// How it normalises observations and scales actions.
    pub fn scales(self) -> (&'a Normalizer, &'a ActionScale) {
        match self {
            Self::Gaussian(policy) => (policy.normalizer(), policy.action_scale()),
            Self::Implicit(policy) => (policy.normalizer(), policy.action_scale()),
            Self::Flow(policy) => (policy.normalizer(), policy.action_scale()),
        }
    }

    /// The bytes of its `policy.safetensors` file.
    pub fn to_bytes(self) -> Result<Vec<u8>, StateError> {
        match self {
            Self::Gaussian(policy) => policy.to_bytes(),
            Self::Implicit(policy) => policy.to_bytes(),
            Self::Flow(policy) => policy.to_bytes(),
        }
    }

    /// The policy, if it has a density; an error otherwise.
    pub fn gaussian(self) -> Result<&'a GaussianPolicy, Error> {
        match self {
            Self::Gaussian(policy) => Ok(policy),
            Self::Implicit(_) => Err(Error::Misuse(format!("the policy is {NO_DENSITY}"))),
            Self::Flow(_) => Err(Error::Misuse(format!("the policy is {ONLY_DRAWS}"))),
        }
    }
}

impl<'a> From<&'a GaussianPolicy> for Learned<'a> {
    fn from(policy: &'a GaussianPolicy) -> Self {
        Self::Gaussian(policy)
    }
}
