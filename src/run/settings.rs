//! From defaults, a file and overrides to an algorithm's settings.
//!
//! Defaults are data: `assets/settings/ALGO.json` holds a complete `default` and, by environment, what
//! differs from it.

use std::collections::BTreeMap;
use std::path::Path;

use costate_base::names::{nearest, suggestion};
use costate_base::parameters::{self, SetError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::Algo;
use crate::cost::{CostForm, CostSettings, Regularizers};
use crate::error::Error;
use crate::improve::{Improvement, PpoSettings, SacSettings};
use crate::learners::bc::BcSettings;
use crate::learners::frozen::ValidationSettings;
use crate::learners::sides::Shared;
use crate::policy::{ImplicitSettings, PolicySettings};

/// One `--set KEY=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// Dotted path of the setting, or an unambiguous end of it.
    pub key: String,
    /// Its value, as JSON or plain text.
    pub value: String,
}

/// Resolves the settings of `algo` in `env`: defaults, then the environment's own, then a JSON file
/// of settings, then single overrides.
pub fn resolve(
    algo: &str,
    env: &str,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    typed(algo, drafted(algo, defaults(algo, env)?, file, overrides)?)
}

/// The settings that a run has with a file and single ones changed; whether they agree with each other is left to
/// [`agree`].
pub(crate) fn resolve_from(
    own: &Algo,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<Algo, Error> {
    let settings = drafted(own.name(), values(own)?, file, overrides)?;
    let algo = parsed(own.name(), settings)?;
    in_bounds(&algo)?;
    Ok(algo)
}

/// Refuses what no environment could make right: unknown settings, values out of range.
pub fn check(algo: &str, file: Option<&Path>, overrides: &[Override]) -> Result<(), Error> {
    let settings = drafted(algo, defaults(algo, "")?, file, overrides)?;
    in_bounds(&parsed(algo, settings)?)
}

/// The settings of an algorithm as JSON.
pub(super) fn values(algo: &Algo) -> Result<Value, Error> {
    let mut whole = serde_json::to_value(algo)
        .map_err(|e| Error::Failure(format!("settings cannot be shown: {e}")))?;
    Ok(whole["settings"].take())
}

fn drafted(
    algo: &str,
    mut settings: Value,
    file: Option<&Path>,
    overrides: &[Override],
) -> Result<Value, Error> {
    if let Some(file) = file {
        let name = file.display();
        let text = std::fs::read_to_string(file).map_err(|e| {
            Error::Misuse(format!(
                "{name}: {e}; --config takes a JSON file of settings"
            ))
        })?;
        let value: Value =
            serde_json::from_str(&text).map_err(|e| Error::Misuse(format!("{name}: {e}")))?;
        merge(&mut settings, &value, "").map_err(|e| Error::Misuse(format!("{name}: {e}")))?;
    }
    for Override { key, value } in overrides {
        parameters::set(&mut settings, key, value)
            .map_err(|e| Error::Misuse(explain(algo, key, value, e)))?;
    }
    Ok(settings)
}

/// How costs are validated in `env`: as GAN-GCL's own.
pub fn validation(env: &str) -> Result<ValidationSettings, Error> {
    match typed("gan-gcl", defaults("gan-gcl", env)?)? {
        Algo::GanGcl(s) => Ok(s.validation),
        _ => Err(Error::Failure(
            "the settings of gan-gcl are not its own".into(),
        )),
    }
}

/// The shipped settings of `algo`, with those that `env` has of its own.
fn defaults(algo: &str, env: &str) -> Result<Value, Error> {
    let text = match algo {
        "bc" => include_str!("../../assets/settings/bc.json"),
        "ibc" => include_str!("../../assets/settings/ibc.json"),
        "gan-gcl" => include_str!("../../assets/settings/gan-gcl.json"),
        "gcl" => include_str!("../../assets/settings/gcl.json"),
        "gcl-lqg" => include_str!("../../assets/settings/gcl-lqg.json"),
        "airl" => include_str!("../../assets/settings/airl.json"),
        "gail" => include_str!("../../assets/settings/gail.json"),
        "dagger" => include_str!("../../assets/settings/dagger.json"),
        "ppo" => include_str!("../../assets/settings/ppo.json"),
        "rl" => include_str!("../../assets/settings/rl.json"),
        other => {
            let all = Algo::NAMES.into_iter().chain(["rl"]);
            let hint = suggestion(nearest(other, all));
            return Err(Error::Misuse(format!(
                "unknown algorithm `{other}`{hint}; there are {}, and rl on a given cost",
                Algo::NAMES.join(", ")
            )));
        }
    };
    let defaults: Value = serde_json::from_str(text)
        .map_err(|e| Error::Failure(format!("the shipped settings of {algo} are broken: {e}")))?;
    let mut settings = defaults["default"].clone();
    if let Some(own) = defaults.get(env) {
        merge(&mut settings, own, "").map_err(Error::Failure)?;
    }
    Ok(settings)
}

/// Resolves the settings of `algo` in `env` with an object of differing ones, as benchmarks hold them.
pub fn resolve_with(algo: &str, env: &str, differing: &Value) -> Result<Algo, Error> {
    let mut settings = defaults(algo, env)?;
    if !differing.is_null() {
        merge(&mut settings, differing, "").map_err(Error::Failure)?;
    }
    typed(algo, settings)
}

fn typed(algo: &str, settings: Value) -> Result<Algo, Error> {
    let algo = parsed(algo, settings)?;
    in_bounds(&algo)?;
    agree(&algo)?;
    Ok(algo)
}

fn parsed(algo: &str, settings: Value) -> Result<Algo, Error> {
    Ok(match algo {
        "bc" => Algo::Bc(parse(algo, settings)?),
        "ibc" => Algo::Ibc(parse(algo, settings)?),
        "ppo" => Algo::Ppo(parse(algo, settings)?),
        "rl" => Algo::Rl(parse(algo, settings)?),
        "gcl" => Algo::Gcl(parse(algo, settings)?),
        "gcl-lqg" => Algo::GclLqg(parse(algo, settings)?),
        "airl" => Algo::Airl(parse(algo, settings)?),
        "gail" => Algo::Gail(parse(algo, settings)?),
        "dagger" => Algo::Dagger(parse(algo, settings)?),
        _ => Algo::GanGcl(parse(algo, settings)?),
    })
}

/// A setting with its value and what it means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Dotted path, as `--set` takes it.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// What it does, in a line.
    pub meaning: String,
}

