//! `bipedal_walker`: a two-legged robot with a lidar walks to the right, also over uneven ground.
//!
//! Hull, legs, joint limits and gravity have the sizes of Gymnasium's `BipedalWalker` in metres, with
//! 10 lidar rays of the same range. The motors are torques with
//! viscous friction instead of speed-controlled ones. `--variant rough` has uneven ground. Observations,
//! actions, cost and ends: [`runner`](super::runner), with the joints `hip_right`, `knee_right`,
//! `hip_left` and `knee_left` and the feet `shin_right` and `shin_left`.

use super::runner::Runner;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Runner>(
    "bipedal_walker",
    "walk to the right on two legs, feeling the ground ahead by lidar",
    include_str!("../../../assets/models/bipedal_walker.json"),
)
.with_variants(include_str!("../../../assets/variants/bipedal_walker.json"));
