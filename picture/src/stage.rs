//! One picture of a film: its layout.

use costate_envs::scene::{Item, Role, Scene};

use super::camera::{Camera, View, backdrop};
use super::canvas::{Canvas, Projection};
use super::caption::Caption;
use super::colours;
use super::trail::Trail;
use super::{Film, PictureError, SIZES};

/// Seconds until an animation's trail has faded.
const TRAIL_S: f64 = 2.5;
/// Shades of a fading trail.
const SHADES: u32 = 12;
/// Opacities of the earlier poses in a still, oldest first.
const GHOSTS: [f32; 6] = [0.10, 0.13, 0.16, 0.20, 0.25, 0.32];
/// Minimum distance between them, in lengths of the view's longer side: closer ones blur.
const GHOST_SPACING: f64 = 0.03;
/// How far back a still's trail reaches, in lengths of the view's longer side.
const STILL_REACH: f64 = 1.5;
/// Opacity of the paths of other films.
const OTHERS: f32 = 0.3;
/// Maximum width of a still under a moving camera, relative to its view.
const PANORAMA: f64 = 2.0;

/// A still picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Still {
    /// The file, PNG.
    pub bytes: Vec<u8>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Metres between the lines of the grid.
    pub grid_m: f64,
}

/// The state after `step` steps, with the path there and faint earlier poses along it; the longer
/// side has `size` pixels.
pub fn still(film: &Film, step: usize, size: u32) -> Result<Still, PictureError> {
    still_among(film, &[], step, size)
}

/// The same on top of the full paths of other films of the same world.
pub fn still_among(
    film: &Film,
    others: &[Film],
    step: usize,
    size: u32,
) -> Result<Still, PictureError> {
    if step > film.steps() {
        return Err(PictureError::Moment {
            step,
            steps: film.steps(),
        });
    }
    let stage = Stage::among(film, others, size)?;
    let from = stage.reach(step);
    let mut stage = stage.widened(from, step, size)?;
    stage.others = others.iter().filter_map(trail_of).collect();
    let canvas = stage.draw(step, &stage.poses(from, step), from, Fade::ByLength)?;
    Ok(Still {
        bytes: canvas.png().map_err(PictureError::Encoding)?,
        width: stage.width,
        height: stage.height,
        grid_m: stage.grid_m,
    })
}

/// A scene as pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Red, green, blue of every pixel, row by row from the top, `[height, width, 3]`.
    pub rgb: Vec<u8>,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// One scene in the view that it requests, without trail and caption; the longer side has `size` pixels. Scenes of one
/// world give frames of one size.
pub fn frame(scene: Scene, size: u32) -> Result<Frame, PictureError> {
    let camera = Camera::of_view(&scene);
    let view = camera.view(&scene);
    // A view that moves with its world is no wider for the rounding of its corners.
    let extent = [0, 1].map(|i| (view.size(i) * 1000.0).round() / 1000.0);
    let film = Film::new(scene, 1.0);
    let stage = Stage::sized(&film, camera, 0, None, extent, size, None)?;
    let canvas = stage.frame(0)?;
    Ok(Frame {
        rgb: canvas.rgb().flatten().collect(),
        width: stage.width,
        height: stage.height,
    })
}

fn trail_of(film: &Film) -> Option<Trail> {
    let moves = matches!(Camera::of(&[&film.scenes]), Camera::Follow(_));
    Trail::of(&film.scenes, backdrop(&film.scenes), moves)
}

/// What a trail fades with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fade {
    /// Time.
    ByTime,
    /// Distance.
    ByLength,
}

/// What all pictures of a film share.
pub(super) struct Stage<'a> {
    film: &'a Film,
    camera: Camera,
    /// Number of leading items that never change.
    still: usize,
    trail: Option<Trail>,
    /// Trails of other films, drawn in full.
    others: Vec<Trail>,
    /// Width and height of the view, metres.
    extent: [f64; 2],
    scale: f64,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Height of the scene; the rest is the caption.
    scene_height: u32,
    /// Supersampling factor, for smooth edges.
    factor: u32,
    caption: Option<Caption>,
    pub(super) grid_m: f64,
}

impl<'a> Stage<'a> {
    /// A stage whose longer side has `size` pixels.
    pub(super) fn new(film: &'a Film, size: u32) -> Result<Self, PictureError> {
        Self::among(film, &[], size)
    }

