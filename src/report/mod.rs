//! Report pages: one HTML file that explains one run, or compares several.
//!
//! Data in, text out: nothing here reads files or runs a simulation. The page carries
//! its own style, scripts and pictures, asks the network for nothing, and stays under 5 MB because
//! curves are thinned, motions rounded to millimetres and maps limited in number.
//!
//! | file | what it makes |
//! | --- | --- |
//! | `run` | what a run's files say; its name and colour; runs of one environment |
//! | `seeds` | runs that differ in their seed alone, as one line |
//! | `axis`, `frame`, `chart`, `scatter`, `heat` | plots |
//! | `svg` | elements of SVG |
//! | `figure` | a plot with heading and key, on the page or as a file |
//! | `diagnostics` | what each recorded quantity means and how to read it |
//! | `picture`, `strip`, `player` | poses, film strips, animations |
//! | `speedup`, `trust`, `convergence`, `small` | plots of the published tables, the last three as small multiples |
//! | `summary`, `findings`, `motion`, `table`, `curves`, `learning`, `cost`, `settings` | the page's sections |
//! | `scale`, `dots` | scores as dots with whiskers, in tables and pictures |
//! | `robustness`, `transfer` | other noise, other worlds |
//! | `certificate` | the soft value along the way |
//! | `correlations`, `landscape`, `ways`, `discriminator` | parts of the section about the cost |
//! | `energy_map` | an energy over two dimensions of plain vectors |
//! | `page` | the page around them |
//! | `png` | SVG as PNG |
//! | `export` | every figure as a file, all numbers as JSON |

mod axis;
mod certificate;
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
mod figure;
mod findings;
mod frame;
mod heat;
mod landscape;
mod learning;
mod motion;
mod page;
mod picture;
mod player;
mod png;
mod robustness;
mod run;
mod scale;
mod scatter;
mod seeds;
mod settings;
mod small;
mod speedup;
mod strip;
mod summary;
mod svg;
mod table;
mod text;
mod transfer;
mod trust;
mod ways;

#[cfg(test)]
mod tests;

use costate_envs::scene::Scene;
use serde_json::{Map, Value};

use crate::diagnose::Finding;
use crate::evaluate::Evaluation;
use crate::run::RunConfig;
pub use convergence::Convergence;
#[cfg(test)]
pub(crate) use diagnostics::stray_space;
pub use energy_map::EnergyMap;
pub use landscape::{Landscape, LandscapeChannel, Surface, Walker, Way};
pub use png::png;
pub use speedup::Speedup;
pub use trust::Multiple;

/// What a report tells about one run.
#[derive(Debug, Clone)]
pub struct RunReport {
    /// A name for the run, e.g. that of its folder.
    pub title: String,
    /// `config.json`.
    pub config: RunConfig,
    /// The lines of `metrics.jsonl`, oldest first.
    pub metrics: Vec<Map<String, Value>>,
    /// `evaluation.json`, once the run has been evaluated.
    pub evaluation: Option<Evaluation>,
    /// What `costate diagnose` says; empty for a run without trouble.
    pub findings: Vec<Finding>,
    /// Episodes to show, e.g. one of the expert and one of the learned policy from the same start.
    pub motions: Vec<Motion>,
    /// The learned cost over pairs of state dimensions.
    pub landscape: Option<Landscape>,
}

/// A picture that stands on its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Name for its file, without an ending.
    pub name: String,
    /// SVG, light on white.
    pub svg: String,
}

/// An episode as a sequence of pictures.
#[derive(Debug, Clone)]
pub struct Motion {
    /// Who acts, e.g. `expert`.
    pub label: String,
    /// Seconds from one scene to the next.
    pub control_period_s: f64,
    /// The picture of every state, `[T + 1]`.
    pub scenes: Vec<Scene>,
}

/// One self-contained page about `runs`: a summary in words, motion, evaluation, learning curves, the
/// learned cost, diagnostics, configuration and how to repeat it.
///
/// Several runs share one table and one set of axes. What a run does not have leaves its part of the page out.
pub fn html(runs: &[RunReport]) -> String {
    page::html(runs)
}

/// Every figure of the page about `runs`, each with a background of its own.
pub fn pictures(runs: &[RunReport]) -> Vec<Picture> {
    export::pictures(runs)
}

/// Everything that the page about `runs` shows as numbers: configuration, metrics, evaluation, findings,
/// landscape.
pub fn data(runs: &[RunReport]) -> Value {
    export::data(runs)
}

/// A film strip of about eight poses as a standalone SVG with its own background.
pub fn strip_svg(motion: &Motion) -> String {
    strip::standalone(motion)
}

/// The learning curve (true return by iteration, with the expert's and the random policy's) as a
/// standalone SVG with its own background.
pub fn curves_svg(run: &RunReport) -> String {
    learning::standalone(run)
}

/// Scores of fresh policies over figures of their costs as a standalone SVG with its own background; `groups` name the
/// marks.
pub fn trust_svg(title: &str, groups: &[String], multiples: &[Multiple]) -> String {
    trust::multiples(title, groups, multiples)
}

/// Speed-up over workers as a standalone SVG with its own background.
pub fn speedup_svg(title: &str, curves: &[Speedup]) -> String {
    speedup::standalone(title, curves)
}

/// Distances over samples as a standalone SVG with its own background; `learners` name the lines.
pub fn convergence_svg(title: &str, learners: &[String], plots: &[Convergence]) -> String {
    convergence::standalone(title, learners, plots)
}

/// An energy over two dimensions as a standalone SVG with its own background; `None` for a map that cannot be drawn.
pub fn energy_map_svg(map: &EnergyMap) -> Option<String> {
    energy_map::standalone(map)
}
