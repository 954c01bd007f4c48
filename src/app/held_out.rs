//! Evaluations of runs whose demonstrations came without a simulator.

use std::path::Path;

use costate_demos::dataset::Meta;
use costate_envs::rollout::ActionChoice;
use costate_envs::{Channel, Space, Trajectory};

use super::protocol::{Request, read_policy};
use super::results::{Results, open_folder};
use super::{Demonstrations, Progress, imported, open_demonstrations};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::held_out::{FILE, HeldOut, Part, Subject, held_out};
use crate::run::{RunFolder, files};

/// Whether `place` is a run or a dataset without a simulator, which [`evaluate`] is for.
pub fn applies(place: &Path) -> bool {
    let env = match imported::is_dataset(place) {
        true => Meta::open(place).ok().map(|meta| meta.env),
        false => RunFolder::open(place)
            .ok()
            .map(|run| run.config().env.clone()),
    };
    env.is_some_and(|env| !env.has_simulator())
}

/// Measures how well a run's policy predicts demonstrated actions: those of demonstrations that its training did not use,
/// if there are any; of those that it held out; or else of all. Saves the results. With a dataset in place of the run, and
/// a run as the policy, the actions are those of all its demonstrations.
///
/// Errors: a request that takes a simulator; demonstrations with other channels.
pub fn evaluate(request: &Request, progress: &dyn Progress) -> Result<HeldOut, Error> {
    tch::set_num_threads(1);
    let place = &request.place;
    let simulated = request.cost.is_some()
        || request.success.is_some()
        || request.reoptimize
        || request.protocol.precision.is_some()
        || !request.transfer.is_empty();
    let policy = request.policy.as_ref();
    let policy = policy.map(|run| RunFolder::open(Path::new(run)));
    match (policy, imported::is_dataset(place)) {
        (Some(Ok(run)), true) if !simulated => elsewhere(&run, request),
        (None, false) if !simulated => own(&RunFolder::open(place)?, request, progress),
        _ => Err(Error::Misuse(format!(
            "{}: these demonstrations came without a simulator, so only a run's policy can be evaluated, by how well it \
             predicts demonstrated actions: `costate evaluate RUN`, or `costate evaluate DATASET --policy RUN`; to attach a \
             simulator, import them with `--env NAME`",
            place.display()
        ))),
    }
}

/// On the demonstrations that the run was given.
fn own(run: &RunFolder, request: &Request, progress: &dyn Progress) -> Result<HeldOut, Error> {
    let config = run.config();
    let own = config.imitated()?;
    let demos = request.demos.as_ref().unwrap_or(&own.path);
    let demonstrations = open_demonstrations(run, demos)?;
    let results = Results::within(run, request.output.as_deref())?;
    let all = demonstrations.dataset.episodes().len();
    let (trajectories, _) = demonstrations.first(all);
    let (used, unseen) = trajectories.split_at(own.episodes.min(all));
    let (aside, fitted) = used.split_at(config.algo.held_out(used.len()));
    let (part, judged) = match (unseen, aside) {
        ([], []) => (Part::Seen, used),
        ([], aside) => (Part::HeldOut, aside),
        (unseen, _) => (Part::Unseen, unseen),
    };
    let found = measured(run, &demonstrations, fitted, judged, part)?;
    results.keep_as(FILE, &found, progress)?;
    Ok(found)
}

/// On other demonstrations of the same channels. Saved with `--output` only.
fn elsewhere(run: &RunFolder, request: &Request) -> Result<HeldOut, Error> {
    let config = run.config();
    let own = config.imitated()?;
    let trained_on = open_demonstrations(run, request.demos.as_ref().unwrap_or(&own.path))?;
    let place = &request.place;
    let demonstrations = Demonstrations::open(place)?;
    let (spec, other) = (trained_on.factory.spec(), demonstrations.factory.spec());
    for (what, own, other) in [
        ("observations", &spec.observation, &other.observation),
        ("actions", &spec.action, &other.action),
    ] {
        let channels = |space: &Space| -> Vec<String> {
            let of = |c: &Channel| format!("{} ({})", c.name, c.unit);
            space.0.iter().map(of).collect()
        };
        let (own, other) = (channels(own), channels(other));
        if own != other {
            return Err(Error::Misuse(format!(
                "{}: its {what} are {}, but the run's are {}",
                place.display(),
                other.join(", "),
                own.join(", ")
            )));
        }
    }
    if let Some(folder) = &request.output {
        open_folder(folder, place, demonstrations.fingerprint())?;
    }
    let (trajectories, _) = trained_on.first(own.episodes);
    let (_, fitted) = trajectories.split_at(config.algo.held_out(trajectories.len()));
    let (judged, _) = demonstrations.first(demonstrations.dataset.episodes().len());
    let seen = judged.iter().filter(|t| trajectories.contains(t)).count();
    let part = match seen {
        0 => Part::Unseen,
        _ => Part::Seen,
    };
    let mut found = measured(run, &demonstrations, fitted, &judged, part)?;
    if seen > 0 && seen < judged.len() {
        found.statements.push(format!(
            "{seen} of these {} episodes are among those that the run was given to learn from",
            judged.len()
        ));
    }
    if let Some(folder) = &request.output {
        files::write_json(&folder.join(FILE), &found)?;
    }
    Ok(found)
}

fn measured(
    run: &RunFolder,
    demonstrations: &Demonstrations,
    training: &[Trajectory],
    judged: &[Trajectory],
    part: Part,
) -> Result<HeldOut, Error> {
    let config = run.config();
    let policy = read_policy(&run.policy()?, demonstrations)?;
    held_out(&Subject {
        spec: demonstrations.factory.spec(),
        algo: config.algo.name(),
        seed: config.seed,
        policy: policy.learned(),
        controller: &Controller::of(policy.learned(), ActionChoice::Mean),
        training,
        judged,
        part,
    })
}
