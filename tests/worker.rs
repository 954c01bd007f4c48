//! `costate worker` and `--rollouts`: the same bits wherever episodes are played, whatever is lost on the way.

#![cfg(unix)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{SMALL, small_dataset, succeed};
use tempfile::TempDir;

const COSTATE: &str = env!("CARGO_BIN_EXE_costate");

/// Trains `run` on the small dataset, with fresh policies on the cost, and returns its policy, cost and kept fresh policy.
fn train(folder: &Path, run: &str, more: &[&str]) -> ([Vec<u8>; 3], String) {
    let mut args = vec!["train", "demos", "--algo", "gan-gcl", "-o", run];
    args.extend(SMALL);
    args.extend([
        "--set",
        "iterations=3",
        "--set",
        "validation.policies=1",
        "--set",
        "validation.iterations=2",
    ]);
    args.extend(more);
    let output = common::run(folder, &args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {said}");
    let file = |name: &str| fs::read(folder.join(run).join(name)).expect("a weights file");
    let all = ["policy", "cost", "fresh_policy"].map(|name| file(&format!("{name}.safetensors")));
    (all, said)
}

/// A script that plays the worker, with the variable `costate` in it.
fn script(folder: &Path, name: &str, lines: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, format!("costate='{COSTATE}'\n{lines}\n")).unwrap();
    format!("sh {}", path.display())
}

fn worker(more: &str) -> String {
    format!("{COSTATE} worker {more}")
}

fn refused(folder: &Path, rollouts: &str, code: i32, parts: &[&str]) {
    let mut args = vec!["train", "demos", "--algo", "gan-gcl", "-o", "refused"];
    args.extend(SMALL);
    args.extend(["--set", "iterations=2", "--rollouts", rollouts]);
    common::fail(folder, &args, code, parts);
}

/// Waits until a process file is there and names a process that is gone.
fn gone(file: &Path, within: Duration) {
    let pid = fs::read_to_string(file).expect("the worker wrote its process id");
    let until = Instant::now() + within;
    let alive = || {
        let check = Command::new("kill").args(["-0", pid.trim()]).output();
        check.is_ok_and(|o| o.status.success())
    };
    while alive() {
        assert!(Instant::now() < until, "process {pid} is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn there(file: &Path) {
    let until = Instant::now() + Duration::from_secs(60);
    while !file.exists() {
        assert!(Instant::now() < until, "{} is not there", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn policies_are_the_same_bits_wherever_episodes_are_played() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    small_dataset(path);
    let (here, _) = train(path, "here", &["--workers", "2"]);
    for (run, threads) in [("one", "--workers 1"), ("three", "--workers 3")] {
        let (elsewhere, _) = train(path, run, &["--rollouts", &worker(threads)]);
        assert!(elsewhere == here, "{threads}: other bits than here");
    }
    // Neither do runs know of it: half here, half elsewhere.
    train(path, "halves", &["--set", "iterations=1"]);
    let rest = [
        "-o",
        "halves",
        "--set",
        "iterations=3",
        "--rollouts",
        &worker(""),
    ];
    succeed(path, &[&["train", "--resume", "-q"][..], &rest].concat());
    let halves = fs::read(path.join("halves/policy.safetensors")).unwrap();
    assert!(halves == here[0], "resumed elsewhere: other bits than here");
}

#[test]
fn linear_controllers_experts_and_overlapping_rollouts_travel() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    small_dataset(path);
    let both = |name: &str, args: &[&str]| {
        let play = |run: &str, more: &[&str]| {
            succeed(path, &[args, &["-q", "-o", run], more].concat());
            fs::read(path.join(run).join("policy.safetensors")).unwrap()
        };
        let here = play(&format!("{name}-here"), &[]);
        let elsewhere = play(&format!("{name}-there"), &["--rollouts", &worker("")]);
        assert!(here == elsewhere, "{name}: other bits than here");
    };
    let overlap = [
        "train",
        "demos",
        "--algo",
        "gan-gcl",
        "--set",
        "overlap=true",
    ];
    both(
        "overlap",
        &[&overlap[..], &SMALL, &["--set", "iterations=3"]].concat(),
    );
    let lqg = "train demos --algo gcl-lqg --set iterations=2 --set conditions=2 --set cost_steps=5 \
               --set distillation_steps=5 --set last_distillation_steps=5";
    both("lqg", &lqg.split_whitespace().collect::<Vec<_>>());
    let expert = ["expert", "point_mass", "--set", "iterations=2"];
    both(
        "expert",
        &[&expert[..], &["--set", "trajectories=4"]].concat(),
    );
    // DAgger asks its expert within the episode.
    let dagger = [
        "train",
        "demos",
        "--algo",
        "dagger",
        "--set",
        "iterations=2",
    ];
    let rollouts = worker("");
    let output = common::run(path, &[&dagger[..], &["--rollouts", &rollouts]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("--rollouts has no effect"),
        "{said}"
    );
}

#[test]
fn a_worker_that_is_killed_within_a_batch_leaves_no_trace() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    small_dataset(path);
    let (here, _) = train(path, "here", &[]);
    // `dd` as it hands on every byte at once. The first one is killed once it has sent so much; what it sent at last is cut within an episode.
    for sent in [2_000, 15_000, 40_000] {
        let name = format!("killed-{sent}");
        let killed = script(
            path,
            &name,
            &format!(
                "[ -e {name}.once ] && exec \"$costate\" worker\n\
                 touch {name}.once; mkfifo {name}.pipe; exec 3<&0\n\
                 \"$costate\" worker <&3 >{name}.pipe & dd bs=1 count={sent} status=none <{name}.pipe\n\
                 kill -9 $!; wait"
            ),
        );
        let (elsewhere, said) = train(
            path,
            &name.replace("killed", "run"),
            &["--rollouts", &killed],
        );
        assert!(said.contains("it is started again and plays the"), "{said}");
        assert!(
            elsewhere == here,
            "killed after {sent} bytes: other bits than here"
        );
    }
    // One that always dies.
    let dying = script(
        path,
        "dying",
        "\"$costate\" worker | dd bs=1 count=1000 status=none",
    );
    refused(path, &dying, 1, &["given up after 3 restarts"]);
}

#[test]
fn commands_that_are_no_workers_are_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    small_dataset(path);
    refused(path, "nowhere worker", 2, &["no program `nowhere`"]);
    refused(path, "'open", 2, &["whose quotes are closed"]);
    refused(
        path,
        "echo Welcome to this machine",
        2,
        &["not understood", "ome to this machine"],
    );
    let away = script(path, "away", "echo no such host >&2; exit 255");
    refused(path, &away, 2, &["exit status: 255", "no such host"]);
    let frame = |kind: u8, content: &str| frame(kind, content.as_bytes());
    let greeting = |identity: &str| {
        frame(
            b'h',
            &format!("{{\"protocol\": 1, \"identity\": {identity}}}"),
        )
    };
    let other =
        "{\"build\": \"costate 9\", \"code\": \"1\", \"target\": \"t\", \"arithmetic\": \"0\"}";
    for (name, said, part) in [
        (
            "other",
            greeting(other),
            "another build than the learner: costate 9 [1] there",
        ),
        ("shapeless", greeting("3"), "a greeting without an identity"),
        (
            "later",
            frame(b'h', "{\"protocol\": 2, \"identity\": 3}"),
            "version 2 of the protocol",
        ),
        ("refusing", frame(b'q', "not today"), "not today"),
    ] {
        fs::write(path.join(name), said).unwrap();
        let command = script(path, &format!("{name}.sh"), &format!("cat {name}; cat >&2"));
        refused(path, &command, 2, &[part]);
    }
    assert!(!path.join("refused").exists(), "a run was created");
}

fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32 + 1).to_le_bytes();
    [&length[..], &[kind], content].concat()
}

