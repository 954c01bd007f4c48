//! Weights that a run exports from its newest checkpoint: `policy.safetensors` and, if learned, `cost.safetensors`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use costate_base::disk;
use serde::{Deserialize, Serialize};

use super::files;
use crate::error::Error;
use crate::learners::Learner;
use crate::lfs;
use crate::nn::StateError;

/// The policy.
pub const POLICY: &str = "policy.safetensors";
/// The learned cost.
pub const COST: &str = "cost.safetensors";
/// The checksum file of a checkpoint.
pub const FILE: &str = "weights.json";

/// The weights files of a checkpoint.
pub struct Weights(Vec<(&'static str, Vec<u8>)>);

/// Contents of [`FILE`].
#[derive(Serialize, Deserialize)]
struct Record {
    format: u32,
    /// By file.
    sha256: BTreeMap<String, String>,
}

impl Weights {
    /// The weights of a learner.
    pub fn of(learner: &dyn Learner) -> Result<Self, StateError> {
        let mut files = vec![(POLICY, learner.policy().to_bytes()?)];
        if let Some(model) = learner.energy_model() {
            files.push((COST, model.to_bytes()?));
        }
        Ok(Self(files))
    }

    /// Their checksums, as stored in a checkpoint.
    pub fn record(&self) -> Result<Vec<u8>, Error> {
        let files = self.0.iter();
        let record = Record {
            format: 1,
            sha256: files
                .map(|(name, bytes)| ((*name).into(), disk::sha256(bytes)))
                .collect(),
        };
        serde_json::to_vec(&record).map_err(|e| Error::Failure(format!("{FILE}: {e}")))
    }

    /// Writes those that are missing in `folder` or differ.
    pub fn publish(&self, folder: &Path) -> Result<(), Error> {
        for (name, bytes) in &self.0 {
            let file = folder.join(name);
            if fs::read(&file).ok().as_ref() != Some(bytes) {
                files::write_atomic(&file, bytes)?;
            }
        }
        Ok(())
    }
}

/// SHA-256 of a file, in hexadecimal.
pub fn digest(file: &Path) -> Result<String, Error> {
    Ok(disk::sha256(&fs::read(file).map_err(Error::io(file))?))
}

/// Refuses a weights file that differs from the one exported by the checkpoint in `place`.
pub fn check(file: &Path, name: &str, place: &Path) -> Result<(), Error> {
    let shown = file.display();
    let said = place.join(FILE);
    let record = match fs::read(&said) {
        Ok(bytes) => bytes,
        // Checkpoints of earlier versions have no checksums.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(Error::io(&said)(e)),
    };
    let record: Record = serde_json::from_slice(&record)
        .map_err(|e| Error::Failure(format!("{}: {e}", said.display())))?;
    match (record.sha256.get(name), file.exists()) {
        (None, false) => Ok(()),
        (None, true) => Err(Error::Failure(format!(
            "{shown}: this run has none, the file is another run's; move it away"
        ))),
        (Some(_), false) => Err(Error::Failure(format!("{shown}: is missing"))),
        (Some(expected), true) => {
            let bytes = fs::read(file).map_err(Error::io(file))?;
            if let Some(advice) = lfs::advice(&bytes) {
                return Err(Error::Failure(format!("{shown}: {advice}")));
            }
            let found = disk::sha256(&bytes);
            if found == *expected {
                return Ok(());
            }
            let short = |digest: &str| digest.chars().take(12).collect::<String>();
            Err(Error::Failure(format!(
                "{shown}: not the weights of this run's newest checkpoint: its SHA-256 is {}, {} says {}; it was damaged or \
                 changed, is another run's, or the run was stopped while it wrote them",
                short(&found),
                said.display(),
                short(expected)
            )))
        }
    }
}
