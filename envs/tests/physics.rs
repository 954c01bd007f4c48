//! The builder's promises, on small worlds of their own: forces, masses, contacts, limits.

use std::sync::Arc;

use costate_envs::model::{Model, parse};
use costate_envs::physics::{Blueprint, Physics, Snapshot, SnapshotError};
use serde_json::{Value, json};

fn blueprint(model: &Value) -> Arc<Blueprint> {
    let model: Model = parse(model, "").unwrap();
    Arc::new(Blueprint::new(&model).unwrap())
}

fn physics(model: &Value) -> Physics {
    Physics::new(blueprint(model))
}

/// A world around one free body.
fn floating(body: Value, gravity: [f64; 2], scenery: Value) -> Value {
    json!({
        "gravity_m_s2": gravity, "dt_s": 0.02, "solver_iterations": 4,
        "bodies": [body],
        "joints": [{ "kind": "free", "name": "float", "child": "body" }],
        "actuators": [
            { "kind": "thrust", "name": "x", "body": "body", "direction": [3, 0], "low": -100, "high": 100 }
        ],
        "scenery": scenery,
        "task": {}
    })
}

fn run(physics: &mut Physics, command: &[f32], steps: usize) {
    for _ in 0..steps {
        physics.step(command).unwrap();
    }
}

#[test]
fn masses_follow_from_mass_or_density_and_shape() {
    let square = json!([[0.0, 0.0], [0.5, 0.0], [0.5, 0.5], [0.0, 0.5]]);
    for (body, mass) in [
        (json!({"kind": "box", "width_m": 0.5, "height_m": 0.2}), 0.1),
        (
            json!({"kind": "rod", "length_m": 1.0, "radius_m": 0.05}),
            0.1,
        ),
        (
            json!({"kind": "circle", "radius_m": 0.3}),
            0.09 * std::f64::consts::PI,
        ),
        (json!({"kind": "polygon", "points_m": square}), 0.25),
        (
            json!({"kind": "capsule", "length_m": 1.0, "radius_m": 0.05}),
            0.1 + 0.0025 * std::f64::consts::PI,
        ),
    ] {
        for (given, mass) in [("density_kg_m2", 4.0 * mass), ("mass_kg", 4.0)] {
            let body = json!({ "name": "body", "shape": body, given: 4.0 });
            let mut physics = physics(&floating(body, [0.0, 0.0], json!([])));
            run(&mut physics, &[2.0], 10);
            let speed = f64::from(physics.velocities()[0]);
            assert!(
                (speed - 2.0 * 0.2 / mass).abs() < 1e-4 * speed,
                "{given} {speed}"
            );
        }
    }
}

#[test]
fn a_free_body_slows_down_exponentially() {
    let mut model = floating(
        json!({"name": "body", "shape": {"kind": "circle", "radius_m": 0.1}, "mass_kg": 2.0}),
        [0.0, 0.0],
        json!([]),
    );
    model["joints"][0]["damping_n_s_m"] = json!(1.5);
    model["joints"][0]["angular_damping_n_m_s"] = json!(0.01);
    let mut physics = physics(&model);
    physics.reset(&[0.0, 0.0, 0.0, 3.0, 0.0, 2.0]);
    run(&mut physics, &[0.0], 100);
    let expected = |v: f64, rate: f64| v * (-rate * 2.0).exp();
    let inertia = 2.0 * 0.01 / 2.0;
    let v = physics.velocities();
    assert!(
        (f64::from(v[0]) - expected(3.0, 0.75)).abs() < 0.01,
        "{v:?}"
    );
    assert!(
        (f64::from(v[2]) - expected(2.0, 0.01 / inertia)).abs() < 0.01,
        "{v:?}"
    );
}

#[test]
fn thrust_follows_the_body_or_the_world() {
    for (frame, [x, y]) in [("world", [1.0, 0.0]), ("body", [0.0, 1.0])] {
        let mut model = floating(
            json!({"name": "body", "shape": {"kind": "circle", "radius_m": 0.1}, "mass_kg": 1.0}),
            [0.0, 0.0],
            json!([]),
        );
        model["actuators"][0]["frame"] = json!(frame);
        let mut physics = physics(&model);
        physics.reset(&[0.0, 0.0, std::f32::consts::FRAC_PI_2, 0.0, 0.0, 0.0]);
        run(&mut physics, &[1.0], 50);
        let v = physics.velocities();
        assert!(
            (v[0] - x).abs() < 1e-3 && (v[1] - y).abs() < 1e-3,
            "{frame} {v:?}"
        );
    }
}

