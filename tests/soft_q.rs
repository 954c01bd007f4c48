//! The soft-Q learners: same bits for any number of workers, what settings are refused, and that a policy is learned from
//! nothing. (That a resumed run equals an uninterrupted one is in tests/adversarial.rs, the losses in closed form in the
//! learners' own files, demonstrations without a simulator in tests/own_data.rs.)

use costate::learners::Setup;
use costate::metric::Metric;
use costate::run::settings::{self, Override};
use costate_demos::dataset::Dataset;
use costate_envs::{EnvConfig, EnvFactory, Trajectory};

const ALGOS: [&str; 3] = ["iq-learn", "ls-iq", "sqil"];

fn demonstrations(count: usize) -> (EnvFactory, Vec<Trajectory>) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("demos/data/point_mass");
    let dataset = Dataset::open(&root).unwrap();
    let episodes = dataset.episodes().iter().take(count);
    let trajectories = episodes.map(|e| e.trajectory.clone());
    let factory = EnvConfig::named("point_mass").unwrap().factory().unwrap();
    (factory, trajectories.collect())
}

fn overrides(set: &[(&str, &str)]) -> Vec<Override> {
    set.iter()
        .map(|(key, value)| Override {
            key: (*key).into(),
            value: (*value).into(),
        })
        .collect()
}

#[test]
fn workers_change_nothing() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(2);
    for name in ALGOS {
        let small = overrides(&[
            ("iterations", "3"),
            ("trajectories", "5"),
            ("clone_steps", "20"),
            ("sac.gradient_steps", "4"),
            ("cost_steps", "4"),
        ]);
        let algo = settings::resolve(name, "point_mass", None, &small).unwrap();
        let learned = |workers: usize, seed: u64| {
            let setup = Setup {
                workers,
                seed,
                ..Setup::new(&factory, &trajectories)
            };
            let mut learner = algo.build(&setup, None).unwrap();
            for k in 0..3 {
                let report = learner.iterate(k).unwrap();
                assert!(report.env_steps > 0);
                assert!(report.diagnostics.iter().all(|(_, v)| v.is_finite()));
            }
            let cost = learner.energy_model().unwrap().to_bytes().unwrap();
            (learner.policy().to_bytes().unwrap(), cost)
        };
        let one = learned(1, 3);
        assert!(one == learned(3, 3), "{name}");
        assert!(one != learned(1, 4), "{name}");
    }
}

#[test]
fn contradictions_are_refused() {
    for (name, set, part) in [
        ("sqil", ("trajectories", "0"), "every reward is 1"),
        ("iq-learn", ("penalty", "0"), "positive"),
        ("iq-learn", ("sac.critics", "3"), "sac.critics"),
        ("iq-learn", ("cost.start_value", "true"), "no soft value"),
        ("iq-learn", ("value", "everywhere"), "value"),
        ("ls-iq", ("target", "none"), "target"),
    ] {
        let refused = settings::resolve(name, "point_mass", None, &overrides(&[set]));
        let why = refused.unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    }
    let pair = |a, b| overrides(&[a, b]);
    let rollouts = pair(("trajectories", "0"), ("against", "rollouts"));
    let validated = pair(("trajectories", "0"), ("validation.policies", "1"));
    let entropy = pair(("entropy_weight", "0"), ("sac.target_entropy", "-1"));
    for (set, part) in [
        (rollouts, "against=policy"),
        (validated, "need a simulator"),
        (entropy, "positive number"),
    ] {
        let refused = settings::resolve("ls-iq", "point_mass", None, &set);
        let why = refused.unwrap_err().to_string();
        assert!(why.contains(part), "{why}");
    }
    // Without rollouts no simulator is needed.
    for (trajectories, needed) in [("0", false), ("1", true)] {
        let set = overrides(&[("trajectories", trajectories)]);
        let algo = settings::resolve("iq-learn", "point_mass", None, &set).unwrap();
        assert_eq!(algo.needs_simulator(), needed);
    }
}

/// Demonstrated steps cost less than others, and actions approach the demonstrated ones, without a cloned start.
#[test]
fn the_policy_is_learned_from_nothing() {
    tch::set_num_threads(1);
    let (factory, trajectories) = demonstrations(3);
    let setup = Setup::new(&factory, &trajectories);
    for name in ALGOS {
        let set = overrides(&[
            ("iterations", "8"),
            ("trajectories", "4"),
            ("clone_steps", "0"),
            ("sac.gradient_steps", "60"),
            ("sac.learning_rate", "0.003"),
            ("sac.policy_learning_rate", "0.0003"),
        ]);
        let algo = settings::resolve(name, "point_mass", None, &set).unwrap();
        let mut learner = algo.build(&setup, None).unwrap();
        let rows = costate::batch::TrajectoryBatch::new(&trajectories).unwrap();
        let miss = |learner: &dyn costate::learners::Learner| {
            let policy = learner.policy().gaussian().unwrap();
            let mean = tch::no_grad(|| policy.distribution(&rows.observations).mean);
            let miss = (mean - &rows.actions).square().mean(tch::Kind::Double);
            miss.double_value(&[])
        };
        let before = miss(learner.as_ref());
        let mut last = Vec::new();
        for k in 0..8 {
            last = learner.iterate(k).unwrap().diagnostics;
        }
        let after = miss(learner.as_ref());
        assert!(after < 0.95 * before, "{name}: {before} → {after}");
        let of = |metric: Metric| last.iter().find(|(m, _)| *m == metric).unwrap().1;
        let (shown, tried) = (of(Metric::DemonstratedCost), of(Metric::SampledCost));
        assert!(shown < tried, "{name}: {shown}, rollouts {tried}");
    }
}
