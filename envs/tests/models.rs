//! Models and overrides as users write them: good ones take effect, bad ones get one clear line.

use std::io::Write;

use costate_envs::physics::{Blueprint, Physics};
use costate_envs::registry::{names, register};
use costate_envs::rng::Stream;
use costate_envs::spec::Channel;
use costate_envs::{EnvConfig, ModelError, Space, Task, World};
use proptest::prelude::*;
use serde_json::{Value, json};

fn config(name: &str) -> EnvConfig {
    EnvConfig::named(name).unwrap()
}

/// One line, and it says everything in `parts`.
fn assert_message(error: &ModelError, parts: &[&str]) {
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    for part in parts {
        assert!(message.contains(part), "`{message}` lacks `{part}`");
    }
}

#[test]
fn unknown_names_suggest_the_nearest() {
    for (name, near) in [
        ("cartpole", "`cart_pole`"),
        ("Pendulum", "`pendulum`"),
        ("pointmass", "`point_mass`"),
    ] {
        let error = EnvConfig::named(name).unwrap_err();
        assert!(matches!(error, ModelError::UnknownEnv { .. }));
        assert_message(&error, &[name, "did you mean", near]);
    }
    let error = EnvConfig::named("zzzz").unwrap_err();
    assert!(!error.to_string().contains("did you mean"));
}

#[test]
fn overrides_accept_paths_and_their_subsequences() {
    for key in [
        "bodies.pole.shape.length_m",
        "bodies.1.shape.length_m",
        "bodies.pole.length_m",
        "pole.shape.length_m",
        "pole.length_m",
        "length_m",
    ] {
        let mut config = config("cart_pole");
        config.set(key, "1.5").unwrap();
        assert_eq!(
            config.model["bodies"][1]["shape"]["length_m"],
            json!(1.5),
            "{key}"
        );
        config.factory().unwrap();
    }
    let mut config = config("cart_pole");
    config.set("slider.limits_m", "[-1, 1]").unwrap();
    config.set("hinge.child_point", "[0, -0.25]").unwrap();
    config.set("hinge.child_point", "end").unwrap();
    config.set("pole.collides", "true").unwrap();
    config.set("limits_m.1", "1.5").unwrap();
    let factory = config.factory().unwrap();
    assert_eq!(
        factory.config().model["joints"][0]["limits_m"],
        json!([-1.0, 1.5])
    );
    assert_eq!(factory.spec().observation.0[0].high, 1.5);
}

#[test]
fn every_listed_parameter_can_be_set_to_itself() {
    for name in names() {
        let original = config(name);
        let parameters = original.parameters();
        assert!(parameters.len() >= 5);
        for (path, value) in parameters {
            let mut copy = original.clone();
            let text = match &value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            copy.set(&path, &text).unwrap();
            assert_eq!(copy, original, "{path}");
        }
    }
}

#[test]
fn a_changed_parameter_changes_the_motion() {
    let end = |key: &str, value: &str| {
        let mut config = config("cart_pole");
        config.set(key, value).unwrap();
        let mut env = config.factory().unwrap().build();
        env.reset_to(&[0.1, 0.3, 0.2, 0.1]).unwrap();
        for _ in 0..50 {
            env.step(&[0.3]).unwrap();
        }
        env.coordinates()
    };
    let plain = end("task.horizon", "500");
    for (key, value) in [
        ("gravity_m_s2", "[0, -3]"),
        ("dt_s", "0.01"),
        ("solver_iterations", "2"),
        ("steps_per_control", "2"),
        ("cart.mass_kg", "2"),
        ("pole.mass_kg", "0.3"),
        ("pole.length_m", "0.7"),
        ("slider.limits_m", "[-0.6, 0.6]"),
        ("slider.damping_n_s_m", "1"),
        ("slider.friction_n", "1"),
        ("slider.armature_kg", "1"),
        ("slider.speed_limit_m_s", "0.3"),
        ("slider.axis", "[-1, 0]"),
        ("hinge.damping_n_m_s", "0.1"),
        ("hinge.friction_n_m", "0.1"),
        ("hinge.armature_kg_m2", "0.1"),
        ("hinge.speed_limit_rad_s", "0.5"),
        ("hinge.limits_rad", "[-0.2, 0.35]"),
        ("hinge.child_point", "end"),
        ("hinge.zero_angle_rad", "1"),
        ("push.high", "0.2"),
        ("push.gear_n", "3"),
        ("push.gear_n", "null"),
    ] {
        assert_ne!(end(key, value), plain, "{key}");
    }
}

