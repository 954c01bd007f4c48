//! `costate ebm` as a process.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, small_dataset, succeed};
use costate::ebm::Known;
use serde_json::Value;

/// Fits in seconds.
const SHORT: [&str; 10] = [
    "--set",
    "rounds=150",
    "--set",
    "checks=5",
    "--set",
    "ais.chains=500",
    "--set",
    "ais.temperatures=30",
    "--set",
    "batch=512",
];

fn ebm(at: &Path, args: &[&str]) -> Value {
    let args = [&["ebm"], args, &SHORT, &["--json", "--quiet"]].concat();
    serde_json::from_str(&succeed(at, &args)).unwrap()
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("not a number: {value}"))
}

/// Rows of a known density in other units: columns `length` and `width`.
fn table(at: &Path, name: &str, rows: usize, seed: u64) {
    let drawn = Known::named("banana").unwrap().sample(rows, seed);
    let mut text = "length,note,width\n".to_owned();
    for row in drawn.rows() {
        text += &format!("{},n,{}\n", 1000.0 * row[0] + 5.0, 0.01 * row[1]);
    }
    fs::write(at.join(name), text).unwrap();
}

#[test]
fn a_fit_comes_near_the_entropy_in_the_datas_units() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(at, "t.csv", 3000, 1);
    let columns = [
        "t.csv",
        "--columns",
        "length,width",
        "--generator",
        "mixture",
    ];
    let found = ebm(at, &[&columns[..], &["-o", "model"]].concat());
    // Units multiply the density by 1/1000 and by 100.
    let entropy = Known::named("banana").unwrap().entropy().nats + 10.0_f64.ln();
    let own = number(&found["log_likelihood"]);
    assert!((own + entropy).abs() < 0.15, "{own} {entropy}");
    let generators = number(&found["generator"]["log_likelihood"]);
    assert!((generators + entropy).abs() < 0.3, "{generators} {entropy}");
    let [low, high] = [0, 1].map(|i| number(&found["log_likelihood_ci95"][i]));
    assert!(low < own && own < high && high - low < 0.3);
    assert_eq!(
        (&found["rows"], &found["held_out_rows"]),
        (&3000.into(), &600.into())
    );
    assert_eq!(found["columns"], serde_json::json!(["length", "width"]));
    assert_eq!(found["log_z_sound"], true, "{found}");
    assert!(number(&found["ess"]) > 50.0 && number(&found["seconds"]) > 0.0);
    // The two estimates of log Z are of one number.
    let [a, b] = [&found["log_z"], &found["generator"]["log_z"]].map(number);
    assert!((a - b).abs() < 0.15, "{a} {b}");
    for file in [
        "energy.safetensors",
        "samples.csv",
        "landscape.svg",
        "landscape.png",
        "ebm.json",
    ] {
        assert!(
            at.join("model").join(file).metadata().unwrap().len() > 500,
            "{file}"
        );
    }
    let samples = fs::read_to_string(at.join("model/samples.csv")).unwrap();
    assert!(samples.starts_with("length,width\n") && samples.lines().count() == 1001);

    // Other rows of the same density score alike, whatever the order of the columns.
    table(at, "u.csv", 2000, 2);
    let args = [
        "ebm", "u.csv", "--model", "model", "-o", "scored", "--json", "--quiet",
    ];
    let scored: Value = serde_json::from_str(&succeed(at, &args)).unwrap();
    assert!(
        (number(&scored["log_likelihood"]) - own).abs() < 0.15,
        "{scored}"
    );
    let scores = fs::read_to_string(at.join("scored/scores.csv")).unwrap();
    let logs: Vec<f64> = scores
        .lines()
        .skip(1)
        .map(|l| l.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    assert!((mean - number(&scored["log_likelihood"])).abs() < 1e-9);
    fs::write(at.join("other.csv"), "length\n1\n").unwrap();
    fail(
        at,
        &["ebm", "other.csv", "--model", "model"],
        2,
        &["other.csv", "no column `width`"],
    );
}

