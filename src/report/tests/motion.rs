//! Pictures and animations: faithful to any scenes.

use costate_envs::scene::{Role, Scene, Shape};
use serde_json::{Value, json};

use super::parse;
use super::samples::{cart_pole, disc, pendulum, polygon, run};
use crate::report::scene::{self, Camera};
use crate::report::{Motion, RunReport, html, player, strip, strip_svg};

#[test]
fn the_player_holds_the_motion_to_the_millimetre() {
    let motion = pendulum("expert", 1.0);
    let camera = scene::camera(&[&motion]);
    let page = player::html(&[("expert".into(), &motion)], camera, 60);
    let data = page
        .split("application/json\">")
        .nth(1)
        .and_then(|s| s.split("</script>").next());
    let data: Value = serde_json::from_str(data.expect("data")).expect("JSON");
    let frames = data[0]["frames"].as_array().expect("frames");
    assert!(frames.len() <= 61, "{}", frames.len());
    assert_eq!(data[0]["end"], json!(10.0));
    let every = (data[0]["step"].as_f64().expect("step") / 0.05).round() as usize;
    for (k, frame) in frames.iter().enumerate() {
        let i = (k * every).min(200);
        // Style, then the rod's two ends; the joint does not move but follows moving items.
        let Shape::Capsule { to, .. } = &motion.scenes[i].items[1].shape else {
            panic!("a rod")
        };
        for (number, coordinate) in [(3, to[0]), (4, -to[1])] {
            let mm = frame[number].as_f64().expect("a number");
            assert!(
                (mm - 1000.0 * f64::from(coordinate)).abs() <= 0.501,
                "frame {k}"
            );
        }
    }
}

#[test]
fn strips_take_eight_poses_from_start_to_end() {
    for motion in [pendulum("a", 1.0), cart_pole("b", 1.0)] {
        let times = strip::pose_times(&[&motion]);
        assert_eq!(times.len(), 8);
        assert_eq!((times[0], times[7]), (0.0, 10.0));
        assert!(times.windows(2).all(|w| w[0] < w[1]), "{times:?}");
        assert_eq!(strip_svg(&motion).matches("viewBox").count(), 9);
    }
    // A swing-up that settles moves more early on, so it has more poses there.
    assert!(strip::pose_times(&[&pendulum("a", 1.0)])[4] < 4.0);
}

fn still(view: [[f32; 2]; 2], centre: [f32; 2]) -> Scene {
    Scene {
        view_low: view[0],
        view_high: view[1],
        items: vec![disc(Role::Body, centre, 0.1)],
    }
}

#[test]
fn crowded_scenes_are_thinned_to_the_budget() {
    let scene = |i: u16| {
        let corner = |k: u16| {
            let angle = f32::from(k) * 0.02 + f32::from(i) * 0.01;
            [angle.cos(), angle.sin()]
        };
        Scene {
            items: vec![polygon(Role::Body, (0..300).map(corner).collect())],
            ..still([[-1.0; 2], [1.0; 2]], [0.0; 2])
        }
    };
    let motion = |label: u16| Motion {
        label: label.to_string(),
        control_period_s: 0.01,
        scenes: (label..label + 500).map(scene).collect(),
    };
    let page = shown((0..4).map(motion).collect());
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

/// The page of a run with these motions.
fn shown(motions: Vec<Motion>) -> String {
    html(&[RunReport {
        motions,
        ..run("bc", 0, 0.5)
    }])
}

#[test]
fn odd_motions_are_drawn_or_left_out() {
    let unit = [[-1.0, -1.0], [1.0, 1.0]];
    let flat = [[0.0, 0.0], [0.0, f32::NAN]];
    let empty = Scene {
        items: vec![],
        ..still(unit, [0.0, 0.0])
    };
    let odd = [
        (vec![], 0.1),
        (vec![still(unit, [0.0, 0.0])], 0.1),
        (vec![still(unit, [0.0, 0.0]); 5], 0.0),
        (vec![still(unit, [0.0, 0.0]); 5], f64::NAN),
        (vec![still(flat, [0.2, 0.1]); 3], 0.1),
        (
            vec![
                still(unit, [f32::NAN, 0.0]),
                still(unit, [f32::INFINITY, 0.0]),
            ],
            0.1,
        ),
        (vec![still(unit, [1e30, 0.0]), still(unit, [0.0, 0.0])], 0.1),
        (vec![empty, still(unit, [0.5, 0.0])], 0.1),
    ];
    let odd = odd.map(|(scenes, control_period_s)| Motion {
        label: "m".into(),
        control_period_s,
        scenes,
    });
    for motion in &odd {
        parse(&strip_svg(motion));
        parse(&shown(vec![motion.clone()]));
    }
    parse(&shown(odd.to_vec()));
}

#[test]
fn a_moving_view_is_followed() {
    let at = |x: f32| still([[x - 1.0, -1.0], [x + 1.0, 1.0]], [x, 0.0]);
    let scenes = (0..50).map(|i| at(i as f32 * 0.1)).collect();
    let motion = Motion {
        label: "runner".into(),
        control_period_s: 0.1,
        scenes,
    };
    assert!(matches!(scene::camera(&[&motion]), Camera::Follow(_)));
    let svg = strip_svg(&motion);
    assert!(svg.contains("viewBox=\"-1000 -1000 2000 2000\""));
    assert!(svg.contains("viewBox=\"3900 -1000 2000 2000\""));
    let views = "\"views\":[[-1000,-1000,2000,2000],[-900,";
    assert!(shown(vec![motion]).contains(views));
}
