//! Commands cut short at their file operations, one by one: nothing is lost, nothing is wrong in silence.
//!
//! `COSTATE_FAULT` says where they fail. Here at some places; at all of them, and killed at random moments, with the
//! counts kept in benches/reliability, by `cargo xtask test --test crash -- --ignored --nocapture --test-threads 1`.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{copy_folder, costate, succeed};
use costate_envs::rng::{Stream, stream};
use rand::RngExt;
use serde_json::{Value, json};

/// Whether a fault can strike an operation.
type Strikes = fn(&str) -> bool;

/// What strikes.
const KINDS: [(&str, Strikes); 5] = [
    ("kill", |_| true),
    ("fail", |_| true),
    ("lost", |_| true),
    ("torn", |operation| {
        ["write", "append", "remove-folder"].contains(&operation)
    }),
    ("full", |operation| {
        ["write", "append", "create", "create-folder"].contains(&operation)
    }),
];

/// How a command that was cut short is finished.
#[derive(Clone, Copy)]
enum Finish {
    /// By the same command again.
    Again,
    /// By the same command again, unless its output is there, and is then complete.
    UnlessThere(&'static str),
    /// By the second command where there is the file, by the same command where there is not.
    Resume(&'static str, &'static str),
    /// By this command, after which the result is that of the command or that without it.
    Either(&'static str),
}

/// A command, which is cut short.
struct Scenario {
    name: &'static str,
    command: &'static str,
    finish: Finish,
    /// What has to be the same in the end as without a fault.
    results: &'static [&'static str],
    /// Commands that read what is there: they work, or refuse in a line.
    readers: &'static [&'static str],
}

const LEARN: &str =
    "--set iterations=3 --checkpoint-every 2 --set trajectories=4 --set validation.policies=0";

const fn scenario(name: &'static str, command: &'static str) -> Scenario {
    Scenario {
        name,
        command,
        finish: Finish::Again,
        results: &[],
        readers: &[],
    }
}