    /// The same with room for the paths of other films.
    fn among(film: &'a Film, others: &[Film], size: u32) -> Result<Self, PictureError> {
        let all: Vec<&[Scene]> = [film]
            .into_iter()
            .chain(others)
            .map(|f| &*f.scenes)
            .collect();
        let camera = Camera::of(&all);
        let still = backdrop(&film.scenes);
        let views = film.scenes.iter().map(|s| camera.view(s));
        // One scale for all frames, so that nothing grows or shrinks.
        let extent = views.fold([0.0, 0.0], |most: [f64; 2], view| {
            [0, 1].map(|i| most[i].max(view.size(i)))
        });
        let trail = trail_of(film);
        let caption = Some(Caption::new(film, size));
        Self::sized(film, camera, still, trail, extent, size, caption)
    }

    fn sized(
        film: &'a Film,
        camera: Camera,
        still: usize,
        trail: Option<Trail>,
        extent: [f64; 2],
        size: u32,
        caption: Option<Caption>,
    ) -> Result<Self, PictureError> {
        if !SIZES.contains(&size) {
            return Err(PictureError::Size(size));
        }
        let below = caption.map_or(0, |c| c.height());
        let room = size - below;
        let scale = (f64::from(size) / extent[0]).min(f64::from(room) / extent[1]);
        let pixels = |i: usize| ((extent[i] * scale).round() as u32).clamp(1, size);
        let (width, scene_height) = (pixels(0), pixels(1).min(room));
        Ok(Self {
            film,
            camera,
            still,
            trail,
            others: Vec::new(),
            extent,
            scale,
            width,
            height: scene_height + below,
            scene_height,
            factor: if size <= 2048 { 2 } else { 1 },
            caption,
            grid_m: grid_spacing(extent[0].max(extent[1])),
        })
    }

    /// An animation's frame.
    pub(super) fn frame(&self, step: usize) -> Result<Canvas, PictureError> {
        let steps = (TRAIL_S / self.film.control_period_s).round() as usize;
        // Worlds with long steps still show their last ones.
        self.draw(step, &[], step.saturating_sub(steps.max(8)), Fade::ByTime)
    }

    /// The step at which a still's trail begins.
    fn reach(&self, step: usize) -> usize {
        let Some(trail) = &self.trail else {
            return step;
        };
        let most = STILL_REACH * self.extent[0].max(self.extent[1]);
        let mut from = step;
        let mut gone = 0.0;
        while from > 0 {
            gone += trail.length(from - 1, from);
            let wide = (0..2).any(|i| {
                let [a, b] = [from - 1, step].map(|t| self.view(t).low[i]);
                (a - b).abs() > (PANORAMA - 1.0) * self.extent[i]
            });
            if gone > most || wide {
                break;
            }
            from -= 1;
        }
        from
    }

    /// A stage that shows everything the camera saw between two steps.
    fn widened(self, from: usize, step: usize, size: u32) -> Result<Self, PictureError> {
        if !matches!(self.camera, Camera::Follow(_)) {
            return Ok(self);
        }
        let mut seen = self.view(step);
        for t in from..step {
            let view = self.view(t);
            seen.low = [0, 1].map(|i| seen.low[i].min(view.low[i]));
            seen.high = [0, 1].map(|i| seen.high[i].max(view.high[i]));
        }
        let extent = [seen.size(0), seen.size(1)];
        Self::sized(
            self.film,
            Camera::Fixed(seen),
            self.still,
            self.trail,
            extent,
            size,
            self.caption,
        )
    }

    /// Earlier steps to show faintly: about equally spaced along the trail, none hidden by
    /// another.
    fn poses(&self, from: usize, step: usize) -> Vec<(usize, f32)> {
        let Some(trail) = &self.trail else {
            return Vec::new();
        };
        let least = GHOST_SPACING * self.extent[0].max(self.extent[1]);
        let apart = trail.length(from, step) / GHOSTS.len() as f64;
        let mut poses: Vec<(usize, f32)> = Vec::new();
        let mut gone = 0.0;
        let mut t = from;
        for (i, &opacity) in GHOSTS.iter().enumerate() {
            while gone < apart * i as f64 && t < step {
                t += 1;
                gone += trail.length(t - 1, t);
            }
            let near = |other: usize| trail.distance(t, other) < least;
            if !near(step) && !poses.iter().any(|&(other, _)| near(other)) {
                poses.push((t, opacity));
            }
        }
        poses
    }

    /// The camera's view at a step, of constant size.
    fn view(&self, step: usize) -> View {
        let view = self.camera.view(&self.film.scenes[step]);
        let low = [0, 1].map(|i| 0.5 * (view.low[i] + view.high[i] - self.extent[i]));
        View {
            low,
            high: [0, 1].map(|i| low[i] + self.extent[i]),
        }
    }

