//! Imported ONNX networks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use costate_base::names::{nearest, suggestion};
use costate_envs::EnvSpec;
use tract_onnx::prelude::*;
use tract_onnx::tract_hir::infer::Factoid;
use tract_onnx::tract_hir::internal::DimLike;

use crate::error::Error;
use crate::lfs;

/// A deterministic policy in an ONNX file: one input `[batch, observation_dim]` or `[observation_dim]` and one output with
/// `action_dim` values, real numbers of any width, in the environment's units. The graph must include any normaliser.
#[derive(Clone)]
pub struct OnnxPolicy {
    model: Arc<TypedRunnableModel>,
    input: DatumType,
    shape: Vec<usize>,
    actions: usize,
    file: String,
}

/// Widest input tried to find what a model accepts.
const WIDEST: usize = 256;

impl OnnxPolicy {
    /// Reads a file and tries it on a zero observation; `output` names the action among several outputs.
    ///
    /// Errors, all misuse: not a model, or one that cannot act in this world.
    pub fn read(file: &Path, output: Option<&str>, spec: &EnvSpec) -> Result<Self, Error> {
        let name = file.display().to_string();
        let bytes = std::fs::read(file).map_err(|e| Error::Misuse(format!("{name}: {e}")))?;
        Self::parse(&bytes, &name, output, spec)
    }

    /// The same of the file's bytes; `name` is for errors.
    pub fn parse(
        bytes: &[u8],
        name: &str,
        output: Option<&str>,
        spec: &EnvSpec,
    ) -> Result<Self, Error> {
        // The decoder trusts what it is given.
        let policy = catch_unwind(AssertUnwindSafe(|| Self::of(bytes, output, spec)))
            .unwrap_or_else(|_| Err("not a readable ONNX model: the decoder failed".into()))
            .map_err(|reason| Error::Misuse(format!("{name}: {reason}")))?;
        Ok(Self {
            file: name.into(),
            ..policy
        })
    }

    fn of(mut bytes: &[u8], output: Option<&str>, spec: &EnvSpec) -> Result<Self, String> {
        if let Some(advice) = lfs::advice(bytes) {
            return Err(advice);
        }
        let mut declared = tract_onnx::onnx()
            .model_for_read(&mut bytes)
            .map_err(|e| format!("not a readable ONNX model: {}", e.root_cause()))?;
        choose_output(&mut declared, output)?;
        let (input, rank) = accepts(&declared, spec)?;
        let o = spec.observation.dim();
        let shape = shape_of(rank, o);
        let model = typed(&declared, input, &shape)
            .and_then(|m| m.into_optimized())
            .map_err(|e| refusal(&declared, input, rank, spec, &e))?;
        let gives = model
            .output_fact(0)
            .map_err(|e| e.root_cause().to_string())?
            .datum_type;
        if !gives.is_float() {
            return Err(format!(
                "its output is {}: it selects discrete actions, and {} takes real numbers ({})",
                in_words(gives),
                spec.name,
                spec.action.listed()
            ));
        }
        let policy = Self {
            model: model
                .into_runnable()
                .map_err(|e| format!("cannot be run here: {}", e.root_cause()))?,
            input,
            shape,
            actions: spec.action.dim(),
            file: String::new(),
        };
        let first = policy
            .run(&vec![0.0; o])
            .map_err(|e| format!("fails on an observation of zeros: {}", e.root_cause()))?;
        if first.len() != policy.actions {
            return Err(format!(
                "gives {}, and {} takes {} ({})",
                values(first.len()),
                spec.name,
                policy.actions,
                spec.action.listed()
            ));
        }
        Ok(policy)
    }

    fn run(&self, observation: &[f32]) -> TractResult<Vec<f32>> {
        let input = Tensor::from_shape(&self.shape, observation)?;
        let input = input.cast_to_dt(self.input)?.into_owned();
        let output = self.model.run(tvec!(input.into()))?;
        let values = output[0].cast_to::<f32>()?;
        Ok(values
            .to_plain_array_view::<f32>()?
            .iter()
            .copied()
            .collect())
    }

    /// The action for an observation; NaN where the graph fails on it, which the environment refuses.
    pub fn act(&self, observation: &[f32], action: &mut [f32]) {
        // Graphs that ran on zeros can still make the library panic.
        match catch_unwind(AssertUnwindSafe(|| self.run(observation))) {
            Ok(Ok(values)) if values.len() == self.actions => action.copy_from_slice(&values),
            _ => action.fill(f32::NAN),
        }
    }

    /// The file it was read from.
    pub fn file(&self) -> &str {
        &self.file
    }
}

fn values(count: usize) -> String {
    format!("{count} value{}", if count == 1 { "" } else { "s" })
}

