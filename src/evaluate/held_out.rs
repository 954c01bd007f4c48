//! Evaluation without a simulator: how well a policy predicts demonstrated actions.
//!
//! Next to every figure stands that of a prediction that ignores the state: the mean of the training actions, and the
//! Gaussian around it.

use std::f64::consts::TAU;
use std::path::Path;

use costate_envs::{EnvSpec, Trajectory};
use serde::{Deserialize, Serialize};

use super::controller::Controller;
use super::statistics::bootstrap;
use crate::batch::TrajectoryBatch;
use crate::error::Error;
use crate::policy::Learned;

/// The file of a [`HeldOut`] in a run's folder.
pub const FILE: &str = "held_out.json";

/// Which demonstrations the figures are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Demonstrations that training did not use at all.
    Unseen,
    /// Demonstrations that training held out, to choose the weights that are kept.
    HeldOut,
    /// Demonstrations that the policy was trained on.
    Seen,
}

impl Part {
    /// What it means, in words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Unseen => "which training did not use",
            Self::HeldOut => "which training held out to choose the weights",
            Self::Seen => "which the policy was trained on",
        }
    }
}

/// A mean over episodes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The figure.
    pub mean: f64,
    /// Its 95 % bootstrap interval over episodes; `None` for a single episode.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci95: Option<[f64; 2]>,
}

/// Of log-densities of demonstrated actions, nats a step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LogLikelihood {
    /// Of the policy.
    pub policy: Figure,
    /// Of the Gaussian that ignores the state.
    pub baseline: Figure,
    /// The policy's minus the baseline's.
    pub gain: Figure,
}

/// Error of one action channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActionError {
    /// Name of the channel.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Root mean squared error of the policy's most likely action.
    pub rmse: Figure,
    /// The same of the mean training action.
    pub baseline_rmse: f64,
    /// Share of the squared error of the mean action that the policy removes: 1 is best; 0 or less means that it
    /// predicts no better than the mean. `None` where the demonstrated action never differs from that mean.
    pub explained: Option<f64>,
}

/// Results of `costate evaluate` for a run without a simulator: `held_out.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HeldOut {
    /// Version of this file.
    pub format: u32,
    /// Environment.
    pub env: String,
    /// Algorithm of the run.
    pub algo: String,
    /// Seed of the run.
    pub seed: u64,
    /// Which demonstrations the figures are of.
    pub part: Part,
    /// Their number.
    pub episodes: usize,
    /// Their steps.
    pub steps: usize,
    /// Episodes that the policy's weights were fitted to.
    pub trained_on: usize,
    /// Log-likelihood; `None` for a policy without a density.
    pub log_likelihood: Option<LogLikelihood>,
    /// Errors by action channel.
    pub actions: Vec<ActionError>,
    /// What is not measured, and why.
    pub statements: Vec<String>,
}

/// What to evaluate.
pub struct Subject<'a> {
    /// Names and units.
    pub spec: &'a EnvSpec,
    /// Algorithm of the run.
    pub algo: &'a str,
    /// Seed of the run; of the intervals as well.
    pub seed: u64,
    /// The policy.
    pub policy: Learned<'a>,
    /// The same, acting.
    pub controller: &'a Controller,
    /// Demonstrations that its weights were fitted to, at least one.
    pub training: &'a [Trajectory],
    /// Demonstrations to predict, at least one.
    pub judged: &'a [Trajectory],
    /// What the latter are to the run.
    pub part: Part,
}