#[test]
fn bad_keys_are_refused() {
    let mut config = config("cart_pole");
    let before = config.clone();
    for (key, parts) in [
        (
            "pole.lenght_m",
            &[
                "env.pole.lenght_m",
                "did you mean `bodies.pole.shape.length_m`",
            ][..],
        ),
        ("task.horizn", &["did you mean `task.horizon`"]),
        ("pole.masskg", &["did you mean `bodies.pole.mass_kg`"]),
        (
            "mass_kg",
            &["ambiguous", "bodies.cart.mass_kg", "bodies.pole.mass_kg"],
        ),
        ("bodies", &["unknown parameter"]),
        ("bodies.pole", &["unknown parameter"]),
        ("bodies.7.mass_kg", &["unknown parameter"]),
        ("", &["unknown parameter"]),
        (".", &["unknown parameter"]),
        ("pole.length_m.x", &["unknown parameter"]),
    ] {
        assert_message(&config.set(key, "1").unwrap_err(), parts);
        assert_eq!(config, before);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of bad values")]
fn bad_values_are_refused() {
    for (name, key, value, parts) in [
        (
            "cart_pole",
            "pole.mass_kg",
            "-1",
            &["bodies.pole.mass_kg is -1", "positive"][..],
        ),
        (
            "cart_pole",
            "pole.mass_kg",
            "0",
            &["bodies.pole.mass_kg is 0"],
        ),
        (
            "cart_pole",
            "pole.mass_kg",
            "NaN",
            &["bodies.pole.mass_kg", "a number"],
        ),
        ("cart_pole", "pole.mass_kg", "inf", &["a number"]),
        (
            "cart_pole",
            "pole.mass_kg",
            "1e30",
            &["bodies.pole.mass_kg is 1"],
        ),
        ("cart_pole", "pole.mass_kg", "1e999", &["a number"]),
        (
            "cart_pole",
            "pole.mass_kg",
            "1e-30",
            &["bodies.pole.mass_kg"],
        ),
        (
            "cart_pole",
            "pole.mass_kg",
            "null",
            &["bodies.pole", "exactly one of mass_kg"],
        ),
        (
            "cart_pole",
            "pole.density_kg_m2",
            "3",
            &["bodies.pole", "exactly one of"],
        ),
        ("cart_pole", "pole.mass_kg", "[1]", &["a number"]),
        ("cart_pole", "pole.mass_kg", "", &["a number"]),
        ("cart_pole", "pole.collides", "1", &["true or false"]),
        (
            "cart_pole",
            "pole.role",
            "hero",
            &["bodies.pole.role", "hero", "body"],
        ),
        (
            "cart_pole",
            "length_m",
            "0",
            &["bodies.pole.shape.length_m is 0"],
        ),
        ("cart_pole", "dt_s", "2", &["dt_s is 2"]),
        ("cart_pole", "dt_s", "-0.01", &["dt_s is -0.01"]),
        (
            "cart_pole",
            "solver_iterations",
            "0",
            &["solver_iterations is 0"],
        ),
        (
            "cart_pole",
            "solver_iterations",
            "2.5",
            &["solver_iterations", "2.5"],
        ),
        (
            "cart_pole",
            "solver_iterations",
            "1000000000",
            &["solver_iterations"],
        ),
        (
            "cart_pole",
            "slider.limits_m",
            "[1, -1]",
            &["joints.slider.limits_m", "not below"],
        ),
        (
            "cart_pole",
            "slider.limits_m",
            "[1]",
            &["joints.slider", "2"],
        ),
        (
            "cart_pole",
            "slider.limits_m",
            "null",
            &["joints.slider.limits_m"],
        ),
        (
            "cart_pole",
            "slider.limits_m",
            "[-0.1, 0.1]",
            &["task.start_position_spread_m"],
        ),
        (
            "cart_pole",
            "slider.axis",
            "[0, 0]",
            &["joints.slider.axis", "direction"],
        ),
        (
            "cart_pole",
            "slider.child",
            "wheel",
            &["joints.slider.child", "no body `wheel`"],
        ),
        (
            "cart_pole",
            "hinge.parent",
            "wheel",
            &["joints.hinge.parent", "no body `wheel`"],
        ),
        (
            "cart_pole",
            "hinge.parent",
            "pole",
            &["joints.hinge.parent"],
        ),
        (
            "cart_pole",
            "hinge.child",
            "cart",
            &["joints.hinge.child", "already attached"],
        ),
        (
            "cart_pole",
            "hinge.child_point",
            "left",
            &["joints.hinge.child_point", "`pole` has no such point"],
        ),
        (
            "cart_pole",
            "hinge.child_point",
            "tip",
            &["joints.hinge", "tip", "\"start\""],
        ),
        (
            "cart_pole",
            "hinge.kind",
            "ball",
            &["joints.hinge", "ball", "revolute"],
        ),
        ("cart_pole", "hinge.name", "elbow", &["`hinge`"]),
        (
            "cart_pole",
            "push.low",
            "1",
            &["actuators.push.low", "not below"],
        ),
        // One number in single precision.
        (
            "cart_pole",
            "push.low",
            "0.99999999999",
            &[
                "actuators.push.low",
                "not below the upper bound 1 in single precision",
            ],
        ),
        (
            "cart_pole",
            "push.joint",
            "hinge",
            &["actuators.push.joint", "no prismatic joint `hinge`"],
        ),
        (
            "cart_pole",
            "push.gear_n",
            "0",
            &["actuators.push.gear_n is 0"],
        ),
        ("cart_pole", "task.horizon", "0", &["task.horizon is 0"]),
        ("cart_pole", "task.horizon", "-5", &["task.horizon", "-5"]),
        (
            "cart_pole",
            "task.angle_weight",
            "-1",
            &["task.angle_weight is -1"],
        ),
        (
            "pendulum",
            "start_angle_spread_rad",
            "\"wide\"",
            &["a number"],
        ),
        (
            "pendulum",
            "speed_limit_rad_s",
            "0",
            &["joints.hinge.speed_limit_rad_s is 0"],
        ),
        ("point_mass", "goal_m", "[9, 0]", &["task.goal_m"]),
        ("point_mass", "start_spread_m", "[9, 0]", &["task.start_m"]),
        (
            "point_mass",
            "obstacle.radius_m",
            "-1",
            &["scenery.obstacle.shape.radius_m is -1"],
        ),
        (
            "point_mass",
            "obstacle.name",
            "rock",
            &["scenery", "`obstacle`"],
        ),
        (
            "point_maze",
            "start_m",
            "[0, -9]",
            &["task.start_m", "beyond the walls"],
        ),
        ("lq", "horizon", "0", &["horizon"]),
        ("lq", "q", "[[1, 0], [0, -1]]", &["q must be symmetric"]),
        ("lq", "a", "[[1, 0], [0]]", &["a must be 2 rows"]),
    ] {
        let mut config = config(name);
        let error = match config.set(key, value) {
            Err(error) => error,
            Ok(()) => config.factory().expect_err(&format!("{key}={value}")),
        };
        assert_message(&error, parts);
    }
}

/// A box of starts that reaches across the wall leaves out the wall, and all that is nearer to it than the puck's radius.
#[test]
fn the_maze_starts_on_both_sides_of_its_wall_and_never_in_it() {
    let mut config = config("point_maze");
    config.set("start_m", "[0, 0]").unwrap();
    config.set("start_spread_m", "[1.85, 1.35]").unwrap();
    let mut env = config.factory().unwrap().build();
    let mut o = [0.0; 4];
    let (mut below, mut above, mut beside) = (0, 0, 0);
    for seed in 0..2_000 {
        env.reset(seed);
        env.observe(&mut o);
        let [x, y] = [o[0], o[1]];
        // The wall: x from −2 to 0.8, y from −0.15 to 0.15; the puck's radius 0.1.
        assert!(x > 0.9 || y.abs() > 0.25, "({x}, {y})");
        match y {
            _ if y < -0.25 => below += 1,
            _ if y > 0.25 => above += 1,
            _ => beside += 1,
        }
    }
    // Uniform: 3.7 x 1.1 m on either side, 0.95 x 0.5 m in the gap.
    for (count, area) in [(below, 4.07), (above, 4.07), (beside, 0.475)] {
        let expected = 2_000.0 * area / 8.615;
        assert!((f64::from(count) - expected).abs() < 4.0 * f64::sqrt(expected));
    }
    config.set("start_spread_m", "[0.2, 0.2]").unwrap();
    let refused = config.factory().unwrap_err().to_string();
    assert!(refused.contains("lie in scenery.wall"), "{refused}");
}

/// What `with_model_file` says of `text`.
fn read(name: &str, text: &str) -> Result<EnvConfig, ModelError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let result = config(name).with_model_file(file.path());
    if let Err(error) = &result {
        assert_message(error, &[file.path().to_str().unwrap()]);
    }
    result
}

#[test]
fn a_model_file_replaces_the_model() {
    let mut model = config("pendulum").model;
    model["bodies"][0]["mass_kg"] = json!(3.0);
    let read = read("pendulum", &model.to_string()).unwrap();
    assert_eq!(read.model, model);
    assert_eq!(read.name, "pendulum");
    read.factory().unwrap();
}

#[test]
fn bad_model_files_are_refused() {
    let edited = |name: &str, edit: fn(&mut Value)| {
        let mut model = config(name).model;
        edit(&mut model);
        read(name, &model.to_string()).unwrap_err()
    };
    for (edit, parts) in [
        (
            (|m| m["bodies"][0]["mas_kg"] = json!(1)) as fn(&mut Value),
            &["bodies.cart", "`mas_kg`", "did you mean `mass_kg`"][..],
        ),
        (
            |m| m["bodies"][0]["colour"] = json!(1),
            &["bodies.cart", "unknown field `colour`", "`friction`"],
        ),
        (
            |m| m["bodies"][1]["shape"]["radius"] = json!(1),
            &["bodies.pole.shape", "unknown field `radius`"],
        ),
        (
            |m| m["joints"][1]["damping"] = json!(1),
            &["joints.hinge", "unknown field `damping`"],
        ),
        (
            |m| m["task"]["horizons"] = json!(1),
            &["task", "did you mean `horizon`"],
        ),
        (
            |m| drop(m["task"].as_object_mut().unwrap().remove("horizon")),
            &["task", "missing field `horizon`"],
        ),
        (
            |m| drop(m.as_object_mut().unwrap().remove("task")),
            &["missing field `task`"],
        ),
        (
            |m| drop(m["bodies"].as_array_mut().unwrap().pop()),
            &["no body `pole`"],
        ),
        (
            |m| drop(m["joints"].as_array_mut().unwrap().pop()),
            &["bodies.pole", "not attached to a joint"],
        ),
        (|m| m["actuators"] = json!([]), &["actuators is empty"]),
        (
            |m| m["bodies"][1]["name"] = json!("cart"),
            &["`cart` occurs twice"],
        ),
        (
            |m| m["bodies"][1]["name"] = json!("a.b"),
            &["`a.b` is not a valid name"],
        ),
        (|m| m["bodies"] = json!("many"), &["bodies", "many"]),
        (|m| m["dt_s"] = json!("fast"), &["dt_s", "fast"]),
        (|m| *m = json!([]), &["invalid"]),
    ] {
        assert_message(&edited("cart_pole", edit), parts);
    }
    for text in ["", "{", "null", "\u{0}", "{\"dt_s\": 0.02"] {
        read("cart_pole", text).unwrap_err();
    }
    // A model of another world.
    let other = config("pendulum").model.to_string();
    assert_message(&read("cart_pole", &other).unwrap_err(), &["task"]);
    let missing = config("cart_pole")
        .with_model_file("no/such/model.json".as_ref())
        .unwrap_err();
    assert_message(&missing, &["no/such/model.json", "cannot read"]);
}

#[test]
fn a_stored_configuration_is_checked_again() {
    let mut stored = serde_json::to_value(config("cart_pole")).unwrap();
    stored["model"]["bodies"][0]["mass_kg"] = json!(-2);
    let read: EnvConfig = serde_json::from_value(stored.clone()).unwrap();
    assert_message(&read.factory().unwrap_err(), &["bodies.cart.mass_kg is -2"]);
    stored["extra"] = json!(1);
    assert!(serde_json::from_value::<EnvConfig>(stored).is_err());
    let unknown = EnvConfig {
        vary: Default::default(),
        name: "nothing".into(),
        model: json!({}),
    };
    assert!(matches!(
        unknown.factory(),
        Err(ModelError::UnknownEnv { .. })
    ));
}

/// A task of a user's own: hold a rod upright.
#[derive(Clone)]
struct Hold(usize);

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct HoldParameters {
    horizon: usize,
}

impl Task for Hold {
    type Parameters = HoldParameters;

    fn new(parameters: HoldParameters, blueprint: &Blueprint) -> Result<Self, String> {
        blueprint.joint("hinge")?;
        Ok(Self(parameters.horizon))
    }

    fn horizon(&self) -> usize {
        self.0
    }

    fn observation(&self) -> Space {
        Space(vec![Channel::new("angle", "rad", -10.0, 10.0)])
    }

    fn start(&mut self, _: &mut Stream, coordinates: &mut [f32]) {
        coordinates[0] = 0.1;
    }

    fn observe(&self, physics: &Physics, out: &mut [f32]) {
        out[0] = physics.positions()[0].clamp(-10.0, 10.0);
    }

    fn cost(&self, physics: &Physics, _: &[f32]) -> f64 {
        f64::from(physics.positions()[0]).powi(2)
    }

    fn view(&self, _: &Physics) -> [[f32; 2]; 2] {
        [[-1.0, -1.0], [1.0, 1.0]]
    }
}

#[test]
fn a_world_of_ones_own_is_registered_once() {
    const MODEL: &str = r#"{
        "dt_s": 0.02, "solver_iterations": 4,
        "bodies": [{"name": "rod", "shape": {"kind": "rod", "length_m": 1, "radius_m": 0.05}, "mass_kg": 1}],
        "joints": [{"kind": "revolute", "name": "hinge", "child": "rod", "child_point": "start"}],
        "actuators": [{"kind": "torque", "name": "t", "joint": "hinge", "low": -9, "high": 9}],
        "task": {"horizon": 3}
    }"#;
    let broken = World::of::<Hold>("hold_broken", "hold a rod", "{}");
    assert_message(
        &register(broken).unwrap_err(),
        &["hold_broken", "missing field"],
    );
    let world = World::of::<Hold>("hold", "hold a rod", MODEL);
    register(world).unwrap();
    assert_message(
        &register(world).unwrap_err(),
        &["`hold`", "already registered"],
    );
    let mut config = config("hold");
    // Defaults are part of the configuration, so that they can be set.
    config.set("hinge.damping_n_m_s", "0.5").unwrap();
    config.set("gravity_m_s2", "[0, -3.7]").unwrap();
    let mut env = config.factory().unwrap().build();
    for _ in 0..3 {
        env.step(&[0.0]).unwrap();
    }
    assert!(env.step(&[0.0]).is_err());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z_\"\\\\.]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-z_]{1,6}", inner), 0..3)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever stands in a parameter's place, a configuration is refused in one line or runs.
    #[test]
    fn no_value_breaks_the_reader(world in 0..names().len(), pick in any::<prop::sample::Index>(), value in any_json()) {
        let mut config = config(names()[world]);
        let paths = config.parameters();
        let (path, _) = &paths[pick.index(paths.len())];
        let text = value.to_string();
        let result = config.set(path, &text).and_then(|()| config.factory().map(|_| ()));
        if let Err(error) = result {
            prop_assert!(!error.to_string().contains('\n'));
        }
    }

    #[test]
    fn no_key_breaks_the_override(key in "\\PC{0,20}", value in "\\PC{0,12}") {
        let _ = config("cart_pole").set(&key, &value);
    }
}
