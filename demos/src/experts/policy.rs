//! Policies that are neural networks, read without libtorch, and experts that act by them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use costate_base::{disk, seal};
use costate_envs::actor::{Actor, ActorParts, Dense, LogStd, Scales, Scratch};
use costate_envs::flow::{FlowActor, FlowParts, FlowScratch, Planning};
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
const FLOW: &str = "flow_policy";

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

/// What a Gaussian policy's settings say about σ.
#[derive(Deserialize)]
struct GaussianSettings {
    std_floor: f64,
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

/// What a `policy.safetensors` file holds, read without libtorch.
#[derive(Debug, Clone)]
pub struct PolicyFile {
    /// Name of the environment that it acts in.
    pub env: String,
    /// The policy.
    pub policy: FrozenPolicy,
    /// The file's SHA-256, hexadecimal.
    pub sha256: String,
}

/// A policy of any kind.
#[derive(Debug, Clone)]
pub enum FrozenPolicy {
    /// With a density.
    Gaussian(Arc<Actor>),
    /// With an energy.
    Implicit(Arc<ImplicitActor>),
    /// With plans.
    Flow(Arc<FlowActor>),
}

impl FrozenPolicy {
    /// Entries of an observation and of an action.
    pub fn dims(&self) -> (usize, usize) {
        match self {
            Self::Gaussian(actor) => (actor.observation_dim(), actor.action_dim()),
            Self::Implicit(actor) => (actor.observation_dim(), actor.action_dim()),
            Self::Flow(actor) => (actor.observation_dim(), actor.action_dim()),
        }
    }

    /// What keeps it from acting in the environment of `spec`, if anything does: `maps … observations to …`.
    pub fn misfit(&self, spec: &EnvSpec) -> Option<String> {
        let (found, expected) = (self.dims(), (spec.observation.dim(), spec.action.dim()));
        (found != expected).then(|| {
            format!(
                "maps {} observations to {} actions, but {} has {} and {}",
                found.0, found.1, spec.name, expected.0, expected.1
            )
        })
    }
}

impl PolicyFile {
    /// Reads a `policy.safetensors` file, or that of a run folder. The error says what is wrong with the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = file_of(path);
        let bytes = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        Self::from_bytes(&bytes).map_err(|e| format!("{}: {e}", file.display()))
    }

    /// Reads the bytes of a `policy.safetensors` file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
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
            FLOW if header.format <= FORMAT => "velocity",
            kind => {
                return Err(foreign(&format_args!(
                    "kind `{kind}`, format {}, expected `{GAUSSIAN}`, `{IMPLICIT}` or `{FLOW}` of at most {FORMAT}",
                    header.format
                )));
            }
        };
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| foreign(&e))?;
        let layers = layers(&tensors, prefix)?;
        let scales = Scales {
            observation_mean: header.normalizer.mean,
            observation_std: header.normalizer.std,
            observation_clip: header.normalizer.clip,
            action_centre: header.action_scale.centre,
            action_scale: header.action_scale.half_range,
        };
        let policy = match header.kind.as_str() {
            IMPLICIT => {
                let settings: ImplicitSettings =
                    serde_json::from_value(header.settings).map_err(|e| foreign(&e))?;
                let parts = ImplicitParts {
                    scales,
                    layers,
                    sampling: settings.sampling,
                };
                let actor = ImplicitActor::new(parts).map_err(|e| e.to_string())?;
                FrozenPolicy::Implicit(Arc::new(actor))
            }
            FLOW => {
                let planning: Planning =
                    serde_json::from_value(header.settings).map_err(|e| foreign(&e))?;
                let parts = FlowParts {
                    scales,
                    layers,
                    planning,
                };
                let actor = FlowActor::new(parts).map_err(|e| e.to_string())?;
                FrozenPolicy::Flow(Arc::new(actor))
            }
            _ => {
                let settings: GaussianSettings =
                    serde_json::from_value(header.settings).map_err(|e| foreign(&e))?;
                let log_std = log_std(&tensors, settings.std_floor, &scales)?;
                let parts = ActorParts {
                    scales,
                    layers,
                    log_std,
                };
                let actor = Actor::new(parts).map_err(|e| e.to_string())?;
                FrozenPolicy::Gaussian(Arc::new(actor))
            }
        };
        Ok(Self {
            env: header.env,
            policy,
            sha256: disk::sha256(bytes),
        })
    }
}