#[test]
fn thrust_off_the_centre_turns_the_body() {
    let mut model = floating(
        json!({"name": "body", "shape": {"kind": "rod", "length_m": 1.0, "radius_m": 0.1}, "mass_kg": 1.2}),
        [0.0, 0.0],
        json!([]),
    );
    model["actuators"][0]["point"] = json!("end");
    let mut physics = physics(&model);
    run(&mut physics, &[0.1], 10);
    // Torque −F·L/2 (clockwise) on inertia m L²/12.
    let expected = -0.1 * 0.5 / 0.1 * 0.2;
    assert!((physics.velocities()[2] - expected).abs() < 1e-3);
}

/// Two rods hinged end to end, floating without gravity.
fn jackknife() -> Value {
    let rod = |name| {
        json!({
            "name": name, "shape": {"kind": "rod", "length_m": 1.0, "radius_m": 0.05},
            "mass_kg": 1.0, "collides": false
        })
    };
    json!({
        "gravity_m_s2": [0, 0], "dt_s": 0.02, "solver_iterations": 8,
        "bodies": [rod("a"), rod("b")],
        "joints": [
            { "kind": "free", "name": "float", "child": "a" },
            { "kind": "revolute", "name": "hinge", "parent": "a", "parent_point": "end", "child": "b", "child_point": "start" }
        ],
        "actuators": [{ "kind": "torque", "name": "t", "joint": "hinge", "low": -1, "high": 1 }],
        "task": {}
    })
}

#[test]
fn internal_torques_conserve_momentum() {
    let mut physics = physics(&jackknife());
    let (a, b) = (
        physics.blueprint().body("a").unwrap(),
        physics.blueprint().body("b").unwrap(),
    );
    for step in 0..100 {
        let torque = if step < 50 { 0.2 } else { -0.2 };
        physics.step(&[torque]).unwrap();
        let middle = (physics.pose(a).translation + physics.pose(b).translation) / 2.0;
        assert!(
            (middle.y - 0.5).abs() < 2e-3 && middle.x.abs() < 2e-3,
            "{middle}"
        );
        // Equal rods without angular momentum turn by opposite angles.
        let q = physics.positions();
        assert!((2.0 * q[2] + q[3]).abs() < 2e-3, "{q:?}");
    }
    assert!(physics.positions()[3].abs() > 0.5, "it moved");
}

#[test]
fn a_floating_mechanism_falls_freely() {
    let mut model = jackknife();
    model["gravity_m_s2"] = json!([0.0, -10.0]);
    let mut physics = physics(&model);
    physics.reset(&[0.0, 0.0, 0.3, -0.6, 1.0, 0.0, 0.0, 0.0]);
    run(&mut physics, &[0.0], 50);
    let q = physics.positions();
    assert!(
        (q[0] - 1.0).abs() < 0.02 && (q[1] + 5.0).abs() < 0.1,
        "{q:?}"
    );
    assert!((q[3] + 0.6).abs() < 0.01, "free fall bends nothing: {q:?}");
}

fn ground(friction: f64, restitution: f64) -> Value {
    json!([{
        "name": "ground", "shape": {"kind": "box", "width_m": 40, "height_m": 1},
        "position_m": [0, -0.5], "friction": friction, "restitution": restitution
    }])
}

#[test]
fn a_box_rests_on_the_ground() {
    let body = json!({"name": "body", "shape": {"kind": "box", "width_m": 0.4, "height_m": 0.2}, "mass_kg": 3.0});
    let mut physics = physics(&floating(body, [0.0, -9.81], ground(0.5, 0.0)));
    physics.reset(&[0.0, 0.3, 0.0, 0.0, 0.0, 0.0]);
    run(&mut physics, &[0.0], 200);
    let q = physics.positions();
    assert!((q[1] - 0.1).abs() < 1e-3, "{q:?}");
    assert!(q[0].abs() < 1e-3 && q[2].abs() < 1e-3, "{q:?}");
}

#[test]
fn friction_follows_the_rule() {
    // A box sliding at 2 m/s stops after v²/(2 μ g).
    for (rule, mu) in [
        ("average", 0.5),
        ("min", 0.2),
        ("max", 0.8),
        ("multiply", 0.16),
    ] {
        let body = json!({
            "name": "body", "shape": {"kind": "box", "width_m": 0.4, "height_m": 0.1},
            "mass_kg": 1.0, "friction": 0.8
        });
        let mut model = floating(body, [0.0, -9.81], ground(0.2, 0.0));
        model["contact"] = json!({ "friction_rule": rule });
        let mut physics = physics(&model);
        physics.reset(&[0.0, 0.05, 0.0, 2.0, 0.0, 0.0]);
        run(&mut physics, &[0.0], 150);
        let expected = 4.0 / (2.0 * mu * 9.81);
        let x = physics.positions()[0];
        assert!(
            (x - expected).abs() < 0.06 * expected,
            "{rule} {x} {expected}"
        );
    }
}

