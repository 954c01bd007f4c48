//! Every world under 10⁵ random commands: joints keep their limits, bodies stay out of each other.
//!
//! Random full commands every control step are rougher than any controller. Measured, and bounded
//! below with some room: the depth of the deepest contact, and by how much a stop gives way.

use std::sync::Arc;

use costate_envs::model::{Model, parse};
use costate_envs::physics::{Blueprint, Physics};
use costate_envs::registry::names;
use costate_envs::rng::stream;
use costate_envs::{End, EnvConfig};
use rand::RngExt;

const STEPS: usize = 100_000;

/// Greatest penetration, metres.
fn depth_bound(world: &str) -> f32 {
    match world {
        // Robots of up to 18 kg fall from 1 m onto a capsule's end.
        "hopper" | "walker" | "half_cheetah" => 0.06,
        // Its feet are corners of light, strong boxes.
        "bipedal_walker" => 0.25,
        // It crashes at 10 m/s and more.
        "lunar_lander" => 0.2,
        // At 4 or 5 m/s they move about half a metre in a simulator step.
        "point_mass" | "point_maze" | "point_fork" => 0.04,
        _ => 0.02,
    }
}

/// Greatest overrun of a joint's limits, m or rad.
const LIMIT_SLACK: f32 = 0.15;

#[test]
fn limits_hold_and_nothing_sinks_in() {
    std::thread::scope(|scope| {
        for name in names() {
            scope.spawn(move || stress(name));
        }
    });
}

fn stress(name: &str) {
    let factory = EnvConfig::named(name).unwrap().factory().unwrap();
    let config = factory.config();
    // `lq` has no physics.
    let Ok(model) = parse::<Model>(&config.model, "") else {
        return;
    };
    let blueprint = Arc::new(Blueprint::new(&model).unwrap());
    let limits: Vec<(usize, [f32; 2], String)> = model
        .joints
        .iter()
        .filter_map(|j| {
            let joint = blueprint.joint(j.name()).unwrap();
            Some((joint.index, joint.limits?, j.name().to_owned()))
        })
        .collect();
    let mut physics = Physics::new(blueprint);
    let mut env = factory.build();
    let mut rng = stream(0, "actions", 0);
    let (mut depth, mut slack) = (0.0_f32, (0.0_f32, ""));
    let mut command = vec![0.0; model.actuators.len()];
    for step in 0..STEPS {
        if step % factory.spec().horizon == 0 {
            env.reset(step as u64);
            physics.reset(&env.coordinates());
        }
        for (value, channel) in command.iter_mut().zip(&factory.spec().action.0) {
            *value = rng.random_range(channel.low..=channel.high);
        }
        physics.step(&command).unwrap();
        assert!(physics.coordinates().iter().all(|v| v.is_finite()));
        depth = depth.max(physics.penetration());
        for (index, [low, high], joint) in &limits {
            let q = physics.positions()[*index];
            let over = (low - q).max(q - high);
            if over > slack.0 {
                slack = (over, joint);
            }
        }
    }
    println!(
        "{name}: penetration {depth:.4} m, overrun {:.4} at {}",
        slack.0, slack.1
    );
    assert!(depth <= depth_bound(name), "{name}: penetration {depth} m");
    assert!(
        slack.0 <= LIMIT_SLACK,
        "{name}: {} beyond a limit of {}",
        slack.0,
        slack.1
    );
}

#[test]
fn a_dropped_hopper_falls_freely_and_lands_on_its_foot() {
    let factory = EnvConfig::named("hopper").unwrap().factory().unwrap();
    let mut env = factory.build();
    env.reset(0);
    let mut start = vec![0.0; env.coordinates().len()];
    let height = 2.25_f32;
    start[1] = height;
    env.reset_to(&start).unwrap();
    let period = factory.spec().control_period_s as f32;
    let mut worst = 0.0_f32;
    for step in 1..=50 {
        assert_eq!(env.step(&[0.0; 3]).unwrap().end, End::Running);
        let t = step as f32 * period;
        worst = worst.max((env.coordinates()[1] - (height - 0.5 * 9.81 * t * t)).abs());
    }
    println!("drop: {worst:.5} m after 0.4 s");
    // The semi-implicit Euler method falls g t h / 2 too far: 3.9 mm with h = 2 ms.
    assert!(worst < 5e-3, "{worst}");
    // 1 m below it the foot touches the ground, and the torso stops above it.
    let lowest = (0..60)
        .map(|_| {
            env.step(&[0.0; 3]).unwrap();
            env.coordinates()[1]
        })
        .fold(f32::INFINITY, f32::min);
    assert!(lowest > 0.1, "{lowest}");
}
