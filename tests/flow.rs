//! Flow cloning: its draws against a known mixture, its frozen actor against libtorch, its runs as processes. (The loss
//! by hand and the play of plans are tested beside them.)

mod common;

use std::fs;
use std::path::Path;

use common::{fail, json, succeed};
use costate::evaluate::controller::Controller;
use costate::learners::bc::Bc;
use costate::learners::flow_bc::FlowBc;
use costate::learners::{Learner, Setup};
use costate::nn::{matrix, to_f32};
use costate::policy::{
    ActionScale, FlowPolicy, FlowSettings, GaussianPolicy, Learned, Normalizer, Policy,
};
use costate::run::settings;
use costate::run::settings::Override;
use costate_demos::experts::{FrozenPolicy, PolicyFile};
use costate_envs::rng::{Stream, stream};
use costate_envs::rollout::{ActionChoice, RolloutPool};
use costate_envs::{End, EnvConfig, Trajectory};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};

fn set(pairs: &[(&str, &str)]) -> Vec<Override> {
    let one = |(key, value): &(&str, &str)| Override {
        key: (*key).into(),
        value: (*value).into(),
    };
    pairs.iter().map(one).collect()
}

fn normals(count: usize, rng: &mut Stream) -> Vec<f32> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

fn policy(rng: &mut Stream) -> FlowPolicy {
    let settings = FlowSettings {
        hidden: vec![16, 8],
        chunk: 3,
        execute: 2,
        history: 2,
        steps: 6,
    };
    let scale = ActionScale {
        centre: vec![0.5, -1.0],
        half_range: vec![2.0, 0.25],
    };
    let normalizer = Normalizer {
        mean: vec![1.0, 0.0, -2.0, 0.3],
        std: vec![0.5, 2.0, 1.0, 1.5],
        clip: 10.0,
    };
    let policy = FlowPolicy::new("point_fork", &settings, normalizer, scale, rng);
    // As after training: not nearly zero.
    tch::no_grad(|| {
        for mut p in policy.parameters() {
            let drawn = normals(p.numel(), rng);
            let drawn = tch::Tensor::from_slice(&drawn).view_as(&p);
            let _ = p.g_add_(&(drawn * 0.3));
        }
    });
    policy
}

