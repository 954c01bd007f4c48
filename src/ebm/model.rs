//! A fitted model in the data's units, and its file.

use std::path::Path;

use costate_envs::rng::stream;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::CHUNK;
use super::ais::AisEstimate;
use super::energy::{Base, Energy};
use super::generator::{Generator, Shape};
use super::settings::Settings;
use super::table::Table;
use super::whitening::Whitening;
use crate::error::Error;
use crate::nn::{self, StateDict, StateError};

/// Version of `energy.safetensors` of an energy over plain vectors. Version 2 has `learning_rate_end_factor` among its
/// settings.
const FORMAT: u32 = 2;

/// p(x) = exp(−E(x)) / Z over the columns of a table; E(x) = c_θ(z) + log |det A| with x = m + A z, so that E and log Z
/// refer to the data's units.
pub struct Model {
    /// The columns, in order.
    pub columns: Vec<String>,
    /// From the data's units to whitened ones.
    pub whitening: Whitening,
    /// c_θ, over whitened units.
    pub energy: Energy,
    /// The generator trained with it.
    pub generator: Option<Generator>,
    /// log Z.
    pub log_z: AisEstimate,
    /// How it was fitted.
    pub settings: Settings,
}

/// A model's scores of some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// E(x), nats.
    pub energies: Vec<f64>,
    /// log p(x) = −E(x) − log Z, nats.
    pub log_densities: Vec<f64>,
}

/// Contents of the file besides the weights.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    /// Distinguishes this file from a policy's or a cost's.
    kind: Kind,
    columns: Vec<String>,
    /// Absent: the Gaussian.
    base: Option<Shape>,
    generator: Option<Shape>,
    log_z: AisEstimate,
    settings: Settings,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    VectorEnergy,
}

impl Model {
    /// E and log p of some rows.
    pub fn score(&self, table: &Table, rows: &[usize]) -> Scores {
        let mut energies = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(CHUNK) {
            let z = self.whitening.whiten(table, chunk.iter().copied());
            energies.extend(self.white_energies(&z));
        }
        let log_densities = energies.iter().map(|e| -e - self.log_z.log_z).collect();
        Scores {
            energies,
            log_densities,
        }
    }

    /// E of whitened rows.
    pub(super) fn white_energies(&self, z: &Tensor) -> Vec<f64> {
        let volume = self.whitening.log_volume();
        let c = nn::no_grad(|| nn::to_f64(&self.energy.of(z)));
        c.into_iter().map(|c| c + volume).collect()
    }

    /// The generator's own log q of some rows, in the data's units; `None` without one.
    pub fn generator_log_densities(&self, table: &Table, rows: &[usize]) -> Option<Vec<f64>> {
        let generator = self.generator.as_ref()?;
        let volume = self.whitening.log_volume();
        let mut log_densities = Vec::with_capacity(rows.len());
        for chunk in rows.chunks(CHUNK) {
            let z = self.whitening.whiten(table, chunk.iter().copied());
            let log_q = nn::no_grad(|| nn::to_f64(&generator.log_density(&z)));
            log_densities.extend(log_q.into_iter().map(|l| l - volume));
        }
        Some(log_densities)
    }

    /// Components of the generator: of the mixture, or of the flow's latent density.
    pub fn components(&self) -> Option<usize> {
        self.generator.as_ref().map(Generator::components)
    }

