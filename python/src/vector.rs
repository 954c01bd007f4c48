//! Many environments stepped in one call, with Gymnasium's three ways to go on after an episode's end.

use std::sync::{Mutex, PoisonError};
use std::thread;

use costate_envs::env::check_action;
use costate_envs::{End, EnvError, EnvSpec};
use numpy::{
    Element, PyArray1, PyArray3, PyReadonlyArray1, PyReadonlyArray2, PyReadwriteArray1,
    PyReadwriteArray2,
};
use pyo3::prelude::{Bound, PyResult, Python, pyclass, pymethods};

use crate::episode::Episode;
use crate::errors::{misuse, of_env};
use crate::single::pixels;
use crate::world::World;

/// When an environment whose episode has ended begins the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Autoreset {
    /// In the next step, whose action is ignored.
    NextStep,
    /// In the same step; the last observation is handed over beside.
    SameStep,
    /// When the caller resets it.
    Disabled,
}

/// One environment's part of a step.
struct Row<'a> {
    episode: &'a mut Episode,
    action: &'a [f32],
    observation: &'a mut [f32],
    last: &'a mut [f32],
    reward: &'a mut f64,
    terminated: &'a mut bool,
    truncated: &'a mut bool,
}

impl Row<'_> {
    fn step(&mut self, autoreset: Autoreset) -> Result<(), EnvError> {
        let begins = autoreset == Autoreset::NextStep && self.episode.over();
        let (reward, end) = if begins {
            self.episode.next();
            (0.0, End::Running)
        } else {
            let outcome = self.episode.step(self.action)?;
            (outcome.reward, outcome.end)
        };
        *self.reward = reward;
        *self.terminated = end == End::Terminated;
        *self.truncated = end == End::Truncated;
        self.episode.env().observe(self.observation);
        Ok(())
    }

    /// After a step that ended the episode: hands the last observation over and begins the next one.
    fn go_on(&mut self) {
        self.last.copy_from_slice(self.observation);
        self.episode.next();
        self.episode.env().observe(self.observation);
    }
}

/// Environments of one world.
#[pyclass(module = "costate._costate")]
pub struct Vector {
    spec: EnvSpec,
    // Never contended: every method has the object to itself.
    episodes: Mutex<Vec<Episode>>,
    autoreset: Autoreset,
    threads: usize,
    started: bool,
}

#[pymethods]
impl Vector {
    /// `count` environments, stepped by `threads` threads. `autoreset` is `next_step`, `same_step` or `disabled`.
    #[new]
    fn new(
        world: &World,
        count: usize,
        autoreset: &str,
        threads: usize,
        limit: Option<usize>,
    ) -> PyResult<Self> {
        let autoreset = match autoreset {
            "next_step" => Autoreset::NextStep,
            "same_step" => Autoreset::SameStep,
            "disabled" => Autoreset::Disabled,
            other => {
                return Err(misuse(format_args!(
                    "autoreset is `{other}`, expected next_step, same_step or disabled"
                )));
            }
        };
        if count == 0 || threads == 0 {
            return Err(misuse(format_args!(
                "{count} environments and {threads} threads requested, expected at least one of each"
            )));
        }
        let episodes = (0..count).map(|_| Episode::new(&world.factory, limit));
        Ok(Self {
            spec: world.factory.spec().clone(),
            episodes: Mutex::new(episodes.collect()),
            autoreset,
            threads,
            started: false,
        })
    }

    /// Starts episodes of the environments of `mask`, `[N]`, or of all: the first of `seeds[i]`, `[N]`, or the next
    /// one. Writes all current observations, `[N, observation dim]`.
    fn reset(
        &mut self,
        seeds: Option<PyReadonlyArray1<'_, u64>>,
        mask: Option<PyReadonlyArray1<'_, bool>>,
        mut observations: PyReadwriteArray2<'_, f32>,
    ) -> PyResult<()> {
        let (width, started) = (self.spec.observation.dim(), self.started);
        let episodes = all(&mut self.episodes);
        let count = episodes.len();
        let seeds = seeds.as_ref().map(PyReadonlyArray1::as_slice).transpose();
        let seeds = seeds.map_err(misuse)?;
        let mask = mask.as_ref().map(PyReadonlyArray1::as_slice).transpose();
        let mask = mask.map_err(misuse)?;
        let observations = writable(&mut observations, "observations", count * width)?;
        if seeds.is_some_and(|s| s.len() != count) || mask.is_some_and(|m| m.len() != count) {
            return Err(misuse(format_args!(
                "seeds and mask must have {count} entries, one for each environment"
            )));
        }
        if !started && (mask.is_some() || seeds.is_none()) {
            return Err(misuse(
                "the first reset must start all environments, from seeds",
            ));
        }
        self.started = true;
        let rows = observations.chunks_exact_mut(width);
        for (i, (episode, observation)) in episodes.iter_mut().zip(rows).enumerate() {
            if mask.is_none_or(|m| m[i]) {
                match seeds {
                    Some(seeds) => episode.start(seeds[i]),
                    None => episode.next(),
                }
            }
            episode.env().observe(observation);
        }
        Ok(())
    }