const SCENARIOS: [Scenario; 24] = [
    Scenario {
        finish: Finish::Resume("new/meta.json", "record --resume -o new"),
        results: &["new"],
        readers: &["demos info new", "demos check new"],
        ..scenario("record", "record lq -n 3 -o new")
    },
    Scenario {
        finish: Finish::Either("record --resume -o demos"),
        results: &["demos"],
        readers: &["demos info demos", "demos check demos"],
        ..scenario("record more", "record --append -n 2 -o demos")
    },
    Scenario {
        finish: Finish::Resume("begun/meta.json", "record --resume -o begun"),
        results: &["begun"],
        readers: &["demos info begun"],
        ..scenario("record the rest", "record --resume -o begun")
    },
    Scenario {
        results: &["begun"],
        readers: &["demos info begun"],
        ..scenario("repair", "demos repair begun")
    },
    Scenario {
        finish: Finish::UnlessThere("table"),
        results: &["table"],
        ..scenario(
            "import",
            "demos import rows.csv --observations x,y --actions u --dt 0.1 --episode run -o table",
        )
    },
    Scenario {
        finish: Finish::UnlessThere("both"),
        results: &["both"],
        ..scenario("merge", "demos merge demos demos -o both")
    },
    Scenario {
        finish: Finish::UnlessThere("parts"),
        results: &["parts"],
        ..scenario("split", "demos split demos --validation 0.4 -o parts")
    },
    Scenario {
        finish: Finish::UnlessThere("long"),
        results: &["long"],
        ..scenario("filter", "demos filter demos --length 1..500 -o long")
    },
    Scenario {
        finish: Finish::Either("demos repair demos"),
        results: &["demos"],
        readers: &["demos info demos"],
        ..scenario("edit in place", "demos edit demos --tag good --in-place")
    },
    Scenario {
        finish: Finish::UnlessThere("demos-v0"),
        results: &["demos-v0"],
        ..scenario(
            "export to Minari",
            "demos export demos --to minari -o demos-v0",
        )
    },
    Scenario {
        finish: Finish::UnlessThere("lerobot"),
        results: &["lerobot"],
        ..scenario(
            "export to LeRobot",
            "demos export demos --to lerobot -o lerobot",
        )
    },
    Scenario {
        finish: Finish::UnlessThere("rows.npz"),
        results: &["rows.npz"],
        ..scenario("export to npz", "demos export demos --to npz -o rows.npz")
    },
    Scenario {
        finish: Finish::Resume("clone/config.json", "train --resume -o clone"),
        results: &["clone"],
        readers: &["diagnose clone", "report clone -o away.html"],
        ..scenario(
            "train bc",
            "train demos --algo bc --set iterations=3 --checkpoint-every 2 -o clone",
        )
    },
    Scenario {
        finish: Finish::Resume("gail/config.json", "train --resume -o gail"),
        results: &["gail"],
        readers: &[
            "diagnose gail",
            "evaluate gail -n 2 --no-robustness -o away",
        ],
        ..scenario("train gail", "train demos --algo gail LEARN -o gail")
    },
    Scenario {
        finish: Finish::Resume("gcl/config.json", "train --resume -o gcl"),
        results: &["gcl"],
        ..scenario(
            "train gan-gcl, validate",
            "train demos --algo gan-gcl LEARN --set validation.policies=1 \
             --set validation.iterations=2 -o gcl",
        )
    },
    Scenario {
        finish: Finish::Resume("soft/config.json", "train --resume -o soft"),
        results: &["soft"],
        ..scenario(
            "train iq-learn",
            "train demos --algo iq-learn --set iterations=3 --set trajectories=2 --set sac.gradient_steps=10 \
             --set clone_steps=10 --set cost_steps=5 --checkpoint-every 2 -o soft",
        )
    },
    Scenario {
        finish: Finish::Resume("rl/config.json", "train --resume -o rl"),
        results: &["rl"],
        ..scenario(
            "train rl on a learned cost",
            "train --algo rl --env lq --cost trained:1 --set iterations=3 --set trajectories=4 \
             --checkpoint-every 2 -o rl",
        )
    },
    Scenario {
        finish: Finish::Resume(
            "trained/config.json",
            "train --resume -o trained --set iterations=5",
        ),
        results: &["trained"],
        readers: &["evaluate trained -n 2 --no-robustness -o away"],
        ..scenario("resume", "train --resume -o trained --set iterations=5")
    },
    Scenario {
        results: &["trained"],
        ..scenario("evaluate", "evaluate trained -n 2 --no-robustness")
    },
    Scenario {
        results: &["page.html", "pictures"],
        ..scenario("report", "report trained -o page.html --pictures pictures")
    },
    Scenario {
        results: &["exported"],
        ..scenario(
            "export a policy",
            "export trained --to onnx,c,safetensors -o exported",
        )
    },
    Scenario {
        results: &["dot.gif"],
        ..scenario("view", "view trained --gif dot.gif --steps 3 --size 64")
    },
    Scenario {
        results: &["energy"],
        ..scenario("ebm", "ebm points.csv --set rounds=1 -o energy")
    },
    Scenario {
        results: &["cells"],
        ..scenario(
            "bench",
            "bench results --envs lq --methods bc --seeds 0 -o cells --work work",
        )
    },
];

/// Commands shorter than they are.
fn arguments(command: &str) -> Vec<String> {
    let command = command.replace("LEARN", LEARN);
    command.split_whitespace().map(str::to_owned).collect()
}

