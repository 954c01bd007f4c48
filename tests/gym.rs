//! Environments of Gymnasium as worlds. They need a Python with Gymnasium: `COSTATE_PYTHON`, which must then work, or
//! `python3`; without either they are skipped. `tests/gym/costate_test_worlds.py` holds the environments.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::SMALL;
use costate_envs::{End, EnvConfig, SavedState};
use serde_json::Value;
use tempfile::TempDir;

const MASS: &str = "gym:costate_test_worlds:Mass-v0";
const PUSH: &str = "action_0 = -2*observation_0 - 2*observation_1";

/// Whether Python imports these modules; a Python that was named must have Gymnasium.
fn has(modules: &str) -> bool {
    let named = std::env::var_os("COSTATE_PYTHON");
    let python = named.clone().unwrap_or_else(|| "python3".into());
    let import = Command::new(&python)
        .args(["-c", &format!("import {modules}")])
        .output();
    let found = import.as_ref().is_ok_and(|o| o.status.success());
    assert!(
        found || named.is_none() || modules != "gymnasium",
        "COSTATE_PYTHON, {python:?}, cannot import gymnasium: {import:?}"
    );
    if !found {
        eprintln!("skipped: {python:?} cannot import {modules}");
    }
    found
}

fn costate(folder: &Path, args: &[&str]) -> Command {
    let mut command = common::costate(folder, args);
    let worlds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gym");
    command.env("PYTHONPATH", worlds);
    command
}

fn succeed(folder: &Path, args: &[&str]) -> (String, String) {
    finish(&mut costate(folder, args))
}

fn finish(command: &mut Command) -> (String, String) {
    let output = command.output().expect("the binary starts");
    let [out, err] = texts(&output);
    assert!(output.status.success(), "{command:?}: {err}");
    (out, err)
}

fn texts(output: &Output) -> [String; 2] {
    [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b).into_owned())
}

