//! `costate evaluate` as a process: signals, runs that may only be read, results elsewhere, odd numbers.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{costate, fail, json, succeed};

/// Demonstrations `demos` and a run `run` of cloning on them.
fn cloned(at: &Path) {
    succeed(at, &["record", "lq", "-n", "8", "-o", "demos", "--quiet"]);
    clone_into(at, "run");
}

fn clone_into(at: &Path, run: &str) {
    let args = ["train", "demos", "--algo", "bc", "--quiet", "-o", run];
    succeed(at, &[&args[..], &["--set", "iterations=2"]].concat());
}

const FEW: [&str; 4] = ["-n", "4", "--no-robustness", "--quiet"];

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let bytes = fs::read(&path).unwrap();
                    found.insert(path.display().to_string(), bytes);
                }
            }
        }
    }
    found
}

#[cfg(unix)]
#[test]
fn a_signal_ends_an_evaluation_within_seconds_and_leaves_nothing_half_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    cloned(at);
    // A formula as the cost: at this size its bootstrap intervals take minutes, and look at no flag.
    for (signal, more) in [
        ("TERM", &["evaluate", "run", "-n", "200000"][..]),
        (
            "INT",
            &["evaluate", "demos", "--policy", "random", "-n", "200000"],
        ),
        (
            "TERM",
            &[
                "evaluate",
                "demos",
                "--cost",
                "s0^2",
                "-n",
                "1500",
                "--no-robustness",
            ],
        ),
    ] {
        let mut child = costate(at, more)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_secs(4));
        assert!(child.try_wait().unwrap().is_none(), "{more:?} is too short");
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let told = Instant::now();
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.elapsed() < Duration::from_secs(15),
            "{more:?}: {error}"
        );
        assert_eq!(output.status.code(), Some(1), "{more:?}: {error}");
        assert!(error.contains("costate: interrupted"), "{error}");
        let files = contents(&at.join("run"));
        let half = |name: &String| name.contains("evaluation") || name.ends_with(".tmp");
        assert!(!files.keys().any(half), "{:?}", files.keys());
    }
}

#[cfg(unix)]
#[test]
fn a_run_that_may_only_be_read_is_evaluated() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    succeed(at, &["record", "lq", "-n", "8", "-o", "demos", "--quiet"]);
    let train = [
        "train", "demos", "--algo", "gan-gcl", "-o", "run", "--quiet",
    ];
    let small = ["--set", "iterations=1", "--set", "base_steps=0"];
    let short = ["--set", "validation.policies=0", "--set", "trajectories=8"];
    succeed(at, &[&train[..], &small, &short].concat());
    let run = at.join("run");
    let before = contents(&run);
    let allow = |mode: u32| {
        let set =
            |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        fs::read_dir(&run)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.is_dir())
            .for_each(|p| set(&p));
        set(&run);
    };
    allow(0o555);
    // Root may write everywhere, unless it gives that up.
    let powers = "-dac_override,-fowner";
    let mut args = vec!["setpriv".to_owned()];
    args.push(format!("--bounding-set={powers}"));
    args.push(format!("--inh-caps={powers}"));
    if fs::write(run.join("probe"), "").is_err() {
        args = vec!["env".into()];
    } else {
        fs::remove_file(run.join("probe")).unwrap();
        if Command::new("setpriv").arg("--version").output().is_err() {
            eprintln!("not tested: permissions do not bind this user, and there is no setpriv");
            allow(0o755);
            return;
        }
    }
    let evaluate = |more: &[&str]| {
        let base = ["evaluate", "run", "-n", "4", "--no-robustness", "--json"];
        Command::new(&args[0])
            .args(&args[1..])
            .arg(env!("CARGO_BIN_EXE_costate"))
            .args([&base[..], more].concat())
            .current_dir(at)
            .output()
            .unwrap()
    };
    let found = evaluate(&[]);
    let error = String::from_utf8_lossy(&found.stderr).into_owned();
    assert!(found.status.success(), "{error}");
    assert!(
        error.contains("these results are not saved; save them elsewhere with --output DIR"),
        "{error}"
    );
    let shown = json(&String::from_utf8(found.stdout).unwrap());
    assert_eq!(contents(&run), before);

    let found = evaluate(&["--output", "kept"]);
    assert!(found.status.success());
    let kept = json(&fs::read_to_string(at.join("kept/evaluation.json")).unwrap());
    assert_eq!(kept, shown);
    assert!(at.join("kept/baseline/clone.safetensors").exists());
    assert_eq!(contents(&run), before);

    // Hours of training do not start if their results cannot be saved.
    let found = evaluate(&["--reoptimize"]);
    let error = String::from_utf8_lossy(&found.stderr).into_owned();
    assert_eq!(found.status.code(), Some(1), "{error}");
    assert!(
        error.contains("not writable") && error.contains("--output DIR"),
        "{error}"
    );
    allow(0o755);
}

