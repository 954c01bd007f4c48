//! The documented world of one's own works with every command.

mod common;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs the example's command line in `folder`.
fn crane(folder: &Path, args: &[&str]) -> String {
    let out = common::crane(folder, args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{args:?}: {}", text(&out.stderr));
    text(&out.stdout)
}

#[test]
fn a_registered_world_works_with_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert!(crane(here, &["envs"]).contains("crane"));
    let one = crane(here, &["envs", "crane", "--set", "env.load.mass_kg=3"]);
    assert!(one.contains("env.bodies.load.mass_kg"), "{one}");
    let recorded = crane(
        here,
        &["record", "crane", "-n", "3", "-o", "cranes", "--json"],
    );
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    let figure = |name: &str| recorded[name].as_f64().unwrap();
    assert!(
        figure("expert_return") > figure("random_return") + 100.0,
        "{recorded}"
    );
    assert_eq!(figure("success_rate"), 1.0);
    crane(here, &["demos", "check", "cranes"]);
    let train = "train cranes --algo gan-gcl --set iterations=2 --set trajectories=8 --set validation.policies=0 -o run";
    crane(here, &train.split(' ').collect::<Vec<_>>());
    let expert = "expert crane --set iterations=2 --set trajectories=8 -o own";
    crane(here, &expert.split(' ').collect::<Vec<_>>());
    crane(
        here,
        &[
            "record", "crane", "--expert", "own", "-n", "2", "-o", "others",
        ],
    );
    crane(here, &["evaluate", "run", "--episodes", "4"]);
    crane(here, &["report", "run", "-o", "report.html"]);
    assert!(here.join("report.html").is_file());
}

#[test]
fn the_example_is_a_package_of_its_own() {
    let manifest = Path::new(ROOT).join("docs/custom-environment/Cargo.toml");
    let out = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .arg("--manifest-path")
        .arg(manifest)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let metadata: Value = serde_json::from_slice(&out.stdout).unwrap();
    let members = metadata["workspace_members"].as_array().unwrap();
    assert_eq!(members.len(), 1, "{members:?}");
}
