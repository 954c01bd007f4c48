//! What the page reads: answers as JSON.

use costate_demos::experts::experts_for;
use costate_envs::{EnvSpec, Space, registry};
use serde::Serialize;

use crate::protocol::Channel;

/// About this server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hello {
    /// Release.
    pub version: String,
    /// Whether runs can be watched and started.
    pub learning: bool,
    /// The folder of datasets, as given.
    pub demos: String,
    /// The folder of runs, as given.
    pub runs: String,
}

/// An environment to choose.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its task in a line.
    pub summary: String,
    /// Simulated seconds per step.
    pub period_s: f64,
    /// Steps of the longest episode.
    pub horizon: usize,
    /// What actions there are.
    pub action: Vec<Channel>,
    /// What is observed.
    pub observation: Vec<Channel>,
    /// Names and meanings of its variants.
    pub variants: Vec<(String, String)>,
    /// Its experts, best first.
    pub experts: Vec<String>,
}

/// A dataset in the list.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct DatasetLine {
    /// Name of its folder.
    pub name: String,
    /// The environment's name.
    pub env: String,
    /// Who demonstrates.
    pub expert: String,
    /// Episodes.
    pub episodes: usize,
    /// Steps in all.
    pub steps: usize,
    /// Mean true return, where it is known.
    pub mean_return: Option<f64>,
    /// Share of the episodes that solve the task, if it says so.
    pub success: Option<f64>,
    /// Whether a session of this server records into it.
    pub recording: bool,
    /// What is wrong with it; then the rest is empty.
    pub fault: Option<String>,
}

/// An episode in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EpisodeLine {
    /// Its number.
    pub id: usize,
    /// Steps.
    pub steps: usize,
    /// Simulated seconds.
    pub seconds: f64,
    /// −Σ true cost.
    pub true_return: f64,
    /// Whether the task was solved, if it says so.
    pub success: Option<bool>,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Who demonstrated.
    pub expert: String,
}

/// A dataset with its episodes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetView {
    /// As in the list.
    #[serde(flatten)]
    pub line: DatasetLine,
    /// Its episodes.
    pub list: Vec<EpisodeLine>,
    /// Whether the last change can be undone.
    pub undo: bool,
    /// Whether its episodes can be drawn.
    pub drawn: bool,
}

/// The channels of a space.
pub fn channels(space: &Space) -> Vec<Channel> {
    let bound = |v: f32| (v.abs() < f32::MAX).then_some(v);
    let channel = |c: &costate_envs::Channel| Channel {
        name: c.name.clone(),
        unit: c.unit.clone(),
        low: bound(c.low),
        high: bound(c.high),
    };
    space.0.iter().map(channel).collect()
}

impl Environment {
    /// Every registered environment that can be drawn.
    pub fn all() -> Vec<Self> {
        let of = |name: &str| {
            let factory = costate_envs::EnvConfig::named(name).ok()?.factory().ok()?;
            let variants = costate_envs::EnvConfig::variants(name).unwrap_or_default();
            let variants = variants.into_iter().map(|v| (v.name, v.summary));
            Some(Self::of(factory.spec(), variants.collect()))
        };
        registry::names().into_iter().filter_map(of).collect()
    }

    fn of(spec: &EnvSpec, variants: Vec<(String, String)>) -> Self {
        Self {
            name: spec.name.clone(),
            summary: spec.summary.clone(),
            period_s: spec.control_period_s,
            horizon: spec.horizon,
            action: channels(&spec.action),
            observation: channels(&spec.observation),
            variants,
            experts: experts_for(&spec.name)
                .iter()
                .map(|e| (*e).into())
                .collect(),
        }
    }
}
