//! The path of a moving part.

use costate_envs::scene::{Item, Role, Scene, Shape};

use super::camera::outline;

/// Positions of one point of one item in every scene.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Trail {
    /// The item's role, for its colour.
    pub(super) role: Role,
    /// Metres, `[T + 1]`.
    pub(super) points: Vec<[f32; 2]>,
}

impl Trail {
    /// The trail of the point of a body or limb that moves furthest; under a moving camera that of
    /// the first body's centre, since running feet draw tangles. The first `still` items do not move.
    pub(super) fn of(scenes: &[Scene], still: usize, camera_moves: bool) -> Option<Self> {
        let items = || scenes.first().into_iter().flat_map(|s| s.items.iter());
        let of_role = |wanted: Role| {
            let all = items().enumerate().skip(still);
            all.filter(move |(_, item)| item.role == wanted)
        };
        let (bodies, limbs) = (of_role(Role::Body), of_role(Role::Limb));
        let mut trails = bodies.chain(limbs).flat_map(|(index, item)| {
            (0..handles(item).len()).filter_map(move |handle| {
                let points = path(scenes, index, handle)?;
                let role = item.role;
                Some(Self { role, points })
            })
        });
        let first = trails.next()?;
        if camera_moves {
            return Some(first);
        }
        Some(trails.fold(first, |best, trail| {
            // Of points that move together, the first, its item's centre, is chosen.
            if length(&trail.points) > 1.05 * length(&best.points) {
                trail
            } else {
                best
            }
        }))
    }

    /// Straight-line distance between scenes `a` and `b`, metres.
    pub(super) fn distance(&self, a: usize, b: usize) -> f64 {
        length(&[self.points[a], self.points[b]])
    }

    /// Path length from scene `from` to scene `to`, metres.
    pub(super) fn length(&self, from: usize, to: usize) -> f64 {
        length(&self.points[from..=to])
    }
}

fn path(scenes: &[Scene], index: usize, handle: usize) -> Option<Vec<[f32; 2]>> {
    scenes
        .iter()
        .map(|s| handles(s.items.get(index)?).get(handle).copied())
        .collect()
}

/// Points of an item that may leave a trail: its centre, then its ends.
fn handles(item: &Item) -> Vec<[f32; 2]> {
    let Some((points, _)) = outline(&item.shape) else {
        return Vec::new();
    };
    let middle = |points: &[[f32; 2]]| {
        let n = points.len() as f32;
        [0, 1].map(|i| points.iter().map(|p| p[i]).sum::<f32>() / n)
    };
    let mut handles = vec![middle(&points)];
    match item.shape {
        Shape::Circle { .. } => {}
        Shape::Capsule { .. } => handles.extend(&points),
        // Midpoints of the sides: the ends of a long box.
        Shape::Polygon { .. } if points.len() <= 8 => {
            let next = points.iter().cycle().skip(1);
            handles.extend(points.iter().zip(next).map(|(a, b)| middle(&[*a, *b])));
        }
        Shape::Polygon { .. } => {}
    }
    handles
}

fn length(points: &[[f32; 2]]) -> f64 {
    points
        .windows(2)
        .map(|w| f64::from((w[1][0] - w[0][0]).hypot(w[1][1] - w[0][1])))
        .sum()
}
