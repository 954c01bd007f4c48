//! Costs that were learned apart, stored, added up and minimised in another world, as processes.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, json, succeed, train_args};
use serde_json::Value;

/// Demonstrations of `cart_pole`, and two costs of the state alone that were hardly learned from them: one looks at the
/// pole, the other at the cart.
fn learned_apart(at: &Path) {
    let short = ["--set", "env.task.horizon=40"];
    let record = ["record", "cart_pole", "-n", "4", "-o", "demos", "--quiet"];
    succeed(at, &[&record[..], &short].concat());
    for (run, channels) in [
        ("upright", r#"cost.channels=["pole_sin","pole_cos"]"#),
        ("centred", r#"cost.channels=["cart_position"]"#),
    ] {
        let more = [
            "--set",
            "iterations=2",
            "--set",
            "base_steps=0",
            "--set",
            "cost.state_only=true",
            "--set",
            channels,
            "-o",
            run,
        ];
        succeed(at, &train_args(&more));
    }
}

/// `costate train --algo rl` of a few iterations.
fn rl(at: &Path, more: &[&str]) -> Value {
    let base = [
        "train",
        "--algo",
        "rl",
        "--json",
        "--quiet",
        "--set",
        "trajectories=4",
        "--set",
        "ppo.epochs=2",
        "--checkpoint-every",
        "2",
    ];
    json(&succeed(at, &[&base, more].concat()))
}

fn policy(at: &Path, run: &str) -> Vec<u8> {
    fs::read(at.join(run).join("policy.safetensors")).unwrap()
}

#[test]
fn costs_learned_apart_are_added_up_in_a_third_world() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    learned_apart(at);
    let sum = "upright:1.0,centred:0.5,true:0,{push^2}:0.1";
    let there = ["--cost", sum, "--env", "cart_pole_swing_up"];
    let iterations = |n: &'static str| ["--set", n];
    let whole = [&there[..], &iterations("iterations=4"), &["-o", "whole"]].concat();
    assert_eq!(rl(at, &whole)["finished"], true);
    let two = [
        &there[..],
        &iterations("iterations=4"),
        &["-o", "two"],
        &["--workers", "2"],
    ];
    rl(at, &two.concat());
    assert_eq!(policy(at, "whole"), policy(at, "two"));

    // The costs travel with the run: it goes on, and serves as a cost, where they are no more.
    let again = fs::read(at.join("whole/costs/1.safetensors")).unwrap();
    assert_eq!(
        again,
        fs::read(at.join("centred/cost.safetensors")).unwrap()
    );
    fs::remove_dir_all(at.join("upright")).unwrap();
    fs::remove_dir_all(at.join("centred")).unwrap();
    fs::rename(at.join("whole"), at.join("moved")).unwrap();
    fs::remove_dir_all(at.join("moved/checkpoints/000004")).unwrap();
    let resumed = ["train", "--resume", "-o", "moved", "--json", "--quiet"];
    assert_eq!(json(&succeed(at, &resumed))["iterations"], 4);
    assert_eq!(policy(at, "moved"), policy(at, "two"));
    let once_more = ["--cost", "moved:2", "--env", "cart_pole", "-o", "nested"];
    rl(at, &[&once_more[..], &iterations("iterations=1")].concat());
    let config = fs::read_to_string(at.join("nested/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let weights = config["cost"].as_array().unwrap().iter();
    let weights: Vec<f64> = weights.map(|t| t["weight"].as_f64().unwrap()).collect();
    assert_eq!(weights, [2.0, 1.0, 0.0, 0.2]);
    // What was left open is written down: the temperature of the learned costs, nothing for actions that are seen.
    assert_eq!(config["algo"]["settings"]["entropy_weight"], 1.0);
    assert_eq!(config["algo"]["settings"]["excess_weight"], 0.0);
}

#[test]
fn a_sum_of_costs_is_a_cost() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = |cost: &str, name: &str| {
        rl(
            at,
            &[
                "--cost",
                cost,
                "--env",
                "lq",
                "-o",
                name,
                "--set",
                "iterations=2",
            ],
        );
        policy(at, name)
    };
    let twice = run("true:2", "twice");
    assert_eq!(run("true,true", "sum"), twice);
    assert_ne!(run("true", "once"), twice);
    assert_ne!(run("true,{s0^2}", "more"), twice);
}

#[test]
fn a_written_cost_is_learned_and_judged_by_a_success_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    succeed(at, &["record", "lq", "-n", "8", "-o", "demos", "--quiet"]);
    let cost = [
        "train",
        "demos",
        "--algo",
        "rl",
        "--cost",
        "{0.5*(0.6*s0^2 + 0.2*s1^2 + 0.8*a0^2)}",
    ];
    let few = ["--set", "iterations=50", "-o", "run", "--quiet"];
    succeed(at, &[&cost[..], &few].concat());
    let evaluate = |success: &str| {
        let base = [
            "evaluate",
            "run",
            "-n",
            "20",
            "--no-robustness",
            "--json",
            "--quiet",
        ];
        json(&succeed(at, &[&base[..], &["--success", success]].concat()))
    };
    let found = evaluate("3 - abs(s0)");
    assert!(found["normalized_score"].as_f64().unwrap() > 0.5, "{found}");
    let row = |found: &Value, i: usize| found["rows"][i]["success_rate"].as_f64().unwrap();
    let (expert, random, own) = (row(&found, 0), row(&found, 1), row(&found, 2));
    assert!(
        expert > 0.9 && own > 0.8 && random < 0.5,
        "{expert} {own} {random}"
    );
    assert_eq!(row(&evaluate("-1"), 2), 0.0);
    // The composed cost is judged as a learned one is.
    assert!(found["spearman"].as_f64().unwrap() > 0.9, "{found}");
}

#[test]
fn what_cannot_be_minimised_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    learned_apart(at);
    let refuse = |more: &[&str], said: &[&str]| {
        let base = ["train", "--quiet", "-o", "run"];
        fail(at, &[&base, more].concat(), 2, said);
        assert!(!at.join("run").exists());
    };
    let maze = ["--algo", "rl", "--env", "point_maze", "--cost"];
    refuse(
        &[&maze[..], &["upright"]].concat(),
        &["`pole_sin`", "point_maze does not have", "cost.channels"],
    );
    refuse(
        &[&maze[..], &["upright:x"]].concat(),
        &["`x` is not a weight"],
    );
    refuse(&[&maze[..], &["true:0"]].concat(), &["nothing to minimise"]);
    refuse(
        &[&maze[..], &["nowhere"]].concat(),
        &["neither a file nor a run"],
    );
    refuse(
        &[&maze[..], &["demos"]].concat(),
        &["neither a file nor a run"],
    );
    refuse(&["--algo", "rl", "--cost", "true"], &["--env NAME"]);
    refuse(&["demos", "--algo", "rl"], &["--cost RUN:1.0"]);
    refuse(
        &["demos", "--algo", "gan-gcl", "--cost", "true"],
        &["learns its cost"],
    );
    refuse(
        &["demos", "--algo", "rl", "--cost", "true", "--env", "lq"],
        &["--env lq", "leave one of them out"],
    );
    // A run without demonstrations is judged against some of its own world.
    let run = ["--cost", "true", "--env", "cart_pole", "-o", "run"];
    rl(at, &[&run[..], &["--set", "iterations=1"]].concat());
    fail(at, &["evaluate", "run"], 2, &["--demos DIR"]);
    let other = ["evaluate", "run", "--demos", "demos"];
    fail(at, &other, 2, &["other parameters than the run's"]);
}

#[test]
fn a_world_is_the_same_however_its_numbers_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The start is stored as [0.0, -0.85].
    let world = [
        "--set",
        "env.start_m=[0,-0.85]",
        "--set",
        "env.task.horizon=20",
    ];
    let record = ["record", "point_maze", "-n", "4", "-o", "demos", "--quiet"];
    succeed(at, &[&record[..], &world].concat());
    let run = ["--env", "point_maze", "--cost", "true", "-o", "run"];
    rl(at, &[&run[..], &world, &["--set", "iterations=1"]].concat());
    let evaluate = ["evaluate", "run", "--demos", "demos", "--no-robustness"];
    succeed(at, &[&evaluate[..], &["-n", "5", "--quiet"]].concat());
}