/// What a worker makes of these bytes.
fn fed(bytes: &[u8]) -> Output {
    let mut child = Command::new(COSTATE)
        .args(["worker", "--workers", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // It may refuse before all is read.
    let _ = child.stdin.take().expect("its input").write_all(bytes);
    child.wait_with_output().expect("it ends")
}

/// The greeting of this build: a learner's, as a script keeps it.
fn greeting(folder: &Path) -> Vec<u8> {
    let keep = script(folder, "keep", "head -c 5 >learner; exit 1");
    refused(folder, &keep, 2, &["ended"]);
    let head = fs::read(folder.join("learner")).unwrap();
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) + 4;
    let keep = script(
        folder,
        "keep",
        &format!("head -c {length} >learner; exit 1"),
    );
    refused(folder, &keep, 2, &["ended"]);
    fs::read(folder.join("learner")).unwrap()
}

/// That greeting as another build would send it.
fn other_build(hello: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(&hello[5..]);
    let digit = text.find("\"code\":\"").expect("a code") + 8;
    let other = if text[digit..].starts_with('0') {
        "1"
    } else {
        "0"
    };
    let changed = [&text[..digit], other, &text[digit + 1..]].concat();
    frame(b'H', changed.as_bytes())
}

/// A Gaussian policy from one observation to one action, where the pendulum observes three numbers.
fn small_policy(clip: f32) -> Vec<u8> {
    let numbers = |values: &[f32]| -> Vec<u8> {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes());
        bytes.collect()
    };
    let one = 1_u32.to_le_bytes();
    let scales = numbers(&[0.0, 1.0, clip, 0.0, 1.0]);
    let log_std = [&[0][..], &numbers(&[0.0])].concat();
    let layer = [&one[..], &one, &numbers(&[0.5, 0.0])].concat();
    let all = [&b"G"[..], &one, &one, &scales, &log_std, &one, &layer];
    frame(b'P', &all.concat())
}

