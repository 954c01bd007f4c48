//! `costate compare` as a process, on run folders made by hand.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, run, small_dataset, succeed};
use costate::run::settings;
use costate_envs::EnvConfig;
use serde_json::{Value, json};

/// The configuration of a run on `lq`, as `costate train` resolves it.
fn config(algo: &str, seed: u64) -> Value {
    json!({
        "format": 1,
        "costate_version": "0.1.0",
        "env": EnvConfig::named("lq").unwrap(),
        "demonstrations": {
            "path": format!("demos-{seed}"),
            "fingerprint": "ace24979d4ca5f96",
            "episodes": 25,
            "expert_return": -10.0,
            "expert": "lqr",
        },
        "algo": settings::resolve(algo, "lq", None, &[]).unwrap(),
        "seed": seed,
        "checkpoint_every": 20,
    })
}

/// An evaluation by which demonstrations return −10 and random actions −110.
fn evaluation(algo: &str, score: f64) -> Value {
    let mean_return = -110.0 + 100.0 * score;
    json!({
        "format": 1,
        "env": "lq",
        "algo": algo,
        "seed": 0,
        "evaluation_seed": 1000,
        "actions": "sample",
        "episodes": 4,
        "return": { "mean": mean_return, "ci95": [mean_return - 1.0, mean_return + 1.0] },
        "expert_return": -10.0,
        "random_return": -110.0,
        "normalized_score": score,
        "normalized_score_ci95": [score - 0.02, score + 0.02],
        "rows": [{ "policy": algo, "episodes": 4, "return": mean_return, "ci95": [mean_return - 1.0, mean_return + 1.0],
            "normalized_score": score, "normalized_score_ci95": [score - 0.02, score + 0.02], "occupancy": {
            "sliced_wasserstein": 0.25, "within_reference": 0.2, "mmd_squared": 0.0, "p_value": 0.5,
        } }],
    })
}

fn write(at: &Path, name: &str, config: &Value, evaluation: &Value) {
    let folder = at.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), config.to_string()).unwrap();
    fs::write(folder.join("evaluation.json"), evaluation.to_string()).unwrap();
}

/// Runs `ALGO-SEED` with a score each; their names.
fn runs(at: &Path, algo: &str, scores: &[f64]) -> Vec<String> {
    let one = |(seed, score): (usize, &f64)| {
        let name = format!("{algo}-{seed}");
        write(
            at,
            &name,
            &config(algo, seed as u64),
            &evaluation(algo, *score),
        );
        name
    };
    scores.iter().enumerate().map(one).collect()
}

fn compare<'a>(runs: impl IntoIterator<Item = &'a String>, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["compare"];
    args.extend(runs.into_iter().map(String::as_str));
    args.extend(more);
    args
}

fn json_of(at: &Path, args: &[&str]) -> Value {
    serde_json::from_str(&succeed(at, args)).unwrap()
}

#[test]
fn seeds_are_grouped_and_distant_methods_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut all = runs(at, "bc", &[0.50, 0.52, 0.54]);
    all.extend(runs(at, "gan-gcl", &[0.90, 0.95, 0.94]));
    for (seed, spearman) in [(0, 0.8), (1, 0.9), (2, 1.0)] {
        let mut e = evaluation("gan-gcl", [0.90, 0.95, 0.94][seed]);
        e["spearman"] = json!(spearman);
        e["cost_scatter"] = json!([]);
        e["rows"][0]["success_rate"] = json!(0.75 + 0.1 * seed as f64);
        e["frozen"] = json!({
            "policies": [{
                "seed": 0, "discount": 0.97, "soft_value": 5.0, "delta": 0.0, "return": -12.0,
                "normalized_score": 0.98, "relative_return": -0.2,
            }],
            "kept": 0, "verdict": "sound", "seconds": 1.0, "steps": 10,
        });
        e["base_alone"] = e["frozen"].clone();
        e["base_alone"]["policies"][0]["normalized_score"] = json!(0.5 + 0.1 * seed as f64);
        write(
            at,
            &format!("gan-gcl-{seed}"),
            &config("gan-gcl", seed as u64),
            &e,
        );
    }
    let found = json_of(at, &compare(&all, &["--json"]));
    let methods = found["methods"].as_array().unwrap();
    assert_eq!(methods.len(), 2);
    let gan = &methods[1];
    assert_eq!(
        (&gan["method"], &gan["interval_over"]),
        (&json!("gan-gcl"), &json!("runs"))
    );
    let near = |name: &str, expected: f64| {
        let value = gan[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name} in {gan}"));
        assert!((value - expected).abs() < 1e-9, "{name}: {value}");
    };
    near("normalized_score", 0.93);
    near("spearman", 0.9);
    near("success_rate", 0.85);
    near("fresh_normalized_score", 0.98);
    near("clone_normalized_score", 0.6);
    near("occupancy", 0.25);
    assert_eq!(gan["verdicts"], json!({ "sound": 3 }));
    assert_eq!(gan["runs"].as_array().unwrap().len(), 3);
    assert_eq!(methods[0]["spearman"], Value::Null);
    let comparison = &found["comparisons"][0];
    assert_eq!(
        (&comparison["best"], &comparison["other"]),
        (&json!("gan-gcl"), &json!("bc"))
    );
    assert_eq!(
        (&comparison["told_apart"], &comparison["basis"]),
        (&json!(true), &json!("runs"))
    );
    assert!((comparison["difference"].as_f64().unwrap() - 0.41).abs() < 1e-9);
    assert_eq!(comparison["probability_of_improvement"]["mean"], json!(1.0));

    let text = succeed(at, &compare(&all, &[]));
    for part in [
        "3 (0 1 2)",
        "Spearman",
        "sound 3",
        "gan-gcl scores 0.410 above bc",
        ": significant",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    for part in ["EPIC", "DARD", "* one run", "Holm"] {
        assert!(!text.contains(part), "`{part}` is in: {text}");
    }
}

