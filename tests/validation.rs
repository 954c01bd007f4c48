//! The validation stage and the benchmark, as processes.

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use common::{fail, run, small_dataset, succeed, train_args};
use costate::app::{self, Demonstrations, Request, validate};
use costate::evaluate::Controls;
use costate::learners::frozen_cost::ValidationSettings;
use costate::run::settings::Override;
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn read(file: &Path) -> Value {
    json(&fs::read_to_string(file).unwrap())
}

const VALIDATED: [&str; 8] = [
    "--set",
    "iterations=2",
    "--set",
    "validation.policies=1",
    "--set",
    "validation.iterations=3",
    "--set",
    "validation.trajectories=4",
];

#[test]
fn fresh_policies_are_trained_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let train = |run: &str, workers: &str| {
        let mut args = train_args(&VALIDATED);
        args.extend([
            "--set",
            "validation.controls=false",
            "-o",
            run,
            "--workers",
            workers,
            "--json",
        ]);
        json(&succeed(at, &args))
    };
    let trained = train("run", "1");
    let fresh = trained["frozen"]["policies"].as_array().unwrap();
    assert_eq!(fresh.len(), 2, "one seed, two discounts");
    let run = at.join("run");
    let kept = trained["frozen"]["kept"].as_u64().unwrap() as usize;
    let soft = |i: usize| fresh[i]["soft_value"].as_f64().unwrap();
    assert!(
        soft(kept) >= soft(1 - kept),
        "the choice is by learned soft value"
    );
    let discount = fresh[kept]["discount"].as_f64().unwrap();
    let best = run.join(format!("validation/fresh-0-{discount}.safetensors"));
    let bytes = |file: &Path| fs::read(file).unwrap();
    assert_eq!(bytes(&best), bytes(&run.join("fresh_policy.safetensors")));
    assert_ne!(bytes(&best), bytes(&run.join("policy.safetensors")));
    let stored = read(&run.join("validation.json"));
    assert_eq!(stored["frozen"], trained["frozen"]);
    for part in ["base_alone", "without_base"] {
        assert!(stored[part].is_null() && trained[part].is_null(), "{part}");
    }
    assert!(stored["files"]["fresh_policy.safetensors"].is_string());

    // Bit-identical with two workers, each training its own policy.
    let others = train("two", "2");
    assert_eq!(others["frozen"]["policies"], trained["frozen"]["policies"]);
    assert_eq!(
        bytes(&best),
        bytes(&at.join(format!("two/validation/fresh-0-{discount}.safetensors")))
    );

    // Policies lost in a crash are retrained bit-identically; the others are kept.
    let other = run.join(format!(
        "validation/fresh-0-{}.safetensors",
        fresh[1 - kept]["discount"]
    ));
    let untouched = fs::metadata(&other).unwrap().modified().unwrap();
    let old = bytes(&best);
    fs::remove_file(&best).unwrap();
    fs::remove_file(run.join("validation.json")).unwrap();
    succeed(at, &["train", "--resume", "-o", "run", "--quiet"]);
    assert_eq!(bytes(&best), old);
    assert_eq!(fs::metadata(&other).unwrap().modified().unwrap(), untouched);

    // A policy trained with other settings is retrained.
    let note = best.with_extension("json");
    let mut other_settings = read(&note);
    other_settings["settings"]["iterations"] = 2.into();
    fs::write(&note, other_settings.to_string()).unwrap();
    fs::write(&best, "another policy").unwrap();
    fs::remove_file(run.join("validation.json")).unwrap();
    succeed(at, &["train", "--resume", "-o", "run", "--quiet"]);
    assert_eq!(bytes(&best), old);
    assert_eq!(read(&note)["settings"]["iterations"], 3);

    let e = json(&succeed(at, &["evaluate", "run", "-n", "4", "--json"]));
    let rows: Vec<&str> = e["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["policy"].as_str().unwrap())
        .collect();
    assert_eq!(rows.last(), Some(&"fresh, on the frozen cost"));
    assert_eq!(e["frozen"]["kept"], kept);
    let text = succeed(at, &["evaluate", "run", "-n", "4"]);
    assert!(text.contains("fresh policies on the frozen cost") && text.contains("δ"));
}

