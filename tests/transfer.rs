//! Costs and policies in variants of their world, and under noise, as processes.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, json, succeed, train_args};
use serde_json::Value;

fn record(at: &Path, env: &str) {
    succeed(at, &["record", env, "-n", "4", "-o", "demos", "--quiet"]);
}

/// Fresh policies of two iterations, which learn nothing.
const SHORT: [&str; 6] = [
    "--set",
    "iterations=2",
    "--set",
    "trajectories=4",
    "--episodes=6",
    "--no-robustness",
];

fn transfer(at: &Path, run: &str, more: &[&str]) -> Value {
    let base = ["evaluate", run, "--json", "--quiet", "--transfer"];
    json(&succeed(at, &[&base, more, &SHORT].concat()))
}

fn strings<'a>(list: &'a Value, key: &str) -> Vec<&'a str> {
    let list = list.as_array().unwrap();
    list.iter().map(|v| v[key].as_str().unwrap()).collect()
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, step by step")]
fn a_cost_is_tried_where_the_wall_stands_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    record(at, "point_maze");
    let more = [
        "--set",
        "iterations=2",
        "--set",
        "base_steps=0",
        "--set",
        "cost.state_only=true",
        "-o",
        "run",
    ];
    succeed(at, &train_args(&more));
    let found = transfer(at, "run", &["wall_right", "--workers", "2"]);
    let there = &found["transfer"][0];
    assert_eq!(there["variant"], "wall_right");
    assert_eq!(
        strings(&there["rows"], "policy"),
        [
            "expert there",
            "random",
            "fresh, on the true cost",
            "gan-gcl, transferred",
            "fresh, on the frozen cost"
        ]
    );
    let score = |i: usize| there["rows"][i]["normalized_score"].as_f64().unwrap();
    // Two iterations teach nothing: the expert sets the scale.
    assert_eq!(there["reference"], "expert");
    assert_eq!((score(0), score(1)), (1.0, 0.0));
    let of = |v: &Value| v.as_f64().unwrap();
    let expert = of(&there["rows"][0]["return"]);
    assert!((of(&there["reference_return"]) - expert).abs() < 1e-9);
    assert_eq!(there["frozen"]["policies"].as_array().unwrap().len(), 3);
    // Another world: the expert there returns something else than the demonstrations.
    assert_ne!(there["reference_return"], found["expert_return"]);

    // What is there is not trained again, and one worker finds the same.
    let trained = at.join("run/transfer/wall_right/frozen-cost-1.safetensors");
    let when = |file: &Path| fs::metadata(file).unwrap().modified().unwrap();
    let before = (when(&trained), fs::read(&trained).unwrap());
    let again = transfer(at, "run", &["wall_right", "--workers", "1"]);
    assert_eq!(again["transfer"], found["transfer"]);
    assert_eq!(when(&trained), before.0);
    fs::remove_file(&trained).unwrap();
    // But for the seconds.
    let found = transfer(at, "run", &["wall_right", "--workers", "1"]);
    assert_eq!(fs::read(&trained).unwrap(), before.1, "to the same bits");
    // A later evaluation keeps what was found.
    let later = ["evaluate", "run", "-n", "4", "--no-robustness", "--json"];
    let later = json(&succeed(at, &later));
    assert_eq!(later["transfer"], found["transfer"]);
    let text = ["evaluate", "run", "-n", "4", "--no-robustness"];
    assert!(succeed(at, &text).contains("1 is the expert, designed for this variant"));
    let report = ["report", "run", "-o", "page.html", "--quiet"];
    succeed(at, &report);
    let page = fs::read_to_string(at.join("page.html")).unwrap();
    assert!(page.contains("wall_right") && page.contains("fresh, on the true cost"));

    fail(
        at,
        &["evaluate", "run", "--transfer", "wall_rigth"],
        2,
        &["wall_rigth", "did you mean `wall_right`"],
    );
    fail(
        at,
        &["evaluate", "run", "--set", "iterations=2"],
        2,
        &["--help"],
    );
    fail(
        at,
        &[
            "evaluate",
            "run",
            "--transfer",
            "wall_right",
            "--set",
            "iteration=2",
        ],
        2,
        &["did you mean `iterations`"],
    );

    // A policy without a cost only acts.
    let bc = ["train", "demos", "--algo", "bc", "-o", "bc", "--quiet"];
    succeed(at, &[&bc[..], &["--set", "iterations=2"]].concat());
    let found = transfer(at, "bc", &["wall_right"]);
    let there = &found["transfer"][0];
    assert_eq!(
        strings(&there["rows"], "policy").last(),
        Some(&"bc, transferred")
    );
    assert!(there["frozen"].is_null());
}

