//! A run as the page shows it: its name, colour and data.

use serde_json::Value;

use super::axis::drawable;
use super::chart::Line;
use super::text::escape;
use super::{Motion, RunReport};
use crate::evaluate::statistics::Estimate;
use crate::evaluate::{CostPoint, CostReport, DiscriminatorFigures, Evaluation, Row};
use crate::run::Algo;

/// A run among those shown together.
#[derive(Debug, Clone)]
pub(super) struct Run<'a> {
    pub(super) report: &'a RunReport,
    /// Unique among the runs shown.
    pub(super) label: String,
    /// Index into the series' colours, the same all over the page.
    pub(super) style: usize,
    /// Whether there are others.
    pub(super) one_of_many: bool,
}

/// Whose an episode or evaluation row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// The policy that this run learned.
    Learned,
    /// Another learned policy, e.g. behaviour cloning.
    Baseline,
    /// The expert: normalised score 1.
    Expert,
    /// Random actions: normalised score 0.
    Random,
}

impl<'a> Run<'a> {
    /// All runs of a page.
    pub(super) fn all(reports: &'a [RunReport]) -> Vec<Self> {
        let runs = reports.iter().enumerate().map(|(style, report)| Self {
            report,
            label: String::new(),
            style,
            one_of_many: reports.len() > 1,
        });
        labelled(runs.collect())
    }

    /// `, LABEL` if there are others: suffix of figure titles about this run.
    pub(super) fn suffix(&self) -> String {
        match self.one_of_many {
            true => format!(", {}", self.label),
            false => String::new(),
        }
    }

    /// A heading of this level with its name, if there are others.
    pub(super) fn heading(&self, level: usize) -> String {
        match self.one_of_many {
            true => format!("<h{level}>{}</h{level}>", escape(&self.label)),
            false => String::new(),
        }
    }

    /// The environment's name.
    pub(super) fn env(&self) -> &'a str {
        &self.report.config.env.name
    }

    /// The algorithm's name as on the command line.
    pub(super) fn algo(&self) -> &'static str {
        self.settings().name()
    }

    /// Its algorithm with all settings.
    pub(super) fn settings(&self) -> &Algo {
        &self.report.config.algo
    }

    /// The algorithm's usual name.
    pub(super) fn algo_title(&self) -> String {
        algo_title(self.algo())
    }

    pub(super) fn seed(&self) -> u64 {
        self.report.config.seed
    }

    pub(super) fn evaluation(&self) -> Option<&'a Evaluation> {
        self.report.evaluation.as_ref()
    }

    /// The normalised score of the learned policy.
    pub(super) fn score(&self) -> Option<Estimate> {
        self.evaluation().map(|e| Estimate {
            mean: e.normalized_score,
            ci95: e.normalized_score_ci95,
        })
    }

    /// The evaluation of the learned cost.
    pub(super) fn cost(&self) -> Option<&'a CostReport> {
        self.evaluation()?.cost.as_ref()
    }

    pub(super) fn discriminator(&self) -> Option<&'a DiscriminatorFigures> {
        self.cost()?.discriminator.as_ref()
    }

    /// Trajectories with their learned and true cost.
    pub(super) fn cost_points(&self) -> &'a [CostPoint] {
        self.cost().map_or(&[], |c| &c.cost_scatter)
    }

    /// Mean true return of the demonstrations.
    pub(super) fn expert_return(&self) -> Option<f64> {
        let recorded = || Some(self.report.config.demonstrations.as_ref()?.expert_return);
        self.evaluation().map(|e| e.expert_return).or_else(recorded)
    }

    /// Rows of the evaluation by kind.
    pub(super) fn rows(&self) -> Vec<(Kind, &'a Row)> {
        let rows = self.evaluation().map_or(&[][..], |e| &e.rows);
        let mut rows: Vec<_> = rows.iter().map(|r| (self.kind(&r.policy), r)).collect();
        rows.sort_by_key(|(kind, _)| *kind);
        rows
    }

    /// The kind of a policy of this name in this run.
    pub(super) fn kind(&self, policy: &str) -> Kind {
        match policy {
            "expert" => Kind::Expert,
            "random" => Kind::Random,
            name if name == self.algo() => Kind::Learned,
            _ => Kind::Baseline,
        }
    }

    /// Demonstrated episodes.
    pub(super) fn demonstrated_episodes(&self) -> Option<f64> {
        let demonstrations = self.report.config.demonstrations.as_ref();
        demonstrations.map(|d| d.episodes as f64)
    }

    /// `config.json`.
    pub(super) fn config_json(&self) -> Value {
        serde_json::to_value(&self.report.config).unwrap_or_default()
    }

    /// A quantity by iteration, in the run's colour.
    pub(super) fn line(&self, name: &str) -> Line {
        Line {
            label: self.label.clone(),
            style: self.style,
            points: self.curve(name),
            ..Line::default()
        }
    }

    /// The last value of a quantity in the metrics.
    pub(super) fn last(&self, name: &str) -> Option<f64> {
        self.curve(name).last().map(|p| p[1])
    }

    /// A quantity by iteration: drawable values where recorded, NaN in gaps.
    pub(super) fn curve(&self, name: &str) -> Vec<[f64; 2]> {
        let points = self.report.metrics.iter().enumerate().map(|(i, line)| {
            let finite = |key: &str| {
                let value = line.get(key).and_then(Value::as_f64);
                value.filter(|v| drawable(*v))
            };
            [
                finite("iteration").unwrap_or(i as f64),
                finite(name).unwrap_or(f64::NAN),
            ]
        });
        let mut points: Vec<[f64; 2]> = points.collect();
        let recorded = |p: &[f64; 2]| p[1].is_finite();
        points.truncate(points.iter().rposition(recorded).map_or(0, |i| i + 1));
        points.drain(..points.iter().position(recorded).unwrap_or(0));
        points
    }

    /// Names of the recorded quantities, in the order of their first appearance.
    pub(super) fn quantities(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, value) in self.report.metrics.iter().flatten() {
            if value.as_f64().is_some() && !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Motions with at least one picture.
    pub(super) fn motions(&self) -> impl Iterator<Item = &'a Motion> + use<'a> {
        let motions = self.report.motions.iter();
        motions.filter(|m| !m.scenes.is_empty())
    }
}

