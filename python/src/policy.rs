//! Frozen policies on arrays of observations.

use std::path::PathBuf;

use costate_demos::experts::{FrozenPolicy, PolicyFile};
use costate_envs::actor::Actor;
use costate_envs::rng::stream;
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray2};
use pyo3::prelude::{Bound, PyResult, Python, pyclass, pymethods};

use crate::errors::{failure, misuse};

/// A policy as a `policy.safetensors` file holds it.
#[pyclass(frozen, module = "costate._costate")]
pub struct Policy {
    env: String,
    pub policy: FrozenPolicy,
}

type Rows<'py> = Bound<'py, PyArray2<f32>>;

#[pymethods]
impl Policy {
    /// Reads a `policy.safetensors` file, or that of a run folder.
    #[new]
    fn new(path: PathBuf) -> PyResult<Self> {
        let file = PolicyFile::read(&path).map_err(misuse)?;
        Ok(Self {
            env: file.env,
            policy: file.policy,
        })
    }

    /// Name of the world that it acts in.
    #[getter]
    fn env(&self) -> &str {
        &self.env
    }

    /// `gaussian`, `implicit` or `flow`.
    #[getter]
    fn kind(&self) -> &'static str {
        match self.policy {
            FrozenPolicy::Gaussian(_) => "gaussian",
            FrozenPolicy::Implicit(_) => "implicit",
            FrozenPolicy::Flow(_) => "flow",
        }
    }

    /// Entries of an observation and of an action.
    #[getter]
    fn dims(&self) -> (usize, usize) {
        self.policy.dims()
    }

    /// Mean and standard deviation of the action, `[N, observation dim]` → twice `[N, action dim]`.
    fn distribution<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<(Rows<'py>, Rows<'py>)> {
        let actor = self.gaussian("mean and standard deviation")?;
        let (o, a) = self.dims();
        let observations = rows(&observations, "observations", o)?;
        let (mean, std) = py.detach(|| {
            let (mut mean, mut std) = (Vec::new(), Vec::new());
            let mut scratch = actor.scratch();
            for observation in observations.chunks_exact(o) {
                actor.forward(observation, &mut scratch);
                mean.extend_from_slice(&scratch.mean);
                std.extend(scratch.log_std.iter().map(|l| l.exp()));
            }
            (mean, std)
        });
        Ok((matrix(py, mean, a)?, matrix(py, std, a)?))
    }

    /// log π(a | s), `[N, observation dim]`, `[N, action dim]` → `[N]`.
    fn log_density<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        actions: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        let actor = self.gaussian("density")?;
        let pairs = self.pairs(&observations, &actions)?;
        let densities = py.detach(|| {
            let mut scratch = actor.scratch();
            let density = |(observation, action): (&[f32], &[f32])| {
                actor.forward(observation, &mut scratch);
                scratch.log_density(action)
            };
            pairs.map(density).collect()
        });
        Ok(PyArray1::from_vec(py, densities))
    }

    /// A draw for each observation, in order, from the noise that an episode of that seed has, whose steps they are to a
    /// policy that plans: `[N, observation dim]` → `[N, action dim]`.
    fn sample<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        seed: u64,
    ) -> PyResult<Rows<'py>> {
        let (o, a) = self.dims();
        let observations = rows(&observations, "observations", o)?;
        let actions = py.detach(|| {
            let mut noise = stream(seed, "action", 0);
            let mut actions = vec![0.0; observations.len() / o * a];
            let rows = observations
                .chunks_exact(o)
                .zip(actions.chunks_exact_mut(a));
            match &self.policy {
                FrozenPolicy::Gaussian(actor) => {
                    let mut scratch = actor.scratch();
                    for (observation, action) in rows {
                        actor.forward(observation, &mut scratch);
                        scratch.sample(&mut noise, action);
                    }
                }
                FrozenPolicy::Implicit(actor) => {
                    let mut scratch = actor.scratch();
                    for (observation, action) in rows {
                        actor.refine(observation, &mut noise, &mut scratch);
                        actor.draw(&scratch, &mut noise, action);
                    }
                }
                FrozenPolicy::Flow(actor) => {
                    let mut scratch = actor.scratch();
                    for (observation, action) in rows {
                        actor.act(observation, Some(&mut noise), &mut scratch, action);
                    }
                }
            }
            actions
        });
        matrix(py, actions, a)
    }

    /// E(s, a) of an implicit policy, `[N, observation dim]`, `[N, action dim]` → `[N]`.
    fn energy<'py>(
        &self,
        py: Python<'py>,
        observations: PyReadonlyArray2<'py, f32>,
        actions: PyReadonlyArray2<'py, f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let FrozenPolicy::Implicit(actor) = &self.policy else {
            return Err(misuse(
                "only the implicit policies of ibc have an energy; a Gaussian one has `log_density`, one of flow-bc `sample`",
            ));
        };
        let pairs = self.pairs(&observations, &actions)?;
        let energies = py.detach(|| {
            pairs
                .flat_map(|(observation, action)| actor.energies(observation, action))
                .collect()
        });
        Ok(PyArray1::from_vec(py, energies))
    }
}

impl Policy {
    /// Observations with their actions.
    fn pairs<'a>(
        &self,
        observations: &'a PyReadonlyArray2<'_, f32>,
        actions: &'a PyReadonlyArray2<'_, f32>,
    ) -> PyResult<impl Iterator<Item = (&'a [f32], &'a [f32])> + Send + use<'a>> {
        let (o, a) = self.dims();
        let observations = rows(observations, "observations", o)?.chunks_exact(o);
        let actions = rows(actions, "actions", a)?.chunks_exact(a);
        if observations.len() == actions.len() {
            return Ok(observations.zip(actions));
        }
        Err(misuse(format_args!(
            "{} observations with {} actions, expected as many of both",
            observations.len(),
            actions.len()
        )))
    }

    fn gaussian(&self, what: &str) -> PyResult<&Actor> {
        match &self.policy {
            FrozenPolicy::Gaussian(actor) => Ok(actor),
            FrozenPolicy::Implicit(_) => Err(misuse(format_args!(
                "an implicit policy, as ibc makes it, has no {what}, only `sample` and `energy`"
            ))),
            FrozenPolicy::Flow(_) => Err(misuse(format_args!(
                "a flow policy, as flow-bc makes it, has no {what}, only `sample`"
            ))),
        }
    }
}

/// The entries of rows of the given width.
fn rows<'a>(array: &'a PyReadonlyArray2<'_, f32>, name: &str, width: usize) -> PyResult<&'a [f32]> {
    let columns = array.as_array().ncols();
    if columns != width {
        return Err(misuse(format_args!(
            "{name} have {columns} entries, expected {width}"
        )));
    }
    array.as_slice().map_err(misuse)
}

fn matrix(py: Python<'_>, entries: Vec<f32>, width: usize) -> PyResult<Rows<'_>> {
    let shape = [entries.len() / width, width];
    PyArray1::from_vec(py, entries)
        .reshape(shape)
        .map_err(failure)
}