#[test]
fn a_cost_sees_the_channels_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    record(at, "point_maze");
    let with = |channels: &'static str, run: &'static str| {
        // Without a base policy, whose density sees everything.
        let more = ["--set", "base_steps=0", "--set", "iterations=1"];
        train_args(&[&more[..], &["--set", channels, "-o", run]].concat())
    };
    fail(
        at,
        &with("cost.channels=[\"positon_x\"]", "none"),
        2,
        &[
            "cost.channels",
            "no `positon_x`",
            "did you mean `position_x`",
        ],
    );
    succeed(
        at,
        &with("cost.channels=[\"position_x\",\"position_y\"]", "run"),
    );
    // The landscape over the velocity, with everything else as it is, is flat; over the position it is not.
    let spread = |over: &str| {
        let args = ["report", "run", "--landscape", over, "--pictures", "p"];
        succeed(at, &[&args[..], &["-o", "p.html", "--quiet"]].concat());
        let found = json(&fs::read_to_string(at.join("p/report.json")).unwrap());
        let cost = &found["runs"][0]["landscape"]["surfaces"][0]["cost"];
        let cost = cost.as_array().unwrap();
        let values: Vec<f64> = cost.iter().map(|v| v.as_f64().unwrap()).collect();
        assert!(values.len() > 100);
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low
    };
    assert!(spread("velocity_x,velocity_y").abs() < 1e-6);
    assert!(spread("position_x,position_y") > 1e-3);
}

#[test]
fn scores_fall_under_noise_and_are_the_plain_ones_without() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    record(at, "cart_pole");
    let all = ["evaluate", "demos", "-n", "40", "--json", "--quiet"];
    let of = |who: &[&str]| json(&succeed(at, &[&all[..], who].concat()));
    let found = of(&[
        "--policy",
        "push = -9*pole_sin - 2*pole_angular_velocity + 0.5*cart_position + cart_velocity",
    ]);
    let curves = found["robustness"].as_array().unwrap();
    let kinds = strings(&found["robustness"], "kind");
    assert_eq!(kinds, ["action_noise", "observation_noise", "variant"]);
    let returns = |curve: usize| -> Vec<f64> {
        let points = curves[curve]["points"].as_array().unwrap();
        points
            .iter()
            .map(|p| p["policies"][0]["return"].as_f64().unwrap())
            .collect()
    };
    assert_eq!(curves[0]["points"][0], curves[1]["points"][0]);
    // The first quarter of the same episodes, undisturbed.
    let own = &found["rows"].as_array().unwrap()[3]["returns"];
    let plain: Vec<f64> = own.as_array().unwrap()[..10]
        .iter()
        .map(|r| r.as_f64().unwrap())
        .collect();
    let mean = plain.iter().sum::<f64>() / 10.0;
    assert!((returns(0)[0] - mean).abs() < 1e-9 * mean.abs());
    for curve in [0, 1] {
        let returns = returns(curve);
        assert_eq!(returns.len(), 5);
        assert!(
            returns[4] < returns[0] - 0.01 * returns[0].abs(),
            "{returns:?}"
        );
    }
    let variants = curves[2]["points"].as_array().unwrap();
    assert!(variants.iter().any(|v| v["name"] == "long_pole"));

    // What does not look is not misled.
    let blind = of(&["--policy", "constant=0.1"]);
    let kinds = strings(&blind["robustness"], "kind");
    assert_eq!(kinds, ["action_noise", "variant"]);
    assert!(of(&["--policy", "random", "--no-robustness"])["robustness"].is_null());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of misuses")]
