//! Runs read for a comparison: their evaluations, whether they can be compared, which are the same method.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;
use crate::evaluate::{Evaluation, Row};
use crate::run::{RunConfig, RunFolder};
use crate::shell;

/// Version of `evaluation.json` that this build reads, the newest.
const FORMAT: u64 = 1;

/// An evaluated run.
pub struct Compared {
    pub path: PathBuf,
    pub config: RunConfig,
    pub figures: Evaluation,
}

impl Compared {
    /// Reads a run's `evaluation.json`.
    fn read(run: &RunFolder) -> Result<Self, Error> {
        let shown = run.path().display();
        let value = run.read_json("evaluation.json")?.ok_or_else(|| {
            Error::Misuse(format!(
                "{shown}: not evaluated yet; first `costate evaluate {}`",
                shell::path(run.path())
            ))
        })?;
        let bad = |reason: String| {
            let file = run.file("evaluation.json");
            Error::Failure(format!("{}: {reason}", file.display()))
        };
        match value.get("format").and_then(Value::as_u64) {
            Some(format) if format > FORMAT => {
                return Err(bad(format!(
                    "evaluation format {format} is newer than {FORMAT}, the newest that this build \
                     reads; update Costate"
                )));
            }
            Some(_) => {}
            None => return Err(bad("no field `format`".into())),
        }
        let figures: Evaluation = serde_json::from_value(value).map_err(|e| bad(e.to_string()))?;
        let found = Self {
            path: run.path().into(),
            config: run.config().clone(),
            figures,
        };
        let (returns, episodes) = (found.returns().len(), found.figures.episodes);
        if returns != 0 && returns != episodes {
            return Err(bad(format!(
                "`returns` has {returns} values, expected {episodes}, one an episode"
            )));
        }
        Ok(found)
    }

    /// The learned policy's line.
    pub fn row(&self) -> Option<&Row> {
        let name = self.config.algo.name();
        self.figures.rows.iter().find(|r| r.policy == name)
    }

    /// Return of every episode; empty in evaluations of earlier versions.
    pub fn returns(&self) -> &[f64] {
        self.row().map_or(&[], |r| &r.returns)
    }

    /// A return as a normalised score.
    pub fn score(&self, of: f64) -> f64 {
        let f = &self.figures;
        (of - f.random_return) / (f.expert_return - f.random_return)
    }
}

/// Opens runs that are to be compared and refuses those that cannot be, before anything is evaluated.
pub fn open(paths: &[PathBuf]) -> Result<Vec<RunFolder>, Error> {
    let runs: Vec<RunFolder> = paths
        .iter()
        .map(|path| RunFolder::open(path))
        .collect::<Result<_, _>>()?;
    for (i, run) in runs.iter().enumerate() {
        let config = run.config();
        let demonstrations = config
            .imitated()
            .map_err(|e| Error::Misuse(format!("{}: {e}", run.path().display())))?;
        let pair = [&runs[0], run];
        let (paths, envs) = (pair.map(RunFolder::path), pair.map(|r| &r.config().env));
        same(paths, "env.name", envs.map(|e| &e.name))?;
        same(paths, "env", envs)?;
        let twin = runs[..i].iter().find(|other| {
            let c = other.config();
            c.seed == config.seed
                && c.algo == config.algo
                && c.changes == config.changes
                && c.demonstrations.as_ref().is_some_and(|d| {
                    (d.episodes, &d.fingerprint)
                        == (demonstrations.episodes, &demonstrations.fingerprint)
                })
        });
        if let Some(twin) = twin {
            return Err(Error::Misuse(format!(
                "{} and {} are the same run twice: equal settings, demonstrations and seed ({})",
                twin.path().display(),
                run.path().display(),
                config.seed
            )));
        }
    }
    Ok(runs)
}

/// Reads the evaluations and refuses those that were not made the same way.
pub fn read(runs: &[RunFolder]) -> Result<Vec<Compared>, Error> {
    let all: Vec<Compared> = runs.iter().map(Compared::read).collect::<Result<_, _>>()?;
    for run in &all {
        let pair = [&all[0], run];
        let paths = pair.map(|r| r.path.as_path());
        let figures = pair.map(|r| &r.figures);
        same(paths, "evaluation_seed", figures.map(|f| f.evaluation_seed))?;
        same(paths, "episodes", figures.map(|f| f.episodes))?;
        same(paths, "actions", figures.map(|f| f.actions.as_str()))?;
        // They set the scale of scores.
        same(paths, "expert_return", figures.map(|f| f.expert_return))?;
        same(paths, "random_return", figures.map(|f| f.random_return))?;
    }
    Ok(all)
}