#[test]
fn langevin_learns_without_a_generator() {
    let folder = tempfile::tempdir().unwrap();
    let args = [
        "--known",
        "banana",
        "--rows",
        "2000",
        "--method",
        "langevin",
        "--set",
        "rounds=300",
        "-o",
        "m",
    ];
    let args = [&["ebm"], &args[..], &SHORT[2..], &["--json", "--quiet"]].concat();
    let found: Value = serde_json::from_str(&succeed(folder.path(), &args)).unwrap();
    assert_eq!(found["generator"], Value::Null);
    // The Gaussian of the same covariance has a KL divergence of ½ log(1 + 2 · 1.5²) = 0.85.
    assert!(number(&found["known"]["kl"]) < 0.35, "{}", found["known"]);
}

#[test]
fn energy_matching_learns_from_noise_and_samples_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let args = [
        "--known",
        "banana",
        "--rows",
        "2000",
        "--method",
        "energy-matching",
        "--set",
        "transport_steps=200",
        "--set",
        "energy_matching.chains=500",
        "--set",
        "restart_every=50",
        "--samples",
        "2000",
        "-o",
        "m",
    ];
    let found = ebm(at, &args);
    assert_eq!(found["method"], "energy_matching");
    assert_eq!(found["generator"], Value::Null);
    assert!(number(&found["known"]["kl"]) < 0.3, "{}", found["known"]);
    // From noise down the energy to its own samples: E[x1] = E[x2] = 0, Var x1 = 1, Var x2 = ¼(1 + 2 · 1.5²).
    let samples = fs::read_to_string(at.join("m/samples.csv")).unwrap();
    let rows: Vec<[f64; 2]> = (samples.lines().skip(1))
        .map(|l| {
            let (a, b) = l.split_once(',').unwrap();
            [a, b].map(|v| v.parse().unwrap())
        })
        .collect();
    assert_eq!(rows.len(), 2000);
    for (i, variance) in [1.0, 1.375].into_iter().enumerate() {
        let mean = rows.iter().map(|r| r[i]).sum::<f64>() / 2000.0;
        let spread = rows.iter().map(|r| (r[i] - mean).powi(2)).sum::<f64>() / 2000.0;
        assert!(mean.abs() < 0.25, "{i}: {mean}");
        assert!((0.6..1.6).contains(&(spread / variance)), "{i}: {spread}");
    }
}