#[test]
fn restitution_returns_part_of_the_height() {
    let body = |e: f64| json!({"name": "body", "shape": {"kind": "circle", "radius_m": 0.1}, "mass_kg": 1.0, "restitution": e});
    for e in [0.0, 0.8] {
        let mut model = floating(body(e), [0.0, -9.81], ground(0.0, e));
        model["dt_s"] = json!(0.005);
        let mut physics = physics(&model);
        physics.reset(&[0.0, 1.1, 0.0, 0.0, 0.0, 0.0]);
        let mut height: f32 = 0.0;
        for step in 0..170 {
            physics.step(&[0.0]).unwrap();
            // The first impact comes after 0.45 s.
            if step > 92 {
                height = height.max(physics.positions()[1] - 0.1);
            }
        }
        let expected = (e * e) as f32;
        assert!((height - expected).abs() < 0.05, "{e} {height}");
    }
}

#[test]
fn walls_stop_fast_bodies() {
    let wall = json!([{"name": "wall", "shape": {"kind": "box", "width_m": 0.1, "height_m": 4}, "position_m": [1.05, 0]}]);
    let body =
        json!({"name": "body", "shape": {"kind": "circle", "radius_m": 0.1}, "mass_kg": 1.0});
    for dt in [0.02, 0.05, 0.1] {
        let mut model = floating(body.clone(), [0.0, 0.0], wall.clone());
        model["dt_s"] = json!(dt);
        let mut physics = physics(&model);
        for speed in [1.0, 3.0, 10.0, 30.0] {
            physics.reset(&[0.0, 0.0, 0.0, speed, 0.0, 0.0]);
            let mut deepest = f32::MIN;
            for _ in 0..60 {
                physics.step(&[5.0]).unwrap();
                deepest = deepest.max(physics.positions()[0] - 0.9);
            }
            assert!(deepest > -0.02, "it reaches the wall: {deepest}");
            assert!(deepest < 1e-3, "{dt} {speed}: {deepest}");
        }
    }
}

#[test]
fn joints_keep_their_limits_and_their_friction() {
    let mut model = jackknife();
    model["joints"][0] = json!({ "kind": "revolute", "name": "root", "child": "a", "child_point": "start", "friction_n_m": 50.0 });
    model["joints"][1]["limits_rad"] = json!([-0.5, 0.25]);
    let mut physics = physics(&model);
    for (torque, end) in [(1.0, 0.25), (-1.0, -0.5)] {
        run(&mut physics, &[torque], 150);
        let q = physics.positions();
        assert!((q[1] - end).abs() < 1e-3, "{q:?}");
        assert!(
            q[0].abs() < 0.05,
            "dry friction all but holds the root: {q:?}"
        );
    }
}

#[test]
fn a_reset_moves_bodies_and_what_they_touch() {
    // A rod hanging from the origin, and a wall that it meets at 45 degrees.
    let model = json!({
        "gravity_m_s2": [0, 0], "dt_s": 0.02, "solver_iterations": 8,
        "bodies": [{
            "name": "rod", "shape": {"kind": "rod", "length_m": 1.0, "radius_m": 0.05}, "mass_kg": 1.0
        }],
        "joints": [{ "kind": "revolute", "name": "hinge", "child": "rod", "child_point": "end" }],
        "actuators": [{ "kind": "torque", "name": "t", "joint": "hinge", "low": -1, "high": 1 }],
        "scenery": [{
            "name": "wall", "shape": {"kind": "box", "width_m": 1.0, "height_m": 4.0},
            "position_m": [1.25711, 0.0]
        }],
        "task": {}
    });
    let mut physics = physics(&model);
    let angle = std::f32::consts::FRAC_PI_4;
    physics.reset(&[angle, 4.0]);
    let rod = physics.blueprint().body("rod").unwrap();
    let centre = physics.pose(rod).translation;
    let expected = 0.5 * angle.sin();
    assert!(
        (centre.x - expected).abs() < 1e-6 && (centre.y + expected).abs() < 1e-6,
        "{centre}"
    );
    physics.step(&[0.0]).unwrap();
    // Unhindered it would have turned by 0.08.
    assert!(
        physics.positions()[0] - angle < 0.01,
        "{:?}",
        physics.coordinates()
    );
}

