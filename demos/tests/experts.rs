//! Experts against theory, against their tasks, and against themselves (determinism).

use std::sync::atomic::{AtomicBool, Ordering};

use costate_demos::dataset::{Header, Status};
use costate_demos::experts::{IlqrExpert, IlqrParameters, LqrExpert, Margins};
use costate_demos::inspect::Replay;
use costate_demos::{
    Dataset, DatasetReader, DatasetWriter, ExpertDesign, Plan, RecordError, check, expert_return,
    info, random_return, record, record_dataset,
};
use costate_envs::riccati::lqr;
use costate_envs::worlds::lq::{Lq, LqModel};
use costate_envs::{Env, EnvConfig, EnvFactory, Episode, Trajectory, registry};
use nalgebra::{DMatrix, DVector, dmatrix};
use tempfile::tempdir;

fn factory(env: &str) -> EnvFactory {
    EnvConfig::named(env).unwrap().factory().unwrap()
}

fn plan(episodes: usize, workers: usize) -> Plan {
    Plan {
        episodes,
        seed: 3,
        workers,
    }
}

fn recorded(factory: &EnvFactory, design: &ExpertDesign, plan: Plan) -> Vec<Episode> {
    let mut episodes = Vec::new();
    let sink = |episode| {
        episodes.push(episode);
        Ok(())
    };
    record(factory, design, plan, &AtomicBool::new(false), sink).unwrap();
    episodes
}

#[test]
fn cart_pole_gains_match_the_analytic_linearisation() {
    // A uniform rod of mass m and length 2l on a cart of mass M; the angle is counter-clockwise:
    // (M+m)ẍ − mlθ̈ = F, (4/3)ml²θ̈ − mlẍ = mglθ. Exactly discretised under a held force.
    // Many substeps: with the 8 of the shipped model the gains are 0.5 % off.
    let mut config = EnvConfig::named("cart_pole").unwrap();
    config.set("solver_iterations", "64").unwrap();
    let factory = config.factory().unwrap();
    let model = &factory.config().model;
    let number = |path: &str| model.pointer(path).unwrap().as_f64().unwrap();
    let (cart, pole) = (number("/bodies/0/mass_kg"), number("/bodies/1/mass_kg"));
    let l = 0.5 * number("/bodies/1/shape/length_m");
    let g = -number("/gravity_m_s2/1");
    let gear = number("/actuators/0/gear_n");
    let mass = dmatrix![cart + pole, -pole * l; -pole * l, 4.0 / 3.0 * pole * l * l];
    let inverse = mass.try_inverse().unwrap();
    let falling = &inverse * DVector::from_vec(vec![0.0, pole * g * l]);
    let pushed = &inverse * DVector::from_vec(vec![gear, 0.0]);
    let mut flow = DMatrix::zeros(5, 5);
    flow[(0, 2)] = 1.0;
    flow[(1, 3)] = 1.0;
    for i in 0..2 {
        flow[(2 + i, 1)] = falling[i];
        flow[(2 + i, 4)] = pushed[i];
    }
    let step = (flow * factory.spec().control_period_s).exp();
    let weight = |name: &str| 2.0 * number(&format!("/task/{name}"));
    let q = DMatrix::from_diagonal(&DVector::from_vec(vec![
        weight("position_weight_1_m2"),
        0.5 * weight("angle_weight"), // 1 − cos θ ≈ ½θ²
        weight("velocity_weight_s2_m2"),
        weight("angular_velocity_weight_s2"),
    ]));
    let r = dmatrix![weight("action_weight")];
    let (a, b) = (
        step.view((0, 0), (4, 4)).into(),
        step.view((0, 4), (4, 1)).into(),
    );
    let analytic = lqr(&a, &b, &q, &r).unwrap().gain;
    let expert = LqrExpert::new(&factory).unwrap();
    let measured = &expert.solution().gain;
    for i in 0..4 {
        let error = (measured[i] / analytic[i] - 1.0).abs();
        assert!(
            error < 5e-3,
            "gain {i}: {} against {}",
            measured[i],
            analytic[i]
        );
    }
}