fn command(at: &Path, line: &str, variables: &[(&str, &str)]) -> Output {
    let arguments = arguments(line);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = costate(at, &arguments);
    command.arg("--quiet").envs(variables.iter().copied());
    command.output().expect("the binary starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// What all scenarios begin with: `demos`, an unfinished recording `begun`, a run `trained`, tables.
fn beginning(at: &Path) {
    let quiet = |line: &str| {
        let line = arguments(&format!("{line} --quiet"));
        succeed(at, &line.iter().map(String::as_str).collect::<Vec<_>>());
    };
    quiet("record lq -n 5 -o demos");
    quiet("train demos --algo gail LEARN -o trained");
    let killed = command(
        at,
        "record lq -n 3 -o begun",
        &[("COSTATE_FAULT", "torn@45")],
    );
    assert!(said(&killed).contains("torn 45"), "{}", said(&killed));
    let row = |i: usize| format!("{},{},{},{}\n", i / 6, i as f64 * 0.1, i % 5, i % 3);
    let rows: String = (0..30).map(row).collect();
    fs::write(at.join("rows.csv"), format!("run,x,y,u\n{rows}")).unwrap();
    let point = |i: usize| {
        format!(
            "{},{}\n",
            (i * 37 % 100) as f64 / 50.0,
            (i * 61 % 89) as f64 / 40.0
        )
    };
    let points: String = (0..120).map(point).collect();
    fs::write(at.join("points.csv"), format!("a,b\n{points}")).unwrap();
}

/// A value without times, dates and folders, which differ from one run to the next.
fn lasting(value: Value) -> Value {
    let passing = |key: &str| {
        key.contains("second")
            || key.contains("steps_per")
            || [
                "path",
                "resumed",
                "run",
                "date",
                "when",
                "memory_mib",
                "peak_mib",
                "host",
                "cpu",
                // Of a text with folders and dates.
                "seal",
            ]
            .contains(&key)
    };
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter(|(key, _)| !passing(key));
            Value::Object(kept.map(|(key, v)| (key, lasting(v))).collect())
        }
        Value::Array(values) => values.into_iter().map(lasting).collect(),
        other => other,
    }
}

/// The contents of files below a path, by their names. Not those that tell times: TensorBoard's and states.
fn contents(root: &Path, path: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap().flatten() {
            contents(root, &entry.path(), into);
        }
        return;
    }
    let Ok(bytes) = fs::read(path) else { return };
    let name = path.file_name().unwrap().to_str().unwrap();
    let of_lines = |bytes: &[u8]| -> Vec<u8> {
        let lines = std::str::from_utf8(bytes).unwrap().lines();
        let lines = lines.map(|l| lasting(serde_json::from_str(l).unwrap()).to_string() + "\n");
        lines.collect::<String>().into_bytes()
    };
    let kept = match name {
        ".lock" | "state.safetensors" => return,
        // Left by a kill, and gone with the next write of that file, or with `costate demos repair`.
        _ if name.ends_with(".tmp") => return,
        _ if name.starts_with("events.out") => return,
        // They say how long runs took.
        "page.html" | "report.json" | "README.md" => Vec::new(),
        _ if name.contains("speed") || name.contains("time") => Vec::new(),
        _ if name.ends_with(".jsonl") => of_lines(&bytes),
        _ if name.ends_with(".json") => {
            let value = serde_json::from_slice(&bytes)
                .unwrap_or_else(|e| panic!("{}: torn ({e})", path.display()));
            lasting(value).to_string().into_bytes()
        }
        _ => bytes,
    };
    into.insert(path.strip_prefix(root).unwrap().to_owned(), kept);
}

fn results(scenario: &Scenario, at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for result in scenario.results {
        contents(at, &at.join(result), &mut found);
    }
    found
}

fn difference(one: &BTreeMap<PathBuf, Vec<u8>>, other: &BTreeMap<PathBuf, Vec<u8>>) -> String {
    let names = one.keys().chain(other.keys());
    let different = names.filter(|name| one.get(*name) != other.get(*name));
    let mut names: Vec<String> = different.map(|n| n.display().to_string()).collect();
    names.sort();
    names.dedup();
    names.join(", ")
}

/// The operations of a command, and its results.
struct Reference {
    before: BTreeMap<PathBuf, Vec<u8>>,
    after: BTreeMap<PathBuf, Vec<u8>>,
    operations: Vec<String>,
}

impl Reference {
    fn of(scenario: &Scenario, base: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        copy_folder(base, at);
        let before = results(scenario, at);
        let log = at.join("operations.log");
        let output = command(
            at,
            scenario.command,
            &[("COSTATE_FAULT_LOG", log.to_str().unwrap())],
        );
        assert!(
            output.status.success(),
            "{}: {}",
            scenario.name,
            said(&output)
        );
        let lines = fs::read_to_string(log).unwrap();
        let operations = lines
            .lines()
            .map(|l| l.split(' ').next().unwrap().to_owned());
        let reference = Self {
            before,
            after: results(scenario, at),
            operations: operations.collect(),
        };
        assert!(!reference.operations.is_empty(), "{}", scenario.name);
        assert!(!reference.after.is_empty(), "{}", scenario.name);
        reference
    }
}