/// Every setting of an algorithm.
pub fn explained(algo: &Algo) -> Result<Vec<Explained>, Error> {
    let broken = |e: serde_json::Error| Error::Failure(format!("settings cannot be shown: {e}"));
    let meanings: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../assets/settings/meanings.json"))
            .map_err(broken)?;
    let explain = |(key, value): (String, Value)| Explained {
        meaning: meanings.get(&key).cloned().unwrap_or_default(),
        key,
        value,
    };
    let all = parameters::list(&values(algo)?);
    Ok(all.into_iter().map(explain).collect())
}

/// Overwrites `target` with the entries of `source`, object by object; unknown keys are errors.
fn merge(target: &mut Value, source: &Value, path: &str) -> Result<(), String> {
    let (Value::Object(target), Value::Object(source)) = (target, source) else {
        return Err(format!("{path}: expected a JSON object of settings"));
    };
    for (key, value) in source {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        let known: Vec<String> = target.keys().cloned().collect();
        let Some(slot) = target.get_mut(key) else {
            return Err(format!(
                "unknown setting `{path}`{}",
                suggestion(nearest(key, known.iter().map(String::as_str)))
            ));
        };
        match slot {
            Value::Object(_) => merge(slot, value, &path)?,
            _ => *slot = value.clone(),
        }
    }
    Ok(())
}

