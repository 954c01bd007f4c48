//! Implicit behaviour cloning: its loss and its energy against closed forms, its frozen actor against libtorch, its
//! runs as processes. (Draws of a known density are tested beside the sampler.)

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::{fail, json, succeed};
use costate::audit::Sealer;
use costate::discriminator::info_nce;
use costate::evaluate::controller::Controller;
use costate::learners::bc::Bc;
use costate::learners::ibc::Ibc;
use costate::learners::{Learner, Setup};
use costate::nn::{matrix, to_f64};
use costate::policy::{
    ActionScale, GaussianPolicy, ImplicitPolicy, ImplicitSettings, Learned, Normalizer, Policy,
};
use costate::run::settings;
use costate::run::settings::Override;
use costate_envs::implicit::{Sampler, Sampling};
use costate_envs::rng::{Stream, stream};
use costate_envs::rollout::{ActionChoice, RolloutPool};
use costate_envs::{End, EnvConfig, Trajectory};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use tch::Tensor;

fn set(pairs: &[(&str, &str)]) -> Vec<Override> {
    let one = |(key, value): &(&str, &str)| Override {
        key: (*key).into(),
        value: (*value).into(),
    };
    pairs.iter().map(one).collect()
}

#[test]
fn info_nce_is_the_cross_entropy_of_picking_the_demonstrated_action() {
    // By hand: energies log 1, log 2, log 4 have weights 1, 1/2, 1/4.
    let energy = Tensor::from_slice(&[1.0_f64, 2.0, 4.0]).log().view([1, 3]);
    let expected = (1.75_f64).ln();
    assert!((info_nce(&energy).double_value(&[]) - expected).abs() < 1e-12);
    // A constant says nothing, however large.
    let flat = Tensor::from_slice(&[800.0_f64; 8]).view([2, 4]);
    assert!((info_nce(&flat).double_value(&[]) - 4.0_f64.ln()).abs() < 1e-9);
}

