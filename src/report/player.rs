//! Animations: synchronised motions side by side, as compact data for `assets/report/motion.js`.

use costate_envs::scene::{Item, Scene, Shape};
use serde_json::{Value, json};

use super::Motion;
use super::scene::{self, Camera};
use super::strip::{duration, period};
use super::text::escape;

/// Maximum frames per motion; scripts interpolate between them.
const FRAMES: usize = 240;
/// Maximum numbers in all animations of a page together: about 1 MB of text.
const BUDGET: usize = 180_000;

/// Frames that each of a page's `motions` may keep to stay within the budget.
pub(super) fn frame_limit(motions: &[&Motion]) -> usize {
    let numbers = |m: &&Motion| {
        let still = scene::backdrop(m);
        m.scenes
            .iter()
            .map(|s| s.items.iter().skip(still).map(size).sum::<usize>())
            .max()
            .unwrap_or(0)
    };
    let a_frame_each: usize = motions.iter().map(numbers).sum();
    (BUDGET / a_frame_each.max(1)).clamp(2, FRAMES)
}

fn size(item: &Item) -> usize {
    match &item.shape {
        Shape::Circle { .. } => 3,
        Shape::Capsule { .. } => 5,
        Shape::Polygon { points } => 1 + 2 * points.len(),
    }
}

/// A player of `motions`: first poses that scripts animate, controls, data.
pub(super) fn html(motions: &[(String, &Motion)], camera: Camera, limit: usize) -> String {
    let mut stages = String::new();
    let mut data = Vec::new();
    for (label, motion) in motions {
        let Some(first) = motion.scenes.first() else {
            continue;
        };
        let still = scene::backdrop(motion);
        let label = escape(label);
        stages += &format!(
            r#"<figure><svg class="scene stage" viewBox="{}" role="img" aria-label="Animation of {label}">{}{}<g class="live">{}</g></svg><figcaption>{label}</figcaption></figure>"#,
            scene::view_box(&camera.view(first)),
            scene::draw(&first.items[..still]),
            scene::track(motion, motion.scenes.len()),
            scene::draw(&first.items[still..]),
        );
        data.push(encode(motion, still, camera, limit));
    }
    // `<` cannot occur: numbers and fixed words only.
    let data = Value::Array(data);
    format!(
        r#"<div class="player"><div class="stages">{stages}</div><div class="controls" hidden="">
<button type="button" class="play">Play</button>
<input type="range" class="seek" min="0" max="1000" value="0" step="1" aria-label="Time"/>
<output class="clock">0.00 s</output>
<select class="speed" aria-label="Speed"><option value="0.25">¼×</option><option value="0.5">½×</option><option value="1" selected="">1×</option><option value="2">2×</option></select>
</div><script type="application/json">{data}</script></div>"#
    )
}

/// `{step, end, styles: [[class, shape, radius]], frames: [[style, x, y, …, style, …]], views}`,
/// millimetres and seconds. Frames are `step` apart but for the last, which is at `end`.
fn encode(motion: &Motion, still: usize, camera: Camera, limit: usize) -> Value {
    let last = motion.scenes.len() - 1;
    let every = last.div_ceil(limit.saturating_sub(1).max(1)).max(1);
    let mut kept: Vec<usize> = (0..last).step_by(every).collect();
    kept.push(last);
    let mut styles: Vec<Value> = Vec::new();
    let frames: Vec<Vec<i64>> = kept
        .iter()
        .map(|&i| frame(&motion.scenes[i], still, &mut styles))
        .collect();
    let views: Vec<[i64; 4]> = match camera {
        Camera::Fixed(_) => Vec::new(),
        Camera::Follow(_) => kept
            .iter()
            .map(|&i| scene::view_mm(&camera.view(&motion.scenes[i])))
            .collect(),
    };
    let seconds = |v: f64| (v * 1e6).round() / 1e6;
    json!({
        "step": seconds(every as f64 * period(motion)),
        "end": seconds(duration(motion)),
        "styles": styles,
        "frames": frames,
        "views": views,
    })
}

fn frame(scene: &Scene, still: usize, styles: &mut Vec<Value>) -> Vec<i64> {
    let mut numbers = Vec::new();
    for item in scene.items.iter().skip(still) {
        let Some((points, radius)) = scene::outline(&item.shape) else {
            continue;
        };
        let kind = match item.shape {
            Shape::Circle { .. } => "circle",
            Shape::Polygon { .. } => "polygon",
            Shape::Capsule { .. } => "line",
        };
        let radius = (radius * 1000.0).round().max(0.0) as i64;
        let style = json!([scene::class(item.role), kind, radius, points.len()]);
        let index = styles.iter().position(|s| *s == style).unwrap_or_else(|| {
            styles.push(style);
            styles.len() - 1
        });
        numbers.push(index as i64);
        numbers.extend(points.into_iter().flat_map(scene::mm));
    }
    numbers
}
