//! Exported policies and costs compute what ours do: ONNX read by tract, C compiled by the system's compiler, weights
//! files read back. With random weights, in every world and of every form. demos/export_check.py does it with ONNX Runtime.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use common::{fail, json, small_dataset, succeed, train_args};
use costate::app::export::{Format, Request};
use costate::cost::{CostForm, CostSettings, EnergyModel};
use costate::policy::{
    ActionScale, FlowPolicy, FlowSettings, GaussianPolicy, ImplicitPolicy, ImplicitSettings,
    Normalizer, PolicySettings, StdForm,
};
use costate_envs::implicit::{Sampler, Sampling};
use costate_envs::rng::{Stream, stream};
use costate_envs::{EnvConfig, EnvSpec, registry};
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;
use tract_onnx::prelude::{
    Datum, Framework, InferenceFact, InferenceModelExt, IntoRunnable, IntoTensor, TValue,
    Tensor as TractTensor, tvec,
};

/// Examples of every world.
const EXAMPLES: usize = 10_000;

/// Adds N(0, 0.1²) to every weight: last layers start near zero.
fn shake(parameters: Vec<Tensor>, rng: &mut Stream) {
    tch::no_grad(|| {
        for mut p in parameters {
            let noise = (0..p.numel()).map(|_| {
                let z: f32 = StandardNormal.sample(rng);
                0.1 * z
            });
            let noise = Tensor::from_slice(&noise.collect::<Vec<f32>>()).view_as(&p);
            let _ = p.g_add_(&noise);
        }
    });
}

fn scales(spec: &EnvSpec) -> (Normalizer, ActionScale) {
    let o = spec.observation.dim();
    let normalizer = Normalizer {
        mean: (0..o).map(|i| 0.1 * i as f32 - 0.2).collect(),
        std: (0..o).map(|i| 0.5 + 0.3 * i as f32).collect(),
        clip: 3.0,
    };
    (normalizer, ActionScale::of(spec))
}

fn policy(spec: &EnvSpec, std_form: StdForm, rng: &mut Stream) -> GaussianPolicy {
    let settings = PolicySettings {
        hidden: vec![32, 24],
        std_form,
        std_floor: 0.1,
        std_initial: 0.5,
    };
    let (normalizer, scale) = scales(spec);
    let policy = GaussianPolicy::new(&spec.name, &settings, normalizer, scale, rng);
    shake(policy.parameters(), rng);
    policy
}

/// A cost, of another form for every `i`.
fn cost(spec: &EnvSpec, i: usize, rng: &mut Stream) -> EnergyModel {
    let form = [CostForm::Neural, CostForm::Features, CostForm::Quadratic][i % 3];
    let seen: &[i64] = if i % 4 == 1 { &[1, 0] } else { &[] };
    let names = seen
        .iter()
        .map(|&c| spec.observation.0[c as usize].name.clone());
    let settings = CostSettings {
        form,
        hidden: vec![16, 16],
        start_value: !i.is_multiple_of(5),
        state_only: i % 4 >= 2,
        channels: names.collect(),
        action_penalty: if i % 4 == 3 { 0.3 } else { 0.0 },
        bound: if i % 6 == 3 { 2.0 } else { 0.0 },
    };
    let (normalizer, scale) = scales(spec);
    let model = EnergyModel::new(&spec.name, &settings, seen, normalizer, scale, rng);
    shake(model.parameters(), rng);
    match i % 2 {
        0 => model,
        _ => {
            let form = if i % 4 == 1 {
                StdForm::Network
            } else {
                StdForm::Constant
            };
            model.with_base(policy(spec, form, rng))
        }
    }
}

fn implicit(spec: &EnvSpec, rng: &mut Stream) -> ImplicitPolicy {
    let settings = ImplicitSettings {
        hidden: vec![16],
        sampling: Sampling {
            sampler: Sampler::DerivativeFree,
            candidates: 16,
            rounds: 1,
            step: 0.3,
            shrink: 0.5,
        },
    };
    let (normalizer, scale) = scales(spec);
    let policy = ImplicitPolicy::new(&spec.name, &settings, normalizer, scale, rng);
    shake(policy.parameters(), rng);
    policy
}

