//! Film strips: a motion in about eight poses.

use costate_envs::scene::{Role, Scene};

use super::scene::{self, Camera};
use super::{Motion, frame, svg};

/// Poses in a strip: divisible into rows of eight, four or two.
const POSES: usize = 8;
/// Faint earlier poses behind each pose, and their opacities, oldest first.
const GHOSTS: [f64; 3] = [0.10, 0.18, 0.30];
/// Seconds between them, at most (or a control period, if that is longer).
const GHOST_SPACING_S: f64 = 0.08;
/// Pictures wider than this are four to a row instead of eight.
const BROAD: f64 = 1.35;

/// Seconds from the first scene to the last.
pub(super) fn duration(motion: &Motion) -> f64 {
    period(motion) * motion.scenes.len().saturating_sub(1) as f64
}

/// The control period; one second unless it is positive.
pub(super) fn period(motion: &Motion) -> f64 {
    let p = motion.control_period_s;
    if p.is_finite() && p > 1e-9 { p } else { 1.0 }
}

/// The scene at a time.
fn scene_at(motion: &Motion, time: f64) -> usize {
    let last = motion.scenes.len().saturating_sub(1);
    ((time / period(motion)).round().max(0.0) as usize).min(last)
}

/// Times of the poses: the same for all motions, closer together where there is more motion.
pub(super) fn pose_times(motions: &[&Motion]) -> Vec<f64> {
    let end = motions.iter().map(|m| duration(m)).fold(0.0, f64::max);
    if end <= 0.0 {
        return vec![0.0];
    }
    const BINS: usize = 400;
    // Half of the poses are spread by time, half by motion.
    let mut pace = vec![1.0 / BINS as f64; BINS];
    for motion in motions {
        let steps: Vec<f64> = motion
            .scenes
            .windows(2)
            .map(|w| movement(&w[0], &w[1]))
            .collect();
        let total: f64 = steps.iter().sum();
        if total.is_finite() && total > 0.0 {
            for (i, step) in steps.iter().enumerate() {
                let bin = (i as f64 + 0.5) * period(motion) / end * BINS as f64;
                pace[(bin as usize).min(BINS - 1)] += step / total / motions.len() as f64;
            }
        }
    }
    let whole: f64 = pace.iter().sum();
    let mut times = vec![0.0];
    let mut passed = 0.0;
    for (i, p) in pace.iter().enumerate() {
        let due = |k: usize| whole * k as f64 / (POSES - 1) as f64;
        while times.len() < POSES - 1 && passed + p >= due(times.len()) {
            let within = (due(times.len()) - passed) / p;
            times.push(end * (i as f64 + within) / BINS as f64);
        }
        passed += p;
    }
    times.push(end);
    times
}

/// Total distance between the points of two successive scenes, metres.
fn movement(a: &Scene, b: &Scene) -> f64 {
    let points = |s: &Scene| -> Vec<[f32; 2]> {
        s.items
            .iter()
            .filter_map(|item| scene::outline(&item.shape))
            .flat_map(|(p, _)| p)
            .collect()
    };
    points(a)
        .iter()
        .zip(points(b))
        .map(|(p, q)| f64::from((p[0] - q[0]).hypot(p[1] - q[1])))
        .sum()
}

/// The poses at the given times: `viewBox`, content and caption of each.
fn panels<'a>(
    motion: &'a Motion,
    camera: Camera,
    times: &'a [f64],
) -> impl Iterator<Item = (String, String, String)> + 'a {
    let before = std::iter::once(&0.0).chain(times);
    let panel = move |(&previous, &time): (&f64, &f64)| {
        let (view_box, content) = panel(motion, camera, previous, time);
        (view_box, content, caption(motion, time))
    };
    before.zip(times).map(panel)
}

