//! Run folders: what they hold after kills, damage, changes and second processes.

mod common;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use common::{SMALL, copy_folder, costate, fail, json, run, small_dataset, succeed, train_args};
use costate::policy::GaussianPolicy;
use costate_demos::Dataset;
use serde_json::Value;
use tch::{Kind, Tensor};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn bytes(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn read(file: &Path) -> Value {
    json(&String::from_utf8(bytes(file)).unwrap())
}

/// `costate train demos --algo bc` of a few iterations.
fn clone<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "demos", "--algo", "bc", "--quiet"];
    args.extend(more);
    args
}

const EVALUATE: [&str; 4] = ["-n", "2", "--no-robustness", "--quiet"];

fn evaluate(run: &str) -> Vec<&str> {
    let mut args = vec!["evaluate", run];
    args.extend(EVALUATE);
    args
}

fn resume<'a>(run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "--resume", "--quiet", "-o", run];
    args.extend(more);
    args
}

fn metrics(run: &Path) -> Vec<Value> {
    let text = String::from_utf8(bytes(&run.join("metrics.jsonl"))).unwrap();
    text.lines().map(json).collect()
}

/// Waits until a training has done something.
fn wait_for(child: &mut Child, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < Duration::from_secs(180),
            "nothing happened"
        );
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn settings_are_those_for_the_demonstrations_world() {
    let f = folder();
    let at = f.path();
    succeed(at, &["record", "lq", "-n", "2", "-o", "demos", "--quiet"]);
    let train = |set: &'static str| {
        let mut args = vec!["train", "demos", "--algo", "gan-gcl", "--quiet"];
        args.extend([
            "--set",
            set,
            "--set",
            "iterations=1",
            "--set",
            "trajectories=4",
        ]);
        args.extend(["--set", "validation.policies=0"]);
        args
    };
    // lq has no base policy of its own, which would not go with these.
    succeed(
        at,
        &[&train("cost.form=quadratic")[..], &["-o", "quadratic"]].concat(),
    );
    succeed(
        at,
        &[&train("cost.state_only=true")[..], &["-o", "states"]].concat(),
    );
    // A misspelt setting does not wait for the data, nor for those that are not there.
    fs::remove_file(at.join("demos/data/1/part-0.parquet")).unwrap();
    fail(
        at,
        &train("cost.from=quadratic"),
        2,
        &["did you mean `cost.form`"],
    );
    fail(at, &train("cost.form=quadratic"), 1, &["part-0.parquet"]);
    fs::remove_dir_all(at.join("demos")).unwrap();
    fail(
        at,
        &train("cost.from=quadratic"),
        2,
        &["did you mean `cost.form`"],
    );
    fail(
        at,
        &train("cost.form=quadratic"),
        2,
        &["demos", "does not exist"],
    );
}

#[test]
fn published_weights_are_those_of_the_newest_checkpoint() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let settings = ["--set", "iterations=2", "--checkpoint-every", "1"];
    succeed(at, &train_args(&[&settings[..], &["-o", "run"]].concat()));
    succeed(
        at,
        &train_args(&[&settings[..], &["-o", "other", "--seed", "1"]].concat()),
    );
    let weights = ["policy.safetensors", "cost.safetensors"];
    let good = weights.map(|w| bytes(&at.join("run").join(w)));
    for (name, good) in weights.iter().zip(&good) {
        let file = at.join("run").join(name);
        // Another run's, as a kill between a checkpoint and its weights leaves an older one.
        fs::copy(at.join("other").join(name), &file).unwrap();
        fail(
            at,
            &evaluate("run"),
            1,
            &[name, "newest checkpoint", "--resume -o run"],
        );
        if *name == "policy.safetensors" {
            fail(
                at,
                &["report", "run", "--quiet"],
                1,
                &[name, "newest checkpoint"],
            );
        }
        succeed(at, &resume("run", &[]));
        assert_eq!(bytes(&file), *good);
        fs::remove_file(&file).unwrap();
        fail(at, &evaluate("run"), 1, &[name, "missing"]);
        succeed(at, &resume("run", &[]));
        assert_eq!(bytes(&file), *good);
    }
    // A cost beside a run that learns none.
    succeed(at, &clone(&["--set", "iterations=1", "-o", "clone"]));
    fs::copy(
        at.join("run/cost.safetensors"),
        at.join("clone/cost.safetensors"),
    )
    .unwrap();
    fail(
        at,
        &evaluate("clone"),
        1,
        &["cost.safetensors", "another run's"],
    );

    // Runs of versions without these records open, and are put right all the same.
    for number in 0..=2 {
        fs::remove_file(at.join(format!("run/checkpoints/00000{number}/weights.json"))).unwrap();
    }
    fs::copy(
        at.join("other/policy.safetensors"),
        at.join("run/policy.safetensors"),
    )
    .unwrap();
    succeed(at, &evaluate("run"));
    succeed(at, &resume("run", &[]));
    assert_eq!(bytes(&at.join("run/policy.safetensors")), good[0]);
}