/// A policy that sees two observations and plans three actions.
fn flow(spec: &EnvSpec, hidden: Vec<usize>, rng: &mut Stream) -> FlowPolicy {
    let settings = FlowSettings {
        hidden,
        chunk: 3,
        execute: 2,
        history: 2,
        steps: 4,
    };
    let (normalizer, scale) = scales(spec);
    let policy = FlowPolicy::new(&spec.name, &settings, normalizer, scale, rng);
    shake(policy.parameters(), rng);
    policy
}

/// Columns of `examples.csv`, by name before the channel's: row-major.
fn examples(folder: &Path) -> BTreeMap<String, (usize, Vec<f32>)> {
    let text = fs::read_to_string(folder.join("examples.csv")).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let group = |name: &str| match name {
        "cost" | "value" => name.to_owned(),
        _ if name.ends_with(".log_density") || name.ends_with(".energy") => name.to_owned(),
        _ => name.rsplit_once('.').unwrap().0.to_owned(),
    };
    let groups: Vec<String> = header.iter().map(|n| group(n)).collect();
    let mut found: BTreeMap<String, (usize, Vec<f32>)> = BTreeMap::new();
    for name in &groups {
        found.entry(name.clone()).or_default().0 += 1;
    }
    for line in lines {
        for (name, cell) in groups.iter().zip(line.split(',')) {
            found.get_mut(name).unwrap().1.push(cell.parse().unwrap());
        }
    }
    found
}

/// Outputs of a graph.
fn by_tract(file: &Path, inputs: &[&(usize, Vec<f32>)]) -> Vec<Vec<f32>> {
    let mut model = tract_onnx::onnx().model_for_path(file).unwrap();
    let mut values = tvec!();
    for (i, (width, numbers)) in inputs.iter().enumerate() {
        let shape = [numbers.len() / width, *width];
        let tensor = TractTensor::from_shape(&shape, numbers).unwrap();
        let fact = InferenceFact::dt_shape(f32::datum_type(), shape);
        model.set_input_fact(i, fact).unwrap();
        values.push(TValue::from(tensor.into_tensor()));
    }
    let runnable = model.into_optimized().unwrap().into_runnable().unwrap();
    let outputs = runnable.run(values).unwrap();
    let numbers = |t: &TValue| {
        t.to_plain_array_view::<f32>()
            .unwrap()
            .iter()
            .copied()
            .collect()
    };
    outputs.iter().map(numbers).collect()
}

/// Compiles the C file and runs one of its functions on rows; `None` without a compiler.
fn by_c(folder: &Path, name: &str, what: &str, inputs: &[&(usize, Vec<f32>)]) -> Option<Vec<f32>> {
    let program = folder.join("program");
    if !program.exists() {
        let compiled = Command::new("cc")
            .args("-std=c99 -O2 -Wall -Wextra -Wpedantic -Werror -DCOSTATE_MAIN".split(' '))
            .arg(folder.join(format!("{name}.c")))
            .args(["-lm", "-o"])
            .arg(&program)
            .output()
            .ok()?;
        let error = String::from_utf8_lossy(&compiled.stderr);
        assert!(compiled.status.success(), "{error}");
        assert!(error.is_empty(), "{error}");
    }
    let rows = inputs[0].1.len() / inputs[0].0;
    let mut text = String::new();
    for row in 0..rows {
        for (width, numbers) in inputs {
            for v in &numbers[row * width..(row + 1) * width] {
                text += &format!("{v},");
            }
        }
        text += "\n";
    }
    let mut child = Command::new(&program)
        .arg(what)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    Some(
        text.split_whitespace()
            .map(|v| v.parse().unwrap())
            .collect(),
    )
}

/// Largest |found − expected|, in units of its column or relative to the value, whichever is less.
fn deviation(found: &[f32], expected: &[f32], units: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let rows = found.iter().zip(expected).zip(units.iter().cycle());
    rows.fold(0.0, |most: f64, ((f, e), unit)| {
        let (f, e) = (f64::from(*f), f64::from(*e));
        let off = (f - e).abs() / e.abs().max(f64::from(*unit));
        assert!(off.is_finite(), "{f}, {e}");
        most.max(off)
    })
}