#[test]
fn max_ent_expert_is_the_closed_form() {
    let factory = factory("lq");
    let model: LqModel = serde_json::from_value(factory.config().model.clone()).unwrap();
    let solution = Lq::new(&model).unwrap().solution().clone();
    let design = ExpertDesign::new(&factory, None, None).unwrap();
    assert_eq!(design.name(), "maxent");
    let variance = solution.action_curvature.clone().try_inverse().unwrap()[(0, 0)];
    assert!((design.noise().std()[0] - variance.sqrt()).abs() < 1e-12);
    for episode in recorded(&factory, &design, plan(3, 1)) {
        let trajectory = &episode.trajectory;
        for t in 0..trajectory.len() {
            let state = trajectory.observation(t).iter().map(|s| f64::from(*s));
            let mean = -(&solution.gain * DVector::from_iterator(2, state))[0];
            let z = (f64::from(trajectory.action(t)[0]) - mean) / variance.sqrt();
            let expected = -0.5 * z * z - 0.5 * (std::f64::consts::TAU * variance).ln();
            let found = trajectory.log_densities().unwrap()[t];
            assert!(
                (found - expected).abs() < 1e-6,
                "step {t}: {found} against {expected}"
            );
        }
    }
}

#[test]
fn recorded_densities_are_those_of_the_expert_and_its_noise() {
    let factory = factory("cart_pole");
    let design = ExpertDesign::new(&factory, Some("lqr"), Some(0.1)).unwrap();
    let std = design.noise().std()[0];
    assert!((std - 0.2).abs() < 1e-6, "a tenth of the range −1 to 1");
    let expert = LqrExpert::new(&factory).unwrap();
    let margins = Margins::new(&factory, design.noise());
    let mut env = factory.build();
    let mut clamped = 0;
    for episode in recorded(&factory, &design, plan(2, 2)) {
        let trajectory = &episode.trajectory;
        env.reset(episode.seed);
        for t in 0..trajectory.len() {
            let mut mean = [0.0];
            expert.feedback(&expert.deviation(&env.coordinates()), &mut mean);
            clamped += usize::from(mean[0].abs() > 0.8);
            margins.clamp(&mut mean);
            assert!(
                mean[0].abs() <= 0.8 + 1e-6,
                "one standard deviation inside the bounds"
            );
            let z = (f64::from(trajectory.action(t)[0]) - mean[0]) / std;
            let expected = -0.5 * z * z - std.ln() - 0.5 * std::f64::consts::TAU.ln();
            let found = trajectory.log_densities().unwrap()[t];
            assert!(
                (found - expected).abs() < 1e-9,
                "step {t}: {found} against {expected}"
            );
            env.step(trajectory.action(t)).unwrap();
        }
    }
    assert!(clamped > 0, "the test must reach the margins");
}

#[test]
fn recordings_depend_on_the_seed_alone() {
    for env in registry::names() {
        let factory = factory(env);
        let design = ExpertDesign::new(&factory, None, None).unwrap();
        let one = recorded(&factory, &design, plan(3, 1));
        assert_eq!(
            one,
            recorded(&factory, &design, plan(3, 3)),
            "{env}: workers"
        );
        assert_eq!(
            one[..2],
            recorded(&factory, &design, plan(2, 2)),
            "{env}: fewer episodes"
        );
        assert_ne!(one[0], one[1], "{env}: episodes");
        let starts = |i: usize| one[i].seed;
        let again = expert_return(&factory, &design, plan(3, 2), starts).unwrap();
        let mean = one.iter().map(Episode::true_return).sum::<f64>() / 3.0;
        assert!(
            (again.mean - mean).abs() <= 1e-12 * mean.abs(),
            "{env}: starts and noise are the recording's, so is the return"
        );
        // −½z² up to a constant: equal where two episodes share their noise.
        let density = |e: &Episode| e.trajectory.log_densities().unwrap()[0];
        assert!(
            (density(&one[0]) - density(&one[1])).abs() > 1e-3,
            "{env}: noise"
        );
        let other = Plan {
            seed: 4,
            ..plan(1, 1)
        };
        assert_ne!(one[..1], recorded(&factory, &design, other), "{env}: seeds");
        let random = random_return(&factory, plan(4, 1)).unwrap();
        assert_eq!(
            random,
            random_return(&factory, plan(4, 3)).unwrap(),
            "{env}"
        );
        let worst = one
            .iter()
            .map(Episode::true_return)
            .fold(f64::INFINITY, f64::min);
        assert!(
            worst > random.mean,
            "{env}: {worst} against {}",
            random.mean
        );
    }
}

