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

/// y = x W as an ONNX file: one MatMul with a weight `[n, 1]` in float32, of an input `[1, n]`.
fn onnx_linear(weights: &[f64]) -> Vec<u8> {
    Onnx::new(weights).bytes()
}

/// Types of values (onnx.proto).
const FLOAT32: u64 = 1;
const INT64: u64 = 7;
const FLOAT64: u64 = 11;

/// A small network in ONNX, written by hand (onnx.proto, opset 13): y = x W, with variations.
struct Onnx<'a> {
    weights: &'a [f64],
    /// Type of input and weights.
    kind: u64,
    /// Of the input; a name is a dynamic axis.
    shape: Vec<Result<u64, &'a str>>,
    /// Further inputs, `[1, 1]`.
    inputs: &'a [&'a str],
    /// Type of the output; a Cast where it is not the input's.
    output: u64,
    /// Whether there is a second output, `negative`: −y.
    negative: bool,
}

fn varint(mut v: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
    out
}

fn field_number(field: u64, v: u64) -> Vec<u8> {
    [varint(field << 3), varint(v)].concat()
}

fn field_bytes(field: u64, b: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(b.len() as u64), b.to_vec()].concat()
}

impl<'a> Onnx<'a> {
    fn new(weights: &'a [f64]) -> Self {
        Self {
            weights,
            kind: FLOAT32,
            shape: vec![Ok(1), Ok(weights.len() as u64)],
            inputs: &[],
            output: FLOAT32,
            negative: false,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let value = |name: &str, kind: u64, shape: &[Result<u64, &str>]| {
            let dim = |d: &Result<u64, &str>| {
                let dim = match d {
                    Ok(v) => field_number(1, *v),
                    Err(name) => field_bytes(2, name.as_bytes()),
                };
                field_bytes(1, &dim)
            };
            let dims: Vec<u8> = shape.iter().flat_map(dim).collect();
            let tensor = [field_number(1, kind), field_bytes(2, &dims)].concat();
            [
                field_bytes(1, name.as_bytes()),
                field_bytes(2, &field_bytes(1, &tensor)),
            ]
            .concat()
        };
        let node = |inputs: &[&str], output: &str, op: &str, attribute: &[u8]| {
            let inputs: Vec<u8> = inputs
                .iter()
                .flat_map(|i| field_bytes(1, i.as_bytes()))
                .collect();
            let rest = [
                field_bytes(2, output.as_bytes()),
                field_bytes(4, op.as_bytes()),
            ];
            let node = [inputs, rest.concat(), attribute.to_vec()].concat();
            field_bytes(1, &node)
        };
        let raw: Vec<u8> = match self.kind {
            FLOAT64 => self.weights.iter().flat_map(|w| w.to_le_bytes()).collect(),
            _ => {
                let narrow = self.weights.iter().map(|w| *w as f32);
                narrow.flat_map(f32::to_le_bytes).collect()
            }
        };
        let initializer = [
            field_number(1, self.weights.len() as u64),
            field_number(1, 1),
            field_number(2, self.kind),
            field_bytes(8, b"w"),
            field_bytes(9, &raw),
        ]
        .concat();
        let mut graph = Vec::new();
        let product = if self.output == self.kind { "y" } else { "p" };
        graph.extend(node(&["x", "w"], product, "MatMul", &[]));
        if self.output != self.kind {
            let to = [
                field_bytes(1, b"to"),
                field_number(20, 2),
                field_number(3, self.output),
            ];
            graph.extend(node(&["p"], "y", "Cast", &field_bytes(5, &to.concat())));
        }
        if self.negative {
            graph.extend(node(&["y"], "negative", "Neg", &[]));
        }
        for extra in self.inputs {
            graph.extend(node(&[extra], &format!("{extra}_out"), "Neg", &[]));
        }
        graph.extend(field_bytes(2, b"policy"));
        graph.extend(field_bytes(5, &initializer));
        graph.extend(field_bytes(11, &value("x", self.kind, &self.shape)));
        for extra in self.inputs {
            graph.extend(field_bytes(11, &value(extra, FLOAT32, &[Ok(1), Ok(1)])));
        }
        let mut shape = self.shape.clone();
        if let Some(last) = shape.last_mut() {
            *last = Ok(1);
        }
        graph.extend(field_bytes(12, &value("y", self.output, &shape)));
        if self.negative {
            graph.extend(field_bytes(12, &value("negative", self.output, &shape)));
        }
        [
            field_number(1, 8),
            field_bytes(7, &graph),
            field_bytes(8, &field_number(2, 13)),
        ]
        .concat()
    }
}

#[test]
fn networks_of_any_float_type_and_shape_act() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    demonstrations(at);
    let score = |who: &str| {
        let found = evaluate(at, &["--policy", who]);
        found["normalized_score"].as_f64().unwrap()
    };
    let gains = [-0.1, -0.9];
    let expected = score("a0 = -0.1*s0 - 0.9*s1");
    let (batch, n) = (Err("batch"), Ok(2));
    for (name, network) in [
        (
            "float64",
            Onnx {
                kind: FLOAT64,
                output: FLOAT64,
                ..Onnx::new(&gains)
            },
        ),
        (
            "mixed",
            Onnx {
                kind: FLOAT64,
                ..Onnx::new(&gains)
            },
        ),
        (
            "dynamic",
            Onnx {
                shape: vec![batch, n],
                ..Onnx::new(&gains)
            },
        ),
        (
            "symbols",
            Onnx {
                shape: vec![batch, Err("n")],
                ..Onnx::new(&gains)
            },
        ),
        (
            "vector",
            Onnx {
                shape: vec![n],
                ..Onnx::new(&gains)
            },
        ),
    ] {
        fs::write(at.join("policy.onnx"), network.bytes()).unwrap();
        let found = score("policy.onnx");
        assert!(
            (found - expected).abs() < 1e-4,
            "{name}: {found}, {expected}"
        );
    }
    // One of several outputs acts, by its name.
    let two = Onnx {
        negative: true,
        ..Onnx::new(&[0.1, 0.9])
    };
    fs::write(at.join("two.onnx"), two.bytes()).unwrap();
    let found = score("two.onnx:negative");
    assert!((found - expected).abs() < 1e-4, "{found}, {expected}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of bad networks")]
