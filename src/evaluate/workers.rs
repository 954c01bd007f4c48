//! Interruptible worker threads.

use std::sync::atomic::{AtomicBool, Ordering};

use costate_base::workers::in_order;
use costate_envs::rollout::RolloutPool;

use crate::error::Error;

/// A pool of workers, and the flag that stops them between two jobs.
#[derive(Debug, Clone, Copy)]
pub struct Workers<'a> {
    pool: RolloutPool,
    interrupt: Option<&'a AtomicBool>,
}

impl From<RolloutPool> for Workers<'_> {
    /// Workers that cannot be interrupted.
    fn from(pool: RolloutPool) -> Self {
        Self {
            pool,
            interrupt: None,
        }
    }
}

impl<'a> Workers<'a> {
    /// Workers that stop once `interrupt` is set.
    pub fn new(pool: RolloutPool, interrupt: &'a AtomicBool) -> Self {
        Self {
            pool,
            interrupt: Some(interrupt),
        }
    }

    /// The pool itself, for work that polls the flag.
    pub fn pool(&self) -> RolloutPool {
        self.pool
    }

    /// An error once the flag is set.
    pub fn check(&self) -> Result<(), Error> {
        match self.interrupt.is_some_and(|i| i.load(Ordering::SeqCst)) {
            true => Err(interrupted()),
            false => Ok(()),
        }
    }

    /// [`RolloutPool::map`] of jobs that can fail: all results, or the failure of the lowest index.
    pub fn map<S, R: Send>(
        &self,
        count: usize,
        state: impl Fn() -> S + Sync,
        job: impl Fn(&mut S, usize) -> Result<R, Error> + Sync,
    ) -> Result<Vec<R>, Error> {
        let never = AtomicBool::new(false);
        let (workers, stop) = (self.pool.workers(), self.interrupt.unwrap_or(&never));
        let mut results = Vec::with_capacity(count);
        in_order(count, workers, stop, state, job, |_, result| {
            results.push(result);
            Ok(())
        })?;
        match results.len() == count {
            true => Ok(results),
            false => Err(interrupted()),
        }
    }
}

/// The error of an interrupted command.
pub fn interrupted() -> Error {
    Error::Failure("interrupted before the evaluation was complete; no results were written".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_stop_between_jobs() {
        let (flag, done) = (AtomicBool::new(false), std::sync::Mutex::new(0));
        for workers in [1, 3] {
            flag.store(false, Ordering::SeqCst);
            *done.lock().unwrap() = 0;
            let found = Workers::new(RolloutPool::new(workers), &flag).map(
                1000,
                || (),
                |(), i| {
                    *done.lock().unwrap() += 1;
                    if i == 10 {
                        flag.store(true, Ordering::SeqCst);
                    }
                    Ok(i)
                },
            );
            assert_eq!(found.unwrap_err().exit_code(), 1);
            assert!(*done.lock().unwrap() < 100);
        }
        let all = Workers::from(RolloutPool::new(2)).map(5, || (), |(), i| Ok(i));
        assert_eq!(all.unwrap(), [0, 1, 2, 3, 4]);
    }
}
