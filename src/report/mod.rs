//! Report pages: one HTML file that explains one run, or compares several.
//!
//! Data in, text out: nothing here reads files or runs a simulation. The page is self-contained
//! (style, scripts, pictures), makes no network requests, and stays under 5 MB because curves are
//! thinned, motions rounded to millimetres and maps limited in number.
//!
//! | file | contents |
//! | --- | --- |
//! | `run` | a run's data, name and colour; runs of one environment |
//! | `seeds` | runs that differ only in their seed, as one line |
//! | `axis`, `frame`, `chart`, `scatter`, `heat` | plots |
//! | `svg` | elements of SVG |
//! | `figure` | a plot with heading and key, on the page or as a file |
//! | `diagnostics` | what each recorded quantity means and how to read it |
//! | `scene`, `strip`, `player` | poses, film strips, animations |
//! | `speedup`, `trust`, `convergence`, `few`, `small` | plots of the published tables, all but the first as small multiples |
//! | `summary`, `findings`, `motion`, `table`, `curves`, `learning`, `cost`, `settings` | the page's sections |
//! | `scale`, `dots` | scores as dots with whiskers, in tables and pictures |
//! | `held_out` | figures without a simulator |
//! | `robustness`, `changed_worlds` | other noise, other worlds |
//! | `certificate` | the soft value along trajectories |
//! | `correlations`, `landscape`, `ways`, `discriminator` | parts of the section on the cost |
//! | `energy_map` | an energy over two dimensions of plain vectors |
//! | `page` | the page around them |
//! | `png` | SVG as PNG |
//! | `export` | every figure as a file, all numbers as JSON |

mod axis;
mod certificate;
mod changed_worlds;
mod chart;
mod convergence;
mod correlations;
mod cost;
mod curves;
mod diagnostics;
mod discriminator;
mod dots;
mod energy_map;
mod export;
mod few;
mod figure;
mod findings;
mod frame;
mod heat;
mod held_out;
mod landscape;
mod learning;
mod motion;
mod page;
mod parts;
mod player;
mod png;
mod robustness;
mod run;
mod scale;
mod scatter;
mod scene;
mod seeds;
mod settings;
mod small;
mod speedup;
mod strip;
mod summary;
mod svg;
mod table;
mod text;
mod trust;
mod ways;

#[cfg(test)]
mod tests;

use costate_envs::scene::Scene;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::diagnose::Finding;
use crate::evaluate::Evaluation;
use crate::evaluate::held_out::HeldOut;
use crate::run::RunConfig;
pub use convergence::{Convergence, convergence_svg};
#[cfg(test)]
pub(crate) use diagnostics::stray_space;
pub use diagnostics::{Quantity, readings};
pub use energy_map::{EnergyMap, energy_map_svg};
pub use export::{data, pictures};
pub use few::{FewShot, FewShotPoint, few_shot_svg};
pub use landscape::{Landscape, LandscapeChannel, Surface, Walker, Way};
pub use learning::curves_svg;
pub use page::html;
pub use png::png;
pub use speedup::{Speedup, speedup_svg};
pub use strip::strip_svg;
pub use trust::{Multiple, trust_svg};

/// The data of one run in a report; `report.json` holds all but the motions.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// A name for the run, e.g. its folder's.
    pub title: String,
    /// `config.json`.
    pub config: RunConfig,
    /// The lines of `metrics.jsonl`, oldest first.
    pub metrics: Vec<Map<String, Value>>,
    /// `evaluation.json`, once the run has been evaluated.
    pub evaluation: Option<Evaluation>,
    /// `held_out.json`, once a run without a simulator has been evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
    /// Findings of `costate diagnose`; empty for a healthy run.
    pub findings: Vec<Finding>,
    /// Episodes to show, e.g. one of the expert and one of the learned policy from the same start.
    #[serde(skip)]
    pub motions: Vec<Motion>,
    /// The learned cost over pairs of state dimensions.
    pub landscape: Option<Landscape>,
}

/// A standalone picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// File name without extension.
    pub name: String,
    /// SVG on white.
    pub svg: String,
}

/// An episode as a sequence of scenes.
#[derive(Debug, Clone)]
pub struct Motion {
    /// Acting policy, e.g. `expert`.
    pub label: String,
    /// Seconds from one scene to the next.
    pub control_period_s: f64,
    /// The scene of every state, `[T + 1]`.
    pub scenes: Vec<Scene>,
}
