//! Settings of a fit.

use costate_base::names::suggestion;
use costate_base::parameters::{self, SetError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ais::AisSettings;
use super::energy::Form;
use super::langevin::LangevinSettings;
use crate::error::Error;
use crate::run::settings::Override;
use costate_base::schema::{self, Fault, fraction, positive, proper_fraction};

/// Where negatives come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A generator that learns against the energy: the discriminator at β = 1.
    Gan,
    /// Langevin dynamics on the energy itself: maximum likelihood.
    Langevin,
    /// Weighted chains on the energy itself, which first transports noise to the data.
    EnergyMatching,
}

/// What the energy is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// The Gaussian with the data's mean and covariance.
    Gaussian,
    /// The generator as fitted by maximum likelihood.
    Clone,
}

/// Affine-coupling flows, and how they are fitted by maximum likelihood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlowSettings {
    /// Components of the latent density; `null` tries a single Gaussian and a mixture fitted to the data, and keeps the
    /// better one on the validation rows.
    #[schemars(range(min = 1))]
    pub components: Option<usize>,
    /// Coupling layers.
    #[schemars(range(min = 1))]
    pub layers: usize,
    /// Units of the conditioners' hidden layers.
    #[schemars(inner(range(min = 1)))]
    pub hidden: Vec<usize>,
    /// Maximum steps of maximum likelihood.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Rows per step.
    #[schemars(range(min = 1))]
    pub batch: usize,
    /// Adam's initial step size; it decays to a hundredth.
    #[schemars(transform = positive)]
    pub learning_rate: f64,
    /// Weight of the conditioners' Σ w².
    #[schemars(range(min = 0.0))]
    pub weight_penalty: f64,
}

/// Gaussian mixtures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MixtureSettings {
    /// Components; `null` tries 1, 2, 3, 4, 6, 8, … and keeps the best on the validation rows.
    #[schemars(range(min = 1))]
    pub components: Option<usize>,
}

/// The generator against the energy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GanSettings {
    /// Steps on the energy per step on the generator, with a round's rows and negatives.
    #[schemars(range(min = 1))]
    pub energy_steps: usize,
    /// Adam's initial step size for the generator.
    #[schemars(transform = positive)]
    pub generator_learning_rate: f64,
}

/// Energy matching: a potential that transports noise to the data, then maximum likelihood by chains whose weights follow the
/// energy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatchingSettings {
    /// Standard deviation of the noise that is transported, in standard deviations of the data: above 1.
    #[schemars(extend("exclusiveMinimum" = 1.0))]
    pub noise: f64,
    /// Steps of the transport; 0 leaves it out.
    pub transport_steps: usize,
    /// Pairs of noise and rows per step of the transport, matched optimally in time ∝ their number cubed.
    #[schemars(range(min = 1, max = 4096))]
    pub transport_batch: usize,
    /// Adam's initial step size in the transport; it decays to a fiftieth.
    #[schemars(transform = positive)]
    pub transport_learning_rate: f64,
    /// Weight of the network's Σ w².
    #[schemars(range(min = 0.0))]
    pub weight_penalty: f64,
    /// Weighted chains.
    #[schemars(range(min = 100))]
    pub chains: usize,
    /// Langevin moves of the chains per round, accepted or rejected; their step size follows the acceptance.
    #[schemars(range(min = 1))]
    pub moves: usize,
    /// Rounds after which the chains start again from noise.
    #[schemars(range(min = 1))]
    pub restart_every: usize,
    /// Temperatures from noise to the model when chains start, and at a check.
    #[schemars(range(min = 1))]
    pub temperatures: usize,
}

/// All settings of a fit but data, method, generator and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Units of the energy network's hidden layers.
    #[schemars(inner(range(min = 1)))]
    pub hidden: Vec<usize>,
    /// What the energy is relative to.
    pub base: BaseKind,
    /// Rounds of drawing rows and negatives and learning from them.
    #[schemars(range(min = 1))]
    pub rounds: usize,
    /// Rows and negatives per step; half as many are drawn for the generator.
    #[schemars(range(min = 2))]
    pub batch: usize,
    /// Adam's initial step size for the energy.
    #[schemars(transform = positive)]
    pub learning_rate: f64,
    /// Final factor of the step sizes; it decays linearly from 1.
    #[serde(alias = "learning_rate_left")]
    #[schemars(transform = fraction)]
    pub learning_rate_end_factor: f64,
    /// Weight of `E[f_θ²]` over rows and negatives, which keeps the correction of the base small.
    #[schemars(range(min = 0.0))]
    pub correction_penalty: f64,
    /// Decay per round of the running average of the energy's weights; the average is validated and stored.
    #[schemars(transform = proper_fraction)]
    pub averaging: f64,
    /// Number of checks on the validation rows, which select the model to keep.
    #[schemars(range(min = 1))]
    pub checks: usize,
    /// Affine-coupling flows.
    pub flow: FlowSettings,
    /// Gaussian mixtures.
    pub mixture: MixtureSettings,
    /// The generator against the energy.
    pub gan: GanSettings,
    /// Langevin dynamics.
    pub langevin: LangevinSettings,
    /// Energy matching; with that method only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "MatchingSettings")]
    pub energy_matching: Option<MatchingSettings>,
    /// Annealed importance sampling of the final log Z.
    pub ais: AisSettings,
}

