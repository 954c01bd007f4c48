//! Experts: controllers that know the simulator and the true cost.
//!
//! | environment | experts, best first |
//! | --- | --- |
//! | `lq` | `maxent`, `lqr`, `ilqr` |
//! | `cart_pole` | `lqr`, `ilqr`, `mppi` |
//! | `cart_pole_swing_up`, `pendulum`, `acrobot` | `energy`, `ilqr`, `mppi` |
//! | `lunar_lander` | `guidance`, `mppi` |
//! | `reacher`, `reacher3` | `reach`, `mppi` |
//! | `point_maze`, `point_fork` | `path`, `mppi` |
//! | `peg_insertion` | `impedance`, `mppi` |
//! | `push_t` | `push`, `mppi` |
//! | `point_mass` and any other | `mppi` |
//!
//! Measured on the shipped models with the default noise, 100 episodes, seed 0
//! (`cargo run --release -p costate-demos --example experts`): return as mean ± standard deviation,
//! and the share of episodes that spend their last tenth in the goal region (pole and links within 20° of
//! upright; puck within 0.3 m of the goal; lander at rest on the pad; for others see the worlds).
//!
//! | environment | expert | return | solved | random actions |
//! | --- | --- | --- | --- | --- |
//! | `cart_pole` | `lqr` | −0.8 ± 0.7 | 100 % | −567 ± 101 |
//! | `cart_pole_swing_up` | `energy` | −38.7 ± 3.8 | 100 % | −223 ± 21 |
//! | `pendulum` | `energy` | −153 ± 95 | 100 % | −1235 ± 278 |
//! | `acrobot` | `energy` | −198 ± 65 | 99 % | −705 ± 34 |
//! | `lunar_lander` | `guidance` | −90.7 ± 13.4 | 100 % | −362 ± 63 |
//! | `point_mass` | `mppi` | −65.7 ± 4.4 | 100 % | −216 ± 21 |
//! | `reacher` | `reach` | −21.7 ± 12.6 | 99 % | −109 ± 33 |
//! | `reacher3` | `reach` | −22.6 ± 14.0 | 100 % | −109 ± 33 |
//! | `point_maze` | `path` | −30.6 ± 5.6 | 100 % | −119 ± 18 |
//! | `peg_insertion` | `impedance` | −23.5 ± 6.7 | 100 % | −229 ± 140 |
//! | `push_t` | `push` | −14.7 ± 4.7 | 98 % | −72 ± 14 |
//! | `lq` | `maxent` | −28.1 ± 9.9 | | −940 ± 365 |
//!
//! `ilqr` plans whole episodes, starting from the actions of the feedback expert: −33.6 ± 8.1 on `cart_pole_swing_up`,
//! −0.8 ± 0.7 on `cart_pole`, −155 ± 101 on `pendulum`, all solved. It is not the default: its command
//! depends on the episode's plan as well as on the state, which is harder to imitate.
//!
//! An expert gives the mean action; [`ActionNoise`] turns it into the Gaussian policy that demonstrates.

mod acrobot;
mod backward;
mod box_quadratic;
mod energy;
mod expansion;
mod ilqr;
mod impedance;
mod lander;
mod lqr;
mod maxent;
mod mppi;
mod noise;
mod outline;
mod pace;
mod path;
mod policy;
mod puck;
mod push;
mod push_design;
mod reach;

use std::f64::consts::TAU;
use std::path::Path;
use std::sync::Arc;

use costate_base::names::{nearest, suggestion};
use costate_envs::gym::is_gym;
use costate_envs::riccati::RiccatiError;
use costate_envs::{Env, EnvError, EnvFactory};
use serde_json::{Value, json};