/// Episodes of the best expert whose last tenth satisfies `solved` throughout.
fn successes(env: &str, episodes: usize, solved: impl Fn(&[f32]) -> bool) -> usize {
    let factory = factory(env);
    let design = ExpertDesign::new(&factory, None, None).unwrap();
    let episodes = recorded(&factory, &design, plan(episodes, 2));
    let fits = |t: &Trajectory| (t.len() * 9 / 10..=t.len()).all(|i| solved(t.observation(i)));
    episodes.iter().filter(|e| fits(&e.trajectory)).count()
}

#[test]
fn experts_solve_their_tasks() {
    assert_eq!(
        successes("cart_pole", 10, |s| s[2] > 0.98 && s[0].abs() < 0.5),
        10
    );
    assert_eq!(successes("pendulum", 20, |s| s[0] > 0.94), 20);
    assert!(successes("cart_pole_swing_up", 20, |s| s[2] > 0.94) >= 19);
    let near_goal = |s: &[f32]| (s[0] - 2.2).hypot(s[1]) < 0.3;
    assert_eq!(successes("point_mass", 5, near_goal), 5);
    // Both links within 20 degrees of upright; feet down on the pad.
    let upright = |s: &[f32]| s[0] > 0.94 && s[0] * s[2] - s[1] * s[3] > 0.94;
    assert_eq!(successes("acrobot", 3, upright), 3);
    let landed = |s: &[f32]| s[0].abs() < 2.0 && s[5] > 0.98 && s[7] + s[8] == 2.0;
    assert_eq!(successes("lunar_lander", 20, landed), 20);
}

/// An optimiser whose actions stay within the environment's bounds.
fn ilqr(factory: &EnvFactory, parameters: IlqrParameters) -> IlqrExpert {
    let bounds = factory.spec().action.0.iter();
    let margins = Margins {
        low: bounds.clone().map(|c| f64::from(c.low)).collect(),
        high: bounds.map(|c| f64::from(c.high)).collect(),
    };
    IlqrExpert::new(factory, parameters, margins, None)
}

#[test]
fn ilqr_finds_the_optimum_of_the_linear_quadratic_system() {
    // A short episode, too: there the cost of its end weighs.
    for horizon in ["40", "6"] {
        let mut config = EnvConfig::named("lq").unwrap();
        config.set("horizon", horizon).unwrap();
        let factory = config.factory().unwrap();
        let model: LqModel = serde_json::from_value(factory.config().model.clone()).unwrap();
        let solution = Lq::new(&model).unwrap().solution().clone();
        let mut optimiser = ilqr(&factory, IlqrParameters::for_env("lq"));
        let mut env = factory.build();
        let state =
            |env: &dyn Env| DVector::from_iterator(2, env.coordinates().into_iter().map(f64::from));
        for seed in 0..5 {
            env.reset(seed);
            let start = state(env.as_ref());
            let optimum = 0.5 * start.dot(&(&solution.cost_to_go * &start));
            let plan = optimiser.optimise(&env.save(), &[]).unwrap();
            let excess = plan.cost() / optimum - 1.0;
            assert!(excess.abs() < 1e-3, "{horizon} steps: {excess}");
            for action in plan.actions() {
                let best = -(&solution.gain * state(env.as_ref()))[0];
                assert!((action[0] - best).abs() < 5e-3, "{} {best}", action[0]);
                env.step(&[action[0] as f32]).unwrap();
            }
        }
    }
}

#[test]
fn ilqr_respects_bounds_and_improves_what_it_starts_from() {
    // Held down by tight bounds, the optimum of the linear-quadratic system saturates.
    let factory = self::factory("lq");
    let mut env = factory.build();
    env.reset_to(&[4.0, 3.0]).unwrap();
    let margins = Margins {
        low: vec![-0.5],
        high: vec![0.5],
    };
    let parameters = IlqrParameters::for_env("lq");
    let mut optimiser = IlqrExpert::new(&factory, parameters, margins, None);
    let best = optimiser.optimise(&env.save(), &[]).unwrap();
    let actions: Vec<f64> = best.actions().iter().map(|a| a[0]).collect();
    assert!(actions.iter().all(|a| a.abs() <= 0.5));
    assert!(actions.iter().any(|a| a.abs() == 0.5) && actions.iter().any(|a| a.abs() < 0.4));
    // No action of its own can be better: the problem is convex.
    let cost = |actions: &[f64]| {
        let mut env = factory.build();
        env.reset_to(&[4.0, 3.0]).unwrap();
        actions
            .iter()
            .map(|a| env.step(&[*a as f32]).unwrap().cost)
            .sum::<f64>()
    };
    assert!((cost(&actions) / best.cost() - 1.0).abs() < 1e-6);
    for t in 0..actions.len() {
        for by in [-0.05, 0.05] {
            let mut other = actions.clone();
            other[t] = (other[t] + by).clamp(-0.5, 0.5);
            assert!(cost(&other) > best.cost() * (1.0 - 1e-5), "step {t}");
        }
    }

    let factory = self::factory("cart_pole_swing_up");
    let energy = ExpertDesign::new(&factory, Some("energy"), Some(0.0)).unwrap();
    let refined = ExpertDesign::new(&factory, Some("ilqr"), Some(0.0)).unwrap();
    let [before, after] =
        [energy, refined].map(|d| recorded(&factory, &d, plan(1, 1))[0].true_return());
    assert!(after > 0.9 * before, "{after} against {before}");
}

