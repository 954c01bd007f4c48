//! The command line from end to end, as a process.

mod common;

use std::fs;

use common::{fail, json, run, small_dataset, succeed, train_args};

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        "demo",
        "envs",
        "record",
        "demos info",
        "demos check",
        "demos import",
        "train",
        "evaluate",
        "compare",
        "report",
        "view",
    ] {
        let mut args: Vec<&str> = command.split(' ').collect();
        args.push("--help");
        let help = succeed(folder.path(), &args);
        assert!(help.contains("Example"), "{command}: {help}");
        assert!(help.contains("--json"), "{command}: {help}");
    }
}

#[test]
fn envs_tells_spaces_units_and_experts() {
    let folder = tempfile::tempdir().unwrap();
    let all = json(&succeed(folder.path(), &["envs", "--json"]));
    let names: Vec<&str> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["name"].as_str().unwrap())
        .collect();
    for name in [
        "cart_pole",
        "cart_pole_swing_up",
        "lq",
        "pendulum",
        "point_mass",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
    for env in all.as_array().unwrap() {
        assert!(env["horizon"].as_u64().unwrap() > 0);
        assert!(env["control_period_s"].as_f64().unwrap() > 0.0);
        assert!(!env["experts"].as_array().unwrap().is_empty());
        let figure = |name: &str| env[name].as_f64().unwrap();
        assert!(figure("expert_return") > figure("random_return"));
        for space in ["observation", "action"] {
            let width = env[space]["names"].as_array().unwrap().len();
            for field in ["units", "low", "high"] {
                assert_eq!(env[space][field].as_array().unwrap().len(), width);
            }
        }
    }
    let one = json(&succeed(
        folder.path(),
        &["envs", "pendulum", "--json", "--set", "env.rod.mass_kg=2"],
    ));
    assert!(
        one["expert_return"].is_null(),
        "the shipped figure is not the changed model's"
    );
    let mass = one["parameters"].as_array().unwrap().iter().find(|p| {
        p[0].as_str().unwrap().contains("rod") && p[0].as_str().unwrap().contains("mass_kg")
    });
    assert_eq!(mass.unwrap()[1], 2.0);
    assert!(succeed(folder.path(), &["envs"]).contains("pendulum"));
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, command by command")]
fn record_train_evaluate_report() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let info = json(&succeed(at, &["demos", "info", "demos", "--json"]));
    assert!(info.to_string().contains("pendulum"));
    let check = succeed(at, &["demos", "check", "demos", "--json"]);
    assert!(
        check.contains("exact"),
        "the replay reproduces the recording: {check}"
    );

    let trained = json(&succeed(
        at,
        &train_args(&["--set", "iterations=3", "-o", "run", "--json"]),
    ));
    assert_eq!(trained["iterations"], 3);
    assert_eq!(trained["finished"], true);
    assert_eq!(trained["env_steps"], 3 * 8 * 40);
    let run_folder = at.join("run");
    for file in [
        "config.json",
        "metrics.jsonl",
        "policy.safetensors",
        "cost.safetensors",
    ] {
        assert!(run_folder.join(file).exists(), "{file}");
    }
    assert!(
        run_folder
            .join("checkpoints/000003/state.safetensors")
            .exists()
    );
    assert!(
        fs::read_dir(run_folder.join("tensorboard"))
            .unwrap()
            .count()
            == 1
    );
    let metrics = fs::read_to_string(run_folder.join("metrics.jsonl")).unwrap();
    let last = json(metrics.lines().last().unwrap());
    for field in [
        "iteration",
        "true_return",
        "discriminator_accuracy",
        "ess",
        "log_z",
        "entropy",
        "env_steps",
    ] {
        assert!(last[field].is_number(), "{field}: {last}");
    }

    let e = json(&succeed(at, &["evaluate", "run", "-n", "4", "--json"]));
    for field in [
        "expert_return",
        "random_return",
        "normalized_score",
        "spearman",
        "epic",
        "ess",
        "log_z",
        "discriminator_accuracy",
    ] {
        assert!(e[field].is_number(), "{field}: {e}");
    }
    assert_eq!(e["env"], "pendulum");
    assert_eq!(e["algo"], "gan-gcl");
    assert_eq!(e["episodes"], 4);
    assert!(e["return"]["mean"].is_number() && e["return"]["ci95"].as_array().unwrap().len() == 2);
    let policies: Vec<&str> = e["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["policy"].as_str().unwrap())
        .collect();
    assert_eq!(policies, ["expert", "random", "bc", "gan-gcl"]);
    // Evaluation repeats to the bit.
    assert_eq!(
        e,
        json(&succeed(
            at,
            &["evaluate", "run", "-n", "4", "--json", "--workers", "1"]
        ))
    );

    succeed(at, &["report", "run", "--quiet", "--pictures", "pictures"]);
    let page = fs::read_to_string(run_folder.join("report.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("gan-gcl"));
    assert!(
        !page.contains("http://") || !page.contains("src=\"http"),
        "the page is self-contained"
    );
    assert!(fs::read_dir(at.join("pictures")).unwrap().count() >= 3);

    // A moved run still evaluates, once it is told where its demonstrations are.
    fs::create_dir(at.join("elsewhere")).unwrap();
    fs::rename(&run_folder, at.join("elsewhere/run")).unwrap();
    fs::rename(at.join("demos"), at.join("elsewhere/demos")).unwrap();
    succeed(
        at,
        &[
            "evaluate",
            "elsewhere/run",
            "-n",
            "4",
            "--demos",
            "elsewhere/demos",
        ],
    );
}

#[test]
fn cloning_imitates_and_says_how_well() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let args = [
        "train",
        "demos",
        "--algo",
        "bc",
        "--set",
        "iterations=20",
        "-o",
        "bc",
        "--quiet",
    ];
    succeed(at, &args);
    let e = json(&succeed(at, &["evaluate", "bc", "-n", "4", "--json"]));
    assert!(e["normalized_score"].is_number());
    assert!(e.get("spearman").is_none(), "cloning learns no cost");
}

/// Width and height of a PNG or GIF, from its head.
fn size_of(file: &std::path::Path) -> (u64, u64) {
    let bytes = fs::read(file).unwrap();
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        let at = |i: usize| u64::from(u32::from_be_bytes(bytes[i..i + 4].try_into().unwrap()));
        (at(16), at(20))
    } else {
        assert!(bytes.starts_with(b"GIF89a"), "{}", file.display());
        let at = |i: usize| u64::from(u16::from_le_bytes(bytes[i..i + 2].try_into().unwrap()));
        (at(6), at(8))
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one picture after the other")]
fn view_pictures_environments_datasets_and_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let train = [
        "train",
        "demos",
        "--algo",
        "bc",
        "--set",
        "iterations=1",
        "-o",
        "run",
        "--quiet",
    ];
    succeed(at, &train);
    let view = |args: &[&str]| {
        let mut all = vec!["view"];
        all.extend(args);
        all.extend(["--size", "96", "--json", "--quiet"]);
        let told = json(&succeed(at, &all));
        let file = at.join(told["file"].as_str().unwrap());
        let (width, height) = size_of(&file);
        assert_eq!(width.max(height), 96);
        assert_eq!(told["width"], width);
        assert_eq!(told["height"], height);
        assert_eq!(told["bytes"], fs::metadata(&file).unwrap().len());
        assert_eq!(told["env"], "pendulum");
        told
    };
    // What the recording's seed gives, filmed anew, and the recording itself are one episode.
    let horizon = ["--set", "env.task.horizon=40"];
    let mut expert = vec!["pendulum", "--gif", "expert.gif"];
    expert.extend(horizon);
    let expert = view(&expert);
    let recorded = view(&["demos", "--gif", "recorded.gif"]);
    assert_eq!(expert["frames"], 41);
    assert_eq!(
        expert["seconds"], 3.0,
        "40 steps of 0.05 s and a second's rest"
    );
    assert_eq!(expert["return"], recorded["return"]);
    let bytes = |name: &str| fs::read(at.join(name)).unwrap();
    assert_eq!(bytes("expert.gif"), bytes("recorded.gif"));
    let other = view(&["./demos", "--episode", "3", "--gif", "recorded.gif"]);
    assert_ne!(other["return"], recorded["return"]);
    assert_ne!(bytes("expert.gif"), bytes("recorded.gif"), "overwritten");

    let still = view(&["demos", "--png", "still.png", "--at", "20"]);
    assert_eq!((&still["frames"], &still["at"]), (&1.into(), &20.into()));
    let learned = view(&["run", "--gif", "learned.gif", "--steps", "10"]);
    assert_eq!(
        (&learned["steps"], &learned["frames"]),
        (&10.into(), &11.into())
    );
    let sampled = view(&[
        "run",
        "--gif",
        "sampled.gif",
        "--steps",
        "10",
        "--stochastic",
    ]);
    assert_ne!(learned["return"], sampled["return"]);
    let again = view(&[
        "run",
        "--gif",
        "sampled.gif",
        "--steps",
        "10",
        "--seed",
        "1",
    ]);
    assert_ne!(learned["return"], again["return"]);
    let random = view(&["pendulum", "--random", "--png", "r.png", "--steps", "5"]);
    assert_eq!(random["steps"], 5);
    view(&[
        "pendulum", "--expert", "mppi", "--png", "m.png", "--steps", "1",
    ]);
    assert_eq!(
        fs::read_dir(at).unwrap().count(),
        2 + 7,
        "nothing is left beside the pictures"
    );
}

#[test]
fn view_refuses_what_it_cannot_picture() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    fs::create_dir(at.join("other")).unwrap();
    let png = ["--png", "x.png"];
    let refuse = |subject: &str, more: &[&str], parts: &[&str]| {
        let mut args = vec!["view", subject];
        args.extend(more);
        fail(at, &args, 2, parts);
    };
    refuse("lq", &[], &["--gif FILE", "--png FILE"]);
    refuse("pendulm", &png, &["pendulm", "did you mean `pendulum`"]);
    refuse("no/where", &png, &["no/where", "no such folder"]);
    refuse("other", &png, &["other", "meta.json", "config.json"]);
    let with = |more: &[&'static str]| [&png, more].concat();
    refuse("lq", &with(&["--steps", "0"]), &["--steps"]);
    refuse("lq", &with(&["--size", "9"]), &["9 pixels", "64 to 4096"]);
    refuse("lq", &with(&["--at", "41"]), &["step 41", "40 steps"]);
    refuse(
        "lq",
        &with(&["--episode", "0"]),
        &["--episode", "an environment"],
    );
    refuse("lq", &with(&["--expert", "mpi"]), &["mpi", "maxent"]);
    refuse("demos", &with(&["--seed", "1"]), &["--seed", "a dataset"]);
    refuse("run-of-none", &with(&["--variant", "x"]), &["run-of-none"]);
    refuse(
        "demos",
        &with(&["--variant", "x"]),
        &["--variant", "a dataset"],
    );
    refuse("demos", &with(&["--random"]), &["--random", "a dataset"]);
    refuse(
        "demos",
        &with(&["--episode", "4"]),
        &["4 episodes", "0 to 3"],
    );
    refuse(
        "lq",
        &["--gif", "x.gif", "--speed", "0"],
        &["--speed", "0.01"],
    );
    refuse(
        "lq",
        &["--png", "not/there/x.png"],
        &["not/there", "no folder"],
    );
    refuse("lq", &["--png", "other"], &["other", "is a folder"]);
    assert_eq!(fs::read_dir(at).unwrap().count(), 2, "no picture was begun");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{} envs | head -n 1", env!("CARGO_BIN_EXE_costate"));
    let output = std::process::Command::new("bash")
        .args(["-o", "pipefail", "-c", &script])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(run(folder.path(), &["--version"]).status.success());
}
