//! Contacts of the registered worlds: how far bodies sink into what they touch.

use costate_envs::EnvConfig;
use costate_envs::rng::stream;
use costate_envs::scene::{Item, Role, Shape};
use rand::RngExt;

/// How deep `point` lies within a convex polygon with counter-clockwise corners; 0 outside.
fn depth(point: [f32; 2], polygon: &[[f32; 2]]) -> f32 {
    let side = |i: usize| {
        let (a, b) = (polygon[i], polygon[(i + 1) % polygon.len()]);
        let (x, y) = (b[0] - a[0], b[1] - a[1]);
        ((point[1] - a[1]) * x - (point[0] - a[0]) * y) / x.hypot(y)
    };
    let sides = (0..polygon.len()).map(side);
    sides.fold(f32::INFINITY, f32::min).max(0.0)
}

/// The deepest corner of either polygon in the other.
fn overlap(a: &[[f32; 2]], b: &[[f32; 2]]) -> f32 {
    let one = a.iter().map(|p| depth(*p, b));
    let other = b.iter().map(|p| depth(*p, a));
    one.chain(other).fold(0.0, f32::max)
}

fn polygons(items: &[Item], role: Role) -> impl Iterator<Item = &[[f32; 2]]> {
    items.iter().filter_map(move |item| match &item.shape {
        Shape::Polygon { points } if item.role == role => Some(points.as_slice()),
        _ => None,
    })
}

/// Greatest and mean overlap of the bodies and the scenery of a world under full random actions, m.
fn penetration(name: &str, body: Role, episodes: u64) -> [f32; 2] {
    let mut env = EnvConfig::named(name).unwrap().factory().unwrap().build();
    let channels = env.spec().action.0.clone();
    let (mut deepest, mut sum, mut touching) = (0.0_f32, 0.0, 0);
    for seed in 0..episodes {
        env.reset(seed);
        let mut rng = stream(seed, "actions", 0);
        let mut action = vec![0.0; channels.len()];
        for step in 0..env.spec().horizon {
            // Full torques, held for a while so that the arm gets somewhere.
            if step % 5 == 0 {
                for (a, c) in action.iter_mut().zip(&channels) {
                    *a = if rng.random() { c.high } else { c.low };
                }
            }
            env.step(&action).unwrap();
            let items = env.scene().items;
            for body in polygons(&items, body) {
                for ground in polygons(&items, Role::Ground) {
                    let overlap = overlap(body, ground);
                    deepest = deepest.max(overlap);
                    sum += overlap;
                    touching += i32::from(overlap > 0.0);
                }
            }
        }
    }
    assert!(touching > 20, "{name} must touch: {touching}");
    [deepest, sum / touching as f32]
}

#[test]
fn a_peg_sinks_into_the_blocks_by_a_millimetre_at_most() {
    let [deepest, mean] = penetration("peg_insertion", Role::Body, 40);
    assert!(deepest < 0.001, "{deepest} m, mean {mean} m");
    assert!(mean < 0.0002, "{mean} m");
}

#[test]
fn a_block_sinks_into_the_walls_by_two_centimetres_at_most() {
    let [deepest, mean] = penetration("push_t", Role::Limb, 40);
    assert!(deepest < 0.02, "{deepest} m, mean {mean} m");
}