/// A type's name for users.
fn in_words(kind: DatumType) -> String {
    match kind {
        DatumType::F16 => "float16".into(),
        DatumType::F32 => "float32".into(),
        DatumType::F64 => "float64".into(),
        DatumType::Bool => "booleans".into(),
        // tract's type for sizes.
        DatumType::TDim | DatumType::I64 => "whole numbers (int64)".into(),
        DatumType::I32 => "whole numbers (int32)".into(),
        _ if kind.is_integer() => format!("whole numbers ({kind:?})").to_lowercase(),
        _ => format!("{kind:?}").to_lowercase(),
    }
}

/// Selects one output: the named one, or the only one.
fn choose_output(model: &mut InferenceModel, output: Option<&str>) -> Result<(), String> {
    let label = |outlet: &OutletId| {
        let label = model.outlet_label(*outlet);
        label.unwrap_or(&model.node(outlet.node).name).to_owned()
    };
    let names: Vec<String> = model.outputs.iter().map(label).collect();
    let listed = names.join(", ");
    let chosen = match output {
        None if names.len() == 1 => return Ok(()),
        None => {
            return Err(format!(
                "has {} outputs ({listed}); say which one is the action with FILE.onnx:OUTPUT",
                names.len()
            ));
        }
        Some(name) => names.iter().position(|n| n == name).ok_or_else(|| {
            let hint = suggestion(nearest(name, names.iter().map(String::as_str)));
            format!("has no output `{name}`{hint}; available: {listed}")
        })?,
    };
    model.outputs = vec![model.outputs[chosen]];
    Ok(())
}

/// Type and rank of the only input. Errors: an input that cannot take an observation of this world.
fn accepts(model: &InferenceModel, spec: &EnvSpec) -> Result<(DatumType, usize), String> {
    let [input] = model.inputs.as_slice() else {
        let names = model.inputs.iter().map(|i| model.node(i.node).name.clone());
        return Err(format!(
            "has {} inputs ({}), a policy has one, the observation; what a recurrent network remembers is not carried \
             from step to step here",
            model.inputs.len(),
            names.collect::<Vec<_>>().join(", ")
        ));
    };
    let fact = model
        .input_fact(0)
        .map_err(|e| e.root_cause().to_string())?;
    let name = &model.node(input.node).name;
    let kind = fact.datum_type.concretize().unwrap_or(DatumType::F32);
    if !kind.is_float() {
        return Err(format!(
            "its input `{name}` takes {}, and observations of {} are real numbers",
            in_words(kind),
            spec.name
        ));
    }
    // Without a declared shape assume a batch.
    let rank = fact
        .shape
        .rank()
        .concretize()
        .map_or(2, |rank| rank as usize);
    let size = |axis: usize| {
        let dim = fact.shape.dim(axis)?.concretize()?;
        dim.to_usize().ok()
    };
    match rank {
        1 => {}
        2 if size(0).is_none_or(|batch| batch == 1) => {}
        2 => {
            return Err(format!(
                "its input `{name}` takes batches of {} observations; export it with a batch of 1 or a dynamic axis",
                size(0).unwrap_or(0)
            ));
        }
        _ => {
            return Err(format!(
                "its input `{name}` has {rank} axes, expected [{o}] or [batch, {o}]",
                o = spec.observation.dim()
            ));
        }
    }
    match size(rank - 1) {
        Some(width) if width != spec.observation.dim() => Err(other_width(width, spec)),
        _ => Ok((kind, rank)),
    }
}

fn shape_of(rank: usize, width: usize) -> Vec<usize> {
    match rank {
        1 => vec![width],
        _ => vec![1, width],
    }
}

fn typed(model: &InferenceModel, input: DatumType, shape: &[usize]) -> TractResult<TypedModel> {
    let fact = InferenceFact::dt_shape(input, shape);
    model.clone().with_input_fact(0, fact)?.into_typed()
}

fn other_width(width: usize, spec: &EnvSpec) -> String {
    format!(
        "takes {}, and {} observes {} values ({}): it was made for another world, or for other observations of this one",
        values(width),
        spec.name,
        spec.observation.dim(),
        spec.observation.listed()
    )
}

/// Why a model without a declared shape cannot act here: the width that it accepts, or why it cannot be run.
fn refusal(
    model: &InferenceModel,
    input: DatumType,
    rank: usize,
    spec: &EnvSpec,
    error: &TractError,
) -> String {
    let fits = |width: &usize| typed(model, input, &shape_of(rank, *width)).is_ok();
    let own = spec.observation.dim();
    match (1..=WIDEST).filter(|w| *w != own).find(fits) {
        Some(width) if !fits(&own) => other_width(width, spec),
        _ => format!("cannot be run here: {}", error.root_cause()),
    }
}