#[test]
fn controls_are_trained_once_and_kept_beside_the_whole_cost() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let mut args = train_args(&VALIDATED);
    args.extend(["-o", "run", "--json"]);
    let trained = json(&succeed(at, &args));
    let run = at.join("run");
    let fresh = trained["frozen"]["policies"].as_array().unwrap();
    let stored = || read(&run.join("validation.json"));
    let bytes = |file: &Path| fs::read(file).unwrap();
    let first = stored();
    assert!(first["standing"].is_string());
    for part in ["base_alone", "without_base"] {
        assert_eq!(first[part], trained[part]);
        let policies = trained[part]["policies"].as_array().unwrap();
        assert_eq!(policies.len(), 2, "{part}");
        for (own, whole) in policies.iter().zip(fresh) {
            assert_eq!(own["seed"], whole["seed"]);
            assert_eq!(own["discount"], whole["discount"]);
            assert!(own["return_standard_error"].as_f64().unwrap() > 0.0);
            let of = |name: &str| {
                run.join(format!(
                    "validation/{name}-0-{}.safetensors",
                    own["discount"]
                ))
            };
            assert_ne!(bytes(&of(part)), bytes(&of("fresh")), "{part}");
        }
    }

    // Kept ones are not trained again. A policy trained on one part is none on another, whatever the file is called.
    let alone = run.join("validation/base_alone-0-0.97.safetensors");
    let without = run.join("validation/without_base-0-0.97.safetensors");
    let written = |file: &Path| fs::metadata(file).unwrap().modified().unwrap();
    let (when, learned) = (written(&alone), bytes(&without));
    for kind in ["safetensors", "json"] {
        fs::copy(alone.with_extension(kind), without.with_extension(kind)).unwrap();
    }
    fs::remove_file(run.join("validation.json")).unwrap();
    succeed(at, &["train", "--resume", "-o", "run", "--quiet"]);
    let resumed = stored();
    assert_eq!((written(&alone), bytes(&without)), (when, learned));
    assert_eq!(resumed["frozen"], first["frozen"]);
    assert_eq!(resumed["base_alone"], first["base_alone"]);
    assert_eq!(resumed["standing"], first["standing"]);

    let shown = |more: &[&str]| {
        let mut args = vec!["evaluate", "run", "-n", "4", "--no-robustness"];
        args.extend(more);
        succeed(at, &args)
    };
    let e = json(&shown(&["--json"]));
    for part in ["base_alone", "without_base", "standing"] {
        assert_eq!(e[part], resumed[part]);
    }
    assert!(e["base_share"].is_f64() && e["base_share_ci95"][1].is_f64());
    let text = shown(&[]);
    for part in [
        "−log π_0 alone",
        "c_θ alone",
        "share of −log π_0 in the cost's variation over the ladder",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // Runs of earlier versions have no controls.
    let mut early = resumed;
    for part in ["base_alone", "without_base", "standing"] {
        early.as_object_mut().unwrap().remove(part);
    }
    fs::write(run.join("validation.json"), early.to_string()).unwrap();
    let e = json(&shown(&["--json"]));
    assert!(e["frozen"].is_object() && e["base_alone"].is_null() && e["standing"].is_null());
}

/// Without controls where they are left out, or where the cost is relative to no clone.
#[test]
fn controls_are_of_costs_relative_to_a_clone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let demonstrations = Demonstrations::open(&at.join("demos")).unwrap();
    let mut settings = ValidationSettings {
        policies: 1,
        discounts: vec![0.97],
        iterations: 1,
        trajectories: 4,
        learning_rate: 3e-3,
        epochs: None,
        minibatch: None,
        target_kl: None,
        controls: true,
    };
    let never = AtomicBool::new(false);
    let learned = |algo: &str, more: &[(&str, &str)]| {
        let run = format!("{algo}{}", more.len());
        let mut training = Request::imitation(algo, &at.join("demos"), &at.join(run));
        let few = [("iterations", "1"), ("trajectories", "4")];
        let set = few.iter().chain(more).map(|(key, value)| Override {
            key: (*key).into(),
            value: (*value).into(),
        });
        training.changes.set = set.collect();
        app::train(&training, &never).unwrap().worked.run
    };
    let off = ("validation.policies", "0");
    let gail = learned("gail", &[]);
    let from_nothing = learned("gan-gcl", &[off, ("base_steps", "0")]);
    for run in [gail, from_nothing] {
        let request = validate::Request::of(&run, &demonstrations, &settings, 1);
        let found = app::validate(&request, &never).unwrap().unwrap();
        assert_eq!(found.controls, Controls::no_clone());
        assert!(read(&run.file("validation.json"))["base_alone"].is_null());
    }

    let run = learned("gan-gcl", &[off, ("base_steps", "20"), ("cost_steps", "2")]);
    settings.controls = false;
    let request = validate::Request::of(&run, &demonstrations, &settings, 1);
    let left_out = app::validate(&request, &never).unwrap().unwrap();
    assert_eq!(left_out.controls, Controls::default());
    settings.controls = true;
    let request = validate::Request::of(&run, &demonstrations, &settings, 1);
    let added = app::validate(&request, &never).unwrap().unwrap();
    assert_eq!(added.frozen, left_out.frozen);
    assert!(added.controls.standing.is_some() && added.controls.base_alone.is_some());
    assert_ne!(added.controls.base_alone, added.controls.without_base);
}

