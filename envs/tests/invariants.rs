//! What every registered world must satisfy.

use costate_envs::registry::names;
use costate_envs::rng::{Stream, stream};
use costate_envs::{End, Env, EnvConfig, EnvError, EnvFactory, SavedState};
use rand::RngExt;

const RANDOM_STEPS: usize = 10_000;

fn factory(name: &str) -> EnvFactory {
    EnvConfig::named(name).unwrap().factory().unwrap()
}

fn for_each_world(test: impl Fn(&EnvFactory)) {
    for name in names() {
        test(&factory(name));
    }
}

/// A command spread over somewhat more than the bounds (or over ±3 where they are huge).
fn random_action(env: &dyn Env, rng: &mut Stream) -> Vec<f32> {
    env.spec()
        .action
        .0
        .iter()
        .map(|c| {
            let (low, high) = (c.low.max(-3.0), c.high.min(3.0));
            low + (high - low) * (1.2 * rng.random::<f32>() - 0.1)
        })
        .collect()
}

fn observation(env: &dyn Env) -> Vec<f32> {
    let mut out = vec![f32::NAN; env.spec().observation.dim()];
    env.observe(&mut out);
    out
}

/// Bits of everything an outsider sees of one step.
fn step_bits(env: &mut dyn Env, action: &[f32]) -> Vec<u64> {
    let step = env.step(action).unwrap();
    let mut bits: Vec<u64> = observation(env)
        .into_iter()
        .chain(env.coordinates())
        .map(|v| u64::from(v.to_bits()))
        .collect();
    bits.extend([step.cost.to_bits(), step.end as u64, env.state_hash()]);
    bits
}

/// The bits of an episode from here on under actions of `seed`.
fn rest_bits(env: &mut dyn Env, seed: u64) -> Vec<Vec<u64>> {
    let mut rng = stream(seed, "actions", 0);
    let mut bits = Vec::new();
    loop {
        let action = random_action(env, &mut rng);
        bits.push(step_bits(env, &action));
        if bits.last().unwrap()[bits.last().unwrap().len() - 2] != End::Running as u64 {
            return bits;
        }
    }
}

fn episode_bits(env: &mut dyn Env, seed: u64) -> Vec<Vec<u64>> {
    env.reset(seed);
    rest_bits(env, seed)
}

#[test]
fn specs_are_complete_and_models_round_trip() {
    for_each_world(|factory| {
        let spec = factory.spec();
        assert!(names().contains(&&*spec.name));
        assert!(spec.horizon > 0 && spec.control_period_s > 0.0 && !spec.summary.is_empty());
        for space in [&spec.observation, &spec.action] {
            assert!(space.dim() > 0);
            for (i, channel) in space.0.iter().enumerate() {
                assert!(channel.low < channel.high && !channel.unit.is_empty());
                assert!(space.0[..i].iter().all(|c| c.name != channel.name));
            }
        }
        let text = serde_json::to_string(factory.config()).unwrap();
        let config: EnvConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(&config, factory.config());
        assert_eq!(config.factory().unwrap().config(), factory.config());
    });
}

#[test]
fn observations_stay_within_bounds_and_none_is_constant() {
    for_each_world(|factory| {
        let mut env = factory.build();
        let spec = env.spec().clone();
        let mut rng = stream(1, "actions", 0);
        let mut seen: Vec<[f32; 2]> = vec![[f32::MAX, f32::MIN]; spec.observation.dim()];
        let mut episode_steps = 0;
        let mut seed = 0;
        env.reset(seed);
        for _ in 0..RANDOM_STEPS {
            let now = observation(&*env);
            assert!(now.iter().all(|v| v.is_finite()));
            assert!(spec.observation.contains(&now), "{}: {now:?}", spec.name);
            for (range, v) in seen.iter_mut().zip(&now) {
                *range = [range[0].min(*v), range[1].max(*v)];
            }
            let action = random_action(&*env, &mut rng);
            let expected_cost = env.cost(&action);
            let step = env.step(&action).unwrap();
            episode_steps += 1;
            assert!(step.cost.is_finite());
            if step.end == End::Running {
                assert_eq!(step.cost, expected_cost, "{}", spec.name);
                assert!(episode_steps < spec.horizon);
            } else {
                assert!(episode_steps == spec.horizon || step.end == End::Terminated);
                episode_steps = 0;
                seed += 1;
                env.reset(seed);
            }
        }
        for (range, channel) in seen.iter().zip(&spec.observation.0) {
            assert!(range[1] > range[0], "{}: {}", spec.name, channel.name);
        }
    });
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    for_each_world(|factory| {
        let mut env = factory.build();
        let first = episode_bits(&mut *env, 5);
        assert_eq!(first, episode_bits(&mut *factory.build(), 5));
        assert_ne!(first, episode_bits(&mut *factory.build(), 6));
    });
}