/// Exports a weights file and holds everything against our own results.
fn agrees(at: &Path, spec: &EnvSpec, bytes: &[u8]) {
    let world = &spec.name;
    let half_range = ActionScale::of(spec).half_range;
    fs::create_dir_all(at).unwrap();
    let file = at.join("w.safetensors");
    fs::write(&file, bytes).unwrap();
    let request = Request {
        place: file,
        formats: vec![Format::Onnx, Format::C, Format::Safetensors],
        what: vec![],
        output: None,
        examples: EXAMPLES,
        workers: 1,
    };
    costate::app::export(&request, &AtomicBool::new(false)).unwrap();
    let folder = at.join("export");
    let own = examples(&folder);
    let (s, a) = (&own["observation"], &own["action"]);
    assert_eq!(s.1.len(), EXAMPLES * s.0);
    // Graph or C function, inputs, what each output is to be, and to how much.
    type Row<'a> = (&'a str, &'a str, Vec<&'a (usize, Vec<f32>)>, (&'a str, f64));
    let mut rows: Vec<Row> = Vec::new();
    if let Some(noise) = own.get("policy.noise") {
        rows.push(("policy", "policy_mean", vec![s], ("policy.mean", 1e-6)));
        rows.push(("", "policy_std", vec![s], ("policy.std", 1e-6)));
        rows.push((
            "policy_sample",
            "policy_sample",
            vec![s, noise],
            ("policy.sample", 1e-6),
        ));
        rows.push((
            "policy_density",
            "policy_log_density",
            vec![s, a],
            ("policy.log_density", 1e-5),
        ));
    }
    if own.contains_key("policy.energy") {
        let to = ("policy.energy", 1e-6);
        rows.push(("policy_energy", "policy_energy", vec![s, a], to));
    }
    let twice: Vec<f32> = s.1.chunks(s.0).flat_map(|row| row.repeat(2)).collect();
    let twice = (2 * s.0, twice);
    if let Some(noise) = own.get("policy.plan_noise") {
        let to = ("policy.plan", 1e-5);
        rows.push(("policy_plan", "policy_plan", vec![&twice, noise], to));
    }
    if own.contains_key("cost") {
        rows.push(("cost", "cost", vec![s, a], ("cost", 1e-5)));
    }
    if own.contains_key("value") {
        rows.push(("value", "value", vec![s], ("value", 1e-6)));
    }
    assert!(!rows.is_empty());
    for (graph, function, inputs, (expected, tolerance)) in rows {
        let mut most = [f64::NAN; 2];
        let units = match expected {
            "policy.mean" | "policy.std" | "policy.sample" => half_range.as_slice(),
            _ => &[1.0],
        };
        if !graph.is_empty() {
            let found = by_tract(&folder.join(format!("{graph}.onnx")), &inputs);
            most[0] = deviation(&found[0], &own[expected].1, units);
            assert!(most[0] <= tolerance, "{world} {graph}: {}", most[0]);
        }
        if let Some(found) = by_c(&folder, world, function, &inputs) {
            most[1] = deviation(&found, &own[expected].1, units);
            assert!(most[1] <= tolerance, "{world} {function} in C: {}", most[1]);
            // Where products and sums are not contracted the actions are the same bits.
            if cfg!(target_arch = "x86_64")
                && matches!(function, "policy_mean" | "policy_sample" | "policy_plan")
            {
                assert_eq!(found, own[expected].1, "{world} {function}");
            }
        }
        println!(
            "{world} {expected}: {:.1e} by tract, {:.1e} in C",
            most[0], most[1]
        );
    }
}

#[test]
fn every_world_and_form_agrees_with_our_own() {
    tch::set_num_threads(1);
    let folder = tempfile::tempdir().unwrap();
    for (i, world) in registry::names().into_iter().enumerate() {
        let factory = EnvConfig::named(world).unwrap().factory().unwrap();
        let spec = factory.spec();
        let mut rng = stream(9, "export", i as u64);
        let form = [StdForm::Constant, StdForm::Network][i % 2];
        let at = folder.path().join(world);
        let bytes = policy(spec, form, &mut rng).to_bytes().unwrap();
        agrees(&at.join("policy"), spec, &bytes);
        let bytes = cost(spec, i, &mut rng).to_bytes().unwrap();
        agrees(&at.join("cost"), spec, &bytes);
    }
    let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
    let mut rng = stream(9, "export", 99);
    let bytes = implicit(factory.spec(), &mut rng).to_bytes().unwrap();
    agrees(&folder.path().join("implicit"), factory.spec(), &bytes);
    for (i, hidden) in [vec![16, 16], vec![16], vec![]].into_iter().enumerate() {
        let factory = EnvConfig::named("point_fork").unwrap().factory().unwrap();
        let bytes = flow(factory.spec(), hidden, &mut rng).to_bytes().unwrap();
        agrees(
            &folder.path().join(format!("flow-{i}")),
            factory.spec(),
            &bytes,
        );
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one run, many files")]
fn a_run_is_exported_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_dataset(at);
    succeed(at, &train_args(&["-o", "run", "--set", "iterations=1"]));
    let all = "onnx,c,safetensors";
    let args = ["export", "run", "--to", all, "--examples", "20", "--json"];
    let said = json(&succeed(at, &args));
    let named = |said: &serde_json::Value| -> Vec<String> {
        let files = said["files"].as_array().unwrap().iter();
        files
            .map(|f| f["file"].as_str().unwrap().to_owned())
            .collect()
    };
    let expected = [
        "policy.onnx",
        "policy_sample.onnx",
        "policy_density.onnx",
        "cost.onnx",
        "value.onnx",
        "pendulum.h",
        "pendulum.c",
        "policy.safetensors",
        "cost.safetensors",
        "examples.csv",
    ];
    assert_eq!(named(&said), expected);
    assert!(
        expected
            .iter()
            .all(|f| at.join("run/export").join(f).exists())
    );

    // Costate reads back what it wrote, and finds the same returns.
    let score = |policy: &str| {
        let evaluate = [
            "evaluate",
            "demos",
            "-n",
            "4",
            "--no-robustness",
            "--json",
            "--quiet",
        ];
        let found = succeed(
            at,
            &[&evaluate[..], &["--deterministic", "--policy", policy]].concat(),
        );
        json(&found)["return"]["mean"].as_f64().unwrap()
    };
    let own = score("run/policy.safetensors");
    assert_eq!(score("run/export/policy.safetensors"), own);
    assert!((score("run/export/policy.onnx") - own).abs() < 1e-3 * own.abs());
    // The exported weights describe their world.
    let bytes = fs::read(at.join("run/export/cost.safetensors")).unwrap();
    let (_, header): (_, serde_json::Value) =
        costate::nn::StateDict::parse(&bytes, "cost.safetensors").unwrap();
    assert_eq!(header["world"]["action"][0]["unit"], "N m");
    assert_eq!(header["origin"]["algorithm"], "gan-gcl");

    let only = [
        "export", "run", "--to", "onnx", "--what", "cost", "-o", "only", "--json",
    ];
    assert_eq!(
        named(&json(&succeed(at, &only))),
        ["cost.onnx", "value.onnx"]
    );

    let to_c = |what: &'static str| ["export", "run", "--to", "c", "--what", what];
    fail(
        at,
        &to_c("fresh-policy"),
        2,
        &["no fresh policy", "--reoptimize"],
    );
    let own_folder = ["export", "run", "--to", "safetensors", "-o", "run"];
    fail(at, &own_folder, 2, &["choose another folder with -o"]);
    let file = [
        "export",
        "run/cost.safetensors",
        "--to",
        "c",
        "--what",
        "cost",
    ];
    fail(at, &file, 2, &["leave --what out"]);
    fail(
        at,
        &["export", "none.safetensors", "--to", "c"],
        2,
        &["no such file"],
    );
    fail(
        at,
        &["export", "demos", "--to", "c"],
        2,
        &["expected a run folder"],
    );
}