fn parse<T: DeserializeOwned>(algo: &str, settings: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(settings).map_err(|e| {
        let reason = (e.inner().to_string())
            .replace("expected usize", "expected a whole number of at least 0");
        Error::Misuse(match e.path().to_string().as_str() {
            "." => format!("settings of {algo}: {reason}"),
            path => format!("setting `{path}` of {algo}: {reason}"),
        })
    })
}

fn explain(algo: &str, key: &str, value: &str, error: SetError) -> String {
    match error {
        SetError::Unknown(near) => {
            format!(
                "unknown setting `{key}` of {algo}{}",
                suggestion(near.as_deref())
            )
        }
        SetError::Ambiguous(paths) => {
            format!(
                "setting `{key}` of {algo} is ambiguous: {}",
                paths.join(", ")
            )
        }
        SetError::Type { path, expected } => {
            format!("setting `{path}` of {algo}: `{value}` is not {expected}")
        }
    }
}

/// A bound that a setting must respect.
struct Bound<'a> {
    name: &'a str,
    value: f64,
    holds: bool,
    expected: &'a str,
}

fn bound<'a>(name: &'a str, value: f64, holds: bool, expected: &'a str) -> Bound<'a> {
    Bound {
        name,
        value,
        holds,
        expected,
    }
}

fn at_least_one(name: &str, v: usize) -> Bound<'_> {
    bound(name, v as f64, v >= 1, "at least 1")
}

fn positive(name: &str, v: f64) -> Bound<'_> {
    bound(name, v, v.is_finite() && v > 0.0, "a positive number")
}

fn share(name: &str, v: f64) -> Bound<'_> {
    bound(name, v, v > 0.0 && v <= 1.0, "in (0, 1]")
}

fn not_negative(name: &str, v: f64) -> Bound<'_> {
    bound(name, v, v.is_finite() && v >= 0.0, "a number of at least 0")
}

/// What all adversarial learners can be told wrongly.
fn shared_bounds(s: Shared) -> Vec<Bound<'static>> {
    let mut bounds = vec![
        at_least_one("iterations", s.iterations),
        bound(
            "trajectories",
            s.trajectories as f64,
            s.trajectories >= 2,
            "at least 2",
        ),
        at_least_one(s.cost_steps_name, s.cost_steps),
        positive("cost_learning_rate", s.cost_learning_rate),
        share("learning_rate_left", s.learning_rate_left),
    ];
    bounds.extend(cost_bounds(s.cost, s.regularizers));
    bounds.extend(policy_bounds(s.policy));
    bounds.extend(ppo_bounds(s.ppo));
    bounds.extend(sac_bounds(s.sac));
    if s.improvement == Improvement::Sac && s.sac.target_entropy.is_some() {
        // The temperature is a multiple of it.
        bounds.push(positive("entropy_weight", s.entropy_weight));
    }
    bounds
}

fn cost_bounds(cost: &CostSettings, r: &Regularizers) -> Vec<Bound<'static>> {
    let mut bounds = vec![
        not_negative("cost.action_penalty", cost.action_penalty),
        not_negative("regularizers.gradient_penalty", r.gradient_penalty),
        not_negative("regularizers.local_constant_rate", r.local_constant_rate),
        not_negative("regularizers.monotonic", r.monotonic),
    ];
    let layers = cost.hidden.iter();
    bounds.extend(layers.map(|&n| at_least_one("cost.hidden", n)));
    bounds
}

fn beta_bound(beta: Option<f64>) -> Option<Bound<'static>> {
    beta.map(|b| {
        bound(
            "beta",
            b,
            b.is_finite() && b >= 1.0,
            "at least 1, or null for the steps that are compared",
        )
    })
}

