//! What a run is doing and how far it is, from its folder and from the process that works on it.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use costate_base::number::duration;
use costate_page::learning::{RunLine, State};
use serde::Deserialize;

use super::super::{run_name, validate};
use super::process::{Ending, Told};
use super::started::Now;
use crate::error::Error;
use crate::run::{RunConfig, RunFolder, lock, weights};

/// Files whose change is a change of the run.
const CHANGING: [&str; 4] = [
    "config.json",
    "metrics.jsonl",
    "evaluation.json",
    validate::FILE,
];

/// A run's line in the list, and what else is known of its standing.
pub(super) struct Standing {
    pub(super) line: RunLine,
    /// What it is doing or why it failed, in a line.
    pub(super) said: String,
    /// Whether nothing is left to do, be it to test the cost.
    pub(super) complete: bool,
}

/// Looks at a run. `now`: what is known of its process.
pub(super) fn of(run: &RunFolder, now: Now) -> Result<Standing, Error> {
    let config = run.config();
    let last = run.last_metrics()?;
    let number = |key: &str| last.as_ref()?.get(key)?.as_f64();
    let iterations = number("iteration").map_or(0, |k| k as usize + 1);
    let seconds = number("seconds");
    let planned = planned(config)?;
    let learned = run.iterations_done()? >= planned;
    // Fresh policies on the frozen cost belong to a training that asks for them.
    let validation = config
        .algo
        .validation()
        .filter(|_| config.demonstrations.is_some());
    let validates = validation.is_some_and(|settings| !settings.plan().is_empty());
    let complete = learned && (!validates || run.file(validate::FILE).exists());
    let far = Far {
        iterations,
        planned,
        seconds,
        validating: learned && validates,
    };
    let (state, said, ours) = match now {
        Now::Works(Told::Work) => (State::Running, far.working(), true),
        Now::Works(Told::Pause) => (State::Paused, format!("paused after {}", far.share()), true),
        Now::Works(Told::Stop) => {
            let said = format!("stops once its work is safe, after {}", far.share());
            (State::Running, said, true)
        }
        Now::Unknown | Now::Ended(_) if lock::held(run.path()) => {
            (State::Running, far.working(), false)
        }
        Now::Ended(Ending::Failed(why)) if !complete => (State::Failed, why, false),
        Now::Ended(Ending::Stopped) if !complete => (State::Stopped, far.stopped(), false),
        // The test of its cost may be left for later, or left out.
        Now::Unknown | Now::Ended(_) if learned => (State::Done, far.all(), false),
        Now::Unknown | Now::Ended(_) => (State::Stopped, far.stopped(), false),
    };
    let line = RunLine {
        name: run_name(run.path()),
        env: config.env.name.clone(),
        algo: config.algo.name().into(),
        demonstrations: config
            .demonstrations
            .as_ref()
            .map(|d| d.path.display().to_string()),
        seed: config.seed,
        state,
        iterations,
        planned,
        ours,
        policy: run.file(weights::POLICY).exists(),
        cost: run.file(weights::COST).exists(),
        score: score(run),
        changed_s: CHANGING
            .iter()
            .filter_map(|name| changed(&run.file(name)))
            .max()
            .unwrap_or(0),
    };
    Ok(Standing {
        line,
        said,
        complete,
    })
}

/// When a run was begun or resumed last, seconds since 1970.
pub(super) fn begun(run: &Path) -> u64 {
    changed(&run.join("config.json")).unwrap_or(0)
}

/// Iterations in all.
pub(super) fn planned(config: &RunConfig) -> Result<usize, Error> {
    let iterations = config.algo.values()?["iterations"].as_u64();
    Ok(iterations.unwrap_or(0) as usize)
}

fn changed(file: &Path) -> Option<u64> {
    let time: SystemTime = fs::metadata(file).ok()?.modified().ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

/// The normalised score of its last evaluation, of which only that is read: the list is asked for every second.
fn score(run: &RunFolder) -> Option<f64> {
    #[derive(Deserialize)]
    struct Scored {
        normalized_score: f64,
    }
    let text = fs::read(run.file("evaluation.json")).ok()?;
    let scored: Scored = serde_json::from_slice(&text).ok()?;
    Some(scored.normalized_score)
}

/// How far a run is.
struct Far {
    iterations: usize,
    planned: usize,
    /// Of learning, so far.
    seconds: Option<f64>,
    /// Whether all is learned, and fresh policies are trained on the cost.
    validating: bool,
}

impl Far {
    fn share(&self) -> String {
        match self.validating {
            true => "all iterations, while fresh policies were trained on the cost".into(),
            false => format!("{} of {} iterations", self.iterations, self.planned),
        }
    }

    fn working(&self) -> String {
        match (self.iterations, self.validating) {
            (_, true) => "all is learned; fresh policies are trained on the cost to test it".into(),
            (0, false) => "prepares the first iteration".into(),
            (k, false) => {
                let left = self.planned.saturating_sub(k) as f64;
                let left = self.seconds.map(|s| duration(s / k as f64 * left));
                let left = left.map_or(String::new(), |left| format!(", about {left} to go"));
                format!("{}{left}", self.share())
            }
        }
    }

    fn all(&self) -> String {
        let time = self.seconds.map(|s| format!(" in {}", duration(s)));
        format!(
            "all {} iterations{}",
            self.planned,
            time.unwrap_or_default()
        )
    }

    fn stopped(&self) -> String {
        format!("stopped after {}", self.share())
    }
}