    /// The bytes of `energy.safetensors`.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let shape = |g: &Generator| g.shape(&self.settings);
        let mut state = StateDict::default();
        self.whitening.save(&mut state);
        state.extend(self.energy.correction.named("energy."));
        let base = match &self.energy.base {
            Base::Gaussian => None,
            Base::Clone(clone) => {
                state.nest("base.", clone.save());
                Some(shape(clone))
            }
        };
        if let Some(generator) = &self.generator {
            state.nest("generator.", generator.save());
        }
        state.to_bytes(&Header {
            format: FORMAT,
            kind: Kind::VectorEnergy,
            columns: self.columns.clone(),
            base,
            generator: self.generator.as_ref().map(shape),
            log_z: self.log_z.clone(),
            settings: self.settings.clone(),
        })
    }

    /// Reads a file written by [`Model::to_bytes`].
    ///
    /// Errors: a file that is missing, not of this kind, or damaged.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let (bytes, name) = StateDict::load(file)?;
        Self::parse(&bytes, &name)
    }

    /// The same of the file's bytes; `name` is for errors.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, Error> {
        let (state, header): (_, Header) = StateDict::parse_format(bytes, name, FORMAT)?;
        let foreign = |reason: &str| StateError::Foreign {
            file: name.into(),
            reason: reason.into(),
        };
        let dim = header.columns.len();
        if dim == 0 || !header.log_z.log_z.is_finite() {
            return Err(foreign("no columns, or no log Z").into());
        }
        let settings = &header.settings;
        for (shape, prefix) in [(&header.base, "base."), (&header.generator, "generator.")] {
            let Some(shape) = shape else { continue };
            if !shape.is_of(settings) {
                return Err(foreign("its flows are others than its settings say").into());
            }
            let fits = shape.check(dim, &state, prefix);
            fits.map_err(|e| foreign(&e.to_string()))?;
        }
        let sizes = Energy::sizes(dim, settings.form(), &settings.hidden);
        let fits = state.check_layers("energy.", &sizes);
        fits.map_err(|e| foreign(&e.to_string()))?;
        // All weights are overwritten; the stream only initialises the networks.
        let mut unused = stream(0, "ebm read", 0);
        let mut stored = |shape: &Shape, prefix: &str| -> Result<Generator, StateError> {
            let generator = Generator::blank(shape, dim, &mut unused);
            generator.load(&state.below(prefix))?;
            Ok(generator)
        };
        let base = match &header.base {
            None => Base::Gaussian,
            Some(shape) => Base::Clone(stored(shape, "base.")?),
        };
        let generator = match &header.generator {
            None => None,
            Some(shape) => Some(stored(shape, "generator.")?),
        };
        let energy = Energy::new(base, dim, settings.form(), &settings.hidden, &mut unused);
        state.copy_all(energy.correction.named("energy."))?;
        Ok(Self {
            whitening: Whitening::load(dim, &state)?,
            energy,
            generator,
            columns: header.columns,
            log_z: header.log_z,
            settings: header.settings,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::ebm::{Fit, GeneratorKind, Known, Method, Request, Watch, fit};
    use crate::run::settings::Override;

    /// Fitted in a moment.
    fn fitted(table: &Table, method: Method, generator: GeneratorKind) -> Fit {
        let few = [
            "rounds=4",
            "checks=2",
            "flow.steps=5",
            "ais.chains=100",
            "ais.temperatures=4",
        ]
        .map(|text| {
            let (key, value) = text.split_once('=').unwrap();
            Override {
                key: key.into(),
                value: value.into(),
            }
        });
        let mut settings = Settings::of(method).unwrap().with(&few).unwrap();
        if let Some(matching) = &mut settings.energy_matching {
            (matching.transport_steps, matching.chains) = (3, 100);
        }
        let request = Request {
            table,
            source: "t",
            method,
            generator,
            held_out: 0.2,
            samples: 10,
            settings: &settings,
            seed: 3,
        };
        let interrupt = AtomicBool::new(false);
        let mut watch = Watch {
            interrupt: &interrupt,
            report: &mut |_, _, _, _| {},
        };
        fit(&request, &mut watch).unwrap()
    }

    #[test]
    fn a_stored_model_scores_to_the_bit() {
        let table = Known::named("banana").unwrap().sample(300, 1);
        for (method, generator) in [
            (Method::Gan, GeneratorKind::Flow),
            (Method::Gan, GeneratorKind::Mixture),
            (Method::Langevin, GeneratorKind::Flow),
            (Method::EnergyMatching, GeneratorKind::Flow),
        ] {
            let fit = fitted(&table, method, generator);
            let bytes = fit.model.to_bytes().unwrap();
            assert_eq!(
                bytes,
                fitted(&table, method, generator).model.to_bytes().unwrap(),
                "the same seed gives other bits"
            );
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("energy.safetensors");
            std::fs::write(&file, &bytes).unwrap();
            let read = Model::read(&file).unwrap();
            let rows: Vec<usize> = (0..table.len()).collect();
            assert_eq!(read.score(&table, &rows), fit.model.score(&table, &rows));
            assert_eq!(
                read.generator_log_densities(&table, &rows),
                fit.model.generator_log_densities(&table, &rows)
            );
            assert_eq!(read.to_bytes().unwrap(), bytes);
        }
    }

    /// A header can state any size: networks of it would fill the memory.
    #[test]
    fn a_header_of_other_sizes_than_its_tensors_is_refused_before_networks_are_built() {
        let table = Known::named("banana").unwrap().sample(300, 1);
        let changed = |generator, change: &dyn Fn(&mut serde_json::Value)| {
            let bytes = fitted(&table, Method::Gan, generator).model.to_bytes();
            let (state, mut header) =
                StateDict::parse::<serde_json::Value>(&bytes.unwrap(), "m").unwrap();
            change(&mut header);
            let bytes = state.to_bytes(&header).unwrap();
            Model::parse(&bytes, "energy.safetensors")
        };
        assert!(changed(GeneratorKind::Flow, &|_| {}).is_ok());
        let huge = serde_json::json!([1_000_000, 1_000_000]);
        for (change, part) in [
            (
                &(|h: &mut serde_json::Value| h["settings"]["hidden"] = huge.clone())
                    as &dyn Fn(&mut serde_json::Value),
                "`energy.0.weight`",
            ),
            (
                &|h| {
                    h["settings"]["flow"]["hidden"] = huge.clone();
                    h["base"]["flow"]["hidden"] = huge.clone();
                    h["generator"]["flow"]["hidden"] = huge.clone();
                },
                "`base.0.conditioner.0.weight`",
            ),
            (
                &|h| h["generator"]["flow"]["components"] = 1_000_000_000.into(),
                "`generator.latent.logits`",
            ),
            (
                &|h| h["generator"]["flow"]["layers"] = 1_000_000_000.into(),
                "its flows are others than its settings say",
            ),
        ] {
            let refused = changed(GeneratorKind::Flow, change).err().expect("refused");
            let refused = refused.to_string();
            assert!(refused.contains(part), "{refused}");
        }
    }

    #[test]
    fn foreign_and_damaged_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("energy.safetensors");
        let mut state = StateDict::default();
        state.insert_numbers("x", &[1.0]);
        let other = state
            .to_bytes(&serde_json::json!({ "format": 1, "kind": "policy" }))
            .unwrap();
        for bytes in [&other[..], b"nothing"] {
            std::fs::write(&file, bytes).unwrap();
            let error = Model::read(&file).err().expect("refused").to_string();
            assert!(error.contains("energy.safetensors"), "{error}");
        }
        let newer = state
            .to_bytes(&serde_json::json!({ "format": 99 }))
            .unwrap();
        std::fs::write(&file, newer).unwrap();
        let error = Model::read(&file).err().expect("refused").to_string();
        assert!(error.contains("format 99 is newer"), "{error}");
    }
}