#[test]
fn arms_mazes_and_contacts_are_mastered() {
    for (env, variant, episodes) in [
        ("reacher", None, 10),
        ("reacher3", None, 10),
        ("reacher", Some("own_frame"), 5),
        ("reacher3", Some("own_frame"), 5),
        ("reacher", Some("long_forearm"), 5),
        ("point_maze", None, 10),
        ("point_maze", Some("wall_right"), 10),
        ("point_fork", None, 60),
        ("point_fork", Some("left_shut"), 5),
        ("peg_insertion", None, 10),
        ("peg_insertion", Some("slot_shifted"), 5),
        ("push_t", None, 2),
        ("push_t", Some("turned_goal"), 2),
    ] {
        let mut config = EnvConfig::named(env).unwrap();
        if let Some(variant) = variant {
            config.apply_variant(variant).unwrap();
        }
        let factory = config.factory().unwrap();
        let design = ExpertDesign::new(&factory, None, None).unwrap();
        let episodes = recorded(&factory, &design, plan(episodes, 2));
        let solved = episodes.iter().filter(|e| e.success == Some(true)).count();
        assert_eq!(solved, episodes.len(), "{env} {variant:?}");
    }
}

#[test]
fn a_fork_is_passed_on_both_sides_alike_and_a_wall_on_one() {
    let factory = factory("point_fork");
    let design = ExpertDesign::new(&factory, None, None).unwrap();
    let env = factory.build();
    assert_eq!(env.modes(), ["left", "right"]);
    let episodes = recorded(&factory, &design, plan(200, 2));
    let side = |e: &Episode| env.mode(e.trajectory.observations());
    let left = episodes.iter().filter(|e| side(e) == Some(0)).count();
    let right = episodes.iter().filter(|e| side(e) == Some(1)).count();
    assert_eq!(left + right, 200);
    // 3 standard deviations of 200 fair coins.
    assert!(left.abs_diff(100) < 22, "{left} of 200 on the left");
    // The sides are what they are called, and who never passes took none.
    let leftmost = |e: &Episode| {
        let places = e.trajectory.observations().chunks_exact(4);
        places.map(|o| o[0]).fold(f32::MAX, f32::min)
    };
    for e in &episodes {
        assert_eq!(side(e) == Some(0), leftmost(e) < -0.6);
    }
    assert_eq!(env.mode(&[0.0, -1.0, 0.0, 0.0, 0.0, -0.4, 0.0, 0.0]), None);
    // A wall with one gap leaves no choice.
    assert!(self::factory("point_maze").build().modes().is_empty());
}

#[test]
fn experts_say_which_models_they_cannot_control() {
    for (env, key, value, what) in [
        ("point_maze", "puck.shape.kind", "box", "round"),
        ("push_t", "push_x.direction", "[0, 1]", "two thrusts"),
    ] {
        let mut config = EnvConfig::named(env).unwrap();
        if key == "puck.shape.kind" {
            config.model["bodies"][0]["shape"] =
                serde_json::json!({ "kind": value, "width_m": 0.2, "height_m": 0.2 });
        } else {
            config.set(key, value).unwrap();
        }
        let error = ExpertDesign::new(&config.factory().unwrap(), None, None).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(what) && message.contains("use expert `mppi`"),
            "{message}"
        );
    }
}

