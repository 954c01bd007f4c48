//! `cart_pole_swing_up`: swing a hanging pole up on a cart and hold it there.
//!
//! The world, observations and actions of [`cart_pole`](super::cart_pole), with a control period of
//! 0.04 s and episodes of 8 s:
//!
//! | observation | unit | bounds | | action | unit | bounds |
//! | --- | --- | --- | --- | --- | --- | --- |
//! | `cart_position` x | m | track | | `push` u | 1 (times the gear, 10 N) | ±1 |
//! | `pole_sin` sin θ | 1 | ±1 | | | | |
//! | `pole_cos` cos θ | 1 | ±1 | | | | |
//! | `cart_velocity` ẋ | m/s | speed limit | | | | |
//! | `pole_angular_velocity` θ̇ | rad/s | speed limit | | | | |
//!
//! Cost of a step: w_θ (1 − cos θ) + w_x x² + w_ẋ ẋ² + w_θ̇ θ̇² + w_u u²; θ = 0 is upright. Start:
//! hanging, uniform round θ = π. End: after `horizon` steps (truncated).

use super::cart_pole::CartPole;
use crate::world::World;

pub(crate) const WORLD: World = World::of::<CartPole>(
    "cart_pole_swing_up",
    "swing a hanging pole up on a cart and hold it",
    include_str!("../../../assets/models/cart_pole_swing_up.json"),
)
.with_variants(include_str!(
    "../../../assets/variants/cart_pole_swing_up.json"
));