/// An error that names two runs and the first field in which they differ, if they do.
fn same<T: Serialize>(paths: [&Path; 2], field: &str, values: [T; 2]) -> Result<(), Error> {
    let [a, b] = values.map(|v| serde_json::to_value(v).unwrap_or_default());
    let Some(found) = first_difference(field, &a, &b) else {
        return Ok(());
    };
    let [first, second] = paths.map(Path::display);
    Err(Error::Misuse(format!(
        "{first} and {second} cannot be compared: {} is {} in the one and {} in the other",
        found.field, found.values[0], found.values[1]
    )))
}

struct FieldDifference {
    field: String,
    values: [String; 2],
}

fn first_difference(field: &str, a: &Value, b: &Value) -> Option<FieldDifference> {
    let none = Value::Null;
    match (a, b) {
        _ if a == b => None,
        (Value::Object(x), Value::Object(y)) => {
            let keys = x.keys().chain(y.keys().filter(|k| !x.contains_key(*k)));
            keys.into_iter().find_map(|k| {
                let side = |map: &'_ serde_json::Map<String, Value>| map.get(k).cloned();
                let (a, b) = (side(x), side(y));
                let [a, b] = [&a, &b].map(|v| v.as_ref().unwrap_or(&none));
                first_difference(&format!("{field}.{k}"), a, b)
            })
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            let mut pairs = x.iter().zip(y).enumerate();
            pairs.find_map(|(i, (a, b))| first_difference(&format!("{field}[{i}]"), a, b))
        }
        _ => Some(FieldDifference {
            field: field.into(),
            values: [a, b].map(short),
        }),
    }
}

/// A value as one would write it, cut where it is long.
fn short(value: &Value) -> String {
    let text = match value {
        Value::String(s) => s.clone(),
        Value::Null => "none".into(),
        other => other.to_string(),
    };
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

/// Runs that differ in their seed only.
pub struct Method {
    /// The algorithm, with the settings in which it differs from other methods of the same algorithm.
    pub name: String,
    /// Its runs, by seed; one at least.
    pub runs: Vec<Compared>,
}

/// Groups runs by method, in the order in which methods appear.
pub fn methods(runs: Vec<Compared>) -> Vec<Method> {
    let mut methods: Vec<Method> = Vec::new();
    let mut keys: Vec<BTreeMap<String, String>> = Vec::new();
    for run in runs {
        let key = key(&run.config);
        match keys.iter().position(|k| *k == key) {
            Some(i) => methods[i].runs.push(run),
            None => {
                keys.push(key);
                methods.push(Method {
                    name: run.config.algo.name().into(),
                    runs: vec![run],
                });
            }
        }
    }
    let names: Vec<String> = (0..methods.len())
        .map(|i| name(&methods, &keys, i))
        .collect();
    for (method, name) in methods.iter_mut().zip(names) {
        method.name = name;
        method.runs.sort_by_key(|r| r.config.seed);
    }
    methods
}

/// Everything that makes a method, by path.
fn key(config: &RunConfig) -> BTreeMap<String, String> {
    let mut key = BTreeMap::new();
    let algo = serde_json::to_value(&config.algo).unwrap_or_default();
    key.insert("algo".into(), config.algo.name().into());
    flatten("", algo.get("settings").unwrap_or(&Value::Null), &mut key);
    for change in &config.changes {
        let name = format!("{} from iteration {}", change.key, change.from_iteration);
        key.insert(name, short(&change.to));
    }
    if let Some(d) = &config.demonstrations {
        key.insert("demonstrations".into(), d.episodes.to_string());
        let digest = d.fingerprint.chars().take(8).collect();
        key.insert("dataset".into(), digest);
    }
    key
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (k, v) in map {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{k}"), v, into);
            }
        }
        _ => {
            into.insert(path.into(), short(value));
        }
    }
}

/// Settings that a name spells out.
const SPELT: usize = 3;

/// The algorithm, and in brackets what tells it from its namesakes.
fn name(methods: &[Method], keys: &[BTreeMap<String, String>], which: usize) -> String {
    let algo = &methods[which].name;
    let namesakes: Vec<usize> = (0..methods.len())
        .filter(|&i| methods[i].name == *algo)
        .collect();
    if namesakes.len() == 1 {
        return algo.clone();
    }
    let own = &keys[which];
    // `gradient_penalty` says it; `learning_rate` does not say whose.
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let shown = |key: &str| match own.keys().filter(|k| last(k) == last(key)).count() {
        1 => last(key),
        _ => key.to_owned(),
    };
    let differing: Vec<String> = own
        .iter()
        .filter(|(k, v)| namesakes.iter().any(|&i| keys[i].get(*k) != Some(v)))
        .map(|(k, v)| format!("{}={v}", shown(k)))
        .collect();
    if differing.len() <= SPELT {
        return format!("{algo} ({})", differing.join(", "));
    }
    // Too many to spell out: a number keeps the names apart.
    let number = namesakes.iter().position(|&i| i == which).unwrap_or(0) + 1;
    format!("{algo} #{number} ({}, …)", differing[..SPELT].join(", "))
}
