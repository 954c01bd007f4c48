//! Evaluations of runs whose demonstrations came without a simulator.

use std::path::Path;

use costate_demos::dataset::Meta;
use costate_envs::rollout::ActionChoice;

use super::protocol::{Request, read_policy};
use super::results::Results;
use super::{Progress, imported, open_demonstrations};
use crate::error::Error;
use crate::evaluate::controller::Controller;
use crate::evaluate::held_out::{FILE, HeldOut, Part, Subject, held_out};
use crate::run::RunFolder;

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
/// if there are any; of those that it held out; or else of all. Saves the results.
///
/// Errors: a request that takes a simulator.
pub fn evaluate(request: &Request, progress: &dyn Progress) -> Result<HeldOut, Error> {
    tch::set_num_threads(1);
    let place = &request.place;
    if imported::is_dataset(place)
        || request.policy.is_some()
        || request.cost.is_some()
        || request.success.is_some()
        || request.reoptimize
        || !request.transfer.is_empty()
    {
        return Err(Error::Misuse(format!(
            "{}: these demonstrations came without a simulator, so only a run's own policy can be evaluated, by how well \
             it predicts demonstrated actions: `costate evaluate RUN`; to attach a simulator, import them with `--env NAME`",
            place.display()
        )));
    }
    let run = &RunFolder::open(place)?;
    let config = run.config();
    let own = config.imitated()?;
    let demos = request.demos.as_ref().unwrap_or(&own.path);
    let demonstrations = open_demonstrations(run, demos)?;
    let results = Results::within(run, request.output.as_deref())?;
    let policy = read_policy(&run.policy()?, &demonstrations)?;
    let controller = Controller::of(policy.learned(), ActionChoice::Mean);
    let all = demonstrations.dataset.episodes().len();
    let (trajectories, _) = demonstrations.first(all);
    let (used, unseen) = trajectories.split_at(own.episodes.min(all));
    let (aside, fitted) = used.split_at(config.algo.held_out(used.len()));
    let (part, judged) = match (unseen, aside) {
        ([], []) => (Part::Seen, used),
        ([], aside) => (Part::HeldOut, aside),
        (unseen, _) => (Part::Unseen, unseen),
    };
    let found = held_out(&Subject {
        spec: demonstrations.factory.spec(),
        algo: config.algo.name(),
        seed: config.seed,
        policy: policy.learned(),
        controller: &controller,
        training: fitted,
        judged,
        part,
    })?;
    results.keep_as(FILE, &found, progress)?;
    Ok(found)
}