#[test]
fn a_flipped_bit_is_no_policy() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    succeed(at, &clone(&["--set", "iterations=1", "-o", "run"]));
    let mut policy = bytes(&at.join("run/policy.safetensors"));
    let last = policy.len() - 2;
    policy[last] ^= 1;
    fs::write(at.join("flipped.safetensors"), &policy).unwrap();
    let file = ["--policy", "flipped.safetensors"];
    fail(
        at,
        &[&["evaluate", "demos"][..], &file, &EVALUATE].concat(),
        1,
        &["flipped.safetensors", "checksum"],
    );
    let expert = [
        "--expert",
        "flipped.safetensors",
        "--set",
        "env.task.horizon=40",
    ];
    let record = ["record", "pendulum", "-n", "1", "-o", "more"];
    fail(
        at,
        &[&record[..], &expert].concat(),
        2,
        &["flipped.safetensors", "checksum"],
    );
}

#[test]
fn a_start_that_was_killed_stands_in_nobodys_way() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let settings = ["--set", "iterations=2", "-o"];
    let train = |name: &'static str| clone(&[&settings[..], &[name]].concat());
    succeed(at, &train("whole"));
    let policy = |name: &str| bytes(&at.join(name).join("policy.safetensors"));

    // Killed while `config.json` was written …
    fs::create_dir(at.join("torn")).unwrap();
    fs::write(at.join("torn/.lock"), "").unwrap();
    fs::write(at.join("torn/config.json.tmp"), "{\"format\": 1, ").unwrap();
    fail(at, &resume("torn", &[]), 2, &["torn"]);
    succeed(at, &train("torn"));
    assert_eq!(policy("torn"), policy("whole"));
    // … or before it got its name.
    fs::create_dir(at.join("unnamed")).unwrap();
    fs::copy(
        at.join("whole/config.json"),
        at.join("unnamed/config.json.tmp"),
    )
    .unwrap();
    succeed(at, &resume("unnamed", &[]));
    assert_eq!(policy("unnamed"), policy("whole"));
    // What is somebody's stays.
    fs::create_dir_all(at.join("mine/costs")).unwrap();
    fail(at, &train("mine"), 2, &["mine", "exists"]);
    fail(
        at,
        &train("whole"),
        2,
        &["whole", "costate train --resume -o whole"],
    );
}

