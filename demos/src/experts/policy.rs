//! Experts that are neural networks: policies trained on the true cost by `costate expert`.

use std::path::Path;
use std::sync::Arc;

use costate_base::{disk, seal};
use costate_envs::actor::{Actor, ActorError, ActorParts, Dense, LogStd, Scales, Scratch};
use costate_envs::implicit::{ImplicitActor, ImplicitParts, ImplicitScratch, Sampling};
use costate_envs::rng::{Stream, stream};
use costate_envs::{Env, EnvError, EnvSpec};
use nalgebra::{DMatrix, DVector};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Expert;

/// The newest `policy.safetensors` format that this build reads.
const FORMAT: u32 = 1;
/// The kinds of policy that it supports.
const GAUSSIAN: &str = "gaussian_policy";
const IMPLICIT: &str = "implicit_policy";

/// The metadata of a `policy.safetensors` file, as far as acting needs it.
#[derive(Deserialize)]
struct Header {
    format: u32,
    kind: String,
    env: String,
    normalizer: Normalizer,
    action_scale: ActionScale,
    settings: Value,
    /// Checksum; files of earlier versions have none.
    sha256: Option<String>,
}

/// What an implicit policy's settings say about acting.
#[derive(Deserialize)]
struct ImplicitSettings {
    sampling: Sampling,
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

/// A trained policy, read without libtorch: the mean action of a Gaussian one; a draw from an implicit one, which is as
/// multimodal as its demonstrator and has no useful mean.
#[derive(Debug, Clone)]
pub struct PolicyExpert {
    acts: Acts,
    observation: Vec<f32>,
    sha256: String,
}

#[derive(Debug, Clone)]
enum Acts {
    Gaussian(Arc<Actor>, Scratch),
    Implicit(Arc<ImplicitActor>, Box<(ImplicitScratch, Stream)>),
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
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| foreign(&e))?;
        let entries = metadata.metadata().as_ref();
        let json = entries
            .and_then(|m| m.get("costate"))
            .ok_or_else(|| foreign(&"no `costate` entry in its metadata"))?;
        let header: Header = serde_json::from_str(json).map_err(|e| foreign(&e))?;
        if header
            .sha256
            .as_ref()
            .is_some_and(|d| !seal::holds(bytes, d))
        {
            return Err(
                "its checksum does not fit its contents: it is damaged or was edited".into(),
            );
        }
        let prefix = match header.kind.as_str() {
            GAUSSIAN if header.format <= FORMAT => "policy",
            IMPLICIT if header.format <= FORMAT => "energy",
            kind => {
                return Err(foreign(&format_args!(
                    "kind `{kind}`, format {}, expected `{GAUSSIAN}` or `{IMPLICIT}` of at most {FORMAT}",
                    header.format
                )));
            }
        };
        if header.env != spec.name {
            return Err(format!(
                "a policy for {}, expected one for {}",
                header.env, spec.name
            ));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| foreign(&e))?;
        let layers = layers(&tensors, prefix)?;
        let scales = Scales {
            observation_mean: header.normalizer.mean,
            observation_std: header.normalizer.std,
            observation_clip: header.normalizer.clip,
            action_centre: header.action_scale.centre,
            action_scale: header.action_scale.half_range,
        };
        let dims = (scales.observation_mean.len(), scales.action_scale.len());
        let acts = match header.kind.as_str() {
            IMPLICIT => {
                let settings: ImplicitSettings =
                    serde_json::from_value(header.settings).map_err(|e| foreign(&e))?;
                let parts = ImplicitParts {
                    scales,
                    layers,
                    sampling: settings.sampling,
                };
                let actor = ImplicitActor::new(parts).map_err(|e| e.to_string())?;
                let scratch = actor.scratch();
                Acts::Implicit(Arc::new(actor), Box::new((scratch, stream(0, "action", 0))))
            }
            _ => {
                let actor = gaussian(scales, layers).map_err(|e| e.to_string())?;
                let scratch = actor.scratch();
                Acts::Gaussian(Arc::new(actor), scratch)
            }
        };
        let (o, a) = (spec.observation.dim(), spec.action.dim());
        if dims != (o, a) {
            return Err(format!(
                "it maps {} observations to {} actions, but {} has {o} and {a}",
                dims.0, dims.1, spec.name
            ));
        }
        Ok(Self {
            acts,
            observation: vec![0.0; o],
            sha256: disk::sha256(bytes),
        })
    }

    /// For the dataset.
    pub fn describe(&self) -> Value {
        json!({ "policy_sha256": self.sha256 })
    }
}

/// An actor from a Gaussian policy's layers. Experts have their own noise, so only the form of σ matters: whether it
/// comes from the second half of the last layer.
fn gaussian(scales: Scales, layers: Vec<Dense>) -> Result<Actor, ActorError> {
    let actions = scales.action_scale.len();
    let head = layers.last().is_some_and(|l| l.bias.len() == 2 * actions);
    let log_std = if head {
        LogStd::Head { floor: 1e-3 }
    } else {
        LogStd::Constant(vec![0.0; actions])
    };
    Actor::new(ActorParts {
        scales,
        layers,
        log_std,
    })
}

fn foreign(e: &dyn std::fmt::Display) -> String {
    format!("not a policy of Costate: {e}")
}

/// The layers of a network, first to last.
fn layers(tensors: &SafeTensors, prefix: &str) -> Result<Vec<Dense>, String> {
    let mut layers = Vec::new();
    while let Ok(weight) = tensors.tensor(&format!("{prefix}.{}.weight", layers.len())) {
        let bias = tensors
            .tensor(&format!("{prefix}.{}.bias", layers.len()))
            .map_err(|e| foreign(&e))?;
        let &[rows, columns] = weight.shape() else {
            return Err(foreign(&"a weight is no matrix"));
        };
        if weight.dtype() != Dtype::F32 || bias.dtype() != Dtype::F32 || bias.shape() != [rows] {
            return Err(foreign(&"a layer is not f32 or its bias does not fit"));
        }
        layers.push(Dense {
            weight: DMatrix::from_row_slice(rows, columns, &numbers(weight.data())),
            bias: DVector::from_vec(numbers(bias.data())),
        });
    }
    Ok(layers)
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
    fn begin(&mut self, seed: u64) {
        if let Acts::Implicit(_, work) = &mut self.acts {
            work.1 = stream(seed, "action", 0);
        }
    }

    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError> {
        env.observe(&mut self.observation);
        match &mut self.acts {
            Acts::Gaussian(actor, scratch) => {
                actor.forward(&self.observation, scratch);
                out.iter_mut()
                    .zip(&scratch.mean)
                    .for_each(|(o, m)| *o = f64::from(*m));
            }
            Acts::Implicit(actor, work) => {
                let (scratch, noise) = work.as_mut();
                let mut drawn = vec![0.0; out.len()];
                actor.refine(&self.observation, noise, scratch);
                actor.draw(scratch, noise, &mut drawn);
                out.iter_mut()
                    .zip(drawn)
                    .for_each(|(o, v)| *o = f64::from(v));
            }
        }
        Ok(())
    }
}