    fn draw(
        &self,
        step: usize,
        poses: &[(usize, f32)],
        from: usize,
        fade: Fade,
    ) -> Result<Canvas, PictureError> {
        let too_large = || PictureError::Encoding("not enough memory for its pixels".into());
        let factor = self.factor;
        let blank = |colour| {
            let (width, height) = (self.width * factor, self.scene_height * factor);
            Canvas::new(width, height, colour).ok_or_else(too_large)
        };
        let view = self.view(step);
        let whole = |v: f64| (v * self.scale).round() as i64 * i64::from(factor);
        let projection = Projection {
            scale: self.scale * f64::from(factor),
            origin: [whole(-view.low[0]), whole(view.high[1])],
            factor,
        };
        let mut canvas = blank(Some(colours::SKY))?;
        self.grid(&mut canvas, &view, &projection);
        let (backdrop, moving) = self.film.scenes[step].items.split_at(self.still);
        backdrop
            .iter()
            .for_each(|item| canvas.item(item, &projection));
        for other in &self.others {
            let way: Vec<_> = other.points.iter().map(|&p| projection.pixel(p)).collect();
            let ink = (colours::of(other.role), OTHERS);
            canvas.curve(&way, 0..=way.len() - 1, self.line(), ink);
        }
        self.trail(&mut canvas, &projection, from, step, fade);
        for &(pose, opacity) in poses {
            let mut layer = blank(None)?;
            let seen = |i: &&Item| matches!(i.role, Role::Body | Role::Limb);
            let items = self.film.scenes[pose].items.iter().skip(self.still);
            items
                .filter(seen)
                .for_each(|item| layer.item(item, &projection));
            canvas.lay(&layer, opacity);
        }
        moving
            .iter()
            .for_each(|item| canvas.item(item, &projection));
        let mut picture = canvas
            .shrunk(factor, self.width, self.height)
            .ok_or_else(too_large)?;
        if let Some(caption) = &self.caption {
            caption.draw(&mut picture, self.film, step, [self.width, self.height]);
        }
        Ok(picture)
    }

    /// Lines fixed to the world, one pixel wide.
    fn grid(&self, canvas: &mut Canvas, view: &View, projection: &Projection) {
        let factor = i64::from(self.factor);
        let lines = |i: usize| {
            let first = (view.low[i] / self.grid_m).floor() as i64;
            let last = (view.high[i] / self.grid_m).ceil() as i64;
            (first..=last).map(|k| (k as f64 * self.grid_m * self.scale).round() as i64 * factor)
        };
        let [width, height] = [self.width, self.scene_height].map(|v| i64::from(v) * factor);
        let [x0, y0] = projection.origin;
        for x in lines(0) {
            canvas.rectangle(x0 + x, 0, factor, height, colours::GRID);
        }
        for y in lines(1) {
            canvas.rectangle(0, y0 - y, width, factor, colours::GRID);
        }
    }

    /// Width of a trail, pixels of the canvas.
    fn line(&self) -> f32 {
        let size = f64::from(self.width.max(self.height));
        (size / 220.0).clamp(1.5, 6.0) as f32 * self.factor as f32
    }

    /// The trail from one step to another, fading with age.
    fn trail(
        &self,
        canvas: &mut Canvas,
        projection: &Projection,
        from: usize,
        to: usize,
        fade: Fade,
    ) {
        let Some(trail) = &self.trail else { return };
        let width = self.line();
        let way: Vec<[f32; 2]> = trail.points.iter().map(|&p| projection.pixel(p)).collect();
        let whole = trail.length(from, to).max(1e-9);
        let mut gone = 0.0;
        let shades: Vec<u32> = (from..to)
            .map(|t| {
                gone += trail.length(t, t + 1);
                let youth = match fade {
                    Fade::ByTime => (t - from + 1) as f64 / (to - from) as f64,
                    Fade::ByLength => gone / whole,
                };
                (youth * f64::from(SHADES)).ceil() as u32
            })
            .collect();
        // A segment of one shade is one line: translucent pieces would darken at joints.
        let mut t = from;
        for stretch in shades.chunk_by(|a, b| a == b) {
            let share = stretch[0] as f32 / SHADES as f32;
            let ink = (colours::of(trail.role), 0.06 + 0.5 * share);
            canvas.curve(&way, t..=t + stretch.len(), width, ink);
            t += stretch.len();
        }
    }
}

/// Metres between grid lines: whole, unless the view is smaller or much larger.
fn grid_spacing(longer_side: f64) -> f64 {
    if (1.2..16.0).contains(&longer_side) {
        return 1.0;
    }
    let power = 10_f64.powf((longer_side / 12.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|spacing| longer_side / spacing <= 12.0)
        .unwrap_or(10.0 * power)
}
