//! Named tensors and their files (safetensors).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use costate_base::seal;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::{Kind, Tensor};

/// Why a state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A tensor is missing.
    #[error("tensor `{0}` is missing")]
    Missing(String),
    /// A tensor has another shape or kind.
    #[error("tensor `{name}` is {got}, expected {expected}")]
    Mismatch {
        /// The tensor.
        name: String,
        /// Its kind and shape.
        got: String,
        /// What was expected.
        expected: String,
    },
    /// Not a safetensors file, or one with other contents.
    #[error("{file}: not a Costate safetensors file: {reason}")]
    Foreign {
        /// The file.
        file: String,
        /// The fault.
        reason: String,
    },
    /// A file whose checksum does not match.
    #[error(
        "{file}: its checksum does not fit its contents: it is damaged or was edited; restore it (`costate train --resume` \
         restores the weights of a run)"
    )]
    Damaged {
        /// The file.
        file: String,
    },
    /// Non-finite numbers.
    #[error("`{0}` contains non-finite numbers")]
    NotFinite(String),
    /// A checkpoint whose rollouts cannot be reproduced.
    #[error("rollouts of past policies cannot be reproduced: {0}")]
    Replay(String),
    /// An operating system error.
    #[error("{file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// Tensors by name, in order of name.
#[derive(Debug, Default)]
pub struct StateDict(BTreeMap<String, Tensor>);

/// The metadata key under which Costate keeps one JSON object. (One key only: the order of several
/// would vary from run to run.)
const METADATA: &str = "costate";

impl StateDict {
    /// Adds a copy of a tensor.
    pub fn insert(&mut self, name: &str, tensor: &Tensor) {
        self.0.insert(name.to_owned(), tensor.detach().copy());
    }

    /// Adds copies of named tensors.
    pub fn extend(&mut self, tensors: impl IntoIterator<Item = (String, Tensor)>) {
        tensors
            .into_iter()
            .for_each(|(name, t)| self.insert(&name, &t));
    }

    /// Adds everything of another state, names prefixed with `prefix`; [`StateDict::below`] is the inverse.
    pub fn nest(&mut self, prefix: &str, inner: Self) {
        self.extend(
            inner
                .into_iter()
                .map(|(name, t)| (format!("{prefix}{name}"), t)),
        );
    }

    /// Adds numbers as an f64 vector.
    pub fn insert_numbers(&mut self, name: &str, values: &[f64]) {
        self.insert(name, &Tensor::from_slice(values));
    }

    /// The tensor `name`.
    pub fn get(&self, name: &str) -> Result<&Tensor, StateError> {
        self.0
            .get(name)
            .ok_or_else(|| StateError::Missing(name.into()))
    }

    /// The tensors whose names begin with `prefix`, without it.
    pub fn below(&self, prefix: &str) -> Self {
        let entries = self.0.iter().filter_map(|(name, t)| {
            name.strip_prefix(prefix)
                .map(|rest| (rest.to_owned(), t.shallow_clone()))
        });
        Self(entries.collect())
    }

    /// A one-entry tensor's value.
    pub fn scalar(&self, name: &str) -> Result<f64, StateError> {
        Ok(self.numbers(name, 1)?[0])
    }

    /// A one-entry tensor's value as a count.
    pub fn count(&self, name: &str) -> Result<usize, StateError> {
        Ok(self.counts(name, 1)?[0])
    }

    /// A vector of `len` counts. Errors: numbers that count nothing that a file could hold.
    pub fn counts(&self, name: &str, len: usize) -> Result<Vec<usize>, StateError> {
        const MOST: f64 = (1_u64 << 31) as f64;
        let count = |v: f64| match v.fract() == 0.0 && (0.0..=MOST).contains(&v) {
            true => Ok(v as usize),
            false => Err(StateError::Mismatch {
                name: name.into(),
                got: format!("{v}"),
                expected: "a count".into(),
            }),
        };
        self.numbers(name, len)?.into_iter().map(count).collect()
    }

    /// A vector of `len` numbers.
    pub fn numbers(&self, name: &str, len: usize) -> Result<Vec<f64>, StateError> {
        let values = super::to_f64(self.get(name)?);
        if values.len() == len {
            Ok(values)
        } else {
            Err(StateError::Mismatch {
                name: name.into(),
                got: format!("{} numbers", values.len()),
                expected: format!("{len}"),
            })
        }
    }

