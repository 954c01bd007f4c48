//! Experts that are neural networks: policies trained on the true cost by `costate expert`.

use std::path::Path;
use std::sync::Arc;

use costate_envs::actor::{Actor, ActorParts, Dense, LogStd, Scratch};
use costate_envs::{Env, EnvError, EnvSpec};
use nalgebra::{DMatrix, DVector};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Expert;
use crate::dataset::disk;

/// The newest `policy.safetensors` format that this build reads.
const FORMAT: u32 = 1;

/// What the metadata of a `policy.safetensors` file says, as far as acting needs it.
#[derive(Deserialize)]
struct Header {
    format: u32,
    kind: String,
    env: String,
    normalizer: Normalizer,
    action_scale: ActionScale,
}

#[derive(Deserialize)]
struct Normalizer {
    mean: Vec<f32>,
    std: Vec<f32>,
    clip: f32,
}

#[derive(Deserialize)]
struct ActionScale {
    centre: Vec<f32>,
    half_range: Vec<f32>,
}

/// A trained policy's mean action, read without libtorch.
#[derive(Debug, Clone)]
pub struct PolicyExpert {
    actor: Arc<Actor>,
    scratch: Scratch,
    observation: Vec<f32>,
    sha256: String,
}

impl PolicyExpert {
    /// Reads a `policy.safetensors` file, or that of a run folder, for the environment of `spec`.
    /// The error says what is wrong with the file.
    pub fn read(path: &Path, spec: &EnvSpec) -> Result<Self, String> {
        let file = if path.is_dir() {
            path.join("policy.safetensors")
        } else {
            path.to_owned()
        };
        let bytes = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        Self::from_bytes(&bytes, spec).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Reads the bytes of a `policy.safetensors` file.
    pub fn from_bytes(bytes: &[u8], spec: &EnvSpec) -> Result<Self, String> {
        let foreign = |e: &dyn std::fmt::Display| format!("not a policy of Costate: {e}");
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| foreign(&e))?;
        let entries = metadata.metadata().as_ref();
        let json = entries
            .and_then(|m| m.get("costate"))
            .ok_or_else(|| foreign(&"no `costate` entry in its metadata"))?;
        let header: Header = serde_json::from_str(json).map_err(|e| foreign(&e))?;
        if header.format > FORMAT || header.kind != "gaussian_policy" {
            return Err(foreign(&format_args!(
                "kind `{}`, format {}, expected `gaussian_policy` of at most {FORMAT}",
                header.kind, header.format
            )));
        }
        if header.env != spec.name {
            return Err(format!(
                "a policy for {}, expected one for {}",
                header.env, spec.name
            ));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| foreign(&e))?;
        let actions = header.action_scale.half_range.len();
        let mut layers = Vec::new();
        while let Ok(weight) = tensors.tensor(&format!("policy.{}.weight", layers.len())) {
            let bias = tensors
                .tensor(&format!("policy.{}.bias", layers.len()))
                .map_err(|e| foreign(&e))?;
            let &[rows, columns] = weight.shape() else {
                return Err(foreign(&"a weight is no matrix"));
            };
            if weight.dtype() != Dtype::F32 || bias.dtype() != Dtype::F32 || bias.shape() != [rows]
            {
                return Err(foreign(&"a layer is not f32 or its bias does not fit"));
            }
            layers.push(Dense {
                weight: DMatrix::from_row_slice(rows, columns, &numbers(weight.data())),
                bias: DVector::from_vec(numbers(bias.data())),
            });
        }
        // σ of the last layer's second half; experts get noise of their own, so only its form counts.
        let head = layers.last().is_some_and(|l| l.bias.len() == 2 * actions);
        let log_std = if head {
            LogStd::Head { floor: 1e-3 }
        } else {
            LogStd::Constant(vec![0.0; actions])
        };
        let actor = Actor::new(ActorParts {
            observation_mean: header.normalizer.mean,
            observation_std: header.normalizer.std,
            observation_clip: header.normalizer.clip,
            layers,
            action_centre: header.action_scale.centre,
            action_scale: header.action_scale.half_range,
            log_std,
        })
        .map_err(|e| e.to_string())?;
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        if (actor.observation_dim(), actor.action_dim()) != (o, a) {
            return Err(format!(
                "it maps {} observations to {} actions, but {} has {o} and {a}",
                actor.observation_dim(),
                actor.action_dim(),
                spec.name
            ));
        }
        Ok(Self {
            scratch: actor.scratch(),
            observation: vec![0.0; o],
            actor: Arc::new(actor),
            sha256: disk::sha256(bytes),
        })
    }

    /// For the dataset.
    pub fn describe(&self) -> Value {
        json!({ "policy_sha256": self.sha256 })
    }
}

/// Little-endian f32 values.
fn numbers(bytes: &[u8]) -> Vec<f32> {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|c| f32::from_le_bytes(*c))
        .collect()
}

impl Expert for PolicyExpert {
    fn begin(&mut self, _seed: u64) {}

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        env.observe(&mut self.observation);
        self.actor.forward(&self.observation, &mut self.scratch);
        out.iter_mut()
            .zip(self.scratch.mean.iter())
            .for_each(|(o, m)| *o = f64::from(*m));
        Ok(())
    }
}