#[test]
fn changed_parameters_change_the_expert() {
    let mut config = EnvConfig::named("cart_pole").unwrap();
    config.set("pole.shape.length_m", "1.6").unwrap();
    let usual = LqrExpert::new(&factory("cart_pole")).unwrap();
    let factory = config.factory().unwrap();
    let gain = |expert: &LqrExpert| expert.solution().gain[3];
    assert!(gain(&LqrExpert::new(&factory).unwrap()) > 1.5 * gain(&usual));
    let design = ExpertDesign::new(&factory, None, None).unwrap();
    for episode in recorded(&factory, &design, plan(3, 2)) {
        let last = episode.trajectory.observation(episode.trajectory.len());
        assert!(last[2] > 0.98, "the longer pole stands");
    }
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let refused = |env: &str, name, noise, what: &[&str]| {
        let message = ExpertDesign::new(&factory(env), name, noise)
            .unwrap_err()
            .to_string();
        assert!(!message.contains('\n'));
        for what in what {
            assert!(message.contains(what), "{message}");
        }
    };
    refused(
        "pendulum",
        Some("enrgy"),
        None,
        &[
            "pendulum has no expert `enrgy`, did you mean `energy`?",
            "energy, ilqr, mppi",
        ],
    );
    refused(
        "pendulum",
        Some("quux"),
        None,
        &["its experts: energy, ilqr, mppi"],
    );
    refused("pendulum", None, Some(-0.1), &["noise is -0.1"]);
    refused("pendulum", None, Some(f64::NAN), &["noise is NaN"]);
    refused(
        "lq",
        Some("maxent"),
        Some(0.1),
        &["`maxent`", "cannot be set"],
    );
    let design = ExpertDesign::new(&factory("lq"), Some("lqr"), None).unwrap();
    let none = record(
        &factory("lq"),
        &design,
        plan(0, 1),
        &AtomicBool::new(false),
        |_| Ok(()),
    );
    assert!(matches!(none, Err(RecordError::NoEpisodes)));
}

#[test]
fn without_noise_there_is_no_density() {
    let factory = factory("lq");
    let design = ExpertDesign::new(&factory, Some("lqr"), Some(0.0)).unwrap();
    assert!(!design.info().log_density_known);
    let episode = &recorded(&factory, &design, plan(1, 1))[0];
    assert_eq!(episode.trajectory.log_densities(), None);
}

#[test]
fn datasets_of_every_environment_replay_bit_for_bit() {
    for env in registry::names() {
        let parent = tempdir().unwrap();
        let folder = parent.path().join(env);
        let factory = factory(env);
        let design = ExpertDesign::new(&factory, None, None).unwrap();
        let mut seen = Vec::new();
        let cancel = AtomicBool::new(false);
        let meta = record_dataset(&folder, &factory, &design, plan(2, 2), &cancel, |entry| {
            seen.push(entry.id);
        });
        let meta = meta.unwrap();
        assert_eq!(seen, [0, 1]);
        assert_eq!(meta.status, Status::Complete);
        assert_eq!(meta.random_return.unwrap().episodes, 100);
        let dataset = Dataset::open(&folder).unwrap();
        dataset.check_env(factory.spec()).unwrap();
        assert_eq!(dataset.episodes(), recorded(&factory, &design, plan(2, 1)));
        let report = check(&folder).unwrap();
        assert!(report.is_sound(), "{env}: {:?}", report.problems);
        assert!(
            matches!(report.replay, Some(Replay::Exact { episode: 0, .. })),
            "{env}: {}",
            report.replay.unwrap()
        );
        let info = info(&DatasetReader::open(&folder).unwrap()).unwrap();
        assert_eq!(info.observations.len(), factory.spec().observation.dim());
        assert!(
            info.observations.iter().all(|c| c.beyond_bounds == 0.0),
            "{env}"
        );
        assert!(info.actions.iter().all(|c| c.beyond_bounds < 0.3), "{env}");
    }
}