    /// Checks that the layers `{prefix}{i}.weight` and `{prefix}{i}.bias` have these `sizes`, before a network is
    /// created: a header can claim any size.
    pub fn check_layers(&self, prefix: &str, sizes: &[usize]) -> Result<(), StateError> {
        for (i, pair) in sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            self.check_shape(&format!("{prefix}{i}.weight"), &[outputs, inputs])?;
            self.check_shape(&format!("{prefix}{i}.bias"), &[outputs])?;
        }
        match self.0.get(&format!("{prefix}{}.weight", sizes.len() - 1)) {
            None => Ok(()),
            Some(_) => Err(StateError::Mismatch {
                name: format!("{prefix}{}.weight", sizes.len() - 1),
                got: "there".into(),
                expected: format!("{} layers", sizes.len() - 1),
            }),
        }
    }

    /// Checks a tensor's shape.
    pub fn check_shape(&self, name: &str, shape: &[usize]) -> Result<(), StateError> {
        let found = self.get(name)?.size();
        // No overflow: sizes of tensors are never negative.
        match found.iter().map(|d| *d as usize).eq(shape.iter().copied()) && !shape.contains(&0) {
            true => Ok(()),
            false => Err(StateError::Mismatch {
                name: name.into(),
                got: format!("{found:?}"),
                expected: format!("{shape:?} by the file's settings"),
            }),
        }
    }

    /// Overwrites `target` (in place, visible to all that share its storage) with the tensor `name`.
    pub fn copy_to(&self, name: &str, target: &mut Tensor) -> Result<(), StateError> {
        let source = self.get(name)?;
        if source.size() != target.size() || source.kind() != target.kind() {
            return Err(StateError::Mismatch {
                name: name.into(),
                got: format!("{:?} {:?}", source.kind(), source.size()),
                expected: format!("{:?} {:?}", target.kind(), target.size()),
            });
        }
        tch::no_grad(|| target.copy_(source));
        Ok(())
    }

    /// Overwrites each of the named tensors.
    pub fn copy_all(&self, targets: Vec<(String, Tensor)>) -> Result<(), StateError> {
        targets
            .into_iter()
            .try_for_each(|(name, mut t)| self.copy_to(&name, &mut t))
    }

    /// The bytes of a safetensors file with `metadata` as one JSON object, which gets a checksum of the file.
    /// Equal states give equal bytes.
    ///
    /// Errors: numbers that are not finite, which [`StateDict::read`] would refuse.
    pub fn to_bytes(&self, metadata: &impl Serialize) -> Result<Vec<u8>, StateError> {
        let fail = |reason: String| StateError::Foreign {
            file: "(memory)".into(),
            reason,
        };
        let mut held = Vec::new();
        for (name, tensor) in &self.0 {
            if tensor.isfinite().all().int64_value(&[]) == 0 {
                return Err(StateError::NotFinite(name.clone()));
            }
            let (dtype, bytes) = match tensor.kind() {
                Kind::Float => (
                    Dtype::F32,
                    le_bytes(&super::to_f32(tensor), f32::to_le_bytes),
                ),
                Kind::Double => (
                    Dtype::F64,
                    le_bytes(&super::to_f64(tensor), f64::to_le_bytes),
                ),
                other => return Err(fail(format!("tensor `{name}` has kind {other:?}"))),
            };
            let shape: Vec<usize> = tensor.size().iter().map(|&d| d as usize).collect();
            held.push((name, dtype, shape, bytes));
        }
        let views = held
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|v| (name.as_str(), v))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| fail(e.to_string()))?;
        let mut json = serde_json::to_string(metadata).map_err(|e| fail(e.to_string()))?;
        if json.ends_with('}') {
            json.pop();
            let comma = if json.len() > 1 { "," } else { "" };
            json += &format!("{comma}\"{}\":\"{}\"}}", seal::FIELD, seal::BLANK);
        }
        let metadata = HashMap::from([(METADATA.to_owned(), json)]);
        let bytes = safetensors::serialize(views, Some(metadata));
        bytes.map(seal::seal).map_err(|e| fail(e.to_string()))
    }

    /// Reads a safetensors file whose metadata has a field `format`, at most `newest`.
    pub fn read_format<M: DeserializeOwned>(
        file: &Path,
        newest: u32,
    ) -> Result<(Self, M), StateError> {
        let (bytes, name) = Self::load(file)?;
        Self::parse_format(&bytes, &name, newest)
    }

    /// Reads a safetensors file and its metadata.
    ///
    /// Errors: not such a file, a wrong checksum (files of earlier versions have none), non-finite numbers.
    pub fn read<M: DeserializeOwned>(file: &Path) -> Result<(Self, M), StateError> {
        let (bytes, name) = Self::load(file)?;
        Self::parse(&bytes, &name)
    }

    /// A file's bytes, and its name for errors.
    pub fn load(file: &Path) -> Result<(Vec<u8>, String), StateError> {
        let name = file.display().to_string();
        match std::fs::read(file) {
            Ok(bytes) => Ok((bytes, name)),
            Err(source) => Err(StateError::Io { file: name, source }),
        }
    }

    /// [`StateDict::read_format`] of a file's bytes; `name` is for errors.
    pub fn parse_format<M: DeserializeOwned>(
        bytes: &[u8],
        name: &str,
        newest: u32,
    ) -> Result<(Self, M), StateError> {
        Self::parse_any(bytes, name, Some(newest))
    }

    /// [`StateDict::read`] of a file's bytes; `name` is for errors.
    pub fn parse<M: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<(Self, M), StateError> {
        Self::parse_any(bytes, name, None)
    }

    fn parse_any<M: DeserializeOwned>(
        bytes: &[u8],
        name: &str,
        newest: Option<u32>,
    ) -> Result<(Self, M), StateError> {
        let foreign = |reason: String| StateError::Foreign {
            file: name.to_owned(),
            reason,
        };
        if let Some(advice) = crate::lfs::advice(bytes) {
            return Err(StateError::Foreign {
                file: name.to_owned(),
                reason: advice,
            });
        }
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| foreign(e.to_string()))?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|m| m.get(METADATA))
            .ok_or_else(|| foreign(format!("no `{METADATA}` entry in its metadata")))?;
        let mut metadata: serde_json::Value =
            serde_json::from_str(json).map_err(|e| foreign(e.to_string()))?;
        // A newer format may use another checksum.
        if let (Some(newest), Some(format)) = (newest, metadata["format"].as_u64())
            && format > u64::from(newest)
        {
            return Err(foreign(format!(
                "format {format} is newer than {newest}, the newest that this build reads; update Costate"
            )));
        }
        let sealed = metadata.as_object_mut().and_then(|m| m.remove(seal::FIELD));
        if let Some(digest) = sealed
            && !digest.as_str().is_some_and(|d| seal::holds(bytes, d))
        {
            return Err(StateError::Damaged {
                file: name.to_owned(),
            });
        }
        let metadata = serde_json::from_value(metadata).map_err(|e| foreign(e.to_string()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|e| foreign(e.to_string()))?;
        let mut state = Self::default();
        for (tensor_name, view) in file.iter() {
            let shape = shape_of(view.shape()).ok_or_else(|| {
                let shape = view.shape();
                foreign(format!(
                    "tensor `{tensor_name}` has shape {shape:?}, more than there can be"
                ))
            })?;
            let tensor = match view.dtype() {
                Dtype::F32 => Tensor::from_slice(&from_le(view.data(), f32::from_le_bytes)),
                Dtype::F64 => Tensor::from_slice(&from_le(view.data(), f64::from_le_bytes)),
                other => return Err(foreign(format!("tensor `{tensor_name}` is {other:?}"))),
            };
            if !super::to_f64(&tensor).iter().all(|v| v.is_finite()) {
                return Err(foreign(format!(
                    "tensor `{tensor_name}` holds NaN or infinity"
                )));
            }
            state
                .0
                .insert(tensor_name.to_owned(), tensor.view(shape.as_slice()));
        }
        Ok((state, metadata))
    }
}