#[test]
fn fresh_policies_belong_to_the_cost_that_they_were_trained_on() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let validated = [
        "--set",
        "validation.policies=1",
        "--set",
        "validation.discounts=[0.9]",
        "--set",
        "validation.iterations=2",
        "--set",
        "validation.trajectories=4",
    ];
    let train = |more: &[&'static str]| train_args(&[&validated[..], more].concat());
    succeed(at, &train(&["--set", "iterations=1", "-o", "run"]));
    let fresh = at.join("run/validation/fresh-0-0.9.safetensors");
    let first = (bytes(&fresh), read(&at.join("run/validation.json")));

    // The same cost: nothing is trained again.
    let written = fs::metadata(&fresh).unwrap().modified().unwrap();
    succeed(at, &resume("run", &[]));
    assert_eq!(fs::metadata(&fresh).unwrap().modified().unwrap(), written);

    // Trained longer, without a validation: the old one is no longer the run's.
    copy_folder(&at.join("run"), &at.join("longer"));
    let longer = ["--set", "iterations=2", "--set", "validation.policies=0"];
    succeed(at, &resume("longer", &longer));
    let args = ["evaluate", "longer", "-n", "2", "--no-robustness", "--json"];
    let output = run(at, &args);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("--reoptimize longer"));
    let found = json(&String::from_utf8(output.stdout).unwrap());
    assert!(found["frozen"].is_null(), "a verdict on another cost");

    // With one: it is made again.
    succeed(at, &resume("run", &["--set", "iterations=2"]));
    let second = (bytes(&fresh), read(&at.join("run/validation.json")));
    assert_ne!(first.0, second.0);
    assert_ne!(
        first.1["frozen"]["policies"][0]["soft_value"],
        second.1["frozen"]["policies"][0]["soft_value"]
    );

    // What was trained on something else, or by other code, or is not what was written, is trained again.
    let note = fresh.with_extension("json");
    let good = read(&note);
    for (place, value) in [
        ("/origin/judged/cost", "another"),
        ("/origin/judged/reference", "another"),
        ("/origin/world", "another"),
        ("/origin/demonstrations", "another"),
        ("/origin/build", "0.0.1"),
        ("/policy", "another"),
    ] {
        let mut other = good.clone();
        *other.pointer_mut(place).unwrap() = value.into();
        other["report"]["delta"] = 7.into();
        fs::write(&note, other.to_string()).unwrap();
        succeed(at, &resume("run", &[]));
        let again = read(&note);
        assert_eq!(again["report"], good["report"], "{place}");
        assert_eq!(again["origin"], good["origin"], "{place}");
    }
    assert_eq!(bytes(&fresh), second.0);

    // A kept policy that is not the one that was kept.
    fs::copy(
        at.join("run/policy.safetensors"),
        at.join("run/fresh_policy.safetensors"),
    )
    .unwrap();
    fail(
        at,
        &evaluate("run"),
        1,
        &["fresh_policy.safetensors", "another run's"],
    );
}