fn networks_that_cannot_act_are_refused_in_words_before_anything_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    demonstrations(at);
    let gains = [-0.1, -0.9];
    let wide = [1.0, 2.0, 3.0];
    let one = || Onnx::new(&gains);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    for (name, bytes, said) in [
        (
            "classes.onnx",
            Onnx {
                output: INT64,
                ..one()
            }
            .bytes(),
            &["whole numbers (int64)", "lq takes real numbers (a0"][..],
        ),
        (
            "wide.onnx",
            onnx_linear(&wide),
            &["takes 3 values, and lq observes 2 values (s0, s1"],
        ),
        (
            "undeclared.onnx",
            Onnx {
                shape: vec![Err("batch"), Err("n")],
                ..Onnx::new(&wide)
            }
            .bytes(),
            &["takes 3 values, and lq observes 2 values (s0, s1"],
        ),
        (
            "batch.onnx",
            Onnx {
                shape: vec![Ok(8), Ok(2)],
                ..one()
            }
            .bytes(),
            &["`x` takes batches of 8 observations", "dynamic axis"],
        ),
        (
            "image.onnx",
            Onnx {
                shape: vec![Ok(1), Ok(1), Ok(2)],
                ..one()
            }
            .bytes(),
            &["`x` has 3 axes, expected [2] or [batch, 2]"],
        ),
        (
            "two.onnx",
            Onnx {
                negative: true,
                ..one()
            }
            .bytes(),
            &["has 2 outputs (y, negative)", "FILE.onnx:OUTPUT"],
        ),
        (
            "two.onnx:negativ",
            Vec::new(),
            &[
                "has no output `negativ`, did you mean `negative`?",
                "available: y, negative",
            ],
        ),
        (
            "memory.onnx",
            Onnx {
                inputs: &["state"],
                ..one()
            }
            .bytes(),
            &["has 2 inputs (x, state)", "the observation"],
        ),
        (
            "pointer.onnx",
            pointer.to_vec(),
            &["Git LFS pointer", "`git lfs pull`"],
        ),
        ("gone.onnx", Vec::new(), &["gone.onnx"]),
    ] {
        if !bytes.is_empty() {
            fs::write(at.join(name), bytes).unwrap();
        }
        let args = [
            "evaluate",
            "demos",
            "-n",
            "4",
            "--no-robustness",
            "--policy",
            name,
        ];
        let output = common::run(at, &args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{name}: {error}");
        for part in said {
            assert!(error.contains(part), "{name}: `{part}` is not in {error}");
        }
        // Neither the crate's words nor an hour of cloning.
        for other in ["nify", "baseline", "panicked", "Fact"] {
            assert!(!error.contains(other), "{name}: {error}");
        }
    }
    // The same of costs and of what success is.
    for more in [
        ["--cost", "t0^2"],
        ["--success", "t0"],
        ["--cost", "ln(s0)"],
    ] {
        let output = common::run(
            at,
            &[&["evaluate", "demos", "--policy", "random"], &more[..]].concat(),
        );
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            !output.status.success() && !error.contains("baseline"),
            "{error}"
        );
    }
}