#[test]
fn near_methods_could_be_chance_and_several_are_corrected() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut all = runs(at, "bc", &[0.90, 0.95, 0.99]);
    all.extend(runs(at, "gail", &[0.91, 0.94, 1.0]));
    all.extend(runs(at, "airl", &[0.2, 0.25, 0.22]));
    let text = succeed(at, &compare(&all, &[]));
    for part in [
        "gail scores 0.003 above bc",
        "could be chance: 3 runs each are too few to decide",
        "above airl",
        "Holm's correction for the 3 pairs",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    let found = json_of(at, &compare(&all, &["--json"]));
    for comparison in found["comparisons"].as_array().unwrap() {
        let p = |name: &str| comparison[name].as_f64().unwrap();
        assert!(p("p_value_holm") >= p("p_value"), "{comparison}");
        assert_eq!(
            comparison["told_apart"],
            json!(comparison["other"] == "airl")
        );
    }
    let alone = succeed(at, &compare(&all[..3], &[]));
    assert!(alone.contains("nothing to compare"), "{alone}");
}

#[test]
fn single_runs_are_compared_by_their_episodes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut all = runs(at, "bc", &[0.5]);
    all.extend(runs(at, "gail", &[0.51]));
    let text = succeed(at, &compare(&all, &[]));
    for part in [
        "* one run: the interval is over its episodes",
        "not paired by start",
        "could be chance",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
    // The same returns but one point a start: pairs tell what intervals cannot.
    for (algo, lead) in [("bc", 0.0), ("gail", 1.0)] {
        let mut e = evaluation(algo, 0.5 + lead / 100.0);
        let returns: Vec<f64> = (0..20)
            .map(|i| -100.0 + 5.0 * f64::from(i) + lead * f64::from(1 + i % 2))
            .collect();
        e["episodes"] = json!(returns.len());
        e["rows"][0]["returns"] = json!(returns);
        write(at, &format!("{algo}-0"), &config(algo, 0), &e);
    }
    let found = json_of(at, &compare(&all, &["--json"]));
    let comparison = &found["comparisons"][0];
    assert_eq!(comparison["basis"], json!("paired_episodes"));
    assert_eq!(comparison["told_apart"], json!(true));
    assert_eq!(found["methods"][0]["interval_over"], json!("episodes"));
    let text = succeed(at, &compare(&all, &[]));
    assert!(
        text.contains("from the same start state it beats bc with probability 1.00"),
        "{text}"
    );
}

#[test]
fn methods_of_one_algorithm_are_named_by_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let all = runs(at, "bc", &[0.5, 0.6]);
    let mut other = config("bc", 1);
    other["demonstrations"]["episodes"] = json!(5);
    write(at, "bc-1", &other, &evaluation("bc", 0.6));
    let found = json_of(at, &compare(&all, &["--json"]));
    let names: Vec<&str> = found["methods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["method"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["bc (demonstrations=25)", "bc (demonstrations=5)"]);
    assert_eq!(
        found["comparisons"][0]["best"],
        json!("bc (demonstrations=5)")
    );
}

