//! Files that earlier builds wrote (`tests/compatibility`, by its make.sh) are read, continued and evaluated; newer ones refused.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use common::{copy_folder, fail, run, succeed};
use costate::bench::CellResult;
use costate::ebm::Model;
use costate::nn::StateDict;
use serde_json::{Value, json};

/// Every version of every format that was ever written by the program. Version 2 of datasets is that of
/// programs that do not tell their build: `demos/tests/append.rs`.
const VERSIONS: [(&str, &[u64]); 9] = [
    ("dataset", &[1, 3, 4, 5, 6]),
    ("run", &[1, 2, 3]),
    ("policy", &[1]),
    ("cost", &[1, 2]),
    ("energy", &[1, 2]),
    ("energy report", &[1]),
    ("evaluation", &[1]),
    ("validation", &[1]),
    ("benchmark cell", &[2]),
];

/// Runs whose checkpoints lack what is needed today, which is said.
const NOT_RESUMED: [(&str, &str); 1] = [("2026-11-27", "bc")];

fn name_of(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compatibility")
}

/// The folders of a folder, in order.
fn folders(at: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(at).unwrap().flatten().map(|e| e.path());
    let mut folders: Vec<PathBuf> = entries.filter(|p| p.is_dir()).collect();
    folders.sort();
    folders
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap())
        .unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// What a file is, and its version; `None` for files of other kinds.
fn kind(file: &Path) -> Option<(&'static str, u64)> {
    let name = file.file_name()?.to_str()?;
    let parent = file.parent()?.file_name()?.to_str()?;
    let of = |key: &str| json_of(file)[key].as_u64();
    let header = || {
        let bytes = fs::read(file).unwrap();
        let (_, header): (_, Value) = StateDict::parse(&bytes, name).unwrap();
        header["format"].as_u64()
    };
    Some(match name {
        "meta.json" => ("dataset", of("format_version")?),
        "config.json" => ("run", of("format")?),
        "policy.safetensors" | "fresh_policy.safetensors" => ("policy", header()?),
        "cost.safetensors" => ("cost", header()?),
        "energy.safetensors" => ("energy", header()?),
        "ebm.json" => ("energy report", of("format")?),
        "evaluation.json" => ("evaluation", of("format")?),
        "validation.json" => ("validation", of("format")?),
        _ if parent == "cells" => ("benchmark cell", of("format")?),
        _ => return None,
    })
}

fn files(at: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(at).unwrap().flatten() {
        match entry.path().is_dir() {
            true => files(&entry.path(), into),
            false => into.push(entry.path()),
        }
    }
}

#[test]
fn every_version_of_every_format_is_here() {
    let mut all = Vec::new();
    for build in folders(&fixtures()) {
        files(&build, &mut all);
    }
    let mut found = BTreeMap::<&str, BTreeSet<u64>>::new();
    for (kind, version) in all.iter().filter_map(|file| kind(file)) {
        found.entry(kind).or_default().insert(version);
    }
    let expected = VERSIONS.map(|(kind, versions)| (kind, versions.iter().copied().collect()));
    assert_eq!(found, BTreeMap::from(expected));
}

#[test]
fn datasets_of_earlier_builds_are_checked_learned_from_and_added_to() {
    for build in folders(&fixtures()) {
        let scratch = tempfile::tempdir().unwrap();
        let at = scratch.path();
        for dataset in folders(&build) {
            if !dataset.join("meta.json").exists() {
                continue;
            }
            let name = name_of(&dataset);
            copy_folder(&dataset, &at.join(name));
            succeed(at, &["demos", "check", name]);
            let before = json_of(&at.join(name).join("meta.json"));
            let algo = match name {
                "observed" => "sfm",
                _ => "bc",
            };
            let run = format!("{name}-run");
            let set = ["--set", "iterations=1"];
            let words = ["train", name, "--algo", algo, "--quiet", "-o", &run];
            succeed(at, &[&words[..], &set].concat());
            if ["table", "observed"].contains(&name) {
                continue;
            }
            succeed(
                at,
                &["record", "--append", "-n", "1", "--quiet", "-o", name],
            );
            let after = json_of(&at.join(name).join("meta.json"));
            let count = |meta: &Value| meta["episodes"].as_array().unwrap().len();
            assert_eq!(count(&after), count(&before) + 1, "{}", dataset.display());
            succeed(at, &["demos", "check", name]);
        }
    }
}

#[test]
fn runs_of_earlier_builds_are_read_and_resumed() {
    for build in folders(&fixtures()) {
        let scratch = tempfile::tempdir().unwrap();
        let at = scratch.path();
        copy_folder(&build, at);
        for folder in folders(&build) {
            if !folder.join("config.json").exists() {
                continue;
            }
            let name = name_of(&folder);
            let config = json_of(&folder.join("config.json"));
            let imitates = config["demonstrations"].is_object();
            let diagnosed = run(at, &["diagnose", name]);
            assert!(
                matches!(diagnosed.status.code(), Some(0 | 1)),
                "{}: {}",
                folder.display(),
                String::from_utf8_lossy(&diagnosed.stderr)
            );
            succeed(at, &["report", name]);
            let words = ["evaluate", name, "-n", "2", "--no-robustness", "--quiet"];
            succeed(at, &[&words[..], &["--demos", "plain"]].concat());
            let words: &[&str] = match (imitates, name) {
                (_, "expert") => &["expert", "--resume", "-o", name],
                (true, _) => &["train", "plain", "--resume", "-o", name],
                (false, _) => &["train", "--resume", "-o", name],
            };
            let words = [words, &["--set", "iterations=3", "--quiet"]].concat();
            if NOT_RESUMED.contains(&(name_of(&build), name)) {
                let place = format!("{name}/checkpoints/000002");
                fail(at, &words, 1, &[&place, "resume with the build that did"]);
                continue;
            }
            succeed(at, &words);
            let lines = fs::read_to_string(at.join(name).join("metrics.jsonl")).unwrap();
            assert_eq!(lines.lines().count(), 3, "{}", folder.display());
        }
    }
}

#[test]
fn energies_and_tables_of_earlier_builds_are_read() {
    for build in folders(&fixtures()) {
        let energy = Model::read(&build.join("energy/energy.safetensors"));
        assert!(energy.is_ok(), "{}: {:?}", build.display(), energy.err());
        let mut cells = Vec::new();
        files(&build.join("cells"), &mut cells);
        for cell in cells.iter().filter(|c| kind(c).is_some()) {
            let text = fs::read_to_string(cell).unwrap();
            let read = CellResult::parse(&text, &cell.display().to_string());
            assert!(read.is_ok(), "{:?}", read.err());
        }
    }
}

#[test]
fn files_of_later_builds_are_refused() {
    let newest = folders(&fixtures()).pop().unwrap();
    let later = |file: &Path, key: &str| {
        let mut value = json_of(file);
        value[key] = json!(99);
        fs::write(file, value.to_string()).unwrap();
    };
    let scratch = tempfile::tempdir().unwrap();
    let at = scratch.path();
    copy_folder(&newest, at);
    for (file, key, words) in [
        (
            "plain/meta.json",
            "format_version",
            &["demos", "info", "plain"][..],
        ),
        ("bc/config.json", "format", &["diagnose", "bc"]),
        ("gan-gcl/evaluation.json", "format", &["report", "gan-gcl"]),
    ] {
        later(&at.join(file), key);
        let output = run(at, words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains("99"),
            "{file}: {error}"
        );
    }
}
