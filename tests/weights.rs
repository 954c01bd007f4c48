//! Weights files: what `docs/weights.md` says of them, and files whose header cannot be meant.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{fail, small_dataset, succeed, train_args};
use costate::nn::StateDict;
use costate::policy::{
    ActionScale, FlowPolicy, FlowSettings, GaussianPolicy, ImplicitPolicy, ImplicitSettings,
    Normalizer, Policy, PolicySettings, StdForm,
};
use costate_envs::implicit::{Sampler, Sampling};
use costate_envs::rng::stream;
use serde_json::{Value, json};
use tch::Tensor;

/// A policy of two actions with weights that matter.
fn policy(std_form: StdForm) -> GaussianPolicy {
    let settings = PolicySettings {
        hidden: vec![24, 16],
        std_form,
        std_floor: 0.02,
        std_initial: 0.4,
    };
    let normalizer = Normalizer {
        mean: vec![0.3, -1.0, 20.0],
        std: vec![0.5, 2.0, 0.125],
        clip: 3.0,
    };
    let scale = ActionScale {
        centre: vec![0.5, -3.0],
        half_range: vec![2.0, 0.25],
    };
    let mut rng = stream(4, "test", 0);
    let policy = GaussianPolicy::new("lq", &settings, normalizer, scale, &mut rng);
    // The last layer starts near zero.
    tch::no_grad(|| {
        for mut p in policy.parameters().into_iter().skip(4) {
            let _ = p.g_mul_scalar_(30.0).g_add_scalar_(0.1);
        }
    });
    policy
}

/// Within the clip, at it and beyond it.
const OBSERVATIONS: [[f32; 3]; 4] = [
    [0.3, -1.0, 20.0],
    [0.7, 1.5, 19.9],
    [-5.0, 0.25, 20.2],
    [1.0, 40.0, -7.0],
];

/// [mean, σ] as Costate computes them.
fn own(policy: &GaussianPolicy, observation: &[f32; 3]) -> [Vec<f64>; 2] {
    let found = tch::no_grad(|| policy.distribution(&Tensor::from_slice(observation).view([1, 3])));
    let values = |t: &Tensor| Vec::<f64>::try_from(t.view(-1)).unwrap();
    [values(&found.mean), values(&found.log_std.exp())]
}

fn near(found: &[f64], expected: &[f64], who: &str) {
    assert_eq!(found.len(), expected.len());
    for ((f, e), half) in found.iter().zip(expected).zip([2.0, 0.25]) {
        assert!(
            (f - e).abs() < 1e-6 * half,
            "{who}: {found:?}, {expected:?}"
        );
    }
}

/// A shape and its values.
type Shaped = (Vec<usize>, Vec<f64>);

/// The header, and the tensors as f64 with their shapes.
fn parts(bytes: &[u8]) -> (Value, impl Fn(&str) -> Option<Shaped>) {
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let tensors: Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    let header = tensors["__metadata__"]["costate"].as_str().unwrap();
    let header = serde_json::from_str(header).unwrap();
    let data = bytes[start..].to_vec();
    let tensor = move |name: &str| {
        let tensor = tensors.get(name)?;
        let sizes = |v: &Value| -> Vec<usize> {
            let all = v.as_array().unwrap().iter();
            all.map(|d| d.as_u64().unwrap() as usize).collect()
        };
        let at = sizes(&tensor["data_offsets"]);
        assert_eq!(tensor["dtype"], "F32");
        let values = data[at[0]..at[1]].chunks_exact(4);
        let values = values.map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap())));
        Some((sizes(&tensor["shape"]), values.collect()))
    };
    (header, tensor)
}

