//! Bad input: one clear line, exit code 2 (misuse) or 1 (failure), nothing damaged.

mod common;

use std::fs;

use common::{copy_folder, fail, run, small_dataset, succeed, train_args};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn misspelt_names_get_a_suggestion() {
    let f = folder();
    let at = f.path();
    fail(
        at,
        &["record", "pendulm"],
        2,
        &["pendulm", "did you mean `pendulum`"],
    );
    fail(at, &["envs", "cartpole"], 2, &["did you mean `cart_pole`"]);
    fail(
        at,
        &["record", "pendulum", "--expert", "enrgy"],
        2,
        &["did you mean `energy`"],
    );
    fail(
        at,
        &["record", "pendulum", "--set", "env.rod.lenght_m=1"],
        2,
        &["did you mean", "length_m"],
    );
    fail(
        at,
        &["record", "pendulum", "--set", "rod.length_m=1"],
        2,
        &["env.rod.length_m"],
    );
    fail(
        at,
        &["train", "demos", "--algo", "gan-gl"],
        2,
        &["did you mean `gan-gcl`"],
    );
    fail(
        at,
        &[
            "train",
            "demos",
            "--algo",
            "gan-gcl",
            "--set",
            "iteratons=3",
        ],
        2,
        &["`iterations`"],
    );
    fail(
        at,
        &[
            "train",
            "demos",
            "--algo",
            "gan-gcl",
            "--set",
            "env.rod.mass_kg=3",
        ],
        2,
        &["costate record"],
    );
    assert_eq!(fs::read_dir(at).unwrap().count(), 0, "nothing was created");
}

#[test]
fn values_out_of_range_are_refused() {
    let f = folder();
    let at = f.path();
    fail(at, &["record", "pendulum", "-n", "0"], 2, &["0 episodes"]);
    fail(
        at,
        &["record", "pendulum", "--noise", "-1"],
        2,
        &["noise is -1"],
    );
    fail(
        at,
        &["record", "pendulum", "--set", "env.rod.mass_kg=-2"],
        2,
        &["mass_kg", "-2"],
    );
    fail(
        at,
        &["record", "pendulum", "--set", "env.task.horizon=0"],
        2,
        &["horizon"],
    );
    fail(
        at,
        &["record", "pendulum", "--set", "env.rod.mass_kg=heavy"],
        2,
        &["mass_kg", "number"],
    );
    fail(
        at,
        &["record", "pendulum", "--workers", "0"],
        2,
        &["--workers"],
    );
    fail(
        at,
        &[
            "train",
            "demos",
            "--algo",
            "gan-gcl",
            "--set",
            "ppo.discount=2",
        ],
        2,
        &["(0, 1]"],
    );
    assert_eq!(fs::read_dir(at).unwrap().count(), 0, "nothing was created");
}

#[test]
fn bad_model_files_are_refused() {
    let f = folder();
    let at = f.path();
    let good = include_str!("../assets/models/pendulum.json");
    let with = |from: &str, to: &str, parts: &[&str]| {
        assert!(good.contains(from));
        fs::write(at.join("model.json"), good.replacen(from, to, 1)).unwrap();
        fail(
            at,
            &["record", "pendulum", "--model", "model.json"],
            2,
            parts,
        );
    };
    with(
        "\"mass_kg\": 1.0",
        "\"mass_kg\": -1.0",
        &["model.json", "mass_kg", "-1"],
    );
    with(
        "\"mass_kg\": 1.0",
        "\"mass_g\": 1.0",
        &["model.json", "mass_g"],
    );
    with(
        "\"mass_kg\": 1.0",
        "\"mass_kg\": NaN",
        &["model.json", "line"],
    );
    with(
        "\"parent\": \"world\"",
        "\"parent\": \"wrld\"",
        &["model.json", "wrld"],
    );
    fail(
        at,
        &["record", "pendulum", "--model", "none.json"],
        2,
        &["none.json"],
    );
    assert!(!at.join("datasets").exists());
}

