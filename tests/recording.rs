//! Recording as a process: more of it another day, after a kill, and what is said of doubtful recordings.

mod common;

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{costate, fail, json, run, succeed};
use tempfile::tempdir;

const SHORT: &str = "env.task.horizon=30";

fn record(folder: &Path, output: &str, more: &[&str]) -> serde_json::Value {
    let mut args = vec![
        "record", "pendulum", "--set", SHORT, "-o", output, "--json", "--quiet",
    ];
    args.extend(more);
    json(&succeed(folder, &args))
}

/// Contents of a dataset's files but Minari's, which holds the folder's name.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![(
        "meta.json".to_owned(),
        fs::read(folder.join("meta.json")).unwrap(),
    )];
    for entry in fs::read_dir(folder.join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = fs::read(path.join("part-0.parquet"));
            files.push((name, bytes.unwrap_or_default()));
        }
    }
    files.sort();
    files
}

#[test]
fn more_is_recorded_another_day() {
    let parent = tempdir().unwrap();
    let parent = parent.path();
    record(parent, "once", &["-n", "5"]);
    record(parent, "later", &["-n", "3"]);
    // The environment, its parameters, the expert and the seed are those of the dataset.
    let summary = json(&succeed(
        parent,
        &["record", "--append", "-n", "2", "-o", "later", "--json"],
    ));
    assert_eq!(
        (summary["recorded"].as_u64(), summary["episodes"].as_u64()),
        (Some(2), Some(5))
    );
    assert_eq!(
        contents(&parent.join("later")),
        contents(&parent.join("once"))
    );
    // Another seed and expert are said.
    let more = ["--append", "-n", "1", "--seed", "4", "--expert", "ilqr"];
    let summary = record(parent, "later", &more);
    assert_eq!(
        (summary["seed"].as_u64(), summary["expert"].as_str()),
        (Some(4), Some("ilqr"))
    );
    let info = succeed(parent, &["demos", "info", "later"]);
    assert!(
        info.contains("from episode 5 on expert `ilqr`") && info.contains("seed 4"),
        "{info}"
    );
    let plain = [
        "train",
        "later",
        "--algo",
        "bc",
        "--set",
        "iterations=1",
        "-o",
        "r",
        "--quiet",
    ];
    succeed(parent, &plain);

    let append = |more: &[&'static str]| [&["record", "--append", "-o", "later"], more].concat();
    fail(
        parent,
        &append(&["cart_pole"]),
        2,
        &["later", "`pendulum`", "not of `cart_pole`"],
    );
    fail(
        parent,
        &append(&["--set", "env.rod.mass_kg=2"]),
        2,
        &["another `pendulum`", "mass_kg was 1.0, now 2", "leave out"],
    );
    fail(
        parent,
        &append(&["--noise", "0"]),
        2,
        &["log-densities", "--noise"],
    );
    fail(
        parent,
        &["record", "--append", "-o", "nowhere"],
        2,
        &["no dataset at `nowhere`"],
    );
    fail(
        parent,
        &["record", "pendulum", "-o", "later"],
        2,
        &["exists and is not empty", "--append", "--resume"],
    );
    fail(
        parent,
        &["record", "--resume", "-o", "later", "-n", "9"],
        2,
        &["complete with 6 episodes", "--append -n 3"],
    );
    succeed(parent, &["record", "--resume", "-o", "later"]);
}

#[test]
fn a_killed_recording_says_so_and_is_finished() {
    let parent = tempdir().unwrap();
    let parent = parent.path();
    let count = "60";
    record(parent, "whole", &["-n", count]);
    let cut = parent.join("cut");
    let args = [
        "record",
        "pendulum",
        "--set",
        SHORT,
        "-n",
        count,
        "-o",
        "cut",
        "--quiet",
        "--workers",
        "1",
    ];
    // A kill may come late on a fast machine: then the recording is complete, and it is tried again.
    let killed = (0..20).any(|_| {
        let _ = fs::remove_dir_all(&cut);
        let mut child = costate(parent, &args)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        while !cut.join("data/2").exists() && began.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        fs::read_to_string(cut.join("meta.json"))
            .unwrap()
            .contains("\"recording\"")
    });
    assert!(killed);
    for command in ["info", "check"] {
        let said = succeed(parent, &["demos", command, "cut"]);
        assert!(
            said.contains("unfinished: ") && said.contains("of 60 episodes"),
            "{said}"
        );
        assert!(said.contains("costate record --resume -o cut"), "{said}");
    }
    assert!(cut.join("data/metadata.json").exists());
    let args = [
        "train",
        "cut",
        "--algo",
        "bc",
        "--set",
        "iterations=1",
        "-o",
        "r",
    ];
    let trained = run(parent, &args);
    let said = String::from_utf8(trained.stderr).unwrap();
    assert!(
        trained.status.success() && said.contains("unfinished: "),
        "{said}"
    );
    fail(
        parent,
        &["record", "--append", "-o", "cut"],
        2,
        &["unfinished", "--resume"],
    );
    fail(
        parent,
        &["record", "--resume", "--seed", "3", "-o", "cut"],
        2,
        &["seed 0", "leave out"],
    );
    succeed(parent, &["record", "--resume", "-o", "cut"]);
    assert_eq!(contents(&cut), contents(&parent.join("whole")));
}

#[test]
fn doubtful_recordings_are_named() {
    let parent = tempdir().unwrap();
    let parent = parent.path();
    let args = [
        "record",
        "pendulum",
        "-n",
        "3",
        "--set",
        "env.task.horizon=5",
        "-o",
        "d",
        "--json",
    ];
    let output = run(parent, &args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("episodes are solved") && said.contains("env.task.horizon"),
        "{said}"
    );
    let checked = succeed(parent, &["demos", "check", "d"]);
    assert!(
        checked.contains("remark: only") && checked.contains("episodes of 5 of 5 steps"),
        "{checked}"
    );
}

#[test]
fn a_renamed_dataset_is_described_to_minari_anew() {
    let parent = tempdir().unwrap();
    let parent = parent.path();
    record(parent, "swing-v0", &["-n", "1"]);
    fs::rename(parent.join("swing-v0"), parent.join("other-v1")).unwrap();
    let said = succeed(parent, &["demos", "check", "other-v1"]);
    assert!(
        said.contains("calls itself `swing-v0`") && said.contains("--fix"),
        "{said}"
    );
    let said = succeed(parent, &["demos", "check", "--fix", "other-v1"]);
    assert!(!said.contains("calls itself"), "{said}");
    let minari = fs::read_to_string(parent.join("other-v1/data/metadata.json")).unwrap();
    assert_eq!(json(&minari)["dataset_id"], "other-v1");
}

#[test]
fn a_recording_that_was_killed_is_left_at_what_it_has() {
    let parent = tempdir().unwrap();
    let at = parent.path();
    let five = |folder, variable: &str, value: &str| {
        let mut five = costate(at, &["record", "pendulum", "--set", SHORT, "-n", "5"]);
        five.args(["-o", folder, "--workers", "1"])
            .env(variable, value);
        five.output().unwrap()
    };
    five("all", "COSTATE_FAULT_LOG", "operations.log");
    let operations = fs::read_to_string(at.join("operations.log")).unwrap();
    let writes = |line: &str| line.starts_with("write ") && line.ends_with(".parquet");
    let lines = operations.lines().enumerate();
    let fourth = lines.filter(|(_, line)| writes(line)).nth(3).unwrap().0 + 1;
    let killed = five("cut", "COSTATE_FAULT", &format!("torn@{fourth}"));
    assert!(!killed.status.success());
    let half_written = || {
        let inside = fs::read_dir(at.join("cut/data")).unwrap().flatten();
        let mut names = inside.map(|e| e.file_name().into_string().unwrap());
        names.any(|name| name.ends_with(".tmp"))
    };
    assert!(half_written(), "{killed:?}");
    let told = json(&succeed(
        at,
        &["demos", "repair", "cut", "--json", "--quiet"],
    ));
    let count = told["episodes"].as_u64().unwrap();
    assert!(
        told["completed"] == true && (1..5).contains(&count),
        "{told}"
    );
    assert_eq!(told["planned_episodes"], 5);
    assert!(!half_written());
    let told = succeed(at, &["demos", "repair", "cut"]);
    assert!(told.starts_with("nothing to mend"), "{told}");
    // As a recording of so many from the start.
    record(at, "whole", &["-n", &count.to_string()]);
    let episodes = |folder: &str| -> Vec<_> {
        let all = contents(&at.join(folder)).into_iter();
        all.filter(|(name, _)| name != "meta.json").collect()
    };
    assert_eq!(episodes("cut"), episodes("whole"));
    succeed(at, &["demos", "check", "cut"]);
}

#[test]
fn damaged_episodes_are_named_and_left_out_if_asked() {
    let parent = tempdir().unwrap();
    let at = parent.path();
    record(at, "swing", &["-n", "4"]);
    let file = at.join("swing/data/1/part-0.parquet");
    let sound = fs::read(&file).unwrap();
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 16;
    fs::write(&file, &damaged).unwrap();
    let expected = ["1 of 4 episodes", "data/1/part-0.parquet", "--drop-damaged"];
    fail(at, &["demos", "repair", "swing"], 1, &expected);
    assert_eq!(
        fs::read(&file).unwrap(),
        damaged,
        "nothing is changed unasked"
    );
    let told = succeed(at, &["demos", "repair", "swing", "--drop-damaged"]);
    assert!(told.contains("left out damaged episodes: 1"), "{told}");
    succeed(at, &["demos", "check", "swing"]);
    let info = json(&succeed(at, &["demos", "info", "swing", "--json"]));
    assert_eq!(info["episodes"], 3);
    // What was there is still there.
    assert_eq!(
        fs::read(at.join("swing.damaged/data/1/part-0.parquet")).unwrap(),
        damaged
    );
    // An empty and a foreign folder are none.
    fs::create_dir(at.join("empty")).unwrap();
    fail(at, &["demos", "repair", "empty"], 2, &["empty"]);
}

#[test]
fn an_episode_that_fails_is_kept_and_shown() {
    let parent = tempdir().unwrap();
    let at = parent.path();
    let expert = "torque = log(0.9 - sin*sin)";
    let args = [
        "record", "pendulum", "-n", "2", "--expert", expert, "-o", "swing", "--quiet",
    ];
    fail(
        at,
        &args,
        1,
        &["torque is NaN", "seed", "step", "swing/failed-episode.json"],
    );
    let shown = run(
        at,
        &["view", "swing/failed-episode.json", "--png", "failed.png"],
    );
    let said = String::from_utf8_lossy(&shown.stderr).into_owned();
    assert!(
        shown.status.success() && said.contains("torque is NaN"),
        "{said}"
    );
    assert!(at.join("failed.png").exists());
    fs::write(at.join("other.json"), "{}").unwrap();
    fail(
        at,
        &["view", "other.json", "--png", "x.png"],
        1,
        &["failed-episode.json"],
    );
}