pub use acrobot::{AcrobotDesign, AcrobotExpert, AcrobotParameters};
pub use energy::{EnergyDesign, EnergyExpert, EnergyParameters};
pub use ilqr::{IlqrExpert, IlqrParameters, IlqrPlan};
pub use impedance::{ImpedanceExpert, ImpedanceParameters};
pub use lander::{LanderExpert, LanderParameters};
pub use lqr::{Equilibrium, LinearModel, LqrExpert, equilibrium};
pub use maxent::MaxEntExpert;
pub use mppi::{MppiExpert, MppiParameters};
pub use noise::ActionNoise;
pub use path::{PathExpert, PathParameters};
pub use policy::{FrozenPolicy, PolicyExpert, PolicyFile};
pub use push::PushExpert;
pub use push_design::{PushDesign, PushParameters};
pub use reach::{ReachExpert, ReachParameters};

use crate::dataset::ExpertInfo;
use pace::Pace;
pub(crate) use pace::tuned_period;

/// Default noise for an environment: standard deviation as a share of each action's range, redrawn in each control
/// step at any control rate.
pub fn default_noise(env: &str) -> f64 {
    match env {
        "pendulum" => 0.0375,
        "hopper" | "walker" | "half_cheetah" | "bipedal_walker" => 0.025,
        // A step of full torque turns the light forearm by 1.5 rad/s.
        "acrobot" => 0.01,
        _ => 0.05,
    }
}

/// A controller with access to the simulator.
pub trait Expert: Send {
    /// Resets for a new episode. `seed` is used by experts that plan by sampling.
    fn begin(&mut self, seed: u64);

    /// Writes the mean action `[action dim]` for the current state of `env`, which is left unchanged.
    fn mean(&mut self, env: &dyn Env, out: &mut [f64]) -> Result<(), EnvError>;
}

/// Why an expert cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ExpertError {
    /// No expert of that name for this environment.
    #[error("{env} has no expert `{name}`{}; its experts: {}", suggestion(nearest(name, known.iter().copied())), known.join(", "))]
    Unknown {
        /// The environment.
        env: String,
        /// The requested name.
        name: String,
        /// Available experts.
        known: &'static [&'static str],
    },
    /// No default for an environment that Costate does not know.
    #[error(
        "{0} has no expert of its own; name one with --expert: an ONNX file, a run of `costate expert`, a formula for every \
         action, or `mppi`, which plans in the environment itself"
    )]
    NoneKnown(String),
    /// A noise level that is not a valid standard deviation.
    #[error(
        "noise is {0}, expected a finite number of at least 0 (standard deviation as a share of the action range)"
    )]
    Noise(f64),
    /// Noise chosen for an expert whose noise is fixed.
    #[error(
        "the noise of expert `{0}` follows from the cost and cannot be set; leave it out or choose another expert"
    )]
    FixedNoise(&'static str),
    /// No equilibrium to linearise about.
    #[error("{0} has no known equilibrium to linearise about; use expert `mppi`")]
    NoEquilibrium(String),
    /// The linear model cannot be stabilised.
    #[error("{env}: no regulator with these parameters: {source}")]
    Riccati {
        /// The environment.
        env: String,
        /// Why.
        source: RiccatiError,
    },
    /// No closed-form solution.
    #[error("{env}: no closed-form maximum-entropy policy: {reason}")]
    NoClosedForm {
        /// The environment.
        env: String,
        /// Why.
        reason: String,
    },
    /// A policy file that cannot be used here.
    #[error("expert {0}")]
    Policy(String),
    /// The model does not have the form assumed by an expert's formulas.
    #[error("{env}: this expert does not support the model: {reason}; use expert `mppi`")]
    NoFormula {
        /// The environment.
        env: String,
        /// What does not fit.
        reason: String,
    },
    /// The simulator failed while the expert was designed.
    #[error("the expert cannot be designed: {0}")]
    Env(#[from] EnvError),
}

impl ExpertError {
    /// An [`ExpertError::NoFormula`] with this reason.
    fn no_formula(factory: &EnvFactory) -> impl Fn(String) -> Self {
        let env = factory.spec().name.clone();
        move |reason| Self::NoFormula {
            env: env.clone(),
            reason,
        }
    }
}

/// Names of the experts for an environment, best first.
pub fn experts_for(env: &str) -> &'static [&'static str] {
    match env {
        "lq" => &["maxent", "lqr", "ilqr"],
        "cart_pole" => &["lqr", "ilqr", "mppi"],
        "cart_pole_swing_up" | "pendulum" => &["energy", "ilqr", "mppi"],
        "lunar_lander" => &["guidance", "mppi"],
        "acrobot" => &["energy", "ilqr", "mppi"],
        "hopper" | "walker" | "half_cheetah" | "bipedal_walker" => &["trained", "mppi"],
        "peg_insertion" => &["impedance", "mppi"],
        "point_maze" | "point_fork" => &["path", "mppi"],
        "push_t" => &["push", "mppi"],
        "reacher" | "reacher3" => &["reach", "mppi"],
        _ => &["mppi"],
    }
}