#[cfg(unix)]
#[test]
fn two_processes_never_train_one_run() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let args = train_args(&[
        "--set",
        "iterations=500",
        "--checkpoint-every",
        "1",
        "-o",
        "run",
    ]);
    let mut child = costate(at, &args).spawn().unwrap();
    wait_for(&mut child, || at.join("run/checkpoints/000002").exists());
    let before = bytes(&at.join("run/config.json"));
    fail(at, &resume("run", &[]), 1, &["run", "another process"]);
    fail(
        at,
        &resume("run", &["--set", "iterations=600"]),
        1,
        &["another process"],
    );
    assert_eq!(bytes(&at.join("run/config.json")), before);
    // Readers need no lock.
    succeed(at, &["diagnose", "run"]);
    child.kill().unwrap();
    child.wait().unwrap();
    // A dead process holds nothing.
    let done = metrics(&at.join("run")).len();
    let more = (done + 2).to_string();
    succeed(
        at,
        &resume("run", &["--set", &format!("iterations={more}")]),
    );
    let iterations: Vec<u64> = metrics(&at.join("run"))
        .iter()
        .map(|m| m["iteration"].as_u64().unwrap())
        .collect();
    assert_eq!(iterations, (0..done as u64 + 2).collect::<Vec<_>>());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn a_run_goes_on_longer_and_otherwise() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    succeed(at, &train_args(&["--set", "iterations=2", "-o", "run"]));
    let told = json(&succeed(
        at,
        &[&resume("run", &["--set", "iterations=4"])[..], &["--json"]].concat(),
    ));
    assert_eq!(
        (&told["iterations"], &told["finished"]),
        (&4.into(), &true.into())
    );
    assert_eq!(metrics(&at.join("run")).len(), 4);
    let more = [
        "--set",
        "ppo.learning_rate=1e-4",
        "--set",
        "iterations=5",
        "--set",
        "ppo.clip=0.2",
    ];
    succeed(at, &resume("run", &more));
    let config = read(&at.join("run/config.json"));
    assert_eq!(config["algo"]["settings"]["iterations"], 5);
    let changes = config["changes"].as_array().unwrap();
    let from: Vec<_> = changes
        .iter()
        .map(|c| {
            (
                c["from_iteration"].as_u64().unwrap(),
                c["key"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(from[..2], [(2, "iterations"), (4, "iterations")]);
    assert!(from.contains(&(4, "ppo.learning_rate")), "{from:?}");
    assert_eq!(changes[0]["from"], 2);
    assert_eq!(changes[0]["to"], 4);
    // The record is enough to repeat it.
    succeed(at, &train_args(&["--set", "iterations=2", "-o", "again"]));
    succeed(at, &resume("again", &["--set", "iterations=4"]));
    succeed(at, &resume("again", &more));
    let policy = |run: &str| bytes(&at.join(run).join("policy.safetensors"));
    assert_eq!(policy("run"), policy("again"));

    let before = bytes(&at.join("run/config.json"));
    for (set, parts) in [
        (
            "policy.hidden=[8]",
            ["`policy.hidden`", "weights depend on it"],
        ),
        (
            "cost.form=quadratic",
            ["`cost.form`", "weights depend on it"],
        ),
        ("trajectories=16", ["`trajectories`", "random streams"]),
        (
            "base_steps=0",
            ["`base_steps`", "before the first iteration"],
        ),
        ("ppo.discount=0.5", ["`ppo.discount`", "minimise"]),
        ("window=1", ["`window`", "a resumed run keeps it"]),
        (
            "iterations=3",
            ["`iterations` of gan-gcl is 3", "5 are already done"],
        ),
        ("iteratons=9", ["`iteratons`", "did you mean `iterations`"]),
        ("ppo.clip=2", ["`ppo.clip`", "(0, 1)"]),
        ("env.task.horizon=3", ["keeps its world", "--set env.KEY"]),
    ] {
        fail(at, &resume("run", &["--set", set]), 2, &parts);
    }
    fail(
        at,
        &resume("run", &["-n", "2"]),
        2,
        &["keeps", "--demonstrations"],
    );
    fail(
        at,
        &resume("run", &["--checkpoint-every", "0"]),
        2,
        &["--checkpoint-every"],
    );
    assert_eq!(bytes(&at.join("run/config.json")), before);
    // As it is, is no change.
    succeed(
        at,
        &resume("run", &["--set", "iterations=5", "--set", "trajectories=8"]),
    );
    assert_eq!(bytes(&at.join("run/config.json")), before);
}

#[test]
fn recordings_appended_later_change_no_run() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    for run in ["before", "after"] {
        succeed(at, &clone(&["--set", "iterations=2", "-o", run]));
    }
    let go_on = |run| succeed(at, &resume(run, &["--set", "iterations=4"]));
    go_on("before");
    succeed(at, &evaluate("before"));
    succeed(
        at,
        &["record", "--append", "-o", "demos", "-n", "2", "--quiet"],
    );
    let args = ["train", "--resume", "-o", "after", "--set", "iterations=4"];
    let told = run(at, &args);
    let error = String::from_utf8(told.stderr).unwrap();
    assert!(told.status.success(), "{error}");
    assert!(error.contains("demos: the last 2 episodes"), "{error}");
    succeed(at, &evaluate("after"));
    for file in ["policy.safetensors", "evaluation.json"] {
        let of = |run: &str| bytes(&at.join(run).join(file));
        assert_eq!(of("before"), of("after"), "{file}");
    }
    // One of them deleted, they are others.
    succeed(
        at,
        &[
            "demos",
            "filter",
            "demos",
            "--episodes",
            "0,2..5",
            "-o",
            "fewer",
        ],
    );
    fail(
        at,
        &[&evaluate("after")[..], &["--demos", "fewer"]].concat(),
        2,
        &["not the demonstrations"],
    );
}

/// The command between backquotes at the end of an error, run by a shell.
fn follow(at: &Path, error: &str) -> std::process::Output {
    let advice = error
        .rsplit('`')
        .nth(1)
        .unwrap_or_else(|| panic!("no advice: {error}"));
    let command = advice
        .strip_prefix("costate")
        .unwrap_or_else(|| panic!("{error}"));
    std::process::Command::new("sh")
        .current_dir(at)
        .args([
            "-c",
            &format!("{} -q {command}", env!("CARGO_BIN_EXE_costate")),
        ])
        .output()
        .unwrap()
}

#[test]
fn a_divergence_ends_with_advice_that_can_be_followed() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let gan = ["cost_steps=2", "trajectories=4", "ppo.epochs=1"];
    let adversarial = ["iterations=2", "trajectories=4", "ppo.epochs=1"];
    let cases: [(&str, &str, &[&str]); 8] = [
        ("bc", "learning_rate=1e30", &["iterations=6"]),
        (
            "ibc",
            "learning_rate=1e30",
            &["iterations=3", "negatives=8"],
        ),
        ("flow-bc", "learning_rate=1e30", &["iterations=3"]),
        (
            "dagger",
            "learning_rate=1e30",
            &["iterations=3", "episodes=2", "passes=2"],
        ),
        ("gail", "cost_learning_rate=1e300", &adversarial),
        ("gail", "ppo.learning_rate=1e30", &adversarial),
        ("airl", "ppo.learning_rate=1e30", &adversarial),
        ("gan-gcl", "cost_learning_rate=1e30", &gan),
    ];
    for (i, (algo, set, more)) in cases.iter().enumerate() {
        let name = format!("my run {i}");
        let mut args = vec!["train", "demos", "--algo", algo, "-q", "-o", &name];
        args.extend(["--checkpoint-every", "1", "--set", set]);
        if *algo == "gan-gcl" {
            args.extend([
                "--set",
                "iterations=3",
                "--set",
                "base_steps=20",
                "--set",
                "validation.policies=0",
            ]);
        }
        more.iter().for_each(|m| args.extend(["--set", m]));
        let key = set.split('=').next().unwrap();
        let error = fail(
            at,
            &args,
            1,
            &["diverged", key, "--resume", &format!("'{name}'")],
        );
        // Every checkpoint can be gone on from: the same settings end in the same way, the advised ones well.
        let again = fail(at, &resume(&name, &[]), 1, &["diverged"]);
        assert_eq!(again, error, "{algo}");
        let followed = follow(at, &error);
        let said = String::from_utf8_lossy(&followed.stderr);
        assert!(followed.status.success(), "{algo} {set}: {said}");
        assert_eq!(
            read(&at.join(&name).join("config.json"))["changes"][0]["key"],
            key
        );
    }
}

#[test]
fn exit_codes_tell_misuse_from_failure() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    fs::write(at.join("table.csv"), "x,y\n1,2\n").unwrap();
    for command in [
        "evaluate nosuch",
        "report nosuch",
        "diagnose nosuch",
        "compare nosuch nosuch2",
        "view nosuch --png x.png",
        "train --resume -o nosuch",
        "train --resume -o table.csv",
        "expert --resume -o nosuch",
    ] {
        let args: Vec<&str> = command.split(' ').collect();
        fail(
            at,
            &args,
            2,
            &[if command.contains("csv") {
                "table.csv"
            } else {
                "nosuch"
            }],
        );
    }
    fail(
        at,
        &["train", "table.csv", "--algo", "bc"],
        2,
        &["table.csv", "expected a folder"],
    );
    for value in ["-1", "0.5", "1e99"] {
        let set = format!("iterations={value}");
        fail(
            at,
            &clone(&["--set", &set, "-o", "r"]),
            2,
            &["`iterations` of bc", value.split('e').next().unwrap()],
        );
    }
    fail(
        at,
        &clone(&["--set", "policy.hidden=[-3]", "-o", "r"]),
        2,
        &["`policy.hidden[0]`"],
    );
    assert!(!at.join("r").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn paths_that_are_not_utf_8_are_no_reason_to_panic() {
    use std::os::unix::ffi::OsStrExt;
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let odd = |name: &[u8]| std::ffi::OsStr::from_bytes(name).to_owned();
    let run = |args: &[&str], last: &std::ffi::OsStr| {
        let output = costate(at, args).arg(last).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!error.contains("panicked"), "{error}");
        (output.status.code(), error)
    };
    let demos = odd(b"demos\xff");
    let (code, error) = run(&["record", "lq", "-n", "1", "-o"], &demos);
    assert_eq!(code, Some(0), "{error}");
    // A run could not say where its demonstrations are.
    let (code, error) = run(&["train", "--algo", "bc", "-o", "r"], &demos);
    assert_eq!(code, Some(2), "{error}");
    assert!(error.contains("not UTF-8"), "{error}");
    let trained = odd(b"run\xff");
    let (code, error) = run(&clone(&["--set", "iterations=1", "--json", "-o"]), &trained);
    assert_eq!(code, Some(0), "{error}");
    for args in [
        &["evaluate", "-n", "2", "--no-robustness"][..],
        &["report", "--json"],
    ] {
        assert_eq!(run(args, &trained).0, Some(0));
    }
}

#[cfg(unix)]
#[test]
fn every_signal_to_stop_leaves_a_checkpoint() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let name = |signal: &str, how: &str| format!("run-{signal}{how}");
    let signal = |child: &Child, signal: &str| {
        let kill = std::process::Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(kill.unwrap().success());
    };
    // Below `nohup` a hang-up is ignored here, and so by what is started.
    let ignored = |signal: u32| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
        mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
    };
    for (which, number) in [("USR1", 10), ("HUP", 1), ("TERM", 15)] {
        if ignored(number) {
            continue;
        }
        let name = name(which, "");
        let args = train_args(&["--set", "iterations=500", "-o", &name]);
        let mut child = costate(at, &args).spawn().unwrap();
        let lines = || {
            fs::read_to_string(at.join(&name).join("metrics.jsonl"))
                .map_or(0, |m| m.lines().count())
        };
        wait_for(&mut child, || lines() >= 1);
        signal(&child, which);
        assert_eq!(child.wait().unwrap().code(), Some(1), "SIG{which}");
        let done = lines();
        assert!(
            at.join(format!("{name}/checkpoints/{done:06}")).exists(),
            "SIG{which}"
        );
    }
    // `nohup`: the end of the session is none of its business.
    let args = train_args(&["--set", "iterations=4", "-o", "run-nohup"]).join(" ");
    let script = format!("trap '' HUP; exec {} {args}", env!("CARGO_BIN_EXE_costate"));
    let mut child = std::process::Command::new("sh")
        .current_dir(at)
        .args(["-c", &script])
        .spawn()
        .unwrap();
    wait_for(&mut child, || {
        at.join("run-nohup/checkpoints/000000").exists()
    });
    signal(&child, "HUP");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn the_next_command_can_be_pasted() {
    let f = folder();
    let at = f.path();
    fs::create_dir(at.join("my data")).unwrap();
    let paste = |told: &str, more: &str| {
        let next = told
            .lines()
            .find_map(|l| l.strip_prefix("next:"))
            .unwrap_or_else(|| panic!("{told}"));
        let command = next.trim().strip_prefix("costate").unwrap();
        let line = format!("{}{command} {more}", env!("CARGO_BIN_EXE_costate"));
        let output = std::process::Command::new("sh")
            .current_dir(at)
            .args(["-c", &line])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{line}: {error}");
        String::from_utf8(output.stdout).unwrap()
    };
    let horizon = ["--set", "env.task.horizon=40"];
    let record = ["record", "pendulum", "-n", "2", "-o", "my data/it's"];
    let recorded = succeed(at, &[&record[..], &horizon].concat());
    let small = SMALL.join(" ");
    let trained = paste(
        &recorded,
        &format!("{small} --set iterations=1 -o 'my data/$run'"),
    );
    paste(&trained, "-n 2 --no-robustness");
    // Advice in errors, too.
    fail(
        at,
        &["compare", "my data/$run", "my data/$run"],
        2,
        &["the same run"],
    );
    fs::remove_dir_all(at.join("my data/$run/checkpoints")).unwrap();
    fs::remove_file(at.join("my data/$run/policy.safetensors")).unwrap();
    let view = ["view", "my data/$run", "--png", "x.png"];
    fail(
        at,
        &view,
        1,
        &["`costate train --resume -o 'my data/$run'`"],
    );
}