#[test]
fn the_frozen_flow_is_that_of_libtorch_and_survives_its_file() {
    tch::set_num_threads(1);
    let mut rng = stream(1, "test", 0);
    let policy = policy(&mut rng);
    let (observations, noise) = (normals(2 * 4, &mut rng), normals(3 * 2, &mut rng));
    // By libtorch.
    let (seen, mut x) = (matrix(&observations, 8), matrix(&noise, 6));
    for step in 0..6 {
        let t = step as f32 / 6.0;
        let moved = tch::no_grad(|| policy.velocity(&seen, &x, &[t])) / 6.0;
        x += moved;
    }
    let exact: Vec<f32> = to_f32(&x)
        .chunks(2)
        .flat_map(|u| [0.5 + 2.0 * u[0], -1.0 + 0.25 * u[1]])
        .collect();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.safetensors");
    fs::write(&file, policy.to_bytes().unwrap()).unwrap();
    let Policy::Flow(read) = Policy::read(&file).unwrap() else {
        panic!("another kind");
    };
    let FrozenPolicy::Flow(without_libtorch) = PolicyFile::read(&file).unwrap().policy else {
        panic!("another kind");
    };
    for actor in [&policy.freeze(), &read.freeze(), &*without_libtorch] {
        let found = actor.plan(&observations, &noise);
        for (found, exact) in found.iter().zip(&exact) {
            assert!((found - exact).abs() < 1e-5, "{found}, in libtorch {exact}");
        }
    }
    assert_eq!(*without_libtorch, policy.freeze());
    // Who needs a density says so.
    let message = GaussianPolicy::read(&file).unwrap_err().to_string();
    assert!(
        message.contains("no density") && message.contains("policy.safetensors"),
        "{message}"
    );
    let error = Learned::Flow(&read).gaussian().unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn the_number_of_workers_changes_no_bit() {
    let factory = EnvConfig::named("point_fork").unwrap().factory().unwrap();
    let policy = policy(&mut stream(2, "test", 0));
    for choice in [ActionChoice::Sample, ActionChoice::Mean] {
        let controller = Controller::of(Learned::Flow(&policy), choice);
        let play = |workers| {
            controller
                .play(&factory, RolloutPool::new(workers), 0..5, 3)
                .unwrap()
        };
        let one = play(1);
        assert_eq!(one, play(2));
        assert_ne!(one[0].trajectory.actions(), one[1].trajectory.actions());
        let again = play(1);
        assert_eq!(one, again);
    }
}

/// Share of the episodes about −0.5 in [`two_modes`].
const LEFT: f64 = 0.3;
const STD: f64 = 0.15;

/// a = ±0.5 + ε, with one sign for an episode that no observation tells, as pendulum trajectories.
fn two_modes(rng: &mut Stream) -> Vec<Trajectory> {
    let mut one = |i: usize| {
        let observations = (0..21 * 3)
            .map(|_| rng.random_range(-1.0_f32..1.0))
            .collect();
        let mode = if (i % 10) < 3 { -0.5 } else { 0.5 };
        let actions = (0..20)
            .map(|_| {
                let z: f64 = StandardNormal.sample(rng);
                (mode + STD * z) as f32
            })
            .collect();
        Trajectory::new(3, 1, observations, actions, None, End::Truncated).unwrap()
    };
    (0..200).map(&mut one).collect()
}

#[test]
fn a_plan_stays_with_the_mode_that_it_took_where_a_gaussian_stands_between_them() {
    tch::set_num_threads(1);
    let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
    let demonstrations = two_modes(&mut stream(5, "test", 0));
    let setup = Setup::new(&factory, &demonstrations);
    let short = set(&[("iterations", "40"), ("learning_rate", "0.005")]);
    let small = set(&[
        ("policy.hidden", "[32, 32]"),
        ("policy.chunk", "3"),
        ("policy.execute", "3"),
        ("policy.steps", "20"),
        ("policy.history", "1"),
        ("held_out", "0"),
    ]);
    let s = settings::resolve_typed("pendulum", &[short.clone(), small].concat()).unwrap();
    let mut flow = FlowBc::new(&s, &setup).unwrap();
    let s = settings::resolve_typed("pendulum", &short).unwrap();
    let mut bc = Bc::new(&s, &setup).unwrap();
    for k in 0..40 {
        flow.iterate(k).unwrap();
        bc.iterate(k).unwrap();
    }
    let Learned::Flow(policy) = flow.policy() else {
        panic!("another kind");
    };
    let (actor, mut noise) = (policy.freeze(), stream(0, "test", 1));
    let plans: Vec<Vec<f32>> = (0..1000)
        .map(|i| {
            let angle = i as f32 * 0.02;
            let observation = [angle.cos() * 0.5, angle.sin() * 0.5, 0.2];
            actor.plan(&observation, &normals(3, &mut noise))
        })
        .collect();
    let share = |of: &dyn Fn(&&Vec<f32>) -> bool| plans.iter().filter(of).count() as f64 / 1000.0;
    let left = share(&|plan| plan[0] < 0.0);
    assert!(
        (left - LEFT).abs() < 0.08,
        "share of the left mode: {left}, demonstrated {LEFT}"
    );
    let mixed = share(&|plan| plan.iter().any(|a| (a * plan[0]) < 0.0));
    assert!(mixed < 0.04, "{mixed} of the plans change the mode");
    let off: f64 = (plans.iter().flatten())
        .map(|a| (f64::from(a.abs()) - 0.5).powi(2))
        .sum::<f64>()
        / 3000.0;
    assert!(
        (0.7 * STD..1.3 * STD).contains(&off.sqrt()),
        "{} from the modes, demonstrated {STD}",
        off.sqrt()
    );

    let clone = bc.policy().gaussian().unwrap();
    let g = clone.distribution(&matrix(&[0.0, 0.0, 0.0], 3));
    let mean = g.mean.double_value(&[0, 0]);
    assert!(mean.abs() < 0.35, "the Gaussian's mean is {mean}");
}

const QUICK: [&str; 8] = [
    "--set",
    "iterations=4",
    "--set",
    "hidden=[16]",
    "--set",
    "policy.history=2",
    "--quiet",
    "--json",
];

fn train(at: &Path, run: &str, more: &[&str]) {
    let base = ["train", "demos", "--algo", "flow-bc", "-o", run];
    succeed(at, &[&base, more, &QUICK].concat());
}

#[test]
fn a_run_of_flow_bc_is_treated_well_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
    let well = |line: &str| {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        succeed(at, &words)
    };
    well("record point_fork -n 6 -o demos --quiet");
    train(at, "run", &["--checkpoint-every", "2"]);
    // What a resumed run does from its second checkpoint on is what the whole one did.
    let bytes = |run: &str| fs::read(at.join(run).join("policy.safetensors")).unwrap();
    let whole = bytes("run");
    fs::remove_dir_all(at.join("run/checkpoints/000004")).unwrap();
    well("train --resume -o run --quiet");
    assert_eq!(bytes("run"), whole);

    let found = json(&well("evaluate run -n 6 --no-robustness --quiet --json"));
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|r| r["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["expert", "random", "bc", "flow-bc"]);
    well("evaluate run -n 6 --deterministic --no-robustness --quiet");
    well("evaluate run -n 4 --quiet");
    assert!(well("report run --quiet").contains("report.html"));
    well("diagnose run");
    well("view run --png run.png --quiet");
    well("evaluate demos --policy run/policy.safetensors -n 3 --no-robustness --quiet");
    well("record point_fork -n 2 --expert run -o drawn --quiet");
    let record = |workers: &str, to: &str| {
        well(&format!(
            "record point_fork -n 4 --seed 3 --workers {workers} --expert run -o {to} --quiet"
        ));
        let part =
            |i: usize| fs::read(at.join(to).join(format!("data/{i}/part-0.parquet"))).unwrap();
        (0..4).map(part).collect::<Vec<_>>()
    };
    assert_eq!(record("1", "one"), record("2", "two"));
    // There is no cost to optimise.
    fail(
        at,
        &["evaluate", "run", "--reoptimize"],
        2,
        &["flow-bc", "learns no cost"],
    );
    let bad = ["train", "demos", "--algo", "flow-bc", "-o", "bad"];
    let long = ["--set", "policy.chunk=2", "--set", "policy.execute=3"];
    fail(
        at,
        &[&bad[..], &long].concat(),
        2,
        &["flow-bc", "execute is 3", "2 actions"],
    );
}