/// How a fault ended: it never came, or it did, and all was well or not.
enum Ended {
    NotReached,
    Well,
    Wrong(String),
}

fn strike(scenario: &Scenario, reference: &Reference, base: &Path, kind: &str, at: usize) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    copy_folder(base, here);
    let output = command(
        here,
        scenario.command,
        &[("COSTATE_FAULT", &format!("{kind}@{at}"))],
    );
    let error = said(&output);
    if !error.contains(&format!("COSTATE_FAULT: {kind} {at}")) {
        return Ended::NotReached;
    }
    let wrong = |what: String| Ended::Wrong(format!("{}, {kind} {at}: {what}", scenario.name));
    let survives = ["fail", "full"].contains(&kind);
    if error.contains("panicked") {
        return wrong(error);
    }
    if survives && output.status.code() == Some(0) && results(scenario, here) != reference.after {
        return wrong("success is claimed, but the results differ".into());
    }
    if survives && !matches!(output.status.code(), Some(0 | 1)) {
        return wrong(format!("{:?}: {error}", output.status));
    }
    // What a failure leaves, kills leave as well.
    for reader in scenario.readers.iter().filter(|_| !survives) {
        let output = command(here, reader, &[]);
        if !matches!(output.status.code(), Some(0..=2)) || said(&output).contains("panicked") {
            return wrong(format!("then `{reader}`: {}", said(&output)));
        }
    }
    let (line, either) = match scenario.finish {
        Finish::Again => (scenario.command, false),
        Finish::UnlessThere(output) if here.join(output).exists() => ("", false),
        Finish::UnlessThere(_) => (scenario.command, false),
        Finish::Resume(file, resume) if here.join(file).exists() => (resume, false),
        Finish::Resume(..) => (scenario.command, false),
        Finish::Either(line) => (line, true),
    };
    if !line.is_empty() {
        let output = command(here, line, &[]);
        if !output.status.success() {
            return wrong(format!("then `{line}`: {}", said(&output)));
        }
    }
    let found = results(scenario, here);
    if found == reference.after || either && found == reference.before {
        return Ended::Well;
    }
    wrong(format!(
        "in the end differ: {}",
        difference(&found, &reference.after)
    ))
}

/// At how many places each kind of fault strikes a command, evenly spread.
#[derive(Clone, Copy)]
enum Places {
    One,
    AtMost(usize),
}

impl Places {
    /// Those of a kind, the k-th, among the operations that it strikes.
    fn of(self, k: usize, struck: &[usize]) -> Vec<usize> {
        match self {
            // At another place by each kind.
            Self::One => vec![struck[(2 * k + 1) * struck.len() / (2 * KINDS.len())]],
            Self::AtMost(most) => {
                let count = most.min(struck.len());
                (0..count)
                    .map(|i| struck[i * struck.len() / count])
                    .collect()
            }
        }
    }
}

/// Strikes every scenario; returns counts by scenario and kind.
fn strike_all(scenarios: &[Scenario], chosen: Places) -> BTreeMap<String, BTreeMap<String, usize>> {
    let base = tempfile::tempdir().unwrap();
    beginning(base.path());
    let counts = Mutex::new(BTreeMap::<String, BTreeMap<String, usize>>::new());
    let wrongs = Mutex::new(Vec::new());
    for scenario in scenarios {
        let reference = Reference::of(scenario, base.path());
        let mut places = Vec::new();
        for (k, (kind, strikes)) in KINDS.iter().enumerate() {
            let struck = (1..=reference.operations.len())
                .filter(|at| strikes(&reference.operations[at - 1]));
            let struck: Vec<usize> = struck.collect();
            places.extend(chosen.of(k, &struck).into_iter().map(|at| (*kind, at)));
        }
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while let Some((kind, at)) = places.get(next.fetch_add(1, Ordering::SeqCst)) {
                        match strike(scenario, &reference, base.path(), kind, *at) {
                            Ended::NotReached => continue,
                            Ended::Well => {}
                            Ended::Wrong(what) => {
                                eprintln!("WRONG {what}");
                                wrongs.lock().unwrap().push(what);
                            }
                        }
                        let mut counts = counts.lock().unwrap();
                        let counts = counts.entry(scenario.name.into()).or_default();
                        *counts.entry((*kind).into()).or_default() += 1;
                    }
                });
            }
        });
        let struck = counts.lock().unwrap().get(scenario.name).cloned();
        eprintln!(
            "{}: {} operations, {struck:?}",
            scenario.name,
            reference.operations.len()
        );
    }
    let wrongs = wrongs.into_inner().unwrap();
    assert!(
        wrongs.is_empty(),
        "{} wrong:\n{}",
        wrongs.len(),
        wrongs.join("\n")
    );
    counts.into_inner().unwrap()
}