#[test]
fn fewer_demonstrations_are_the_first_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    let train = |run: &str, more: &[&str]| {
        let mut args = vec![
            "train",
            "demos",
            "--algo",
            "bc",
            "--set",
            "iterations=3",
            "--quiet",
            "-o",
            run,
        ];
        args.extend(more);
        succeed(at, &args);
        fs::read(at.join(run).join("policy.safetensors")).unwrap()
    };
    let (two, all) = (train("two", &["-n", "2"]), train("all", &[]));
    assert_ne!(two, all);
    assert_eq!(all, train("four", &["--demonstrations", "4"]));
    assert_eq!(
        read(&at.join("two/config.json"))["demonstrations"]["episodes"],
        2
    );
    let refused = ["train", "demos", "--algo", "bc", "-n", "5", "-o", "five"];
    fail(at, &refused, 2, &["--demonstrations is 5", "1 to 4"]);
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn a_benchmark_runs_missing_cells_and_reports_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let bench = |more: &[&str]| {
        let mut args = vec![
            "bench",
            "results",
            "--envs",
            "lq",
            "--methods",
            "bc",
            "-o",
            "out",
            "--work",
            "work",
            "--json",
        ];
        args.extend(more);
        json(&succeed(at, &args))
    };
    let found = bench(&["--seeds", "0"]);
    let cells = found.as_array().unwrap();
    assert_eq!(cells.len(), 2, "25 and 5 demonstrations");
    for field in [
        "env",
        "algo",
        "demonstrations",
        "seed",
        "normalized_score",
        "seconds",
        "steps",
    ] {
        assert!(!cells[0][field].is_null(), "{field}");
    }
    let figure = |name: &str| cells[0][name].as_f64().unwrap();
    assert!(figure("normalized_score") > 0.9);
    assert_ne!(
        figure("expert_return"),
        figure("demonstrations_return"),
        "the expert is compared with the policy in the policy's own episodes"
    );
    assert_eq!(
        figure("normalized_score"),
        (figure("return") - figure("random_return"))
            / (figure("expert_return") - figure("random_return"))
    );
    let file = at.join("out/lq-bc-25-0.json");
    assert_eq!(read(&file), cells[0]);
    let table = fs::read_to_string(at.join("out/README.md")).unwrap();
    assert!(
        table.contains("(1 of 3 seeds)")
            && table.contains("not run")
            && table.contains("performance profile")
            && table.contains("`costate bench results` runs them")
    );

    // No cell is run twice; a cell with other settings is rerun.
    let first = fs::metadata(&file).unwrap().modified().unwrap();
    bench(&["--seeds", "0"]);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), first);
    let mut other = read(&file);
    other["settings"]["settings"]["iterations"] = 7.into();
    fs::write(&file, other.to_string()).unwrap();
    assert_eq!(
        bench(&["--show"]).as_array().unwrap().len(),
        1,
        "a stale cell does not count"
    );
    bench(&["--seeds", "0"]);
    assert_eq!(read(&file)["settings"], cells[0]["settings"]);
    assert_eq!(
        read(&file)["normalized_score"],
        cells[0]["normalized_score"]
    );

    fs::write(&file, "{").unwrap();
    fail(
        at,
        &["bench", "results", "--show", "-o", "out"],
        1,
        &["lq-bc-25-0.json", "remove it"],
    );
    fail(at, &["bench", "result"], 2, &["did you mean `results`?"]);
    for suite in ["all", "exact", "speed"] {
        let list = ["bench", suite, "--list"];
        fail(at, &list, 2, &[suite, "controllers"]);
    }
    let selected = ["bench", "all", "--envs", "lq"];
    fail(at, &selected, 2, &["--envs selects within one benchmark"]);
    fail(
        at,
        &["bench", "results", "--envs", "lqq"],
        2,
        &["did you mean `lq`?"],
    );
}