/// The shipped weights of `trained`, made by `costate expert ENV`.
fn trained_policy(env: &str) -> Option<&'static [u8]> {
    match env {
        "hopper" => Some(include_bytes!("../../../assets/experts/hopper.safetensors")),
        "walker" => Some(include_bytes!("../../../assets/experts/walker.safetensors")),
        "half_cheetah" => Some(include_bytes!(
            "../../../assets/experts/half_cheetah.safetensors"
        )),
        "bipedal_walker" => Some(include_bytes!(
            "../../../assets/experts/bipedal_walker.safetensors"
        )),
        _ => None,
    }
}

/// The requested noise of an expert.
enum Noise {
    /// [`default_noise`].
    Default,
    /// Standard deviation as a share of each action's range.
    Share(f64),
    /// Standard deviation by channel, in its unit.
    Std(Vec<f64>),
}

/// A designed expert with its noise; cheap to clone and to send to threads.
#[derive(Clone)]
pub struct ExpertDesign {
    name: String,
    parameters: Value,
    noise: ActionNoise,
    build: Arc<dyn Fn() -> Box<dyn Expert> + Send + Sync>,
}

impl std::fmt::Debug for ExpertDesign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExpertDesign")
            .field("name", &self.name)
            .field("parameters", &self.parameters)
            .field("noise", &self.noise)
            .finish_non_exhaustive()
    }
}

impl ExpertDesign {
    /// Designs the expert `name` (the environment's best one if `None`) for the environment of
    /// `factory`. `name` may also be a path: a run folder of `costate expert`, or any
    /// `policy.safetensors`. `noise` is the standard deviation of the action noise as a share of the action
    /// range ([`default_noise`] if `None`).
    pub fn new(
        factory: &EnvFactory,
        name: Option<&str>,
        noise: Option<f64>,
    ) -> Result<Self, ExpertError> {
        let noise = noise.map_or(Noise::Default, Noise::Share);
        Self::design(factory, name, &noise)
    }