fn ppo_bounds(ppo: &PpoSettings) -> Vec<Bound<'static>> {
    let (lambda, clip) = (ppo.gae_lambda, ppo.clip);
    let mut bounds = vec![
        share("ppo.discount", ppo.discount),
        bound(
            "ppo.gae_lambda",
            lambda,
            (0.0..=1.0).contains(&lambda),
            "in [0, 1]",
        ),
        bound("ppo.clip", clip, clip > 0.0 && clip < 1.0, "in (0, 1)"),
        at_least_one("ppo.epochs", ppo.epochs),
        at_least_one("ppo.minibatch", ppo.minibatch),
        positive("ppo.learning_rate", ppo.learning_rate),
        positive("ppo.kl_stop", ppo.kl_stop),
        positive("ppo.max_gradient_norm", ppo.max_gradient_norm),
    ];
    let layers = ppo.critic_hidden.iter();
    bounds.extend(layers.map(|&n| at_least_one("ppo.critic_hidden", n)));
    bounds
}

fn sac_bounds(sac: &SacSettings) -> Vec<Bound<'static>> {
    let discount = sac.discount;
    let mut bounds = vec![
        bound(
            "sac.discount",
            discount,
            discount > 0.0 && discount < 1.0,
            "in (0, 1)",
        ),
        at_least_one("sac.updates", sac.updates),
        at_least_one("sac.minibatch", sac.minibatch),
        positive("sac.learning_rate", sac.learning_rate),
        share("sac.target_rate", sac.target_rate),
        at_least_one("sac.replay", sac.replay),
    ];
    let layers = sac.critic_hidden.iter();
    bounds.extend(layers.map(|&n| at_least_one("sac.critic_hidden", n)));
    bounds.extend(
        sac.target_entropy
            .map(|h| bound("sac.target_entropy", h, h.is_finite(), "a number, or null")),
    );
    bounds
}

fn validation_bounds(validation: &ValidationSettings) -> Vec<Bound<'static>> {
    let mut bounds = vec![
        at_least_one("validation.iterations", validation.iterations),
        at_least_one("validation.trajectories", validation.trajectories),
        positive("validation.learning_rate", validation.learning_rate),
    ];
    let discounts = validation.discounts.iter();
    bounds.extend(discounts.map(|&d| share("validation.discounts", d)));
    bounds
}

fn policy_bounds(policy: &PolicySettings) -> Vec<Bound<'static>> {
    let (floor, initial) = (policy.std_floor, policy.std_initial);
    let layers = policy.hidden.iter();
    layers
        .map(|&n| at_least_one("policy.hidden", n))
        .chain([
            positive("policy.std_floor", floor),
            bound(
                "policy.std_initial",
                initial,
                initial.is_finite() && initial > floor,
                "a number above policy.std_floor",
            ),
        ])
        .collect()
}

fn implicit_bounds(policy: &ImplicitSettings) -> Vec<Bound<'static>> {
    let s = &policy.sampling;
    let layers = policy.hidden.iter();
    layers
        .map(|&n| at_least_one("policy.hidden", n))
        .chain([
            at_least_one("policy.sampling.candidates", s.candidates),
            at_least_one("policy.sampling.rounds", s.rounds),
            positive("policy.sampling.step", s.step.into()),
            share("policy.sampling.shrink", s.shrink.into()),
        ])
        .collect()
}

fn held_out_bound(v: f64) -> Bound<'static> {
    bound("held_out", v, (0.0..1.0).contains(&v), "in [0, 1)")
}