#[test]
fn a_cost_may_lie_behind_a_comma() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    succeed(at, &train_args(&["--set", "iterations=1", "-o", "a,b"]));
    let rl = |cost: &[&'static str], name: &'static str| {
        let mut args = vec![
            "train", "--algo", "rl", "--env", "pendulum", "-q", "-o", name,
        ];
        args.extend(["--set", "iterations=1", "--set", "trajectories=2"]);
        cost.iter().for_each(|c| args.extend(["--cost", c]));
        args
    };
    succeed(at, &rl(&["a,b"], "whole"));
    succeed(at, &rl(&["'a,b':0.5,true:2"], "quoted"));
    succeed(at, &rl(&["\"a,b\":0.5", "true:2"], "repeated"));
    let costs = |run: &str| read(&at.join(run).join("config.json"))["cost"].clone();
    assert_eq!(costs("whole")[0]["weight"], 1.0);
    assert_eq!(costs("quoted")[0]["weight"], 0.5);
    assert_eq!(costs("quoted")[1]["source"], "true");
    assert_eq!(costs("quoted"), costs("repeated"));
    fail(
        at,
        &rl(&["a,b:1"], "no"),
        2,
        &["neither a file nor a run", "'\"a,b\":0.5'"],
    );
}

/// By how much a run's policy treats mirrored states of the pendulum differently, relative to how much it acts.
fn unevenness(at: &Path, run: &str) -> f64 {
    let policy = GaussianPolicy::read(&at.join(run).join("policy.safetensors")).unwrap();
    let dataset = Dataset::open(&at.join("demos")).unwrap();
    let states: Vec<f32> = (dataset.episodes().iter())
        .flat_map(|e| e.trajectory.observations().to_vec())
        .collect();
    let mean = |signs: [f32; 3]| {
        let states = Tensor::from_slice(&states).view([-1, 3]) * Tensor::from_slice(&signs);
        policy.distribution(&states).mean
    };
    // cos θ, sin θ, ω.
    let (original, mirrored) = (mean([1.0; 3]), mean([1.0, -1.0, -1.0]));
    let size = |t: Tensor| t.abs().mean(Kind::Double).double_value(&[]);
    size(&original + mirrored) / size(original)
}

