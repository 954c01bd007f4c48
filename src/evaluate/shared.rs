//! Episodes that several evaluations of a process ask for alike: of random actions, of the clone, of its degraded actions.

use std::ops::Range;
use std::sync::Arc;

use costate_envs::actor::Actor;
use costate_envs::rollout::ActionChoice;
use costate_envs::{EnvConfig, EnvFactory, Episode};

use super::controller::{Controller, Disturbance};
use super::workers::Workers;
use crate::error::Error;
use crate::memo::Memo;
use crate::memory;

/// Everything that episodes depend on.
#[derive(PartialEq)]
struct Key {
    world: EnvConfig,
    who: Who,
    disturbance: Disturbance,
    which: Range<usize>,
    seed: u64,
}

#[derive(PartialEq)]
enum Who {
    Random,
    Actor(Arc<Actor>, ActionChoice),
}

/// For a few worlds at a time.
static PLAYED: Memo<Key, Arc<Vec<Episode>>> = Memo::new(40);

/// Larger ones are played anew. Counts the copies that are made, as an estimate of needs does.
const MOST_MIB: f64 = 24.0;

/// The episodes of [`Controller::play_disturbed`], which for no disturbance are those of [`Controller::play`]; played by
/// an earlier evaluation, or now.
pub fn play(
    controller: &Controller,
    factory: &EnvFactory,
    workers: Workers,
    disturbance: Disturbance,
    which: Range<usize>,
    seed: u64,
) -> Result<Vec<Episode>, Error> {
    let played = |disturbance: &Disturbance, which| {
        if *disturbance == Disturbance::default() {
            controller.play(factory, workers, which, seed)
        } else {
            controller.play_disturbed(factory, workers, disturbance, which, seed)
        }
    };
    let who = match controller {
        Controller::Random => Some(Who::Random),
        Controller::Actor(actor, choice) => Some(Who::Actor(actor.clone(), *choice)),
        _ => None,
    };
    let small = memory::of_episodes(which.len() as f64, factory.spec()) <= MOST_MIB;
    let Some(who) = who.filter(|_| small) else {
        return played(&disturbance, which);
    };
    let key = Key {
        world: factory.config().clone(),
        who,
        disturbance: disturbance.clone(),
        which: which.clone(),
        seed,
    };
    let found = PLAYED.remembered(key, || {
        let episodes = played(&disturbance, which)?;
        Ok::<_, Error>(Some(Arc::new(episodes)))
    })?;
    Ok(found.map_or_else(Vec::new, |episodes| episodes.to_vec()))
}

#[cfg(test)]
mod tests {
    use costate_envs::rollout::RolloutPool;

    use super::*;
    use crate::policy::{GaussianPolicy, Learned};

    #[test]
    fn shared_episodes_are_those_played_alone() {
        let factory = EnvConfig::named("pendulum").unwrap().factory().unwrap();
        let workers = || Workers::from(RolloutPool::new(1));
        let noisy = Disturbance {
            random_share: 0.5,
            ..Disturbance::default()
        };
        let random = Controller::Random;
        for disturbance in [Disturbance::default(), noisy] {
            for which in [0..3, 3..5] {
                let alone = random
                    .play_disturbed(&factory, workers(), &disturbance, which.clone(), 8)
                    .unwrap();
                for _ in 0..2 {
                    let (d, w) = (disturbance.clone(), which.clone());
                    let shared = play(&random, &factory, workers(), d, w, 8).unwrap();
                    assert_eq!(shared, alone);
                }
            }
        }
        // A policy's, whose undisturbed episodes another loop plays.
        let policy = GaussianPolicy::small("pendulum", factory.spec().observation.dim(), 0);
        for choice in [ActionChoice::Sample, ActionChoice::Mean] {
            let actor = Controller::of(Learned::Gaussian(&policy), choice);
            let none = Disturbance::default();
            let alone = actor.play_disturbed(&factory, workers(), &none, 1..4, 8);
            let shared = play(&actor, &factory, workers(), none, 1..4, 8).unwrap();
            for (a, b) in alone.unwrap().iter().zip(&shared) {
                assert_eq!(a.costs, b.costs);
                assert_eq!(a.trajectory.observations(), b.trajectory.observations());
                assert_eq!(a.trajectory.actions(), b.trajectory.actions());
            }
        }
        let mut config = EnvConfig::named("pendulum").unwrap();
        let variant = &EnvConfig::variants("pendulum").unwrap()[0];
        config.apply_variant(&variant.name).unwrap();
        let (other, none) = (config.factory().unwrap(), Disturbance::default());
        let here = play(&random, &factory, workers(), none.clone(), 0..3, 8).unwrap();
        let there = play(&random, &other, workers(), none.clone(), 0..3, 8).unwrap();
        assert_ne!(here, there);
        assert_ne!(
            here,
            play(&random, &factory, workers(), none, 0..3, 9).unwrap()
        );
    }
}