/// Measures how well a policy predicts demonstrated actions.
pub fn held_out(subject: &Subject) -> Result<HeldOut, Error> {
    let mean = Gaussian::of(subject.training);
    let mut statements = vec![
        "no returns, scores or success: they take a simulator, and these demonstrations came without one; \
         `costate demos import … --env NAME` attaches one whose channels they have"
            .to_owned(),
    ];
    if subject.part == Part::Seen {
        statements.push(
            "the policy was trained on these episodes, so the figures say how well it fits, not how well it generalises; \
             for that, train with fewer: `--demonstrations N`"
                .into(),
        );
    }
    let log_likelihood = match subject.policy {
        Learned::Gaussian(_) => log_likelihood(subject, &mean)?,
        Learned::Implicit(_) => {
            statements.push(format!(
                "no log-likelihood: the density of {} is known up to a factor only, π(a | s) ∝ exp(−E)",
                subject.algo
            ));
            None
        }
        Learned::Flow(_) => {
            statements.push(format!(
                "no log-likelihood: {} draws plans whose density cannot be evaluated; the most likely action stands for \
                 the first of the plan without noise",
                subject.algo
            ));
            None
        }
    };
    Ok(HeldOut {
        format: HeldOut::FORMAT,
        env: subject.spec.name.clone(),
        algo: subject.algo.into(),
        seed: subject.seed,
        part: subject.part,
        episodes: subject.judged.len(),
        steps: subject.judged.iter().map(Trajectory::len).sum(),
        trained_on: subject.training.len(),
        log_likelihood,
        actions: errors(subject, &mean),
        statements,
    })
}

impl HeldOut {
    /// Version that this build writes, and the newest that it reads.
    pub const FORMAT: u32 = 1;

    /// Reads a `held_out.json`; `None` if there is none.
    ///
    /// Errors: a damaged file, or one of a newer format.
    pub fn read(file: &Path) -> Result<Option<Self>, Error> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::io(file)(e)),
        };
        let failed = |reason: String| Error::Failure(format!("{}: {reason}", file.display()));
        let head: Head = serde_json::from_str(&text)
            .map_err(|e| failed(format!("{e}; `costate evaluate` regenerates it")))?;
        if head.format > Self::FORMAT {
            return Err(failed(format!(
                "format {} is newer than {}, the newest that this build reads; update Costate",
                head.format,
                Self::FORMAT
            )));
        }
        let found = serde_json::from_str(&text);
        found
            .map(Some)
            .map_err(|e| failed(format!("{e}; `costate evaluate` regenerates it")))
    }
}

/// What is read of a file before its version is known.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// A statistic of means over episodes.
fn figure(groups: &[&[f64]], seed: u64, statistic: impl Fn(&[f64]) -> f64) -> Figure {
    if groups[0].len() < 2 {
        let only: Vec<f64> = groups.iter().map(|g| g[0]).collect();
        return Figure {
            mean: statistic(&only),
            ci95: None,
        };
    }
    let found = bootstrap(groups, seed, statistic);
    Figure {
        mean: found.mean,
        ci95: Some(found.ci95),
    }
}

/// Root of a mean of squares, which is not negative, nor is its interval.
fn error(squares: &[f64], seed: u64) -> Figure {
    let found = figure(&[squares], seed, |m| m[0].sqrt());
    Figure {
        ci95: found.ci95.map(|[low, high]| [low.max(0.0), high]),
        ..found
    }
}

/// Independent Gaussians around the mean training action.
struct Gaussian {
    mean: Vec<f64>,
    variance: Vec<f64>,
}

impl Gaussian {
    fn of(trajectories: &[Trajectory]) -> Self {
        let dim = trajectories[0].action_dim();
        let column = |i: usize| {
            let all = trajectories
                .iter()
                .flat_map(move |t| t.actions().iter().skip(i).step_by(dim));
            all.map(|a| f64::from(*a))
        };
        let count = trajectories.iter().map(Trajectory::len).sum::<usize>() as f64;
        let mean: Vec<f64> = (0..dim).map(|i| column(i).sum::<f64>() / count).collect();
        let squares = |i: usize| column(i).map(|a| (a - mean[i]).powi(2)).sum::<f64>();
        let variance = (0..dim).map(|i| squares(i) / count).collect();
        Self { mean, variance }
    }

    /// Mean log-density of a trajectory's actions; `None` where a channel is constant.
    fn log_density(&self, trajectory: &Trajectory) -> Option<f64> {
        if self.variance.contains(&0.0) {
            return None;
        }
        let step = |action: &[f32]| -> f64 {
            let channels = action.iter().zip(&self.mean).zip(&self.variance);
            channels
                .map(|((a, m), v)| -0.5 * ((f64::from(*a) - m).powi(2) / v + (TAU * v).ln()))
                .sum()
        };
        let steps = trajectory.actions().chunks_exact(self.mean.len());
        Some(steps.map(step).sum::<f64>() / trajectory.len() as f64)
    }
}