#[test]
fn a_reset_equals_a_fresh_build() {
    for_each_world(|factory| {
        let mut used = factory.build();
        episode_bits(&mut *used, 11);
        used.reset(12);
        // Leave the second episode in the middle.
        let mut rng = stream(12, "actions", 1);
        for _ in 0..used.spec().horizon / 3 {
            let action = random_action(&*used, &mut rng);
            used.step(&action).unwrap();
        }
        assert_eq!(
            episode_bits(&mut *used, 13),
            episode_bits(&mut *factory.build(), 13)
        );
    });
}

#[test]
fn a_saved_state_reproduces_the_rest_of_the_episode_also_through_json() {
    for_each_world(|factory| {
        // At the start, after one step, and in the middle.
        for steps in [0, 1, factory.spec().horizon / 2] {
            let mut env = factory.build();
            env.reset(21);
            let mut rng = stream(21, "actions", 1);
            for _ in 0..steps {
                let action = random_action(&*env, &mut rng);
                env.step(&action).unwrap();
            }
            let saved = env.save();
            let hash = env.state_hash();
            let text = serde_json::to_string(&saved).unwrap();
            let restored: SavedState = serde_json::from_str(&text).unwrap();
            let rest = rest_bits(&mut *env, 22);

            let mut other = factory.build();
            episode_bits(&mut *other, 23);
            for state in [&saved, &restored] {
                other.load(state).unwrap();
                assert_eq!(other.state_hash(), hash, "{}", saved.env);
                assert_eq!(rest_bits(&mut *other, 22), rest, "{} {steps}", saved.env);
            }
        }
    });
}

#[test]
fn start_coordinates_reproduce_an_episode() {
    for_each_world(|factory| {
        let mut env = factory.build();
        env.reset(31);
        let coordinates = env.coordinates();
        // What a task draws beyond coordinates (a target) stays from the last reset.
        let mut other = factory.build();
        episode_bits(&mut *other, 31);
        other.reset_to(&coordinates).unwrap();
        assert_eq!(other.coordinates(), coordinates);
        let nearly = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-3);
        assert!(nearly(&observation(&*env), &observation(&*other)));
        assert!(other.reset_to(&coordinates[1..]).is_err());
        assert!(other.reset_to(&vec![f32::NAN; coordinates.len()]).is_err());
    });
}

#[test]
fn threads_see_the_same_bits() {
    for_each_world(|factory| {
        let seeds: Vec<u64> = (40..44).collect();
        let alone: Vec<_> = seeds
            .iter()
            .map(|&s| episode_bits(&mut *factory.build(), s))
            .collect();
        let together: Vec<_> = std::thread::scope(|scope| {
            let jobs: Vec<_> = seeds
                .iter()
                .map(|&s| scope.spawn(move || episode_bits(&mut *factory.build(), s)))
                .collect();
            jobs.into_iter().map(|j| j.join().unwrap()).collect()
        });
        assert_eq!(alone, together);
    });
}

#[test]
fn actions_saturate_in_the_world_but_not_in_the_cost() {
    for_each_world(|factory| {
        let highs: Vec<f32> = factory.spec().action.0.iter().map(|c| c.high).collect();
        let beyond: Vec<f32> = highs.iter().map(|h| h * 10.0).collect();
        let after = |action: &[f32]| {
            let mut env = factory.build();
            env.reset(51);
            let cost = env.step(action).unwrap().cost;
            (env.coordinates(), cost)
        };
        let (at, cost_at) = after(&highs);
        let (over, cost_over) = after(&beyond);
        assert_eq!(at, over, "{}", factory.spec().name);
        assert!(cost_over > cost_at);
    });
}