/// Mirror images make a clone even-handed, the same in every run of a seed; what a world has not is refused before there
/// is a run.
#[test]
fn images_are_learned_from_where_the_world_has_them() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let train = |run: &str, copies: &str| {
        succeed(
            at,
            &clone(&["-o", run, "--set", "iterations=10", "--set", copies]),
        );
    };
    train("without", "symmetric_copies=0");
    train("with", "symmetric_copies=1");
    train("again", "symmetric_copies=1");
    let policy = |run: &str| bytes(&at.join(run).join("policy.safetensors"));
    assert_eq!(policy("with"), policy("again"));
    let (with, without) = (unevenness(at, "with"), unevenness(at, "without"));
    assert!(with < 0.5 * without, "{with} {without}");

    let refused = |demos: &str, copies: &str, parts: &[&str]| {
        let args = [
            "train", demos, "--algo", "bc", "-o", "none", "--set", copies,
        ];
        fail(at, &args, 2, parts);
        assert!(!at.join("none").exists());
    };
    let too_many = ["symmetric_copies", "a mirror alone, expected 0 or 1"];
    refused("demos", "symmetric_copies=2", &too_many);
    let lopsided = ["record", "pendulum", "-n", "2", "-o", "leaning", "--quiet"];
    let gravity = ["--set", "env.gravity_m_s2=[0.5,-10]"];
    succeed(at, &[&lopsided[..], &gravity].concat());
    let broken = ["mirror does not hold with these parameters", "instead of"];
    refused("leaning", "symmetric_copies=1", &broken);
    succeed(
        at,
        &["record", "point_mass", "-n", "2", "-o", "puck", "--quiet"],
    );
    refused(
        "puck",
        "symmetric_copies=1",
        &["no symmetry of point_mass is known"],
    );
    let args = clone(&["-o", "none", "--set", "symmetric_copies=1"]);
    let both = ["--algo", "gan-gcl", "--set", "demonstrated_starts=0.5"];
    let args = [&args[..2], &both, &args[4..]].concat();
    fail(at, &args, 2, &["demonstrated_starts", "symmetric_copies"]);
}