#[test]
fn kept_results_are_measured_once_more_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let args = "bench results --envs lq --methods bc --seeds 0 -o out --work work --json";
    let args: Vec<&str> = args.split(' ').collect();
    succeed(at, &args);
    let file = at.join("out/lq-bc-5-0.json");
    let table = fs::read(at.join("out/README.md")).unwrap();
    let check = |count: &'static str| [&args[..], &["--check", count]].concat();

    let found = json(&succeed(at, &check("5")));
    let names: Vec<&Value> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(names, ["lq-bc-25-0", "lq-bc-5-0"]);
    assert!((found.as_array().unwrap().iter()).all(|c| c["differences"] == serde_json::json!([])));
    assert_eq!(json(&succeed(at, &check("1"))).as_array().unwrap().len(), 1);

    // The last bit counts, and what is kept stays.
    let mut other = read(&file);
    let mean = other["return"].as_f64().unwrap();
    other["return"] = f64::from_bits(mean.to_bits() + 1).into();
    fs::write(&file, other.to_string()).unwrap();
    let output = run(at, &check("5"));
    assert_eq!(output.status.code(), Some(1));
    let found = json(&String::from_utf8(output.stdout).unwrap());
    let differences = &found[1]["differences"];
    assert_eq!(differences[0]["field"], "return");
    assert_eq!(differences[0]["found"].as_f64(), Some(mean));
    assert_eq!(differences.as_array().unwrap().len(), 1);
    assert_eq!(read(&file), other);
    assert_eq!(fs::read(at.join("out/README.md")).unwrap(), table);
    let work: Vec<_> = fs::read_dir(at.join("work")).unwrap().collect();
    assert_eq!(work.len(), 2, "demonstrations and runs, no check: {work:?}");

    let timed = ["bench", "speed", "--check", "2"];
    fail(at, &timed, 2, &["never the same twice"]);
}

#[test]
fn speed_is_measured_kept_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let speed = |more: &[&'static str]| {
        let mut args = vec!["bench", "speed", "-o", "speed", "--json"];
        args.extend(more);
        args
    };
    fail(at, &speed(&["--show"]), 2, &["no measurement in speed"]);
    let found = json(&succeed(
        at,
        &speed(&["--envs", "pendulum,lq", "--turns", "1", "--seeds", "9"]),
    ));
    assert!(found["machine"].is_string() && found["turns"] == 1);
    let worlds = found["worlds"].as_array().unwrap();
    let names: Vec<_> = worlds.iter().map(|w| &w["name"]).collect();
    assert_eq!(names, ["pendulum", "lq"]);
    for field in [
        "bare_step_us",
        "env_step_us",
        "rollout_step_us",
        "rollout_steps_per_second_1",
        "rollout_steps_per_second_all",
        "rollout_of_bare",
    ] {
        assert!(worlds[0][field].as_f64().unwrap() > 0.0, "{field}");
    }
    assert!(worlds[1]["bare_step_us"].is_null(), "lq has no bodies");
    assert_eq!(
        found["time_to_score"].as_array().unwrap().len(),
        0,
        "seed 9"
    );
    let parts = found["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 2, "one worker and all");
    for field in ["dataset_write_ms", "dataset_read_ms", "iteration_ms"] {
        assert!(parts[0][field]["median"].as_f64().unwrap() > 0.0, "{field}");
    }
    let table = fs::read_to_string(at.join("speed/README.md")).unwrap();
    assert!(table.contains("| pendulum |") && table.contains("| lq | – |"));
    assert_eq!(json(&succeed(at, &speed(&["--show"]))), found);
    for (misplaced, hint) in [
        (speed(&["--methods", "bc"]), "--methods"),
        (speed(&["--jobs", "2"]), "--jobs"),
        (speed(&["--envs", "hoper"]), "hopper"),
        (vec!["bench", "results", "--turns", "3"], "--turns"),
    ] {
        fail(at, &misplaced, 2, &[hint]);
    }
}
