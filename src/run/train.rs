//! The training loop: iterate, record, checkpoint; interruptible and resumable.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Map, Value};

use super::folder::{Progress, RunFolder};
use super::tensorboard::EventWriter;
use crate::diagnose::remark_on_ess;
use crate::error::Error;
use crate::learners::Learner;

/// How a training ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// All iterations are done.
    Finished(Progress),
    /// Stopped on request; the last checkpoint holds everything up to here.
    Interrupted(Progress),
}

/// Runs `learner` from `from` to its end, or until `interrupt` is set. `observe` sees every line of
/// metrics as it is written.
pub fn train(
    run: &RunFolder,
    learner: &mut dyn Learner,
    from: Progress,
    interrupt: &AtomicBool,
    observe: &mut dyn FnMut(&Map<String, Value>),
) -> Result<Outcome, Error> {
    // One libtorch thread a task: results then do not depend on the machine's number of cores.
    tch::set_num_threads(1);
    let board = run.file("tensorboard");
    let mut events = EventWriter::create(&board).map_err(Error::io(&board))?;
    let every = run.config().checkpoint_every.max(1);
    let mut progress = from;
    let mut warned = false;
    tracing::debug!(
        "{}: from iteration {}",
        run.path().display(),
        from.iterations
    );
    if from.iterations == 0 {
        run.checkpoint(learner, progress)?;
    }
    while progress.iterations < learner.iterations() {
        let k = progress.iterations;
        let began = Instant::now();
        let report = learner.iterate(k)?;
        progress.iterations += 1;
        progress.env_steps += report.env_steps;
        progress.seconds += began.elapsed().as_secs_f64();

        let mut scalars = Vec::new();
        if let Some(audit) = &report.audit {
            let returns = audit.true_returns();
            scalars.push((
                "true_return",
                returns.iter().sum::<f64>() / returns.len() as f64,
            ));
            scalars.extend(audit.solved().map(|share| ("solved", share)));
        }
        scalars.extend(report.diagnostics);
        let mut line = Map::new();
        line.insert("iteration".into(), k.into());
        line.insert("env_steps".into(), progress.env_steps.into());
        line.insert("seconds".into(), progress.seconds.into());
        line.extend(
            scalars
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).into())),
        );
        run.append_metrics(&line)?;
        events
            .scalars(k as u64, &scalars)
            .map_err(Error::io(&board))?;
        observe(&line);

        let ess = scalars.iter().find(|(name, _)| *name == "ess");
        if let Some((_, ess)) = ess
            && !warned
            && let Some(remark) = remark_on_ess(run.config(), k, *ess)
        {
            tracing::warn!("{remark}");
            warned = true;
        }

        let finished = progress.iterations == learner.iterations();
        let stop = interrupt.load(Ordering::Relaxed) && !finished;
        if finished || stop || progress.iterations.is_multiple_of(every) {
            run.checkpoint(learner, progress)?;
        }
        if stop {
            return Ok(Outcome::Interrupted(progress));
        }
    }
    Ok(Outcome::Finished(progress))
}