#[test]
fn episodes_of_a_dataset_are_held_out_whole() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let args = [
        "demos",
        "--columns",
        "sin,angular_velocity",
        "--generator",
        "mixture",
    ];
    // 4 episodes of 40 steps: half of them, and one of the others to choose by.
    let found = ebm(at, &[&args[..], &["--holdout", "0.5", "-o", "m"]].concat());
    let counted = ["rows", "held_out_rows", "held_out_episodes"].map(|k| found[k].as_u64());
    assert_eq!(counted, [Some(160), Some(80), Some(2)]);
    let counted = ["validation_rows", "training_rows"].map(|k| found[k].as_u64());
    assert_eq!(counted, [Some(40), Some(40)]);
    let [low, high] = [0, 1].map(|i| number(&found["log_likelihood_ci95"][i]));
    assert!(low < high, "{found}");
    // A single episode gives no interval.
    let found = ebm(at, &[&args[..], &["-o", "one"]].concat());
    assert_eq!(found["held_out_episodes"], 1);
    assert_eq!(
        found["log_likelihood_ci95"],
        serde_json::json!([null, null])
    );
    let scores = [
        "ebm", "demos", "--model", "m", "-o", "scored", "--json", "--quiet",
    ];
    let scored: Value = serde_json::from_str(&succeed(at, &scores)).unwrap();
    assert_eq!(scored["rows"], 160);
    let [low, high] = [0, 1].map(|i| number(&scored["log_likelihood_ci95"][i]));
    assert!(low < high, "{scored}");
    let two = [
        "record",
        "pendulum",
        "-n",
        "2",
        "--set",
        "env.task.horizon=40",
        "-o",
        "two",
        "--quiet",
    ];
    succeed(at, &two);
    fail(
        at,
        &["ebm", "two", "-o", "out"],
        2,
        &["two: 2 episodes, expected at least 3"],
    );
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = |name: &str, seed: &str| {
        let args = [
            "--known",
            "ring",
            "--rows",
            "400",
            "--generator",
            "flow",
            "--seed",
            seed,
            "-o",
            name,
        ];
        ebm(
            at,
            &[&args[..], &["--set", "flow.steps=40", "--set", "rounds=10"]].concat(),
        );
        ["energy.safetensors", "samples.csv", "landscape.svg"]
            .map(|f| fs::read(at.join(name).join(f)).unwrap())
    };
    let first = run("a", "1");
    assert!(first == run("b", "1"));
    assert!(first != run("c", "2"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of misuses")]
fn what_makes_no_sense_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(at, "t.csv", 60, 1);
    fs::write(at.join("short.csv"), "a,b\n1,2\n2,3\n").unwrap();
    let rows = (0..60).map(|i| format!("{i},7\n")).collect::<String>();
    fs::write(at.join("constant.csv"), format!("a,b\n{rows}")).unwrap();
    let rows = (0..60)
        .map(|i| format!("{},{}\n", i * i, 2 * i * i))
        .collect::<String>();
    fs::write(at.join("double.csv"), format!("a,b\n{rows}")).unwrap();
    let two = ["--columns", "length,width"];
    let cases: [(&[&str], &[&str]); 18] = [
        (
            &["none.csv"],
            &["none.csv", "expected a CSV or Parquet file"],
        ),
        (&["t.csv"], &["line 2, column `note`: is `n`", "--columns"]),
        (
            &["t.csv", "--columns", "lenght"],
            &["t.csv: no column `lenght`", "`length`"],
        ),
        (&["short.csv"], &["short.csv: 2 rows, expected at least 50"]),
        (
            &["constant.csv"],
            &["constant.csv: column `b` is 7 in every row"],
        ),
        (
            &["double.csv"],
            &["double.csv: column `b` is a linear function"],
        ),
        (
            &["t.csv", two[0], two[1], "--dims", "length"],
            &["--dims length: expected two"],
        ),
        (
            &["t.csv", two[0], two[1], "--dims", "length,depth"],
            &["no column `depth`"],
        ),
        (
            &["t.csv", two[0], two[1], "--holdout", "1"],
            &["--holdout 1", "at most 0.9"],
        ),
        (
            &["t.csv", two[0], two[1], "--holdout", "0.89"],
            &["rows to learn from"],
        ),
        (
            &["t.csv", two[0], two[1], "--set", "rouns=3"],
            &["did you mean `rounds`?"],
        ),
        (&["--known", "rings"], &["did you mean `ring`?"]),
        (
            &[
                "--known",
                "ring",
                "--method",
                "langevin",
                "--generator",
                "flow",
            ],
            &["--generator has no effect", "--set base=clone"],
        ),
        (
            &[
                "--known",
                "ring",
                "--method",
                "energy-matching",
                "--generator",
                "flow",
            ],
            &["--generator has no effect with --method energy-matching"],
        ),
        (
            &[
                "--known",
                "ring",
                "--method",
                "energy-matching",
                "--set",
                "base=clone",
            ],
            &["transports noise, not a generator"],
        ),
        (
            &["--known", "ring", "--set", "batch=1"],
            &["--set batch=1: expected a whole number of at least 2"],
        ),
        (
            &["--known", "ring", "--columns", "x1"],
            &["--columns chooses among columns of a file"],
        ),
        (
            &["t.csv", "--model", "nowhere"],
            &["nowhere/energy.safetensors: no such file"],
        ),
    ];
    for (args, parts) in cases {
        fail(at, &[&["ebm"], args, &["-o", "out"]].concat(), 2, parts);
        assert!(!at.join("out").exists(), "{args:?} left a folder");
    }
    fs::create_dir(at.join("full")).unwrap();
    fs::write(at.join("full/x"), "").unwrap();
    fail(
        at,
        &["ebm", "--known", "ring", "-o", "full"],
        2,
        &["full", "not empty"],
    );
}