/// Refuses values out of range.
fn in_bounds(algo: &Algo) -> Result<(), Error> {
    let mut bounds = Vec::new();
    match algo {
        Algo::Bc(BcSettings {
            iterations,
            minibatch,
            learning_rate,
            learning_rate_left,
            held_out,
            policy: p,
        }) => {
            bounds.push(at_least_one("iterations", *iterations));
            bounds.push(at_least_one("minibatch", *minibatch));
            bounds.push(positive("learning_rate", *learning_rate));
            bounds.push(share("learning_rate_left", *learning_rate_left));
            bounds.push(held_out_bound(*held_out));
            bounds.extend(policy_bounds(p));
        }
        Algo::Ibc(s) => {
            bounds.push(at_least_one("iterations", s.iterations));
            bounds.push(at_least_one("minibatch", s.minibatch));
            bounds.push(at_least_one("negatives", s.negatives));
            bounds.push(positive("learning_rate", s.learning_rate));
            bounds.push(share("learning_rate_left", s.learning_rate_left));
            bounds.push(held_out_bound(s.held_out));
            bounds.push(not_negative("margin", s.margin));
            bounds.extend(implicit_bounds(&s.policy));
        }
        Algo::GanGcl(s) => {
            bounds.extend(beta_bound(s.beta));
            bounds.extend(s.window.map(|w| at_least_one("window", w)));
            let starts = s.demonstrated_starts;
            let is_share = (0.0..=1.0).contains(&starts);
            bounds.push(bound("demonstrated_starts", starts, is_share, "in [0, 1]"));
            bounds.push(not_negative("entropy_weight", s.entropy_weight));
            bounds.extend(validation_bounds(&s.validation));
            bounds.extend(shared_bounds(s.shared()));
        }
        Algo::Gcl(s) => {
            bounds.extend(beta_bound(s.beta));
            bounds.push(at_least_one("density_passes", s.density_passes));
            bounds.extend(shared_bounds(s.shared()));
        }
        Algo::GclLqg(s) => {
            let c = &s.controllers;
            bounds.extend(beta_bound(s.beta));
            bounds.extend([
                at_least_one("iterations", s.iterations),
                at_least_one("conditions", s.conditions),
                bound("samples", s.samples as f64, s.samples >= 2, "at least 2"),
                at_least_one("background", s.background),
                at_least_one("cost_steps", s.cost_steps),
                positive("cost_learning_rate", s.cost_learning_rate),
                share("learning_rate_left", s.learning_rate_left),
                positive("controllers.noise_std", c.noise_std),
                positive("controllers.kl_step", c.kl_step),
                at_least_one("controllers.clusters", c.clusters),
                positive("controllers.prior_strength", c.prior_strength),
                positive("cost.action_penalty", s.cost.action_penalty),
                at_least_one("distillation_steps", s.distillation_steps),
                at_least_one("last_distillation_steps", s.last_distillation_steps),
                positive("distillation_learning_rate", s.distillation_learning_rate),
            ]);
            bounds.extend(cost_bounds(&s.cost, &s.regularizers));
            bounds.extend(policy_bounds(&s.policy));
            if s.cost.form != CostForm::Features {
                return Err(Error::Misuse(
                    "settings of gcl-lqg: the LQG step expands a quadratic in learned features; set \
                     cost.form=features"
                        .into(),
                ));
            }
        }
        Algo::Airl(s) => {
            bounds.push(at_least_one("minibatch", s.minibatch));
            bounds.push(not_negative("entropy_weight", s.entropy_weight));
            bounds.extend(shared_bounds(s.shared()));
        }
        Algo::Gail(s) => {
            bounds.push(at_least_one("minibatch", s.minibatch));
            bounds.push(not_negative("entropy_weight", s.entropy_weight));
            bounds.extend(shared_bounds(s.shared()));
        }
        Algo::Dagger(s) => {
            bounds.push(at_least_one("iterations", s.iterations));
            bounds.push(at_least_one("episodes", s.episodes));
            bounds.push(at_least_one("passes", s.passes));
            bounds.push(at_least_one("minibatch", s.minibatch));
            bounds.push(positive("learning_rate", s.learning_rate));
            let acts = s.expert_share;
            bounds.push(bound(
                "expert_share",
                acts,
                (0.0..=1.0).contains(&acts),
                "in [0, 1]",
            ));
            bounds.extend(policy_bounds(&s.policy));
        }
        Algo::Ppo(s) | Algo::Rl(s) => {
            bounds.push(at_least_one("iterations", s.iterations));
            bounds.push(at_least_one("trajectories", s.trajectories));
            bounds.extend(s.horizon.map(|h| at_least_one("horizon", h)));
            bounds.push(not_negative("terminal_cost", s.terminal_cost));
            bounds.extend(s.temperature.map(|t| not_negative("temperature", t)));
            bounds.extend(s.excess_weight.map(|w| not_negative("excess_weight", w)));
            bounds.push(share("learning_rate_left", s.learning_rate_left));
            bounds.extend(policy_bounds(&s.policy));
            bounds.extend(ppo_bounds(&s.ppo));
        }
    }
    match bounds.iter().find(|b| !b.holds) {
        None => Ok(()),
        Some(b) => Err(Error::Misuse(format!(
            "setting `{}` of {} is {}, expected {}",
            b.name,
            algo.name(),
            b.value,
            b.expected
        ))),
    }
}