#[test]
fn runs_that_cannot_be_compared_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let all = runs(at, "bc", &[0.5, 0.6]);
    let args = compare(&all, &[]);
    succeed(at, &args);
    let with = |config: &Value, evaluation: &Value, parts: &[&str]| {
        write(at, "bc-1", config, evaluation);
        let mut all_parts = vec!["bc-0 and bc-1"];
        all_parts.extend(parts);
        fail(at, &args, 2, &all_parts);
    };
    let good = (config("bc", 1), evaluation("bc", 0.6));
    for (field, value) in [
        ("evaluation_seed", json!(7)),
        ("episodes", json!(9)),
        ("actions", json!("mean")),
        ("expert_return", json!(-11.0)),
        ("random_return", json!(-111.0)),
    ] {
        let mut e = good.1.clone();
        e[field] = value;
        with(&good.0, &e, &[field]);
    }
    let mut other = good.0.clone();
    other["env"]["model"]["horizon"] = json!(17);
    with(&other, &good.1, &["env.model.horizon", "17"]);
    other["env"] = json!(EnvConfig::named("pendulum").unwrap());
    with(&other, &good.1, &["env.name is lq", "pendulum"]);
    with(&config("bc", 0), &good.1, &["same run twice", "seed (0)"]);
    fail(at, &["compare", "bc-0", "bc-0"], 2, &["same run twice"]);
}

#[test]
fn bad_folders_and_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let all = runs(at, "bc", &[0.5, 0.6]);
    let args = compare(&all, &[]);
    assert_eq!(run(at, &["compare", "bc-0"]).status.code(), Some(2));
    assert_eq!(run(at, &["compare"]).status.code(), Some(2));
    fail(
        at,
        &["compare", "bc-0", "nowhere"],
        2,
        &["nowhere", "costate train"],
    );
    let file = at.join("bc-1/evaluation.json");
    let bad = |text: &str, parts: &[&str]| {
        fs::write(&file, text).unwrap();
        fail(at, &args, 1, parts);
    };
    bad("{", &["bc-1/evaluation.json"]);
    bad("{}", &["bc-1/evaluation.json", "format"]);
    let change = |field: &str, value: Value| {
        let mut e = evaluation("bc", 0.6);
        e[field] = value;
        e.to_string()
    };
    bad(
        &change("format", json!(99)),
        &["bc-1/evaluation.json", "99", "update Costate"],
    );
    // What was not finite is written as null.
    bad(
        &change("normalized_score", Value::Null),
        &["bc-1/evaluation.json", "null"],
    );
    let mut without = evaluation("bc", 0.6);
    without.as_object_mut().unwrap().remove("rows");
    bad(&without.to_string(), &["bc-1/evaluation.json", "rows"]);
    let mut short = evaluation("bc", 0.6);
    short["rows"][0]["returns"] = json!([1.0, 2.0]);
    bad(
        &short.to_string(),
        &["bc-1/evaluation.json", "2 values, expected 4"],
    );
    fs::remove_file(&file).unwrap();
    fail(
        at,
        &args,
        2,
        &["bc-1: not evaluated yet", "`costate evaluate bc-1`"],
    );
    let mut expert = config("ppo", 3);
    expert.as_object_mut().unwrap().remove("demonstrations");
    write(at, "expert", &expert, &evaluation("ppo", 1.0));
    fail(
        at,
        &["compare", "bc-0", "expert"],
        2,
        &["expert: ", "imitates no demonstrations"],
    );
    fs::write(at.join("bc-1/config.json"), "{").unwrap();
    fail(at, &args, 1, &["bc-1/config.json"]);
}

#[test]
fn several_runs_are_evaluated_and_compared_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    for (seed, name) in [("0", "a"), ("1", "b")] {
        let train = [
            "train", "demos", "--algo", "bc", "--seed", seed, "-o", name, "--quiet",
        ];
        let quick = ["--set", "iterations=5"];
        succeed(at, &[&train[..], &quick[..]].concat());
    }
    let options = ["-n", "4", "--workers", "1", "--quiet", "--json"];
    let both = json_of(at, &[&["evaluate", "a", "b"][..], &options[..]].concat());
    assert_eq!(both["methods"][0]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(both, json_of(at, &["compare", "a", "b", "--json"]));
    // One run alone: its evaluation, as it is on disk.
    let one = json_of(at, &[&["evaluate", "a"][..], &options[..]].concat());
    let disk = fs::read_to_string(at.join("a/evaluation.json")).unwrap();
    assert_eq!(one, serde_json::from_str::<Value>(&disk).unwrap());
    let rows = one["rows"].as_array().unwrap();
    let own = rows.iter().find(|r| r["policy"] == "bc").unwrap();
    assert_eq!(own["returns"].as_array().unwrap().len(), 4);
    // Nothing is evaluated where one cannot be.
    fs::remove_file(at.join("a/evaluation.json")).unwrap();
    fail(
        at,
        &["evaluate", "a", "nowhere", "--quiet"],
        2,
        &["nowhere"],
    );
    assert!(!at.join("a/evaluation.json").exists());
}
