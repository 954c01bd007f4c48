//! Colours: those of the report's pictures on white (`assets/report/standalone.css`).

use costate_envs::scene::Role;

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];

/// Behind the scene.
pub(super) const SKY: Rgb = [0xf6, 0xf8, 0xfa];
/// Grid lines.
pub(super) const GRID: Rgb = [0xe4, 0xe8, 0xec];
/// Behind the caption.
pub(super) const PAPER: Rgb = [0xff, 0xff, 0xff];
/// Text.
pub(super) const INK: Rgb = [0x57, 0x60, 0x6a];
/// Remaining time.
pub(super) const RULE: Rgb = [0xd9, 0xde, 0xe3];

/// The colour of a role.
pub(super) fn of(role: Role) -> Rgb {
    match role {
        Role::Body => [0x2d, 0x5f, 0x8f],
        Role::Limb => [0xd2, 0x69, 0x1e],
        Role::Ground => [0xaa, 0xb2, 0xbb],
        Role::Obstacle => [0x8d, 0x96, 0xa1],
        Role::Target => [0x2e, 0x9e, 0x6b],
        Role::Joint => [0x1b, 0x1f, 0x24],
    }
}

/// `share` of `a`, the rest of `b`.
pub(super) fn mix(a: Rgb, b: Rgb, share: f32) -> Rgb {
    [0, 1, 2].map(|i| (f32::from(a[i]) * share + f32::from(b[i]) * (1.0 - share)).round() as u8)
}