fn log_likelihood(subject: &Subject, baseline: &Gaussian) -> Result<Option<LogLikelihood>, Error> {
    let policy = subject.policy.gaussian()?;
    let own: Vec<f64> = (subject.judged.iter())
        .filter_map(|t| TrajectoryBatch::new(std::slice::from_ref(t)))
        .map(|batch| policy.mean_log_density(&batch.observations, &batch.actions))
        .collect();
    let other: Option<Vec<f64>> = subject
        .judged
        .iter()
        .map(|t| baseline.log_density(t))
        .collect();
    let Some(other) = other else {
        return Ok(None);
    };
    let gain: Vec<f64> = own.iter().zip(&other).map(|(a, b)| a - b).collect();
    let of = |values: &[f64]| figure(&[values], subject.seed, |m| m[0]);
    Ok(Some(LogLikelihood {
        policy: of(&own),
        baseline: of(&other),
        gain: of(&gain),
    }))
}

fn errors(subject: &Subject, baseline: &Gaussian) -> Vec<ActionError> {
    let dim = subject.spec.action.dim();
    let mut own = vec![Vec::new(); dim];
    let mut other = vec![Vec::new(); dim];
    for trajectory in subject.judged {
        let observations: Vec<&[f32]> = (0..trajectory.len())
            .map(|t| trajectory.observation(t))
            .collect();
        let answers = subject.controller.answers(subject.spec, &observations);
        // A learned policy always answers.
        let answers = answers.unwrap_or_default();
        for i in 0..dim {
            let mut squares = [0.0, 0.0];
            for (t, answer) in answers.iter().enumerate() {
                let shown = f64::from(trajectory.action(t)[i]);
                squares[0] += (shown - f64::from(answer[i])).powi(2);
                squares[1] += (shown - baseline.mean[i]).powi(2);
            }
            own[i].push(squares[0] / trajectory.len() as f64);
            other[i].push(squares[1] / trajectory.len() as f64);
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    (subject.spec.action.0.iter().enumerate())
        .map(|(i, channel)| {
            let base = mean(&other[i]);
            ActionError {
                name: channel.name.clone(),
                unit: channel.unit.clone(),
                rmse: error(&own[i], subject.seed),
                baseline_rmse: base.sqrt(),
                explained: (base > 0.0).then(|| 1.0 - mean(&own[i]) / base),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use costate_envs::End;

    fn shown(actions: &[f32]) -> Trajectory {
        let observations = (0..=actions.len()).map(|t| t as f32).collect();
        Trajectory::new(1, 1, observations, actions.to_vec(), None, End::Truncated).unwrap()
    }

    #[test]
    fn the_baseline_is_the_gaussian_of_the_training_actions() {
        let gaussian = Gaussian::of(&[shown(&[1.0, 3.0]), shown(&[1.0, 3.0])]);
        assert_eq!((gaussian.mean[0], gaussian.variance[0]), (2.0, 1.0));
        // One standard deviation from the mean: −(1 + ln 2π)/2.
        let expected = -0.5 * (1.0 + TAU.ln());
        let found = gaussian.log_density(&shown(&[1.0, 3.0])).unwrap();
        assert!((found - expected).abs() < 1e-12, "{found}");
        assert_eq!(
            Gaussian::of(&[shown(&[2.0, 2.0])]).log_density(&shown(&[1.0])),
            None
        );
    }

    #[test]
    fn one_episode_has_no_interval() {
        let one = figure(&[&[4.0]], 0, |m| m[0].sqrt());
        assert_eq!((one.mean, one.ci95), (2.0, None));
        let two = figure(&[&[4.0, 16.0]], 0, |m| m[0]);
        assert!(
            two.ci95
                .is_some_and(|[low, high]| low <= 10.0 && 10.0 <= high)
        );
    }
}
