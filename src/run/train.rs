//! The training loop: iterate, record, checkpoint; interruptible and resumable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use super::folder::{Progress, RunFolder};
use super::settings;
use super::tensorboard::EventWriter;
use crate::audit::Auditor;
use crate::error::Error;
use crate::learners::Learner;
use crate::metric::{Diagnostics, Metric};

/// At most about twice as many histograms of a quantity are kept of a run.
const HISTOGRAMS: usize = 100;

/// Work that a crash may cost, beyond the iteration in progress.
const MOST_AT_STAKE: Duration = Duration::from_secs(30);

/// How training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All iterations are done.
    Finished(Progress),
    /// Stopped on request; the last checkpoint holds everything up to here.
    Interrupted(Progress),
}

/// Runs `learner` from `from` to its end, or until `interrupt` is set. `auditor`
/// unseals the true costs of its rollouts; `observe` receives every line of metrics as it is written.
pub fn train(
    run: &RunFolder,
    learner: &mut dyn Learner,
    auditor: &Auditor,
    from: Progress,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Map<String, Value>),
) -> Result<Outcome, Error> {
    // One libtorch thread per task: results then do not depend on the machine's number of cores.
    tch::set_num_threads(1);
    let board = run.file("tensorboard");
    let mut events = EventWriter::create(&board, from.iterations as u64)?;
    events.hyperparameters(&hyperparameters(run))?;
    let every = run.config().checkpoint_every.max(1);
    let actions = action_names(run);
    let pictured = (learner.iterations() / HISTOGRAMS).max(1);
    let mut progress = from;
    tracing::debug!(
        "{}: from iteration {}",
        run.path().display(),
        from.iterations
    );
    let advised = |e| advised(run, e);
    let mut saved = Instant::now();
    match from.iterations {
        0 => run.checkpoint(learner, progress).map_err(advised)?,
        // The run may have been killed between a checkpoint and its weights.
        _ => run.republish(learner)?,
    }
    while progress.iterations < learner.iterations() {
        let k = progress.iterations;
        let began = Instant::now();
        let report = learner.iterate(k).map_err(advised)?;
        progress.iterations += 1;
        progress.env_steps += report.env_steps;
        progress.seconds += began.elapsed().as_secs_f64();

        let mut scalars = Diagnostics::new();
        if let Some(audit) = &report.audit {
            let truth = auditor.open(audit)?;
            let returns = &truth.returns;
            scalars.push((
                Metric::TrueReturn,
                returns.iter().sum::<f64>() / returns.len() as f64,
            ));
            scalars.extend(truth.solved.map(|share| (Metric::Solved, share)));
        }
        scalars.extend(report.diagnostics);
        let mut line = Map::new();
        line.insert("iteration".into(), k.into());
        line.insert("env_steps".into(), progress.env_steps.into());
        line.insert("seconds".into(), progress.seconds.into());
        line.extend(
            scalars
                .iter()
                .map(|(metric, value)| (metric.key().to_owned(), (*value).into())),
        );
        run.append_metrics(&line)?;
        events.scalars(k as u64, &scalars)?;
        if k.is_multiple_of(pictured) {
            let tagged = report.spreads.into_iter();
            let tagged: Vec<_> = tagged
                .map(|(s, values)| (s.tag(&actions), values))
                .collect();
            events.histograms(k as u64, &tagged)?;
        }
        observe(&line);

        let finished = progress.iterations == learner.iterations();
        let stop = interrupt.load(Ordering::Relaxed) && !finished;
        let due = progress.iterations.is_multiple_of(every) || saved.elapsed() > MOST_AT_STAKE;
        if finished || stop || due {
            run.checkpoint(learner, progress).map_err(advised)?;
            saved = Instant::now();
        }
        if stop {
            return Ok(Outcome::Interrupted(progress));
        }
    }
    events.finished()?;
    Ok(Outcome::Finished(progress))
}

/// Names of the run's action channels; none if its world is unknown here.
fn action_names(run: &RunFolder) -> Vec<String> {
    let factory = run.config().env.factory();
    factory.map_or(Vec::new(), |f| {
        f.spec().action.names().map(str::to_owned).collect()
    })
}

/// What was chosen for a run: algorithm, world, seed, demonstrations, and every setting by its path.
fn hyperparameters(run: &RunFolder) -> Vec<(String, Value)> {
    let config = run.config();
    let mut all: Vec<(String, Value)> = vec![
        ("algo".into(), config.algo.name().into()),
        ("env".into(), config.env.name.as_str().into()),
        ("seed".into(), config.seed.into()),
    ];
    if let Some(demonstrations) = &config.demonstrations {
        all.push(("demonstrations".into(), demonstrations.episodes.into()));
    }
    let settings = serde_json::to_value(&config.algo).unwrap_or_default();
    all.extend(costate_base::parameters::list(&settings["settings"]));
    all
}

/// A divergence error with the setting to lower and the command to resume.
fn advised(run: &RunFolder, error: Error) -> Error {
    if !matches!(error, Error::Diverged { .. }) {
        return error;
    }
    let config = run.config();
    let sizes = config.algo.step_sizes();
    let shipped = settings::resolve(config.algo.name(), &config.env.name, None, &[])
        .map_or_else(|_| sizes.clone(), |shipped| shipped.step_sizes());
    // Settings above their shipped value first.
    let larger = sizes
        .iter()
        .zip(&shipped)
        .find(|(own, usual)| own.1 > usual.1);
    let (name, value) = match (larger, sizes.first()) {
        (Some((_, usual)), _) => *usual,
        (None, Some((name, value))) => (*name, value / 10.0),
        (None, None) => return error,
    };
    let names: Vec<&str> = sizes.iter().map(|(name, _)| *name).collect();
    Error::Failure(format!(
        "{error}; lower {} and resume from the last checkpoint, for example with `{} --set {name}={value}`",
        names.join(" or "),
        run.resume_command()
    ))
}