/// [mean, σ] from the file alone, as the page says.
fn by_the_page(bytes: &[u8], observation: &[f32; 3]) -> [Vec<f64>; 2] {
    let (header, tensor) = parts(bytes);
    let list = |v: &Value| -> Vec<f64> {
        let all = v.as_array().unwrap().iter();
        all.map(|x| x.as_f64().unwrap()).collect()
    };
    let seen = &header["normalizer"];
    let (mean, std) = (list(&seen["mean"]), list(&seen["std"]));
    let clip = seen["clip"].as_f64().unwrap();
    let mut x: Vec<f64> = (0..observation.len())
        .map(|i| ((f64::from(observation[i]) - mean[i]) / std[i]).clamp(-clip, clip))
        .collect();
    assert_eq!(header["computation"]["activation"], "tanh");
    let layers = header["computation"]["layers"].as_array().unwrap();
    for (i, layer) in layers.iter().enumerate() {
        let layer = layer.as_str().unwrap();
        let (shape, w) = tensor(&format!("{layer}.weight")).unwrap();
        let (_, b) = tensor(&format!("{layer}.bias")).unwrap();
        if i > 0 {
            x.iter_mut().for_each(|v| *v = v.tanh());
        }
        let row = |r: usize| {
            let w = &w[r * shape[1]..(r + 1) * shape[1]];
            b[r] + w.iter().zip(&x).map(|(w, x)| w * x).sum::<f64>()
        };
        x = (0..shape[0]).map(row).collect();
    }
    let (centre, half) = (
        list(&header["action_scale"]["centre"]),
        list(&header["action_scale"]["half_range"]),
    );
    let a = half.len();
    let rho = tensor("policy.rho").map_or_else(|| x[a..].to_vec(), |(_, rho)| rho);
    let floor = header["settings"]["std_floor"].as_f64().unwrap();
    [
        (0..a).map(|i| centre[i] + half[i] * x[i]).collect(),
        (0..a)
            .map(|i| half[i] * (floor + rho[i].exp().ln_1p()))
            .collect(),
    ]
}

/// The program of `docs/weights.md`, and a Python that has what it imports.
fn program(at: &Path) -> Option<impl Fn(&Path, &[f32; 3]) -> [Vec<f64>; 2]> {
    let page = include_str!("../docs/weights.md");
    let code = page.split("```python\n").nth(1).unwrap();
    let code = code.split("```").next().unwrap();
    assert!(code.lines().count() <= 30, "{} lines", code.lines().count());
    let script = at.join("act.py");
    fs::write(&script, code).unwrap();
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let able = Command::new(&python).args(["-c", "import numpy"]).output();
    if !able.is_ok_and(|o| o.status.success()) {
        eprintln!("{python} has no numpy: the page's program is not run, its computation is");
        return None;
    }
    Some(move |file: &Path, observation: &[f32; 3]| {
        let numbers = observation.map(|v| v.to_string());
        let output = Command::new(&python)
            .arg(&script)
            .arg(file)
            .args(numbers)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        ["mean", "std"].map(|name| serde_json::from_value(found[name].clone()).unwrap())
    })
}

#[test]
fn an_action_is_computed_from_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let program = program(folder.path());
    for form in [StdForm::Constant, StdForm::Network] {
        let policy = policy(form);
        let bytes = policy.to_bytes().unwrap();
        let file = folder.path().join("policy.safetensors");
        fs::write(&file, &bytes).unwrap();
        for observation in &OBSERVATIONS {
            let expected = own(&policy, observation);
            let found = by_the_page(&bytes, observation);
            near(&found[0], &expected[0], "mean");
            near(&found[1], &expected[1], "σ");
            if let Some(program) = &program {
                let found = program(&file, observation);
                near(&found[0], &expected[0], "the page's mean");
                near(&found[1], &expected[1], "the page's σ");
            }
        }
        // What workers act with says the same, up to its own tanh.
        let actor = policy.freeze();
        let mut scratch = actor.scratch();
        actor.forward(&OBSERVATIONS[1], &mut scratch);
        let mean: Vec<f64> = scratch.mean.iter().map(|v| f64::from(*v)).collect();
        for (f, e) in mean.iter().zip(&own(&policy, &OBSERVATIONS[1])[0]) {
            assert!((f - e).abs() < 1e-4);
        }
    }
}

/// The file with its header changed, and without the checksum, which files of earlier versions lack, too.
fn changed(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let start = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut tensors: Value = serde_json::from_slice(&bytes[8..start]).unwrap();
    let text = tensors["__metadata__"]["costate"].as_str().unwrap();
    let mut header: Value = serde_json::from_str(text).unwrap();
    header.as_object_mut().unwrap().remove("sha256");
    change(&mut header);
    tensors["__metadata__"]["costate"] = header.to_string().into();
    let text = tensors.to_string();
    let length = (text.len() as u64).to_le_bytes();
    [&length, text.as_bytes(), &bytes[start..]].concat()
}

#[test]
fn files_of_earlier_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.safetensors");
    let policy = policy(StdForm::Constant);
    let old = changed(&policy.to_bytes().unwrap(), |h| {
        h.as_object_mut().unwrap().remove("computation").unwrap();
    });
    fs::write(&file, old).unwrap();
    let read = GaussianPolicy::read(&file).unwrap();
    let at = &OBSERVATIONS[1];
    assert_eq!(own(&read, at), own(&policy, at));
    // It is written again with what it lacked.
    assert_eq!(read.to_bytes().unwrap(), policy.to_bytes().unwrap());
}

