//! `half_cheetah`: a planar cat runs to the right.
//!
//! Segments, masses (14 kg together), gears, joint limits, springs and damping are those of the
//! public MuJoCo model (`half_cheetah.xml` of OpenAI Gym; Wawrzyński 2009); the control period is
//! one simulator step. Observations, actions, cost and ends: [`runner`](super::runner), with the
//! joints `hip_back`, `knee_back`, `ankle_back` and the same with `_front`. It can tip over and slide
//! on its back; that counts as fallen.

use super::runner::Runner;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<Runner>(
    "half_cheetah",
    "run to the right on a planar cat's legs",
    include_str!("../../../assets/models/half_cheetah.json"),
)
.with_variants(include_str!("../../../assets/variants/half_cheetah.json"));