#[test]
fn check_lists_every_fault_and_the_first_difference() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    let factory = factory("lq");
    let design = ExpertDesign::new(&factory, None, None).unwrap();
    let mut episodes = recorded(&factory, &design, plan(4, 1));
    // An observation that no simulation gives, at step 5 of episode 1.
    let honest = episodes[1].trajectory.clone();
    let mut observations = honest.observations().to_vec();
    observations[5 * 2 + 1] += 1e-3;
    episodes[1].trajectory = Trajectory::new(
        2,
        1,
        observations,
        honest.actions().to_vec(),
        honest.log_densities().map(<[f64]>::to_vec),
        honest.end(),
    )
    .unwrap();
    let header = Header {
        env: factory.config().clone(),
        spec: factory.spec().clone(),
        expert: design.info(),
        seed: 3,
    };
    let mut writer = DatasetWriter::create(&folder, header).unwrap();
    for episode in &episodes {
        writer.append(episode).unwrap();
    }
    writer.finish().unwrap();
    let report = check(&folder).unwrap();
    assert!(report.is_sound());
    assert!(matches!(
        report.replay,
        Some(Replay::Exact { episode: 0, .. })
    ));

    std::fs::write(folder.join("data/0/part-0.parquet"), b"rubbish").unwrap();
    std::fs::remove_file(folder.join("data/2/part-0.parquet")).unwrap();
    std::fs::create_dir(folder.join("data/7")).unwrap();
    let report = check(&folder).unwrap();
    assert_eq!((report.episodes, report.sound), (4, 2));
    assert_eq!(report.problems.len(), 3, "{:?}", report.problems);
    for (problem, what) in report.problems.iter().zip(["data/0/", "data/2/", "data/7"]) {
        assert!(problem.contains(what), "{problem}");
    }
    let replay = report.replay.unwrap();
    assert!(
        matches!(&replay, Replay::Differs { episode: 1, step: 5, field, .. } if field == "s1"),
        "{replay}"
    );
}

#[test]
fn cancelled_recording_is_a_complete_dataset() {
    let parent = tempdir().unwrap();
    let folder = parent.path().join("demos");
    let factory = factory("lq");
    let design = ExpertDesign::new(&factory, None, None).unwrap();
    let cancel = AtomicBool::new(false);
    let meta = record_dataset(
        &folder,
        &factory,
        &design,
        plan(100_000, 2),
        &cancel,
        |entry| {
            cancel.fetch_or(entry.id == 4, Ordering::Relaxed);
        },
    )
    .unwrap();
    assert_eq!(meta.status, Status::Complete);
    assert!(meta.episodes.len() >= 5 && meta.episodes.len() < 100);
    assert_eq!(
        Dataset::open(&folder).unwrap().episodes().len(),
        meta.episodes.len()
    );
}

/// Parameters by their keys.
type Changes = &'static [(&'static str, &'static str)];

/// The pendulum of cases that people bring: lighter, shorter, weaker.
const LIGHT: Changes = &[
    ("rod.mass_kg", "0.35"),
    ("rod.shape.length_m", "0.6"),
    ("actuators.torque.high", "0.9"),
    ("actuators.torque.low", "-0.9"),
    ("hinge.speed_limit_rad_s", "30"),
];

#[test]
fn experts_solve_their_task_at_other_control_rates() {
    let worlds: [(&str, Changes, &str, &str); 4] = [
        ("pendulum", LIGHT, "0.01", "2000"),
        ("cart_pole_swing_up", &[], "0.01", "400"),
        ("acrobot", &[], "0.01", "1200"),
        ("point_mass", &[], "0.02", "250"),
    ];
    for (env, set, period, horizon) in worlds {
        let mut config = EnvConfig::named(env).unwrap();
        for (key, value) in set {
            config.set(key, value).unwrap();
        }
        config.set("dt_s", period).unwrap();
        config.set("task.horizon", horizon).unwrap();
        let factory = config.factory().unwrap();
        let design = ExpertDesign::new(&factory, None, None).unwrap();
        let start = |i| costate_envs::rng::derive_seed(0, "demonstration", i as u64);
        let episodes = costate_demos::record::play_episodes(&factory, &design, plan(5, 2), start);
        let solved = episodes
            .unwrap()
            .iter()
            .filter(|e| e.success == Some(true))
            .count();
        assert_eq!(solved, 5, "{env} at {period} s");
    }
}

#[test]
fn recordings_that_hardly_solve_their_task_are_doubted() {
    let doubts = |dt: &str| {
        let mut config = EnvConfig::named("pendulum").unwrap();
        config.set("dt_s", dt).unwrap();
        config.set("task.horizon", "10").unwrap();
        let factory = config.factory().unwrap();
        let design = ExpertDesign::new(&factory, None, None).unwrap();
        let folder = tempdir().unwrap();
        let cancel = AtomicBool::new(false);
        let meta = record_dataset(
            folder.path(),
            &factory,
            &design,
            plan(4, 1),
            &cancel,
            |_| {},
        );
        costate_demos::record::doubts(&meta.unwrap()).join("\n")
    };
    let text = doubts("0.05");
    for part in [
        "of 4 episodes are solved",
        "now 10 steps",
        "`--expert ilqr`",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("tuned"), "{text}");
    let text = doubts("0.01");
    assert!(
        text.contains("period is 0.01 s, but expert `energy` was tuned for 0.05 s"),
        "{text}"
    );
}