#[test]
fn implicit_policies_say_and_check_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.safetensors");
    let settings = ImplicitSettings {
        hidden: vec![8],
        sampling: Sampling {
            sampler: Sampler::Langevin,
            candidates: 16,
            rounds: 2,
            step: 0.3,
            shrink: 0.5,
        },
    };
    let scale = ActionScale {
        centre: vec![0.0],
        half_range: vec![2.0],
    };
    let mut rng = stream(4, "test", 0);
    let policy = ImplicitPolicy::new("lq", &settings, Normalizer::identity(2), scale, &mut rng);
    let good = policy.to_bytes().unwrap();
    let (header, tensor) = parts(&good);
    for layer in header["computation"]["layers"].as_array().unwrap() {
        let weight = tensor(&format!("{}.weight", layer.as_str().unwrap()));
        assert!(weight.is_some(), "{layer}");
    }
    fs::write(&file, &good).unwrap();
    assert!(Policy::read(&file).is_ok());
    for (path, value, said) in [
        (
            "/settings/hidden",
            json!([1_u64 << 62]),
            "`energy.0.weight`",
        ),
        ("/settings/hidden", json!([8, 8]), "`energy.1.weight`"),
        (
            "/settings/sampling/rounds",
            json!(0),
            "rounds must be at least 1",
        ),
        ("/normalizer/std", json!([1.0]), "normalizer.std 1"),
        (
            "/action_scale/half_range",
            json!([-2.0]),
            "half_range holds -2",
        ),
    ] {
        let bad = changed(&good, |h| *h.pointer_mut(path).unwrap() = value.clone());
        fs::write(&file, bad).unwrap();
        let error = Policy::read(&file).unwrap_err().to_string();
        assert!(error.contains(said), "{path}: {error}");
    }
}

#[test]
fn flow_policies_say_and_check_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.safetensors");
    let settings = FlowSettings {
        hidden: vec![8],
        chunk: 3,
        execute: 2,
        history: 2,
        steps: 4,
    };
    let scale = ActionScale {
        centre: vec![0.0],
        half_range: vec![2.0],
    };
    let mut rng = stream(5, "test", 0);
    let policy = FlowPolicy::new("lq", &settings, Normalizer::identity(2), scale, &mut rng);
    let good = policy.to_bytes().unwrap();
    let (header, tensor) = parts(&good);
    for layer in header["computation"]["layers"].as_array().unwrap() {
        let weight = tensor(&format!("{}.weight", layer.as_str().unwrap()));
        assert!(weight.is_some(), "{layer}");
    }
    fs::write(&file, &good).unwrap();
    assert!(Policy::read(&file).is_ok());
    for (path, value, said) in [
        (
            "/settings/hidden",
            json!([1_u64 << 62]),
            "`velocity.0.weight`",
        ),
        ("/settings/chunk", json!(u64::MAX), "`velocity.0.weight`"),
        ("/settings/history", json!(1), "`velocity.0.weight`"),
        ("/settings/execute", json!(4), "execute is 4"),
        ("/settings/steps", json!(0), "at least 1"),
        ("/normalizer/std", json!([1.0]), "normalizer.std 1"),
        (
            "/action_scale/half_range",
            json!([-2.0]),
            "half_range holds -2",
        ),
    ] {
        let bad = changed(&good, |h| *h.pointer_mut(path).unwrap() = value.clone());
        fs::write(&file, bad).unwrap();
        let error = Policy::read(&file).unwrap_err().to_string();
        assert!(error.contains(said), "{path}: {error}");
    }
}

