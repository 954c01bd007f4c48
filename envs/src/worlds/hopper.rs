//! `hopper`: a one-legged robot hops to the right.
//!
//! Segments, masses, gears, joint limits, damping and armature are those of the public MuJoCo model
//! (`hopper.xml` of OpenAI Gym; Erez, Tassa and Todorov 2012), as is the control period of 0.008 s.
//! Observations, actions, cost and ends: [`runner`](super::runner), with the joints `hip`, `knee`
//! and `ankle`.

use super::runner::Runner;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Runner>(
    "hopper",
    "hop to the right on one leg without falling",
    include_str!("../../../assets/models/hopper.json"),
)
.with_variants(include_str!("../../../assets/variants/hopper.json"));
