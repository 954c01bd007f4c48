//! Report pages: one HTML file that explains one run, or compares several.
//!
//! Text in, text out: nothing here reads files, runs a simulation or needs libtorch. The page carries
//! its own style, scripts and pictures, asks the network for nothing, and stays under 2 MB because
//! curves are thinned and motions rounded to millimetres.
//!
//! | file | what it makes |
//! | --- | --- |
//! | `facts` | typed facts from a run's JSON, where any field may be absent |
//! | `group` | runs of one environment, their names and colours |
//! | `axis`, `frame`, `chart`, `scatter` | SVG plots |
//! | `diagnostics` | what each recorded quantity means and how to read it |
//! | `picture`, `strip`, `player` | poses, film strips, animations |
//! | `speedup`, `trust` | speed-up over workers; scores over figures of a cost |
//! | `summary`, `findings`, `motion`, `table`, `curves`, `cost`, `settings` | the page's sections |
//! | `page` | the page around them |

mod axis;
mod chart;
mod cost;
mod curves;
mod diagnostics;
mod facts;
mod findings;
mod frame;
mod group;
mod motion;
mod page;
mod picture;
mod player;
mod scatter;
mod settings;
mod speedup;
mod strip;
mod summary;
mod table;
mod text;
mod trust;

#[cfg(test)]
mod tests;

use costate_envs::scene::Scene;
use serde_json::{Map, Value};

use crate::diagnose::Finding;
pub use speedup::Speedup;
pub use trust::Multiple;

/// What a report tells about one run.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// How to call the run, e.g. the name of its folder.
    pub title: String,
    /// The contents of `config.json`.
    pub config: Value,
    /// The lines of `metrics.jsonl`, oldest first.
    pub metrics: Vec<Map<String, Value>>,
    /// The contents of `evaluation.json`, once the run has been evaluated.
    pub evaluation: Option<Value>,
    /// What `costate diagnose` says; empty for a run without trouble.
    pub findings: Vec<Finding>,
    /// Episodes to show, e.g. one of the expert and one of the learned policy from the same start.
    pub motions: Vec<Motion>,
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
/// Several runs share one table and one set of axes. Absent fields leave their part of the page out.
pub fn html(runs: &[RunReport]) -> String {
    page::html(runs)
}

/// A film strip of about eight poses as a standalone SVG with its own background.
pub fn strip_svg(motion: &Motion) -> String {
    strip::standalone(motion)
}

/// The learning curve (true return by iteration, with the expert's and the random policy's) as a
/// standalone SVG with its own background.
pub fn curves_svg(run: &RunReport) -> String {
    chart::standalone_return_curve(&facts::Facts::of(run))
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
