//! The shipped demonstrations: sound, of today's environments, and re-created bit for bit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use costate_base::workers::default_workers;
use costate_demos::{Dataset, ExpertDesign, Plan, check, record};
use costate_envs::{EnvConfig, registry};

/// Worlds whose demonstrations take a second or so to record.
const CHEAP: [&str; 4] = ["cart_pole", "cart_pole_swing_up", "pendulum", "lq"];

const LARGEST: u64 = 40_000_000;

fn folder(env: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(env)
}

fn size(path: &Path) -> u64 {
    let entries = fs::read_dir(path).unwrap().map(|e| e.unwrap().path());
    entries
        .map(|p| {
            if p.is_dir() {
                size(&p)
            } else {
                p.metadata().unwrap().len()
            }
        })
        .sum()
}

#[test]
fn every_world_has_25_sound_episodes_of_its_best_expert() {
    for env in registry::names() {
        let dataset = Dataset::open(&folder(env)).unwrap_or_else(|e| panic!("{e}"));
        let meta = dataset.meta();
        assert_eq!((meta.episodes.len(), meta.seed), (25, 0), "{env}");
        let factory = EnvConfig::named(env).unwrap().factory().unwrap();
        assert_eq!(&meta.env, factory.config(), "{env}: record again");
        assert_eq!(&meta.spec, factory.spec(), "{env}: record again");
        let expert = ExpertDesign::new(&factory, None, None).unwrap();
        assert_eq!(meta.expert, expert.info(), "{env}: record again");
        let random = meta.random_return.unwrap().mean;
        let returns = meta.demonstration_return;
        assert!(
            returns.mean - returns.std > random,
            "{env}: {returns:?}, {random}"
        );
    }
    assert!(size(&folder("")) < LARGEST);
}

#[test]
fn cheap_ones_are_recreated_bit_for_bit() {
    for env in CHEAP {
        let shipped = Dataset::open(&folder(env)).unwrap();
        let factory = EnvConfig::named(env).unwrap().factory().unwrap();
        let expert = ExpertDesign::new(&factory, None, None).unwrap();
        let plan = Plan {
            episodes: 25,
            seed: 0,
            workers: default_workers(),
        };
        let mut episodes = Vec::new();
        record(
            &factory,
            &expert,
            plan,
            &AtomicBool::new(false),
            |episode| {
                episodes.push(episode);
                Ok(())
            },
        )
        .unwrap();
        assert!(episodes == shipped.episodes(), "{env}");
    }
}

#[test]
fn recorded_actions_replay_to_the_recorded_observations() {
    for env in ["point_mass", "hopper"] {
        let report = check(&folder(env)).unwrap();
        assert!(report.problems.is_empty(), "{env}: {:?}", report.problems);
    }
}