#[test]
fn bad_datasets_are_refused() {
    let f = folder();
    let at = f.path();
    let train = |demos: &str, code, parts: &[&str]| {
        fail(
            at,
            &["train", demos, "--algo", "bc", "-o", "run"],
            code,
            parts,
        );
        assert!(
            !at.join("run").exists(),
            "a run folder was left for {demos}"
        );
    };
    train("nowhere", 2, &["nowhere", "does not exist"]);
    fs::create_dir(at.join("empty")).unwrap();
    train("empty", 2, &["empty"]);
    fs::create_dir(at.join("foreign")).unwrap();
    fs::write(at.join("foreign/notes.txt"), "hello").unwrap();
    train("foreign", 2, &["foreign", "not a Costate dataset"]);

    small_dataset(at);
    let copy = |name: &str| {
        copy_folder(&at.join("demos"), &at.join(name));
        at.join(name)
    };
    let part = copy("truncated").join("data/1/part-0.parquet");
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    train("truncated", 1, &["data/1/part-0.parquet"]);
    fail(
        at,
        &["demos", "check", "truncated"],
        1,
        &["data/1/part-0.parquet"],
    );

    let meta = copy("newer").join("meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    fs::write(
        &meta,
        text.replacen("\"format_version\": 3", "\"format_version\": 99", 1),
    )
    .unwrap();
    train("newer", 1, &["newer Costate", "update Costate"]);

    // The world of the dataset must be the one it says.
    let meta = copy("other").join("meta.json");
    fs::write(
        &meta,
        text.replace("\"name\": \"pendulum\"", "\"name\": \"cart_pole\""),
    )
    .unwrap();
    train("other", 1, &["other"]);
}

#[test]
fn outputs_are_never_overwritten() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let before = fs::read(at.join("demos/meta.json")).unwrap();
    fail(
        at,
        &["record", "pendulum", "-n", "1", "-o", "demos"],
        2,
        &["demos", "exists", "-o"],
    );
    assert_eq!(before, fs::read(at.join("demos/meta.json")).unwrap());
    fs::write(at.join("file"), "precious").unwrap();
    fail(at, &train_args(&["-o", "file"]), 2, &["file"]);
    fail(at, &train_args(&["-o", "demos"]), 2, &["demos", "exists"]);
    assert_eq!(fs::read(at.join("file")).unwrap(), b"precious");
}

#[test]
fn runs_that_cannot_be_read_say_why() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    fail(at, &["evaluate", "nowhere"], 2, &["nowhere", "config.json"]);
    fail(
        at,
        &["evaluate", "demos"],
        2,
        &["--policy or --cost", "run's folder"],
    );
    let mut args = vec!["train", "demos", "--algo", "bc", "--quiet", "-o", "run"];
    args.extend(["--set", "iterations=2"]);
    succeed(at, &args);
    succeed(at, &["record", "lq", "-n", "1", "-o", "other", "--quiet"]);
    fail(
        at,
        &["evaluate", "run", "--demos", "other"],
        2,
        &["other", "of lq", "trained on pendulum"],
    );
    let config = at.join("run/config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replacen("\"format\": 3", "\"format\": 7", 1)).unwrap();
    fail(
        at,
        &["evaluate", "run"],
        1,
        &["config.json", "format 7 is newer", "update Costate"],
    );
    fail(
        at,
        &["train", "--resume", "-o", "run"],
        1,
        &["format 7 is newer"],
    );
    fs::write(&config, &text).unwrap();
    fs::write(at.join("run/policy.safetensors"), b"not weights").unwrap();
    fail(
        at,
        &["evaluate", "run", "-n", "2"],
        1,
        &["policy.safetensors"],
    );
    fs::rename(at.join("demos"), at.join("moved")).unwrap();
    fail(at, &["evaluate", "run"], 2, &["--demos"]);
}

/// A limit on file sizes stands for a full disk: writes fail half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_leaves_nothing_half_written() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let limited = |blocks: u32, args: &str| {
        let script = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec {} {args}",
            env!("CARGO_BIN_EXE_costate")
        );
        let output = std::process::Command::new("sh")
            .current_dir(at)
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!error.contains("panicked"), "{error}");
        error
    };
    let error = limited(1, "record cart_pole -n 2 -o full");
    assert!(error.contains("full"), "{error}");
    // Whatever is there is complete or absent.
    let output = run(at, &["demos", "check", "full"]);
    assert_ne!(output.status.code(), Some(101), "{output:?}");
    let error = limited(
        4,
        &train_args(&["-o", "full-run", "--set", "iterations=1"]).join(" "),
    );
    assert!(error.contains("full-run"), "{error}");
    assert!(!at.join("full-run/policy.safetensors").exists());
}