/// Seen to panic or abort without the checks: no weight may be made by what a header says before its tensors are looked at.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of bad headers")]
fn headers_that_do_not_fit_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    succeed(at, &train_args(&["-o", "run", "--set", "iterations=1"]));
    let huge = json!([1_000_000, 1_000_000]);
    let none = json!([]);
    let cases = [
        (
            "policy",
            "/action_scale/centre",
            none.clone(),
            "action_scale.centre has 0 entries",
        ),
        (
            "policy",
            "/action_scale/half_range",
            json!([0.0]),
            "half_range holds 0",
        ),
        (
            "policy",
            "/action_scale/half_range",
            json!([1.0, 1.0]),
            "half_range 2",
        ),
        (
            "policy",
            "/normalizer/std",
            json!([-1.0, 1.0, 1.0]),
            "std holds -1",
        ),
        (
            "policy",
            "/normalizer/mean",
            none.clone(),
            "mean has 0 entries",
        ),
        ("policy", "/normalizer/clip", json!(-1.0), "clip holds -1"),
        (
            "policy",
            "/settings/hidden",
            none.clone(),
            "tensor `policy.0.weight`",
        ),
        ("policy", "/settings/hidden", json!([64]), "tensor `policy."),
        (
            "policy",
            "/settings/hidden",
            json!([0]),
            "tensor `policy.0.weight`",
        ),
        (
            "policy",
            "/settings/hidden",
            huge.clone(),
            "tensor `policy.0.weight`",
        ),
        (
            "policy",
            "/settings/hidden",
            json!([1_u64 << 62, 1_u64 << 62]),
            "tensor `policy.0.weight`",
        ),
        (
            "policy",
            "/settings/std_floor",
            json!(-1.0),
            "std_floor is -1",
        ),
        (
            "policy",
            "/computation/activation",
            json!("relu"),
            "`relu`, this build supports only tanh",
        ),
        ("policy", "/format", json!(2), "format 2 is newer than 1"),
        (
            "cost",
            "/settings/hidden",
            none.clone(),
            "tensor `cost.0.weight`",
        ),
        (
            "cost",
            "/settings/hidden",
            huge.clone(),
            "tensor `cost.0.weight`",
        ),
        (
            "cost",
            "/settings/action_penalty",
            json!(-1.0),
            "action_penalty is -1",
        ),
        (
            "cost",
            "/normalizer/mean",
            none.clone(),
            "mean has 0 entries",
        ),
        (
            "cost",
            "/normalizer/std",
            json!([0.0, 1.0, 1.0]),
            "std holds 0",
        ),
        (
            "cost",
            "/action_scale/half_range",
            json!([-1]),
            "half_range holds -1",
        ),
        (
            "cost",
            "/base/hidden",
            huge,
            "tensor `base.policy.0.weight`",
        ),
        ("cost", "/base/std_floor", json!(-1.0), "std_floor is -1"),
    ];
    let evaluate = ["evaluate", "run", "-n", "3", "--no-robustness", "--quiet"];
    // Runs of earlier versions do not say what they published: there the header is the first to tell.
    let published = at.join("run/checkpoints/000001/weights.json");
    let record = fs::read(&published).unwrap();
    fs::remove_file(&published).unwrap();
    for (kind, path, value, said) in cases {
        let name = format!("{kind}.safetensors");
        let file = at.join("run").join(&name);
        let good = fs::read(&file).unwrap();
        let bad = changed(&good, |h| {
            let field = h.pointer_mut(path);
            *field.unwrap_or_else(|| panic!("{kind} has no {path}")) = value.clone();
        });
        fs::write(&file, bad).unwrap();
        fail(at, &evaluate, 1, &[&name, said]);
        fs::write(&file, good).unwrap();
    }
    let channels = |h: &mut Value| h["seen"] = json!([0, 7]);
    let file = at.join("run/cost.safetensors");
    let good = fs::read(&file).unwrap();
    fs::write(&file, changed(&good, channels)).unwrap();
    fail(
        at,
        &evaluate,
        1,
        &["seen is [0, 7], expected distinct channels of 0 to 2"],
    );
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    fs::write(&file, pointer).unwrap();
    for record in [None, Some(record)] {
        if let Some(record) = record {
            fs::write(&published, record).unwrap();
        }
        fail(at, &evaluate, 1, &["cost.safetensors", "`git lfs pull`"]);
    }
}

#[test]
fn a_checkpoint_whose_episodes_are_not_as_long_as_it_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    succeed(at, &["record", "lq", "-n", "2", "-o", "demos", "--quiet"]);
    let set = ["--set", "iterations=2", "--set", "episodes=2", "--quiet"];
    let words = ["train", "demos", "--algo", "dagger", "-o", "run"];
    succeed(at, &[&words[..], &set].concat());
    // The first round labels nothing.
    let file = at.join("run/checkpoints/000002/state.safetensors");
    let good = fs::read(&file).unwrap();
    let resume = [
        "train",
        "--resume",
        "-o",
        "run",
        "--set",
        "iterations=3",
        "--quiet",
    ];
    for change in [1.0, -1.0, 1e9] {
        let (mut state, progress): (StateDict, Value) = StateDict::parse(&good, "state").unwrap();
        let count = state.count("labelled.count").unwrap();
        let mut lengths = state.numbers("labelled.lengths", count).unwrap();
        *lengths.last_mut().unwrap() += change;
        state.insert_numbers("labelled.lengths", &lengths);
        fs::write(&file, state.to_bytes(&progress).unwrap()).unwrap();
        fail(at, &resume, 1, &["checkpoints/000002", "expected"]);
    }
    fs::write(&file, good).unwrap();
    succeed(at, &resume);
}