    #[expect(clippy::too_many_lines, reason = "one arm an expert")]
    fn design(
        factory: &EnvFactory,
        name: Option<&str>,
        noise: &Noise,
    ) -> Result<Self, ExpertError> {
        let spec = factory.spec();
        let known = experts_for(&spec.name);
        let asked = match name {
            Some(name) => name,
            None if is_gym(&spec.name) => return Err(ExpertError::NoneKnown(spec.name.clone())),
            None => known[0],
        };
        let gaussian = || {
            let level = match noise {
                Noise::Default => default_noise(&spec.name),
                Noise::Share(share) => *share,
                Noise::Std(std) => return Ok(ActionNoise::independent(std)),
            };
            ActionNoise::fraction_of_range(level, &spec.action).ok_or(ExpertError::Noise(level))
        };
        let path = Path::new(asked);
        if !known.contains(&asked) && path.exists() {
            let expert = PolicyExpert::read(path, spec).map_err(ExpertError::Policy)?;
            return Ok(Self::trained(expert, gaussian()?));
        }
        let unknown = || ExpertError::Unknown {
            env: spec.name.clone(),
            name: asked.into(),
            known,
        };
        let name = *known.iter().find(|k| **k == asked).ok_or_else(unknown)?;
        let gaussian = gaussian()?;
        let margins = Margins::new(factory, &gaussian);
        Ok(match name {
            "maxent" => {
                if matches!(noise, Noise::Share(_)) {
                    return Err(ExpertError::FixedNoise("maxent"));
                }
                let expert = MaxEntExpert::new(factory)?;
                let noise = expert.noise().ok_or_else(|| ExpertError::NoClosedForm {
                    env: spec.name.clone(),
                    reason: "S⁻¹ is not positive definite".into(),
                })?;
                let parameters = expert.parameters();
                Self::of(name, parameters, noise, move || expert.clone())
            }
            "lqr" => {
                let expert = LqrExpert::new(factory)?;
                let parameters = expert.parameters();
                Self::of(name, parameters, gaussian, move || expert.clone())
            }
            "energy" if spec.name == "acrobot" => {
                let expert = AcrobotDesign::new(factory, AcrobotParameters::default(), margins)?;
                let (parameters, factory) = (expert.parameters(), factory.clone());
                let build = move || AcrobotExpert::new(expert.clone(), &factory);
                Self::of(name, parameters, gaussian, build)
            }
            "energy" => {
                let settings = EnergyParameters::for_env(&spec.name)
                    .ok_or_else(|| ExpertError::NoEquilibrium(spec.name.clone()))?;
                let expert = EnergyDesign::new(factory, settings, margins)?;
                let (parameters, factory) = (expert.parameters(), factory.clone());
                let build = move || EnergyExpert::new(expert.clone(), &factory);
                Self::of(name, parameters, gaussian, build)
            }
            "trained" => {
                let bytes = trained_policy(&spec.name).ok_or_else(unknown)?;
                let expert = PolicyExpert::from_bytes(bytes, spec).map_err(ExpertError::Policy)?;
                Self::trained(expert, gaussian)
            }
            "guidance" => {
                let expert = LanderExpert::new(factory, LanderParameters::default())?;
                let parameters = expert.parameters();
                Self::of(name, parameters, gaussian, move || expert.clone())
            }
            "ilqr" => {
                let settings = IlqrParameters::for_env(&spec.name);
                // Zero actions lead to poor local optima.
                let feedback = known.iter().find(|k| ["energy", "lqr"].contains(k));
                let guide = feedback.map(|name| Self::design(factory, Some(name), noise));
                let guide = guide.transpose()?;
                let parameters = json!({
                    "optimiser": settings,
                    "guide": guide.as_ref().map(|g| json!({ "name": g.name, "parameters": g.parameters })),
                });
                let factory = factory.clone();
                let build = move || {
                    let guide = guide.as_ref().map(Self::build);
                    IlqrExpert::new(&factory, settings, margins.clone(), guide)
                };
                Self::of(name, parameters, gaussian, build)
            }
            "impedance" => {
                let settings = ImpedanceParameters::for_env(&spec.name).ok_or_else(unknown)?;
                let expert = ImpedanceExpert::new(factory, settings, margins)?;
                let parameters = expert.parameters();
                Self::of(name, parameters, gaussian, move || expert.clone())
            }
            "push" => {
                let settings = PushParameters::for_env(&spec.name).ok_or_else(unknown)?;
                let expert = PushDesign::new(factory, settings, margins)?;
                let (parameters, factory) = (expert.parameters(), factory.clone());
                let build = move || PushExpert::new(expert.clone(), &factory);
                Self::of(name, parameters, gaussian, build)
            }
            "path" => {
                let settings = PathParameters::for_env(&spec.name).ok_or_else(unknown)?;
                let expert = PathExpert::new(factory, settings, margins)?;
                let parameters = expert.parameters();
                Self::of(name, parameters, gaussian, move || expert.clone())
            }
            "reach" => {
                let settings = ReachParameters::for_env(&spec.name).ok_or_else(unknown)?;
                let arm = ReachExpert::arm(factory)?;
                let (parameters, factory) = (ReachExpert::describe(&settings), factory.clone());
                let build =
                    move || ReachExpert::new(&factory, arm.clone(), settings, margins.clone());
                Self::of(name, parameters, gaussian, build)
            }
            "mppi" => {
                let settings = MppiParameters::for_env(&spec.name).at(Pace::of(factory));
                let parameters = settings.describe();
                let factory = factory.clone();
                let build = move || MppiExpert::new(&factory, settings, margins.clone());
                Self::of(name, parameters, gaussian, build)
            }
            _ => return Err(unknown()),
        })
    }

