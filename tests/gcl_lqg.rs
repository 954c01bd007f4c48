//! Guided cost learning in its first form, whole: what acts is what is recorded, runs go on where they stopped, and controllers
//! learn the task.

mod common;

use std::sync::Arc;

use common::{fail, json, succeed};
use costate::audit::Sealer;
use costate::error::Error;
use costate::learners::gcl_lqg::{GclLqg, GclLqgSettings};
use costate::learners::{Learner, Setup};
use costate::run::RunFolder;
use costate::run::settings::{self, Override};
use costate_demos::experts::ExpertDesign;
use costate_demos::record::{Plan, record};
use costate_envs::linear::{LinearController, LinearStep};
use costate_envs::rollout::{ActionChoice, Job, RolloutPool};
use costate_envs::{End, EnvConfig, EnvFactory, Trajectory};
use nalgebra::{DMatrix, DVector};

/// The shipped demonstrations of a world.
fn shipped(world: &str) -> String {
    format!("{}/demos/data/{world}", env!("CARGO_MANIFEST_DIR"))
}

fn lq(episodes: usize) -> (EnvFactory, Vec<Trajectory>, Vec<u64>) {
    let factory = EnvConfig::named("lq").unwrap().factory().unwrap();
    let expert = ExpertDesign::new(&factory, Some("maxent"), None).unwrap();
    let plan = Plan {
        episodes,
        seed: 3,
        workers: 2,
    };
    let (mut trajectories, mut starts) = (Vec::new(), Vec::new());
    let never = std::sync::atomic::AtomicBool::new(false);
    record(&factory, &expert, plan, &never, |e| {
        starts.push(e.seed);
        trajectories.push(e.trajectory);
        Ok(())
    })
    .unwrap();
    (factory, trajectories, starts)
}

fn few_steps() -> GclLqgSettings {
    let few = [
        ("iterations", "4"),
        ("conditions", "2"),
        ("background", "2"),
        ("cost_steps", "5"),
        ("distillation_steps", "5"),
        ("last_distillation_steps", "5"),
    ];
    let few = few.map(|(key, value)| Override {
        key: key.into(),
        value: value.into(),
    });
    settings::resolve_typed("lq", &few).unwrap()
}

/// A learner of few steps at its start.
fn learner(
    factory: &EnvFactory,
    demonstrations: &[Trajectory],
    starts: &[u64],
    workers: usize,
) -> Result<GclLqg, Error> {
    let setup = Setup {
        sealer: Sealer::unwatched(),
        starts,
        factory,
        demonstrations,
        images: 0,
        expert: "maxent",
        seed: 4,
        workers,
        elsewhere: None,
    };
    GclLqg::new(&few_steps(), &setup)
}

#[test]
fn a_controllers_density_is_the_one_that_was_recorded() {
    let factory = EnvConfig::named("peg_insertion")
        .unwrap()
        .factory()
        .unwrap();
    let (n, m) = (
        factory.spec().observation.dim(),
        factory.spec().action.dim(),
    );
    let step = |t: usize| LinearStep {
        gain: DMatrix::from_fn(m, n, |i, j| 0.1 * ((i + 2 * j + t) as f64).sin()),
        offset: DVector::from_fn(m, |i, _| 0.2 * ((i + t) as f64).cos()),
        factor: DMatrix::from_fn(
            m,
            m,
            |i, j| if j > i { 0.0 } else { 0.3 / (1 + i + j) as f64 },
        ),
    };
    let controller = LinearController::new((0..factory.spec().horizon).map(step).collect());
    let controller = Arc::new(controller.unwrap());
    let jobs: Vec<Job> = (0..6).map(|i| Job::new(i).starting_at(7)).collect();
    let play = |workers| {
        RolloutPool::new(workers)
            .collect(&factory, &controller, ActionChoice::Sample, &jobs)
            .unwrap()
    };
    let episodes = play(1);
    assert_eq!(episodes, play(3));
    for e in &episodes {
        let recorded: f64 = e.trajectory.log_densities().unwrap().iter().sum();
        assert_eq!(controller.log_density(&e.trajectory), recorded);
    }
    assert_ne!(
        episodes[0].trajectory.actions(),
        episodes[1].trajectory.actions()
    );
    // The mean, and the start, are the same whatever the noise.
    let means = RolloutPool::new(1)
        .collect(&factory, &controller, ActionChoice::Mean, &jobs)
        .unwrap();
    assert_eq!(means[0].trajectory, means[1].trajectory);
}

