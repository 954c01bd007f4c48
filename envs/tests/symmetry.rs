//! Worlds have the symmetries that they claim, and copies of trajectories are trajectories of the same world.

use costate_envs::images::{self, most, verify};
use costate_envs::registry::names;
use costate_envs::rng::stream;
use costate_envs::{Change, End, EnvConfig, EnvFactory, Trajectory};
use rand::RngExt;

fn changed(name: &str, changes: &[(&str, &str)]) -> EnvFactory {
    let mut config = EnvConfig::named(name).unwrap();
    for (key, value) in changes {
        config.set(key, value).unwrap();
    }
    config.factory().unwrap()
}

/// The names of a world's symmetries.
fn claimed(factory: &EnvFactory) -> Vec<&'static str> {
    let symmetries = factory.build().symmetries();
    symmetries.iter().map(|s| s.name).collect()
}

#[test]
fn worlds_have_the_symmetries_that_they_claim() {
    let mut mirrors = Vec::new();
    for name in names() {
        let factory = changed(name, &[]);
        verify(&factory, &factory.build().symmetries()).unwrap();
        match claimed(&factory)[..] {
            [] => {}
            ["mirror"] => mirrors.push(name),
            ["mirror", "rotation"] => assert!(name.starts_with("reacher"), "{name}"),
            ref other => panic!("{name}: {other:?}"),
        }
    }
    let expected = [
        "cart_pole",
        "cart_pole_swing_up",
        "pendulum",
        "acrobot",
        "point_fork",
        "push_t",
        "lunar_lander",
        "lq",
    ];
    mirrors.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(mirrors, expected);
}

/// What a parameter takes away is noticed by playing, with the first difference in the error.
#[test]
fn parameters_that_break_a_symmetry_are_found_out() {
    for (world, key, value, names) in [
        ("cart_pole", "gravity_m_s2", "[0.5, -9.81]", "mirror"),
        ("pendulum", "gravity_m_s2", "[0.5, -10]", "mirror"),
        ("reacher", "gravity_m_s2", "[0, -1]", "rotation"),
        ("point_fork", "goal_m", "[0.2, 1]", "mirror"),
        ("push_t", "goal_angle_rad", "0.5", "mirror"),
        ("lunar_lander", "start_m", "[0, 9]", ""),
    ] {
        let factory = changed(world, &[(key, value)]);
        match verify(&factory, &factory.build().symmetries()) {
            Ok(()) => assert_eq!(names, "", "{world} with {key}={value}"),
            Err(e) => {
                let text = e.to_string();
                assert!(
                    text.contains(&format!("its {names} does not hold"))
                        && text.contains("instead of"),
                    "{text}"
                );
            }
        }
    }
}

fn negate(changes: &[Change], values: &mut [f32]) {
    for change in changes {
        match *change {
            Change::Negate(i) => values[i] = -values[i],
            _ => panic!("these mirrors negate only"),
        }
    }
}

/// Also where bodies touch: a block that is pushed, a puck in the mouth of the fork.
#[test]
fn contacts_are_mirrored_too() {
    for world in ["push_t", "point_fork"] {
        let factory = changed(world, &[]);
        let [mirror] = &factory.build().symmetries()[..] else {
            panic!("{world} has a mirror alone");
        };
        let mut stopped = 0;
        for seed in 0..5 {
            let (mut original, mut image) = (factory.build(), factory.build());
            original.reset(seed);
            let mut coordinates = original.coordinates();
            negate(&mirror.coordinates, &mut coordinates);
            image.reset_to(&coordinates).unwrap();
            let dim = factory.spec().observation.dim();
            let mut o = [(); 2].map(|()| vec![0.0; dim]);
            original.observe(&mut o[0]);
            let start = o[0].clone();
            for t in 0..40 {
                // Towards the block; up into the fork.
                let mut action = match world {
                    "push_t" => vec![o[0][2] - o[0][0], o[0][3] - o[0][1]],
                    _ => vec![0.1 * (start[0] - o[0][0]), 0.3],
                };
                original.step(&action).unwrap();
                negate(&mirror.action, &mut action);
                image.step(&action).unwrap();
                original.observe(&mut o[0]);
                image.observe(&mut o[1]);
                let mut expected = o[0].clone();
                negate(&mirror.observation, &mut expected);
                for (a, b) in expected.iter().zip(&o[1]) {
                    assert!(
                        (a - b).abs() < 2e-3,
                        "{world}, seed {seed}, step {t}: {a} {b}"
                    );
                }
            }
            stopped += u32::from(match world {
                "push_t" => o[0][2..4] != start[2..4],
                _ => o[0][1] < 0.0 && o[0][3].abs() < 1e-3,
            });
        }
        assert_eq!(stopped, 5, "{world} without contact");
    }
}

