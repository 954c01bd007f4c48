//! Scenes as SVG: millimetres, y downwards, colours by role through CSS classes.

use costate_envs::scene::{Item, Role, Scene, Shape};

use super::Motion;

/// Coordinates beyond this many metres are no picture but a diverged simulation.
const FARTHEST: f32 = 1e5;

/// A rectangle of the world, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    low: [f64; 2],
    high: [f64; 2],
}

impl View {
    /// What a scene asks to be shown; a unit square where it asks nonsense.
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

    fn size(&self, i: usize) -> f64 {
        self.high[i] - self.low[i]
    }

    /// Width over height.
    pub(super) fn aspect(&self) -> f64 {
        self.size(0) / self.size(1)
    }

    /// `x y width height`, millimetres.
    pub(super) fn mm(&self) -> [i64; 4] {
        [self.low[0], -self.high[1], self.size(0), self.size(1)]
            .map(|v| (v * 1000.0).round() as i64)
    }

    /// The same for an SVG attribute.
    pub(super) fn view_box(&self) -> String {
        self.mm().map(|v| v.to_string()).join(" ")
    }

    /// The part of `self` that holds `inner` with some air, not narrower than a third of `self` and
    /// not of an extreme shape.
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

/// How motions are looked at: all of them at one scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Camera {
    /// Stands still.
    Fixed(View),
    /// Goes with each scene's own view.
    Follow(View),
}

impl Camera {
    /// A camera for `motions`: fixed on where things happen, unless the scenes' own view moves.
    pub(super) fn of(motions: &[&Motion]) -> Self {
        let mut scenes = motions.iter().flat_map(|m| &m.scenes);
        let Some(first) = scenes.next().map(View::of) else {
            return Self::Fixed(View {
                low: [-1.0; 2],
                high: [1.0; 2],
            });
        };
        if scenes.any(|s| View::of(s) != first) {
            return Self::Follow(first);
        }
        match motions.iter().filter_map(|m| action(m)).reduce(union) {
            Some(inner) => Self::Fixed(first.cropped(inner)),
            None => Self::Fixed(first),
        }
    }

    /// What it sees of a scene.
    pub(super) fn view(&self, scene: &Scene) -> View {
        match self {
            Self::Fixed(view) => *view,
            Self::Follow(_) => View::of(scene),
        }
    }

    /// Width over height of its picture.
    pub(super) fn aspect(&self) -> f64 {
        let (Self::Fixed(view) | Self::Follow(view)) = self;
        view.aspect()
    }
}

/// How many leading items never change: the backdrop.
pub(super) fn backdrop(motion: &Motion) -> usize {
    let Some((first, rest)) = motion.scenes.split_first() else {
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

/// The box around all that moves or matters: bodies, targets, obstacles.
fn action(motion: &Motion) -> Option<[[f64; 2]; 2]> {
    let still = backdrop(motion);
    let matters = |i: usize, item: &Item| {
        i >= still || matches!(item.role, Role::Target | Role::Obstacle) || motion.scenes.len() == 1
    };
    motion
        .scenes
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
pub(super) fn outline(shape: &Shape) -> Option<(Vec<[f32; 2]>, f32)> {
    let (points, radius) = match shape {
        Shape::Circle { centre, radius } => (vec![*centre], *radius),
        Shape::Polygon { points } => (points.clone(), 0.0),
        Shape::Capsule { from, to, radius } => (vec![*from, *to], *radius),
    };
    let sane = |v: &f32| v.is_finite() && v.abs() < FARTHEST;
    (!points.is_empty() && points.iter().flatten().all(sane) && sane(&radius))
        .then_some((points, radius))
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

/// The way that round bodies went up to scene `end`: for agents that are points.
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
