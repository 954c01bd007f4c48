//! Scenes as SVG: millimetres, y downwards, colours by role through CSS classes.

use costate_envs::scene::{Item, Role, Scene, Shape};

use super::Motion;
use crate::picture::camera::{self, FARTHEST, View};
pub(super) use crate::picture::camera::{Camera, outline};

/// A camera for `motions`.
pub(super) fn camera(motions: &[&Motion]) -> Camera {
    let films: Vec<&[Scene]> = motions.iter().map(|m| m.scenes.as_slice()).collect();
    Camera::of(&films)
}

/// Number of leading items that never change: the backdrop.
pub(super) fn backdrop(motion: &Motion) -> usize {
    camera::backdrop(&motion.scenes)
}

/// `x y width height` of a view, millimetres.
pub(super) fn view_mm(view: &View) -> [i64; 4] {
    [view.low[0], -view.high[1], view.size(0), view.size(1)].map(|v| (v * 1000.0).round() as i64)
}

/// The same for an SVG attribute.
pub(super) fn view_box(view: &View) -> String {
    view_mm(view).map(|v| v.to_string()).join(" ")
}

/// Millimetres in SVG's downward direction.
pub(super) fn mm(p: [f32; 2]) -> [i64; 2] {
    [
        (p[0] * 1000.0).round() as i64,
        (-p[1] * 1000.0).round() as i64,
    ]
}

/// The CSS class of a role.
pub(super) fn class(role: Role) -> &'static str {
    match role {
        Role::Body => "body",
        Role::Limb => "limb",
        Role::Ground => "ground",
        Role::Obstacle => "obstacle",
        Role::Target => "target",
        Role::Joint => "joint",
    }
}

/// Items as SVG elements, in drawing order.
pub(super) fn draw<'a>(items: impl IntoIterator<Item = &'a Item>) -> String {
    items.into_iter().filter_map(draw_item).collect()
}

fn draw_item(item: &Item) -> Option<String> {
    let (points, radius) = outline(&item.shape)?;
    let class = class(item.role);
    let r = (radius * 1000.0).round().max(0.0) as i64;
    let [x, y] = mm(points[0]);
    Some(match item.shape {
        Shape::Circle { .. } => format!(r#"<circle class="{class}" cx="{x}" cy="{y}" r="{r}"/>"#),
        Shape::Polygon { .. } => {
            let points: Vec<String> = points
                .iter()
                .map(|&p| mm(p))
                .map(|[x, y]| format!("{x},{y}"))
                .collect();
            format!(
                r#"<polygon class="{class}" points="{}"/>"#,
                points.join(" ")
            )
        }
        Shape::Capsule { .. } => {
            let [x2, y2] = mm(points[1]);
            let width = 2 * r;
            format!(
                r#"<line class="{class}" x1="{x}" y1="{y}" x2="{x2}" y2="{y2}" stroke-width="{width}"/>"#
            )
        }
    })
}

/// The path of round bodies up to scene `end`, for point agents.
pub(super) fn track(motion: &Motion, end: usize) -> String {
    let still = backdrop(motion);
    let Some(first) = motion.scenes.first() else {
        return String::new();
    };
    let round = |(_, item): &(usize, &Item)| {
        item.role == Role::Body && matches!(item.shape, Shape::Circle { .. })
    };
    let every = motion.scenes.len().div_ceil(200).max(1);
    let mut out = String::new();
    for (i, _) in first.items.iter().enumerate().skip(still).filter(round) {
        let centre = |s: &Scene| match s.items.get(i)?.shape {
            Shape::Circle { centre, .. } if centre.iter().all(|v| v.abs() < FARTHEST) => {
                Some(mm(centre))
            }
            _ => None,
        };
        let points: Vec<String> = motion.scenes[..=end.min(motion.scenes.len() - 1)]
            .iter()
            .step_by(every)
            .filter_map(centre)
            .map(|[x, y]| format!("{x},{y}"))
            .collect();
        out += &format!(r#"<polyline class="track" points="{}"/>"#, points.join(" "));
    }
    out
}