/// A trained policy as an expert: the mean action of a Gaussian one; a draw from an implicit or a flow policy, which is as
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
    Flow(Arc<FlowActor>, Box<(FlowScratch, Stream)>),
}

impl PolicyExpert {
    /// Reads a `policy.safetensors` file, or that of a run folder, for the environment of `spec`.
    /// The error says what is wrong with the file.
    pub fn read(path: &Path, spec: &EnvSpec) -> Result<Self, String> {
        let read = PolicyFile::read(path)?;
        Self::of(read, spec).map_err(|e| format!("{}: {e}", file_of(path).display()))
    }

    /// Reads the bytes of a `policy.safetensors` file.
    pub fn from_bytes(bytes: &[u8], spec: &EnvSpec) -> Result<Self, String> {
        Self::of(PolicyFile::from_bytes(bytes)?, spec)
    }

    fn of(file: PolicyFile, spec: &EnvSpec) -> Result<Self, String> {
        if file.env != spec.name {
            return Err(format!(
                "a policy for {}, expected one for {}",
                file.env, spec.name
            ));
        }
        if let Some(misfit) = file.policy.misfit(spec) {
            return Err(format!("it {misfit}"));
        }
        let acts = match file.policy {
            FrozenPolicy::Gaussian(actor) => {
                let scratch = actor.scratch();
                Acts::Gaussian(actor, scratch)
            }
            FrozenPolicy::Implicit(actor) => {
                let scratch = actor.scratch();
                Acts::Implicit(actor, Box::new((scratch, stream(0, "action", 0))))
            }
            FrozenPolicy::Flow(actor) => {
                let scratch = actor.scratch();
                Acts::Flow(actor, Box::new((scratch, stream(0, "action", 0))))
            }
        };
        Ok(Self {
            acts,
            observation: vec![0.0; spec.observation.dim()],
            sha256: file.sha256,
        })
    }

    /// For the dataset.
    pub fn describe(&self) -> Value {
        json!({ "policy_sha256": self.sha256 })
    }
}

/// σ = half range · (floor + softplus(ρ)), with ρ a tensor of its own or the second half of the network's outputs.
fn log_std(tensors: &SafeTensors, floor: f64, scales: &Scales) -> Result<LogStd, String> {
    let Ok(rho) = tensors.tensor("policy.rho") else {
        return Ok(LogStd::Head {
            floor: floor as f32,
        });
    };
    if rho.dtype() != Dtype::F32 {
        return Err(foreign(&"`policy.rho` is not f32"));
    }
    let log_std = |(rho, half): (f32, &f32)| {
        let rho = f64::from(rho);
        let softplus = rho.max(0.0) + (-rho.abs()).exp().ln_1p();
        ((floor + softplus) * f64::from(*half)).ln() as f32
    };
    let rho = numbers(rho.data());
    if rho.len() != scales.action_scale.len() {
        return Err(foreign(&format_args!(
            "`policy.rho` has {} entries, expected {}",
            rho.len(),
            scales.action_scale.len()
        )));
    }
    let all = rho.into_iter().zip(&scales.action_scale).map(log_std);
    Ok(LogStd::Constant(all.collect()))
}

/// The policy's file, given it or the run folder.
fn file_of(path: &Path) -> PathBuf {
    match path.is_dir() {
        true => path.join("policy.safetensors"),
        false => path.to_owned(),
    }
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
        match &mut self.acts {
            Acts::Gaussian(..) => {}
            Acts::Implicit(_, work) => work.1 = stream(seed, "action", 0),
            Acts::Flow(_, work) => {
                work.0.begin();
                work.1 = stream(seed, "action", 0);
            }
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
            Acts::Flow(actor, work) => {
                let (scratch, noise) = work.as_mut();
                let mut drawn = vec![0.0; out.len()];
                actor.act(&self.observation, Some(noise), scratch, &mut drawn);
                out.iter_mut()
                    .zip(drawn)
                    .for_each(|(o, v)| *o = f64::from(v));
            }
        }
        Ok(())
    }
}
