//! Runs loaded for a comparison: their evaluations, whether they are comparable, grouping by method.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use costate_base::parameters;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::evaluate::Evaluation;
use crate::run::{RunConfig, RunFolder};
use crate::shell;

/// An evaluated run.
pub struct EvaluatedRun {
    pub path: PathBuf,
    pub config: RunConfig,
    pub evaluation: Evaluation,
}

impl EvaluatedRun {
    /// Reads a run's `evaluation.json`.
    fn read(run: &RunFolder) -> Result<Self, Error> {
        let evaluation = Evaluation::read(&run.file("evaluation.json"))?.ok_or_else(|| {
            Error::Misuse(format!(
                "{}: not evaluated yet; first `costate evaluate {}`",
                run.path().display(),
                shell::path(run.path())
            ))
        })?;
        Ok(Self {
            path: run.path().into(),
            config: run.config().clone(),
            evaluation,
        })
    }

    /// Return of every episode; empty in evaluations from earlier versions.
    pub fn returns(&self) -> &[f64] {
        self.evaluation.own().map_or(&[], |r| &r.returns)
    }

    /// A return as a normalised score.
    pub fn score(&self, of: f64) -> f64 {
        let e = &self.evaluation;
        (of - e.random_return) / (e.expert_return - e.random_return)
    }
}

/// Opens the runs to compare and refuses incomparable ones, before anything is evaluated.
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
pub fn read(runs: &[RunFolder]) -> Result<Vec<EvaluatedRun>, Error> {
    let all: Vec<EvaluatedRun> = runs
        .iter()
        .map(EvaluatedRun::read)
        .collect::<Result<_, _>>()?;
    for run in &all {
        let pair = [&all[0], run];
        let paths = pair.map(|r| r.path.as_path());
        let found = pair.map(|r| &r.evaluation);
        same(paths, "evaluation_seed", found.map(|f| f.evaluation_seed))?;
        same(paths, "episodes", found.map(|f| f.episodes))?;
        same(paths, "actions", found.map(|f| f.actions.as_str()))?;
        // They set the scale of scores.
        same(paths, "expert_return", found.map(|f| f.expert_return))?;
        same(paths, "random_return", found.map(|f| f.random_return))?;
    }
    Ok(all)
}

/// An error that names two runs and the first field in which they differ, if they do.
fn same<T: Serialize>(paths: [&Path; 2], field: &str, values: [T; 2]) -> Result<(), Error> {
    let [a, b] = values.map(|v| parameters::list(&json!({ field: v })));
    let absent = (String::new(), Value::Null);
    let of = |all: &[(String, Value)], key: &str| {
        let found = all.iter().find(|(k, _)| k == key);
        found.unwrap_or(&absent).1.clone()
    };
    let mut pairs = (a.iter().chain(&b)).map(|(k, _)| (k, [of(&a, k), of(&b, k)]));
    let Some((key, differing)) = pairs.find(|(_, [a, b])| a != b) else {
        return Ok(());
    };
    let ([first, second], [a, b]) = (paths.map(Path::display), differing.each_ref().map(short));
    Err(Error::Misuse(format!(
        "{first} and {second} cannot be compared: {key} is {a} in the former and {b} in the latter"
    )))
}

/// A value as text, truncated if long.
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

/// Runs that differ only in their seed.
pub struct Method {
    /// The algorithm, with the settings in which it differs from other methods of the same algorithm.
    pub name: String,
    /// Its runs, by seed; at least one.
    pub runs: Vec<EvaluatedRun>,
}

/// Groups runs by method, in the order in which methods appear.
pub fn group(runs: Vec<EvaluatedRun>) -> Vec<Method> {
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

/// Everything that defines a method, by path.
fn key(config: &RunConfig) -> BTreeMap<String, String> {
    let algo = serde_json::to_value(&config.algo).unwrap_or_default();
    let settings = parameters::list(&algo["settings"]).into_iter();
    let mut key: BTreeMap<String, String> = settings.map(|(k, v)| (k, short(&v))).collect();
    key.insert("algo".into(), config.algo.name().into());
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

/// Number of settings spelled out in a name.
const SPELT: usize = 3;

/// The algorithm, followed in brackets by the settings that distinguish it.
fn name(methods: &[Method], keys: &[BTreeMap<String, String>], which: usize) -> String {
    let algo = &methods[which].name;
    let namesakes: Vec<usize> = (0..methods.len())
        .filter(|&i| methods[i].name == *algo)
        .collect();
    if namesakes.len() == 1 {
        return algo.clone();
    }
    let own = &keys[which];
    // `gradient_penalty` is unambiguous; `learning_rate` needs its group.
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
    // Too many to spell out: a number makes the names unique.
    let number = namesakes.iter().position(|&i| i == which).unwrap_or(0) + 1;
    format!("{algo} #{number} ({}, …)", differing[..SPELT].join(", "))
}