#[test]
fn three_checkpoints_are_kept_and_a_damaged_one_is_passed_over() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    let training = |run: &str, iterations: &str| {
        let set = format!("iterations={iterations}");
        succeed(
            at,
            &clone(&["-o", run, "--set", &set, "--checkpoint-every", "1"]),
        );
    };
    training("whole", "8");
    training("run", "8");
    let numbers = || {
        let entries = fs::read_dir(at.join("run/checkpoints")).unwrap();
        let mut names: Vec<String> = entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    assert_eq!(numbers(), ["000006", "000007", "000008"]);
    let state = at.join("run/checkpoints/000008/state.safetensors");
    let mut damaged = bytes(&state);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    fs::write(&state, damaged).unwrap();
    let resumed = run(at, &["train", "--resume", "-o", "run"]);
    let said = String::from_utf8_lossy(&resumed.stderr).into_owned();
    assert!(resumed.status.success(), "{said}");
    assert!(
        said.contains("000008") && said.contains("resuming from the checkpoint before it"),
        "{said}"
    );
    let policy = |run: &str| bytes(&at.join(run).join("policy.safetensors"));
    assert_eq!(policy("run"), policy("whole"));
    assert_eq!(metrics(&at.join("run")).len(), 8);
    assert_eq!(numbers(), ["000006", "000007", "000008", "000008.damaged"]);
}

#[test]
fn what_no_memory_holds_is_refused_before_there_is_a_run() {
    let f = folder();
    let at = f.path();
    small_dataset(at);
    for setting in [
        "policy.hidden=[1000000,1000000]",
        "trajectories=1000000000000",
        "trajectories=18446744073709551615",
        "validation.trajectories=1000000000000",
    ] {
        let args = [
            "train", "demos", "--algo", "gail", "--set", setting, "-o", "run",
        ];
        fail(at, &args, 2, &["MiB of memory", "lower"]);
        assert!(!at.join("run").exists(), "{setting}");
    }
    succeed(at, &clone(&["-o", "run", "--set", "iterations=1"]));
    let args = ["evaluate", "run", "-n", "18446744073709551615"];
    fail(at, &args, 2, &["MiB of memory", "-n"]);
}