#[test]
fn requests_that_are_none_end_a_worker_with_one_error() {
    let folder = TempDir::new().unwrap();
    small_dataset(folder.path());
    let hello = greeting(folder.path());
    assert!(fed(&[]).status.success() && fed(&hello).status.success());
    let meta = common::json(&fs::read_to_string(folder.path().join("demos/meta.json")).unwrap());
    let world = frame(b'W', meta["env"].to_string().as_bytes());
    let unknown = frame(b'W', b"{\"name\": \"nowhere\", \"model\": {}}");
    let (other, small) = (other_build(&hello), small_policy);
    let jobs = frame(b'J', &[0; 25]);
    let after = |more: &[&[u8]]| [&hello[..], &more.concat()].concat();
    for (name, bytes, part) in [
        (
            "text",
            b"GET / HTTP/1.1\r\n".to_vec(),
            "expected a request of a learner",
        ),
        ("nothing claimed", vec![0; 4], "a frame of 0 bytes"),
        ("much claimed", vec![0xff; 9], "a frame of 4294967295 bytes"),
        ("cut", hello[..20].to_vec(), "ended within a request"),
        (
            "no greeting",
            jobs.clone(),
            "the first request is not a greeting",
        ),
        ("no JSON", frame(b'H', b"hello"), "a greeting that is none"),
        ("another build", other, "another build than the learner"),
        ("twice", after(&[&hello]), "a second greeting"),
        (
            "no world",
            after(&[&small(1.0)]),
            "a policy without a world",
        ),
        (
            "unknown world",
            after(&[&unknown]),
            "unknown environment `nowhere`",
        ),
        (
            "no policy",
            after(&[&world, &jobs]),
            "jobs without a world and a policy",
        ),
        ("kind", after(&[&frame(b'Z', b"")]), "a frame of kind 90"),
        (
            "misfit",
            after(&[&world, &small(1.0)]),
            "a policy from 1 observations to 1 actions, expected 3",
        ),
        (
            "clip",
            after(&[&world, &small(f32::NAN)]),
            "clipped to less than nothing",
        ),
        (
            "short",
            after(&[&world, &frame(b'P', b"G12345678")]),
            "numbers in a frame",
        ),
        ("odd jobs", after(&[&frame(b'J', &[0; 30])]), "ends"),
    ] {
        let output = fed(&bytes);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(part), "{name}: {said}");
        assert_eq!(said.lines().count(), 1, "{name}: {said}");
        // The learner is told, too.
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains(part), "{name}: {told}");
    }
}

/// A training that takes long, elsewhere, and the file with the process id of its worker.
fn long_training(folder: &Path) -> (Child, PathBuf) {
    small_dataset(folder);
    let rollouts = script(folder, "worker", "echo $$ >pid; exec \"$costate\" worker");
    let mut args = vec!["train", "demos", "--algo", "gan-gcl", "-o", "run", "-q"];
    args.extend(SMALL);
    args.extend(["--set", "iterations=100000", "--rollouts", &rollouts]);
    let child = common::costate(folder, &args)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    there(&folder.join("run/metrics.jsonl"));
    (child, folder.join("pid"))
}

#[test]
fn no_process_is_left_behind() {
    for signal in ["-INT", "-KILL"] {
        let folder = TempDir::new().unwrap();
        let (mut child, pid) = long_training(folder.path());
        let began = Instant::now();
        let sent = Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.is_ok_and(|s| s.success()));
        let status = child.wait().expect("it ends");
        let mut said = String::new();
        child
            .stderr
            .take()
            .expect("its errors")
            .read_to_string(&mut said)
            .unwrap();
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{signal}: it takes too long"
        );
        match signal {
            "-INT" => {
                assert_eq!(status.code(), Some(1), "{said}");
                assert!(said.contains("resume with"), "{said}");
            }
            _ => assert_eq!(status.code(), None),
        }
        gone(&pid, Duration::from_secs(10));
    }
}

#[test]
fn environments_of_gymnasium_are_played_elsewhere_with_their_tracebacks() {
    if std::env::var_os("COSTATE_PYTHON").is_none() {
        eprintln!("skipped: COSTATE_PYTHON names no Python with Gymnasium");
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path();
    let costate = |args: &[&str]| {
        let worlds = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gym");
        let mut command = common::costate(path, args);
        command
            .env("PYTHONPATH", worlds)
            .output()
            .expect("the binary starts")
    };
    let push = "action_0 = -2*observation_0 - 2*observation_1";
    let world = "gym:costate_test_worlds:Mass-v0";
    let record = [
        "record", world, "-n", "3", "--expert", push, "-o", "demos", "-q",
    ];
    assert!(costate(&record).status.success());
    let policy = |run: &str, more: &[&str]| {
        let train = [
            "train",
            "demos",
            "--algo",
            "gan-gcl",
            "-q",
            "--set",
            "iterations=2",
            "-o",
            run,
        ];
        let output = costate(&[&train[..], &SMALL, more].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::read(path.join(run).join("policy.safetensors")).unwrap()
    };
    let rollouts = worker("--workers 2");
    assert!(policy("here", &[]) == policy("there", &["--rollouts", &rollouts]));
    let expert = [
        "expert",
        world,
        "--set",
        "env.kwargs.fault=raise",
        "--set",
        "iterations=1",
    ];
    let output = costate(&[&expert[..], &["--rollouts", &rollouts]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("RuntimeError: the motor is on fire"),
        "{said}"
    );
}
