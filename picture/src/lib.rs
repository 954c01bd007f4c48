//! Pictures of episodes: anti-aliased stills and animations of an environment's scenes.
//!
//! Scenes in, bytes out: nothing here reads files, runs a simulation or needs libtorch. Equal films
//! give identical bytes.
//!
//! | file | contents |
//! | --- | --- |
//! | `camera` | views and moving parts (shared with the report's SVG pictures) |
//! | `colours` | colours of roles |
//! | `canvas` | shapes, lines and text on pixels |
//! | `trail` | the path of a moving part |
//! | `caption` | the footer: progress, time, step, cost so far |
//! | `stage` | a frame of a scene; one picture of a film: grid, backdrop, trail, earlier poses, bodies, caption |
//! | `palette` | up to 127 colours for an animation |
//! | `animation` | a GIF |

#![warn(missing_docs)]

mod animation;
pub mod camera;
mod canvas;
mod caption;
mod colours;
mod palette;
mod stage;
mod trail;

#[cfg(test)]
mod tests;

use costate_envs::scene::Scene;

pub use animation::{Animation, animate};
pub use stage::{Frame, Still, frame, still, still_among};

/// Minimum and maximum length of a picture's longer side, pixels.
pub const SIZES: std::ops::RangeInclusive<u32> = 64..=4096;

/// Why a picture cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A size outside [`SIZES`].
    #[error("the size is {0} pixels, expected {min} to {max}", min = SIZES.start(), max = SIZES.end())]
    Size(u32),
    /// A step after the end of the film.
    #[error("step {step} requested, but the episode has {steps} steps")]
    Moment {
        /// The requested step.
        step: usize,
        /// Number of steps.
        steps: usize,
    },
    /// A playback speed that is not a positive number.
    #[error("the speed is {0}, expected a positive number (1 is real time)")]
    Speed(f64),
    /// The encoder failed.
    #[error("the picture cannot be encoded: {0}")]
    Encoding(String),
}

/// A rendered episode: the scenes of states s_0 … s_T and the true cost of each step.
#[derive(Debug, Clone)]
pub struct Film {
    control_period_s: f64,
    /// `[T + 1]`.
    scenes: Vec<Scene>,
    /// Cost of the first t steps, `[T + 1]`.
    total_costs: Vec<f64>,
}

impl Film {
    /// A film that begins with `first` and has a scene every `control_period_s` seconds (one second
    /// unless that is positive).
    pub fn new(first: Scene, control_period_s: f64) -> Self {
        let sane = control_period_s.is_finite() && control_period_s > 1e-9;
        Self {
            control_period_s: if sane { control_period_s } else { 1.0 },
            scenes: vec![first],
            total_costs: vec![0.0],
        }
    }

    /// Adds the scene that a step of cost c(s_t, a_t) led to.
    pub fn push(&mut self, cost: f64, scene: Scene) {
        self.total_costs.push(self.total_cost(self.steps()) + cost);
        self.scenes.push(scene);
    }

    /// Number of steps T.
    pub fn steps(&self) -> usize {
        self.scenes.len() - 1
    }

    /// Simulated seconds from the first scene to the last.
    pub fn seconds(&self) -> f64 {
        self.time(self.steps())
    }

    /// Cost of the first `step` steps.
    pub fn total_cost(&self, step: usize) -> f64 {
        self.total_costs[step]
    }

    /// Simulated seconds before scene `step`.
    fn time(&self, step: usize) -> f64 {
        step as f64 * self.control_period_s
    }
}