/// An algorithm's usual name.
pub(super) fn algo_title(name: &str) -> String {
    match name {
        "bc" => "behaviour cloning".into(),
        "gail-alone" => "stand-alone GAIL".into(),
        "iq-learn" => "IQ-Learn".into(),
        "gan-gcl" | "gcl" | "gcl-lqg" | "gail" | "airl" | "ls-iq" | "sqil" => name.to_uppercase(),
        other => other.into(),
    }
}

/// Short unique names of the runs: algorithm, then environment and seed where they differ.
fn labelled(mut runs: Vec<Run>) -> Vec<Run> {
    let env = runs.windows(2).any(|w| w[0].env() != w[1].env());
    let seed = runs.windows(2).any(|w| w[0].seed() != w[1].seed());
    for run in &mut runs {
        run.label = run.algo_title();
        if env {
            run.label += &format!(" on {}", run.env());
        }
        if seed {
            run.label += &format!(", seed {}", run.seed());
        }
    }
    for part in [
        |run: &Run, _: usize| run.report.title.clone(),
        |_: &Run, i: usize| format!("run {}", i + 1),
    ] {
        let before: Vec<String> = runs.iter().map(|r| r.label.clone()).collect();
        for (i, run) in runs.iter_mut().enumerate() {
            if before.iter().filter(|other| **other == run.label).count() > 1 {
                run.label += &format!(" ({})", part(run, i));
            }
        }
    }
    runs
}

/// Runs of one environment, whose returns and motions can be compared.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) env: &'a str,
    /// Whether the page has other environments too.
    pub(super) one_of_many: bool,
    /// Its runs, labelled among themselves.
    pub(super) members: Vec<Run<'a>>,
}

impl Group<'_> {
    /// A heading, if the page has several environments.
    pub(super) fn heading(&self) -> String {
        match self.one_of_many {
            true => format!("<h3>{}</h3>", escape(self.env)),
            false => String::new(),
        }
    }
}

impl Group<'_> {
    /// `, ENV` if the page has several environments: suffix of figure titles about this one.
    pub(super) fn suffix(&self) -> String {
        match self.one_of_many {
            true => format!(", {}", self.env),
            false => String::new(),
        }
    }
}

/// Groups the runs by environment, in order of appearance.
pub(super) fn by_environment<'a>(runs: &[Run<'a>]) -> Vec<Group<'a>> {
    let mut envs: Vec<&str> = Vec::new();
    for run in runs {
        if !envs.contains(&run.env()) {
            envs.push(run.env());
        }
    }
    let one_of_many = envs.len() > 1;
    let group = |env| {
        let own: Vec<Run> = runs.iter().filter(|r| r.env() == env).cloned().collect();
        let several = own.len() > 1;
        let members = own.into_iter().map(|run| Run {
            one_of_many: several,
            ..run
        });
        Group {
            env,
            one_of_many,
            members: labelled(members.collect()),
        }
    };
    envs.into_iter().map(group).collect()
}