impl IntoIterator for StateDict {
    type Item = (String, Tensor);
    type IntoIter = std::collections::btree_map::IntoIter<String, Tensor>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A shape as libtorch takes it, which multiplies its dimensions also where one of them is 0.
fn shape_of(shape: &[usize]) -> Option<Vec<i64>> {
    let dims: Vec<i64> = shape
        .iter()
        .map(|d| i64::try_from(*d).ok())
        .collect::<Option<_>>()?;
    let all = dims
        .iter()
        .try_fold(8_i64, |n, d| n.checked_mul((*d).max(1)));
    all.map(|_| dims)
}

fn le_bytes<T: Copy, const N: usize>(values: &[T], f: impl Fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| f(v)).collect()
}

fn from_le<T, const N: usize>(bytes: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_nothing_is_no_count() {
        let mut state = StateDict::default();
        state.insert_numbers("good", &[0.0, 3.0]);
        assert_eq!(state.counts("good", 2).unwrap(), [0, 3]);
        for bad in [-1.0, 0.5, 1e300] {
            state.insert_numbers("bad", &[bad]);
            let error = state.count("bad").unwrap_err().to_string();
            assert!(error.contains("expected a count"), "{error}");
        }
    }

    /// libtorch ends the program over such a shape, where safetensors only counts that nothing is in it.
    #[test]
    fn a_shape_beyond_counting_is_refused_though_nothing_is_in_it() {
        let of = |shape: &str| {
            let header = format!(
                r#"{{"__metadata__":{{"costate":"{{}}"}},"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,0]}}}}"#
            );
            let mut file = (header.len() as u64).to_le_bytes().to_vec();
            file.extend(header.as_bytes());
            StateDict::parse::<serde_json::Value>(&file, "w.safetensors")
        };
        assert_eq!(of("[0,3]").unwrap().0.get("w").unwrap().size(), [0, 3]);
        for shape in ["[0,18446744073709551615]", "[0,9999999999,9999999999]"] {
            let error = of(shape).unwrap_err().to_string();
            assert!(error.contains("more than there can be"), "{error}");
        }
    }
}
