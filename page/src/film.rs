//! Motion as the page draws it: what never changes once, then what moves.

use costate_envs::rollout::replay;
use costate_envs::scene::{Item, Role, Scene, Shape};
use costate_envs::{EnvError, EnvFactory, Episode};
use costate_picture::camera::{Camera, backdrop, outline};
use serde::Serialize;

/// A shape with its role: `p` are its points x, y, x, y, …, `w` its radius (half the thickness of a capsule), metres,
/// to a tenth of a millimetre.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// Its role, for its colour.
    pub role: Role,
    /// What its points mean.
    pub kind: Kind,
    /// Coordinates.
    pub p: Vec<f64>,
    /// Radius.
    pub w: f64,
}

/// What the points of a [`Part`] mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One point: the centre.
    Circle,
    /// Two points: the ends.
    Capsule,
    /// Its corners.
    Polygon,
}

/// Corners of the part of the world to show: left, bottom, right, top, metres.
pub type View = [f64; 4];

fn rounded(v: f64) -> f64 {
    (v * 1e4).round() / 1e4
}

/// The parts of some items; what cannot be drawn is left out.
pub fn parts(items: &[Item]) -> Vec<Part> {
    let part = |item: &Item| {
        let (points, radius) = outline(&item.shape)?;
        let kind = match item.shape {
            Shape::Circle { .. } => Kind::Circle,
            Shape::Capsule { .. } => Kind::Capsule,
            Shape::Polygon { .. } => Kind::Polygon,
        };
        let p = points.iter().flatten().map(|v| rounded(f64::from(*v)));
        Some(Part {
            role: item.role,
            kind,
            p: p.collect(),
            w: rounded(f64::from(radius)),
        })
    };
    items.iter().filter_map(part).collect()
}

/// The part of the world that a scene asks to show.
pub fn view(scene: &Scene) -> View {
    let [low, high] = [scene.view_low, scene.view_high].map(|c| c.map(|v| rounded(f64::from(v))));
    [low[0], low[1], high[0], high[1]]
}

/// The scenes of an episode, replayed from its seed: `[T + 1]`.
///
/// Errors: the simulator refuses an action of it.
pub fn scenes(factory: &EnvFactory, episode: &Episode) -> Result<Vec<Scene>, EnvError> {
    let mut scenes = Vec::with_capacity(episode.trajectory.len() + 1);
    replay(factory, episode, |_, env| scenes.push(env.scene()))?;
    Ok(scenes)
}

/// An episode as a film.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Film {
    /// What moves, in a few words: `expert lqr`, `human, episode 3`.
    pub title: String,
    /// The environment's name.
    pub env: String,
    /// Seconds between two frames.
    pub period_s: f64,
    /// What never changes, drawn first.
    pub backdrop: Vec<Part>,
    /// What moves, `[T + 1]`.
    pub frames: Vec<Vec<Part>>,
    /// What to show, `[T + 1]`, or one for all.
    pub views: Vec<View>,
    /// Observations, `[T + 1, observation dim]`.
    pub observations: Vec<Vec<f32>>,
    /// Actions as commanded, `[T, action dim]`.
    pub actions: Vec<Vec<f32>>,
    /// True costs, `[T]`.
    pub costs: Vec<f64>,
    /// −Σ true cost.
    pub true_return: f64,
    /// Whether the task was solved, if it says so.
    pub success: Option<bool>,
}

impl Film {
    /// The film of an episode, replayed from its seed.
    ///
    /// Errors: the simulator refuses an action of it.
    pub fn of(
        factory: &EnvFactory,
        episode: &Episode,
        title: impl Into<String>,
    ) -> Result<Self, EnvError> {
        let trajectory = &episode.trajectory;
        let scenes = scenes(factory, episode)?;
        let still = backdrop(&scenes);
        let views = match Camera::of(&[&scenes]) {
            Camera::Fixed(v) => vec![[v.low[0], v.low[1], v.high[0], v.high[1]].map(rounded)],
            Camera::Follow(_) => scenes.iter().map(view).collect(),
        };
        let rows = |values: &[f32], width: usize| -> Vec<Vec<f32>> {
            values.chunks(width).map(<[f32]>::to_vec).collect()
        };
        Ok(Self {
            title: title.into(),
            env: factory.spec().name.clone(),
            period_s: factory.spec().control_period_s,
            backdrop: parts(&scenes[0].items[..still]),
            frames: scenes.iter().map(|s| parts(&s.items[still..])).collect(),
            views,
            observations: rows(trajectory.observations(), trajectory.observation_dim()),
            actions: rows(trajectory.actions(), trajectory.action_dim()),
            costs: episode.costs.clone(),
            true_return: episode.true_return(),
            success: episode.success,
        })
    }
}
