//! The environments, one file each, and the list of them.

pub mod acrobot;
pub mod arm;
pub mod bipedal_walker;
pub mod cart_pole;
pub mod cart_pole_swing_up;
pub mod half_cheetah;
pub mod hopper;
pub mod lq;
pub mod lunar_lander;
pub mod peg_insertion;
pub mod pendulum;
pub mod point_mass;
pub mod point_maze;
pub mod push_t;
pub mod reacher;
pub mod runner;
pub mod table;
pub mod walker;
pub mod walls;

use std::f64::consts::TAU;

use rand::RngExt;

use crate::rng::Stream;
use crate::world::World;

/// Every registered environment.
pub(crate) const ALL: &[World] = &[
    cart_pole::WORLD,
    cart_pole_swing_up::WORLD,
    peg_insertion::WORLD,
    pendulum::WORLD,
    acrobot::WORLD,
    point_mass::WORLD,
    hopper::WORLD,
    walker::WORLD,
    half_cheetah::WORLD,
    bipedal_walker::WORLD,
    lunar_lander::WORLD,
    point_maze::WORLD,
    point_maze::FORK,
    push_t::WORLD,
    reacher::WORLD,
    reacher::WORLD_3,
    lq::WORLD,
];

/// Cosine of 20°, the angle from upright within which a pole counts as balanced.
const UPRIGHT_COS: f32 = 0.939_692_6;

/// Uniform on ±`half_width`.
fn spread(rng: &mut Stream, half_width: f64) -> f64 {
    half_width * (2.0 * rng.random::<f64>() - 1.0)
}

/// The angle within ±π.
fn wrap(angle: f64) -> f64 {
    angle - TAU * (angle / TAU).round()
}
