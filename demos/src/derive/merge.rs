//! Several datasets of one world as one.

use std::path::{Path, PathBuf};

use costate_envs::worlds::table::TableModel;
use costate_envs::{Channel, EnvConfig, EnvSpec, Space};
use serde_json::{Value, json};

use super::{DeriveError, Derived, Plan, Source, misuse};
use crate::dataset::{Meta, same_period};

/// Merges datasets of one world, in their order, into a new one in `folder`.
///
/// Without a simulator, bounds of channels and the horizon become the widest; everything else has to agree. If some
/// sources lack log-densities, so does the result.
/// Errors: fewer than two sources; sources of different worlds, with the first difference.
pub fn merge(sources: &[PathBuf], folder: &Path) -> Result<Derived, DeriveError> {
    if sources.len() < 2 {
        return misuse("expected at least two datasets to merge");
    }
    let sources: Vec<Source> = sources
        .iter()
        .map(|path| Source::open(path))
        .collect::<Result<_, _>>()?;
    let first = &sources[0];
    let (mut env, mut spec) = (first.meta().env.clone(), first.meta().spec.clone());
    let mut remarks = Vec::new();
    for other in &sources[1..] {
        let differs = |(what, a, b): (String, String, String)| {
            DeriveError::Misuse(format!(
                "these are demonstrations of different worlds, which are not mixed: {what} is {a} in `{}`, but {b} in `{}`",
                first.path(),
                other.path()
            ))
        };
        if let Some(found) = difference(first.meta(), other.meta()) {
            return Err(differs(found));
        }
        if !env.has_simulator() {
            let wider = widest(&env, &spec, &other.meta().spec)?;
            if wider.1.observation != spec.observation || wider.1.action != spec.action {
                remarks.push(format!(
                    "bounds of channels in `{}` differ from those before: the widest hold",
                    other.path()
                ));
            }
            (env, spec) = wider;
        }
    }
    let dense = |s: &&Source| s.meta().expert.log_density_known;
    if let (Some(with), Some(without)) = (
        sources.iter().find(dense),
        sources.iter().find(|s| !dense(s)),
    ) {
        remarks.push(format!(
            "log-densities of `{}` are left out, as `{}` has none",
            with.path(),
            without.path()
        ));
    }
    let picks = sources.iter().enumerate().flat_map(|(i, s)| s.all(i));
    let plan = Plan {
        sources: &sources,
        picks: picks.collect(),
        env,
        spec,
        command: "merge",
        arguments: json!({}),
    };
    let (meta, twice) = plan.make(folder)?;
    remarks.extend(twice);
    Ok(Derived {
        folder: folder.to_owned(),
        meta,
        remarks,
    })
}

/// The first thing in which two worlds differ, with the value in each.
fn difference(a: &Meta, b: &Meta) -> Option<(String, String, String)> {
    let found = |what: &str, a: &dyn ToString, b: &dyn ToString| {
        Some((what.to_owned(), a.to_string(), b.to_string()))
    };
    if a.env.name != b.env.name {
        return found("the world", &a.env.name, &b.env.name);
    }
    let known = |meta: &Meta| match meta.returns_known() {
        true => "known",
        false => "unknown",
    };
    if a.returns_known() != b.returns_known() {
        return found("the reward", &known(a), &known(b));
    }
    let recorded = |meta: &Meta| match meta.actions_known() {
        true => "there",
        false => "missing",
    };
    if a.actions_known() != b.actions_known() {
        return found("the record of actions", &recorded(a), &recorded(b));
    }
    if a.env.has_simulator() {
        let value = |meta: &Meta| json!({"env": meta.env, "spec": meta.spec});
        let first = first_difference("", &value(a), &value(b));
        return first.map(|(path, a, b)| (format!("`{}`", path.trim_start_matches('.')), a, b));
    }
    let (own, other) = (&a.spec, &b.spec);
    for (what, own, other) in [
        ("observations", &own.observation, &other.observation),
        ("actions", &own.action, &other.action),
    ] {
        if own.dim() != other.dim() {
            return found(&format!("the number of {what}"), &own.dim(), &other.dim());
        }
        for (i, (own, other)) in own.0.iter().zip(&other.0).enumerate() {
            if own.name != other.name {
                return found(
                    &format!("the name of channel {i} of the {what}"),
                    &format!("`{}`", own.name),
                    &format!("`{}`", other.name),
                );
            }
            if own.unit != other.unit {
                return found(
                    &format!("the unit of `{}`", own.name),
                    &own.unit,
                    &other.unit,
                );
            }
        }
    }
    let (own, other) = (own.control_period_s, other.control_period_s);
    if !same_period(other, own) {
        return found("the control period in seconds", &own, &other);
    }
    None
}

/// Path of the first difference between two JSON values, with both; `nothing` for what only one has.
fn first_difference(path: &str, a: &Value, b: &Value) -> Option<(String, String, String)> {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|k| !a.contains_key(*k)));
            keys.filter_map(|key| {
                let path = format!("{path}.{key}");
                let of = |o: &serde_json::Map<String, Value>| o.get(key).cloned();
                match (of(a), of(b)) {
                    (Some(a), Some(b)) => first_difference(&path, &a, &b),
                    (a, b) => {
                        let shown =
                            |v: Option<Value>| v.map_or("nothing".into(), |v| v.to_string());
                        Some((path, shown(a), shown(b)))
                    }
                }
            })
            .next()
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| first_difference(&format!("{path}[{i}]"), a, b)),
        _ if a == b => None,
        _ => Some((path.to_owned(), a.to_string(), b.to_string())),
    }
}

/// The world without a simulator that has room for both.
fn widest(
    env: &EnvConfig,
    own: &EnvSpec,
    other: &EnvSpec,
) -> Result<(EnvConfig, EnvSpec), DeriveError> {
    let wide = |own: &Space, other: &Space| -> Vec<Channel> {
        let pairs = own.0.iter().zip(&other.0);
        let both = pairs.map(|(a, b)| Channel {
            low: a.low.min(b.low),
            high: a.high.max(b.high),
            ..a.clone()
        });
        both.collect()
    };
    table_world(
        env,
        &EnvSpec {
            horizon: own.horizon.max(other.horizon),
            observation: Space(wide(&own.observation, &other.observation)),
            action: Space(wide(&own.action, &other.action)),
            ..own.clone()
        },
    )
}

/// A world without a simulator with this spec, changed from `env`.
pub(super) fn table_world(
    env: &EnvConfig,
    spec: &EnvSpec,
) -> Result<(EnvConfig, EnvSpec), DeriveError> {
    debug_assert!(!env.has_simulator());
    let factory = EnvConfig::table(&TableModel {
        summary: spec.summary.clone(),
        horizon: spec.horizon,
        control_period_s: spec.control_period_s,
        observation: spec.observation.0.clone(),
        action: spec.action.0.clone(),
    })?
    .factory()?;
    Ok((factory.config().clone(), factory.spec().clone()))
}