/// Refuses settings that contradict each other.
pub(crate) fn agree(algo: &Algo) -> Result<(), Error> {
    let Algo::GanGcl(s) = algo else {
        return Ok(());
    };
    let own = [
        (
            s.cost.form == CostForm::Quadratic,
            "cost.form `quadratic` is an exact family",
        ),
        (
            s.cost.state_only,
            "a cost of the state alone (cost.state_only) sees no actions",
        ),
    ];
    if s.base_steps > 0 && s.clone_steps > 0 {
        return Err(Error::Misuse(
            "settings of gan-gcl: base_steps starts the policy as a clone, too; set one of base_steps and \
             clone_steps to 0"
                .into(),
        ));
    }
    match own.iter().find(|(set, _)| *set && s.base_steps > 0) {
        None => Ok(()),
        Some((_, why)) => Err(Error::Misuse(format!(
            "settings of gan-gcl: {why}, and a base policy would add its log-density of actions to \
             it; set base_steps=0"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: &str) -> Vec<Override> {
        vec![Override {
            key: key.into(),
            value: value.into(),
        }]
    }

    #[test]
    fn every_shipped_setting_is_valid() {
        for algo in Algo::NAMES {
            for env in costate_envs::registry::names() {
                resolve(algo, env, None, &[]).unwrap();
            }
        }
    }

    #[test]
    fn every_setting_has_a_meaning_and_every_meaning_a_setting() {
        let mut known = std::collections::BTreeSet::new();
        for algo in Algo::NAMES.iter().chain(&["ppo", "rl"]) {
            for setting in explained(&resolve(algo, "", None, &[]).unwrap()).unwrap() {
                assert!(!setting.meaning.is_empty(), "{algo}: {}", setting.key);
                known.insert(setting.key);
            }
        }
        let meanings: BTreeMap<String, String> =
            serde_json::from_str(include_str!("../../assets/settings/meanings.json")).unwrap();
        assert_eq!(known, meanings.into_keys().collect());
    }

    #[test]
    fn overrides_reach_their_setting() {
        let Algo::GanGcl(s) =
            resolve("gan-gcl", "pendulum", None, &set("ppo.clip", "0.3")).unwrap()
        else {
            panic!("another algorithm");
        };
        assert_eq!(s.ppo.clip, 0.3);
        let Algo::GanGcl(s) = resolve("gan-gcl", "pendulum", None, &set("beta", "1")).unwrap()
        else {
            panic!("another algorithm");
        };
        assert_eq!(s.beta, Some(1.0));
    }

    #[test]
    fn bad_overrides_say_what_is_wrong() {
        let message = |algo, key, value| {
            let error = resolve(algo, "pendulum", None, &set(key, value)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        };
        assert!(message("gan-gcl", "itterations", "3").contains("did you mean `iterations`?"));
        assert!(message("gan-gcl", "iterations", "0").contains("is 0, expected at least 1"));
        assert!(message("gan-gcl", "iterations", "many").contains("not a number"));
        assert!(message("gan-gcl", "hidden", "[8]").contains("ambiguous"));
        assert!(message("gan-gcl", "ppo.discount", "1.5").contains("in (0, 1]"));
        assert!(message("bc", "policy.std_initial", "0.001").contains("above policy.std_floor"));
        assert!(message("gan-gc", "seed", "3").contains("did you mean `gan-gcl`?"));
    }
}
