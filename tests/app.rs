//! The application without a command line: requests in, typed results out, the same as the command gives.

mod common;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use common::{json, succeed};
use costate::app::evaluate::Protocol;
use costate::app::train::{Shown, Source};
use costate::app::{self, Progress, Request, Target, evaluate, record, validate};
use costate::run::settings::Override;
use serde::Serialize;
use serde_json::Value;

/// Notes the stages that begin.
#[derive(Default)]
struct Stages(Mutex<Vec<String>>, AtomicBool);

impl Progress for Stages {
    fn begin(&self, stage: &str, total: usize) {
        self.0.lock().unwrap().push(format!("{stage} {total}"));
    }

    fn interrupt(&self) -> &AtomicBool {
        &self.1
    }
}

/// As `--json` prints it, without what differs from run to run: seconds and folders.
fn printed(result: &impl Serialize) -> Value {
    comparable(serde_json::to_value(result).unwrap())
}

fn comparable(mut value: Value) -> Value {
    let fields = value.as_object_mut().unwrap();
    for name in ["seconds", "dataset", "run"] {
        if let Some(field) = fields.get_mut(name) {
            *field = Value::Null;
        }
    }
    for trained in ["frozen", "base_alone", "without_base"] {
        if let Some(seconds) = value.pointer_mut(&format!("/{trained}/seconds")) {
            *seconds = Value::Null;
        }
    }
    value
}

const SETTINGS: [&str; 7] = [
    "iterations=2",
    "base_steps=20",
    "trajectories=4",
    "validation.policies=1",
    "validation.discounts=[0.97]",
    "validation.iterations=2",
    "validation.trajectories=4",
];

#[test]
fn functions_give_what_the_command_prints() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let stages = Stages::default();

    let recording = record::Request::new("point_mass", &at.join("demos"), 4, 0, 1);
    let recorded = app::record(&recording, &stages).unwrap();
    let words = "record point_mass -n 4 -o others --json";
    let words: Vec<&str> = words.split(' ').collect();
    assert_eq!(printed(&recorded), comparable(json(&succeed(at, &words))));

    let mut training = Request::imitation("gan-gcl", &at.join("demos"), &at.join("run"));
    let set = SETTINGS.iter().filter_map(|s| s.split_once('='));
    training.changes.set = set
        .map(|(key, value)| Override {
            key: key.into(),
            value: value.into(),
        })
        .collect();
    let trained = app::train(&training, &stages).unwrap();
    let mut words = vec![
        "train", "demos", "--algo", "gan-gcl", "-o", "same", "--json",
    ];
    words.extend(SETTINGS.iter().flat_map(|s| ["--set", *s]));
    assert_eq!(printed(&trained), comparable(json(&succeed(at, &words))));
    let weights = |run: &str| fs::read(at.join(run).join("fresh_policy.safetensors")).unwrap();
    assert!(weights("run") == weights("same"));

    let mut protocol = Protocol::published(2);
    protocol.episodes = 4;
    let evaluation = evaluate::Request {
        place: at.join("run"),
        protocol,
        ..evaluate::Request::default()
    };
    let evaluated = app::evaluate(&evaluation, &stages).unwrap();
    let words = ["evaluate", "same", "-n", "4", "--no-robustness", "--json"];
    assert_eq!(printed(&evaluated), comparable(json(&succeed(at, &words))));

    let heard = stages.0.into_inner().unwrap();
    let (validation, iterations) = ("validation 6", trained.worked.done.iterations);
    let training = format!("gan-gcl {iterations}");
    assert_eq!(heard[..3], ["record 4", &training, validation]);
    assert!(heard[4].starts_with("evaluation"), "{heard:?}");
}

#[test]
fn errors_are_values() {
    let folder = tempfile::tempdir().unwrap();
    let (at, never) = (folder.path(), AtomicBool::new(false));
    let recording = record::Request::new("nowhere", &at.join("demos"), 4, 0, 1);
    let error = app::record(&recording, &never).unwrap_err();
    assert_eq!(error.exit_code(), 2);

    // What has no cost cannot be validated, and what learns from a cost cannot imitate.
    let recording = record::Request::new("point_mass", &at.join("demos"), 2, 0, 1);
    app::record(&recording, &never).unwrap();
    let mut training = Request::imitation("bc", &at.join("demos"), &at.join("bc"));
    training.changes.set = vec![Override {
        key: "iterations".into(),
        value: "2".into(),
    }];
    let run = app::train(&training, &never).unwrap().worked.run;
    let demonstrations = app::Demonstrations::open(&at.join("demos")).unwrap();
    let settings = costate::run::settings::validation(&run.config().algo, "point_mass").unwrap();
    let request = validate::Request::of(&run, &demonstrations, &settings, 1);
    let error = app::validate(&request, &never).unwrap_err();
    assert!(error.to_string().contains("it learns no cost"), "{error}");
    for algo in ["rl", "ppo"] {
        training.target = Target::New {
            source: Source::Demonstrations(algo.into(), Shown::default()),
            folder: None,
            seed: 0,
        };
        assert_eq!(app::train(&training, &never).unwrap_err().exit_code(), 2);
    }
    assert!(!Path::new("runs").join("point_mass-rl-0").exists());
}