fn policy(rng: &mut Stream, sampler: Sampler) -> ImplicitPolicy {
    let settings = ImplicitSettings {
        hidden: vec![16, 8],
        sampling: Sampling {
            sampler,
            candidates: 32,
            rounds: 3,
            step: 0.3,
            shrink: 0.5,
        },
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
    ImplicitPolicy::new("point_fork", &settings, normalizer, scale, rng)
}

#[test]
fn the_frozen_energy_is_that_of_libtorch_and_survives_its_file() {
    tch::set_num_threads(1);
    let mut rng = stream(1, "test", 0);
    let policy = policy(&mut rng, Sampler::Langevin);
    let observation: Vec<f32> = (0..4).map(|_| rng.random_range(-2.0..2.0)).collect();
    let actions: Vec<f32> = (0..2 * 9).map(|_| rng.random_range(-1.0..1.0)).collect();
    let scaled = policy.action_scale().apply(&matrix(&actions, 2));
    let exact = policy.energy(&matrix(&observation, 4), &scaled.unsqueeze(0));
    let exact = to_f64(&exact);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("policy.safetensors");
    fs::write(&file, policy.to_bytes().unwrap()).unwrap();
    let Policy::Implicit(read) = Policy::read(&file).unwrap() else {
        panic!("another kind");
    };
    for policy in [&policy, &read] {
        let found = policy.freeze().energies(&observation, &actions);
        for (found, exact) in found.iter().zip(&exact) {
            assert!(
                (f64::from(*found) - exact).abs() < 1e-5,
                "{found}, in libtorch {exact}"
            );
        }
    }
    // Who needs a density says so.
    let message = GaussianPolicy::read(&file).unwrap_err().to_string();
    assert!(
        message.contains("no density") && message.contains("policy.safetensors"),
        "{message}"
    );
    let error = Learned::Implicit(&read).gaussian().unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn the_number_of_workers_changes_no_bit() {
    let factory = EnvConfig::named("point_fork").unwrap().factory().unwrap();
    let mut rng = stream(2, "test", 0);
    for (sampler, choice) in [
        (Sampler::DerivativeFree, ActionChoice::Sample),
        (Sampler::Langevin, ActionChoice::Mean),
    ] {
        let policy = policy(&mut rng, sampler);
        let controller = Controller::of(Learned::Implicit(&policy), choice);
        let play = |workers| {
            controller
                .play(&factory, RolloutPool::new(workers), 0..5, 3)
                .unwrap()
        };
        let one = play(1);
        assert_eq!(one, play(2));
        assert_ne!(one[0].trajectory.actions(), one[1].trajectory.actions());
    }
}

/// Share of the actions at −0.5 in [`two_modes`].
const LEFT: f64 = 0.3;
const STD: f64 = 0.15;

/// a = ±0.5 + ε in every state, as pendulum trajectories.
fn two_modes(rng: &mut Stream) -> Vec<Trajectory> {
    let mut one = || {
        let observations = (0..51 * 3)
            .map(|_| rng.random_range(-1.0_f32..1.0))
            .collect();
        let actions = (0..50)
            .map(|_| {
                let z: f64 = StandardNormal.sample(rng);
                let mode = if rng.random_bool(LEFT) { -0.5 } else { 0.5 };
                (mode + STD * z) as f32
            })
            .collect();
        Trajectory::new(3, 1, observations, actions, None, End::Truncated).unwrap()
    };
    (0..80).map(|_| one()).collect()
}

#[test]
fn a_bimodal_demonstrator_is_cloned_with_both_modes_where_a_gaussian_stands_between_them() {
    tch::set_num_threads(1);
    let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
    let demonstrations = two_modes(&mut stream(5, "test", 0));
    let setup = Setup {
        sealer: Sealer::unwatched(),
        factory: &factory,
        demonstrations: &demonstrations,
        images: 0,
        starts: &[],
        expert: "",
        seed: 0,
        workers: 1,
        elsewhere: None,
    };
    let short = set(&[("iterations", "50"), ("learning_rate", "0.01")]);
    let small = set(&[("policy.hidden", "[32, 32]"), ("negatives", "32")]);
    let small = [short.clone(), small].concat();
    let s = settings::resolve_typed("pendulum", &small).unwrap();
    let mut ibc = Ibc::new(&s, &setup).unwrap();
    let s = settings::resolve_typed("pendulum", &short).unwrap();
    let mut bc = Bc::new(&s, &setup).unwrap();
    for k in 0..50 {
        ibc.iterate(k).unwrap();
        bc.iterate(k).unwrap();
    }
    let Learned::Implicit(policy) = ibc.policy() else {
        panic!("another kind");
    };
    let actor = Arc::new(policy.freeze());
    let mut scratch = actor.scratch();
    let mut noise = stream(0, "test", 1);
    let draws: Vec<f64> = (0..600)
        .map(|i| {
            let angle = i as f32 * 0.02;
            let observation = [angle.cos() * 0.5, angle.sin() * 0.5, 0.2];
            let mut action = [0.0];
            actor.refine(&observation, &mut noise, &mut scratch);
            actor.draw(&scratch, &mut noise, &mut action);
            f64::from(action[0])
        })
        .collect();
    let left = draws.iter().filter(|a| **a < 0.0).count() as f64 / 600.0;
    assert!(
        (left - LEFT).abs() < 0.08,
        "share of the left mode: {left}, demonstrated {LEFT}"
    );
    let off: f64 = draws.iter().map(|a| (a.abs() - 0.5).powi(2)).sum::<f64>() / 600.0;
    assert!(
        off.sqrt() < 1.3 * STD,
        "{} from the modes, demonstrated {STD}",
        off.sqrt()
    );

    // The optimal energy is −log p + const: differences of log p between places are known.
    let log_p = |a: f64| {
        let of = |mean: f64, share: f64| share * (-0.5 * ((a - mean) / STD).powi(2)).exp();
        (of(-0.5, LEFT) + of(0.5, 1.0 - LEFT)).ln()
    };
    let places = [-0.5_f32, -0.35, -0.65, 0.5, 0.35, 0.65];
    let mut means = [0.0; 6];
    for i in 0..60 {
        let observation = [(i as f32).cos(), (i as f32).sin(), 0.3].map(|v| 0.7 * v);
        let energies = actor.energies(&observation, &places);
        let sums = means.iter_mut().zip(energies);
        sums.for_each(|(sum, e)| *sum += f64::from(e) / 60.0);
    }
    for (place, mean) in places.iter().zip(means) {
        let (found, exact) = (mean - means[0], log_p(-0.5) - log_p((*place).into()));
        assert!(
            (found - exact).abs() < 0.4,
            "at {place}: {found} above the left mode's, exactly {exact}"
        );
    }

    let clone = bc.policy().gaussian().unwrap();
    let g = clone.distribution(&matrix(&[0.0, 0.0, 0.0], 3));
    let mean = g.mean.double_value(&[0, 0]);
    assert!(mean.abs() < 0.35, "the Gaussian's mean is {mean}");
}

const QUICK: [&str; 10] = [
    "--set",
    "iterations=4",
    "--set",
    "candidates=16",
    "--set",
    "rounds=2",
    "--set",
    "negatives=8",
    "--quiet",
    "--json",
];

fn train(at: &Path, run: &str, more: &[&str]) {
    let base = ["train", "demos", "--algo", "ibc", "-o", run];
    succeed(at, &[&base, more, &QUICK].concat());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, command by command")]
fn a_run_of_ibc_is_treated_well_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    succeed(
        at,
        &["record", "point_fork", "-n", "6", "-o", "demos", "--quiet"],
    );
    train(at, "run", &["--checkpoint-every", "2"]);
    // What a resumed run does from its second checkpoint on is what the whole one did.
    let bytes = |run: &str| fs::read(at.join(run).join("policy.safetensors")).unwrap();
    let whole = bytes("run");
    fs::remove_dir_all(at.join("run/checkpoints/000004")).unwrap();
    succeed(at, &["train", "--resume", "-o", "run", "--quiet"]);
    assert_eq!(bytes("run"), whole);

    let evaluate = ["evaluate", "run", "-n", "6", "--no-robustness", "--quiet"];
    let found = json(&succeed(at, &[&evaluate[..], &["--json"]].concat()));
    assert!(
        found["statements"][0]
            .as_str()
            .unwrap()
            .contains("not a cost of the task")
    );
    let rows = found["rows"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|r| r["policy"].as_str().unwrap()).collect();
    assert_eq!(names, ["expert", "random", "bc", "ibc"]);
    let modes = rows[0]["modes"].as_object().unwrap();
    let total: f64 = modes.values().map(|v| v.as_f64().unwrap()).sum();
    assert_eq!(
        (modes.len(), total),
        (2, 1.0),
        "every demonstration passes on a side"
    );
    assert!(
        rows[1].get("modes").is_none(),
        "random actions solve nothing"
    );
    let text = succeed(at, &evaluate);
    assert!(text.contains("modes") && text.contains("left "), "{text}");
    assert!(succeed(at, &["report", "run", "--quiet"]).contains("report.html"));
    succeed(at, &["view", "run", "--png", "run.png", "--quiet"]);
    succeed(
        at,
        &[
            "evaluate",
            "demos",
            "--policy",
            "run/policy.safetensors",
            "-n",
            "3",
            "--no-robustness",
            "--quiet",
        ],
    );
    succeed(
        at,
        &[
            "record",
            "point_fork",
            "-n",
            "2",
            "--expert",
            "run",
            "-o",
            "drawn",
            "--quiet",
        ],
    );
    // There is no cost to optimise again.
    fail(
        at,
        &["evaluate", "run", "--reoptimize"],
        2,
        &["ibc", "not a cost of the task"],
    );
    fail(
        at,
        &[
            "train",
            "demos",
            "--algo",
            "ibc",
            "--set",
            "shrink=1.5",
            "-o",
            "bad",
        ],
        2,
        &["policy.sampling.shrink", "(0, 1]"],
    );
    fail(
        at,
        &[
            "train",
            "demos",
            "--algo",
            "ibc",
            "--set",
            "sampler=guess",
            "-o",
            "bad",
        ],
        2,
        &[
            "`policy.sampling.sampler` of ibc",
            "guess",
            "derivative_free",
        ],
    );
}