    /// The expert of a dataset with its noise, reproduced bit for bit, for the world that it was recorded in; a custom
    /// trained policy must be named.
    pub fn again(info: &ExpertInfo, factory: &EnvFactory) -> Result<Self, ExpertError> {
        let noise = Noise::Std(info.action_noise_std.clone());
        Self::design(factory, Some(&info.name), &noise)
    }

    /// The expert of a dataset, redesigned for a world that may differ in its parameters, with the same noise.
    pub fn like(info: &ExpertInfo, factory: &EnvFactory) -> Result<Self, ExpertError> {
        let range = factory
            .spec()
            .action
            .0
            .iter()
            .map(|c| f64::from(c.high) - f64::from(c.low));
        let shares = info
            .action_noise_std
            .iter()
            .zip(range)
            .map(|(std, range)| std / range);
        // Noise that follows from the cost is not a share of the range and belongs to the expert.
        let noise = shares.fold(None, |most: Option<f64>, s| {
            Some(most.map_or(s, |m| m.max(s)))
        });
        let noise = noise.filter(|_| info.name != "maxent");
        Self::new(factory, Some(&info.name), noise)
    }

    /// A trained policy as an expert.
    fn trained(expert: PolicyExpert, noise: ActionNoise) -> Self {
        let parameters = expert.describe();
        Self::of("trained", parameters, noise, move || expert.clone())
    }

    /// A custom expert: its name, a description for the dataset, its noise, and a constructor
    /// per thread.
    pub fn of<E: Expert + 'static>(
        name: &str,
        parameters: Value,
        noise: ActionNoise,
        build: impl Fn() -> E + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            parameters,
            noise,
            build: Arc::new(move || Box::new(build())),
        }
    }

    /// Its registered name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its action noise.
    pub fn noise(&self) -> &ActionNoise {
        &self.noise
    }

    /// A new controller.
    pub fn build(&self) -> Box<dyn Expert> {
        (self.build)()
    }

    /// Its description in a dataset.
    pub fn info(&self) -> ExpertInfo {
        let std = self.noise.std();
        ExpertInfo {
            name: self.name.clone(),
            parameters: self.parameters.clone(),
            log_density_known: std.iter().any(|s| *s > 0.0),
            action_noise_std: std,
        }
    }
}

/// The part of the action range that mean actions use: far enough from the bounds that the noise
/// is mostly not cut off by saturation.
#[derive(Debug, Clone, PartialEq)]
pub struct Margins {
    /// Minimum mean action, `[m]`.
    pub low: Vec<f64>,
    /// Maximum mean action, `[m]`.
    pub high: Vec<f64>,
}

impl Margins {
    /// One standard deviation from each bound, at most a quarter of the range.
    pub fn new(factory: &EnvFactory, noise: &ActionNoise) -> Self {
        let channels = &factory.spec().action.0;
        let bounds = channels.iter().zip(noise.std()).map(|(channel, std)| {
            let (low, high) = (f64::from(channel.low), f64::from(channel.high));
            let margin = std.min(0.25 * (high - low));
            (low + margin, high - margin)
        });
        let (low, high) = bounds.unzip();
        Self { low, high }
    }

    /// Moves an action inside.
    pub fn clamp(&self, action: &mut [f64]) {
        for (a, (low, high)) in action.iter_mut().zip(self.low.iter().zip(&self.high)) {
            *a = a.clamp(*low, *high);
        }
    }
}

/// The angle within ±π.
fn wrap(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}
