//! `walker`: a two-legged robot walks to the right.
//!
//! Segments, masses, gears and joint limits are those of the public MuJoCo model (`walker2d.xml` of
//! OpenAI Gym), as is the control period of 0.008 s; damping and armature are larger (0.5 N m s and
//! 0.05 kg m² instead of 0.1 and 0.01). Observations, actions, cost and ends:
//! [`runner`](super::runner), with the joints `hip`, `knee` and `ankle` and the same with `_left`.

use super::runner::Runner;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Runner>(
    "walker",
    "walk to the right on two legs without falling",
    include_str!("../../../assets/models/walker.json"),
)
.with_variants(include_str!("../../../assets/variants/walker.json"));
