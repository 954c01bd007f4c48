//! Running the command as a process.

#![allow(dead_code)] // each test file uses its part

use std::env::consts::EXE_SUFFIX;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

/// The command, in a folder.
pub fn costate(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_costate"));
    command.current_dir(folder).args(args);
    command
}

/// The documented world of one's own, with Costate's commands, in a folder.
pub fn crane(folder: &Path, args: &[&str]) -> Command {
    static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
        let built = Path::new(env!("CARGO_BIN_EXE_costate")).parent().unwrap();
        let profile = match built.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            name => name,
        };
        // Of the whole workspace, as the tests are: for the package alone, features differ and all is built again.
        let arguments = ["build", "--quiet", "--workspace", "--example", "crane"];
        let status = Command::new(env!("CARGO"))
            .args(arguments)
            .args(["--profile", profile])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.expect("cargo starts").success(), "{arguments:?}");
        built.join("examples").join(format!("crane{EXE_SUFFIX}"))
    });
    let mut command = Command::new(&*PROGRAM);
    command.current_dir(folder).args(args);
    command
}

/// Copies a folder with everything in it; files of the same names are replaced.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Runs the command to its end.
pub fn run(folder: &Path, args: &[&str]) -> Output {
    costate(folder, args).output().expect("the binary starts")
}

/// Runs a command that must succeed, and returns its standard output.
pub fn succeed(folder: &Path, args: &[&str]) -> String {
    let output = run(folder, args);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "costate {args:?}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Runs a command that must fail with `code` and one line on standard error that holds every part.
pub fn fail(folder: &Path, args: &[&str], code: i32, parts: &[&str]) -> String {
    let output = run(folder, args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(
        output.status.code(),
        Some(code),
        "costate {args:?}: {error}"
    );
    let message = error.lines().last().unwrap_or_default().to_owned();
    for part in parts {
        assert!(
            message.contains(part),
            "costate {args:?}: `{part}` is not in: {error}"
        );
    }
    assert!(!error.contains("panicked"), "{error}");
    message
}

/// A small dataset `demos` of 4 pendulum episodes of 40 steps.
pub fn small_dataset(folder: &Path) {
    let args = [
        "record",
        "pendulum",
        "-n",
        "4",
        "--set",
        "env.task.horizon=40",
        "-o",
        "demos",
        "--quiet",
    ];
    succeed(folder, &args);
}

/// Settings that make training a matter of seconds.
pub const SMALL: [&str; 12] = [
    "--set",
    "validation.policies=0",
    "--set",
    "base_steps=20",
    "--set",
    "trajectories=8",
    "--set",
    "cost_steps=2",
    "--set",
    "ppo.epochs=2",
    "--set",
    "ppo.minibatch=160",
];

/// `costate train demos --algo gan-gcl` with [`SMALL`] settings and `more` arguments.
pub fn train_args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut args = vec!["train", "demos", "--algo", "gan-gcl", "--quiet"];
    args.extend(SMALL);
    args.extend(more);
    args
}

/// Standard output of `--json` as a value.
pub fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("not one JSON value ({e}): {text}"))
}