impl Settings {
    /// The shipped settings of a method.
    pub fn of(method: Method) -> Result<Self, Error> {
        let text = match method {
            Method::Gan => include_str!("../../assets/settings/ebm-gan.json"),
            Method::Langevin => include_str!("../../assets/settings/ebm-langevin.json"),
            Method::EnergyMatching => {
                include_str!("../../assets/settings/ebm-energy-matching.json")
            }
        };
        serde_json::from_str(text)
            .map_err(|e| Error::Failure(format!("invalid shipped settings of ebm: {e}")))
    }

    /// These settings with single overrides.
    ///
    /// Errors: an unknown key, a value of another type or out of bounds.
    pub fn with(&self, overrides: &[Override]) -> Result<Self, Error> {
        let broken = |e: serde_json::Error| Error::Misuse(format!("settings of ebm: {e}"));
        let mut value = serde_json::to_value(self).map_err(broken)?;
        for Override { key, value: text } in overrides {
            parameters::set(&mut value, key, text).map_err(|e| {
                Error::Misuse(match e {
                    SetError::Unknown(near) => {
                        format!(
                            "--set {key}: unknown setting of ebm{}",
                            suggestion(near.as_deref())
                        )
                    }
                    SetError::Ambiguous(paths) => {
                        format!("--set {key}: ambiguous: {}", paths.join(", "))
                    }
                    SetError::Type { path, expected } => {
                        format!("--set {path}={text}: not {expected}")
                    }
                })
            })?;
        }
        schema::check(&schema::of::<Self>(), &value).map_err(|fault| {
            let what = match fault {
                Fault::Value {
                    path,
                    value,
                    expected,
                } => format!("--set {path}={value}: expected {expected}"),
                Fault::Unknown { path, suggestion } => {
                    format!("--set {path}: unknown setting of ebm{suggestion}")
                }
                Fault::Missing { path } => format!("setting {path} of ebm is missing"),
            };
            Error::Misuse(what)
        })?;
        let settings: Self = serde_json::from_value(value).map_err(broken)?;
        settings.check_together()?;
        Ok(settings)
    }

    /// What no setting is alone to blame for.
    fn check_together(&self) -> Result<(), Error> {
        let l = &self.langevin;
        if l.most_steps < l.least_steps {
            return Err(Error::Misuse(format!(
                "--set langevin.most_steps={}: expected at least langevin.least_steps, which is {}",
                l.most_steps, l.least_steps
            )));
        }
        if self.energy_matching.is_some() && self.base != BaseKind::Gaussian {
            return Err(Error::Misuse(
                "--set base=clone: energy matching transports noise, not a generator; expected gaussian"
                    .into(),
            ));
        }
        Ok(())
    }

    /// How the energy is made of its network's outputs.
    pub(super) fn form(&self) -> Form {
        match self.energy_matching {
            Some(_) => Form::Residual,
            None => Form::Scalar,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> Result<Settings, Error> {
        let change = Override {
            key: key.into(),
            value: value.into(),
        };
        Settings::of(Method::Langevin).unwrap().with(&[change])
    }

    #[test]
    fn shipped_settings_are_valid_and_overrides_reach_them() {
        for method in [Method::Gan, Method::Langevin, Method::EnergyMatching] {
            Settings::of(method).unwrap().with(&[]).unwrap();
        }
        assert_eq!(set("langevin.chains", "33").unwrap().langevin.chains, 33);
        assert_eq!(
            set("mixture.components", "5").unwrap().mixture.components,
            Some(5)
        );
    }

    #[test]
    fn settings_of_energy_matching_belong_to_it() {
        let set = |method, key: &str, value: &str| {
            let change = Override {
                key: key.into(),
                value: value.into(),
            };
            Settings::of(method).unwrap().with(&[change])
        };
        let fewer = set(Method::EnergyMatching, "transport_steps", "0").unwrap();
        assert_eq!(fewer.energy_matching.unwrap().transport_steps, 0);
        for (method, key, value, part) in [
            (
                Method::EnergyMatching,
                "noise",
                "1",
                "energy_matching.noise=1",
            ),
            (
                Method::EnergyMatching,
                "energy_matching.chains",
                "2",
                "at least 100",
            ),
            (
                Method::EnergyMatching,
                "base",
                "clone",
                "transports noise, not a generator",
            ),
            (
                Method::Langevin,
                "energy_matching.noise",
                "2",
                "unknown setting",
            ),
        ] {
            let error = set(method, key, value).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{key}={value}: {error}");
        }
    }

    #[test]
    fn bad_overrides_say_what_is_wrong() {
        for (key, value, part) in [
            ("rouns", "3", "did you mean `rounds`?"),
            (
                "rounds",
                "0",
                "--set rounds=0: expected a whole number of at least 1",
            ),
            ("rounds", "many", "not a number"),
            ("learning_rate_end_factor", "2", "in (0, 1]"),
            ("langevin.step", "-1", "a positive number"),
            ("ais.chains", "3", "at least 100"),
            (
                "batch",
                "1",
                "--set batch=1: expected a whole number of at least 2",
            ),
            ("langevin.chains", "1", "at least 2"),
            (
                "flow.components",
                "0",
                "--set flow.components=0: expected a whole number of at least 1",
            ),
            ("hidden", "[0]", "of at least 1"),
            ("base", "uniform", "gaussian or clone"),
        ] {
            let error = set(key, value).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{key}={value}: {error}");
        }
    }
}