#[test]
fn armature_adds_to_the_inertia() {
    let mut model = jackknife();
    model["joints"] = json!([
        { "kind": "revolute", "name": "a", "child": "a", "child_point": "start", "armature_kg_m2": 2.0 },
        { "kind": "prismatic", "name": "hinge", "child": "b", "axis": [0, 2], "armature_kg": 3.0 }
    ]);
    model["actuators"] = json!([
        { "kind": "torque", "name": "t", "joint": "a", "low": -1, "high": 1 },
        { "kind": "force", "name": "f", "joint": "hinge", "low": -1, "high": 1, "gear_n": 8.0 }
    ]);
    let mut physics = physics(&model);
    run(&mut physics, &[1.0, 1.0], 10);
    let v = physics.velocities();
    assert!((v[0] - 0.2 / (1.0 / 3.0 + 2.0)).abs() < 1e-3, "{v:?}");
    assert!((v[1] - 0.2 * 8.0 / 4.0).abs() < 1e-3, "{v:?}");
    let q = physics
        .pose(physics.blueprint().body("b").unwrap())
        .translation;
    assert!(q.x.abs() < 1e-6 && q.y > 0.0, "along its axis: {q}");
}

#[test]
fn speeds_are_cut_and_runaway_is_reported() {
    let mut model = jackknife();
    model["joints"] = json!([
        { "kind": "revolute", "name": "hinge", "child": "a", "child_point": "start", "speed_limit_rad_s": 3.0 },
        { "kind": "free", "name": "float", "child": "b" }
    ]);
    let mut slow = physics(&model);
    run(&mut slow, &[1.0], 500);
    assert_eq!(slow.velocities()[0], 3.0);

    model["bodies"][0]["mass_kg"] = json!(1e-6);
    model["bodies"][0]["shape"]["length_m"] = json!(1e-3);
    model["joints"][0]["speed_limit_rad_s"] = json!(1e6);
    model["actuators"][0]["high"] = json!(1e6);
    let mut wild = physics(&model);
    assert!((0..1000).any(|_| wild.step(&[1e6]).is_err()));
}

#[test]
fn snapshots_of_another_version_or_damaged_ones_are_refused() {
    let mut physics = physics(&jackknife());
    for steps in [0, 3] {
        run(&mut physics, &[0.5], steps);
        let saved = physics.save();
        let before = physics.coordinates().to_vec();
        let edited = |edit: fn(&mut Value)| {
            let mut value = serde_json::to_value(&saved).unwrap();
            edit(&mut value);
            serde_json::from_value::<Snapshot>(value).unwrap()
        };
        let old = edited(|v| v["rapier"] = json!("rapier2d 0.35.0"));
        let error = physics.load(&old).unwrap_err();
        assert!(matches!(error, SnapshotError::Version(_)));
        assert!(error.to_string().contains("rapier2d 0.35.0"), "{error}");
        let foreign = edited(|v| v["model"] = json!(7));
        assert_eq!(physics.load(&foreign), Err(SnapshotError::Model));
        if steps == 0 {
            let short = edited(|v| v["state"]["Start"] = json!([0.0]));
            assert_eq!(physics.load(&short), Err(SnapshotError::Damaged));
        }
        assert_eq!(physics.coordinates(), before);
        physics.load(&saved).unwrap();
        assert_eq!(physics.coordinates(), before);
    }
}

#[test]
fn an_edge_lets_go_of_what_slides_off_it_unless_contacts_are_reused() {
    let body = json!({
        "name": "body", "shape": { "kind": "box", "width_m": 0.04, "height_m": 0.04 },
        "mass_kg": 1.0, "friction": 0.0
    });
    let mut model = floating(body, [0.0, -9.81], ground(0.0, 0.0));
    model["joints"][0]["rotates"] = json!(false);
    model["scenery"][0]["shape"] = json!({ "kind": "box", "width_m": 1.0, "height_m": 1.0 });
    model["scenery"][0]["position_m"] = json!([0.0, -0.5]);
    let mut fallen = |reuse: f64| {
        model["contact"] = json!({ "reuse_m": reuse });
        let mut physics = physics(&model);
        // 3 mm of the box are still on the ground.
        physics.reset(&[0.517, 0.02, 0.2, 0.0]);
        run(&mut physics, &[0.0], 8);
        assert!(physics.positions()[0] > 0.54);
        0.02 - physics.positions()[1]
    };
    assert!(fallen(0.0) > 0.04, "{}", fallen(0.0));
    assert!(fallen(0.05) < 0.01, "{}", fallen(0.05));
}