#[test]
fn bad_actions_and_steps_after_the_end_are_refused_and_change_nothing() {
    for_each_world(|factory| {
        let mut env = factory.build();
        env.reset(61);
        let n = env.spec().action.dim();
        let hash = env.state_hash();
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut action = vec![0.0; n];
            action[n - 1] = bad;
            let error = env.step(&action).unwrap_err();
            assert!(matches!(error, EnvError::ActionNotFinite { .. }));
            assert!(error.to_string().contains(&env.spec().action.0[n - 1].name));
        }
        assert!(matches!(
            env.step(&vec![0.0; n + 1]),
            Err(EnvError::ActionLength { .. })
        ));
        assert_eq!(env.state_hash(), hash);

        rest_bits(&mut *env, 61);
        let hash = env.state_hash();
        assert!(matches!(
            env.step(&vec![0.0; n]),
            Err(EnvError::Ended { .. })
        ));
        assert_eq!(env.state_hash(), hash);
    });
}

#[test]
fn states_of_other_worlds_and_models_are_refused() {
    for_each_world(|factory| {
        for name in names() {
            let mut other = self::factory(name).build();
            let hash = other.state_hash();
            let accepted = other.load(&factory.build().save()).is_ok();
            assert_eq!(accepted, name == factory.spec().name);
            if !accepted {
                assert_eq!(other.state_hash(), hash);
            }
        }
    });
    let mut config = EnvConfig::named("cart_pole").unwrap();
    config.set("pole.length_m", "1.1").unwrap();
    let mut longer = config.factory().unwrap().build();
    let error = longer
        .load(&factory("cart_pole").build().save())
        .unwrap_err();
    assert!(
        error.to_string().contains("other model parameters"),
        "{error}"
    );
}

/// Signs that mirror coordinates and actions of the symmetric worlds.
const MIRRORS: [(&str, &[f32], &[f32]); 9] = [
    ("cart_pole", &[-1.0; 4], &[-1.0]),
    ("cart_pole_swing_up", &[-1.0; 4], &[-1.0]),
    ("pendulum", &[-1.0; 2], &[-1.0]),
    ("acrobot", &[-1.0; 4], &[-1.0]),
    ("point_mass", &[1.0, -1.0, 1.0, -1.0], &[1.0, -1.0]),
    (
        "lunar_lander",
        &[-1.0, 1.0, -1.0, -1.0, 1.0, -1.0],
        &[1.0, -1.0],
    ),
    (
        "push_t",
        &[-1.0, 1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0, 1.0, -1.0],
        &[-1.0, 1.0],
    ),
    ("reacher", &[-1.0; 4], &[-1.0; 2]),
    ("reacher3", &[-1.0; 6], &[-1.0; 3]),
];