#[test]
fn results_have_a_folder_of_their_own_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    cloned(at);
    clone_into(at, "other");
    let before = contents(&at.join("run"));
    let args = |more: &'static [&'static str]| [&["evaluate"], more, &FEW].concat();
    succeed(at, &args(&["run", "--output", "results"]));
    assert_eq!(contents(&at.join("run")), before);
    let first = fs::read(at.join("results/evaluation.json")).unwrap();
    // Again, with what is there.
    succeed(at, &args(&["run", "--output", "results"]));
    assert_eq!(fs::read(at.join("results/evaluation.json")).unwrap(), first);
    // Of demonstrations as well, which keep nothing of their own.
    succeed(at, &args(&["demos", "--policy", "random", "-o", "random"]));
    assert!(at.join("random/evaluation.json").exists());

    let said = ["results: holds results of", "demos", "--output"];
    fail(
        at,
        &args(&["demos", "--policy", "random", "--output", "results"]),
        2,
        &said,
    );
    let said = [
        "demos: the output folder exists and is not empty",
        "--output",
    ];
    fail(at, &args(&["run", "--output", "demos"]), 2, &said);
    let said = ["--output takes the results of one run"];
    fail(at, &args(&["run", "other", "--output", "both"]), 2, &said);
}

#[test]
fn episodes_end_once_the_interval_is_as_narrow_as_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    cloned(at);
    let with = |more: &[&str]| {
        let args = ["evaluate", "run", "--no-robustness", "--json", "-q"];
        json(&succeed(at, &[&args, more].concat()))
    };
    let returns = |found: &serde_json::Value, policy: &str| -> Vec<serde_json::Value> {
        let rows = found["rows"].as_array().unwrap();
        let row = rows.iter().find(|r| r["policy"] == policy).unwrap();
        row["returns"].as_array().unwrap().clone()
    };
    let all = with(&["-n", "60"]);
    let wide = with(&["-n", "60", "--precision", "1000"]);
    assert_eq!(wide["episodes"], 40);
    for policy in ["bc", "random"] {
        assert_eq!(returns(&wide, policy), returns(&all, policy)[..40]);
    }
    // Out of reach: all episodes, the same ones although they were played in parts, and said.
    let narrow = with(&["-n", "60", "--precision", "1e-9"]);
    assert_eq!(narrow["episodes"], 60);
    assert_eq!(narrow["rows"], all["rows"]);
    let statements = narrow["statements"].to_string();
    assert!(
        statements.contains("wide after 60 episodes, not 0.000000001"),
        "{statements}"
    );
    let [low, high] = [0, 1].map(|i| all["normalized_score_ci95"][i].as_f64().unwrap());
    let within = with(&["-n", "60", "--precision", &(high - low + 1e-9).to_string()]);
    assert!(!within["statements"].to_string().contains("wide after"));

    let refused = |args: &[&str], said: &str| fail(at, args, 2, &[said]);
    refused(
        &["evaluate", "run", "--precision", "0"],
        "--precision is 0, expected the width",
    );
    clone_into(at, "other");
    refused(
        &["evaluate", "run", "other", "--precision", "0.1"],
        "--precision takes one run",
    );
}

#[test]
fn numbers_that_cannot_be_meant_are_named_before_they_are_used() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    succeed(
        at,
        &["record", "pendulum", "-n", "3", "-o", "demos", "--quiet"],
    );
    // How far it is, not what it says of the numbers.
    let progress = |line: &str| line.contains("baseline") || line.starts_with("evaluation ");
    let said = |more: &[&str]| {
        let base = ["evaluate", "demos", "-n", "2", "--no-robustness", "--json"];
        let output = common::run(at, &[&base, more].concat());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        let found = json(&String::from_utf8(output.stdout).unwrap());
        let lines: Vec<String> = error.lines().map(str::to_owned).collect();
        // Before the baseline, and in the results.
        let first = lines.into_iter().next().unwrap_or_default();
        if !progress(&first) {
            let kept = found["statements"].as_array().unwrap();
            assert!(kept.iter().any(|s| s == &first), "{first}: {kept:?}");
        }
        first
    };
    let milli = said(&["--policy", "torque = 1500*sin"]);
    assert!(
        milli.contains("torque: the policy acts between -1"),
        "{milli}"
    );
    assert!(
        milli.contains("N m") && milli.contains("other units?"),
        "{milli}"
    );
    let constant = said(&["--cost", "max(cos - 5, 2)"]);
    assert!(constant.contains("is 2.00 in all"), "{constant}");
    assert!(progress(&said(&["--policy", "torque = 2*sin"])));
    // A channel called like a function is the channel: random actions do not keep the pendulum up.
    let found = succeed(
        at,
        &[
            &[
                "evaluate",
                "demos",
                "--policy",
                "random",
                "--success",
                "cos - 0.9",
                "--json",
            ],
            &FEW[..],
        ]
        .concat(),
    );
    assert_eq!(json(&found)["rows"][1]["success_rate"], 0.0);
}
