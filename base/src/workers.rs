//! Jobs on threads, results in the order of the jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Runs jobs `0..count` on `workers` threads and hands their results to `consume` on this thread,
/// in the order of the jobs, as soon as they are available.
///
/// Each thread makes its own worker state with `make`. The first error, in job order, ends the
/// run; so does `cancel`, after the running jobs. Returns the number of results consumed.
pub fn in_order<W, T: Send, E: Send>(
    count: usize,
    workers: usize,
    cancel: &AtomicBool,
    make: impl Fn() -> W + Sync,
    run: impl Fn(&mut W, usize) -> Result<T, E> + Sync,
    mut consume: impl FnMut(usize, T) -> Result<(), E>,
) -> Result<usize, E> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let workers = workers.clamp(1, count.max(1));
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(2 * workers);
        for _ in 0..workers {
            let (sender, next, stop, make, run) = (sender.clone(), &next, &stop, &make, &run);
            scope.spawn(move || {
                let mut worker = make();
                while !stop.load(Ordering::Relaxed) && !cancel.load(Ordering::Relaxed) {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= count || sender.send((job, run(&mut worker, job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let (mut done, mut waiting) = (0, BTreeMap::new());
        // Dropping the receiver on an early return releases threads that wait to send.
        for (job, result) in receiver {
            waiting.insert(job, result);
            while let Some(result) = waiting.remove(&done) {
                if let Err(error) = result.and_then(|value| consume(done, value)) {
                    stop.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                done += 1;
            }
        }
        Ok(done)
    })
}

/// As many threads as the machine runs at once.
pub fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(workers: usize, cancel_at: usize, fail_at: usize) -> (Vec<usize>, Result<usize, usize>) {
        let cancel = AtomicBool::new(false);
        let mut seen = Vec::new();
        let result = in_order(
            20,
            workers,
            &cancel,
            || (),
            |(), job| {
                // Early jobs take longest, so that results arrive out of order.
                thread::sleep(Duration::from_micros(300 * (20 - job as u64)));
                if job == fail_at {
                    Err(job)
                } else {
                    Ok(job * job)
                }
            },
            |job, square| {
                assert_eq!(square, job * job);
                seen.push(job);
                cancel.fetch_or(seen.len() == cancel_at, Ordering::Relaxed);
                Ok(())
            },
        );
        (seen, result)
    }

    #[test]
    fn results_come_in_order_whatever_the_number_of_threads() {
        for workers in [1, 2, 7, 64] {
            let (seen, result) = run(workers, usize::MAX, usize::MAX);
            assert_eq!(seen, (0..20).collect::<Vec<_>>());
            assert_eq!(result, Ok(20));
        }
    }

    #[test]
    fn errors_and_cancellation_keep_what_came_before() {
        let (seen, result) = run(4, usize::MAX, 7);
        assert_eq!((seen, result), ((0..7).collect(), Err(7)));
        let (seen, result) = run(3, 5, usize::MAX);
        assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>());
        assert!(seen.len() >= 5 && seen.len() < 20, "{seen:?}");
        assert_eq!(result, Ok(seen.len()));
    }
}