    /// One step of every environment. `actions` is `[N, action dim]`, `observations` and, for `same_step`, `last` are
    /// `[N, observation dim]`, the rest `[N]`. Returns, if an episode ended, each environment's success, where its
    /// episode ended and the task defines it.
    ///
    /// An unfit action is refused before any environment steps; a failure in one environment is raised once all have
    /// stepped.
    #[expect(clippy::too_many_arguments, reason = "one array each")]
    fn step(
        &mut self,
        py: Python<'_>,
        actions: PyReadonlyArray2<'_, f32>,
        mut observations: PyReadwriteArray2<'_, f32>,
        mut last: PyReadwriteArray2<'_, f32>,
        mut rewards: PyReadwriteArray1<'_, f64>,
        mut terminated: PyReadwriteArray1<'_, bool>,
        mut truncated: PyReadwriteArray1<'_, bool>,
    ) -> PyResult<Option<Vec<Option<bool>>>> {
        let episodes = all(&mut self.episodes);
        let count = episodes.len();
        let (o, a) = (self.spec.observation.dim(), self.spec.action.dim());
        let actions = actions.as_slice().map_err(misuse)?;
        if actions.len() != count * a {
            return Err(misuse(format_args!(
                "actions have {} entries, expected {count} rows of {a}",
                actions.len()
            )));
        }
        let observations = writable(&mut observations, "observations", count * o)?;
        let last = writable(&mut last, "last", count * o)?;
        let rewards = writable(&mut rewards, "rewards", count)?;
        let terminated = writable(&mut terminated, "terminated", count)?;
        let truncated = writable(&mut truncated, "truncated", count)?;
        let spec = &self.spec;
        let (autoreset, threads) = (self.autoreset, self.threads);
        for (episode, action) in episodes.iter().zip(actions.chunks_exact(a)) {
            if autoreset == Autoreset::NextStep && episode.over() && self.started {
                continue;
            }
            check_action(spec, action).map_err(|e| of_env(&e))?;
            if episode.over() {
                let env = spec.name.clone();
                return Err(of_env(&EnvError::Ended { env }));
            }
        }
        py.detach(|| {
            let rows = episodes
                .iter_mut()
                .zip(actions.chunks_exact(a))
                .zip(observations.chunks_exact_mut(o))
                .zip(last.chunks_exact_mut(o))
                .zip(rewards)
                .zip(terminated)
                .zip(truncated);
            let rows = rows.map(
                |((((((episode, action), observation), last), reward), terminated), truncated)| {
                    Row {
                        episode,
                        action,
                        observation,
                        last,
                        reward,
                        terminated,
                        truncated,
                    }
                },
            );
            step_all(rows, autoreset, threads.min(count))
        })
        .map_err(|e| of_env(&e))
    }

    /// Seeds of the episodes' start states, `[N]`.
    #[getter]
    fn seeds<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyArray1<u64>> {
        let seeds = all(&mut self.episodes).iter().map(Episode::seed);
        PyArray1::from_vec(py, seeds.collect())
    }

    /// The states as pictures, `[height, width, 3]` each.
    fn render<'py>(
        &mut self,
        py: Python<'py>,
        size: u32,
    ) -> PyResult<Vec<Bound<'py, PyArray3<u8>>>> {
        let episodes = all(&mut self.episodes).iter();
        episodes.map(|e| pixels(py, e, size)).collect()
    }
}

fn all(episodes: &mut Mutex<Vec<Episode>>) -> &mut Vec<Episode> {
    episodes.get_mut().unwrap_or_else(PoisonError::into_inner)
}

/// Steps every row; see [`Vector::step`].
fn step_all<'a>(
    rows: impl ExactSizeIterator<Item = Row<'a>>,
    autoreset: Autoreset,
    threads: usize,
) -> Result<Option<Vec<Option<bool>>>, EnvError> {
    let count = rows.len();
    if threads == 1 {
        return step_chunk(rows, autoreset, 0).map(|ended| verdicts(ended, count));
    }
    let size = count.div_ceil(threads);
    let mut rows = rows;
    let chunks: Vec<_> = thread::scope(|scope| {
        let mut workers = Vec::new();
        for first in (0..count).step_by(size) {
            let chunk: Vec<Row> = rows.by_ref().take(size).collect();
            workers.push(scope.spawn(move || step_chunk(chunk.into_iter(), autoreset, first)));
        }
        let join = |worker: thread::ScopedJoinHandle<'_, _>| match worker.join() {
            Ok(stepped) => stepped,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().map(join).collect()
    });
    let chunks: Result<Vec<_>, EnvError> = chunks.into_iter().collect();
    Ok(verdicts(chunks?.concat(), count))
}

/// Steps rows from number `first` on; of those whose episode ended, number and success. Of several errors the first.
fn step_chunk<'a>(
    rows: impl Iterator<Item = Row<'a>>,
    autoreset: Autoreset,
    first: usize,
) -> Result<Vec<(usize, Option<bool>)>, EnvError> {
    let mut ended = Vec::new();
    let mut failed = None;
    for (i, mut row) in rows.enumerate() {
        if let Err(error) = row.step(autoreset) {
            failed = failed.or(Some(error));
            continue;
        }
        if *row.terminated || *row.truncated {
            ended.push((first + i, row.episode.success()));
            if autoreset == Autoreset::SameStep {
                row.go_on();
            }
        }
    }
    failed.map_or(Ok(ended), Err)
}

fn verdicts(ended: Vec<(usize, Option<bool>)>, count: usize) -> Option<Vec<Option<bool>>> {
    if ended.is_empty() {
        return None;
    }
    let mut all = vec![None; count];
    ended.into_iter().for_each(|(i, success)| all[i] = success);
    Some(all)
}

/// The entries of an array that is to be written.
fn writable<'a, T: Element, D: numpy::ndarray::Dimension>(
    array: &'a mut numpy::PyReadwriteArray<'_, T, D>,
    name: &str,
    len: usize,
) -> PyResult<&'a mut [T]> {
    let entries = array.as_slice_mut().map_err(misuse)?;
    if entries.len() == len {
        return Ok(entries);
    }
    Err(misuse(format_args!(
        "{name} has {} entries, expected {len}",
        entries.len()
    )))
}
