//! Views, cameras, and which parts of a film move. Metres, y upwards.

use costate_envs::scene::{Item, Role, Scene, Shape};

/// Coordinates beyond this many metres mean a diverged simulation.
pub const FARTHEST: f32 = 1e5;

/// A rectangle of the world, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Lower-left corner.
    pub low: [f64; 2],
    /// Upper-right corner.
    pub high: [f64; 2],
}

impl View {
    /// The view that a scene requests; a unit square if that is invalid.
    fn of(scene: &Scene) -> Self {
        let [low, high] = [scene.view_low, scene.view_high].map(|c| c.map(f64::from));
        let sane =
            (0..2).all(|i| high[i] - low[i] > 1e-3 && high[i] - low[i] < f64::from(FARTHEST));
        if sane {
            Self { low, high }
        } else {
            Self {
                low: [-1.0; 2],
                high: [1.0; 2],
            }
        }
    }

    /// Its extent along axis `i`.
    pub fn size(&self, i: usize) -> f64 {
        self.high[i] - self.low[i]
    }

    /// Width over height.
    pub fn aspect(&self) -> f64 {
        self.size(0) / self.size(1)
    }

    /// The part of `self` that holds `inner` with a margin, at least a third as wide as `self` and
    /// without an extreme aspect ratio.
    fn cropped(&self, inner: [[f64; 2]; 2]) -> Self {
        let air = 0.06
            * (0..2)
                .map(|i| inner[1][i] - inner[0][i])
                .fold(0.0, f64::max);
        let mut size = [0, 1].map(|i| {
            (inner[1][i] - inner[0][i] + 2.0 * air).clamp(self.size(i) / 3.0, self.size(i))
        });
        size[0] = size[0].max(0.8 * size[1]).min(self.size(0));
        size[1] = size[1].max(0.4 * size[0]).min(self.size(1));
        let low = [0, 1].map(|i| {
            let centre = 0.5 * (inner[0][i] + inner[1][i]);
            (centre - size[i] / 2.0).clamp(self.low[i], self.high[i] - size[i])
        });
        Self {
            low,
            high: [low[0] + size[0], low[1] + size[1]],
        }
    }
}

/// The camera of motions, all at one scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Camera {
    /// Fixed.
    Fixed(View),
    /// Follows each scene's own view.
    Follow(View),
}

impl Camera {
    /// A camera for some films: fixed on the region of activity, unless the scenes' own view moves.
    pub fn of(films: &[&[Scene]]) -> Self {
        let mut scenes = films.iter().copied().flatten();
        let Some(first) = scenes.next().map(View::of) else {
            return Self::Fixed(View {
                low: [-1.0; 2],
                high: [1.0; 2],
            });
        };
        if scenes.any(|s| View::of(s) != first) {
            return Self::Follow(first);
        }
        match films.iter().filter_map(|f| action(f)).reduce(union) {
            Some(inner) => Self::Fixed(first.cropped(inner)),
            None => Self::Fixed(first),
        }
    }

    /// The camera that every scene requests.
    pub(crate) fn of_view(scene: &Scene) -> Self {
        Self::Follow(View::of(scene))
    }

    /// Its view of a scene.
    pub fn view(&self, scene: &Scene) -> View {
        match self {
            Self::Fixed(view) => *view,
            Self::Follow(_) => View::of(scene),
        }
    }

    /// Width over height of its picture.
    pub fn aspect(&self) -> f64 {
        let (Self::Fixed(view) | Self::Follow(view)) = self;
        view.aspect()
    }
}

/// Number of leading items that never change: the backdrop.
pub fn backdrop(scenes: &[Scene]) -> usize {
    let Some((first, rest)) = scenes.split_first() else {
        return 0;
    };
    rest.iter().fold(first.items.len(), |n, scene| {
        first
            .items
            .iter()
            .zip(&scene.items)
            .take(n)
            .take_while(|(a, b)| a == b)
            .count()
    })
}

/// The bounding box of all that moves or matters: bodies, targets, obstacles.
fn action(scenes: &[Scene]) -> Option<[[f64; 2]; 2]> {
    let still = backdrop(scenes);
    let matters = |i: usize, item: &Item| {
        i >= still || matches!(item.role, Role::Target | Role::Obstacle) || scenes.len() == 1
    };
    scenes
        .iter()
        .flat_map(|s| s.items.iter().enumerate())
        .filter(|(i, item)| matters(*i, item) && item.role != Role::Ground)
        .filter_map(|(_, item)| bounds(&item.shape))
        .reduce(union)
}

fn union(a: [[f64; 2]; 2], b: [[f64; 2]; 2]) -> [[f64; 2]; 2] {
    [
        [0, 1].map(|i| a[0][i].min(b[0][i])),
        [0, 1].map(|i| a[1][i].max(b[1][i])),
    ]
}

fn bounds(shape: &Shape) -> Option<[[f64; 2]; 2]> {
    let (points, radius) = outline(shape)?;
    let r = f64::from(radius);
    let corner = |sign: f64, pick: fn(f64, f64) -> f64| {
        [0, 1].map(|i| {
            points
                .iter()
                .map(|p| f64::from(p[i]))
                .fold(-sign * f64::INFINITY, pick)
                + sign * r
        })
    };
    Some([corner(-1.0, f64::min), corner(1.0, f64::max)])
}

/// A shape's points and radius; `None` if it cannot be drawn.
pub fn outline(shape: &Shape) -> Option<(Vec<[f32; 2]>, f32)> {
    let (points, radius) = match shape {
        Shape::Circle { centre, radius } => (vec![*centre], *radius),
        Shape::Polygon { points } => (points.clone(), 0.0),
        Shape::Capsule { from, to, radius } => (vec![*from, *to], *radius),
    };
    let sane = |v: &f32| v.is_finite() && v.abs() < FARTHEST;
    (!points.is_empty() && points.iter().flatten().all(sane) && sane(&radius))
        .then_some((points, radius))
}