#[test]
fn stopped_and_resumed_with_other_workers_is_as_if_never_stopped() {
    tch::set_num_threads(1);
    let (factory, demonstrations, starts) = lq(6);
    let begin = |workers| learner(&factory, &demonstrations, &starts, workers).unwrap();
    let bytes = |l: &GclLqg| l.save().to_bytes(&0).unwrap();
    let mut whole = begin(1);
    let mut reports = Vec::new();
    for k in 0..4 {
        reports.push(whole.iterate(k).unwrap().diagnostics);
    }
    let folder = tempfile::tempdir().unwrap();
    for stop in 0..4 {
        let mut first = begin(2);
        for k in 0..stop {
            first.iterate(k).unwrap();
        }
        // Through a file, as a checkpoint goes.
        let file = folder.path().join("state.safetensors");
        std::fs::write(&file, bytes(&first)).unwrap();
        let (state, _): (_, u8) = costate::nn::StateDict::read(&file).unwrap();
        let mut second = begin(1);
        second.load(&state).unwrap();
        for (k, expected) in reports.iter().enumerate().skip(stop) {
            let found = second.iterate(k).unwrap().diagnostics;
            assert_eq!(found, *expected, "from {stop}");
        }
        assert!(bytes(&second) == bytes(&whole), "resumed from {stop}");
    }
}

#[test]
fn the_puck_finds_its_way_round_the_obstacle_from_noise_and_few_samples() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let demos = shipped("point_mass");
    let mut args = vec!["train", &demos, "--algo", "gcl-lqg", "-o", "run", "--json"];
    for setting in [
        "iterations=12",
        "controllers.first=noise",
        "controllers.noise_std=0.5",
        "controllers.kl_step=1",
        "last_distillation_steps=100",
    ] {
        args.extend(["--set", setting]);
    }
    let summary = json(&succeed(at, &args));
    assert_eq!(summary["algo"], "gcl-lqg");
    assert_eq!(summary["env_steps"], 12 * 5 * 5 * 50);
    let metrics = RunFolder::open(&at.join("run")).unwrap().metrics().unwrap();
    let of = |k: usize, name: &str| metrics[k][name].as_f64().unwrap();
    // Noise stays where it is; the expert has -65.
    assert!(of(0, "solved") == 0.0 && of(0, "true_return") < -180.0);
    let (solved, reached) = (of(11, "solved"), of(11, "true_return"));
    assert!(solved > 0.1 && reached > -110.0, "{solved} {reached}");
    assert!(at.join("run/cost.safetensors").exists());
}

#[test]
fn what_it_cannot_learn_from_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (world, set, part) in [
        ("point_mass", "cost.form=neural", "cost.form=features"),
        (
            "point_mass",
            "samples=1",
            "is 1, expected a whole number of at least 2",
        ),
        ("point_mass", "controllers.kl_step=0", "a positive number"),
    ] {
        let demos = shipped(world);
        let args = [
            "train", &demos, "--algo", "gcl-lqg", "-o", "run", "--set", set,
        ];
        fail(at, &args, 2, &[part]);
    }
}

#[test]
fn a_demonstration_that_ends_early_is_refused() {
    let (factory, mut demonstrations, starts) = lq(2);
    let (whole, steps) = (&demonstrations[1], 4);
    let (n, m) = (whole.observation_dim(), whole.action_dim());
    let observations = whole.observations()[..(steps + 1) * n].to_vec();
    let actions = whole.actions()[..steps * m].to_vec();
    demonstrations[1] =
        Trajectory::new(n, m, observations, actions, None, End::Terminated).unwrap();
    let Err(error) = learner(&factory, &demonstrations, &starts, 1) else {
        panic!("accepted");
    };
    let message = error.to_string();
    assert!(message.contains("demonstration 1 ends after 4") && message.contains("use gcl"));
}