#[test]
fn mirrored_starts_and_actions_give_mirrored_motion() {
    let mirrored = |v: &[f32], signs: &[f32]| -> Vec<f32> {
        v.iter().zip(signs).map(|(v, s)| v * s).collect()
    };
    for (name, coordinates, actions) in MIRRORS {
        let (mut left, mut right) = (factory(name).build(), factory(name).build());
        for seed in 80..83 {
            left.reset(seed);
            right
                .reset_to(&mirrored(&left.coordinates(), coordinates))
                .unwrap();
            let mut rng = stream(seed, "actions", 0);
            for _ in 0..50 {
                let action = random_action(&*left, &mut rng);
                left.step(&action).unwrap();
                right.step(&mirrored(&action, actions)).unwrap();
                let expected = mirrored(&left.coordinates(), coordinates);
                for (a, b) in expected.iter().zip(right.coordinates()) {
                    // Full turns count as none.
                    let gap = (a - b).abs() % std::f32::consts::TAU;
                    assert!(
                        gap.min(std::f32::consts::TAU - gap) < 1e-3,
                        "{name} {a} {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn scenes_hold_finite_shapes_and_move() {
    for_each_world(|factory| {
        let mut env = factory.build();
        env.reset(71);
        let before = env.scene();
        assert!(before.view_low[0] < before.view_high[0]);
        assert!(before.view_low[1] < before.view_high[1]);
        assert!(before.items.len() >= 2);
        assert!(!serde_json::to_string(&before).unwrap().contains("null"));
        rest_bits(&mut *env, 71);
        assert_ne!(before, env.scene());
    });
}

#[test]
fn variants_change_the_model_and_stay_sound() {
    for name in names() {
        for variant in EnvConfig::variants(name).unwrap() {
            let mut config = EnvConfig::named(name).unwrap();
            config.apply_variant(&variant.name).unwrap();
            assert_ne!(config, EnvConfig::named(name).unwrap(), "{}", variant.name);
            assert!(!variant.summary.is_empty());
            let factory = config.factory().unwrap();
            let mut env = factory.build();
            env.reset(0);
            let mut rng = stream(0, "actions", 0);
            for _ in 0..factory.spec().horizon.min(200) {
                let action = random_action(&*env, &mut rng);
                if env.step(&action).unwrap().end != End::Running {
                    break;
                }
                let now = observation(&*env);
                assert!(factory.spec().observation.contains(&now), "{now:?}");
            }
        }
    }
    let error = EnvConfig::named("cart_pole")
        .unwrap()
        .apply_variant("long_pool")
        .unwrap_err()
        .to_string();
    assert!(error.contains("did you mean `long_pole`?"), "{error}");
}

fn varied() -> EnvFactory {
    let mut config = EnvConfig::named("bipedal_walker").unwrap();
    config.apply_variant("random_ground").unwrap();
    config.set("hull.mass_kg", "5.0..7.0").unwrap();
    assert_eq!(config.vary.len(), 2);
    config.factory().unwrap()
}

#[test]
fn varied_parameters_are_drawn_by_the_seed_alone_and_saved_with_the_state() {
    let factory = varied();
    let (mut env, mut other) = (factory.build(), factory.build());
    let first = episode_bits(&mut *env, 5);
    assert_ne!(first, episode_bits(&mut *env, 6));
    assert_eq!(first, episode_bits(&mut *other, 5), "after another episode");

    // The drawn hull and ground differ from the nominal ones, which a fresh build has.
    let nominal = factory.build().coordinates();
    env.reset(5);
    other.reset(6);
    for env in [&mut env, &mut other] {
        env.reset_to(&nominal).unwrap();
    }
    let scenery = |env: &dyn Env| serde_json::to_string(&env.scene()).unwrap();
    assert_ne!(scenery(&*env), scenery(&*factory.build()));
    assert_ne!(scenery(&*env), scenery(&*other));

    let state: SavedState = {
        env.reset(7);
        let action = vec![0.3; factory.spec().action.dim()];
        env.step(&action).unwrap();
        serde_json::from_str(&serde_json::to_string(&env.save()).unwrap()).unwrap()
    };
    let rest = rest_bits(&mut *env, 1);
    other.load(&state).unwrap();
    assert_eq!(rest, rest_bits(&mut *other, 1));
    let mut damaged = state.clone();
    damaged.drawn.truncate(1);
    assert!(matches!(
        other.load(&damaged),
        Err(EnvError::BadState { .. })
    ));
}

#[test]
fn draws_stay_within_their_ranges_and_cover_them() {
    let mut config = EnvConfig::named("cart_pole").unwrap();
    config.set("pole.mass_kg", "0.1..0.3").unwrap();
    let factory = config.factory().unwrap();
    let mut env = factory.build();
    let drawn: Vec<f64> = (0..200)
        .map(|seed| {
            env.reset(seed);
            env.save().drawn[0].as_f64().unwrap()
        })
        .collect();
    assert!(drawn.iter().all(|m| (0.1..=0.3).contains(m)));
    assert!(drawn.iter().any(|m| *m < 0.12) && drawn.iter().any(|m| *m > 0.28));
    let mean = drawn.iter().sum::<f64>() / 200.0;
    // Its standard deviation is 0.2 / √12 / √200 = 0.004.
    assert!((mean - 0.2).abs() < 0.015, "{mean}");
    // A fixed value ends the variation.
    config.set("pole.mass_kg", "0.2").unwrap();
    assert!(config.vary.is_empty());
}

#[test]
fn ranges_that_cannot_work_are_refused() {
    let refuse = |env: &str, key: &str, value: &str| {
        let mut config = EnvConfig::named(env).unwrap();
        match config.set(key, value) {
            Err(error) => error.to_string(),
            Ok(()) => config.factory().unwrap_err().to_string(),
        }
    };
    for (env, key, value, says) in [
        (
            "cart_pole",
            "pole.mass_kg",
            "0.3..0.1",
            "the lower one first",
        ),
        (
            "cart_pole",
            "pole.mass_kg",
            "-1..1",
            "bodies.pole.mass_kg is -1",
        ),
        ("cart_pole", "horizon", "100..200", "floating point"),
        ("cart_pole", "pole.masss_kg", "1..2", "did you mean"),
        ("cart_pole", "dt_s", "0.01..0.02", "must stay the same"),
        ("cart_pole", "push.low", "-10..-5", "must stay the same"),
        ("bipedal_walker", "heights_m", "0..1", "two arrays"),
    ] {
        let message = refuse(env, key, value);
        assert!(message.contains(says), "{key}={value}: {message}");
    }
}
