//! What a run has learned, put to use: its latest policy, its latest cost.

use costate_envs::rollout::ActionChoice;
use costate_envs::{EnvSpec, Episode};
use costate_page::learning::{Driver, Landscape};

use super::super::runs::latest_policy;
use super::super::{Demonstrations, landscape};
use crate::cost::{Dims, EnergyModel, StepCost};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::run::{RunFolder, weights};

/// The latest policy, acting by its mean or least energy.
pub(super) fn policy(run: &RunFolder) -> Result<Driver, Error> {
    tch::set_num_threads(1);
    let policy = latest_policy(run)?;
    let controller = Controller::of(policy.learned(), ActionChoice::Mean);
    let answer = controller.answer();
    let act = answer.ok_or_else(|| Error::Failure("a policy answers observations".into()))?;
    Ok(Driver {
        env: run.config().env.clone(),
        act,
    })
}

/// The learned cost of every step of an episode, `[T]`.
pub(super) fn costs(run: &RunFolder, episode: &Episode) -> Result<Vec<f64>, Error> {
    tch::set_num_threads(1);
    let model = cost(run)?;
    let factory = run.config().env.factory()?;
    let spec = factory.spec();
    let trajectory = &episode.trajectory;
    let own = [spec.observation.dim(), spec.action.dim()];
    let [observation, action] = own;
    if own != [trajectory.observation_dim(), trajectory.action_dim()] {
        return Err(Error::Misuse(format!(
            "{}: a cost of {}, which has {observation} observed channels and {action} actions; the episode has {} and {}",
            run.path().display(),
            spec.name,
            trajectory.observation_dim(),
            trajectory.action_dim()
        )));
    }
    let steps = trajectory.len();
    let observations = &trajectory.observations()[..steps * observation];
    let dims = Dims {
        observation,
        action,
    };
    Ok(model.costs(observations, trajectory.actions(), dims))
}

/// The learned cost over pairs of channels, the most telling pair first.
pub(super) fn landscapes(run: &RunFolder) -> Result<Vec<Landscape>, Error> {
    // Says why there is none.
    cost(run)?;
    let imitated = run.config().imitated()?;
    let demonstrations = Demonstrations::open(&imitated.path)?;
    let Some(demonstrations) = demonstrations.as_learned_from(imitated) else {
        return Err(Error::Failure(format!(
            "{}: no longer the demonstrations that this run learned from, over which its cost is averaged",
            imitated.path.display()
        )));
    };
    let found = landscape::of(run, Some(&demonstrations), &[])?;
    let spec = demonstrations.factory.spec();
    Ok(found.map_or(Vec::new(), |found| each(&found, spec)))
}

fn each(found: &crate::report::Landscape, spec: &EnvSpec) -> Vec<Landscape> {
    let channel = |i: usize| {
        let channel = &found.channels[i];
        let name = match channel.unit.as_str() {
            "" | "1" => channel.name.clone(),
            unit => format!("{} ({unit})", channel.name),
        };
        (spec.observation.position(&channel.name), name)
    };
    let one = |surface: &crate::report::Surface| {
        let ((x, left), (y, right)) = (channel(surface.x), channel(surface.y));
        let rows = surface.cost.chunks_exact(surface.size);
        let [[a, b], [c, d]] = [surface.x_range, surface.y_range];
        Some(Landscape {
            x: x?,
            y: y?,
            names: [left, right],
            area: [a, b, c, d],
            cost: rows
                .map(|row| row.iter().map(|c| f64::from(*c)).collect())
                .collect(),
        })
    };
    found.surfaces.iter().filter_map(one).collect()
}

/// The latest cost.
fn cost(run: &RunFolder) -> Result<EnergyModel, Error> {
    match run.weights(weights::COST)? {
        Some(file) => Ok(EnergyModel::read(&file)?),
        None => Err(Error::Misuse(format!(
            "{}: {} learns no cost, or has not written one yet",
            run.path().display(),
            run.config().algo.name()
        ))),
    }
}
