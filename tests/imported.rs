//! Policies and costs from elsewhere: networks in ONNX, formulas, constants, experts; and what is wrong with them.

mod common;

use std::fs;
use std::path::Path;

use common::{fail, json, succeed};

/// What `costate evaluate lq-demos …` finds, over few episodes.
fn evaluate(at: &Path, more: &[&str]) -> serde_json::Value {
    let base = [
        "evaluate",
        "demos",
        "-n",
        "12",
        "--no-robustness",
        "--json",
        "--quiet",
    ];
    json(&succeed(at, &[&base, more].concat()))
}

fn refuse(at: &Path, code: i32, more: &[&str], said: &[&str]) {
    let base = ["evaluate", "demos", "-n", "4", "--no-robustness", "--quiet"];
    fail(at, &[&base, more].concat(), code, said);
}

fn demonstrations(at: &Path) {
    succeed(at, &["record", "lq", "-n", "12", "-o", "demos", "--quiet"]);
}

/// The true cost of `lq` as a formula: ½ is not part of it, Q and R are diagonal.
const TRUE: &str = "0.5*(0.6*s0^2 + 0.2*s1^2 + 0.8*a0^2)";

#[test]
fn written_costs_have_the_distances_that_follow_from_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    demonstrations(at);
    let figure = |formula: &str| {
        let found = evaluate(at, &["--cost", formula]);
        ["spearman", "epic", "dard", "ranking_accuracy"].map(|name| {
            let interval = &found[format!("{name}_ci95")];
            let value = found[name].as_f64().unwrap();
            assert!(
                interval[0].as_f64().unwrap() <= value + 1e-9,
                "{name}: {interval}"
            );
            value
        })
    };
    let near = |found: [f64; 4], expected: [f64; 4]| {
        for (found, expected) in found.iter().zip(expected) {
            // Observations saturate where random actions lead, the true state does not.
            assert!(
                (found - expected).abs() < 5e-3,
                "{found}, expected {expected}"
            );
        }
    };
    near(figure(TRUE), [1.0, 0.0, 0.0, 1.0]);
    near(figure(&format!("7*({TRUE}) - 2")), [1.0, 0.0, 0.0, 1.0]);
    near(figure(&format!("-({TRUE})")), [-1.0, 1.0, 1.0, 0.0]);

    // A cost that ignores its input is said to be one, not shown as a table of NaN.
    let found = evaluate(at, &["--cost", "2.5"]);
    assert!(found["spearman"].is_null() && found["epic"].is_null());
    let said = found["statements"][0].as_str().unwrap();
    assert!(
        said.contains("2.5 in every step: it ignores its input"),
        "{said}"
    );
    refuse(
        at,
        1,
        &["--cost", "ln(s0)"],
        &["NaN at step", "of episode 0 of `expert`"],
    );
    refuse(at, 2, &["--cost", "t0^2"], &["no `t0`", "s0, s1, a0"]);
    refuse(
        at,
        2,
        &["--cost", "gone.safetensors"],
        &["gone.safetensors"],
    );
}

#[test]
fn anybody_can_be_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    demonstrations(at);
    let score = |who: &str| {
        let found = evaluate(at, &["--policy", who]);
        found["normalized_score"].as_f64().unwrap()
    };
    assert_eq!(score("random"), 0.0);
    assert!(score("maxent") > 0.97);
    // u = −Kx with the expert's K, and the same as a network.
    let gains = [0.1, 0.9];
    let scripted = score(&format!("a0 = -{}*s0 - {}*s1", gains[0], gains[1]));
    assert!(scripted > 0.95, "{scripted}");
    fs::write(at.join("gains.onnx"), onnx_linear(&[-gains[0], -gains[1]])).unwrap();
    let network = score("gains.onnx");
    assert!((network - scripted).abs() < 1e-4, "{network}, {scripted}");
    assert!(score("constant") < score("constant=0.3") + 0.5);

    refuse(at, 2, &[], &["demonstrations", "--policy or --cost"]);
    refuse(
        at,
        2,
        &["--policy", "maxnet"],
        &["maxent, lqr, ilqr", "a0 = …"],
    );
    refuse(
        at,
        2,
        &["--policy", "constant=1,2"],
        &["expected 1 finite numbers"],
    );
    refuse(at, 2, &["--policy", "v = s0"], &["no action `v`", "a0"]);
    refuse(at, 2, &["--policy", "a0 = s0 +"], &["formula `s0 +`"]);
    fs::write(at.join("torn.onnx"), &onnx_linear(&[1.0, 2.0])[..20]).unwrap();
    refuse(at, 2, &["--policy", "torn.onnx"], &["torn.onnx"]);
    fs::write(at.join("wide.onnx"), onnx_linear(&[1.0, 2.0, 3.0])).unwrap();
    refuse(
        at,
        2,
        &["--policy", "wide.onnx"],
        &["wide.onnx", "observes 2 values"],
    );
    refuse(at, 1, &["--policy", "a0 = ln(s0)"], &["action a0 is NaN"]);
    refuse(
        at,
        2,
        &["--policy", "random", "--reoptimize"],
        &["--reoptimize"],
    );
    fail(at, &["evaluate", "nowhere"], 2, &["nowhere", "config.json"]);
}

/// y = x Wᵀ as an ONNX file: one MatMul with a weight `[n, 1]` (onnx.proto, opset 13).
fn onnx_linear(weights: &[f64]) -> Vec<u8> {
    fn varint(mut v: u64) -> Vec<u8> {
        let mut out = Vec::new();
        while v >= 0x80 {
            out.push(v as u8 | 0x80);
            v >>= 7;
        }
        out.push(v as u8);
        out
    }
    let number = |field: u64, v: u64| [varint(field << 3), varint(v)].concat();
    let bytes = |field: u64, b: &[u8]| {
        [varint(field << 3 | 2), varint(b.len() as u64), b.to_vec()].concat()
    };
    let n = weights.len() as u64;
    let value = |name: &str, width: u64| {
        let dim = |v: u64| bytes(1, &number(1, v));
        let tensor = [number(1, 1), bytes(2, &[dim(1), dim(width)].concat())].concat();
        [bytes(1, name.as_bytes()), bytes(2, &bytes(1, &tensor))].concat()
    };
    let raw: Vec<u8> = weights
        .iter()
        .flat_map(|w| (*w as f32).to_le_bytes())
        .collect();
    let initializer = [
        number(1, n),
        number(1, 1),
        number(2, 1),
        bytes(8, b"w"),
        bytes(9, &raw),
    ]
    .concat();
    let node = [
        bytes(1, b"x"),
        bytes(1, b"w"),
        bytes(2, b"y"),
        bytes(4, b"MatMul"),
    ]
    .concat();
    let graph = [
        bytes(1, &node),
        bytes(2, b"policy"),
        bytes(5, &initializer),
        bytes(11, &value("x", n)),
        bytes(12, &value("y", 1)),
    ];
    [
        number(1, 8),
        bytes(7, &graph.concat()),
        bytes(8, &number(2, 13)),
    ]
    .concat()
}