/// One pose: its `viewBox` and content, including the faint poses that lead up to it.
fn panel(motion: &Motion, camera: Camera, previous: f64, time: f64) -> (String, String) {
    let still = scene::backdrop(motion);
    let now = scene_at(motion, time);
    let scene = &motion.scenes[now];
    let spacing =
        ((time - previous) / (GHOSTS.len() + 1) as f64).min(GHOST_SPACING_S.max(period(motion)));
    let mut content = scene::draw(&scene.items[..still.min(scene.items.len())]);
    content += &scene::track(motion, now);
    // Scenes are in world coordinates, so earlier poses stay in place under a moving camera too.
    for (k, opacity) in GHOSTS.iter().enumerate() {
        let before = scene_at(motion, time - spacing * (GHOSTS.len() - k) as f64);
        if before < now {
            let moving = motion.scenes[before].items.iter().skip(still);
            let ghost = scene::draw(moving.filter(|i| matches!(i.role, Role::Body | Role::Limb)));
            content += &format!(r#"<g opacity="{opacity}">{ghost}</g>"#);
        }
    }
    content += &scene::draw(scene.items.iter().skip(still));
    (scene::view_box(&camera.view(scene)), content)
}

/// The time of the scene that is shown.
fn caption(motion: &Motion, time: f64) -> String {
    let end = duration(motion);
    if time > end + 0.5 * period(motion) {
        format!("ended at {end:.2} s")
    } else {
        format!("{:.2} s", scene_at(motion, time) as f64 * period(motion))
    }
}

/// A strip for the page: a list of small pictures that wraps.
pub(super) fn html(motion: &Motion, camera: Camera, times: &[f64]) -> String {
    let shape = if camera.aspect() > BROAD {
        "broad"
    } else {
        "upright"
    };
    let figure = |(view_box, pose, caption)| {
        format!(
            r#"<figure><svg class="scene" viewBox="{view_box}" aria-hidden="true">{pose}</svg><figcaption>{caption}</figcaption></figure>"#
        )
    };
    let figures: String = panels(motion, camera, times).map(figure).collect();
    format!(r#"<div class="strip {shape}">{figures}</div>"#)
}

/// A film strip of about eight poses as a standalone SVG with its own background.
pub fn strip_svg(motion: &Motion) -> String {
    if motion.scenes.is_empty() {
        return frame::standalone(960.0, 80.0, &motion.label, "");
    }
    let camera = scene::camera(&[motion]);
    let aspect = camera.aspect().clamp(0.2, 6.0);
    let times = pose_times(&[motion]);
    let columns = if aspect > BROAD { POSES / 2 } else { POSES };
    let (margin, gap, top, foot) = (20.0, 8.0, 46.0, 24.0);
    let width = (960.0 - 2.0 * margin - gap * (columns - 1) as f64) / columns as f64;
    let height = width / aspect;
    // Outlines and tracks keep their width at any scale; not every viewer supports `non-scaling-stroke`.
    let view = camera.view(&motion.scenes[0]);
    let mm = 1000.0 / (width / view.size(0)).min(height / view.size(1));
    let mut content = format!(
        "<style>.track{{stroke-width:{:.1}}}circle.target,polygon.target{{stroke-width:{:.1}}}</style>",
        1.2 * mm,
        1.5 * mm
    );
    for (i, (view_box, pose, caption)) in panels(motion, camera, &times).enumerate() {
        let x = margin + (i % columns) as f64 * (width + gap);
        let y = top + (i / columns) as f64 * (height + foot + gap);
        let place = format!(r#"x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}""#);
        content += &format!(
            r#"<rect class="film" {place} rx="3"/><svg {place} viewBox="{view_box}">{pose}</svg>"#
        );
        let below = [x + width / 2.0, y + height + 16.0];
        content += &svg::text("tick middle", below, &caption);
    }
    let rows = times.len().div_ceil(columns) as f64;
    let total = top + rows * (height + foot) + (rows - 1.0) * gap + margin - 8.0;
    frame::standalone(960.0, total, &motion.label, &content)
}