fn what_cannot_be_evaluated_is_said_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    record(at, "point_maze");
    // A policy that never finishes.
    let base = [
        "evaluate",
        "demos",
        "-n",
        "6",
        "--no-robustness",
        "--json",
        "--quiet",
    ];
    let found = json(&succeed(
        at,
        &[&base[..], &["--policy", "constant"]].concat(),
    ));
    let said = found["statements"][0].as_str().unwrap();
    assert!(said.contains("never finishes the task"), "{said}");
    assert!(said.contains("none of its 6 episodes"), "{said}");

    // A learned cost that is not a number any more, and one that ignores its input.
    let more = ["--set", "base_steps=0", "--set", "iterations=1"];
    succeed(at, &train_args(&[&more[..], &["-o", "run"]].concat()));
    let file = at.join("run/cost.safetensors");
    // As of a version that kept no checksums, which would tell at once.
    fs::remove_dir_all(at.join("run/checkpoints")).unwrap();
    let mut whole = fs::read(&file).unwrap();
    let seal = br#",\"sha256\":\""#;
    let place = whole.windows(seal.len()).position(|w| w == seal).unwrap();
    whole[place..place + seal.len() + 64 + 2].fill(b' ');
    let filled = |with: f32| {
        let header = u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        let names: Value = serde_json::from_slice(&whole[8..8 + header]).unwrap();
        let mut bytes = whole.clone();
        for (name, about) in names.as_object().unwrap() {
            let offsets = &about["data_offsets"];
            if !name.starts_with("cost.") || about["dtype"] != "F32" {
                continue;
            }
            let at = |i: usize| 8 + header + offsets[i].as_u64().unwrap() as usize;
            for value in bytes[at(0)..at(1)].chunks_exact_mut(4) {
                value.copy_from_slice(&with.to_le_bytes());
            }
        }
        assert_ne!(bytes, whole, "{names}");
        bytes
    };
    fs::write(&file, filled(f32::NAN)).unwrap();
    fail(
        at,
        &["evaluate", "run", "-n", "4", "--no-robustness"],
        1,
        &["NaN"],
    );
    fs::write(&file, filled(0.0)).unwrap();
    let run = [
        "evaluate",
        "run",
        "-n",
        "4",
        "--no-robustness",
        "--json",
        "--quiet",
    ];
    let found = json(&succeed(at, &run));
    let said: Vec<&str> = found["statements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap())
        .collect();
    assert!(
        said.iter().any(|s| s.contains("it ignores its input")),
        "{said:?}"
    );
    assert!(found["spearman"].is_null());

    // Demonstrations and policies of another world.
    succeed(at, &["record", "lq", "-n", "2", "-o", "other", "--quiet"]);
    fail(
        at,
        &["evaluate", "run", "--demos", "other"],
        2,
        &["demonstrations of lq", "trained on point_maze"],
    );
    fail(
        at,
        &["evaluate", "other", "--policy", "run/policy.safetensors"],
        2,
        &["a policy of point_maze", "demonstrations are of lq"],
    );
    fail(at, &["evaluate", "gone"], 2, &["gone"]);
}

/// A variant with other channels is another world to a policy: nothing is played there, and the error says what to do.
#[test]
fn a_variant_with_other_channels_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let quiet = |args: &[&str]| succeed(at, &[args, &["--quiet"]].concat());
    quiet(&["record", "reacher", "-n", "3", "-o", "demos"]);
    quiet(&[
        "train",
        "demos",
        "--algo",
        "bc",
        "--set",
        "iterations=1",
        "-o",
        "run",
    ]);
    let found = json(&quiet(&["evaluate", "run", "-n", "4", "--json"]));
    let curves = found["robustness"].as_array().unwrap();
    let variants = curves.iter().find(|c| c["kind"] == "variant").unwrap();
    let points = variants["points"].as_array().unwrap();
    let names: Vec<&str> = points.iter().filter_map(|p| p["name"].as_str()).collect();
    assert!(
        names.contains(&"long_forearm") && !names.contains(&"own_frame"),
        "{names:?}"
    );
    let other = ["evaluate", "run", "--transfer", "own_frame"];
    fail(at, &other, 2, &["other channels", "own_frame"]);
    let expert = [
        "expert",
        "reacher",
        "--set",
        "variant=own_frame",
        "-o",
        "expert",
    ];
    fail(at, &expert, 2, &["variant", "own_frame", "channels"]);
}