#[test]
fn a_fault_at_some_file_operations_of_every_command_costs_nothing() {
    strike_all(&SCENARIOS, Places::One);
}

#[test]
fn a_benchmark_records_anew_where_a_recording_ended_within_its_first_episode() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let record = "record lq -n 2 -o work/demonstrations/lq";
    let log = here.join("operations.log");
    let logged = [("COSTATE_FAULT_LOG", log.to_str().unwrap())];
    assert!(command(here, record, &logged).status.success());
    let operations = fs::read_to_string(log).unwrap();
    let first = operations.lines().position(|l| l.contains("part-0"));
    fs::remove_dir_all(here.join("work")).unwrap();
    let fault = format!("kill@{}", first.unwrap() + 1);
    command(here, record, &[("COSTATE_FAULT", &fault)]);
    assert!(here.join("work/demonstrations/lq/meta.json").exists());
    let opened = command(here, "demos info work/demonstrations/lq", &[]);
    assert!(said(&opened).contains("no episodes"), "{}", said(&opened));
    let bench =
        "bench results --envs lq --methods bc --demonstrations 5 --seeds 0 -o cells --work work";
    let output = command(here, bench, &[]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
#[ignore = "all places take hours"]
fn a_fault_at_any_file_operation_of_any_command_costs_nothing() {
    let only = std::env::var("COSTATE_SCENARIOS").unwrap_or_default();
    let most = std::env::var("COSTATE_PLACES").map_or(usize::MAX, |n| n.parse().unwrap());
    let chosen = SCENARIOS
        .into_iter()
        .filter(|s| only.is_empty() || only.split(',').any(|o| o == s.name));
    let counts = strike_all(&chosen.collect::<Vec<_>>(), Places::AtMost(most));
    let total: usize = counts.values().flat_map(BTreeMap::values).sum();
    println!("{total} faults, each finished as if it had not been");
    if only.is_empty() {
        keep(
            "faults.json",
            &json!({ "total": total, "wrong": 0, "most_places_of_a_kind": most, "by_command": counts }),
        );
    }
}

/// Keeps figures for docs/reliability.md.
fn keep(name: &str, figures: &Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reliability");
    fs::create_dir_all(&folder).unwrap();
    let text = serde_json::to_string_pretty(figures).unwrap();
    fs::write(folder.join(name), text + "\n").unwrap();
}

/// Every algorithm, in runs of about a second.
const TRAININGS: [(&str, &str); 21] = [
    ("bc", "demos --algo bc --set iterations=30"),
    ("ibc", "demos --algo ibc --set iterations=12"),
    ("flow-bc", "demos --algo flow-bc --set iterations=12"),
    ("dagger", "demos --algo dagger --set iterations=6"),
    (
        "gan-gcl",
        "demos --algo gan-gcl --set iterations=8 --set validation.policies=0",
    ),
    (
        "gan-gcl, validated",
        "demos --algo gan-gcl --set iterations=3 --set validation.policies=2 --set validation.iterations=4",
    ),
    (
        "gan-gcl, past policies",
        "demos --algo gan-gcl --set iterations=8 --set validation.policies=0 --set past_policies=3",
    ),
    ("gcl", "demos --algo gcl --set iterations=8"),
    ("airl", "demos --algo airl --set iterations=8"),
    ("gail", "demos --algo gail --set iterations=10"),
    (
        "gail by sac",
        "demos --algo gail --set iterations=5 --set improvement=sac --set sac.gradient_steps=40",
    ),
    (
        "gail-alone",
        "demos --algo gail-alone --set iterations=6 --set validation.policies=0",
    ),
    (
        "density-ratio",
        "demos --algo density-ratio --set iterations=8",
    ),
    ("preferences", "demos --algo preferences --set iterations=6"),
    ("sfm", "demos --algo sfm --set iterations=6"),
    (
        "iq-learn",
        "demos --algo iq-learn --set iterations=6 --set sac.gradient_steps=40 --set clone_steps=40 --set cost_steps=10",
    ),
    (
        "ls-iq",
        "demos --algo ls-iq --set iterations=6 --set sac.gradient_steps=40 --set clone_steps=40 --set cost_steps=10",
    ),
    (
        "sqil",
        "demos --algo sqil --set iterations=6 --set sac.gradient_steps=40 --set clone_steps=40 --set cost_steps=10",
    ),
    (
        "rl",
        "--algo rl --env lq --cost true:1.0 --set iterations=10",
    ),
    (
        "rl by sac",
        "--algo rl --env lq --cost true:1.0 --set iterations=5 --set improvement=sac --set sac.gradient_steps=40",
    ),
    ("gcl-lqg", "points --algo gcl-lqg --set iterations=2"),
];

/// Kills one training again and again, at random moments, and lets it come to its end; returns how often.
fn kill_and_resume(at: &Path, training: &str, whole: Duration, rng: &mut Stream) -> usize {
    let run = at.join("killed");
    let _ = fs::remove_dir_all(&run);
    let mut kills = 0;
    for attempt in 0.. {
        let line = match run.join("config.json").exists() {
            true => "train --resume -o killed".to_owned(),
            false => format!("train {training} --checkpoint-every 2 -o killed"),
        };
        let workers = rng.random_range(1..=3);
        let arguments = arguments(&format!("{line} --quiet --workers {workers}"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = costate(at, &arguments).spawn().unwrap();
        if attempt < 3 {
            std::thread::sleep(whole.mul_f64(rng.random_range(0.02..0.9)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                child.wait().unwrap();
                kills += 1;
                continue;
            }
        }
        assert!(
            child.wait().unwrap().success(),
            "{line}, after {kills} kills"
        );
        break;
    }
    kills
}

#[test]
#[ignore = "hundreds of trainings take half an hour"]
fn trainings_killed_at_random_moments_end_as_if_they_had_not_been() {
    let base = tempfile::tempdir().unwrap();
    let at = base.path();
    beginning(at);
    succeed(
        at,
        &["record", "point_mass", "-n", "6", "-o", "points", "--quiet"],
    );
    let only = std::env::var("COSTATE_TRAININGS").unwrap_or_default();
    let trials: usize = std::env::var("COSTATE_TRIALS").map_or(5, |n| n.parse().unwrap());
    let mut counts = BTreeMap::new();
    for (name, training) in TRAININGS {
        if !only.is_empty() && !only.split(';').any(|o| o == name) {
            continue;
        }
        let _ = fs::remove_dir_all(at.join("whole"));
        let began = Instant::now();
        let line = format!("train {training} --checkpoint-every 2 -o whole");
        let output = command(at, &line, &[]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        let (whole, mut expected) = (began.elapsed(), BTreeMap::new());
        contents(&at.join("whole"), &at.join("whole"), &mut expected);
        let mut rng = stream(7, name, 0);
        let mut kills = 0;
        for trial in 0..trials {
            kills += kill_and_resume(at, training, whole, &mut rng);
            let mut found = BTreeMap::new();
            contents(&at.join("killed"), &at.join("killed"), &mut found);
            let different = difference(&found, &expected);
            assert!(different.is_empty(), "{name}, trial {trial}: {different}");
        }
        eprintln!("{name}: {trials} trainings, {kills} kills, all as in {whole:.1?} without");
        counts.insert(name, json!({ "trainings": trials, "kills": kills }));
    }
    let total: u64 = counts.values().map(|c| c["kills"].as_u64().unwrap()).sum();
    println!("{total} kills, 0 differences");
    if only.is_empty() {
        keep(
            "kills.json",
            &json!({ "kills": total, "differences": 0, "by_training": counts }),
        );
    }
}