fn fail(command: &mut Command, code: i32, parts: &[&str]) {
    let output = command.output().expect("the binary starts");
    let [_, err] = texts(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {err}");
    for part in parts {
        assert!(err.contains(part), "{command:?}: `{part}` is not in: {err}");
    }
    assert!(!err.contains("panicked"), "{err}");
}

/// Records three episodes into `name` and returns the bytes of their data.
fn record(folder: &Path, name: &str, more: &[&str]) -> (Vec<Vec<u8>>, String) {
    let mut args = vec!["record", MASS, "-n", "3", "--expert", PUSH, "-o", name];
    args.extend(more);
    let mut command = costate(folder, &args);
    command.env("COSTATE_GYM_TIMEOUT", "2");
    let (_, said) = finish(&mut command);
    (data(&folder.join(name)), said)
}

fn data(dataset: &Path) -> Vec<Vec<u8>> {
    let file = |i: usize| dataset.join(format!("data/{i}/part-0.parquet"));
    (0..).map_while(|i| fs::read(file(i)).ok()).collect()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[test]
fn the_number_of_workers_does_not_matter_and_files_need_no_python() {
    if !has("gymnasium") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (one, _) = record(folder.path(), "one", &["--workers", "1"]);
    let (three, _) = record(folder.path(), "three", &["--workers", "3"]);
    assert_eq!(one.len(), 3);
    assert!(one == three, "the number of workers changes the data");
    let (heavy, _) = record(folder.path(), "heavy", &["--set", "env.kwargs.mass=2.0"]);
    assert!(one != heavy, "the keyword argument changes nothing");

    let meta = json(&fs::read_to_string(folder.path().join("heavy/meta.json")).unwrap());
    let model = &meta["env"]["model"];
    assert_eq!(meta["env"]["name"], MASS);
    assert_eq!(model["kwargs"]["mass"], 2.0);
    assert_eq!(model["horizon"], 30);
    assert_eq!(model["control_period_s"], 0.1);
    assert_eq!(model["observation_dtype"], "float64");
    assert!(model["versions"]["gymnasium"].is_string());

    let (checked, _) = succeed(folder.path(), &["demos", "check", "one"]);
    assert!(checked.contains("replay: exact"), "{checked}");
    finish(costate(folder.path(), &["demos", "info", "one"]).env("COSTATE_PYTHON", "/nowhere"));
}

#[test]
fn an_interrupted_or_appended_recording_equals_a_longer_one() {
    if !has("gymnasium") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (_, _) = record(folder.path(), "d", &[]);
    let more = ["record", "--append", "-o", "d", "-n", "2", "--expert", PUSH];
    succeed(folder.path(), &more);
    let five = ["record", MASS, "-n", "5", "--expert", PUSH, "-o", "five"];
    succeed(folder.path(), &five);
    assert!(data(&folder.path().join("d")) == data(&folder.path().join("five")));
}

#[test]
fn a_process_that_dies_or_hangs_is_replaced_without_a_trace() {
    if !has("gymnasium") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (sound, said) = record(folder.path(), "sound", &[]);
    assert!(!said.contains("Python process"), "{said}");
    for (fault, what) in [
        ("die", "ended: signal: 9"),
        ("hang", "has not answered for 2 s"),
    ] {
        let flag = format!("env.kwargs.flag={}", folder.path().join(fault).display());
        let fault_set = format!("env.kwargs.fault={fault}");
        let (data, said) = record(
            folder.path(),
            &format!("{fault}s"),
            &["--set", &fault_set, "--set", &flag],
        );
        assert!(said.contains(what), "{said}");
        assert!(said.contains("plays the episode again"), "{said}");
        assert!(
            data == sound,
            "{fault}: the episode differs after the restart"
        );
    }
    // Once more in every process: after a few, it is given up.
    let args = [
        "record",
        MASS,
        "-n",
        "1",
        "--expert",
        PUSH,
        "--set",
        "env.kwargs.fault=die",
    ];
    fail(
        &mut costate(folder.path(), &args),
        1,
        &["ended: signal: 9", "given up after 3 restarts"],
    );
    // Without determinism there is no going on.
    let flag = format!("env.kwargs.flag={}", folder.path().join("drift").display());
    let args = [
        "record",
        MASS,
        "-n",
        "1",
        "-o",
        "drifting",
        "--expert",
        PUSH,
        "--set",
        "env.kwargs.fault=die,drift",
        "--set",
        &flag,
    ];
    fail(
        &mut costate(folder.path(), &args),
        1,
        &["the environment is not deterministic"],
    );
}

#[test]
fn what_cannot_be_met_is_said() {
    if !has("gymnasium") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let at = |args: &[&str]| costate(folder.path(), args);
    let raise = [
        "record",
        MASS,
        "--expert",
        PUSH,
        "--set",
        "env.kwargs.fault=raise",
    ];
    fail(
        &mut at(&raise),
        1,
        &[
            "step 6",
            "Traceback",
            "costate_test_worlds.py",
            "RuntimeError: the motor is on fire",
        ],
    );
    let refused = |args: &[&str], words: &[&str]| fail(&mut at(args), 2, words);
    let world = |name: &str| format!("gym:costate_test_worlds:{name}");
    refused(
        &["envs", &world("Choice-v0")],
        &["action space is Discrete(2), expected a Box"],
    );
    refused(
        &["envs", &world("Endless-v0")],
        &["no time limit", "--set env.horizon=STEPS"],
    );
    refused(
        &["envs", &world("Boundless-v0")],
        &["action `action_0` has no bounds", "env.action_0.low"],
    );
    refused(&["envs", "gym:Pendulumm-v1"], &["Did you mean"]);
    refused(
        &["envs", "Pendulum-v1"],
        &["did you mean `gym:Pendulum-v1`?"],
    );
    refused(
        &["envs", "gym:no_such_module:A-v0"],
        &["cannot import no_such_module"],
    );
    refused(
        &["envs", MASS, "--set", "env.kwargs.colour=red"],
        &["TypeError", "colour"],
    );
    refused(&["record", MASS], &["has no expert of its own", "--expert"]);
    refused(
        &["view", MASS, "--random", "--gif", "a.gif"],
        &["there is no picture"],
    );
    fail(
        at(&["envs", MASS]).env("COSTATE_PYTHON", "/nowhere"),
        2,
        &["no Python `/nowhere`", "COSTATE_PYTHON"],
    );
    fail(
        at(&["envs", MASS]).env("COSTATE_GYM_TIMEOUT", "soon"),
        2,
        &["COSTATE_GYM_TIMEOUT is `soon`"],
    );
    let set = [
        "envs",
        &world("Endless-v0"),
        "--set",
        "env.horizon=12",
        "--json",
    ];
    let (shown, _) = succeed(folder.path(), &set);
    assert_eq!(json(&shown)["horizon"], 12);
}

#[test]
fn policies_are_trained_resumed_evaluated_and_reported() {
    if !has("gymnasium") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    record(path, "demos", &[]);
    let train = |run: &str, more: &[&str]| {
        let mut args = vec!["train", "demos", "--algo", "gan-gcl", "-o", run, "-q"];
        args.extend(SMALL);
        args.extend(more);
        succeed(path, &args);
        fs::read(path.join(run).join("policy.safetensors")).unwrap()
    };
    let whole = train("whole", &["--set", "iterations=2", "--workers", "1"]);
    let three = train("three", &["--set", "iterations=2", "--workers", "3"]);
    assert!(whole == three, "the number of workers changes the policy");
    train("halves", &["--set", "iterations=1"]);
    succeed(
        path,
        &[
            "train",
            "--resume",
            "-o",
            "halves",
            "--set",
            "iterations=2",
            "-q",
        ],
    );
    assert!(fs::read(path.join("halves/policy.safetensors")).unwrap() == whole);

    let (found, _) = succeed(path, &["evaluate", "whole", "-n", "4", "--json"]);
    assert!(json(&found)["normalized_score"].is_number(), "{found}");
    succeed(path, &["report", "whole", "-q"]);
    fail(
        &mut costate(path, &["view", "whole", "--png", "a.png"]),
        2,
        &["there is no picture"],
    );
    succeed(
        path,
        &[
            "evaluate",
            "demos",
            "--policy",
            "mppi",
            "-n",
            "2",
            "--no-robustness",
            "-q",
        ],
    );
    // Default folders.
    succeed(path, &["train", "demos", "--algo", "bc", "-q"]);
    assert!(
        path.join("runs/gym-costate_test_worlds-Mass-v0-bc-0")
            .is_dir()
    );
}

/// Plays on with the same actions and returns what is seen.
fn on(env: &mut dyn costate_envs::Env, from: usize, to: usize) -> Vec<u64> {
    let (o, a) = (env.spec().observation.dim(), env.spec().action.dim());
    let mut seen = vec![0.0; o];
    (from..to)
        .flat_map(|t| {
            let action: Vec<f32> = (0..a).map(|i| ((t * 7 + i * 3) as f32).sin()).collect();
            let step = env.step(&action).unwrap();
            assert_eq!(step.end, End::Running);
            env.observe(&mut seen);
            let bits = seen.iter().map(|v| u64::from(v.to_bits()));
            bits.chain([step.cost.to_bits()]).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_loaded_state_continues_bit_for_bit() {
    let mut worlds = vec!["gym:Pendulum-v1"];
    if !has("gymnasium") {
        return;
    }
    if has("mujoco") {
        // Ant's rewards depend on more than MuJoCo's own states hold.
        worlds.extend(["gym:HalfCheetah-v5", "gym:Ant-v5"]);
    }
    for name in worlds {
        let factory = EnvConfig::named(name).unwrap().factory().unwrap();
        let mut env = factory.build();
        env.reset(3);
        on(env.as_mut(), 0, 9);
        let state: SavedState =
            serde_json::from_str(&serde_json::to_string(&env.save()).unwrap()).unwrap();
        let hash = env.state_hash();
        let expected = on(env.as_mut(), 9, 15);
        let mut other = factory.build();
        // Twice: at first by its actions, then as it was kept.
        for _ in 0..3 {
            other.load(&state).unwrap();
            assert_eq!(other.state_hash(), hash, "{name}");
            assert!(
                on(other.as_mut(), 9, 15) == expected,
                "{name}: the loaded state differs"
            );
        }
        let mut foreign = state.clone();
        foreign.env = "pendulum".into();
        assert!(other.load(&foreign).is_err());
        foreign = state.clone();
        foreign.task[4] += 0.5;
        let error = other.load(&foreign).unwrap_err().to_string();
        assert!(error.contains("not deterministic"), "{error}");
        other.reset(3);
        assert_eq!(other.save().step, 0);
        assert!(env.reset_to(&[0.0]).is_err());
    }
}
