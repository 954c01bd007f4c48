//! One environment.

use std::sync::{Mutex, PoisonError};

use costate_envs::End;
use costate_picture::frame;
use numpy::{PyArray1, PyArray3, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::{Bound, PyResult, Python, pyclass, pymethods};

use crate::episode::Episode;
use crate::errors::{failure, misuse, of_env};
use crate::world::World;

/// One environment with its episode.
#[pyclass(module = "costate._costate")]
pub struct Single {
    // Never contended: every method has the object to itself.
    episode: Mutex<Episode>,
}

impl Single {
    fn episode(&mut self) -> &mut Episode {
        self.episode
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Observation, reward, terminated, truncated, success at the end of an episode.
type Stepped<'py> = (Bound<'py, PyArray1<f32>>, f64, bool, bool, Option<bool>);

#[pymethods]
impl Single {
    #[new]
    fn new(world: &World, limit: Option<usize>) -> Self {
        Self {
            episode: Mutex::new(Episode::new(&world.factory, limit)),
        }
    }

    /// Starts the first episode of a seed.
    fn start<'py>(&mut self, py: Python<'py>, seed: u64) -> Bound<'py, PyArray1<f32>> {
        self.episode().start(seed);
        self.observe(py)
    }

    /// Starts the next episode of that seed.
    fn next<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        self.episode().next();
        self.observe(py)
    }

    /// Starts an episode at generalised coordinates.
    fn start_at<'py>(
        &mut self,
        py: Python<'py>,
        coordinates: Vec<f32>,
    ) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let started = self.episode().start_at(&coordinates);
        started.map_err(|e| of_env(&e))?;
        Ok(self.observe(py))
    }

    /// The current observation, `[observation dim]`.
    fn observe<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        let env = self.episode().env();
        let mut observation = vec![0.0; env.spec().observation.dim()];
        env.observe(&mut observation);
        PyArray1::from_vec(py, observation)
    }

    fn step<'py>(
        &mut self,
        py: Python<'py>,
        action: PyReadonlyArray1<'py, f32>,
    ) -> PyResult<Stepped<'py>> {
        let action = action.as_slice().map_err(misuse)?;
        let outcome = self.episode().step(action).map_err(|e| of_env(&e))?;
        let over = outcome.end != End::Running;
        Ok((
            self.observe(py),
            outcome.reward,
            outcome.end == End::Terminated,
            outcome.end == End::Truncated,
            self.episode().success().filter(|_| over),
        ))
    }

    /// Whether the state satisfies the task's goal, if the task has one.
    #[getter]
    fn solved(&mut self) -> Option<bool> {
        self.episode().env().solved()
    }

    /// Generalised positions, then velocities.
    #[getter]
    fn coordinates<'py>(&mut self, py: Python<'py>) -> Bound<'py, PyArray1<f32>> {
        PyArray1::from_vec(py, self.episode().env().coordinates())
    }

    /// Seed of the episode's start state.
    #[getter]
    fn seed(&mut self) -> u64 {
        self.episode().seed()
    }

    /// The state as a picture, `[height, width, 3]`.
    fn render<'py>(&mut self, py: Python<'py>, size: u32) -> PyResult<Bound<'py, PyArray3<u8>>> {
        pixels(py, self.episode(), size)
    }
}

/// The state of an environment as a picture, `[height, width, 3]`; the longer side has `size` pixels.
pub fn pixels<'py>(
    py: Python<'py>,
    episode: &Episode,
    size: u32,
) -> PyResult<Bound<'py, PyArray3<u8>>> {
    let scene = episode.env().scene();
    let frame = py.detach(|| frame(scene, size)).map_err(misuse)?;
    let shape = [frame.height as usize, frame.width as usize, 3];
    PyArray1::from_vec(py, frame.rgb)
        .reshape(shape)
        .map_err(failure)
}
