//! Demonstrations that were cut short: named, remarked on, and compared with rollouts cut alike.
//!
//! Seen to fail: `a_discriminator_cannot_go_by_lengths` and `lengths_are_named_before_and_after_training` with whole
//! rollouts against cut demonstrations.

mod common;

use std::path::Path;

use common::{json, run, succeed};
use costate::audit::Sealer;
use costate::learners::Setup;
use costate::metric::Metric;
use costate::run::settings::{self, Override};
use costate_demos::dataset::Header;
use costate_demos::{Dataset, DatasetWriter};
use costate_envs::rng::stream;
use costate_envs::{End, EnvConfig, Episode, Trajectory};
use rand::RngExt;

/// The shipped demonstrations of `point_mass`.
fn whole() -> Dataset {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
    Dataset::open(&root).unwrap()
}

/// An episode of which somebody stopped the recording after `steps`.
fn cut(episode: &Episode, steps: usize) -> Episode {
    let t = &episode.trajectory;
    let (o, a) = (t.observation_dim(), t.action_dim());
    Episode {
        trajectory: Trajectory::new(
            o,
            a,
            t.observations()[..(steps + 1) * o].to_vec(),
            t.actions()[..steps * a].to_vec(),
            t.log_densities().map(|l| l[..steps].to_vec()),
            End::Terminated,
        )
        .unwrap(),
        costs: episode.costs[..steps].to_vec(),
        ..episode.clone()
    }
}

/// All of them cut to 18 to 45 of their 50 steps.
fn short() -> Vec<Episode> {
    let mut rng = stream(1, "cuts", 0);
    let mut one = |e: &Episode| cut(e, rng.random_range(18..46));
    whole().episodes().iter().map(&mut one).collect()
}

fn write(folder: &Path, episodes: &[Episode]) {
    let dataset = whole();
    let meta = dataset.meta();
    let header = Header {
        env: meta.env.clone(),
        spec: meta.spec.clone(),
        expert: meta.expert.clone(),
        seed: meta.seed,
    };
    let mut writer = DatasetWriter::create(folder, header).unwrap();
    for episode in episodes {
        writer.append(episode).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn lengths_are_named_before_and_after_training() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(&at.join("short"), &short());
    write(&at.join("whole"), &whole().episodes()[..4]);
    let train = |demos: &str, algo: &str, more: &[&str]| {
        let mut args = vec!["train", demos, "--algo", algo, "--set", "iterations=2"];
        args.extend(more);
        let output = run(at, &args);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        error
    };
    let small = ["--set", "base_steps=10", "--set", "validation.policies=0"];
    let said = train("short", "gan-gcl", &[&small[..], &["-o", "run"]].concat());
    let remark = said.lines().find(|l| l.contains("end early")).unwrap();
    assert!(
        remark.starts_with("25 of 25 demonstrations end early: "),
        "{remark}"
    );
    assert!(remark.contains("against a horizon of 50"), "{remark}");
    assert!(
        remark.contains("Rollouts are cut to the same lengths"),
        "{remark}"
    );
    let found = json(&succeed(at, &["diagnose", "run", "--json"]));
    assert_eq!(found[0]["name"], "short demonstrations");
    assert!(succeed(at, &["diagnose", "run"]).contains("25 of 25 demonstrations end early"));

    let said = train("whole", "gan-gcl", &[&small[..], &["-o", "sound"]].concat());
    assert!(!said.contains("end early"), "{said}");
    // Cloning compares no lengths.
    let said = train("short", "bc", &["-o", "clone"]);
    assert!(!said.contains("end early"), "{said}");
}

#[test]
fn a_discriminator_cannot_go_by_lengths() {
    tch::set_num_threads(1);
    let episodes = short();
    let demonstrations: Vec<Trajectory> = episodes.iter().map(|e| e.trajectory.clone()).collect();
    let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
    let setup = Setup {
        sealer: Sealer::unwatched(),
        factory: &factory,
        demonstrations: &demonstrations,
        starts: &[],
        expert: "mppi",
        seed: 0,
        workers: 2,
    };
    let set = |(key, value): &(&str, &str)| Override {
        key: (*key).into(),
        value: (*value).into(),
    };
    let changed = [
        ("iterations", "10"),
        ("base_steps", "1000"),
        ("trajectories", "32"),
    ];
    let changed: Vec<Override> = changed.iter().map(set).collect();
    let algo = settings::resolve("gan-gcl", "point_mass", None, &changed).unwrap();
    let mut learner = algo.learner(&setup, None).unwrap();
    let mut accuracy = 0.0;
    for k in 0..learner.iterations() {
        let found = learner.iterate(k).unwrap().diagnostics;
        let named = found
            .iter()
            .find(|(name, _)| *name == Metric::DiscriminatorAccuracy);
        accuracy = named.unwrap().1;
    }
    // 1.0 where whole rollouts are compared: sums over 50 steps against sums over 18 to 45.
    assert!(accuracy < 0.9, "{accuracy}");
}

/// Two iterations, a checkpoint, two more: rollouts of past policies are cut again as they were.
#[test]
fn a_resumed_run_cuts_as_before() {
    tch::set_num_threads(1);
    let episodes = short();
    let demonstrations: Vec<Trajectory> =
        episodes[..5].iter().map(|e| e.trajectory.clone()).collect();
    let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
    let setup = Setup {
        sealer: Sealer::unwatched(),
        factory: &factory,
        demonstrations: &demonstrations,
        starts: &[],
        expert: "mppi",
        seed: 2,
        workers: 1,
    };
    for algo in ["gan-gcl", "gcl"] {
        let changed = [
            ("iterations", "4"),
            ("trajectories", "4"),
            ("past_policies", "2"),
        ];
        let changed: Vec<Override> = changed
            .iter()
            .chain((algo == "gan-gcl").then_some(&("base_steps", "20")))
            .map(|(key, value)| Override {
                key: (*key).into(),
                value: (*value).into(),
            })
            .collect();
        let algo = settings::resolve(algo, "point_mass", None, &changed).unwrap();
        let weights = |learner: &dyn costate::learners::Learner| {
            let cost = learner.energy_model().map(|m| m.to_bytes().unwrap());
            (learner.policy().to_bytes().unwrap(), cost)
        };
        let mut whole = algo.learner(&setup, None).unwrap();
        let mut first = algo.learner(&setup, None).unwrap();
        for k in 0..4 {
            whole.iterate(k).unwrap();
            if k < 2 {
                first.iterate(k).unwrap();
            }
        }
        let mut second = algo.learner(&setup, None).unwrap();
        second.load(&first.save()).unwrap();
        for k in 2..4 {
            second.iterate(k).unwrap();
        }
        assert!(weights(whole.as_ref()) == weights(second.as_ref()));
    }
}
