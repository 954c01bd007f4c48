//! What can be set about a fit.

use costate_base::names::suggestion;
use costate_base::parameters::{self, SetError};
use serde::{Deserialize, Serialize};

use super::ais::AisSettings;
use super::langevin::LangevinSettings;
use crate::error::Error;
use crate::run::settings::Override;

/// Where negatives come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A generator that learns against the energy: the discriminator at β = 1.
    Gan,
    /// Langevin dynamics on the energy itself: maximum likelihood.
    Langevin,
}

/// What the energy is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaseKind {
    /// The Gaussian with the data's mean and covariance.
    Gaussian,
    /// The generator as fitted by maximum likelihood.
    Clone,
}

/// Affine-coupling flows, and how they are fitted by maximum likelihood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSettings {
    /// Components of the latent density; `null` tries a single Gaussian and the mixture that suits the data, and keeps what
    /// the validation rows like better.
    pub components: Option<usize>,
    /// Coupling layers.
    pub layers: usize,
    /// Units of the hidden layers of what scales and shifts.
    pub hidden: Vec<usize>,
    /// Steps of maximum likelihood at most.
    pub steps: usize,
    /// Rows a step.
    pub batch: usize,
    /// Adam's step size at the beginning; it falls to a hundredth.
    pub learning_rate: f64,
    /// Weight of the conditioners' Σ w².
    pub weight_penalty: f64,
}

/// Gaussian mixtures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixtureSettings {
    /// Components; `null` tries 1, 2, 3, 4, 6, 8, … and keeps what the validation rows like best.
    pub components: Option<usize>,
}

/// The generator against the energy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GanSettings {
    /// Steps on the energy with a round's rows and negatives, before one on the generator.
    pub energy_steps: usize,
    /// Adam's step size for the generator at the beginning.
    pub generator_learning_rate: f64,
}

/// Everything about a fit but data, method, generator and seed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Units of the energy network's hidden layers.
    pub hidden: Vec<usize>,
    /// What the energy is relative to.
    pub base: BaseKind,
    /// Rounds of drawing rows and negatives and learning from them.
    pub rounds: usize,
    /// Rows and negatives of a step.
    pub batch: usize,
    /// Adam's step size for the energy at the beginning.
    pub learning_rate: f64,
    /// Share of the step sizes that is left at the end.
    pub learning_rate_left: f64,
    /// Weight of `E[f_θ²]` over rows and negatives, which keeps the correction of the base small.
    pub correction_penalty: f64,
    /// Share of the running average of the energy's weights that a round keeps; the average is what is judged and stored.
    pub averaging: f64,
    /// How often the validation rows are asked which model to keep.
    pub checks: usize,
    /// Affine-coupling flows.
    pub flow: FlowSettings,
    /// Gaussian mixtures.
    pub mixture: MixtureSettings,
    /// The generator against the energy.
    pub gan: GanSettings,
    /// Langevin dynamics.
    pub langevin: LangevinSettings,
    /// Annealed importance sampling of the final log Z.
    pub ais: AisSettings,
}

impl Settings {
    /// The shipped settings of a method.
    pub fn of(method: Method) -> Result<Self, Error> {
        let text = match method {
            Method::Gan => include_str!("../../assets/settings/ebm-gan.json"),
            Method::Langevin => include_str!("../../assets/settings/ebm-langevin.json"),
        };
        serde_json::from_str(text)
            .map_err(|e| Error::Failure(format!("the shipped settings of ebm are broken: {e}")))
    }

    /// These settings with single ones changed.
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
        let settings: Self = serde_json::from_value(value).map_err(broken)?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |name: &str, expected: &str| {
            Err(Error::Misuse(format!("--set {name}: expected {expected}")))
        };
        let l = &self.langevin;
        // Of a single row or chain there is no variance, and half of a batch is drawn for the generator.
        let counts = [
            ("rounds", self.rounds, 1),
            ("batch", self.batch, 2),
            ("checks", self.checks, 1),
            ("flow.components", self.flow.components.unwrap_or(1), 1),
            ("flow.layers", self.flow.layers, 1),
            ("flow.steps", self.flow.steps, 1),
            ("flow.batch", self.flow.batch, 1),
            (
                "mixture.components",
                self.mixture.components.unwrap_or(1),
                1,
            ),
            ("gan.energy_steps", self.gan.energy_steps, 1),
            ("langevin.chains", l.chains, 2),
            ("langevin.least_steps", l.least_steps, 1),
            ("ais.chains", self.ais.chains, 100),
            ("ais.temperatures", self.ais.temperatures, 1),
            ("ais.leapfrog", self.ais.leapfrog, 1),
        ];
        if let Some((name, _, least)) = counts.iter().find(|(_, n, least)| n < least) {
            return refuse(name, &format!("at least {least}"));
        }
        let layers = [("hidden", &self.hidden), ("flow.hidden", &self.flow.hidden)];
        if let Some((name, _)) = layers.iter().find(|(_, h)| h.contains(&0)) {
            return refuse(name, "layers of at least 1 unit");
        }
        let positive = [
            ("learning_rate", self.learning_rate),
            ("learning_rate_left", self.learning_rate_left),
            (
                "gan.generator_learning_rate",
                self.gan.generator_learning_rate,
            ),
            ("flow.learning_rate", self.flow.learning_rate),
            ("langevin.step", l.step),
            ("langevin.step_left", l.step_left),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, v)| !(v.is_finite() && *v > 0.0)) {
            return refuse(name, "a positive number");
        }
        let penalties = [
            ("correction_penalty", self.correction_penalty),
            ("flow.weight_penalty", self.flow.weight_penalty),
        ];
        if let Some((name, _)) = penalties
            .iter()
            .find(|(_, v)| !(v.is_finite() && *v >= 0.0))
        {
            return refuse(name, "a number of at least 0");
        }
        if !(0.0..1.0).contains(&self.averaging) {
            return refuse("averaging", "a share in [0, 1)");
        }
        if self.learning_rate_left > 1.0 {
            return refuse("learning_rate_left", "a share in (0, 1]");
        }
        if l.most_steps < l.least_steps {
            return refuse("langevin.most_steps", "at least langevin.least_steps");
        }
        if !(0.0..1.0).contains(&l.restarts) {
            return refuse("langevin.restarts", "a share in [0, 1)");
        }
        Ok(())
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
        for method in [Method::Gan, Method::Langevin] {
            Settings::of(method).unwrap().with(&[]).unwrap();
        }
        assert_eq!(set("langevin.chains", "33").unwrap().langevin.chains, 33);
        assert_eq!(
            set("mixture.components", "5").unwrap().mixture.components,
            Some(5)
        );
    }

    #[test]
    fn bad_overrides_say_what_is_wrong() {
        for (key, value, part) in [
            ("rouns", "3", "did you mean `rounds`?"),
            ("rounds", "0", "--set rounds: expected at least 1"),
            ("rounds", "many", "not a number"),
            ("learning_rate_left", "2", "in (0, 1]"),
            ("langevin.step", "-1", "a positive number"),
            ("ais.chains", "3", "at least 100"),
            ("batch", "1", "--set batch: expected at least 2"),
            ("langevin.chains", "1", "at least 2"),
            (
                "flow.components",
                "0",
                "--set flow.components: expected at least 1",
            ),
            ("hidden", "[0]", "at least 1 unit"),
            ("base", "uniform", "unknown variant"),
        ] {
            let error = set(key, value).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(part), "{key}={value}: {error}");
        }
    }
}
