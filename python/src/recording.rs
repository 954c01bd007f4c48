//! Experts' recordings, and episodes as moving pictures.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use costate_demos::{ExpertDesign, Plan, record_dataset};
use costate_picture::{Film, animate as animation};
use numpy::PyReadonlyArray2;
use pyo3::prelude::{Bound, PyResult, Python, pyfunction};
use pyo3::types::PyBytes;

use crate::errors::{failure, misuse, of_env};
use crate::world::World;

/// Records episodes of an expert, the world's best one if `None`, into a new dataset folder, as `costate record`.
/// Ctrl-C leaves the episodes recorded by then.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "the options of `costate record`")]
pub fn record(
    py: Python<'_>,
    world: &World,
    output: PathBuf,
    episodes: usize,
    seed: u64,
    workers: usize,
    expert: Option<String>,
    noise: Option<f64>,
) -> PyResult<()> {
    let plan = Plan {
        episodes,
        seed,
        workers,
    };
    let interrupted = AtomicBool::new(false);
    let mut signal = Ok(());
    let recorded = py.detach(|| {
        let expert = ExpertDesign::new(&world.factory, expert.as_deref(), noise);
        let expert = expert.map_err(misuse)?;
        let progress = |_: &_| {
            if let Err(error) = Python::attach(|py| py.check_signals()) {
                interrupted.store(true, Ordering::Relaxed);
                signal = Err(error);
            }
        };
        record_dataset(
            &output,
            &world.factory,
            &expert,
            plan,
            &interrupted,
            progress,
        )
        .map_err(failure)
    });
    signal?;
    recorded.map(drop)
}

/// The episode of these actions, `[T, action dim]`, from the start state of `seed` as an animated GIF; the longer side
/// has `size` pixels.
#[pyfunction]
pub fn animate<'py>(
    py: Python<'py>,
    world: &World,
    seed: u64,
    actions: PyReadonlyArray2<'py, f32>,
    size: u32,
    speed: f64,
) -> PyResult<Bound<'py, PyBytes>> {
    let actions = actions.as_slice().map_err(misuse)?;
    let spec = world.factory.spec();
    let bytes = py.detach(|| {
        let mut env = world.factory.build();
        env.reset(seed);
        let mut film = Film::new(env.scene(), spec.control_period_s);
        for action in actions.chunks(spec.action.dim()) {
            let step = env.step(action).map_err(|e| of_env(&e))?;
            film.push(step.cost, env.scene());
        }
        let animation = animation(&film, size, speed, |_, _| ());
        animation.map(|a| a.bytes).map_err(misuse)
    })?;
    Ok(PyBytes::new(py, &bytes))
}
