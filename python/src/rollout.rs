//! Whole episodes in one call, on worker threads.

use std::sync::atomic::AtomicBool;

use costate_base::workers::in_order;
use costate_demos::experts::FrozenPolicy;
use costate_envs::rng::{derive_seed, stream};
use costate_envs::rollout::{ActionChoice, Job, Runner, play};
use costate_envs::{End, EnvError, Episode};
use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::{Bound, PyAnyMethods, PyErr, PyResult, Python, pyfunction};
use pyo3::types::PyDict;

use crate::errors::{failure, misuse, of_env};
use crate::policy::Policy;
use crate::world::World;

/// Episodes of a policy: number i starts from, and draws its noise from, `derive_seed(seed, "evaluation", i)`, as in
/// `costate evaluate --seed`. The results depend on the seed alone, not on `workers`.
#[pyfunction]
pub fn rollout<'py>(
    py: Python<'py>,
    world: &World,
    policy: &Policy,
    episodes: usize,
    seed: u64,
    workers: usize,
    deterministic: bool,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let spec = world.factory.spec();
    if let Some(misfit) = policy.policy.misfit(spec) {
        return Err(misuse(format_args!("the policy {misfit}")));
    }
    let factory = &world.factory;
    let jobs = Jobs {
        count: episodes,
        seed,
        workers,
    };
    let played = match &policy.policy {
        FrozenPolicy::Gaussian(actor) => {
            let choice = match deterministic {
                true => ActionChoice::Mean,
                false => ActionChoice::Sample,
            };
            let make = || Runner::new(factory, actor);
            jobs.play(py, make, |runner, seed| runner.run(choice, Job::new(seed)))
        }
        FrozenPolicy::Implicit(actor) => {
            let make = || (factory.build(), actor.scratch());
            jobs.play(py, make, |(env, scratch), seed| {
                let mut noise = stream(seed, "action", 0);
                let played = play(env.as_mut(), seed, |_, _, observation, action| {
                    actor.refine(observation, &mut noise, scratch);
                    match deterministic {
                        true => actor.least(scratch, action),
                        false => actor.draw(scratch, &mut noise, action),
                    }
                    Ok(None)
                });
                played.map_err(|error| error.in_world(&spec.name))
            })
        }
        FrozenPolicy::Flow(actor) => {
            let make = || (factory.build(), actor.scratch());
            jobs.play(py, make, |(env, scratch), seed| {
                let mut noise = stream(seed, "action", 0);
                scratch.begin();
                let played = play(env.as_mut(), seed, |_, _, observation, action| {
                    let noise = (!deterministic).then_some(&mut noise);
                    actor.act(observation, noise, scratch, action);
                    Ok(None)
                });
                played.map_err(|error| error.in_world(&spec.name))
            })
        }
    };
    let played = played?;
    played.iter().map(|e| to_python(py, e)).collect()
}

/// Episodes to play.
struct Jobs {
    count: usize,
    seed: u64,
    workers: usize,
}

impl Jobs {
    /// Plays them; Ctrl-C ends it between two episodes.
    fn play<W>(
        &self,
        py: Python<'_>,
        make: impl Fn() -> W + Sync + Send,
        run: impl Fn(&mut W, u64) -> Result<Episode, EnvError> + Sync + Send,
    ) -> PyResult<Vec<Episode>> {
        let never = AtomicBool::new(false);
        let mut episodes = Vec::with_capacity(self.count);
        let job = |worker: &mut W, i: usize| {
            let seed = derive_seed(self.seed, "evaluation", i as u64);
            run(worker, seed).map_err(|e| of_env(&e))
        };
        py.detach(|| {
            in_order(self.count, self.workers, &never, make, job, |_, episode| {
                episodes.push(episode);
                Python::attach(|py| py.check_signals())
            })
        })?;
        Ok(episodes)
    }
}

/// An episode as arrays: T+1 observations, T of the rest.
pub fn to_python<'py>(py: Python<'py>, episode: &Episode) -> PyResult<Bound<'py, PyDict>> {
    let tau = &episode.trajectory;
    let matrix = |entries: &[f32], width: usize| {
        let rows = entries.len() / width;
        let array = PyArray1::from_slice(py, entries).reshape([rows, width]);
        array.map_err(|e: PyErr| failure(e))
    };
    let rewards: Vec<f64> = episode.rewards().collect();
    let dict = PyDict::new(py);
    dict.set_item(
        "observations",
        matrix(tau.observations(), tau.observation_dim())?,
    )?;
    dict.set_item("actions", matrix(tau.actions(), tau.action_dim())?)?;
    dict.set_item("rewards", PyArray1::from_vec(py, rewards))?;
    let log_densities = tau.log_densities().map(|l| PyArray1::from_slice(py, l));
    dict.set_item("log_densities", log_densities)?;
    dict.set_item("terminated", tau.end() == End::Terminated)?;
    dict.set_item("truncated", tau.end() == End::Truncated)?;
    dict.set_item("seed", episode.seed)?;
    dict.set_item("success", episode.success)?;
    Ok(dict)
}
