//! How a score degrades when the world changes: noise on actions, noise on observations, other parameters.

use costate_envs::{EnvConfig, Episode, Trajectory};
use serde::{Deserialize, Serialize};

use super::controller::{Controller, Disturbance};
use super::statistics::Estimate;
use super::{CLONE, Options, Scale, Subject, shared};
use crate::error::Error;

/// What is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Gaussian noise on every action.
    ActionNoise,
    /// Gaussian noise on observations.
    ObservationNoise,
    /// Named variants of the world.
    Variant,
}

/// A policy's score at one point.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The policy's name.
    pub policy: String,
    /// Mean true return.
    #[serde(rename = "return")]
    pub mean_return: f64,
    /// Its 95 % interval.
    pub ci95: [f64; 2],
    /// On the scale of the unmodified world: 1 is its expert, 0 its random actions.
    pub normalized_score: f64,
    /// Its 95 % interval.
    pub normalized_score_ci95: [f64; 2],
}

impl Scored {
    /// Mean true return with its interval.
    pub fn returned(&self) -> Estimate {
        Estimate {
            mean: self.mean_return,
            ci95: self.ci95,
        }
    }

    /// Normalised score with its interval.
    pub fn score(&self) -> Estimate {
        Estimate {
            mean: self.normalized_score,
            ci95: self.normalized_score_ci95,
        }
    }
}

/// A point of a curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<f64>,
    /// The variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Changes in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The policies.
    pub policies: Vec<Scored>,
}

/// Scores over one kind of change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What is changed.
    pub kind: Change,
    /// What a level of 1 is.
    pub unit: String,
    /// In increasing order of change.
    pub points: Vec<Point>,
}

/// Nonzero levels of action noise, half ranges.
const ACTION_NOISE: [f64; 4] = [0.1, 0.2, 0.4, 0.8];

/// Nonzero levels of observation noise, standard deviations over the demonstrations.
const OBSERVATION_NOISE: [f64; 4] = [0.02, 0.05, 0.1, 0.2];

/// Episodes per point: a subset of the evaluation's.
fn episodes(options: Options) -> usize {
    (options.episodes / 4).max(2)
}

/// All curves of the policy and, if there is one, of the clone.
pub fn curves(subject: &Subject, scale: &Scale, options: Options) -> Result<Vec<Curve>, Error> {
    let mut policies = vec![(subject.algo, &subject.controller)];
    policies.extend(subject.clone.as_ref().map(|clone| (CLONE, clone)));
    let deviations = deviations(subject.demonstrations);
    let noisy = |level: f64| Disturbance {
        action_noise: level,
        ..Disturbance::default()
    };
    let blurred = |level: f64| Disturbance {
        observation_noise: deviations.iter().map(|d| level as f32 * d).collect(),
        ..Disturbance::default()
    };
    let at = |level: f64, disturbance: Disturbance| {
        level_point(subject, scale, options, &policies, level, &disturbance)
    };
    let quiet = at(0.0, Disturbance::default())?;
    // Both curves start there.
    let curve = |levels: &[f64], disturbance: &dyn Fn(f64) -> Disturbance| {
        let noisy = levels.iter().map(|&level| at(level, disturbance(level)));
        std::iter::once(Ok(quiet.clone()))
            .chain(noisy)
            .collect::<Result<Vec<_>, Error>>()
    };
    let mut found = vec![Curve {
        kind: Change::ActionNoise,
        unit: "standard deviation of the noise, in half ranges of the action".into(),
        points: curve(&ACTION_NOISE, &noisy)?,
    }];
    if policies.iter().all(|(_, c)| c.observes()) {
        found.push(Curve {
            kind: Change::ObservationNoise,
            unit: "standard deviation of the noise, relative to that of the demonstrations' observations"
                .into(),
            points: curve(&OBSERVATION_NOISE, &blurred)?,
        });
    }
    let points = variants(subject, scale, options, &policies)?;
    if !points.is_empty() {
        found.push(Curve {
            kind: Change::Variant,
            unit: "variants of the world".into(),
            points,
        });
    }
    Ok(found)
}

fn level_point(
    subject: &Subject,
    scale: &Scale,
    options: Options,
    policies: &[(&str, &Controller)],
    level: f64,
    disturbance: &Disturbance,
) -> Result<Point, Error> {
    let scored = |(name, controller): &(&str, &Controller)| {
        let played = shared::play(
            controller,
            subject.factory,
            options.workers,
            disturbance.clone(),
            0..episodes(options),
            options.seed,
        );
        Ok(scored(name, &played?, scale, options.seed))
    };
    Ok(Point {
        level: Some(level),
        name: None,
        summary: None,
        policies: policies.iter().map(scored).collect::<Result<_, Error>>()?,
    })
}

/// Every named variant with the observations and actions of this world.
fn variants(
    subject: &Subject,
    scale: &Scale,
    options: Options,
    policies: &[(&str, &Controller)],
) -> Result<Vec<Point>, Error> {
    let mut points = Vec::new();
    for variant in EnvConfig::variants(&subject.factory.spec().name)? {
        let mut config = subject.factory.config().clone();
        config.apply_variant(&variant.name)?;
        if config == *subject.factory.config() {
            continue;
        }
        let factory = config.factory()?;
        if !factory.spec().has_channels_of(subject.factory.spec()) {
            continue;
        }
        let scored = |(name, controller): &(&str, &Controller)| {
            let played = shared::play(
                controller,
                &factory,
                options.workers,
                Disturbance::default(),
                0..episodes(options),
                options.seed,
            );
            Ok(scored(name, &played?, scale, options.seed))
        };
        points.push(Point {
            level: None,
            name: Some(variant.name),
            summary: Some(variant.summary),
            policies: policies.iter().map(scored).collect::<Result<_, Error>>()?,
        });
    }
    Ok(points)
}

fn scored(name: &str, episodes: &[Episode], scale: &Scale, seed: u64) -> Scored {
    let row = scale.row(name, episodes, None, seed);
    Scored {
        policy: row.policy,
        mean_return: row.mean_return,
        ci95: row.ci95,
        normalized_score: row.normalized_score,
        normalized_score_ci95: row.normalized_score_ci95,
    }
}

/// Standard deviation of every observation channel over the demonstrations, `[observation_dim]`.
fn deviations(episodes: &[Episode]) -> Vec<f32> {
    let Some(dim) = episodes.first().map(|e| e.trajectory.observation_dim()) else {
        return Vec::new();
    };
    let rows = || {
        let all = episodes.iter().map(|e| &e.trajectory);
        all.flat_map(move |tau: &Trajectory| tau.observations().chunks_exact(dim))
    };
    let n = rows().count() as f64;
    let mean = |of: &dyn Fn(&[f32]) -> f64| rows().map(of).sum::<f64>() / n;
    (0..dim)
        .map(|i| {
            let centre = mean(&|row| f64::from(row[i]));
            mean(&|row| (f64::from(row[i]) - centre).powi(2)).sqrt() as f32
        })
        .collect()
}