/// An episode of random actions, as a trajectory.
fn episode(factory: &EnvFactory, seed: u64) -> Trajectory {
    let mut env = factory.build();
    env.reset(seed);
    let dim = factory.spec().observation.dim();
    let mut rng = stream(seed, "actions", 0);
    let (mut observations, mut actions) = (vec![0.0; dim], Vec::new());
    env.observe(&mut observations);
    loop {
        let action: Vec<f32> = (factory.spec().action.0.iter())
            .map(|c| c.low + rng.random::<f32>() * (c.high - c.low))
            .collect();
        let end = env.step(&action).unwrap().end;
        actions.extend(action);
        let at = observations.len();
        observations.resize(at + dim, 0.0);
        env.observe(&mut observations[at..]);
        if end != End::Running {
            let action_dim = factory.spec().action.dim();
            let steps = actions.len() / action_dim;
            let densities = (0..steps).map(|t| t as f64).collect();
            return Trajectory::new(dim, action_dim, observations, actions, Some(densities), end)
                .unwrap();
        }
    }
}

#[test]
fn mirror_images_change_signs_and_turned_ones_keep_lengths() {
    let pendulum = changed("pendulum", &[]);
    let symmetries = pendulum.build().symmetries();
    assert_eq!(most(&symmetries), Some(1));
    let original = episode(&pendulum, 1);
    let [image] = &images::of(&symmetries, &original, 1, &mut stream(0, "symmetry", 0))[..] else {
        panic!("one was asked for");
    };
    for t in 0..original.len() {
        let (o, i) = (original.observation(t), image.observation(t));
        assert_eq!([o[0], -o[1], -o[2]], *i);
        assert_eq!(-original.action(t)[0], image.action(t)[0]);
    }
    assert_eq!(original.log_densities(), image.log_densities());
    assert_eq!(original.end(), image.end());

    let reacher = changed("reacher", &[]);
    let symmetries = reacher.build().symmetries();
    assert_eq!(most(&symmetries), None);
    let original = episode(&reacher, 1);
    let images = images::of(&symmetries, &original, 6, &mut stream(0, "symmetry", 0));
    let mut targets = Vec::new();
    for (number, image) in images.iter().enumerate() {
        // Mirror images are the even ones.
        let sign = if number % 2 == 0 { -1.0 } else { 1.0 };
        for t in 0..original.len() {
            let (o, i) = (original.observation(t), image.observation(t));
            // Of shoulder, target and way to it; the elbow is not turned.
            for x in [0, 6, 8] {
                assert!((o[x].hypot(o[x + 1]) - i[x].hypot(i[x + 1])).abs() < 1e-5);
            }
            assert_eq!([o[2], sign * o[3]], i[2..4]);
            assert_eq!([sign * o[4], sign * o[5]], i[4..6]);
            assert_eq!(sign * original.action(t)[1], image.action(t)[1]);
        }
        targets.push(image.observation(0)[6]);
    }
    targets.sort_unstable_by(f32::total_cmp);
    assert!(
        targets.windows(2).all(|w| w[1] - w[0] > 1e-3),
        "{targets:?}"
    );
    assert_eq!(most(&[]), Some(0));
}

/// Seen from the first link, an arm that is turned with its target looks the same and moves the same.
#[test]
fn an_arm_in_its_own_frame_does_not_see_rotations() {
    for name in ["reacher", "reacher3"] {
        let world = changed(name, &[]);
        let own = changed(name, &[("observed_from", "first_link")]);
        let rotation = &world.build().symmetries()[1];
        assert_eq!(claimed(&own), ["mirror"]);
        verify(&own, &own.build().symmetries()).unwrap();
        let dim = own.spec().observation.dim();
        assert_eq!(dim + 2, world.spec().observation.dim());
        assert!(!own.spec().observation.names().any(|n| n == "shoulder_cos"));
        for seed in 0..5 {
            let (mut a, mut b) = (own.build(), own.build());
            a.reset(seed);
            let mut coordinates = a.coordinates();
            let (sin, cos) = 1.3_f64.sin_cos();
            assert_eq!(rotation.coordinates, [Change::Add(0)]);
            coordinates[0] += 1.3;
            b.reset_to(&coordinates).unwrap();
            let mut state = b.save();
            let [x, y] = a.save().task[..] else {
                panic!("the target is all that the task remembers");
            };
            state.task = vec![cos * x - sin * y, sin * x + cos * y];
            b.load(&state).unwrap();
            let mut o = [vec![0.0; dim], vec![0.0; dim]];
            let mut rng = stream(seed, "actions", 0);
            for _ in 0..20 {
                let action: Vec<f32> = (0..own.spec().action.dim())
                    .map(|_| 2.0 * rng.random::<f32>() - 1.0)
                    .collect();
                let costs = [&mut a, &mut b].map(|env| env.step(&action).unwrap().cost);
                assert!((costs[0] - costs[1]).abs() < 1e-3, "{costs:?}");
                a.observe(&mut o[0]);
                b.observe(&mut o[1]);
                assert!(own.spec().observation.contains(&o[0]));
                for (a, b) in o[0].iter().zip(&o[1]) {
                    assert!((a - b).abs() < 2e-3, "{name}, seed {seed}: {a} {b}");
                }
            }
        }
    }
}
